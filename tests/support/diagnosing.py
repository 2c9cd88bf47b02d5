"""Runs of `msmtp-config diagnose`, and what every one of them must keep to."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final, cast

import jsonschema

from tests.support.account import ALIASES, MSMTPRC, SECRET, account
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.view import Completed, Network

STAGES: Final = (
    "configuration", "secret", "resolve", "connect", "ports", "tls", "capabilities", "auth", "sender", "mail", "log",
)  # fmt: skip
PASSWORD: Final = b"correct horse"
# The longest that a run may take which has one second for each program and each connection.
DEADLINE: Final = 20.0
_SCHEMA: Final = json.loads((PROJECT / "msmtp_agent/schemas/diagnose.json").read_bytes())


class Site:
    """A sandbox with an account whose password is stored, and the runs there."""

    def __init__(self, sandbox: Sandbox, pki: Pki) -> None:
        self.sandbox = sandbox
        self.pki = pki
        sandbox.write("/etc/aliases", ALIASES, mode=0o644)
        # Names are looked up in the sandbox alone: a test is not to depend on the network that it runs in.
        sandbox.write("/etc/nsswitch.conf", "hosts: files\n", mode=0o644)
        self.store(PASSWORD + b"\n")

    def store(self, content: bytes) -> None:
        self.sandbox.write(SECRET, content)

    def account(self, port: int, *more: str, **changes: str | None) -> None:
        self.sandbox.write(MSMTPRC, account(port, self.pki.ca_file, *more, **changes))

    def run(
        self, *options: str, timeout: str = "10", uid: int | None = None, network: Network | None = None
    ) -> Completed:
        """As a person sees it. Nothing on the host is other than before, but for the log of a mail that was sent."""
        before = self._state()
        done = self.sandbox.agent("diagnose", f"--timeout={timeout}", *options, timeout=60, uid=uid, network=network)
        assert self._state() == before
        assert self.sandbox.leftovers() == {}
        assert_clean(done)
        return done

    def report(self, *options: str, timeout: str = "10", network: Network | None = None) -> dict[str, Any]:
        """The same in JSON; the exit status is the error's."""
        done = self.run("--json", *options, timeout=timeout, network=network)
        assert done.stderr == ""
        report = cast(dict[str, Any], json.loads(done.out))
        jsonschema.validate(report, _SCHEMA)
        assert tuple(stage["stage"] for stage in report["stages"]) == STAGES
        assert done.returncode == code(report)
        if report["error"] is None:  # then it says what may keep mail that leaves from arriving
            assert report["diagnosis"]["id"] in ("accepted", "not-received")
        assert_clean_strings(report)
        return report

    def _state(self) -> dict[str, object]:
        """Every file that the sandbox has and the machine has not; the log may grow, and appear."""
        names = self.sandbox.changed() - {"/var/log/msmtp.log"}
        return {name: self._file(name) for name in names}

    def _file(self, name: str) -> object:
        facts = self.sandbox.stat(name)
        return facts.st_ino, facts.st_mode, facts.st_uid, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def code(report: dict[str, Any]) -> int:
    return int((report["error"] or {"code": 0})["code"])


def statuses(report: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["status"] for stage in report["stages"]}


def seen(report: dict[str, Any], name: str) -> str:
    """Everything that a stage tells."""
    (stage,) = [stage for stage in report["stages"] if stage["stage"] == name]
    return "\n".join([stage["seen"], *stage["details"]])


def failed_at(name: str, **others: str) -> dict[str, str]:
    """How the stages end when this one fails: those before it have passed, those behind it are not reached."""
    place = STAGES.index(name)
    told = dict.fromkeys(STAGES[:place], "passed") | dict.fromkeys(STAGES[place:], "not reached")
    if place > STAGES.index("ports"):
        told["ports"] = "skipped"
    return told | {name: "failed", "log": "passed"} | others


def all_passed(**others: str) -> dict[str, str]:
    return dict.fromkeys(STAGES, "passed") | {"ports": "skipped", "mail": "skipped"} | others


def assert_clean(done: Completed) -> None:
    """No control, format, private or separator character but the line feed; no flood; never the password."""
    for stream in (done.out, done.err):
        text = stream.decode("utf-8")
        assert not {char for char in text if char not in "\n " and unicodedata.category(char)[0] in "CZ"}
        assert PASSWORD.decode() not in text
        assert len(text) < 20_000


def assert_clean_strings(value: object) -> None:
    """The same for every string of a JSON object: `\\u001b` there is an ESC for whoever prints it."""
    if isinstance(value, str):
        assert not [char for char in value if char != " " and unicodedata.category(char)[0] in "CZ"]
    elif isinstance(value, list):
        for item in value:
            assert_clean_strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            assert_clean_strings(item)
