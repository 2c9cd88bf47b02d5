"""Small root trees for the audit, written by hand: what a test does not say is as on a good host."""

from __future__ import annotations

import functools
import os
import shlex
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from msmtp_agent.audit import audit
from msmtp_agent.checks import CATALOGUE
from msmtp_agent.checks.check import Group
from msmtp_agent.host import Host
from msmtp_agent.model import CheckResult, Finding, Report, Severity, Verdict
from tests.support.pki import make_authority

SECRET = "/etc/msmtp-password"
MSMTPRC = "/etc/msmtprc"
ALIASES = "/etc/aliases"
LOG = "/var/log/msmtp.log"
TRUST = "/etc/ssl/certs/ca-certificates.crt"
LOGROTATE = "/etc/logrotate.d/msmtp"
USER = "alerts@acme.test"
PASSWORD = b"Correct-Horse-Battery-41\n"
DAY = 86400.0

ROTATION = f"{LOG} {{\n\tweekly\n\trotate 4\n\tcompress\n\tmissingok\n\tnotifempty\n\tcreate 0600 root root\n}}\n"
PASSWD = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = "root:x:0:\ndaemon:x:1:\nadm:x:4:\nwww-data:x:33:\nmsmtp:x:105:\nnogroup:x:65534:\n"


class Root:
    """One root tree; `Root(tmp_path)` is an empty one, `Root(tmp_path).good()` one on which the audit finds nothing.

    Paths are the root's own and absolute (`/etc/msmtprc`); directories that a path needs are made, 0755 and root's.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        directory.chmod(0o755)

    def at(self, path: str) -> Path:
        """Where `path` stands on this machine."""
        return self.directory / path.lstrip("/")

    # --- what stands in it

    def write(self, path: str, content: str | bytes = b"", mode: int = 0o600, uid: int = 0, gid: int = 0) -> Self:
        """A regular file, in place of whatever stood there (a link is not followed)."""
        self.remove(path)
        target = self._parents(path)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.rights(path, mode, uid, gid)

    def rights(self, path: str, mode: int, uid: int = 0, gid: int = 0) -> Self:
        """Owner, then mode (a change of owner takes setuid and setgid away)."""
        target = self.at(path)
        facts = target.stat()
        if (facts.st_uid, facts.st_gid) != (uid, gid):
            os.chown(target, uid, gid)
        target.chmod(mode)
        return self

    def aged(self, path: str, seconds: float) -> Self:
        """The file as last changed so long ago (after the last `write`: that makes it new again)."""
        then = time.time() - seconds
        os.utime(self.at(path), (then, then))
        return self

    def remove(self, path: str) -> Self:
        """No file or link at `path` any more, whether there was one or not."""
        self.at(path).unlink(missing_ok=True)
        return self

    def link(self, path: str, target: str) -> Self:
        """A symbolic link, in place of whatever stood there; `target` as it is to stand in it."""
        self.remove(path)
        self._parents(path).symlink_to(target)
        return self

    def mkdir(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> Self:
        """A directory, or new rights for one that is there."""
        self._parents(path).mkdir(exist_ok=True)
        return self.rights(path, mode, uid, gid)

    def _parents(self, path: str) -> Path:
        """Where `path` stands, after the directories above it were made, whatever the umask."""
        target = self.at(path)
        missing = [parent for parent in target.parents if not parent.exists()]
        for parent in reversed(missing):
            parent.mkdir()
            parent.chmod(0o755)
        return target

    # --- a good host

    def account(self, *more: str, **changes: str | None) -> str:
        """An msmtprc. `changes` replace a command's argument, or take the line away (None); `more` are added."""
        return account(*more, **changes)

    def configure(self, *more: str, **changes: str | None) -> Self:
        """Write the msmtprc with such an account."""
        return self.write(MSMTPRC, account(*more, **changes))

    def log(self, *lines: str, mode: int = 0o600, uid: int = 0, gid: int = 0) -> Self:
        """Write the log (see `sent` and `failed`)."""
        return self.write(LOG, "".join(f"{line}\n" for line in lines), mode, uid, gid)

    def good(self) -> Self:
        """A host on which the whole catalogue finds nothing."""
        self.configure()
        self.write(SECRET, PASSWORD).aged(SECRET, 10 * DAY)  # before the mail that the log tells of: it is proven
        self.write(ALIASES, f"root: {USER}\ndefault: {USER}\n", 0o644)
        self.write(TRUST, good_authority(), 0o644)
        self.log(sent())
        self.write(LOGROTATE, ROTATION, 0o644)
        self.write("/etc/logrotate.conf", "weekly\nrotate 4\ncreate\ninclude /etc/logrotate.d\n", 0o644)
        self.write("/usr/sbin/logrotate", b"\x7fELF", 0o755)
        self.write("/usr/bin/msmtp", b"\x7fELF", 0o755)
        self.link("/usr/sbin/sendmail", "../bin/msmtp")
        self.write("/var/lib/dpkg/status", packages({"msmtp": "1.8.28-1", "msmtp-mta": "1.8.28-1"}), 0o644)
        self.write("/etc/passwd", PASSWD, 0o644)
        self.write("/etc/group", GROUP, 0o644)
        self.write("/etc/hostname", "acme\n", 0o644)
        return self.mkdir("/root", 0o700)

    # --- what the audit says of it

    def report(self, *ids: str) -> Report:
        """The report with these checks, or with all of them."""
        with Host(str(self.directory)) as host:
            return audit(host, set(ids) or {check.id for check in CATALOGUE})

    def findings(self, *ids: str) -> list[Finding]:
        """What was found, in the catalogue's order."""
        return list(self.report(*ids).findings)

    def found(self, *ids: str) -> list[str]:
        """The ids of what was found, in the catalogue's order, with repetitions."""
        return [finding.id for finding in self.findings(*ids)]

    def result(self, name: str) -> CheckResult:
        """The answer of one check."""
        return next(result for result in self.report(name).results if result.id == name)


class Row(NamedTuple):
    """What a change of a good host makes a check say: nothing, where `severity` is None (its nearest neighbour).

    `words` stand in what was observed, `also` are ids of the same module's groups that the change makes speak as well,
    `verdict` is the check's where it finds nothing.
    """

    change: Callable[[Root], object]
    severity: Severity | None = None
    words: str = ""
    path: str = ""
    line: int = 0
    also: tuple[str, ...] = ()
    verdict: Verdict = Verdict.PASSED


Table = Mapping[str, Mapping[str, Row]]
_ORDER: list[Severity | None] = [Severity.INFO, Severity.WARNING, Severity.ERROR]


def parameters(table: Table) -> list[object]:
    """The rows of a table (check, then what is changed) for `pytest.mark.parametrize(("name", "row"), ...)`."""
    return [
        pytest.param(name, row, id=f"{name}: {changed}")
        for name, rows in table.items()
        for changed, row in rows.items()
    ]


def assert_row(root: Root, name: str, row: Row, among: Collection[str]) -> None:
    """The change makes this check, and none else of `among`, say what the row says."""
    root.good()
    row.change(root)
    report = root.report(*among)
    mine = [finding for finding in report.findings if finding.id == name]
    others = {finding.id for finding in report.findings} & set(among) - {name}
    assert others == set(row.also)
    if row.severity is None:
        assert mine == []
        assert {result.verdict for result in report.results if result.id == name} == {row.verdict}
        return
    assert [finding.severity for finding in mine] == [row.severity]
    finding = mine[0]
    assert row.words in finding.observed
    assert finding.expected
    assert shlex.split(finding.remedy, comments=True)  # a shell takes it
    assert "\n" not in finding.observed + finding.expected + finding.remedy
    assert (finding.path, finding.line) == (row.path, row.line)
    assert PASSWORD.decode().strip() not in repr(report)


def assert_complete(table: Table, *groups: Group) -> None:
    """Each check of the groups has rows that make it speak, up to its severity, and a neighbour that does not."""
    checks = {check.id: check for group in groups for check in group.checks}
    assert set(table) == set(checks)
    for name, rows in table.items():
        severities = {row.severity for row in rows.values()}
        assert None in severities, name
        assert max(severities - {None}, key=_ORDER.index) is checks[name].severity, name


def pretend(root: Root) -> subprocess.CompletedProcess[bytes]:
    """What the real msmtp makes of the root's msmtprc; no aliases, and a secret command that gives something."""
    options = ["--pretend", "--aliases=", "--passwordeval=echo x"]
    return subprocess.run(
        ["/usr/bin/msmtp", "-C", root.at(MSMTPRC), *options, "--", "x@acme.test"],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )


def account(*more: str, **changes: str | None) -> str:
    """The default account of a good host, one line a command; `changes` and `more` as for `Root.account`."""
    lines = {
        "host": "smtp.acme.test",
        "port": "587",
        "from": USER,
        "user": USER,
        "auth": "plain",
        "tls": "on",
        "timeout": "60",
        "logfile": LOG,
        "aliases": ALIASES,
        "passwordeval": f'"cat {SECRET}"',
        **changes,
    }
    settings = [f"{command} {value}".rstrip() for command, value in lines.items() if value is not None]
    return "\n".join(["account default", *settings, *more, ""])


def sent(ago: float = 3600.0, time_format: str = "%b %d %H:%M:%S") -> str:
    """A line of msmtp's log for a mail that the server took, `ago` seconds before now."""
    return _entry(
        ago, time_format, "mailsize=143 smtpstatus=250 smtpmsg='250 2.0.0 Ok: queued as 4B1D2F' exitcode=EX_OK"
    )


def failed(
    ago: float = 3600.0,
    time_format: str = "%b %d %H:%M:%S",
    *,
    status: str = "EX_NOPERM",
    message: str = "authentication failed (method PLAIN)",
    reply: str = "",
) -> str:
    """A line of msmtp's log for a mail that was not sent; `reply` is the server's, e.g. `535 5.7.8 Error`."""
    words = f"smtpstatus={reply[:3]} smtpmsg='{reply}' " if reply else ""
    return _entry(ago, time_format, f"{words}errormsg='{message}' exitcode={status}")


def _entry(ago: float, time_format: str, end: str) -> str:
    stamp = time.strftime(time_format, time.localtime(time.time() - ago))
    accounts = f"user={USER} from={USER} recipients={USER}"
    return f"{stamp} host=smtp.acme.test tls=on auth=on {accounts} {end}".lstrip()


def packages(installed: dict[str, str], *others: str) -> str:
    """dpkg's status file: these packages by name and version; `others` are removed, but not purged."""
    states = [(name, version, "install ok installed") for name, version in installed.items()]
    states += [(name, "1.8.28-1", "deinstall ok config-files") for name in others]
    return "".join(
        f"Package: {name}\nStatus: {state}\nPriority: optional\nSection: mail\nMaintainer: Nobody <nobody@acme.test>\n"
        f"Architecture: amd64\nVersion: {version}\nDescription: a package\n with a long description\n\n"
        for name, version, state in states
    )


@functools.cache
def good_authority() -> bytes:
    """The certificate (PEM) of an authority that is good for ten years."""
    return make_authority(days=3650)
