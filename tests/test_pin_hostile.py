"""`pin` against servers that misbehave: it ends, says where, shows nothing of theirs as it came, and writes nothing."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.oid import NameOID

from tests.support.account import ALIASES, MSMTPRC, SECRET
from tests.support.bridge import Bridge, self_signed
from tests.support.hostile import Fault, Hostile, Stage
from tests.support.pins import OFF, OTHER, PASSWORD, SPOKEN, pin, refused
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox

pytestmark = pytest.mark.root


@pytest.fixture
def box(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a secret and aliases."""
    sandbox.write(SECRET, f"{PASSWORD}\n")
    sandbox.write("/etc/aliases", ALIASES, mode=0o644)
    return sandbox


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    with Bridge(tmp_path) as running:
        yield running


FAULTS: list[tuple[Stage, Fault, int, str]] = [
    ("connect", "refuse", 75, "Connection refused"),
    ("greeting", "hang", 75, "still waiting at the deadline"),
    ("greeting", "flood", 76, "msmtp ended with 76"),
    ("ehlo", "rubbish", 76, "msmtp ended with 76"),
    ("starttls", "refuse", 76, "501 5.5.4 no TLS today"),
    ("handshake", "rubbish", 76, "TLS handshake failed"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "fault", "code", "words"), FAULTS)
def test_a_server_that_cannot_be_looked_at(
    box: Sandbox, tmp_path: Path, stage: Stage, fault: Fault, code: int, words: str
) -> None:
    with Bridge(tmp_path, stage, fault) as bridge:
        bridge.configure(box, OFF)
        done = pin(box, "--accept", "--timeout", "2" if fault == "hang" else "20", code=None)
    assert "Traceback" not in done.stderr
    assert all(line.isprintable() for line in (done.stdout + done.stderr).splitlines())
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert len(done.stdout + done.stderr) < 20_000
    assert OFF.encode() in box.read(MSMTPRC)


@pytest.mark.slow
def test_a_hostile_name_in_the_certificate(box: Sandbox, bridge: Bridge) -> None:
    evil = f"evil\x1b]0;x\x07\n\u202eHarmless\n        SHA256: {OTHER}\nCapabilities:\n"
    description = ObjectIdentifier("2.5.4.13")
    bridge.install(*self_signed(((description, "y" * 300), (NameOID.ORGANIZATION_NAME, "z"), (description, evil))))
    bridge.configure(box, OFF)
    done = pin(box, "--accept")
    assert all(line.isprintable() for line in (done.stdout + done.stderr).splitlines())
    assert "y [cut]\n" in done.stdout
    assert "subject   2.5.4.13=evil?]0\\;x???Harmless?        SHA256: 01:" in done.stdout
    assert f"tls_fingerprint {bridge.fingerprint}\n".encode() in box.read(MSMTPRC)


def parrot(box: Sandbox, hostile: Hostile, code: int) -> str:
    """What is said of a server that says the password again; `pin` sees to it that it is not there."""
    trust = "tls_certcheck off\npassword " + PASSWORD
    box.write(
        MSMTPRC, f"account default\nhost 127.0.0.1\nport {hostile.port}\nfrom f\nauth on\nuser me\ntls on\n{trust}\n"
    )
    done = pin(box, "--accept", code=code)
    assert "***" in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_server_that_says_the_password_again_to_msmtp(box: Sandbox) -> None:
    again = b64encode(f"\0me\0{PASSWORD}".encode())
    with Hostile("greeting", reply=b"554 no, " + again + b" " + PASSWORD.encode() + b"\r\n", tls="none") as hostile:
        said = parrot(box, hostile, 76)
    assert "no, *** ***" in said
    assert again.decode().rstrip("=") not in said


class Later(Hostile):
    """It misbehaves at its second client alone."""

    def misbehaves_at(self, stage: Stage) -> bool:
        return stage == self.stage and self.reached.count(stage) == 2


@pytest.mark.slow
def test_a_server_that_says_the_password_again_to_us(box: Sandbox, pki: Pki) -> None:
    reply = b"554 " + b"y" * 190 + PASSWORD.encode() + b"\r\n"
    with Later("greeting", reply=reply, cert=pki.certificate(), key=pki.key()) as hostile:
        said = parrot(box, hostile, 75)
    assert PASSWORD[:3] not in said


def test_a_certificate_that_says_the_password_again(box: Sandbox, tmp_path: Path) -> None:
    with Bridge(tmp_path) as hostile:
        hostile.install(
            *self_signed(((NameOID.ORGANIZATION_NAME, "x" * 220 + PASSWORD), (NameOID.COMMON_NAME, PASSWORD)))
        )
        said = parrot(box, hostile, 0)
    assert PASSWORD[:3] not in said


class TwoFaced(Bridge):
    """It shows msmtp, which comes first, another certificate than us."""

    def context(self) -> ssl.SSLContext:
        context = super().context()
        self.install(*self_signed())
        return context


@pytest.mark.slow
def test_a_server_with_two_faces(box: Sandbox, tmp_path: Path) -> None:
    with TwoFaced(tmp_path) as bridge:
        bridge.configure(box, OFF)
        refused(box, "showed two certificates to two connections", code=75)


@pytest.mark.slow
def test_what_msmtp_does_not_take_is_not_written(box: Sandbox, tmp_path: Path) -> None:
    """From the fourth connection on another certificate is shown: the text is tried before it is written."""

    class Changing(Bridge):
        seen = 0

        def context(self) -> ssl.SSLContext:
            self.seen += 1
            if self.seen == 4:
                self.install(*self_signed())
            return super().context()

    with Changing(tmp_path) as bridge:
        bridge.configure(box, OFF)
        refused(box, "is not accepted with the pin, and nothing was written: msmtp ended with 69", code=69)


@pytest.mark.slow
def test_plain_text_is_all_that_a_server_without_tls_gets(box: Sandbox) -> None:
    with Hostile(tls="none") as hostile:
        box.write(MSMTPRC, f"account default\nhost 127.0.0.1\nport {hostile.port}\nfrom f\ntls on\ntls_certcheck off\n")
        refused(box, "the server does not support TLS", code=69)
    assert set(hostile.lines) <= SPOKEN
