"""The audit in words for people: lines, or a table on a wide terminal."""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol

from . import render
from .model import Finding, Repair, Report, Severity, Verdict
from .monitoring import Document, Metrics, StatusLine, Tally
from .printable import printable

_WIDE = 100  # columns from which on a table is easier to read than lines
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


class Printer(Protocol):
    """Tells reports one by one, and keeps nothing of them but a few numbers."""

    def plan(self, report: Report) -> None:
        """The repairs of the report are about to be done."""

    def report(self, report: Report) -> None:
        """One root has been audited."""

    def end(self) -> str | None:
        """All have. What is returned is not written yet: the content of a file."""


def printer(form: str, *, threshold: Severity | None, fixing: bool) -> Printer:
    """The printer for a value of `--format`; `threshold` is the mildest severity that makes the run fail."""
    if form == "json":
        return _Json()
    if form == "nagios":
        return _Nagios(threshold or Severity.WARNING)
    if form == "prometheus":
        render.use_utf8(sys.stdout)
        return _Prometheus()
    return _Text(threshold or Severity.ERROR, fixing=fixing)


class _Json:
    """One document on standard output, a root on a line."""

    def __init__(self) -> None:
        self._document = Document()

    def plan(self, report: Report) -> None:
        """Nothing: the report will hold it."""

    def report(self, report: Report) -> None:
        """Its line, without the end of it: a comma may have to follow."""
        render.say(self._document.entry(report), sys.stdout, end="")

    def end(self) -> None:
        """What closes the document."""
        render.say(self._document.end(), sys.stdout, end="")


class _Nagios:
    """One line on standard output at the end."""

    def __init__(self, threshold: Severity) -> None:
        self._line = StatusLine(threshold)

    def plan(self, report: Report) -> None:
        """Nothing: the line is of the state after it."""

    def report(self, report: Report) -> None:
        """Nothing yet."""
        self._line.add(report)

    def end(self) -> None:
        """The line."""
        render.say(self._line.text(), sys.stdout)


class _Prometheus:
    """Nothing on standard output: the content of a file at the end."""

    def __init__(self) -> None:
        self._metrics = Metrics()

    def plan(self, report: Report) -> None:
        """Nothing: the metrics are of the state after it."""

    def report(self, report: Report) -> None:
        """Nothing yet."""
        self._metrics.add(report)

    def end(self) -> str:
        """The whole file."""
        return self._metrics.text()


class _Text:
    """Lines on standard output: a heading for each group, a line for each finding, a line to paste, a summary."""

    def __init__(self, threshold: Severity, *, fixing: bool) -> None:
        self._threshold = threshold
        self._fixing = fixing
        self._colours = render.colourful(sys.stdout)
        self._columns = render.columns(sys.stdout)
        self._all = Tally()
        self._planned = False  # whether the plan for the root at hand, and with it its heading, stands above

    def plan(self, report: Report) -> None:
        """The repairs that are about to be done."""
        if report.repairs:
            self._say([*self._heading(report), *self._repairs("To repair", report.repairs)])
            self._planned = True

    def report(self, report: Report) -> None:
        """One root: the repairs, what was found, what has no answer, and the summary."""
        tally = Tally()
        tally.add(report)
        lines = list(self._body(report))
        if lines and not self._planned:
            lines = [*self._heading(report), *lines]
        self._all.add(report)
        self._planned = False
        self._say([*lines, self._summary(report.root, tally)])

    def end(self) -> None:
        """The sum of several roots."""
        if self._all.roots > 1:
            self._say([self._summary(f"all {self._all.roots} roots", self._all)])

    def _say(self, lines: list[str]) -> None:
        render.say("\n".join(lines), sys.stdout)

    def _heading(self, report: Report) -> Iterator[str]:
        """The root's name, where there could be a doubt which one is told of."""
        if report.root != "/" or self._all.roots:
            if self._all.roots:
                yield ""
            yield self._paint(printable(f"{report.root} ({report.host})" if report.host else report.root), "bold")

    def _body(self, report: Report) -> Iterator[str]:
        if report.repairs:
            yield from self._repairs("Repaired", [repair for repair in report.repairs if repair.done])
            left = [repair for repair in report.repairs if not repair.done]
            yield from self._repairs("Not repaired" if self._planned else "To repair", left)
        elif self._fixing:
            yield "Nothing to repair"
        if report.findings:
            yield from self._groups(report)
        unknown = report.having(Verdict.CANNOT_TELL)
        if unknown:
            yield self._paint("Cannot tell", "bold")
            yield from (self._line(f"{result.id}: {result.why}") for result in unknown)

    def _repairs(self, title: str, repairs: Sequence[Repair]) -> Iterator[str]:
        if repairs:
            yield self._paint(title, "bold")
            for repair in repairs:
                yield self._line(f"{repair.path}: {repair.action} [{', '.join(repair.checks)}]")

    def _groups(self, report: Report) -> Iterator[str]:
        from .checks import GROUPS

        titles = {check.id: group.title for group in GROUPS for check in group.checks}
        width = max(len(finding.id) for finding in report.findings)
        for title, members in groupby(report.findings, lambda finding: titles.get(finding.id, "Other")):
            findings = list(members)
            yield self._paint(title, "bold")
            if self._colours and self._columns >= _WIDE:
                yield self._table(findings, width)
                yield from _fixes(findings, report.root)
            else:
                for finding in findings:
                    yield self._finding(finding)
                    yield from _fixes([finding], report.root)

    def _finding(self, finding: Finding) -> str:
        severity = self._paint(f"{finding.severity.value:<8}", _STYLES[finding.severity])
        expected = f"; expected {finding.expected}" if finding.expected else ""
        text = f"{finding.place}: {finding.observed}{expected} [{finding.id}]"
        return f"  {severity}{render.wrapped(text, sys.stdout, ' ' * 10, first=10)}"

    def _table(self, findings: list[Finding], width: int) -> str:
        rows = [
            (
                f"  {finding.severity.value}",
                finding.id,
                finding.place,
                f"{finding.observed} -> {finding.expected}" if finding.expected else finding.observed,
            )
            for finding in findings
        ]
        styles = [_STYLES[finding.severity] for finding in findings]
        return render.table(rows, styles, (9, width), self._columns)

    def _line(self, text: str) -> str:
        return f"  {render.wrapped(text, sys.stdout, '    ', first=2)}"

    def _summary(self, subject: str, tally: Tally) -> str:
        words = "; ".join(words for words in (tally.found, tally.rest) if words)
        doubtful = tally.cannot_tell or tally.at_least(Severity.WARNING)
        style = "bold red" if tally.at_least(self._threshold) else "yellow" if doubtful else "green"
        return self._paint(render.wrapped(f"{subject}: {words}", sys.stdout, "  "), style)

    def _paint(self, text: str, style: str) -> str:
        return render.styled(text, style) if self._colours else text


def _fixes(findings: list[Finding], root: str) -> Iterator[str]:
    """What can be pasted, each once and on one line: a terminal's own folding leaves a line whole, ours would not.

    Below another root it says so: the same line would change this machine's file.
    """
    where = "" if root == "/" else f" in {printable(root)}"
    for remedy in dict.fromkeys(finding.remedy for finding in findings):
        if remedy:
            yield f"    fix{where}: {printable(remedy)}"
