"""What an administrator did to the units and the packages around ours, through upgrade, removal, purge and return."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from msmtp_agent import __version__
from msmtp_agent.errors import ExitCode
from tests.package_support import ALIASES, MSMTPRC, SUITES, TIMER, UNIT, installed_layer, package
from tests.support.building import older
from tests.support.installing import LINK, SECRET, TIMER_LINK, Snapshot, apt, changed, configure, snapshot
from tests.support.trees import Machine

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow]
UNITS = "/etc/systemd/system"
SHIPPED = "/usr/lib/systemd/system"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The previous release."""
    return older(package(), tmp_path_factory.mktemp("older"))


@pytest.fixture(params=SUITES)
def machine(request: pytest.FixtureRequest, tmp_path: Path, old: Path) -> Iterator[Machine]:
    """A configured machine of each distribution, without the package."""
    with Machine(request.param, tmp_path, share=[package(), old]) as view:
        mail(view)
        yield view


@pytest.fixture(params=SUITES)
def installed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A configured machine of each distribution, with the package."""
    with Machine(request.param, tmp_path, over=installed_layer(request.param)) as view:
        mail(view)
        configure(view)
        yield view


def mail(view: Machine) -> None:
    """What a host's mail is configured by."""
    view.write("/etc/msmtprc", MSMTPRC.format(port=587, trust="/etc/ssl/certs/ca-certificates.crt"))
    view.write("/etc/aliases", ALIASES, mode=0o644)


def units(machine: Machine) -> Snapshot:
    """Everything that an administrator has decided about units."""
    return snapshot(machine, UNITS)


def shipped(machine: Machine) -> dict[str, bytes]:
    """Our units as the package brings them."""
    return {name: machine.read(f"{SHIPPED}/{name}") for name in machine.listdir(SHIPPED) if name.startswith("msmtp-c")}


def enabled(machine: Machine, unit: str) -> str:
    return machine.run(["systemctl", "is-enabled", unit]).stdout.strip()


def test_what_an_administrator_wrote_about_the_units_stays(machine: Machine, old: Path) -> None:
    """A drop-in, a whole unit of their own, a masked timer: through upgrade, removal, return, purge and return."""
    apt(machine, "install", old)
    before = shipped(machine)
    machine.write(
        f"{UNITS}/{UNIT}.d/credential.conf", "[Service]\nLoadCredentialEncrypted=msmtp.password\n", mode=0o644
    )
    machine.write(f"{UNITS}/msmtp-config-audit.service", "[Service]\nType=oneshot\nExecStart=/bin/true\n", mode=0o644)
    machine.run(["systemctl", "mask", TIMER], check=True)
    theirs = units(machine)
    for returning in (False, True):
        if returning:
            apt(machine, "remove", "msmtp-agent")
        apt(machine, "install", package())
        assert changed(theirs, units(machine)) == set()
        assert enabled(machine, TIMER) == "masked"
        assert enabled(machine, UNIT) == "enabled"
    # The files are the new release's, not the ones that were there.
    after = shipped(machine)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in after)
    apt(machine, "purge", "msmtp-agent")
    ours = {name for name in theirs if name.endswith((f"wants/{UNIT}", f"wants/{TIMER}"))}
    assert changed(theirs, units(machine)) == ours
    assert shipped(machine) == {}
    apt(machine, "install", package())
    # What is masked is not enabled anew.
    assert changed(theirs, units(machine)) == {TIMER_LINK}
    assert enabled(machine, TIMER) == "masked"


def test_switched_off_stays_off_and_on_again_stays_on(machine: Machine, old: Path) -> None:
    apt(machine, "install", old)
    machine.run(["systemctl", "disable", UNIT, TIMER], check=True)
    apt(machine, "install", package())
    assert (enabled(machine, UNIT), enabled(machine, TIMER)) == ("disabled", "disabled")
    machine.run(["systemctl", "enable", TIMER], check=True)
    apt(machine, "install", "--reinstall", package())
    assert (enabled(machine, UNIT), enabled(machine, TIMER)) == ("disabled", "enabled")
    # Removed and installed again is what it was; purged and installed again is as new.
    apt(machine, "remove", "msmtp-agent")
    apt(machine, "install", package())
    assert not machine.exists(LINK)
    assert machine.exists(TIMER_LINK)
    apt(machine, "purge", "msmtp-agent")
    apt(machine, "install", package())
    assert machine.exists(LINK)
    assert machine.exists(TIMER_LINK)


def test_back_after_a_purge(machine: Machine) -> None:
    before = snapshot(machine)
    for _ in range(2):
        apt(machine, "install", package())
        configure(machine)
        assert machine.run(["dpkg", "--verify", "msmtp-agent"], check=True).stdout == ""
        assert machine.run(["dpkg", "--audit"], check=True).stdout == ""
        apt(machine, "purge", "msmtp-agent")
        assert changed(before, snapshot(machine)) == set()


PURGES = {
    # apt takes along what depends on it.
    "msmtp first": [("purge", "msmtp")],
    "us first": [("purge", "msmtp-agent"), ("purge", "msmtp")],
    "us removed, msmtp purged, us purged": [("remove", "msmtp-agent"), ("purge", "msmtp"), ("purge", "msmtp-agent")],
}


@pytest.mark.parametrize("steps", PURGES.values(), ids=PURGES.keys())
def test_msmtp_and_us_go_in_any_order(installed: Machine, steps: list[tuple[str, ...]]) -> None:
    ours = snapshot(installed)
    for step in steps:
        apt(installed, *step)
    gone = {name for name in changed(ours, snapshot(installed)) if "msmtp" in name}
    assert {SECRET, "/etc/msmtprc", LINK, TIMER_LINK} <= gone
    left = [line for line in installed.run(["dpkg-query", "-W"]).stdout.splitlines() if line.startswith("msmtp")]
    assert left == []
    ours_by_name = [word for name in ("*msmtp-config*", "*msmtp_agent*") for word in ("-o", "-path", name)]
    places = ["/etc", "/usr", "/run", "/var/lib", "/var/log"]
    assert installed.run(["find", *places, *ours_by_name[1:]], check=True).stdout == ""


def test_msmtp_is_taken_by_force_and_we_still_go(installed: Machine) -> None:
    """Nothing in our scripts needs msmtp, or Python's part of us."""
    installed.run(["dpkg", "--purge", "--force-depends", "msmtp-mta", "msmtp"], check=True)
    done = installed.run(["msmtp-config", "--offline", "--password-stdin"], stdin=b"other")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert "apt install msmtp msmtp-mta" in done.stderr
    assert installed.read(SECRET) == b"canary\n"
    installed.run(["dpkg", "--purge", "msmtp-agent"], check=True)
    assert not installed.exists(SECRET)


def test_without_msmtp_mta(machine: Machine) -> None:
    """The main job works; what programs that call sendmail then lack is said, with the line that brings it."""
    apt(machine, "remove", "msmtp-mta")
    apt(machine, "install", package())
    assert not os.path.lexists(machine.path("/usr/sbin/sendmail"))
    configure(machine)
    done = machine.run(["msmtp-config", "audit", "--only", "sender-sendmail"])
    assert done.returncode == 1, done.stdout + done.stderr
    assert "/usr/sbin/sendmail" in done.stdout
    assert "apt-get install msmtp-mta" in done.stdout
    assert machine.run(["msmtp-config", "--version"]).stdout == f"msmtp-config {__version__}\n"
