"""`diagnose` and the password: whichever way msmtp gets it, and that nothing of it is ever told."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.account import SECRET, USER
from tests.support.diagnosing import Site, all_passed, code, failed_at, seen, statuses
from tests.support.hostile import Hostile, Stage
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd
from tests.support.tracing import Canary, Recording, strace_bytes, watch

pytestmark = pytest.mark.root

CANARY = Canary(b"CaNaRy7QxZ-93jfLwpV2")
TRACE = "/run/trace"


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: CANARY.secret}, cert=pki.certificate(), key=pki.key()) as smtpd:
        yield smtpd


@pytest.fixture
def site(tmp_path: Path, pki: Pki, server: Smtpd, warm: bool) -> Iterator[Site]:
    with Sandbox(tmp_path, private_tmp=True, warm=warm) as sandbox:
        here = Site(sandbox, pki)
        here.store(CANARY.secret + b"\n")
        here.account(server.port)
        yield here


# --- ways to the password


@pytest.mark.slow
def test_inline_password(site: Site, server: Smtpd) -> None:
    site.account(server.port, f"password {CANARY.secret.decode()}", passwordeval="false")
    report = site.report()
    assert statuses(report) == all_passed()
    assert "an inline `password` (/etc/msmtprc: line " in seen(report, "secret")
    assert server.login.password == CANARY.secret


@pytest.mark.slow
def test_inline_password_that_msmtp_cannot_send(site: Site, server: Smtpd) -> None:
    site.account(server.port, "password \ufeffpasted")
    report = site.report()
    assert (statuses(report), code(report)) == (failed_at("secret"), 65)
    assert "byte order mark" in seen(report, "secret")
    assert report["error"]["remedy"].startswith("sensible-editor +")
    assert server.sessions == []


@pytest.mark.slow
def test_another_command_is_run_by_msmtp_alone_and_once(site: Site, server: Smtpd) -> None:
    script = f"#!/bin/sh\necho once >> /tmp/runs\ncat {SECRET}\n"
    site.sandbox.write("/run/get-password", script, mode=0o700)
    site.account(server.port, passwordeval="/run/get-password")
    done = site.sandbox.agent("diagnose")
    assert done.returncode == 0, done.stderr
    assert "skipped     secret        another command (/etc/msmtprc: line " in done.stdout
    assert site.sandbox.read("/tmp/runs") == b"once\n"
    assert [login.accepted for login in server.logins] == [True]


@pytest.mark.slow
def test_another_command_that_fails(site: Site, server: Smtpd) -> None:
    """msmtp quotes the whole of it, and what stands behind the program's name may be a token."""
    site.account(server.port, passwordeval="/bin/false --token hunter2hunter2")
    report = site.report()
    assert statuses(report) == failed_at("auth", secret="skipped")
    assert code(report) == 78
    assert "cannot read output of '/bin/false ***'" in seen(report, "auth")
    assert "hunter2" not in str(report)
    assert report["error"]["message"] == "/etc/msmtprc: line 11: `passwordeval` gave no password; msmtp ended with 78"
    assert server.logins == []


@pytest.mark.slow
def test_another_command_that_never_ends(site: Site, server: Smtpd) -> None:
    site.account(server.port, passwordeval="sleep 600")
    report = site.report(timeout="1")
    assert (statuses(report), code(report)) == (failed_at("auth", secret="skipped"), 75)
    assert report["error"]["message"].startswith("/etc/msmtprc: line 11: `passwordeval` gave no password; ")
    assert report["diagnosis"]["owner"] == "host"
    assert server.logins == []


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "failed"), [("auth", "auth"), ("mail", "sender"), ("rcpt", None)])
def test_another_command_that_complains(site: Site, pki: Pki, stage: Stage, failed: str | None) -> None:
    """Its words stand before those of msmtp, which alone tell where the mail ended."""
    script = f"#!/bin/sh\necho 'helper: the cache is old' >&2\ncat {SECRET}\n"
    site.sandbox.write("/run/get-password", script, mode=0o700)
    with Hostile(stage, "refuse", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port, passwordeval="/run/get-password")
        report = site.report()
    assert statuses(report) == (failed_at(failed, secret="skipped") if failed else all_passed(secret="skipped"))
    assert ("it refused the recipient `@`, as it should" in seen(report, "sender")) == (failed is None)


@pytest.mark.slow
def test_no_password_anywhere(site: Site, server: Smtpd) -> None:
    site.account(server.port, passwordeval=None)
    report = site.report()
    assert statuses(report) == failed_at("auth", secret="skipped")
    assert "no `password` and no `passwordeval`" in seen(report, "secret")
    assert server.logins == []


@pytest.mark.slow
def test_account_without_a_login(site: Site, pki: Pki) -> None:
    with Hostile(cert=pki.certificate(), key=pki.key(), auth="") as relay:
        site.account(relay.port, auth="off")
        report = site.report()
        assert "auth" not in relay.reached
    assert statuses(report) == all_passed(secret="skipped", auth="skipped")
    assert report["verification"] == "skipped"


@pytest.mark.slow
def test_sender_refused_without_a_login(site: Site, server: Smtpd) -> None:
    site.account(server.port, auth="off")
    report = site.report()
    assert statuses(report) == failed_at("sender", secret="skipped", auth="skipped")
    assert code(report) == 65
    assert "530 5.7.0" in seen(report, "sender")


@pytest.mark.slow
def test_silence_without_a_login(site: Site, pki: Pki) -> None:
    with Hostile("mail", "hang", cert=pki.certificate(), key=pki.key(), auth="") as relay:
        site.account(relay.port, auth="off")
        report = site.report(timeout="1")
    assert statuses(report) == failed_at("sender", secret="skipped", auth="skipped")
    assert code(report) == 75


# --- nothing of it is told


def traced(site: Site, *options: str) -> Recording:
    done = site.sandbox.traced(strace_bytes(Path(TRACE)), "diagnose", *options, timeout=40)
    assert not CANARY.shapes_in(done.out + done.err), done.stdout + done.stderr
    return watch(site.sandbox.path(TRACE), CANARY)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_every_byte_goes_from_the_file_to_msmtp(site: Site, server: Smtpd, options: tuple[str, ...]) -> None:
    """The agent itself hands it to nobody: `cat`, started by msmtp, writes it to msmtp."""
    recording = traced(site, *options)
    assert server.login.accepted
    routes = {(one.program, one.call, one.descriptor, one.target[:5]) for one in recording.sightings}
    assert routes == {("cat", "write", 1, "pipe:")}
    assert recording.started["cat"] == 2  # --pretend, and the login
    changed = site.sandbox.changed() - {TRACE, SECRET}
    assert not [name for name in changed if CANARY.shapes_in(site.sandbox.read(name))]


@pytest.mark.slow
def test_nobody_reads_it_where_the_way_ends_before_the_login(site: Site) -> None:
    site.account(9)
    recording = traced(site)
    assert recording.started["cat"] == 1
    assert {one.program for one in recording.sightings} == {"cat"}


ECHOES = {
    "as it is": CANARY.secret,
    "in base64": b64encode(b"\0" + USER.encode() + b"\0" + CANARY.secret),
}


REPLIES: dict[Stage, tuple[bytes, str]] = {
    "greeting": (b"554 5.7.1", "tls"),
    "starttls": (b"501 5.5.4", "tls"),
    "auth": (b"535 5.7.8", "auth"),
    "mail": (b"553 5.7.1", "sender"),
}


@pytest.mark.slow
@pytest.mark.parametrize("said", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("stage", REPLIES)
def test_server_that_says_it_again(site: Site, pki: Pki, stage: Stage, said: bytes) -> None:
    """It has heard it before, and now tells it in any reply."""
    number, place = REPLIES[stage]
    reply = number + b" you said " + said + b"\r\n"
    with Hostile(stage, reply=reply, cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        report = site.report()
        text = site.run()
    assert statuses(report) == failed_at(place)
    assert "you said ***" in seen(report, place)
    for told in (str(report).encode(), text.out, text.err):
        assert not CANARY.shapes_in(told)


@pytest.mark.slow
def test_greeting_that_says_it(site: Site, pki: Pki) -> None:
    with Hostile("greeting", reply=b"220 " + CANARY.secret + b"\r\n", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        report = site.report()
    assert report["capabilities"]["greeting"] == "***"
    assert not CANARY.shapes_in(str(report).encode())


def test_certificate_that_says_it(site: Site, pki: Pki) -> None:
    said = CANARY.secret.decode()
    pki.issue("telling", ["localhost", "127.0.0.1", f"{said}.example.test"], subject=said)
    cert, key = pki.certificate("telling"), pki.key("telling")
    with Hostile("auth", "refuse", cert=cert, key=key) as server:
        site.account(server.port)
        report = site.report()
        text = site.run()
    assert "CN=***" in report["certificate"]["subject"]
    for told in (str(report).encode(), text.out, text.err):
        assert not CANARY.shapes_in(told)
