"""`audit --fix` killed, interrupted or failed at every system call with which it changes something, in a real program.

A first run is only recorded. Then there is one run for each call and each fault, which strace puts in the place of it.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.account import ALIASES, account
from tests.support.old_helper import COMMAND, HELPER, SCRIPT, install
from tests.support.repairs import BACKUP, LOG, Told, fix
from tests.support.roots import MSMTPRC
from tests.support.sandbox import Sandbox
from tests.support.tracing import Call, Trace, parse, strace

pytestmark = pytest.mark.root

OLD = b"account default\nhost h.acme.test\nfrom me@acme.test\n"
NEW = OLD.replace(b"default\n", b"default\naliases        /etc/aliases\n")
LINES = b"one\ntwo\n"
FORMER = (33, 0o644)
TEMPORARY = "/etc/.msmtprc.msmtp-config"
BACKUP_TEMPORARY = f"/etc/.{os.path.basename(BACKUP)}.msmtp-config"
DIRECTORY, _, NAME = HELPER.rpartition("/")
KEPT = f"{HELPER}.2025-11-22T120000Z.bak"
HELPER_TEMPORARY = f"{DIRECTORY}/.{NAME}.msmtp-config"
KEPT_TEMPORARY = f"{DIRECTORY}/.{os.path.basename(KEPT)}.msmtp-config"
LEFTOVERS = (TEMPORARY, BACKUP_TEMPORARY, HELPER_TEMPORARY, KEPT_TEMPORARY)
ERRORS = {
    "EIO": "Input/output error",
    "ENOSPC": "No space left on device",
    "EROFS": "Read-only file system",
    "EPERM": "Operation not permitted",
}


@pytest.fixture
def box(tmp_path: Path, warm: bool) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, warm=warm) as view:
        yield view


@dataclass(frozen=True)
class Job:
    """What is mended, and the paths whose calls are gone through.

    `state` says how far it has come, and that what stands there is whole, and nobody else's; below `changed` it is as
    before.
    """

    check: str
    path: str
    paths: tuple[str, ...] = field(repr=False)
    reset: Callable[[Sandbox], None] = field(repr=False)
    state: Callable[[Sandbox], int] = field(repr=False)
    changed: int = 1

    def whole(self, box: Sandbox) -> bool:
        """Whether it is all done, and nothing else is left."""
        return self.state(box) == 2 and not any(map(box.exists, LEFTOVERS))

    def untouched(self, box: Sandbox) -> bool:
        """Whether it is all as before, and nothing else is left."""
        return self.state(box) < self.changed and not any(map(box.exists, LEFTOVERS))


def names_of(path: str) -> tuple[str, str]:
    return path, os.path.basename(path)


# --- as it is before


def reset_aliases(box: Sandbox) -> None:
    for leftover in (BACKUP, TEMPORARY, BACKUP_TEMPORARY):
        box.path(leftover).unlink(missing_ok=True)
    box.write(MSMTPRC, OLD)


def reset_log(box: Sandbox) -> None:
    box.write(LOG, LINES, mode=FORMER[1], uid=FORMER[0])


def reset_helper(box: Sandbox) -> None:
    if not box.exists(COMMAND):
        install(box)
    for leftover in (KEPT, HELPER_TEMPORARY, KEPT_TEMPORARY):
        box.path(leftover).unlink(missing_ok=True)
    box.write(HELPER, SCRIPT, mode=0o755)


# --- how far it has come


def private(box: Sandbox, path: str) -> bytes | None:
    """The bytes there, None for nothing; root alone can read them."""
    if not box.exists(path):
        return None
    found = box.stat(path)
    assert stat.S_ISREG(found.st_mode), path
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o600, 0, 0), path
    return box.read(path)


def alias_state(box: Sandbox) -> int:
    """0: as before, 1: the old version is kept as well, 2: the new one stands there."""
    found = (private(box, MSMTPRC), private(box, BACKUP))
    for path, content in ((TEMPORARY, NEW), (BACKUP_TEMPORARY, OLD)):
        leftover = private(box, path)
        assert leftover is None or content.startswith(leftover), path
    states: list[tuple[bytes | None, bytes | None]] = [(OLD, None), (OLD, OLD), (NEW, OLD)]
    return states.index(found)


def log_state(box: Sandbox) -> int:
    """0: as before, 1: it has its owner, 2: and its mode."""
    found = box.stat(LOG)
    assert box.read(LOG) == LINES
    assert box.listdir("/var/log") == ["msmtp.log"]
    return [FORMER, (0, FORMER[1]), (0, 0o600)].index((found.st_uid, stat.S_IMODE(found.st_mode)))


def helper_state(box: Sandbox) -> int:
    """0: as before, 1: the script is kept as well, 2: the link stands there."""
    for path, what in ((KEPT, stat.S_IFREG), (KEPT_TEMPORARY, stat.S_IFREG), (HELPER_TEMPORARY, stat.S_IFLNK)):
        if box.exists(path):
            found = box.stat(path)
            assert (stat.S_IFMT(found.st_mode), found.st_uid, found.st_gid) == (what, 0, 0), path
            assert what == stat.S_IFLNK or stat.S_IMODE(found.st_mode) == 0o644, path
    kept = box.read(KEPT) if box.exists(KEPT) else None
    assert kept in (None, SCRIPT.encode())
    if box.path(HELPER).is_symlink():
        assert (os.readlink(box.path(HELPER)), kept) == (COMMAND, SCRIPT.encode())
        return 2
    assert (box.read(HELPER), stat.S_IMODE(box.stat(HELPER).st_mode)) == (SCRIPT.encode(), 0o755)
    return 0 if kept is None else 1


JOBS = {
    "aliases": Job(
        "aliases-unwired",
        MSMTPRC,
        ("/etc", *names_of(TEMPORARY), *names_of(BACKUP_TEMPORARY)),
        reset_aliases,
        alias_state,
    ),
    # A new owner alone is half of the log's repair.
    "log": Job("log-mode", LOG, ("/var/log", *names_of(LOG)), reset_log, log_state, changed=2),
    "helper": Job(
        "sender-helper",
        HELPER,
        (DIRECTORY, *names_of(HELPER_TEMPORARY), *names_of(KEPT_TEMPORARY)),
        reset_helper,
        helper_state,
    ),
}


@dataclass(frozen=True)
class Step:
    """A call of those that are gone through: its place, and what strace calls it (`when=`)."""

    index: int
    call: Call
    ordinal: int

    def __str__(self) -> str:
        return f"call {self.index}, {self.call}"


def run(box: Sandbox, job: Job, output: Path, *options: str) -> tuple[Told, Trace]:
    paths = [word for path in job.paths for word in ("-P", path)]
    told = fix(box, job.check, tracer=strace(output, *paths, *options))
    return told, parse(output)


def record(box: Sandbox, job: Job, output: Path) -> list[Step]:
    job.reset(box)
    told, trace = run(box, job, output)
    assert told.done == {job.path: True}, told.error
    assert job.whole(box)
    return [Step(index, call, trace.ordinal(index)) for index, call in enumerate(trace.calls)]


def inject(box: Sandbox, job: Job, output: Path, step: Step, what: str) -> tuple[Told, Trace]:
    job.reset(box)
    return run(box, job, output, "-e", f"inject={step.call.name}:{what}:when={step.ordinal}")


def finish(box: Sandbox, job: Job) -> None:
    """Whatever has happened before, a run without a fault ends well and leaves nothing else behind."""
    told = fix(box, job.check)
    assert told.completed.returncode == 0, told.error
    assert job.whole(box)


def test_link_is_renamed_into_place_when_the_script_is_safe(box: Sandbox, tmp_path: Path) -> None:
    """And nothing else is done to the directory: what the tests below go through leaves nothing out."""
    calls = [step.call for step in record(box, JOBS["helper"], tmp_path / "trace")]
    looks = ("close", "fstat", "newfstatat", "readlinkat", "openat", "lseek", "read", "getdents64")
    script, link = os.path.basename(KEPT_TEMPORARY), os.path.basename(HELPER_TEMPORARY)
    assert [call.name for call in calls if call.name not in looks] == [
        *("unlinkat", "write", "fsync", "renameat", "fsync"),
        *("unlinkat", "symlinkat", "renameat", "fsync"),
    ]
    assert [
        name for call in calls for name in (script, link) if call.name == "renameat" and f'"{name}"' in call.arguments
    ] == [script, link]
    (made,) = (call for call in calls if call.name == "openat" and "O_CREAT" in call.arguments)
    assert f'"{script}", O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC, 0644' in made.arguments
    assert f'"{COMMAND}"' in next(call for call in calls if call.name == "symlinkat").arguments


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_killed_at_every_call(box: Sandbox, tmp_path: Path, name: str) -> None:
    """The signal comes before the call is done: what stands there is what the call before left."""
    job, output = JOBS[name], tmp_path / "trace"
    states = []
    for step in record(box, job, output):
        told, trace = inject(box, job, output, step, "signal=KILL")
        assert (told.completed.returncode, trace.ends) == (-9, {0: "killed by SIGKILL"}), step
        states.append(job.state(box))
        finish(box, job)
    assert states == sorted(states)
    assert set(states) == {0, 1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", JOBS)
def test_failed_at_every_call(box: Sandbox, tmp_path: Path, name: str, error: str) -> None:
    """What is told is so: it was done, or all is as before."""
    job, output = JOBS[name], tmp_path / "trace"
    wrong, failures = [], 0
    for step in record(box, job, output):
        told, trace = inject(box, job, output, step, f"error={error}")
        assert len(trace.injected) == 1, f"the fault did not land in {step}"
        done = told.done.get(job.path, False)
        right = job.whole(box) if done else job.untouched(box) or step.call.name == "unlinkat"
        failures += told.completed.returncode != 0
        named = ERRORS[error] in told.error or "might not outlive" in told.error
        if not right or told.completed.returncode not in (0, 73, 74) or (told.completed.returncode != 0) != named:
            wrong.append(f"{error} in {step}: state {job.state(box)}, {told}")
    assert not wrong, "\n\n".join(wrong)
    assert failures >= 4, "most calls cannot fail without an end"
    finish(box, job)


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_told_to_end_at_every_call(box: Sandbox, tmp_path: Path, name: str) -> None:
    """A repair that has begun is done and told; then the run ends."""
    job, output = JOBS[name], tmp_path / "trace"
    done = []
    for step in record(box, job, output):
        told, trace = inject(box, job, output, step, "signal=TERM")
        assert len(trace.arrivals("SIGTERM")) == 1, step
        assert told.completed.returncode == 128 + signal.SIGTERM, f"{step}: {told}"
        assert job.whole(box) if told.done else job.untouched(box), step
        done.append(bool(told.done))
    assert done == sorted(done)
    assert done[-1] is True


def test_interrupted_run_begins_no_further_repair(box: Sandbox, tmp_path: Path) -> None:
    job, output = JOBS["aliases"], tmp_path / "trace"
    last = record(box, job, output)[-1]
    job.reset(box)
    box.write(LOG, LINES, mode=0o644, uid=33)
    fault = f"inject={last.call.name}:signal=TERM:when={last.ordinal}"
    paths = [word for path in job.paths for word in ("-P", path)]
    told = fix(box, job.check, "log-mode", tracer=strace(output, *paths, "-e", fault))
    assert (told.completed.returncode, told.done) == (143, {MSMTPRC: True})
    assert log_state(box) == 0


# --- real full, read-only and immutable files


def tmpfs(box: Sandbox) -> None:
    """A small /etc, with what the program reads there."""
    box.shell(
        "mkdir /run/etc; mount -n -t tmpfs -o size=256k,nr_inodes=64 tmpfs /run/etc;"
        "for name in passwd group nsswitch.conf hosts ld.so.cache; do cp -p /etc/$name /run/etc/; done;"
        "mount -n --move /run/etc /etc"
    )
    box.write(MSMTPRC, OLD)


@pytest.mark.parametrize("free", [0, 1], ids=["no block is free", "one block is free"])
def test_full_file_system(box: Sandbox, free: int) -> None:
    """With one block the old version finds its place, and the new one does not: then the first is not left behind."""
    tmpfs(box)
    box.shell("dd if=/dev/zero of=/etc/ballast bs=4k 2>/dev/null || :")
    os.truncate(box.path("/etc/ballast"), box.stat("/etc/ballast").st_size - free * 4096)
    told = fix(box, "aliases-unwired")
    subject = MSMTPRC if free else BACKUP
    assert (told.completed.returncode, told.done) == (73, {MSMTPRC: False})
    assert told.error == f"{subject}: cannot be written: No space left on device"
    assert told.remedy == "df /etc; df -i /etc   # the file system is full"
    assert JOBS["aliases"].untouched(box)
    box.shell("rm /etc/ballast")
    finish(box, JOBS["aliases"])


def test_read_only_file_system(box: Sandbox) -> None:
    JOBS["aliases"].reset(box)
    box.shell("mount -n --bind /etc /etc; mount -n -o remount,bind,ro /etc")
    told = fix(box, "aliases-unwired")
    assert told.error == f"{BACKUP}: cannot be written: Read-only file system"
    assert JOBS["aliases"].untouched(box)


@pytest.mark.parametrize("name", JOBS)
def test_immutable_file(box: Sandbox, name: str) -> None:
    job = JOBS[name]
    job.reset(box)
    box.shell(f"chattr +i {job.path}")
    told = fix(box, job.check)
    words = {"aliases": "written", "log": "changed", "helper": "replaced by a link"}[name]
    assert (told.completed.returncode, told.done) == (73, {job.path: False})
    assert told.error == f"{job.path}: cannot be {words}: Operation not permitted"
    assert job.untouched(box)
    assert told.remedy.startswith(f"lsattr {job.path}")
    box.shell(told.remedy.rpartition(": ")[2])
    finish(box, job)


def test_the_main_job_takes_the_file_that_was_mended(box: Sandbox) -> None:
    """The account is found as before: the line changes nothing else of it."""
    box.write(MSMTPRC, account(9, Path("/etc/ssl/certs/ca-certificates.crt"), aliases=None))
    box.write("/etc/aliases", ALIASES, mode=0o644)
    assert fix(box, "aliases-unwired").done == {MSMTPRC: True}
    done = box.agent("--password-stdin", "--offline", stdin=b"secret\n", python="/usr/bin/python3")
    assert done.returncode == 0, done.stderr
