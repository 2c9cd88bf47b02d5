"""The shell helper that cloud-init used to write: recognise that script alone, and put our command in its place."""

import re
from typing import NamedTuple

from .errors import CantCreateError
from .host import Host
from .model import FileKind

COMMAND = "/usr/bin/msmtp-config"
PLACES = ("/usr/local/sbin/msmtp-config", "/usr/local/bin/msmtp-config")  # root's PATH has them before ours
REMEDY = f"{COMMAND} audit --fix --only sender-helper"  # the name alone would run the script
_LIMIT = 4096  # bytes; the script has 800
_MODE = 0o644  # of the backup: nobody runs it by mistake
# What a line of it may be, beside those that store the password and comments.
_TEXT = rb'"(?:[^"`$\\]|\\n|\$(?:PASSWORD_FILE|RECIPIENT|HOSTNAME|\((?:date|hostname)\)))*"'
_NAME = rb"[A-Za-z_][A-Za-z0-9_]*"
_READ = rb"read -s (" + _NAME + rb")"
_LINES = (
    rb"set -e",
    rb"echo(?: -n)? " + _TEXT,
    rb"read -p " + _TEXT + rb" " + _NAME,
    rb'if \[\[ ! "\$' + _NAME + rb'" =~ \^\[Nn\]\$ \]\]; then',
    rb"HOSTNAME=\$\(hostname\)",
    rb"""RECIPIENT=\$\(grep ["']\^root:["'] /etc/aliases(?: \| (?:cut|tr) [^|&;<>`$()\\/]*)*\)""",
    rb"echo -e " + _TEXT + rb' \| msmtp "\$RECIPIENT"',
    rb"if \[ \$\? -eq 0 \]; then",
    rb"else",
    rb"fi",
)
_LINE = rb"|".join(_LINES)  # compiled where it is used: most hosts have no such script


class Helper(NamedTuple):
    """An old helper that our command is to take the place of, and where the script is kept."""

    path: str
    backup: str

    @property
    def action(self) -> str:
        """What is done there, in the words of a plan."""
        return f"becomes a link to {COMMAND}; the old script is kept as {self.backup}"


def recognised(content: bytes) -> bool:
    """Whether this is that script and nothing else.

    Each of its lines is one that the script can have, whatever the words that it prints; and it stores what was typed
    the way that is known of it. With one line more, or one put right, it is somebody's own, and this is False.
    """
    if len(content) > _LIMIT:
        return False
    first, *body = content.split(b"\n")
    lines = [line for part in body if (line := part.strip(b" \t")) and not line.startswith(b"#")]
    names = {found[1] for line in lines if (found := re.fullmatch(_READ, line))}
    if first not in (b"#!/bin/bash", b"#!/usr/bin/env bash") or len(names) != 1:
        return False
    (name,) = names
    telling = (
        b'PASSWORD_FILE="/etc/msmtp-password"',
        b"read -s " + name,
        b'echo -n "$' + name + b'" > "$PASSWORD_FILE"',
        b'chmod 600 "$PASSWORD_FILE"',
    )
    rest = [line for line in lines if line not in telling]
    return [line for line in lines if line in telling] == [*telling] and all(re.fullmatch(_LINE, line) for line in rest)


def standing(host: Host) -> tuple[str, ...]:
    """Where the script stands and is run in our place; none where the package's command is not there to take over.

    Raises InputOutputError.
    """
    return tuple(path for path in PLACES if _script(host, path) is not None) if _installed(host) else ()


def plan(host: Host, now: float) -> tuple[Helper, ...]:
    """What `replace` is to do, and nothing is changed; `now` is in seconds since 1970. Raises InputOutputError."""
    from . import backup

    found = ((path, _script(host, path)) for path in standing(host))
    return tuple(
        Helper(path, backup.name(host, path, content, _MODE, now)) for path, content in found if content is not None
    )


def replace(host: Host, helper: Helper) -> None:
    """Keep the script, and put a link to the package's command in its place. Call it under the lock.

    Raises CantCreateError, and the script stands there as before; but NotDurableError when the link may not outlive a
    power cut.
    """
    from . import backup, files  # most runs only look

    content = _script(host, helper.path)
    if content is None or not _installed(host):
        raise CantCreateError(host.at(helper.path), "has changed since it was looked at", remedy=REMEDY)
    with backup.kept(host, helper.path, helper.backup, content, _MODE):
        files.link(host, helper.path, COMMAND)


def _script(host: Host, path: str) -> bytes | None:
    """The script at this path, a program of one name; None where anything else stands there."""
    facts, content = host.read(path, _LIMIT + 1)
    program = facts.kind is FileKind.REGULAR and facts.links == 1 and facts.mode & 0o111
    return content if program and recognised(content) else None


def _installed(host: Host) -> bool:
    """Whether the package's command is there: a program of Python's that everybody may run, and not the script."""
    facts, content = host.read(COMMAND, 128, follow=True)
    first = content.partition(b"\n")[0]
    return facts.mode & 0o111 == 0o111 and first.startswith(b"#!") and b"python3" in first
