"""The formats of `audit` from the command itself, on a good root, a bad one, and one with hostile names."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.roots import PASSWORD, SECRET, Root
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.view import Completed

SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/audit.json").read_text())
FORMATS = ("text", "json", "nagios", "prometheus")
CHMOD = f"chown root:root {SECRET} && chmod 0600 {SECRET}"


@pytest.fixture
def good(tmp_path: Path) -> Root:
    return Root(tmp_path / "good").good()


@pytest.fixture
def bad(tmp_path: Path) -> Root:
    """A good root whose secret file can be read by everybody."""
    return Root(tmp_path / "bad").good().rights(SECRET, 0o644)


def audit(sandbox: Sandbox, form: str, *roots: Root, more: tuple[str, ...] = ()) -> Completed:
    options = [word for root in roots for word in ("--root", str(root.directory))]
    done = sandbox.agent("audit", "--format", form, *options, *more)
    assert done.stderr == ""
    assert PASSWORD.strip() not in done.out
    return done


def test_text(sandbox: Sandbox, good: Root, bad: Root) -> None:
    done = audit(sandbox, "text", good, bad)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[0].startswith(f"{good.directory}: ")
    assert " checks passed" in lines[0]
    assert f"{bad.directory} (acme)" in lines
    assert f"  error   {SECRET}: is 0644 root:root; expected 0600 [secret-mode]" in lines
    assert [line for line in lines if line.startswith("    fix")] == [f"    fix in {bad.directory}: {CHMOD}"]
    assert lines[-1].startswith("all 2 roots: 1 error; ")


def test_a_good_root_takes_one_line(sandbox: Sandbox, good: Root) -> None:
    done = audit(sandbox, "text", good)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)


def test_json(sandbox: Sandbox, good: Root, bad: Root) -> None:
    done = audit(sandbox, "json", good, bad)
    told = json.loads(done.out)
    jsonschema.Draft202012Validator(SCHEMA).validate(told)
    assert done.returncode == 1
    assert [(entry["root"], entry["host"], entry["proven"]) for entry in told["roots"]] == [
        (str(good.directory), "acme", True),
        (str(bad.directory), "acme", True),
    ]
    assert [finding["id"] for entry in told["roots"] for finding in entry["findings"]] == ["secret-mode"]
    first, second = (entry["summary"] for entry in told["roots"])
    assert first["passed"] == second["passed"] + 1
    assert told["summary"]["error"] == 1


def test_the_same_root_gives_the_same_json_but_for_the_time(sandbox: Sandbox, bad: Root) -> None:
    told = [json.loads(audit(sandbox, "json", bad).out)["roots"][0] for _ in range(2)]
    first, second = ({**entry, "time": ""} for entry in told)
    assert first == second


@pytest.mark.parametrize(("kind", "status", "word"), [("good", 0, "OK"), ("bad", 2, "CRITICAL")])
def test_nagios(kind: str, status: int, word: str, sandbox: Sandbox, request: pytest.FixtureRequest) -> None:
    done = audit(sandbox, "nagios", request.getfixturevalue(kind))
    assert done.returncode == status
    assert done.stdout.startswith(f"MSMTP {word} - ")
    assert done.stdout.count("\n") == done.stdout.count(" | ") == 1
    assert f" | errors={int(status == 2)};;0;0 warnings=0;0;;0 " in done.stdout
    assert " last_success_age=" in done.stdout


def test_prometheus(sandbox: Sandbox, bad: Root) -> None:
    before = int(time.time())
    done = audit(sandbox, "prometheus", bad)
    told = {
        (sample.name.removeprefix("msmtp_config_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(done.stdout)
        for sample in family.samples
    }
    root = str(bad.directory)
    assert told["audit_findings", root, "error"] == 1
    assert told["audit_findings", root, "warning"] == 0
    assert told["password_proven", root] == 1
    assert before <= told["audit_last_run_timestamp_seconds", root] <= time.time()
    assert before - 7200 <= told["last_success_timestamp_seconds", root] <= before


@pytest.mark.parametrize("form", FORMATS)
def test_a_hostile_name_is_harmless_in_every_format(form: str, sandbox: Sandbox, tmp_path: Path) -> None:
    root = Root(tmp_path / "h\x1b[31m\n\u202ex\udcff").good()
    for name in ("\x1b]0;owned\x07", "a\nb", "\udcff", "$(reboot)", "|x=1"):
        root.write(f"/etc/msmtp-password.{name}~", PASSWORD, 0o644)
    done = audit(sandbox, form, root)
    assert done.returncode == (2 if form == "nagios" else 1)
    assert all(line.isprintable() for line in done.out.decode().removesuffix("\n").split("\n"))
    if form == "text":
        assert "    fix in " in done.stdout
        assert done.stdout.count("[stray-") == 5
    if form == "json":
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(done.out))


def test_output_is_a_whole_file_for_others_to_read(sandbox: Sandbox, bad: Root) -> None:
    sandbox.write("/run/textfile/old.prom", "x")
    done = audit(sandbox, "prometheus", bad, more=("--output", "/run/textfile/msmtp.prom"))
    assert (done.returncode, done.stdout) == (1, "")
    path = sandbox.path("/run/textfile/msmtp.prom")
    assert path.stat().st_mode & 0o777 == 0o644
    assert "msmtp_config_audit_findings{" in path.read_text()
    assert sorted(name.name for name in path.parent.iterdir()) == ["msmtp.prom", "old.prom"]
