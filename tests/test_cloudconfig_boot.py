"""A cloud-config on machines that boot with it for the first time: real cloud-init, packages and mail server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from msmtp_agent import handing_over
from tests.package_support import Boot, package
from tests.support.archive import served, sha256, sign
from tests.support.peer import Peer
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, PYTHON
from tests.support.trees import Machine
from tests.support.view import SYSTEM_PATH
from tests.test_units import host_files as configured
from tests.test_units import mail_server

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow]
SECRET = "/etc/msmtp-password"
USER = "alerts@example.test"
CANARY = "canary-6f1d: #pass'word"
TRUST = "/etc/ssl/test-ca.pem"
SETTINGS = f"""\
smtp:
  host: {Peer.host}
  port: {Peer.ports["starttls"]}
  from_email: {USER}
  user: {USER}
  recipient: operator@example.test
  tls_trust_file: {TRUST}
"""
PASSWORD = f"  password: {json.dumps(CANARY)}\n"
SEED = "/var/lib/cloud/seed/nocloud"
# An image whose distribution is the archive that the tree carries; what the test does not want to know is left out.
IMAGE = {
    "/etc/apt/sources.list": "deb [trusted=yes] file:/srv/packages ./\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
    "/etc/dpkg/dpkg.cfg.d/test": "force-unsafe-io\n",
    "/etc/cloud/cloud.cfg.d/99-test.cfg": "locale: C.UTF-8\nssh_genkeytypes: []\nssh_pwauth: unchanged\n",
    f"{SEED}/meta-data": "instance-id: first\nlocal-hostname: machine\n",
    # Not by `cloud-init status --wait`: that of 22.4 ends at the first error, while the last stage is still at work.
    "/etc/systemd/system/outcome.service.d/after.conf": "[Unit]\nAfter=cloud-final.service\n",
}
LOOK = """\
cloud-init status --long >/outcome/status 2>&1
cp /var/log/cloud-init-output.log /outcome/output
msmtp-config audit >/outcome/audit 2>&1
echo $? >>/outcome/audit
stat -c '%a %U:%G %n' /etc/msmtprc /etc/aliases /etc/logrotate.d/msmtp /etc/msmtp-password >/outcome/rights
ls -A /run | grep msmtp >/outcome/run
"""


@pytest.fixture
def deb(tmp_path: Path) -> Path:
    """The package, alone in a directory that can be served."""
    directory = tmp_path / "served"
    directory.mkdir()
    return Path(shutil.copy(package(), directory))


def rendered(tmp_path: Path, settings: str, *options: str) -> str:
    """The document as the command prints it."""
    file = tmp_path / "smtp.config.yaml"
    file.write_text(settings)
    file.chmod(0o600)
    done = subprocess.run(
        [PYTHON, "-m", "msmtp_agent", "render", file, "--format", "cloud-config", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stderr
    return done.stdout


def offered(suite: str, deb: Path, url: str) -> tuple[str, ...]:
    """The package in one of the two ways: as a file on Debian 13, from a signed archive on Debian 12."""
    if suite == "trixie":
        return "--deb-url", f"{url}/{deb.name}", "--deb-sha256", sha256(deb)
    key = deb.parent.with_name("key.asc")
    key.write_text(sign(deb.parent))
    return "--apt-source", f"deb [arch=all,amd64] {url} ./", "--apt-key", str(key)


def test_a_first_boot_ends_with_a_proven_password(suite: str, tmp_path: Path, peer: Peer, deb: Path) -> None:
    peer.set_users({USER: CANARY.encode()})
    with served(deb.parent, peer.enter_argv) as url:
        document = rendered(tmp_path, SETTINGS, *offered(suite, deb, url))
        given = {**IMAGE, f"{SEED}/user-data": document, TRUST: peer.ca_file.read_text()}
        booted = Boot(
            f"{suite}-cloud",
            tmp_path,
            files=given,
            credential=CANARY,
            installed=False,
            extra=LOOK,
            network=peer.netns,
        )
        with booted as machine:
            machine.wait()
            assert "status: done" in machine.outcome("status"), machine.outcome("status") + machine.outcome("output")
            for file in yaml.safe_load(document)["write_files"]:
                assert machine.path(file["path"]).read_text() == file["content"]
            assert machine.outcome("rights").splitlines() == [
                "600 root:root /etc/msmtprc",
                "644 root:root /etc/aliases",
                "644 root:root /etc/logrotate.d/msmtp",
                "600 root:root /etc/msmtp-password",
            ]
            assert machine.path(SECRET).read_text() == f"{CANARY}\n"
            assert "accepted the password" in machine.outcome("journal")
            assert machine.outcome("audit").endswith("\n0\n"), machine.outcome("audit")
            assert machine.outcome("run") == "msmtp-config\n"  # the lock's directory alone
    assert len(peer.wait_for_mail("operator@example.test")) == 1


# --- the same steps without a boot


@pytest.fixture
def provisioned(suite: str, tmp_path: Path, peer: Peer) -> Iterator[Machine]:
    """A machine that has the distribution's packages, in the network of the mail server; no systemd, no cloud-init."""
    with Machine(suite, tmp_path, network=peer.netns) as view:
        view.write(TRUST, peer.ca_file.read_text(), mode=0o644)
        yield view


def provision(machine: Machine, document: str) -> tuple[int, str]:
    """Do what the document says, as cloud-init does; the status and words of the command that it runs at the end."""
    content = yaml.safe_load(document)
    for file in content["write_files"]:
        machine.write(file["path"], file["content"], mode=int(file["permissions"], 8))
    ((*command,),) = content["runcmd"]
    done = machine.run(command, timeout=100)
    return done.returncode, done.stdout + done.stderr


def test_a_password_in_user_data_is_proven_and_removed(
    tmp_path: Path, provisioned: Machine, peer: Peer, deb: Path
) -> None:
    peer.set_users({USER: CANARY.encode()})
    with served(deb.parent, peer.enter_argv) as url:
        options = ("--deb-url", f"{url}/{deb.name}", "--deb-sha256", sha256(deb), "--allow-password-in-user-data")
        status, words = provision(provisioned, rendered(tmp_path, SETTINGS + PASSWORD, *options))
    assert status == 0, words
    assert CANARY not in words
    assert provisioned.read(SECRET) == f"{CANARY}\n".encode()
    assert not provisioned.exists("/run/msmtp-agent.password")
    assert not provisioned.exists("/run/msmtp-agent.deb")
    assert len(peer.wait_for_mail("operator@example.test")) == 1


def test_a_wrong_checksum_installs_nothing_and_stops(
    tmp_path: Path, provisioned: Machine, peer: Peer, deb: Path
) -> None:
    with served(deb.parent, peer.enter_argv) as url:
        options = ("--deb-url", f"{url}/{deb.name}", "--deb-sha256", "0" * 64, "--allow-password-in-user-data")
        status, words = provision(provisioned, rendered(tmp_path, SETTINGS + PASSWORD, *options))
    assert status != 0
    assert "Hash Sum mismatch" in words
    assert not provisioned.exists("/usr/bin/msmtp-config")
    assert not provisioned.exists(SECRET)
    assert provisioned.run(["sh", "-c", "ls -A /run | grep msmtp"]).stdout == ""


# --- the lines that are printed to be pasted


ASKED = "printf '%s\\n' '#!/bin/sh' 'cat /typed' >/usr/local/bin/systemd-ask-password\nchmod 755 /usr/local/bin/*\n"


def test_the_lines_for_the_machine_itself_give_it_the_credential(suite: str, tmp_path: Path, pki: Pki) -> None:
    lines = "\n".join(handing_over.GUEST)
    extra = f"{ASKED}{lines}\n"
    with mail_server(pki, CANARY) as server:
        files = {**configured(server.port, pki), "/typed": f"{CANARY}\n"}
        with Boot(suite, tmp_path, files=files, extra=extra) as machine:
            machine.wait()
            assert machine.path(SECRET).read_text() == f"{CANARY}\n", machine.outcome("journal")
            assert CANARY not in machine.path("/etc/credstore.encrypted/msmtp.password").read_text()
        assert len(server.messages) == 1
