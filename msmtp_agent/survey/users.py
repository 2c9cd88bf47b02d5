"""The users and groups of a host, from its own `/etc/passwd` and `/etc/group`: no other source is asked."""

from typing import NamedTuple

from msmtp_agent.errors import InputOutputError
from msmtp_agent.host import Host

_LIMIT = 2 << 20  # bytes of each: some 30,000 users
UNLISTED = -1  # the number of a user or a group that these files do not have


class User(NamedTuple):
    """One user: name, number, the group of `/etc/passwd`, those of `/etc/group`, and home."""

    name: str
    uid: int
    gid: int = UNLISTED
    others: frozenset[int] = frozenset()
    home: str = ""


class Users:
    """Whom a name or a number means on this host."""

    def __init__(self, host: Host) -> None:
        """Read both files. Raises InputOutputError."""
        self._rows = {row[0]: row for row in _rows(host, "/etc/passwd", 7)}
        self._by_number = {row[2]: row for row in reversed(self._rows.values())}  # of several the first one counts
        self._groups: dict[str, int] = {}
        self._members: dict[str, set[int]] = {}
        for name, _, number, members in _rows(host, "/etc/group", 4):
            self._groups[name] = gid = _number(number)
            for member in members.split(","):
                self._members.setdefault(member, set()).add(gid)

    def find(self, name: str) -> User | None:
        """The user with this name, or with this number in digits."""
        row = self._rows.get(name)
        if row is None and name.isdecimal():
            row = self._by_number.get(name)
        if row is None:
            return None
        others = frozenset(self._members.get(row[0], ()))
        return User(row[0], _number(row[2]), _number(row[3]), others, row[5].rstrip("/"))

    def group(self, name: str) -> int:
        """The number of the group with this name, or with this number in digits."""
        return self._groups.get(name, _number(name))


def _rows(host: Host, path: str, fields: int) -> list[list[str]]:
    content = host.read(path, _LIMIT + 1, follow=True)[1]
    if len(content) > _LIMIT:  # the users behind it would pass for users who do not exist
        raise InputOutputError(path, f"holds more than {_LIMIT} bytes")
    rows = [line.split(":") for line in content.decode("utf-8", "replace").split("\n")]
    return [row for row in rows if len(row) == fields and "\0" not in "".join(row)]


def _number(digits: str) -> int:
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 11 else UNLISTED
