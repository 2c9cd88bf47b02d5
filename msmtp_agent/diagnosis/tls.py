"""Rules of the decoder: TLS, from msmtp's own words alone.

The words are those of msmtp 1.8.20 to 1.8.33 (mtls-gnutls.c) and of GnuTLS 3.7 to 3.8, which Debian builds it with.
"""

from .rule import ADMINISTRATOR, CERTAIN, GENERAL, HOST, NETWORK, Rule
from .steps import DIAGNOSE, OTHER_PORT, SETTINGS

_PIN = "for a server of your own, pin its certificate: msmtp-config pin"
_CLOCK = "compare the clock of this host with the true time: timedatectl"

_CERTIFICATE: tuple[Rule, ...] = (
    Rule(
        "tls-fingerprint",
        "the server shows another certificate than the one that is pinned: it was renewed, or this is another server",
        HOST,
        (
            "ask who runs the server whether its certificate was renewed",
            "if so, look at the new one and pin it: msmtp-config pin",
        ),
        CERTAIN,
        stage=("tls",),
        own=("fingerprint does not match",),
    ),
    Rule(
        "tls-not-yet-valid",
        "the certificate is not valid yet: the clock of this host is behind, or the certificate is from the future",
        HOST,
        (_CLOCK, "set it by the network: timedatectl set-ntp true", "if the clock is right, ask who runs {host}"),
        stage=("tls",),
        own=("not yet valid", "not yet activated", "future date"),
    ),
    Rule(
        "tls-expired",
        "the certificate of {host} has expired, unless the clock of this host is ahead",
        ADMINISTRATOR,
        (_CLOCK, "if the clock is right, have the certificate renewed by who runs {host}"),
        stage=("tls",),
        own=("expired certificate", "has expired"),
    ),
    Rule(
        "tls-revoked",
        "the certificate of {host} has been revoked by the authority that signed it",
        ADMINISTRATOR,
        ("tell who runs {host}, and send nothing there before the certificate is replaced",),
        CERTAIN,
        stage=("tls",),
        own=("revoked",),
    ),
    Rule(
        "tls-intercepted",
        "another server than {host} has answered, with a certificate that it made itself: a proxy or a captive portal"
        " on the way, or a server that nobody gave a certificate",
        NETWORK,
        (
            "see whose certificate it is: msmtp-config diagnose",
            "on a filtered network, ask for a way out to {host} that is not inspected",
            _PIN,
        ),
        stage=("tls",),
        own=("issuer is unknown. ... does not match the expected",),
        traits=("!loopback",),
    ),
    Rule(
        "tls-name",
        "the certificate is for another name than {host}",
        HOST,
        (
            "see which names it has: msmtp-config diagnose",
            "write one of these names as `host` in /etc/msmtprc; where the name must stay, `tls_host_override NAME`",
        ),
        CERTAIN,
        stage=("tls",),
        own=("does not match the expected", "does not match hostname", "hostname mismatch"),
        traits=("!loopback",),
    ),
    Rule(
        "tls-name-local",
        "the certificate of the server on this host is for another name than {host}",
        HOST,
        (_PIN, "or write the name that the certificate has: tls_host_override NAME in /etc/msmtprc"),
        stage=("tls",),
        own=("does not match the expected", "does not match hostname", "hostname mismatch"),
    ),
    Rule(
        "tls-issuer-local",
        "the server on this host shows a certificate that no known authority has signed",
        HOST,
        (_PIN, "or name its authority's certificate in /etc/msmtprc: tls_trust_file FILE"),
        stage=("tls",),
        own=("issuer is unknown", "self-signed", "self signed"),
        traits=("loopback",),
    ),
    Rule(
        "tls-issuer",
        "the certificate of {host} is signed by an authority that this host does not know",
        HOST,
        (
            "install the known authorities: apt install ca-certificates",
            "in /etc/msmtprc: tls_trust_file /etc/ssl/certs/ca-certificates.crt",
            "for a server of your own, name its authority there, or pin the certificate: msmtp-config pin",
        ),
        stage=("tls",),
        own=("issuer is unknown", "local issuer", "certificate verify failed", "self-signed", "self signed"),
    ),
    Rule(
        "tls-weak",
        "the certificate of {host} is signed in a way that is no longer safe",
        ADMINISTRATOR,
        ("have the certificate replaced by who runs {host}", _PIN),
        stage=("tls",),
        own=("insecure algorithm",),
    ),
    Rule(
        "tls-certificate",
        "the certificate of {host} does not hold",
        ADMINISTRATOR,
        ("see what is wrong with it: msmtp-config diagnose", "tell who runs {host}"),
        GENERAL,
        stage=("tls",),
        own=("certificate verification failed", "cannot get tls certificate info"),
    ),
)

_TLS_FILES: tuple[Rule, ...] = (
    Rule(
        "trust-file",
        "the file of trusted certificates (`tls_trust_file`) is missing, unreadable, empty or damaged",
        HOST,
        (
            "install it: apt install ca-certificates   # damaged: update-ca-certificates --fresh",
            "in /etc/msmtprc: tls_trust_file /etc/ssl/certs/ca-certificates.crt",
        ),
        CERTAIN,
        stage=("tls",),
        own=("cannot set x509 trust file", "cannot set x509 system trust"),
    ),
    Rule(
        "revocation-file",
        "the file of revoked certificates (`tls_crl_file`) is missing, unreadable or damaged",
        HOST,
        ("mend or remove `tls_crl_file` in /etc/msmtprc",),
        CERTAIN,
        stage=("tls",),
        own=("cannot set x509 crl file",),
    ),
    Rule(
        "client-certificate",
        "this host's own certificate or its key (`tls_cert_file`, `tls_key_file`) is missing, unreadable or damaged",
        HOST,
        ("mend both lines in /etc/msmtprc, or remove them: the providers of mail ask for no certificate of yours",),
        CERTAIN,
        stage=("tls",),
        own=("cannot set x509 key file",),
    ),
    Rule(
        "tls-priorities",
        "`tls_priorities` is not what GnuTLS understands",
        HOST,
        ("mend or remove `tls_priorities` in /etc/msmtprc",),
        CERTAIN,
        stage=("tls",),
        own=("priority string", "set priorities"),
    ),
)

_TLS_MODE: tuple[Rule, ...] = (
    Rule(
        "tls-mode-starttls",
        "TLS was spoken from the start at port {port}, where it begins with STARTTLS",
        HOST,
        ("in /etc/msmtprc: tls_starttls on", "or, for TLS from the start: port 465 and tls_starttls off"),
        stage=("tls",),
        own=("unexpected tls packet", "unsupported version", "invalid length", "non-properly terminated"),
        traits=("implicit", "port-starttls"),
    ),
    Rule(
        "tls-not-spoken",
        "what answers at port {port} does not speak TLS: the wrong port, or a proxy on the way",
        HOST,
        (
            "at a port for STARTTLS (587, 25, 2525), in /etc/msmtprc: tls_starttls on",
            SETTINGS,
            DIAGNOSE,
        ),
        stage=("tls",),
        own=("unexpected tls packet", "unsupported version", "invalid length"),
    ),
    Rule(
        "tls-alert",
        "the server refused the TLS handshake: no version or cipher in common, or it asks for a certificate of yours",
        ADMINISTRATOR,
        (
            "remove `tls_priorities` from /etc/msmtprc, if it is there",
            "see what the server can do: msmtp-config diagnose",
            "ask who runs {host} for TLS 1.2 or 1.3, and whether it wants a client certificate (tls_cert_file)",
        ),
        stage=("tls",),
        own=("fatal alert", "no supported cipher", "certificate is required", "prime sent by the server"),
    ),
    Rule(
        "tls-cut-off",
        "the connection was cut off in the TLS handshake: a firewall or proxy on the way, or an overloaded server",
        NETWORK,
        (DIAGNOSE, OTHER_PORT),
        stage=("tls",),
        own=("pull function", "push function", "non-properly terminated", "timed out"),
    ),
    Rule(
        "tls-failed",
        "TLS with {host} could not be set up",
        ADMINISTRATOR,
        ("see how far it gets: msmtp-config diagnose", "remove `tls_priorities` from /etc/msmtprc, if it is there"),
        GENERAL,
        stage=("tls",),
    ),
    Rule(
        "tls-mode-implicit",
        "port {port} speaks TLS from the start, and the account waits for a greeting in clear text first",
        HOST,
        ("in /etc/msmtprc: tls_starttls off", "or, for STARTTLS: port 587 and tls_starttls on"),
        stage=("greeting", "starttls", "general"),
        status=(None, 74, 75, 76),
        code=("",),
        traits=("starttls", "port-implicit"),
    ),
    Rule(
        "tls-off-implicit",
        "port {port} speaks TLS from the start, and the account has TLS switched off",
        HOST,
        ("in /etc/msmtprc: tls on and tls_starttls off",),
        stage=("greeting", "general"),
        status=(None, 74, 75, 76),
        code=("",),
        traits=("tls-off", "port-implicit"),
    ),
)

_STARTTLS: tuple[Rule, ...] = (
    Rule(
        "starttls-missing-25",
        "the server offers no TLS at port 25, or a firewall on the way takes the offer out",
        HOST,
        ("use the port for submission, in /etc/msmtprc: port 587", DIAGNOSE),
        stage=("starttls",),
        own=("does not support tls via the starttls command",),
        traits=("port-25",),
    ),
    Rule(
        "starttls-missing",
        "the server offers no TLS at port {port}: another kind of port, or a filter on the way takes the offer out",
        HOST,
        (
            "where the port speaks TLS from the start, in /etc/msmtprc: tls_starttls off",
            DIAGNOSE,
            "for a server on this host alone: tls off",
        ),
        stage=("starttls",),
        own=("does not support tls via the starttls command",),
    ),
    Rule(
        "starttls-garbled",
        "the server said more than its reply to STARTTLS: msmtp takes that for an attack and stops",
        NETWORK,
        (DIAGNOSE, "if it stays so, tell who runs {host}; until then: port 465 and tls_starttls off"),
        stage=("starttls",),
        own=("command starttls failed",),
        code=("",),
    ),
)

TLS: tuple[Rule, ...] = (*_CERTIFICATE, *_TLS_FILES, *_TLS_MODE, *_STARTTLS)
