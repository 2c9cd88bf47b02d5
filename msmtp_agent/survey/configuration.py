"""`/etc/msmtprc` and root's own file: their rights, why msmtp refuses them, and the default account."""

import re

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Access, Configuration, Fault, Unknown
from msmtp_agent.host import MSMTPRC, Host
from msmtp_agent.model import FileFacts
from msmtp_agent.msmtprc import Account, MsmtprcError, parse

_LIMIT = 1 << 16  # bytes of a configuration file that are judged
_QUOTING = (
    (re.compile(r"^unknown command .*", re.DOTALL), "unknown command"),
    (re.compile(r"^invalid argument .* for command (\w+)$", re.DOTALL), r"invalid argument for command \1"),
    (re.compile(r"^account (?!default was).* (was already|not \(yet\)) defined$", re.DOTALL), r"account \1 defined"),
)


def gather(host: Host) -> Configuration:
    """What is known of the configuration. Raises InputOutputError when `/etc/msmtprc` cannot be read."""
    facts, content = _read(host, MSMTPRC)
    accounts, fault = _parse(content)
    access = Access(facts, host.acl(MSMTPRC))
    try:
        own, own_content = _read(host, host.root_configuration())
    except InputOutputError as error:
        return Configuration(access, fault, accounts.get("default"), Unknown(error.subject, error.observed))
    own_accounts, own_fault = _parse(own_content)
    shadow = own_accounts.get("default")
    return Configuration(access, fault, accounts.get("default"), own, own_fault, shadow.line if shadow else 0)


def path_of(host: Host, account: Account, command: str) -> str:
    """The path that a setting of the account names, when root sends.

    Empty where it is not set, and for a relative one: where that leads depends on the directory of whoever sends.
    """
    path = account.get(command)
    if path.startswith("~"):  # msmtp puts the home in its place, whatever follows
        path = host.home() + path[1:]
    return path if path.startswith("/") else ""


def _read(host: Host, path: str) -> tuple[FileFacts, bytes]:
    facts, content = host.read(path, _LIMIT + 1)
    if len(content) > _LIMIT:
        raise InputOutputError(path, f"holds more than {_LIMIT} bytes")
    return facts, content


def _parse(content: bytes) -> tuple[dict[str, Account], Fault | None]:
    try:
        return parse(content), None
    except MsmtprcError as error:
        return {}, Fault(error.line, _unquoted(error.fault))


def _unquoted(words: str) -> str:
    """Msmtp's words without what they quote of the line: somebody may have typed a password there."""
    for pattern, instead in _QUOTING:
        words = pattern.sub(instead, words)
    return words
