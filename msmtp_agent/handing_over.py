"""The ways to hand a machine its mail password as a systemd credential, without user data: lines that can be pasted.

The password itself is never an argument of a program: everybody on a host can read those.
"""

CREDENTIAL = "msmtp.password"
# Not in /root, which libvirt's QEMU may not enter, nor in /etc, which its AppArmor profile may not name; libvirt itself
# hands the file to its QEMU for as long as the machine runs.
_FILE = f"/var/lib/{CREDENTIAL}"
_SMBIOS_FILE = "/var/lib/msmtp.smbios"
# systemd.system-credentials(7), systemd(1): where a virtual machine's systemd looks for its credentials.
_FW_CFG = f"opt/io.systemd.credentials/{CREDENTIAL}"
_SMBIOS = f"io.systemd.credential.binary:{CREDENTIAL}"
_UNIT = "msmtp-config.service"
_ASK = "systemd-ask-password 'Mail password:'"
_BLOB = f"/etc/credstore.encrypted/{CREDENTIAL}"
_DROP_IN = f"/etc/systemd/system/{_UNIT}.d"

# The password in a file, one final line break or none: the first step of every way that starts on the hypervisor.
FILE = (
    "# On the hypervisor, as root: the password in a file that root alone can read (asked for, not shown).",
    f"(umask 077; {_ASK} >{_FILE})",
)
QEMU = (
    "# QEMU:",
    f"-fw_cfg name={_FW_CFG},file={_FILE}",
    "# QEMU, where the machine has no fw_cfg: a string of SMBIOS type 11, written once, and the option.",
    f"""(umask 077; printf '{_SMBIOS}=%s' "$(base64 -w 0 {_FILE})" >{_SMBIOS_FILE})""",
    f"-smbios type=11,path={_SMBIOS_FILE}",
)
LIBVIRT = (
    "# libvirt: virsh edit DOMAIN, inside <domain>; the machine has it from its next start on.",
    "<sysinfo type='fwcfg'>",
    f"  <entry name='{_FW_CFG}' file='{_FILE}'/>",
    "</sysinfo>",
)
PROXMOX = (
    "# Proxmox VE, on the node of the machine (--args replaces what `qm config VMID` shows as args):",
    f"qm set VMID --args '-fw_cfg name={_FW_CFG},file={_FILE}'",
)
# Without the first line the unit would hand over the encrypted bytes as they are (systemd 257).
GUEST = (
    "# In the machine itself, where no hypervisor is yours: encrypted, for this machine alone.",
    f"mkdir -p -m 0700 /etc/credstore.encrypted && mkdir -p {_DROP_IN}",
    f"{_ASK} | systemd-creds encrypt --name={CREDENTIAL} - {_BLOB}",
    f"printf '%s\\n' '[Service]' 'LoadCredential=' 'LoadCredentialEncrypted={CREDENTIAL}' >{_DROP_IN}/credential.conf",
    f"systemctl daemon-reload && systemctl start {_UNIT}",
)


def lines() -> tuple[str, ...]:
    """All of them, one empty line between two: to be shown as they are, never folded."""
    told = [line for way in (FILE, QEMU, LIBVIRT, PROXMOX, GUEST) for line in (*way, "")]
    return tuple(told[:-1])
