"""What a check is: a small pure function over the facts of one host, with an id for ever, a severity and a reason."""

from collections.abc import Callable, Iterable
from inspect import cleandoc
from shlex import quote
from typing import NamedTuple

from msmtp_agent.facts import CannotTellError, Facts
from msmtp_agent.model import Finding, Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


class Flaw(NamedTuple):
    """What a check has found, before it gets the check's id; `severity` where it is milder than the check's."""

    path: str
    observed: str
    expected: str
    remedy: str
    line: int = 0
    severity: Severity | None = None


Judge = Callable[[Facts], Iterable[Flaw]]


class Check(NamedTuple):
    """One entry of the catalogue; `severity` is the worst that it reports, `requires` are ids of earlier checks."""

    id: str
    severity: Severity
    requires: tuple[str, ...]
    judge: Judge

    @property
    def title(self) -> str:
        """One line: what is found."""
        return cleandoc(self.judge.__doc__ or "").partition("\n")[0].removesuffix(".")

    @property
    def text(self) -> str:
        """Why it matters and what to do about it, in paragraphs."""
        return cleandoc(self.judge.__doc__ or "").partition("\n")[2].strip()

    def findings(self, facts: Facts) -> tuple[Finding, ...]:
        """What it finds. Raises CannotTellError for want of a fact, NotApplicableError with nothing to judge."""
        return tuple(
            Finding(
                self.id, flaw.severity or self.severity, flaw.path, flaw.observed, flaw.expected, flaw.remedy, flaw.line
            )
            for flaw in self.judge(facts)
        )


class Group:
    """A part of the catalogue: its heading, and its checks in order. Use it as a decorator to add one."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.checks: list[Check] = []

    def __call__(self, name: str, severity: Severity, *requires: str) -> Callable[[Judge], Judge]:
        """Add the decorated function, whose docstring is its title, an empty line, and the explanation."""

        def add(judge: Judge) -> Judge:
            self.checks.append(Check(name, severity, requires, judge))
            return judge

        return add


def rights(path: str, mode: str = "0600") -> str:
    """The remedy for a wrong owner, group or mode of a file of root's."""
    quoted = quote(path)
    return f"chown root:root {quoted} && chmod {mode} {quoted}"


def edit(path: str, line: int, hint: str = "") -> str:
    """The remedy for a line of a file."""
    return f"sensible-editor +{line} {quote(path)}" + (f"   # {hint}" if hint else "")


def complete(left_out: tuple[str, ...]) -> None:
    """Raise CannotTellError where something was left out, and nothing was found in the rest."""
    if left_out:
        raise CannotTellError(left_out[0], "was not read" + (f", and {len(left_out) - 1} more" if left_out[1:] else ""))
