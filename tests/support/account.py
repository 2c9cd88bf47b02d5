"""An msmtprc as the fragment writes it, one line a command, for a server on loopback."""

from __future__ import annotations

from pathlib import Path

SECRET = "/etc/msmtp-password"
MSMTPRC = "/etc/msmtprc"
USER = "me@example.test"
ADMIN = "admin@example.test"
ALIASES = f"root: {ADMIN}\n"


def account(port: int, trust: Path, *more: str, **changes: str | None) -> str:
    """The default account. `changes` replace a command's argument, or take the line away (None); `more` are added."""
    lines = {
        "auth": "on",
        "tls": "on",
        "tls_trust_file": str(trust),
        "logfile": "/var/log/msmtp.log",
        "aliases": "/etc/aliases",
        "host": "127.0.0.1",
        "port": str(port),
        "from": USER,
        "user": USER,
        "passwordeval": f'"cat {SECRET}"',
        **changes,
    }
    settings = [f"{command} {value}" for command, value in lines.items() if value is not None]
    return "\n".join(["account default", *settings, *more, ""])
