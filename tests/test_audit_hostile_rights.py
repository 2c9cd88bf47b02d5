"""What an audit may not read, what is mounted into an image, what may not be changed, and what moves meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from msmtp_agent.host import Host
from msmtp_agent.model import Verdict
from tests.support.hostile_roots import DEADLINE, PYTHON, audited, rich
from tests.support.roots import ALIASES, LOG, MSMTPRC, SECRET, Root
from tests.support.sandbox import PROJECT, Sandbox

NOBODY = 65534


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    """The effective user of this process, as far as files are concerned."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that everybody can get at: pytest's are root's alone."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_what_may_not_be_read_is_no_pass(public: Path) -> None:
    root = Root(public / "root").good()
    assert root.report().findings == ()  # and what the program imports, it has imported
    with as_user(NOBODY):
        report = audited(root)
    passed = [result.id for result in report.having(Verdict.PASSED)]
    hidden = ("secret-", "config-", "tls-", "elsewhere-", "delivery-")
    # The directories above the secret file can be seen by everybody.
    assert [name for name in passed if name.startswith(hidden) and name != "secret-directory"] == []
    unknown = {result.id for result in report.having(Verdict.CANNOT_TELL)}
    assert unknown >= {"secret-missing", "config-missing", "elsewhere-config", "elsewhere-log", "elsewhere-cloud"}


def test_of_a_root_that_may_not_be_entered_nothing_is_said(public: Path) -> None:
    root = Root(public / "root").good()
    assert root.report().findings == ()
    root.directory.chmod(0o700)
    begin = time.monotonic()
    with as_user(NOBODY):
        report = root.report()
    assert time.monotonic() - begin < DEADLINE
    assert (report.having(Verdict.PASSED), report.findings) == ((), ())


def test_a_file_that_may_not_be_read_in_a_place_that_is_searched(public: Path) -> None:
    """The secret is nobody's own here: what cannot be read of the rest is said."""
    root = Root(public / "root").good()
    root.rights(SECRET, 0o600, NOBODY).rights(MSMTPRC, 0o600, NOBODY)
    root.write("/etc/shut", "x" * 40, 0o640).mkdir("/etc/closed", 0o710).mkdir("/root", 0o755)
    assert root.result("elsewhere-config").verdict is Verdict.PASSED
    with as_user(NOBODY):
        result = root.result("elsewhere-config")
    assert result.verdict is Verdict.CANNOT_TELL
    assert "/etc/shut (Permission denied)" in result.why
    assert "/etc/closed (Permission denied)" in result.why


@pytest.mark.root
def test_other_file_systems_in_an_image(sandbox: Sandbox, tmp_path: Path) -> None:
    root = Root(tmp_path / "root").good()
    for name in ("/etc/memory", "/var/log/proc", "/var/lib/cloud/devices"):
        root.mkdir(name)
    at = root.at
    sandbox.shell(
        f"mount -t tmpfs tmpfs {at('/etc/memory')}; mount -t proc proc {at('/var/log/proc')}; "
        f"mount --rbind /dev {at('/var/lib/cloud/devices')}; cp {at(SECRET)} {at('/etc/memory/copy')}; "
        f"chmod 0644 {at('/etc/memory/copy')}"
    )
    done = sandbox.agent("audit", "--root", str(root.directory), "--format", "json", python=PYTHON, timeout=DEADLINE)
    found = json.loads(done.stdout)["roots"][0]
    assert {entry["id"]: entry["why"] for entry in found["cannot_tell"]} == {
        "elsewhere-cloud": "/var/lib/cloud: not searched: /var/lib/cloud/devices (another file system)",
        "elsewhere-config": "/etc: not searched: /etc/memory (another file system)",
        "elsewhere-log": "/var/log: not searched: /var/log/proc (another file system)",
    }
    assert done.returncode == 3


@pytest.mark.root
@pytest.mark.parametrize("source", ["/proc/kmsg", "/proc/1/mem", "/dev/zero", "/dev/ptmx", "/dev/kmsg"])
def test_a_file_of_the_kernel_mounted_over_a_file(sandbox: Sandbox, tmp_path: Path, source: str) -> None:
    root = rich(tmp_path / "root")
    for path in (SECRET, MSMTPRC, LOG, "/etc/crontab", "/etc/app.conf", "/var/log/app.log", "/var/lib/dpkg/status"):
        sandbox.shell(f"mount --bind {source} {root.at(path)}")
    done = sandbox.agent("audit", "--root", str(root.directory), "--format", "json", python=PYTHON, timeout=DEADLINE)
    assert done.returncode in (1, 3)
    assert "internal error" not in done.stdout
    assert "config-missing" in done.stdout


@pytest.mark.root
def test_files_that_nobody_may_change_are_read_as_any_other(tmp_path: Path) -> None:
    root = rich(tmp_path / "root")
    before = root.findings()
    fixed = [root.at(path) for path in (SECRET, MSMTPRC, ALIASES, "/etc/app.conf", "/etc")]
    subprocess.run(["chattr", "+i", *fixed], check=True, timeout=10)
    try:
        assert audited(root).findings == tuple(before)
    finally:
        subprocess.run(["chattr", "-i", *reversed(fixed)], check=True, timeout=10)


def test_what_vanishes_between_listing_and_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = rich(tmp_path / "root")
    before = [result for result in root.report().results if result.verdict is not Verdict.SKIPPED]
    plain = Host.names
    ghosts = ["ghost", "ghost.service", "ghost.conf", "msmtp-password.ghost", "msmtprc.ghost", "msmtp.log.2.gz"]

    def with_ghosts(self: Host, directory: str) -> list[str]:
        return sorted([*plain(self, directory), *ghosts])

    monkeypatch.setattr(Host, "names", with_ghosts)
    assert [result for result in audited(root).results if result.verdict is not Verdict.SKIPPED] == before


@pytest.mark.parametrize("kind", ["missing", "file", "FIFO", "link to itself"])
def test_a_root_that_is_no_directory_is_refused(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "root"
    if kind == "file":
        target.touch()
    elif kind == "FIFO":
        os.mkfifo(target)
    elif kind == "link to itself":
        target.symlink_to("root")
    done = subprocess.run(
        [PYTHON, "-m", "msmtp_agent", "audit", "--root", target],
        capture_output=True,
        check=False,
        timeout=DEADLINE,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 64
    assert b"is no directory" in done.stderr
