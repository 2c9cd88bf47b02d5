"""Run by `tests.support.holder`, as a program: forks a holder for each view, which mounts what it is told to.

A fork, and no shell with its tools: a run of all tests has some 1,600 views of about ten mounts each.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import stat
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_NEWNS, _NEWNET = 0x00020000, 0x40000000  # sched.h
_RDONLY, _REMOUNT, _BIND, _REC, _PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000  # sys/mount.h
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1  # linux/sockios.h, net/if.h
_REQUEST_BYTES = 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(status: int, *what: str) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), f"{' '.join(what)}: {os.strerror(ctypes.get_errno())}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    flags_ = ctypes.c_ulong(flags)
    status = _libc.mount(os.fsencode(source), os.fsencode(target), kind.encode(), flags_, os.fsencode(data))
    _checked(status, "mount", source, target, data)


# --- the steps


def _directory(path: str, mode: str = "755") -> None:
    """With those above it; one that is there keeps its mode."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    if not os.path.isdir(path):
        os.mkdir(path)
        os.chmod(path, int(mode, 8))


def _text(path: str, text: str) -> None:
    Path(path).write_text(text)


def _hidden(path: str) -> None:
    """overlayfs's mark for "deleted"."""
    os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(0, 0))


def _tmpfs(target: str, mode: str = "755") -> None:
    _mount("tmpfs", target, "tmpfs", 0, f"mode={mode}")


def _proc(target: str) -> None:
    _mount("proc", target, "proc", 0)


def _overlay(lower: str, layers: str, target: str) -> None:
    """What changes goes to `layers`/upper."""
    _mount("overlay", target, "overlay", 0, f"lowerdir={lower},upperdir={layers}/upper,workdir={layers}/work")


def _bind(source: str, target: str) -> None:
    """With all that is mounted below it."""
    _mount(source, target, "", _BIND | _REC)


def _shown(source: str, target: str) -> None:
    """A file or a directory, read-only, in a place that need not be there."""
    _directory(target if os.path.isdir(source) else os.path.dirname(target))
    if not os.path.lexists(target):
        _text(target, "")
    _mount(source, target, "", _BIND)
    _mount("", target, "", _BIND | _REMOUNT | _RDONLY)


def _root(path: str) -> None:
    os.chroot(path)
    os.chdir("/")


_STEPS: dict[str, Callable[..., None]] = {
    "directory": _directory,
    "text": _text,
    "hidden": _hidden,
    "tmpfs": _tmpfs,
    "proc": _proc,
    "overlay": _overlay,
    "bind": _bind,
    "shown": _shown,
    "root": _root,
    "stay": os.chdir,
}


# --- the holders


def _lo_up() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _hold(steps: list[list[str]], end: socket.socket) -> NoReturn:
    """Be the holder of a view, until nobody has the other end any more."""
    os.setsid()
    try:
        _checked(_libc.unshare(_NEWNS | _NEWNET), "unshare")
        _mount("", "/", "", _REC | _PRIVATE)
        for name, *arguments in steps:
            _STEPS[name](*arguments)
        _lo_up()
    except OSError as error:
        end.sendall(str(error).encode())
    else:
        end.sendall(b"ready %d" % os.getpid())
        end.recv(1)
    os._exit(0)


def main() -> None:
    """Take requests until nobody is left to ask."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a holder: the kernel forgets it
    os.umask(0o022)
    control.sendall(b"ready")
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, _REQUEST_BYTES, 1)
        if not data:
            os._exit(0)
        end = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            control.close()
            _hold(json.loads(data), end)
        end.close()


if __name__ == "__main__":
    main()
