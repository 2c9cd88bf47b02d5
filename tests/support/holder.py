"""Processes that keep private namespaces alive, each for as long as it is wanted."""

from __future__ import annotations

import functools
import os
import select
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.support.origin import Origin

_START = Path(__file__).with_name("holder_start.py")
_READY_SECONDS = 90.0
_END_SECONDS = 10.0
# One thing to be done in new namespaces before the view is ready: a name of `holder_start`, and its arguments.
Step = Sequence[str]


@functools.cache
def _origin() -> Origin:
    return Origin(["/usr/bin/python3", "-I", "-S"], _START, env={})


class Holder:
    """A process in a mount and a network namespace of its own, in which the steps were taken. `pid` is its number."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._end, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            _origin().fork(steps, [its.fileno()])
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
        """Whether `close` was called."""
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
