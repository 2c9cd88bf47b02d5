"""Change the text of an `msmtprc` in one thing and leave every other byte: the pin of a server's certificate."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from .msmtprc import LONGEST_LINE, Account, MsmtprcError, parse

_CHANGED = ("tls_fingerprint", "tls_certcheck")
# What leads two accounts to the same server, so that one pin is right for both.
_PLACE = ("host", "tls", "tls_starttls", "tls_host_override", "proxy_host", "proxy_port", "socket")
_COMMAND = re.compile(rb"([ \t]*)([^ \t]+)([ \t]*)(.*)", re.DOTALL)


class _Line(NamedTuple):
    """A command and the line that it stands on (from 0), in its parts; no ending."""

    number: int
    indent: bytes
    command: bytes
    gap: bytes
    argument: bytes

    def alike(self, command: str, argument: str) -> bytes:
        """Another command written as this one is, its argument in the same column where there is room."""
        name = command.encode()
        gap = self.gap if b"\t" in self.gap else b" " * (len(self.command + self.gap) - len(name))
        line = self.indent + name + (gap or b" ") + argument.encode()
        return line if len(line) <= LONGEST_LINE else name + b" " + argument.encode()


def pinned(content: bytes, fingerprint: str) -> bytes | None:
    """The file with this `tls_fingerprint`, and the check of certificates on, for the default account.

    It is written where the account has a pin, or where its `host` stands (`account default : NAME`), or else into the
    default account itself. None where that is never all that changes: an account with another server would get the pin.
    Raises MsmtprcError for a file that msmtp refuses.
    """
    old = parse(content)
    raw = content.split(b"\n")
    default = old["default"]
    places = [default.settings[command].line for command in ("tls_fingerprint", "host") if command in default.settings]
    pin = [("tls_fingerprint", fingerprint)]
    for line in dict.fromkeys((*places, default.line)):
        section = _section(raw, line - 1)
        if section[0].command == b"defaults":
            continue
        # The check has to be turned on where the section does not turn it off itself: it comes from the defaults.
        for settings in (pin, [*pin, ("tls_certcheck", "on")]):
            new = _edited(raw, section, settings)
            if _only_that(old, new, fingerprint):
                return new
    return None


def _section(raw: Sequence[bytes], number: int) -> list[_Line]:
    """The commands of the section that this line (from 0) belongs to, with the one that opens it, if one does."""
    section: list[_Line] = []
    for found in filter(None, map(_command, range(len(raw)), raw)):
        if found.command in (b"account", b"defaults"):
            if found.number > number:
                break
            section = []
        section.append(found)
    return section


def _command(number: int, raw: bytes) -> _Line | None:
    """The command on a line; None for a comment or a blank line. msmtp works on C strings: a NUL ends the line."""
    found = _COMMAND.fullmatch(raw.split(b"\0")[0].removesuffix(b"\r"))
    return _Line(number, *found.groups()) if found and not found[2].startswith(b"#") else None


def _edited(raw: Sequence[bytes], section: Sequence[_Line], settings: Sequence[tuple[str, str]]) -> bytes:
    """The file with these settings in a section, in the place of the old ones, or beside what is akin to them."""
    off = [found for found in section if _unchecks(found)]
    olds = [found for found in section if found.command == b"tls_fingerprint"] or off
    akin = [found for found in section if found.command.startswith(b"tls")]
    akin = akin or [found for found in section if found.command == b"host"] or list(section[:1])
    place = (olds or akin)[-1]
    kept = [] if olds else [raw[place.number].removesuffix(b"\r")]
    lines = {found.number: [b""] if found.number == len(raw) - 1 else [] for found in off}
    lines[place.number] = _ended(raw, place.number, [*kept, *(place.alike(*setting) for setting in settings)])
    return b"\n".join(line for number, old in enumerate(raw) for line in lines.get(number, [old]))


def _ended(raw: Sequence[bytes], number: int, lines: Sequence[bytes]) -> list[bytes]:
    """The lines that take the place of this one, with the line ends of the file; its last line may have none."""
    last = number == len(raw) - 1
    model = raw[max(number - 1, 0)] if last else raw[number]
    ending = b"\r" if model.endswith(b"\r") else b""
    return [line + ending for line in lines[:-1]] + [lines[-1] + (b"" if last else ending)]


def _unchecks(line: _Line) -> bool:
    argument = line.argument.strip(b" \t").strip(b'"')
    return line.command == b"tls_nocertcheck" or (line.command, argument) == (b"tls_certcheck", b"off")


def _only_that(old: dict[str, Account], content: bytes, fingerprint: str) -> bool:
    """Whether the default account is pinned in this file, and nothing else has changed for it or for any other."""
    try:
        new = parse(content)
    except MsmtprcError:
        return False
    default = new.get("default")
    if list(old) != list(new) or default is None or _pin(default) != (fingerprint, True):
        return False
    return all(_is_fine(before, new[name], default) for name, before in old.items())


def _is_fine(before: Account, after: Account, default: Account) -> bool:
    if _values(before) != _values(after):
        return False
    return _pin(before) == _pin(after) or _server(after) == _server(default)


def _pin(account: Account) -> tuple[str, bool]:
    """The fingerprint of an account, and whether certificates are checked."""
    return account.get("tls_fingerprint"), account.get("tls_certcheck") != "off"


def _values(account: Account) -> dict[str, str]:
    return {name: setting.value for name, setting in account.settings.items() if name not in _CHANGED}


def _server(account: Account) -> tuple[object, ...]:
    return (account.port, *(account.get(command) for command in _PLACE))
