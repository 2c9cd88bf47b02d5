"""Processes that keep private namespaces alive, each for as long as it is wanted."""

from __future__ import annotations

import atexit
import functools
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

_START = Path(__file__).with_name("holder_start.py")
# Usually hundredths of one. Once in several whole runs 30 were not enough, or something had ended it: the error says.
_READY_SECONDS = 90.0
_END_SECONDS = 10.0
# One thing to be done in new namespaces before the view is ready: a name of `holder_start`, and its arguments.
Step = Sequence[str]


class _Origin:
    """One small Python, whose forks the holders are. It ends with this process, and so do they."""

    def __init__(self) -> None:
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                ["/usr/bin/python3", "-I", "-S", "-B", _START, str(its.fileno())],
                stdin=subprocess.DEVNULL,
                env={},
                pass_fds=[its.fileno()],
                cwd="/",
                # Not the test's process group: a Ctrl-C that a test sends to that group is not for the holders.
                start_new_session=True,
            )
        self._control.settimeout(_READY_SECONDS)
        if self._control.recv(16) != b"ready":
            raise RuntimeError(f"{_START}: did not start")
        atexit.register(self.close)

    def close(self) -> None:
        self._control.close()
        self._process.wait(_END_SECONDS)

    def fork(self, steps: Sequence[Step]) -> socket.socket:
        """This end of the socket by which a holder lives."""
        end, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            socket.send_fds(self._control, [json.dumps(steps).encode()], [its.fileno()])
        return end


_origin = functools.cache(_Origin)


class Holder:
    """A process in a mount and a network namespace of its own, in which the steps were taken. `pid` is its number."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._end = _origin().fork(steps)
        try:
            self._end.settimeout(_READY_SECONDS)
            try:
                said = self._end.recv(1 << 16).decode()
            except TimeoutError:
                raise RuntimeError(f"not ready after {_READY_SECONDS} s") from None
            if not said.startswith("ready "):
                raise RuntimeError(f"ended before it was ready: {said}")
            self.pid = int(said.removeprefix("ready "))
            self._process = os.pidfd_open(self.pid)
        except BaseException:
            self._end.close()
            raise

    @property
    def closed(self) -> bool:
        return self._end.fileno() == -1

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self._end.close()
        try:
            if not select.select([self._process], [], [], _END_SECONDS)[0]:
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
                select.select([self._process], [], [], _END_SECONDS)
        finally:
            os.close(self._process)
