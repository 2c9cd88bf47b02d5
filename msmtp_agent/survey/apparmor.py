"""msmtp's AppArmor profile: whether it is on, and what of the account it refuses."""

from ..facts import AppArmor
from ..host import Host
from ..msmtprc import Account


def gather(host: Host, account: Account | None) -> AppArmor:  # noqa: ARG001
    """What the profile says. Raises InputOutputError."""
    return AppArmor()
