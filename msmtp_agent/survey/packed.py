"""The content of a compressed file, a bounded piece at a time whatever it unpacks to: gzip, bzip2, xz and lzma."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

_MEMORY = 80 << 20  # bytes that unpacking may take: `xz -9` wants 65 MiB
_GZIP, _BZIP2, _XZ, _LZMA = b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"]\0\0"
_OTHERS = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}  # Python 3.11 unpacks neither
_MAGIC = (_GZIP, _BZIP2, _XZ, _LZMA, *_OTHERS)


class PackedError(Exception):
    """The file cannot be unpacked to its end; the text says why."""


def is_packed(first: bytes) -> bool:
    """Whether a file that begins so is compressed."""
    return first.startswith(_MAGIC)


def unpacked(packed: bytes, more: Callable[[], bytes], most: int) -> Iterator[bytes]:
    """The content, at most `most` bytes at a time; `packed` is the beginning of the file, `more` gives what follows.

    Raises PackedError.
    """
    for magic, name in _OTHERS.items():
        if packed.startswith(magic):
            raise PackedError(f"packed with {name}")
    if packed.startswith(_GZIP):
        return _gzip(packed, more, most)
    return _bzip2(packed, more, most) if packed.startswith(_BZIP2) else _xz(packed, more, most)


def _gzip(packed: bytes, more: Callable[[], bytes], most: int) -> Iterator[bytes]:
    import zlib

    try:
        unpacker = zlib.decompressobj(wbits=31)
        while packed:
            yield unpacker.decompress(packed, most)
            ended = unpacker.eof
            packed = unpacker.unconsumed_tail or unpacker.unused_data
            if ended:  # another member may follow; zeros are padding
                packed = packed.lstrip(b"\0")
                unpacker = zlib.decompressobj(wbits=31)
            packed = packed or more()
            if not packed and not ended:
                yield unpacker.flush()
                raise PackedError("cut off gzip")
    except zlib.error:
        raise PackedError("damaged gzip") from None


def _bzip2(packed: bytes, more: Callable[[], bytes], most: int) -> Iterator[bytes]:
    from bz2 import BZ2Decompressor

    return _streams(BZ2Decompressor, OSError, "damaged bzip2", packed, more, most)


def _xz(packed: bytes, more: Callable[[], bytes], most: int) -> Iterator[bytes]:
    from lzma import LZMADecompressor, LZMAError

    make = partial(LZMADecompressor, memlimit=_MEMORY)
    return _streams(make, LZMAError, "damaged xz, or one that needs too much memory", packed, more, most)


class _Decompressor(Protocol):
    """What bz2's and lzma's have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def _streams(
    make: Callable[[], _Decompressor],
    error: type[Exception],
    damaged: str,
    packed: bytes,
    more: Callable[[], bytes],
    most: int,
) -> Iterator[bytes]:
    """The streams of a file, one behind another; `error` is what the decompressor raises for damage."""
    while packed:
        unpacker = make()
        while not unpacker.eof:
            try:
                piece = unpacker.decompress(packed, most)
            except error:
                raise PackedError(damaged) from None
            yield piece
            if not unpacker.eof:
                packed = more() if unpacker.needs_input else b""
                if unpacker.needs_input and not packed:
                    raise PackedError(damaged)
        packed = unpacker.unused_data.lstrip(b"\0") or more()  # zeros are padding
