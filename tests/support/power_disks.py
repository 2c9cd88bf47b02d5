"""What a machine begins with whose power will be cut: its root file system, its initial RAM disk, its disks."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.package_support import installed_layer
from tests.support.outside import run
from tests.support.trees import tree

_MEGABYTE = 1 << 20
_LOG = 64 * _MEGABYTE

# A tree with the package is the root file system, never written to; its /etc is what the disks under test begin with.
_IMAGE = """
    layers=$1 work=$2
    root=$work/root
    mkdir "$work/upper" "$work/overlay" "$root"
    mount -t overlay overlay -o "lowerdir=$layers,upperdir=$work/upper,workdir=$work/overlay" "$root"
    install -m 755 "$work/init" "$work/job" "$root/"
    mkdir "$root/disk" "$work/host" "$root/initial"
    cp -a "$root/etc" "$work/host/"
    cp "$work/initial" "$root/initial/init"
    mount --bind /dev/null "$root/dev/null"
    chroot "$root" sh -euc "$3" >"$work/initrd"
    umount "$root/dev/null"
    rm -r "$root/initial"
    truncate -s 1500M "$work/image"
    mke2fs -q -F -t ext4 -d "$root" "$work/image"
    umount "$root"
    rm -r "$work/upper" "$work/overlay" "$root"
"""
# The system's own initial RAM disk takes nearly as long as all else of a boot. This one has the driver of the root
# file system's disk, and what loads it: the kernel has that for NVMe alone, and a machine with NVMe cannot be saved.
_PACK = """
    cd /initial
    mkdir -p dev root usr/bin usr/sbin usr/lib usr/lib64
    cp -P /bin /sbin /lib /lib64 .
    programs="/usr/bin/dash /usr/bin/kmod /usr/bin/mount /usr/sbin/switch_root"
    cp --parents $programs $(ldd $programs | grep -o '/[^ ]*[.]so[^ ]*' | sort -u) /lib/*/liblzma.so.5 .
    cp -P --parents /usr/sbin/insmod .
    modules=$(ls /lib/modules)
    for name in virtio_pci virtio_blk; do
        modprobe --set-version "$modules" --show-depends "$name"
    done | while read -r verb module; do
        [ "$verb" = insmod ] || continue # it is built into the kernel
        cp --parents "$module" .
        echo "insmod $module"
    done >load
    chmod 755 init
    find . | cpio --quiet --create --format=newc
"""
_INITIAL = """\
#!/bin/dash
export PATH=/usr/sbin:/usr/bin
mount -n -t devtmpfs devtmpfs /dev
. /load
until [ -b /dev/vda ]; do :; done
mount -n -t ext4 -o ro /dev/vda /root
exec switch_root /root /init
"""
# The first process: what it reads from the second serial line it runs.
_INIT = """\
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 NO_COLOR=1
mount -n -t proc proc /proc
mount -n -t sysfs sysfs /sys
mountpoint -q /dev || mount -n -t devtmpfs devtmpfs /dev # an initial RAM disk brings it
ln -s /proc/self/fd /dev/fd
mount -n -t tmpfs tmpfs /run
mount -n -t tmpfs tmpfs /tmp
for module in virtio_pci virtio_net virtio_rng virtio_blk virtio_scsi sd_mod; do modprobe "$module"; done
device=$(ls /sys/class/net | grep -v -x lo)
ip link set lo up
ip link set "$device" up
ip address add 10.0.2.15/24 dev "$device"
ip route add default via 10.0.2.2
stty -F /dev/ttyS1 raw -echo
exec 3<>/dev/ttyS1
echo ready >&3
while read -r line <&3; do eval "$line" >&3 2>&1; done
"""
# job DEVICE OPTIONS PROGRAM...: a program on the real paths, which are those of the disk; a /run of its own. The
# disk stays mounted afterwards: unmounting would write everything.
_JOB = """\
#!/bin/sh
mount -n -t ext4 -o "$2" "$1" /disk || exit 99
mount -n --bind /disk/etc /etc
mount -n --bind /disk/var/log /var/log
mount -n -t tmpfs tmpfs /run
shift 2
"$@"
echo "ended $?"
exec sleep infinity
"""


class Files(NamedTuple):
    """What an emulator is started from; made once."""

    directory: Path
    tree: Path
    network: Path

    @property
    def image(self) -> Path:
        return self.directory / "image"

    @property
    def initrd(self) -> Path:
        """The initial RAM disk of a machine whose root file system is /dev/vda."""
        return self.directory / "initrd"

    @property
    def host(self) -> Path:
        """A directory with the `etc` of the installed system."""
        return self.directory / "host"


def make_files(suite: str, directory: Path, network: Path) -> Files:
    """The root file system of a Debian with the package installed."""
    for name, text in (("initial", _INITIAL), ("init", _INIT), ("job", _JOB)):
        (directory / name).write_text(text)
    files = Files(directory, tree(f"{suite}-vm"), network)
    layers = f"{installed_layer(f'{suite}-vm')}:{files.tree}"
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _IMAGE, "sh"]
    run(*enter, layers, directory, _PACK, timeout=300)
    return files


def make_disk(path: Path, host: Path, files: Mapping[str, str], *, features: str) -> None:
    """An ext4 file system with the `etc` of a host and these files, root's and 0600."""
    source = path.with_suffix(".d")
    shutil.copytree(host, source, symlinks=True)
    (source / "var/log").mkdir(parents=True)
    for name, text in files.items():
        target = source / name.lstrip("/")
        target.unlink(missing_ok=True)
        target.write_text(text)
        target.chmod(0o600)
    with path.open("wb") as image:
        image.truncate(16 * _MEGABYTE)
    # A small file system would get blocks of 1 kB: not what a host has. One that is not new has no tables to be zeroed.
    old = "lazy_itable_init=0,lazy_journal_init=0"
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-O", features, "-E", old, "-d", source, path)
    shutil.rmtree(source)


class Disk(NamedTuple):
    """A raw image, and the log of what is written to it, if there is to be one."""

    image: Path
    log: Path | None = None

    def options(self, name: str) -> list[str]:
        # A flush that the guest asks for is written down; it need not reach this machine's own disk.
        if self.log is None:
            return ["-blockdev", f"node-name={name},driver=file,filename={self.image},cache.no-flush=on"]
        with self.log.open("wb") as log:
            log.truncate(_LOG)
        parts = [f"{part}.{word}" for part in ("file", "log") for word in ("driver=file", "cache.no-flush=on")]
        parts += [f"file.filename={self.image}", f"log.filename={self.log}"]
        parts += ["log-sector-size=512", "log-super-update-interval=1"]
        return ["-blockdev", f"node-name={name},driver=blklogwrites,{','.join(parts)}"]


def copy(files: Sequence[Path], directory: Path) -> tuple[Path, ...]:
    """Copies of disks, or of a memory, in a directory; what is empty is a hole."""
    run("cp", "--sparse=always", *files, directory)
    return tuple(directory / file.name for file in files)
