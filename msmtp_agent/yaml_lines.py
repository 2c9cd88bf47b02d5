"""Read a YAML document as plain values that know their lines: scalars, lists and mappings, and nothing else of YAML.

PyYAML takes the text apart (its parser keeps no stack of Python's); what a word stands for is decided here, as YAML 1.2
does it: `yes`, `on` and `2026-11-22` are text; where a caller asks for it, the switches of YAML 1.1 are known as well.
"""

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from .printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    import yaml

MOST_BYTES = 65_536
_DEEPEST = 8  # lists and mappings in each other
_SWITCHES = {
    form(word): word in ("yes", "on") for word in ("yes", "on", "no", "off") for form in (str, str.title, str.upper)
}
_QUOTABLE = 4  # characters of the text in PyYAML's words: an escape; anything longer could be a secret


class DocumentError(ValueError):
    """What is wrong with a document, on which line (from 1), and what would be right; never a value of it."""

    def __init__(self, line: int, observed: str, expected: str) -> None:
        super().__init__(line, observed, expected)
        self.line = line
        self.observed = observed
        self.expected = expected


Value: TypeAlias = "str | int | float | bool | list[Node] | dict[str, Node] | None"


class Node(NamedTuple):
    """A value, and the line that it begins on (from 1); in a mapping that is the line of its key."""

    value: Value
    line: int


def read(content: bytes, *, switches: bool = False) -> Node:
    """The one document of a file; None as its value where there is none.

    With `switches` a plain yes, no, on or off is true or false, as in YAML 1.1, which PyYAML and Jinja's users know.

    Raises DocumentError; ModuleNotFoundError where PyYAML is not installed.
    """
    text = _text(content)
    import yaml  # here, because it costs 20 ms, and most hosts have no such file

    reader = _Reader(switches=switches)
    try:
        return reader.document(yaml.parse(text, yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        # Of a quote that nobody closed the end of the file tells nothing, but where it was opened does.
        endless = error.context_mark and "end of stream" in (error.problem or "")
        mark = error.context_mark if endless else error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else reader.line
        raise DocumentError(line, f"is no YAML: {_words(error.problem)}", "YAML") from None
    except DocumentError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError):
        # Besides its own errors, PyYAML lets those of chr() and int() through: "\UFFFFFFFF", %YAML 1.99999...
        raise DocumentError(reader.line, "is no YAML", "YAML") from None


def _text(content: bytes) -> str:
    """The text of a file that is not too long, with nothing in it that could not be seen."""
    if len(content) > MOST_BYTES:
        raise DocumentError(content[:MOST_BYTES].count(b"\n") + 1, "is too long", f"at most {MOST_BYTES} bytes")
    try:
        text = content.decode().removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DocumentError(content.count(b"\n", 0, error.start) + 1, "is not UTF-8", "UTF-8") from None
    for number, line in enumerate(text.split("\n"), 1):
        _refuse_unseen(line.replace("\t", " "), number)
    return text


def _refuse_unseen(text: str, line: int) -> None:
    for character, shown in zip(text, printable(text), strict=True):
        if character != shown:
            raise DocumentError(line, f"has the character U+{ord(character):04X}", "characters that can be seen")


def _words(problem: str | None) -> str:
    """PyYAML's words, without what they quote of the document."""
    before, quote, rest = (problem or "a fault").partition("'")
    quoted = rest.partition("'")[0]
    if quote and not quoted.startswith("<") and len(quoted) > _QUOTABLE:
        return before.rstrip()
    return f"{before}{quote}{rest}"


class _Open(NamedTuple):
    """A list or a mapping that is not finished, and where its next value goes."""

    node: Node
    key: list[Node]  # the key that waits for its value, if there is one

    @property
    def wants_key(self) -> bool:
        """Whether the next scalar is a key."""
        return isinstance(self.node.value, dict) and not self.key

    def add(self, node: Node) -> None:
        """Put a value into it, or keep a key for the next."""
        if isinstance(self.node.value, list):
            self.node.value.append(node)
        elif isinstance(self.node.value, dict):
            if self.wants_key:
                self._add_key(self.node.value, node)
            else:
                key = self.key.pop()
                self.node.value[str(key.value)] = node._replace(line=key.line)

    def _add_key(self, known: dict[str, Node], key: Node) -> None:
        if not isinstance(key.value, str) or not key.value:
            raise DocumentError(key.line, "has a key that is no word", "a word before the colon")
        if key.value in known:
            raise DocumentError(
                key.line, f"has a second {key.value!r}", f"one, the other is on line {known[key.value].line}"
            )
        self.key.append(key)


class _Reader:
    """Makes nodes of a parser's events."""

    def __init__(self, *, switches: bool) -> None:
        self.line = 1  # of the last event
        self._switches = switches
        self._open: list[_Open] = []

    def document(self, events: "Iterable[yaml.Event]") -> Node:
        """The whole document."""
        import yaml

        root: Node | None = None
        for event in events:
            self.line = event.start_mark.line + 1 if event.start_mark else self.line
            if isinstance(event, yaml.DocumentStartEvent):
                self._begin(event, first=root is None)
                root = Node(None, self.line)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._open.pop()
            elif isinstance(event, yaml.AliasEvent):
                raise DocumentError(self.line, "has an alias (*)", "the value itself")
            elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
                node = self._node(event)
                if self._open:
                    self._open[-1].add(node)
                else:
                    root = node
                if isinstance(event, yaml.CollectionStartEvent):
                    self._go_down(node)
        return root or Node(None, 1)

    def _begin(self, event: "yaml.DocumentStartEvent", *, first: bool) -> None:
        if not first:
            raise DocumentError(self.line, "begins another document", "one document")
        if event.version or event.tags:
            raise DocumentError(self.line, "has a directive (%)", "none")

    def _node(self, event: "yaml.ScalarEvent | yaml.CollectionStartEvent") -> Node:
        import yaml

        if event.anchor is not None:
            raise DocumentError(self.line, "has an anchor (&)", "none")
        if event.tag is not None:
            raise DocumentError(self.line, "has a tag (!)", "none")
        if isinstance(event, yaml.ScalarEvent):
            _refuse_unseen(event.value.replace("\n", " ").replace("\t", " "), self.line)
            is_key = bool(self._open) and self._open[-1].wants_key
            plain = event.implicit[0] and not is_key  # a key is text, whatever it looks like
            switch = _SWITCHES.get(event.value) if plain and self._switches else None
            return Node((_plain(event.value) if plain else event.value) if switch is None else switch, self.line)
        return Node([] if isinstance(event, yaml.SequenceStartEvent) else {}, self.line)

    def _go_down(self, node: Node) -> None:
        self._open.append(_Open(node, []))
        if len(self._open) > _DEEPEST:
            raise DocumentError(node.line, "is nested too deep", f"at most {_DEEPEST} lists and mappings in each other")


def _plain(text: str) -> str | int | float | bool | None:
    """What a word without quotes stands for: YAML 1.2, core schema, with decimal numbers alone."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
        return text.lower() == "true"
    if text[0] not in "-0123456789" or "e" in text.lower():
        return text
    import json

    try:
        number = json.loads(text)
    except ValueError:  # a word that begins like a number, or one of thousands of digits
        return text
    if isinstance(number, float) and not math.isfinite(number):
        return text
    return number if isinstance(number, int | float) else text
