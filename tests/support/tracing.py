"""What the kernel was asked, by strace: every system call of a program, and faults put in the place of one of them.

strace's own text is parsed here and nowhere else. Strings are asked for in hexadecimal where their bytes matter.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
    """The calls of a run in the order of their begin, and how each process ended ("exited with 0", "killed by ...")."""

    calls: tuple[Call, ...]
    ends: dict[int, str]

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
    calls: list[Call | None] = []
    ends: dict[int, str] = {}
    waiting: dict[int, tuple[int, str]] = {}  # the call that a process is in: its place, and its text so far
    for raw in path.read_text(errors="backslashreplace").split("\n"):
        found = _PID.match(raw)
        pid, line = (int(found[1]), raw[found.end() :]) if found else (0, raw)
        if line.startswith("+++ "):
            ends[pid] = line.strip("+ ")
        elif not line or line.startswith("--- "):
            continue
        elif unfinished := _UNFINISHED.fullmatch(line):
            waiting[pid] = (len(calls), f"{unfinished[1]}({unfinished[2]}")
            calls.append(Call(pid, unfinished[1], unfinished[2], ""))
        elif resumed := _RESUMED.fullmatch(line):
            place, begin = waiting.pop(pid)
            calls[place] = _call(pid, begin + resumed[2])
        else:
            calls.append(_call(pid, line))
    return Trace(tuple(call for call in calls if call is not None), ends)


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
    """A secret that is looked for: as it is, in base64 at any offset, in hexadecimal, backwards, and parts of it."""

    _PART = 8  # bytes: a part as long as this is a find

    def __init__(self, secret: bytes, user: str) -> None:
        self.secret = secret
        plain = b"\0" + user.encode() + b"\0" + secret
        shapes = {
            "as it is": secret,
            "backwards": secret[::-1],
            "in hexadecimal": secret.hex().encode(),
            "in hexadecimal, capitals": secret.hex().upper().encode(),
            "in AUTH PLAIN": b64encode(plain).rstrip(b"="),
            # The other bytes around it decide how base64 falls: the inner characters of the three cases are fixed.
            **{f"in base64, offset {skip}": b64encode(b"\0" * skip + secret)[4:-4] for skip in range(3)},
        }
        self._parts = {
            part: shape
            for shape, value in shapes.items()
            for part in _parts(value, self._PART if value == secret else 2 * self._PART)
        }
        self._pattern = re.compile(b"|".join(re.escape(part) for part in self._parts))

    def shapes_in(self, data: bytes) -> set[str]:
        """In which shapes `data` holds it."""
        return {self._parts[found[0]] for found in self._pattern.finditer(data)}


def _parts(value: bytes, length: int) -> Iterator[bytes]:
    length = min(length, len(value))
    return (value[start : start + length] for start in range(len(value) - length + 1))


@dataclass(frozen=True, slots=True)
class Sighting:
    """A call of a process that hands a canary to the kernel; `target` is the path behind its descriptor, if any."""

    program: str
    call: str
    target: str
    shapes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.program}: {self.call} to {self.target or '-'}: {', '.join(sorted(self.shapes))}"


def sightings(path: Path, canary: Canary) -> list[Sighting]:
    """Every call of a recording made with `strace_bytes` that carries the canary: arguments, environment, data, paths."""
    programs: dict[int, str] = {}
    found = []
    trace = parse(path)
    for call in trace.calls:
        data, cut = _data(call.arguments)
        assert not cut, f"strace has cut {call.name} of {programs.get(call.pid)}: {call.arguments[:200]}"
        if call.name == "execve":
            programs[call.pid] = os.path.basename(data.split(b"\0", 1)[0].decode(errors="replace"))
        elif call.name in ("vfork", "fork", "clone", "clone3") and call.returned > 0:
            # Its child may have made calls before: those stay without a name, and are looked at all the same.
            programs.setdefault(call.returned, f"child of {programs.get(call.pid, call.pid)}")
        if shapes := canary.shapes_in(data):
            name = programs.get(call.pid, str(call.pid))
            found.append(Sighting(name, call.name, _target(call.arguments), frozenset(shapes)))
    return found


def _data(arguments: str) -> tuple[bytes, bool]:
    """All strings among the arguments, one after the other, and whether strace has cut one."""
    parts = [(bytes.fromhex(found[1].replace("\\x", "")), bool(found[2])) for found in _HEX_STRING.finditer(arguments)]
    return b"\0".join(part for part, _ in parts), any(cut for _, cut in parts)


def _target(arguments: str) -> str:
    found = _FD_PATH.match(arguments)
    if not found:
        return ""
    return found[2] or bytes.fromhex((found[1] or "").replace("\\x", "")).decode(errors="replace")


def programs(path: Path) -> Counter[str]:
    """How often each program was started, of a recording made with `strace_bytes`."""
    return Counter(
        os.path.basename(_data(call.arguments)[0].split(b"\0", 1)[0].decode(errors="replace"))
        for call in parse(path).calls
        if call.name == "execve" and call.returned == 0
    )


# --- the calls of a part of a run


def between(trace: Trace, begin: int, end: int) -> Sequence[Call]:
    return trace.calls[begin:end]


def names(calls: Iterable[Call]) -> list[str]:
    return [call.name for call in calls]
