"""Images that mean harm: an audit of one ends soon, breaks nowhere, reads nothing outside of it, and writes nothing."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from msmtp_agent.checks import CATALOGUE
from msmtp_agent.model import Report, Verdict
from tests.support.hostile_roots import MARKER, ODD, listing, outside, paths_read, put, rich
from tests.support.roots import ALIASES, LOG, LOGROTATE, MSMTPRC, SECRET, Root

# Of one audit; it is to end within 2 s, and the machine that tests may be slow.
DEADLINE = 10.0
pytestmark = pytest.mark.timeout(300)


def audited(root: Root) -> Report:
    """The report, after what must hold for every root: it is whole and in time, and nothing has broken or changed."""
    before = listing(root.directory)
    begin = time.monotonic()
    report = root.report()
    assert time.monotonic() - begin < DEADLINE
    assert listing(root.directory) == before
    assert [result.id for result in report.results] == [check.id for check in CATALOGUE]
    assert [result for result in report.results if "internal error" in result.why] == []
    assert MARKER not in repr(report)
    return report


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return outside(tmp_path_factory.mktemp("outside") / "root")


def test_the_paths_that_are_read_are_known(tmp_path: Path) -> None:
    found = paths_read(rich(tmp_path / "root"))
    wanted = {SECRET, MSMTPRC, ALIASES, LOG, LOGROTATE, "/etc", "/etc/crontab", "/root/.msmtprc", "/etc/ssl/me.key"}
    wanted |= {"/var/log", "/var/lib/cloud", "/var/lib/dpkg/status", "/usr/sbin/sendmail", "/etc/apparmor.d"}
    assert wanted - set(found) == {"/etc/apparmor.d"}
    assert len(found) > 50


@pytest.mark.parametrize("kind", ODD)
def test_anything_may_stand_at_any_path_that_is_read(tmp_path: Path, other: Path, kind: str) -> None:
    for number, path in enumerate(paths_read(rich(tmp_path / "root"))):
        root = rich(tmp_path / str(number))
        put(root, path, ODD[kind], other)
        audited(root)
        shutil.rmtree(root.directory)
