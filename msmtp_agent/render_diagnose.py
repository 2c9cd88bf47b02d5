"""A run of `diagnose` in words for people, and as JSON for programs."""

import sys

from .diagnosed import Diagnosed, Seen
from .facts import History
from .model import JobReport, StageResult, Status
from .network import Reached
from .printable import printable
from .render import (
    NARROW,
    STYLES,
    as_json,
    colourful,
    columns,
    diagnosis_as_json,
    leave_the_caret,
    problem,
    say,
    steps,
    styled,
    wrapped,
)
from .serverinfo import ServerInfo

_STATUS, _STAGE = 12, 14  # columns


class Text:
    """Tells the stages as they end on standard output; warnings, and the answer, on standard error."""

    def __init__(self) -> None:
        self._colours = colourful(sys.stdout)
        self._narrow = 0 < columns(sys.stdout) < NARROW
        self._indent = 4 if self._narrow else _STATUS + _STAGE

    def stage(self, result: StageResult) -> None:
        """One stage: how it ended, what was seen, and each detail on a line of its own."""
        leave_the_caret(result)
        status = f"{result.status.value:<{_STATUS}}"
        if self._colours:
            status = styled(status, STYLES[result.status])
        indent = " " * self._indent
        if self._narrow and result.seen:
            say(status + result.stage, sys.stdout)
            say(wrapped(indent + result.seen, sys.stdout, indent), sys.stdout)
        else:
            text = f"{result.stage:<{_STAGE}}{result.seen}".rstrip()
            say(status + wrapped(text, sys.stdout, indent, first=_STATUS), sys.stdout)
        for detail in result.details:
            say(wrapped(f"{indent}  {detail}", sys.stdout, f"{indent}    "), sys.stdout)

    def warning(self, text: str) -> None:
        """Something to know, while the run goes on."""
        say(wrapped(f"msmtp-config: warning: {text}", sys.stderr, "  "), sys.stderr)

    def report(self, report: Diagnosed) -> None:
        """The end: what failed, why, who can mend it and how; or that nothing did."""
        if report.job.problem:
            problem(report.job.problem)
        else:
            say(wrapped(_conclusion(report.job), sys.stdout, "  "), sys.stdout)
            if report.arrival:
                say(wrapped(f"  {report.arrival.cause} ({report.arrival.id})", sys.stdout, "    "), sys.stdout)
                steps(report.arrival, sys.stdout)


class Json:
    """Says nothing during the run, and prints one object at its end."""

    def stage(self, result: StageResult) -> None:
        """Nothing: the report holds it."""

    def warning(self, text: str) -> None:
        """Nothing: the report holds it."""

    def report(self, report: Diagnosed) -> None:
        """The whole run on standard output. Raises InputOutputError when it cannot be written there."""
        import json  # here, because most runs print none

        say(json.dumps(report_as_json(report)), sys.stdout)


def report_as_json(report: Diagnosed) -> dict[str, object]:
    """The object that `diagnose --json` prints (schemas/diagnose.json)."""
    stages = [
        {
            "stage": stage.stage,
            "status": stage.status.value,
            "seen": stage.seen,
            "details": list(stage.details),
            "seconds": round(stage.seconds, 3),
        }
        for stage in report.job.stages
    ]
    told = {
        **as_json(report.job),
        **({"diagnosis": diagnosis_as_json(report.arrival)} if report.arrival else {}),
        "stages": stages,
        "msmtp": report.version,
        "time": round(report.now, 3),
        "addresses": [_reached(one) for one in report.addresses],
        "ports": [_reached(one) for one in report.ports],
        "certificate": _certificate(report.certificate, report.now) if report.certificate else None,
        "capabilities": _capabilities(report.server) if report.server else None,
        "history": _history(report.history) if report.history else None,
    }
    return {name: _clean(value) for name, value in told.items()}


def _clean(value: object) -> object:
    """The value with every text in it fit for the terminal of whoever prints it."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return {name: _clean(one) for name, one in value.items()} if isinstance(value, dict) else value


def _conclusion(job: JobReport) -> str:
    tried = [stage.stage for stage in job.stages if stage.status is Status.PASSED]
    if "mail" in tried:
        return "Nothing is wrong: the mail was accepted."
    return "Nothing is wrong as far as this goes without a mail: msmtp-config diagnose --to ADDRESS sends one."


def _reached(one: Reached) -> dict[str, object]:
    return {"address": one.address, "port": one.port, "seconds": round(one.seconds, 4), "fault": one.fault or None}


def _certificate(shown: Seen, now: float) -> dict[str, object]:
    return {**shown._asdict(), "names": list(shown.names), "days": shown.days(now)}


def _capabilities(info: ServerInfo) -> dict[str, object]:
    return {
        "greeting": info.greeting,
        "size": info.size,
        "starttls": "STARTTLS" in info.extensions,
        "auth": list(info.methods),
        "extensions": list(info.extensions),
        "session": info.session,
        "address": info.address,
        "fingerprint": info.fingerprint,
    }


def _history(history: History) -> dict[str, object]:
    return {
        **history._asdict(),
        "failures": [{"cause": cause, "count": count} for cause, count in history.failures],
        "left_out": list(history.left_out),
    }
