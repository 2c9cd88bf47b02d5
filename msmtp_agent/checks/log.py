"""Checks of the group "Log": the log of the deliveries, its rights, and that it is rotated."""

import shlex
from collections.abc import Iterator

from msmtp_agent.facts import AppArmor, Facts, Log, NotApplicableError, known
from msmtp_agent.host import MSMTPRC
from msmtp_agent.model import FileKind

from .check import ERROR, INFO, WARNING, Flaw, Group, edit
from .configuration import account_of, put

CHECKS = Group("Log")
# An entry has some 250 bytes: 40,000 mails. A host's system mail does not come to that in years; a loop does in a week.
LARGEST = 10 << 20


def _log(facts: Facts) -> Log:
    log = known(facts.log)
    if log is None:
        raise NotApplicableError("the account has no log")
    return log


def _file(facts: Facts) -> Log:
    """The log, where it is a file. Raises NotApplicableError."""
    log = _log(facts)
    if log.file.kind is FileKind.MISSING:
        raise NotApplicableError("there is no log yet")
    if log.file.kind is not FileKind.REGULAR:
        raise NotApplicableError("the log is no regular file")
    return log


@CHECKS("log-none", INFO)
def none(facts: Facts) -> Iterator[Flaw]:
    """The account has no log of its own.

    Without `logfile` nothing on the host tells whether mail leaves: msmtp's exit status is lost with the job that
    called it. With `syslog` alone there is a trace, which other programs' lines surround and which this audit does not
    read: the checks of the group "Delivery" are skipped.

    Give the account a `logfile` with an absolute path.
    """
    account = account_of(facts)
    if known(facts.log) is not None:
        return
    # With AppArmor on, this is the only log in /var/log that msmtp may write.
    enforced = isinstance(facts.apparmor, AppArmor) and facts.apparmor.enforced
    path = "/var/log/msmtp" if enforced else "/var/log/msmtp.log"
    named = account.get("logfile")
    if named == "-":
        seen = "`logfile -` writes to standard output, where a job's words are lost"
    elif named:
        seen = "`logfile` has no absolute path, so that every sender's directory gets a log"
    elif account.get("syslog") not in ("", "off"):
        seen = "`syslog` alone: this audit cannot tell whether mail leaves"
    else:
        seen = "no `logfile`: nothing tells whether mail leaves"
    line = account.line_of("logfile") if named else account.line
    yield Flaw(MSMTPRC, seen, f"`logfile {path}`", edit(MSMTPRC, line, f"logfile {path}"), line)


@CHECKS("log-not-writable", ERROR, "log-none")
def not_writable(facts: Facts) -> Iterator[Flaw]:
    """The log cannot be written.

    The mail leaves all the same: msmtp ends with status 0 and says `cannot log to ...` on its standard error, but
    nothing tells any more whether mail leaves. A FIFO in place of the log is worse, and an error: msmtp waits at it
    without end, once for each mail, after the mail has left. On a full disk, or at `/dev/full`, msmtp 1.8 aborts.

    Put a regular file, or nothing, at the path.
    """
    log = _log(facts)
    path = shlex.quote(log.file.path)
    kind, above = log.file.kind, log.directory.kind
    if above is not FileKind.DIRECTORY:
        directory = log.directory.path
        seen = "is missing" if above is FileKind.MISSING else f"is {above.value}"
        remedy = f"install -d -m 0755 {shlex.quote(directory)}"
        yield Flaw(directory, seen, "a directory for the log", remedy, severity=WARNING)
    elif kind is FileKind.FIFO:
        yield Flaw(log.file.path, "is a FIFO, and msmtp waits at it without end", "a regular file", f"rm {path}")
    elif kind is FileKind.DIRECTORY:
        remedy = f"mv -T {path} {path}.d"
        yield Flaw(log.file.path, "is a directory", "a regular file", remedy, severity=WARNING)
    elif kind not in (FileKind.REGULAR, FileKind.MISSING):
        remedy = put(account_of(facts), "logfile", "/var/log/msmtp.log")
        yield Flaw(log.file.path, f"is {kind.value}", "a regular file", remedy, severity=WARNING)
    elif known(log.immutable):
        seen = "must not be changed (`chattr +i` or `+a`): msmtp cannot write it, or logrotate cannot rotate it"
        yield Flaw(log.file.path, seen, "a file without these attributes", f"chattr -i -a {path}", severity=WARNING)


@CHECKS("log-owner", WARNING, "log-none")
def owner(facts: Facts) -> Iterator[Flaw]:
    """The log is not root's.

    Its owner can take entries away and write others, and with them what the checks of the group "Delivery" believe.

    Give it to root; its group may be `adm`, whose members read logs.
    """
    log = _file(facts)
    if log.file.uid:
        remedy = f"chown root {shlex.quote(log.file.path)}"
        yield Flaw(log.file.path, f"belongs to user {log.file.uid}", "root", remedy)


@CHECKS("log-mode", WARNING, "log-none")
def mode(facts: Facts) -> Iterator[Flaw]:
    """The log can be read by all, or written by others than root.

    It says who gets mail from this host and what the server answers, and a server may repeat in a refusal what it was
    sent. Who can write it can hide that mail does not leave. msmtp makes a new log with what the sender's umask
    leaves, which is 0644 as a rule.

    Take the rights away; the group `adm` may read. The `create` of its logrotate rule keeps it so (see
    `log-rotation-rights`).
    """
    log = _file(facts)
    if log.file.mode & 0o026:
        remedy = f"chmod g-w,o-rwx {shlex.quote(log.file.path)}"
        yield Flaw(log.file.path, f"has the rights {log.file.rights}", "0600, or 0640 with the group adm", remedy)


@CHECKS("log-rotation", WARNING, "log-none")
def rotated(facts: Facts) -> Iterator[Flaw]:
    """No logrotate rule covers the log.

    msmtp only ever appends: without a rule the log grows until the disk is full, and on a full disk msmtp 1.8 aborts
    after the mail has left. A rule that logrotate passes over counts as none: in a file that others than root can
    write or whose name ends in `.dpkg-old` or the like, with an error, or for a directory that others can write
    without `su`.

    Add a file to /etc/logrotate.d.
    """
    log = _log(facts)
    rule = known(log.rotation)
    path = log.file.path
    if not log.logrotate:
        yield Flaw(path, "is not rotated: logrotate is not installed", "logrotate", "apt install logrotate")
    elif rule is None:
        remedy = "msmtp-config audit --fix --only log-rotation   # or by hand: sensible-editor /etc/logrotate.d/msmtp"
        yield Flaw(path, "is in no rule of logrotate's", "a file in /etc/logrotate.d for it", remedy)
    elif rule.why_not:
        remedy = f"logrotate --debug {shlex.quote(rule.path)}   # then mend it: {rule.why_not}"
        if rule.why_not.startswith("logrotate ignores a file"):
            remedy = f"chown root:root {shlex.quote(rule.path)} && chmod 0644 {shlex.quote(rule.path)}"
        yield Flaw(rule.path, f"does not rotate {path}: {rule.why_not}", "a rule that counts", remedy, rule.line)


@CHECKS("log-rotation-rights", WARNING, "log-rotation")
def rotation_rights(facts: Facts) -> Iterator[Flaw]:
    """The rule gives the new log rights that are too wide.

    The `create` of the rule, or the one in /etc/logrotate.conf that it inherits, decides what owner and mode the log
    has after the next rotation: what was put right by hand is undone within a week.

    Write `create 0600 root root`, or `create` alone, which keeps what the old log has.
    """
    rule = known(_log(facts).rotation)
    if rule is None or rule.create is None:
        return
    wanted, user, group = rule.create
    wide = wanted and int(wanted, 8) & 0o026
    if wide or user not in ("", "root", "0"):
        shown = " ".join(part for part in (wanted, user, group) if part)
        path, line = rule.origin
        remedy = edit(path, line, "create 0600 root root")
        yield Flaw(path, f"`create {shown}` for the log", "`create 0600 root root`", remedy, line)


@CHECKS("log-size", WARNING, "log-none")
def size(facts: Facts) -> Iterator[Flaw]:
    """The log is larger than a host's system mail ever makes it.

    10 MiB are some 40,000 mails. Either the log is not rotated, or something sends mail in a loop, which costs a
    provider's quota and in the end the account.

    Look at what was sent last, and see that the log is rotated.
    """
    log = _file(facts)
    if log.file.size > LARGEST:
        observed = f"has {log.file.size / (1 << 20):.0f} MiB"
        remedy = f"tail -n 5 {shlex.quote(log.file.path)}   # who sends so much; then rotate it"
        yield Flaw(log.file.path, observed, f"at most {LARGEST >> 20} MiB", remedy)
