"""The life of machines that are given a credential: first boots, later boots, rotations, and a real mail server."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from msmtp_agent.errors import ExitCode
from tests.package_support import ALIASES, MSMTPRC, SUITES, UNIT, Boot
from tests.support.peer import Peer

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow]
SECRET = "/etc/msmtp-password"
RETRY = "/var/lib/msmtp-config/retry"
USER = "alerts@example.test"
STRANGER = "stranger@example.test"
OPERATOR = "operator@example.test"
CANARY = "canary-6f1d pass%word"
ROTATED = "canary-7a2e: #rotated'"
# Nobody listens here in the network of the mail server.
NOWHERE = 12599
BLOB = "/etc/credstore.encrypted/msmtp.password"
DROP_IN = f"/etc/systemd/system/{UNIT}.d"
HOW_TO_GO_ON = "to set up mail without one: sudo msmtp-config"


def configuration(port: int, user: str = USER) -> str:
    """An msmtprc for the mail server."""
    text = MSMTPRC.format(port=port, trust="/etc/ssl/test-ca.pem")
    return text.replace("127.0.0.1", Peer.host).replace("sender@example.org", user)


def host_files(peer: Peer, port: int = Peer.ports["starttls"]) -> dict[str, str]:
    """A configured host in the network of the mail server."""
    return {
        "/etc/msmtprc": configuration(port),
        "/etc/aliases": ALIASES.replace("example.org", "example.test"),
        "/etc/hosts": "127.0.0.1 localhost\n",
        "/etc/ssl/test-ca.pem": peer.ca_file.read_text(),
    }


def patience(restart: str = "1s", burst: int = 6) -> dict[str, str]:
    """A unit that waits no longer for its next attempt than a test does."""
    return {f"{DROP_IN}/test.conf": f"[Unit]\nStartLimitBurst={burst}\n[Service]\nRestartSec={restart}\n"}


def stored(machine: Boot) -> str:
    """The password, which is root's alone wherever it is."""
    facts = machine.path(SECRET).stat()
    assert (facts.st_mode & 0o7777, facts.st_uid, facts.st_gid) == (0o600, 0, 0)
    return machine.path(SECRET).read_text()


# --- the whole life of one machine


# The real cron: what it runs when it is started gives output, which it mails with its own environment and options.
CRON = {
    "/etc/cron.d/test": "@reboot root echo said by cron\n",
    "/etc/systemd/system/cron.service.d/test.conf": f"[Unit]\nAfter={UNIT}\n",
}


def mails(number: int) -> str:
    """Shell that waits until msmtp has handed over so many mails."""
    return f"until [ \"$(grep -c 'exitcode=EX_OK' /var/log/msmtp.log)\" -ge {number} ]; do sleep 0.1; done\n"


def subjects(peer: Peer, number: int) -> list[str]:
    """What has arrived so far, in any order."""
    return sorted(str(mail["Subject"]) for mail in peer.wait_for_mail(OPERATOR, number))


def test_a_password_is_proven_once_and_its_successor_stands(suite: str, tmp_path: Path, peer: Peer) -> None:
    """Three boots: the credential; none, and a rotation by hand; the old credential again."""
    peer.set_users({USER: CANARY.encode()})
    from_root = f"rest {UNIT}\nprintf 'Subject: from root\\n\\nhello\\n' | sendmail root\n"
    files = {**host_files(peer), **patience(), **CRON}
    with Boot(
        suite, tmp_path, files=files, credential=CANARY, extra=from_root + mails(3), network=peer.netns
    ) as machine:
        machine.wait()
        assert machine.unit["Result"] == "success", machine.outcome("journal")
        assert machine.attempts == 1
        assert f"{Peer.host}:{Peer.ports['starttls']} accepted the password" in machine.outcome("journal")
        assert CANARY not in machine.outcome("journal")
        assert stored(machine) == f"{CANARY}\n"
        assert not machine.exists(RETRY)
        first = machine.path(SECRET).stat()
        found = subjects(peer, 3)
        assert [subject for subject in found if "echo said by cron" in subject and subject.startswith("Cron <root@")]
        assert "from root" in found

        peer.set_users({USER: ROTATED.encode()})
        (machine.path("/new")).write_text(ROTATED)
        rotate = f"rest {UNIT}\nrecord before- {UNIT}\nstat -c %Y /etc/msmtp-password >/outcome/before-time\n"
        rotate += "msmtp-config --password-stdin --no-mail </new >/outcome/rotation 2>&1\n"
        machine.again(extra=rotate).wait()
        assert machine.state("before-")["ConditionResult"] == "no"
        assert machine.outcome("before-time") == f"{int(first.st_mtime)}\n"
        assert machine.attempts == 0, machine.outcome("journal")
        assert stored(machine) == f"{ROTATED}\n", machine.outcome("rotation")
        second = machine.path(SECRET).stat()

        machine.again(credential=CANARY, extra=mails(4)).wait()
        assert machine.unit["ConditionResult"] == "no"
        assert machine.unit["ActiveState"] == "inactive"
        assert UNIT not in machine.outcome("failed")
        assert machine.attempts == 0
        assert stored(machine) == f"{ROTATED}\n"
        assert (machine.path(SECRET).stat().st_ino, machine.path(SECRET).stat().st_mtime_ns) == (
            second.st_ino,
            second.st_mtime_ns,
        )
        # Sent with the rotated password: the server knows no other.
        assert len(subjects(peer, 4)) == 4


# --- what is no credential, or one that is encrypted


ENCRYPTED = f"""\
rest {UNIT}
record none- {UNIT}
mkdir -m 700 /etc/credstore.encrypted
systemd-creds encrypt --name=msmtp.password /new {BLOB} 2>/outcome/encrypt
systemctl start {UNIT}
rest {UNIT}
record blob- {UNIT}
ls -A /etc | grep msmtp-password >/outcome/blob-files
printf '[Service]\\nLoadCredential=\\nLoadCredentialEncrypted=msmtp.password\\n' >{DROP_IN}/credential.conf
"""


def test_an_encrypted_credential_is_decrypted_or_refused(suite: str, tmp_path: Path, peer: Peer) -> None:
    """First without any credential, then with the encrypted bytes alone, then as systemd is to be told of them.

    The plain LoadCredential= of systemd 257 hands over the bytes as they are, that of 252 nothing.
    """
    peer.set_users({USER: CANARY.encode()})
    files = {**host_files(peer), **patience(), "/new": CANARY}
    with Boot(suite, tmp_path, files=files, extra=ENCRYPTED, network=peer.netns) as machine:
        machine.wait()
        ended = machine.state("none-")
        assert (ended["ActiveState"], ended["Result"], ended["ExecMainStatus"]) == ("inactive", "success", "0")
        said = machine.outcome("none-journal").splitlines()
        assert "no credential msmtp.password: nothing to do" in said
        assert HOW_TO_GO_ON in said
        assert machine.outcome("enabled") == "enabled\n"

        refused = machine.state("blob-")
        assert (refused["ActiveState"], refused["ExecMainStatus"]) == ("failed", str(int(ExitCode.DATA)))
        assert refused["NRestarts"] == "0"
        told = machine.outcome("blob-journal")
        assert "credential msmtp.password: is a credential that systemd has encrypted" in told
        assert "fix: systemctl edit msmtp-config.service   # LoadCredentialEncrypted=" in told
        assert machine.outcome("blob-files") == ""
        assert peer.mailbox(OPERATOR) == []

        machine.again().wait()
        assert machine.unit["Result"] == "success", machine.outcome("journal")
        assert machine.attempts == 1
        assert stored(machine) == f"{CANARY}\n"
        assert len(peer.wait_for_mail(OPERATOR)) == 1


# --- what cannot succeed


def case(name: str, scene: str, after: str = "") -> str:
    """Shell that starts the unit anew in a scene, and writes down what came of it."""
    return f"""\
{scene}
systemctl reset-failed {UNIT}
systemctl start {UNIT}
rest {UNIT}
record {name}- {UNIT}
ls -A /etc | grep msmtp-password >/outcome/{name}-files
{after}
"""


CASES = (
    f"rest {UNIT}\nrecord missing- {UNIT}\nls -A /etc | grep msmtp-password >/outcome/missing-files\n"
    + case("broken", "(cat /good; echo bogus on) >/etc/msmtprc; chmod 600 /etc/msmtprc")
    + case("refused", "cat /stranger >/etc/msmtprc")
    + case("readonly", "cat /good >/etc/msmtprc; mount --bind /etc /etc; mount -o remount,bind,ro /etc", "umount /etc")
    + case("healed", ":")
)


def test_what_waiting_does_not_heal_is_told_once_and_stores_nothing(suite: str, tmp_path: Path, peer: Peer) -> None:
    peer.set_users({USER: CANARY.encode(), STRANGER: b"another"})
    files = {
        **host_files(peer),
        **patience(),
        "/good": configuration(Peer.ports["starttls"]),
        "/stranger": configuration(Peer.ports["starttls"], STRANGER),
    }
    del files["/etc/msmtprc"]
    with Boot(suite, tmp_path, files=files, credential=CANARY, extra=CASES, network=peer.netns) as machine:
        machine.wait()
        expected = {
            "missing": (ExitCode.CONFIG, "/etc/msmtprc: is missing"),
            "broken": (ExitCode.CONFIG, "/etc/msmtprc: line 15"),
            "refused": (ExitCode.REFUSED, "refused the password"),
            "readonly": (ExitCode.CANTCREAT, "Read-only file system"),
        }
        for name, (status, words) in expected.items():
            told = machine.outcome(f"{name}-journal")
            ended = machine.state(f"{name}-")
            assert (ended["ActiveState"], ended["ExecMainStatus"]) == ("failed", str(int(status))), (name, told)
            assert ended["NRestarts"] == "0", name
            assert words in told, (name, told)
            assert "fix: " in told or "1. " in told, (name, told)
            assert CANARY not in told, name
            assert machine.outcome(f"{name}-files") == "", name
        # The same machine, unit and credential succeed once nothing stands in the way.
        assert machine.state("healed-")["Result"] == "success", machine.outcome("healed-journal")
        assert stored(machine) == f"{CANARY}\n"
    assert len(peer.wait_for_mail(OPERATOR)) == 1


# --- a server that is away


def test_an_unproven_password_is_due_at_the_next_boot(suite: str, tmp_path: Path, peer: Peer) -> None:
    """What somebody else has stored meanwhile is not, be its file as old as it says."""
    peer.set_users({USER: CANARY.encode()})
    theirs = f"rest {UNIT}\nrecord given-up- {UNIT}\necho theirs >{SECRET}\ntouch -d 2001-01-01 {SECRET}\n"
    files = {**host_files(peer, NOWHERE), **patience(burst=2)}
    with Boot(suite, tmp_path, files=files, credential="mistyped", extra=theirs, network=peer.netns) as machine:
        machine.wait()
        assert machine.state("given-up-")["ActiveState"] == "failed"
        assert machine.attempts == 2, machine.outcome("journal")
        assert machine.exists(RETRY)

        anew = f"rest {UNIT}\nrecord theirs- {UNIT}\ncp {SECRET} /outcome/theirs\nrm {SECRET}\nsystemctl start {UNIT}\n"
        machine.again(credential="mistyped", extra=anew).wait()
        assert machine.outcome("theirs") == "theirs\n"
        assert "host" not in machine.outcome("theirs-journal").split()
        assert machine.state("theirs-")["ActiveState"] == "inactive"
        assert machine.unit["ActiveState"] == "failed"
        assert stored(machine) == "mistyped\n"

        # Both are mended: the server is there, and the hypervisor has the right password.
        heal = {"/etc/msmtprc": configuration(Peer.ports["starttls"])}
        machine.again(credential=CANARY, files=heal).wait()
        assert machine.unit["Result"] == "success", machine.outcome("journal")
        assert machine.attempts == 1
        assert stored(machine) == f"{CANARY}\n"
        assert not machine.exists(RETRY)
    assert len(peer.wait_for_mail(OPERATOR)) == 1


@contextmanager
def away(peer: Peer) -> Iterator[None]:
    """Nothing can be reached in the network of the mail server."""

    def address(change: str) -> None:
        subprocess.run([*peer.enter_argv, "ip", "address", change, "127.0.0.1/8", "dev", "lo"], check=True, timeout=10)

    address("del")
    try:
        yield
    finally:
        address("add")


def test_a_server_that_is_away_for_forty_seconds(tmp_path: Path, peer: Peer) -> None:
    """The unit as it is shipped, with its own waits; both systemds at the same time."""
    peer.set_users({USER: CANARY.encode()})
    with ExitStack() as stack:
        with away(peer):
            machines = [
                stack.enter_context(
                    Boot(suite, tmp_path, files=host_files(peer), credential=CANARY, network=peer.netns)
                )
                for suite in SUITES
            ]
            time.sleep(40)
        for machine in machines:
            machine.wait()
            told = machine.outcome("journal")
            assert machine.unit["Result"] == "success", told
            assert (machine.attempts, machine.unit["NRestarts"]) == (2, "1"), told
            assert "0600 root:root (unproven)" in told
            assert f"{SECRET} unchanged" in told
            assert stored(machine) == f"{CANARY}\n"
            assert not machine.exists(RETRY)
    assert len(peer.wait_for_mail(OPERATOR, len(SUITES))) == len(SUITES)
