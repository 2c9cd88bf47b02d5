"""Replies that a first table of rules mistook: for each, what an administrator must read, and what would mislead."""

from __future__ import annotations

import re

import pytest

from msmtp_agent.diagnosis import RULES, decode
from msmtp_agent.diagnosis.failure import understand
from msmtp_agent.model import Confidence, Diagnosis, Owner
from msmtp_agent.providers import BUILT_IN
from tests.support.corpus import Case, failure
from tests.support.replies import Stage

ELSEWHERE = "mail.example.test"


def told(stage: Stage, reply: str, host: str = ELSEWHERE, **account: str) -> Diagnosis:
    """What the table makes of one reply; `account` changes commands of msmtprc."""
    case = Case("review", "made up", "2026-11", host, stage, f"{reply}\n", "", "", account)
    settings = case.parsed
    return decode(failure(case), BUILT_IN, settings.shown_user, settings.get("from"))


def advice(diagnosis: Diagnosis) -> str:
    """Cause and steps as one text."""
    return "\n".join((diagnosis.cause, *diagnosis.steps))


def test_steps_are_pasted_as_root() -> None:
    """The rest of the program shows its commands without sudo."""
    shown = [step for rule in RULES for step in rule.steps] + [step for provider in BUILT_IN for step in provider.steps]
    assert [step for step in shown if "sudo" in step] == []


# --- relays


MAILGUN = "smtp.mailgun.org"
SENDGRID = "smtp.sendgrid.net"
RELAYS = [MAILGUN, SENDGRID, "smtp.postmarkapp.com"]


@pytest.mark.parametrize("host", [MAILGUN, ELSEWHERE])
def test_mailgun_wants_the_records_of_the_domain(host: str) -> None:
    """Mailgun's API says the same words, https://documentation.mailgun.com."""
    reply = (
        "421 Domain mg.example.com is not allowed to send: The domain is unverified and requires DNS configuration. "
        "Log in to your control panel to view required DNS records."
    )
    diagnosis = told("data", reply, host)
    assert (diagnosis.id, diagnosis.owner) == ("mailgun-unverified", Owner.ACCOUNT)
    assert "DNS" in advice(diagnosis)
    assert "from ADDRESS" not in advice(diagnosis)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("recipient limit exceeded", "mailgun-limit"),
        ("You are sending too fast. Your account is on probation", "mailgun-limit"),
        ("Free accounts are for test purposes only. Please upgrade or add the address", "mailgun-sandbox"),
        ("Account disabled", "mailgun-inactive"),
        ("Account Inactivity", "mailgun-inactive"),
        ("something that nobody has seen yet", "mailgun-stopped"),
    ],
)
def test_mailgun_stops_a_domain_and_not_a_sender(reason: str, expected: str) -> None:
    diagnosis = told("data", f"421 Domain mg.example.com is not allowed to send: {reason}", MAILGUN)
    assert diagnosis.id == expected
    assert "another sender" not in advice(diagnosis)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("535 5.7.0 Too many failed login attempts", "auth-limit"),
        ("530 5.7.0 Must issue a STARTTLS command first", "postfix-starttls"),
    ],
)
@pytest.mark.parametrize("host", RELAYS)
def test_relay_that_names_another_reason_is_not_given_a_new_key(host: str, reply: str, expected: str) -> None:
    assert told("auth", reply, host, user="apikey").id == expected


@pytest.mark.parametrize("host", [MAILGUN, "smtp.postmarkapp.com"])
def test_relay_that_locks_the_account_is_not_given_a_new_password(host: str) -> None:
    assert told("auth", "535 5.7.0 Account is locked", host).id == "auth-account-closed"


def test_sendgrid_that_bars_the_account_is_not_given_a_new_key() -> None:
    diagnosis = told("auth", "535 Authentication failed: account disabled", SENDGRID, user="apikey")
    assert diagnosis.id == "sendgrid-account"
    assert "api_keys" not in advice(diagnosis)


@pytest.mark.parametrize("reply", ["550 Your IP address is not whitelisted", "451 The IP address is not whitelisted"])
def test_sendgrid_that_bars_the_address_names_its_list_of_addresses(reply: str) -> None:
    diagnosis = told("auth", reply, SENDGRID, user="apikey")
    assert (diagnosis.id, diagnosis.owner) == ("sendgrid-address", Owner.ACCOUNT)
    assert "https://app.sendgrid.com/settings/access" in advice(diagnosis)


def test_sendgrid_that_cannot_authenticate_may_bar_the_address() -> None:
    diagnosis = told("auth", "451 Authentication failed: Could not authenticate", SENDGRID, user="apikey")
    assert diagnosis.id == "sendgrid-login"
    assert "https://app.sendgrid.com/settings/access" in advice(diagnosis)


def test_sendgrid_in_trouble_says_nothing_of_the_user() -> None:
    assert told("auth", "421 4.3.2 Service not available", SENDGRID, user="me@example.com").id == "auth-temporary"
    assert told("auth", "451 Authentication failed", SENDGRID, user="me@example.com").id == "sendgrid-user"


# --- a login that is there, and one that is not


SENDER_REPLY = "553 5.7.1 <root@vm>: Sender address rejected: not owned by user me@example.com"
SEND_AS_REPLY = "550 5.7.60 SMTP; Client does not have permissions to send as this sender"


@pytest.mark.parametrize(("stage", "reply"), [("rcpt", SENDER_REPLY), ("end", SEND_AS_REPLY)])
def test_sender_that_is_not_the_user(stage: Stage, reply: str) -> None:
    told_other = told(stage, reply, user="me@example.com", **{"from": "alerts@example.com"})
    assert told_other.owner is Owner.HOST
    assert "let the administrator of mail.example.test allow me@example.com to send as alerts@example.com" in advice(
        told_other
    )


@pytest.mark.parametrize(("stage", "reply"), [("rcpt", SENDER_REPLY), ("end", SEND_AS_REPLY)])
def test_own_address_as_sender_is_for_the_administrator(stage: Stage, reply: str) -> None:
    """Mails of this program leave with `from`: where that is the user, the server does not give it to this login.

    That another program wrote a sender of its own comes after it.
    """
    same = told(stage, reply, user="me@example.com", **{"from": "me@example.com"})
    assert same.owner is Owner.ADMINISTRATOR
    assert same.steps[0].startswith("ask the administrator of mail.example.test")
    assert "me@example.com" in same.steps[0]
    later = next(number for number, step in enumerate(same.steps) if "allow_from_override off" in step)
    assert later > 1
    assert "set_from_header on" in same.steps[later]


WITHOUT_LOGIN: list[tuple[Stage, str]] = [
    ("mail", "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM"),
    ("rcpt", "553 5.7.1 <me@example.com>: Sender address rejected: not logged in"),
    ("rcpt", "554 5.7.1 <admin@example.com>: Relay access denied"),
    ("rcpt", "554 5.7.1 <unknown[192.0.2.7]>: Client host rejected: Access denied"),
    ("rcpt", "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.22]"),
    ("rcpt", "550 5.7.1 Service unavailable; client [192.0.2.7] blocked using zen.spamhaus.org"),
    ("rcpt", "550 relay not permitted"),
    ("rcpt", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"),
    ("rcpt", "550 5.7.1 <admin@example.com>... Relaying denied"),
]


@pytest.mark.parametrize(("stage", "reply"), WITHOUT_LOGIN)
def test_login_is_asked_for_where_there_is_none(stage: Stage, reply: str) -> None:
    assert "auth on" in advice(told(stage, reply, auth="off"))


@pytest.mark.parametrize(("stage", "reply"), WITHOUT_LOGIN)
def test_login_is_not_asked_for_where_there_is_one(stage: Stage, reply: str) -> None:
    diagnosis = told(stage, reply)
    assert "auth on" not in advice(diagnosis)
    assert diagnosis.owner in (Owner.ADMINISTRATOR, Owner.NETWORK)
    assert "without logging in" not in diagnosis.cause
    assert "msmtp sends without" not in diagnosis.cause
    assert diagnosis.confidence is not Confidence.GENERAL
    assert len(diagnosis.steps) >= 2


@pytest.mark.parametrize("host", [SENDGRID, MAILGUN, "email-smtp.eu-west-1.amazonaws.com"])
def test_relay_asks_for_a_login_only_where_there_is_none(host: str) -> None:
    for reply in (
        "530 Authentication required",
        "550 5.7.1 Relaying denied",
        "550 Unauthenticated senders not allowed",
    ):
        assert "msmtp sends without" not in advice(told("mail", reply, host, user="apikey"))
        assert "auth on" in advice(told("mail", reply, host, auth="off"))


# --- logins that fail for another reason than the password


@pytest.mark.parametrize("reply", ["535 5.7.8 Error: authentication failed: zzz", "535 Incorrect authentication data"])
def test_whole_address_is_asked_for_where_the_user_is_none(reply: str) -> None:
    assert "whole address" in told("auth", reply, user="me").steps[0]
    assert "whole address" not in advice(told("auth", reply, user="me@example.com"))


@pytest.mark.parametrize(
    "reason",
    ["generic failure", "Invalid authentication mechanism", "no mechanism available", "User is disabled"],
)
def test_password_is_not_typed_again_where_it_was_not_wrong(reason: str) -> None:
    diagnosis = told("auth", f"535 5.7.8 Error: authentication failed: {reason}")
    assert "type the password again" not in advice(diagnosis)
    assert diagnosis.id not in ("postfix-login", "auth-refused")


# --- the sender, and not the recipient


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.1.7 <root@vm>: Sender address rejected: undeliverable address: unknown user: root",
        "450 4.1.7 <root@vm>: Sender address rejected: unverified address: Address verification in progress",
        "554 5.7.1 <root@vm>: Sender address rejected: Access denied",
    ],
)
def test_sender_refused_at_the_recipient_is_not_looked_for_in_aliases(reply: str) -> None:
    diagnosis = told("rcpt", reply)
    assert "aliases" not in advice(diagnosis)
    assert "sender" in diagnosis.cause


def test_relay_that_refuses_for_a_limit_is_not_taken_for_exchange() -> None:
    assert not told("mail", "550 Unable to relay: account over its monthly limit").id.startswith("exchange-")


# --- mailboxes


MAILBOX_HOSTS = [
    "smtp.fastmail.com",
    "smtp.zoho.eu",
    "smtp.mail.yahoo.com",
    "smtp.mail.me.com",
    "smtp.protonmail.ch",
    "smtp-mail.outlook.com",
    "smtp.office365.com",
]
PASSWORDS = re.compile(r"-(password|token|login|no-passwords)$")


@pytest.mark.parametrize(
    "reply",
    [
        "535 5.7.8 Account is locked due to too many failed login attempts",
        "535 Authentication failed: your account is blocked",
        "535 5.7.8 Error: authentication failed: User is disabled",
        "535 5.7.0 Account suspended for abuse",
        "535 5.7.139 Authentication unsuccessful, too many attempts",
        "535 Your IP is blocked",
    ],
)
@pytest.mark.parametrize("host", MAILBOX_HOSTS)
def test_mailbox_that_is_barred_is_not_given_a_new_password(host: str, reply: str) -> None:
    diagnosis = told("auth", reply, host)
    assert not PASSWORDS.search(diagnosis.id)
    assert "type the new password" not in diagnosis.steps[0]
    assert "app password" not in advice(diagnosis)


@pytest.mark.parametrize("host", MAILBOX_HOSTS)
def test_mailbox_that_says_no_more_is_asked_for_its_password(host: str) -> None:
    assert PASSWORDS.search(told("auth", "535 5.7.8 Authentication unsuccessful", host).id)


@pytest.mark.parametrize(
    ("reason", "expected", "owner"),
    [
        ("the user account is disabled.", "m365-disabled", Owner.ADMINISTRATOR),
        ("the user account is locked.", "m365-locked", Owner.ADMINISTRATOR),
        ("user is locked by your organization's security defaults policy.", "m365-security-defaults", None),
        ("the user password has expired.", "m365-expired", Owner.ACCOUNT),
        ("the user credentials were incorrect.", "m365-password", Owner.ACCOUNT),
    ],
)
def test_microsoft_tells_why_a_login_fails(reason: str, expected: str, owner: Owner | None) -> None:
    diagnosis = told("auth", f"535 5.7.139 Authentication unsuccessful, {reason}", "smtp.office365.com")
    assert diagnosis.id == expected
    assert owner in (None, diagnosis.owner)


def test_outlook_that_is_unlocked_takes_no_password_either() -> None:
    diagnosis = told("auth", "535 5.7.139 Authentication unsuccessful, account locked.", "smtp-mail.outlook.com")
    assert diagnosis.id == "outlook-locked"
    assert "msmtp-config providers" in advice(diagnosis)


@pytest.mark.parametrize("limit", ["server connections has exceeded a limit", "connections has exceeded a limit"])
def test_microsoft_that_is_busy_has_no_connector_to_ask_for(limit: str) -> None:
    reply = f"421 4.3.2 The maximum number of concurrent {limit}, closing transmission channel"
    diagnosis = told("greeting", reply, "smtp.office365.com")
    assert diagnosis.id == "m365-busy"
    assert "connector" not in advice(diagnosis)
    assert told("greeting", reply).id == "exchange-connections"


@pytest.mark.parametrize("code", ["421 4.7.66", "554 5.7.0"])
@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("smtp.office365.com", "TLS 1.0 and 1.1 are not supported. Please upgrade/update your client"),
        ("smtp-mail.outlook.com", "TLS 1.0 and 1.1 are not supported. Please upgrade/update your client"),
        (
            "email-smtp.eu-west-1.amazonaws.com",
            "Access denied: Amazon SES no longer supports TLS 1.0 and TLS 1.1 connections. You must update your client",
        ),
    ],
)
def test_old_tls_is_not_waited_for(host: str, words: str, code: str) -> None:
    for stage in ("auth", "end"):
        diagnosis = told(stage, f"{code} {words}", host)
        assert diagnosis.id.endswith("-tls-version")
        assert diagnosis.owner is Owner.HOST
        assert "tls_priorities" in advice(diagnosis)
        assert "nothing is wrong" not in advice(diagnosis)


def test_sender_that_a_mailbox_refuses_is_first_looked_for_in_msmtprc() -> None:
    """The mails of this program have no From: but the account's."""
    reply = "551 5.7.1 Not authorised to send from this header address"
    diagnosis = told("end", reply, "smtp.fastmail.com", **{"from": "alerts@example.com"})
    assert "alerts@example.com" in diagnosis.steps[0]


def test_a_block_list_that_an_administrator_greylists_with() -> None:
    reply = (
        "450 4.7.1 Service unavailable; Client host [192.0.2.1] blocked using grey.example.org; "
        "Greylisting in action, try again in 300 seconds"
    )
    assert "greylisted" in told("rcpt", reply).id


def test_what_the_secret_command_says_is_not_taken_for_msmtps_own_line() -> None:
    refused = "authentication failed (method PLAIN)"
    words = ["/usr/bin/vault: token expires soon", "account is old", refused, "server message: 535 5.7.8 wrong"]
    seen = understand([*words, "cannot log to /var/log/msmtp.log: cannot open: Permission denied"], 77, None)
    assert (seen.stage, seen.own, seen.code) == ("auth", refused, "535")
