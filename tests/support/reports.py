"""Reports of the audit, written by hand, and a printer's way to tell them."""

from __future__ import annotations

import sys

from msmtp_agent import render, render_audit
from msmtp_agent.model import CheckResult, Finding, Repair, Report, Severity, Verdict

NOW = 1_760_000_000.5  # 2025-10-09 08:53:20 UTC
HOUR = 3600.0
ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
FORMATS = ("text", "json", "nagios", "prometheus")
CHMOD = "chown root:root /etc/msmtp-password && chmod 0600 /etc/msmtp-password"
# What a file name of a hostile image may be: line breaks of two kinds, an escape sequence, a change of the writing
# direction, markup, a bar, quotes, a byte that is not UTF-8, and a letter that is.
HOSTILE = "/etc/\n\r\x1b]0;owned\x07\x1b[31m\u2028\u202e[bold]|\"'\\\udcff\u00e9"


def found(
    name: str,
    severity: Severity = ERROR,
    *,
    path: str = "/etc/msmtp-password",
    observed: str = "is 0644 root:root",
    expected: str = "0600 root:root",
    remedy: str = CHMOD,
    line: int = 0,
) -> CheckResult:
    """A check that has found something: by default, that the secret file has the wrong mode."""
    finding = Finding(name, severity, path, observed, expected, remedy, line)
    return CheckResult(name, Verdict.FAILED, "", (finding,))


def passed(count: int = 1) -> tuple[CheckResult, ...]:
    """So many checks that have found nothing."""
    return tuple(CheckResult(f"tls-check-{number}", Verdict.PASSED) for number in range(1, count + 1))


def skipped(name: str = "log-mode", why: str = "needs log-missing") -> CheckResult:
    """A check that had nothing to judge."""
    return CheckResult(name, Verdict.SKIPPED, why)


def unknown(
    name: str = "log-missing", why: str = "/var/log/msmtp.log: cannot be read: Permission denied"
) -> CheckResult:
    """A check without an answer."""
    return CheckResult(name, Verdict.CANNOT_TELL, why)


def report(
    *results: CheckResult,
    root: str = "/",
    host: str = "web1",
    last_success: float | None = None,
    proven: bool | None = None,
    repairs: tuple[Repair, ...] = (),
) -> Report:
    """The report of one root."""
    return Report(root, host, NOW, results, last_success, proven, repairs)


CLEAN = report(*passed(93), *(skipped(f"log-check-{number}") for number in range(1, 5)))
MIXED = report(
    found("secret-mode"),
    found("secret-owner"),
    found(
        "config-timeout",
        WARNING,
        path="/etc/msmtprc",
        observed="has no timeout",
        expected="timeout 60",
        remedy="sensible-editor +12 /etc/msmtprc   # timeout 60",
        line=12,
    ),
    found("aliases-default", INFO, path="/etc/aliases", observed="has no default", expected="", remedy=""),
    skipped(),
    unknown(),
    *passed(90),
    last_success=NOW - HOUR,
    proven=True,
)
NASTY = report(
    found("secret-mode", path=HOSTILE, observed=HOSTILE, expected=HOSTILE, remedy=HOSTILE),
    found("log-mode", WARNING, path=HOSTILE),
    unknown(why=HOSTILE),
    skipped(why=HOSTILE),
    root=HOSTILE,
    host=HOSTILE,
    repairs=(Repair(HOSTILE, HOSTILE, ("secret-mode",)),),
)


def tell(
    form: str,
    *reports: Report,
    threshold: Severity | None = None,
    fixing: bool = False,
    plan: Report | None = None,
) -> None:
    """Do with a printer what the command does."""
    printer = render_audit.printer(form, threshold=threshold, fixing=fixing)
    if plan is not None:
        printer.plan(plan)
    for one in reports:
        printer.report(one)
    rest = printer.end()
    if rest is not None:
        render.say(rest, sys.stdout, end="")
