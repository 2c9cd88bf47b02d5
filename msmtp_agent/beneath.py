"""Open a path beneath a root directory as that root's own system would: no link of an image leads out of it."""

import errno
import os
import stat
from contextlib import suppress

_MOST_LINKS = 40  # as the kernel
_MOST_STEPS = 10_000  # names that are opened for one path: links to deep directories multiply
_KEPT_DEPTH = 3  # directories that are held open: this many names below the root at most,
_MOST_KEPT = 64  # and so many in all
_NAME = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class Beneath:
    """The first directories of one root, held open once they were reached; `close` gives them back.

    Every step opens one name in an open directory and follows nothing: links are read and resolved here, absolute ones
    from the root, `..` never above it. (openat2(2) would do it in one call; Python has no wrapper for it.)
    """

    def __init__(self, root: str) -> None:
        self._root = root or "/"
        self._kept: dict[tuple[str, ...], int] = {}

    def open(self, path: str, *, follow: bool) -> int:
        """A descriptor of what stands at the absolute `path`, opened with O_PATH; `follow`: links at its end, too.

        Raises OSError as open(2) does.
        """
        walk = _Walk(self, path)
        try:
            return walk.end(follow=follow)
        finally:
            walk.leave()

    def kept(self, parts: tuple[str, ...]) -> int | None:
        """The directory that these names lead to, if it is held open; the root itself always is."""
        if not parts and parts not in self._kept:
            self._kept[parts] = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._kept.get(parts)

    def keep(self, parts: tuple[str, ...], descriptor: int) -> bool:
        """Hold a directory open from now on; False where it is the caller's to close."""
        if len(parts) > _KEPT_DEPTH or len(self._kept) >= _MOST_KEPT:
            return False
        self._kept[parts] = descriptor
        return True

    def close(self) -> None:
        """Give the descriptors back."""
        while self._kept:
            with suppress(OSError):  # nothing was written through it
                os.close(self._kept.popitem()[1])


class _Walk:
    """One path on its way: the directory that was reached, its names from the root, and the names that wait."""

    def __init__(self, beneath: Beneath, path: str) -> None:
        self._beneath = beneath
        self._path = path
        self._waiting = _names(path)
        self._steps = self._links = 0
        self._parts: tuple[str, ...] = ()
        self._directory = -1
        self._own = False
        self._enter(())

    def end(self, *, follow: bool) -> int:
        while self._waiting:
            part = self._waiting.pop()
            if part == "..":
                self._enter(self._parts[:-1])
                continue
            kept = self._beneath.kept((*self._parts, part)) if self._waiting else None
            if kept is not None:
                self._go(part, kept, own=False)
                continue
            descriptor = self._open(part)
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISLNK(mode) and (self._waiting or follow):
                self._turn(descriptor)
            elif not self._waiting:
                return descriptor
            elif stat.S_ISDIR(mode):
                self._go(part, descriptor, own=not self._beneath.keep((*self._parts, part), descriptor))
            else:
                os.close(descriptor)
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), self._path)
        return os.dup(self._directory)

    def leave(self) -> None:
        if self._own:
            os.close(self._directory)
            self._own = False

    def _go(self, part: str, directory: int, *, own: bool) -> None:
        self.leave()
        self._parts, self._directory, self._own = (*self._parts, part), directory, own

    def _enter(self, parts: tuple[str, ...]) -> None:
        """Go to a directory by its names, none of them a link, from the deepest that is held open."""
        depth = len(parts)
        while (kept := self._beneath.kept(parts[:depth])) is None:
            depth -= 1
        self.leave()
        self._parts, self._directory = parts[:depth], kept
        for part in parts[depth:]:
            self._go(part, self._open(part), own=True)

    def _turn(self, link: int) -> None:
        """Put the names that a link leads to in front of those that wait."""
        try:
            target = os.readlink("", dir_fd=link)
        finally:
            os.close(link)
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path)
        if target.startswith("/"):
            self._enter(())
        self._waiting += _names(target)

    def _open(self, part: str) -> int:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), self._path)
        return os.open(part, _NAME, dir_fd=self._directory)


def _names(path: str) -> list[str]:
    """The names of a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
