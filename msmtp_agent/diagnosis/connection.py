"""Rules of the decoder: names and connections, from msmtp's own words alone.

The words are those of msmtp 1.8.20 to 1.8.33 (net.c, smtp.c) and of glibc 2.36 to 2.41. A run that was ended at the
deadline counts as one that said `timed out`.
"""

from .rule import ADMINISTRATOR, CERTAIN, GENERAL, HOST, NETWORK, Rule
from .steps import DIAGNOSE, OTHER_PORT, SETTINGS, SUBMIT

_ASK_HOSTER = "or ask the provider of this machine to open port {port} (Hetzner and DigitalOcean: on request)"

_RESOLVE: tuple[Rule, ...] = (
    Rule(
        "dns-unknown",
        "the name {host} leads to no address: it is misspelt, or the resolver of this host does not know it",
        HOST,
        ("look for a typing error: grep -n host /etc/msmtprc", "ask the resolver: getent ahosts {host}", SETTINGS),
        CERTAIN,
        stage=("resolve",),
        own=("name or service not known", "no address associated", "host not found"),
    ),
    Rule(
        "dns-temporary",
        "no name server has answered: this host has no network yet, or no resolver that works",
        NETWORK,
        (
            "see which name servers are asked: resolvectl status || cat /etc/resolv.conf",
            "ask for any name: getent ahosts example.com   # no answer: network or resolver; an answer: {host}",
            "try again once it answers: msmtp-config diagnose",
        ),
        CERTAIN,
        stage=("resolve",),
        own=("temporary failure in name resolution", "server failure", "eagain"),
    ),
    Rule(
        "dns-failed",
        "the name {host} could not be looked up",
        NETWORK,
        ("ask the resolver: getent ahosts {host}", "see which name servers are asked: cat /etc/resolv.conf"),
        GENERAL,
        stage=("resolve",),
    ),
)

_CONNECT: tuple[Rule, ...] = (
    Rule(
        "bridge-not-running",
        "nothing listens at port {port} of this host: the Proton Bridge is not running",
        HOST,
        (
            "start Proton Bridge as the user who signed in there: protonmail-bridge --noninteractive",
            "see that it listens, and at which port: ss -ltnp | grep -i bridge",
            "where it shows another port: port NUMBER in /etc/msmtprc",
        ),
        stage=("connect",),
        own=("connection refused",),
        traits=("loopback", "port-1025"),
    ),
    Rule(
        "connection-refused-here",
        "nothing listens at port {port} of this host, to which the account points",
        HOST,
        ("see what listens: ss -ltnp", "start the mail server of this host, or " + SETTINGS),
        CERTAIN,
        stage=("connect",),
        own=("connection refused",),
        traits=("loopback",),
    ),
    Rule(
        "connection-refused",
        "{host} was reached and refused the connection: it does not listen at port {port}",
        HOST,
        (SETTINGS, OTHER_PORT, DIAGNOSE),
        stage=("connect",),
        own=("connection refused",),
    ),
    Rule(
        "address-silent",
        "one address of {host} does not answer, and msmtp tries it before one that does",
        NETWORK,
        (
            "let msmtp go on to the next address, in /etc/msmtprc: timeout 10",
            "where it is the IPv6 address: mend IPv6 of this host, or switch it off (ip -6 route)",
        ),
        CERTAIN,
        stage=("connect",),
        traits=("first-dead",),
    ),
    *(
        Rule(
            f"port-filtered-{port}-open",
            f"port {{port}} of {{host}} does not answer and port {port} does: a filter on the way drops port {{port}}",
            NETWORK,
            (f"use the port that answers, in /etc/msmtprc: port {port} and tls_starttls {mode}", _ASK_HOSTER),
            CERTAIN,
            stage=("connect",),
            traits=("timed-out", f"open-{port}"),
        )
        for port, mode in ((587, "on"), (465, "off"), (2525, "on"), (2587, "on"))
    ),
    Rule(
        "ports-filtered",
        "none of the usual ports of {host} answers: mail is filtered on the way, or the server is down",
        NETWORK,
        (
            "ask the provider of this machine whether it filters mail",
            "see whether anything gets out: getent ahosts example.com; ping -c 3 {host}",
        ),
        stage=("connect",),
        traits=("timed-out", "no-port"),
    ),
    Rule(
        "connection-timeout-25",
        "port 25 does not answer: nearly every provider of virtual machines filters it outwards",
        NETWORK,
        (
            SUBMIT,
            "or ask the provider of this machine to open port 25 (Hetzner, DigitalOcean, AWS: on request, or never)",
            DIAGNOSE,
        ),
        stage=("connect",),
        own=("timed out", "timeout"),
        traits=("port-25",),
    ),
    Rule(
        "connection-timeout-465",
        "port 465 does not answer: some providers of virtual machines filter it outwards (Hetzner on new accounts)",
        NETWORK,
        (
            "use STARTTLS, in /etc/msmtprc: port 587 and tls_starttls on",
            "or ask the provider of this machine to open port 465",
            DIAGNOSE,
        ),
        stage=("connect",),
        own=("timed out", "timeout"),
        traits=("port-465",),
    ),
    Rule(
        "connection-timeout",
        "port {port} of {host} does not answer: a filter on the way drops the packets, most likely the one of the"
        " provider of this machine or its own firewall",
        NETWORK,
        (
            OTHER_PORT,
            "look for a filter: nft list ruleset, and the firewall rules at the provider of this machine",
            DIAGNOSE,
        ),
        stage=("connect",),
        own=("timed out", "timeout"),
    ),
    Rule(
        "no-route",
        "this host has no way to {host}: no address, no default route, or a router that says so",
        NETWORK,
        (
            "see addresses and routes: ip addr; ip route; ip -6 route",
            "wait for the network, then: msmtp-config diagnose",
        ),
        stage=("connect",),
        own=("network is unreachable", "no route to host", "network is down", "host is down", "unreachable"),
    ),
    Rule(
        "connection-forbidden",
        "this host itself forbids the connection: a firewall rule, or a limit of the service that sends",
        HOST,
        (
            "look for a rule that rejects: nft list ruleset",
            "for a service: systemctl show NAME -p IPAddressDeny -p RestrictAddressFamilies -p PrivateNetwork",
        ),
        stage=("connect",),
        own=("operation not permitted", "permission denied", "address family not supported"),
    ),
    Rule(
        "connection-reset",
        "the connection to {host} was cut off at once: by a firewall on the way, or by a server that is overloaded",
        NETWORK,
        (DIAGNOSE, OTHER_PORT),
        stage=("connect",),
        own=("connection reset",),
    ),
    Rule(
        "source-address",
        "the connection cannot begin at the address of `source_ip`: this host does not have it",
        HOST,
        ("see the addresses: ip addr", "mend or remove `source_ip` in /etc/msmtprc"),
        CERTAIN,
        stage=("connect",),
        own=("cannot bind source ip", "cannot assign requested address"),
    ),
    Rule(
        "proxy-failed",
        "the SOCKS proxy of the account did not make the connection",
        NETWORK,
        ("mend or remove `proxy_host` and `proxy_port` in /etc/msmtprc", "ask who runs the proxy to allow port {port}"),
        CERTAIN,
        stage=("connect",),
        own=("proxy failure",),
    ),
    Rule(
        "connection-failed",
        "no connection to port {port} of {host} could be made",
        NETWORK,
        (DIAGNOSE, SETTINGS),
        GENERAL,
        stage=("connect",),
    ),
)

LOST: tuple[Rule, ...] = (
    Rule(
        "reply-empty",
        "the server hung up without a word: it is overloaded, it refuses this host, or it is no mail server",
        NETWORK,
        (DIAGNOSE, SETTINGS, "try again in some minutes"),
        own=("the server sent an empty reply",),
    ),
    Rule(
        "reply-rubbish",
        "what came from port {port} is no reply of a mail server: a captive portal, a proxy, or another service",
        NETWORK,
        (
            "see what answers there: msmtp-config diagnose",
            SETTINGS,
            "behind a portal or proxy, ask for a way out to {host}",
        ),
        own=("the server sent an invalid reply",),
    ),
    Rule(
        "portal",
        "a web server or a proxy has answered in place of the mail server",
        NETWORK,
        (
            "see what answers there: msmtp-config diagnose",
            "ask for a way out to {host}, port {port}, that is not filtered",
        ),
        stage=("greeting", "hello", "starttls", "general"),
        says=("http/1.", "<html", "<!doctype"),
    ),
    Rule(
        "reply-too-long",
        "the server answered with more than the 50 lines that msmtp takes: it is no proper mail server",
        ADMINISTRATOR,
        ("see what answers there: msmtp-config diagnose", SETTINGS),
        own=("rejecting server reply that is longer",),
    ),
    Rule(
        "server-silent",
        "the server was reached, and then fell silent",
        NETWORK,
        ("try again in some minutes, with more time: msmtp-config test --timeout 120", DIAGNOSE),
        stage=("greeting", "hello", "starttls", "auth", "sender", "recipient", "data", "message"),
        own=("timed out",),
    ),
    Rule(
        "deadline-25",
        "nothing came back within the time allowed; most likely port 25 is filtered by the provider of this machine",
        NETWORK,
        (SUBMIT, DIAGNOSE),
        stage=("general",),
        own=("timed out",),
        traits=("port-25",),
    ),
    Rule(
        "deadline-465",
        "nothing came back within the time allowed; most likely port 465 is filtered by the provider of this machine",
        NETWORK,
        ("use STARTTLS, in /etc/msmtprc: port 587 and tls_starttls on", DIAGNOSE),
        stage=("general",),
        own=("timed out",),
        traits=("port-465",),
    ),
    Rule(
        "deadline",
        "nothing came back within the time allowed: port {port} is filtered on the way, or the server is slow",
        NETWORK,
        (DIAGNOSE, OTHER_PORT, "with more time: msmtp-config test --timeout 120"),
        stage=("general",),
        own=("timed out",),
    ),
    Rule(
        "connection-lost",
        "the connection broke off in the middle: a firewall or proxy on the way, or the server ended it",
        NETWORK,
        ("try again: msmtp-config test", DIAGNOSE),
        own=("network read error", "network write error", "from tls connection", "to tls connection"),
    ),
)

CONNECTION: tuple[Rule, ...] = (*_RESOLVE, *_CONNECT)
