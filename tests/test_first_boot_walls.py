"""The walls around the units, tried from the inside on systems that boot, and with each of them taken away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tests.support.probe
from tests.package_support import AUDIT, UNIT, Boot
from tests.support.roots import MSMTPRC, account
from tests.support.sandbox import PROJECT
from tests.unit_support import STRICTEST, directives

TEXTFILES = "/var/lib/prometheus/node-exporter"
RUN_PROBE = f"/usr/bin/python3 -I -S /probe.py {TEXTFILES}"
UNITS = {"job": UNIT, "audit": AUDIT}
WALLS = {*STRICTEST, "SystemCallFilter", "SystemCallErrorNumber", "LimitCORE", "NoNewPrivileges", "PrivateNetwork"}
EPERM, EROFS, EAFNOSUPPORT, ENOENT, SIGSYS = 1, 30, 97, 2, 31

# What the probe finds in the job's sandbox, and where the audit's differs.
JOB = {
    "capabilities": ["", "", ""],
    # With it, msmtp under its AppArmor profile cannot start its secret command.
    "no new privileges": "0",
    "a filter of system calls": "2",
    "chown": EPERM,
    "priority": EPERM,
    "personality": EPERM,
    "32-bit calls": -SIGSYS,
    "user namespace": EPERM,
    "writable code": False,
    "set-uid file": EPERM,
    "realtime": EPERM,
    "host name": EPERM,
    "AF_NETLINK": EAFNOSUPPORT,
    "AF_PACKET": EAFNOSUPPORT,
    "AF_INET": 0,
    "AF_UNIX": 0,
    "umask": 0o77,
    "core": [1, 1],
    "/proc": ["hidepid=invisible", "subset=pid"],
    "tunables": ENOENT,
    "modules": False,
    "devices of the host": False,
    "temporary files of others": False,
    "control groups": EROFS,
    "what can be written": ["/etc", "/var/log", "/tmp"],
    "namespaces": ["ipc", "mnt", "uts"],
}
AUDITS = {
    **JOB,
    "capabilities": ["4", "4", "4"],  # CAP_DAC_READ_SEARCH
    "no new privileges": "1",
    "AF_INET": EAFNOSUPPORT,
    "AF_UNIX": EAFNOSUPPORT,
    "what can be written": ["/tmp", TEXTFILES],
    "namespaces": ["ipc", "mnt", "net", "uts"],
}
FOUND = {"job": JOB, "audit": AUDITS}

# Which of them falls with which line of the unit, all others staying.
FALLS = {
    "CapabilityBoundingSet": "capabilities",
    "LimitCORE": "core",
    "LockPersonality": "personality",
    "MemoryDenyWriteExecute": "writable code",
    "PrivateDevices": "devices of the host",
    "PrivateIPC": "namespaces",
    "PrivateTmp": "temporary files of others",
    "ProcSubset": "/proc",
    "ProtectControlGroups": "control groups",
    "ProtectHome": "what can be written",
    "ProtectHostname": "namespaces",
    "ProtectKernelModules": "modules",
    "ProtectProc": "/proc",
    "ProtectSystem": "what can be written",
    "ReadWritePaths": "what can be written",
    "RestrictAddressFamilies": "AF_NETLINK",
    "RestrictNamespaces": "user namespace",
    "RestrictSUIDSGID": "set-uid file",
    "SystemCallArchitectures": "32-bit calls",
    "SystemCallFilter": "chown",
    "UMask": "umask",
}
AUDIT_FALLS = {**FALLS, "NoNewPrivileges": "no new privileges", "PrivateNetwork": "namespaces"}
# What another line keeps out as well: such a line does so alone, and without any line nothing does.
ALONE: dict[str, tuple[str, object]] = {
    "PrivateMounts": ("namespaces", ["mnt"]),
    "ProtectKernelTunables": ("tunables", EROFS),
    "RestrictRealtime": ("realtime", EPERM),
}
# Their effect cannot be seen here: a container may not set the clock, read the kernel's log or load the filter of
# devices anyway, the keyring is private by default, and only users other than root leave objects of System V behind.
UNSEEN = {"DevicePolicy", "KeyringMode", "ProtectClock", "ProtectKernelLogs", "RemoveIPC"}
# Without it, the first refused call kills, and nothing is said.
FATAL = "SystemCallErrorNumber"


def falls(kind: str) -> dict[str, str]:
    return AUDIT_FALLS if kind == "audit" else FALLS


def lines(kind: str) -> list[tuple[str, str]]:
    """The walls of a unit, as it says them."""
    return [(name, value) for name, value, _ in directives(PROJECT / "systemd" / UNITS[kind]) if name in WALLS]


def variant(kind: str, kept: set[str]) -> str:
    """Some of the walls of a unit around the probe alone."""
    walls = "".join(f"{name}={value}\n" for name, value in lines(kind) if name in kept)
    return f"[Service]\nType=oneshot\n{walls}StandardOutput=truncate:/outcome/%N\nExecStart={RUN_PROBE}\n"


def variants() -> dict[str, str]:
    """Every unit without each of its lines, with one alone, and with none."""
    found = {}
    for kind in UNITS:
        every = {name for name, _ in lines(kind)}
        found[f"{kind}-bare"] = variant(kind, set())
        found |= {f"{kind}-less-{name}": variant(kind, every - {name}) for name in (*falls(kind), FATAL)}
        found |= {f"{kind}-only-{name}": variant(kind, {name}) for name in ALONE}
    return found


def probed(text: str) -> dict[str, object] | None:
    """What the last probe said; None where it was killed before."""
    said = [line for line in text.splitlines() if line.startswith("probe ")]
    found: dict[str, object] | None = json.loads(said[-1].removeprefix("probe ")) if said else None
    return found


@pytest.mark.parametrize("kind", UNITS)
def test_every_line_is_tried(kind: str) -> None:
    assert {name for name, _ in lines(kind)} == {*falls(kind), *ALONE, *UNSEEN, FATAL}


@pytest.mark.root
@pytest.mark.tree
@pytest.mark.slow
def test_the_walls_stand_and_each_would_be_missed(suite: str, tmp_path: Path) -> None:
    others = variants()
    files = {
        "/probe.py": Path(tests.support.probe.__file__).read_text(),
        MSMTPRC: account(),
        "/usr/lib/modules/marker": "",
        f"{TEXTFILES}/apt.prom": "",
        **{f"/etc/systemd/system/{name}.service": text for name, text in others.items()},
        **{
            f"/etc/systemd/system/{unit}.d/test.conf": f"[Service]\nExecStartPre={RUN_PROBE}\n"
            for unit in UNITS.values()
        },
    }
    # The units themselves, with the probe in front of what they do; then all the others at once.
    extra = f"""
        touch /dev/marker /tmp/marker
        for kind in ipc mnt net uts; do readlink /proc/1/ns/$kind; done >/outside
        for unit in {" ".join(UNITS.values())}; do systemctl start $unit; record $unit- $unit; done
        systemctl start {" ".join(others)}
    """
    with Boot(suite, tmp_path, files=files, extra=extra, options=["--private-network"]) as machine:
        machine.wait()
        for kind, unit in UNITS.items():
            real = FOUND[kind]
            assert probed(machine.outcome(f"{unit}-journal")) == real, kind
            bare = probed(machine.outcome(f"{kind}-bare"))
            assert bare is not None
            for directive, wall in falls(kind).items():
                fallen = probed(machine.outcome(f"{kind}-less-{directive}"))
                assert fallen is not None, (kind, directive)
                assert fallen[wall] != real[wall], (kind, directive)
                assert fallen["a filter of system calls"] == real["a filter of system calls"], (kind, directive)
            for directive, (wall, value) in ALONE.items():
                alone = probed(machine.outcome(f"{kind}-only-{directive}"))
                assert alone is not None, (kind, directive)
                assert (alone[wall], bare[wall] != value) == (value, True), (kind, directive)
            assert probed(machine.outcome(f"{kind}-less-{FATAL}")) is None
