"""The audit reads the secret and shows nothing of it: not itself, not its length, not a hash, in any format."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.roots import LOG, MSMTPRC, SECRET, Root, account, failed
from tests.support.sandbox import PROJECT, PYTHON

PASSWORD = "Zw8-geheim-x7Q4plm2"
FORMATS = ("text", "json", "nagios", "prometheus")


def traces() -> Iterator[bytes]:
    """The secret as itself, as an AUTH line has it, and as the usual digests."""
    raw = PASSWORD.encode()
    yield from (raw, raw[::-1], raw.hex().encode(), base64.b64encode(raw).rstrip(b"="))
    for name in ("md5", "sha1", "sha256", "sha512"):
        digest = hashlib.new(name, raw)
        yield from (digest.hexdigest().encode(), base64.b64encode(digest.digest())[:20])


def audit(root: Root, *options: str) -> bytes:
    """Both outputs of a run over the root; nothing is written there."""
    done = subprocess.run(
        [PYTHON, "-m", "msmtp_agent", "audit", "--root", root.directory, *options],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1, 2, 3), done.stderr
    return done.stdout + done.stderr


def typed_on_a_line_of_its_own(root: Root) -> None:
    root.write(MSMTPRC, account() + PASSWORD + "\n")


def typed_behind_a_command(root: Root) -> None:
    root.write(MSMTPRC, account(f"port {PASSWORD}"))


def typed_as_an_account(root: Root) -> None:
    root.write(MSMTPRC, account() + f"account x : {PASSWORD}\n")


def typed_into_roots_own(root: Root) -> None:
    root.write("/root/.msmtprc", f"{PASSWORD}\n")


def typed_as_a_command(root: Root) -> None:
    root.configure(passwordeval=f'"echo {PASSWORD}"')


def inline(root: Root) -> None:
    root.write(MSMTPRC, account(f"password {PASSWORD}", passwordeval=None), 0o644)


def everywhere(root: Root) -> None:
    line = f"the password is {PASSWORD}\n"
    for path in ("/etc/motd", "/var/log/cloud-init-output.log", "/root/.bash_history", "/etc/msmtp-password~"):
        root.write(path, line, 0o644)
    root.write(f"/etc/{PASSWORD}", line, 0o644)
    root.write("/var/lib/cloud/instance/user-data.txt", line)


def echoed_by_the_server(root: Root) -> None:
    root.log(*[failed(60, reply=f"535 5.7.8 {PASSWORD} is wrong", message=f"authentication failed: {PASSWORD}")] * 3)


def typed_into_the_aliases(root: Root) -> None:
    root.write("/etc/aliases", f"root: {PASSWORD}\n{PASSWORD}: ops\n", 0o644)


def typed_into_the_aliases_wrongly(root: Root) -> None:
    root.write("/etc/aliases", f"{PASSWORD}@x: a\n", 0o644)


def typed_into_a_crontab(root: Root) -> None:
    root.write("/etc/cron.d/jobs", f"MAILTO={PASSWORD},root\n@daily root x\n", 0o644)


def several_lines(root: Root) -> None:
    root.write(SECRET, f"{PASSWORD}\r\n{PASSWORD}\n", 0o644)


CASES = [
    typed_on_a_line_of_its_own,
    typed_behind_a_command,
    typed_as_an_account,
    typed_into_roots_own,
    typed_as_a_command,
    inline,
    everywhere,
    echoed_by_the_server,
    several_lines,
    typed_into_the_aliases,
    typed_into_the_aliases_wrongly,
    typed_into_a_crontab,
]


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.programs
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_no_format_shows_anything_of_the_secret(tmp_path: Path, case: object) -> None:
    assert callable(case)
    root = Root(tmp_path).good()
    root.write(SECRET, f"{PASSWORD}\n").rights(LOG, 0o644)
    case(root)
    for form in FORMATS:
        shown = audit(root, "--format", form)
        assert not [trace for trace in traces() if trace.lower() in shown.lower()], form
    shown = audit(root, "--fix", "--dry-run", "--format", "json")
    assert not [trace for trace in traces() if trace.lower() in shown.lower()]
    assert json.loads(shown)["roots"][0]["findings"]


@pytest.mark.root
def test_a_longer_secret_makes_no_difference(tmp_path: Path) -> None:
    root = Root(tmp_path).good()
    told = []
    for word in ("Zw8-geheim", "Zw8-geheim" * 40):
        root.write(SECRET, f"{word}\n", 0o644).write("/etc/motd", f"{word} \n", 0o644)
        told.append(root.findings())
    assert told[0] == told[1]
