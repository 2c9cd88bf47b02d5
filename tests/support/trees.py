"""Root trees of real distributions (scripts/trees), and throw-away machines made of them."""

from __future__ import annotations

import functools
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

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

    _SCRIPT = """
        below=$1 base=$2; shift 2
        mount -n -t tmpfs -o mode=755 tmpfs "$base"
        mkdir "$base/upper" "$base/work" "$base/root"
        root=$base/root
        mount -n -t overlay overlay -o "lowerdir=$below,upperdir=$base/upper,workdir=$base/work" "$root"
        mount -n -t proc proc "$root/proc"
        mount -n --rbind /dev "$root/dev"
        mount -n -t tmpfs -o mode=755 tmpfs "$root/run"
        mount -n -t tmpfs -o mode=1777 tmpfs "$root/tmp"
        # The trees bring no /etc/hosts.
        [ -e "$root/etc/hosts" ] || echo '127.0.0.1 localhost' >"$root/etc/hosts"
        for shared; do
            mkdir -p "$root$(dirname "$shared")"
            if [ -d "$shared" ]; then mkdir -p "$root$shared"; else touch "$root$shared"; fi
            mount -n --bind "$shared" "$root$shared"
            mount -n -o remount,bind,ro "$root$shared"
        done
        ip link set lo up
        exec chroot "$root" sh -c 'echo ready; exec cat'
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
        below = [*([over] if over else []), tree(name)]
        arguments = [":".join(map(str, below)), str(self._base), *map(str, share)]
        super().__init__(self._SCRIPT, arguments, network=network, log=self._base / "holder.log")

    def close(self) -> None:
        """End it and give the disk space back."""
        super().close()
        shutil.rmtree(self._base)
