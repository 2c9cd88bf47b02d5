"""The provider facts that ship: what they hold, who a server belongs to, and what `providers` prints of them."""

from __future__ import annotations

import calendar
import json
import re
import time
from datetime import date
from pathlib import Path

import jsonschema
import pytest

from msmtp_agent import providers_cli, render_providers
from msmtp_agent.errors import ExitCode, UsageError
from msmtp_agent.providers import BUILT_IN, by_host
from msmtp_agent.providers.fact import IMPLICIT, SENDER, STARTTLS, Fact, Provider, a_year_before
from msmtp_agent.providers.names import find
from tests.support.sandbox import PROJECT, Sandbox

SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/providers.json").read_text())
IDS = (
    "gmail", "microsoft365", "outlook", "fastmail", "zoho", "yahoo", "icloud", "proton", "proton-bridge", "sendgrid",
    "ses", "mailgun", "postmark",
)  # fmt: skip
CHECKED = "2026-11-22"


def facts(provider: Provider) -> tuple[Fact, ...]:
    return (provider.user, provider.password, provider.sender, *provider.limits, *provider.notes)


def day(text: str, seconds: int = 0) -> float:
    """The time `seconds` after the beginning of a day."""
    return calendar.timegm(date.fromisoformat(text).timetuple()) + seconds


def shown(
    capsys: pytest.CaptureFixture[str], name: str | None = None, *, as_json: bool = False, on: str = CHECKED
) -> str:
    assert providers_cli.run(name, as_json, root="/nonexistent", clock=lambda: day(on)) == 0
    return capsys.readouterr().out


# --- the data


def test_the_ids() -> None:
    assert tuple(provider.id for provider in BUILT_IN) == IDS


@pytest.mark.parametrize("provider", BUILT_IN, ids=IDS)
def test_an_entry_is_whole_and_dated(provider: Provider) -> None:
    assert date.fromisoformat(provider.checked).isoformat() == provider.checked
    assert provider.page.startswith("https://")
    assert provider.kind
    for fact in facts(provider):
        assert fact.text
        assert fact.source, fact.text
        assert date.fromisoformat(fact.checked).isoformat() == fact.checked
    for port in provider.ports:
        assert port.tls == (IMPLICIT if port.number in (465, 2465) else STARTTLS)
    assert 1 <= len(provider.steps) <= 4
    assert any(mark in step for step in provider.steps for mark in ("https://", "msmtp-config", "protonmail-bridge"))
    words = " ".join((provider.name, provider.kind, *provider.steps, *(fact.text for fact in facts(provider))))
    assert words.isascii()
    assert words.isprintable()


def test_no_server_belongs_to_two_providers() -> None:
    for provider in BUILT_IN:
        for host in provider.hosts:
            name = host.replace("*", "x")
            assert [other.id for other in BUILT_IN if other.serves(name)] == [provider.id]


@pytest.mark.parametrize(
    ("host", "port", "provider"),
    [
        ("smtp.gmail.com", 587, "gmail"),
        ("SMTP.Gmail.COM.", 465, "gmail"),
        ("smtp.gmail.com", 0, "gmail"),
        ("smtp.gmail.com", 2525, "gmail"),  # whatever the port: the decoder has something to say about that
        ("smtp-relay.gmail.com", 587, "gmail"),
        ("smtp.office365.com", 587, "microsoft365"),
        ("acme-test.mail.protection.outlook.com", 25, "microsoft365"),
        ("mail.protection.outlook.com", 25, None),
        ("smtp-mail.outlook.com", 587, "outlook"),
        ("email-smtp.eu-west-1.amazonaws.com", 587, "ses"),
        ("email-smtp-fips.us-east-1.amazonaws.com", 587, "ses"),
        ("email-smtp.cn-north-1.amazonaws.com.cn", 587, "ses"),
        ("email-smtp.amazonaws.com", 587, None),
        ("x.email-smtp.eu-west-1.amazonaws.com", 587, None),
        ("email-smtp.eu-west-1.amazonaws.com.evil.test", 587, None),
        ("smtp.zoho.com", 465, "zoho"),
        ("smtp.zoho.com.au", 465, "zoho"),
        ("smtppro.zoho.eu", 587, "zoho"),
        ("smtp.eu.mailgun.org", 587, "mailgun"),
        ("smtp-broadcasts.postmarkapp.com", 587, "postmark"),
        ("127.0.0.1", 1025, "proton-bridge"),
        ("127.0.0.2", 1025, "proton-bridge"),
        ("localhost", 1025, "proton-bridge"),
        ("127.0.0.1", 25, None),
        ("127.0.0.1", 0, None),
        ("localhost", 587, None),
        ("::1", 1025, None),
        ("mail.example.org", 587, None),
        ("gmail.com", 587, None),
        ("", 0, None),
        ("*", 587, None),
    ],
)
def test_who_a_server_belongs_to(host: str, port: int, provider: str | None) -> None:
    found = by_host(BUILT_IN, host, port)
    assert (found.id if found else None) == provider


# --- the listing


def test_the_listing_has_a_line_for_each_and_columns_for_awk(capsys: pytest.CaptureFixture[str]) -> None:
    heading, *rows = shown(capsys).splitlines()
    assert re.split("  +", heading) == ["ID", "NAME", "SERVER", "PORTS", "PASSWORD", "CHECKED"]
    cells = [re.split("  +", row) for row in rows]
    assert [row[0] for row in cells] == list(IDS)
    assert cells[0] == [
        "gmail", "Gmail and Google Workspace", "smtp.gmail.com", "587 STARTTLS; 465 TLS", "app password", CHECKED,
    ]  # fmt: skip
    assert cells[3][3] == "465 TLS; 587 STARTTLS unconfirmed"
    assert cells[10][3] == "587, 2587, 25 STARTTLS; 465, 2465 TLS"
    assert {row.index(cells[number][3]) for number, row in enumerate(rows)} == {heading.index("PORTS")}


@pytest.mark.parametrize(
    ("on", "old"),
    [
        ("2026-11-22", False),
        ("2026-11-21", False),  # a clock that is behind
        ("1970-01-01", False),
        ("2027-11-21", False),
        ("2027-11-22", False),
        ("2027-11-23", True),
        ("2028-02-29", True),
        ("2040-01-01", True),
    ],
)
def test_facts_older_than_a_year_are_unverified(on: str, *, old: bool, capsys: pytest.CaptureFixture[str]) -> None:
    since = f"unverified since {CHECKED}"
    assert [row.endswith(since) for row in shown(capsys, on=on).splitlines()] == [False, *[old] * len(IDS)]
    entry = shown(capsys, "gmail", on=on)
    assert (f"  {since}: https://" in entry) is old
    assert (f"  checked {CHECKED}: https://" in entry) is not old
    confirmed = [fact.confirmed for fact in facts(BUILT_IN[0])]
    assert entry.count(f"[{since}]\n") == (confirmed.count(True) if old else 0)
    assert entry.count(f"[unconfirmed, {since}]\n") == (confirmed.count(False) if old else 0)
    verified = [provider["verified"] for provider in json.loads(shown(capsys, as_json=True, on=on))["providers"]]
    assert verified == [not old] * len(IDS)


def test_a_leap_day_is_a_year_old_when_march_begins() -> None:
    for on, old in (("2029-02-28", False), ("2029-03-01", True)):
        limit = a_year_before(day(on))
        assert render_providers.age("2028-02-29", limit) == f"{'unverified since' if old else 'checked'} 2028-02-29"


def test_the_last_second_of_a_day_counts_as_that_day() -> None:
    assert a_year_before(day("2027-11-22", 86399)) == "2026-11-22"
    assert a_year_before(time.time()) < time.strftime("%Y-%m-%d")


# --- one provider


def test_the_whole_entry(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, "proton-bridge").splitlines()
    assert lines[:7] == [
        "Proton Mail Bridge (proton-bridge)",
        "  server    127.0.0.1; also localhost, 127.*",
        "  ports     1025 STARTTLS; 1025: the Bridge's default; it can be changed there",
        "  user      the Proton address, as the Bridge shows it",
        "  password  the password that the Bridge made for this account, not the one of the Proton account",
        "  sender    an address of the account that is signed in to the Bridge",
        "  checked 2026-11-22: https://proton.me/support/bridge-cli-guide",
    ]
    assert lines[7:9] == [
        "Steps to the password",
        "  1. on the host with the Bridge: protonmail-bridge --cli, then login (once) and info",
    ]
    titles = [line for line in lines if not line.startswith(" ")]
    assert titles[1:] == ["Steps to the password", "Limits", "Notes", "Sources"]


@pytest.mark.parametrize("provider", BUILT_IN, ids=IDS)
def test_an_entry_tells_everything(provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, provider.id)
    for words in (*provider.hosts, *provider.steps, *(fact.source for fact in facts(provider))):
        assert words in text
    for fact in facts(provider):
        assert fact.text + ("" if fact.confirmed else " [unconfirmed]") + "\n" in text
    for port in provider.ports:
        assert str(port.number) in text


def test_what_is_not_sure_is_called_unconfirmed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the free plan ended from 27 May 2025 [unconfirmed]\n" in shown(capsys, "sendgrid")
    assert "465 TLS unconfirmed" in shown(capsys, "yahoo")


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("gmail", "gmail"),
        ("GMail", "gmail"),
        (" gmail ", "gmail"),
        ("Gmail and Google Workspace", "gmail"),
        ("Microsoft 365", "microsoft365"),
        ("microsoft 365 (exchange online)", "microsoft365"),
        ("microsoft-365", "microsoft365"),
        ("Outlook.com", "outlook"),
        ("Amazon SES", "ses"),
        ("Proton Mail", "proton"),
        ("proton bridge", "proton-bridge"),
        ("Proton Mail Bridge", "proton-bridge"),
        ("email-smtp.eu-west-1.amazonaws.com", "ses"),
        ("SMTP.Zoho.EU.", "zoho"),
        ("127.0.0.1", "proton-bridge"),
        ("localhost", "proton-bridge"),
    ],
)
def test_a_provider_is_found_by_id_name_and_server(name: str, provider: str) -> None:
    assert find(BUILT_IN, name).id == provider


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gmial", "gmail"),
        ("sengrid", "sendgrid"),
        ("smtp.gmail.con", "gmail"),
        ("smtp.sendgrid.com", "sendgrid"),
        ("", None),
        ("   ", None),
        ("xyzzy", None),
        ("mail.example.org", None),
        ("*", None),
        ("\x1b[31m\u202e\udcff" * 30, None),
        ("x" * 100_000, None),
    ],
)
def test_an_unknown_name_gets_the_known_ids_and_what_is_near(name: str, near: str | None) -> None:
    with pytest.raises(UsageError) as raised:
        find(BUILT_IN, name)
    error = raised.value
    assert error.code == ExitCode.USAGE
    assert error.expected == "one of " + ", ".join(IDS)
    assert error.remedy == ("msmtp-config providers" + (f" {near}" if near else ""))
    assert ("did you mean " in error.observed) is (near is not None)
    assert len(error.message) < 400
    assert error.message.isprintable()


# --- JSON


def test_json_of_all_and_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    everything = json.loads(shown(capsys, as_json=True))
    jsonschema.validate(everything, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert [provider["id"] for provider in everything["providers"]] == list(IDS)
    one = json.loads(shown(capsys, "Amazon SES", as_json=True))
    assert one == {"schema_version": 1, "providers": [everything["providers"][10]]}
    assert one["providers"][0]["ports"][2] == {"port": 465, "tls": "implicit", "note": "", "confirmed": True}
    sendgrid = everything["providers"][9]
    doubts = [fact["text"] for fact in sendgrid["notes"] if not fact["confirmed"]]
    assert doubts[0].startswith("the free plan ended")


def test_the_schema_is_strict() -> None:
    assert jsonschema.Draft202012Validator(SCHEMA).is_valid({"schema_version": 1, "providers": []}) is False
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


# --- the program


def test_the_program_needs_neither_root_nor_a_network_and_writes_nothing(tmp_path: Path) -> None:
    with Sandbox(tmp_path, network="none", private_tmp=True) as sandbox:
        for arguments in ((), ("gmail",), ("--json",)):
            # The system's own interpreter: a virtual environment may lie where nobody but root looks.
            done = sandbox.agent("providers", *arguments, python="/usr/bin/python3", uid=65534)
            assert (done.returncode, done.stderr) == (0, "")
            assert "smtp.gmail.com" in done.stdout
        done = sandbox.agent("providers", "gmial", python="/usr/bin/python3", uid=65534)
        assert (done.returncode, done.stdout) == (ExitCode.USAGE, "")
        assert done.stderr.splitlines()[-1] == "  fix: msmtp-config providers gmail"
        assert sandbox.changed() == set()


def test_the_user_name_is_told_where_it_follows_from_the_rest() -> None:
    logins = {provider.id: provider.login for provider in BUILT_IN}
    relays = {"sendgrid": "apikey", "ses": "", "mailgun": "", "postmark": ""}
    assert logins == {id_: SENDER for id_ in logins if id_ not in relays} | relays
    for provider in BUILT_IN:
        assert (" address" in provider.user.text) == (provider.login == SENDER), provider.id
        assert provider.login in (SENDER, "") or provider.login in provider.user.text


def test_the_listing_imports_nothing_that_it_does_not_need(sandbox: Sandbox) -> None:
    argv = ["/usr/bin/python3", "-X", "importtime", "-m", "msmtp_agent", "providers"]
    done = sandbox.run(argv)
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "msmtp_agent.providers.relays" in imported
    own = {name for name in imported if name.startswith("msmtp_agent.")} - {f"msmtp_agent.{room}" for room in (
        "__main__", "cli", "errors", "lean", "loopback", "model", "host", "beneath", "printable", "render",
        "providers", "providers.fact", "providers.local", "providers.mailboxes", "providers.proton", "providers.relays",
        "providers.names", "providers_cli", "render_providers",
    )}  # fmt: skip
    assert not own
    assert not {"yaml", "rich.console"} & imported
