"""The package in virtual machines: a kernel of their own, a password from QEMU's fw_cfg, a real mail server."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from msmtp_agent import handing_over
from tests.package_support import UNIT
from tests.support.peer import Peer
from tests.support.vm import MAIL, Guest
from tests.test_cloudconfig_boot import SETTINGS, TRUST, USER, rendered

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow, pytest.mark.timeout(960)]
SECRET = "/etc/msmtp-password"
CANARY = "canary-6f1d: #pass'word"
ENCODED = "Y2FuYXJ5LTZmMWQ6ICNwYXNzJ3dvcmQK"
# Left open, to see that the search finds what is open.
OPEN = "/var/lib/left-open"
OF_SYSTEMD = "/run/credentials/@system/msmtp.password"
VM_SETTINGS = SETTINGS.replace(f"host: {Peer.host}", f"host: {MAIL}")
# What a host's administrator would type is read from a file; everything else of the lines is run as it is printed.
TYPED = "systemd-ask-password() { cat typed; }\n"
# Where anybody could look, other than in the settings of the hypervisor: by whom the password is found there.
_SEARCH = f"grep -RlaF -D skip -e {shlex.quote(CANARY)} -e {ENCODED} {{}} 2>/dev/null"
_WHERE = "/sys/firmware/dmi /sys/firmware/qemu_fw_cfg/by_name/opt /proc/cmdline /run /etc /var/lib /var/log"
LOOK = f"""\
while systemctl show -p ActiveState {UNIT} | grep -q activating; do sleep 0.2; done
journalctl -b --no-pager -o cat -u {UNIT} >/outcome/journal
journalctl -b --no-pager -o cat | grep -F -e {shlex.quote(CANARY)} -e {ENCODED} >/outcome/told
stat -c '%a %U:%G %s' {SECRET} >/outcome/rights
printf 'Subject: from the guest\\n\\nhello\\n' | sendmail root >/outcome/sendmail 2>&1
msmtp-config audit >/outcome/audit 2>&1
echo $? >>/outcome/audit
cp {SECRET} {OPEN} && chmod 644 {OPEN}
{_SEARCH.format(_WHERE)} | sort >/outcome/root
setpriv --reuid=65534 --regid=65534 --clear-groups {_SEARCH.format(_WHERE)} >/outcome/nobody
"""


def host_lines(option: str) -> tuple[str, list[str]]:
    """The printed lines that an administrator of the host pastes, and the option of QEMU, of one of the ways."""
    printed = [*handing_over.FILE, *handing_over.QEMU]
    shell = "\n".join(line for line in printed if line.startswith("("))
    (given,) = [line for line in printed if line.startswith(f"-{option} ")]
    return TYPED + shell, shlex.split(given)


def judge(guest: Guest, peer: Peer, holds: set[str]) -> None:
    """It has the password, proven; its mail arrives; the audit is clean; only root finds the password, where it is."""
    told = guest.outcome("journal") or ""
    assert (guest.outcome("rights") or "").startswith("600 root:root"), told
    assert guest.read(SECRET) == f"{CANARY}\n"
    assert "accepted the password" in told
    assert guest.outcome("sendmail") == ""
    audit = guest.outcome("audit") or ""
    assert audit.endswith("\n0\n"), audit
    assert "warning" not in audit, audit
    assert set((guest.outcome("root") or "").split()) == {SECRET, OPEN, OF_SYSTEMD, *holds}
    assert guest.outcome("nobody") == f"{OPEN}\n"
    assert guest.outcome("told") == ""
    mails = peer.wait_for_mail("operator@example.test", 2)
    assert [mail["Subject"] for mail in mails][1:] == ["from the guest"]


def configured(tmp_path: Path, peer: Peer) -> dict[str, str]:
    """What `render` says of a host's mail, and the authority of the mail server's certificate."""
    document = rendered(tmp_path, VM_SETTINGS, "--deb-url", "https://example.test/deb", "--deb-sha256", "0" * 64)
    written = {file["path"]: file["content"] for file in yaml.safe_load(document)["write_files"]}
    return {**written, TRUST: peer.ca_file.read_text()}


def test_a_password_from_fw_cfg_is_proven(suite: str, tmp_path: Path, peer: Peer) -> None:
    peer.set_users({USER: CANARY.encode()})
    prepare, options = host_lines("fw_cfg")
    with Guest(
        suite,
        tmp_path,
        network=peer.netns,
        script=LOOK,
        files=configured(tmp_path, peer),
        options=options,
        prepare=prepare,
        host_files={"typed": f"{CANARY}\n"},
    ) as guest:
        judge(guest.wait(), peer, {"/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/msmtp.password/raw"})
