"""A way round: connections to a listening socket are passed on to a port of this machine, after SOCKS5 if wanted."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_DEADLINE: Final = 10.0


class Relay:
    """`with Relay(listener, port) as relay:`; `relay.names` are the hosts that a SOCKS5 client has asked for."""

    def __init__(self, listener: socket.socket, port: int, *, socks: bool = False) -> None:
        self.names: list[str] = []
        self._listener: Final = listener
        self._port: Final = port
        self._socks: Final = socks
        self._threads: Final[list[threading.Thread]] = []

    def __enter__(self) -> Self:
        self._listener.listen(16)
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_DEADLINE)
        self._listener.close()
        assert not any(thread.is_alive() for thread in self._threads)

    def _start(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, name="relay", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            client.settimeout(_DEADLINE)
            if self._socks:
                self._greet(client)
            with socket.create_connection(("127.0.0.1", self._port), _DEADLINE) as server:
                _pump(client, server)

    def _greet(self, client: socket.socket) -> None:
        """Version 5, no authentication, CONNECT to a name (RFC 1928)."""
        client.recv(3)
        client.sendall(b"\x05\x00")
        head = client.recv(5)
        self.names.append(client.recv(head[4]).decode())
        client.recv(2)
        client.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x19")


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes in both directions until one side has no more."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while ready := selector.select(_DEADLINE):
            for key, _ in ready:
                assert isinstance(key.fileobj, socket.socket)
                piece = key.fileobj.recv(65536)
                if not piece:
                    return
                key.data.sendall(piece)
