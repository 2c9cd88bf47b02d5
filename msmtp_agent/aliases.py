"""Parse `/etc/aliases` and look a name up, with msmtp's own rules (its `aliases.c`): stricter than sendmail's."""

import io
from collections.abc import Mapping

LONGEST_LINE = 510  # bytes, line feed included
_DEPTH = 16
_NAMES = 32  # more on one line are left out by msmtp
_MOST_RECIPIENTS = 10_000
_MOST_SHOWN = 3  # local names that an alias is said to end at

Aliases = Mapping[str, tuple[str, ...]]


class AliasesError(Exception):
    """A line that msmtp would refuse; `line` counts from 1, or is 0 for a loop."""

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(line, fault)
        self.line = line
        self.fault = fault


def parse(content: bytes) -> dict[str, tuple[str, ...]]:
    """The addresses and names behind every alias. Raises AliasesError for the first line that msmtp refuses."""
    aliases: dict[str, tuple[str, ...]] = {}
    for number, raw in enumerate(io.BytesIO(content), 1):
        if len(raw) > LONGEST_LINE:
            raise AliasesError(number, f"longer than {LONGEST_LINE} characters")
        line = raw.split(b"\0")[0].decode("utf-8", "surrogateescape").partition("#")[0].strip(" \t\r\n\f\v")
        if not line:
            continue
        name, *values = (part.strip(" \t\r\n\f\v") for part in line.split(":"))
        if len(values) != 1:
            raise AliasesError(number, "single ':' delimiter expected")
        if not name or "@" in name:
            raise AliasesError(number, f"invalid alias '{name}'")
        if name in aliases:
            raise AliasesError(number, f"duplicate alias '{name}'")
        aliases[name] = tuple(value.strip(" \t\r\n\f\v") for value in values[0].split(",")[:_NAMES])
    return aliases


def expand(aliases: Aliases, name: str) -> tuple[str, ...]:
    """Where mail to a local `name` goes, as msmtp sends it; a name that nothing knows stands for itself.

    Raises AliasesError when the aliases run in a circle, or fan out beyond 10,000 recipients.
    """
    found: list[str] = []
    try:
        _expand(aliases, name, _DEPTH, found)
    except RecursionError:
        raise AliasesError(0, f"Too many redirects when expanding alias {name}") from None
    return tuple(found)


def _expand(aliases: Aliases, name: str, depth: int, found: list[str]) -> None:
    if depth < 0:
        raise RecursionError
    if len(found) > _MOST_RECIPIENTS:
        raise AliasesError(0, f"more than {_MOST_RECIPIENTS} recipients")
    targets = aliases.get(name, aliases.get("default"))
    if targets is None:
        found.append(name)
        return
    for target in targets:
        if "@" in target or not target:
            found.append(target)
        else:
            _expand(aliases, target, depth - 1, found)


def dead_ends(aliases: Aliases) -> dict[str, tuple[str, ...] | None]:
    """For every alias the local names that it ends at (some of them), or None where it leads in a circle.

    In rounds, one for each step that msmtp goes at most: what leads to addresses alone, what leads to that, and so on.
    Following each name to its ends instead takes as long as the ends are many, and they multiply.
    """
    found: dict[str, tuple[str, ...] | None] = {}
    rest = list(aliases)
    for _ in range(_DEPTH + 1):
        ready = {name: ends for name in rest if (ends := _ends(aliases, name, found)) is not None}
        if not ready:
            break
        found.update(ready)
        rest = [name for name in rest if name not in ready]
    return {name: found.get(name) for name in aliases}


def _ends(aliases: Aliases, name: str, found: dict[str, tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """The local names that `name` ends at, or None while one of its targets is not known yet."""
    ends: list[str] = []
    for target in aliases[name]:
        if "@" in target or not target:
            continue
        known = target if target in aliases else "default"
        if known not in aliases:
            ends.append(target)
            continue
        further = found.get(known)
        if further is None:
            return None
        ends += further
    return tuple(dict.fromkeys(ends))[:_MOST_SHOWN]
