"""Runs of `msmtp-config pin`, and what must hold of every one of them."""

from __future__ import annotations

from typing import Final

from tests.support.account import MSMTPRC
from tests.support.sandbox import Sandbox
from tests.support.view import Completed

PASSWORD: Final = "Zq7-geheim-pin"
OFF: Final = "tls_certcheck off"
SPOKEN: Final = {b"EHLO localhost", b"STARTTLS", b"QUIT"}  # all that a server hears of us before a login
OTHER: Final = ":".join(["01"] * 32)
DEADLINE: Final = 30.0


def pin(box: Sandbox, *options: str, code: int | None = 0) -> Completed:
    done = box.agent("pin", *options, timeout=DEADLINE)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done


def mail(box: Sandbox) -> Completed:
    """What cron does."""
    return box.run(["msmtp", "--", "root"], stdin=b"Subject: hello\n\nbody\n", timeout=DEADLINE)


def untouched(box: Sandbox) -> tuple[bytes, int, int, int]:
    """What tells a file from a copy of it."""
    facts = box.stat(MSMTPRC)
    return box.read(MSMTPRC), facts.st_ino, facts.st_mtime_ns, facts.st_mode


def refused(box: Sandbox, words: str, *options: str, code: int = 78) -> Completed:
    """A run that ends with this code, says these words, and leaves the file as it was."""
    before = untouched(box) if box.exists(MSMTPRC) else None
    done = pin(box, *(options or ("--accept",)), code=code)
    assert words in done.stderr, done.stderr
    assert (untouched(box) if box.exists(MSMTPRC) else None) == before
    assert "\n  fix: " in done.stderr
    return done
