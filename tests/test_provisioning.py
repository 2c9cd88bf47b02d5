"""docs/provisioning.md: every line of it is one that the program prints, or is run here as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import yaml

from msmtp_agent import __version__, handing_over
from tests.package_support import package
from tests.support.archive import sha256
from tests.support.peer import Peer
from tests.support.sandbox import PROJECT
from tests.support.trees import Machine
from tests.support.view import SYSTEM_PATH, Completed

PAGE = PROJECT / "docs/provisioning.md"
CANARY = "canary-6f1d pass%word"
USER = "alerts@example.test"
TARGET = "mail1.example.org"
PRINTED = {
    "The password on the hypervisor": handing_over.FILE,
    "QEMU": handing_over.QEMU,
    "libvirt": handing_over.LIBVIRT,
    "Proxmox VE": handing_over.PROXMOX,
    "In the machine itself": handing_over.GUEST,
}
# How many boxes of a section are run below.
RUN = {"cloud-init": 2, "Plain SSH": 3, "Afterwards": 1}
SETTINGS = f"""\
smtp:
  host: {Peer.host}
  port: {Peer.ports["starttls"]}
  from_email: {USER}
  user: {USER}
  recipient: operator@example.test
  tls_trust_file: /etc/ssl/test-ca.pem
"""
DOMAIN = """\
<domain type='qemu'>
  <name>mail1</name>
  <memory unit='MiB'>768</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
{lines}
</domain>
"""


def boxes() -> dict[str, list[str]]:
    """What stands in boxes, by the heading of its section."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        found[part.partition("\n")[0]] = re.findall(r"^```\w+\n(.*?)\n```$", part, re.MULTILINE | re.DOTALL)
    return found


def test_the_page_and_the_program_say_the_same() -> None:
    """An added box, a changed line on either side, or a way that the page leaves out."""
    found = boxes()
    assert {heading: found[heading] for heading in PRINTED} == {
        heading: ["\n".join(lines)] for heading, lines in PRINTED.items()
    }
    assert {heading: len(found[heading]) for heading in found.keys() - PRINTED.keys()} == RUN
    assert sum(PRINTED.values(), ()) == tuple(line for line in handing_over.lines() if line)


def test_the_page_names_no_option_of_qemu_that_is_not_printed() -> None:
    outside = re.sub(r"^```.*?^```$", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"`-(?:fw_cfg|smbios)[ =][^`]*`", outside) == []


def test_proxmox_is_given_the_option_of_qemu() -> None:
    (line,) = handing_over.PROXMOX[1:]
    words = shlex.split(line)
    assert words[:-1] == ["qm", "set", "VMID", "--args"]
    assert words[-1] == handing_over.QEMU[1]


# --- a host and a hypervisor's tools


@pytest.fixture
def host(tmp_path: Path, peer: Peer) -> Iterator[Machine]:
    """A Debian 13 with sshd and the tools of a hypervisor, in the network of the mail server; the package's file lies
    in /srv/mail, where an administrator would follow the page, and is not installed.
    """
    peer.set_users({USER: CANARY.encode()})
    with Machine("provisioning", tmp_path, network=peer.netns) as view:
        view.write("/etc/hosts", f"127.0.0.1 localhost {TARGET}\n", mode=0o644)
        view.write("/etc/ssl/test-ca.pem", peer.ca_file.read_text(), mode=0o644)
        view.write("/etc/dpkg/dpkg.cfg.d/test", "force-unsafe-io\n", mode=0o644)
        view.write(f"/srv/mail/msmtp-agent_{__version__}_all.deb", package().read_bytes(), mode=0o644)
        view.write("/srv/mail/smtp.config.yaml", SETTINGS)
        view.write("/srv/mail/mail.password", f"{CANARY}\n")
        view.write("/usr/local/bin/systemd-ask-password", f"#!/bin/sh\necho '{CANARY}'\n", mode=0o755)
        yield view


def follow(machine: Machine, box: str) -> Completed:
    """Type a box, in the directory where the files lie; its first failure ends it."""
    path = {"PATH": f"/usr/local/bin:{SYSTEM_PATH}"}
    return machine.run(["bash", "-euc", box], cwd="/srv/mail", env=path, timeout=100)


_ALONE = """\
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev
for device in null zero random urandom; do mknod -m 666 "/dev/$device" c 1 "$1"; shift; done
virt-xml-validate /srv/mail/mail1.xml
virsh -c 'qemu:///embed?root=/srv/mail/libvirt' domxml-to-native qemu-argv /srv/mail/mail1.xml
"""


def libvirt(machine: Machine, lines: str) -> Completed:
    """libvirt's word on a domain with these lines, and QEMU's arguments for it.

    In a process space of its own, whose first process buries what libvirt tries out, and without a /dev/kvm that may be
    there and not work: libvirt waits for both.
    """
    machine.write("/srv/mail/mail1.xml", DOMAIN.format(lines=lines))
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", f"{_ALONE}exit\n", "sh"]
    return machine.run([*alone, "3", "5", "8", "9"], timeout=100)


@pytest.mark.tree
@pytest.mark.slow
def test_the_hypervisors_take_the_lines(host: Machine) -> None:
    """QEMU opens the files that it is given; libvirt finds no fault, and gives QEMU the very option."""
    file, (first, fw_cfg, second, string, smbios) = boxes()["The password on the hypervisor"][0], handing_over.QEMU
    assert first.startswith("#")
    assert second.startswith("#")
    done = follow(host, f"{file}\n{string}")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert host.read("/var/lib/msmtp.password") == f"{CANARY}\n".encode()
    for name in ("msmtp.password", "msmtp.smbios"):
        assert host.stat(f"/var/lib/{name}").st_mode & 0o777 == 0o600
    emulator = "qemu-system-x86_64 -M q35,accel=tcg -nodefaults -display none -S -monitor stdio"
    for option in (fw_cfg, smbios):
        done = follow(host, f"echo quit | {emulator} {option}")
        assert done.returncode == 0, done.stderr
        done = follow(host, f"echo quit | {emulator} {option}.nowhere")
        assert done.returncode == 1, done.stdout
    done = libvirt(host, boxes()["libvirt"][0].partition("\n")[2])
    assert done.returncode == 0, done.stderr
    assert f" {fw_cfg} " in done.stdout
    done = libvirt(host, boxes()["libvirt"][0].partition("\n")[2].replace("fwcfg", "fw_cfg"))
    assert done.returncode != 0


@pytest.mark.tree
@pytest.mark.slow
def test_the_password_is_asked_for_and_not_shown(host: Machine) -> None:
    """The same line with systemd's own program, at a terminal: elsewhere here a script stands for it, and types."""
    (box,) = boxes()["The password on the hypervisor"]
    words = host.command(["bash", "-euc", box])
    child = pexpect.spawn(words[0], words[1:], encoding="utf-8", timeout=30, env=host.environment())
    try:
        child.expect("Mail password: ")
        child.sendline(CANARY)
        child.expect(pexpect.EOF)
    finally:
        child.close()
    assert child.exitstatus == 0, child.before
    assert CANARY not in (child.before or "")
    assert host.read("/var/lib/msmtp.password") == f"{CANARY}\n".encode()
    assert host.stat("/var/lib/msmtp.password").st_mode & 0o777 == 0o600


@pytest.mark.tree
@pytest.mark.slow
def test_the_user_data_and_its_disk(host: Machine) -> None:
    """What the boots of tests/test_vm_cloud.py read."""
    host.run(["dpkg", "--install", f"/srv/mail/msmtp-agent_{__version__}_all.deb"], check=True)
    render, disk = boxes()["cloud-init"]
    for box in (render, disk):
        done = follow(host, box)
        assert done.returncode == 0, done.stderr
    document = host.read("/srv/mail/user-data").decode()
    assert document.startswith("#cloud-config\n")
    assert sha256(package()) in document
    assert f"https://packages.example.org/msmtp-agent_{__version__}_all.deb" in document
    assert CANARY not in document
    assert yaml.safe_load(host.read("/srv/mail/meta-data")) == {"instance-id": "mail1", "local-hostname": "mail1"}
    shown = host.shell("cd /srv/mail && mlabel -s -i seed.img ::; mcopy -i seed.img ::user-data - | cmp - user-data")
    assert "CIDATA" in shown.stdout
    assert host.shell("cd /srv/mail && mdir -b -i seed.img ::").stdout.split() == ["::/user-data", "::/meta-data"]


# --- a machine that is there already


@pytest.fixture
def reachable(host: Machine) -> Iterator[Machine]:
    """The same host reaches itself by ssh under the page's name, as root and as an administrator with sudo."""
    host.shell(
        "useradd --create-home --shell /bin/bash admin\n"
        "echo 'admin ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/admin; chmod 440 /etc/sudoers.d/admin\n"
        "mkdir -p /run/sshd; mkdir -p -m 700 /root/.ssh /home/admin/.ssh\n"
        "ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519\n"
        "for home in /root /home/admin; do cp /root/.ssh/id_ed25519.pub $home/.ssh/authorized_keys; done\n"
        f"sed 's/^/{TARGET} /' /etc/ssh/ssh_host_ed25519_key.pub >/root/.ssh/known_hosts\n"
        "chown -R admin: /home/admin\n"
    )
    server = host.popen(["/usr/sbin/sshd", "-D", "-e"])
    up = (
        "for n in $(seq 100); do if (exec 3<>/dev/tcp/127.0.0.1/22) 2>/dev/null; then exit; fi; sleep 0.1; done; exit 1"
    )
    assert host.run(["bash", "-c", up]).returncode == 0
    yield host
    host.kill(server)


def typed_at_a_terminal(machine: Machine, box: str) -> str:
    """What is seen there, from the question for the password to the end of a run that ends well."""
    words = machine.command(["bash", "-euc", box], cwd="/srv/mail")
    child = pexpect.spawn(words[0], words[1:], encoding="utf-8", timeout=60, env=machine.environment())
    seen = ""
    try:
        for question, answer in (("assword.*: ", CANARY), (r"Send a test mail\? \[Y/n\] ", "y"), (pexpect.EOF, "")):
            child.expect(question)
            seen += child.before or ""
            if answer:
                child.sendline(answer)
    finally:
        child.close()
    assert child.exitstatus == 0, seen
    return seen


@pytest.mark.tree
@pytest.mark.slow
def test_over_ssh_it_is_proven_and_clean(reachable: Machine, peer: Peer) -> None:
    """A wrong password at first; the same lines then do the rest."""
    piped, as_admin, typed = boxes()["Plain SSH"]
    reachable.write("/srv/mail/mail.password", "wrong\n")
    done = follow(reachable, piped)
    assert done.returncode == 77, done.stdout + done.stderr
    assert not reachable.exists("/etc/msmtp-password")
    reachable.write("/srv/mail/mail.password", f"{CANARY}\n")
    done = follow(reachable, piped)
    assert done.returncode == 0, done.stdout + done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert reachable.read("/etc/msmtp-password") == f"{CANARY}\n".encode()
    assert len(peer.wait_for_mail("operator@example.test")) == 1
    done = follow(reachable, as_admin)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(peer.wait_for_mail("operator@example.test", 2)) == 2
    assert CANARY not in typed_at_a_terminal(reachable, typed)
    assert len(peer.wait_for_mail("operator@example.test", 3)) == 3
    (afterwards,) = boxes()["Afterwards"]
    done = follow(reachable, afterwards)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(peer.wait_for_mail("operator@example.test", 4)) == 4
