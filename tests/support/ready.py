"""Waiting for a server that says on its standard output that it is ready."""

from __future__ import annotations

import os
import select
import subprocess
import time
from pathlib import Path


def wait_for_line(process: subprocess.Popen[bytes], line: bytes, seconds: float, log: Path) -> None:
    """Wait until a program has written exactly this line, and nothing else; its error output is in `log`."""
    assert process.stdout is not None
    seen, deadline = b"", time.monotonic() + seconds
    while seen != line:
        ready = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
        piece = os.read(process.stdout.fileno(), 4096) if ready else b""
        seen += piece
        if not piece:
            why = "ended before it was ready" if ready else f"not ready after {seconds} s"
            raise RuntimeError(f"{why}: {seen!r}\n{log.read_text(errors='replace')}")
