"""Frozen values that flow through the program."""

from enum import Enum
from typing import NamedTuple


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


class FileFacts(NamedTuple):
    """What the descriptor of a path said; `size` in bytes, `target` of a link alone, `modified` in s since 1970.

    `identity` is the device and the inode: what tells a file from another that has taken its place.
    """

    path: str
    kind: FileKind
    uid: int = 0
    gid: int = 0
    mode: int = 0
    links: int = 1
    size: int = 0
    target: str = ""
    modified: float = 0.0
    identity: tuple[int, int] = (0, 0)

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
    NOT_REACHED = "not reached"


STAGES = ("host", "config", "secret", "pretend", "probe", "store", "deliver")


class StageResult(NamedTuple):
    """One stage of a job: its name, how it ended, what was seen, the details of that, and how long it took in s."""

    stage: str
    status: Status
    seen: str
    details: tuple[str, ...] = ()
    seconds: float = 0.0


class Outcome(NamedTuple):
    """One run of msmtp: its exit status (None: ended at the deadline) and its own words.

    `words` are the lines of standard error, cleaned of control characters and of the secret, without `msmtp: `.
    """

    status: int | None
    words: tuple[str, ...]
    verification: Verification = Verification.UNPROVEN


class Delivery(NamedTuple):
    """The test mail: who it went to, and the server's final reply (None: msmtp's log does not tell)."""

    recipients: tuple[str, ...]
    reply: str | None


class Owner(Enum):
    """Who can mend a failure."""

    ACCOUNT = "account"
    ADMINISTRATOR = "administrator"
    NETWORK = "network"
    HOST = "host"


class Confidence(Enum):
    """How sure a diagnosis is: it was said in so many words; it is the usual cause; it is what such a failure means."""

    CERTAIN = "certain"
    LIKELY = "likely"
    GENERAL = "general"


class Diagnosis(NamedTuple):
    """Why mail did not leave: the cause, who can mend it and how, and what was seen that led to it."""

    id: str
    cause: str
    owner: Owner
    steps: tuple[str, ...]
    evidence: tuple[str, ...]
    confidence: Confidence


class Problem(NamedTuple):
    """Why a job ended as it did: the exit code, one line, one line of remedy, msmtp's own words, more of ours."""

    code: int
    message: str
    remedy: str
    words: tuple[str, ...]
    diagnosis: Diagnosis | None = None
    details: tuple[str, ...] = ()


class JobReport(NamedTuple):
    """The whole of a finished job, as `--json` prints it."""

    changed: bool
    verification: Verification
    stages: tuple[StageResult, ...]
    warnings: tuple[str, ...]
    delivery: Delivery | None
    problem: Problem | None


class Wishes(NamedTuple):
    """What the command line asked of the main job; `timeout` in seconds, for each program that is started."""

    to: str | None = None
    mail: bool = True
    offline: bool = False
    fix: bool = False
    force: bool = False
    timeout: float = 30.0


class AuditWishes(NamedTuple):
    """What the command line asked of the audit: ids of checks, and the mildest severity that counts (`threshold`)."""

    roots: tuple[str, ...]
    checks: frozenset[str]
    unwanted: frozenset[str] = frozenset()
    form: str = "text"
    threshold: "Severity | None" = None
    fix: bool = False
    dry_run: bool = False
    output: str | None = None


class Severity(Enum):
    """How bad a finding is: a secret is exposed or mail cannot leave; it will break or is weak; worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Finding(NamedTuple):
    """One thing that is not as it should be: what was seen at `path` (on `line`, from 1; 0: of the whole file)."""

    id: str
    severity: Severity
    path: str
    observed: str
    expected: str
    remedy: str
    line: int = 0

    @property
    def place(self) -> str:
        """Path and line as messages show them."""
        return f"{self.path}: line {self.line}" if self.line else self.path


class Verdict(Enum):
    """How a check ended; a fact that could not be gathered is never a pass."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANNOT_TELL = "cannot tell"


class CheckResult(NamedTuple):
    """One check of one host: `why` it was skipped or cannot tell, `findings` when it failed."""

    id: str
    verdict: Verdict
    why: str = ""
    findings: tuple[Finding, ...] = ()


class Repair(NamedTuple):
    """One repair of `--fix`: the path, what is done there, the checks that it mends, and whether it was done."""

    path: str
    action: str
    checks: tuple[str, ...]
    done: bool = False


class Report(NamedTuple):
    """The audit of one root. Times are seconds since 1970; None where nothing tells."""

    root: str
    host: str
    time: float
    results: tuple[CheckResult, ...]
    last_success: float | None = None
    proven: bool | None = None
    repairs: tuple[Repair, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, in the catalogue's order."""
        return tuple(finding for result in self.results for finding in result.findings)

    def having(self, verdict: Verdict) -> tuple[CheckResult, ...]:
        """The checks that ended so."""
        return tuple(result for result in self.results if result.verdict is verdict)
