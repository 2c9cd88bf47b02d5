"""The only writer: whole-file replacement that leaves the old file or the new one, under one lock."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .errors import CantCreateError, NotDurableError, TemporaryError
from .host import LOCK_DIRECTORY, Host
from .interruption import deferred
from .model import FileFacts, FileKind, WriteOutcome

_HINTS = {
    errno.EPERM: "lsattr {path}   # an i among the letters: chattr -i {path}",
    errno.EBUSY: "findmnt {path}   # a mount in its place: umount {path}",
    errno.EROFS: "findmnt -T {path}   # the file system is read-only",
    errno.ENOSPC: "df {directory}; df -i {directory}   # the file system is full",
    errno.EDQUOT: "df {directory}   # the quota is used up",
}


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
            facts.path, f"is {facts.kind.value}{target}", expected="a regular file", remedy=f"{away} {facts.path}"
        )
    if facts.links > 1:
        raise CantCreateError(
            facts.path,
            f"has {facts.links} hard links, and the others would keep the old content",
            expected="one name",
            remedy=f"find / -xdev -samefile {facts.path}",
        )


def replace(host: Host, path: str, content: bytes, mode: int) -> WriteOutcome:
    """Make `path` a file of the effective user's with this content and mode; it is never anything in between.

    The new version is written under a temporary name in the same directory, with its final owner and mode from the
    first byte, synchronised, and renamed over the old one; then the directory is synchronised. Nothing is written
    when the file is already so. Call it under `lock`. Raises CantCreateError, and the old file is as it was; but
    NotDurableError when the new one stands there and may not outlive a power cut.
    """
    facts, present = host.read(path, len(content) + 1)
    refuse_replacing(facts)
    owner = (os.geteuid(), os.getegid())
    if facts.kind is FileKind.REGULAR and (present, facts.mode, facts.uid, facts.gid) == (content, mode, *owner):
        return WriteOutcome.UNCHANGED
    try:
        with deferred():
            _replace(host.at(path), host.at(temporary_name(path)), content, mode, owner)
    except OSError as error:
        directory = path.rpartition("/")[0]
        hint = _HINTS.get(error.errno or 0, "ls -ld {directory} {path}").format(path=path, directory=directory)
        raise CantCreateError(path, f"cannot be written: {error.strerror}", remedy=hint) from None
    return WriteOutcome.CREATED if facts.kind is FileKind.MISSING else WriteOutcome.REPLACED


def _replace(path: str, temporary: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
    directory_path, _, name = path.rpartition("/")
    temporary_basename = temporary.rpartition("/")[2]
    directory = os.open(directory_path or "/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            os.unlink(temporary_basename, dir_fd=directory)  # of a run that was killed
        try:
            _write(directory, temporary_basename, content, mode, owner)
            os.rename(temporary_basename, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary_basename, dir_fd=directory)
            raise
        try:
            os.fsync(directory)
        except OSError as error:
            raise NotDurableError(
                path, f"was replaced, but a power cut may bring the old one back: {error.strerror}", remedy="sync"
            ) from None
    finally:
        with suppress(OSError):  # it was open for reading: nothing is lost
            os.close(directory)


def _write(directory: int, name: str, content: bytes, mode: int, owner: tuple[int, int]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, mode, dir_fd=directory)
    try:
        created = os.fstat(descriptor)
        # Only where it differs (a umask, a directory that hands its group on): a hardened unit may not change owners.
        if (created.st_uid, created.st_gid) != owner:
            os.fchown(descriptor, *owner)
        if stat.S_IMODE(created.st_mode) != mode:
            os.fchmod(descriptor, mode)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
