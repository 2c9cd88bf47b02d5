"""The shell helper of old on machines with the installed package: repaired, upgraded, removed and purged."""

from __future__ import annotations

import os

import pytest

from tests.package_support import package
from tests.support.old_helper import COMMAND, HELPER, HELPER_FIRST, SCRIPT
from tests.support.trees import Machine
from tests.support.view import Completed

pytestmark = [pytest.mark.root, pytest.mark.tree]
# As login(1) gives it to root (/etc/login.defs).
ROOT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
REMEDY = [COMMAND, "audit", "--fix", "--only", "sender-helper"]
SECRET = "/etc/msmtp-password"


def as_typed(machine: Machine, *words: str) -> Completed:
    """What root's PATH finds, by a shell."""
    return machine.run(["bash", "-c", '"$@"', "bash", *words], env=ROOT)


@pytest.mark.parametrize("place", [HELPER, HELPER_FIRST])
def test_the_repair_hands_the_name_over(machine: Machine, place: str) -> None:
    machine.write(place, SCRIPT, mode=0o755)
    machine.write(SECRET, "old\n")
    # That is why the remedy names the command in full.
    typed = as_typed(machine, "msmtp-config", "audit", "--fix")
    assert typed.stdout.startswith("Password for the mail of this host\n")
    assert machine.read(SECRET) == b"old\n", "at the end of its input the script stops"
    found = machine.run([COMMAND, "audit", "--only", "sender-helper", "--fail-on", "warning"])
    assert found.returncode == 1
    assert f"fix: {' '.join(REMEDY)}" in found.stdout
    done = machine.run([*REMEDY, "--fail-on", "warning"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert as_typed(machine, "which", "msmtp-config").stdout == f"{place}\n"
    assert as_typed(machine, "msmtp-config", "--version").stdout == machine.run([COMMAND, "--version"]).stdout
    assert os.readlink(machine.path(place)) == COMMAND
    assert machine.exists("/usr/share/doc/msmtp-agent")
    (kept,) = (name for name in machine.listdir(os.path.dirname(place)) if name.endswith(".bak"))
    assert machine.read(f"{os.path.dirname(place)}/{kept}") == SCRIPT.encode()


def test_an_upgrade_keeps_the_link_and_a_removal_leaves_no_command(machine: Machine) -> None:
    machine.write(HELPER, SCRIPT, mode=0o755)
    machine.run(REMEDY, check=True)
    machine.run(["dpkg", "--install", package()], check=True)
    assert as_typed(machine, "msmtp-config", "--version").returncode == 0
    machine.run(["dpkg", "--remove", "msmtp-agent"], check=True)
    assert as_typed(machine, "msmtp-config", "--version").returncode == 127
    machine.run(["dpkg", "--install", package()], check=True)
    assert as_typed(machine, "msmtp-config", "--version").returncode == 0


def test_a_purge_takes_the_link_and_what_a_killed_run_left(machine: Machine) -> None:
    machine.write(HELPER, SCRIPT, mode=0o755)
    machine.run(REMEDY, check=True)
    machine.shell(f"ln -s {COMMAND} /usr/local/bin/.msmtp-config.msmtp-config")
    machine.run(["dpkg", "--purge", "msmtp-agent"], check=True)
    (kept,) = machine.listdir("/usr/local/bin")
    assert machine.read(f"/usr/local/bin/{kept}") == SCRIPT.encode()


@pytest.mark.parametrize("own", ["script", "link"])
def test_a_purge_leaves_what_is_somebodys_own(machine: Machine, own: str) -> None:
    if own == "script":
        machine.write(HELPER, SCRIPT, mode=0o755)
    else:
        machine.path(HELPER).symlink_to("/opt/mine")
    machine.run(["dpkg", "--purge", "msmtp-agent"], check=True)
    assert machine.exists(HELPER)


def test_a_command_that_was_written_over_is_no_command_to_hand_over_to(machine: Machine) -> None:
    """As cloud-init does on a copy of the host that still has the old data: it writes through the link."""
    machine.write(HELPER, SCRIPT, mode=0o755)
    machine.run(REMEDY, check=True)
    machine.path(COMMAND).write_text(SCRIPT)
    audit = ["python3", "-m", "msmtp_agent", "audit", "--only", "sender-helper", "--fail-on", "warning"]
    found = machine.run(audit)
    assert found.returncode == 1
    assert f"{COMMAND}: is a shell script" in found.stdout
    assert "fix: apt-get install --reinstall msmtp-agent" in found.stdout
    machine.run(["dpkg", "--install", package()], check=True)
    assert machine.run(audit).returncode == 0
