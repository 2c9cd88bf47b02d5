"""One failure as the decoder sees it: msmtp's own words, the server's reply in its parts, the stage, the settings."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from msmtp_agent.loopback import is_loopback
from msmtp_agent.msmtprc import Account
from msmtp_agent.printable import printable

SERVER = "server message: "
# In the order of a mail's way; `general` is for a failure that tells no stage.
STAGES = (
    "configuration", "secret", "resolve", "connect", "tls", "greeting", "hello", "starttls", "auth", "sender",
    "recipient", "data", "message", "log", "general",
)  # fmt: skip
_CLOSING = "could not send mail"
_REPLY = re.compile(r"([0-9]{3})(?:[ -]|$)\s*(?:#?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[\s:,]|$))?\s*(.*)")
_MOST, _LONGEST = 16, 1000  # lines, and characters of one line, that are looked at: a reply of 12 lines is a long one
_IMPLICIT_PORTS, _STARTTLS_PORTS = (465, 2465), (25, 587, 1025, 2525, 2587)


class Failure(NamedTuple):
    """A run of msmtp that failed.

    `status` is its exit status (None: ended at the deadline, negative: a signal), `own` the line of its own that says
    what failed, `code`, `enhanced` and `text` the server's reply (the codes of its lines left out), `words` all lines
    as they were shown. `traits` are the settings and circumstances that rules ask for (see `traits_of`).
    """

    host: str
    port: int
    stage: str
    status: int | None
    own: str
    code: str
    enhanced: str
    text: str
    words: tuple[str, ...]
    version: str
    traits: frozenset[str]


# Which stage msmtp was at, told by the beginning of its own line in lower case (its sources 1.8.20 to 1.8.33, with
# GnuTLS and GNU SASL as in Debian), first match wins. Not here: what it says at several stages, such as `network read
# error`, `the server sent an empty reply` and `cannot read from TLS connection`.
_OWN: tuple[tuple[str, str], ...] = (
    ("cannot locate host ", "resolve"),
    ("cannot connect to ", "connect"),
    ("connection refused", "connect"),  # as the fragment's table has it
    ("cannot create socket", "connect"),
    ("cannot bind source ip", "connect"),
    ("proxy failure", "connect"),
    ("cannot initialize networking", "connect"),
    ("cannot get initial ok message from server", "greeting"),
    ("smtp server does not accept ehlo or helo commands", "hello"),
    ("the server does not support dsn", "hello"),
    ("the server does not support tls via the starttls command", "starttls"),
    ("command starttls failed", "starttls"),
    ("tls certificate verification failed", "tls"),
    ("certificate verify failed", "tls"),  # the fragment's table, and OpenSSL
    ("tls handshake failed", "tls"),
    ("cannot initialize tls", "tls"),
    ("cannot allocate certificate for tls session", "tls"),
    ("cannot set ", "tls"),
    ("cannot get tls certificate info", "tls"),
    ("error in priority string", "tls"),
    ("authentication ", "auth"),
    ("command auth", "auth"),
    ("gnu sasl", "auth"),
    ("cannot use a secure authentication method", "auth"),
    ("cannot find a usable authentication method", "auth"),
    ("the server does not support authentication", "auth"),
    ("cannot send command because it is longer", "auth"),  # no other command has an argument of that length
    ("envelope from address ", "sender"),
    ("recipient address ", "recipient"),
    ("the server does not accept mail data", "data"),
    ("the server did not accept the mail", "message"),
    ("cannot read output of ", "secret"),
    ("cannot evaluate ", "secret"),
    ("account ", "configuration"),
    ("support for ", "configuration"),
    ("no recipients found", "configuration"),
    ("no envelope from address found", "configuration"),
    ("unrecognized option", "configuration"),
    ("/", "configuration"),
    ("cannot log to ", "log"),
)


def stage_of(own: str) -> str:
    """The stage that msmtp's own line tells; an empty string for a line that is said at several stages."""
    lower = own.lower()
    return next((stage for beginning, stage in _OWN if lower.startswith(beginning)), "")


def understand(
    words: Sequence[str],
    status: int | None,
    account: Account | None,
    *,
    version: str = "",
    stage: str = "",
    traits: frozenset[str] = frozenset(),
) -> Failure:
    """Take msmtp's words apart. `stage` is where the run is known to have stopped, where msmtp's words do not tell.

    Words that are no Outcome's are bounded and made printable here; it never raises.
    """
    lines = [printable(line[:_LONGEST]) for line in words[:_MOST]]
    own, told = _own_line([line for line in lines if not line.startswith((SERVER, _CLOSING))])
    replies = [found for line in lines if line.startswith(SERVER) if (found := _REPLY.match(line[len(SERVER) :]))]
    return Failure(
        host=account.get("host") if account else "",
        port=account.port if account else 0,
        stage=told or (stage if stage in STAGES else "general"),
        status=status,
        own=own,
        code=replies[0][1] if replies else "",
        enhanced=next((reply[2] for reply in replies if reply[2]), ""),
        text=" ".join(reply[3] for reply in replies),
        words=tuple(lines),
        version=version,
        traits=traits | (traits_of(account, version) if account else frozenset()),
    )


def _own_line(lines: list[str]) -> tuple[str, str]:
    """The line of msmtp's own that says what failed, and its stage.

    What the secret command says stands before it (and is kept behind `cannot read output of`), and may look like one;
    what became of the log stands behind it.
    """
    staged = [(number, stage) for number, line in enumerate(lines) if (stage := stage_of(line))]
    if not staged:
        return (lines[0] if lines else ""), ""
    number, stage = next((one for one in reversed(staged) if one[1] != "log"), staged[0])
    before = [noise for noise in lines[:number] if noise] if stage == "secret" else []
    return ": ".join([lines[number], *before]), stage


def traits_of(account: Account, version: str) -> frozenset[str]:
    """The settings of the account as words: what a rule may ask for.

    `tls-off`, `starttls`, `implicit`, `certcheck-off`, `pinned`, `port-587` (the port in force), `port-implicit` and
    `port-starttls` (a port that is known for that kind of TLS), `auth-plain` (the method), `no-domain` (EHLO says
    localhost), `loopback`, `user-bare` (no @), `user-apikey`, `from-bare`, `from-other` (the sender is not the user),
    `aliases-off`, `sasl-1.8.28` (msmtp 1.8.28 and later).

    Workflows add what they know: `probe` (no mail was sent), `timed-out` with `open-587` and so on (another port of the
    same host answers) or `no-port` (none does), `first-dead` (a silent address stands before one that works).
    """
    user, sender, host = account.get("user"), account.get("from"), account.get("host")
    told = {
        "tls-off": not account.uses_tls,
        "starttls": account.uses_tls and account.get("tls_starttls") != "off",
        "implicit": account.uses_tls and account.get("tls_starttls") == "off",
        "certcheck-off": account.get("tls_certcheck") == "off",
        "pinned": bool(account.get("tls_fingerprint")),
        f"port-{account.port}": True,
        "port-implicit": account.port in _IMPLICIT_PORTS,
        "port-starttls": account.port in _STARTTLS_PORTS,
        f"auth-{account.method}": True,
        "no-domain": account.get("domain") in ("", "localhost"),
        "loopback": is_loopback(host),
        "user-bare": "@" not in user,
        "user-apikey": user == "apikey",
        "from-bare": "@" not in sender,
        "from-other": sender.lower() != user.lower(),
        "aliases-off": not account.get("aliases"),
        "sasl-1.8.28": _numbers(version) >= (1, 8, 28),
    }
    return frozenset(name for name, holds in told.items() if holds)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]{1,9}", version)[:3])
