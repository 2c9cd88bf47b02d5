"""From the old fragment to this package: a host that cloud-init made with it, and the fragment's own verification."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.package_support import package
from tests.support import fragment
from tests.support.old_helper import COMMAND, HELPER, SCRIPT
from tests.support.pki import Pki
from tests.support.smtpd import Smtpd
from tests.support.trees import Machine
from tests.support.view import Completed

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow]
HOST, SENDER, RECIPIENT = "mail.acme.test", "alerts@acme.test", "admin@acme.test"
PASSWORD = "correct horse"
SECRET, LOG = "/etc/msmtp-password", "/var/log/msmtp.log"
# As login(1) gives it to root (/etc/login.defs).
ROOT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
SETTINGS = """\
smtp:
  host: {host}
  port: {port}
  from_email: {sender}
  user: {sender}
  recipient: {recipient}
  tls_trust_file: /etc/ssl/test-ca.pem
"""


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    pki.issue("acme", [HOST])
    with Smtpd({SENDER: PASSWORD.encode()}, cert=pki.certificate("acme"), key=pki.key("acme")) as smtpd:
        yield smtpd


@pytest.fixture
def settings(server: Smtpd) -> str:
    return SETTINGS.format(host=HOST, port=server.port, sender=SENDER, recipient=RECIPIENT)


@pytest.fixture
def old(suite: str, tmp_path: Path, pki: Pki) -> Iterator[Machine]:
    """A machine of each distribution before the fragment, and without the package."""
    with Machine(suite, tmp_path, network="host", share=[package()]) as view:
        view.write("/etc/hosts", f"127.0.0.1 localhost {HOST}\n", mode=0o644)
        view.write("/etc/ssl/test-ca.pem", pki.ca_file.read_bytes(), mode=0o644)
        yield view


def provision(machine: Machine, settings: str) -> None:
    """What cloud-init writes with the fragment."""
    modes = {fragment.MSMTPRC: 0o600}
    for path, content in fragment.files(settings).items():
        machine.write(path, content, mode=modes.get(path, 0o644))
    machine.write(HELPER, SCRIPT, mode=0o755)


def as_typed(machine: Machine, *words: str, stdin: bytes | None = None) -> Completed:
    """What root's PATH finds, by a shell."""
    return machine.run(["bash", "-c", '"$@"', "bash", *words], env=ROOT, stdin=stdin)


def verify(machine: Machine, server: Smtpd, log: str = LOG) -> None:
    """Each check of the fragment's own verification, in its order and with its patterns."""
    assert as_typed(machine, "which", "msmtp").stdout == "/usr/bin/msmtp\n"
    assert machine.path("/etc/msmtprc").is_file()
    assert machine.path("/usr/sbin/sendmail").is_symlink()
    configuration = machine.read("/etc/msmtprc").decode()
    for pattern in (rf"host\s+{re.escape(HOST)}", rf"port\s+{server.port}", rf"from\s+{SENDER}", rf"user\s+{SENDER}"):
        assert re.search(pattern, configuration), pattern
    method = re.search(r"auth\s+(\S+)", configuration)
    assert method
    assert method[1] in ("on", "plain", "login", "xoauth2", "oauthbearer", "external")
    assert re.search(r"tls\s+on", configuration)
    assert re.search(r"password\s", configuration) or "passwordeval" in configuration
    aliases = machine.read("/etc/aliases").decode()
    assert re.search(r"root:", aliases)
    assert RECIPIENT in aliases
    assert as_typed(machine, "test", "-x", HELPER).returncode == 0
    mails = len(server.messages)
    sent = as_typed(machine, "msmtp", RECIPIENT, stdin=b"Subject: verification\n\nA test.\n")
    assert sent.returncode == 0, sent.stderr
    assert [message.recipients for message in server.messages[mails:]] == [(RECIPIENT,)]
    assert RECIPIENT in machine.read(log).decode().splitlines()[-1]


def assert_ours(machine: Machine) -> None:
    """What is typed runs this program, by the link, and the script is kept beside it."""
    assert as_typed(machine, "which", "msmtp-config").stdout == f"{HELPER}\n"
    assert as_typed(machine, "msmtp-config", "--version").stdout.startswith("msmtp-config ")
    assert os.readlink(machine.path(HELPER)) == COMMAND
    (kept,) = (name for name in machine.listdir("/usr/local/bin") if name != "msmtp-config")
    assert re.fullmatch(r"msmtp-config\.\d{4}-\d\d-\d\dT\d{6}Z\.bak", kept)
    assert machine.read(f"/usr/local/bin/{kept}") == SCRIPT.encode()
    assert machine.stat(f"/usr/local/bin/{kept}").st_mode & 0o7777 == 0o644


def written(machine: Machine) -> dict[str, int]:
    """When what stands in the directories of the migration was last written."""
    places = ("/etc", "/etc/logrotate.d", "/usr/local/bin")
    paths = [f"{place}/{name}" for place in places if machine.exists(place) for name in machine.listdir(place)]
    return {path: machine.stat(path).st_ctime_ns for path in paths}


def migrate(machine: Machine, settings: str) -> Completed:
    """The README's lines; the package is there, and apt is the package's own test."""
    machine.run(["dpkg", "--install", package()], check=True)
    machine.write("/root/smtp.config.yaml", settings)
    return machine.run(["/usr/bin/msmtp-config", "apply", "smtp.config.yaml"], env=ROOT, cwd="/root")


def test_a_host_whose_password_the_old_helper_has_stored(old: Machine, server: Smtpd, settings: str) -> None:
    provision(old, settings)
    typed = as_typed(old, "msmtp-config", stdin=f"{PASSWORD}\nn\n".encode())
    assert typed.returncode == 0, typed.stderr
    assert old.read(SECRET) == PASSWORD.encode()
    verify(old, server)
    done = migrate(old, settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert old.read(SECRET) == PASSWORD.encode()
    assert_ours(old)
    verify(old, server)
    tried = as_typed(old, "msmtp-config", "test")
    assert tried.returncode == 0, tried.stdout + tried.stderr
    audited = as_typed(old, "msmtp-config", "audit")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert "sender-helper" not in audited.stdout


def test_a_host_whose_password_stands_in_the_settings(old: Machine, server: Smtpd, settings: str) -> None:
    """The fragment wrote it into msmtprc; from now on it is in the secret file alone."""
    settings += f"  password: {PASSWORD}\n"
    provision(old, settings)
    verify(old, server)
    done = migrate(old, settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert old.read(SECRET) == PASSWORD.encode() + b"\n"
    assert PASSWORD not in old.read("/etc/msmtprc").decode()
    assert_ours(old)
    verify(old, server)


def test_a_dry_run_tells_of_the_link_and_a_second_run_changes_nothing(
    old: Machine, server: Smtpd, settings: str
) -> None:
    provision(old, settings)
    old.write(SECRET, PASSWORD)
    old.run(["dpkg", "--install", package()], check=True)
    old.write("/root/smtp.config.yaml", settings)
    told = old.run([COMMAND, "apply", "/root/smtp.config.yaml", "--dry-run"])
    assert told.returncode == 0, told.stdout + told.stderr
    assert f"becomes a link to {COMMAND}" in " ".join(told.stdout.split())
    assert old.read(HELPER) == SCRIPT.encode()
    assert old.listdir("/usr/local/bin") == ["msmtp-config"]
    assert not server.logins
    assert migrate(old, settings).returncode == 0
    before = written(old)
    again = as_typed(old, "msmtp-config", "apply", "/root/smtp.config.yaml")
    assert again.returncode == 0, again.stdout + again.stderr
    assert written(old) == before


def test_a_script_that_is_somebodys_own_keeps_its_place(old: Machine, settings: str) -> None:
    provision(old, settings)
    own = SCRIPT + "logger a new password\n"
    old.write(HELPER, own, mode=0o755)
    old.write(SECRET, PASSWORD)
    done = migrate(old, settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert old.read(HELPER) == own.encode()
    assert old.listdir("/usr/local/bin") == ["msmtp-config"]
