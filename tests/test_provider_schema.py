"""schemas/provider-facts.json and the program agree on every document."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from msmtp_agent.providers import BUILT_IN
from msmtp_agent.providers.entry import entries
from msmtp_agent.providers.fact import Fact, Port, Provider
from msmtp_agent.yaml_lines import DocumentError, Node, read
from tests.support.sandbox import PROJECT

SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/provider-facts.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
OURS = {provider.id: provider for provider in BUILT_IN}


def node(value: Any) -> Node:
    """As if it had been read, all of it from the first line."""
    if isinstance(value, dict):
        return Node({key: node(inner) for key, inner in value.items()}, 1)
    if isinstance(value, list):
        return Node([node(inner) for inner in value], 1)
    return Node(value, 1)


def accepted(document: Node) -> bool:
    try:
        entries(document, OURS, "site.yaml")
    except DocumentError:
        return False
    return True


# --- documents that are right, and such with something wrong in them

texts = st.text(st.sampled_from("abXY09 .,:*@/-\u00e9"), min_size=1, max_size=12).map(str.strip).filter(bool)
days = st.dates().map(str)
hosts = st.from_regex(r"\A([a-z0-9.:-]{1,6}(\*[a-z0-9.:-]{0,6})?|\*\.[a-z0-9.:-]{1,6})\Z")
fact_objects = st.fixed_dictionaries(
    {"text": texts}, optional={"source": texts, "confirmed": st.booleans(), "checked": days}
)
facts = texts | fact_objects
ports = st.fixed_dictionaries(
    {"port": st.integers(1, 65535), "tls": st.sampled_from(["starttls", "implicit"])}, optional={"note": texts}
)
fields = {
    "name": texts,
    "hosts": st.lists(hosts, min_size=1, max_size=3),
    "ports": st.lists(ports, min_size=1, max_size=3),
    "kind": texts,
    "user": facts,
    "password": facts,
    "steps": st.lists(texts, min_size=1, max_size=3),
    "sender": facts,
    "limits": st.lists(facts, max_size=2),
    "notes": st.lists(facts, max_size=2),
    "page": texts,
    "checked": days,
}
ids = st.from_regex(r"\A[a-z0-9]{1,5}(-[a-z0-9]{1,5}){0,2}\Z")
NEEDED = ("name", "hosts", "ports", "checked")
new = st.fixed_dictionaries(
    {name: fields[name] for name in NEEDED},
    optional={name: strategy for name, strategy in fields.items() if name not in NEEDED},
)
changes = st.fixed_dictionaries(
    {"checked": days}, optional={name: strategy for name, strategy in fields.items() if name != "checked"}
)
right = st.none() | st.builds(
    dict.__or__,
    st.dictionaries(st.sampled_from(list(OURS)), changes, max_size=3),
    st.dictionaries(ids, new, max_size=2),
)
# No float that is a whole number: to JSON Schema 587.0 is an integer, in YAML nobody writes a port so.
strays: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70_000)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: not number.is_integer())
    | st.text(st.sampled_from("aB0 .*-:\n\t"), max_size=6)
    | st.sampled_from(["2026-02-30", "20260230", "2026-2-3", "a" * 500, "a" * 501, "x" * 254, "starttls", "gmail", "*"])
    | st.lists(st.just("a"), max_size=2)
    | st.lists(st.just("a"), min_size=50, max_size=51)
    | st.dictionaries(st.sampled_from(["text", "port", "tls", "x"]), st.just("a"), max_size=2)
)
names = st.sampled_from([*fields, "text", "note", "gmail", "Gmail", "a b", "-a", "a" * 40, "a" * 41, ""])


@st.composite
def wrong(draw: st.DrawFn) -> Any:
    """A document with a stray value, a stray name, or something missing, wherever that may be."""
    document = draw(right)

    def changed(value: Any) -> Any:
        if isinstance(value, dict) and value and draw(st.integers(0, 3)):
            name = draw(st.sampled_from(sorted(value)))
            return {**value, name: changed(value[name])}
        if isinstance(value, list) and value and draw(st.integers(0, 3)):
            number = draw(st.integers(0, len(value) - 1))
            return [*value[:number], changed(value[number]), *value[number + 1 :]]
        if isinstance(value, dict) and value and draw(st.booleans()):
            gone = draw(st.sampled_from(sorted(value)))
            return {name: inner for name, inner in value.items() if name != gone}
        if isinstance(value, dict) and draw(st.booleans()):
            return {**value, draw(names): draw(strays)}
        return draw(strays)

    return changed(document)


@pytest.mark.slow
@given(right)
def test_what_is_right_is_right_to_both(document: Any) -> None:
    assert VALIDATOR.is_valid(document)
    assert accepted(node(document))
    text = yaml.safe_dump(document, allow_unicode=True)
    found = entries(read(text.encode()), OURS, "site.yaml")
    assert found == entries(node(document), OURS, "site.yaml")
    assert list(found) == sorted(document or {})


@pytest.mark.slow
@given(wrong())
@example({f"x{number}": {} for number in range(101)})
@example({"gmail": {"checked": "2026-11-22", "name": "a\n"}})
@example({"gmail": {"checked": "2026-11-22", "hosts": ["a*", "*a"]}})
@example({"gmail": {"checked": "2026-11-22", "ports": [{"port": True, "tls": "starttls"}]}})
def test_both_accept_and_refuse_the_same(document: Any) -> None:
    assert accepted(node(document)) is VALIDATOR.is_valid(document)


# --- what ships


def as_document(provider: Provider) -> dict[str, Any]:
    """An entry as a file would say it."""

    def fact(known: Fact) -> dict[str, Any]:
        return {"text": known.text, "source": known.source, "confirmed": known.confirmed, "checked": known.checked}

    def port(known: Port) -> dict[str, Any]:
        return {"port": known.number, "tls": known.tls, **({"note": known.note} if known.note else {})}

    return {
        "name": provider.name,
        "hosts": list(provider.hosts),
        "ports": [port(known) for known in provider.ports],
        "kind": provider.kind,
        "user": fact(provider.user),
        "password": fact(provider.password),
        "steps": list(provider.steps),
        "sender": fact(provider.sender),
        "limits": [fact(known) for known in provider.limits],
        "notes": [fact(known) for known in provider.notes],
        "page": provider.page,
        "checked": provider.checked,
    }


def test_our_own_facts_keep_the_rules_of_the_files() -> None:
    document = {f"our-{provider.id}": as_document(provider) for provider in BUILT_IN}
    VALIDATOR.validate(document)
    found = entries(read(yaml.safe_dump(document).encode()), OURS, "")
    for provider in BUILT_IN:
        ports = tuple(port._replace(confirmed=True) for port in provider.ports)  # a file says what its author knows
        assert found[f"our-{provider.id}"] == provider._replace(id=f"our-{provider.id}", ports=ports, login="")


def test_the_schema_names_every_provider_that_may_be_given_in_part() -> None:
    VALIDATOR.check_schema(SCHEMA)
    assert list(SCHEMA["properties"]) == list(OURS)
