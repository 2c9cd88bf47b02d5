"""msmtp's AppArmor profile: whether it is on, and what of the account it refuses."""

from msmtp_agent.facts import AppArmor
from msmtp_agent.host import Host
from msmtp_agent.msmtprc import Account


def gather(host: Host, account: Account | None) -> AppArmor:  # noqa: ARG001
    """What the profile says. Raises InputOutputError."""
    return AppArmor()
