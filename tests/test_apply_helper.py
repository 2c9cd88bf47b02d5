"""A host that the old fragment has set up, and `apply`: its helper gives way, and its own verification still holds."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.support.account import ADMIN, MSMTPRC, SECRET, USER, account
from tests.support.applying import ALIASES, FILE, FILES, LOG, apply, as_json, outcomes, settings
from tests.support.old_helper import COMMAND, HELPER, HELPER_FIRST, SCRIPT, install
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd
from tests.support.trees import Machine

pytestmark = pytest.mark.root

RIGHT = b"correct horse"


@pytest.mark.slow
@pytest.mark.parametrize("place", [HELPER, HELPER_FIRST])
def test_the_helper_is_the_last_that_is_replaced(sandbox: Sandbox, place: str) -> None:
    install(sandbox, path=place)
    report = as_json(apply(sandbox, settings(9), "--json"))
    assert [file["path"] for file in report["files"]] == [*FILES, place]
    assert outcomes(report)[place] == ("replaced", True)
    assert os.readlink(sandbox.path(place)) == COMMAND
    assert sandbox.read(report["files"][-1]["backup"]) == SCRIPT.encode()
    second = as_json(apply(sandbox, None, "--json"))
    assert second["changed"] is False
    assert place not in outcomes(second)


@pytest.mark.slow
def test_a_script_of_somebodys_own_stays(sandbox: Sandbox) -> None:
    install(sandbox, SCRIPT + "systemctl restart cron\n")
    report = as_json(apply(sandbox, settings(9), "--json"))
    assert HELPER not in outcomes(report)
    assert sandbox.read(HELPER).endswith(b"cron\n")


@pytest.mark.slow
def test_a_dry_run_tells_of_the_helper_and_leaves_it(sandbox: Sandbox) -> None:
    install(sandbox)
    done = apply(sandbox, settings(9), "--dry-run")
    assert re.search(rf"\n{HELPER}: becomes a link to {COMMAND}; the old script is kept as \S+\.bak\n", done.stdout)
    assert sandbox.read(HELPER) == SCRIPT.encode()


@pytest.mark.slow
def test_a_helper_that_cannot_be_replaced(sandbox: Sandbox) -> None:
    """The configuration is new by then, and says so."""
    install(sandbox)
    sandbox.shell("mount -n --bind /usr/local/bin /usr/local/bin; mount -n -o remount,bind,ro /usr/local/bin")
    done = apply(sandbox, settings(9))
    assert done.returncode == 73
    assert f"  {MSMTPRC}: is the new version\n  {HELPER}: is as it was\n" in done.stderr
    sandbox.shell("umount -n /usr/local/bin")
    assert apply(sandbox, None).returncode == 0
    assert os.readlink(sandbox.path(HELPER)) == COMMAND


@pytest.mark.tree
def test_the_verification_of_the_fragment_holds(machine: Machine, pki: Pki) -> None:
    """What it checked on the machines that it had set up, on one that it left behind and that has the package now."""
    trust = "/etc/ssl/certs/acme.crt"
    machine.write(trust, pki.ca_file.read_bytes(), mode=0o644)
    machine.write(HELPER, SCRIPT, mode=0o755)
    machine.write(ALIASES, "root: old@example.test\ndefault: old@example.test\n", mode=0o644)
    with Smtpd(users={USER: RIGHT}, cert=pki.certificate("good"), key=pki.key("good")) as server:
        machine.network = "host"
        machine.write(MSMTPRC, account(server.port, Path(trust)))
        machine.write(SECRET, RIGHT)
        machine.write(FILE, settings(server.port, trust))
        done = machine.run([COMMAND, "apply", FILE])
        assert done.returncode == 0, done.stdout + done.stderr
        machine.run(["sh", "-euc", f"printf 'Subject: Hello\\n\\nIt works.\\n' | msmtp {ADMIN}"], check=True)
    assert [(mail.sender, mail.recipients) for mail in server.messages] == [(USER, (ADMIN,))]
    machine.run(["sh", "-c", "command -v msmtp"], check=True)
    text = machine.read(MSMTPRC).decode()
    for command, value in (("host", "127.0.0.1"), ("port", server.port), ("from", USER), ("user", USER)):
        assert re.search(rf"^{command} +{value}$", text, re.MULTILINE), command
    machine.run(["test", "-L", "/usr/sbin/sendmail"], check=True)
    machine.run(["grep", f"^root: {ADMIN}$", ALIASES], check=True)
    machine.run(["test", "-x", HELPER], check=True)
    ours = machine.run([COMMAND, "--version"], check=True).stdout
    assert machine.run(["msmtp-config", "--version"], env={"PATH": "/usr/local/bin:/usr/bin:/bin"}).stdout == ours
    assert f"recipients={ADMIN} " in machine.read(LOG).decode()
