"""The only place that starts a program: fixed environment, no shell, a deadline, bounded output."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from .errors import TemporaryError
from .interruption import deferred

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
KEPT = 64 * 1024  # bytes of a stream or a log; a server can make msmtp print as much as it likes


@dataclass(frozen=True, slots=True)
class Completed:
    """How a program ended: `status` is None when it was ended at its deadline, negative for a signal."""

    status: int | None
    output: bytes = field(repr=False)
    errors: bytes = field(repr=False)


def find(name: str) -> str | None:
    """The program's absolute path in the fixed PATH, or None."""
    for directory in PATH.split(":"):
        candidate = f"{directory}/{name}"
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return candidate
    return None


def run(
    arguments: Sequence[str], *, timeout: float, home: str, given: bytes = b"", inherit: Sequence[int] = ()
) -> Completed:
    """Run a program to its end, at most `timeout` seconds, with `given` on its standard input.

    It gets no terminal (a session of its own, so it cannot ask anybody), only the descriptors of `inherit`, and an
    environment of which nothing comes from ours: C messages, the fixed PATH, and `home`, where msmtp looks for root's
    own configuration. At the deadline, and when we are interrupted, it is killed with all that it started.

    Raises TemporaryError when it cannot be started.
    """
    deadline = time.monotonic() + timeout
    child = None
    try:
        with deferred():  # a signal in here is raised once the program is known, so that it is ended below
            child = _start(arguments, home, inherit)
        output, errors, ended = _converse(child, given, deadline)
    finally:
        if child is not None:
            with deferred():
                _end(child)
    return Completed(child.returncode if ended else None, output, errors)


def _start(arguments: Sequence[str], home: str, inherit: Sequence[int]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # no shell: a list of arguments
            list(arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": PATH, "LC_ALL": "C", "HOME": home},
            cwd="/",
            pass_fds=inherit,
            start_new_session=True,
        )
    except OSError as error:
        raise TemporaryError(
            arguments[0], f"cannot be started: {error.strerror}", remedy=f"{arguments[0]} --version"
        ) from None


def _converse(child: subprocess.Popen[bytes], given: bytes, deadline: float) -> tuple[bytes, bytes, bool]:
    """Feed and drain the program until it ends; the last value says whether it did in time.

    A child of its own that still holds the pipes is not waited for. The program is not reaped here: until it is, its
    number cannot pass to another process, and `_end` can signal its group.
    """
    assert child.stdin is not None  # noqa: S101 - all three are pipes
    assert child.stdout is not None  # noqa: S101
    assert child.stderr is not None  # noqa: S101
    kept = {child.stdout: bytearray(), child.stderr: bytearray()}
    rest = memoryview(given)
    ended = False
    with selectors.DefaultSelector() as selector, open(os.pidfd_open(child.pid), "rb", buffering=0) as end:
        os.set_blocking(child.stdin.fileno(), False)
        selector.register(child.stdin, selectors.EVENT_WRITE)
        for stream in (*kept, end):
            selector.register(stream, selectors.EVENT_READ)
        # Once it has ended, what lies in the pipes is taken without waiting for more.
        while ready := selector.select(0.0 if ended else max(0.0, deadline - time.monotonic())):
            for key, _ in ready:
                if key.fileobj is end:
                    ended = True
                    selector.unregister(end)
                elif key.fileobj is child.stdin:
                    rest = _feed(child.stdin, rest)
                    if not rest:
                        selector.unregister(child.stdin)
                        child.stdin.close()
                else:
                    stream = child.stdout if key.fileobj is child.stdout else child.stderr
                    chunk = os.read(stream.fileno(), KEPT)
                    if not chunk:
                        selector.unregister(stream)
                    kept[stream] += chunk[: KEPT - len(kept[stream])]
            if time.monotonic() > deadline:
                break
    return bytes(kept[child.stdout]), bytes(kept[child.stderr]), ended


def _feed(stream: IO[bytes], rest: memoryview) -> memoryview:
    """Write what fits; nothing is left once the program does not want any more."""
    try:
        return rest[os.write(stream.fileno(), rest) :] if rest else rest
    except BrokenPipeError:
        return rest[:0]


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill what still runs of the program's session, close its streams and reap it."""
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream is not None and not stream.closed:
            stream.close()
