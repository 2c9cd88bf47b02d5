"""The repairs of msmtp's log: its owner and mode, and a logrotate rule where none covers it."""

import re
from collections.abc import Iterator
from functools import partial

from . import files, log_rule
from .facts import Facts, Log
from .host import Host
from .log_rule import LOGROTATE
from .model import FileFacts, FileKind, Repair, Report
from .planned import LIMIT, PRIVATE, Planned, changed, failed

_LOGROTATE_CONF = "/etc/logrotate.conf"


def plan(host: Host, facts: Facts, report: Report) -> Iterator[Planned]:
    """The repairs for what the report found of the log; nothing is changed. Raises InputOutputError."""
    if isinstance(facts.log, Log):
        yield from _rights(host, facts.log, report)
        yield from _rotation(host, facts.log, report)


def _rights(host: Host, log: Log, report: Report) -> Iterator[Planned]:
    ids = failed(report, ("log-owner", "log-mode"))
    if not ids:
        return
    file = host.inspect(log.file.path)
    # The one that was judged, and not what a link leads to: whoever may write in its directory can put another there.
    same = file.kind is FileKind.REGULAR and file.identity == log.file.identity
    if same and file.links == 1 and file.rights != PRIVATE:
        action = f"{file.rights} becomes {PRIVATE}"
        yield Planned(Repair(log.file.path, action, ids), partial(files.restrict, file=file, mode=0o600))


def _rotation(host: Host, log: Log, report: Report) -> Iterator[Planned]:
    ids = failed(report, ("log-rotation",))
    content = log_rule.text(log.file.path)
    wanted = ids and content and log.logrotate and log.rotation is None
    if wanted and host.inspect(LOGROTATE).kind is FileKind.MISSING and _takes_rule(host, log.directory):
        action = f"write a rule for {log.file.path}: weekly, compressed, 4 are kept, the new log is {PRIVATE}"
        yield Planned(Repair(LOGROTATE, action, ids), partial(_add_rule, content=content))


def _takes_rule(host: Host, directory: FileFacts) -> bool:
    """Whether logrotate would read the rule, and work in that directory.

    Where others than root can write it wants to be told as whom (`su`), and there is no one right answer to that.
    """
    rules = host.inspect(LOGROTATE.rpartition("/")[0], follow=True)
    if (rules.kind, directory.kind) != (FileKind.DIRECTORY, FileKind.DIRECTORY):
        return False
    content = host.read(_LOGROTATE_CONF, LIMIT, follow=True)[1]
    if not re.search(rb"^[ \t]*include[ \t]+/etc/logrotate\.d/?[ \t]*$", content, re.MULTILINE):
        return False
    foreign = directory.mode & 0o002 or (directory.mode & 0o020 and directory.gid != 0)
    return not foreign or re.search(rb"^[ \t]*su[ \t]", content, re.MULTILINE) is not None


def _add_rule(host: Host, content: bytes) -> None:
    if host.inspect(LOGROTATE).kind is not FileKind.MISSING:
        raise changed(host, LOGROTATE)
    files.replace(host, LOGROTATE, content, 0o644)
