"""`pin` on the command line: what is shown, and who is asked."""

import sys

from . import interruption, pin, render, shield, terminal
from .host import Host
from .journal import exit_code


class _Person(render.Text):
    """Whoever runs the command; `accepts` is the yes that was given with it."""

    def __init__(self, *, accepts: bool) -> None:
        super().__init__(quiet=False)
        self._accepts = accepts

    def show(self, rows: list[tuple[str, str]]) -> None:
        """Titles, and what stands behind each."""
        indent = " " * self.indent
        for title, text in rows:
            lines = render.wrapped(f"{title:<9} {text}", sys.stdout, indent + "    ", first=len(indent))
            render.say(indent + lines, sys.stdout)

    def agrees(self, question: str) -> bool | None:
        """The answer; None when there is nobody to ask."""
        if self._accepts:
            return True
        return terminal.confirm(question, default=False) if terminal.attended() else None


def run(accept: bool, timeout: float) -> int:
    """Pin, and return the exit status; `timeout` in seconds, for each program and for our own look at the server."""
    shield.shield()
    interruption.install()
    person = _Person(accepts=accept)
    report = pin.run(Host(), timeout, person)
    interruption.quiet()
    person.report(report)
    return exit_code(report)
