"""Virtual machines under software emulation: an image of a tree, a real kernel, a real power switch.

No hardware virtualisation: /dev/kvm may be there and not work. A guest takes 20 to 40 seconds to boot.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.package_support import package
from tests.support.trees import tree
from tests.support.view import SYSTEM_PATH

# Where a guest finds the loopback of the network in which it was started, and the name that certificates are for.
HOST = "10.0.2.2"
MAIL = "mail.example.test"
_MACHINE = "q35,accel=tcg"
_SIZE = "1500M"

# The guest's disk is a tree, the package, and the files of the test. A file system made from a directory needs no loop
# device; debugfs reads it afterwards.
_IMAGE = """
    tree=$1 work=$2 package=$3
    root=$work/root
    mkdir "$work/upper" "$work/overlay" "$root"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/overlay" "$root"
    mount --bind /dev/null "$root/dev/null"
    if [ -n "$package" ]; then
        cp "$package" "$root/package.deb"
        chroot "$root" dpkg --force-unsafe-io --install /package.deb >&2
    fi
    cd "$work/files"
    find . -type f -print | while read -r file; do install -D -m "$(stat -c %a "$file")" "$file" "$root/$file"; done
    chroot "$root" systemctl --quiet enable systemd-networkd.service outcome.service
    umount "$root/dev/null"
    truncate -s "$4" "$work/disk"
    mke2fs -q -F -t ext4 -d "$root" "$work/disk"
"""
_RUN = """
    emulator=$1 guest=$2 work=$3; shift 3
    ip link set lo up
    for place in "$guest" "$work"; do mkdir -p "$emulator$place"; mount --bind "$place" "$emulator$place"; done
    mount --bind /dev "$emulator/dev"
    mount -t proc proc "$emulator/proc"
    cd /
    exec chroot "$emulator" qemu-system-x86_64 "$@" </dev/null
"""
_NETWORK = "[Match]\nType=ether\n[Network]\nDHCP=ipv4\n"
_OUTCOME = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=240
ExecStart=/bin/sh /outcome.sh
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
"""


class Guest:
    """A virtual machine that boots, runs `script` once it has started everything, and powers itself off.

    What the script writes below /outcome is read from the disk afterwards. The guest reaches the loopback of the
    network namespace `network` at `MAIL`, and nothing else when that namespace holds nothing else.
    """

    def __init__(
        self,
        suite: str,
        work: Path,
        *,
        network: Path,
        script: str,
        files: Mapping[str, str] | None = None,
        installed: bool = True,
        options: Sequence[str] = (),
        kernel: str = "",
    ) -> None:
        self._work = work / f"guest-{time.monotonic_ns()}"
        self._work.mkdir()
        self._tree = tree(f"{suite}-vm")
        self._write_files({**_base(script), **(files or {})})
        self._make_image(package() if installed else None)
        self._console = self._work / "console"
        boot = self._tree / "boot"
        arguments = [
            *("-M", _MACHINE, "-cpu", "qemu64", "-smp", "1", "-m", "768", "-nodefaults", "-no-user-config"),
            *("-display", "none", "-no-reboot", "-serial", f"file:{self._console}"),
            *("-kernel", str(_only(boot, "vmlinuz-*")), "-initrd", str(_only(boot, "initrd.img-*"))),
            *("-append", f"root=/dev/vda rw console=ttyS0 panic=-1 quiet {kernel}"),
            *("-drive", f"if=none,id=disk,file={self._work}/disk,format=raw,cache=unsafe"),
            *("-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"),
            *("-nic", "user,model=virtio-net-pci", *options),
        ]
        with (self._work / "emulator.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *("nsenter", f"--net={network}", "--", "unshare", "--mount", "--propagation", "private"),
                    *("sh", "-euc", _RUN, "sh", str(tree("qemu")), str(self._tree), str(self._work), *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        shutil.rmtree(self._work, ignore_errors=True)

    def _write_files(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = self._work / "files" / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o644 if name.startswith("/etc/systemd/") else 0o600)

    def _make_image(self, deb: Path | None) -> None:
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _IMAGE, "sh"]
        made = subprocess.run(
            [*enter, self._tree, self._work, deb or "", _SIZE],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"},
        )
        assert made.returncode == 0, made.stderr

    def wait(self, seconds: float = 240.0) -> Self:
        """Until it has powered itself off. The emulator ends with 0 after a panic, too: the disk tells."""
        self._process.wait(seconds)
        assert self.outcome("complete") is not None, f"no outcome:\n{self.console()[-4000:]}"
        return self

    def console(self) -> str:
        """What the guest wrote to its serial line so far."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def read(self, inside: str) -> str | None:
        """A file of the disk, once the guest is off; None where there is none."""
        found = self._debugfs(f"cat {inside}")
        return None if "File not found by ext2_lookup" in found.stderr else found.stdout

    def outcome(self, name: str) -> str | None:
        """What the script wrote down."""
        return self.read(f"/outcome/{name}")

    def _debugfs(self, request: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["debugfs", "-R", request, self._work / "disk"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=30,
            stdin=subprocess.DEVNULL,
            env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"},
        )


def _base(script: str) -> dict[str, str]:
    """What every guest brings."""
    return {
        "/etc/systemd/network/20-test.network": _NETWORK,
        "/etc/systemd/system/outcome.service": _OUTCOME,
        "/etc/hosts": f"127.0.0.1 localhost\n{HOST} {MAIL}\n",
        "/outcome.sh": f"mkdir -p /outcome\n{script}\njournalctl --sync\ntouch /outcome/complete\nsync\n",
    }


def _only(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(pattern)
    return found
