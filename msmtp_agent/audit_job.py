"""The workflow of `audit`: each root in turn examined, repaired if asked, and told; then the exit status."""

import sys

from . import render
from .audit import examine
from .errors import ExitCode
from .host import Host
from .model import AuditWishes, Report, Severity
from .monitoring import Tally, nagios_status
from .render_audit import Printer


def run(wishes: AuditWishes, printer: Printer) -> int:
    """Audit every root and return the exit status. Raises AgentError for what cannot be written."""
    tally = Tally()
    for root in wishes.roots:
        with Host(root) as host:
            report = _repaired(host, wishes, printer) if wishes.fix else examine(host, wishes.checks)[1]
        tally.add(report)
        printer.report(report)
    _write(printer.end(), wishes.output)
    if wishes.form == "nagios":
        return nagios_status(tally, wishes.threshold or Severity.WARNING)
    if tally.at_least(wishes.threshold or Severity.ERROR):
        return ExitCode.FOUND
    return ExitCode.CANNOT_TELL if tally.cannot_tell else ExitCode.OK


def _repaired(host: Host, wishes: AuditWishes, printer: Printer) -> Report:
    """The report after the repairs; with `dry_run` the report as it is now, and the plan."""
    from . import files, repair  # most audits repair nothing

    if wishes.dry_run:
        facts, report = examine(host, wishes.checks)
        return report._replace(repairs=repair.plan(host, facts, report))
    with files.lock(Host()):
        facts, report = examine(host, wishes.checks)
        plan = repair.plan(host, facts, report)
        printer.plan(report._replace(repairs=plan))
        done = repair.carry_out(host, plan)
    return examine(host, wishes.checks)[1]._replace(repairs=done) if done else report


def _write(text: str | None, output: str | None) -> None:
    """What remains to be written at the end: a file that another program reads, whoever that runs as, or a stream."""
    if text is None:
        return
    if output is None:
        render.say(text.removesuffix("\n"), sys.stdout)
        return
    from . import files

    files.replace(Host(), output, text.encode(), 0o644)
