"""Small servers that fork whatever is asked of them: a fork of what has started is cheaper than a start."""

from __future__ import annotations

import atexit
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_READY_SECONDS = 90.0
_END_SECONDS = 10.0


class Origin:
    """A program that takes requests on a socket, by the number of its descriptor. It ends with this process."""

    def __init__(self, python: Sequence[str], driver: Path, *more: str, env: Mapping[str, str]) -> None:
        self._control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            self._process = subprocess.Popen(
                [*python, "-B", driver, str(its.fileno()), *more],
                stdin=subprocess.DEVNULL,
                env=env,
                pass_fds=[its.fileno()],
                cwd="/",
                # Not the test's process group: a Ctrl-C that a test sends to that group is not for this.
                start_new_session=True,
            )
        self._control.settimeout(_READY_SECONDS)
        if self._control.recv(16) != b"ready":
            raise RuntimeError(f"{driver}: did not start")
        atexit.register(self.close)

    def close(self) -> None:
        """Ask for nothing any more, which ends it."""
        self._control.close()
        self._process.wait(_END_SECONDS)

    def fork(self, request: object, descriptors: Sequence[int]) -> None:
        """One more, which is handed these."""
        socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
