"""What the tests of `apply` share: settings for a server on loopback, and runs in a sandbox."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema

from tests.support.account import ADMIN, MSMTPRC, USER
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.view import Completed

FILE = "/run/smtp.config.yaml"
LOGROTATE = "/etc/logrotate.d/msmtp"
ALIASES = "/etc/aliases"
LOG = "/var/log/msmtp.log"
FILES = (ALIASES, LOGROTATE, MSMTPRC)  # in the order in which they are written
MODES = {ALIASES: 0o644, LOGROTATE: 0o644, MSMTPRC: 0o600}
LOCK = {"/run/msmtp-config", "/run/msmtp-config/lock"}
NOISE = {FILE, *LOCK}  # what a run leaves besides its files
SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/apply.json").read_text())
BACKUP = re.compile(r"\.\d{4}-\d\d-\d\dT\d{6}Z\.bak$")


def settings(port: int, trust: object = "", **changes: object) -> str:
    """An `smtp.config.yaml`; `changes` add a key, give it another value, or take it away (None)."""
    keys: dict[str, object] = {
        "host": "127.0.0.1",
        "port": port,
        "from_email": USER,
        "user": USER,
        "recipient": ADMIN,
        "tls_trust_file": str(trust) or None,
        **changes,
    }
    lines = [f"  {key}: {json.dumps(value)}" for key, value in keys.items() if value is not None]
    return "\n".join(["smtp:", *lines, ""])


def apply(box: Sandbox, text: str | None = None, *options: str, **how: Any) -> Completed:
    """Write the settings, if some are given, and apply them."""
    if text is not None:
        box.write(FILE, text)
    return box.agent("apply", FILE, *options, **how)


def as_json(done: Completed) -> dict[str, Any]:
    """The report of a run with `--json`, which keeps to its schema."""
    report: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert done.stderr == ""
    assert done.returncode == (report["error"] or {"code": 0})["code"]
    return report


def outcomes(report: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    """What was to become of each file, and whether it did."""
    return {file["path"]: (file["outcome"], file["done"]) for file in report["files"]}


def stages(report: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["status"] for stage in report["stages"]}


def backups(box: Sandbox) -> dict[str, bytes]:
    """The old versions that are kept, by path."""
    return {path: box.read(path) for path in sorted(box.changed()) if BACKUP.search(path)}


def contents(box: Sandbox) -> dict[str, tuple[bytes, int, int]]:
    """Every file that was written below /etc: bytes, mode, inode."""
    return {
        path: (box.read(path), box.stat(path).st_mode & 0o7777, box.stat(path).st_ino)
        for path in box.changed()
        if path.startswith("/etc/")
    }
