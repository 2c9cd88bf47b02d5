"""Virtual machines under software emulation: an image of a tree, a real kernel, a real power switch.

No hardware virtualisation: /dev/kvm may be there and not work. A guest takes 20 to 40 seconds to boot.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.package_support import installed_layer
from tests.support.outside import run
from tests.support.trees import tree
from tests.support.view import SYSTEM_PATH

# Files of a guest that everybody there can read.
_PUBLIC = ("/etc/systemd/", "/etc/aliases", "/etc/hosts", "/etc/logrotate.d/", "/etc/ssl/")
# Where a guest finds the loopback of the network in which it was started, and the name that certificates are for.
HOST = "10.0.2.2"
MAIL = "mail.example.test"
# Without controllers that a guest would only spend time on.
_MACHINE = "q35,sata=off,smbus=off,i8042=off"
# One thread for the only processor and all else: some 5 % less of a boot.
_EMULATION = "tcg,thread=single"
# A quarter less work under emulation than qemu64 makes, whose C library takes the long way round; no page tables of
# five levels, no hypervisor within the guest, and none of the instructions for which udev would load modules. Nor those
# that copy and clear memory by single bytes, which the kernel would prefer: an eighth of a boot.
_CPU = "max,la57=off,svm=off,aes=off,pclmulqdq=off,vaes=off,vpclmulqdq=off,sha-ni=off,erms=off,fsrm=off"
# No initial RAM disk: Debian's kernels for clouds have the driver of this disk, and ext4, built in.
_DISK = "nvme,drive=disk,serial=system"
# Until a guest is off. Its work takes 20 to 140 seconds of a processor, of which other guests may leave it a fifth.
_SECONDS = 1600.0
_SIGNATURE = 0x6D736D74
_ROOT = f"root=PARTUUID={_SIGNATURE:08x}-01 rw console=ttyS0 panic=-1 quiet"
# What a boot can do without: self-tests of ciphers, waiting for quiet moments, and counting each unit's memory (nothing
# of ours has a limit of it). Nor is the timer tested: on a busy host it may fail to tick in the kernel's one moment for
# that, and a boot ends in "IO-APIC + timer doesn't work".
QUICK = (
    "no_timer_check mitigations=off nokaslr tsc=reliable random.trust_cpu=on cryptomgr.notests rcupdate.rcu_expedited=1"
    " cgroup_disable=memory"
)
# No module for systemd to load a program into, and one serial line.
_KERNEL = f"{QUICK} lsm=landlock,lockdown,yama,apparmor 8250.nr_uarts=1"
# In sectors. One partition, because that is what the kernel alone can find by its name, whatever other disks there are.
_START, _SIZE = 2048, 3_000_000

# The guest's disk is a tree, with the package or without, and the files of the test. A file system made from a
# directory needs no loop device; debugfs reads it afterwards. Of AppArmor's profiles only that of msmtp is left:
# loading them all takes 20 s.
_IMAGE = """
    layers=$1 work=$2
    root=$work/root
    mkdir "$work/upper" "$work/overlay" "$root"
    mount -t overlay overlay -o "lowerdir=$layers,upperdir=$work/upper,workdir=$work/overlay" "$root"
    mount --bind /dev/null "$root/dev/null"
    find "$root/etc/apparmor.d" -maxdepth 1 -type f ! -name usr.bin.msmtp -delete
    for unit in $5; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
    cd "$work/files"
    find . -type f | tar --create --files-from=- | tar --extract --same-permissions --directory="$root"
    chroot "$root" systemctl --quiet enable systemd-networkd.service outcome.service
    # Otherwise the first boot makes the linker's cache and the catalogue of the journal again.
    touch "$root/etc/.updated" "$root/var/.updated"
    umount "$root/dev/null"
    # Nor does anybody read these.
    for place in boot usr/share/doc usr/share/locale usr/share/man; do mount -t tmpfs tmpfs "$root/$place"; done
    truncate -s "$((($3 + $4) * 512))" "$work/disk"
    mke2fs -q -F -t ext4 -E "offset=$(($3 * 512))" -d "$root" "$work/disk" "$(($4 / 2))k"
"""
_RUN = """
    emulator=$1 guest=$2 work=$3; shift 3
    ip link set lo up
    # The tree is never written to: what is mounted in it below needs directories of its own.
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay overlay -o "lowerdir=$emulator,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
    emulator=/mnt/root
    mount --rbind /dev "$emulator/dev"
    mount --bind "$work/host" "$emulator/var/lib"
    for place in "$guest" "$work"; do mkdir -p "$emulator$place"; mount --bind "$place" "$emulator$place"; done
    mount -t proc proc "$emulator/proc"
    cd /
    chroot "$emulator" bash -euc "cd /var/lib; . ./prepare"
    exec chroot "$emulator" qemu-system-x86_64 "$@" </dev/null
"""
# What a boot starts and nothing here asks for.
_MASKED = (
    *("getty.target", "systemd-logind.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount"),
    *("modprobe@configfs.service", "modprobe@drm.service", "modprobe@efi_pstore.service", "modprobe@fuse.service"),
    *("sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "systemd-pstore.service", "cloud-init-hotplugd.socket"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "fstrim.timer"),
    *("systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-user-sessions.service"),
    *("systemd-modules-load.service", "systemd-random-seed.service", "kmod-static-nodes.service"),
    *("systemd-udev-load-credentials.service", "systemd-network-generator.service"),
    *("systemd-networkd-persistent-storage.service", "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service"),
    *("run-lock.mount", "tmp.mount"),
)
# What udev is asked about when it starts: the network, the disks, and what has a module to be loaded. Of the others,
# a hundred terminals and memory blocks among them, each would cost it a process's work.
_UDEV = "".join(f" --subsystem-match={name}" for name in ("pci", "virtio", "net", "block"))
_TRIGGER = f"[Service]\nExecStart=\nExecStart=udevadm trigger --type=devices --action=add{_UDEV}\n"
_NETWORK = "[Match]\nType=ether\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n"
_OUTCOME = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=1500
ExecStart=/bin/sh /outcome.sh
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
"""


class Guest:
    """A virtual machine that boots, runs `script` once it has started everything, and powers itself off.

    What the script writes below /outcome is read from the disk afterwards. The guest reaches the loopback of the
    network namespace `network` at `MAIL`, and nothing else when that namespace holds nothing else. `prepare` is
    run by the shell of the machine's host before: the emulator's tree with a /var/lib of its own, of `host_files`.
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
        prepare: str = "",
        host_files: Mapping[str, str] | None = None,
    ) -> None:
        self._work = work / f"guest-{time.monotonic_ns()}"
        self._work.mkdir()
        self._tree = tree(f"{suite}-vm")
        self._write_files("files", {**_base(script), **(files or {})})
        self._write_files("host", {**(host_files or {}), "prepare": prepare})
        self._make_image([installed_layer(f"{suite}-vm"), self._tree] if installed else [self._tree])
        self._console = self._work / "console"
        boot = self._tree / "boot"
        arguments = [
            *("-accel", _EMULATION, "-M", _MACHINE, "-cpu", _CPU, "-smp", "1", "-m", "768"),
            *("-nodefaults", "-no-user-config"),
            *("-display", "none", "-no-reboot", "-serial", f"file:{self._console}"),
            *("-kernel", str(_only(boot, "vmlinuz-*")), "-append", f"{_ROOT} {_KERNEL} {kernel}"),
            *("-drive", f"if=none,id=disk,file={self._work}/disk,format=raw,cache=unsafe"),
            *("-device", _DISK, "-device", "virtio-rng-pci"),
            *("-nic", "user,model=virtio-net-pci", *options),
        ]
        with (self._work / "emulator.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    # It ends with a test run that is killed.
                    *("setpriv", "--pdeathsig", "KILL", "--", "nsenter", f"--net={network}", "--"),
                    *("unshare", "--mount", "--propagation", "private"),
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

    def _write_files(self, below: str, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = self._work / below / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o644 if name.startswith(_PUBLIC) else 0o600)

    def _make_image(self, layers: Sequence[Path]) -> None:
        lower = ":".join(map(str, layers))
        sizes = [str(_START), str(_SIZE)]
        enter = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _IMAGE, "sh"]
        run(*enter, lower, self._work, *sizes, " ".join(_MASKED))
        with (self._work / "disk").open("r+b") as disk:
            disk.seek(440)
            disk.write(struct.pack("<I6xB3xII48xH", _SIGNATURE, 0x83, _START, _SIZE, 0xAA55))

    def wait(self) -> Self:
        """Until it has powered itself off. The emulator ends with 0 after a panic, too: the disk tells."""
        self._process.wait(_SECONDS)
        log = (self._work / "emulator.log").read_text(errors="replace")
        assert self.outcome("complete") is not None, f"no outcome:\n{log}\n{self.console()[-4000:]}"
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
            ["debugfs", "-R", request, f"{self._work}/disk?offset={_START * 512}"],
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
        "/etc/systemd/system/systemd-udev-trigger.service.d/test.conf": _TRIGGER,
        "/etc/hosts": f"127.0.0.1 localhost\n{HOST} {MAIL}\n",
        "/outcome.sh": f"mkdir -p /outcome\n{script}\njournalctl --sync\ntouch /outcome/complete\nsync\n",
    }


def _only(directory: Path, pattern: str) -> Path:
    (found,) = directory.glob(pattern)
    return found
