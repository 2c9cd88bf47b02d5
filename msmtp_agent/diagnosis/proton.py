"""Rules of the decoder: Proton Mail, by its own server (a Postfix) and by its Bridge on this host."""

from .rule import ACCOUNT, CERTAIN, GENERAL, HOST, LIKELY, MAKE_PASSWORD, Rule
from .steps import AUTH_ON, LOG_IN, NOT_THE_PASSWORD, OWN_FROM, STORE, TEST

_PROTON, _BRIDGE = "proton", "proton-bridge"
_LISTENS = "see whether it listens: ss -ltnp 'sport = :{port}'"
_PIN = "see its certificate, and pin it: msmtp-config pin"

_DIRECT: tuple[Rule, ...] = (
    Rule(
        "proton-mechanism",
        "Proton's server takes the method PLAIN alone, and `auth` in /etc/msmtprc names another",
        HOST,
        (AUTH_ON, TEST),
        CERTAIN,
        provider=_PROTON,
        stage=("auth",),
        says=("invalid authentication mechanism",),
    ),
    Rule(
        "proton-token",
        "Proton refused the login: it wants an SMTP token made for {user}, an address of a domain of your own, and not "
        "the password of the account",
        ACCOUNT,
        (MAKE_PASSWORD, "run msmtp-config, and type the token"),
        LIKELY,
        provider=_PROTON,
        stage=("auth",),
        code=("535",),
        unless=NOT_THE_PASSWORD,
    ),
    Rule(
        "proton-no-login",
        "Proton wants a login, and msmtp made none",
        HOST,
        (LOG_IN, TEST),
        CERTAIN,
        provider=_PROTON,
        says=("sender address rejected: not logged in",),
    ),
    Rule(
        "proton-sender",
        "the token of {user} is for its own address alone, and this mail is from another",
        HOST,
        ("write `from {user}` in /etc/msmtprc", OWN_FROM, TEST),
        CERTAIN,
        provider=_PROTON,
        says=("sender address rejected: not owned by user",),
    ),
)

# The words of the Bridge: its internal/services/smtp, and go-smtp beneath it. A wrong password gets 454 and a foreign
# sender of the Bridge 2 got 451: neither heals by waiting.
_AT_BRIDGE: tuple[Rule, ...] = (
    Rule(
        "bridge-new-certificate",
        "the Bridge shows another certificate than the pinned one: it made a new one, or something else answers",
        HOST,
        (_LISTENS, _PIN),
        LIKELY,
        provider=_BRIDGE,
        own=("the certificate fingerprint does not match",),
    ),
    Rule(
        "bridge-certificate",
        "the Bridge has a certificate of its own, for 127.0.0.1, which no authority has signed",
        HOST,
        ("write `host 127.0.0.1` (not localhost) and `tls_certcheck on` in /etc/msmtprc", _PIN),
        LIKELY,
        provider=_BRIDGE,
        own=("tls certificate verification failed",),
    ),
    Rule(
        "bridge-password",
        "the Bridge knows no {user} with this password: it wants the one that it made itself, not that of the Proton "
        "account",
        ACCOUNT,
        (MAKE_PASSWORD, STORE),
        LIKELY,
        provider=_BRIDGE,
        stage=("auth",),
        says=("invalid username or password", "incorrect username or password"),
    ),
    Rule(
        "bridge-too-many-errors",
        "the Bridge paused after three mails that failed in a row; waiting does not mend what was wrong with them",
        HOST,
        (f"wait 20 seconds, and read what the Bridge says to one mail: {TEST}",),
        CERTAIN,
        provider=_BRIDGE,
        says=("too many failed requests",),
    ),
    Rule(
        "bridge-sender",
        "this mail is from an address that is none of the account's; waiting does not help",
        HOST,
        ("write an address of the Proton account as `from` in /etc/msmtprc; it is {sender}", OWN_FROM, TEST),
        CERTAIN,
        provider=_BRIDGE,
        says=("invalid return path", "unknown sender address"),
    ),
    Rule(
        "bridge-address-off",
        "{sender} is an address of the account that may not send: it is disabled, or Proton has stopped it",
        ACCOUNT,
        (
            "switch it on: https://account.proton.me > Settings > Identity and addresses",
            "or write another address of the account as `from` in /etc/msmtprc",
        ),
        CERTAIN,
        provider=_BRIDGE,
        says=("cannot send from address",),
    ),
    Rule(
        "bridge-no-login",
        "the Bridge does not know who sends: msmtp made no login",
        HOST,
        (LOG_IN, TEST),
        LIKELY,
        provider=_BRIDGE,
        says=("no such user", "account is not available in bridge"),
        traits=("auth-off",),
    ),
    Rule(
        "bridge-signed-out",
        "the account of {user} is not signed in to the Bridge",
        ACCOUNT,
        ("on the host with the Bridge: protonmail-bridge --cli, then list, and login", TEST),
        LIKELY,
        provider=_BRIDGE,
        says=("no such user", "account is not available in bridge"),
    ),
    Rule(
        "bridge-refused",
        "the Bridge took the mail, and Proton did not; the Bridge's words tell more",
        ACCOUNT,
        (
            "sign in at https://mail.proton.me and send the same mail from there",
            "read the Bridge's log: protonmail-bridge --cli, then log-dir",
        ),
        GENERAL,
        provider=_BRIDGE,
        stage=("message",),
        code=("554",),
    ),
)

PROTON: tuple[Rule, ...] = (*_DIRECT, *_AT_BRIDGE)
