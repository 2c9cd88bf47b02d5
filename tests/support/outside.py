"""A program of this machine, run outside every view."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.view import SYSTEM_PATH


def run(*argv: str | Path, cwd: Path | None = None, timeout: float = 60.0) -> str:
    """What it says; AssertionError with its errors when it fails. `timeout` is in seconds."""
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"},
        cwd=cwd,
    )
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"
    return done.stdout
