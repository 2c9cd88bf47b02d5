"""The package in virtual machines: a kernel of their own, credentials from the hypervisor, a real mail server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.package_support import ALIASES, MSMTPRC, UNIT
from tests.support.peer import Peer
from tests.support.vm import MAIL, Guest

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow, pytest.mark.timeout(300)]
SECRET = "/etc/msmtp-password"
CANARY = "canary-6f1d pass%word"
USER = "alerts@example.test"
LOOK = f"""\
while systemctl show -p ActiveState {UNIT} | grep -q activating; do sleep 0.2; done
journalctl -b --no-pager -o cat -u {UNIT} >/outcome/journal
stat -c '%a %U:%G %s' {SECRET} >/outcome/rights
msmtp-config audit >/outcome/audit 2>&1
echo $? >>/outcome/audit
systemd-analyze >/outcome/time
"""


def host_files(peer: Peer) -> dict[str, str]:
    configuration = MSMTPRC.format(port=peer.ports["starttls"], trust="/etc/ssl/test-ca.pem")
    return {
        "/etc/msmtprc": configuration.replace("127.0.0.1", MAIL).replace("sender@example.org", USER),
        "/etc/aliases": ALIASES.replace("example.org", "example.test"),
        "/etc/ssl/test-ca.pem": peer.ca_file.read_text(),
    }


def test_a_password_from_the_firmware_tables_is_proven(suite: str, tmp_path: Path, peer: Peer) -> None:
    peer.set_users({USER: CANARY.encode()})
    options = ["-smbios", f"type=11,value=io.systemd.credential:msmtp.password={CANARY}"]
    with Guest(suite, tmp_path, network=peer.netns, script=LOOK, files=host_files(peer), options=options) as guest:
        guest.wait()
        assert (guest.outcome("rights") or "").startswith("600 root:root"), guest.outcome("journal")
        assert guest.read(SECRET) == f"{CANARY}\n"
    assert len(peer.wait_for_mail("operator@example.test")) == 1
