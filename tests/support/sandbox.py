"""This machine as the program sees it, with files of its own in place of those that the program reads and writes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.support.holder import Step
from tests.support.view import Completed, Network, View
from tests.support.warm import Run, kill_session, wait_attached, warm

PROJECT = Path(__file__).resolve().parents[2]
# The program runs where users run it: on the distribution's own Python and Typer. That it runs on each other release of
# Typer is said by the tests that ask for `typer_python`.
PYTHON = "/usr/bin/python3"


class Sandbox(View):
    """This machine with an /etc, /root, /run and /var/log of its own (and /tmp, with `private_tmp`).

    /etc starts as the machine's, without the files that the program reads or writes. Its changes go to where pytest has
    its directories, with attributes and ACLs of a real file system; what fsync is good for, test_power_cut shows.
    /root shows the machine's (a virtual environment or the checkout may lie there), without what configures msmtp.
    """

    _HIDDEN = (
        "/etc/msmtprc",
        "/etc/msmtp-password",
        "/etc/aliases",
        "/etc/netrc",
        "/etc/.msmtp-password.msmtp-config",
        "/etc/.msmtprc.msmtp-config",
        "/root/.msmtprc",
        "/root/.config",
        "/root/.netrc",
    )

    def __init__(
        self, tmp_path: Path, *, network: Network = "host", private_tmp: bool = False, warm: bool = False
    ) -> None:
        self._base = tmp_path / f"sandbox-{time.monotonic_ns()}"
        self._base.mkdir(mode=0o755)
        self._private_tmp = private_tmp
        self.warm = warm
        super().__init__(self._steps(), network=network)

    def _steps(self) -> list[Step]:
        """What is mounted; in the upper layers, the files that the machine may have and the view has not."""
        base, memory = self._base, f"{self._base}/mem"
        layers = {"/etc": f"{base}/etc", "/root": f"{memory}/root"}
        if self._private_tmp:
            layers["/tmp"] = f"{memory}/tmp"
        # It stays in the tmpfs: that is where the test finds the upper layers of /root and /tmp.
        steps: list[Step] = [("directory", memory), ("tmpfs", memory), ("stay", memory), ("directory", f"{base}/log")]
        for place, own in layers.items():
            steps += [("directory", f"{own}/work"), ("directory", f"{own}/upper", "1777" if place == "/tmp" else "755")]
        steps.append(("directory", f"{memory}/root/upper/.cache"))
        for hidden in self._HIDDEN:
            place = "/etc" if hidden.startswith("/etc/") else "/root"
            steps.append(("hidden", f"{layers[place]}/upper/{hidden.removeprefix(place + '/')}"))
        steps += [("tmpfs", "/run"), ("bind", f"{base}/log", "/var/log")]
        return [*steps, *(("overlay", place, own, place) for place, own in layers.items())]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """As a View's, and the checkout is what `python -m msmtp_agent` finds. It gets no .pyc from here."""
        own = {"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
        return super().environment({**own, **(extra or {})})

    def agent_argv(self, *arguments: str, python: str | os.PathLike[str] = PYTHON) -> list[str]:
        return [os.fspath(python), "-m", "msmtp_agent", *arguments]

    def agent(
        self,
        *arguments: str,
        python: str | os.PathLike[str] = PYTHON,
        stdin: bytes | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        network: Network | None = None,
        uid: int | None = None,
    ) -> Completed:
        """Run `msmtp-config` from the checkout; in a warm sandbox (tests.support.warm) without a start of Python."""
        if self.warm and python == PYTHON and uid is None and not _decides_the_start(env or {}):
            with self.begin(*arguments, stdin=stdin, env=env, timeout=timeout, network=network) as run:
                run.go()
                return Completed(tuple(self.agent_argv(*arguments)), *run.finish(self.kill_session))
        argv = self.agent_argv(*arguments, python=python)
        return self.run(argv, stdin=stdin, env=env, timeout=timeout, network=network, uid=uid)

    def traced(
        self,
        tracer: Sequence[str],
        *arguments: str,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        module: str = "msmtp_agent",
    ) -> Completed:
        """As `agent`, under strace: `tracer` has its words; a warm run is attached to before its first line.

        `module` is run in the place of the program: one of the tests' own, which uses it.
        """
        argv = [PYTHON, "-m", module, *arguments]
        if not self.warm or _decides_the_start(env or {}):
            return self.run([*tracer, *argv], stdin=stdin, env=env, timeout=timeout)
        with self.begin(*arguments, stdin=stdin, env=env, timeout=timeout, module=module) as run:
            strace = self.popen([*tracer, "-p", str(run.pid)], stdin=subprocess.DEVNULL) if tracer else None
            if strace:
                wait_attached(strace, timeout)
            run.go()
            done = Completed(tuple(argv), *run.finish(self.kill_session))
            if strace:
                strace.communicate(timeout=timeout)
                self._started.remove(strace)
            return done

    def begin(
        self,
        *arguments: str,
        stdin: bytes | IO[bytes] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        network: Network | None = None,
        module: str = "msmtp_agent",
    ) -> Run:
        """A warm run that waits for its `go`."""
        where = network or self.network
        own = () if module == "msmtp_agent" else ("tests.support.repairs",)
        return Run(
            warm(PYTHON, PROJECT, *own),
            (str(PROJECT / "msmtp_agent/__main__.py"), *arguments),
            stdin=stdin,
            env=self.environment(env),
            mnt=f"/proc/{self.pid}/ns/mnt",
            net=f"/proc/{self.pid}/ns/net" if where == "none" else None if where == "host" else str(where),
            timeout=timeout,
            module=module,
        )

    def kill_session(self, pid: int) -> None:
        """Kill a run that was begun, and what it left behind."""
        kill_session(pid)
        self._kill_leftovers()

    def changed(self) -> set[str]:
        """What differs from the start: files and links written, replaced, re-moded or deleted, and new directories."""
        memory = Path(f"/proc/{self.pid}/cwd")
        layers = {"/etc": self._base / "etc/upper", "/root": memory / "root/upper", "/var/log": self._base / "log"}
        layers["/run"] = self.path("/run")
        if self._private_tmp:
            layers["/tmp"] = memory / "tmp/upper"
        return {name for place, layer in layers.items() for name in _entries(place, layer)} - {"/root/.cache"}

    def close(self) -> None:
        """End it, and leave nothing behind that the removal of pytest's directories would stumble over."""
        super().close()
        # An immutable file may stand at any depth; only then is the removal tried a second time.
        shutil.rmtree(self._base, ignore_errors=True)
        if self._base.exists():
            subprocess.run(["chattr", "-R", "-f", "-i", "-a", self._base], check=False, timeout=30, capture_output=True)
            shutil.rmtree(self._base)


def _decides_the_start(env: Mapping[str, str]) -> bool:
    """Whether Python itself looks at one of these when it starts; the seed is the same in all warm runs."""
    return any(name.startswith(("PYTHON", "LC_", "LANG")) for name in env if name != "PYTHONHASHSEED")


def _entries(place: str, layer: Path) -> Iterator[str]:
    """The names that an upper layer changes, as the view's own paths."""
    for directory, subdirectories, files in os.walk(layer):
        for name in (*subdirectories, *files):
            outside = Path(directory, name)
            inside = f"{place}/{outside.relative_to(layer)}"
            facts = outside.lstat()
            lower_exists = place in ("/etc", "/root", "/tmp") and os.path.lexists(inside)
            deleted = stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0
            if deleted and (not lower_exists or inside in Sandbox._HIDDEN):
                continue
            if stat.S_ISDIR(facts.st_mode) and lower_exists:
                continue
            yield inside
