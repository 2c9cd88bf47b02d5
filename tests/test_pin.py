"""`msmtp-config pin` with the real msmtp: what it shows, what it writes, what it refuses, and what holds afterwards."""

from __future__ import annotations

import fcntl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.account import ALIASES, MSMTPRC, SECRET
from tests.support.bridge import Bridge, Far, self_signed
from tests.support.pins import OFF, OTHER, PASSWORD, SPOKEN, mail, pin, refused, untouched
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox

pytestmark = pytest.mark.root

SYSTEM = "/etc/ssl/certs/ca-certificates.crt"


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    with Bridge(tmp_path) as running:
        yield running


@pytest.fixture
def box(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a secret and aliases."""
    sandbox.write(SECRET, f"{PASSWORD}\n")
    sandbox.write("/etc/aliases", ALIASES, mode=0o644)
    return sandbox


# --- a bridge is pinned


def test_a_bridge_is_pinned_and_its_mail_leaves(box: Sandbox, bridge: Bridge) -> None:
    before = bridge.configure(box, OFF, "# the end", passwordeval=f'"touch /run/asked; cat {SECRET}"')
    done = pin(box, "--accept")
    line = f"tls_fingerprint {bridge.fingerprint}".encode()
    assert box.read(MSMTPRC) == before.replace(OFF.encode(), line)
    facts = box.stat(MSMTPRC)
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o600, 0, 0)
    assert box.changed() - {SECRET, "/etc/aliases"} == {MSMTPRC, "/run/msmtp-config", "/run/msmtp-config/lock"}
    assert set(bridge.lines) == SPOKEN  # no login, and no secret
    assert not box.exists("/run/asked")
    for row in (
        "subject   CN=127.0.0.1,OU=Proton Mail,O=Proton AG,C=CH\n",
        "names     127.0.0.1\n",
        "issuer    itself\n",
        f"SHA-256   {bridge.fingerprint}\n",
        "openssl x509 -noout -fingerprint -sha256 -in cert.pem",
        "passed  trust     it needs a pin; without one msmtp says: TLS certificate verification failed: ",
        f"passed  proof     from 127.0.0.1 port {bridge.port} msmtp takes this certificate, and no other\n",
    ):
        assert row in done.stdout
    assert "(in 7299 days)" in done.stdout
    assert done.stderr == ""
    sent = mail(box)
    assert (sent.returncode, sent.stderr) == (0, "")
    assert [b"Subject: hello" in body for body in bridge.bodies] == [True]


@pytest.mark.slow
def test_a_second_run_changes_nothing(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF)
    pin(box, "--accept")
    before = untouched(box)
    for options in ((), ("--accept",)):
        done = pin(box, *options)
        assert "passed  trust     unchanged: this certificate is pinned, and msmtp checks that\n" in done.stdout
        assert "pinned    this one\n" in done.stdout
    assert untouched(box) == before


@pytest.mark.slow
def test_a_changed_certificate_is_refused_by_msmtp_and_needs_a_new_yes(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF)
    pin(box, "--accept")
    old = bridge.fingerprint
    bridge.install(*self_signed(key=ec.generate_private_key(ec.SECP256R1())))
    sent = mail(box)
    assert sent.returncode == 69
    assert "the certificate fingerprint does not match" in sent.stderr
    assert bridge.bodies == []
    done = refused(box, "is no terminal, so nobody can be asked; nothing was written", "--timeout=20", code=64)
    assert f"CHANGED   pinned until now: {old}\n" in done.stdout
    assert f"SHA-256   {bridge.fingerprint}\n" in done.stdout
    assert f"port {bridge.port}: CHANGED: this is not the certificate that is pinned" in done.stderr
    pin(box, "--accept")
    assert box.read(MSMTPRC).count(b"tls_fingerprint") == 1
    assert mail(box).returncode == 0
    assert len(bridge.bodies) == 1


@pytest.mark.slow
def test_without_a_terminal_and_without_accept_nothing_is_written(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF)
    done = refused(box, "standard input: is no terminal", "--timeout=20", code=64)
    assert "fix: msmtp-config pin --accept" in done.stderr
    assert f"SHA-256   {bridge.fingerprint}\n" in done.stdout
    assert box.changed() & {"/run/msmtp-config/lock", MSMTPRC} == {"/run/msmtp-config/lock", MSMTPRC}


@pytest.mark.slow
def test_tls_from_the_start_and_the_check_on(box: Sandbox, tmp_path: Path) -> None:
    with Bridge(tmp_path, tls="implicit") as bridge:
        bridge.configure(box, "tls_starttls off")
        assert mail(box).returncode == 69
        pin(box, "--accept")
        assert mail(box).returncode == 0


@pytest.mark.slow
def test_where_the_host_stands_and_every_other_byte(box: Sandbox, bridge: Bridge) -> None:
    text = (
        "# mail\r\ndefaults\r\ntls on\r\ntls_certcheck off\r\nauth plain\r\n\r\n"
        "account far\r\nhost mail.example.test\r\n\r\n"
        f"account bridge\r\n  host      127.0.0.1   \r\n\tport {bridge.port}\r\n  from me@example.test\r\n"
        f'  user me\r\n  passwordeval "cat {SECRET}"\r\n\r\naccount default : bridge\r\naliases /etc/aliases'
    )
    box.write(MSMTPRC, text)
    pin(box, "--accept")
    new = f"  host      127.0.0.1   \r\n  tls_fingerprint {bridge.fingerprint}\r\n  tls_certcheck on\r\n\tport"
    assert box.read(MSMTPRC).decode() == text.replace("  host      127.0.0.1   \r\n\tport", new)
    assert mail(box).returncode == 0
    bridge.install(*self_signed(key=ec.generate_private_key(ec.SECP256R1())))
    assert mail(box).returncode == 69


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_a_weak_pin_is_made_a_strong_one(box: Sandbox, bridge: Bridge, algorithm: str) -> None:
    bridge.configure(box, f"tls_fingerprint {bridge.digest(algorithm).lower()}")
    done = pin(box, "--accept")
    assert "this one, but by a digest that proves little: " in done.stdout
    assert f"tls_fingerprint {bridge.fingerprint}\n".encode() in box.read(MSMTPRC)
    assert "CHANGED" not in done.stdout + done.stderr


@pytest.mark.slow
def test_a_pin_that_was_not_looked_at(box: Sandbox, bridge: Bridge) -> None:
    """`tls_certcheck off` makes the right pin, and a wrong one, worthless."""
    bridge.configure(box, OFF, f"tls_fingerprint {OTHER}")
    assert mail(box).returncode == 0
    done = pin(box, "--accept")
    assert f"CHANGED   pinned until now: {OTHER}\n" in done.stdout
    assert OFF.encode() not in box.read(MSMTPRC)
    assert mail(box).returncode == 0


@pytest.mark.slow
def test_an_inline_password_goes_nowhere(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF, f"password {PASSWORD}", passwordeval=None)
    done = pin(box, "--accept")
    assert set(bridge.lines) == SPOKEN
    assert PASSWORD not in done.stdout + done.stderr
    assert f"password {PASSWORD}\n".encode() in box.read(MSMTPRC)


@pytest.mark.slow
def test_a_server_that_is_not_on_this_machine(tmp_path: Path, warm: bool) -> None:
    with Sandbox(tmp_path, network="none", warm=warm) as box, Far(tmp_path, box) as far:
        far.configure(box, OFF, host=far.ADDRESS)
        done = pin(box, "--accept")
        words = f"warning: {far.ADDRESS} port {far.port}: is not on this machine: whoever stands on the way can show"
        assert words in done.stderr
        assert "compare   at the server, with the certificate's own file: openssl x509 " in done.stdout
        assert "Proton" not in done.stdout.partition("compare")[2]
        assert f"tls_fingerprint {far.fingerprint}\n".encode() in box.read(MSMTPRC)


@pytest.mark.slow
def test_a_name_of_this_machine_is_no_other(box: Sandbox, bridge: Bridge) -> None:
    box.write("/etc/hosts", "127.0.0.1 localhost bridge.example.test\n", mode=0o644)
    bridge.configure(box, OFF, host="bridge.example.test")
    assert pin(box, "--accept").stderr == ""


# --- where a pin is the wrong thing


def trusting(box: Sandbox, pki: Pki) -> None:
    """The system trusts the test's authority."""
    box.write(SYSTEM, pki.ca_file.read_bytes(), mode=0o644)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "trust", "hint"),
    [
        ([OFF], None, f"+11 {MSMTPRC}   # remove `{OFF}`"),
        ([OFF], "own", f"+12 {MSMTPRC}   # remove `{OFF}`"),
        ([f"tls_fingerprint {OTHER}"], None, "remove `tls_fingerprint` on line 11"),
        ([OFF, f"tls_fingerprint {OTHER}"], None, f"remove `{OFF}`, remove `tls_fingerprint` on line 12"),
        ([], "/etc/hostname", "`tls_trust_file system` on line 4"),
        ([OFF], "/etc/missing", f"+12 {MSMTPRC}   # remove `{OFF}`, `tls_trust_file system` on line 4"),
    ],
)
def test_a_certificate_that_verifies_gets_no_pin(
    box: Sandbox, bridge: Bridge, pki: Pki, more: list[str], trust: str | None, hint: str
) -> None:
    if trust != "own":
        trusting(box, pki)
    bridge.show(pki.certificate(), pki.key())
    bridge.configure(box, *more, trust=str(pki.ca_file) if trust == "own" else trust)
    done = refused(box, "a pin would only stop the mail when it is renewed")
    assert hint in done.stderr


@pytest.mark.parametrize("trust", [None, pytest.param("system", marks=pytest.mark.slow)])
def test_an_account_that_is_as_it_should_be(box: Sandbox, bridge: Bridge, pki: Pki, trust: str | None) -> None:
    trusting(box, pki)
    bridge.show(pki.certificate(), pki.key())
    bridge.configure(box, trust=trust)
    before = untouched(box)
    assert "unchanged: the certificate verifies by the system's certificates\n" in pin(box).stdout
    assert untouched(box) == before


@pytest.mark.slow
def test_the_certificate_itself_as_the_trust_file(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, trust=str(bridge.files[0]))
    assert f"unchanged: the certificate verifies by {bridge.files[0]}\n" in pin(box).stdout


@pytest.mark.slow
def test_pinned_and_verified(box: Sandbox, bridge: Bridge, pki: Pki) -> None:
    bridge.show(pki.certificate(), pki.key())
    bridge.configure(box, f"tls_fingerprint {bridge.fingerprint}", trust=str(pki.ca_file))
    assert f"unchanged: the certificate verifies by {pki.ca_file}, and it is pinned\n" in pin(box).stdout


@pytest.mark.slow
def test_a_trusted_certificate_of_another_server(box: Sandbox, bridge: Bridge, pki: Pki) -> None:
    """Whoever has a name of his own can have such a one."""
    trusting(box, pki)
    bridge.show(pki.certificate("wrong"), pki.key("wrong"))
    bridge.configure(box, OFF)
    refused(
        box, "its certificate is one that the system trusts, but for other.example.test; expected that name as `host`"
    )


@pytest.mark.slow
def test_a_trusted_certificate_of_very_many_servers(box: Sandbox, bridge: Bridge, pki: Pki) -> None:
    trusting(box, pki)
    pki.issue("many", [f"host-number-{number}.example.test" for number in range(100)])
    bridge.show(pki.certificate("many"), pki.key("many"))
    bridge.configure(box, OFF)
    done = refused(box, "but for host-number-0.example.test, host-number-1.example.test, ")
    assert len(done.stderr) < 700


@pytest.mark.parametrize(
    ("days", "starts", "words"),
    [
        (-1, -30, "its certificate expired on 2"),
        pytest.param(9, 3, "its certificate is not valid before 2", marks=pytest.mark.slow),
    ],
)
def test_a_certificate_out_of_its_time(box: Sandbox, bridge: Bridge, days: int, starts: int, words: str) -> None:
    bridge.install(*self_signed(days=days, starts=starts))
    bridge.configure(box, OFF)
    refused(box, words)


@pytest.mark.slow
def test_a_pinned_certificate_that_has_expired(box: Sandbox, bridge: Bridge) -> None:
    bridge.install(*self_signed(days=-1, starts=-30))
    bridge.configure(box, f"tls_fingerprint {bridge.fingerprint}")
    done = pin(box)
    assert "unchanged: this certificate is pinned" in done.stdout
    assert "(expired 1 day ago)\n" in done.stdout
    assert "warning: 127.0.0.1 port" in done.stderr
    assert "the pinned certificate has expired; msmtp takes it all the same" in done.stderr
    assert mail(box).returncode == 0


def readable(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF)
    box.path(MSMTPRC).chmod(0o644)


def shadowed(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF)
    box.write("/root/.msmtprc", "account default\nhost h\n")


def copied(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF, "account far : default", "host mail.example.test")


REFUSALS: dict[str, tuple[Callable[[Sandbox, Bridge], object], str]] = {
    "no TLS": (lambda box, bridge: bridge.configure(box, tls="off", auth="off"), "line 3: the default account uses no"),
    "TLS not said": (lambda box, bridge: bridge.configure(box, tls=None, auth="off"), "so there is no certificate"),
    "a proxy": (lambda box, bridge: bridge.configure(box, OFF, "proxy_host 127.0.0.1"), "line 12: with `proxy_host`"),
    "a socket": (lambda box, bridge: bridge.configure(box, OFF, "socket /run/s"), "line 12: with `socket` the server"),
    "no file": (lambda box, _: box.path(MSMTPRC).unlink(missing_ok=True), f"{MSMTPRC}: is missing"),
    "a wrong line": (lambda box, bridge: bridge.configure(box, "bogus"), "line 11: unknown command bogus"),
    "others can read it": (readable, "is 0644 root:root"),
    "root's own default account": (shadowed, "its default account takes the place of the one in"),
    "a copy with another server": (copied, "an account with another server is copied from the default one"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("change", "words"), REFUSALS.values(), ids=REFUSALS)
def test_accounts_that_cannot_be_pinned(
    box: Sandbox, bridge: Bridge, change: Callable[[Sandbox, Bridge], object], words: str
) -> None:
    change(box, bridge)
    refused(box, words)


def test_root_alone_and_one_at_a_time(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF)
    done = box.agent("pin", "--accept", uid=65534, python="/usr/bin/python3")
    assert (done.returncode, "fix: sudo msmtp-config pin" in done.stderr) == (4, True)
    box.path("/run/msmtp-config").mkdir(mode=0o700)
    with box.path("/run/msmtp-config/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused(box, "another msmtp-config is running", code=75)
    assert bridge.lines == []


@pytest.mark.slow
def test_the_audit_proposes_it_and_is_content_afterwards(box: Sandbox, bridge: Bridge) -> None:
    bridge.configure(box, OFF)
    before = box.agent("audit", "--only", "tls-unchecked", "--fail-on", "warning")
    assert (before.returncode, "msmtp-config pin" in before.stdout) == (1, True)
    pin(box, "--accept")
    after = box.agent("audit", "--only", "tls-unchecked", "--fail-on", "warning")
    assert (after.returncode, "msmtp-config pin" in after.stdout) == (0, False)


@pytest.mark.slow
def test_every_release_of_typer(box: Sandbox, bridge: Bridge, typer_python: Path) -> None:
    bridge.configure(box, OFF)
    done = box.agent("pin", "--accept", python=typer_python)
    assert (done.returncode, done.stderr) == (0, "")
    assert "passed  proof" in done.stdout
