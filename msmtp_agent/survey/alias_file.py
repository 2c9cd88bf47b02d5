"""The aliases file that the account names, or `/etc/aliases`: its rights, its fault, and its names."""

from collections.abc import Callable

from msmtp_agent.aliases import AliasesError, parse
from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import AliasFile, Fault
from msmtp_agent.host import ALIASES, Host
from msmtp_agent.model import FileFacts, FileKind
from msmtp_agent.msmtprc import Account

from .configuration import path_of

_LIMIT = 1 << 18  # bytes that are judged


def gather(host: Host, account: Account | None, redact: Callable[[str], str]) -> AliasFile:
    """What is known of the aliases, without what `redact` hides. Raises InputOutputError."""
    path = ALIASES
    if account is not None and account.get("aliases"):
        path = path_of(host, account, "aliases")
        if not path:
            return AliasFile(FileFacts(account.get("aliases"), FileKind.MISSING))
    facts, content = host.read(path, _LIMIT + 1, follow=True)
    if len(content) > _LIMIT:
        raise InputOutputError(facts.path, f"holds more than {_LIMIT} bytes")
    if facts.kind is not FileKind.REGULAR:
        return AliasFile(facts)
    try:
        names = parse(content)
    except AliasesError as error:
        return AliasFile(facts, Fault(error.line, redact(error.fault)))
    return AliasFile(facts, None, {redact(name): tuple(map(redact, values)) for name, values in names.items()})
