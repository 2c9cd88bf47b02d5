"""What scripts/bench.py runs in the machine under test: it starts each program in turn, and prints what each took.

Only the standard library, and nothing between a program and the clock: no shell, no nsenter.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SECRET = Path("/etc/msmtp-password")
ROOTS = Path("/srv/roots")
DECODED = 500  # outcomes in one run
PACKAGE = Path("/usr/lib/python3/dist-packages/msmtp_agent")
# What the program gives to msmtp, so that the bare runs are the same runs.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}
_MAIL = b"To: root\nSubject: a test mail\nAuto-Submitted: auto-generated\n\nThis host can send its system mail.\n"
# Words that no rule knows, as long as a server's are shown: every row of the table is asked.
_DECODE = """
import sys
from msmtp_agent import diagnosis
from msmtp_agent.diagnosis.failure import understand
from msmtp_agent.msmtprc import parse
from msmtp_agent.providers import BUILT_IN

account = parse(open("/etc/msmtprc", "rb").read())["default"]
words = ["authentication failed (method PLAIN)", *["server message: 535-5.7.8 " + "zwei blaue Blumen " * 27] * 9]
for _ in range(int(sys.argv[1])):
    diagnosis.decode(understand(words, 77, account, version="1.8.23"), BUILT_IN)
"""
_ACCEPTED = 65  # msmtp's status when the server has taken the password and refuses the recipient `@`

_Action = tuple[int, int, int] | tuple[int, int, str, int, int]


@dataclass(frozen=True)
class Program:
    """A command to be measured: what it reads, what stands in the secret file's place, and how it must end."""

    argv: tuple[str, ...]
    given: bytes = b""
    secret: bytes | None = None  # what the secret file holds before the run; None: there is none
    inherited: bytes = b""  # what descriptor 3 gives: a pipe, as the program makes it
    status: int = 0
    every: int = 1  # in one of so many rounds: what takes seconds


def _audit(roots: list[str]) -> tuple[str, ...]:
    return ("/usr/bin/msmtp-config", "audit", *(word for root in roots for word in ("--root", root)))


def _programs(password: bytes, roots: list[str]) -> dict[str, Program]:
    """Everything that is measured, by the name that scripts/bench.py knows."""
    python, job, line = "/usr/bin/python3", ("/usr/bin/msmtp-config", "--password-stdin"), password + b"\n"
    msmtp, candidate = "/usr/bin/msmtp", "--passwordeval=cat /dev/fd/3"
    probe = (msmtp, candidate, "--logfile=", "--syslog=off", "--", "@")
    return {
        "python": Program((python, "-c", "pass")),
        "import typer": Program((python, "-c", "import typer")),
        "import typer, yaml": Program((python, "-c", "import typer, yaml")),
        "lean import": Program((python, "-c", "import msmtp_agent.lean")),
        "version": Program(("/usr/bin/msmtp-config", "--version")),
        "offline": Program((*job, "--offline"), given=password),
        "whole": Program(job, given=password),
        "audit text": Program(("/usr/bin/msmtp-config", "audit"), secret=line),
        "audit json": Program(("/usr/bin/msmtp-config", "audit", "--format", "json"), secret=line),
        "audit 10 roots": Program(_audit(roots[:10])),
        "audit all roots": Program(_audit(roots), every=5),
        "providers": Program(("/usr/bin/msmtp-config", "providers")),
        "render": Program(("/usr/bin/msmtp-config", "render", "/srv/smtp.config.yaml")),
        "decode none": Program((python, "-c", _DECODE, "0")),
        "decode many": Program((python, "-c", _DECODE, str(DECODED))),
        "msmtp version": Program((msmtp, "--version")),
        "msmtp pretend": Program((msmtp, "--pretend", candidate, "--", "root"), inherited=line),
        "msmtp probe": Program(probe, inherited=line, status=_ACCEPTED),
        "msmtp send": Program((msmtp, "--", "root"), given=_MAIL, secret=line),
    }


def _measure(program: Program, errors: Path) -> tuple[float, int]:
    """Run it once: wall-clock seconds, and the peak of resident memory in KiB (its own, or of what it started).

    Raises RuntimeError when it does not end as it must: a failure is quick, and would look fast.
    """
    if program.secret is None:
        SECRET.unlink(missing_ok=True)
    else:
        SECRET.touch(mode=0o600)
        SECRET.write_bytes(program.secret)
    with contextlib.ExitStack() as stack:
        actions: list[_Action] = [
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(errors), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ]
        for number, content in ((0, program.given), (3, program.inherited)):
            reader = _pipe(content)
            stack.callback(os.close, reader)
            actions.append((os.POSIX_SPAWN_DUP2, reader, number))
        begin = time.perf_counter()
        pid = os.posix_spawn(program.argv[0], program.argv, _ENVIRONMENT, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        seconds = time.perf_counter() - begin
    ended = os.waitstatus_to_exitcode(status)
    if ended != program.status:
        words = errors.read_text(errors="replace")
        raise RuntimeError(f"{' '.join(program.argv)}: exit status {ended}, expected {program.status}\n{words}")
    return seconds, usage.ru_maxrss


def _pipe(content: bytes) -> int:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return reader


def main() -> None:
    """Print, as JSON, a list of [seconds, KiB] for each program; the password is all of standard input."""
    parser = argparse.ArgumentParser(description="the meter of scripts/bench")
    parser.add_argument("--rounds", type=int, required=True)
    rounds: int = parser.parse_args().rounds
    programs = _programs(sys.stdin.buffer.read(), sorted(map(str, ROOTS.iterdir())))
    if not list(PACKAGE.glob("__pycache__/cli.*.pyc")):
        raise RuntimeError(f"{PACKAGE}: the installation has compiled nothing, and every start would do it anew")
    samples: dict[str, list[tuple[float, int]]] = {name: [] for name in programs}
    order = list(programs)
    shuffle = random.Random(1).shuffle  # noqa: S311 - not a secret: the same order in every run
    for number in range(rounds + 1):
        # Every program once in every round, in ever another order: what else the machine does falls on all alike.
        shuffle(order)
        for name in order:
            if number % programs[name].every:
                continue
            sample = _measure(programs[name], Path("/run/bench.errors"))
            if number:  # the first round fills the page cache
                samples[name].append(sample)
    json.dump(samples, sys.stdout)


if __name__ == "__main__":
    main()
