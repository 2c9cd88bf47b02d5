"""An `smtp.config.yaml` for tests, one line a key, with every value as YAML writes it; and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from msmtp_agent import settings_file
from msmtp_agent.errors import AgentError, ExitCode
from msmtp_agent.host import Host
from msmtp_agent.settings import MOST_FAULTS, Settings, SettingsError

SENDER = "alerts@example.com"
ADMIN = "admin@example.com"
FINGERPRINT = ":".join(["AB"] * 32)
# What the fragment wants, and one good value for each other key.
BASE = {"host": "smtp.example.com", "port": "587", "from_email": SENDER, "user": SENDER, "recipient": ADMIN}
SAMPLES = {
    "password": "s3cret-word",
    "passwordeval": "cat /etc/msmtp-token",
    "tls_certcheck": "true",
    "tls_on_connect": "false",
    "tls_starttls": "true",
    "tls_trust_file": "/etc/ssl/acme.pem",
    "tls_cert_file": "/etc/ssl/client.pem",
    "tls_key_file": "/etc/ssl/client.key",
    "auth_method": "plain",
    "provider": "gmail",
    "tls_fingerprint": FINGERPRINT,
    "set_from_header": "auto",
    "log": "file",
}


def text(**changes: str | None) -> str:
    """The settings of the fragment's example; `changes` replace or add a key, or take it away (None)."""
    lines = [f"  {key}: {value}" for key, value in {**BASE, **changes}.items() if value is not None]
    return "\n".join(["smtp:", *lines, ""])


def read(path: Path, content: str | bytes) -> Settings | None:
    """What this machine reads from a file with that content. Raises AgentError."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    with Host() as host:
        return settings_file.read(host, str(path))


def verdict(path: Path, content: str | bytes) -> Settings | AgentError | None:
    """The same, or the error."""
    try:
        return read(path, content)
    except AgentError as error:
        return error


def refused(path: Path, content: str | bytes) -> SettingsError:
    """The error, which keeps to what every such error has to be."""
    with pytest.raises(SettingsError) as raised:
        read(path, content)
    error = raised.value
    assert error.code == ExitCode.DATA
    assert all(line.isprintable() for line in told(error).split("\n"))
    assert len(error.details) <= MOST_FAULTS + 1
    assert max(map(len, told(error).split("\n"))) < 4000
    return error


def told(error: AgentError) -> str:
    """Everything that a person, a log or a program could be shown of an error."""
    faults = [str(fault) for fault in error.faults] if isinstance(error, SettingsError) else []
    return "\n".join([error.message, error.remedy, *error.words, *error.details, repr(error), str(error), *faults])
