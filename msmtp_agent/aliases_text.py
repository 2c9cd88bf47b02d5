"""Change the text of `/etc/aliases` in two names, `root` and `default`, and leave every other line as it is."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .aliases import LONGEST_LINE, AliasesError, expand, parse

OWNED = ("root", "default")
_BLANKS = b" \t\r\n\f\v"
_ADVICE = {
    "single ':' delimiter expected": "a line is `name: address, address`; take it out, or put # before it",
    "duplicate alias": "msmtp wants a name once; take one of its lines out",
    "invalid alias": "before the colon stands a local name; take the line out, or put # before it",
    "longer than": "write fewer addresses, or a list at the mail provider in their place",
}


class _Line(NamedTuple):
    """A line of the new file, and the number (from 1) of the old one that it comes from."""

    content: bytes
    number: int


class _Entry(NamedTuple):
    """A line with a name, in its parts: `head` ends with the colon, `tail` is the comment, `end` the line's end."""

    name: bytes
    head: bytes
    gap: bytes
    behind: bytes
    tail: bytes
    end: bytes


def edited(content: bytes, recipients: Sequence[str]) -> bytes:
    """The file in which mail to root, and to every name that is not listed, goes to the recipients.

    The very same bytes where that is so already. Raises AliasesError, with the line of `content` (0: none of them),
    when msmtp would refuse the result; its fault says what to do.
    """
    wanted = tuple(dict.fromkeys(recipients))
    value = ", ".join(wanted).encode("utf-8", "surrogateescape")
    lines: list[_Line] = []
    for names in ((), *((name,) for name in OWNED), OWNED):  # no more than has to change: `default: root` may stay
        lines = _lines(content, names, value)
        new = b"".join(line.content for line in lines)
        if _means(new, wanted):
            return new
    try:
        parse(b"".join(line.content for line in lines))
    except AliasesError as error:
        number = lines[error.line - 1].number if error.line <= len(lines) else error.line
        raise AliasesError(number, _advised(error.fault)) from None
    raise AliasesError(
        0, f"{', '.join(wanted)} cannot stand behind a name: msmtp reads at most 32 plain addresses there"
    )


def _means(content: bytes, wanted: tuple[str, ...]) -> bool:
    """Whether msmtp takes the file, and it says so already; `default: root` is one way to say it."""
    try:
        aliases = parse(content)
        if "default" not in aliases or sorted(aliases.get("root", ())) != sorted(wanted):
            return False
        return sorted(expand(aliases, "default")) == sorted(wanted)
    except AliasesError:
        return False


def _lines(content: bytes, names: Sequence[str], value: bytes) -> list[_Line]:
    """The lines of the new file: the first entry of each name is edited, a second one only leaves its comment."""
    owned = [name.encode() for name in names]
    raw = [part + b"\n" for part in content.split(b"\n")]
    raw[-1] = raw[-1][:-1]
    if not raw[-1]:
        raw.pop()
    ending = b"\r\n" if raw and raw[-1].endswith(b"\r\n") else b"\n"
    lines: list[_Line] = []
    seen: set[bytes] = set()
    owner = b""  # the owned name whose entry the next line may go on with
    for number, line in enumerate(raw, 1):
        entry = _entry(line)
        if entry is None and owner and _continues(line):
            lines += (_Line(part, number) for part in _comment(line))
            continue
        owner = entry.name if entry and entry.name in owned else b""
        if entry is None or not owner:
            lines.append(_Line(line, number))
        elif owner in seen:
            lines += (_Line(part, number) for part in _comment(line))
        else:
            lines += (_Line(part, number) for part in _with(entry, value))
        seen.add(owner)
    for name in owned:
        if name not in seen:
            if lines and not lines[-1].content.endswith(b"\n"):
                lines[-1] = lines[-1]._replace(content=lines[-1].content + ending)
            lines.append(_Line(name + b": " + value + ending, 0))
    return lines


def _entry(line: bytes) -> _Entry | None:
    """The parts of a line as msmtp sees them: a comment begins at any `#`, and a C string ends at its first NUL."""
    text = line.rstrip(b"\r\n")
    place = min((place for mark in (b"#", b"\0") if (place := text.find(mark)) >= 0), default=len(text))
    head, colon, value = text[:place].partition(b":")
    if not colon:
        return None
    gap = value[: len(value) - len(value.lstrip(_BLANKS))] if value.strip(_BLANKS) else b" "
    behind = value[len(value.rstrip(_BLANKS)) :] or b" "
    return _Entry(head.strip(_BLANKS), head + colon, gap, behind, text[place:], line[len(text) :])


def _with(entry: _Entry, value: bytes) -> Iterator[bytes]:
    """The entry with this value; its comment gets a line of its own where there is no room for it."""
    line = entry.head + entry.gap + value + (entry.behind + entry.tail if entry.tail else b"") + entry.end
    if len(line) > LONGEST_LINE and entry.tail.startswith(b"#"):
        yield entry.tail + (entry.end or b"\n")
        line = entry.head + entry.gap + value + entry.end
    yield line


def _continues(line: bytes) -> bool:
    """Whether sendmail would read the line as more of the entry before it (msmtp refuses it)."""
    return line[:1] in (b" ", b"\t") and not line.strip(_BLANKS).startswith(b"#") and line.strip(_BLANKS) != b""


def _comment(line: bytes) -> Iterator[bytes]:
    """The comment of a line that goes, as a line of its own."""
    _, mark, rest = line.partition(b"#")
    if mark:
        yield mark + rest


def _advised(fault: str) -> str:
    advice = next((words for start, words in _ADVICE.items() if fault.startswith(start)), "")
    return f"{fault}: {advice}" if advice else fault
