"""The command line of the audit: what it refuses, what it leaves out, and that its remedies do what they say."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.roots import ALIASES, LOGROTATE, MSMTPRC, Root
from tests.support.sandbox import PROJECT, PYTHON, Sandbox
from tests.support.trees import Machine


def audit(*options: str | Path, cwd: Path | str = "/") -> subprocess.CompletedProcess[str]:
    """A run from the checkout, which writes nothing but what it is told to."""
    return subprocess.run(
        [PYTHON, "-m", "msmtp_agent", "audit", *options],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


WRONG = {
    "an empty root": (["--root", ""], "--root: is ''; expected a path"),
    "a root that is a file": (["--root", "/etc/passwd"], "--root: /etc/passwd is no directory"),
    "an empty output": (["--format", "prometheus", "--output", ""], "--output: is ''"),
    "standard output": (["--format", "prometheus", "--output", "-"], "--output: is '-'"),
    "a device": (["--format", "prometheus", "--output", "/dev/null"], "--output: /dev/null is no regular file"),
    "a link": (["--format", "prometheus", "--output", "/dev/stdout"], "--output: /dev/stdout is no regular file"),
    "a directory": (["--format", "prometheus", "--output", "/tmp"], "--output: /tmp is no regular file"),
    "output of text": (["--output", "/tmp/x"], "--output: goes with --format prometheus"),
    "no such format": (["--format", "yaml"], "--format: is 'yaml'; expected text, json, nagios, prometheus"),
    "nearly an id": (["--only", "secret-mod"], "--only: is 'secret-mod'; expected secret-mode"),
    "an id too much": (["--skip", "secret-mode,"], "--skip: is ''; expected the id of a check"),
    "nothing left": (["--only", "secret-mode", "--skip", "secret-mode"], "--skip: leaves no check to run"),
    "a plan of nothing": (["--dry-run"], "--dry-run: goes with --fix"),
    "two to explain": (["--explain", "secret-mode,config-mode"], "--explain: is 'secret-mode,config-mode'"),
    "a blank": (["--explain", "secret-mode "], "--explain: is 'secret-mode '; expected secret-mode"),
}


@pytest.mark.programs
@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_one_clear_error(options: list[str], words: str) -> None:
    done = audit(*options)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith(f"msmtp-config: {words}")
    assert done.stderr.splitlines()[1].startswith("  fix: msmtp-config audit --")


@pytest.mark.programs
def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", f'cd {gone} && rmdir {gone} && exec "$0" -m msmtp_agent audit --root x', PYTHON],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 64
    assert "--root: x: the working directory is gone" in done.stderr


@pytest.mark.root
def test_lists_may_be_given_twice(tmp_path: Path) -> None:
    root = Root(tmp_path).good()
    done = audit(
        "--format", "json", "--root", root.directory, "--only", "secret-mode,secret-owner", "--only", "config-mode"
    )
    assert json.loads(done.stdout)["roots"][0]["passed"] == ["secret-owner", "secret-mode", "config-mode"]


@pytest.mark.root
def test_what_is_skipped_is_not_told_for_the_sake_of_another(tmp_path: Path) -> None:
    root = Root(tmp_path).good().remove("/usr/sbin/sendmail")
    assert "sender-sendmail" in audit("--root", root.directory).stdout
    done = audit("--root", root.directory, "--skip", "sender-sendmail")
    assert (done.returncode, "sender-sendmail" in done.stdout) == (0, False)


@pytest.mark.root
@pytest.mark.parametrize("options", [["--skip", "log-rotation"], ["--only", "log-rotation-rights"]])
def test_what_was_not_asked_for_is_not_repaired(sandbox: Sandbox, options: list[str]) -> None:
    root = Root(sandbox.path("/run/image")).good().remove(LOGROTATE)
    done = sandbox.agent("audit", "--fix", "--root", "/run/image", *options)
    assert done.returncode in (0, 1), done.stderr
    assert not root.at(LOGROTATE).exists()


@pytest.mark.root
def test_somebody_else_is_told_that_root_sees_more(sandbox: Sandbox) -> None:
    Root(sandbox.path("/run/image")).good()
    done = sandbox.agent("audit", "--root", "/run/image", uid=65534)
    assert done.returncode == 3
    assert "not run by root" in done.stderr
    assert "cannot tell" in done.stdout


@pytest.mark.root
def test_what_somebody_else_may_read_is_judged_without_the_secret(sandbox: Sandbox) -> None:
    Root(sandbox.path("/run/image")).good().write(ALIASES, "root: a@acme.test\n", 0o644)
    done = sandbox.agent("audit", "--root", "/run/image", "--only", "aliases-default,aliases-in-a-row", uid=65534)
    assert done.returncode == 0
    assert "/etc/aliases: has no `default`" in done.stdout
    assert "1 check passed" in done.stdout


@pytest.mark.root
def test_without_proc_that_is_what_is_missing(sandbox: Sandbox) -> None:
    Root(sandbox.path("/run/image")).good()
    hidden = "mount -t tmpfs tmpfs /proc && exec"
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        f'{hidden} "$@"',
        "sh",
        *sandbox.agent_argv("audit", "--root", "/run/image"),
    ]
    done = sandbox.run(command)
    assert done.returncode == 3
    assert "/etc/msmtprc: cannot be read: /proc is not mounted" in done.stdout


@pytest.mark.tree
@pytest.mark.root
def test_the_editor_of_the_remedies_goes_to_the_line(tmp_path: Path) -> None:
    """`sensible-editor` is there where msmtp is (through ucf), and hands `+N` on; sudoedit takes it for a file."""
    with Machine("bookworm", tmp_path) as machine:
        machine.write("/usr/local/bin/see", '#!/bin/sh\necho "$@"\n', mode=0o755)
        done = machine.run(["sensible-editor", "+3", MSMTPRC], env={"VISUAL": "/usr/local/bin/see"}, check=True)
        assert done.stdout == f"+3 {MSMTPRC}\n"


@pytest.mark.root
@pytest.mark.parametrize("text", ["root: a@acme.test", "root: a@acme.test\n"])
def test_the_remedy_for_a_missing_default_can_be_pasted(tmp_path: Path, text: str) -> None:
    root = Root(tmp_path).good().write(ALIASES, text, 0o644)
    (finding,) = root.findings("aliases-default")
    remedy = finding.remedy.replace(ALIASES, os.fspath(root.at(ALIASES)))
    subprocess.run(["sh", "-c", remedy], check=True, timeout=20)
    assert root.findings("aliases-default", "aliases-syntax", "aliases-loop", "aliases-local", "aliases-root") == []
