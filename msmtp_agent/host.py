"""The machine under a root directory: its paths, its user, and what stands at a path, asked by descriptor."""

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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


class Host:
    """The files of one machine; `root` is `/`, or the directory of an image or a test."""

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")

    def at(self, path: str) -> str:
        """Where the host's absolute `path` stands on the running system."""
        return self.root + path

    def effective_uid(self) -> int:
        """The user that the program acts as."""
        return os.geteuid()

    def name(self) -> str:
        """The host's own name, as the kernel has it."""
        return os.uname().nodename

    def home(self) -> str:
        """Root's home directory."""
        return pwd.getpwuid(0).pw_dir.rstrip("/")

    def root_configuration(self) -> str:
        """The file of root's own that msmtp reads after `/etc/msmtprc`.

        `~/.msmtprc` when it exists, else `~/.config/msmtp/config` (msmtp's `get_userconfig()`; the programs that we
        start have no `XDG_CONFIG_HOME`).
        """
        home = self.home()
        first, second = f"{home}/.msmtprc", f"{home}/.config/msmtp/config"
        return first if self.inspect(first).kind is not FileKind.MISSING else second

    def inspect(self, path: str) -> FileFacts:
        """What stands at `path`, never followed and never opened for reading, so that nothing can block.

        Raises InputOutputError when the path cannot be looked at.
        """
        with self._handle(path) as (_, facts):
            return facts

    def read(self, path: str, limit: int, *, offset: int = 0) -> tuple[FileFacts, bytes]:
        """The facts of `path`, and up to `limit` bytes from `offset` when it is a regular file, else no bytes.

        The bytes are those of the very file that the facts describe. Raises InputOutputError.
        """
        with self._handle(path) as (descriptor, facts):
            if facts.kind is not FileKind.REGULAR:
                return facts, b""
            try:
                # Through /proc the inode that was inspected is opened again: no race, and never a device or a FIFO.
                with open(f"/proc/self/fd/{descriptor}", "rb", buffering=0) as file:
                    file.seek(offset)
                    content = b""
                    while len(content) < limit and (chunk := file.read(limit - len(content))):
                        content += chunk
            except OSError as error:
                raise _cannot_read(path, error) from None
            return facts, content

    @contextmanager
    def _handle(self, path: str) -> Iterator[tuple[int, FileFacts]]:
        try:
            descriptor = os.open(self.at(path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
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
    mode = stat.S_IMODE(found.st_mode)
    return FileFacts(path, kind, found.st_uid, found.st_gid, mode, found.st_nlink, found.st_size, target)


def _cannot_read(path: str, error: OSError) -> InputOutputError:
    return InputOutputError(path, f"cannot be read: {error.strerror}", remedy=f"ls -ld {path}")
