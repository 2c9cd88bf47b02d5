"""Every regular file below a directory, and its bytes: bounded in files, bytes, depth and time; no link is followed."""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from msmtp_agent.errors import InputOutputError
from msmtp_agent.host import Host

from .packed import PackedError, is_packed, unpacked

# Debian's own /etc has about 200 files, a grown one some thousands; a full search of each takes a few ms.
_MOST_FILES = 20_000  # and directories, of one sweep
_MOST_BYTES = 512 << 20  # of one sweep; searching them takes about 0.25 s when they are in memory
# Bytes of one file: half at its beginning, half at its end; of a packed one, of what it unpacks to. A persistent
# journal has up to 4 GiB in files of 128 MiB, and this much of each of them stays within the bytes of a sweep.
_MOST_OF_ONE = 8 << 20
_SECONDS = 0.35  # of one sweep of an image: an audit has four, and is to end within 2 s whatever it meets
# Of the running system: a cold disk or a host under load is no reason to give up, and what the audit's unit cannot tell
# leaves it failed. Four of these end within the unit's two minutes, so that what was left out is said.
_SECONDS_LIVE = 20.0
_DEEPEST = 64  # directories below each other: one descriptor is held open for each
_MOST_NAMED = 8  # of what was left out, or was searched in part
_PIECE = 1 << 20
_JOURNAL = "/var/log/journal/"  # whose files are large on every host: to name them each time would tell nobody anything
# The kernel refuses what is no directory before it opens it: a FIFO that takes the name's place cannot block.
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Looked at before it is opened and again afterwards; should it be swapped in between, then nothing blocks either.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

Choice = Callable[[str, os.stat_result], bool]
# The bytes of a file in order, None where some are left out: what stands on either side of it is not one text.
Pieces = Iterator[bytes | None]


class Found(NamedTuple):
    """A regular file that is open for reading until the next one is asked for."""

    path: str
    stat: os.stat_result
    descriptor: int


class _Level(NamedTuple):
    """A directory on the way down, open, and those of its directories that are still to be entered."""

    descriptor: int
    path: str
    below: list[str]


class _Named:
    """Paths with a word on each: the first few, and how many more."""

    def __init__(self) -> None:
        self._named: list[str] = []
        self._more = 0

    def add(self, path: str, word: str) -> None:
        if len(self._named) < _MOST_NAMED:
            self._named.append(f"{path} ({word})")
        else:
            self._more += 1

    def all(self) -> tuple[str, ...]:
        return (*self._named, f"and {self._more} more") if self._more else tuple(self._named)


class Sweep:
    """What one search may still use up, and what it had to leave out, whose paths go through `redact`."""

    def __init__(self, host: Host, redact: Callable[[str], str] = str) -> None:
        self._host = host
        self._redact = redact
        self._files = _MOST_FILES
        self._bytes = _MOST_BYTES
        self._seconds = _SECONDS_LIVE if host.live else _SECONDS
        self._end = time.monotonic() + self._seconds
        self._ended = False
        self._left_out = _Named()
        self._bounded = _Named()

    @property
    def left_out(self) -> tuple[str, ...]:
        """What could not be searched, and why: the first few, and how many more."""
        return self._left_out.all()

    @property
    def bounded(self) -> tuple[str, ...]:
        """The large files, and what of them was searched: the first few, and how many more."""
        return self._bounded.all()

    def leave_out(self, path: str, why: str) -> None:
        """Something was not searched, or not as far as it was to be."""
        self._left_out.add(self._redact(path), why)

    def below(self, top: str, choose: Choice) -> Iterator[Found]:
        """The regular files below the directory `top`, at any depth; none where it is missing or no directory.

        `choose` is asked of each regular file whether it is wanted, and of each directory whether to enter it, with
        its path and facts. A link is neither. Another file system is entered when it is a disk's own.
        """
        try:
            descriptor = self._host.open_directory(top)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self.leave_out(top, str(error.strerror))
            return
        way = [_Level(descriptor, top, [])]
        try:
            device = os.fstat(descriptor).st_dev
            yield from self._scan(way[-1], choose)
            while way:
                level = way[-1]
                if level.below and not self._spent(level.path):
                    if self._enter(way, level.below.pop(), device):
                        yield from self._scan(way[-1], choose)
                else:
                    os.close(way.pop().descriptor)
        finally:
            for level in way:
                os.close(level.descriptor)

    def _spent(self, path: str) -> bool:
        """Whether the sweep has come to its end, in `path`; that is said once."""
        if self._files <= 0:
            why = f"{_MOST_FILES} files"
        elif self._bytes <= 0:
            why = f"{_MOST_BYTES >> 20} MiB"
        elif time.monotonic() >= self._end:
            why = f"{self._seconds} s"
        else:
            return False
        if not self._ended:
            self.leave_out(path, f"the search ended here after {why}")
        self._ended = True
        return True

    def _enter(self, way: list[_Level], name: str, device: int) -> bool:
        """Go down one directory, unless that is too deep or not a disk's."""
        above = way[-1]
        path = f"{above.path}/{name}"
        if len(way) >= _DEEPEST:
            self.leave_out(path, f"more than {_DEEPEST} directories deep")
            return False
        try:
            descriptor = os.open(name, _DIRECTORY, dir_fd=above.descriptor)
        except (FileNotFoundError, NotADirectoryError):  # it has vanished, or something else has come: not below here
            return False
        except OSError as error:
            self.leave_out(path, str(error.strerror))
            return False
        found = os.fstat(descriptor).st_dev
        if found != device and os.major(found) == 0:
            # Such devices are no disk's: proc and its like, FUSE and the network, where a read may wait for ever.
            self.leave_out(path, "another file system")
            os.close(descriptor)
            return False
        way.append(_Level(descriptor, path, []))
        return True

    def _scan(self, level: _Level, choose: Choice) -> Iterator[Found]:
        """The wanted files of one directory; the directories to enter are put on its list."""
        try:
            with os.scandir(level.descriptor) as entries:
                # In order of their names: two copies of an image are to give one answer.
                for entry in sorted(islice(entries, _MOST_FILES + 1), key=attrgetter("name")):
                    if self._spent(level.path):
                        return
                    yield from self._entry(level, entry, choose)
        except OSError as error:
            self.leave_out(level.path, str(error.strerror))

    def _entry(self, level: _Level, entry: "os.DirEntry[str]", choose: Choice) -> Iterator[Found]:
        directory = entry.is_dir(follow_symlinks=False)
        if not directory and not entry.is_file(follow_symlinks=False):
            return
        path = f"{level.path}/{entry.name}"
        try:
            if not choose(path, entry.stat(follow_symlinks=False)):
                return
            self._files -= 1
            if directory:
                level.below.append(entry.name)
                return
            descriptor = os.open(entry.name, _FILE, dir_fd=level.descriptor)
        except FileNotFoundError:  # it has vanished since it was listed
            return
        except OSError as error:
            self.leave_out(path, str(error.strerror))
            return
        try:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode):
                yield Found(path, found, descriptor)
        finally:
            os.close(descriptor)

    def contents(self, file: Found) -> Pieces:
        """The bytes of a file in pieces; unpacked where they are packed, one NUL for each hole.

        Of a large one, its beginning and its end, or the beginning of what it unpacks to; that is noted as `bounded`
        once all of it has been asked for, everything else that is missing as `left_out`. Never raises.
        """
        left = _MOST_OF_ONE
        bounded = ""
        try:
            for piece in _pieces(file):
                if piece is None:
                    bounded = f"the first and the last {_MOST_OF_ONE >> 21} MiB of {-(-file.stat.st_size >> 20)} MiB"
                    yield None
                    continue
                if self._bytes <= 0 or time.monotonic() >= self._end:
                    self.leave_out(file.path, f"all but {(_MOST_OF_ONE - left) >> 20} MiB of it")
                    yield None
                    return
                self._bytes -= len(piece)
                yield piece[:left]
                if len(piece) > left:
                    bounded = f"the first {_MOST_OF_ONE >> 20} MiB of its content"
                    yield None
                    break
                left -= len(piece)
        except InputOutputError as error:
            self.leave_out(file.path, error.observed)
            return
        if bounded and not file.path.startswith(_JOURNAL):
            self._bounded.add(self._redact(file.path), bounded)


def _pieces(file: Found) -> Pieces:
    """Raises InputOutputError when the file cannot be read or unpacked."""
    size = file.stat.st_size
    try:
        first = os.read(file.descriptor, min(size, _PIECE))
        if is_packed(first):
            yield from unpacked(first, lambda: os.read(file.descriptor, _PIECE), _PIECE)
        elif min(size, file.stat.st_blocks * 512) <= _MOST_OF_ONE:  # holes make no file large
            yield first
            yield from _part(file, len(first), size)
        else:
            yield from _part(file, 0, _MOST_OF_ONE // 2)
            yield None
            yield from _part(file, size - _MOST_OF_ONE // 2, size)
    except OSError as error:
        raise InputOutputError(file.path, str(error.strerror)) from None
    except PackedError as error:
        raise InputOutputError(file.path, str(error)) from None


def _part(file: Found, offset: int, end: int) -> Iterator[bytes]:
    """What stands up to `end`, which the file had at the beginning: one that grows as fast as it is read has one too.

    A hole is not read: /var/log/lastlog has gigabytes of them.
    """
    while offset < end:
        data, hole = _data(file, offset)
        if data > offset:
            yield b"\0"
            offset = data
        while offset < min(hole, end):
            piece = os.pread(file.descriptor, min(_PIECE, hole - offset, end - offset), offset)
            if not piece:
                return
            yield piece
            offset += len(piece)


def _data(file: Found, offset: int) -> tuple[int, int]:
    """Where the next bytes stand that are no hole, and where the hole behind them; the file's end for neither."""
    size = file.stat.st_size
    try:
        data = os.lseek(file.descriptor, offset, os.SEEK_DATA)
        return data, max(os.lseek(file.descriptor, data, os.SEEK_HOLE), data + 1)
    except OSError as error:
        return (size if error.errno == errno.ENXIO else offset), size  # not every file can tell
