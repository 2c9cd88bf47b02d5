"""Images that mean harm: an audit of one ends soon, breaks nowhere, reads nothing outside of it, and writes nothing."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from msmtp_agent import host as host_room
from msmtp_agent.host import Host
from msmtp_agent.model import Verdict
from tests.support import tracing
from tests.support.hostile_roots import (
    DEADLINE,
    MARKER,
    ODD,
    audited,
    document,
    instead,
    listing,
    outside,
    paths_read,
    put,
    rich,
    run,
)
from tests.support.roots import ALIASES, LOG, LOGROTATE, MSMTPRC, PASSWORD, SECRET, Root
from tests.support.sandbox import PROJECT

# What an audit may open outside the root: the program, its interpreter, and what every program of a locale opens.
OWN = re.compile(
    rf"{re.escape(str(PROJECT))}(/|$)|/(usr/)?lib/(python3[^/]*|locale|[^/]+-linux-gnu)(/|$)|/usr/local/lib/python3"
    r"|/usr/share/(zoneinfo|locale)/|/etc/(ld\.so\.cache|locale\.alias|localtime)$|/proc/self/fd"
)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return outside(tmp_path_factory.mktemp("beside") / "root")


# --- anything, anywhere


def test_the_paths_that_are_read_are_known(tmp_path: Path) -> None:
    found = set(paths_read(rich(tmp_path / "root")))
    assert found >= {SECRET, MSMTPRC, ALIASES, LOG, LOGROTATE, "/etc", "/etc/crontab", "/root/.msmtprc"}
    assert found >= {"/var/log", "/var/lib/cloud", "/var/lib/dpkg/status", "/usr/sbin/sendmail", "/etc/ssl/me.key"}
    assert found >= {"/etc/systemd/system/mail.service", "/etc/cron.d/job", f"{LOG}.1", f"{SECRET}.bak"}
    assert found >= {"/etc/apparmor.d/usr.bin.msmtp", "/usr/local/sbin/msmtp-config"}


def test_the_marker_would_show(other: Path) -> None:
    assert MARKER in repr(Root(other).report())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ODD)
def test_anything_may_stand_at_any_path_that_is_read(tmp_path: Path, other: Path, kind: str) -> None:
    root = rich(tmp_path / "root")
    plain = root.findings()
    for path in paths_read(root):
        with instead(root, path, ODD[kind], other):
            audited(root)
    assert root.findings() == plain


@pytest.mark.parametrize(
    "kind", ["garbage", "FIFO", "zero", "terabyte with an end", "absolute link out", "loop of links"]
)
@pytest.mark.parametrize("with_a_secret", [True, False])
def test_everything_may_be_odd_at_once(tmp_path: Path, other: Path, kind: str, with_a_secret: bool) -> None:
    root = rich(tmp_path / "root")
    files = [path for path in paths_read(root) if root.at(path).is_file() or not root.at(path).exists()]
    for path in files:
        if not (with_a_secret and path in (SECRET, MSMTPRC)):
            put(root, path, ODD[kind], other)
    report = audited(root)
    assert report.findings or report.having(Verdict.CANNOT_TELL)


@pytest.mark.parametrize(
    "directory", ["/etc", "/var", "/var/log", "/var/lib", "/root", "/usr", "/etc/cron.d", "/usr/bin"]
)
@pytest.mark.parametrize("kind", ["absolute link out", "link up and out", "link to itself", "FIFO", "zero", "garbage"])
def test_a_directory_above_the_files_may_be_anything(tmp_path: Path, other: Path, directory: str, kind: str) -> None:
    root = rich(tmp_path / "root")
    put(root, directory, ODD[kind], other)
    report = audited(root)
    if directory == "/etc":
        assert "secret-mode" not in {result.id for result in report.having(Verdict.PASSED)}


# --- nothing outside the root is read


@pytest.mark.root
@pytest.mark.parametrize("kind", ["absolute link out", "link up and out"])
def test_every_file_that_is_opened_lies_below_the_root(tmp_path: Path, other: Path, kind: str) -> None:
    roots = []
    for name, kept in {"all": (), "files": (MSMTPRC,), "etc": ()}.items():
        roots.append(root := rich(tmp_path / name))
        for path in ["/etc"] if name == "etc" else paths_read(root):
            if path not in kept and (name != "files" or root.at(path).is_file()):
                put(root, path, ODD[kind], other)
    done = run(*roots, before=tuple(tracing.strace_bytes(tmp_path / "trace")))
    assert document(done)["summary"]
    opened = set().union(*tracing.watch(tmp_path / "trace", tracing.Canary(MARKER.encode())).opened.values())
    below = {path for path in opened if path.startswith(tuple(f"{root.directory}" for root in roots))}
    assert {path for path in opened - below if not OWN.match(path)} == set()
    assert len(below) > 20
    assert MARKER.encode() not in done.stdout


@pytest.mark.root
def test_no_program_is_started_and_no_file_is_opened_for_writing(tmp_path: Path) -> None:
    root = rich(tmp_path / "root")
    before = listing(root.directory)
    assert document(run(root, before=tuple(tracing.strace(tmp_path / "trace", "-f"))))["summary"]["error"] > 0
    calls = tracing.parse(tmp_path / "trace").calls
    starts = [str(call) for call in calls if call.name in ("fork", "vfork", "clone", "clone3", "execve")]
    assert len(starts) == 1, starts  # the interpreter's own
    writing = re.compile("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
    assert [str(call) for call in calls if call.name.startswith("open") and writing.search(call.arguments)] == []
    assert listing(root.directory) == before


# --- much of something


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is one: to make 100,000 files takes a disk longer than all else."""
    name = tempfile.mkdtemp(dir="/dev/shm" if os.path.ismount("/dev/shm") else tmp_path)
    os.chmod(name, 0o755)
    yield Path(name)
    # Python's own removal is recursive.
    subprocess.run(["rm", "-rf", name], check=True, timeout=120)


def touch_many(directory: Path, names: Iterable[str], content: bytes = b"") -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    for name in names:
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=descriptor)
        if content:
            os.write(file, content)
        os.close(file)
    os.close(descriptor)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"a text that is long enough to be searched\n"])
def test_a_hundred_thousand_files_in_etc(quick: Path, content: bytes) -> None:
    root = Root(quick / "root").good()
    touch_many(root.at("/etc"), (f"file-{number}" for number in range(100_000)), content)
    begin = time.monotonic()
    report = root.report()
    assert time.monotonic() - begin < DEADLINE
    assert report.findings == ()
    # Empty files need not be opened, but the time for them may run out.
    unknown = {result.id for result in report.having(Verdict.CANNOT_TELL)}
    assert unknown == {"elsewhere-config"} if content else unknown <= {"elsewhere-config"}


@pytest.mark.slow
def test_many_files_in_every_directory_that_is_listed(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = rich(quick / "root")
    listed: set[str] = set()
    plain = Host.names

    def names_and_note(self: Host, directory: str) -> list[str]:
        listed.add(directory)
        return plain(self, directory)

    with monkeypatch.context() as patch:
        patch.setattr(Host, "names", names_and_note)
        root.report()
    assert listed >= {"/etc", "/etc/cron.d", "/etc/systemd/system", "/var/spool/cron/crontabs", "/var/log"}
    content = b"ExecStart=/usr/sbin/sendmail root\n1 * * * * daemon /bin/true\n"
    for directory in listed:
        root.at(directory).mkdir(parents=True, exist_ok=True)
        names = (f"mail{number}{('', '.service', '.conf', '-', '~')[number % 5]}" for number in range(5000))
        touch_many(root.at(directory), names, content)
    audited(root)


def test_a_directory_that_is_not_listed_to_its_end_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Root(tmp_path / "root").good()
    assert root.result("stray-secret").verdict is Verdict.PASSED
    monkeypatch.setattr(host_room, "_MOST_NAMES", 3)
    assert root.result("stray-secret").verdict is Verdict.CANNOT_TELL


TOPS = {
    "/etc": "config",
    "/etc/cron.d": "config",
    "/etc/apparmor.d": "config",
    "/etc/systemd/system": "config",
    "/var/log": "log",
    "/var/lib/cloud": "cloud",
    "/root": "",
}


def test_directories_five_thousand_deep(quick: Path) -> None:
    chain = quick / "chain"
    chain.mkdir()
    descriptor = os.open(chain, os.O_RDONLY)
    for _ in range(5000):
        os.mkdir("deeper", dir_fd=descriptor)
        below = os.open("deeper", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    root = Root(quick / "root").good()
    for top, place in TOPS.items():
        root.at(top).mkdir(parents=True, exist_ok=True)
        chain = chain.rename(root.at(f"{top}/deep"))
        begin = time.monotonic()
        report = root.report()
        assert time.monotonic() - begin < DEADLINE, top
        unknown = {result.id: result.why for result in report.having(Verdict.CANNOT_TELL)}
        assert list(unknown) == [f"elsewhere-{place}"] * bool(place), top
        assert not place or "more than 64 directories deep" in unknown[f"elsewhere-{place}"], top


def test_a_path_through_ten_thousand_links(quick: Path) -> None:
    root = rich(quick / "root")
    for number in range(10_000):
        os.symlink(f"link{number + 1}", root.at(f"/etc/link{number}"))
    root.link(MSMTPRC, "link0").link(SECRET, "/etc/link1").link(LOG, "../../etc/link2")
    assert "config-type" in {finding.id for finding in audited(root).findings}


# --- names


NAMES = (
    "new\nline",
    "\x1b]0;title\x07\x1b[2J",
    "\udcff\udcfe",
    "'; reboot #",
    "$(reboot)",
    "-rf",
    "\u202egnp.\u00a0",
    "a" * 255,
)


def test_names_of_any_bytes(tmp_path: Path) -> None:
    root = rich(tmp_path / "root")
    places = ("/etc", "/etc/cron.d", "/etc/systemd/system", "/etc/logrotate.d", "/var/log", "/var/lib/cloud", "/root")
    for name in NAMES:
        for place in (*places, "/var/spool/cron/crontabs", "/etc/apparmor.d/local"):
            root.write(f"{place}/{name}", PASSWORD, 0o644)
        short = name[:100]
        root.write(f"{SECRET}.{short}", PASSWORD, 0o644).write(f"{LOG}.{short}", "x")
        root.write(f"/etc/systemd/system/{short}.service", "[Service]\nUser=daemon\nExecStart=/usr/sbin/sendmail x\n")
        root.mkdir(f"/etc/{short}.d").write(f"/etc/{short}.d/{short}", PASSWORD, 0o644)
    report = audited(root)
    assert {finding.path for finding in report.findings} >= {f"{SECRET}.{name[:100]}" for name in NAMES}
    text = run(root, form="text")
    assert text.returncode == 1
    assert text.stderr == b""
    printable = text.stdout.decode("utf-8")
    assert [letter for letter in printable if not letter.isprintable() and letter != "\n"] == []
    found = document(run(root))
    paths = {finding["path"] for finding in found["roots"][0]["findings"]}
    # A byte that is not UTF-8 is shown as text, so that every program can read the document.
    assert paths == {finding.path.encode("utf-8", "backslashreplace").decode() for finding in report.findings}
    for form in ("nagios", "prometheus"):
        assert run(root, form=form).stderr == b""
