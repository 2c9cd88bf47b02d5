"""Search a host for the secret's exact bytes outside its own files; nothing is kept but paths and modes."""

import os
import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from msmtp_agent.facts import Elsewhere, Search
from msmtp_agent.host import MSMTPRC, SECRET, Host
from msmtp_agent.model import FileFacts, FileKind
from msmtp_agent.msmtprc import Account
from msmtp_agent.secret import MAXIMUM, Secret

from .sweep import Choice, Found, Pieces, Sweep

_SHORT = 8  # bytes
_SMALLEST_GZIP = 18  # bytes: its header and its trailer
_MOST_COPIES = 50  # of one place: more would not tell more
_CLOUD_LOGS = "/var/log/cloud-init"  # -output.log, .log, and their predecessors
# Below root's home; bash, zsh, ash, the Korn shells, csh, fish, python, and what vim and less remember of a session.
_HISTORY = (
    ".bash_history",
    ".zsh_history",
    ".zhistory",
    ".histfile",
    ".ash_history",
    ".sh_history",
    ".mksh_history",
    ".history",
    ".local",
    ".local/share",
    ".local/share/fish",
    ".local/share/fish/fish_history",
    ".python_history",
    ".viminfo",
    ".lesshst",
)


Identity = tuple[int, int]  # of a file: its device and inode


class Sought:
    """The secrets that are looked for, and how they are told from other text."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._secrets = tuple(secrets)
        values = {secret.reveal() for secret in self._secrets}
        self._long = tuple(value for value in values if len(value) >= _SHORT)
        # Without neighbours that are none of these, a short secret would be found in every other file: `root` in
        # `chroot`, `e` everywhere. Bytes above 0x7f are those of letters, too (UTF-8).
        around = rb"[^0-9A-Za-z\x80-\xff]"
        short = b"|".join(re.escape(value) for value in values if len(value) < _SHORT)
        self._short = re.compile(around + b"(?:" + short + b")" + around) if short else None
        self._overlap = max(map(len, values), default=0) + 1  # what two pieces share, and the byte in front of it
        self.smallest = min((_SMALLEST_GZIP, *map(len, values)))  # bytes of a file that can hold one

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def redact(self, words: str) -> str:
        """Words of the host without them, such as a file's name; but to hide a short one would tell that it is one."""
        for secret in self._secrets:
            if len(secret.reveal()) >= _SHORT:
                words = secret.redact(words)
        return words

    def stands_in(self, pieces: Pieces) -> bool:
        """Whether one of them stands in the bytes that the pieces make, on one side of what is left out."""
        before = b"\n"
        for piece in pieces:
            if piece is None:
                before = b""  # not even a neighbour of a short one: it is not known
                continue
            window = before + piece
            if self._stands_in(window):
                return True
            before = window[-self._overlap :]
        return self._short is not None and self._stands_in(before + b"\n")

    def _stands_in(self, window: bytes) -> bool:
        """A short one is found when there is a byte on either side of it: at the end, it waits for the next window."""
        return any(value in window for value in self._long) or bool(self._short and self._short.search(window))


class Place(NamedTuple):
    """Where to look: files and directories below `top` whose path is wanted; `open_to_others`: those alone."""

    top: str
    wanted: Callable[[str], bool]
    open_to_others: bool = False


def secrets(host: Host, account: Account | None) -> Sought:
    """What is looked for: the password of the secret file, and an inline one. Raises InputOutputError."""
    return Sought(_secrets(host.read(SECRET, 2 * MAXIMUM, follow=True)[1], account))


def gather(host: Host, sought: Sought) -> Elsewhere:
    """Where the secret stands, and what was left out. Raises InputOutputError when it cannot be read itself."""
    if not sought:
        return Elsewhere(sought=False)
    own = _own(host)
    home = host.home()
    remembered = frozenset(f"{home}/{name}" for name in _HISTORY)
    cloud = [Place("/var/lib/cloud", _any), Place("/var/log", _of_cloud_init)]
    if host.live:
        cloud.append(Place("/run/cloud-init", _any))
    return Elsewhere(
        cloud=_search(host, cloud, sought, own),
        config=_search(host, [Place("/etc", _any, True)], sought, own),
        log=_search(host, [Place("/var/log", lambda path: not _of_cloud_init(path), True)], sought, own),
        history=_search(host, [Place(home, remembered.__contains__)], sought, own),
    )


def _any(_: str) -> bool:
    return True


def _of_cloud_init(path: str) -> bool:
    return path.startswith(_CLOUD_LOGS)


def _secrets(content: bytes, account: Account | None) -> Iterator[Secret]:
    """What msmtp takes from the secret file (its first line, up to a NUL), and an inline password."""
    line, feed, _ = content.partition(b"\n")
    if feed:
        line = line.removesuffix(b"\r")  # without a line feed behind it, msmtp sends it
    line = line.partition(b"\0")[0][:MAXIMUM]
    inline = account.get("password").encode("utf-8", "surrogateescape") if account else b""
    return (Secret(value) for value in (line, inline) if value.strip())


def _own(host: Host) -> frozenset[Identity]:
    """The files in which the secret may stand, so that a hard link is known as one of them: other checks judge it."""
    found = set()
    with suppress(OSError):
        descriptor = host.open_directory("/etc")
        try:
            for path in (SECRET, MSMTPRC):
                with suppress(FileNotFoundError):
                    facts = os.stat(path.rpartition("/")[2], dir_fd=descriptor, follow_symlinks=False)
                    found.add((facts.st_dev, facts.st_ino))
        finally:
            os.close(descriptor)
    return frozenset(found)


def _private(found: os.stat_result) -> bool:
    """Whether root alone can read the file, or enter the directory; an ACL's mask stands in the group's bits."""
    others = 0o011 if stat.S_ISDIR(found.st_mode) else 0o044
    return found.st_uid == 0 and not found.st_mode & others


def _search(host: Host, places: Iterable[Place], sought: Sought, own: Collection[Identity]) -> Search:
    sweep = Sweep(host, sought.redact)
    copies: list[FileFacts] = []
    for place in places:
        for file in sweep.below(place.top, _choice(place, sought.smallest, own)):
            if len(copies) == _MOST_COPIES:
                sweep.leave_out(file.path, f"the search ended here after {_MOST_COPIES} finds")
                break
            if sought.stands_in(sweep.contents(file)):
                copies.append(_facts(file, sought.redact(file.path)))
    return Search(tuple(sorted(copies, key=lambda copy: copy.path)), sweep.left_out, sweep.bounded)


def _choice(place: Place, smallest: int, own: Collection[Identity]) -> Choice:
    def choose(path: str, found: os.stat_result) -> bool:
        if not place.wanted(path) or (place.open_to_others and _private(found)):
            return False
        return stat.S_ISDIR(found.st_mode) or (found.st_size >= smallest and (found.st_dev, found.st_ino) not in own)

    return choose


def _facts(file: Found, path: str) -> FileFacts:
    found = file.stat
    mode = stat.S_IMODE(found.st_mode)
    return FileFacts(
        path, FileKind.REGULAR, found.st_uid, found.st_gid, mode, found.st_nlink, found.st_size, "", found.st_mtime
    )
