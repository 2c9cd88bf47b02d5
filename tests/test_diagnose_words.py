"""The words of `diagnose` for what no server of these tests shows: long lists, odd times, other accounts."""

from __future__ import annotations

import pytest

from msmtp_agent import diagnose_words as words
from msmtp_agent.diagnosed import Seen
from msmtp_agent.facts import History
from msmtp_agent.msmtprc import Account, parse
from msmtp_agent.network import Reached
from msmtp_agent.serverinfo import ServerInfo

NOW = 1_800_000_000.0
DAY = 86400.0
HOST = "mail.example.test"


def account(*lines: str) -> Account:
    return parse("\n".join(["account default", f"host {HOST}", "tls on", *lines]).encode())["default"]


def shown(days: float, *names: str) -> Seen:
    return Seen("CN=x", "CN=y", names, NOW - DAY, NOW + days * DAY, "AB", "TLSv1.3", "some cipher")


@pytest.mark.parametrize(("seconds", "text"), [(0.0004, "0 ms"), (0.023, "23 ms"), (1.0, "1.0 s"), (9.96, "10.0 s")])
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (40.5, "certificate expires 2027-02-24, in 40 days"),
        (1.5, "in 1 day"),
        (0.5, "certificate expires 2027-01-15, in less than a day"),
        (-0.5, "certificate expired 2027-01-14, less than a day ago"),
        (-1.3, "1 day ago"),
        (-40.5, "40 days ago"),
    ],
)
def test_days_of_a_certificate(days: float, text: str) -> None:
    assert text in words.certificate(shown(days), account(), NOW).seen


@pytest.mark.parametrize(("days", "soon"), [(30, False), (21.5, False), (20.5, True), (0.1, True), (-1, False)])
def test_warning_of_an_expiry(days: float, soon: bool) -> None:
    assert bool(words.expires_soon(shown(days), NOW)) == soon


def test_many_names_of_a_certificate() -> None:
    many = [f"host{number}.example.test" for number in range(20)]
    told = words.certificate(shown(9, *many), account(), NOW).details
    assert f"names: {', '.join(many[:8])} and 12 more" in told
    assert "names: none" in words.certificate(shown(9), account(), NOW).details


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("tls_certcheck off", "not verified (`tls_certcheck off`)"),
        ("tls_fingerprint " + ":".join(["AB"] * 32), "the pinned certificate (`tls_fingerprint`)"),
        ("tls_certcheck on", "verified by msmtp"),
    ],
)
def test_who_has_verified_it(line: str, text: str) -> None:
    assert text in words.certificate(shown(9), account(line), NOW).seen
    assert words.session(ServerInfo(), account(line)).seen == f"TLS, {text}"


def test_address_in_place_of_a_name() -> None:
    assert words.addresses("192.0.2.1", ["192.0.2.1"]) == words.Words("192.0.2.1 is an address")


def test_no_address_answers() -> None:
    faults = [Reached("192.0.2.1", 587, 1, "refused"), Reached("192.0.2.2", 587, 1, "timed out after 1 s")]
    told = words.connections(faults, 587)
    assert told.seen == "port 587 cannot be reached: refused, timed out after 1 s"
    assert told.details == ("192.0.2.1: refused", "192.0.2.2: timed out after 1 s")


def test_two_ports_answer() -> None:
    found = [Reached("192.0.2.1", port, 1, fault) for port, fault in ((465, ""), (2525, "refused"), (2587, ""))]
    told = words.ports(found, 587)
    assert told.seen == "465 and 2587 answer: something on the way drops port 587"
    assert told.details == ("port 465: answers", "port 2525: refused", "port 2587: answers")


@pytest.mark.parametrize(
    ("info", "lines", "text"),
    [
        (ServerInfo(size=0), (), "no AUTH; no size limit; EHLO localhost accepted"),
        (ServerInfo(size=999), ("domain h.example.test",), "at most 999 bytes; EHLO h.example.test accepted"),
        (ServerInfo(), ("auth on",), "no AUTH is offered: msmtp cannot log in"),
        (ServerInfo(methods=("PLAIN",)), ("auth off",), "AUTH is offered, and `auth off` does not use it"),
        (ServerInfo(methods=("PLAIN",)), ("auth scram-sha-1",), "`auth scram-sha-1` is not among the methods offered"),
        (ServerInfo(extensions=("STARTTLS",)), ("tls off",), "STARTTLS is offered, and `tls off` does not use it"),
    ],
)
def test_what_a_server_offers(info: ServerInfo, lines: tuple[str, ...], text: str) -> None:
    told = words.capabilities(info, account(*lines))
    assert text in "\n".join([told.seen, *told.details])


@pytest.mark.parametrize(
    ("history", "text"),
    [
        (History("/log"), "/log: tells of no mail of this account"),
        (History("/log", NOW - 5, attempts=1), "(today)"),
        (History("/log", NOW - 3.5 * DAY, attempts=1), "(3 days ago)"),
        (History("/log", None, attempts=1, dated=False), "the last mail was accepted at a time that cannot be read"),
        (History("/log", NOW, (("EX_IOERR", 1),), 1, 2), ", then 1 mail failed"),
        (History("/log", None, (("EX_IOERR", 2),), 2, 2, None), "/log: no mail was accepted, 2 mails failed"),
        (History("/log", left_out=("/log.1.zst (unread)",)), "left out: /log.1.zst (unread)"),
        (History("/log", proven=False), "no mail was accepted since the password was stored"),
    ],
)
def test_what_the_log_tells(history: History, text: str) -> None:
    told = words.told(history, NOW)
    assert text in "\n".join([told.seen, *told.details])


def test_login_with_a_certificate() -> None:
    assert words.login(account("auth external"), needed=True) == "the server accepted the login"
