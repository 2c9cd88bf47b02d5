"""The Debian package built from the checkout in a root tree of its own, without a network, and older releases of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.outside import run
from tests.support.sandbox import PROJECT
from tests.support.trees import Machine
from tests.support.view import SYSTEM_PATH

# Everything that reprotest varies but the kernel's version, whose oldest disguise newer programs refuse to start in.
_VARIED = "+all,-kernel,domain_host.use_sudo=1,user_group.available+=builder:builder"
# The second build is of files as old as those of an old checkout; the first leaves the source package behind.
_BUILD = """\
cd source
second=${REPROTEST_CAPTURE_ENVIRONMENT:-}
[ -z "$second" ] || find . -exec touch --no-dereference --date=2001-01-01 {} +
dpkg-buildpackage --unsigned-source --unsigned-changes ${second:+--build=binary}
[ -n "$second" ] || cp ../*.dsc ../*.tar.xz ../*.changes ../*.buildinfo /build/out/
"""
_REPROTEST = """
mkdir /build/out
useradd --create-home builder
ln -sf /proc/self/mounts /etc/mtab
# disorderfs runs as the builder; where no udev has given everybody the device, it is root's alone.
mknod --mode=666 /run/fuse c 10 229
mount --bind /run/fuse /dev/fuse
echo "127.0.0.1 $(uname -n)" >>/etc/hosts
# Debian 12's reprotest calls `sudo -h localhost`, which Debian 12's sudo refuses.
mkdir -p /usr/local/bin
printf '#!/bin/sh\n[ "$1" != -h ] || shift 2\nexec /usr/bin/sudo "$@"\n' >/usr/local/bin/sudo
chmod 755 /usr/local/bin/sudo
cd /build
PATH=/usr/local/bin:$PATH reprotest --verbose --no-diffoscope --min-cpus 1 --variations="$1" \
  --store-dir /build/stored -s in 'sh -eu /build/build.sh' '*.deb' >/build/log 2>&1 ||
  { tail -n 120 /build/log; exit 1; }
"""


@dataclass(frozen=True)
class Built:
    """What a build of one suite left in a directory."""

    directory: Path

    def one(self, pattern: str) -> Path:
        """The one file that has such a name."""
        (found,) = self.directory.glob(pattern)
        return found

    @property
    def deb(self) -> Path:
        return self.one("first/**/*.deb")

    @property
    def again(self) -> Path:
        """The same, built a second time under other circumstances."""
        return self.one("second/**/*.deb")

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")


def _copy_source(target: Path) -> list[str]:
    """The files of the checkout that are the project's, with the modes of a fresh one, and their names."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={"PATH": SYSTEM_PATH, "HOME": "/nonexistent"},
        cwd=PROJECT,
    )
    copied = []
    for name in map(os.fsdecode, listed.stdout.split(b"\0")[:-1]):
        file = PROJECT / name
        # Deleted and not committed as such.
        if not os.path.lexists(file):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / name, follow_symlinks=False)
        if not file.is_symlink():
            (target / name).chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
        copied.append(name)
    return copied


def build_twice(suite: str, work: Path, into: Path) -> None:
    """Build source and binary package by reprotest, in a tree that has no network."""
    into.mkdir()
    with Machine(f"{suite}-build", work) as machine:
        machine.path("/build/in").mkdir(parents=True)
        files = _copy_source(machine.path("/build/in/source"))
        (into / "files").write_text("".join(f"{name}\n" for name in files))
        machine.write("/build/build.sh", _BUILD, mode=0o644)
        done = machine.run(["sh", "-euc", _REPROTEST, "sh", _VARIED], timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.copytree(machine.path("/build/out"), into / "source")
        shutil.copytree(machine.path("/build/stored/control"), into / "first")
        shutil.copytree(machine.path("/build/stored/experiment-1"), into / "second")
        shutil.copyfile(machine.path("/build/log"), into / "log")


def older(deb: Path, directory: Path) -> Path:
    """An earlier release: a lower version, and units that say less."""
    raw = directory / "older"
    run("dpkg-deb", "--raw-extract", deb, raw)
    control = raw / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", "Version: 0.0.1", control.read_text(), flags=re.MULTILINE))
    # Debian 12 still builds them into /lib.
    (units,) = (place for place in (raw / "usr/lib/systemd/system", raw / "lib/systemd/system") if place.is_dir())
    for unit in units.iterdir():
        unit.write_text(re.sub(r"^#.*\n", "", unit.read_text(), flags=re.MULTILINE))
    sums = [line.split("  ", 1)[1] for line in (raw / "DEBIAN/md5sums").read_text().splitlines()]
    (raw / "DEBIAN/md5sums").write_text(run("md5sum", *sums, cwd=raw))
    old = directory / "msmtp-agent_0.0.1_all.deb"
    run("dpkg-deb", "-Zgzip", "-z1", "--build", "--root-owner-group", raw, old)
    shutil.rmtree(raw)
    return old
