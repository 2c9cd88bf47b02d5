"""The writer, killed or failed at every single system call of the write path, in the real program.

A first run is only recorded. Then there is one run for each call and each fault, which strace puts in the place of that
very call; a fault that did not land there is an error of the test.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sandbox import Sandbox
from tests.support.tracing import Call, names, parse, strace
from tests.support.view import Completed

pytestmark = pytest.mark.root

SECRET = "/etc/msmtp-password"
NAME = ".msmtp-password.msmtp-config"
TEMPORARY = f"/etc/{NAME}"
WRITE_PATH = ("/etc", TEMPORARY, NAME)
OLD = b"the old secret\n"
NEW = b"the new secret\n"
MSMTPRC = f"""\
account default
host 127.0.0.1
port 9
from me@example.test
auth on
user me@example.test
tls on
tls_trust_file /etc/ssl/certs/ca-certificates.crt
passwordeval "cat {SECRET}"
"""
ERRORS = {
    "EIO": "Input/output error",
    "ENOSPC": "No space left on device",
    "EROFS": "Read-only file system",
    "EPERM": "Operation not permitted",
    "EINTR": "Interrupted system call",
}
# The interpreter of the installed package; with a fixed seed each run makes the same calls.
PYTHON = "/usr/bin/python3"
ENVIRONMENT = {"PYTHONHASHSEED": "0"}


@pytest.fixture
def box(tmp_path: Path, warm: bool) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, warm=warm) as view:
        view.write("/etc/msmtprc", MSMTPRC)
        yield view


@dataclass(frozen=True)
class Step:
    """A call of the write path: its place there, and what strace calls it (`when=`)."""

    index: int
    call: Call
    ordinal: int

    def __str__(self) -> str:
        return f"call {self.index} of the write path, {self.call}"


def configure(box: Sandbox, *tracer: str, options: tuple[str, ...] = ()) -> Completed:
    arguments = ("--password-stdin", "--offline", *options)
    if not tracer:
        return box.agent(*arguments, stdin=NEW, env=ENVIRONMENT)
    return box.traced(tracer, *arguments, stdin=NEW, env=ENVIRONMENT)


def reset(box: Sandbox, present: bool) -> None:
    box.path(TEMPORARY).unlink(missing_ok=True)
    box.path(SECRET).unlink(missing_ok=True)
    if present:
        box.write(SECRET, OLD)


def watch(output: Path, *options: str, paths: tuple[str, ...] = WRITE_PATH) -> list[str]:
    """Trace what the program itself does to the directory and to the temporary name in it: that is the write path."""
    return strace(output, *(word for path in paths for word in ("-P", path)), *options)


def record(box: Sandbox, output: Path, present: bool, paths: tuple[str, ...] = WRITE_PATH) -> list[Step]:
    reset(box, present)
    done = configure(box, *watch(output, paths=paths))
    assert done.returncode == 0, done.stderr
    trace = parse(output)
    return [Step(index, call, trace.ordinal(index)) for index, call in enumerate(trace.calls)]


def state(box: Sandbox, path: str) -> bytes | None:
    """The bytes there, None for nothing; whatever stands there is a file that root alone can read."""
    if not box.exists(path):
        return None
    facts = box.stat(path)
    assert stat.S_ISREG(facts.st_mode), path
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o600, 0, 0), path
    return box.read(path)


def replaced(box: Sandbox, present: bool = True) -> bool:
    """Whether the new version stands there; the old one, or none where there was none, is the other possibility."""
    found = state(box, SECRET)
    assert found in (OLD if present else None, NEW), f"{SECRET} holds {found!r}"
    return found == NEW


def finish(box: Sandbox) -> None:
    """Whatever has happened before, a run without a fault ends well and leaves nothing else behind."""
    done = configure(box)
    assert done.returncode == 0, done.stderr
    assert state(box, SECRET) == NEW
    assert not box.exists(TEMPORARY)


def strays(box: Sandbox) -> set[str]:
    """What was written beside the secret file and its temporary name."""
    return {name for name in box.changed() if name.startswith("/etc/")} - {SECRET, TEMPORARY, "/etc/msmtprc"}


# --- what is asked of the kernel, and in which order


@pytest.mark.parametrize("present", [True, False], ids=["old", "none"])
def test_write_path_synchronises_file_before_rename_and_directory_after(
    box: Sandbox, tmp_path: Path, present: bool
) -> None:
    calls = [step.call for step in record(box, tmp_path / "trace", present)]
    directory = calls[0].returned
    created = next(call for call in calls if call.name == "openat" and NAME in call.arguments)
    file = created.returned
    order = [
        f"{call.name} {'file' if call.descriptor == file else 'directory'}"
        for call in calls
        if call.descriptor in (file, directory) and call.name in ("write", "fsync", "renameat", "renameat2")
    ]
    assert order == ["write file", "fsync file", "renameat directory", "fsync directory"]
    assert "O_EXCL" in created.arguments
    assert "O_NOFOLLOW" in created.arguments
    assert created.arguments.endswith(" 0600"), "it has its final mode from the first instant"
    assert not {"chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat"} & set(names(calls))


def test_write_path_is_all_that_happens_from_its_first_call_to_its_last(box: Sandbox, tmp_path: Path) -> None:
    """What the tests below go through call by call leaves nothing out."""
    steps = record(box, tmp_path / "trace", present=True)
    reset(box, present=True)
    assert configure(box, *strace(tmp_path / "whole")).returncode == 0
    everything = [str(call) for call in parse(tmp_path / "whole").calls]
    begin = everything.index(str(steps[0].call))
    assert everything[begin : begin + len(steps)] == [str(step.call) for step in steps]


def test_nothing_else_is_opened_for_writing_in_etc(box: Sandbox, tmp_path: Path) -> None:
    output = tmp_path / "trace"
    reset(box, present=True)
    assert configure(box, *strace(output, "-f", "-e", "trace=%file")).returncode == 0
    writers = [
        call
        for call in parse(output).calls
        if call.name.startswith("open") and any(flag in call.arguments for flag in ("O_WRONLY", "O_RDWR", "O_CREAT"))
    ]
    assert [call.arguments for call in writers if "/etc" in call.arguments] == []
    assert sum(NAME in call.arguments for call in writers) == 1


# --- one fault in one call


def inject(
    box: Sandbox,
    output: Path,
    present: bool,
    steps: list[Step],
    step: Step,
    what: str,
    paths: tuple[str, ...] = WRITE_PATH,
) -> Completed:
    """Run with this fault in the place of this call; it is an error when it did not happen there."""
    reset(box, present)
    calls = f"trace={','.join({one.call.name for one in steps})}"
    fault = f"inject={step.call.name}:{what}:when={step.ordinal}"
    done = configure(box, *watch(output, "-e", calls, "-e", fault, paths=paths))
    trace = parse(output)
    if what == "signal=KILL":
        assert (done.returncode, trace.ends) == (-9, {0: "killed by SIGKILL"}), step
        assert names(trace.calls) == [one.call.name for one in steps[: step.index + 1]], step
    else:
        assert trace.injected == [step.index], f"the fault did not land in {step}"
    return done


@pytest.mark.slow
@pytest.mark.parametrize("present", [True, False], ids=["old", "none"])
def test_killed_at_every_call(box: Sandbox, tmp_path: Path, present: bool) -> None:
    """The signal comes when the call is made and before it is done: what stands there is what the call before left.

    So this also looks at owner and mode at every instant.
    """
    output = tmp_path / "trace"
    outcomes = []
    steps = record(box, output, present)
    for step in steps:
        inject(box, output, present, steps, step, "signal=KILL")
        outcomes.append(replaced(box, present))
        leftover = state(box, TEMPORARY)
        assert leftover is None or NEW.startswith(leftover), step
        assert not strays(box), step
        finish(box)
    # Old up to one call, new from there on: both ends are seen, or the calls were not those of a replacement.
    assert outcomes == sorted(outcomes)
    assert outcomes[0] is False
    assert outcomes[-1] is True


@pytest.mark.slow
@pytest.mark.parametrize("present", [True, False], ids=["old", "none"])
@pytest.mark.parametrize("error", list(ERRORS))
def test_failed_at_every_call(box: Sandbox, tmp_path: Path, error: str, present: bool) -> None:
    output = tmp_path / "trace"
    failures, wrong = 0, []
    steps = record(box, output, present)
    for step in steps:
        done = inject(box, output, present, steps, step, f"error={error}")
        try:
            failures += _judge_failure(box, present, done, step, error)
        except AssertionError as fault:
            wrong.append(f"{error} in {step}: {fault}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
    assert not wrong, "\n\n".join(wrong)
    finish(box)
    assert error == "EINTR" or failures >= 8, "most calls cannot fail without an end"


def _judge_failure(box: Sandbox, present: bool, done: Completed, step: Step, error: str) -> bool:
    """Whether the run failed, after everything that must hold then."""
    new = replaced(box, present)
    assert not strays(box)
    if step.call.name != "unlinkat":
        assert not box.exists(TEMPORARY), "a leftover"
    if done.returncode == 0:
        assert new
        return False
    assert done.returncode == 73
    first, *rest = done.stderr.splitlines()
    assert first.startswith(f"msmtp-config: {SECRET}: ")
    assert ERRORS[error] in first
    assert len(rest) == 1
    assert rest[0].startswith("  fix: ")
    # What is said is so: it was replaced, or it could not be.
    assert new == ("was replaced" in first), "the message and the file differ"
    assert f"failed  store     {SECRET}: " in done.stdout
    return True


@pytest.mark.slow
@pytest.mark.parametrize("error", ["EIO", "EINTR"])
def test_failed_at_every_look_at_the_old_file(box: Sandbox, tmp_path: Path, error: str) -> None:
    """What stands there is looked at before anything is asked, and again before it is replaced."""
    output, paths = tmp_path / "trace", (SECRET,)
    steps = record(box, output, True, paths)
    wrong = []
    for step in steps:
        done = inject(box, output, True, steps, step, f"error={error}", paths)
        assert not box.exists(TEMPORARY), step
        first = done.stderr.partition("\n")[0]
        named = first.startswith(f"msmtp-config: {SECRET}: ") and ERRORS[error] in first
        if (
            done.returncode not in (0, 73, 74)
            or replaced(box) != (done.returncode == 0)
            or (done.returncode and not named)
        ):
            wrong.append(f"{error} in {step}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    assert not wrong, "\n\n".join(wrong)
    finish(box)


@pytest.mark.slow
def test_leftover_that_cannot_be_removed_is_no_secret_of_others(box: Sandbox, tmp_path: Path) -> None:
    """Two faults: the file cannot be synchronised, and then its temporary name cannot be removed."""
    output = tmp_path / "trace"
    steps = record(box, output, present=True)
    fsync = next(step for step in steps if step.call.name == "fsync")
    unlink = next(step for step in steps if step.call.name == "unlinkat")
    reset(box, present=True)
    faults = [f"inject=fsync:error=EIO:when={fsync.ordinal}", f"inject=unlinkat:error=EROFS:when={unlink.ordinal + 1}"]
    done = configure(box, *watch(output, *(word for fault in faults for word in ("-e", fault))))
    assert len(parse(output).injected) == 2
    assert done.returncode == 73
    assert "Input/output error" in done.stderr.splitlines()[0], "the first fault is the cause"
    assert state(box, SECRET) == OLD
    assert state(box, TEMPORARY) == NEW
    finish(box)


@pytest.mark.slow
def test_json_tells_of_a_change_that_may_not_last(box: Sandbox, tmp_path: Path) -> None:
    output = tmp_path / "trace"
    last = [step for step in record(box, output, present=True) if step.call.name == "fsync"][-1]
    reset(box, present=True)
    tracer = watch(output, "-e", f"inject=fsync:error=EIO:when={last.ordinal}")
    done = configure(box, *tracer, options=("--json",))
    assert len(parse(output).injected) == 1
    assert done.returncode == 73
    assert replaced(box)
    assert '"changed": true' in done.stdout
    assert "Input/output error" in done.stdout


# --- real full and read-only file systems


def assert_refused(box: Sandbox, done: Completed, words: str) -> None:
    assert done.returncode == 73, done.stderr
    first, second = done.stderr.splitlines()
    assert first == f"msmtp-config: {SECRET}: cannot be written: {words}"
    assert second.startswith("  fix: ")
    assert state(box, SECRET) == OLD
    assert not box.exists(TEMPORARY)


@pytest.mark.parametrize(
    "full",
    [
        # No block is free: the file can be made, and not filled.
        "dd if=/dev/zero of=/etc/ballast bs=4k 2>/dev/null || :",
        # No inode is free: the file cannot be made.
        "i=0; while : 2>/dev/null >/etc/ballast.$i; do i=$((i+1)); done || :",
    ],
    ids=["blocks", "inodes"],
)
def test_full_file_system(box: Sandbox, full: str) -> None:
    box.shell(
        "mkdir /run/etc; mount -n -t tmpfs -o size=256k,nr_inodes=64 tmpfs /run/etc;"
        "for name in passwd group nsswitch.conf hosts ld.so.cache msmtprc; do cp -p /etc/$name /run/etc/; done;"
        "mount -n --move /run/etc /etc"
    )
    box.write(SECRET, OLD)
    box.run(["sh", "-c", full], timeout=10)
    assert_refused(box, configure(box), ERRORS["ENOSPC"])
    box.shell("rm /etc/ballast*")
    finish(box)


def test_read_only_file_system(box: Sandbox) -> None:
    box.write(SECRET, OLD)
    box.shell("mount -n --bind /etc /etc; mount -n -o remount,bind,ro /etc")
    assert_refused(box, configure(box), ERRORS["EROFS"])
    box.shell("umount -n /etc")
    finish(box)


def test_short_write(box: Sandbox) -> None:
    """The limit of the size of a file cuts the first write short, and fails the second one."""
    box.write(SECRET, OLD)
    assert_refused(box, configure(box, "prlimit", "--fsize=5"), "File too large")
    finish(box)


def test_no_umask_group_or_access_list_of_the_directory_opens_the_file(box: Sandbox) -> None:
    """A directory that hands on its group and a default access list: both reach for each new file in it."""
    box.shell("chgrp nogroup /etc; chmod 2775 /etc; setfacl -d -m u:nobody:rwx,g::rwx,o::rwx /etc")
    done = configure(box, "sh", "-c", 'umask 0; exec "$@"', "sh")
    assert done.returncode == 0, done.stderr
    assert state(box, SECRET) == NEW
    assert box.run(["cat", SECRET], uid=65534).returncode != 0
