"""apt on a throw-away machine, and what a step of the package's life changes there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tests.package_support import TIMER, UNIT
from tests.support.trees import Machine
from tests.support.view import Completed

SECRET = "/etc/msmtp-password"
LINK = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"
TIMER_LINK = f"/etc/systemd/system/timers.target.wants/{TIMER}"


def apt(machine: Machine, *arguments: str | Path) -> Completed:
    """apt as a person types it, with DEBIAN_FRONTEND unset and standard input closed: a question would end it."""
    script = 'exec apt-get --yes --no-install-recommends "$@" <&-'
    done = machine.run(["sh", "-c", script, "apt", *arguments], timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def configure(machine: Machine) -> None:
    """The unattended main job without a network."""
    done = machine.run(["msmtp-config", "--offline", "--password-stdin"], stdin=b"canary")
    assert done.returncode == 0, done.stderr
    assert machine.read(SECRET) == b"canary\n"


Snapshot = dict[str, tuple[int, int, int, bytes]]


def snapshot(machine: Machine, *places: str) -> Snapshot:
    """Mode, owner, and content of every file below some directories."""
    found: Snapshot = {}
    for place in places or ("/etc", "/root"):
        root = machine.path(place)
        for directory, subdirectories, files in os.walk(root):
            for name in (*subdirectories, *files):
                path = Path(directory, name)
                facts = path.lstat()
                content = b""
                if stat.S_ISLNK(facts.st_mode):
                    content = os.fsencode(os.readlink(path))
                elif stat.S_ISREG(facts.st_mode):
                    content = path.read_bytes()
                found[f"{place}/{path.relative_to(root)}"] = (facts.st_mode, facts.st_uid, facts.st_gid, content)
    return found


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
