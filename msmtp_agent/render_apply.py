"""`apply` in words for people: every change as a diff before it is made; and as JSON for programs."""

import sys

from . import render
from .apply import Applied
from .apply_plan import Change
from .model import WriteOutcome
from .printable import printable

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


class Text(render.Text):
    """Tells the job as it goes, and shows what is going to change."""

    def __init__(self) -> None:
        super().__init__(quiet=False)

    def show(self, changes: tuple[Change, ...]) -> None:
        """Each file that is going to change, and how."""
        for change in changes:
            if change.outcome is not WriteOutcome.UNCHANGED:
                render.say(render.wrapped(f"{change.path}: {change.words}", sys.stdout, "  "), sys.stdout)
                for line in change.difference:  # never folded: it is read by its lines
                    render.say(_coloured(line), sys.stdout)

    def finish(self, applied: Applied) -> None:
        """The end: the error if there is one, and what is left to do."""
        self.report(applied.job)
        if applied.next and not applied.job.problem:
            render.say(f"now: {applied.next}", sys.stdout)


class Json(render.Json):
    """Says nothing while the job runs, and prints one object at its end."""

    def show(self, changes: tuple[Change, ...]) -> None:
        """Nothing: the report holds it."""

    def finish(self, applied: Applied) -> None:
        """The whole job on standard output. Raises InputOutputError when it cannot be written there."""
        import json  # here, because most runs print none

        render.say(json.dumps(as_json(applied)), sys.stdout)


def _coloured(line: str) -> str:
    style = _STYLES.get(line[:1], "")
    shown = printable(line)
    return render.styled(shown, style) if style and render.colourful(sys.stdout) else shown


def as_json(applied: Applied) -> dict[str, object]:
    """A run as `--json` prints it: the main job's object without a delivery, and what is `apply`'s own."""
    whole = render.as_json(applied.job)
    del whole["delivery"]
    fault = applied.job.problem
    error = fault and {**render.error_as_json(fault), "details": list(fault.details)}
    files = [
        {
            "path": change.path,
            "outcome": change.outcome.value,
            "done": change.done,
            "words": change.words,
            "difference": list(change.difference),
            "backup": change.backup or None,
        }
        for change in applied.changes
    ]
    return {**whole, "error": error, "dry_run": applied.dry_run, "files": files, "next": applied.next or None}
