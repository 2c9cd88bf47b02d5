"""YAML as plain values that know their lines: what is read, and what is refused on which line."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from msmtp_agent import yaml_lines
from msmtp_agent.yaml_lines import DocumentError, Node, read


def values(node: Node) -> Any:
    """What a node holds, without its lines."""
    if isinstance(node.value, dict):
        return {key: values(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [values(item) for item in node.value]
    return node.value


def fault(content: bytes) -> tuple[int, str]:
    with pytest.raises(DocumentError) as raised:
        read(content)
    return raised.value.line, raised.value.observed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("---\n", None),
        ("---\n...\n", None),
        ("~", None),
        ("a: \nb: null\n", {"a": None, "b": None}),
        ("a: true\nb: False\n", {"a": True, "b": False}),
        ("port: 587\nother: -3\npart: 1.5\n", {"port": 587, "other": -3, "part": 1.5}),
        ("[yes, no, on, off, y]", ["yes", "no", "on", "off", "y"]),  # YAML 1.1 would say true and false
        (
            "[2026-11-22, 007, 0x1F, 1_000, 12:30:45, .inf, -Infinity, 1e9, 0E0, 1.2.3]",
            ["2026-11-22", "007", "0x1F", "1_000", "12:30:45", ".inf", "-Infinity", "1e9", "0E0", "1.2.3"],
        ),
        ("['587', \"true\", '', '~']", ["587", "true", "", "~"]),
        ("587: x\ntrue: y\n", {"587": "x", "true": "y"}),
        ("a: >-\n  two\n  lines\nb: |\n  one\n", {"a": "two lines", "b": "one\n"}),
        ("a: {b: [c, {d: 1}]}\n", {"a": {"b": ["c", {"d": 1}]}}),
        ("<<: {a: 1}\n", {"<<": {"a": 1}}),  # no merging
        ("\ufeffa: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: \u00e9\U0001f4e7\n", {"a": "\u00e9\U0001f4e7"}),
        ("[[[[[[[[]]]]]]]]", [[[[[[[[]]]]]]]]),
        (f"a: {'9' * 5000}\nb: {'9' * 400}.5\n", {"a": "9" * 5000, "b": "9" * 400 + ".5"}),
    ],
)
def test_plain_values(text: str, value: object) -> None:
    assert values(read(text.encode())) == value


def test_the_switches_of_yaml_1_1_where_they_are_wanted() -> None:
    words = "[yes, No, ON, off, 'yes', \"off\", y, n, yEs, onn, true, FALSE, oN]"
    expected = [True, False, True, False, "yes", "off", "y", "n", "yEs", "onn", True, False, "oN"]
    assert values(read(words.encode(), switches=True)) == expected
    assert values(read(b"on: off\nyes:\n  - no\nNo: |\n  on\n", switches=True)) == {
        "on": False, "yes": [False], "No": "on\n",
    }  # fmt: skip
    assert values(read(b"on", switches=True)) is True
    plain_yaml = yaml.safe_load("[yes, No, ON, off, y, yEs, onn, true]")
    assert values(read(b"[yes, No, ON, off, y, yEs, onn, true]", switches=True)) == plain_yaml


def test_every_value_knows_its_line() -> None:
    root = read(b"# first\na: 1\nb:\n  c:\n    - x\n\n    - y\nd: {e: [f,\n  g]}\n")
    # A value of a mapping has the line of its key.
    assert own_lines(root) == (2, {"a": 2, "b": (3, {"c": (4, [5, 7])}), "d": (8, {"e": (8, [8, 9])})})


@pytest.mark.parametrize(
    ("content", "line", "observed"),
    [
        (b"a: 1\nb: &x 1\n", 2, "has an anchor (&)"),
        (b"a:\n  - &x [1]\n", 2, "has an anchor (&)"),
        (b"a: 1\nb: *x\n", 2, "has an alias (*)"),
        (b"\na: !!str 1\n", 2, "has a tag (!)"),
        (b"a: !x {b: 1}\n", 1, "has a tag (!)"),
        (b"a: !!python/object/apply:os.system ['id']\n", 1, "has a tag (!)"),
        (b"a: ! x\n", 1, "has a tag (!)"),
        (b"a: 1\nb: 2\n'a': 3\n", 3, "has a second 'a'"),
        (b"x:\n  a: 1\n  a: 2\n", 3, "has a second 'a'"),
        (b"a: 1\n---\nb: 1\n", 2, "begins another document"),
        (b"%YAML 1.1\n---\na: 1\n", 1, "has a directive (%)"),
        (b"%TAG ! x\n---\na: 1\n", 1, "has a directive (%)"),
        (b"? [a]\n: 1\n", 1, "has a key that is no word"),
        (b"a: 1\n? {b: 1}\n: 1\n", 2, "has a key that is no word"),
        (b"? a\n: 1\n? \n: 2\n", 3, "has a key that is no word"),
        (b"a:\n" + b"- " * 9 + b"x\n", 2, "is nested too deep"),
        (b"[" * 60_000, 1, "is nested too deep"),
        (b"{a: " * 15_000, 1, "is nested too deep"),
        (b"- " * 30_000, 1, "is nested too deep"),
        (b"a: 1\nb: \xff\n", 2, "is not UTF-8"),
        (b"a: 1\n\xed\xa0\x80: 1\n", 2, "is not UTF-8"),
        (b"a: 1\nb: \x1b[31m\n", 2, "has the character U+001B"),
        (b"a: 1\nb: \x00\n", 2, "has the character U+0000"),
        (b"a: 1\rb: 2\n", 1, "has the character U+000D"),
        (b"a: 1\nb: \xe2\x80\xae\n", 2, "has the character U+202E"),
        (b"a: 1\nb: x\xc2\xa0y\n", 2, "has the character U+00A0"),
        (b"a: 1\nb: \xc2\x85c: 1\n", 2, "has the character U+0085"),
        (b'a: 1\nb: "\\x1b[31m"\n', 2, "has the character U+001B"),
        (b'a: 1\n"\\0": 1\n', 2, "has the character U+0000"),
        (b'a: 1\nb: "\\uD800"\n', 2, "has the character U+D800"),
        (b'a: 1\nb: "\\UFFFFFFFF"\n', 2, "is no YAML"),
        (b"%YAML 1." + b"9" * 5000 + b"\n---\na: 1\n", 1, "is no YAML"),
        (b"a: b: c\n", 1, "is no YAML: mapping values are not allowed here"),
        (b"a:\n\tb: 1\n", 2, "is no YAML: found character '\\t' that cannot start any token"),
        (b"b: 1\na: 'x\nc: 1\nd: 1\n", 2, "is no YAML: found unexpected end of stream"),
        (b"a: [1, 2\nb: 1\n", 2, "is no YAML: expected ',' or ']', but got ':'"),
        (b"a: 1\n  b: 1\n", 2, "is no YAML: mapping values are not allowed here"),
        (b"x\n" * 40_000, 32769, "is too long"),
    ],
)
def test_what_is_refused_and_on_which_line(content: bytes, line: int, observed: str) -> None:
    assert fault(content) == (line, observed)


def test_a_billion_laughs_and_a_loop_are_refused_at_the_first_anchor() -> None:
    laughs = "a: &a [x, x]\n" + "".join(
        f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert fault(laughs.encode()) == (1, "has an anchor (&)")
    assert fault(b"a: &a\n  b: *a\n") == (1, "has an anchor (&)")


def test_the_longest_file_is_read_and_one_byte_more_is_not() -> None:
    longest = b"# " + b"x" * (yaml_lines.MOST_BYTES - 2)
    assert read(longest).value is None
    assert fault(longest + b"x") == (1, "is too long")


def test_the_words_about_a_fault_quote_nothing_of_the_document() -> None:
    for text in ("a: !hunter2!x y", "a: *hunter2", "%YAML 1.1\n%YAML 1.1\n--- hunter2", "a: 'hunter2", "hunter2: a: b"):
        with pytest.raises(DocumentError) as raised:
            read(text.encode())
        assert "hunter2" not in str(raised.value)


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-_ 12", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def tried(content: bytes) -> Node | DocumentError:
    try:
        return read(content)
    except DocumentError as error:
        return error


@given(plain, st.booleans())
def test_what_pyyaml_writes_is_read_again(value: object, flow: bool) -> None:
    found = tried(yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow).encode())
    if isinstance(found, DocumentError):
        assert depth(value) > 8 or found.observed.startswith("has the character U+")
    else:
        assert values(found) == value


def lines(node: yaml.Node | None, line: int | None = None) -> Any:
    """The lines that PyYAML's own composer tells, in the shape of the document."""
    if node is None:
        return 1
    own = node.start_mark.line + 1 if line is None else line
    if isinstance(node, yaml.MappingNode):
        return own, {key.value: lines(value, key.start_mark.line + 1) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return own, [lines(item) for item in node.value]
    return own


def own_lines(node: Node) -> Any:
    if isinstance(node.value, dict):
        return node.line, {key: own_lines(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return node.line, [own_lines(value) for value in node.value]
    return node.line


@given(plain, st.booleans(), st.sampled_from([10, 80]))
def test_lines_are_those_of_pyyaml(value: object, flow: bool, width: int) -> None:
    text = yaml.safe_dump(value, default_flow_style=flow, width=width)
    found = tried(text.encode())
    if isinstance(found, Node):
        assert own_lines(found) == lines(yaml.compose(text, yaml.SafeLoader))


marks = st.sampled_from(
    [*"[]{}:,-?&*!|>'\"%@`#~ \n\t\r\\", "\\x1b", "\\U0011FFFF", "---", "...", "<<", "a", "1", "\x00", "\ufeff"]
)


@given(st.binary(max_size=200) | st.lists(marks, max_size=60).map("".join).map(str.encode))
@example(b"%YAML 1.1 1.1\n")
@example(b'"\\U00110000"')
@example(b"? ? ? ?")
@example(b"- - - - - -\n- :")
def test_nothing_but_a_document_or_a_document_error(content: bytes) -> None:
    found = tried(content)
    if isinstance(found, DocumentError):
        assert 1 <= found.line <= content.count(b"\n") + content.count(b"\r") + 2
        assert found.observed
        assert found.expected
