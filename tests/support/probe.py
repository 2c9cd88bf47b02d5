"""A program that is run inside a unit's sandbox: it tries what the walls are to keep out, and prints what stood.

Plain Python of the distribution; `/outside` holds the namespaces of PID 1, one link a line.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import sys
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYS_PERSONALITY, _SYS_SETPRIORITY, _SYS_CHOWN, _SYS_UNSHARE = 135, 141, 92, 272
_CLONE_NEWUSER = 0x10000000
_NO_RANDOM_ADDRESSES = 0x0040000


def _errno(call: Callable[[], object]) -> int:
    """The errno with which the kernel refuses this; 0 when it does not."""
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0


def _raw(number: int, *arguments: object) -> int:
    """The same for a system call that Python has no function for."""
    ctypes.set_errno(0)
    return ctypes.get_errno() if _LIBC.syscall(number, *arguments) == -1 else 0


def _apart(call: Callable[[], int]) -> int:
    """What `call` gives in a process of its own; the negative signal when that was killed."""
    child = os.fork()
    if child == 0:
        os._exit(call())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _status(name: str) -> str:
    with open("/proc/self/status", encoding="ascii") as file:
        return next(line.split(":", 1)[1].strip() for line in file if line.startswith(f"{name}:"))


def _writable(directory: str) -> bool:
    """Whether a file can be made there; it is removed again."""
    name = f"{directory}/probe-{os.getpid()}"
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise AssertionError(f"{directory} is missing") from None
        return False
    os.unlink(name)
    return True


def _set_uid_file() -> int:
    name = f"/tmp/set-uid-{os.getpid()}"
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o700))
    try:
        return _errno(lambda: os.chmod(name, 0o4755))
    finally:
        os.unlink(name)


def _writable_code() -> bool:
    """Refused by a filter of system calls, or by the kernel's own switch."""
    everything = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    return _errno(lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=everything)) not in (errno.EPERM, errno.EACCES)


def _foreign_call() -> int:
    """Ask for the process id by the 32-bit way into the kernel; 0 when it answers."""
    name = f"/tmp/code-{os.getpid()}"
    with open(name, "w+b") as file:
        # mov eax, 20; int 0x80; ret
        file.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3" + bytes(mmap.PAGESIZE - 8))
        file.flush()
        _LIBC.mmap.restype = ctypes.c_void_p
        _LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        place = _LIBC.mmap(None, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE, file.fileno(), 0)
    os.unlink(name)
    answer = ctypes.CFUNCTYPE(ctypes.c_int)(place)
    return _apart(lambda: 0 if answer() == os.getpid() else 1)


def _proc_options() -> list[str]:
    """How /proc is mounted. Whether processes of others can be seen tells nothing: root's group sees them all."""
    with open("/proc/self/mountinfo", encoding="ascii") as file:
        last = [line for line in file if line.split()[4] == "/proc"][-1]
    return [option for option in last.split()[-1].split(",") if "=" in option]


def _control_group() -> int:
    name = f"/sys/fs/cgroup/probe-{os.getpid()}"
    refused = _errno(lambda: os.mkdir(name))
    if not refused:
        os.rmdir(name)
    return refused


def _inside(kind: str) -> bool:
    """Whether this namespace is another one than PID 1's."""
    with open("/outside", encoding="ascii") as file:
        (outside,) = (line.strip() for line in file if line.startswith(f"{kind}:"))
    return os.readlink(f"/proc/self/ns/{kind}") != outside


def _family(family: int, kind: int = socket.SOCK_DGRAM) -> int:
    def opened() -> None:
        socket.socket(family, kind).close()

    return _errno(opened)


def _realtime() -> int:
    return _errno(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))


def _host_name() -> int:
    return _errno(lambda: socket.sethostname(socket.gethostname()))


def _seen(name: str) -> bool:
    with contextlib.suppress(OSError):
        os.stat(name)
        return True
    return False


WALLS: dict[str, Callable[[], object]] = {
    "capabilities": lambda: [_status(name).lstrip("0") for name in ("CapBnd", "CapPrm", "CapEff")],
    "no new privileges": lambda: _status("NoNewPrivs"),
    "a filter of system calls": lambda: _status("Seccomp"),
    "chown": lambda: _raw(_SYS_CHOWN, b"/proc/self/none", -1, -1),
    "priority": lambda: _raw(_SYS_SETPRIORITY, 0, 0, 0),
    "personality": lambda: _apart(lambda: _raw(_SYS_PERSONALITY, _NO_RANDOM_ADDRESSES)),
    "32-bit calls": _foreign_call,
    "user namespace": lambda: _apart(lambda: _raw(_SYS_UNSHARE, _CLONE_NEWUSER)),
    "writable code": _writable_code,
    "set-uid file": _set_uid_file,
    "realtime": lambda: _apart(_realtime),
    "host name": _host_name,
    "AF_NETLINK": lambda: _family(socket.AF_NETLINK, socket.SOCK_RAW),
    "AF_PACKET": lambda: _family(socket.AF_PACKET, socket.SOCK_RAW),
    "AF_INET": lambda: _family(socket.AF_INET),
    "AF_UNIX": lambda: _family(socket.AF_UNIX),
    "umask": lambda: os.umask(0o77),
    "core": lambda: resource.getrlimit(resource.RLIMIT_CORE),
    "/proc": _proc_options,
    "tunables": lambda: _errno(lambda: os.close(os.open("/proc/sys/net/ipv4/ip_forward", os.O_WRONLY))),
    "modules": lambda: _seen("/usr/lib/modules/marker"),
    "devices of the host": lambda: _seen("/dev/marker"),
    "temporary files of others": lambda: _seen("/tmp/marker"),
    "control groups": _control_group,
    "what can be written": lambda: [
        name
        for name in (
            "/",
            "/usr",
            "/var/lib",
            "/opt",
            "/home",
            "/root",
            "/srv",
            "/etc",
            "/var/log",
            "/tmp",
            *sys.argv[1:],
        )
        if _writable(name)
    ],
    "namespaces": lambda: [kind for kind in ("ipc", "mnt", "net", "uts") if _inside(kind)],
}


def _told(look: Callable[[], object]) -> object:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no wall that stands
        return f"the probe broke: {error!r}"


if __name__ == "__main__":
    sys.stdout.write(f"probe {json.dumps({name: _told(look) for name, look in WALLS.items()})}\n")
