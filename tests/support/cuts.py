"""The main job on a disk whose power is cut: the machine, the moments, and what the disk may hold afterwards.

Two moments of one booted machine are saved: before the jobs start, and when each has read its configuration and waits
for the password. Every run goes on from there, and ends by being killed. After it the disk holds what was written
(`kept`); a disk with a volatile cache might hold less (`lost`, `torn`), which is made from the log of its requests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support import crashed, power, power_disks, vm
from tests.support.account import MSMTPRC, SECRET, account
from tests.support.crashed import File, Found, Image
from tests.support.peer import Peer

OLD, NEW = "the old secret", "the new secret"
TEMPORARY = "/etc/.msmtp-password.msmtp-config"
LOG = "/var/log/msmtp.log"
RIGHTS = "100600 0:0"
USER, ADMIN = "alerts@example.test", "operator@example.test"
JOB = "msmtp-config --password-stdin"
STORED = re.compile(r"passed +store .*\n")
# What mke2fs of each Debian gives a new file system, as far as they differ.
FEATURES = {"bookworm": "^metadata_csum_seed,^orphan_file", "trixie": "metadata_csum_seed,orphan_file"}
# Cuts of each case: before the password is read, by processor time from there on, and by requests to the disk once the
# server has accepted the password; and one as soon as it is told to be stored.
EARLY, BY_TIME, BY_REQUEST = 1, 5, 6


class Case(NamedTuple):
    """A disk: how it is mounted, and whether a password is stored on it; its place among the machine's disks."""

    slot: int
    options: str
    present: bool

    @property
    def device(self) -> str:
        return f"/dev/vd{'bcde'[self.slot]}"

    @property
    def old(self) -> File | None:
        return File(RIGHTS, f"{OLD}\n".encode()) if self.present else None

    def __str__(self) -> str:
        return f"{self.options}, {'a rotation' if self.present else 'the first password'}"


CASES = [
    Case(0, "defaults", present=True),
    Case(1, "defaults", present=False),
    Case(2, "data=writeback", present=True),
    Case(3, "data=writeback", present=False),
]
WANTED = File(RIGHTS, f"{NEW}\n".encode())


class Moment(NamedTuple):
    """When the emulator is killed: after so much processor time, after so many requests, else once told of `store`."""

    case: Case
    name: str
    early: bool = False
    used: float = 0.0
    requests: int = 0


class Cut(NamedTuple):
    """A disk after a power cut: its image, and what the job had said by then."""

    moment: Moment
    image: Path
    done: Sequence[crashed.Write]
    said: str

    @property
    def case(self) -> Case:
        return self.moment.case

    @property
    def stored(self) -> bool:
        """Whether somebody was told that the password is stored."""
        return STORED.search(self.said) is not None

    def __str__(self) -> str:
        return f"{self.case}: {self.moment.name}, after {len(self.done)} requests"


class Whole(NamedTuple):
    """A run without a cut: its requests, how many there were when it told of `probe` and of `store`, its time."""

    case: Case
    done: Sequence[crashed.Write]
    probed: int
    stored: int
    used: float


class Bench:
    """A booted machine, and the runs that go on from it."""

    def __init__(self, suite: str, work: Path, peer: Peer) -> None:
        self.suite, self.work, self.peer = suite, work, peer
        self.files = power_disks.make_files(suite, work, peer.netns)
        disks = [self._disk(case) for case in CASES]
        with power.boot(self.files, work / "first", disks) as emulator:
            self.starting = power.save(self.files, emulator, work / "first", work / "starting", disks)
            begun = emulator.used
            for case in CASES:
                emulator.tell(self.start(case))
                emulator.hear("config ")
                emulator.hear("\n")
            emulator.tell("sync; echo synced")
            emulator.hear("synced\n")
            self.used = (emulator.used - begun) / len(CASES)
            self.waiting = power.save(self.files, emulator, work / "first", work / "waiting", disks)

    def _disk(self, case: Case) -> Path:
        path = self.work / f"disk{case.slot}"
        files = {**self.host_files(vm.HOST), **({SECRET: f"{OLD}\n"} if case.present else {})}
        power_disks.make_disk(path, self.files.host, files, features=FEATURES[self.suite])
        return path

    def host_files(self, server: str) -> dict[str, str]:
        """What the job finds, where the mail server has this address."""
        settings = {"host": vm.MAIL, "user": USER, "from": USER}
        return {
            MSMTPRC: account(self.peer.ports["starttls"], Path("/etc/test-ca.pem"), **settings),
            "/etc/aliases": f"root: {ADMIN}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n{server} {vm.MAIL}\n",
            "/etc/test-ca.pem": self.peer.ca_file.read_text(),
        }

    @staticmethod
    def start(case: Case, job: str = JOB) -> str:
        """The line that starts the job; it goes on when its password is written to a pipe."""
        pipe = f"/tmp/{case.slot}"
        return f"mkfifo {pipe}; cat {pipe} | unshare --mount sh /job {case.device} {case.options} {job} &"

    def go(self, saved: power.Saved, case: Case, name: str, job: str = JOB) -> tuple[power.Emulator, Path, crashed.Log]:
        """A machine in which this one job goes on, or starts; its disk, and the log of that."""
        run = self.work / f"{case.slot} {name}".replace(" ", "-")
        run.mkdir()
        power_disks.copy(saved.disks, run)
        disks = [
            power_disks.Disk(run / base.name, run / "requests" if number == case.slot else None)
            for number, base in enumerate(saved.disks)
        ]
        emulator = saved.resume(run, disks)
        if saved is self.starting:
            emulator.tell(self.start(case, job))
        emulator.tell(f"echo {NEW} >/tmp/{case.slot}")
        return emulator, disks[case.slot].image, crashed.Log(run / "requests")

    def whole(self, case: Case) -> Whole:
        """A run to its end, and until everything is written."""
        emulator, _, log = self.go(self.waiting, case, "whole")
        with emulator:
            begun = emulator.used
            emulator.hear("probe ")
            probed = log.count()
            emulator.hear("store ")
            emulator.hear("\n")
            stored = log.count()
            emulator.hear("ended ")
            said = emulator.hear("\n")
            used = emulator.used - begun
            emulator.tell("sync; echo synced")
            emulator.hear("synced\n")
        assert said == "0\n", said
        return Whole(case, log.read(), probed, stored, used)

    def cut(self, moment: Moment) -> Cut:
        """Kill the emulator at this moment."""
        case = moment.case
        saved = self.starting if moment.early else self.waiting
        emulator, image, log = self.go(saved, case, moment.name)
        begun, probed = emulator.used, 0

        def due() -> bool:
            nonlocal probed
            if moment.used:
                return emulator.used - begun >= moment.used
            if moment.requests:
                if "probe " not in emulator.heard:
                    probed = log.count()
                return log.count() >= probed + moment.requests
            return STORED.search(emulator.heard) is not None

        with emulator:
            emulator.kill_when(due, "ended ")
        for other in image.parent.glob("disk?"):
            if other != image:
                other.unlink()
        return Cut(moment, image, log.read(), emulator.heard)


class Seen(NamedTuple):
    """What a boot found on a disk."""

    label: str
    case: Case
    stored: bool
    found: Found


def runs(bench: Bench, case: Case) -> tuple[Whole, list[Cut]]:
    """One whole run, then the cuts."""
    whole = bench.whole(case)
    moments = [Moment(case, "told")]
    for part in range(1, EARLY + 1):
        moments.append(Moment(case, f"early {part}", early=True, used=bench.used * part / (EARLY + 1)))
    for part in range(BY_TIME):
        moments.append(Moment(case, f"time {part}", used=whole.used * (part + 0.5) / BY_TIME))
    for part in range(BY_REQUEST):
        requests = 1 + part * (whole.stored - whole.probed - 1) // (BY_REQUEST - 1)
        moments.append(Moment(case, f"request {part}", requests=max(1, requests)))
    return whole, [bench.cut(moment) for moment in moments]


class Possible(NamedTuple):
    """A disk as it may be after a cut, and whether somebody had been told that the password is stored."""

    label: str
    case: Case
    stored: bool
    image: Image


def disks_of_cut(bench: Bench, cut: Cut, seed: int) -> Iterator[Possible]:
    """All that was done is there, or nothing that was not flushed, or some of that."""
    base = (bench.starting if cut.moment.early else bench.waiting).disks[cut.case.slot]
    yield Possible(f"{cut}, kept", cut.case, cut.stored, Image(cut.image))
    yield Possible(f"{cut}, lost", cut.case, cut.stored, crashed.lost(base, cut.done))
    yield Possible(f"{cut}, torn", cut.case, cut.stored, crashed.torn(base, cut.done, seed))


def disks_of_whole(base: Path, whole: Whole) -> Iterator[Possible]:
    """The same for a cut after each request, what was lost apart: that is what was kept at the flush before."""
    for count in range(1, len(whole.done) + 1):
        done, label, stored = whole.done[:count], f"{whole.case}: request {count}", count >= whole.stored
        yield Possible(f"{label}, kept", whole.case, stored, crashed.kept(base, done))
        if not done[-1].flush:
            yield Possible(f"{label}, torn", whole.case, stored, crashed.torn(base, done, count))


def look(bench: Bench, disk: Possible) -> Seen:
    """What a boot makes of it."""
    path = bench.work / f"look {disk.label}"
    disk.image.put(path)
    try:
        return Seen(disk.label, disk.case, disk.stored, crashed.recovered(path, SECRET, TEMPORARY, LOG))
    finally:
        path.unlink()
