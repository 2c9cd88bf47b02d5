"""Root trees of real distributions (scripts/trees), and throw-away machines made of them."""

from __future__ import annotations

import functools
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.holder import Step
from tests.support.sandbox import PROJECT
from tests.support.view import Network, View


@functools.cache
def tree(name: str) -> Path:
    """The path of a root tree, never written to. Built if it is not in the cache; no tree is an error, not a skip."""
    done = subprocess.run(
        [PROJECT / "scripts/trees", name],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        stdin=subprocess.DEVNULL,
    )
    found = done.stdout.strip().partition("=")[2]
    if done.returncode != 0 or not Path(found, "usr").is_dir():
        raise RuntimeError(f"no root tree {name}: scripts/trees ended with {done.returncode}\n{done.stderr}")
    return Path(found)


class Machine(View):
    """A throw-away copy of a root tree: its own /proc, /dev, /run and /tmp, no init, no network unless asked for.

    `share` names files or directories of this machine to be seen in it under the same path, read-only; `over` is a
    directory that is laid over the tree. What it writes stays in memory: dpkg synchronises every file.
    """

    def __init__(
        self,
        name: str,
        tmp_path: Path,
        *,
        network: Network = "none",
        share: Sequence[Path] = (),
        over: Path | None = None,
    ) -> None:
        self._base = tmp_path / f"{name}-{time.monotonic_ns()}"
        self._base.mkdir(mode=0o755)
        base, root = self._base, f"{self._base}/root"
        below = [*([over] if over else []), tree(name)]
        steps: list[Step] = [
            ("tmpfs", f"{base}"),
            *(("directory", f"{base}/{name}") for name in ("upper", "work", "root")),
        ]
        steps += [("overlay", ":".join(map(str, below)), f"{base}", root), ("proc", f"{root}/proc")]
        steps += [("bind", "/dev", f"{root}/dev"), ("tmpfs", f"{root}/run"), ("tmpfs", f"{root}/tmp", "1777")]
        # The trees bring no /etc/hosts.
        if not any((layer / "etc/hosts").exists() for layer in below):
            steps.append(("text", f"{root}/etc/hosts", "127.0.0.1 localhost\n"))
        steps += [("shown", f"{path}", f"{root}{path}") for path in share]
        super().__init__([*steps, ("root", root)], network=network)

    def close(self) -> None:
        """End it and give the disk space back."""
        super().close()
        shutil.rmtree(self._base)
