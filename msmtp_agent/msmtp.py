"""Run msmtp: pretend, probe, send; give back an `Outcome` in its own words, cleaned."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from . import process
from .errors import ExitCode, UnavailableError
from .host import MSMTPRC, Host
from .masked import command_line
from .model import Outcome, Verification
from .msmtprc import Account
from .printable import printable
from .secret import Secret

_LONGEST_WORDS = 500  # characters of one line that are shown
_MOST_WORDS = 12  # lines that are shown
_PIPE = 1 << 16  # bytes
_NO_LOGIN = "--auth=off"  # msmtp then runs no secret command (its `main()`, 1.8.20 to 1.8.33)
_SERVER = "server message: "
# Lines of msmtp's own that come after AUTH has passed; what the server says stands behind `server message: `, so that
# no server can forge one. The exit status is 65 or 69, after the server's 5xx or 4xx.
_PASSED = re.compile(
    r"(recipient address @|envelope from address .*) not accepted by the server|the server does not accept mail data"
    r"|the server did not accept the mail"
)
_REPLY = re.compile(r" smtpmsg='([^']*)'")


class Served(NamedTuple):
    """How `msmtp --serverinfo` ended, and the lines that it printed, cleaned (see the room `serverinfo`)."""

    outcome: Outcome
    lines: tuple[str, ...]


class Msmtp:
    """The installed msmtp. `timeout` in seconds bounds every run.

    Raises UnavailableError when it is not installed.
    """

    def __init__(self, host: Host, timeout: float) -> None:
        path = process.find("msmtp")
        if path is None:
            raise UnavailableError("msmtp", "is not installed", remedy="apt install msmtp msmtp-mta")
        self.path = path
        self._host = host
        self.timeout = timeout
        self._version: str | None = None

    def version(self) -> str:
        """The version that the program states, or an empty string; it is asked once."""
        if self._version is None:
            found = re.match(rb"msmtp version (\S+)", self._run(["--version"]).output)
            self._version = found[1].decode("ascii", "replace") if found else ""
        return self._version

    def pretend(self, candidate: Secret) -> Outcome:
        """Let msmtp parse its files and read the candidate, without a connection."""
        with _inherited(candidate) as (descriptor, option):
            return _outcome(self._run(["--pretend", option, "--", "root"], inherit=[descriptor]), candidate)

    def probe(self, candidate: Secret, account: Account) -> Outcome:
        """Log in with the candidate and leave before any mail: the recipient `@` is one that no server accepts.

        msmtp's log is switched off for it, or the refused recipient would stand there.
        """
        with _inherited(candidate) as (descriptor, option):
            arguments = [option, "--logfile=", "--syslog=off", "--", "@"]
            completed = self._run(arguments, inherit=[descriptor])
        return _judged(completed, candidate, account)

    def login(self, secret: Secret | None, account: Account) -> Outcome:
        """The same with the secret that is installed, which msmtp reads itself; `secret` is it, as far as it is known.

        This alone tries what a mail will meet: the secret command and its output, under msmtp's AppArmor profile.
        """
        return _judged(self._run(["--logfile=", "--syslog=off", "--", "@"]), secret, account)

    def accepts(self, secret: Secret | None, account: Account, *, read_secret: bool) -> Outcome:
        """Let msmtp parse its files and expand the alias of root; with `read_secret` it reads the secret as well."""
        options = [] if read_secret else [_NO_LOGIN]
        return _outcome(self._run(["--pretend", *options, "--", "root"]), secret, account)

    def parse(self, content: bytes, hidden: Sequence[Secret]) -> tuple[Outcome, bool]:
        """Let msmtp read this text as a configuration, behind the installed one; whether the text is what it refuses.

        It comes through a pipe, since no file is to hold it yet; nothing is connected to, and `hidden` is kept out of
        what is said. Raises ValueError for a text that no pipe holds.
        """
        with _pipe(content) as reader:
            path = f"/dev/fd/{reader}"
            arguments = ["--pretend", _NO_LOGIN, f"--file={path}", "--", "root"]
            outcome = _outcome(self._run(arguments, inherit=[reader]), None)
        words = list(outcome.words)
        for secret in hidden:
            words = [secret.redact(line) for line in words]
        shown = tuple(line.replace(path, MSMTPRC) for line in words)
        # Any other status (74) says that it could not be read this way, which is no verdict on the text.
        refused = outcome.status == ExitCode.CONFIG and any(path in line for line in outcome.words)
        return outcome._replace(words=shown), refused

    def serverinfo(self, account: Account, *options: str, secret: Secret | None = None, given: bytes = b"") -> Served:
        """Let msmtp tell of the account's server; `options` change the account, `given` is its standard input.

        With `auth off` msmtp runs no secret command and logs in nowhere. `secret` is kept out of what is given back: a
        server may say again what it heard earlier.
        """
        user = account.get("user")
        completed = self._run(["--serverinfo", _NO_LOGIN, *options], given=given)
        lines = [secret.redact(line, user) if secret else line for line in _lines(completed.output)]
        return Served(_outcome(completed, secret, account), tuple(_short(line) for line in lines))

    def send(self, recipients: Sequence[str], message: bytes, secret: Secret | None, account: Account) -> Outcome:
        """Send a mail exactly as any system mail leaves: the installed files, and no option.

        `secret` is what msmtp will send, as far as it is known: a server may say it again.
        """
        completed = self._run(["--", *recipients], given=message)
        outcome = _outcome(completed, secret, account)
        return outcome._replace(verification=_verify(completed.status, _lines(completed.errors)))

    def last_reply(self, account: Account, offset: int, outcome: Outcome, secret: Secret | None) -> str | None:
        """The server's final reply to the mail just sent: from the log behind `offset`, or from msmtp's own words.

        None where neither has it. (msmtp says what it would have logged when the log cannot be written.)
        """
        path = self.log(account)
        lines = list(outcome.words)
        if path is not None:
            lines += _lines(self._host.read(path, process.KEPT, offset=offset)[1])
        replies = [found[1] for line in lines if (found := _REPLY.search(line))]
        if not replies:
            return None
        return _short(secret.redact(replies[-1], account.get("user")) if secret else replies[-1])

    def log(self, account: Account) -> str | None:
        """The path of the account's log; None without one (`logfile -` is standard output)."""
        path = account.get("logfile")
        if path.startswith("~/"):
            path = self._host.home() + path[1:]
        return path if path.startswith("/") else None

    def _run(self, options: list[str], *, given: bytes = b"", inherit: Sequence[int] = ()) -> process.Completed:
        return process.run(
            [self.path, *options], timeout=self.timeout, home=self._host.home(), given=given, inherit=inherit
        )


@contextmanager
def _inherited(candidate: Secret) -> Iterator[tuple[int, str]]:
    """A descriptor that gives the candidate and one line feed, once, and the msmtp option that reads it.

    A pipe: no file ever holds the candidate. With the line feed every length works (msmtp's reading loop fails on
    multiples of 501 bytes without one). `cat /dev/fd/N` is allowed by msmtp's AppArmor profile.
    """
    with _pipe(candidate.reveal() + b"\n") as reader:
        yield reader, f"--passwordeval=cat /dev/fd/{reader}"


@contextmanager
def _pipe(content: bytes) -> Iterator[int]:
    """A descriptor that gives the content, once. Raises ValueError for more than a pipe holds: nobody reads it yet."""
    if len(content) > _PIPE:
        raise ValueError(f"holds {len(content)} bytes")
    reader, writer = os.pipe()
    try:
        try:
            os.write(writer, content)
        finally:
            os.close(writer)
        yield reader
    finally:
        os.close(reader)


def _verify(status: int | None, lines: list[str]) -> Verification:
    """What a probe's end says of the candidate (measured on msmtp 1.8.23 and 1.8.28, see docs/architecture.md)."""
    own = [line.removeprefix("msmtp: ") for line in lines if line.startswith("msmtp: ")]
    if status == 0 or any(_PASSED.fullmatch(line) for line in own):
        return Verification.ACCEPTED
    replies = [line.removeprefix(_SERVER) for line in own if line.startswith(_SERVER)]
    # A reply 4xx to AUTH is temporary (RFC 4954), and msmtp ends with 77 all the same. The first line's code counts.
    if status == ExitCode.REFUSED and not (replies and replies[0].startswith("4")):
        return Verification.REFUSED
    return Verification.UNPROVEN


def _judged(completed: process.Completed, secret: Secret | None, account: Account) -> Outcome:
    """The end of a probe. Judged by the words before they are redacted: a password may be one of them."""
    outcome = _outcome(completed, secret, account)
    return Outcome(outcome.status, outcome.words, _verify(completed.status, _lines(completed.errors)))


def _outcome(completed: process.Completed, secret: Secret | None, account: Account | None = None) -> Outcome:
    lines = _lines(completed.errors)
    if account is not None and account.get("passwordeval"):
        lines = [_without_command(line, account.get("passwordeval")) for line in lines]
    if secret is not None:
        lines = [secret.redact(line, account.get("user") if account else "") for line in lines]
    words = [_short(line.removeprefix("msmtp: ")) for line in lines if line]
    return Outcome(completed.status, tuple(words[:_MOST_WORDS]))


def _without_command(line: str, command: str) -> str:
    """`line` with no more of a secret command than may be shown: msmtp quotes one that fails, whatever is in it."""
    told = command.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    for quoted in (told, printable(told)):
        line = line.replace(f"'{quoted}'", f"'{command_line(command)}'")
    return line


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").split("\n")


def _short(text: str) -> str:
    """`text` fit for a terminal, and a long line cut: a server may say as much as it likes."""
    shown = printable(text)
    return shown if len(shown) <= _LONGEST_WORDS else shown[:_LONGEST_WORDS] + " [cut]"
