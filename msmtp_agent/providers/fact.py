"""What is known of a mail provider: dated facts, each with its source and whether it was confirmed."""

import time
from typing import NamedTuple

STARTTLS, IMPLICIT = "starttls", "implicit"
SENDER = "sender"  # the user name is the address that mail is sent from


class Fact(NamedTuple):
    """One thing that is known, when it was checked (`2026-11-22`), where it is from, and whether it is confirmed."""

    text: str
    checked: str
    source: str = ""
    confirmed: bool = True


class Port(NamedTuple):
    """A port of the provider's server, and how TLS begins there: `STARTTLS` or `IMPLICIT`."""

    number: int
    tls: str = STARTTLS
    note: str = ""
    confirmed: bool = True


class Provider(NamedTuple):
    """A mail provider as an administrator meets it.

    `hosts` are names of its servers, of which one `*` stands for any letters, digits, `-` and `.`; the first is the
    usual one. `kind` names the kind of password in a few words. `steps` lead to the password, one line each. `page` is
    the provider's own documentation, and `checked` the date of the entry as a whole. `file` is the file of the host
    that the entry, or a part of it, is from; empty for ours. `login` is the user name where it follows from the rest:
    SENDER, or the very word; empty where only the account's owner knows it.
    """

    id: str
    name: str
    hosts: tuple[str, ...]
    ports: tuple[Port, ...]
    kind: str
    user: Fact
    password: Fact
    steps: tuple[str, ...]
    sender: Fact
    limits: tuple[Fact, ...]
    notes: tuple[Fact, ...]
    page: str
    checked: str
    file: str = ""
    login: str = ""

    def serves(self, host: str) -> bool:
        """Whether a server of this name, in lower case, is one of the provider's."""
        return any(_matches(pattern, host) for pattern in self.hosts)


def _matches(pattern: str, name: str) -> bool:
    before, star, behind = pattern.partition("*")
    if not star:
        return name == pattern
    return len(name) > len(before) + len(behind) and name.startswith(before) and name.endswith(behind)


def a_year_before(now: float) -> str:
    """The day (UTC) a year before `now` (seconds since 1970): what was checked before it is old."""
    today = time.gmtime(now)
    return f"{today.tm_year - 1:04}-{today.tm_mon:02}-{today.tm_mday:02}"
