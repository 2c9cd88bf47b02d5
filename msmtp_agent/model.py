"""Frozen values that flow through the program."""

from dataclasses import dataclass
from enum import Enum


class FileKind(Enum):
    """What stands at a path, in the words that messages use."""

    MISSING = "missing"
    REGULAR = "a regular file"
    DIRECTORY = "a directory"
    SYMLINK = "a symbolic link"
    FIFO = "a FIFO"
    SOCKET = "a socket"
    CHARACTER = "a character device"
    BLOCK = "a block device"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the descriptor of a path said; `size` in bytes, `target` only of a symbolic link."""

    path: str
    kind: FileKind
    uid: int = 0
    gid: int = 0
    mode: int = 0
    links: int = 1
    size: int = 0
    target: str = ""

    @property
    def rights(self) -> str:
        """Mode and owner as messages show them, e.g. `0644 root:root` (numbers where it is not root)."""
        names = [("root" if number == 0 else str(number)) for number in (self.uid, self.gid)]
        return f"{self.mode:04o} {':'.join(names)}"


class Verification(Enum):
    """What is known of the secret after the run."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNPROVEN = "unproven"
    SKIPPED = "skipped"


class WriteOutcome(Enum):
    """What became of a file."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


class Status(Enum):
    """How a stage ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


STAGES = ("host", "config", "secret", "pretend", "probe", "store", "deliver")


@dataclass(frozen=True, slots=True)
class StageResult:
    """One stage of a job: its name (of `STAGES`), how it ended, and what was seen."""

    stage: str
    status: Status
    seen: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of msmtp: its exit status (None: ended at the deadline) and its own words.

    `words` are the lines of standard error, cleaned of control characters and of the secret, without `msmtp: `.
    """

    status: int | None
    words: tuple[str, ...]
    verification: Verification = Verification.UNPROVEN


@dataclass(frozen=True, slots=True)
class Delivery:
    """The test mail: who it went to, and the server's final reply (None: msmtp's log does not tell)."""

    recipients: tuple[str, ...]
    reply: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a job ended as it did: the exit code, one line, one line of remedy, and msmtp's own words."""

    code: int
    message: str
    remedy: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobReport:
    """The whole of a finished job, as `--json` prints it."""

    changed: bool
    verification: Verification
    stages: tuple[StageResult, ...]
    warnings: tuple[str, ...]
    delivery: Delivery | None
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asked of the main job; `timeout` in seconds, for each program that is started."""

    to: str | None = None
    mail: bool = True
    offline: bool = False
    fix: bool = False
    force: bool = False
    timeout: float = 30.0
