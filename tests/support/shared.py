"""What the processes of one run of the tests share: a directory, and what the first that asks makes there for all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from fcntl import LOCK_EX, flock
from pathlib import Path

_VARIABLE = "MSMTP_AGENT_TESTS_SHARED"


def begin() -> None:
    """Make the directory; the workers that are started later inherit its name."""
    directory = tempfile.mkdtemp(prefix="msmtp-agent-shared-")
    os.chmod(directory, 0o755)
    os.environ[_VARIABLE] = directory


def end() -> None:
    """Remove it with everything in it."""
    shutil.rmtree(os.environ.pop(_VARIABLE), ignore_errors=True)


def once(name: str, make: Callable[[Path], object]) -> Path:
    """A path in the directory, made by the first that asks; the others wait for it, and fail with it."""
    path = Path(os.environ[_VARIABLE], name)
    failed = path.with_name(f"{name}.failed")
    with path.with_name(f"{name}.lock").open("w") as lock:
        flock(lock, LOCK_EX)
        assert not failed.exists(), "it failed before: see the first of the tests that need it"
        if not path.exists():
            failed.touch()
            make(path)
            failed.unlink()
    return path
