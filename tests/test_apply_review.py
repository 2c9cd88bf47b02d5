"""What a review of `apply` has found: files that others change while it writes, and files that are made to hold it up."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from msmtp_agent.masked import difference, passwords
from tests.support.account import MSMTPRC, SECRET, account
from tests.support.applying import ALIASES, FILE, as_json, apply, settings
from tests.support.sandbox import Sandbox
from tests.support.tracing import strace
from tests.support.view import Completed

TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
PASSWORD = "correct horse battery"


def meanwhile(box: Sandbox, output: Path, script: str) -> Completed:
    """Run `apply`, stopped while it writes the aliases, its first file; go on once the script has run."""
    stop = ("-e", "trace=fsync", "-e", "inject=fsync:signal=STOP:when=1")
    process = box.popen([*strace(output, *stop), *box.agent_argv("apply", FILE)], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not box.exists("/etc/.aliases.msmtp-config"):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    box.shell(script)
    while True:  # before the stop is done, a signal to go on would count for nothing
        os.killpg(process.pid, signal.SIGCONT)
        try:
            out, errors = process.communicate(timeout=0.1)
        except subprocess.TimeoutExpired:
            assert time.monotonic() < deadline
        else:
            return Completed(("apply",), process.returncode, out, errors, 0.0)


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "script"),
    [
        (MSMTPRC, f"echo '# by hand' >>{MSMTPRC}"),
        (MSMTPRC, f"rm {MSMTPRC}; ln -s /etc/hostname {MSMTPRC}"),
        (MSMTPRC, f"rm {MSMTPRC}; mkfifo {MSMTPRC}"),
        (MSMTPRC, f"rm {MSMTPRC}"),
        (SECRET, f"echo another >{SECRET}"),
        (SECRET, f"ln -s /etc/hostname {SECRET}"),
    ],
)
def test_a_file_that_changes_between_plan_and_write(sandbox: Sandbox, tmp_path: Path, path: str, script: str) -> None:
    """What somebody wrote there in the meantime was in no plan: it stays, and it is said what has been written."""
    sandbox.write(MSMTPRC, account(9, TRUST, passwordeval=None, password=PASSWORD))
    sandbox.write(FILE, settings(9))
    hostname = sandbox.read("/etc/hostname")
    done = meanwhile(sandbox, tmp_path / "trace", script)
    assert done.returncode == 73, done.stderr
    assert f"msmtp-config: {path}: " in done.stderr
    assert f"  {ALIASES}: is the new version\n" in done.stderr
    assert f"  {MSMTPRC}: is as it was\n" in done.stderr
    assert sandbox.read("/etc/hostname") == hostname
    assert PASSWORD not in done.stdout + done.stderr
    assert not [name for name in sandbox.listdir("/etc") if name.startswith((".msmtp", ".aliases"))]
    if "another" in script:
        assert sandbox.read(SECRET) == b"another\n"


# --- what is too much


def test_very_many_passwords_do_not_hold_up_the_diff() -> None:
    old = b"account default\n" + b"".join(b"password hunter2-%06d\n" % number for number in range(40_000))
    lines = difference(MSMTPRC, old, b"account default\nhost h.acme.test\n", passwords(old), settings=True)
    assert not any("hunter" in line for line in lines)


@pytest.mark.root
def test_the_password_in_force_is_hidden_whatever_stands_beside_it(sandbox: Sandbox) -> None:
    """Also in lines where nothing else tells of it."""
    others = [f"password a{number:04}" for number in range(200)]
    sandbox.write(MSMTPRC, account(9, TRUST, *others, "password zebra-zebra", "domain zebra-zebra", passwordeval=None))
    done = apply(sandbox, settings(9), "--dry-run")
    assert "-password" in done.stdout
    assert "zebra" not in done.stdout + done.stderr


@pytest.mark.root
def test_very_many_accounts_are_not_told_one_by_one(sandbox: Sandbox) -> None:
    accounts = "".join(f"account number{number}\nhost h.acme.test\n" for number in range(5000))
    sandbox.write(MSMTPRC, accounts + account(9, TRUST))
    report = as_json(apply(sandbox, settings(9), "--dry-run", "--json"))
    (warning,) = (one for one in report["warnings"] if "number0" in one)
    assert "and 49" in warning
    assert len(warning) < 1000
