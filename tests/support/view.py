"""Private views of a machine, in which real programs run on their real paths and change nothing.

A small process (the holder) keeps a mount namespace alive for as long as the view is open: `nsenter` enters it in about
a millisecond, mounts made in it stay, and the test reads and writes its files from the outside, through
`/proc/HOLDER/root`.
The holder ends when nobody holds the other end of its socket any more, so nothing survives a killed pytest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self

from tests.support.holder import Holder, Step

SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# The machine's network, an empty one of the view's own (loopback only), or a namespace: `peer.netns`.
Network = Literal["host", "none"] | Path


@dataclass(frozen=True)
class Completed:
    """A program that has ended."""

    argv: tuple[str, ...]
    returncode: int
    out: bytes
    err: bytes
    seconds: float

    @property
    def stdout(self) -> str:
        return self.out.decode(errors="replace")

    @property
    def stderr(self) -> str:
        return self.err.decode(errors="replace")


class View:
    """What `Sandbox` and `trees.Machine` have in common: a holder, ways in, and files seen from the outside."""

    def __init__(self, steps: Sequence[Step], *, network: Network) -> None:
        self.network = network
        self._started: list[subprocess.Popen[bytes]] = []
        self._holder = Holder(steps)
        self.pid = self._holder.pid
        self._namespace = os.readlink(f"/proc/{self.pid}/ns/mnt")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- ways in

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment of a program in the view: nothing of the test run's own leaks in."""
        return {"PATH": SYSTEM_PATH, "HOME": "/root", "LANG": "C.UTF-8", **(extra or {})}

    def command(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        network: Network | None = None,
        uid: int | None = None,
        gid: int | None = None,
        cwd: str = "/",
    ) -> list[str]:
        """The full argument vector that runs `argv` inside: for pexpect, strace and the like.

        `nsenter` replaces itself with the program: the process that is started is the program's own, signals reach it.
        """
        where = network or self.network
        entry = ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", f"--root=/proc/{self.pid}/root"]
        entry.append(f"--wd={self.path(cwd)}")
        if where != "host":
            entry.append(f"--net={f'/proc/{self.pid}/ns/net' if where == 'none' else where}")
        if uid is not None:
            entry += [f"--setuid={uid}", f"--setgid={uid if gid is None else gid}"]
        return [*entry, "--", *(os.fspath(word) for word in argv)]

    def popen(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        stdin: int | IO[bytes] | None = subprocess.PIPE,
        stdout: int | IO[bytes] | None = subprocess.PIPE,
        stderr: int | IO[bytes] | None = subprocess.PIPE,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        network: Network | None = None,
        uid: int | None = None,
        gid: int | None = None,
        cwd: str = "/",
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, without a terminal. What still runs at `close` is killed."""
        process = subprocess.Popen(
            self.command(argv, network=network, uid=uid, gid=gid, cwd=cwd),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=self.environment(env),
            pass_fds=pass_fds,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        stdin: bytes | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        check: bool = False,
        pass_fds: Sequence[int] = (),
        network: Network | None = None,
        uid: int | None = None,
        gid: int | None = None,
        cwd: str = "/",
    ) -> Completed:
        """Run a program to its end, by a deadline; `stdin` None is the null device, an open file is passed on."""
        begin = time.monotonic()
        data = stdin if isinstance(stdin, bytes) else None
        source = subprocess.DEVNULL if stdin is None else subprocess.PIPE if isinstance(stdin, bytes) else stdin
        process = self.popen(argv, stdin=source, env=env, pass_fds=pass_fds, network=network, uid=uid, gid=gid, cwd=cwd)
        try:
            out, err = process.communicate(data, timeout)
        except subprocess.TimeoutExpired as expired:
            self.kill(process)
            out, err = process.communicate(timeout=10)
            raise subprocess.TimeoutExpired(expired.cmd, timeout, out, err) from None
        self._started.remove(process)
        words = tuple(os.fspath(word) for word in argv)
        done = Completed(words, process.returncode, out, err, time.monotonic() - begin)
        assert not check or done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def shell(self, script: str, *, timeout: float = 60.0) -> Completed:
        """Run a few lines of shell that must succeed: a mount made here stays for all later programs of this view."""
        return self.run(["sh", "-euc", script], timeout=timeout, check=True)

    # --- files, from the outside

    def path(self, inside: str) -> Path:
        """Where a file of the view is to be found from the outside; a symlink at its end is not followed.

        Symlinks on the way are resolved here: left to the kernel, an absolute one would lead to the machine's files.
        """
        root = Path(f"/proc/{self.pid}/root")
        waiting = [part for part in reversed(inside.split("/")) if part not in ("", ".")]
        done: list[str] = []
        for _ in range(200):
            if not waiting:
                return root.joinpath(*done)
            part = waiting.pop()
            if part == "..":
                del done[-1:]
                continue
            here = root.joinpath(*done, part)
            if waiting and here.is_symlink():
                target = os.readlink(here)
                waiting += [piece for piece in reversed(target.split("/")) if piece not in ("", ".")]
                done = [] if target.startswith("/") else done
            else:
                done.append(part)
        raise OSError(f"{inside}: too many levels of symbolic links")

    def write(self, inside: str, data: str | bytes, *, mode: int = 0o600, uid: int = 0, gid: int = 0) -> Path:
        """Put a regular file there, whatever stood there before; missing directories are made."""
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            os.fchown(handle, uid, gid)
            os.fchmod(handle, mode)
        return target

    def read(self, inside: str) -> bytes:
        """The bytes of a regular file; never follows a link, never waits for a FIFO."""
        handle = os.open(self.path(inside), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            return file.read()

    def stat(self, inside: str) -> os.stat_result:
        return os.lstat(self.path(inside))

    def exists(self, inside: str) -> bool:
        return os.path.lexists(self.path(inside))

    def listdir(self, inside: str) -> list[str]:
        return sorted(os.listdir(self.path(inside)))

    # --- the end

    def leftovers(self) -> dict[int, str]:
        """Processes that still live in the view, the holder apart: pid to command line."""
        # Often, and over all processes of the machine: no objects for their paths.
        found = {}
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == self.pid:
                continue
            try:
                if os.readlink(f"/proc/{name}/ns/mnt") == self._namespace:
                    line = (
                        Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    )
                    if line:  # a zombie has none
                        found[int(name)] = line
            except OSError:
                continue
        return found

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a program that `popen` started, and what it left behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        self._kill_leftovers()

    def close(self) -> None:
        """End every process of the view, then the view itself."""
        if self._holder.closed:
            # The number of its namespace may be another view's by now, and so may what would be killed.
            return
        for process in self._started:
            # Not by its namespace alone: a program that was only just started has not entered it yet.
            if process.poll() is None:
                self.kill(process)
        self._kill_leftovers()
        for process in self._started:
            process.wait(10)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
        self._started.clear()
        self._holder.close()

    def _kill_leftovers(self) -> None:
        for pid in self.leftovers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
