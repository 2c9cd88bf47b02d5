"""The package in a virtual machine: a kernel of its own, a password from QEMU's fw_cfg, a real mail server.

Debian 12; the password of Debian 13's comes from fw_cfg too where msmtp's profile is enforced (test_vm_apparmor.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support.looked import CANARY, FW_CFG, LOOK, SECRET, TYPED, host_lines, judge
from tests.support.peer import Peer
from tests.support.vm import MAIL, Guest
from tests.test_cloudconfig_boot import SETTINGS, TRUST, USER, rendered

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow, pytest.mark.timeout(1800)]
VM_SETTINGS = SETTINGS.replace(f"host: {Peer.host}", f"host: {MAIL}")


def configured(tmp_path: Path, peer: Peer) -> dict[str, str]:
    """What `render` says of a host's mail, and the authority of the mail server's certificate."""
    document = rendered(tmp_path, VM_SETTINGS, "--deb-url", "https://example.test/deb", "--deb-sha256", "0" * 64)
    written = {file["path"]: file["content"] for file in yaml.safe_load(document)["write_files"]}
    return {**written, TRUST: peer.ca_file.read_text()}


def test_a_password_from_fw_cfg_is_proven(tmp_path: Path, peer: Peer) -> None:
    peer.set_users({USER: CANARY.encode()})
    prepare, options = host_lines("fw_cfg")
    with Guest(
        "bookworm",
        tmp_path,
        network=peer.netns,
        script=LOOK,
        files=configured(tmp_path, peer),
        options=options,
        prepare=prepare,
        host_files=TYPED,
    ) as guest:
        assert judge(guest.wait(), peer, FW_CFG) == []
        assert guest.read(SECRET) == f"{CANARY}\n"
