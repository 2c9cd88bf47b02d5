"""A failure is explained wherever it is told: the main job, `test` and `diagnose` end with the same diagnosis."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from tests.support.account import ALIASES, MSMTPRC, SECRET, account
from tests.support.hostile import Hostile, Stage
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.view import Completed

PASSWORD = b"correct horse"
REFUSED = b"535 5.7.8 Error: authentication failed\r\n"
COMMANDS = {
    "main": ("--password-stdin", "--no-mail", "--json"),
    "test": ("test", "--json"),
    "diagnose": ("diagnose", "--json"),
}


def configure(sandbox: Sandbox, pki: Pki, port: int, *more: str, **changes: str | None) -> None:
    sandbox.write(MSMTPRC, account(port, pki.ca_file, *more, **changes))
    sandbox.write("/etc/aliases", ALIASES, mode=0o644)
    sandbox.write(SECRET, PASSWORD + b"\n", mode=0o600)


def run(sandbox: Sandbox, *arguments: str) -> Completed:
    return sandbox.agent(*arguments, stdin=PASSWORD if "--password-stdin" in arguments else None)


def told(sandbox: Sandbox, command: str, *options: str) -> tuple[int, Any]:
    """The exit status and the diagnosis of a command's JSON."""
    done = run(sandbox, *COMMANDS[command], *options)
    report = json.loads(done.stdout)
    schema = "diagnose" if command == "diagnose" else "configure"
    jsonschema.validate(report, json.loads((PROJECT / f"msmtp_agent/schemas/{schema}.json").read_text()))
    return done.returncode, report["diagnosis"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_refused_password(sandbox: Sandbox, pki: Pki, command: str) -> None:
    with Hostile("auth", reply=REFUSED, cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port)
        status, diagnosis = told(sandbox, command)
    assert status == 77
    assert diagnosis["id"] == "postfix-login"
    assert diagnosis["owner"] == "account"
    assert "535 5.7.8 Error: authentication failed" in diagnosis["evidence"]
    assert diagnosis["steps"]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_is_not_there(sandbox: Sandbox, pki: Pki, command: str) -> None:
    with Hostile("connect", "refuse", cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port)
        status, diagnosis = told(sandbox, command)
    assert (status, diagnosis["id"]) == (75, "connection-refused-here")


SILENT: list[tuple[Stage, str]] = [
    ("connect", "ports-filtered"),
    ("greeting", "server-silent"),
    ("ehlo", "server-silent"),
    ("auth", "server-silent"),
    ("mail", "server-silent"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "identity"), SILENT, ids=[stage for stage, _ in SILENT])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_server_that_falls_silent(sandbox: Sandbox, pki: Pki, command: str, stage: Stage, identity: str) -> None:
    """msmtp says nothing before it is ended: the main job and `test` look for themselves where it stopped."""
    with Hostile(stage, "hang", cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port, auth="plain")
        status, diagnosis = told(sandbox, command, "--timeout=1")
        logins = [line for line in server.lines if line.startswith(b"AUTH")]
    assert (status, diagnosis["id"]) == (75, identity)
    assert len(logins) == (1 if stage in ("auth", "mail") else 0)  # looking takes no login


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_tls_from_the_start_at_any_port(sandbox: Sandbox, pki: Pki, command: str) -> None:
    with Hostile(tls="implicit", cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port)
        status, diagnosis = told(sandbox, command, "--timeout=1")
    assert (status, diagnosis["id"]) == (75, "tls-mode-implicit")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["test", "diagnose"])
def test_a_secret_command_that_never_ends(sandbox: Sandbox, pki: Pki, command: str) -> None:
    with Hostile(cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port, passwordeval="sleep 600")
        status, diagnosis = told(sandbox, command, "--timeout=1")
    assert (status, diagnosis["id"], diagnosis["owner"]) == (75, "local-silent", "host")
    assert sandbox.leftovers() == {}


@pytest.mark.parametrize("command", ["test", pytest.param("diagnose", marks=pytest.mark.slow)])
def test_a_refused_sender(sandbox: Sandbox, pki: Pki, command: str) -> None:
    reply = b"553 5.7.1 <me@example.test>: Sender address rejected: not owned by user me\r\n"
    with Hostile("mail", reply=reply, cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port)
        status, diagnosis = told(sandbox, command)
    assert (status, diagnosis["id"]) == (65, "postfix-sender-override")


def test_in_words(sandbox: Sandbox, pki: Pki) -> None:
    with Hostile("auth", reply=REFUSED, cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port)
        done = run(sandbox, "test")
    lines = done.stderr.splitlines()
    assert lines[0] == "msmtp-config: test mail to admin@example.test: was not sent, msmtp ended with 77"
    assert lines[1] == "  msmtp: authentication failed (method PLAIN)"
    (why,) = [line for line in lines if line.startswith("  why: ")]
    assert why.endswith("(postfix-login)")
    (who,) = [line for line in lines if line.startswith("  who: ")]
    assert lines.index(why) == lines.index(who) - 1
    assert lines[lines.index(who) + 1].startswith("  1. ")
    assert lines[-1].startswith("  fix: ")


def test_a_fault_of_our_own_is_its_own_diagnosis(sandbox: Sandbox) -> None:
    status, diagnosis = told(sandbox, "main")
    assert status == 78
    assert diagnosis == {
        "id": "own-config",
        "cause": "/etc/msmtprc: is missing; expected msmtp's configuration",
        "owner": "host",
        "steps": ["msmtp-config apply smtp.config.yaml"],
        "evidence": [],
        "confidence": "certain",
    }
    done = run(sandbox, "--password-stdin")
    assert "why:" not in done.stderr  # it would be the same line again


@pytest.mark.slow
@pytest.mark.parametrize(("command", "expected"), [("main", None), ("test", None), ("diagnose", "accepted")])
def test_a_job_that_is_done(sandbox: Sandbox, pki: Pki, command: str, expected: str | None) -> None:
    with Hostile(cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port)
        status, diagnosis = told(sandbox, command)
    assert status == 0
    assert (diagnosis or {"id": None})["id"] == expected


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_login_that_is_put_off_is_temporary(sandbox: Sandbox, pki: Pki, command: str) -> None:
    reply = b"454 4.7.0 Temporary authentication failure: Connection lost to authentication server\r\n"
    with Hostile("auth", reply=reply, cert=pki.certificate(), key=pki.key()) as server:
        configure(sandbox, pki, server.port)
        status, diagnosis = told(sandbox, command)
    assert (status, diagnosis["id"]) == (75, "postfix-auth-temporary")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["main", "test", "diagnose"])
def test_faulty_aliases(sandbox: Sandbox, pki: Pki, command: str) -> None:
    configure(sandbox, pki, 9)
    sandbox.write("/etc/aliases", "root: admin@example.test\nroot: again@example.test\n", mode=0o644)
    status, diagnosis = told(sandbox, command)
    assert (status, diagnosis["id"]) == (78, "aliases-faulty")
