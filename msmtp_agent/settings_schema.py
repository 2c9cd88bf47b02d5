"""Check settings against their JSON Schema (schemas/settings.json): every fault of shape at once, in our own words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import settings_words as words
from .errors import UnavailableError
from .printable import printable
from .settings import MOST_FAULTS, Fault
from .settings_words import KEYS, TOP, Shown
from .yaml_lines import Node, Value

if TYPE_CHECKING:
    from jsonschema import ValidationError

_SCHEMA = "schemas/settings.json"


class Entries(NamedTuple):
    """What stands below `smtp`: the values that the schema accepts, and the line of every key, right or wrong.

    `line` is that of `smtp` itself. Lines count from 1; 0 where there are none.
    """

    values: Mapping[str, Value]
    lines: Mapping[str, int]
    line: int

    def text(self, key: str) -> str:
        """The text of a key; empty where it is not given, or is wrong."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def switch(self, key: str) -> bool | None:
        """True or false; None where it is not given, or is wrong."""
        value = self.values.get(key)
        return value if isinstance(value, bool) else None

    def fault(self, key: str, observed: str, expected: str = "") -> Fault:
        """A fault of a key, on its own line, or on that of `smtp` where it is not given."""
        return Fault(self.lines.get(key, self.line), key, observed, expected or words.EXPECTED[key])


def check(document: Node, shown: Shown) -> tuple[Entries, list[Fault]]:
    """What the schema accepts of a document, and every fault that it finds, in no order.

    Raises UnavailableError where the library jsonschema is not installed.
    """
    smtp = document.value.get(TOP) if isinstance(document.value, dict) else None
    nodes = smtp.value if smtp and isinstance(smtp.value, dict) else {}
    line = smtp.line if smtp else document.line
    entries = Entries({}, {key: node.line for key, node in nodes.items()}, line)
    found = _Found(document, nodes, entries, shown)
    for error in _errors(_plain(document.value)):
        found.add(error)
    for key in entries.lines.keys() & set(KEYS):
        found.require_seen(key)
    values = {key: node.value for key, node in nodes.items() if key not in found.refused}
    return entries._replace(values=values), found.faults


class _Found:
    """The errors of the library, made faults. Its own words quote values, so that its facts alone are used."""

    def __init__(self, document: Node, nodes: Mapping[str, Node], entries: Entries, shown: Shown) -> None:
        self.faults: list[Fault] = []
        self.refused: set[str] = set()
        self._document = document
        self._nodes = nodes
        self._entries = entries
        self._shown = shown

    def add(self, error: "ValidationError") -> None:
        """One error; one fault for a key is enough."""
        place = [str(part) for part in error.absolute_path]
        wanted: Any = error.validator_value
        if len(place) > 1:
            self._refuse(place[1])
        elif error.validator == "additionalProperties":
            self._add_unknown_below() if place else self._add_unknown_beside()
        elif error.validator == "dependentRequired":
            self._add_alone(wanted)
        elif error.validator == "required":
            self._add_missing(wanted)
        else:
            self._add_kind(below=bool(place))

    def require_seen(self, key: str) -> None:
        """A fault for a text with what cannot be seen: the schema's patterns know the worst of it alone."""
        value = self._nodes[key].value
        if isinstance(value, str) and printable(value) != value:
            self._refuse(key)

    def _refuse(self, key: str) -> None:
        if key not in self.refused:
            self.refused.add(key)
            self.faults.append(self._entries.fault(key, *words.wrong(key, self._nodes[key].value, self._shown)))

    def _add_kind(self, *, below: bool) -> None:
        node = self._document
        if below and isinstance(node.value, dict):
            node = node.value[TOP]
            fault = Fault(node.line, TOP, f"is {words.kind(node.value)}", "the settings, indented below it")
        else:
            fault = Fault(node.line, "", f"is {words.kind(node.value)}", f"a mapping with the one key {TOP}")
        self.faults.append(fault)

    def _add_alone(self, pairs: Mapping[str, Sequence[str]]) -> None:
        """Keys that stand without the one that they need."""
        for key, (other,) in pairs.items():
            if key in self._nodes and other not in self._nodes:
                self.faults.append(Fault(self._entries.lines[key], other, "is missing", f"it beside {key}"))

    def _add_missing(self, keys: Sequence[str]) -> None:
        told = {fault.key for fault in self.faults if fault.observed == "is missing"}  # one error for each of them
        self.faults += [self._entries.fault(key, "is missing") for key in keys if key not in {*self._nodes, *told}]

    def _add_unknown_below(self) -> None:
        unknown = sorted((node.line, key) for key, node in self._nodes.items() if key not in KEYS)
        for number, (line, key) in enumerate(unknown):
            near = words.near(key, KEYS) if number < MOST_FAULTS else ""  # of no more than are told
            known = (
                f"one of the keys named for line {unknown[0][0]}" if number and line else f"one of {', '.join(KEYS)}"
            )
            self._add_unknown(line, key, near, known)

    def _add_unknown_beside(self) -> None:
        beside = self._document.value if isinstance(self._document.value, dict) else {}
        for key, node in beside.items():
            if key in KEYS:
                self.faults.append(Fault(node.line, key, f"stands beside {TOP}", f"it indented below {TOP}"))
            elif key != TOP:
                near = "" if TOP in beside else words.near(key, (TOP,))
                self._add_unknown(node.line, key, near, f"the one key {TOP}")

    def _add_unknown(self, line: int, key: str, near: str, expected: str) -> None:
        observed = "is not known" + (f" (did you mean {near}?)" if near else "")
        self.faults.append(Fault(line, self._shown.key(key, near), observed, expected))


def _plain(value: Value) -> object:
    """A value without its lines."""
    if isinstance(value, dict):
        return {key: _plain(node.value) for key, node in value.items()}
    if isinstance(value, list):
        return [_plain(node.value) for node in value]
    return value


def _errors(instance: object) -> "Sequence[ValidationError]":
    try:
        from jsonschema import Draft202012Validator  # here, because it costs 60 ms
    except ModuleNotFoundError:
        raise UnavailableError(
            "settings", "cannot be checked: jsonschema is not installed", remedy="apt install python3-jsonschema"
        ) from None
    import json
    import pkgutil

    schema = json.loads(pkgutil.get_data(__package__, _SCHEMA) or b"")
    return list(Draft202012Validator(schema).iter_errors(instance))
