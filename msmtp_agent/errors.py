"""`ExitCode` and the `AgentError` family: the only exit numbers in the code."""

import os
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import Diagnosis


class ExitCode(IntEnum):
    """What the command's exit status means; any other status is msmtp's own, passed through."""

    OK = 0
    FOUND = 1
    CANNOT_TELL = 3
    NOT_ROOT = 4
    USAGE = 64
    DATA = 65
    UNAVAILABLE = 69
    SOFTWARE = 70
    CANTCREAT = 73
    IO = 74
    TEMPFAIL = 75
    REFUSED = 77
    CONFIG = 78
    HANGUP = 129
    INTERRUPTED = 130
    QUIT = 131
    TERMINATED = 143


class PluginStatus(IntEnum):
    """What the exit status of a monitoring plugin means (`audit --format nagios`)."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class AgentError(Exception):
    """Something that a person has to mend: `subject: observed; expected ...`, then one line of remedy.

    `code` is the exit status (`ExitCode`, or msmtp's own), `words` are the lines of msmtp and of the server, kept
    beside our explanation, `diagnosis` is what they mean, `details` are further lines of ours, such as every fault of a
    file. No part may ever hold a secret.
    """

    code: int = ExitCode.SOFTWARE
    usual_remedy = ""

    def __init__(
        self,
        subject: str,
        observed: str,
        *,
        expected: str = "",
        remedy: str = "",
        words: tuple[str, ...] = (),
        code: int | None = None,
        diagnosis: "Diagnosis | None" = None,
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(subject, observed)
        self.subject = subject
        self.observed = observed
        self.expected = expected
        self.remedy = remedy or self.usual_remedy
        self.words = words
        self.diagnosis = diagnosis
        self.details = details
        if code is not None:
            self.code = code

    @property
    def message(self) -> str:
        """One line: the subject, what was seen, and what would be right."""
        return f"{self.subject}: {self.observed}" + (f"; expected {self.expected}" if self.expected else "")


class NotRootError(AgentError):
    """The command needs root."""

    code = ExitCode.NOT_ROOT


class UsageError(AgentError):
    """Options that do not exist, exclude each other, or have a wrong value."""

    code = ExitCode.USAGE
    usual_remedy = "msmtp-config --help"


class DataError(AgentError):
    """The secret or the settings are malformed or absent: nothing is tried and nothing stored."""

    code = ExitCode.DATA


class UnavailableError(AgentError):
    """A program that the job needs is not installed."""

    code = ExitCode.UNAVAILABLE


class CantCreateError(AgentError):
    """A file could not be written, or must not be written where it stands."""

    code = ExitCode.CANTCREAT


class NotDurableError(CantCreateError):
    """A file was replaced, but a power cut may bring the old one back."""


class InputOutputError(AgentError):
    """Reading a file, a terminal or a stream failed."""

    code = ExitCode.IO


class TemporaryError(AgentError):
    """Trying again later may help."""

    code = ExitCode.TEMPFAIL


class RefusedError(AgentError):
    """The server refused the password."""

    code = ExitCode.REFUSED


class ConfigError(AgentError):
    """`/etc/msmtprc` is missing, wrong or unsafe."""

    code = ExitCode.CONFIG


class NotUsedError(ConfigError):
    """`/etc/msmtprc` would never read the secret file (`--force` stores a secret all the same)."""


class MsmtpError(AgentError):
    """msmtp failed; the exit status is its own."""


class Interrupted(BaseException):
    """A signal asked the run to end; `code` is 128 and the signal's number, as shells count."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.code = 128 + signal_number


def unforeseen(error: BaseException) -> AgentError:
    """An error that no room foresaw: its type and place, and never its text, which could hold the secret."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace else "?"
    return AgentError("msmtp-config", f"internal error: {type(error).__name__} at {where}")
