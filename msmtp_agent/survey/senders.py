"""Who sends mail on the host: owners of cron jobs, services, and what crontabs say in MAILTO=."""

from msmtp_agent.facts import Senders
from msmtp_agent.host import Host


def gather(host: Host) -> Senders:  # noqa: ARG001
    """What is known of them. Raises InputOutputError."""
    return Senders()
