"""The only writer: whole-file replacement that leaves the old file or the new one, under one lock."""

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from shlex import quote
from typing import NamedTuple

from .errors import CantCreateError, NotDurableError, TemporaryError
from .host import LOCK_DIRECTORY, Host
from .interruption import deferred
from .model import FileFacts, FileKind, WriteOutcome

_HINTS = {
    errno.EPERM: "lsattr {path}   # an i among the letters: chattr -i {path}",
    errno.EBUSY: "findmnt {path}   # a mount in its place: umount {path}",
    errno.ENOENT: "mkdir -p {directory}",
    errno.EROFS: "findmnt -T {path}   # the file system is read-only",
    errno.ENOSPC: "df {directory}; df -i {directory}   # the file system is full",
    errno.EDQUOT: "df {directory}   # the quota is used up",
}


class _Version(NamedTuple):
    """What a file is to be; `modified` in seconds since 1970, None for now."""

    content: bytes
    mode: int
    owner: tuple[int, int]
    modified: float | None


def temporary_name(path: str) -> str:
    """The name beside `path` under which its next version is written; a leftover of it is ours to remove."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/.{name}.msmtp-config"


@contextmanager
def lock(host: Host) -> Iterator[None]:
    """Hold the lock of the only writer. Raises TemporaryError when another run holds it.

    The lock file lives in a directory of root's own with mode 0700, so that nobody else can open it and hold it.
    """
    try:
        descriptor = _open_lock(host)
    except OSError as error:
        facts = host.inspect(LOCK_DIRECTORY)
        odd = facts.kind not in (FileKind.DIRECTORY, FileKind.MISSING)
        raise CantCreateError(
            LOCK_DIRECTORY,
            f"is {facts.kind.value}" if odd else f"cannot hold the lock: {error.strerror}",
            expected="a directory of root's, 0700",
            remedy="findmnt -T /run" if error.errno == errno.EROFS else f"rm -r {LOCK_DIRECTORY}",
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TemporaryError(
                f"{LOCK_DIRECTORY}/lock",
                "another msmtp-config is running",
                remedy=f"fuser -v {LOCK_DIRECTORY}/lock   # who holds it",
            ) from None
        yield
    finally:
        os.close(descriptor)


def _open_lock(host: Host) -> int:
    with suppress(FileExistsError):
        os.mkdir(host.at(LOCK_DIRECTORY), 0o700)
    directory = os.open(host.at(LOCK_DIRECTORY), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(directory)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise CantCreateError(
                LOCK_DIRECTORY,
                f"is {stat.S_IMODE(found.st_mode):04o} and owned by user {found.st_uid}",
                expected="a directory of root's, 0700",
                remedy=f"rm -r {LOCK_DIRECTORY}",
            )
        return os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    finally:
        os.close(directory)


def refuse_replacing(facts: FileFacts) -> None:
    """Raise CantCreateError when what stands at a path is not a file that a replacement may take the place of."""
    if facts.kind not in (FileKind.MISSING, FileKind.REGULAR):
        target = f" to {facts.target}" if facts.target else ""
        away = "rmdir" if facts.kind is FileKind.DIRECTORY else "rm"
        raise CantCreateError(
            facts.path,
            f"is {facts.kind.value}{target}",
            expected="a regular file",
            remedy=f"{away} {quote(facts.path)}",
        )
    if facts.links > 1:
        raise CantCreateError(
            facts.path,
            f"has {facts.links} hard links, and the others would keep the old content",
            expected="one name",
            remedy=f"find / -xdev -samefile {quote(facts.path)}",
        )


def replace(host: Host, path: str, content: bytes, mode: int) -> WriteOutcome:
    """Make `path` a file of the effective user's with this content and mode; it is never anything in between.

    The new version is written under a temporary name in the same directory, with its final owner and mode from the
    first byte, synchronised, and renamed over the old one; then the directory is synchronised. Nothing is written
    when the file is already so. Where its rights alone are to change it keeps its time, which tells when the content
    was stored. Call it under `lock`. Raises CantCreateError, and the old file is as it was; but NotDurableError when
    the new one stands there and may not outlive a power cut.
    """
    facts, present = host.read(path, len(content) + 1)
    refuse_replacing(facts._replace(path=host.at(path)))
    owner = _owner()
    if facts.kind is FileKind.REGULAR and (present, facts.mode, facts.uid, facts.gid) == (content, mode, *owner):
        return WriteOutcome.UNCHANGED
    modified = facts.modified if facts.kind is FileKind.REGULAR and present == content else None
    try:
        with deferred():
            _put(host, path, partial(_write, version=_Version(content, mode, owner, modified)))
    except OSError as error:
        raise _failed(host.at(path), "cannot be written", error) from None
    return WriteOutcome.CREATED if facts.kind is FileKind.MISSING else WriteOutcome.REPLACED


def link(host: Host, path: str, target: str) -> WriteOutcome:
    """Make `path` a symbolic link that holds `target`; it is never anything in between.

    The link is made under the temporary name in the same directory and renamed over the old file, or put where nothing
    is; then the directory is synchronised. Nothing is written when it is so already; a link to elsewhere is somebody's
    choice, and not replaced. Call it under `lock`. Raises CantCreateError, and the old file is as it was; but
    NotDurableError when the link stands there and may not outlive a power cut.
    """
    facts = host.inspect(path)
    if facts.kind is FileKind.SYMLINK and facts.target == target:
        return WriteOutcome.UNCHANGED
    refuse_replacing(facts._replace(path=host.at(path)))
    try:
        with deferred():
            _put(host, path, partial(_make_link, target=target))
    except OSError as error:
        raise _failed(host.at(path), "cannot be replaced by a link", error) from None
    return WriteOutcome.CREATED if facts.kind is FileKind.MISSING else WriteOutcome.REPLACED


def restrict(host: Host, file: FileFacts, mode: int) -> None:
    """Make this very file the effective user's, with this mode, and leave it the same one.

    For a log alone. msmtp may be appending to it at this moment, and a line that is written to the old file after it
    was read for a replacement would be lost. So the very file that was looked at is changed, through a descriptor and
    never through a link; whoever has it open already keeps that. Call it under `lock`. Raises CantCreateError; it is
    a NotDurableError when the change was made and may not outlive a power cut.
    """
    path = host.at(file.path)
    refuse_replacing(host.inspect(file.path)._replace(path=path))
    try:
        with deferred():
            _restrict(host, file, mode, _owner())
    except OSError as error:
        raise _failed(path, "cannot be changed", error) from None


def discard(host: Host, path: str) -> None:
    """Take a file away that this run has made; call it under `lock`. That it cannot be is no worse than before."""
    with suppress(OSError), deferred():
        directory, name = _open_directory(host, path)
        try:
            os.unlink(name, dir_fd=directory)
        finally:
            _close(directory)


def _owner() -> tuple[int, int]:
    """User and group that a file is to have: root's are root's, whatever group the program was started with."""
    return (os.geteuid(), os.getegid() if os.geteuid() else 0)


def _failed(path: str, words: str, error: OSError) -> CantCreateError:
    place, directory = quote(path), quote(path.rpartition("/")[0] or "/")
    hint = _HINTS.get(error.errno or 0, "ls -ld {directory} {path}").format(path=place, directory=directory)
    return CantCreateError(path, f"{words}: {error.strerror}", remedy=hint)


def _put(host: Host, path: str, make: Callable[[int, str], None]) -> None:
    """Have the next version made under the temporary name (given the directory's descriptor), and put it in place."""
    temporary = temporary_name(path).rpartition("/")[2]
    directory, name = _open_directory(host, path)
    try:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)  # of a run that was killed
        try:
            make(directory, temporary)
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        _synchronise(directory, host.at(path), "was replaced, but a power cut may bring the old one back")
    finally:
        _close(directory)


def _restrict(host: Host, file: FileFacts, mode: int, owner: tuple[int, int]) -> None:
    directory, name = _open_directory(host, file.path)
    try:
        # Not blocking, should a FIFO have taken its place.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    finally:
        _close(directory)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or (found.st_dev, found.st_ino) != file.identity:
            raise OSError(errno.EBUSY, "another file has taken its place")
        # The owner first: a former one could give himself back what the mode takes away.
        if (found.st_uid, found.st_gid) != owner:
            os.fchown(descriptor, *owner)
        if stat.S_IMODE(found.st_mode) != mode:
            os.fchmod(descriptor, mode)
        _synchronise(descriptor, host.at(file.path), "was changed, but a power cut may bring its old rights back")
    finally:
        _close(descriptor)


def _open_directory(host: Host, path: str) -> tuple[int, str]:
    """A descriptor of the directory that `path` stands in, and its name there."""
    directory, _, name = path.rpartition("/")
    if host.live:  # one call less: every one is a place to fail at
        return os.open(directory or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), name
    return host.open_directory(directory or "/"), name


def _close(descriptor: int) -> None:
    """Close what was open for reading: nothing is lost when that fails."""
    with suppress(OSError):
        os.close(descriptor)


def _synchronise(descriptor: int, path: str, words: str) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise NotDurableError(path, f"{words}: {error.strerror}", remedy="sync") from None


def _make_link(directory: int, name: str, target: str) -> None:
    os.symlink(target, name, dir_fd=directory)


def _write(directory: int, name: str, version: _Version) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, version.mode, dir_fd=directory)
    try:
        created = os.fstat(descriptor)
        # Only where it differs (a umask, a directory that hands its group on): a hardened unit may not change owners.
        if (created.st_uid, created.st_gid) != version.owner:
            os.fchown(descriptor, *version.owner)
        if stat.S_IMODE(created.st_mode) != version.mode:
            os.fchmod(descriptor, version.mode)
        rest = memoryview(version.content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if version.modified is not None:
            os.utime(descriptor, (version.modified, version.modified))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
