"""Runs of msmtp-config that do not start Python anew, which is nine tenths of what a short run costs.

For tables of what servers, files and settings do to one and the same command. That the program starts, on each release
of Python and Typer, with its own imports and their order, is shown by the tests that start it.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import select
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.support.origin import Origin
from tests.support.view import SYSTEM_PATH

_DRIVER = Path(__file__).with_name("warm_start.py")
_PIPE_BYTES = 1 << 20


class Warm(Origin):
    """One Python that has imported the program, and `more` modules; it is not inside any sandbox, its forks are."""

    def __init__(self, python: str, project: Path, *more: str) -> None:
        environment = {"PATH": SYSTEM_PATH, "HOME": "/root", "LANG": "C.UTF-8"}
        environment |= {"PYTHONPATH": str(project), "PYTHONHASHSEED": "0"}
        super().__init__([python], _DRIVER, *more, env=environment)


warm = functools.cache(Warm)


class Run:
    """One run, from its fork to its end: `with Run(...) as run: run.go(); run.finish()`.

    `pid` is the program's own, and it is inside the sandbox already; before `go` it waits, for a tracer perhaps.
    """

    def __init__(
        self,
        origin: Warm,
        argv: Sequence[str],
        *,
        stdin: bytes | IO[bytes] | None,
        env: Mapping[str, str],
        mnt: str,
        net: str | None,
        timeout: float,
        module: str = "msmtp_agent",
    ) -> None:
        self._begin = time.monotonic()
        self._timeout = timeout
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(_source(stdin))
            self._out, out = os.pipe()
            self._err, err = os.pipe()
            self._reply, its = socket.socketpair()
            stack.enter_context(its)
            stack.callback(os.close, out)
            stack.callback(os.close, err)
            request = {"argv": list(argv), "env": dict(env), "mnt": mnt, "net": net, "cwd": "/", "module": module}
            origin.fork(request, (source.fileno(), out, err, its.fileno()))
        try:
            self.pid = self._told("inside")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for descriptor in (self._out, self._err):
            os.close(descriptor)
        self._reply.close()

    def go(self) -> None:
        self._reply.sendall(b"g")

    def finish(self, kill: Callable[[int], None]) -> tuple[int, bytes, bytes, float]:
        """Its status (negative: a signal), what it wrote, and the seconds; `kill` ends it at the deadline."""
        taken: dict[int, bytearray] = {self._out: bytearray(), self._err: bytearray()}
        expired = not self._collect(taken)
        if expired:
            kill(self.pid)
        status = self._told("ended")
        seconds = time.monotonic() - self._begin
        out, err = bytes(taken[self._out]), bytes(taken[self._err])
        if expired:
            raise subprocess.TimeoutExpired("msmtp-config", self._timeout, out, err)
        return status, out, err, seconds

    def _collect(self, taken: dict[int, bytearray]) -> bool:
        """Read both streams to their ends; False at the deadline."""
        with selectors.DefaultSelector() as selector:
            for descriptor in taken:
                selector.register(descriptor, selectors.EVENT_READ)
            while selector.get_map():
                ready = selector.select(max(0.0, self._begin + self._timeout - time.monotonic()))
                if not ready:
                    return False
                for key, _ in ready:
                    piece = os.read(key.fd, 1 << 16)
                    taken[key.fd] += piece
                    if not piece:
                        selector.unregister(key.fd)
        return True

    def _told(self, what: str) -> int:
        line = b""
        while not line.endswith(b"\n"):
            self._reply.settimeout(max(5.0, self._begin + self._timeout - time.monotonic()))
            piece = self._reply.recv(1)
            if not piece:
                break
            line += piece
        word, _, number = line.decode().partition(" ")
        if word != what:
            raise RuntimeError(f"the run was to be {what}, and {line.decode()!r} was told: see the error output")
        return int(number)


def _source(stdin: bytes | IO[bytes] | None) -> IO[bytes]:
    """Its standard input: the null device, an open file, or a pipe that holds these bytes and their end."""
    if stdin is None:
        return open(os.devnull, "rb")
    if not isinstance(stdin, bytes):
        return open(os.dup(stdin.fileno()), "rb")
    reader, writer = os.pipe()
    with open(writer, "wb") as file:
        # All of it at once: nobody reads yet.
        assert fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES) >= len(stdin)
        file.write(stdin)
    return open(reader, "rb")


def kill_session(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def wait_attached(tracer: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until strace says that it is attached: then the run has been told to stop, before it is told to go on.

    That the kernel names a tracer is not enough: for a moment the run goes on without stops.
    """
    assert tracer.stderr is not None
    told, deadline = b"", time.monotonic() + seconds
    while b" attached\n" not in told:
        ready = select.select([tracer.stderr], [], [], max(0.0, deadline - time.monotonic()))[0]
        piece = os.read(tracer.stderr.fileno(), 4096) if ready else b""
        if not piece:
            raise RuntimeError(f"strace is not attached: {told!r}")
        told += piece
