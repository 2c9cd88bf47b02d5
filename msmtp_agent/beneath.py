"""Open a path beneath a root directory as that root's own system would: no link of an image leads out of it."""

import errno
import os
from contextlib import suppress

_MOST_LINKS = 40  # as the kernel
_MOST_KEPT = 64  # directories that are held open
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Beneath:
    """The directories of one root, held open once they were reached; `close` gives them back.

    Every step opens one name in an open directory and follows nothing: links are read and resolved here, absolute ones
    from the root, `..` never above it. (openat2(2) would do it in one call; Python has no wrapper for it.)
    """

    def __init__(self, root: str) -> None:
        self._root = root or "/"
        self._open: dict[tuple[str, ...], int] = {}

    def open(self, path: str, *, follow: bool) -> int:
        """A descriptor of what stands at the absolute `path`, opened with O_PATH; `follow`: links at its end, too.

        Raises OSError as open(2) does.
        """
        waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        done: tuple[str, ...] = ()
        links = 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                done = done[:-1]
                continue
            directory = self._directory(done)
            descriptor = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            if not waiting and not follow:
                return descriptor
            target = _link(descriptor)
            if target is None:
                if not waiting:
                    return descriptor
                os.close(descriptor)
                done = (*done, part)
                continue
            os.close(descriptor)
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if target.startswith("/"):
                done = ()
            waiting += [piece for piece in reversed(target.split("/")) if piece not in ("", ".")]
        return os.dup(self._directory(done))

    def _directory(self, parts: tuple[str, ...]) -> int:
        """The open directory that these names, none of them a link, lead to."""
        known = self._open.get(parts)
        if known is not None:
            return known
        if parts:
            descriptor = os.open(parts[-1], _DIRECTORY, dir_fd=self._directory(parts[:-1]))
        else:
            descriptor = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        if len(self._open) >= _MOST_KEPT:
            # The one that was reached first, the root and its own entries apart: they are on every way.
            first = next((kept for kept in self._open if len(kept) > 1 and kept != parts[: len(kept)]), None)
            if first is not None:
                os.close(self._open.pop(first))
        self._open[parts] = descriptor
        return descriptor

    def close(self) -> None:
        """Give the descriptors back."""
        while self._open:
            with suppress(OSError):  # nothing was written through it
                os.close(self._open.popitem()[1])


def _link(descriptor: int) -> str | None:
    """Where the symbolic link leads, or None if it is none."""
    try:
        return os.readlink("", dir_fd=descriptor)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINVAL):  # what readlinkat(2) says of anything else
            return None
        os.close(descriptor)
        raise
