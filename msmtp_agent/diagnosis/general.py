"""Rules of the decoder, the last: an answer for every stage and class of reply, and for every exit status."""

from msmtp_agent.model import Owner

from .rule import ACCOUNT, ADMINISTRATOR, GENERAL, HOST, MAKE_PASSWORD, NETWORK, Rule
from .steps import AGAIN, DIAGNOSE, READ, SENDER, SETTINGS, STORE

_ASK = "ask who runs {host}, with the text of the reply"
_ALIASES = "check /etc/aliases: the address behind root"
_TEST = "msmtp-config test"
_UNHEARD = "this host before it could say anything"

LAST = Rule(
    "unknown",
    "msmtp failed in a way that it does not tell",
    HOST,
    (DIAGNOSE, "msmtp-config audit"),
    GENERAL,
)


def _refused(
    stage: str, name: str, cause: str, owner: Owner, *steps: str, traits: tuple[str, ...] = ()
) -> tuple[Rule, Rule]:
    """The answers for a reply 4xx and 5xx at one stage."""
    return (
        Rule(
            f"{name}-temporary",
            f"the server puts off {cause} for now",
            ADMINISTRATOR,
            (READ, "if it stays so for hours: " + steps[0]),
            GENERAL,
            stage=(stage,),
            code=("4",),
            traits=traits,
        ),
        Rule(
            f"{name}-refused",
            f"the server refused {cause}",
            owner,
            steps,
            GENERAL,
            stage=(stage,),
            code=("5",),
            traits=traits,
        ),
    )


_BY_STAGE: tuple[Rule, ...] = (
    *_refused(
        "greeting",
        "greeting-25",
        _UNHEARD,
        ADMINISTRATOR,
        "log in at port 587, not 25: in /etc/msmtprc port 587",
        _ASK,
        traits=("port-25",),
    ),
    *_refused("greeting", "greeting", _UNHEARD, ADMINISTRATOR, _ASK, DIAGNOSE),
    *_refused(
        "hello",
        "hello",
        "the name by which this host greets it",
        HOST,
        "mend `domain` in /etc/msmtprc: a full name",
        _ASK,
    ),
    *_refused("starttls", "starttls", "to begin TLS", ADMINISTRATOR, DIAGNOSE, _ASK),
    *_refused("sender", "sender", "the sender {sender}", ACCOUNT, f"an address that {{user}} may use; {SENDER}", _ASK),
    *_refused(
        "recipient", "recipient", "the recipient", ADMINISTRATOR, _ALIASES, f"try another: {_TEST} --to ADDRESS", _ASK
    ),
    *_refused("data", "data", "the mail before it was sent", ADMINISTRATOR, f"try a plain mail: {_TEST}", _ASK),
    *_refused("message", "message", "the mail", ADMINISTRATOR, f"try a plain mail: {_TEST}", _ASK),
    *_refused("general", "server", "what msmtp asked", ADMINISTRATOR, DIAGNOSE, _ASK),
    Rule(
        "auth-failed",
        "logging in failed, and no reply of the server tells why; most often the user name or the password is wrong",
        ACCOUNT,
        ("verify `user {user}` in /etc/msmtprc", MAKE_PASSWORD, STORE, DIAGNOSE),
        GENERAL,
        stage=("auth",),
    ),
    Rule(
        "reply-unexpected",
        "the server said something that does not belong there",
        ADMINISTRATOR,
        (DIAGNOSE, _ASK),
        GENERAL,
        code=("0", "1", "2", "3", "6", "7", "8", "9"),
    ),
)


def _status(number: int, name: str, cause: str, owner: Owner, *steps: str) -> Rule:
    """The answer for an exit status of msmtp (sysexits.h) that comes without words that a rule knows."""
    return Rule(name, cause, owner, steps, GENERAL, status=(number,))


_BY_STATUS: tuple[Rule, ...] = (
    Rule(
        "not-received",
        "mail leaves this host; that to root goes to the bare name, since the account has no line for aliases",
        HOST,
        (
            "check /etc/aliases: a line `root: ADDRESS`, and in /etc/msmtprc: aliases /etc/aliases",
            f"then: {_TEST}",
            "use verified sender domain: one with SPF and DKIM records, or mail ends up in the spam folder",
        ),
        GENERAL,
        status=(0,),
        traits=("aliases-off",),
    ),
    Rule(
        "accepted",
        "mail leaves this host: where it does not arrive, it went to another address, or into the spam folder",
        ACCOUNT,
        (
            "check /etc/aliases: is the address behind root the right one?",
            "look into the spam folder of the recipient",
            "use verified sender domain: `from` in a domain with SPF and DKIM records for {provider}",
        ),
        GENERAL,
        status=(0,),
    ),
    _status(64, "exit-usage", "msmtp was called with options that it does not know", HOST, "msmtp --help", _TEST),
    _status(
        65, "exit-data", "the server refused the sender, a recipient or the mail (65)", ACCOUNT, _ALIASES, DIAGNOSE
    ),
    _status(66, "exit-no-input", "a file that TLS needs is missing (66)", HOST, "msmtp-config audit", SETTINGS),
    _status(67, "exit-no-user", "a user is not known (67)", HOST, SETTINGS, DIAGNOSE),
    _status(68, "exit-no-host", "the name {host} leads to no address (68)", NETWORK, "getent ahosts {host}", SETTINGS),
    _status(
        69, "exit-unavailable", "the server does not offer what the account asks for (69)", HOST, DIAGNOSE, SETTINGS
    ),
    _status(70, "exit-software", "a library failed inside msmtp (70)", HOST, "in /etc/msmtprc: auth plain", DIAGNOSE),
    _status(
        71,
        "exit-os-error",
        "the system refused msmtp a socket or a process (71)",
        HOST,
        "msmtp-config audit",
        DIAGNOSE,
    ),
    _status(72, "exit-os-file", "a file of the system is missing (72)", HOST, "msmtp-config audit"),
    _status(
        73, "exit-cannot-create", "a file could not be written (73)", HOST, "df /tmp /var/log", "msmtp-config audit"
    ),
    _status(
        74, "exit-io-error", "the connection broke off, or a file could not be read (74)", NETWORK, DIAGNOSE, "df /tmp"
    ),
    _status(75, "exit-temporary", "the server could not be reached just now (75)", NETWORK, AGAIN, DIAGNOSE),
    _status(76, "exit-protocol", "what the server said is no SMTP, or no TLS (76)", HOST, SETTINGS, DIAGNOSE),
    _status(77, "exit-permission", "the server did not let this host in (77)", ACCOUNT, "msmtp-config", DIAGNOSE),
    _status(
        78,
        "exit-configuration",
        "msmtp cannot use its configuration (78)",
        HOST,
        "msmtp --pretend -- root   # names the line",
        "msmtp-config audit",
    ),
    Rule(
        "not-started",
        "msmtp could not be started: it is not installed, or may not be executed",
        HOST,
        ("apt install --reinstall msmtp msmtp-mta", "msmtp --version"),
        GENERAL,
        status=(126, 127),
    ),
)

GENERAL_ANSWERS: tuple[Rule, ...] = (*_BY_STAGE, *_BY_STATUS)
