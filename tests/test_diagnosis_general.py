"""Replies that the general rows mistook: those of any server, whatever its software. Each with what would mislead."""

from __future__ import annotations

import pytest

from msmtp_agent.diagnosis import RULES, decode
from msmtp_agent.model import Confidence, Diagnosis, Owner
from msmtp_agent.providers import BUILT_IN
from tests.support.corpus import Case, failure
from tests.support.failures import failure as failed
from tests.support.replies import Stage

HOST = "mail.example.test"


def told(stage: Stage, reply: str, **account: str) -> Diagnosis:
    """What the table makes of one reply at a server that nobody knows; `account` changes commands of msmtprc."""
    case = Case("general", "made up", "2026-11", HOST, stage, f"{reply}\n", "", "", account)
    return decode(failure(case), BUILT_IN, case.parsed.shown_user, case.parsed.get("from"))


def advice(diagnosis: Diagnosis) -> str:
    """Cause and steps as one text."""
    return "\n".join((diagnosis.cause, *diagnosis.steps))


TOLD: list[tuple[Stage, str, str]] = [
    # An address, or the name of a host, is nothing that the server says of the mail.
    ("rcpt", "550 5.1.1 <spam@example.com>: no such user", "recipient-unknown"),
    ("rcpt", "550 5.1.1 daily-report@example.com: user unknown", "recipient-unknown"),
    ("rcpt", "550 5.1.1 <you@virus.example.com>... User unknown", "recipient-unknown"),
    ("rcpt", "550 rcpt to:<junk@example.com>, no such user here", "recipient-unknown"),
    ("rcpt", "550 5.1.1 <daily>: no such user", "recipient-unknown"),
    ("rcpt", "550 5.1.1 <you@example.com>: no such user at spamfilter.example.net", "recipient-unknown"),
    ("rcpt", "550 5.7.1 Service refused: spam source", "recipient-as-spam"),
    ("end", "550 5.7.1 <you@example.com>: taken for spam", "message-spam"),
    # Whose room is used up.
    ("rcpt", "552 5.2.2 Mailbox size limit exceeded", "mailbox-full"),
    ("end", "552 5.2.2 <you@example.com> Quota exceeded (mailbox for user is full)", "mailbox-full"),
    ("rcpt", "452 4.2.2 The email account that you tried to reach is over quota", "mailbox-full"),
    ("end", "552 5.2.2 zzz", "mailbox-storage"),
    ("rcpt", "552 you: over quota", "recipient-quota"),
    ("end", "550 project quota exceeded", "account-quota"),
    ("end", "451 account quota exceeded", "account-quota"),
    ("mail", "452 4.3.1 disk is full", "server-full"),
    ("end", "452 4.3.1 the queue's disk is full", "server-full"),
    ("end", "552 5.3.4 Message size limit exceeded", "message-too-big"),
    # Lists of senders.
    ("end", "552 Virus found in message", "message-virus"),
    ("end", "554 Bad header found in message", "message-format"),
    ("rcpt", "550 <you@example.com> is listed as a closed mailbox: user unknown", "recipient-unknown"),
    ("rcpt", "550 IP 192.0.2.1 found in the list at bl.example.org", "address-listed"),
    ("mail", "554 Refused by Barracuda Reputation, http://www.barracudanetworks.com/reputation/", "address-listed"),
    ("end", "550 message blocked by Barracuda Spam Firewall", "message-spam"),
    ("greeting", "550 Your IP has been banned", "address-blocked"),
    # Names that do not match: those of a host, and those of a sender.
    ("mail", "550 PTR does not match HELO name", "reverse-dns"),
    ("mail", "550 From address must match the login", "sender-not-owned"),
    ("end", "550 5.7.1 Sender does not match the authenticated user", "sender-not-owned"),
    ("mail", "550 5.7.0 Sender Address not allowed", "sender-not-owned"),
    ("mail", "550 5.7.1 no sender permission", "sender-not-owned"),
    ("end", "550 5.7.26 zzz", "sender-authentication-code"),
    ("end", "550 This mail has been blocked because the sender is unauthenticated", "sender-authentication"),
    # What the account lacks.
    ("mail", "421 Not enough credits", "sending-limit"),
    ("auth", "550 Too many messages. Try again in 92 seconds.", "auth-sending-limit"),
    ("auth", "502 5.7.0 Your SMTP account is not yet activated", "auth-account-closed"),
    ("end", "550 5.7.1 Spam detected, account blocked", "sender-account-blocked"),
    ("auth", "535 Your account is temporarily blocked, please contact our support", "auth-account-blocked"),
    ("auth", "535 Your account is temporarily locked", "auth-held"),
    ("auth", "535 Too many failed logins, temporarily blocked", "auth-limit"),
    # A login that fails without a word on the password.
    ("auth", "535 IP not authorized", "auth-address"),
    ("auth", "535 Your IP address is blocked", "auth-address"),
    ("auth", "535 Logins from your country are blocked", "auth-address"),
    ("auth", "535 Plaintext authentication disabled", "auth-not-here"),
    ("auth", "535 Login via IMAP first", "auth-refused"),
    ("auth", "535 Please log in via the web first", "auth-web-login"),
    # Relays.
    ("rcpt", "550 <you@example.com> Relay is not allowed", "relay-still-denied"),
    ("rcpt", "550 relay rejected by Barracuda", "relay-still-denied"),
    ("end", "550 relaying denied", "relay-still-denied"),
    ("end", "550 spam: account suspended", "sender-account-closed"),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "reply", "expected"), TOLD)
def test_reply_leads_to_its_diagnosis(stage: Stage, reply: str, expected: str) -> None:
    assert told(stage, reply).id == expected


def test_address_is_left_out_and_its_sentence_is_not() -> None:
    """The evidence still has it, and what stands around it counts."""
    diagnosis = told("rcpt", "550 5.7.1 <spam@example.com>... Relaying denied")
    assert diagnosis.id == "sendmail-relay-still-denied"
    assert any("<spam@example.com>" in line for line in diagnosis.evidence)
    assert told("end", "451 Bare <LF> received").id == "message-format"
    assert told("greeting", "400 <html><head>").id == "portal"


# --- no false comfort, and no advice that the account follows already


@pytest.mark.parametrize("stage", ["greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end"])
def test_temporary_reply_nobody_knows_is_to_be_read(stage: Stage) -> None:
    """Providers say 4xx for what never heals: a domain that is not verified, credits used up."""
    diagnosis = told(stage, "450 zzz", domain="host.example.test")
    assert diagnosis.id.endswith("-temporary")
    assert "the reply asks" in diagnosis.steps[0]


def test_nobody_is_told_that_nothing_is_wrong() -> None:
    assert [rule.id for rule in RULES for step in rule.steps if "nothing is wrong" in step] == []


@pytest.mark.parametrize("reply", ["554 zzz", "421 zzz"])
def test_other_port_is_named_to_those_at_port_25_alone(reply: str) -> None:
    assert "port 587" in advice(told("greeting", reply, port="25"))
    assert "587" not in advice(told("greeting", reply))


RELAYS = ["550 5.7.1 Relaying denied", "550 5.1.2 Relay not allowed.", "554 Relay rejected for policy reasons."]


@pytest.mark.parametrize("reply", RELAYS)
def test_login_is_asked_for_where_there_is_none(reply: str) -> None:
    without = told("rcpt", reply, auth="off")
    assert (without.id, without.confidence) == ("relay-denied", Confidence.CERTAIN)
    assert "auth on" in advice(without)
    logged_in = told("rcpt", reply)
    assert (logged_in.id, logged_in.owner) == ("relay-still-denied", Owner.ADMINISTRATOR)
    assert "auth on" not in advice(logged_in)


@pytest.mark.parametrize("reply", ["451 Greylisted", "451 refused, see spamhaus.org"])
def test_login_is_the_way_past_a_list_where_there_is_none(reply: str) -> None:
    assert "port 587" in advice(told("rcpt", reply, auth="off"))
    assert "587" not in advice(told("rcpt", reply))


def test_whole_address_is_asked_for_where_the_user_is_none() -> None:
    assert "whole address" in told("auth", "535 5.7.8 no", user="me").steps[0]
    assert "whole address" not in advice(told("auth", "535 5.7.8 no"))


@pytest.mark.parametrize(
    ("stage", "reply"),
    [("end", "550 From header does not match zzz"), ("rcpt", "552 over quota"), ("end", "550 quota exceeded")],
)
def test_what_may_be_otherwise_is_not_called_certain(stage: Stage, reply: str) -> None:
    assert told(stage, reply).confidence is Confidence.LIKELY


@pytest.mark.parametrize("port", ["25", "465"])
@pytest.mark.parametrize("host", [HOST, "smtp.gmail.com"])
def test_port_that_is_advised_is_not_offered_again(host: str, port: str) -> None:
    for words in ((f"cannot connect to {host}, port {port}: Connection timed out",), ()):
        steps = decode(failed(words, 75 if words else None, {"host": host, "port": port}), BUILT_IN).steps
        assert sum("587" in step for step in steps) == 1, steps
        assert all(step.count("587") == 1 for step in steps if "587" in step), steps


# --- what only looks like an address


@pytest.mark.parametrize("piece", ["a@b ", "<", "@", "<a@", ">: <@", "<<>>@", "@ <>:", "a@b@c."])
def test_odd_signs_are_no_fault(piece: str) -> None:
    words = ("the server did not accept the mail", *[f"server message: 550-{piece * 2000}"] * 12)
    assert decode(failed(words, 69), BUILT_IN).id == "message-refused"
