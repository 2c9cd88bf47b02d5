"""The corpus of replies: a file for each reply that a real server gives, and the diagnosis that it must lead to."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from msmtp_agent.diagnosis.failure import Failure, understand
from msmtp_agent.model import Owner
from msmtp_agent.msmtprc import Account, parse
from msmtp_agent.printable import printable
from tests.support import account as files
from tests.support.hostile import Tls
from tests.support.replies import Stage

DIRECTORY: Final = Path(__file__).resolve().parents[1] / "replies"
VERSION: Final = "1.8.23"
_STAGES: Final = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end")
_OWNERS: Final = tuple(owner.value for owner in Owner)
_OFFERS: Final = "PLAIN LOGIN"
_LONGEST, _MOST = 500, 12  # characters of a line, and lines, that the program keeps of msmtp's words


class CorpusError(Exception):
    """A file that is not what tests/replies asks for: the file, the key, and what is wrong with it."""


class Case(NamedTuple):
    """One file: a reply as it stands on the wire (lines with LF), where it is said, and what it must be taken for."""

    name: str
    source: str
    date: str
    host: str
    stage: Stage
    reply: str
    expect: str
    owner: str
    account: Mapping[str, str] = {}
    auth: str = _OFFERS
    tls: Tls = "starttls"

    @property
    def port(self) -> int:
        """The port of the account: its own, the Bridge's, or the usual one of the kind of TLS."""
        usual = {"starttls": 587, "implicit": 465, "none": 25}[self.tls]
        return int(self.account.get("port", 1025 if self.host == "127.0.0.1" else usual))

    def msmtprc(self, trust: str = "/ca.pem") -> str:
        """The account of the case, as the fragment writes it."""
        settings = {"host": self.host, "tls_starttls": "off" if self.tls == "implicit" else "on", **self.account}
        settings.pop("port", None)
        if self.tls == "none":
            settings = {"tls": "off", **settings}
        return files.account(self.port, Path(trust), **settings)

    @property
    def parsed(self) -> Account:
        """The same, as the program reads it."""
        return parse(self.msmtprc().encode())["default"]

    @property
    def late(self) -> bool:
        """Whether it comes after the password, and not at the command AUTH: that is refused by a 50x."""
        return self.stage == "auth" and not self.reply.startswith("50")

    @property
    def wire(self) -> bytes:
        """The reply with the line ends of SMTP."""
        return self.reply.encode().replace(b"\n", b"\r\n")


def load(path: Path) -> Case:
    """One file; raises CorpusError with the file and the key."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path.name}: {error}") from None
    values = {key: _value(path, content, key, judge) for key, judge in _KEYS.items()}
    account = _table(path, content, "account", None)
    server = _table(path, content, "server", {"auth", "tls"})
    if unknown := sorted(set(content) - set(_KEYS) - {"account", "server"}):
        raise CorpusError(f"{path.name}: {unknown[0]}: an unknown key; expected {', '.join(_KEYS)}, account, server")
    tls = server.get("tls", "starttls")
    if tls not in ("starttls", "implicit", "none"):
        raise CorpusError(f"{path.name}: server.tls: {tls}; expected starttls, implicit or none")
    values["reply"] = values["reply"].rstrip("\n") + "\n"
    return Case(
        name=path.stem,
        account=account,
        auth=server.get("auth", _OFFERS),
        tls=cast(Tls, tls),
        **cast(dict[str, Any], values),
    )


def cases(directory: Path = DIRECTORY) -> list[Case]:
    """Every file, in the order of the names."""
    return [load(path) for path in sorted(directory.glob("*.toml"))]


# --- what the file must say


def _reply(text: str) -> str:
    lines = text.rstrip("\n").split("\n")
    for number, line in enumerate(lines, 1):
        separator = "-" if number < len(lines) else " "
        if not re.match(rf"[2-5]\d\d{separator}", line):
            return f"line {number} is {line[:40]!r}; expected a code and {separator!r}"
        if line[:3] != lines[0][:3]:
            return f"line {number} has the code {line[:3]}, and line 1 has {lines[0][:3]}"
        if re.search(r"[^ -~]", line):
            return f"line {number} is not printable ASCII"
        if len(line) > 510:
            return f"line {number} is longer than the 510 characters of RFC 5321"
    return ""


def _date(text: str) -> str:
    try:
        dt.date.fromisoformat(text if len(text) > 7 else f"{text}-01")
    except ValueError:
        return f"{text!r}; expected 2024-05 or 2024-05-01"
    return ""


def _matching(pattern: str, expected: str) -> Callable[[str], str]:
    return lambda text: "" if re.fullmatch(pattern, text) else f"{text!r}; expected {expected}"


def _among(values: tuple[str, ...]) -> Callable[[str], str]:
    return lambda text: "" if text in values else f"{text!r}; expected one of {', '.join(values)}"


_KEYS: Final[Mapping[str, Callable[[str], str]]] = {
    "source": _matching(r"\S.{7,}", "where the text stands"),
    "date": _date,
    "host": _matching(r"[a-z0-9][a-z0-9.-]*", "a host name in lower case"),
    "stage": _among(_STAGES),
    "reply": _reply,
    "expect": _matching(r"[a-z0-9]+(-[a-z0-9]+)*", "the id of a diagnosis"),
    "owner": _among(_OWNERS),
}


def _value(path: Path, content: dict[str, Any], key: str, judge: Callable[[str], str]) -> str:
    value = content.get(key)
    if isinstance(value, dt.date):
        value = value.isoformat()
    if not isinstance(value, str):
        raise CorpusError(f"{path.name}: {key}: {'missing' if value is None else repr(value)}; expected a string")
    if fault := judge(value):
        raise CorpusError(f"{path.name}: {key}: {fault}")
    return value


def _table(path: Path, content: dict[str, Any], key: str, allowed: set[str] | None) -> dict[str, str]:
    table = content.get(key, {})
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise CorpusError(f"{path.name}: {key}: {table!r}; expected a table of strings")
    if allowed is not None and (unknown := sorted(set(table) - allowed)):
        raise CorpusError(f"{path.name}: {key}.{unknown[0]}: an unknown key; expected {', '.join(sorted(allowed))}")
    return table


# --- what msmtp 1.8.23 makes of it; the slow tests hold this to the program itself


def failure(case: Case, reply: str | None = None) -> Failure:
    """The case (with another reply, if given) as the decoder sees it."""
    words, status = said(case, case.reply if reply is None else reply)
    return understand(words, status, case.parsed, version=VERSION)


def said(case: Case, reply: str) -> tuple[tuple[str, ...], int]:
    """What msmtp writes when the server says `reply` (lines with LF) at the stage of the case, and its status."""
    code = reply[:3]
    account = case.parsed
    temporary = code.startswith("4")
    own, status = {
        "greeting": ("cannot get initial OK message from server", 76),
        "ehlo": ("SMTP server does not accept EHLO or HELO commands", 76),
        "starttls": ("command STARTTLS failed", 76),
        "auth": (f"authentication failed (method {_method(case, account.method)})", 77),
        "mail": (f"envelope from address {account.get('from')} not accepted by the server", 69 if temporary else 65),
        "rcpt": (f"recipient address {files.ADMIN} not accepted by the server", 69 if temporary else 65),
        "data": ("the server does not accept mail data", 69 if temporary else 65),
        "end": ("the server did not accept the mail", 69),
    }[case.stage]
    lines = [f"server message: {line}" for line in reply.rstrip("\n").split("\n")]
    words = [own, *lines, "could not send mail (account default from /etc/msmtprc)"]
    return tuple(_short(printable(line)) for line in words)[:_MOST], status


def _method(case: Case, wanted: str) -> str:
    """The method that msmtp takes of those offered, under TLS."""
    if wanted != "on":
        return wanted.upper()
    best = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "CRAM-MD5", "DIGEST-MD5", "LOGIN", "NTLM")
    return next(method for method in best if method in case.auth.split())


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST else line[:_LONGEST] + " [cut]"
