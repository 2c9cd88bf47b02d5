"""The audit for programs: JSON, the line of a monitoring plugin, the metrics of a textfile collector."""

import time
from collections.abc import Iterator

from .errors import PluginStatus
from .model import CheckResult, Report, Severity, Verdict
from .printable import printable

SCHEMA_VERSION = 1
_LONGEST = 300  # characters of the plugin's text: what pagers and web pages of monitoring systems show of it
_ENOUGH = 8  # examples of each kind that may stand in it


class Tally:
    """How many roots there were, what was found, and how the checks ended."""

    def __init__(self) -> None:
        self.roots = 0
        self.findings = dict.fromkeys(Severity, 0)
        self.verdicts = dict.fromkeys(Verdict, 0)

    def add(self, report: Report) -> None:
        """Count one root."""
        self.roots += 1
        for result in report.results:
            self.verdicts[result.verdict] += 1
            for finding in result.findings:
                self.findings[finding.severity] += 1

    def at_least(self, threshold: Severity) -> int:
        """How many findings are as bad as that, or worse."""
        return sum(self.findings[severity] for severity in as_bad_as(threshold))

    @property
    def cannot_tell(self) -> int:
        """How many checks have no answer."""
        return self.verdicts[Verdict.CANNOT_TELL]

    @property
    def found(self) -> str:
        """What was found in words, e.g. `2 errors, 1 warning`; nothing where nothing was."""
        return ", ".join(_counted(number, severity.value) for severity, number in self.findings.items() if number)

    @property
    def rest(self) -> str:
        """What was not found in words, e.g. `93 checks passed, 4 skipped, 1 cannot tell`."""
        words = [f"{_counted(self.verdicts[Verdict.PASSED], 'check')} passed"]
        words += [
            f"{self.verdicts[verdict]} {verdict.value}"
            for verdict in (Verdict.SKIPPED, Verdict.CANNOT_TELL)
            if self.verdicts[verdict]
        ]
        return ", ".join(words)


def as_bad_as(threshold: Severity) -> tuple[Severity, ...]:
    """The severities from the worst down to `threshold`."""
    severities = tuple(Severity)
    return severities[: severities.index(threshold) + 1]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 or word == Severity.INFO.value else f"{number} {word}s"


class Document:
    r"""The JSON document in pieces, so that nothing of a root has to be kept: `entry` of each root, then `end`.

    A control character is escaped as JSON does it. A byte that is not UTF-8 appears as `\udcNN` in letters: the
    escape sequence of the same look would be half a character, which strict parsers refuse.
    """

    def __init__(self) -> None:
        self._tally = Tally()

    def entry(self, report: Report) -> str:
        """One root, on a line of its own, with what stands before it."""
        import json  # here, because the text has no need of it

        before = ",\n" if self._tally.roots else self._head()
        self._tally.add(report)
        return before + json.dumps(_as_json(report))

    def end(self) -> str:
        """What closes the document."""
        import json

        before = "\n" if self._tally.roots else self._head()
        return f'{before}], "summary": {json.dumps({"roots": self._tally.roots, **_summary(self._tally)})}}}\n'

    def _head(self) -> str:
        return f'{{"schema_version": {SCHEMA_VERSION}, "roots": [\n'


def _as_json(report: Report) -> dict[str, object]:
    tally = Tally()
    tally.add(report)
    return {
        "root": _valid(report.root),
        "host": _valid(report.host),
        "time": _iso(report.time),
        "last_success": None if report.last_success is None else _iso(report.last_success),
        "proven": report.proven,
        "findings": [
            {
                "id": finding.id,
                "severity": finding.severity.value,
                "path": _valid(finding.path),
                "line": finding.line or None,
                "observed": _valid(finding.observed),
                "expected": _valid(finding.expected),
                "remedy": _valid(finding.remedy),
            }
            for finding in report.findings
        ],
        "cannot_tell": _reasons(report.having(Verdict.CANNOT_TELL)),
        "skipped": _reasons(report.having(Verdict.SKIPPED)),
        "passed": [result.id for result in report.having(Verdict.PASSED)],
        "repairs": [
            {
                "path": _valid(repair.path),
                "action": _valid(repair.action),
                "checks": list(repair.checks),
                "done": repair.done,
            }
            for repair in report.repairs
        ],
        "summary": _summary(tally),
    }


def _reasons(results: tuple[CheckResult, ...]) -> list[dict[str, str]]:
    return [{"id": result.id, "why": _valid(result.why)} for result in results]


def _summary(tally: Tally) -> dict[str, int]:
    found = {severity.value: number for severity, number in tally.findings.items()}
    ended = {verdict.value.replace(" ", "_"): number for verdict, number in tally.verdicts.items()}
    del ended[Verdict.FAILED.value]  # a check that failed counts by what it found
    return found | ended


def _valid(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def nagios_status(tally: Tally, threshold: Severity) -> PluginStatus:
    """The exit status of the monitoring plugin; what is milder than `threshold` does not count."""
    if tally.findings[Severity.ERROR]:
        return PluginStatus.CRITICAL
    if tally.at_least(threshold):
        return PluginStatus.WARNING
    return PluginStatus.UNKNOWN if tally.cannot_tell else PluginStatus.OK


class StatusLine:
    """The one line of the monitoring plugin: the status, the worst of all roots, and performance data."""

    def __init__(self, threshold: Severity) -> None:
        self.tally = Tally()
        self._threshold = threshold
        self._examples: dict[Severity, list[str]] = {severity: [] for severity in Severity}
        self._unknown: list[str] = []
        self._age: int | None = None

    def add(self, report: Report) -> None:
        """Count one root, and keep a few examples."""
        self.tally.add(report)
        where = "" if report.root == "/" else f"{report.root}: "
        for finding in report.findings:
            if len(self._examples[finding.severity]) < _ENOUGH:
                self._examples[finding.severity].append(f"{where}{finding.id} {finding.place} {finding.observed}")
        for result in report.having(Verdict.CANNOT_TELL)[: _ENOUGH - len(self._unknown)]:
            self._unknown.append(f"{where}{result.id} {result.why}")
        if report.last_success is not None:
            # Of several roots the one that has been silent for longest.
            self._age = max(self._age or 0, int(report.time - report.last_success))

    def text(self) -> str:
        """The line: at most 300 characters in front of the bar, and none of them another bar or a line break."""
        status = nagios_status(self.tally, self._threshold)
        summary = ", ".join(words for words in (self.tally.found, self._rest(status)) if words)
        if self.tally.roots > 1:
            summary = f"{self.tally.roots} roots: {summary}"
        if status is not PluginStatus.OK:
            worst = [text for severity in as_bad_as(self._threshold) for text in self._examples[severity]]
            total = self.tally.at_least(self._threshold) + self.tally.cannot_tell
            summary += _some([*worst, *self._unknown], total, _LONGEST - len(f"MSMTP {status.name} - {summary}"))
        text = printable(f"MSMTP {status.name} - {summary}").replace("|", "?")
        return f"{text} | {' '.join(self._performance())}"

    def _rest(self, status: PluginStatus) -> str:
        if status is PluginStatus.OK:
            return self.tally.rest
        return f"{self.tally.cannot_tell} cannot tell" if self.tally.cannot_tell else ""

    def _performance(self) -> Iterator[str]:
        """`label=value;warning;critical;minimum`: a threshold of 0 is exceeded by the first finding."""
        counting = as_bad_as(self._threshold)
        for severity, number in self.tally.findings.items():
            warning = "0" if severity in counting and severity is not Severity.ERROR else ""
            critical = "0" if severity is Severity.ERROR else ""
            yield f"{severity.value}s={number};{warning};{critical};0"
        yield f"cannot_tell={self.tally.cannot_tell};;;0"
        if self._age is not None:
            yield f"last_success_age={self._age}s;;;0"


def _some(examples: list[str], total: int, room: int) -> str:
    """As many of the examples as fit into `room` characters, and how many more there are."""
    for count in range(len(examples), 0, -1):
        more = f" and {total - count} more" if total > count else ""
        text = ": " + ", ".join(examples[:count]) + more
        if len(text) <= room:
            return text
    return f": {examples[0]}"[: room - 3] + "..."


_FINDINGS = "msmtp_config_audit_findings"
_CANNOT_TELL = "msmtp_config_audit_cannot_tell_checks"
_LAST_RUN = "msmtp_config_audit_last_run_timestamp_seconds"
_LAST_SUCCESS = "msmtp_config_last_success_timestamp_seconds"
_PROVEN = "msmtp_config_password_proven"
_FAMILIES = {
    _FINDINGS: "What the audit found, by severity.",
    _CANNOT_TELL: "Checks of the audit that have no answer.",
    _LAST_RUN: "When the audit was made, in seconds since 1970.",
    _LAST_SUCCESS: "When the log last tells of a mail that left, in seconds since 1970.",
    _PROVEN: "Whether a mail has left since the password was stored.",
}


class Metrics:
    """The file of a textfile collector; a root that was audited twice is told once: else the whole file is refused."""

    def __init__(self) -> None:
        self._families: dict[str, dict[str, int]] = {name: {} for name in _FAMILIES}

    def add(self, report: Report) -> None:
        """Keep the numbers of one root."""
        tally = Tally()
        tally.add(report)
        root = f'root="{_label(report.root)}"'
        for severity, number in tally.findings.items():
            self._families[_FINDINGS][f'{root},severity="{severity.value}"'] = number
        for name, value in (
            (_CANNOT_TELL, tally.cannot_tell),
            (_LAST_RUN, report.time),
            (_LAST_SUCCESS, report.last_success),
            (_PROVEN, report.proven),
        ):
            if value is not None:
                self._families[name][root] = int(value)

    def text(self) -> str:
        """The whole file. No sample has a time of its own: the collector refuses such a file."""
        lines: list[str] = []
        for name, samples in self._families.items():
            if samples:
                lines += [f"# HELP {name} {_FAMILIES[name]}", f"# TYPE {name} gauge"]
                lines += [f"{name}{{{labels}}} {value}" for labels, value in samples.items()]
        return "".join(f"{line}\n" for line in lines)


def _label(text: str) -> str:
    """A label's value: line breaks are escaped as the format has it, other control characters shown in letters."""
    visible = "".join(
        letter if letter in " \n" or printable(letter) == letter else ascii(letter)[1:-1] for letter in text
    )
    return visible.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
