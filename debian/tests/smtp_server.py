"""An SMTP server on loopback for the tests: STARTTLS, a login, and every mail that it takes in a file.

usage: smtp_server.py DIRECTORY USER PORT    (0: any; the port is written to DIRECTORY/port once it listens)

DIRECTORY holds server.pem, server.key and `password`, which is read at every login, so that a test can change it.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


class Recorder:
    """What aiosmtpd asks at a login and at a mail, by these very names."""

    def __init__(self, directory: Path, user: str) -> None:
        self._directory = directory
        self._user = user
        self._mails = len(list((directory / "mails").iterdir()))

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Accept the one user with the password of this moment."""
        del server, session, envelope
        password = (self._directory / "password").read_bytes()
        accepted = (data.login, data.password) == (self._user.encode(), password)
        with (self._directory / "logins").open("a") as logins:
            logins.write(f"{mechanism} {'accepted' if accepted else 'refused'}\n")
        return AuthResult(success=accepted, handled=False)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - found by name
        """Write the mail and its envelope, and only then accept it."""
        del server, session
        self._mails += 1
        head = f"X-Sender: {envelope.mail_from}\nX-Recipients: {' '.join(envelope.rcpt_tos)}\n"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        (self._directory / "mails" / str(self._mails)).write_bytes(head.encode() + content.replace(b"\r\n", b"\n"))
        return f"250 2.0.0 Ok: queued as TEST{self._mails}"


async def serve(directory: Path, user: str, port: int) -> None:
    """Serve until somebody ends this program."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    recorder = Recorder(directory, user)

    def session() -> SMTP:
        return SMTP(
            recorder,
            hostname="mail.example.test",
            tls_context=context,
            require_starttls=True,
            auth_required=True,
            authenticator=recorder.authenticate,
        )

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", port)
    ready = directory / "port.new"
    ready.write_text(str(server.sockets[0].getsockname()[1]))
    ready.rename(directory / "port")
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
