"""What an installation brings onto the smallest Debian: no desktop, nothing big, and enough to work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from msmtp_agent import __version__
from tests.package_support import ALIASES, MSMTPRC, SUITES, package
from tests.support.installing import apt, configure
from tests.support.trees import Machine

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow]
# Sections of the archive, and the names of what a desktop is made of (its libraries are all in `libs`).
_SECTIONS = {"x11", "gnome", "kde", "xfce", "graphics", "sound", "video", "fonts", "games", "web", "editors", "httpd"}
_NAMES = re.compile(
    r"lib(?:x11|xcb|xext|gtk|gdk|qt|wayland|gl[0-9x]|mesa|drm|cairo|pango|pulse|asound)|x11-|xserver|gnome|gvfs|dconf"
    r"|gsettings|at-spi|adwaita|hicolor|fonts-|mesa|dbus-user-session|polkit|python3-gi|python3-tk|gcc|build-essential"
)
_MEGABYTES = {"bookworm": 130, "trixie": 150}


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """Each distribution."""
    return str(request.param)


@pytest.fixture
def bare(suite: str, tmp_path: Path) -> Iterator[Machine]:
    """A Debian with apt and little else: no systemd, no Python, no msmtp. It carries an archive of what we need."""
    with Machine(f"{suite}-bare", tmp_path, share=[package()]) as machine:
        machine.shell("rm -f /etc/apt/sources.list.d/*")
        machine.write("/etc/apt/sources.list", "deb [trusted=yes] file:/srv/packages ./\n", mode=0o644)
        machine.shell("apt-get --quiet update")
        yield machine


def pulled(machine: Machine, *options: str) -> dict[str, tuple[str, int]]:
    """What apt would install: section and kilobytes by name, ours left out."""
    done = machine.run(["apt-get", "--simulate", *options, "install", package()], check=True)
    names = set(re.findall(r"^Inst (\S+)", done.stdout, re.MULTILINE)) - {"msmtp-agent"}
    shown = machine.run(["apt-cache", "show", "--no-all-versions", *sorted(names)], check=True).stdout
    found = {}
    for stanza in shown.strip().split("\n\n"):
        fields = dict(re.findall(r"^(Package|Section|Installed-Size): (.*)$", stanza, re.MULTILINE))
        found[fields["Package"]] = (fields["Section"], int(fields["Installed-Size"]))
    assert found.keys() == names
    return found


@pytest.mark.parametrize("options", [("--no-install-recommends",), ("--install-recommends",)], ids=["needed", "usual"])
def test_no_desktop_comes_along(suite: str, bare: Machine, options: tuple[str, ...]) -> None:
    found = pulled(bare, *options)
    assert {"python3-typer", "python3-rich", "python3-yaml", "python3-jsonschema", "msmtp"} <= found.keys()
    assert {name for name, (section, _) in found.items() if section.rpartition("/")[2] in _SECTIONS} == set()
    assert {name for name in found if _NAMES.match(name)} == set()
    assert ("msmtp-mta" in found) == ("--install-recommends" in options)
    assert sum(size for _, size in found.values()) < _MEGABYTES[suite] * 1024


def test_what_is_needed_is_enough(bare: Machine) -> None:
    """No systemd, no msmtp-mta, no certificates: it installs, works, says what is missing, and its files are whole."""
    apt(bare, "install", package(), "debsums")
    assert not bare.exists("/usr/sbin/sendmail")
    bare.write("/etc/aliases", ALIASES, mode=0o644)
    bare.write("/etc/msmtprc", MSMTPRC.format(port=587, trust="/etc/ssl/certs/ca-certificates.crt"))
    configure(bare)
    assert bare.run(["msmtp-config", "--version"]).stdout == f"msmtp-config {__version__}\n"
    said = bare.run(["msmtp-config", "audit"]).stdout
    assert "apt-get install msmtp-mta" in said
    assert "ca-certificates" in said
    sums = bare.run(["debsums", "msmtp-agent"], check=True).stdout.splitlines()
    assert len(sums) > 50
    assert all(line.endswith(" OK") for line in sums)
    assert bare.run(["debsums", "--all", "--changed"]).stdout.splitlines() == []
