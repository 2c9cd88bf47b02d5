"""The only room that opens sockets: is a port open, and which certificate is shown there; no secret is ever sent."""

import errno
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from .errors import TemporaryError
from .printable import printable

if TYPE_CHECKING:
    import socket
    import ssl

_LONGEST_LINE = 4096  # bytes; RFC 5321 has 512, and servers with many extensions say more
_LONGEST_REPLY = 64 * 1024  # bytes
_LONGEST_HANDSHAKE = 1 << 20  # bytes of TLS; a chain of certificates has a few thousand
_SHOWN = 200  # characters of a server's line
_PIECE = 16 * 1024
_OP_LEGACY_SERVER_CONNECT = 0x4  # a name in `ssl` from Python 3.12 on
_WORDS = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "no route to host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ETIMEDOUT: "timed out",
    errno.ECONNRESET: "reset by the server",
}
_NO_TLS = "the server does not speak TLS here"
_OTHER_LANGUAGES = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")


class StoppedError(TemporaryError):
    """A conversation that did not come to its end; `stage`: connect, greeting, hello, starttls or tls."""

    def __init__(self, subject: str, observed: str, *, stage: str, remedy: str) -> None:
        super().__init__(subject, observed, remedy=remedy)
        self.stage = stage


class Reached(NamedTuple):
    """One attempt to connect: `seconds` that it took, and `fault`, empty where it succeeded."""

    address: str
    port: int
    seconds: float
    fault: str


class Shown(NamedTuple):
    """What a server showed in a TLS handshake: its certificate, and what was agreed upon (`TLSv1.3`)."""

    der: bytes
    protocol: str
    cipher: str


def reach_all(places: Sequence[tuple[str, int]], timeout: float) -> tuple[Reached, ...]:
    """Connect to numeric addresses and ports, all at once, and close; in the order asked.

    It takes `timeout` seconds at most, for all of them, and never raises an error.
    """
    import selectors

    begun = time.monotonic()
    found: dict[int, Reached] = {}
    waiting: dict[int, socket.socket] = {}

    def note(number: int, fault: str) -> None:
        found[number] = Reached(*places[number], time.monotonic() - begun, fault)

    with selectors.DefaultSelector() as selector:
        try:
            for number, place in enumerate(places):
                try:
                    waiting[number] = _begin(*place)
                except OSError as error:
                    note(number, _fault(error, timeout))
                else:
                    selector.register(waiting[number], selectors.EVENT_WRITE, number)
            while waiting and (left := begun + timeout - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    selector.unregister(key.fileobj)
                    with waiting.pop(key.data) as connected:
                        note(key.data, _outcome(connected))
        finally:
            for number, connecting in waiting.items():
                connecting.close()
                note(number, f"timed out after {timeout:g} s")
    return tuple(found[number] for number in range(len(places)))


def certificate(
    address: str,
    port: int,
    timeout: float,
    *,
    server_name: str,
    starttls: bool,
    hello: str = "localhost",
    hide: Callable[[str], str] = str,
) -> Shown:
    """The certificate that the server at a numeric address shows for `server_name`: whatever it is, nothing is judged.

    After `timeout` seconds in all it ends, whatever the server does. Nothing is sent but EHLO, STARTTLS and QUIT.
    Raises StoppedError, which names the stage that failed; what the server said there goes through `hide`.
    """
    conversation = _Conversation(address, port, timeout, hide)
    try:
        conversation.open()
        if starttls:
            conversation.starttls(hello)
        return conversation.handshake(server_name, polite=starttls)
    except OSError as error:  # ssl.SSLError is one, and so is the time-out
        raise conversation.failed(_fault(error, timeout)) from None
    finally:
        conversation.close()


class _Conversation:
    """One connection with one deadline for all of it; `_stage` is what it is at."""

    def __init__(self, address: str, port: int, timeout: float, hide: Callable[[str], str]) -> None:
        self._address, self._port, self._timeout, self._hide = address, port, timeout, hide
        self._deadline = time.monotonic() + timeout
        self._socket: socket.socket | None = None
        self._rest = b""  # received behind the last line that was taken
        self._stage = "connect"

    def open(self) -> None:
        """Connect. Raises OSError."""
        self._socket, place = _unconnected(self._address, self._port)
        self._socket.settimeout(self._timeout)
        self._socket.connect(place)

    def close(self) -> None:
        """Close what is open."""
        if self._socket is not None:
            self._socket.close()

    def failed(self, observed: str) -> StoppedError:
        """The error for what was seen at this stage."""
        return StoppedError(
            f"{self._address} port {self._port}",
            f"{_STAGES[self._stage]}: {observed}",
            stage=self._stage,
            remedy=f"openssl s_client -connect {_joined(self._address, self._port)}",
        )

    def starttls(self, hello: str) -> None:
        """Up to the server's word that TLS may begin. Raises OSError, StoppedError."""
        self._stage = "greeting"
        self._expect("220")
        self._stage = "hello"
        self._send(b"EHLO " + hello.encode("ascii", "replace") + b"\r\n")
        offers = [line[4:].strip().upper() for line in self._expect("250")]
        self._stage = "starttls"
        if "STARTTLS" not in offers[1:]:
            raise self.failed("not offered")
        self._send(b"STARTTLS\r\n")
        self._expect("220")
        if self._rest:  # somebody on the way could have put it in
            raise self.failed("more came behind the reply, in clear text")

    def handshake(self, server_name: str, *, polite: bool) -> Shown:
        """Shake hands, without any verification; `polite` says QUIT. Raises OSError, StoppedError."""
        import ssl

        self._stage = "tls"
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # Over buffers of our own: every piece counts against the deadline and the limit, however small or many.
        try:
            tls = _context().wrap_bio(incoming, outgoing, server_hostname=server_name or None)
        except (ValueError, TypeError):  # UnicodeError is a ValueError; a NUL makes a TypeError
            raise self.failed(f"{self._short(server_name)} cannot be the name of a server") from None
        received = 0
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send(outgoing.read())
                piece = self._receive()
            received += len(piece)
            if received > _LONGEST_HANDSHAKE:
                raise self.failed(f"no end after {_LONGEST_HANDSHAKE} bytes")
            incoming.write(piece)
        der, cipher = tls.getpeercert(binary_form=True), tls.cipher()
        if not der:
            raise self.failed("no certificate was shown")
        shown = Shown(der, tls.version() or "", cipher[0] if cipher else "")
        self._leave(tls, outgoing, polite=polite)
        return shown

    def _leave(self, tls: "ssl.SSLObject", outgoing: "ssl.MemoryBIO", *, polite: bool) -> None:
        """Finish the handshake and say goodbye, as far as the server listens: what was asked for is known."""
        import ssl

        with suppress(OSError):
            if polite:
                tls.write(b"QUIT\r\n")
            with suppress(ssl.SSLWantReadError):  # the server's own goodbye is not waited for
                tls.unwrap()
            self._send(outgoing.read())

    def _expect(self, code: str) -> list[str]:
        """The lines of a reply with this code. Raises OSError, StoppedError."""
        lines: list[str] = []
        size = 0
        while True:
            line = self._line()
            size += len(line)
            if size > _LONGEST_REPLY:
                raise self.failed(f"a reply without end ({_LONGEST_REPLY} bytes)")
            lines.append(line)
            if not (line[:3].isdigit() and line[3:4] in ("", " ", "-")):
                raise self.failed(f"no SMTP reply but: {self._short(line)}" if line else "an empty line, no SMTP reply")
            if line[3:4] != "-":
                break
        if line[:3] != code:
            raise self.failed(self._short(line))
        return lines

    def _line(self) -> str:
        """The next line without its end. Raises OSError, StoppedError."""
        while b"\n" not in self._rest:
            if len(self._rest) > _LONGEST_LINE:
                raise self.failed(f"a line without end ({_LONGEST_LINE} bytes)")
            self._rest += self._receive()
        line, _, self._rest = self._rest.partition(b"\n")
        return line.removesuffix(b"\r").decode("utf-8", "replace")

    def _short(self, line: str) -> str:
        """The beginning of a line, fit for a terminal; cut last, or what is hidden could stand at the cut in part."""
        shown = printable(self._hide(line))
        return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + " [cut]"

    def _receive(self) -> bytes:
        """What comes next, at least one byte. Raises OSError, StoppedError."""
        piece = self._ready().recv(_PIECE)
        if not piece:
            raise self.failed("the server closed the connection")
        return piece

    def _send(self, content: bytes) -> None:
        """Send all of it. Raises OSError."""
        rest = memoryview(content)
        while rest:
            rest = rest[self._ready().send(rest) :]

    def _ready(self) -> "socket.socket":
        """The socket, with the time that is left for its next call. Raises OSError."""
        left = self._deadline - time.monotonic()
        if left <= 0 or self._socket is None:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._socket


# How messages call the stages.
_STAGES = {"connect": "connection", "greeting": "greeting", "hello": "EHLO", "starttls": "STARTTLS", "tls": "TLS"}


def _unconnected(address: str, port: int) -> "tuple[socket.socket, tuple[object, ...]]":
    """A socket, and where it is to connect to; the address is a number: nobody is asked for a name. Raises OSError."""
    import socket

    number = address.encode("utf-8", "surrogateescape")  # Python would take a text for a domain, and might not like it
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    family, kind, protocol, _, place = socket.getaddrinfo(number, port, type=socket.SOCK_STREAM, flags=flags)[0]
    return socket.socket(family, kind, protocol), place


def _begin(address: str, port: int) -> "socket.socket":
    """A socket that is connecting. Raises OSError."""
    connecting, place = _unconnected(address, port)
    try:
        connecting.setblocking(False)
        with suppress(BlockingIOError):
            connecting.connect(place)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _outcome(connected: "socket.socket") -> str:
    """Why this socket did not connect; empty if it did."""
    import os
    import socket

    code = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return _fault(OSError(code, os.strerror(code)), 0) if code else ""


def _context() -> "ssl.SSLContext":
    """Everything that msmtp's GnuTLS might accept, and more: this is to look, and no secret goes there."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.options |= _OP_LEGACY_SERVER_CONNECT
    return context


def _fault(error: OSError, timeout: float) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"timed out after {timeout:g} s"
    reason = getattr(error, "reason", None) or ""  # of ssl.SSLError, in OpenSSL's capitals
    alert = reason.partition("_ALERT_")[2].replace("_", " ").lower()  # of whatever protocol, which says nothing
    words = _NO_TLS if reason in _OTHER_LANGUAGES else alert and f"the server's alert: {alert}"
    words = words or _WORDS.get(error.errno or 0, "")
    return words or (reason or error.strerror or type(error).__name__).replace("_", " ").lower()


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
