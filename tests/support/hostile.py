"""An SMTP server that follows its script up to one stage and misbehaves there.

Plain sockets and threads, so that it can do what no mail library lets a server do: fall silent in the middle of a TLS
handshake, answer ten megabytes, or bytes that are no reply at all. It listens on loopback, accepts any password, and
every thread of it ends with `stop()`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from tests.support.replies import (
    BY_COMMAND,
    FAULTS,
    FLOOD_BYTES,
    GOOD,
    REFUSALS,
    RUBBISH,
    STAGES,
    TEMPORARIES,
    Fault,
    Stage,
)

__all__ = ["FAULTS", "STAGES", "Fault", "Hostile", "Stage"]

Tls = Literal["none", "starttls", "implicit"]


class _HangUpError(Exception):
    """The conversation ends here."""


class _Conversation:
    """One client: reads commands, answers them, and misbehaves at the one stage."""

    def __init__(self, server: Hostile, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.buffer = bytearray()
        self.secured = False

    def run(self) -> None:
        if self.server.tls == "implicit":
            self.secure()
        self.answer("greeting")
        while True:
            line = self.line()
            verb = line.split(b" ", 1)[0].upper()
            if verb == b"QUIT":
                self.sock.sendall(b"221 2.0.0 bye\r\n")
                raise _HangUpError
            stage = BY_COMMAND.get(verb)
            if stage is None:
                self.sock.sendall(b"250 2.0.0 whatever\r\n")
            elif stage == "auth":
                self.authenticate(line.split(b" "))
            else:
                self.answer(stage)
                if stage == "starttls":
                    self.secure()
                elif stage == "data":
                    self.body()

    def line(self) -> bytes:
        while (end := self.buffer.find(b"\n")) < 0:
            chunk = self.sock.recv(65536)
            if not chunk:
                raise _HangUpError
            self.buffer += chunk
        line = bytes(self.buffer[:end]).removesuffix(b"\r")
        del self.buffer[: end + 1]
        self.server.lines.append(line)
        return line

    def authenticate(self, words: list[bytes]) -> None:
        """Take whatever the client offers; the answers that come before the last one are always in order."""
        mechanism = words[1].upper() if len(words) > 1 else b""
        if self.server.misbehaves_at("auth") and not self.server.late:
            self.answer("auth")
            return
        questions = {b"LOGIN": [b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"], b"CRAM-MD5": [b"PDEyMy40QGhvc3RpbGU+"]}
        for question in questions.get(mechanism, [] if len(words) > 2 else [b""]):
            self.sock.sendall(b"334 " + question + b"\r\n")
            self.line()
        self.answer("auth")

    def body(self) -> None:
        lines: list[bytes] = []
        while (line := self.line()) != b".":
            lines.append(line)
        self.server.bodies.append(b"\n".join(lines))
        self.answer("end")

    def secure(self) -> None:
        self.server.reached.append("handshake")
        if self.server.misbehaves_at("handshake"):
            # Not before the client has begun: it could read the misbehaviour together with the reply to STARTTLS.
            self.sock.recv(1, socket.MSG_PEEK)
            self.misbehave("handshake")
            raise _HangUpError
        # `wrap_socket` takes the descriptor over: register the new object, or `stop()` could not wake this thread.
        wrapped = self.server.context().wrap_socket(self.sock, server_side=True, do_handshake_on_connect=False)
        self.server.exchange(self.sock, wrapped)
        self.sock = wrapped
        wrapped.do_handshake()
        self.secured = True

    def answer(self, stage: Stage) -> None:
        self.server.reached.append(stage)
        if self.server.misbehaves_at(stage):
            self.misbehave(stage)
        elif stage == "ehlo":
            offers = [b"SIZE 10240000"]
            if self.server.tls == "starttls" and not self.secured:
                offers.append(b"STARTTLS")
            elif self.server.auth:
                offers.append(b"AUTH " + self.server.auth.encode())
            lines = [b"hostile.example.test", *offers]
            text = b"".join(b"250-" + line + b"\r\n" for line in lines[:-1]) + b"250 " + lines[-1] + b"\r\n"
            self.sock.sendall(text)
        else:
            self.sock.sendall(GOOD[stage])

    def misbehave(self, stage: Stage) -> None:
        """Do the one thing that this server was made for; only a refusal lets the conversation go on."""
        if self.server.reply is not None:
            self.sock.sendall(self.server.reply)
            return
        match self.server.fault:
            case "refuse":
                self.sock.sendall(REFUSALS[stage])
                return
            case "temporary":
                self.sock.sendall(TEMPORARIES[stage])
                return
            case "rubbish":
                self.sock.sendall(RUBBISH)
                return
            case "hang":
                self.server.stopping.wait()
            case "reset":
                # A client that has not yet seen that it is connected would take it for the answer to its connect(2).
                self.server.stopping.wait(0.5 if stage == "greeting" else 0)
                # A linger time of zero makes close() send RST.
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case "flood":
                self.sock.sendall(_code(stage) + b" " + b"x" * FLOOD_BYTES + b"\r\n")
            case "chatter":
                more = _code(stage) + b"-" + b"x" * 70 + b"\r\n"
                self.sock.sendall(more * (FLOOD_BYTES // len(more)))
            case "trickle":
                # A limit on each single read never ends this, only a limit on the whole run does.
                self.sock.sendall(_code(stage) + b" ")
                while not self.server.stopping.wait(0.2):
                    self.sock.sendall(b"x")
            case _:
                pass
        raise _HangUpError


def _code(stage: Stage) -> bytes:
    return GOOD.get(stage, b"250")[:3]


class Hostile:
    """A server for one test: `with Hostile("auth", "hang", cert=..., key=...) as server: server.port`.

    `late` misbehaves at AUTH where a password is refused: after the last answer, and not at the command.
    """

    def __init__(
        self,
        stage: Stage | None = None,
        fault: Fault | None = None,
        *,
        reply: bytes | None = None,
        tls: Tls = "starttls",
        auth: str = "PLAIN LOGIN",
        late: bool = False,
        cert: Path | None = None,
        key: Path | None = None,
    ) -> None:
        if (stage is None) != (fault is None and reply is None):
            raise ValueError("a stage needs a fault or a reply, and these need a stage")
        if stage == "connect" and fault not in ("refuse", "hang"):
            raise ValueError("a connection can be refused or hang: what comes later is the greeting's")
        self.stage: Final = stage
        self.fault: Final = fault
        self.reply: Final = reply
        self.tls: Final = tls
        self.auth: Final = auth
        self.late: Final = late
        self.cert: Final = cert
        self.key: Final = key
        self.port = 0
        self.reached: list[Stage] = []
        self.lines: list[bytes] = []
        self.bodies: list[bytes] = []
        self.stopping: Final = threading.Event()
        self._lock: Final = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def listener(self) -> socket.socket:
        """The socket that clients are to reach, bound and not yet listening."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        return listener

    def __enter__(self) -> Self:
        listener = self.listener()
        self.port = listener.getsockname()[1]
        self._sockets.add(listener)
        if self.stage != "connect":
            listener.listen(16)
            self._start(self._accept, listener)
        elif self.fault == "hang":
            listener.listen(0)
            self._fill(listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self, deadline: float = 5.0) -> None:
        """End every thread; one that does not end in time is a fault of this class, so it is told."""
        self.stopping.set()
        with self._lock:
            for sock in self._sockets:
                # shutdown() wakes a thread that is blocked on the socket; close() alone does not.
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(deadline)
        with self._lock:
            for sock in self._sockets:
                sock.close()
        if alive := [thread.name for thread in self._threads if thread.is_alive()]:
            raise RuntimeError(f"threads of the hostile server still run: {alive}")

    def misbehaves_at(self, stage: Stage) -> bool:
        return stage == self.stage

    def context(self) -> ssl.SSLContext:
        if self.cert is None:
            raise ValueError("a server that speaks TLS needs a certificate")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context

    def exchange(self, old: socket.socket | None, new: socket.socket) -> None:
        """Let stop() know the socket that a thread is about to wait on; too late is the end of that thread."""
        with self._lock:
            if old is not None:
                self._sockets.discard(old)
            self._sockets.add(new)
            if self.stopping.is_set():
                raise _HangUpError

    def _start(self, work: Callable[[socket.socket], None], sock: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(sock,), name=f"hostile-{self.port}", daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError, _HangUpError):
            while True:
                sock, _ = listener.accept()
                self.exchange(None, sock)
                self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        conversation = _Conversation(self, sock)
        # The client may hang up at any moment, and so may stop(): both end the conversation and are no news.
        with contextlib.suppress(_HangUpError, OSError):
            conversation.run()
        with self._lock:
            self._sockets.discard(conversation.sock)
        with contextlib.suppress(OSError):
            conversation.sock.close()

    def _fill(self, listener: socket.socket) -> None:
        """Fill the queue of connections that nobody accepts: the next client's packet is then left unanswered."""
        for _ in range(8):
            client = socket.socket()
            client.settimeout(0.2)
            self._sockets.add(client)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                return
        raise RuntimeError("the queue of the listening socket never filled up")
