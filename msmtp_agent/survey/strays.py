"""Copies and leftovers of the secret file and of msmtprc, by their names."""

from msmtp_agent.facts import Stray
from msmtp_agent.host import Host


def gather(host: Host) -> tuple[Stray, ...]:  # noqa: ARG001
    """Every copy in the directory of the original. Raises InputOutputError."""
    return ()
