"""What stands at a path, asked without being caught; programs that end when they must."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from msmtp_agent import files, interruption, process, readiness
from msmtp_agent.errors import CantCreateError, ConfigError, Interrupted, NotUsedError, TemporaryError
from msmtp_agent.host import Host
from msmtp_agent.loopback import is_loopback
from msmtp_agent.model import FileFacts, FileKind, WriteOutcome

RC = 'account default\nhost h.test\nfrom f@h.test\nuser u\nauth on\ntls on\npasswordeval "{}"\n'


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "etc").mkdir()
    return Host(str(tmp_path))


def test_every_kind_of_file_is_named_and_none_is_opened(host: Host, tmp_path: Path) -> None:
    directory = tmp_path / "etc"
    (directory / "regular").write_bytes(b"abc")
    (directory / "regular").chmod(0o640)
    (directory / "link").symlink_to("/nowhere")
    os.mkfifo(directory / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "socket"))
    listener.close()
    kinds = {
        name: host.inspect(f"/etc/{name}").kind
        for name in ("regular", "link", "fifo", "socket", "missing", "regular/x")
    }
    assert kinds == {
        "regular": FileKind.REGULAR,
        "link": FileKind.SYMLINK,
        "fifo": FileKind.FIFO,
        "socket": FileKind.SOCKET,
        "missing": FileKind.MISSING,
        "regular/x": FileKind.MISSING,
    }
    assert host.inspect("/etc").kind is FileKind.DIRECTORY
    facts, content = host.read("/etc/regular", 2)
    assert (content, facts.size, facts.mode, facts.links) == (b"ab", 3, 0o640, 1)
    assert host.read("/etc/regular", 9, offset=1)[1] == b"bc"
    assert host.inspect("/etc/link").target == "/nowhere"
    for name in ("link", "fifo", "socket", "missing"):
        assert host.read(f"/etc/{name}", 9)[1] == b""


def test_the_owner_of_a_file(fs: FakeFilesystem) -> None:
    """Owners can be faked without being root; modes are the real system's business (pyfakefs knows no O_PATH)."""
    fs.create_file("/etc/msmtprc", contents="x")
    os.chown("/etc/msmtprc", 33, 0)
    facts = Host().inspect("/etc/msmtprc")
    assert (facts.kind, facts.uid, facts.gid) == (FileKind.REGULAR, 33, 0)
    assert facts.rights.endswith(" 33:root")


def test_replace_says_what_it_did(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "etc/x"
    assert files.replace(host, "/etc/x", b"one", 0o600) is WriteOutcome.CREATED
    inode = path.stat().st_ino
    assert files.replace(host, "/etc/x", b"one", 0o600) is WriteOutcome.UNCHANGED
    assert path.stat().st_ino == inode
    assert files.replace(host, "/etc/x", b"on", 0o600) is WriteOutcome.REPLACED
    path.chmod(0o644)
    assert files.replace(host, "/etc/x", b"on", 0o600) is WriteOutcome.REPLACED
    assert (path.read_bytes(), path.stat().st_mode & 0o7777) == (b"on", 0o600)
    assert os.listdir(tmp_path / "etc") == ["x"]


def test_the_mode_does_not_depend_on_the_umask(host: Host, tmp_path: Path) -> None:
    before = os.umask(0o777)
    try:
        files.replace(host, "/etc/x", b"x", 0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "etc/x").stat().st_mode & 0o7777 == 0o644


def test_a_leftover_of_a_killed_run_is_removed(host: Host, tmp_path: Path) -> None:
    leftover = tmp_path / "etc/.x.msmtp-config"
    leftover.write_bytes(b"old candidate")
    files.replace(host, "/etc/x", b"x", 0o600)
    assert not leftover.exists()


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (FileFacts("/x", FileKind.SYMLINK, target="/y"), "/x: is a symbolic link to /y; expected a regular file"),
        (FileFacts("/x", FileKind.FIFO), "/x: is a FIFO; expected a regular file"),
        (FileFacts("/x", FileKind.REGULAR, links=2), "/x: has 2 hard links"),
    ],
)
def test_what_is_not_replaced(facts: FileFacts, words: str) -> None:
    with pytest.raises(CantCreateError) as caught:
        files.refuse_replacing(facts)
    assert caught.value.message.startswith(words)


# --- programs


@pytest.mark.programs
def test_a_program_gets_nothing_of_our_surroundings() -> None:
    os.environ["CANARY"] = "x"
    done = process.run(["/usr/bin/env"], timeout=10, home="/root")
    del os.environ["CANARY"]
    assert sorted(done.output.decode().split()) == ["HOME=/root", "LC_ALL=C", f"PATH={process.PATH}"]


@pytest.mark.programs
@pytest.mark.parametrize(
    "script",
    ["sleep 60", "sleep 60 & wait", "trap '' TERM INT HUP; while :; do :; done", "exec >&- 2>&-; sleep 60", "yes"],
)
def test_a_program_ends_at_its_deadline_with_all_that_it_started(script: str) -> None:
    begin = time.monotonic()
    done = process.run(["/bin/sh", "-c", script], timeout=0.3, home="/root")
    assert done.status is None
    assert time.monotonic() - begin < 10


def runs(pid: int) -> bool:
    """A program that nobody has reaped yet has ended all the same."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.programs
def test_a_grandchild_that_keeps_the_pipes_does_not_outlive_the_deadline() -> None:
    done = process.run(["/bin/sh", "-c", "sleep 60 & echo $!; exit 3"], timeout=0.5, home="/root")
    assert done.status == 3
    grandchild = int(done.output)
    deadline = time.monotonic() + 5
    while runs(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not runs(grandchild)


@pytest.mark.programs
def test_output_is_kept_up_to_a_bound_and_input_is_fed() -> None:
    flood = process.run(["/usr/bin/head", "-c", "10000000", "/dev/zero"], timeout=20, home="/root")
    assert (flood.status, len(flood.output)) == (0, process.KEPT)
    text = b"line\n" * 100_000
    assert process.run(["/usr/bin/wc", "-l"], timeout=20, home="/root", given=text).output.strip() == b"100000"
    assert process.run(["/bin/true"], timeout=20, home="/root", given=text).status == 0
    assert process.run(["/bin/sh", "-c", "kill -SEGV $$"], timeout=20, home="/root").status == -signal.SIGSEGV


@pytest.mark.programs
def test_a_program_that_cannot_be_started() -> None:
    with pytest.raises(TemporaryError, match="/nowhere"):
        process.run(["/nowhere"], timeout=1, home="/root")


@pytest.mark.programs
def test_a_signal_is_held_back_while_something_must_be_whole() -> None:
    script = (
        "import os, signal, sys\n"
        "from msmtp_agent import interruption\n"
        "from msmtp_agent.errors import Interrupted\n"
        "interruption.install()\n"
        "try:\n"
        "    with interruption.deferred():\n"
        "        with interruption.deferred():\n"
        "            os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('whole')\n"
        "    print('never')\n"
        "except Interrupted as signal: print(signal.code)\n"
    )
    environment = f"PYTHONPATH={Path(__file__).parent.parent}"
    done = process.run(["/usr/bin/env", environment, sys.executable, "-c", script], timeout=20, home="/root")
    assert done.output.split() == [b"whole", b"143"], done.errors


def test_an_interrupted_run_kills_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert issubclass(Interrupted, BaseException)
    assert not issubclass(Interrupted, Exception)
    monkeypatch.setattr(interruption._State, "raised", False)
    with pytest.raises(Interrupted) as caught:
        interruption._handle(signal.SIGINT, None)
    assert caught.value.code == 130
    assert threading.current_thread() is threading.main_thread()


# --- readiness


@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/msmtp-password",
        "/bin/cat /etc/msmtp-password",
        "/usr/bin/cat -- /etc/msmtp-password",
        "cat < /etc/msmtp-password",
        "cat '/etc/msmtp-password'",
        "head -n 1 /etc/msmtp-password",
        "head -n1 /etc/msmtp-password",
        "head -1 /etc/msmtp-password",
    ],
)
def test_commands_that_print_the_secret_file(command: str) -> None:
    account = readiness.find_account(RC.format(command).encode(), "/root/.msmtprc", b"")
    readiness.require_secret_file(account)
    assert readiness.reads_secret_file(account)


@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/msmtp-password2",
        "cat /etc/msmtp-password; true",
        "cat $(echo /etc/msmtp-password)",
        "cat /etc/motd /etc/msmtp-password",
        "head -n 2 /etc/msmtp-password",
        "tail /etc/msmtp-password",
        "gpg -d /etc/msmtp-password",
        "/tmp/cat /etc/msmtp-password",
        "cat '",
        "/etc/msmtp-password",
    ],
)
def test_commands_that_may_not(command: str) -> None:
    account = readiness.find_account(RC.format(command).encode(), "/root/.msmtprc", b"")
    with pytest.raises(NotUsedError, match="line 7"):
        readiness.require_secret_file(account)


@pytest.mark.parametrize("name", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "LOCALHOST."])
def test_loopback_by_its_very_name(name: str) -> None:
    assert is_loopback(name)


@pytest.mark.parametrize("name", ["127.0.0.1.example.test", "128.0.0.1", "localhost.example.test", "", "0x7f000001"])
def test_not_loopback(name: str) -> None:
    assert not is_loopback(name)


@pytest.mark.parametrize("missing", ["host", "from", "user"])
def test_an_account_without_something(missing: str) -> None:
    content = "\n".join(line for line in RC.format("x").split("\n") if not line.startswith(missing))
    with pytest.raises(ConfigError, match=f"line 1.*no `{missing}`"):
        readiness.find_account(content.encode(), "/root/.msmtprc", b"")
