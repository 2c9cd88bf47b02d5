"""The SMTP server of scripts/demo: TLS and AUTH on loopback, one user, every mail that it takes goes to a file.

The password is the first line of standard input. The server says its port and ends when standard input does: it cannot
outlive the script that started it, however that one ends.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.support.smtpd import Message, Smtpd


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="the SMTP server of scripts/demo")
    for name in ("certificate", "key", "mails"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--user", required=True)
    return parser.parse_args()


def _write(mails: Path, message: Message) -> None:
    with mails.open("ab") as file:
        envelope = f"MAIL FROM:<{message.sender}>  " + "  ".join(f"RCPT TO:<{to}>" for to in message.recipients)
        file.write(envelope.encode() + b"\n\n" + message.content.replace(b"\r\n", b"\n"))


def main() -> None:
    """Serve until standard input ends."""
    arguments = _arguments()
    password = sys.stdin.buffer.readline().removesuffix(b"\n")
    server = Smtpd(
        {arguments.user: password},
        cert=arguments.certificate,
        key=arguments.key,
        on_message=lambda message: _write(arguments.mails, message),
    )
    with server:
        print(server.port, flush=True)
        sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
