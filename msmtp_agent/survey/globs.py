"""Match paths against the patterns of AppArmor's file rules (apparmor.d(5)), in time that no pattern can drive up.

Characters are bytes here, as they are to AppArmor: text and paths are those of `as_bytes`.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Union

_SPECIAL = re.compile(r"[\\*?\[{@]")
_OPEN = re.compile(r"[*?\[@]")
_NEXT = re.compile(r"[\\*?\[{},@]")
_VARIABLE = re.compile(r"@\{?(\w+)\}?")
_ESCAPE = re.compile(r"([0-7]{1,3})|x([0-9a-fA-F]{1,2})|d([0-9]{1,3})|(.)", re.DOTALL)
_CLASS = re.compile(r"\[(\^?)((?:\\.|[^\]\\])+)\]", re.DOTALL)
_LETTERS = {"a": "\a", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_DEEPEST = 50  # braces in braces and variables in variables: the parser's own bound for braces
_MOST_STEPS = 1_000_000  # of all matches together: the rules that Debian ships need some thousands
_LONGEST = 4096  # bytes of a pattern: no path is longer


class TooMuchError(Exception):
    """The rules ask for more work than an honest profile does."""


class _BadPatternError(Exception):
    """AppArmor would not load it."""


class _Gap(NamedTuple):
    """`*`, or `**` where it is deep: any characters, slashes only if deep."""

    deep: bool


class _One(NamedTuple):
    """One character that is among these, or that is not."""

    characters: frozenset[str]
    among: bool


_Node = Union[str, _Gap, _One, "_Any"]


class _Any(NamedTuple):
    """One of several patterns: braces, or the values of a variable."""

    patterns: Sequence[Sequence[_Node]]


_NO_SLASH = _One(frozenset("/\0"), among=False)
_NOTHING = _Any(())


def as_bytes(path: str) -> str:
    """A path as Python has it, one character a byte."""
    return os.fsencode(path).decode("latin-1")


def is_exact(pattern: str) -> bool:
    """Whether the pattern lists its paths: for programs that are started such a rule goes before one that does not."""
    return _OPEN.search(pattern) is None


class Globs:
    """The patterns of one profile file with its variables."""

    def __init__(self, variables: Mapping[str, list[str]]) -> None:
        self._variables = variables
        self._known: dict[str, _Any] = {}
        self._compiled: dict[str, list[_Node]] = {}
        self._begun: dict[str, tuple[str, ...]] = {}
        self._steps = 0

    def match(self, pattern: str, path: str) -> bool:
        """Whether the pattern is for this path. A malformed one is for none. Raises TooMuchError."""
        self._count(1)
        special = _SPECIAL.search(pattern)
        if special is None:
            return pattern == path
        heads = self._heads(pattern, special.start())
        self._count(len(heads))
        if not path.startswith(heads):
            return False
        nodes = self._compiled.get(pattern)
        if nodes is None:
            try:
                nodes = self._compile(pattern, 0)
            except _BadPatternError:
                nodes = [_NOTHING]
            self._compiled[pattern] = nodes
        return len(path) in self._run(nodes, path, {0})

    def _heads(self, pattern: str, special: int) -> tuple[str, ...]:
        """What paths of this pattern begin with: seen without working it out, since most rules are for other paths."""
        head = pattern[:special]
        if head or pattern[0] != "@":
            return ("" if "//" in head else head,)
        variable = _VARIABLE.match(pattern)
        name = variable[1] if variable else ""
        if name not in self._begun:
            self._begun[name] = ("",)  # for a variable that stands at the beginning of its own value
            heads: list[str] = []
            for value in self._variables.get(name, ()):
                found = _SPECIAL.search(value)
                heads += self._heads(value, found.start() if found else len(value)) if value else ("",)
            self._begun[name] = tuple(heads)
        return self._begun[name]

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > _MOST_STEPS:
            raise TooMuchError

    def _compile(self, pattern: str, depth: int) -> list[_Node]:
        if len(pattern) > _LONGEST:  # working it out would take time that grows with the square of it
            raise TooMuchError
        self._count(len(pattern))
        if depth > _DEEPEST:
            raise _BadPatternError
        braces: list[list[list[_Node]]] = [[[]]]  # every open brace: its patterns up to here
        position = 0
        while position < len(pattern):
            nodes = braces[-1][-1]
            character = pattern[position]
            if character == "{":
                braces.append([[]])
            elif character == "}" and len(braces) > 1:
                patterns = braces.pop()
                braces[-1][-1].append(_Any(patterns))
            elif character == "," and len(braces) > 1:
                braces[-1].append([])
            else:
                position = self._one(pattern, position, nodes, depth) - 1
            position += 1
            if len(braces) > _DEEPEST:
                raise _BadPatternError
        if len(braces) > 1:
            raise _BadPatternError
        return braces[0][0]

    def _one(self, pattern: str, position: int, nodes: list[_Node], depth: int) -> int:
        """Add what stands at the position, and return where it ends."""
        character = pattern[position]
        if character == "*":
            end = position + len(pattern[position:]) - len(pattern[position:].lstrip("*"))
            # A whole component of a path is never empty.
            if nodes and isinstance(nodes[-1], str) and nodes[-1].endswith("/") and pattern[end : end + 1] in ("", "/"):
                nodes.append(_NO_SLASH)
            nodes.append(_Gap(end - position > 1))
            return end
        if character == "?":
            nodes.append(_NO_SLASH)
        elif character == "[":
            found = _CLASS.match(pattern, position)
            if found is None:
                raise _BadPatternError
            self._count(0x100 * found[2].count("-"))  # as many characters as a range may have
            nodes.append(_One(_members(found[2]) | ({"\0"} if found[1] else set()), among=not found[1]))
            return found.end()
        elif character == "@" and (variable := _VARIABLE.match(pattern, position)):
            nodes.append(self._variable(variable[1], depth))
            return variable.end()
        elif character == "\\":
            literal, end = _escaped(pattern, position + 1)
            _add(nodes, literal)
            return end
        else:
            special = _NEXT.search(pattern, position + 1)
            end = special.start() if special else len(pattern)
            _add(nodes, pattern[position:end])
            return end
        return position + 1

    def _variable(self, name: str, depth: int) -> _Any:
        if name not in self._known:
            if name not in self._variables:
                raise _BadPatternError
            self._known[name] = _Any([self._compile(value, depth + 1) for value in self._variables[name]])
        return self._known[name]

    def _run(self, nodes: Sequence[_Node], path: str, starts: set[int]) -> set[int]:
        """Where matches of all these nodes end that begin at one of the starts."""
        for node in nodes:
            self._count(len(starts) + 1)
            if isinstance(node, str):
                starts = _literal(node, path, starts)
            elif isinstance(node, _Gap):
                starts = _gap(node, path, starts)
            elif isinstance(node, _One):
                starts = {at + 1 for at in starts if at < len(path) and (path[at] in node.characters) is node.among}
            else:
                starts = set().union(*(self._run(pattern, path, starts) for pattern in node.patterns))
            if not starts:
                break
        return starts


def _literal(text: str, path: str, starts: set[int]) -> set[int]:
    ends = {at + len(text) for at in starts if path.startswith(text, at)}
    if text.startswith("/"):  # several slashes count as one: @{HOME} ends with one, and one follows it
        rest = text[1:]
        ends |= {at + len(rest) for at in starts if path[at - 1 : at] == "/" and path.startswith(rest, at)}
    return ends


def _gap(gap: _Gap, path: str, starts: set[int]) -> set[int]:
    if gap.deep:
        return set(range(min(starts), len(path) + 1))
    ends: set[int] = set()
    for start in sorted(starts):
        if start not in ends:
            stop = path.find("/", start)
            ends.update(range(start, (len(path) if stop < 0 else stop) + 1))
    return ends


def _add(nodes: list[_Node], literal: str) -> None:
    last = nodes[-1] if nodes else ""
    if isinstance(last, str):
        literal = last + literal
        del nodes[-1:]
    while "//" in literal:
        literal = literal.replace("//", "/")
    nodes.append(literal)


def _escaped(pattern: str, position: int) -> tuple[str, int]:
    """The character that an escape sequence stands for, and where it ends."""
    found = _ESCAPE.match(pattern, position)
    if found is None:
        raise _BadPatternError
    octal, hexadecimal, decimal, other = found.groups()
    if other:
        return _LETTERS.get(other, other), found.end()
    number = int(octal, 8) if octal else int(hexadecimal, 16) if hexadecimal else int(decimal)
    return chr(number & 0xFF), found.end()


def _members(text: str) -> frozenset[str]:
    """The characters of a class without its brackets."""
    characters: list[str] = []
    members: set[str] = set()
    position = 0
    while position < len(text):
        if text[position] == "\\":
            character, position = _escaped(text, position + 1)
        else:
            character = text[position]
            position += 1
            if character == "-" and characters and position < len(text):
                members.update(map(chr, range(ord(characters[-1]), ord(text[position]) + 1)))
                characters.append(text[position])
                position += 1
                continue
        characters.append(character)
    return frozenset(members.union(characters))
