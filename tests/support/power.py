"""Power cuts: a virtual machine that is saved once, resumed as often as wanted, and killed at any moment.

What a disk is asked to write goes through QEMU's `blklogwrites`, which writes down every request and every flush: a
disk with a volatile cache may lose, at a power cut, any of what it was not told to flush.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.support.power_disks import Disk, Files, copy
from tests.support.trees import tree
from tests.support.view import SYSTEM_PATH
from tests.support.vm import QUICK

_MACHINE = "q35,accel=tcg,sata=off,smbus=off,i8042=off,memory-backend=ram"
_MEMORY = 384 << 20
# No security modules; the console, and the line on which the guest is told what to run.
_KERNEL = f"ro init=/init console=ttyS0 panic=-1 quiet {QUICK} lsm=yama 8250.nr_uarts=2"
_DEADLINE = 300.0  # seconds, for whatever the guest is asked for

_RUN = """
    emulator=$1 guest=$2 work=$3; shift 3
    ip link set lo up
    # The tree is never written to: what is mounted in it below needs directories of its own.
    mount -t tmpfs tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay overlay -o "lowerdir=$emulator,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root
    emulator=/mnt/root
    mount --rbind /dev "$emulator/dev"
    for place in "$guest" "$work"; do mkdir -p "$emulator$place"; mount --bind "$place" "$emulator$place"; done
    mount -t proc proc "$emulator/proc"
    cd /
    exec chroot "$emulator" qemu-system-x86_64 "$@" </dev/null
"""
# Names for the disks by their numbers, as soon as all of them are there.
_LINKS = """\
until [ "$(ls -d /sys/class/scsi_disk/*/device/block/* | wc -l)" -eq %d ]; do sleep 0.1; done; \
for block in /sys/class/scsi_disk/*/device/block/*; do \
lun=${block%%/device/block/*}; ln -s "${block##*/}" "/dev/disk${lun##*:}"; done; echo linked\
"""


class Emulator:
    """One emulator; it ends by being killed. `memory` is the file of its memory; resumed machines change copies."""

    def __init__(self, files: Files, work: Path, arguments: Sequence[str], *, memory: str) -> None:
        work.mkdir(exist_ok=True)
        self._work = work
        self.heard = ""
        (kernel,) = (files.tree / "boot").glob("vmlinuz-*")
        options = [
            *("-M", _MACHINE, "-cpu", "qemu64,-svm", "-smp", "1"),
            *("-m", f"{_MEMORY >> 20}M", "-object", f"memory-backend-file,id=ram,size={_MEMORY},{memory}"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
            *("-serial", f"file:{work}/console", "-serial", f"unix:{work}/line,server=on,wait=off"),
            *("-qmp", f"unix:{work}/qmp,server=on,wait=off", "-kernel", str(kernel)),
            *("-device", "virtio-rng-pci", "-nic", "user,model=virtio-net-pci", *arguments),
        ]
        # It ends with the thread that starts it, or with a test run that is killed.
        enter = ["setpriv", "--pdeathsig", "KILL", "--", "nsenter", f"--net={files.network}", "--"]
        enter += ["unshare", "--mount", "--propagation", "private"]
        begin = ["sh", "-euc", _RUN, "sh", str(tree("qemu")), str(files.tree), str(files.directory)]
        with (work / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*enter, *begin, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
                start_new_session=True,
            )
        try:
            self._qmp = self._connect("qmp")
            self._answers = self._qmp.makefile("rb")
            self._answers.readline()
            self.command("qmp_capabilities")
            # Memory is a file of its own, and no part of the state.
            capability = {"capability": "x-ignore-shared", "state": True}
            self.command("migrate-set-capabilities", capabilities=[capability])
            self._line = self._connect("line")
        except BaseException:
            self._cut()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Cut the power."""
        self._cut()
        for end in (self._answers, self._qmp, self._line):
            end.close()

    def _cut(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def _connect(self, name: str) -> socket.socket:
        deadline = time.monotonic() + 30
        while True:
            end = socket.socket(socket.AF_UNIX)
            try:
                end.connect(str(self._work / name))
            except OSError:
                end.close()
            else:
                return end
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no emulator:\n{(self._work / 'log').read_text(errors='replace')}")
            time.sleep(0.01)

    def command(self, name: str, **arguments: object) -> dict[str, Any]:
        """Ask the emulator itself (QMP)."""
        self._qmp.settimeout(_DEADLINE)
        self._qmp.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self._answers.readline())
            if "error" in answer:
                raise RuntimeError(f"{name}: {answer['error']}")
            if "return" in answer:
                return dict(answer["return"])

    def wait_for_state(self) -> None:
        """Wait until the state has been written, or read."""
        deadline = time.monotonic() + _DEADLINE
        while (status := self.command("query-migrate").get("status")) != "completed":
            if status == "failed" or time.monotonic() > deadline:
                raise RuntimeError(f"no state: {status}\n{(self._work / 'log').read_text(errors='replace')}")
            time.sleep(0.01)

    def tell(self, line: str) -> None:
        """One line for the shell in the guest."""
        self._line.sendall(line.encode() + b"\n")

    def hear(self, word: str, seconds: float = _DEADLINE) -> str:
        """What the guest has written, once there is this word in it; it counts as heard then."""
        deadline = time.monotonic() + seconds
        while word not in self.heard:
            if time.monotonic() > deadline or not self.listen(0.2):
                console = (self._work / "console").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"the guest did not say {word!r}: {self.heard!r}\n{console}")
        before, _, self.heard = self.heard.partition(word)
        return before + word

    def listen(self, seconds: float) -> bool:
        """Take in what the guest writes within that time; False when it has gone."""
        if select.select([self._line], [], [], seconds)[0]:
            piece = self._line.recv(65536)
            self.heard += piece.decode(errors="replace")
            return bool(piece)
        return True

    @property
    def used(self) -> float:
        """Seconds of processor time that it has had: how far the guest has come, however busy this machine is."""
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def kill_when(self, due: Callable[[], bool], end: str) -> None:
        """Cut the power as soon as it is due, or when the guest has said `end`."""
        deadline = time.monotonic() + _DEADLINE
        while not due() and end not in self.heard:
            assert time.monotonic() < deadline, self.heard
            self.listen(0.001)
        self._cut()
        while self.listen(0.5):  # what it had said by then
            pass
        self.kill()


class Saved(NamedTuple):
    """A machine as it was at one moment: its state, its memory, its disks."""

    files: Files
    directory: Path
    disks: tuple[Path, ...]

    def resume(self, work: Path, disks: Sequence[Disk]) -> Emulator:
        """The machine goes on from there, with these disks."""
        memory = f"mem-path={self.directory}/memory,share=off,readonly=on,rom=off"
        incoming = ["-S", "-incoming", "defer", *_drives(self.files, disks)]
        emulator = Emulator(self.files, work, incoming, memory=memory)
        try:
            emulator.command("migrate-incoming", uri=f"file:{self.directory}/state")
            emulator.wait_for_state()
            emulator.command("cont")
        except BaseException:
            emulator.kill()
            raise
        return emulator


def boot(files: Files, work: Path, disks: Sequence[Path]) -> Emulator:
    """A machine that can be saved, once it has booted; `disks` are /dev/vdb and so on, and nothing has opened them."""
    work.mkdir()
    with (work / "memory").open("wb") as memory:
        memory.truncate(_MEMORY)
    kernel = ["-initrd", str(files.initrd), "-append", _KERNEL]
    drives = _drives(files, [Disk(path) for path in disks])
    emulator = Emulator(files, work, [*kernel, *drives], memory=f"mem-path={work}/memory,share=on")
    return _started(emulator, "", "")


def save(files: Files, emulator: Emulator, work: Path, directory: Path, disks: Sequence[Path]) -> Saved:
    """Write down a booted machine as it is now; its disks have everything that was written. It can go on afterwards."""
    directory.mkdir()
    emulator.command("stop")
    emulator.command("migrate", uri=f"file:{directory}/state")
    emulator.wait_for_state()
    copy([work / "memory"], directory)
    copies = copy(disks, directory)
    emulator.command("cont")
    return Saved(files, directory, copies)


def reboot(files: Files, work: Path, disks: Sequence[Path]) -> Emulator:
    """The machine boots again; `disks` are /dev/disk0 and so on."""
    # The root file system by NVMe, which these kernels have built in: no initial RAM disk, a quicker boot. (A machine
    # with NVMe cannot be saved.)
    root = f"node-name=root,driver=file,filename={files.image},read-only=on"
    options = ["-blockdev", root, "-device", "nvme,serial=root,drive=root", "-device", "virtio-scsi-pci"]
    for number, disk in enumerate(disks):
        options += [*Disk(disk).options(f"disk{number}"), "-device", f"scsi-hd,lun={number},drive=disk{number}"]
    kernel = ["-append", f"root=/dev/nvme0n1 rootwait {_KERNEL}"]
    work.mkdir()
    with (work / "memory").open("wb") as memory:
        memory.truncate(_MEMORY)
    emulator = Emulator(files, work, [*kernel, *options], memory=f"mem-path={work}/memory,share=on")
    return _started(emulator, _LINKS % len(disks), "linked\n")


def _started(emulator: Emulator, line: str, answer: str) -> Emulator:
    """Once it has booted, and has answered this line."""
    try:
        emulator.hear("ready\n")
        if line:
            emulator.tell(line)
            emulator.hear(answer)
    except BaseException:
        emulator.kill()
        raise
    return emulator


def _drives(files: Files, disks: Sequence[Disk]) -> list[str]:
    root = f"node-name=root,driver=file,filename={files.image},read-only=on"
    options = ["-blockdev", root, "-device", "virtio-blk-pci,drive=root"]
    for number, disk in enumerate(disks):
        options += [*disk.options(f"disk{number}"), "-device", f"virtio-blk-pci,drive=disk{number}"]
    return options
