"""What `msmtp --serverinfo` says of a server, taken apart (its `msmtp_serverinfo()`, 1.8.20 to 1.8.33)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

_CAPABILITIES = ("Capabilities:", "No special capabilities.")
_SIZE = re.compile(r"    SIZE (\d{1,19}):")
_WORD = re.compile(r"    ([A-Z0-9-]+)(?: \d{1,19})?:")
_ADDRESS = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[^\]\s]+)?)\]\), port \d+:")


class ServerInfo(NamedTuple):
    """What msmtp itself has seen; a field is empty where it does not tell.

    `session` describes the TLS session, `expires` is a date in msmtp's words, `fingerprint` is SHA-256. `extensions`
    are those that msmtp knows of, SIZE, STARTTLS and AUTH among them; `methods` those of AUTH. `size` is in bytes, 0
    for no limit, None where the server does not state it.
    """

    address: str = ""
    greeting: str = ""
    session: str = ""
    subject: str = ""
    issuer: str = ""
    expires: str = ""
    fingerprint: str = ""
    extensions: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    size: int | None = None


def parse(lines: Sequence[str]) -> ServerInfo:
    """Take the output apart; what is not there, or not in msmtp's form, is left empty.

    The name of a certificate may have line feeds in it, and forge what follows it. The capabilities are the last that
    msmtp prints, so they are read behind the last line that begins them.
    """
    marks = [number for number, line in enumerate(lines) if line in _CAPABILITIES]
    end = marks[-1] if marks else len(lines)
    head, tail = list(lines[:end]), list(lines[end + 1 :])
    found = _ADDRESS.search(head[0]) if head else None
    greeting = head[1].strip() if len(head) > 1 and head[1].startswith("    ") else ""
    words = [known[1] for line in tail if (known := _WORD.fullmatch(line))]
    sizes = [int(known[1]) for line in tail if (known := _SIZE.fullmatch(line))]
    return ServerInfo(
        address=found[1] if found else "",
        greeting=greeting,
        session=_behind(head, "TLS session parameters:"),
        subject=_behind(head, "    Subject:"),
        issuer=_behind(head, "    Issuer:"),
        expires=_of(head, "        Expiration time: "),
        fingerprint=_of(head, "        SHA256: "),
        extensions=tuple(words),
        methods=tuple(_methods(tail)),
        size=sizes[0] if sizes else None,
    )


def _methods(lines: Sequence[str]) -> list[str]:
    """The methods stand on the second line behind `AUTH:`."""
    return lines[lines.index("    AUTH:") + 2].split() if "    AUTH:" in lines[:-2] else []


def _behind(lines: Sequence[str], title: str) -> str:
    """The line behind the first that has this title."""
    return lines[lines.index(title) + 1].strip() if title in lines[:-1] else ""


def _of(lines: Sequence[str], beginning: str) -> str:
    """The rest of the last line that begins so: msmtp's own stand behind what a certificate says."""
    return next((line[len(beginning) :].strip() for line in reversed(lines) if line.startswith(beginning)), "")
