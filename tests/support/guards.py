"""What no test may do: touch the machine's own files, or let the code under test start programs unasked."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from pathlib import Path

# The files that the program reads or writes on a real host: tests see them through a sandbox only.
REAL_FILES = (
    "/etc/msmtprc",
    "/etc/msmtp-password",
    "/etc/aliases",
    "/etc/.msmtprc.msmtp-config",
    "/etc/.msmtp-password.msmtp-config",
    "/root/.msmtprc",
    "/run/msmtp-config",
)
_STARTS = frozenset(
    ("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn")
)


class UnexpectedProgramError(BaseException):
    """The code under test started a program in a test that is not about programs.

    A BaseException: no `except Exception` of the code under test may hide it.
    """


class ProgramGuard:
    """While it is armed, a program started from within msmtp_agent raises: an audit hook, so no way escapes it."""

    def __init__(self) -> None:
        self.armed = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.armed and event in _STARTS and _called_from("msmtp_agent"):
            raise UnexpectedProgramError(f"{event}{arguments!r}: mark the test `root` or `programs` if it is meant")


def _called_from(package: str) -> bool:
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        name = frame.f_globals.get("__name__", "")
        if name == package or name.startswith(f"{package}."):
            return True
    return False


Traces = dict[str, tuple[object, ...] | None]


def traces(*, contents: bool = False) -> Traces:
    """What can be seen of each real file: None where there is none."""
    return {name: _trace(Path(name), contents=contents) for name in REAL_FILES}


def _trace(path: Path, *, contents: bool) -> tuple[object, ...] | None:
    try:
        facts = os.lstat(path)
    except OSError:
        return None
    seen: tuple[object, ...] = (facts.st_ino, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_mtime_ns)
    if contents and stat.S_ISREG(facts.st_mode):
        seen += (hashlib.sha256(path.read_bytes()).hexdigest(),)
    return seen


def differences(before: Traces, after: Traces) -> list[str]:
    """One line for each real file that is not what it was."""
    return [f"{name}: was {before[name]}, is {after[name]}" for name in before if before[name] != after[name]]
