"""Every place that names the version, in step: read, compared, and moved to the next one (scripts/release).

The number itself stands in msmtp_agent/__init__.py; what is new in it stands in CHANGELOG.md. All else follows.
"""

from __future__ import annotations

import re
import textwrap
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import NamedTuple

NUMBER = Path("msmtp_agent/__init__.py")
CHANGELOG = Path("CHANGELOG.md")
DEBIAN = Path("debian/changelog")
# What a person reads and copies a line from. Tests name versions of their own.
NAMING = ("*.md", "docs/*", "completions/*/*", "msmtp_agent/**/*.json", "debian/control", "systemd/*")
UNRELEASED = "## [Unreleased]"
VERSION = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}")
_ASSIGNED = re.compile(rf'^__version__ = "({VERSION.pattern})"$', re.MULTILINE)
_NAMED = re.compile(rf"(msmtp-agent_)({VERSION.pattern})(?=_|\.)")
_ENTRY = re.compile(
    rf"msmtp-agent \(({VERSION.pattern})\) unstable; urgency=medium\n(.*?)\n -- (.*?)  (.*?)\n", re.DOTALL
)
_WIDTH = 78


class RefusedError(Exception):
    """Why there is no release: one line."""


def number(source: Path) -> str:
    """The version that the source says it is."""
    found = _ASSIGNED.search((source / NUMBER).read_text())
    if found is None:
        raise RefusedError(f'{NUMBER}: no line __version__ = "N.N.N"')
    return found[1]


def ordered(version: str) -> tuple[int, ...]:
    """A version as something that can be compared."""
    return tuple(int(part) for part in version.split("."))


def _sections(text: str) -> dict[str, str]:
    """The headings of CHANGELOG.md, and what stands below each."""
    parts = re.split(r"^(## .*)$", text, flags=re.MULTILINE)[1:]
    return {heading: body.strip() for heading, body in zip(parts[::2], parts[1::2], strict=True)}


def notes(source: Path, version: str) -> tuple[str, str]:
    """The day of a version, and what CHANGELOG.md says of it."""
    for heading, body in _sections((source / CHANGELOG).read_text()).items():
        found = re.fullmatch(rf"## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)", heading)
        if found:
            return found[1], body
    raise RefusedError(f"{CHANGELOG}: no section for {version}")


def entry(body: str) -> str:
    """What debian/changelog says where CHANGELOG.md says this: the same in plain text, folded."""
    lines, kind = [], ""
    for block in re.split(r"\n(?=- |#)|\n\n+", body):
        if block.startswith("### "):
            kind = block.removeprefix("### ").strip()
        elif block.startswith("- "):
            words = " ".join(block.removeprefix("- ").split())
            words = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", words).replace("`", "").replace("**", "")
            told = words if kind in ("", "Added") else f"{kind}: {words}"
            lines += textwrap.wrap(
                told,
                _WIDTH,
                initial_indent="  * ",
                subsequent_indent="    ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        elif block.strip():
            raise RefusedError(f"{CHANGELOG}: is neither a heading nor a point of a list: {block.splitlines()[0]}")
    if not lines:
        raise RefusedError(f"{CHANGELOG}: tells nothing of this version")
    return "\n".join(lines)


class Entry(NamedTuple):
    """The newest entry of debian/changelog, and what follows it."""

    version: str
    text: str
    maintainer: str
    date: str
    older: str

    def __str__(self) -> str:
        head = f"msmtp-agent ({self.version}) unstable; urgency=medium"
        return f"{head}\n\n{self.text}\n\n -- {self.maintainer}  {self.date}\n{self.older}"


def _newest(source: Path) -> Entry:
    text = (source / DEBIAN).read_text()
    found = _ENTRY.match(text)
    if found is None:
        raise RefusedError(f"{DEBIAN}: does not begin with an entry of msmtp-agent")
    return Entry(found[1], found[2].strip("\n"), found[3], found[4], text[found.end() :])


def when(source: Path) -> datetime:
    """The time of the release: that of debian/changelog's newest entry, as for every Debian package."""
    return parsedate_to_datetime(_newest(source).date).astimezone(UTC)


def _naming(source: Path) -> list[Path]:
    """The files that may name the version in the name of a package."""
    found = {file for pattern in NAMING for file in source.glob(pattern) if file.is_file()}
    return sorted(found - {source / CHANGELOG})


def differences(source: Path) -> list[str]:
    """Where the places of the version do not agree, one line each."""
    version = number(source)
    day, body = notes(source, version)
    debian = _newest(source)
    found = []
    if (first := next((h for h in _sections((source / CHANGELOG).read_text()) if h != UNRELEASED), "")) != (
        f"## [{version}] - {day}"
    ):
        found.append(f"{CHANGELOG}: newest is {first}; expected {version}")
    if debian.version != version:
        found.append(f"{DEBIAN}: newest is {debian.version}; expected {version}")
    elif debian.text != entry(body):
        found.append(f"{DEBIAN}: does not say what {CHANGELOG} says; fix: scripts/release --entry")
    if (dated := f"{when(source):%Y-%m-%d}") != day:
        found.append(f"{DEBIAN}: is of {dated}; expected {day}, as in {CHANGELOG}")
    for file in _naming(source):
        for named in _NAMED.finditer(file.read_text()):
            if named[2] != version:
                found.append(f"{file.relative_to(source)}: names {named[0]}; expected {named[1]}{version}")
    return found


def rewrite_entry(source: Path) -> None:
    """Bring the newest entry of debian/changelog to what CHANGELOG.md says of its version; its date stays."""
    newest = _newest(source)
    (source / DEBIAN).write_text(str(newest._replace(text=entry(notes(source, newest.version)[1]))))


def advance(source: Path, version: str, moment: datetime) -> None:
    """Make the source a new version, of this moment: what is unreleased in CHANGELOG.md is its news."""
    old = number(source)
    changelog = (source / CHANGELOG).read_text()
    body = _sections(changelog).get(UNRELEASED)
    if body is None:
        raise RefusedError(f"{CHANGELOG}: no heading {UNRELEASED}")
    if not body:
        raise RefusedError(f"{CHANGELOG}: nothing below {UNRELEASED}; a release tells what is new")
    said = entry(body)
    newest = _newest(source)
    date = format_datetime(moment.replace(microsecond=0))
    (source / NUMBER).write_text(_ASSIGNED.sub(f'__version__ = "{version}"', (source / NUMBER).read_text()))
    (source / CHANGELOG).write_text(
        changelog.replace(UNRELEASED, f"{UNRELEASED}\n\n## [{version}] - {moment:%Y-%m-%d}", 1)
    )
    (source / DEBIAN).write_text(str(Entry(version, said, newest.maintainer, date, f"\n{newest}")))
    for file in _naming(source):
        text = file.read_text()
        named = re.sub(rf"(msmtp-agent_){re.escape(old)}(?=_|\.)", rf"\g<1>{version}", text)
        if named != text:
            file.write_text(named)
