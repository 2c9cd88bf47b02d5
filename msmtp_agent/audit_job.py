"""The workflow of `audit`: each root in turn examined, repaired if asked, and told; then the exit status."""

import sys
from contextlib import ExitStack
from shlex import quote

from . import render
from .audit import examine
from .errors import AgentError, ExitCode
from .facts import Facts
from .host import Host
from .model import AuditWishes, Repair, Report, Severity
from .monitoring import Tally, nagios_status
from .render_audit import Printer


def run(wishes: AuditWishes, printer: Printer) -> int:
    """Audit every root and return the exit status.

    Raises AgentError for what cannot be written: a repair that failed is told with its root, and raised at the end.
    """
    tally = Tally()
    failed: AgentError | None = None
    for root in wishes.roots:
        with Host(root) as host:
            report, fault = _repaired(host, wishes, printer) if wishes.fix else (_examine(host, wishes)[1], None)
        tally.add(report)
        printer.report(report)
        failed = failed or fault
    _write(printer.end(), wishes.output)
    if failed is not None:
        raise failed
    if wishes.form == "nagios":
        return nagios_status(tally, wishes.threshold or Severity.WARNING)
    if tally.at_least(wishes.threshold or Severity.ERROR):
        return ExitCode.FOUND
    return ExitCode.CANNOT_TELL if tally.cannot_tell else ExitCode.OK


def _repaired(host: Host, wishes: AuditWishes, printer: Printer) -> tuple[Report, AgentError | None]:
    """The report after the repairs, and why one of them failed; with `dry_run` the report as it is, and the plan."""
    from . import files, repair  # most audits repair nothing

    with ExitStack() as stack:
        if not wishes.dry_run:
            stack.enter_context(files.lock(Host()))
        facts, report = _examine(host, wishes)
        asked = tuple(result for result in report.results if result.id in wishes.checks)
        plan = repair.plan(host, facts, report._replace(results=asked))
        planned = report._replace(repairs=tuple(step.repair for step in plan))
        if wishes.dry_run or not plan:
            return planned, None
        printer.plan(planned)
        done: list[Repair] = []
        failed: AgentError | None = None
        try:
            repair.carry_out(host, plan, done.append)
        except AgentError as error:
            failed = error
        after = _examine(host, wishes)[1]._replace(repairs=tuple(done))
    return after, failed or _relapse(report, after)


def _examine(host: Host, wishes: AuditWishes) -> tuple[Facts, Report]:
    return examine(host, wishes.checks, wishes.unwanted)


def _relapse(before: Report, after: Report) -> AgentError | None:
    """A repair that was done, and that its own check does not believe: each has run again."""
    for repair in after.repairs:
        for check in repair.checks:
            # Of a check that found something at several paths, only its own; a new file mends what was found elsewhere.
            places = {finding.path for finding in before.findings if finding.id == check}
            mended = {repair.path} if repair.path in places else places
            if repair.done and any(finding.id == check and finding.path in mended for finding in after.findings):
                return AgentError(
                    repair.path, f"was repaired, and {check} finds it again", remedy=f"ls -l {quote(repair.path)}"
                )
    return None


def _write(text: str | None, output: str | None) -> None:
    """What remains to be written at the end: a file that another program reads, whoever that runs as, or a stream."""
    if text is None:
        return
    if output is None:
        render.say(text.removesuffix("\n"), sys.stdout)
        return
    from . import files

    files.replace(Host(), output, text.encode(), 0o644)
