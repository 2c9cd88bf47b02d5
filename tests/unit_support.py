"""What a unit file says, and the full set of walls that one of ours stands behind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

# Written more than once, these add up; every other directive written twice means that the first one is dead.
ADD_UP = {"ConditionPathExists", "SystemCallFilter", "ExecStart", "ReadWritePaths"}
# How high each wall can be. A lower one has its reason above it in the unit.
STRICTEST = {
    "CapabilityBoundingSet": "",
    "DevicePolicy": "closed",
    "KeyringMode": "private",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "PrivateDevices": "yes",
    "PrivateIPC": "yes",
    "PrivateMounts": "yes",
    "PrivateTmp": "yes",
    "ProcSubset": "pid",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "ReadWritePaths": "",
    "RemoveIPC": "yes",
    "RestrictAddressFamilies": "none",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
}


def directives(unit: Path) -> list[tuple[str, str, str]]:
    """Name, value, and the comment that stands directly above it, for every line of the unit."""
    found, comment = [], ""
    for line in unit.read_text().splitlines():
        if line.startswith("#"):
            comment += line[1:]
            continue
        if "=" in line:
            name, value = line.split("=", 1)
            found.append((name, value, comment.strip()))
        comment = ""
    return found


def values(unit: Path) -> dict[str, str]:
    """The value of every directive, the last one where it is written more than once."""
    return {name: value for name, value, _ in directives(unit)}


def dead(unit: Path) -> set[str]:
    """The directives of which another line takes the place."""
    times = Counter(name for name, _, _ in directives(unit))
    return {name for name, number in times.items() if number > 1} - ADD_UP


def relaxed(unit: Path) -> dict[str, str]:
    """The comments above the walls that are lower than they can be, or that are not there at all."""
    lines = {name: (value, comment) for name, value, comment in directives(unit)}
    walls = {name: lines.get(name, ("missing", "")) for name in STRICTEST}
    return {name: comment for name, (value, comment) in walls.items() if value != STRICTEST[name]}
