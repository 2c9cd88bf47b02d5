"""What `diagnose` has seen: frozen values, the structured half of its report."""

from typing import NamedTuple

from .facts import History
from .model import Diagnosis, JobReport
from .network import Reached
from .serverinfo import ServerInfo

STAGES = (
    "configuration", "secret", "resolve", "connect", "ports", "tls", "capabilities", "auth", "sender", "mail", "log",
)  # fmt: skip
USUAL_PORTS = (587, 465, 2525, 2587)


class Seen(NamedTuple):
    """The certificate that the server showed us, and what was agreed upon; times in s since 1970. All is cleaned."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    fingerprint: str
    protocol: str
    cipher: str

    def days(self, now: float) -> int:
        """Until it expires; negative when it has."""
        return int((self.not_after - now) // 86400)


class Diagnosed(NamedTuple):
    """The whole of a finished run at the time `now` (s since 1970); None and empty what was not looked at.

    `arrival` is what remains to be said where nothing has failed: why mail that leaves may not arrive.
    """

    job: JobReport
    now: float
    version: str = ""
    addresses: tuple[Reached, ...] = ()
    ports: tuple[Reached, ...] = ()
    certificate: Seen | None = None
    server: ServerInfo | None = None
    history: History | None = None
    arrival: Diagnosis | None = None
