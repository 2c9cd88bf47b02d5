"""`diagnose` against a real mail server: Postfix for SMTP and TLS, Dovecot for the login; and what msmtp has logged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.account import MSMTPRC, USER
from tests.support.diagnosing import PASSWORD, Site, all_passed, code, failed_at, seen, statuses
from tests.support.peer import Peer
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox

pytestmark = [pytest.mark.root, pytest.mark.tree]

LOG = "/var/log/msmtp.log"


@pytest.fixture
def site(tmp_path: Path, peer: Peer, pki: Pki, warm: bool) -> Iterator[Site]:
    peer.set_users({USER: PASSWORD})
    with Sandbox(tmp_path, network=peer.netns, warm=warm) as sandbox:
        here = Site(sandbox, pki)
        here.account(peer.ports["starttls"], host="localhost")
        yield here


def test_everything_in_order(site: Site, peer: Peer) -> None:
    report = site.report()
    assert statuses(report) == all_passed()
    assert report["capabilities"]["auth"] == ["PLAIN", "CRAM-MD5", "LOGIN"]
    assert report["capabilities"]["size"] > 0
    assert report["certificate"]["names"] == ["localhost", "127.0.0.1", "mail.example.test"]
    assert report["addresses"][0]["address"] in ("127.0.0.1", "::1")
    assert peer.mailbox("admin@example.test") == []


@pytest.mark.slow
def test_with_a_mail(site: Site, peer: Peer) -> None:
    report = site.report("--to", "boss@example.test")
    assert statuses(report) == all_passed(mail="passed")
    assert "queued as" in report["delivery"]["reply"]
    (mail,) = peer.wait_for_mail("boss@example.test")
    assert mail["To"] == "boss@example.test"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("port", "changes", "failed", "status"),
    [
        ("wrong_name", {}, "tls", 69),
        ("expired", {}, "tls", 69),
        ("self_signed", {}, "tls", 69),
        ("no_tls", {}, "tls", 69),
        ("smtps", {}, "tls", 75),
        ("no_auth", {}, "auth", 69),
        ("starttls", {"user": "nobody@example.test"}, "auth", 77),
        ("starttls", {"auth": "xoauth2"}, "auth", 69),
        ("starttls", {"tls_starttls": "off"}, "tls", 76),
    ],
)
def test_each_stage_that_fails(
    site: Site, peer: Peer, port: str, changes: dict[str, str], failed: str, status: int
) -> None:
    site.account(peer.ports[port], host="localhost", **changes)
    report = site.report(timeout="2" if status == 75 else "20")
    assert statuses(report) == failed_at(failed)
    assert code(report) == status
    assert report["diagnosis"]["id"] != "unknown"
    assert report["diagnosis"]["steps"]


@pytest.mark.slow
def test_smtps(site: Site, peer: Peer) -> None:
    site.account(peer.ports["smtps"], host="localhost", tls_starttls="off")
    assert statuses(site.report()) == all_passed()


# --- what the log says


def send(site: Site, *options: str) -> int:
    return site.sandbox.run(["msmtp", *options, "--", "you@example.test"], stdin=b"Subject: x\n\nx\n").returncode


def test_log_of_a_host_whose_mail_fails(site: Site, peer: Peer) -> None:
    assert send(site) == 0
    peer.set_users({USER: b"another"})
    assert [send(site), send(site)] == [77, 77]
    report = site.report()
    assert statuses(report) == failed_at("auth")
    history = report["history"]
    assert (history["attempts"], history["failed_in_a_row"], history["proven"]) == (3, 2, True)
    assert history["failures"] == [{"cause": "EX_NOPERM smtpstatus=535", "count": 2}]
    assert abs(history["last_success"] - time.time()) < 100
    assert "(today), then 2 mails failed" in seen(report, "log")
    assert "failures: 2 x EX_NOPERM smtpstatus=535 (the server refused the login)" in seen(report, "log")


@pytest.mark.slow
def test_everything_works_and_the_last_mails_failed(site: Site, peer: Peer) -> None:
    peer.set_users({USER: b"another"})
    assert send(site) == 77
    peer.set_users({USER: PASSWORD})
    report = site.report()
    assert statuses(report) == all_passed()
    assert code(report) == 0
    assert "no mail was accepted (since 20" in seen(report, "log")
    assert any(
        warning.startswith(f"{LOG}: the last mail failed, and now every stage passes") for warning in report["warnings"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"logfile": None}, "the account has no `logfile`"),
        ({"logfile": None, "syslog": "LOG_MAIL"}, "it logs to syslog: journalctl -t msmtp"),
    ],
)
def test_account_without_a_log(site: Site, peer: Peer, changes: dict[str, str | None], words: str) -> None:
    site.account(peer.ports["starttls"], host="localhost", **changes)
    report = site.report()
    assert statuses(report) == all_passed(log="skipped")
    assert words in seen(report, "log")
    assert report["history"] is None


@pytest.mark.slow
def test_log_that_is_no_file(site: Site) -> None:
    """It is never opened: a FIFO there would be waited for."""
    site.sandbox.shell(f"mkfifo {LOG}")
    report = site.report()
    assert statuses(report)["sender"] == "passed"
    assert code(report) == 0


@pytest.mark.slow
def test_log_is_told_though_nothing_else_can_be(site: Site) -> None:
    assert send(site) == 0
    site.sandbox.shell(f"chmod 0666 {MSMTPRC}")
    report = site.report()
    assert statuses(report) == failed_at("configuration")
    assert "the last mail was accepted" in seen(report, "log")
