"""The machine under a root directory: its paths, its user, and what stands at a path, asked by descriptor."""

import errno
import fcntl
import os
import pwd
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from shlex import quote

from .beneath import Beneath
from .errors import InputOutputError
from .model import FileFacts, FileKind

MSMTPRC = "/etc/msmtprc"
SECRET = "/etc/msmtp-password"  # noqa: S105 - the path of it
ALIASES = "/etc/aliases"
LOCK_DIRECTORY = "/run/msmtp-config"

_KINDS = {
    stat.S_IFREG: FileKind.REGULAR,
    stat.S_IFDIR: FileKind.DIRECTORY,
    stat.S_IFLNK: FileKind.SYMLINK,
    stat.S_IFIFO: FileKind.FIFO,
    stat.S_IFSOCK: FileKind.SOCKET,
    stat.S_IFCHR: FileKind.CHARACTER,
    stat.S_IFBLK: FileKind.BLOCK,
}
_MOST_LINKS = 40  # as the kernel
_MOST_NAMES = 200_000  # of a directory that is listed
_IMMUTABLE = 0x30  # FS_IMMUTABLE_FL and FS_APPEND_FL (linux/fs.h)
_GET_FLAGS = 0x80086601  # FS_IOC_GETFLAGS
# acl_permset and tags of the attribute that holds an ACL (linux/posix_acl_xattr.h)
_ACL_TAGS = {0x02: "user", 0x08: "group"}
_ACL_MASK = 0x10


class Host:
    """The files of one machine; `root` is `/`, or the directory of an image or a test.

    Below a root that is not `/` every link is resolved as that root's own system would, and none leads out of it.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")
        self._beneath = Beneath(self.root) if self.root else None

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        if self._beneath is not None:
            self._beneath.close()

    @property
    def live(self) -> bool:
        """Whether this is the running system, and not an image of one."""
        return not self.root

    def at(self, path: str) -> str:
        """Where the host's absolute `path` stands on the running system."""
        return self.root + path

    def effective_uid(self) -> int:
        """The user that the program acts as."""
        return os.geteuid()

    def name(self) -> str:
        """The host's own name: the kernel's, or what an image has in `/etc/hostname`."""
        if self.live:
            return os.uname().nodename
        try:
            content = self.read("/etc/hostname", 256, follow=True)[1]
        except InputOutputError:
            return ""
        return content.decode("utf-8", "replace").partition("\n")[0].strip()

    def home(self) -> str:
        """Root's home directory."""
        return pwd.getpwuid(0).pw_dir.rstrip("/") if self.live else "/root"

    def root_configuration(self) -> str:
        """The file of root's own that msmtp reads after `/etc/msmtprc`.

        `~/.msmtprc` when it exists, else `~/.config/msmtp/config` (msmtp's `get_userconfig()`; the programs that we
        start have no `XDG_CONFIG_HOME`).
        """
        home = self.home()
        first, second = f"{home}/.msmtprc", f"{home}/.config/msmtp/config"
        return first if self.inspect(first).kind is not FileKind.MISSING else second

    def inspect(self, path: str, *, follow: bool = False) -> FileFacts:
        """What stands at `path`, never opened for reading, so that nothing can block; `follow` links at its end.

        Raises InputOutputError when the path cannot be looked at.
        """
        with self._handle(path, follow) as (_, facts):
            return facts

    def read(self, path: str, limit: int, *, offset: int = 0, follow: bool = False) -> tuple[FileFacts, bytes]:
        """The facts of `path`, and up to `limit` bytes from `offset` when it is a regular file, else no bytes.

        The bytes are those of the very file that the facts describe. Raises InputOutputError.
        """
        with self._handle(path, follow) as (descriptor, facts):
            if facts.kind is not FileKind.REGULAR:
                return facts, b""
            try:
                # Through /proc the inode that was inspected is opened again: no race, and never a device or a FIFO. Not
                # blocking: files of the kernel's, mounted in a file's place, are regular ones by their mode alone.
                file = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    if offset:
                        os.lseek(file, offset, os.SEEK_SET)
                    content = b""
                    while len(content) < limit and (chunk := os.read(file, limit - len(content))):
                        content += chunk
                finally:
                    os.close(file)
            except OSError as error:
                raise _cannot_read(path, error) from None
            return facts, content

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted; none where it is missing or no directory.

        Raises InputOutputError, also for more than 200,000 names: part of a list would pass for all of it.
        """
        with self._handle(directory, follow=True) as (descriptor, facts):
            if facts.kind is not FileKind.DIRECTORY:
                return []
            try:
                with os.scandir(f"/proc/self/fd/{descriptor}") as entries:
                    found = [entry.name for _, entry in zip(range(_MOST_NAMES + 1), entries, strict=False)]
            except OSError as error:
                raise _cannot_read(directory, error) from None
        if len(found) > _MOST_NAMES:
            raise InputOutputError(
                directory, f"has more than {_MOST_NAMES} names", remedy=f"ls -U {quote(directory)} | wc -l"
            )
        return sorted(found)

    def acl(self, path: str) -> tuple[str, ...]:
        """The entries of the file's ACL that let a named user or group at it, as `getfacl` writes them.

        Those alone that the mask leaves something of; none of anything but a regular file. Raises InputOutputError.
        """
        with self._handle(path, follow=False) as (descriptor, facts):
            if facts.kind is not FileKind.REGULAR:
                return ()
            try:
                # Through /proc, because fgetxattr(2) takes no descriptor that was opened with O_PATH.
                raw = os.getxattr(f"/proc/self/fd/{descriptor}", "system.posix_acl_access")
            except OSError as error:
                if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                    return ()
                raise _cannot_read(path, error) from None
        entries = list(struct.iter_unpack("<HHI", raw[4:]))
        mask = next((bits for tag, bits, _ in entries if tag == _ACL_MASK), 7)
        return tuple(
            f"{_ACL_TAGS[tag]}:{number}:"
            + "".join(letter if bits & mask & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
            for tag, bits, number in entries
            if tag in _ACL_TAGS and bits & mask
        )

    def immutable(self, path: str) -> bool:
        """Whether a regular file may not be changed, not even by root (`chattr +i`, `+a`). Raises InputOutputError."""
        with self._handle(path, follow=True) as (descriptor, facts):
            if facts.kind is not FileKind.REGULAR:
                return False
            try:
                with open(f"/proc/self/fd/{descriptor}", "rb", buffering=0) as file:
                    flags = bytearray(8)
                    fcntl.ioctl(file, _GET_FLAGS, flags)
            except OSError as error:
                if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL):  # a file system without such flags
                    return False
                raise _cannot_read(path, error) from None
            return bool(int.from_bytes(flags[:4], sys.byteorder) & _IMMUTABLE)

    def resolve(self, path: str) -> str:
        """The host's own path of what `path` leads to, links followed; of what is missing, where it would be made.

        Raises InputOutputError.
        """
        for _ in range(_MOST_LINKS):
            with self._handle(path, follow=True) as (descriptor, facts):
                if facts.kind is not FileKind.MISSING:
                    return self._place(descriptor)
            above, _, name = path.rstrip("/").rpartition("/")
            target = self.inspect(path).target
            if not target:
                return f"{self.resolve(above or '/').rstrip('/')}/{name}" if name else "/"
            path = os.path.join(above or "/", target)
        raise _cannot_read(path, OSError(errno.ELOOP, os.strerror(errno.ELOOP)))

    def _place(self, descriptor: int) -> str:
        """Where an open file stands, as the kernel says it."""
        place = os.readlink(f"/proc/self/fd/{descriptor}")
        if self._beneath is not None:
            root = self._beneath.open("/", follow=True)
            try:
                place = place.removeprefix(os.readlink(f"/proc/self/fd/{root}").rstrip("/"))
            finally:
                os.close(root)
        return place or "/"

    def open_directory(self, path: str) -> int:
        """A descriptor of a directory, through which `files` writes. Raises OSError."""
        descriptor = self._open(path, follow=True)
        try:
            return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        finally:
            os.close(descriptor)

    def _open(self, path: str, *, follow: bool) -> int:
        if self._beneath is not None:
            return self._beneath.open(path, follow=follow)
        return os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))

    @contextmanager
    def _handle(self, path: str, follow: bool) -> Iterator[tuple[int, FileFacts]]:
        try:
            descriptor = self._open(path, follow=follow)
        except (FileNotFoundError, NotADirectoryError):
            yield -1, FileFacts(path, FileKind.MISSING)
            return
        except OSError as error:
            raise _cannot_read(path, error) from None
        try:
            try:
                facts = _facts(path, descriptor)
            except OSError as error:
                raise _cannot_read(path, error) from None
            yield descriptor, facts
        finally:
            with suppress(OSError):  # nothing was written through it
                os.close(descriptor)


def _facts(path: str, descriptor: int) -> FileFacts:
    found = os.fstat(descriptor)
    kind = _KINDS[stat.S_IFMT(found.st_mode)]
    target = os.readlink("", dir_fd=descriptor) if kind is FileKind.SYMLINK else ""
    mode, identity = stat.S_IMODE(found.st_mode), (found.st_dev, found.st_ino)
    return FileFacts(
        path, kind, found.st_uid, found.st_gid, mode, found.st_nlink, found.st_size, target, found.st_mtime, identity
    )


def _cannot_read(path: str, error: OSError) -> InputOutputError:
    # The descriptor that was asked for is open: it is /proc that is missing.
    unmounted = error.errno == errno.ENOENT and str(error.filename).startswith("/proc/self/fd/")
    words = "/proc is not mounted" if unmounted else error.strerror
    return InputOutputError(path, f"cannot be read: {words}", remedy=f"ls -ld {quote(path)}")
