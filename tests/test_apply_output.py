"""What `apply` says: text, JSON, colours, narrow terminals; to whom it says no; and that --dry-run touches nothing."""

from __future__ import annotations

import json
import os
import re

import jsonschema
import pytest

from tests.support.account import MSMTPRC, SECRET
from tests.support.applying import (
    ALIASES,
    FILE,
    FILES,
    LOGROTATE,
    NOISE,
    SCHEMA,
    apply,
    as_json,
    backups,
    contents,
    outcomes,
    settings,
    stages,
)
from tests.support.sandbox import Sandbox
from tests.test_terminal import Person

pytestmark = pytest.mark.root

NEW = """\
passed  plan      to be changed: /etc/aliases, /etc/logrotate.d/msmtp, /etc/msmtprc
/etc/aliases: is new, 0644 root:root
--- /dev/null
+++ /etc/aliases
@@ -0,0 +1,2 @@
+root: admin@example.test
+default: admin@example.test
/etc/logrotate.d/msmtp: is new, 0644 root:root
--- /dev/null
+++ /etc/logrotate.d/msmtp
"""


def sit(box: Sandbox, *options: str, columns: int = 200, env: dict[str, str] | None = None) -> Person:
    """A person who runs it at a terminal."""
    argv = box.command(box.agent_argv("apply", FILE, *options))
    return Person(argv, box.environment(env), columns)


# --- text


@pytest.mark.slow
def test_a_dry_run_shows_it_all_and_touches_nothing(sandbox: Sandbox) -> None:
    done = apply(sandbox, settings(9), "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert NEW in done.stdout
    assert "+host           127.0.0.1\n" in done.stdout
    assert done.stdout.endswith("skipped write     --dry-run: nothing is written, and nothing is proved\n")
    assert sandbox.changed() == {FILE}, "not even the lock"


@pytest.mark.slow
def test_a_run_shows_the_same_before_it_writes(sandbox: Sandbox) -> None:
    dry = apply(sandbox, settings(9), "--dry-run").stdout.partition("skipped write")[0]
    done = apply(sandbox, None)
    assert done.stdout.startswith(dry)
    rest = done.stdout[len(dry) :].splitlines()
    assert rest[0] == ("passed  write     /etc/aliases created; /etc/logrotate.d/msmtp created; /etc/msmtprc created")
    assert [line.split()[:2] for line in rest[1:6]] == [
        ["passed", "config"], ["skipped", "secret"], ["passed", "pretend"], ["skipped", "probe"], ["skipped", "store"],
    ]  # fmt: skip
    assert rest[6:] == ["now: msmtp-config"]


@pytest.mark.slow
def test_nothing_differs_is_said_in_a_line(sandbox: Sandbox) -> None:
    apply(sandbox, settings(9))
    before = contents(sandbox)
    done = apply(sandbox, None)
    assert "passed  plan      nothing differs\nskipped write     unchanged: " in done.stdout
    assert "---" not in done.stdout
    assert contents(sandbox) == before
    assert backups(sandbox) == {}


@pytest.mark.slow
def test_warnings_of_the_settings_are_told(sandbox: Sandbox) -> None:
    """A settings file that others can read, with a password in it."""
    sandbox.write(FILE, settings(9, password="hunter2hunter2"), mode=0o644)
    done = apply(sandbox, None, "--dry-run")
    assert done.returncode == 0
    assert done.stderr.startswith(f"msmtp-config: warning: {FILE} holds a password and is 0644 root:root")
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"password": "hunter2hunter2"}, {"passwordeval": "echo hunter2hunter2"}])
@pytest.mark.parametrize("option", ["--json", "--dry-run"])
def test_no_secret_of_the_settings_is_shown(sandbox: Sandbox, changes: dict[str, str], option: str) -> None:
    done = apply(sandbox, settings(9, **changes), option)
    assert "hunter2" not in done.stdout + done.stderr
    assert done.returncode in (0, 75)


# --- JSON


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.slow
def test_json_of_a_dry_run(sandbox: Sandbox) -> None:
    sandbox.write(ALIASES, "root: old@example.test\n", mode=0o644)
    report = as_json(apply(sandbox, settings(9), "--dry-run", "--json"))
    assert (report["result"], report["changed"], report["dry_run"]) == ("ok", False, True)
    assert outcomes(report) == {
        ALIASES: ("replaced", False), LOGROTATE: ("created", False), MSMTPRC: ("created", False),
    }  # fmt: skip
    assert "-root: old@example.test" in report["files"][0]["difference"]
    assert re.fullmatch(rf"{ALIASES}\.[0-9T-]+Z\.bak", report["files"][0]["backup"])
    assert report["files"][2]["difference"][1] == f"+++ {MSMTPRC}"
    assert stages(report)["write"] == "skipped"
    assert sandbox.changed() == {ALIASES, FILE}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "code"),
    [("smtp:\n\thost: x\n", 65), (settings(0), 65), (settings(9), 73)],
    ids=["no YAML", "a fault", "a directory in the way"],
)
def test_json_of_a_failure(sandbox: Sandbox, text: str, code: int) -> None:
    sandbox.shell(f"mkdir {ALIASES}")
    report = as_json(apply(sandbox, text, "--json"))
    assert (report["result"], report["error"]["code"], report["changed"]) == ("failed", code, False)
    assert report["diagnosis"]["owner"] == "host"
    assert not sandbox.exists(MSMTPRC)


# --- at a terminal


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80, 200])
def test_at_a_terminal_a_diff_is_not_folded(sandbox: Sandbox, columns: int) -> None:
    sandbox.write(FILE, settings(9))
    person = sit(sandbox, columns=columns)
    assert person.ends() == 0
    lines = person.screen.splitlines()
    assert f"+tls_trust_file {'/etc/ssl/certs/ca-certificates.crt'}" in lines
    told = [line for line in lines if line.startswith(("passed", "skipped", "/etc"))]
    assert all(len(line) <= columns for line in told)
    assert lines[-1] == "now: msmtp-config"
    assert all(sandbox.exists(path) for path in FILES)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_those_who_see_them(sandbox: Sandbox, env: dict[str, str], coloured: bool) -> None:
    sandbox.write(FILE, settings(9))
    person = sit(sandbox, "--dry-run", env=env)
    assert person.ends() == 0
    assert ("\x1b[32m+root: admin@example.test" in person.screen) is coloured
    assert ("\x1b" in person.screen) is coloured


# --- refusals


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--dry-run", "--json", ""])
def test_not_root(sandbox: Sandbox, option: str) -> None:
    sandbox.write(FILE, settings(9), mode=0o644)
    done = apply(sandbox, None, *filter(None, [option]), uid=65534)
    assert done.returncode == 4
    said = done.stdout if option == "--json" else done.stderr
    assert "sudo msmtp-config apply" in said
    assert sandbox.changed() == {FILE}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["/run/none.yaml"], 74),
        (["/run"], 74),
        ([""], 64),
        (["-"], 64),
        ([], 64),
        (["a", "b"], 64),
        ([FILE, "--quiet"], 64),
    ],
)
def test_what_is_no_settings_file(sandbox: Sandbox, arguments: list[str], code: int) -> None:
    done = sandbox.agent("apply", *arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith("msmtp-config: ")
    assert "Traceback" not in done.stderr
    assert not [path for path in sandbox.changed() if path.startswith("/etc")]


@pytest.mark.slow
def test_msmtp_is_not_installed(sandbox: Sandbox) -> None:
    sandbox.shell("mount -n --bind /dev/null /usr/bin/msmtp")
    done = apply(sandbox, settings(9))
    assert done.returncode == 69
    assert "  fix: apt install msmtp msmtp-mta\n" in done.stderr
    assert not sandbox.exists(MSMTPRC)


@pytest.mark.slow
def test_nobody_reads_the_output(sandbox: Sandbox) -> None:
    """The pipe is closed: it does its work all the same."""
    sandbox.write(FILE, settings(9))
    reader, writer = os.pipe()
    os.close(reader)
    process = sandbox.popen(sandbox.agent_argv("apply", FILE), stdout=writer)
    os.close(writer)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")
    assert all(sandbox.exists(path) for path in FILES)


@pytest.mark.slow
def test_a_relative_path_is_told_as_it_was_given(sandbox: Sandbox) -> None:
    sandbox.write(FILE, settings(99999))
    argv = sandbox.agent_argv("apply", "smtp.config.yaml", "--json")
    done = sandbox.run(argv, cwd="/run")
    assert done.returncode == 65
    assert json.loads(done.stdout)["error"]["message"].startswith("smtp.config.yaml: line ")
    assert not sandbox.exists(SECRET)
    assert sandbox.changed() == NOISE
