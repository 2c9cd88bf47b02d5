"""Bounds of processor time, in the pace of the machine as it is meanwhile: that differs by a factor of three."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

_COUNT = 250_000
_USUAL = 0.005  # seconds that counting so far takes where the bounds were chosen


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail when the block takes more of the processor than this, or than as much counting where counting is slower."""
    begin = time.process_time()
    yield
    used = time.process_time() - begin
    # Only what took long is compared; the slowest of a few, since the pace changes within a second, too.
    assert used < seconds or used < seconds * max(_counting() for _ in range(3)) / _USUAL


def _counting() -> float:
    begin, total = time.process_time(), 0
    for number in range(_COUNT):
        total += number
    return time.process_time() - begin
