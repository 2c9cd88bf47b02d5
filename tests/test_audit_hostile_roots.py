"""Images that mean harm: an audit of one ends soon, breaks nowhere, reads nothing outside of it, and writes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from msmtp_agent import host as host_room
from msmtp_agent.checks import CATALOGUE
from msmtp_agent.host import Host
from msmtp_agent.model import Report, Verdict
from tests.support import tracing
from tests.support.hostile_roots import MARKER, ODD, listing, outside, paths_read, put, rich
from tests.support.roots import ALIASES, LOG, LOGROTATE, MSMTPRC, PASSWORD, SECRET, Root
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.view import SYSTEM_PATH

# Of one audit: it is to end within 2 s, and the machine that tests may be slow.
DEADLINE = 10.0
VALUE = PASSWORD.strip().decode()
NOBODY = 65534
PYTHON = "/usr/bin/python3"  # of the installed package
# What an audit may open outside the root: the program, its interpreter, and what every program of a locale opens.
OWN = re.compile(
    rf"{re.escape(str(PROJECT))}(/|$)|/(usr/)?lib/(python3[^/]*|locale|[^/]+-linux-gnu)(/|$)|/usr/local/lib/python3"
    r"|/usr/share/(zoneinfo|locale)/|/etc/(ld\.so\.cache|locale\.alias|localtime)$|/proc/self/fd"
)
pytestmark = pytest.mark.timeout(300)


def audited(root: Root, *, seconds: float = DEADLINE) -> Report:
    """The report, after what must hold for every root: it is whole and in time, and nothing has broken or changed."""
    before = listing(root.directory)
    begin = time.monotonic()
    report = root.report()
    assert time.monotonic() - begin < seconds
    assert listing(root.directory) == before
    assert [result.id for result in report.results] == [check.id for check in CATALOGUE]
    assert [result for result in report.results if "internal error" in result.why] == []
    assert MARKER not in repr(report)
    assert VALUE not in repr(report)
    return report


def run(*roots: Root, form: str = "json", before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    """The command itself, by the deadline."""
    words = [word for root in roots for word in ("--root", str(root.directory))]
    return subprocess.run(
        [*before, PYTHON, "-m", "msmtp_agent", "audit", "--format", form, *words],
        capture_output=True,
        check=False,
        timeout=2 * DEADLINE,
        stdin=subprocess.DEVNULL,
        cwd=PROJECT,
        env={
            "PATH": SYSTEM_PATH,
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(PROJECT),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )


def document(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    assert done.returncode in (0, 1, 3), done.stderr
    assert done.stderr == b""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


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
    for number, path in enumerate(paths_read(rich(tmp_path / "root"))):
        root = rich(tmp_path / str(number))
        put(root, path, ODD[kind], other)
        audited(root)
        shutil.rmtree(root.directory)


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
    audited(root)


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


# --- rights, mounts, attributes, and what moves


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
@pytest.mark.parametrize("source", ["/proc/kmsg", "/proc/kcore", "/proc/1/mem", "/dev/zero", "/dev/ptmx", "/dev/kmsg"])
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
