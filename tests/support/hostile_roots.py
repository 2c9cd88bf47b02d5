"""Roots that mean harm: what may stand at a path that the audit reads, and what an audit must leave as it was."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from msmtp_agent.beneath import Beneath
from msmtp_agent.checks import CATALOGUE
from msmtp_agent.model import Report
from tests.support.roots import LOG, MSMTPRC, PASSWORD, SECRET, Root, failed, sent
from tests.support.sandbox import PROJECT
from tests.support.view import SYSTEM_PATH

TERABYTE = 1 << 40
# Never the same twice within a piece, no text, and every byte value: what random data would be, without the chance.
GARBAGE = bytes((number * number + (number >> 8) * 7) & 0xFF for number in range(65_536))
# Stands in every file outside the roots, as everything that a check may tell of a file.
MARKER = "outside-of-the-root"

# Of one audit, in s: it is to end within 2, and the machine that tests may be slow.
DEADLINE = 10.0
PYTHON = "/usr/bin/python3"  # of the installed package

Maker = Callable[[Path, Path], None]


def rich(directory: Path) -> Root:
    """A root with something in every place that the audit looks into."""
    root = Root(directory).good()
    root.configure(tls_trust_file="/etc/ssl/own.pem", tls_cert_file="/etc/ssl/me.pem", tls_key_file="/etc/ssl/me.key")
    for path in ("/etc/ssl/own.pem", "/etc/ssl/me.pem", "/etc/ssl/me.key"):
        shutil.copy(root.at("/etc/ssl/certs/ca-certificates.crt"), root.at(path))
    root.write("/etc/crontab", "MAILTO=www-data\n1 * * * * www-data /bin/true\n", 0o644)
    root.write("/etc/cron.d/job", "1 * * * * daemon /bin/true\n", 0o644)
    root.write("/var/spool/cron/crontabs/www-data", "1 * * * * /bin/true\n", 0o600, 33)
    root.write("/etc/systemd/system/mail.service", "[Service]\nUser=daemon\nExecStart=/usr/sbin/sendmail root\n", 0o644)
    root.write("/etc/systemd/system/mail.service.d/more.conf", "[Service]\nNoNewPrivileges=yes\n", 0o644)
    root.write(
        "/etc/apparmor.d/usr.bin.msmtp",
        "#include <tunables/global>\nprofile msmtp /usr/bin/msmtp {\n  #include <abstractions/base>\n"
        "  /etc/msmtprc r,\n  #include <local/usr.bin.msmtp>\n}\n",
        0o644,
    )
    root.write("/etc/apparmor.d/tunables/global", "@{HOME}=/root/\n", 0o644)
    root.write("/etc/apparmor.d/abstractions/base", "/etc/ssl/** r,\n", 0o644)
    root.write("/etc/apparmor.d/local/usr.bin.msmtp", "/etc/aliases r,\n", 0o644)
    root.log(*(failed(60) for _ in range(3)))
    root.write(f"{LOG}.1", f"{sent()}\n", 0o600)
    root.write("/usr/local/sbin/msmtp-config", "#!/bin/sh\n", 0o755)
    root.write("/root/.msmtprc", "account default\nhost smtp.acme.test\n")
    root.write(f"{SECRET}.bak", "former\n").write(f"{MSMTPRC}~", "password former\n")
    for path in ("/var/lib/cloud/instance/user-data", "/var/log/cloud-init.log", "/etc/app.conf", "/var/log/app.log"):
        root.write(path, PASSWORD, 0o644)
    return root.write("/root/.bash_history", PASSWORD)


def paths_read(root: Root) -> list[str]:
    """Every path that an audit of the root asks for, the top itself apart."""
    asked: set[str] = set()
    plain = Beneath.open

    def open_and_note(self: Beneath, path: str, *, follow: bool) -> int:
        asked.add(path)
        return plain(self, path, follow=follow)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Beneath, "open", open_and_note)
        root.report()
    return sorted(asked - {"/"})


def outside(directory: Path) -> Path:
    """A tree beside the root that holds what the root could be taken for, with a marker in every file."""
    other = rich(directory)
    for path in other.directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.write_text(path.read_text("utf-8", "replace").replace("acme", MARKER) + f"\n{MARKER}\n")
    other.configure(host=f"{MARKER}.test", user=MARKER, password=MARKER)
    return other.directory


def _nothing(_: Path, __: Path) -> None:
    pass


def _fifo(target: Path, _: Path) -> None:
    os.mkfifo(target, 0o644)


def _socket(target: Path, _: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(target.parent):
        server.bind(target.name)


def _memory_device(minor: int) -> Maker:
    return lambda target, _: os.mknod(target, 0o644 | stat.S_IFCHR, os.makedev(1, minor))


def _directory(target: Path, _: Path) -> None:
    target.mkdir()


def _content(content: bytes) -> Maker:
    def make(target: Path, _: Path) -> None:
        target.write_bytes(content)

    return make


def _sparse(end: bytes) -> Maker:
    def make(target: Path, _: Path) -> None:
        with target.open("wb") as file:
            file.truncate(TERABYTE)
            file.seek(TERABYTE - len(end))
            file.write(end)

    return make


def _link(to: str) -> Maker:
    return lambda target, _: target.symlink_to(to)


def _link_to_itself(target: Path, _: Path) -> None:
    target.symlink_to(target.name)


def _loop(target: Path, _: Path) -> None:
    other = target.with_name(f"{target.name}.loop")
    target.symlink_to(other.name)
    other.symlink_to(target.name)


def _link_out(target: Path, other: Path) -> None:
    target.symlink_to(other)


def _link_up_and_out(target: Path, other: Path) -> None:
    target.symlink_to("../" * 40 + str(other).lstrip("/"))


# What may stand at a path; the second argument is the file or directory outside that has the same path there.
ODD: dict[str, Maker] = {
    "nothing": _nothing,
    "FIFO": _fifo,
    "socket": _socket,
    "null": _memory_device(3),
    "zero": _memory_device(5),
    "full": _memory_device(7),
    "kernel messages": _memory_device(11),
    "directory": _directory,
    "empty file": _content(b""),
    "NULs": _content(bytes(100_000)),
    "line feeds": _content(b"\n" * 100_000),
    "garbage": _content(GARBAGE),
    "one long line": _content(b"password = \"'{[(/*" * 60_000),
    "gzip": _content(b"\x1f\x8b\x08\0" + GARBAGE),
    "terabyte of nothing": _sparse(b"\0"),
    "terabyte with an end": _sparse(b"\nthe end\n"),
    "link to itself": _link_to_itself,
    "loop of links": _loop,
    "link to the root": _link("/"),
    "link to nothing": _link("nothing"),
    "absolute link out": _link_out,
    "link up and out": _link_up_and_out,
    "link to the running system": _link("/proc/1/environ"),
}


def put(root: Root, path: str, make: Maker, other: Path) -> None:
    """Put something odd in the place of a file or directory; missing directories above it are made.

    Nothing is done where something odd stands above it already: a link there could lead out of the root.
    """
    target = root.at(path)
    above = [parent for parent in target.parents if parent.is_relative_to(root.directory)]
    if any(parent.is_symlink() or (parent.exists() and not parent.is_dir()) for parent in above):
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    make(target, other / path.lstrip("/"))


@contextlib.contextmanager
def instead(root: Root, path: str, make: Maker, other: Path) -> Iterator[None]:
    """Something odd in the place of a file or directory, for as long as it takes."""
    target, aside = root.at(path), root.directory.with_name("aside")
    existed = os.path.lexists(target)
    if existed:
        target.rename(aside)
    target.parent.mkdir(parents=True, exist_ok=True)
    make(target, other / path.lstrip("/"))
    yield
    for left in (target, target.with_name(f"{target.name}.loop")):
        if left.is_dir() and not left.is_symlink():
            left.rmdir()
        else:
            left.unlink(missing_ok=True)
    if existed:
        aside.rename(target)


def listing(directory: Path) -> dict[bytes, tuple[int, ...]]:
    """Everything below a directory, with all that a write would change; `ctime` tells of changed rights, too."""
    return {path: _facts(os.lstat(path)) for path in _walk(os.fsencode(directory))}


def _walk(directory: bytes) -> Iterator[bytes]:
    yield directory
    for above, directories, files in os.walk(directory):
        yield from (os.path.join(above, name) for name in (*directories, *files))


def _facts(found: os.stat_result) -> tuple[int, ...]:
    return (
        found.st_ino,
        found.st_mode,
        found.st_uid,
        found.st_gid,
        found.st_nlink,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


# --- the audit of one


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
    assert PASSWORD.strip().decode() not in repr(report)
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
