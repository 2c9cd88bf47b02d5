"""What a virtual machine that was given a password looks at once it has booted, and what is to be found there."""

from __future__ import annotations

import shlex

from msmtp_agent import handing_over
from tests.package_support import UNIT
from tests.support.peer import Peer
from tests.support.vm import Guest

SECRET = "/etc/msmtp-password"
CANARY = "canary-6f1d: #pass'word"
_ENCODED = "Y2FuYXJ5LTZmMWQ6ICNwYXNzJ3dvcmQK"
# Where the machine itself shows what it was given by fw_cfg, and by SMBIOS.
FW_CFG = frozenset({"/sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/msmtp.password/raw"})
SMBIOS = frozenset({"/sys/firmware/dmi/entries/11-0/raw", "/sys/firmware/dmi/tables/DMI"})
_OF_SYSTEMD = "/run/credentials/@system/msmtp.password"
# Left open, to see that the search finds what is open.
_OPEN = "/var/lib/left-open"
# What a host's administrator would type is read from a file; everything else of the lines is run as it is printed.
_TYPED = "systemd-ask-password() { cat typed; }\n"
TYPED = {"typed": f"{CANARY}\n"}
# Where anybody could look, other than in the settings of the hypervisor: by whom the password is found there.
_SEARCH = f"grep -RlaF -D skip -e {shlex.quote(CANARY)} -e {_ENCODED} {{}} 2>/dev/null"
_WHERE = "/sys/firmware/dmi /sys/firmware/qemu_fw_cfg/by_name/opt /proc/cmdline /run /etc /var/lib /var/log"
LOOK = f"""\
while systemctl show -p ActiveState {UNIT} | grep -q activating; do sleep 0.2; done
journalctl -b --no-pager -o cat -u {UNIT} >/outcome/unit
journalctl -b --no-pager -o cat | grep -F -e {shlex.quote(CANARY)} -e {_ENCODED} >/outcome/told
stat -c '%a %U:%G %s' {SECRET} >/outcome/rights
printf 'Subject: from the guest\\n\\nhello\\n' | sendmail root >/outcome/mailed 2>&1
msmtp-config audit >/outcome/audited 2>&1
echo $? >>/outcome/audited
cp {SECRET} {_OPEN} && chmod 644 {_OPEN}
{_SEARCH.format(_WHERE)} | sort >/outcome/root
setpriv --reuid=65534 --regid=65534 --clear-groups {_SEARCH.format(_WHERE)} >/outcome/nobody
mv {_OPEN} /outcome/secret
"""


def host_lines(option: str) -> tuple[str, list[str]]:
    """The printed lines that an administrator of the host pastes, and the option of QEMU, of one of the ways."""
    printed = [*handing_over.FILE, *handing_over.QEMU]
    shell = "\n".join(line for line in printed if line.startswith("("))
    (given,) = [line for line in printed if line.startswith(f"-{option} ")]
    return _TYPED + shell, shlex.split(given)


def judge(guest: Guest, peer: Peer, holds: frozenset[str], mails: int = 2) -> list[str]:
    """It has the password, proven; its mail arrives; the audit is clean; only root finds the password, where it is.

    Returns the subjects of the mails that arrived after these two.
    """
    told = guest.outcome("unit") or ""
    assert (guest.outcome("rights") or "").startswith("600 root:root"), told
    assert guest.outcome("secret") == f"{CANARY}\n"
    assert "accepted the password" in told
    assert guest.outcome("mailed") == ""
    audit = guest.outcome("audited") or ""
    assert audit.endswith("\n0\n"), audit
    assert "warning" not in audit, audit
    assert set((guest.outcome("root") or "").split()) == {SECRET, _OPEN, _OF_SYSTEMD, *holds}
    assert guest.outcome("nobody") == f"{_OPEN}\n"
    assert guest.outcome("told") == ""
    subjects = [str(mail["Subject"]) for mail in peer.wait_for_mail("operator@example.test", mails)]
    assert subjects[1] == "from the guest"
    return subjects[2:]
