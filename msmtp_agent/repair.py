"""The repairs that have one right answer: plan them from facts and findings, and carry them out."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from . import backup, files, repair_helper, repair_log
from .aliases import AliasesError, dead_ends, expand
from .errors import AgentError, NotDurableError
from .facts import AliasFile, Facts
from .host import ALIASES, MSMTPRC, SECRET, Host
from .interruption import deferred
from .model import FileFacts, FileKind, Repair, Report
from .msmtprc import Account, MsmtprcError, parse
from .planned import LIMIT, PRIVATE, Planned, changed, content, failed, replaceable

_REPLACED = ("secret-owner", "secret-mode", "secret-acl", "config-owner", "config-mode", "config-acl")
_COPIES = ("stray-secret", "stray-config")
_LINE = f"aliases        {ALIASES}".encode()


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
        *repair_log.plan(host, facts, report),
        *repair_helper.plan(host, facts, report),
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


# --- owner, mode and ACL of whole files


def _rights(host: Host, report: Report) -> Iterator[Planned]:
    """The copies, the secret file and msmtprc, each replaced by one that root alone can read.

    The copies first: our own temporary name may be among them, and is gone when its original has been replaced.
    """
    copies = dict.fromkeys(finding.path for finding in report.findings if finding.id in _COPIES)
    for path in (*copies, SECRET, MSMTPRC):
        ids = failed(report, _COPIES if path in copies else _REPLACED, path)
        facts = replaceable(host, path) if ids else None
        if facts is None or (path in copies and _private(facts)):
            continue
        acl = " with an ACL" if host.acl(path) else ""
        if acl or facts.rights != PRIVATE:
            action = f"{facts.rights}{acl} becomes {PRIVATE}"
            yield Planned(Repair(path, action, ids), partial(_rewrite, path=path))


def _private(file: FileFacts) -> bool:
    """Whether nobody but root may do anything with it (an ACL's mask stands in the group's bits)."""
    return (file.uid, file.gid, file.mode & 0o7077) == (0, 0, 0)


def _rewrite(host: Host, path: str) -> None:
    files.replace(host, path, content(host, path)[1], 0o600)


# --- the aliases line of the default account


def _alias_line(host: Host, facts: Facts, report: Report, safe: bool) -> Iterator[Planned]:
    """`safe`: the rights of msmtprc are repaired as well, else they have to be right already.

    An aliases file that msmtp refuses, or that leaves root without an address, would stop the mail that leaves now.
    """
    ids = failed(report, ("aliases-unwired",))
    if not ids or not isinstance(facts.aliases, AliasFile) or not _delivers(facts.aliases):
        return
    file = replaceable(host, MSMTPRC)
    if file is None or not (safe or _private(file)):
        return
    old = host.read(MSMTPRC, LIMIT)[1]
    if wired(old) is None:
        return
    place = backup.name(host, MSMTPRC, old, 0o600, facts.now)
    line = parse(old)["default"].line
    action = f"add `{_LINE.decode()}` behind line {line}; the old version is kept as {place}"
    yield Planned(Repair(MSMTPRC, action, ids), partial(_wire, place=place))


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


def wired(old: bytes) -> bytes | None:
    """An msmtprc with the aliases in force for its default account, every other byte as it was; None: not this way."""
    accounts = _parse(old)
    account = accounts.get("default")
    if account is None or account.get("aliases"):
        return None
    lines = old.split(b"\n")
    opening = b"\n".join(lines[: account.line])
    crlf = lines[min(account.line - 1, len(lines) - 2)].endswith(b"\r")  # of a last line: as the line before it
    ending = b"\r\n" if crlf else b"\n"
    if account.line < len(lines):
        new = opening + b"\n" + _LINE + ending + b"\n".join(lines[account.line :])
    else:
        new = opening + ending + _LINE
    return new if _same_but_for_aliases(accounts, _parse(new)) else None


def _parse(text: bytes) -> dict[str, Account]:
    try:
        return parse(text)
    except MsmtprcError:
        return {}


def _same_but_for_aliases(old: dict[str, Account], new: dict[str, Account]) -> bool:
    if list(old) != list(new) or new["default"].get("aliases") != ALIASES:
        return False
    return all(_values(account) == _values(new[name]) for name, account in old.items())


def _values(account: Account) -> dict[str, str]:
    return {command: setting.value for command, setting in account.settings.items() if command != "aliases"}


def _wire(host: Host, place: str) -> None:
    facts, old = content(host, MSMTPRC)
    new = wired(old)
    if new is None:
        raise changed(host, MSMTPRC)
    mode = facts.mode & 0o600
    with backup.kept(host, MSMTPRC, place, old, mode):
        files.replace(host, MSMTPRC, new, mode)
