"""The aliases file that the account names, or `/etc/aliases`: its rights, its fault, and its names."""

from msmtp_agent.aliases import AliasesError, parse
from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import AliasFile, Fault
from msmtp_agent.host import ALIASES, Host
from msmtp_agent.model import FileKind
from msmtp_agent.msmtprc import Account

_LIMIT = 1 << 18  # bytes that are judged


def gather(host: Host, account: Account | None) -> AliasFile:
    """What is known of the aliases. Raises InputOutputError."""
    path = account.get("aliases") if account else ""
    if path.startswith("~/"):
        path = host.home() + path[1:]
    facts, content = host.read(path if path.startswith("/") else ALIASES, _LIMIT + 1, follow=True)
    if len(content) > _LIMIT:
        raise InputOutputError(facts.path, f"holds more than {_LIMIT} bytes", remedy=f"ls -l {facts.path}")
    if facts.kind is not FileKind.REGULAR:
        return AliasFile(facts)
    try:
        return AliasFile(facts, None, parse(content))
    except AliasesError as error:
        return AliasFile(facts, Fault(error.line, error.fault))
