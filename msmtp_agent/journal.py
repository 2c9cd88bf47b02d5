"""The stages of a job as they end, and the report that they add up to."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from .errors import AgentError, ExitCode, Interrupted, unforeseen
from .model import (
    STAGES,
    Confidence,
    Delivery,
    Diagnosis,
    JobReport,
    Owner,
    Problem,
    StageResult,
    Status,
    Verification,
)


class Listener(Protocol):
    """Who is told of a job while it runs."""

    def stage(self, result: StageResult) -> None:
        """A stage has ended."""

    def warning(self, text: str) -> None:
        """Something is not as it should be, and the job goes on."""


class Entry:
    """A stage under way: what it has seen, and the details, to be filled in.

    `skip` ends it as skipped, `fail` as failed.
    """

    def __init__(self) -> None:
        self.seen = ""
        self.details: list[str] = []
        self.status = Status.PASSED

    def skip(self, why: str) -> None:
        """The stage was not needed, or not wanted."""
        self.status, self.seen = Status.SKIPPED, why

    def fail(self, why: str) -> None:
        """The stage failed, and the job goes on to say what follows from it."""
        self.status, self.seen = Status.FAILED, why


class Journal:
    """What one job has done so far.

    `names` are its stages in their order, `unreached` what those are called that it never came to.
    """

    def __init__(
        self, listener: Listener, names: Sequence[str] = STAGES, *, unreached: Status = Status.SKIPPED
    ) -> None:
        self._listener = listener
        self._names = names
        self._unreached = unreached
        self._stages: list[StageResult] = []
        self._warnings: list[str] = []
        self.changed = False
        self.verification = Verification.SKIPPED
        self.delivery: Delivery | None = None
        self._problem: Problem | None = None

    @contextmanager
    def stage(self, name: str) -> Iterator[Entry]:
        """Run a stage; an error in it ends it as failed and goes on upwards."""
        entry = Entry()
        begun = time.monotonic()
        try:
            yield entry
        except AgentError as error:
            if entry.status is not Status.FAILED:
                entry.fail(error.message)
            raise
        except Interrupted:
            entry.fail("; ".join(filter(None, ("interrupted", entry.seen))))
            raise
        except BaseException:
            entry.fail("ended by an internal error")
            raise
        finally:
            self._add(StageResult(name, entry.status, entry.seen, tuple(entry.details), time.monotonic() - begun))

    def pass_over(self, last: str) -> None:
        """The stages in front of `last` that have not been run will not be: say so, each in its turn."""
        for result in self._missing():
            if result.stage == last:
                break
            self._add(result)

    def warn(self, text: str) -> None:
        """Something is not as it should be, and the job goes on."""
        self._warnings.append(text)
        self._listener.warning(text)

    @contextmanager
    def outcome(self) -> Iterator[None]:
        """Take the error or the signal that ends the job as its outcome."""
        try:
            yield
        except AgentError as error:
            self._problem = Problem(
                error.code,
                error.message,
                error.remedy,
                error.words,
                error.diagnosis or _own_words(error),
                error.details,
            )
        except Interrupted as signal:
            self._problem = Problem(signal.code, "msmtp-config: interrupted", "", ())
        except Exception as error:  # noqa: BLE001 - the report is due all the same
            fault = unforeseen(error)
            self._problem = Problem(fault.code, fault.message, "", (), _own_words(fault))

    def report(self) -> JobReport:
        """The job as it stands now, the stages that it did not reach included."""
        return JobReport(
            changed=self.changed,
            verification=self.verification,
            stages=(*self._stages, *self._missing()),
            warnings=tuple(self._warnings),
            delivery=self.delivery,
            problem=self._problem,
        )

    def _add(self, result: StageResult) -> None:
        self._stages.append(result)
        self._listener.stage(result)

    def _missing(self) -> list[StageResult]:
        reached = {result.stage for result in self._stages}
        seen = "not reached" if self._unreached is Status.SKIPPED else ""
        return [StageResult(name, self._unreached, seen) for name in self._names if name not in reached]


def _own_words(error: AgentError) -> Diagnosis:
    """The diagnosis of a fault that we found ourselves, before msmtp could: the message is the cause."""
    name = ExitCode(error.code).name.lower().replace("_", "-") if error.code in list(ExitCode) else "unforeseen"
    steps = (error.remedy,) if error.remedy else ()
    return Diagnosis(f"own-{name}", error.message, Owner.HOST, steps, (), Confidence.CERTAIN)


def exit_code(report: JobReport) -> int:
    """The exit status of a finished job."""
    return report.problem.code if report.problem else ExitCode.OK
