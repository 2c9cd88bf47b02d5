"""The ways in for a secret: a hidden prompt, standard input, a systemd credential, and the settings of `apply`."""

import os
import re
import sys
from dataclasses import dataclass

from . import terminal
from .errors import DataError, InputOutputError, UsageError
from .host import Host
from .model import FileKind
from .secret import MAXIMUM, Secret, parse

_REMEDY = 'printf %s "$PASSWORD" | msmtp-config --password-stdin'
_NAME = re.compile(r"[A-Za-z0-9_.@:-]{1,255}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A person at the terminal types the password, and can be asked."""

    attended: bool = True
    name: str = "the terminal"

    def require(self) -> None:
        """Raise UsageError when there is nobody at a terminal."""
        if not terminal.attended():
            raise UsageError(
                "password",
                "there is no terminal to ask at",
                expected="--password-stdin, --credential NAME, or a terminal",
                remedy=_REMEDY,
            )

    def read(self, user: str, host: str) -> Secret:
        """The password that is typed for this account. Raises DataError, InputOutputError."""
        whose = f" for {user} at {host}" if user else ""
        return parse(terminal.hidden_line(f"SMTP password{whose}: "), "password")

    def confirm(self, question: str, *, default: bool) -> bool:
        """The person's answer. Raises InputOutputError."""
        return terminal.confirm(question, default=default)

    def line(self, prompt: str, *, hidden: bool = False) -> str | None:
        """What the person types, without the blanks around it; None at the end of input. Raises InputOutputError."""
        if not hidden:
            return terminal.line(prompt)
        try:
            return terminal.hidden_line(prompt).decode().strip()
        except DataError:  # the end of input, or no text
            terminal.tell("")
            return None

    def tell(self, text: str, indent: str | None = None) -> None:
        """Show it where the questions stand; `indent` (of continued lines) folds it. Raises InputOutputError."""
        terminal.tell(text, indent)


class _Unattended:
    attended = False

    def confirm(self, question: str, *, default: bool) -> bool:  # noqa: ARG002 - there is nobody to ask
        """No: nothing is done that was not asked for."""
        return False

    def line(self, prompt: str, *, hidden: bool = False) -> str | None:  # noqa: ARG002
        """Nothing."""
        return None

    def tell(self, text: str, indent: str | None = None) -> None:
        """To nobody."""


@dataclass(frozen=True, slots=True)
class StandardInput(_Unattended):
    """The password is what standard input holds, to its end."""

    name: str = "standard input"

    def require(self) -> None:
        """Raise UsageError where standard input is a terminal: nobody may be left waiting there."""
        if sys.stdin is None or terminal.attended():
            raise UsageError(
                "--password-stdin",
                "standard input is " + ("closed" if sys.stdin is None else "a terminal"),
                expected="a pipe or a file",
                remedy=_REMEDY,
            )

    def read(self, user: str, host: str) -> Secret:  # noqa: ARG002 - the account does not matter here
        """The password. Raises DataError, InputOutputError."""
        raw = b""
        try:
            while len(raw) <= MAXIMUM and (chunk := os.read(sys.stdin.fileno(), MAXIMUM + 1 - len(raw))):
                raw += chunk
        except OSError as error:
            raise InputOutputError("standard input", f"cannot be read: {error.strerror}", remedy=_REMEDY) from None
        return _bounded(raw, self.name)


@dataclass(frozen=True, slots=True)
class Credential(_Unattended):
    """The systemd credential `credential` below `directory` (`$CREDENTIALS_DIRECTORY`)."""

    credential: str
    directory: str | None

    def require(self) -> None:
        """Raise UsageError for what is no credential's name, and where systemd gave no credentials."""
        if not _NAME.fullmatch(self.credential) or self.credential in (".", ".."):
            raise UsageError(
                "--credential", "is not the name of a credential", expected="letters, digits, and . _ @ : -"
            )
        if not self.directory:
            raise UsageError(
                self.name,
                "CREDENTIALS_DIRECTORY is not set",
                expected="to be started by systemd with LoadCredential=",
                remedy="systemctl start msmtp-config.service",
            )

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"credential {self.credential}"

    def read(self, user: str, host: str) -> Secret:  # noqa: ARG002 - the account does not matter here
        """The password. Raises DataError, InputOutputError."""
        facts, raw = Host().read(f"{self.directory}/{self.credential}", MAXIMUM + 1)
        if facts.kind is not FileKind.REGULAR:
            raise DataError(
                self.name,
                f"is {facts.kind.value}",
                expected="the password",
                remedy="msmtp-config   # asks for the password",
            )
        return _bounded(raw, self.name)


@dataclass(frozen=True, slots=True)
class Given(_Unattended):
    """The password that stood in the settings."""

    secret: Secret
    name: str = "the settings"

    def require(self) -> None:
        """It is there."""

    def read(self, user: str, host: str) -> Secret:  # noqa: ARG002 - it is for the account of the same settings
        """The password."""
        return self.secret


def _bounded(raw: bytes, subject: str) -> Secret:
    if len(raw) > MAXIMUM:  # read no further: it cannot be a password
        raise DataError(subject, f"holds more than {MAXIMUM} bytes", expected="one password", remedy=_REMEDY)
    return parse(raw, subject)


def choose(password_stdin: bool, credential: str | None, directory: str | None) -> Prompt | StandardInput | Credential:
    """The source that the options name; the terminal without any. Raises UsageError for two at once."""
    if password_stdin and credential is not None:
        raise UsageError("--password-stdin", "and --credential exclude each other")
    if credential is not None:
        return Credential(credential, directory)
    return StandardInput() if password_stdin else Prompt()
