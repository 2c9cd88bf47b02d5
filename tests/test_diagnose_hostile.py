"""`diagnose` before servers that refuse, fall silent, hang up or talk nonsense: where it ends, and what it says."""

from __future__ import annotations

import pytest

from tests.support.diagnosing import DEADLINE, Site, all_passed, code, failed_at, seen, statuses
from tests.support.hostile import Fault, Hostile, Stage
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox

pytestmark = pytest.mark.root

# What each fault ends a run with, where the server says it before TLS, in the handshake, at the login, and behind it.
BEFORE: dict[Fault, int] = {
    "refuse": 76, "temporary": 76, "hang": 75, "trickle": 75, "drop": 76, "reset": 74, "rubbish": 76, "flood": 76,
    "chatter": 76,
}  # fmt: skip
HANDSHAKE: dict[Fault, int] = {"refuse": 76, "hang": 75, "drop": 76, "rubbish": 76, "flood": 76, "trickle": 76}
LOGIN: dict[Fault, int] = {
    "refuse": 77, "temporary": 75, "hang": 75, "trickle": 75, "drop": 74, "rubbish": 76, "flood": 76, "chatter": 76,
}  # fmt: skip
BEHIND: dict[Fault, int] = {"hang": 75, "drop": 74, "rubbish": 76}
CASES = [
    *((stage, fault, "tls", status) for stage in ("greeting", "ehlo", "starttls") for fault, status in BEFORE.items()),
    *(("handshake", fault, "tls", status) for fault, status in HANDSHAKE.items()),
    *(("auth", fault, "auth", status) for fault, status in LOGIN.items()),
    *((stage, fault, "auth", status) for stage in ("mail", "rcpt", "data") for fault, status in BEHIND.items()),
]


@pytest.fixture
def site(sandbox: Sandbox, pki: Pki) -> Site:
    return Site(sandbox, pki)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "fault", "failed", "status"), CASES)
def test_fault_at_a_stage(site: Site, pki: Pki, stage: Stage, fault: Fault, failed: str, status: int) -> None:
    with Hostile(stage, fault, cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port, auth="plain")
        report = site.report(timeout="1")
    assert statuses(report) == failed_at(failed)
    assert code(report) == status
    assert report["diagnosis"]["id"] != "unknown"
    assert report["diagnosis"]["steps"]
    assert sum(stage["seconds"] for stage in report["stages"]) < DEADLINE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "fault", "failed", "status"),
    [
        ("handshake", "hang", "tls", 75),
        ("handshake", "drop", "tls", 76),
        ("greeting", "hang", "capabilities", 75),
        ("greeting", "rubbish", "capabilities", 76),
        ("greeting", "drop", "capabilities", 74),
        ("ehlo", "hang", "capabilities", 75),
        ("ehlo", "flood", "capabilities", 76),
        ("auth", "hang", "auth", 75),
    ],
)
def test_fault_behind_implicit_tls(site: Site, pki: Pki, stage: Stage, fault: Fault, failed: str, status: int) -> None:
    with Hostile(stage, fault, tls="implicit", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port, auth="plain", tls_starttls="off")
        report = site.report(timeout="1")
    assert (statuses(report), code(report)) == (failed_at(failed), status)
    assert (report["certificate"] is None) == (failed == "tls")


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "status"), [("greeting", 75), ("ehlo", 75), ("auth", 75)])
def test_silence_without_tls(site: Site, stage: Stage, status: int) -> None:
    failed = "auth" if stage == "auth" else "capabilities"
    with Hostile(stage, "hang", tls="none") as server:
        site.account(server.port, auth="plain", tls="off")
        report = site.report(timeout="1")
    assert (statuses(report), code(report)) == (failed_at(failed, tls="skipped"), status)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["data", "end"])
def test_server_that_takes_the_recipient(site: Site, pki: Pki, stage: Stage) -> None:
    """And refuses what comes then: the login and the sender are fine."""
    with Hostile(stage, "refuse", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        report = site.report()
    assert statuses(report) == all_passed()
    assert "it took the recipient `@` as well, and refused the empty mail behind it" in seen(report, "sender")


@pytest.mark.slow
def test_server_that_takes_everything(site: Site, pki: Pki) -> None:
    with Hostile(cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        report = site.report()
        assert server.bodies == [b""] or not b"".join(server.bodies).partition(b"\n\n")[2]
    assert statuses(report) == all_passed()
    assert "it took the recipient `@` as well, and an empty mail" in seen(report, "sender")


@pytest.mark.slow
def test_tls_port_with_starttls(site: Site, pki: Pki) -> None:
    """The server waits for a handshake and msmtp for a greeting, for ever but for our deadline."""
    with Hostile(tls="implicit", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        report = site.report(timeout="1")
    assert (statuses(report), code(report)) == (failed_at("tls"), 75)
    assert "greeting: timed out" in seen(report, "tls")
    assert (report["diagnosis"]["id"], report["diagnosis"]["owner"]) == ("tls-mode-implicit", "host")
    assert "our own look: TLS begins there at once, without a greeting" in report["diagnosis"]["evidence"]


def test_plain_port_with_implicit_tls(site: Site, pki: Pki) -> None:
    with Hostile(cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port, tls_starttls="off")
        report = site.report()
    assert (statuses(report), code(report)) == (failed_at("tls"), 76)
    assert report["diagnosis"]["owner"] == "host"


@pytest.mark.slow
def test_web_server(site: Site) -> None:
    """As a captive portal answers."""
    reply = b"HTTP/1.1 302 Found\r\nLocation: http://portal.example.test/\x1b]0;title\x07\r\n\r\n"
    with Hostile("greeting", reply=reply) as server:
        site.account(server.port)
        report = site.report()
        text = site.run()
    assert (statuses(report), code(report)) == (failed_at("tls"), 76)
    assert "HTTP/1.1 302" in text.stdout


@pytest.mark.slow
def test_words_that_would_change_the_terminal(site: Site, pki: Pki) -> None:
    """A greeting and a refusal with escape sequences, a title, a right-to-left mark; `assert_clean` looks at them."""
    nasty = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2028".encode()
    with Hostile("greeting", reply=b"220 " + nasty + b"\r\n", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        report = site.report()
        assert "greeting: ?[2J?]0;owned??31m" in seen(report, "capabilities")
    with Hostile("auth", reply=b"535 5.7.8 " + nasty + b"\r\n", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        assert "535 5.7.8 ?[2J" in seen(site.report(), "auth")
        assert site.run().returncode == 77


@pytest.mark.slow
def test_certificate_with_names_that_mean_harm(site: Site, pki: Pki) -> None:
    """Line feeds and escapes in it, and the lines that msmtp itself would print."""
    forged = "x\x1b[31m\nCapabilities:\n    AUTH:\n        y\n        XOAUTH2 "
    pki.issue("harm", ["localhost", "127.0.0.1"], subject=forged)
    with Hostile("auth", "refuse", cert=pki.certificate("harm"), key=pki.key("harm")) as server:
        site.account(server.port)
        report = site.report()
    assert statuses(report) == failed_at("auth")
    assert report["capabilities"]["auth"] == ["PLAIN", "LOGIN"]
    assert "XOAUTH2" in report["certificate"]["subject"]
