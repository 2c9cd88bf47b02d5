"""The entries of a file in providers.d: are they right (schemas/provider-facts.json), and what they make of ours."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from msmtp_agent.yaml_lines import DocumentError, Node

from .fact import IMPLICIT, STARTTLS, Fact, Port, Provider

_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_HOST = re.compile(r"[a-z0-9.:-]+(\*[a-z0-9.:-]*)?|\*\.[a-z0-9.:-]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_ID, _LONGEST_HOST, _LONGEST_TEXT = 40, 253, 500
_LAST_PORT = 65535
_UNDATED = ("hosts", "ports", "steps")  # what has no date but the entry's
_FIELDS = (
    "name", "hosts", "ports", "kind", "user", "password", "steps", "sender", "limits", "notes", "page", "checked",
)  # fmt: skip
_NEW = ("name", "hosts", "ports", "checked")
_KINDS = {bool: "true or false", str: "text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}

_T = TypeVar("_T")


def entries(document: Node, known: Mapping[str, Provider], file: str) -> dict[str, Provider]:
    """The providers that a document adds or changes; a new one has to be whole. Raises DocumentError."""
    if document.value is None:
        return {}
    found = {}
    for name, node in _mapping(document, "the file", most=100).items():
        if not _ID.fullmatch(name) or len(name) > _LONGEST_ID:
            raise DocumentError(
                node.line, f"has the id {name!r}", f"letters a to z, digits and -, at most {_LONGEST_ID} in all"
            )
        found[name] = _entry(name, node, known.get(name), file)
    return found


def _entry(name: str, node: Node, known: Provider | None, file: str) -> Provider:
    fields = _fields(node, name, _FIELDS, ("checked",) if known else _NEW)
    checked = _date(fields["checked"], f"{name}: checked")
    old = known or _unknown(name, checked, file)
    if not fields.keys() - {"checked"}:
        return _checked_again(old, checked)._replace(file=file)

    def part(field: str, read: Callable[[Node, str], _T], otherwise: _T) -> _T:
        return read(fields[field], f"{name}: {field}") if field in fields else otherwise

    def fact(node: Node, where: str) -> Fact:
        return _fact(node, where, checked, file)

    def facts(node: Node, where: str) -> tuple[Fact, ...]:
        return _list(node, where, fact, least=0)

    user = part("user", fact, old.user)
    return Provider(
        id=name,
        name=part("name", _text, old.name),
        hosts=part("hosts", lambda node, where: _list(node, where, _host), old.hosts),
        ports=part("ports", lambda node, where: _list(node, where, _port), old.ports),
        kind=part("kind", _text, old.kind),
        user=user,
        password=part("password", fact, old.password),
        steps=part("steps", lambda node, where: _list(node, where, _text), old.steps),
        sender=part("sender", fact, old.sender),
        limits=part("limits", facts, old.limits),
        notes=part("notes", facts, old.notes),
        page=part("page", _text, old.page),
        # That a part was looked at says nothing of the rest.
        checked=checked if fields.keys() >= set(_UNDATED) else old.checked,
        file=file,
        login=old.login if user.text == old.user.text else "",  # ours follows from what we say of the user name
    )


def _unknown(name: str, checked: str, file: str) -> Provider:
    """A provider of which nothing was said yet."""
    untold = Fact("not told", checked, file, confirmed=False)
    steps = ("ask the administrator of the server for a password",)
    return Provider(name, "", (), (), "password", untold, untold, steps, untold, (), (), "", checked)


def _checked_again(provider: Provider, checked: str) -> Provider:
    """The same, all of it looked at on that day."""
    return provider._replace(
        user=provider.user._replace(checked=checked),
        password=provider.password._replace(checked=checked),
        sender=provider.sender._replace(checked=checked),
        limits=tuple(fact._replace(checked=checked) for fact in provider.limits),
        notes=tuple(fact._replace(checked=checked) for fact in provider.notes),
        checked=checked,
    )


def _fact(node: Node, where: str, checked: str, file: str) -> Fact:
    if not isinstance(node.value, dict):
        return Fact(_text(node, where), checked, file)
    fields = _fields(node, where, ("text", "source", "confirmed", "checked"), ("text",))
    confirmed = fields.get("confirmed", Node(True, 0))
    if not isinstance(confirmed.value, bool):
        raise _wrong(confirmed, f"{where}: confirmed", "true or false")
    return Fact(
        _text(fields["text"], f"{where}: text"),
        _date(fields["checked"], f"{where}: checked") if "checked" in fields else checked,
        _text(fields["source"], f"{where}: source") if "source" in fields else file,
        confirmed.value,
    )


def _port(node: Node, where: str) -> Port:
    fields = _fields(node, where, ("port", "tls", "note"), ("port", "tls"))
    number, tls = fields["port"], fields["tls"]
    if not isinstance(number.value, int) or isinstance(number.value, bool) or not 1 <= number.value <= _LAST_PORT:
        raise _wrong(number, f"{where}: port", f"a number from 1 to {_LAST_PORT}")
    if tls.value not in (STARTTLS, IMPLICIT):
        raise _wrong(tls, f"{where}: tls", f"{STARTTLS} or {IMPLICIT}")
    note = _text(fields["note"], f"{where}: note") if "note" in fields else ""
    return Port(number.value, str(tls.value), note)


def _host(node: Node, where: str) -> str:
    text = node.value
    if not isinstance(text, str) or not _HOST.fullmatch(text) or len(text) > _LONGEST_HOST:
        raise _wrong(node, where, "a host name in lower case, with one * at most: mail.example.org, mail.*.example.org")
    return text


def _text(node: Node, where: str) -> str:
    text = node.value
    if not isinstance(text, str) or not text or text != text.strip() or "\n" in text or "\t" in text:
        raise _wrong(node, where, "one line of text (>- folds several)")
    if len(text) > _LONGEST_TEXT:
        raise _wrong(node, where, f"at most {_LONGEST_TEXT} characters")
    return text


def _date(node: Node, where: str) -> str:
    from datetime import date

    text = node.value
    if isinstance(text, str) and _DATE.fullmatch(text):
        try:
            date.fromisoformat(text)
        except ValueError:
            pass
        else:
            return text
    raise _wrong(node, where, "a day such as 2026-11-22")


def _list(node: Node, where: str, read: Callable[[Node, str], _T], *, least: int = 1, most: int = 50) -> tuple[_T, ...]:
    if not isinstance(node.value, list):
        raise _wrong(node, where, "a list")
    if not least <= len(node.value) <= most:
        raise DocumentError(node.line, f"{where}: has {len(node.value)} items", f"{least} to {most}")
    return tuple(read(item, f"{where}: item {number}") for number, item in enumerate(node.value, 1))


def _fields(node: Node, where: str, allowed: tuple[str, ...], needed: tuple[str, ...]) -> dict[str, Node]:
    fields = _mapping(node, where)
    for field, value in fields.items():
        if field not in allowed:
            raise DocumentError(value.line, f"{where}: has the field {field!r}", f"one of {', '.join(allowed)}")
    for field in needed:
        if field not in fields:
            raise DocumentError(node.line, f"{where}: has no {field}", f"{', '.join(needed)}")
    return fields


def _mapping(node: Node, where: str, most: int = 50) -> dict[str, Node]:
    if not isinstance(node.value, dict):
        raise _wrong(node, where, "a mapping (name: value)")
    if len(node.value) > most:
        raise DocumentError(node.line, f"{where}: has {len(node.value)} names", f"at most {most}")
    return node.value


def _wrong(node: Node, where: str, expected: str) -> DocumentError:
    """The refusal of a value; short ones are shown, but for what may be somebody's password."""
    value = node.value
    if value is None or value == "":
        shown = "is empty"
    elif isinstance(value, list | dict) or len(str(value)) > _LONGEST_ID or "password" in where.split(": "):
        shown = f"is {_KINDS[type(value)]}"
    else:
        shown = f"is {value!r}" if isinstance(value, str) else f"is {str(value).lower()}"
    return DocumentError(node.line, f"{where}: {shown}", expected)
