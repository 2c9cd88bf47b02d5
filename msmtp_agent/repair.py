"""The repairs that have one right answer: plan them from facts and findings, and carry them out."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from . import files
from .aliases import AliasesError, dead_ends, expand
from .errors import AgentError, CantCreateError, NotDurableError
from .facts import AliasFile, Facts, Log
from .host import ALIASES, MSMTPRC, SECRET, Host
from .interruption import deferred
from .model import FileFacts, FileKind, Repair, Report, WriteOutcome
from .msmtprc import Account, MsmtprcError, parse

LOGROTATE = "/etc/logrotate.d/msmtp"
_LIMIT = 1 << 20  # bytes of a file that is replaced
_LONGEST_NAME = 240  # bytes: the temporary name is longer, and a name has at most 255
_RIGHTS = "0600 root:root"
_REPLACED = ("secret-owner", "secret-mode", "secret-acl", "config-owner", "config-mode", "config-acl")
_COPIES = ("stray-secret", "stray-config")
_CHANGED = ("log-owner", "log-mode")
_LINE = f"aliases        {ALIASES}".encode()
_BACKUP = re.compile(r"msmtprc\.[0-9T-]+Z\.bak")
_MOST_BACKUPS = 16  # that are compared
_LOGROTATE_CONF = "/etc/logrotate.conf"
# `create` does not leave the rights of the new log to the global setting, nor, where that is lacking, to msmtp's umask.
_RULE = """\
{log} {{
  rotate 4
  weekly
  compress
  missingok
  notifempty
  create 0600 root root
}}
"""


class Planned(NamedTuple):
    """A repair, and what does it; no content is kept here, it may be the secret."""

    repair: Repair
    effect: Callable[[Host], None]


def plan(host: Host, facts: Facts, report: Report) -> tuple[Planned, ...]:
    """The repairs for what the report found, in the order in which they are to be done; nothing is changed.

    What is not among them has more than one answer, or stands where nothing can safely be written. Raises
    InputOutputError.
    """
    rights = list(_rights(host, report))
    safe = any(planned.repair.path == MSMTPRC for planned in rights)
    return (
        *rights,
        *_alias_line(host, facts, report, safe),
        *_log_rights(host, facts, report),
        *_rotation(host, facts, report),
    )


def carry_out(host: Host, repairs: Sequence[Planned], tell: Callable[[Repair], None]) -> None:
    """Do them, and tell each one as it ends, done or not; one that fails does not keep the others from being tried.

    Call it under the lock. Raises the first AgentError (CantCreateError, InputOutputError) at the end.
    """
    first: AgentError | None = None
    for planned in repairs:
        with deferred():  # a signal is not to hide what has been done
            error = _attempt(planned, host)
            tell(planned.repair._replace(done=error is None or isinstance(error, NotDurableError)))
        first = first or error
    if first is not None:
        raise first


def _attempt(planned: Planned, host: Host) -> AgentError | None:
    try:
        planned.effect(host)
    except AgentError as error:
        return error
    return None


def _failed(report: Report, ids: Sequence[str], path: str = "") -> tuple[str, ...]:
    """Those of the checks that have found something (at this path)."""
    found = (finding for finding in report.findings if finding.id in ids and path in ("", finding.path))
    return tuple(dict.fromkeys(finding.id for finding in found))


# --- owner, mode and ACL of whole files


def _rights(host: Host, report: Report) -> Iterator[Planned]:
    """The copies, the secret file and msmtprc, each replaced by one that root alone can read.

    The copies first: our own temporary name may be among them, and is gone when its original has been replaced.
    """
    copies = dict.fromkeys(finding.path for finding in report.findings if finding.id in _COPIES)
    for path in (*copies, SECRET, MSMTPRC):
        failed = _failed(report, _COPIES if path in copies else _REPLACED, path)
        facts = _replaceable(host, path) if failed else None
        if facts is None or (path in copies and _private(facts)):
            continue
        acl = " with an ACL" if host.acl(path) else ""
        if acl or facts.rights != _RIGHTS:
            action = f"{facts.rights}{acl} becomes {_RIGHTS}"
            yield Planned(Repair(path, action, failed), partial(_rewrite, path=path))


def _private(file: FileFacts) -> bool:
    """Whether nobody but root may do anything with it (an ACL's mask stands in the group's bits)."""
    return (file.uid, file.gid, file.mode & 0o7077) == (0, 0, 0)


def _replaceable(host: Host, path: str) -> FileFacts | None:
    """A regular file of one name and an ordinary size, or None."""
    facts = host.inspect(path)
    plain = facts.kind is FileKind.REGULAR and facts.links == 1 and facts.size <= _LIMIT
    return facts if plain and len(path.rpartition("/")[2].encode("utf-8", "surrogateescape")) <= _LONGEST_NAME else None


def _rewrite(host: Host, path: str) -> None:
    files.replace(host, path, _content(host, path)[1], 0o600)


def _content(host: Host, path: str) -> tuple[FileFacts, bytes]:
    """The whole of a file that was planned to be replaced. Raises CantCreateError when it is another one by now."""
    facts, content = host.read(path, _LIMIT + 1)
    if facts.kind is not FileKind.REGULAR or len(content) > _LIMIT:
        raise _changed(host, path)
    return facts, content


def _changed(host: Host, path: str) -> CantCreateError:
    return CantCreateError(host.at(path), "has changed since it was looked at", remedy="msmtp-config audit --fix")


# --- the aliases line of the default account


def _alias_line(host: Host, facts: Facts, report: Report, safe: bool) -> Iterator[Planned]:
    """`safe`: the rights of msmtprc are repaired as well, else they have to be right already.

    An aliases file that msmtp refuses, or that leaves root without an address, would stop the mail that leaves now.
    """
    failed = _failed(report, ("aliases-unwired",))
    if not failed or not isinstance(facts.aliases, AliasFile) or not _delivers(facts.aliases):
        return
    file = _replaceable(host, MSMTPRC)
    if file is None or not (safe or _private(file)):
        return
    content = host.read(MSMTPRC, _LIMIT)[1]
    if wired(content) is None:
        return
    backup = _backup(host, content, facts.now)
    line = parse(content)["default"].line
    action = f"add `{_LINE.decode()}` behind line {line}; the old version is kept as {backup}"
    yield Planned(Repair(MSMTPRC, action, failed), partial(_wire, backup=backup))


def _delivers(aliases: AliasFile) -> bool:
    """Whether msmtp takes the file, no name runs in a circle, root's mail goes to addresses, and root alone says so."""
    file = aliases.file
    if (file.path, file.kind, file.uid, file.mode & 0o022) != (ALIASES, FileKind.REGULAR, 0, 0) or aliases.fault:
        return False
    if None in dead_ends(aliases.names).values():
        return False
    try:
        targets = expand(aliases.names, "root")
    except AliasesError:
        return False
    return bool(targets) and all("@" in target and target[0] not in "|/:\"'" for target in targets)


def wired(content: bytes) -> bytes | None:
    """An msmtprc with the aliases in force for its default account, every other byte as it was; None: not this way."""
    accounts = _parse(content)
    account = accounts.get("default")
    if account is None or account.get("aliases"):
        return None
    lines = content.split(b"\n")
    opening = b"\n".join(lines[: account.line])
    crlf = lines[min(account.line - 1, len(lines) - 2)].endswith(b"\r")  # of a last line: as the line before it
    ending = b"\r\n" if crlf else b"\n"
    if account.line < len(lines):
        new = opening + b"\n" + _LINE + ending + b"\n".join(lines[account.line :])
    else:
        new = opening + ending + _LINE
    return new if _same_but_for_aliases(accounts, _parse(new)) else None


def _parse(content: bytes) -> dict[str, Account]:
    try:
        return parse(content)
    except MsmtprcError:
        return {}


def _same_but_for_aliases(old: dict[str, Account], new: dict[str, Account]) -> bool:
    if list(old) != list(new) or new["default"].get("aliases") != ALIASES:
        return False
    return all(_values(account) == _values(new[name]) for name, account in old.items())


def _values(account: Account) -> dict[str, str]:
    return {command: setting.value for command, setting in account.settings.items() if command != "aliases"}


def _backup(host: Host, content: bytes, now: float) -> str:
    """The path for the old version: that of a run which was killed before the change, or one that is free."""
    directory = MSMTPRC.rpartition("/")[0]
    names = [name for name in host.names(directory) if _BACKUP.fullmatch(name)]
    for name in reversed(names[-_MOST_BACKUPS:]):
        facts, present = host.read(f"{directory}/{name}", len(content) + 1)
        if present == content and facts.kind is FileKind.REGULAR and facts.rights == _RIGHTS:
            return f"{directory}/{name}"
    while (path := f"{MSMTPRC}.{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime(now))}.bak").rpartition("/")[2] in names:
        now += 1
    return path


def _wire(host: Host, backup: str) -> None:
    facts, content = _content(host, MSMTPRC)
    new = wired(content)
    if new is None:
        raise _changed(host, MSMTPRC)
    mode = facts.mode & 0o600
    try:
        kept = files.replace(host, backup, content, mode)
    except NotDurableError as error:
        files.discard(host, backup)
        words = f"might not outlive a power cut, so {host.at(MSMTPRC)} was left as it is"
        raise CantCreateError(error.subject, words, remedy=error.remedy) from None
    try:
        files.replace(host, MSMTPRC, new, mode)
    except NotDurableError:
        raise
    except CantCreateError:
        if kept is WriteOutcome.CREATED:
            files.discard(host, backup)
        raise


# --- the log


def _log_rights(host: Host, facts: Facts, report: Report) -> Iterator[Planned]:
    failed = _failed(report, _CHANGED)
    if not failed or not isinstance(facts.log, Log):
        return
    path = facts.log.file.path
    file = host.inspect(path)
    # The one that was judged, and not what a link leads to: whoever may write in its directory can put another there.
    same = file.kind is FileKind.REGULAR and file.identity == facts.log.file.identity
    if same and file.links == 1 and file.rights != _RIGHTS:
        action = f"{file.rights} becomes {_RIGHTS}"
        yield Planned(Repair(path, action, failed), partial(files.restrict, file=file, mode=0o600))


def _rotation(host: Host, facts: Facts, report: Report) -> Iterator[Planned]:
    failed = _failed(report, ("log-rotation",))
    log = facts.log
    if not failed or not isinstance(log, Log) or log.rotation is not None or not log.logrotate:
        return
    pattern = _pattern(log.file.path)
    if pattern and host.inspect(LOGROTATE).kind is FileKind.MISSING and _takes_rule(host, log.directory):
        action = f"write a rule for {log.file.path}: weekly, compressed, 4 are kept, the new log is {_RIGHTS}"
        content = _RULE.format(log=pattern).encode("utf-8", "surrogateescape")
        yield Planned(Repair(LOGROTATE, action, failed), partial(_add_rule, content=content))


def _pattern(path: str) -> str:
    """The log as logrotate is to read it, in quotes where it has to; empty where no quotes help."""
    if re.fullmatch(r"/[A-Za-z0-9_./+@%:,=-]+", path):
        return path
    return f'"{path}"' if re.fullmatch(r'/[^"{}\\*?\[\]]+', path) and path.isprintable() else ""


def _takes_rule(host: Host, directory: FileFacts) -> bool:
    """Whether logrotate would read the rule, and work in that directory.

    Where others than root can write it wants to be told as whom (`su`), and there is no one right answer to that.
    """
    rules = host.inspect(LOGROTATE.rpartition("/")[0], follow=True)
    if (rules.kind, directory.kind) != (FileKind.DIRECTORY, FileKind.DIRECTORY):
        return False
    content = host.read(_LOGROTATE_CONF, _LIMIT, follow=True)[1]
    if not re.search(rb"^[ \t]*include[ \t]+/etc/logrotate\.d/?[ \t]*$", content, re.MULTILINE):
        return False
    foreign = directory.mode & 0o002 or (directory.mode & 0o020 and directory.gid != 0)
    return not foreign or re.search(rb"^[ \t]*su[ \t]", content, re.MULTILINE) is not None


def _add_rule(host: Host, content: bytes) -> None:
    if host.inspect(LOGROTATE).kind is not FileKind.MISSING:
        raise _changed(host, LOGROTATE)
    files.replace(host, LOGROTATE, content, 0o644)
