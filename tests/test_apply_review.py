"""What a review of `apply` has found: files that others change meanwhile, and files that hold it up."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from msmtp_agent.masked import difference, passwords
from tests.support.account import MSMTPRC, SECRET, account
from tests.support.applying import ALIASES, FILE, apply, as_json, settings
from tests.support.old_helper import COMMAND, HELPER, SCRIPT, install
from tests.support.sandbox import Sandbox
from tests.support.tracing import Trace, parse, strace
from tests.support.view import Completed

TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
CALLS = "fsync,renameat,rename,unlinkat,symlinkat,fchown,fchmod"
PYTHON = "/usr/bin/python3"
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


@pytest.mark.slow
def test_very_many_passwords_do_not_hold_up_the_diff() -> None:
    old = b"account default\n" + b"".join(b"password hunter2-%06d\n" % number for number in range(40_000))
    lines = difference(MSMTPRC, old, b"account default\nhost h.acme.test\n", passwords(old), settings=True)
    assert not any("hunter" in line for line in lines)


@pytest.mark.slow
@pytest.mark.root
def test_the_password_in_force_is_hidden_whatever_stands_beside_it(sandbox: Sandbox) -> None:
    """Also in lines where nothing else tells of it."""
    others = [f"password a{number:04}" for number in range(200)]
    sandbox.write(MSMTPRC, account(9, TRUST, *others, "password zebra-zebra", "domain zebra-zebra", passwordeval=None))
    done = apply(sandbox, settings(9), "--dry-run")
    assert "-password" in done.stdout
    assert "zebra" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.root
def test_very_many_accounts_are_not_told_one_by_one(sandbox: Sandbox) -> None:
    accounts = "".join(f"account number{number}\nhost h.acme.test\n" for number in range(5000))
    sandbox.write(MSMTPRC, accounts + account(9, TRUST))
    report = as_json(apply(sandbox, settings(9), "--dry-run", "--json"))
    (warning,) = (one for one in report["warnings"] if "number0" in one)
    assert "and 49" in warning
    assert len(warning) < 1000


# --- the old helper


def at_the_helper(box: Sandbox, output: Path, *fault: str) -> Trace:
    """A run of `apply` under strace, killed by a fault; the calls that change something."""
    tracer = strace(output, "-y", "-e", f"trace={CALLS}", *fault)
    done = box.traced(tracer, "apply", FILE, env={"PYTHONHASHSEED": "0"})
    assert done.returncode == (-signal.SIGKILL if fault else 0), done.stderr
    return parse(output)


@pytest.mark.root
@pytest.mark.slow
def test_killed_at_every_change_of_the_old_helper(sandbox: Sandbox, tmp_path: Path) -> None:
    """There is always a command of that name; the next run ends with the link, and the script is kept once."""
    output = tmp_path / "trace"
    install(sandbox)
    sandbox.write(FILE, settings(9))
    trace = at_the_helper(sandbox, output)
    steps = [
        (call.name, trace.ordinal(index)) for index, call in enumerate(trace.calls) if "/usr/local/bin>" in str(call)
    ]
    assert "symlinkat" in dict(steps)
    for name, ordinal in steps:
        reset = "".join(f"rm -f {path}\n" for path in sandbox.changed() if path.startswith("/etc/"))
        sandbox.shell(f"{reset}rm -f /usr/local/bin/.msmtp-config* {HELPER}*")
        sandbox.write(HELPER, SCRIPT, mode=0o755)
        at_the_helper(sandbox, output, "-e", f"inject={name}:signal=KILL:when={ordinal}")
        is_link = sandbox.path(HELPER).is_symlink()
        assert is_link or sandbox.read(HELPER).decode() == SCRIPT, name
        assert apply(sandbox, None, python=PYTHON).returncode == 0
        assert os.readlink(sandbox.path(HELPER)) == COMMAND
        (kept,) = (one for one in sandbox.listdir("/usr/local/bin") if "msmtp-config." in one)
        assert sandbox.read(f"/usr/local/bin/{kept}").decode() == SCRIPT
        assert sandbox.stat(f"/usr/local/bin/{kept}").st_mode & 0o777 == 0o644


# --- secrets that no word tells of


@pytest.mark.parametrize(
    "line",
    [
        "passwordeval hunter2hunter2",
        'passwordeval "hunter2hunter2"',
        "passwordeval echo${IFS}hunter2hunter2",
        "passwordeval cat<<<hunter2hunter2",
        "passwordeval $(echo hunter2hunter2)",
        "# hunter2hunter2",
        "#hunter2hunter2",
        "# it was hunter2hunter2, until May",
        "# SG.hunter2Hunter2_AbCdEf.hunter2Hunter2_AbCdEf",
        "# /Hunter2hunter2hunter2hunter2+hunter2hunter2=",
    ],
)
def test_a_secret_that_no_word_tells_of(line: str) -> None:
    for end in ("\n", ""):
        old = f"account default\nhost h.acme.test\n{line}{end}".encode()
        lines = difference(MSMTPRC, old, b"account default\nhost h.acme.test\n", settings=True)
        assert "unter2" not in "\n".join(lines)


@pytest.mark.parametrize(
    "line",
    [
        "# since 2026-11-22: smtp.acme.test instead of mail2.acme.test",
        "# /etc/ssl/certs/ca-certificates.crt",
        "# internationalization-of-everything.example.test",
        "passwordeval /usr/local/bin/smtp-token-2",
    ],
)
def test_what_is_no_secret_is_left_to_see(line: str) -> None:
    old = f"account default\nhost h.acme.test\n{line}\n".encode()
    assert f"-{line}" in difference(MSMTPRC, old, b"account default\nhost h.acme.test\n", settings=True)
