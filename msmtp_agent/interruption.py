"""Turns the signals that end a program into one exception, and holds it back where it would leave something half."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class _State:
    depth = 0
    pending: int | None = None
    raised = False


def _handle(number: int, _frame: FrameType | None) -> None:
    """Raise the first signal, or hold it; one that follows finds the run ending, and would only disturb that."""
    if _State.depth:
        _State.pending = _State.pending or number
    elif not _State.raised:
        _State.raised = True
        raise Interrupted(number)


def install() -> None:
    """From here on SIGINT, SIGTERM, SIGHUP and SIGQUIT raise `Interrupted` in the main thread.

    A signal that was ignored when the program started (`nohup`) stays ignored.
    """
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def quiet() -> None:
    """Ignore the signals: the run is ending and has only its last words to say."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def deferred() -> Iterator[None]:
    """Hold a signal back until the block has ended, then raise it: for steps that must be whole."""
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
    if _State.depth == 0 and _State.pending is not None:
        _handle(_State.pending, None)
