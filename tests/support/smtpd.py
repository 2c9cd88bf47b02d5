"""A real SMTP server in a thread that writes down what reaches it: the password's bytes, the envelopes, the mails.

The protocol is aiosmtpd's (any release from 1.4.3 on); this module adds the thread, limits wide enough for the
longest line that msmtp sends, CRAM-MD5, and the record.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import ssl
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Protocol, Self, cast

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

Tls = Literal["none", "starttls", "implicit"]

# RFC 4954 asks a server for lines of 12,288 octets in AUTH; aiosmtpd stops at 512 and 1,001.
LONGEST_LINE: Final = 12288 + 2
DEADLINE: Final = 10.0
OFFERED: Final = ("PLAIN", "LOGIN", "CRAM-MD5")

# aiosmtpd warns of its own use of an attribute that it has deprecated, once for each login.
logging.getLogger("mail.log").setLevel(logging.ERROR)


class Login(NamedTuple):
    """One try. CRAM-MD5 shows no password: there it is the known one that the digest belongs to, or nothing."""

    mechanism: str
    user: str
    password: bytes
    accepted: bool


class Message(NamedTuple):
    """One mail that was taken."""

    user: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes
    queue_id: str


class _Session(Protocol):
    """What this module uses of aiosmtpd's Session."""

    host_name: str
    authenticated: bool | None
    auth_data: Any


class _Envelope(Protocol):
    """What this module uses of aiosmtpd's Envelope."""

    mail_from: str | None
    mail_options: list[str]
    rcpt_tos: list[str]
    content: bytes | None


class _Server(Protocol):
    """What this module uses of aiosmtpd's SMTP: its own annotations leave most of it open."""

    async def challenge_auth(self, challenge: bytes) -> object: ...


class _Wide(SMTP):
    line_length_limit = LONGEST_LINE
    command_size_limit = LONGEST_LINE
    # The class attribute of aiosmtpd is one dictionary for all servers of the process, and EHLO adds to it.
    command_size_limits: dict[str, int] = defaultdict(lambda: LONGEST_LINE)  # noqa: RUF012 - as the base class has it


class Smtpd:
    """`with Smtpd(users={"u": b"pw"}, cert=..., key=...) as server: server.port`, then `logins` and `messages`."""

    def __init__(
        self,
        users: dict[str, bytes] | None = None,
        *,
        tls: Tls = "starttls",
        cert: Path | None = None,
        key: Path | None = None,
        mechanisms: Iterable[str] = ("PLAIN", "LOGIN"),
        accept_any: bool = False,
        refuse_sender: bool = False,
        on_message: Callable[[Message], object] | None = None,
    ) -> None:
        # May be changed while the server runs: the next login counts.
        self.users: Final = {} if users is None else users
        self.accept_any = accept_any
        self.refuse_sender = refuse_sender
        self.on_message: Final = on_message
        self.tls: Final = tls
        self.port = 0
        self.logins: list[Login] = []
        self.messages: list[Message] = []
        self.sessions: list[str] = []
        self._mechanisms: Final = frozenset(mechanisms)
        self._context: Final = None if tls == "none" else _context(cert, key)
        self._ready: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name="smtpd", daemon=True)
        self._stop: Callable[[], object] = self._ready.set
        self._error: BaseException | None = None
        self._protocols: Final = weakref.WeakSet[_Wide]()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(DEADLINE):
            raise RuntimeError("the SMTP server did not start in time")
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._thread.join(DEADLINE)
        if self._thread.is_alive():
            raise RuntimeError("the SMTP server did not end in time")

    @property
    def login(self) -> Login:
        """The newest try."""
        return self.logins[-1]

    def forget(self) -> None:
        """Empty the record, for the next example of a property test."""
        for record in (self.logins, self.messages, self.sessions):
            record.clear()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except OSError as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        self._stop = lambda: loop.call_soon_threadsafe(over.set)
        implicit = self._context if self.tls == "implicit" else None
        server = await loop.create_server(self._protocol, "127.0.0.1", 0, ssl=implicit)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await over.wait()
        # asyncio trips over a connection that it accepted in the same instant, and never closes those that it has:
        # in these tests a socket left open is an error.
        await asyncio.sleep(0.01)
        server.close()
        for protocol in list(self._protocols):
            if isinstance(protocol.transport, asyncio.WriteTransport):
                protocol.transport.abort()
        await asyncio.sleep(0.01)

    def _protocol(self) -> asyncio.BaseProtocol:
        # aiosmtpd does not count implicit TLS as TLS: there, and only there, AUTH is offered without its own check.
        protocol = _Wide(
            _Handler(self),
            hostname="smtpd.example.test",
            ident="recording server",
            tls_context=self._context if self.tls == "starttls" else None,
            require_starttls=self.tls == "starttls",
            auth_require_tls=self.tls == "starttls",
            auth_exclude_mechanism=[name for name in OFFERED if name not in self._mechanisms],
            authenticator=self._authenticate,
            enable_SMTPUTF8=True,
            timeout=30,
            loop=asyncio.get_running_loop(),
        )
        self._protocols.add(protocol)
        return protocol

    def _authenticate(
        self, server: object, session: object, envelope: object, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        del server, session, envelope
        user = data.login.decode("utf-8", "surrogateescape")
        accepted = self.accept_any or (user in self.users and self.users[user] == data.password)
        return self.record(Login(mechanism, user, data.password, accepted))

    def record(self, login: Login) -> AuthResult:
        self.logins.append(login)
        return AuthResult(success=login.accepted, handled=False, auth_data=login.user)


class _Handler:
    """The hooks that aiosmtpd finds by name."""

    def __init__(self, owner: Smtpd) -> None:
        self.owner = owner

    async def auth_CRAM__MD5(self, server: _Server, args: list[str]) -> AuthResult:  # noqa: N802 - found by name
        del args
        challenge = b"<1896.697170952@smtpd.example.test>"
        answer = await server.challenge_auth(challenge)
        if not isinstance(answer, bytes):
            return AuthResult(success=False, handled=True)
        user, _, digest = answer.decode("utf-8", "surrogateescape").rpartition(" ")
        password = self.owner.users.get(user)
        known = password is not None and hmac.compare_digest(hmac.new(password, challenge, "md5").hexdigest(), digest)
        shown = password if known and password is not None else b""
        return self.owner.record(Login("CRAM-MD5", user, shown, known or self.owner.accept_any))

    async def handle_EHLO(  # noqa: N802 - found by name
        self, server: object, session: _Session, envelope: object, hostname: str, responses: list[str]
    ) -> list[str]:
        del server, envelope
        session.host_name = hostname
        self.owner.sessions.append(hostname)
        return responses

    async def handle_MAIL(  # noqa: N802 - found by name
        self, server: object, session: _Session, envelope: _Envelope, address: str, options: list[str]
    ) -> str:
        del server
        # Not `auth_required`: aiosmtpd warns of it without TLS, and a warning is an error in these tests.
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        if self.owner.refuse_sender:
            return "553 5.7.1 Sender address rejected: not owned by user"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 Ok"

    async def handle_DATA(self, server: object, session: _Session, envelope: _Envelope) -> str:  # noqa: N802
        del server
        queue_id = f"SMTPD{len(self.owner.messages) + 1:04}"
        message = Message(
            user=cast(str, session.auth_data),
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            content=envelope.content or b"",
            queue_id=queue_id,
        )
        self.owner.messages.append(message)
        if self.owner.on_message is not None:
            self.owner.on_message(message)
        return f"250 2.0.0 Ok: queued as {queue_id}"

    async def handle_exception(self, error: Exception) -> str:
        del error
        return "451 4.3.0 internal error"


def _context(cert: Path | None, key: Path | None) -> ssl.SSLContext:
    if cert is None:
        raise ValueError("a server that speaks TLS needs a certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context
