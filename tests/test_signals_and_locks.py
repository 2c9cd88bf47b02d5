"""Two runs at once, and a run that is told to stop: at every stage, and in the middle of what it does."""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import signal
import stat
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.account import ALIASES, MSMTPRC, SECRET, account
from tests.support.hostile import Hostile, Stage
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd
from tests.support.tracing import Trace, parse, strace
from tests.support.view import Completed

pytestmark = pytest.mark.root

TEMPORARY = "/etc/.msmtp-password.msmtp-config"
LOCK = "/run/msmtp-config"
OLD = b"the old secret\n"
NEW = b"the new secret\n"
DEADLINE = 15.0
PYTHON = "/usr/bin/python3"
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path) as view:
        view.write(SECRET, OLD)
        yield view


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(accept_any=True, cert=pki.certificate(), key=pki.key()) as smtpd:
        yield smtpd


def wire(box: Sandbox, pki: Pki, port: int) -> None:
    """An account that is ready but for its password."""
    box.write(MSMTPRC, account(port, pki.ca_file, auth="plain"))
    box.write("/etc/aliases", ALIASES, mode=0o644)


@contextlib.contextmanager
def hanging(box: Sandbox, pki: Pki, stage: Stage) -> Iterator[Hostile]:
    """An account at a server that falls silent at this stage."""
    with Hostile(stage, "hang", cert=pki.certificate(), key=pki.key()) as server:
        wire(box, pki, server.port)
        yield server


def start(box: Sandbox, *options: str, secret: bytes | None = NEW) -> subprocess.Popen[bytes]:
    """Start the main job; without a secret it is left waiting for one."""
    process = box.popen(box.agent_argv("--password-stdin", *options, python=PYTHON))
    assert process.stdin is not None
    if secret is not None:
        process.stdin.write(secret)
        process.stdin.close()
        process.stdin = None
    return process


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out.decode(), err.decode()


def secret(box: Sandbox) -> bytes:
    """The bytes of the secret file, which is whole, and root's alone; nothing lies beside it."""
    facts = box.stat(SECRET)
    assert stat.S_ISREG(facts.st_mode)
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o600, 0, 0)
    assert not box.exists(TEMPORARY)
    return box.read(SECRET)


def assert_alone(box: Sandbox) -> None:
    """No program of the run is left. What was killed may need a moment to be gone; an orphan of ours would stay."""
    wait_until(lambda: not box.leftovers(), "a program is left behind")


# --- two runs at once


def test_second_run_ends_at_once(box: Sandbox, pki: Pki) -> None:
    with hanging(box, pki, "auth") as server:
        first = start(box)
        wait_until(lambda: "auth" in server.reached, "the first run never came to the probe")
        second = box.agent("--password-stdin", stdin=b"another\n", timeout=DEADLINE, python=PYTHON)
        assert second.returncode == 75
        assert second.seconds < 5
        assert second.stderr.splitlines()[0] == f"msmtp-config: {LOCK}/lock: another msmtp-config is running"
        assert second.stderr.splitlines()[1].startswith("  fix: ")
        assert second.stdout.startswith("failed  host")
        assert first.poll() is None
        first.send_signal(signal.SIGTERM)
        assert finish(first)[0] == 143
    assert secret(box) == OLD


def test_second_run_under_json(box: Sandbox, pki: Pki) -> None:
    with hanging(box, pki, "auth") as server:
        first = start(box)
        wait_until(lambda: "auth" in server.reached, "the first run never came to the probe")
        second = box.agent("--password-stdin", "--json", stdin=b"another\n", timeout=DEADLINE, python=PYTHON)
        report = json.loads(second.stdout)
        assert (second.returncode, report["error"]["code"], report["changed"]) == (75, 75, False)
        first.send_signal(signal.SIGTERM)
        finish(first)


def test_many_runs_at_once(box: Sandbox, pki: Pki, server: Smtpd) -> None:
    wire(box, pki, server.port)
    secrets = [b"secret number %d, and no other\n" % number * 20 for number in range(6)]
    secrets = [content.replace(b"\n", b" ").strip() + b"\n" for content in secrets]
    runs = [start(box, "--no-mail", secret=content) for content in secrets]
    ended = [finish(run) for run in runs]
    assert {code for code, _, _ in ended} <= {0, 75}, ended
    winners = [content for content, (code, _, _) in zip(secrets, ended, strict=True) if code == 0]
    assert winners
    assert secret(box) in winners
    for code, _, err in ended:
        assert bool(code) == ("another msmtp-config is running" in err)
    assert_alone(box)


def test_lock_ends_with_its_holder(box: Sandbox, pki: Pki) -> None:
    """Even killed, and with an msmtp left behind that has inherited nothing of it."""
    with hanging(box, pki, "auth") as server:
        first = start(box)
        wait_until(lambda: "auth" in server.reached, "the first run never came to the probe")
        first.kill()
        first.wait(DEADLINE)
        assert any("msmtp" in line for line in box.leftovers().values())
        done = box.agent("--password-stdin", "--offline", stdin=NEW, timeout=DEADLINE, python=PYTHON)
        assert done.returncode == 0, done.stderr
    assert secret(box) == NEW


# --- the lock and other users


def test_nobody_else_can_hold_the_lock(box: Sandbox, pki: Pki) -> None:
    wire(box, pki, 9)
    assert box.agent("--password-stdin", "--offline", stdin=NEW, python=PYTHON).returncode == 0
    directory, file = box.stat(LOCK), box.stat(f"{LOCK}/lock")
    assert (stat.S_IMODE(directory.st_mode), directory.st_uid) == (0o700, 0)
    assert (stat.S_IMODE(file.st_mode), file.st_uid) == (0o600, 0)
    for argv in (["ls", LOCK], ["flock", "-n", LOCK, "true"], ["flock", "-n", f"{LOCK}/lock", "true"]):
        done = box.run(argv, uid=65534, timeout=DEADLINE)
        assert done.returncode != 0
        assert "Permission denied" in done.stderr


PREPARED = {
    "of another user": ("mkdir -m 0700 $D; chown 65534 $D", "is 0700 and owned by user 65534; expected"),
    "open to all": ("mkdir -m 0777 $D", "is 0777 and owned by user 0; expected"),
    "open to read": ("mkdir -m 0755 $D", "is 0755 and owned by user 0; expected"),
    "link": ("mkdir -m 0700 /run/other; ln -s /run/other $D", ""),
    "dangling link": ("ln -s /run/other $D", ""),
    "file": ("install -m 0600 /dev/null $D", ""),
    "FIFO": ("mkfifo -m 0600 $D", ""),
    "link in it": ("mkdir -m 0700 $D; ln -s /etc/victim $D/lock", ""),
    "directory in it": ("mkdir -m 0700 $D $D/lock", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", PREPARED)
def test_prepared_lock_is_refused(box: Sandbox, pki: Pki, kind: str) -> None:
    script, words = PREPARED[kind]
    wire(box, pki, 9)
    box.shell(f"D={LOCK}; {script}")
    done = box.agent("--password-stdin", "--offline", stdin=NEW, timeout=DEADLINE, python=PYTHON)
    assert_no_lock(box, done, words)
    assert not box.exists("/etc/victim")
    assert not box.exists("/run/other/lock")
    # What the message says to do helps.
    box.shell(done.stderr.splitlines()[1].removeprefix("  fix: "))
    assert box.agent("--password-stdin", "--offline", stdin=NEW, timeout=DEADLINE, python=PYTHON).returncode == 0


def assert_no_lock(box: Sandbox, done: Completed, words: str) -> None:
    assert done.returncode == 73, done.stderr
    first, second = done.stderr.splitlines()
    assert first.startswith(f"msmtp-config: {LOCK}: {words}"), first
    assert second.startswith("  fix: ")
    assert done.stdout == f"failed  host      {first.removeprefix('msmtp-config: ')}\n"
    assert secret(box) == OLD


def test_run_directory_that_is_read_only(box: Sandbox, pki: Pki) -> None:
    wire(box, pki, 9)
    box.shell("mount -n -o remount,ro /run")
    done = box.agent("--password-stdin", "--offline", stdin=NEW, timeout=DEADLINE, python=PYTHON)
    assert_no_lock(box, done, "cannot hold the lock: Read-only file system")


# --- signals while a stage is held up


# The arguments of the msmtp that is to stand still, as a pattern of the shell's.
HELD_UP = {"host": "--version", "pretend": "--pretend*", "deliver": "'-- root'"}


def slow_msmtp(box: Sandbox, pattern: str) -> None:
    """An msmtp that stands still, with a child of its own, when it is given these arguments."""
    box.shell("cp -p /usr/bin/msmtp /run/msmtp")
    script = f'#!/bin/sh\ncase $* in {pattern}) sleep 1000; exit;; esac\nexec /run/msmtp "$@"\n'
    box.write("/run/slow", script, mode=0o755)
    box.shell("mount -n --bind /run/slow /usr/bin/msmtp")


def has_read_its_input(process: subprocess.Popen[bytes]) -> bool:
    """Whether nothing is left of what was written to its standard input: it waits there for more."""
    assert process.stdin is not None
    unread = array.array("i", [0])
    fcntl.ioctl(process.stdin, termios.FIONREAD, unread)
    return unread[0] == 0


@contextlib.contextmanager
def held(box: Sandbox, pki: Pki, stage: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has come to this stage and cannot go on."""
    with contextlib.ExitStack() as stack:
        if stage == "probe":
            hostile = stack.enter_context(hanging(box, pki, "auth"))
            process = start(box)
            wait_until(lambda: "auth" in hostile.reached, "never came to the probe")
        elif stage == "secret":
            wire(box, pki, 9)
            process = start(box, secret=None)
            assert process.stdin is not None
            process.stdin.write(b"the beginning of a secret")
            process.stdin.flush()
            wait_until(lambda: has_read_its_input(process), "never read its standard input")
        else:
            smtpd = stack.enter_context(Smtpd(accept_any=True, cert=pki.certificate(), key=pki.key()))
            wire(box, pki, smtpd.port)
            slow_msmtp(box, HELD_UP[stage])
            process = start(box)
            wait_until(lambda: any("sleep" in line for line in box.leftovers().values()), f"never came to {stage}")
        yield process


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("stage", ["host", "secret", "pretend", "probe", "deliver"])
def test_signal_at_a_stage(box: Sandbox, pki: Pki, stage: str, number: signal.Signals) -> None:
    with held(box, pki, stage) as process:
        process.send_signal(number)
        code, out, err = finish(process)
        assert_alone(box)
    assert code == 128 + number
    assert err == "msmtp-config: interrupted\n"
    assert out.splitlines()[-1].split(maxsplit=2) == ["failed", stage, "interrupted"]
    assert secret(box) == (NEW if stage == "deliver" else OLD)


def test_signal_under_json(box: Sandbox, pki: Pki) -> None:
    with hanging(box, pki, "auth") as server:
        process = start(box, "--json")
        wait_until(lambda: "auth" in server.reached, "never came to the probe")
        process.send_signal(signal.SIGTERM)
        code, out, err = finish(process)
    report = json.loads(out)
    assert (code, report["error"]["code"], report["changed"], err) == (143, 143, False, "")
    assert next(entry for entry in report["stages"] if entry["stage"] == "probe")["seen"] == "interrupted"


@pytest.mark.parametrize("stage", ["secret", "probe", "deliver"])
def test_many_signals(box: Sandbox, pki: Pki, stage: str) -> None:
    """An impatient person, or a session that ends: all that follow the first one change nothing."""
    with held(box, pki, stage) as process:
        process.send_signal(signal.SIGSTOP)
        for number in SIGNALS:
            process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # all four at once
        for number in SIGNALS * 10:
            process.send_signal(number)
        code, _, err = finish(process)
        assert_alone(box)
    assert code in {128 + number for number in SIGNALS}
    assert err == "msmtp-config: interrupted\n"
    assert secret(box) == (NEW if stage == "deliver" else OLD)


@pytest.mark.slow
def test_hangup_that_was_ignored_stays_ignored(box: Sandbox, pki: Pki) -> None:
    with hanging(box, pki, "auth") as server:
        argv = ["nohup", *box.agent_argv("--password-stdin", "--timeout", "3", python=PYTHON)]
        process = box.popen(argv, stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(NEW)
        process.stdin.close()
        process.stdin = None
        wait_until(lambda: "auth" in server.reached, "never came to the probe")
        process.send_signal(signal.SIGHUP)
        assert finish(process)[0] == 75


# --- signals in the middle of what it does


def handled(trace: Trace) -> tuple[int, int]:
    """From which call on a signal ends the run in order, and from which on it is ignored: the last words are due."""
    texts = {index: call.arguments for index, call in enumerate(trace.calls) if call.name == "rt_sigaction"}
    begin = max(index for index, text in texts.items() if text.startswith("SIGTERM, {sa_handler=0x"))
    ignored = [index for index, text in texts.items() if index > begin and "{sa_handler=SIG_IGN" in text[:30]]
    return begin, min(ignored, default=len(trace.calls))


def points(trace: Trace, count: int, skip: int) -> list[str]:
    """Calls spread evenly over that part of the run: strace's NAME and `when=`."""
    begin, end = handled(trace)
    part = (end - begin - 5) / count
    indices = [begin + 4 + int(part * (step + skip / len(SIGNALS))) for step in range(count)]
    return [f"{trace.calls[index].name}:when={trace.ordinal(index)}" for index in indices]


def traced(box: Sandbox, output: Path, *options: str, fault: str = "") -> tuple[Completed, Trace]:
    box.write(SECRET, OLD)
    name, _, rest = fault.partition(":")
    inject = ["-e", f"inject={name}:{rest}"] if fault else []
    argv = [*strace(output, *inject), *box.agent_argv("--password-stdin", "--json", *options, python=PYTHON)]
    done = box.run(argv, stdin=NEW, env={"PYTHONHASHSEED": "0"}, timeout=DEADLINE)
    return done, parse(output)


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_signal_at_many_calls(box: Sandbox, pki: Pki, server: Smtpd, tmp_path: Path, number: signal.Signals) -> None:
    """Each signal at points of its own; the report that is printed tells what has become of the file."""
    output = tmp_path / "trace"
    wire(box, pki, server.port)
    done, trace = traced(box, output)
    assert done.returncode == 0, done.stderr
    came = 0
    for point in points(trace, 12, SIGNALS.index(number)):
        done, seen = traced(box, output, fault=f"{point}:signal={number.name.removeprefix('SIG')}")
        # How often a call is made depends a little on the other processes: near the end, a point may come too late.
        if not any(place < handled(seen)[1] for place in seen.arrivals(number.name)):
            continue
        came += 1
        assert done.returncode == 128 + number, f"{point}\n{done.stdout}{done.stderr}"
        assert (done.stderr, done.stdout[:1]) == ("", "{"), f"{point}: no report"
        report = json.loads(done.stdout)
        assert (report["result"], report["error"]["code"]) == ("failed", 128 + number), point
        assert report["changed"] == (secret(box) == NEW), point
        assert secret(box) in (OLD, NEW), point
        assert_alone(box)
    assert came >= 8


@pytest.mark.slow
def test_signal_at_every_call_of_the_writer(box: Sandbox, pki: Pki, tmp_path: Path) -> None:
    """It is held back until the file is whole; then the run ends."""
    output = tmp_path / "trace"
    wire(box, pki, 9)
    paths = [word for path in ("/etc", TEMPORARY, os.path.basename(TEMPORARY)) for word in ("-P", path)]
    argv = box.agent_argv("--password-stdin", "--offline", "--json", python=PYTHON)
    box.run([*strace(output, *paths), *argv], stdin=NEW, timeout=DEADLINE)
    whole = parse(output)
    assert len(whole.calls) >= 9
    for index, call in enumerate(whole.calls):
        box.write(SECRET, OLD)
        fault = f"inject={call.name}:signal=TERM:when={whole.ordinal(index)}"
        done = box.run([*strace(output, *paths, "-e", fault), *argv], stdin=NEW, timeout=DEADLINE)
        assert len(parse(output).arrivals("SIGTERM")) == 1, call
        assert done.returncode == 143, f"{call}\n{done.stdout}{done.stderr}"
        assert secret(box) == NEW, call
        assert json.loads(done.stdout)["changed"] is True, f"{call}\n{done.stdout}"


@pytest.mark.slow
def test_signal_while_msmtp_is_being_started(box: Sandbox, pki: Pki, tmp_path: Path) -> None:
    """It would wait for its server without end: it may not be left behind, wherever in its start the signal comes."""
    output = tmp_path / "trace"
    with hanging(box, pki, "auth"):
        _, trace = traced(box, output, "--timeout", "1")
        starts = [index for index, call in enumerate(trace.calls) if call.name == "vfork"]
        assert len(starts) > 3, "version, pretend, probe, and a look at where that has stopped"
        for index in range(starts[2] - 6, starts[2] + 14):
            name = trace.calls[index].name
            done, seen = traced(box, output, fault=f"{name}:when={trace.ordinal(index)}:signal=TERM")
            assert seen.arrivals("SIGTERM"), trace.calls[index]
            assert done.returncode == 143, f"{trace.calls[index]}\n{done.stdout}{done.stderr}"
            assert_alone(box)
            assert secret(box) == OLD


@pytest.mark.slow
def test_signal_while_a_child_is_reaped(box: Sandbox, pki: Pki, server: Smtpd, tmp_path: Path) -> None:
    """Its number may belong to somebody else from then on: nothing is sent to it any more."""
    output = tmp_path / "trace"
    wire(box, pki, server.port)
    _, trace = traced(box, output)
    reaped = [index for index, call in enumerate(trace.calls) if call.name == "wait4" and call.returned > 0]
    assert len(reaped) == 4, "version, pretend, probe, deliver"
    for index in reaped:
        call = trace.calls[index]
        done, seen = traced(box, output, fault=f"{call.name}:when={trace.ordinal(index)}:signal=TERM")
        assert seen.arrivals("SIGTERM"), call
        assert done.returncode == 143, f"{call}\n{done.stdout}{done.stderr}"
        assert_alone(box)
        last = max(place for place, one in enumerate(seen.calls) if one.name == "wait4" and one.returned > 0)
        assert [one for one in seen.calls[last:] if one.name in ("kill", "tgkill", "pidfd_send_signal")] == []
