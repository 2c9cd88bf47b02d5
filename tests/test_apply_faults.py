"""`apply` killed, told to end, or failed at every system call that changes a file, in the real program.

A first run is only recorded. Then there is one run for each call and each fault, which strace puts in the place of it.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.account import ADMIN, MSMTPRC, SECRET, USER, account
from tests.support.applying import (
    ALIASES,
    BACKUP,
    FILE,
    FILES,
    LOGROTATE,
    NOISE,
    apply,
    as_json,
    backups,
    outcomes,
    settings,
)
from tests.support.sandbox import Sandbox
from tests.support.tracing import parse, strace
from tests.support.view import Completed

pytestmark = pytest.mark.root

TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
PASSWORD = "correct horse battery"
ORDER = (ALIASES, LOGROTATE, SECRET, MSMTPRC)
OLD = {
    ALIASES: b"root: old@example.test\nwww: web@example.test\n",
    MSMTPRC: account(9, TRUST, passwordeval=None, password=PASSWORD).encode(),
}
MODES = {ALIASES: 0o644, LOGROTATE: 0o644, SECRET: 0o600, MSMTPRC: 0o600}
CALLS = "write,fsync,fchown,fchmod,rename,renameat,renameat2,unlink,unlinkat,mkdir,link,linkat,symlinkat,utimensat"
PYTHON = "/usr/bin/python3"
ENVIRONMENT = {"PYTHONHASHSEED": "0"}
ERRORS = {"EIO": "Input/output error", "ENOSPC": "No space left on device", "EPERM": "Operation not permitted"}
# Nothing listens on the port: the password that moves is unproven, and the run ends with 75 when all is written.
DONE = 75


@pytest.fixture
def box(tmp_path: Path, warm: bool) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, warm=warm) as view:
        view.write(FILE, settings(9))
        yield view


class Step(NamedTuple):
    """A call that changes a file below /etc: its name, what strace calls it (`when=`), and its text."""

    name: str
    ordinal: int
    text: str


def reset(box: Sandbox) -> None:
    """As it was before."""
    for path in box.changed() - NOISE - set(OLD):
        box.path(path).unlink()
    for path, content in OLD.items():
        box.write(path, content, mode=MODES[path])


def run(box: Sandbox, *tracer: str, options: tuple[str, ...] = ("--json",)) -> Completed:
    arguments = ("apply", FILE, *options)
    if not tracer:
        return box.agent(*arguments, env=ENVIRONMENT)
    return box.traced(tracer, *arguments, env=ENVIRONMENT)


def traced(box: Sandbox, output: Path, *faults: str) -> Completed:
    return run(box, *strace(output, "-y", "-e", f"trace={CALLS}", *(word for one in faults for word in ("-e", one))))


def record(box: Sandbox, output: Path) -> list[Step]:
    reset(box)
    done = traced(box, output)
    assert done.returncode == DONE, done.stderr
    trace = parse(output)
    steps = [
        Step(call.name, trace.ordinal(index), str(call))
        for index, call in enumerate(trace.calls)
        if re.search(r"<[^>]*/etc(/[^>]*)?>", call.arguments)
    ]
    # Each of six files, two of them old versions: an old leftover looked for, written, synchronised, renamed, and the
    # directory synchronised; and three are to be read by others, whatever the umask.
    assert len(steps) == 6 * 5 + 3, [step.text for step in steps]
    return steps


def inject(box: Sandbox, output: Path, step: Step, fault: str) -> Completed:
    reset(box)
    return traced(box, output, f"inject={step.name}:{fault}:when={step.ordinal}")


def states(box: Sandbox) -> dict[str, bool]:
    """Whether each file is the new one; what stands there is whole, has the right mode, and nothing else is left."""
    found = {}
    for path in ORDER:
        old = OLD.get(path)
        present = box.read(path) if box.exists(path) else None
        found[path] = present != old
        if present is not None:
            facts = box.stat(path)
            assert (facts.st_mode & 0o7777, facts.st_uid, facts.st_gid) == (MODES[path], 0, 0), path
            assert len(present) > 20, path
    if found[ALIASES]:
        assert box.read(ALIASES) == f"root: {ADMIN}\nwww: web@example.test\ndefault: {ADMIN}\n".encode()
    if found[SECRET]:
        assert box.read(SECRET) == f"{PASSWORD}\n".encode()
    if found[MSMTPRC]:
        assert found[SECRET], "the password stands nowhere any more"
        assert f"from           {USER}".encode() in box.read(MSMTPRC)
    for path, content in backups(box).items():
        assert content == OLD[BACKUP.sub("", path)], path
    for path, old in OLD.items():
        assert not found[path] or old in backups(box).values(), f"the old version of {path} is gone"
    return found


def strays(box: Sandbox) -> set[str]:
    """What is there besides the files, the old versions and what stood there."""
    return {path for path in box.changed() if not BACKUP.search(path)} - NOISE - set(ORDER)


def finish(box: Sandbox) -> None:
    """Whatever has happened before, a second run ends with all files new, and leaves nothing but the old versions."""
    done = run(box)
    assert done.returncode == DONE, done.stderr
    assert all(states(box).values())
    assert strays(box) == set()
    assert sorted(backups(box).values()) == sorted(OLD.values())


@pytest.mark.slow
def test_killed_at_every_change(box: Sandbox, tmp_path: Path) -> None:
    """The signal comes before the call is done: what stands there is what the call before left."""
    output = tmp_path / "trace"
    seen = []
    for step in record(box, output):
        done = inject(box, output, step, "signal=KILL")
        assert done.returncode == -signal.SIGKILL, step
        found = states(box)
        new = [found[path] for path in ORDER]
        assert new == sorted(new, reverse=True), f"out of order at {step}"
        seen.append(sum(new))
        for stray in strays(box):
            assert re.fullmatch(r"/etc/(logrotate\.d/)?\..+\.msmtp-config", stray), stray
            assert box.stat(stray).st_mode & 0o077 == 0 or not re.search("msmtprc|password", stray), (
                "others can read it"
            )
        finish(box)
    assert seen == sorted(seen)
    assert set(seen) == {0, 1, 2, 3, 4}


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS)
def test_failed_at_every_change(box: Sandbox, tmp_path: Path, error: str) -> None:
    """What is told is so: each file is its old or its new version, and it is said which."""
    output = tmp_path / "trace"
    failures = 0
    for step in record(box, output):
        report = as_json(inject(box, output, step, f"error={error}"))
        assert len(parse(output).injected) == 1, step
        found = states(box)
        assert {path: done for path, (_, done) in outcomes(report).items()} == found, step
        assert report["changed"] is any(found.values()), step
        if report["error"]["code"] == DONE:
            assert all(found.values()), step
        else:
            failures += 1
            assert report["error"]["code"] == 73, (step, report)
            assert ERRORS[error] in report["error"]["message"] or "might not outlive" in report["error"]["message"], (
                step
            )
        if step.name != "unlinkat":
            assert strays(box) == set(), step
    assert failures >= 20, "most calls cannot fail without an end"
    finish(box)


@pytest.mark.slow
def test_told_to_end_at_every_change(box: Sandbox, tmp_path: Path) -> None:
    """A file that has begun is finished and told; then the run ends."""
    output = tmp_path / "trace"
    written = []
    for step in record(box, output):
        done = inject(box, output, step, "signal=TERM")
        report = as_json(done)
        assert report["error"]["code"] == 128 + signal.SIGTERM, step
        found = states(box)
        assert {path: state for path, (_, state) in outcomes(report).items()} == found, step
        assert strays(box) == set(), step
        written.append(sum(found.values()))
    assert written == sorted(written)
    assert set(written) == {1, 2, 3, 4}
    finish(box)


# --- real full, read-only and immutable files, and what is no file


@pytest.mark.slow
def test_a_failure_half_way_says_which_files_are_new(box: Sandbox) -> None:
    """A rule cannot be made where a file system is read-only: the aliases are written by then, msmtprc is not."""
    reset(box)
    box.shell("mount -n --bind /etc/logrotate.d /etc/logrotate.d; mount -n -o remount,bind,ro /etc/logrotate.d")
    done = run(box, options=())
    assert done.returncode == 73
    assert done.stderr.endswith(
        f"msmtp-config: {LOGROTATE}: cannot be written: Read-only file system\n"
        f"  {ALIASES}: is the new version\n"
        f"  {LOGROTATE}: is as it was\n"
        f"  {SECRET}: is as it was\n"
        f"  {MSMTPRC}: is as it was\n"
        "  fix: findmnt -T /etc/logrotate.d/msmtp   # the file system is read-only\n"
    )
    assert states(box) == {ALIASES: True, LOGROTATE: False, SECRET: False, MSMTPRC: False}
    box.shell("umount -n /etc/logrotate.d")
    finish(box)


@pytest.mark.slow
def test_read_only_file_system(box: Sandbox) -> None:
    reset(box)
    box.shell("mount -n --bind /etc /etc; mount -n -o remount,bind,ro /etc")
    done = run(box, options=())
    assert done.returncode == 73
    assert "Read-only file system" in done.stderr
    assert not any(states(box).values())
    assert backups(box) == {}


@pytest.mark.slow
@pytest.mark.parametrize("blocks", range(5))
def test_full_file_system(box: Sandbox, blocks: int) -> None:
    """So many blocks are free that the first files find a place, and the others do not."""
    trust = "/run/ca-certificates.crt"
    box.write(FILE, settings(9, trust))
    box.shell(
        f"cp {TRUST} {trust}; mkdir /run/etc; mount -n -t tmpfs -o size=256k,nr_inodes=64 tmpfs /run/etc;"
        "mkdir /run/etc/logrotate.d;"
        "for name in passwd group nsswitch.conf hosts ld.so.cache; do cp -p /etc/$name /run/etc/; done;"
        "mount -n --move /run/etc /etc"
    )
    for path, content in OLD.items():
        box.write(path, content, mode=MODES[path])
    box.shell("dd if=/dev/zero of=/etc/ballast bs=4k 2>/dev/null || :")
    os.truncate(box.path("/etc/ballast"), box.stat("/etc/ballast").st_size - blocks * 4096)
    done = run(box, options=())
    assert done.returncode == 73
    assert "No space left on device" in done.stderr
    present = {path: box.read(path) if box.exists(path) else None for path in ORDER}
    for path in ORDER:
        new = present[path] != OLD.get(path)
        assert f"  {path}: {'is the new version' if new else 'is as it was'}\n" in done.stderr
    assert not [name for name in box.listdir("/etc") if name.startswith(".")]
    box.shell("rm /etc/ballast")
    assert run(box).returncode == DONE
    assert f"{PASSWORD}\n".encode() == box.read(SECRET)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("kind", ["link", "FIFO", "directory", "immutable", "two names", "socket"])
def test_what_cannot_be_replaced_stops_it_before_anything_is_written(box: Sandbox, path: str, kind: str) -> None:
    reset(box)
    make = {
        "link": f"rm -f {path}; ln -s /etc/hostname {path}",
        "FIFO": f"rm -f {path}; mkfifo {path}",
        "directory": f"rm -f {path}; mkdir {path}",
        "immutable": f"touch {path}; chattr +i {path}",
        "two names": f"touch {path}; ln {path} {path}.other",
        "socket": f"rm -f {path}; {PYTHON} -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"{path}\")'",
    }
    box.shell(make[kind])
    before = box.changed()
    done = run(box, options=())
    assert done.returncode == 73, done.stderr
    assert done.stderr.startswith(f"msmtp-config: {path}: ")
    assert "  fix: " in done.stderr
    assert box.changed() - NOISE == before - NOISE
    if kind == "immutable":
        box.shell(done.stderr.rpartition("fix: ")[2])
        assert run(box).returncode == DONE


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mkfifo", "mkdir", "ln -s /etc/hostname"])
def test_what_stands_in_the_secrets_place(box: Sandbox, kind: str) -> None:
    """Also where the settings hold no password: msmtp would wait at it, or not read it."""
    box.shell(f"{kind} {SECRET}")
    done = apply(box)
    assert done.returncode == 73
    assert done.stderr.startswith(f"msmtp-config: {SECRET}: is a ")
    assert not any(box.exists(path) for path in FILES)
