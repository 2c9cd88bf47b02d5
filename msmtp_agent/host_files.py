"""The files that settings become, as one value."""

from typing import NamedTuple

from . import aliases_text, log_rule, msmtprc_text
from .host import ALIASES, MSMTPRC
from .settings import FILE, Settings

LOG = "/var/log/msmtp.log"
CONFINED_LOG = "/var/log/msmtp"  # the one that msmtp's AppArmor profile lets it write


class HostFile(NamedTuple):
    """A file of root's: its path, all of its content, and its mode."""

    path: str
    content: bytes
    mode: int


def of(settings: Settings, log: str = LOG, aliases: bytes = b"") -> tuple[HostFile, ...]:
    """The files in the order in which they are to be written; `aliases` is the aliases file as it is now.

    msmtprc is the last: it names the others. Raises AliasesError for aliases that msmtp would refuse, and ValueError
    for a value that msmtprc cannot hold.
    """
    rule = log_rule.text(log) if settings.log == FILE else b""
    return (
        HostFile(ALIASES, aliases_text.edited(aliases, settings.recipients), 0o644),
        *((HostFile(log_rule.LOGROTATE, rule, 0o644),) if rule else ()),
        HostFile(MSMTPRC, msmtprc_text.of(settings, log), 0o600),
    )
