"""The way in for system mail: the sendmail command, msmtp, their packages, and what stands before us in root's PATH."""

from msmtp_agent.facts import Programs
from msmtp_agent.host import Host


def gather(host: Host) -> Programs:
    """What is known of them. Raises InputOutputError."""
    return Programs(host.inspect("/usr/bin/msmtp", follow=True), host.inspect("/usr/sbin/sendmail"), "")
