"""The options of `audit` as one value, and what `--list` and `--explain` print."""

import os
import sys
from typing import NamedTuple

from .arguments import absolute, refused, replaceable, unknown
from .checks import CATALOGUE
from .errors import AgentError, NotRootError, PluginStatus, UsageError
from .model import AuditWishes, Severity
from .printable import printable

FORMATS = ("text", "json", "nagios", "prometheus")
_SEVERITIES = {severity.value: severity for severity in Severity}


class Options(NamedTuple):
    """The options as they were given."""

    form: str
    output: str | None
    fail_on: str | None
    only: tuple[str, ...]
    skip: tuple[str, ...]
    roots: tuple[str, ...]
    fix: bool
    dry_run: bool


def wishes(given: Options) -> AuditWishes:
    """What was asked for. Raises UsageError for a wrong value, and for options that exclude each other."""
    if given.form not in FORMATS:
        raise _wrong("--format", given.form, FORMATS)
    if given.fail_on is not None and given.fail_on not in _SEVERITIES:
        raise _wrong("--fail-on", given.fail_on, tuple(_SEVERITIES))
    if given.output is not None and given.form != "prometheus":
        raise _refused("--output", f"goes with --format prometheus, and the format is {given.form}")
    if given.dry_run and not given.fix:
        raise UsageError("--dry-run", "goes with --fix", remedy="msmtp-config audit --fix --dry-run")
    if given.fix and given.form in ("nagios", "prometheus"):
        raise _refused("--fix", f"and --format {given.form} exclude each other")
    if given.fix and not given.dry_run and os.geteuid() != 0:
        raise NotRootError("msmtp-config audit --fix", "is not run by root", remedy="sudo msmtp-config audit --fix")
    unwanted = _ids("--skip", given.skip)
    checks = (_ids("--only", given.only) or frozenset(check.id for check in CATALOGUE)) - unwanted
    if not checks:
        raise _refused("--skip", "leaves no check to run")
    return AuditWishes(
        roots=tuple(_root(root) for root in given.roots) or ("/",),
        checks=checks,
        unwanted=unwanted,
        form=given.form,
        threshold=_SEVERITIES[given.fail_on] if given.fail_on else None,
        fix=given.fix,
        dry_run=given.dry_run,
        output=None if given.output is None else replaceable("audit", "--output", given.output),
    )


def _ids(option: str, values: tuple[str, ...]) -> frozenset[str]:
    """The ids of comma-separated lists; none where the option was not given."""
    known = tuple(check.id for check in CATALOGUE)
    given = [part.strip() for value in values for part in value.split(",")]
    for name in given:
        if name not in known:
            raise _wrong(option, name, known, "msmtp-config audit --list")
    return frozenset(given)


def _wrong(option: str, value: str, known: tuple[str, ...], remedy: str = "") -> UsageError:
    return unknown("audit", option, value, known, kind="the id of a check", remedy=remedy)


def _refused(option: str, observed: str, expected: str = "") -> UsageError:
    return refused("audit", option, observed, expected)


def _root(directory: str) -> str:
    """The absolute path of a root. An empty name is an empty variable, and not the directory that we stand in."""
    path = absolute("audit", "--root", directory)
    if not os.path.isdir(path):
        raise _refused("--root", f"{directory} is no directory", "the root directory of an image")
    return path


def told(listing: bool, explain: str | None) -> bool:
    """Whether a question about the catalogue was asked, and is answered now. Raises UsageError for an unknown id."""
    if not listing and explain is None:
        return False
    from .checks import document
    from .render import say

    known = tuple(check.id for check in CATALOGUE)
    if explain is not None and explain not in known:
        raise _wrong("--explain", explain, known, "msmtp-config audit --list")
    say(document.listing() if explain is None else document.explanation(explain), sys.stdout)
    return True


def run(given: Options) -> int:
    """Audit, and return the exit status; a monitoring plugin says why it cannot, in its one line."""
    from . import audit_job, interruption, render, render_audit, shield

    try:
        asked = wishes(given)
        shield.shield()
        interruption.install()
        printer = render_audit.printer(asked.form, threshold=asked.threshold, fixing=asked.fix)
        if asked.form == "text" and os.geteuid() != 0:
            words = "msmtp-config: warning: not run by root: of what only root may read, it cannot tell"
            render.say(words, sys.stderr)
        return audit_job.run(asked, printer)
    except AgentError as error:
        if given.form != "nagios":
            raise
        words = printable(error.message).replace("|", "?")  # behind a | stands performance data
        render.say(f"MSMTP {PluginStatus.UNKNOWN.name} - {words}", sys.stdout)
        return PluginStatus.UNKNOWN
