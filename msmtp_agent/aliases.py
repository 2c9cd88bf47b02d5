"""Parse `/etc/aliases` and look a name up, with msmtp's own rules (its `aliases.c`): stricter than sendmail's."""

import io

_LONGEST_LINE = 510  # bytes, line feed included
_DEPTH = 16
_NAMES = 32  # more on one line are left out by msmtp


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
        if len(raw) > _LONGEST_LINE:
            raise AliasesError(number, f"longer than {_LONGEST_LINE} characters")
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


def expand(aliases: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    """Where mail to a local `name` goes, as msmtp sends it; a name that nothing knows stands for itself.

    Raises AliasesError when the aliases run in a circle.
    """
    try:
        return _expand(aliases, name, _DEPTH)
    except RecursionError:
        raise AliasesError(0, f"Too many redirects when expanding alias {name}") from None


def _expand(aliases: dict[str, tuple[str, ...]], name: str, depth: int) -> tuple[str, ...]:
    if depth < 0:
        raise RecursionError
    targets = aliases.get(name, aliases.get("default"))
    if targets is None:
        return (name,)
    found: tuple[str, ...] = ()
    for target in targets:
        found += (target,) if "@" in target or not target else _expand(aliases, target, depth - 1)
    return found
