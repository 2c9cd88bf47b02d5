"""What a disk may hold after a power cut, and what a host finds on it once its journal was replayed."""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tests.support.view import SYSTEM_PATH

_SECTOR = 512
_BLOCK = 4096  # what a disk writes whole
_FLUSH, _DISCARD = 1, 4
_ENTRY = struct.Struct("<4Q")


class Write(NamedTuple):
    """A request as the disk got it; `flush`: everything before it is on the disk for good."""

    offset: int
    data: bytes
    flush: bool


class Log:
    """What a disk was asked for, in the order in which it was done (the format of Linux's dm-log-writes)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counted, self._next = 0, _SECTOR

    def count(self) -> int:
        """How many requests there are so far; cheap enough to be asked a thousand times a second."""
        with self._path.open("rb", buffering=0) as file:
            for start, _, size, _ in _entries(file, self._next):
                self._counted += 1
                self._next = start + size
        return self._counted

    def read(self) -> list[Write]:
        """All of it so far; may be called while it grows, and then the data of the last may not be whole yet.

        From the start each time: what was read of a request that was being written must not be kept.
        """
        writes: list[Write] = []
        with self._path.open("rb") as file:
            for start, offset, size, flags in _entries(file, _SECTOR):
                file.seek(start)
                writes.append(Write(offset, file.read(size), bool(flags & _FLUSH)))
        return writes


def _entries(file: IO[bytes], position: int) -> Iterator[tuple[int, int, int, int]]:
    """Of each request from there on: where its data begins, for which offset it is, its size, its flags."""
    while True:
        file.seek(position)
        sector, count, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size).ljust(_ENTRY.size, b"\0"))
        if not count and not flags:
            return
        size = 0 if flags & _DISCARD else count * _SECTOR
        yield position + _SECTOR, sector * _SECTOR, size, flags
        position += _SECTOR + size


class Image(NamedTuple):
    """A disk as it may be: what it was, and what reached it since."""

    base: Path
    writes: Sequence[Write] = ()

    def put(self, path: Path) -> None:
        """Make it a file; what is empty stays a hole, and that is most of it."""
        with self.base.open("rb") as base, path.open("wb") as file:
            size = os.fstat(base.fileno()).st_size
            file.truncate(size)
            for start, end in _pieces(base.fileno(), size):
                while start < end:
                    start += os.copy_file_range(base.fileno(), file.fileno(), end - start, start, start)
            for write in self.writes:
                os.pwrite(file.fileno(), write.data, write.offset)


def _pieces(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file has data: the starts and the ends."""
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole
                return
            raise
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def kept(base: Path, done: Sequence[Write]) -> Image:
    """The disk where everything that was done is there: what a killed emulator leaves."""
    return Image(base, done)


def lost(base: Path, done: Sequence[Write]) -> Image:
    """The disk where nothing is there that was not flushed."""
    return Image(base, done[: _flushed(done)])


def torn(base: Path, done: Sequence[Write], seed: int) -> Image:
    """The disk where any of the blocks that were not flushed may be there, in no order."""
    flushed = _flushed(done)
    blocks = [
        Write(write.offset + at, write.data[at : at + _BLOCK], flush=False)
        for write in done[flushed:]
        for at in range(0, len(write.data), _BLOCK)
    ]
    # One bit of a digest for each: the same choice in every run.
    bits = hashlib.sha512(str(seed).encode()).digest()
    chosen = [block for number, block in enumerate(blocks) if bits[number // 8 % len(bits)] >> number % 8 & 1]
    return Image(base, [*done[:flushed], *chosen])


def _flushed(done: Sequence[Write]) -> int:
    return max((index + 1 for index, write in enumerate(done) if write.flush), default=0)


class File(NamedTuple):
    """A file with what root's tools say of it."""

    rights: str
    content: bytes


class Found(NamedTuple):
    """What a host finds in /etc of a disk after the power cut."""

    secret: File | None
    temporary: File | None
    names: frozenset[str]
    log: bytes


def recovered(image: Path, secret: str, temporary: str, log: str) -> Found:
    """Check the disk as a boot does, which replays its journal, but whole, and look. `image` is changed.

    What every power cut leaves (orphans, counts) may be put right, and nothing else may be wrong.
    """
    done = subprocess.run(
        ["e2fsck", "-f", "-p", image],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode in (0, 1), done.stdout
    said = _debugfs(image, "ls -p /etc", *(f"cat {path}" for path in (secret, temporary, log)))
    names = {}
    for line in said[0].decode().splitlines():
        if line:
            _, _inode, mode, user, group, name, *_ = line.split("/")
            names[f"/etc/{name}"] = f"{mode} {user}:{group}"

    def file(path: str, content: bytes) -> File | None:
        return File(names[path], content) if path in names else None

    ours = frozenset(names.keys() - {secret, temporary})
    return Found(file(secret, said[1]), file(temporary, said[2]), ours, said[3])


def _debugfs(image: Path, *requests: str) -> list[bytes]:
    """What it answers to each: it repeats a request before."""
    done = subprocess.run(
        ["debugfs", "-f", "-", image],
        input="".join(f"{request}\n" for request in requests).encode(),
        capture_output=True,
        check=True,
        timeout=120,
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"},
    )
    answers: list[bytes] = []
    rest = done.stdout
    for request in reversed(requests):
        rest, found, answer = rest.rpartition(f"debugfs: {request}\n".encode())
        assert found, done.stdout
        answers.insert(0, answer)
    return answers
