"""Run by `tests.support.warm`, as a program: imports msmtp-config once, and becomes it anew for each run asked for.

Each run is a fork that enters the sandbox and does what `python3 -m msmtp_agent` does from its first line on: with
descriptors, environment, arguments, session and streams of its own, and with Python's own end. Nothing of the program
has run before the fork, it is imported alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import selectors
import socket
import sys
import threading
from typing import Any, NoReturn

_NEWNS, _NEWNET = 0x00020000, 0x40000000  # sched.h
# What the jobs import only when they need it; Rich is left out, as the program does.
_LATE = ("encodings.idna", "jsonschema", "socket", "ssl", "subprocess", "yaml")
_REQUEST_BYTES = 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


class _Run:
    """What one request asks for: three streams, and the socket that its end is told on."""

    def __init__(self, request: dict[str, Any], descriptors: list[int]) -> None:
        self.request = request
        self.streams = descriptors[:3]
        self.reply = socket.socket(fileno=descriptors[3])
        self.pid = 0

    def close(self) -> None:
        for stream in self.streams:
            os.close(stream)
        self.streams = []


def _import_all() -> None:
    package = importlib.import_module("msmtp_agent")
    importlib.import_module("msmtp_agent.cli")  # first: it decides how Typer is imported
    for module in pkgutil.walk_packages(package.__path__, "msmtp_agent."):
        if module.name != "msmtp_agent.__main__":
            importlib.import_module(module.name)
    for name in (*_LATE, *sys.argv[2:]):
        importlib.import_module(name)
    assert "rich" not in sys.modules


def _enter(path: str, kind: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if _libc.setns(descriptor, kind) != 0:
        raise OSError(ctypes.get_errno(), f"setns: {os.strerror(ctypes.get_errno())}", path)
    os.close(descriptor)


def _become(run: _Run) -> None:
    """In the child: everything that a process has of its own, as a start by the shell would have given it."""
    request = run.request
    os.setsid()
    if request["net"]:
        _enter(request["net"], _NEWNET)
    _enter(request["mnt"], _NEWNS)
    os.chdir(request["cwd"])
    for number, stream in enumerate(run.streams):
        os.dup2(stream, number)
    run.close()
    # Whoever asked may want to attach a tracer before the first line of the program.
    run.reply.sendall(b"inside %d\n" % os.getpid())
    run.reply.recv(1)
    run.reply.close()
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[:] = request["argv"]
    _streams()


def _streams() -> None:
    """New ones for the new descriptors, as Python makes them at its start."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
        buffer: Any = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
        lines = number == 2 or raw.isatty()
        stream = io.TextIOWrapper(buffer, old.encoding, old.errors, "\n", line_buffering=lines)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _ended(run: _Run) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(run.pid, 0)[1])
    with contextlib.suppress(OSError):  # nobody waits for it any more
        run.reply.sendall(b"ended %d\n" % status)
    run.reply.close()


def _serve(control: socket.socket) -> _Run:
    """Take requests until nobody is left to ask; returns in each child, with what it is to do."""
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _ended(key.data)
                    continue
                data, descriptors, _, _ = socket.recv_fds(control, _REQUEST_BYTES, 4)
                if not data:
                    _end()
                run = _Run(json.loads(data), descriptors)
                run.pid = os.fork()
                if run.pid == 0:
                    control.close()
                    return run
                run.close()
                selector.register(os.pidfd_open(run.pid), selectors.EVENT_READ, run)


def _end() -> NoReturn:
    os._exit(0)


def main() -> str:
    """Returns in each run, with the name of the module that it is to be."""
    _import_all()
    gc.freeze()
    control = socket.socket(fileno=int(sys.argv[1]))
    control.sendall(b"ready")
    run = _serve(control)
    try:
        _become(run)
    except OSError:
        # Not a line of the program may run outside the sandbox.
        sys.excepthook(*sys.exc_info())
        os._exit(126)
    return str(run.request["module"])


def _leave(code: object) -> None:
    """End without taking Python apart, which costs as much as the run: all that can be seen of it is done before."""
    if not isinstance(code, int) or threading.active_count() > 1:
        return
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


if __name__ == "__main__":
    module = main()
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _leave(ended.code or 0)
        raise  # Python's own end, with what it says of it
