"""Owners and modes of the secret file and of msmtprc, all of them: judged by who could read or write the file.

On a file system in memory (pyfakefs), where nobody has to be root to give a file away.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from msmtp_agent.audit import judge
from msmtp_agent.checks import CATALOGUE
from msmtp_agent.facts import Facts
from msmtp_agent.host import MSMTPRC, SECRET, Host
from msmtp_agent.model import FileFacts, FileKind, Finding, Severity
from msmtp_agent.survey import configuration, secret_file
from tests.support.roots import PASSWORD, account

RIGHTS = {
    check.id
    for check in CATALOGUE
    if check.id.startswith(("secret-", "config-")) and check.id.endswith(("owner", "mode"))
}
READ, WRITE = 4, 2
NOBODY, MAILER = 65534, 33


class FakeHost(Host):
    """A host that asks by path: pyfakefs knows neither O_PATH nor /proc, through which the real one asks."""

    def inspect(self, path: str, *, follow: bool = False) -> FileFacts:
        try:
            found = os.stat(path, follow_symlinks=follow)
        except FileNotFoundError:
            return FileFacts(path, FileKind.MISSING)
        kind = FileKind.DIRECTORY if os.path.isdir(path) else FileKind.REGULAR
        return FileFacts(path, kind, found.st_uid, found.st_gid, found.st_mode & 0o7777, found.st_nlink, found.st_size)

    def read(self, path: str, limit: int, *, offset: int = 0, follow: bool = False) -> tuple[FileFacts, bytes]:
        assert not offset
        facts = self.inspect(path, follow=follow)
        content = {SECRET: PASSWORD, MSMTPRC: account().encode()}.get(path, b"")
        return facts, content[:limit]

    def acl(self, path: str) -> tuple[str, ...]:
        assert path in (SECRET, MSMTPRC)
        return ()


class Somebody(NamedTuple):
    uid: int
    gid: int

    def may(self, want: int, file: FileFacts) -> bool:
        """The kernel's rule for a user without privileges (path_resolution(7))."""
        shift = 6 if file.uid == self.uid else 3 if file.gid == self.gid else 0
        return bool(file.mode >> shift & want)

    def could_ever(self, want: int, file: FileFacts) -> bool:
        """An owner can change the mode first."""
        return file.uid == self.uid or self.may(want, file)


STRANGERS = [Somebody(MAILER, MAILER), Somebody(1000, 0), Somebody(NOBODY, NOBODY), Somebody(1000, 105)]


def findings(fs: FakeFilesystem, path: str, uid: int, gid: int, mode: int) -> tuple[FileFacts, list[Finding]]:
    """What is found about the rights of the file at `path`; the other one is as it should be."""
    host = FakeHost()
    for name in (SECRET, MSMTPRC):
        if not fs.exists(name):
            fs.create_file(name, st_mode=0o100600)
        os.chown(name, 0, 0)
        os.chmod(name, 0o600)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    facts = Facts("/", now=0.0, secret=secret_file.gather(host), configuration=configuration.gather(host))
    return host.inspect(path), [finding for result in judge(facts, RIGHTS) for finding in result.findings]


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (0, 105), (MAILER, 0), (MAILER, MAILER), (NOBODY, NOBODY)])
def test_whoever_else_can_read_the_secret_is_an_error(fs: FakeFilesystem, uid: int, gid: int) -> None:
    for mode in range(0o1000):
        file, found = findings(fs, SECRET, uid, gid, mode)
        exposed = any(somebody.could_ever(want, file) for somebody in STRANGERS for want in (READ, WRITE))
        errors = [finding for finding in found if finding.severity is Severity.ERROR]
        if exposed:
            assert errors, file.rights
        else:
            assert not errors or mode & 0o011, file.rights  # a bit that lets nobody in is a mistake all the same
        assert all(finding.path == SECRET and finding.observed == f"is {file.rights}" for finding in found)


@pytest.mark.parametrize(("uid", "gid"), [(0, 0), (0, 105), (MAILER, 0), (MAILER, MAILER), (NOBODY, NOBODY)])
def test_whoever_else_can_change_the_configuration_is_an_error(fs: FakeFilesystem, uid: int, gid: int) -> None:
    for mode in range(0o1000):
        file, found = findings(fs, MSMTPRC, uid, gid, mode)
        changed = any(somebody.could_ever(WRITE, file) for somebody in STRANGERS)
        shown = any(somebody.could_ever(READ, file) for somebody in STRANGERS)
        severities = {finding.severity for finding in found}
        assert (Severity.ERROR in severities) is changed, file.rights
        if shown and not changed:
            assert Severity.WARNING in severities, file.rights
        assert all(finding.path == MSMTPRC and finding.observed == f"is {file.rights}" for finding in found)


@pytest.mark.parametrize("path", [SECRET, MSMTPRC])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_what_is_roots_alone_is_as_it_should_be(fs: FakeFilesystem, path: str, mode: int) -> None:
    assert findings(fs, path, 0, 0, mode)[1] == []
