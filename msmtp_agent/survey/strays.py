"""Copies and leftovers of the secret file and of msmtprc, by their names."""

import re

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Stray
from msmtp_agent.host import MSMTPRC, SECRET, Host
from msmtp_agent.model import FileFacts, FileKind
from msmtp_agent.msmtprc import MsmtprcError, parse

_LIMIT = 1 << 16  # bytes of msmtprc, and of a copy, that are read
_MOST = 100
_ORIGINALS = (SECRET, MSMTPRC)
# Behind the last dot of what is no copy: an example holds no secret, and in the others it is encrypted.
_NONE = r"(?:example|sample|template|gpg|pgp|asc|age|cred|enc)"
# Behind `NAME-` and `NAME_` in the name of a copy; any other word there (`-howto`, `-gmail`) makes another file.
_WORDS = r"(?:\d[\d.:TZ_+-]*|bak|backup|copy|new|old|orig|prev|save|saved|temp|tmp)\d*~?"
# `NAME` is the original's. Behind it: `~`, `-` (as of /etc/passwd), `.anything`, ` (copy)`, `-word`. With a dot in
# front: what vim (.swp), emacs (.#), nano and rsync make, and this program's own temporary name. `#NAME#` is emacs's.
_PATTERN = rf"NAME(?:~|-|\.(?!(?:.*\.)?{_NONE}\Z).+| .+|[-_]{_WORDS})|\.NAME(?:[.~].*)?|\.?#NAME.*"
# A line that sets a password, in a swap file of vim as well, where NUL stands between lines; `password ""` sets none.
_PASSWORD = rb'(?:\A|[\n\0])[ \t]*password[ \t]+(?!""[ \t\r]*(?:[\n\0]|\Z))[^\s\0]'


def gather(host: Host) -> tuple[Stray, ...]:
    """Every copy in the directory of the originals. Raises InputOutputError."""
    names = [f"/etc/{name}" for name in host.names("/etc") if "msmtp" in name]
    copies = [(original, path) for original in _ORIGINALS for path in _copies(original, names)]
    if len(copies) > _MOST:
        raise InputOutputError("/etc", f"has more than {_MOST} copies of {SECRET} and {MSMTPRC}, by their names")
    commands = _commands(host) if copies else []
    found = (_stray(host, original, path, commands) for original, path in copies)
    return tuple(stray for stray in found if stray)


def _copies(original: str, paths: list[str]) -> list[str]:
    """Those of the paths that name a copy."""
    others = [path for path in paths if path not in _ORIGINALS]
    if not others:  # nearly every host: no pattern is compiled
        return []
    pattern = re.compile("/etc/(?:" + _PATTERN.replace("NAME", re.escape(original[5:])) + ")", re.DOTALL)
    return [path for path in others if pattern.fullmatch(path)]


def _commands(host: Host) -> list[str]:
    """The commands from which the accounts of msmtprc take their passwords; none where it cannot be read."""
    try:
        accounts = parse(host.read(MSMTPRC, _LIMIT)[1])
    except (InputOutputError, MsmtprcError):
        return []
    return [account.get("passwordeval") for account in accounts.values()]


def _stray(host: Host, original: str, path: str, commands: list[str]) -> Stray | None:
    """The file as a stray; None for what is none.

    A link is no copy, nor is a directory (`/etc/msmtprc.d`) or an empty file. A file of root's alone from which another
    account takes its password is in use, and not a leftover.
    """
    file = host.inspect(path)
    if file.kind is not FileKind.REGULAR or not file.size:
        return None
    if original == MSMTPRC:
        return Stray(file, original, _holds_password(host, file))
    used = re.compile(re.escape(path) + r"(?![\w.~-])")
    if file.uid == 0 and not file.mode & 0o077 and any(used.search(command) for command in commands):
        return None
    return Stray(file, original)


def _holds_password(host: Host, file: FileFacts) -> bool | None:
    """Whether a line sets a password; None when it cannot be read, or not to its end."""
    try:
        content = host.read(file.path, _LIMIT)[1]
    except InputOutputError:
        return None
    if re.search(_PASSWORD, content):
        return True
    return False if len(content) < _LIMIT else None
