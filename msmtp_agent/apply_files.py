"""Do what was planned, file by file, and say of each what became of it."""

from collections.abc import Callable, Sequence

from .apply_plan import Change, Plan
from .errors import AgentError, NotDurableError
from .host import Host
from .interruption import deferred
from .journal import Entry, Journal
from .model import WriteOutcome


def _nobody(_: Change) -> None:
    """Is not told."""


def write(host: Host, plan: Plan, journal: Journal, entry: Entry, tell: Callable[[Change], None] = _nobody) -> None:
    """Write the files of a plan in its order; each is told as it is done, to the stage's `entry` as well.

    It ends at the first that cannot be written: each file is then its old or its new version, and the error's details
    say which. Call it under the lock. Raises CantCreateError, InputOutputError.
    """
    paths = [change.path for change, _ in plan.wanted]
    done: list[str] = []

    def note(change: Change) -> None:
        journal.changed = True
        done.append(change.path)
        entry.seen = "; ".join(filter(None, (entry.seen, f"{change.path} {change.outcome.value}")))
        tell(change._replace(done=True))

    for change, effect in plan.wanted:
        with deferred():  # a signal is not to hide what has been done
            try:
                effect(host)
            except AgentError as error:
                if isinstance(error, NotDurableError):
                    note(change)
                error.details = (*error.details, *_states(paths, done))
                raise
            note(change)
    if not paths:
        entry.skip(f"{WriteOutcome.UNCHANGED.value}: every file is as the settings want it")


def _states(paths: Sequence[str], done: Sequence[str]) -> list[str]:
    """What each file is by now."""
    return [f"{path}: {'is the new version' if path in done else 'is as it was'}" for path in paths]
