"""What msmtp's log and its rotated predecessors tell of the deliveries."""

from msmtp_agent.facts import History
from msmtp_agent.host import Host
from msmtp_agent.msmtprc import Account


def gather(host: Host, account: Account | None, now: float, stored: float | None) -> History | None:  # noqa: ARG001
    """The deliveries up to `now`; `stored` is when the secret was. None where there is no log."""
    return None
