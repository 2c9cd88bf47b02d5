"""Sockets in the network of a view, made by the test itself: there every port is free, 25 and 587 as well."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tests.support.hostile import Hostile

_CLONE_NEWNET: Final = 0x40000000
_Made = TypeVar("_Made")


def inside(pid: int, make: Callable[[], _Made]) -> _Made:
    """Call `make` in the network namespace of a process: `sandbox.pid`, where the sandbox has a network of its own.

    A socket belongs for ever to the namespace of the thread that made it: so a thread goes there (setns(2)), and ends.
    """
    made: list[_Made] = []
    faults: list[BaseException] = []

    def work() -> None:
        try:
            descriptor = os.open(Path(f"/proc/{pid}/ns/net"), os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number))
            finally:
                os.close(descriptor)
            made.append(make())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
            faults.append(error)

    thread = threading.Thread(target=work, name=f"in the network of {pid}")
    thread.start()
    thread.join(30)
    for error in faults:
        raise error
    return made[0]


def bound(pid: int, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket bound to a port of the view's loopback."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the port of the server before this one
            made.bind(("127.0.0.1", port))
        except OSError:
            made.close()
            raise
        return made

    return inside(pid, make)


class Inside(Hostile):
    """A scripted server on a port of its own choice, in the network of a view."""

    def __init__(self, pid: int, at: int, *script: Any, **more: Any) -> None:
        super().__init__(*script, **more)
        self._pid = pid
        self._at = at

    def listener(self) -> socket.socket:
        return bound(self._pid, self._at)

    def _fill(self, listener: socket.socket) -> None:
        inside(self._pid, lambda: super(Inside, self)._fill(listener))


class NameServer:
    """A name server in the network of a view that answers every question with the same code and no address."""

    NO_DATA, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3  # RFC 1035, 4.1.1

    def __init__(self, pid: int, code: int) -> None:
        self._code = code
        self._socket = bound(pid, 53, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._serve, name="name server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A datagram wakes the thread: neither close() nor shutdown() would.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4096)
            if not question:
                return
            # The question again, marked as an answer with recursion, and with the code.
            flags = 0x8180 | self._code
            self._socket.sendto(question[:2] + struct.pack(">HHHHH", flags, 1, 0, 0, 0) + question[12:], client)
