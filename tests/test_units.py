"""The systemd unit: what it says, what systemd makes of it, and what it does on machines that really boot."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from msmtp_agent.errors import ExitCode
from tests.package_support import ALIASES, MSMTPRC, SUITES, UNIT, Boot
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT
from tests.support.smtpd import Smtpd
from tests.support.trees import Machine
from tests.unit_support import dead, relaxed, values

SOURCE = PROJECT / "systemd" / UNIT
SECRET = "/etc/msmtp-password"
CANARY = "canary-6f1d pass%word"


# --- what the unit says


def test_no_directive_is_written_twice() -> None:
    assert dead(SOURCE) == set()


def test_no_new_privileges_stays_out() -> None:
    """With it, msmtp under its AppArmor profile cannot start its secret command."""
    assert "NoNewPrivileges" not in values(SOURCE)


def test_every_relaxed_line_has_its_reason() -> None:
    found = relaxed(SOURCE)
    assert found.keys() == {"ProtectHome", "ReadWritePaths", "RestrictAddressFamilies"}
    assert all(comment.startswith("Relaxed") for comment in found.values()), found


def test_what_waiting_does_not_heal_is_not_retried() -> None:
    lines = values(SOURCE)
    final = {int(number) for number in lines["RestartPreventExitStatus"].split()}
    healed = {ExitCode.OK, ExitCode.TEMPFAIL, ExitCode.IO}
    interrupted = {ExitCode.HANGUP, ExitCode.INTERRUPTED, ExitCode.QUIT, ExitCode.TERMINATED}
    assert set(ExitCode) - {ExitCode.CANNOT_TELL} - healed - interrupted <= final  # 3 is the audit's alone
    assert not final & healed
    assert lines["Restart"] == "on-failure"


def test_the_mark_of_a_failed_attempt_is_in_the_manual() -> None:
    (mark,) = (line[1:] for line in SOURCE.read_text().split("ConditionPathExists=")[1:] if line.startswith("|/var"))
    assert f".It Pa {mark.splitlines()[0]}\n" in (PROJECT / "docs/msmtp-config.8").read_text()


# --- what systemd makes of it


@pytest.mark.root
@pytest.mark.tree
def test_systemd_finds_nothing_to_say(machine: Machine) -> None:
    done = machine.run(["systemd-analyze", "verify", "--man=no", UNIT])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.root
@pytest.mark.tree
def test_exposure_is_at_most_two(machine: Machine) -> None:
    file = next(place for place in ("/usr/lib", "/lib") if machine.exists(f"{place}/systemd/system/{UNIT}"))
    unit = f"{file}/systemd/system/{UNIT}"
    done = machine.run(["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit])
    assert done.returncode == 0, done.stdout[-200:]
    assert "Overall exposure level" in done.stdout


# --- what it does on machines that boot


def host_files(port: int, pki: Pki, *, restart: str = "1s", burst: int = 3) -> dict[str, str]:
    """A configured host, and a unit that is as patient as a test."""
    drop_in = f"[Unit]\nStartLimitBurst={burst}\n[Service]\nRestartSec={restart}\n"
    return {
        "/etc/msmtprc": MSMTPRC.format(port=port, trust="/etc/ssl/test-ca.pem"),
        "/etc/aliases": ALIASES,
        "/etc/ssl/test-ca.pem": pki.ca_file.read_text(),
        f"/etc/systemd/system/{UNIT}.d/test.conf": drop_in,
    }


@contextmanager
def mail_server(pki: Pki, password: str) -> Iterator[Smtpd]:
    """A server that knows the account of MSMTPRC with this password."""
    users = {"sender@example.org": password.encode()}
    with Smtpd(users, cert=pki.certificate(), key=pki.key()) as server:
        yield server


@contextmanager
def shut_port() -> Iterator[int]:
    """A port that refuses every connection: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.mark.root
@pytest.mark.tree
@pytest.mark.slow
class TestBoot:
    """The unit on a machine that boots with it; what a credential becomes is told in test_first_boot.py."""

    def test_a_machine_that_cannot_boot_is_a_failure(self, tmp_path: Path) -> None:
        with (
            Boot(SUITES[-1], tmp_path, options=["--no-such-option"]) as machine,
            pytest.raises(AssertionError, match=r"no outcome:(?s:.*)no-such-option"),
        ):
            machine.wait()

    def test_an_unproven_password_is_tried_again_until_it_is_proven(self, suite: str, tmp_path: Path, pki: Pki) -> None:
        """systemd 252 asks the unit's conditions again at an automatic restart, 257 does not."""
        with shut_port() as shut, mail_server(pki, CANARY) as server:
            # The server turns up once the first attempt has stored the password.
            heal = f"while ! [ -e {SECRET} ]; do sleep 0.1; done; sed -i s/{shut}/{server.port}/ /etc/msmtprc"
            with Boot(suite, tmp_path, files=host_files(shut, pki), credential=CANARY, extra=heal) as machine:
                machine.wait()
                assert machine.unit["Result"] == "success", machine.outcome("journal")
                assert machine.unit["ActiveState"] == "inactive"
                assert machine.attempts == 2
                assert machine.path(SECRET).read_text() == f"{CANARY}\n"
            assert len(server.messages) == 1

    def test_a_server_that_stays_away_is_given_up(self, suite: str, tmp_path: Path, pki: Pki) -> None:
        with shut_port() as shut:
            files = host_files(shut, pki, burst=3)
            with Boot(suite, tmp_path, files=files, credential=CANARY) as machine:
                machine.wait()
                assert machine.unit["ActiveState"] == "failed"
                assert machine.attempts == 3, machine.outcome("journal")
                assert UNIT in machine.outcome("failed")
                assert machine.path(SECRET).read_text() == f"{CANARY}\n"

    def test_a_password_that_somebody_stores_between_attempts_stands(
        self, suite: str, tmp_path: Path, pki: Pki
    ) -> None:
        theirs = f"while ! [ -e {SECRET} ]; do sleep 0.1; done; sleep 1; echo theirs >{SECRET}"
        with shut_port() as shut:
            files = host_files(shut, pki, restart="4s")
            with Boot(suite, tmp_path, files=files, credential=CANARY, extra=theirs) as machine:
                machine.wait()
                assert machine.attempts == 1
                assert machine.unit["ActiveState"] == "inactive", machine.outcome("journal")
                assert machine.path(SECRET).read_text() == "theirs\n"

    def test_an_installation_starts_nothing(self, suite: str, tmp_path: Path) -> None:
        """On a running system that was given a credential: the unit waits for the next boot."""
        extra = "dpkg --install /package.deb </dev/null >/outcome/install 2>&1"
        with Boot(suite, tmp_path, credential=CANARY, installed=False, extra=extra) as machine:
            machine.wait()
            assert machine.outcome("enabled") == "enabled\n", machine.outcome("install")
            assert machine.unit["ActiveState"] == "inactive"
            assert "No entries" in machine.outcome("journal") or not machine.outcome("journal")
            assert not machine.exists(SECRET)

    def test_a_removal_ends_the_wait_for_the_next_attempt(self, suite: str, tmp_path: Path, pki: Pki) -> None:
        remove = (
            f"while ! [ -e {SECRET} ]; do sleep 0.1; done; sleep 1; dpkg --remove msmtp-agent >/outcome/remove 2>&1"
        )
        with shut_port() as shut:
            files = host_files(shut, pki, restart="10min")
            with Boot(suite, tmp_path, files=files, credential=CANARY, extra=remove) as machine:
                machine.wait()
                assert machine.unit["ActiveState"] == "inactive", machine.outcome("remove")
                assert not machine.exists("/usr/bin/msmtp-config")
