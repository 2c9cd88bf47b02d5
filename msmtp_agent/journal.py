"""The stages of a job as they end, and the report that they add up to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from .errors import AgentError, ExitCode, Interrupted, unforeseen
from .model import STAGES, Delivery, JobReport, Problem, StageResult, Status, Verification


class Listener(Protocol):
    """Who is told of a job while it runs."""

    def stage(self, result: StageResult) -> None:
        """A stage has ended."""

    def warning(self, text: str) -> None:
        """Something is not as it should be, and the job goes on."""


class Entry:
    """A stage under way: what it has seen, to be filled in; `skip` ends it as skipped, `fail` as failed."""

    def __init__(self) -> None:
        self.seen = ""
        self.status = Status.PASSED

    def skip(self, why: str) -> None:
        """The stage was not needed, or not wanted."""
        self.status, self.seen = Status.SKIPPED, why

    def fail(self, why: str) -> None:
        """The stage failed, and the job goes on to say what follows from it."""
        self.status, self.seen = Status.FAILED, why


class Journal:
    """What one job has done so far."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
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
        try:
            yield entry
        except AgentError as error:
            entry.fail(error.message)
            raise
        except Interrupted:
            entry.fail("; ".join(filter(None, ("interrupted", entry.seen))))
            raise
        except BaseException:
            entry.fail("ended by an internal error")
            raise
        finally:
            result = StageResult(name, entry.status, entry.seen)
            self._stages.append(result)
            self._listener.stage(result)

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
            self._problem = Problem(error.code, error.message, error.remedy, error.words)
        except Interrupted as signal:
            self._problem = Problem(signal.code, "msmtp-config: interrupted", "", ())
        except Exception as error:  # noqa: BLE001 - the report is due all the same
            fault = unforeseen(error)
            self._problem = Problem(fault.code, fault.message, "", ())

    def report(self) -> JobReport:
        """The job as it stands now, the stages that it did not reach included."""
        reached = {result.stage for result in self._stages}
        missing = [StageResult(name, Status.SKIPPED, "not reached") for name in STAGES if name not in reached]
        return JobReport(
            changed=self.changed,
            verification=self.verification,
            stages=(*self._stages, *missing),
            warnings=tuple(self._warnings),
            delivery=self.delivery,
            problem=self._problem,
        )


def exit_code(report: JobReport) -> int:
    """The exit status of a finished job."""
    return report.problem.code if report.problem else ExitCode.OK
