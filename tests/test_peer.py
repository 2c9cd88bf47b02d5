"""The whole main job against a real mail server: Postfix for SMTP and TLS, Dovecot for AUTH."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.account import ADMIN, SECRET, account
from tests.support.account import USER as ME
from tests.support.peer import Peer
from tests.support.sandbox import PROJECT, Sandbox

pytestmark = [pytest.mark.root, pytest.mark.tree]

PASSWORD = "correct horse ß".encode()
STORED = PASSWORD + b"\n"
OLD = b"the old one\n"
SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/configure.json").read_bytes())


class Site:
    """A sandbox in the peer's network, and an account there."""

    def __init__(self, sandbox: Sandbox, peer: Peer) -> None:
        self.sandbox = sandbox
        self.peer = peer
        peer.set_users({ME: PASSWORD})
        sandbox.write("/etc/aliases", f"root: {ADMIN}\n", mode=0o644)
        self.account()

    def account(self, port: str = "starttls", changes: Mapping[str, str] | None = None) -> None:
        """The account as the fragment writes it, with some lines changed."""
        text = account(self.peer.ports[port], self.peer.ca_file, **(changes or {}))
        self.sandbox.write("/etc/msmtprc", text)

    def report(self, *options: str, password: bytes = PASSWORD) -> dict[str, Any]:
        """What the main job says in JSON."""
        done = self.sandbox.agent("--password-stdin", "--json", *options, stdin=password, timeout=40)
        report: dict[str, Any] = json.loads(done.out)
        jsonschema.validate(report, SCHEMA)
        assert done.returncode == (report["error"] or {"code": 0})["code"]
        return report

    def stored(self) -> bytes | None:
        return self.sandbox.read(SECRET) if self.sandbox.exists(SECRET) else None


def _site(tmp_path: Path, peer: Peer, warm: bool) -> Iterator[Site]:
    with Sandbox(tmp_path, network=peer.netns, warm=warm) as sandbox:
        yield Site(sandbox, peer)


@pytest.fixture
def site(tmp_path: Path, peer: Peer, warm: bool) -> Iterator[Site]:
    yield from _site(tmp_path, peer, warm)


@pytest.fixture
def site_scram(tmp_path: Path, peer_scram: Peer, warm: bool) -> Iterator[Site]:
    yield from _site(tmp_path, peer_scram, warm)


def code(report: dict[str, Any]) -> int:
    return int(report["error"]["code"]) if report["error"] else 0


# --- the mail


def test_the_test_mail_arrives(site: Site, peer: Peer) -> None:
    begin = time.time()
    done = site.sandbox.agent("--password-stdin", stdin=PASSWORD)
    assert done.returncode == 0, done.stderr
    found = re.search(rf"\npassed  deliver   test mail to {ADMIN}: 250 2\.0\.0 Ok: queued as (\w+)\n", done.stdout)
    assert found, done.stdout
    mail = peer.wait_for_mail(ADMIN)[0]
    assert f"{found[1]}: to=<{ADMIN}>, relay=virtual, " in peer.wait_for_log(rf"{found[1]}: to=.*status=sent")
    name = os.uname().nodename
    assert mail["Subject"] == f"Test mail from {name} (msmtp-config)"
    # Postfix has completed the bare name.
    assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (ME, "root@mail.example.test", "auto-generated")
    assert abs(parsedate_to_datetime(mail["Date"]).timestamp() - begin) < 60
    body = mail.get_content()
    assert f"host:    {name}\n" in body
    assert re.search(r"^time:    \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}$", body, re.MULTILINE)
    assert re.search(r"^program: msmtp-config \d+\.\d+", body, re.MULTILINE)
    # One mail: the probe has sent none, and left none in a queue.
    assert peer.log().count("status=sent") == peer.log().count("(queue active)") == 1
    assert site.stored() == STORED


def test_mail_to_an_address(site: Site, peer: Peer) -> None:
    report = site.report("--to", "you@example.test")
    assert report["delivery"]["recipients"] == ["you@example.test"]
    assert re.fullmatch(r"250 2\.0\.0 Ok: queued as \w+", report["delivery"]["reply"])
    assert len(peer.wait_for_mail("you@example.test")) == 1
    assert peer.mailbox(ADMIN) == []


def test_verb_test_sends_with_what_is_installed(site: Site, peer: Peer) -> None:
    site.sandbox.write(SECRET, STORED)
    done = site.sandbox.agent("test")
    assert done.returncode == 0, done.stderr
    peer.wait_for_mail(ADMIN)
    site.sandbox.write(SECRET, OLD)
    done = site.sandbox.agent("test")
    assert done.returncode == 77
    assert "535 5.7.8 Error: authentication failed" in done.stderr
    assert len(peer.mailbox(ADMIN)) == 1


def test_no_mail_sends_none(site: Site, peer: Peer) -> None:
    report = site.report("--no-mail")
    assert (code(report), report["verification"], report["delivery"]) == (0, "accepted", None)
    peer.wait_for_log(r"disconnect from .* auth=1 mail=1 rcpt=0/1 ")
    assert "status=" not in peer.log()


# --- the rows of the table


@pytest.mark.parametrize("auth", ["on", "plain", "login", "cram-md5"])
def test_accepted_and_refused(site: Site, auth: str) -> None:
    site.account(changes={"auth": auth})
    refused = site.report("--no-mail", password=PASSWORD + b" ")
    assert (code(refused), refused["verification"], refused["changed"]) == (77, "refused", False)
    assert any(words.startswith("server message: 535 5.7.8 ") for words in refused["error"]["words"])
    assert site.stored() is None
    accepted = site.report("--no-mail")
    assert (code(accepted), accepted["verification"], accepted["changed"]) == (0, "accepted", True)
    assert site.stored() == STORED
    again = site.report("--no-mail", password=b"wrong")
    assert (code(again), again["changed"], site.stored()) == (77, False, STORED)


@pytest.mark.parametrize("auth", ["on", "scram-sha-1", "scram-sha-256", "digest-md5"])
def test_every_mechanism_of_a_full_server(site_scram: Site, auth: str) -> None:
    site_scram.account(changes={"auth": auth})
    right = b"correct horse"  # ASCII: the two ends of DIGEST-MD5 do not agree on anything else
    site_scram.peer.set_users({ME: right})
    if (auth == "on" or auth.startswith("scram-")) and _msmtp_version() >= (1, 8, 28):
        # SCRAM without -PLUS: it gives up before AUTH, also where SCRAM is asked for. Nothing is known of the password.
        report = site_scram.report(password=right)
        assert (code(report), report["verification"]) == (70, "unproven")
        return
    assert code(site_scram.report(password=b"wrong")) == 77
    report = site_scram.report(password=right)
    assert (code(report), report["verification"]) == (0, "accepted")
    site_scram.peer.wait_for_mail(ADMIN)


def _msmtp_version() -> tuple[int, ...]:
    words = subprocess.run(
        ["/usr/bin/msmtp", "--version"], capture_output=True, text=True, check=True, timeout=10
    ).stdout
    return tuple(int(number) for number in words.split()[2].split("."))


def test_unknown_user(site: Site) -> None:
    site.account(changes={"user": "nobody@example.test"})
    assert code(site.report("--no-mail")) == 77


def test_recipient_that_the_server_refuses(site: Site) -> None:
    report = site.report("--to", "you@elsewhere.test")
    assert (code(report), report["verification"], site.stored()) == (65, "accepted", STORED)
    assert any("554 5.7.1" in words for words in report["error"]["words"])


def test_unproven_password_is_proven_later(site: Site, peer: Peer) -> None:
    """As a machine's first boot goes: the server cannot be reached, later it can."""
    site.account("no_auth")
    first = site.report()
    assert (code(first), first["verification"], site.stored()) == (69, "unproven", STORED)
    site.account()
    second = site.report()
    assert (code(second), second["verification"], second["changed"]) == (0, "accepted", False)
    peer.wait_for_mail(ADMIN)


# --- TLS


@pytest.mark.parametrize(
    ("port", "words"),
    [
        ("wrong_name", "TLS certificate verification failed"),
        ("expired", "TLS certificate verification failed"),
        ("self_signed", "TLS certificate verification failed"),
        ("no_tls", "the server does not support TLS via the STARTTLS command"),
        ("no_auth", "the server does not support authentication"),
    ],
)
def test_no_password_goes_to_a_server_that_cannot_be_trusted(site: Site, peer: Peer, port: str, words: str) -> None:
    site.account(port)
    site.sandbox.write(SECRET, OLD)
    kept = site.report()
    assert (code(kept), kept["verification"], kept["changed"], site.stored()) == (69, "unproven", False, OLD)
    assert words in kept["error"]["words"][0]
    site.sandbox.path(SECRET).unlink()
    stored = site.report()
    assert (code(stored), stored["verification"], stored["changed"], site.stored()) == (69, "unproven", True, STORED)
    assert "sasl" not in peer.log()
    assert peer.mailbox(ADMIN) == []


def test_tls_from_the_start(site: Site, peer: Peer) -> None:
    site.account("smtps", {"tls_starttls": "off"})
    report = site.report()
    assert (code(report), site.stored()) == (0, STORED)
    assert "TLS from the start" in report["stages"][1]["seen"]
    peer.wait_for_mail(ADMIN)


@pytest.mark.parametrize(
    ("port", "starttls", "timeout", "status"), [("smtps", "on", "1", 75), ("starttls", "off", "10", 76)]
)
def test_the_wrong_kind_of_tls(site: Site, port: str, starttls: str, timeout: str, status: int) -> None:
    """STARTTLS spoken to a port with TLS from the start waits without end, but for our deadline."""
    site.account(port, {"tls_starttls": starttls})
    report = site.report("--timeout", timeout)
    assert (code(report), report["verification"]) == (status, "unproven")


@pytest.mark.parametrize(("auth", "status", "verification"), [("plain", 0, "accepted"), ("on", 69, "unproven")])
def test_clear_text_on_loopback(site: Site, auth: str, status: int, verification: str) -> None:
    """Allowed there; with `auth on` msmtp itself looks for a method that hides the password, and finds none."""
    site.account("no_tls", {"tls": "off", "auth": auth})
    report = site.report("--no-mail")
    assert (code(report), report["verification"]) == (status, verification)
