"""The audit's service and its timer: what they say, what systemd makes of them, and what they do on real machines."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from msmtp_agent.facts import Elsewhere, Search
from msmtp_agent.survey import sweep
from tests.package_support import AUDIT, TIMER, Boot
from tests.support.roots import ALIASES, LOGROTATE, MSMTPRC, PASSWORD, ROTATION, SECRET, USER, account
from tests.support.sandbox import PROJECT
from tests.support.trees import Machine
from tests.unit_support import dead, relaxed, values

SERVICE = PROJECT / "systemd" / AUDIT
DAILY = PROJECT / "systemd" / TIMER
TEXTFILES = "/var/lib/prometheus/node-exporter"
METRICS = f"{TEXTFILES}/msmtp-config.prom"

# --- what they say


@pytest.mark.parametrize("unit", [SERVICE, DAILY])
def test_no_directive_is_written_twice(unit: Path) -> None:
    assert dead(unit) == set()


def test_every_relaxed_line_has_its_reason() -> None:
    found = relaxed(SERVICE)
    assert found.keys() == {"CapabilityBoundingSet", "ProtectHome", "ReadWritePaths"}
    assert all(comment.startswith("Relaxed") for comment in found.values()), found


def test_it_can_look_and_not_touch() -> None:
    said = values(SERVICE)
    assert said["CapabilityBoundingSet"] == "CAP_DAC_READ_SEARCH"
    assert (said["NoNewPrivileges"], said["PrivateNetwork"]) == ("yes", "yes")
    # Seen through it, every user but root is nobody, and every owner wrong.
    assert "PrivateUsers" not in said


def test_the_metrics_directory_alone_can_be_written() -> None:
    said = values(SERVICE)
    assert said["Environment"] == f"TEXTFILES={TEXTFILES}"
    assert said["ReadWritePaths"] == f"-{TEXTFILES}"


def test_findings_are_not_excused() -> None:
    said = values(SERVICE)
    assert said["ExecStart"] == "/usr/bin/msmtp-config audit"
    assert not {"SuccessExitStatus", "Restart"} & said.keys()


def test_every_search_ends_before_systemd_ends_the_audit() -> None:
    """An audit that is killed says nothing of what it has found."""
    assert values(SERVICE)["TimeoutStartSec"] == "2min"
    searches = sum(isinstance(value, Search) for value in Elsewhere())
    assert searches * sweep._SECONDS_LIVE <= 90


def test_the_timer_is_daily_spread_and_makes_up_for_what_was_missed() -> None:
    said = values(DAILY)
    assert (said["OnCalendar"], said["RandomizedDelaySec"], said["Persistent"]) == ("daily", "1h", "yes")
    assert said["WantedBy"] == "timers.target"
    # A service that could be enabled would also run at every boot.
    assert "WantedBy" not in values(SERVICE)


# --- what systemd makes of them


@pytest.mark.root
@pytest.mark.tree
def test_systemd_finds_nothing_to_say(machine: Machine) -> None:
    done = machine.run(["systemd-analyze", "verify", "--man=no", AUDIT, TIMER])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.root
@pytest.mark.tree
def test_exposure_is_at_most_two_and_a_half(machine: Machine) -> None:
    place = next(place for place in ("/usr/lib", "/lib") if machine.exists(f"{place}/systemd/system/{AUDIT}"))
    unit = f"{place}/systemd/system/{AUDIT}"
    done = machine.run(["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", unit])
    assert done.returncode == 0, done.stdout[-200:]
    assert "Overall exposure level" in done.stdout


# --- what they do on machines that boot

RUN = f"systemctl start {AUDIT} 2>/outcome/start"
GOOD = {
    MSMTPRC: account(),
    SECRET: PASSWORD.decode(),
    ALIASES: f"root: {USER}\ndefault: {USER}\n",
    LOGROTATE: ROTATION,
}
# Debian's node exporter brings the directory with the metrics of other programs in it.
EXPORTER = {f"{TEXTFILES}/apt.prom": "apt_upgrades_pending 0\n"}
# Files that a test gives to a booting machine are 0600.
OPEN = f"chmod 644 {ALIASES} {LOGROTATE}\n"
# 0600 and its owner's: for it, root needs a capability.
CRONTAB = "/var/spool/cron/crontabs/daemon"
THEIRS = f"chown daemon {CRONTAB}\n"


def metrics(machine: Boot) -> dict[str, float]:
    """The samples of the file for the textfile collector."""
    lines = machine.path(METRICS).read_text().splitlines()
    samples = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in samples}


@pytest.mark.root
@pytest.mark.tree
@pytest.mark.slow
class TestBoot:
    """The audit on a machine that boots with it."""

    def test_a_clean_host_passes_and_has_metrics(self, suite: str, tmp_path: Path) -> None:
        with Boot(suite, tmp_path, files={**GOOD, **EXPORTER}, extra=OPEN + RUN, unit=AUDIT) as machine:
            machine.wait()
            assert machine.unit["Result"] == "success", machine.outcome("journal")
            assert AUDIT not in machine.outcome("failed")
            facts = machine.path(METRICS).stat()
            assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o644, 0, 0)
            found = metrics(machine)
            assert found['msmtp_config_audit_findings{root="/",severity="error"}'] == 0
            assert found['msmtp_config_audit_cannot_tell_checks{root="/"}'] == 0
            assert abs(found['msmtp_config_audit_last_run_timestamp_seconds{root="/"}'] - facts.st_mtime) < 60
            assert PASSWORD.decode().strip() not in machine.outcome("journal")

    def test_a_finding_fails_the_unit_and_has_metrics(self, suite: str, tmp_path: Path) -> None:
        extra = f"{OPEN}chmod 644 {SECRET}\n{RUN}"
        with Boot(suite, tmp_path, files={**GOOD, **EXPORTER}, extra=extra, unit=AUDIT) as machine:
            machine.wait()
            assert (machine.unit["ActiveState"], machine.unit["ExecMainStatus"]) == ("failed", "1")
            assert AUDIT in machine.outcome("failed")
            journal = machine.outcome("journal")
            assert "secret-mode" in journal
            assert SECRET in journal
            assert metrics(machine)['msmtp_config_audit_findings{root="/",severity="error"}'] == 1, journal

    def test_other_users_files_are_seen(self, suite: str, tmp_path: Path) -> None:
        files = {**GOOD, CRONTAB: "MAILTO=root\n0 4 * * * true\n"}
        with Boot(suite, tmp_path, files=files, extra=OPEN + THEIRS + RUN, unit=AUDIT) as machine:
            machine.wait()
            assert CRONTAB in machine.outcome("journal")
            assert "cannot tell" not in machine.outcome("journal")

    def test_a_check_that_cannot_tell_fails_the_unit(self, suite: str, tmp_path: Path) -> None:
        """As it would be without the unit's one capability."""
        drop_in = {f"/etc/systemd/system/{AUDIT}.d/test.conf": "[Service]\nCapabilityBoundingSet=\n"}
        files = {**GOOD, **drop_in, CRONTAB: "MAILTO=root\n0 4 * * * true\n"}
        with Boot(suite, tmp_path, files=files, extra=OPEN + THEIRS + RUN, unit=AUDIT) as machine:
            machine.wait()
            assert (machine.unit["ActiveState"], machine.unit["ExecMainStatus"]) == ("failed", "3")
            assert "cannot tell" in machine.outcome("journal").lower()

    def test_without_the_directory_there_are_no_metrics(self, suite: str, tmp_path: Path) -> None:
        with Boot(suite, tmp_path, files=GOOD, extra=OPEN + RUN, unit=AUDIT) as machine:
            machine.wait()
            assert machine.unit["Result"] == "success", machine.outcome("journal")
            assert not machine.exists("/var/lib/prometheus")

    def test_metrics_that_cannot_be_written_fail_the_unit(self, suite: str, tmp_path: Path) -> None:
        extra = f"{OPEN}mkdir {METRICS}\n{RUN}"
        with Boot(suite, tmp_path, files={**GOOD, **EXPORTER}, extra=extra, unit=AUDIT) as machine:
            machine.wait()
            assert machine.unit["ActiveState"] == "failed"
            assert f"{METRICS} is no regular file" in machine.outcome("journal")

    def test_a_host_that_nobody_set_up_is_left_alone(self, suite: str, tmp_path: Path) -> None:
        with Boot(suite, tmp_path, files=EXPORTER, extra=RUN, unit=AUDIT) as machine:
            machine.wait()
            assert (machine.unit["ActiveState"], machine.unit["Result"]) == ("inactive", "success")
            assert AUDIT not in machine.outcome("failed")
            assert not machine.exists(METRICS)

    def test_a_host_that_lost_its_configuration_is_told(self, suite: str, tmp_path: Path) -> None:
        with Boot(suite, tmp_path, files={SECRET: PASSWORD.decode()}, extra=RUN, unit=AUDIT) as machine:
            machine.wait()
            assert machine.unit["ActiveState"] == "failed"
            assert "config-missing" in machine.outcome("journal")

    def test_a_boot_starts_the_timer_and_no_audit(self, suite: str, tmp_path: Path) -> None:
        """Although the host has a finding, it is told in the night, not before an administrator was there."""
        show = f"systemctl show {TIMER} -p ActiveState,NextElapseUSecRealtime >/outcome/timer"
        with Boot(suite, tmp_path, files={MSMTPRC: account()}, extra=show, unit=AUDIT) as machine:
            machine.wait()
            timer = dict(line.split("=", 1) for line in machine.outcome("timer").splitlines())
            assert timer["ActiveState"] == "active"
            assert re.search(r" 00:\d\d:\d\d ", timer["NextElapseUSecRealtime"])
            assert "msmtp-config" not in machine.outcome("journal")
            assert machine.unit["ActiveState"] == "inactive"
            assert machine.outcome("enabled") == "static\n"

    def test_an_installation_starts_the_timer_alone_and_a_removal_ends_it(self, suite: str, tmp_path: Path) -> None:
        active = f"systemctl is-active {TIMER}"
        extra = f"""
            {{
                dpkg --install /package.deb >/outcome/install 2>&1; {active}; systemctl is-enabled {TIMER}
                dpkg --install /package.deb >/outcome/again 2>&1; {active}
                dpkg --remove msmtp-agent >/outcome/removal 2>&1; {active}
            }} </dev/null >/outcome/life
        """
        with Boot(suite, tmp_path, files=GOOD, installed=False, extra=extra, unit=AUDIT) as machine:
            machine.wait()
            told = machine.outcome("install")
            assert machine.outcome("life").split() == ["active", "enabled", "active", "inactive"], told
            assert "msmtp-config" not in machine.outcome("journal")
