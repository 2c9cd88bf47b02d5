"""What the kernel was asked, by strace: every system call of a program, and faults put in the place of one of them.

strace's own text is parsed here and nowhere else. Strings are asked for in hexadecimal where their bytes matter.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_PID = re.compile(r"(\d+) +")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (.*)", re.DOTALL)
_OPEN_CALL = re.compile(r"(\w+)\((.*)", re.DOTALL)  # the program died in it, so that it has no result
_UNFINISHED = re.compile(r"(\w+)\((.*) <unfinished \.\.\.>")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)")
_HEX_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FD_PATH = re.compile(r"\d+<((?:\\x[0-9a-f]{2})*)>|\d+<([^>\\]*)>")
_INJECTED = " (INJECTED)"
LONGEST = 1 << 20  # bytes of one string that strace writes down: more than any program here writes at once
# Calls that bring bytes in, or carry none: left out of a recording of bytes, of which they would be nine tenths.
_QUIET = ("read", "pread64", "readv", "mmap", "munmap", "mprotect", "brk", "lseek", "rt_sigaction", "rt_sigprocmask")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call: `result` is "" when the program died in it; `pid` is 0 where only one process was traced."""

    pid: int
    name: str
    arguments: str
    result: str

    @property
    def injected(self) -> bool:
        return self.result.endswith(_INJECTED)

    @property
    def descriptor(self) -> int:
        """The descriptor that it works on (its first argument), -1 for none."""
        found = re.match(r"\d+", self.arguments)
        return int(found[0]) if found else -1

    @property
    def returned(self) -> int:
        """What it gave back as a number."""
        found = re.match(r"-?\d+", self.result)
        return int(found[0]) if found else -1

    def __str__(self) -> str:
        return f"{self.name}({self.arguments}) = {self.result}"


@dataclass(frozen=True, slots=True)
class Trace:
    """The calls of a run in the order of their begin, the signals that came, and how each process ended.

    `signals` says of each how many calls had begun before it; `ends` has strace's words: "killed by SIGKILL".
    """

    calls: tuple[Call, ...]
    signals: tuple[tuple[str, int], ...]
    ends: dict[int, str]

    def arrivals(self, name: str) -> list[int]:
        """How many calls had begun each time that this signal came."""
        return [place for one, place in self.signals if one == name]

    @property
    def injected(self) -> list[int]:
        """The indices of the calls that a fault was put in the place of."""
        return [index for index, call in enumerate(self.calls) if call.injected]

    def ordinal(self, index: int) -> int:
        """How many calls of that name its process had made by then: what strace's `when=` counts."""
        wanted = self.calls[index]
        return sum(call.name == wanted.name and call.pid == wanted.pid for call in self.calls[: index + 1])


def parse(path: Path) -> Trace:
    """Read what `strace -o PATH` wrote."""
    calls: list[Call] = []
    ends: dict[int, str] = {}
    signals: list[tuple[str, int]] = []
    waiting: dict[int, tuple[int, str]] = {}  # the call that a process is in: its place, and its text so far
    for raw in path.read_text(errors="backslashreplace").split("\n"):
        found = _PID.match(raw)
        pid, line = (int(found[1]), raw[found.end() :]) if found else (0, raw)
        if line.startswith("+++ "):
            ends[pid] = line.strip("+ ")
        elif line.startswith("--- "):
            signals.append((line.split()[1], len(calls)))
        elif not line:
            continue
        elif unfinished := _UNFINISHED.fullmatch(line):
            waiting[pid] = (len(calls), f"{unfinished[1]}({unfinished[2]}")
            calls.append(Call(pid, unfinished[1], unfinished[2], ""))
        elif resumed := _RESUMED.fullmatch(line):
            place, begin = waiting.pop(pid)
            calls[place] = _call(pid, begin + resumed[2])
        else:
            calls.append(_call(pid, line))
    return Trace(tuple(calls), tuple(signals), ends)


def _call(pid: int, text: str) -> Call:
    if found := _CALL.fullmatch(text):
        return Call(pid, found[1], found[2], found[3])
    found = _OPEN_CALL.fullmatch(text)
    assert found, f"not a line of strace's: {text!r}"
    return Call(pid, found[1], found[2].partition(")")[0], "")


def strace(output: Path, *options: str) -> list[str]:
    """The words in front of a command that trace its first process alone."""
    return ["strace", "-o", os.fspath(output), *options]


def strace_bytes(output: Path) -> list[str]:
    """The words in front of a command that write down every byte that it and its children hand to the kernel."""
    quiet = ",".join(_QUIET)
    return ["strace", "-f", "-xx", "-y", "-v", "-s", str(LONGEST), "-o", os.fspath(output), "-e", f"trace=!{quiet}"]


# --- a secret, wherever it goes


class Canary:
    """A secret that is looked for: as it is, in base64 at any offset, in hexadecimal, backwards, and parts of these."""

    _PART = 8  # bytes of the secret: a part as long as this is a find

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        shapes = {
            "as it is": (secret, self._PART),
            "backwards": (secret[::-1], self._PART),
            "in hexadecimal": (secret.hex().encode(), 2 * self._PART),
            "in hexadecimal, capitals": (secret.hex().upper().encode(), 2 * self._PART),
        }
        for skip in range(3):
            # What stands around it decides how base64 falls: the inner characters of the three cases are fixed.
            shapes[f"in base64, offset {skip}"] = (b64encode(bytes(skip) + secret)[4:-4], 2 * self._PART)
        self._parts = {part: shape for shape, (value, length) in shapes.items() for part in _parts(value, length)}

    def shapes_in(self, data: bytes) -> frozenset[str]:
        """In which shapes `data` holds it, or a part of it."""
        return frozenset(shape for part, shape in self._parts.items() if part in data)


def _parts(value: bytes, length: int) -> Iterator[bytes]:
    length = min(length, len(value))
    return (value[start : start + length] for start in range(len(value) - length + 1))


@dataclass(frozen=True, slots=True)
class Sighting:
    """A call that hands a canary to the kernel; `target` is the path behind its descriptor (-1: it has none)."""

    program: str
    call: str
    descriptor: int
    target: str
    shapes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.program}: {self.call} to {self.descriptor} {self.target}: {', '.join(sorted(self.shapes))}"


@dataclass(frozen=True, slots=True)
class Recording:
    """A run under `strace_bytes`: where the canary went, the programs that were started, the files that each opened."""

    sightings: tuple[Sighting, ...]
    started: Counter[str]
    opened: dict[str, set[str]]


def watch(path: Path, canary: Canary) -> Recording:
    """Read what `strace_bytes` wrote, and look for the canary in every string: arguments, environment, data, paths."""
    programs: dict[int, str] = {}
    found, started, opened = [], Counter[str](), defaultdict[str, set[str]](set)
    for call in parse(path).calls:
        if not programs and call.name != "execve":
            programs[call.pid] = "python3"  # a run that strace was attached to
        data, cut = _data(call.arguments)
        assert not cut, f"strace has cut {call.name} of {programs.get(call.pid)}: {call.arguments[:200]}"
        if call.name == "execve" and call.returned == 0:
            programs[call.pid] = os.path.basename(data.split(b"\0", 1)[0].decode(errors="replace"))
            started[programs[call.pid]] += 1
        program = programs.get(call.pid, str(call.pid))
        if call.name == "openat" and call.returned >= 0:
            opened[program].add(_target(call.result))
        if shapes := canary.shapes_in(data):
            found.append(Sighting(program, call.name, call.descriptor, _target(call.arguments), shapes))
    return Recording(tuple(found), started, opened)


def _data(arguments: str) -> tuple[bytes, bool]:
    """All strings among the arguments, one after the other, and whether strace has cut one."""
    parts = [(bytes.fromhex(found[1].replace("\\x", "")), bool(found[2])) for found in _HEX_STRING.finditer(arguments)]
    return b"\0".join(part for part, _ in parts), any(cut for _, cut in parts)


def _target(text: str) -> str:
    """What strace says of the descriptor that the text begins with."""
    found = _FD_PATH.match(text)
    if not found:
        return ""
    return found[2] or bytes.fromhex((found[1] or "").replace("\\x", "")).decode(errors="replace")


def names(calls: Iterable[Call]) -> list[str]:
    return [call.name for call in calls]
