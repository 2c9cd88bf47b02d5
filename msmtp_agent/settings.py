"""What an `smtp.config.yaml` asks for: one frozen value with its defaults, and the error that names every fault."""

from collections.abc import Sequence
from typing import NamedTuple

from .errors import DataError
from .secret import Secret

TRUST_FILE = "/etc/ssl/certs/ca-certificates.crt"
FILE, SYSLOG = "file", "syslog"  # where the log goes
MOST_FAULTS = 20  # that are told of one file


class Settings(NamedTuple):
    """How mail leaves. An empty text stands for what is not set.

    `method` is an argument of msmtp's `auth`. `implicit_tls` begins TLS with the connection, else STARTTLS does.
    `secret` is a password that stood in the settings; it goes into the secret file and nowhere else. `passwordeval` is
    a command in place of the secret file. `warnings` are for the person who gave the settings.
    """

    host: str
    port: int
    sender: str
    user: str
    recipients: tuple[str, ...]
    provider: str = ""  # id, where the settings name one
    method: str = "on"
    implicit_tls: bool = False
    certcheck: bool = True
    trust_file: str = TRUST_FILE
    cert_file: str = ""
    key_file: str = ""
    fingerprint: str = ""
    set_from_header: str = ""  # on, off or auto
    log: str = FILE
    passwordeval: str = ""
    secret: Secret | None = None
    warnings: tuple[str, ...] = ()


class Fault(NamedTuple):
    """One thing that is wrong: the line (from 1; 0 where there is none), the key, what was seen and what is allowed."""

    line: int
    key: str
    observed: str
    expected: str

    @property
    def words(self) -> str:
        """`line 4: port: is 99999; expected 1 to 65535`."""
        place = filter(None, (f"line {self.line}" if self.line else "", self.key, self.observed))
        return ": ".join(place) + (f"; expected {self.expected}" if self.expected else "")


class SettingsError(DataError):
    """The settings are wrong in one or more places; all of them are told at once, up to MOST_FAULTS."""

    def __init__(self, path: str, faults: Sequence[Fault], remedy: str) -> None:
        self.faults = tuple(faults)
        one = self.faults[0]
        if len(self.faults) == 1:
            place = ": ".join(filter(None, (path, f"line {one.line}" if one.line else "", one.key)))
            super().__init__(place, one.observed, expected=one.expected, remedy=remedy)
        else:
            words = [fault.words for fault in self.faults[:MOST_FAULTS]]
            if more := len(self.faults) - len(words):
                words.append(f"and {more} more")
            super().__init__(path, f"{len(self.faults)} settings are wrong", details=tuple(words), remedy=remedy)
