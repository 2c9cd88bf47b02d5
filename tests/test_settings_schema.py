"""schemas/settings.json as an editor uses it: it is a schema, tells what each key is for, and the program agrees."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from msmtp_agent import msmtprc
from msmtp_agent.settings import SettingsError
from tests.support import fragment
from tests.support.meanings import BLOCKS, BROKEN, CASES, MENDED, PROVIDERS, TAKEN
from tests.support.sandbox import PROJECT
from tests.support.smtpconfig import BASE, SAMPLES, read, text
from tests.test_settings_hostile import BREAKS, DOCUMENTS

SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/settings.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
KEYS = SCHEMA["properties"]["smtp"]["properties"]


def valid(content: str) -> bool:
    """What an editor makes of the text; YAML 1.1, as the program takes it."""
    return VALIDATOR.is_valid(yaml.safe_load(content))


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object in it."""
    if isinstance(schema, dict):
        yield schema
        for inner in schema.values():
            yield from parts(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from parts(inner)


def test_it_is_a_schema_of_that_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"title", "description"} <= SCHEMA.keys()


def test_it_stands_alone() -> None:
    """An editor without a network reads it; and nothing hangs on `format`, which a validator may pass over."""
    for part in parts(SCHEMA):
        assert str(part.get("$ref", "#")).startswith("#")
        assert "format" not in part or isinstance(part["format"], dict)


def test_it_lets_no_key_through_that_it_does_not_know() -> None:
    assert SCHEMA["additionalProperties"] is False
    assert SCHEMA["properties"]["smtp"]["additionalProperties"] is False


def test_it_knows_every_key_and_describes_it() -> None:
    template = Path(fragment.__file__).with_suffix(".yaml.tpl").read_text()
    assert set(KEYS) == set(re.findall(r"smtp\.(\w+)", template)) | {
        "provider",
        "tls_fingerprint",
        "set_from_header",
        "log",
    }
    assert set(KEYS) == {*BASE, *SAMPLES}
    for key, schema in KEYS.items():
        described = schema["description"]
        assert described[0].isupper(), key
        assert described.endswith("."), key
        assert 20 <= len(described) <= 200, key
    assert len({schema["description"] for schema in KEYS.values()}) == len(KEYS)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_examples_and_defaults_are_right(key: str) -> None:
    schema = KEYS[key]
    for value in [*schema.get("examples", ()), *([schema["default"]] if "default" in schema else [])]:
        beside = {"tls_cert_file": "/c", "tls_key_file": "/k"} if key.startswith("tls_") else {}
        document = {"smtp": {**yaml.safe_load(text())["smtp"], **beside, key: value}}
        VALIDATOR.validate(document)


@pytest.mark.slow
@pytest.mark.parametrize("part", [part for part in parts(SCHEMA) if isinstance(part.get("pattern"), str)], ids=repr)
def test_patterns_are_plain_enough_for_every_editor(part: dict[str, Any]) -> None:
    """ECMA's dialect is theirs: no inline flags, no named groups as Python has them, no \\A and \\Z."""
    pattern = re.sub(r"\[[^]]*\]", "c", part["pattern"])  # classes of characters are the same everywhere
    assert not re.search(r"\(\?[aiLmsux]|\(\?P|\\[AZz]|\(\?>|[*+?}]\+", pattern)
    re.compile(part["pattern"])


# --- what it accepts and refuses


GOOD = {
    **{name: text(**changes) for name, (changes, _) in CASES.items()},
    **{name: text(**changes) for name, (changes, _) in MENDED.items()},
    **{f"block {name}": f"smtp:{block}" for name, block in BLOCKS.items()},
    **{
        f"provider {name}": text(**{"host": None, "port": None, "user": None, "provider": name.strip(), **changes})
        for name, (changes, _) in PROVIDERS.items()
    },
    "nothing": "",
    "nothing below smtp": "smtp:\n",
    "an empty mapping": "smtp: {}\n",
    "no host": "smtp:\n  recipient: admin@example.com\n",
}
# Read otherwise by YAML 1.1, which an editor may have: numbers there, text here.
ELEVEN = ("a user with a nought before its digits", "a user with an underscore between digits")
# Only the providers' facts, or the bytes of a line, tell that these are wrong; the schema is not told of them.
BEYOND = ("a port in hexadecimal", "a long command")


@pytest.mark.slow
@pytest.mark.parametrize(
    "content", [GOOD[name] for name in GOOD if name not in ELEVEN], ids=[n for n in GOOD if n not in ELEVEN]
)
def test_what_the_program_takes_an_editor_takes(content: str) -> None:
    VALIDATOR.validate(yaml.safe_load(content))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [changes for name, (changes, _) in [*TAKEN.items(), *BROKEN.items()] if name not in BEYOND], ids=str
)
def test_what_the_program_refuses_an_editor_marks(changes: dict[str, str | None]) -> None:
    assert not valid(text(**changes))


@pytest.mark.parametrize(
    "name", ["a list", "a word", "a number", "a list below smtp", "a word below smtp", "another key"]
)
def test_a_document_of_another_shape_is_marked(name: str) -> None:
    content = DOCUMENTS[name][0]
    assert isinstance(content, str)
    assert not valid(content)


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key in KEYS if KEYS[key].get("type") != "boolean"])
def test_no_value_with_a_break_is_accepted(key: str) -> None:
    good = yaml.safe_load(text(**SAMPLES))["smtp"][key]
    for character in BREAKS:
        if character not in ("\u202e", "\ufeff"):  # not seen, but no break: the program's reader refuses them
            for value in (f"{good}{character}x", f"{good}{character}", f"{character}{good}"):
                assert not VALIDATOR.is_valid({"smtp": {**yaml.safe_load(text())["smtp"], key: value}}), repr(value)


def test_methods_are_those_of_msmtp() -> None:
    words = {value for value in KEYS["auth_method"]["enum"] if isinstance(value, str)}
    assert words == {*msmtprc._METHODS, "on", "off"}


# --- whatever the document, the program takes nothing that the schema refuses


hosts = st.from_regex(r"\A[a-z0-9_.:%*-]{1,12}\Z") | st.sampled_from(
    ["::1", "a..b", "-a.b", "a.b.", "[::1]", "1.2.3.4"]
)
addresses = st.from_regex(r"\A[a-z+.'/|\"<>-]{0,3}@?[a-z.-]{0,4}\Z")
pool = {
    "host": hosts,
    "from_email": addresses,
    "recipient": st.lists(addresses, min_size=1, max_size=3).map(",".join) | st.just(",".join(["a@b"] * 33)),
    "port": st.integers(-1, 65_537) | st.sampled_from(["0587", "+1", "1e3", " 587", "65536", "65535"]) | st.floats(),
    "user": st.text(max_size=4),
    "tls_fingerprint": st.from_regex(r"\A([0-9a-f]{2}:){14,33}[0-9A-G]{1,2}\Z") | st.just("AB" * 32),
    "tls_trust_file": st.text(st.sampled_from('~/a ".'), max_size=5),
    "provider": st.sampled_from(["gmail", "GMail", "ses", "nobody", "smtp.gmail.com", ""]),
    "auth_method": st.sampled_from(["on", "ON", "plain", True, False, 1, 0, "none"]),
    "log": st.sampled_from(["file", "syslog", "File", True, "-"]),
    "set_from_header": st.sampled_from(["auto", "on", True, 1, "never"]),
}
changed = st.fixed_dictionaries({}, optional=pool) | st.fixed_dictionaries({}, optional={**pool, **pool})


@pytest.mark.slow
@settings(deadline=None, max_examples=800, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed, st.sets(st.sampled_from([*BASE])))
@example({"port": 587.0}, set())
@example({"auth_method": 1}, set())
@example({"provider": "ses"}, {"host"})
def test_the_program_takes_nothing_that_the_schema_refuses(
    tmp_path: Path, changes: dict[str, object], gone: set[str]
) -> None:
    smtp = {**yaml.safe_load(text())["smtp"], **changes}
    document = {"smtp": {key: value for key, value in smtp.items() if key not in gone}}
    content = yaml.safe_dump(document, allow_unicode=True)
    with contextlib.suppress(SettingsError):
        read(tmp_path / "smtp.config.yaml", content)
        assert valid(content)
