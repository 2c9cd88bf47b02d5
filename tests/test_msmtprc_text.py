"""What msmtprc_text writes, read back by msmtp itself: every value arrives as it was, or is refused."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from msmtp_agent import host_files, log_rule, msmtprc, msmtprc_text
from msmtp_agent.secret import Secret
from msmtp_agent.settings import SYSLOG, Settings

PLAIN = Settings("smtp.example.com", 587, "alerts@example.com", "me@example.com", ("admin@example.com",))
PIN = ":".join(["AB"] * 32)
LOG = "/var/log/msmtp.log"


def pretend(path: Path, content: bytes, account: str = "default") -> dict[str, str]:
    """Everything that msmtp says is in force for the account; empty where it refuses the file."""
    path.write_bytes(content)
    done = subprocess.run(
        ["/usr/bin/msmtp", f"--file={path}", f"--account={account}", "--pretend", "--passwordeval=echo x", "--", "a@b"],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    shown = done.stdout.decode("utf-8", "surrogateescape")
    return dict(re.findall(r"^(\w+) *= (.*)$", shown, re.MULTILINE)) if done.returncode == 0 else {}


# --- one line

VALUES = {
    "a word": ("me", b"user           me"),
    "blanks inside": ("me and you", b"user           me and you"),
    "a number sign": ("me # no comment", b"user           me # no comment"),
    "a number sign alone": ("#", b"user           #"),
    "a blank at the end": ("me ", b'user           "me "'),
    "a tab in front": ("\tme", b'user           "\tme"'),
    "a blank": (" ", b'user           " "'),
    "quotes around it": ('"me"', b'user           ""me""'),
    "quotes around nothing": ('""', b'user           """"'),
    "one quote": ('"', b'user           "'),
    "a quote in front": ('"me', b'user           "me'),
    "quotes inside": ('m"e"', b'user           m"e"'),
    "a backslash": ("a\\", b"user           a\\"),
    "dollars and braces": ("$HOME ${X} {{ x }} %H", b"user           $HOME ${X} {{ x }} %H"),
    "beyond ASCII": ("m\u00fcller\u2028", "user           m\u00fcller\u2028".encode()),
    "bytes that are no text": ("\udcff", b"user           \xff"),
    "the longest in its column": ("x" * 484, b"user           " + b"x" * 484),
    "longer than that": ("x" * 485, b"user " + b"x" * 485),
    "the longest": ("x" * 494, b"user " + b"x" * 494),
    "the longest in quotes": (" " + "x" * 491, b'user " ' + b"x" * 491 + b'"'),
}


@pytest.mark.programs
@pytest.mark.parametrize(("value", "written"), VALUES.values(), ids=VALUES)
def test_a_value_arrives_as_it_was(tmp_path: Path, value: str, written: bytes) -> None:
    assert msmtprc_text.line("user", value) == written
    content = b"account default\nhost h\n" + written + b"\n"
    assert msmtprc.parse(content)["default"].get("user") == value
    assert pretend(tmp_path / "msmtprc", content)["user"] == value


REFUSED = {
    "a line feed": ("me\npassword x", "a line break"),
    "a carriage return": ("me\rpassword x", "a line break"),
    "CRLF": ("me\r\n", "a line break"),
    "NUL": ("me\0", "a NUL"),
    "too long": ("x" * 495, "makes a line of 500 bytes"),
    "too long in bytes": ("\u00fc" * 248, "makes a line of 501 bytes"),
    "too long with its quotes": ('"' + "x" * 491 + '"', "makes a line of 500 bytes"),
}


@pytest.mark.parametrize(("value", "words"), REFUSED.values(), ids=REFUSED)
def test_a_value_that_no_line_can_hold_is_refused_and_not_told(value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        msmtprc_text.line("user", value)
    assert "xx" not in str(caught.value)
    assert "password" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.programs
@examples(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.sampled_from(list(" \t\"'#\\%~aü\u00a0\u3000\ufeff\v\f\x1b")), max_size=8))
def test_any_value_arrives_as_it_was(tmp_path: Path, value: str) -> None:
    content = b"account default\nhost h\n" + msmtprc_text.line("user", value) + b"\n"
    assert pretend(tmp_path / "msmtprc", content)["user"] == (value or "(not set)")


# --- the whole file


def test_the_file_of_the_five_settings_that_everybody_gives() -> None:
    assert msmtprc_text.of(PLAIN, LOG).decode() == (
        "# Written by msmtp-config (`msmtp-config apply` writes it again). No password ever stands here.\n"
        "account        default\n"
        "host           smtp.example.com\n"
        "port           587\n"
        "from           alerts@example.com\n"
        "auth           on\n"
        "user           me@example.com\n"
        'passwordeval   "cat /etc/msmtp-password"\n'
        "tls            on\n"
        "tls_starttls   on\n"
        "tls_trust_file /etc/ssl/certs/ca-certificates.crt\n"
        "timeout        60\n"
        "aliases        /etc/aliases\n"
        "logfile        /var/log/msmtp.log\n"
    )


# Settings, and what of the usual file goes and comes with them.
CHANGES: dict[str, tuple[dict[str, Any], set[str], set[str]]] = {
    "the port": ({"port": 2525}, {"port           587"}, {"port           2525"}),
    "TLS from the start": ({"implicit_tls": True}, {"tls_starttls   on"}, {"tls_starttls   off"}),
    "no check of certificates": ({"certcheck": False}, set(), {"tls_certcheck  off"}),
    "a pin": ({"fingerprint": PIN}, set(), {f"tls_fingerprint {PIN}"}),
    "a pin wins: msmtp looks at it only where it checks": (
        {"fingerprint": PIN, "certcheck": False},
        set(),
        {f"tls_fingerprint {PIN}"},
    ),
    "a method": ({"method": "plain"}, {"auth           on"}, {"auth           plain"}),
    "another command": (
        {"passwordeval": 'pass show "a b"'},
        {'passwordeval   "cat /etc/msmtp-password"'},
        {'passwordeval   "pass show "a b""'},
    ),
    "no password and no user": (
        {"method": "external", "user": ""},
        {"auth           on", "user           me@example.com", 'passwordeval   "cat /etc/msmtp-password"'},
        {"auth           external"},
    ),
    "a client certificate": (
        {"cert_file": "/etc/c.pem", "key_file": "/etc/k.pem"},
        set(),
        {"tls_cert_file  /etc/c.pem", "tls_key_file   /etc/k.pem"},
    ),
    "another trust": (
        {"trust_file": "/etc/my ca.pem"},
        {"tls_trust_file /etc/ssl/certs/ca-certificates.crt"},
        {"tls_trust_file /etc/my ca.pem"},
    ),
    "the From header": ({"set_from_header": "on"}, set(), {"set_from_header on"}),
    "syslog": ({"log": SYSLOG}, {"logfile        /var/log/msmtp.log"}, {"syslog         LOG_MAIL"}),
    "a password goes elsewhere": ({"secret": Secret(b"correct horse")}, set(), set()),
}


@pytest.mark.programs
@pytest.mark.parametrize(("changed", "gone", "new"), CHANGES.values(), ids=CHANGES)
def test_a_setting_is_its_lines_and_no_other(
    tmp_path: Path, changed: dict[str, Any], gone: set[str], new: set[str]
) -> None:
    content = msmtprc_text.of(PLAIN._replace(**changed), LOG)
    lines, usual = content.decode().splitlines(), msmtprc_text.of(PLAIN, LOG).decode().splitlines()
    assert (set(usual) - set(lines), set(lines) - set(usual)) == (gone, new)
    assert len(lines) == len({line.split()[0] for line in lines})  # one line for each directive
    assert pretend(tmp_path / "msmtprc", content)["host"] == "smtp.example.com"


def test_a_value_with_a_line_break_is_no_second_directive() -> None:
    for field in ("host", "sender", "user", "method", "passwordeval", "trust_file", "cert_file", "fingerprint"):
        changed: dict[str, Any] = {field: "x\ntls off"}
        with pytest.raises(ValueError, match="line break"):
            msmtprc_text.of(PLAIN._replace(**changed), LOG)


# --- the other files


def test_the_files_in_the_order_in_which_they_are_to_be_written() -> None:
    files = host_files.of(PLAIN)
    assert [(file.path, file.mode) for file in files] == [
        ("/etc/aliases", 0o644),
        ("/etc/logrotate.d/msmtp", 0o644),
        ("/etc/msmtprc", 0o600),
    ]
    assert files[0].content == b"root: admin@example.com\ndefault: admin@example.com\n"
    assert files[1].content.startswith(b"/var/log/msmtp.log {\n")


def test_a_log_that_is_not_a_file_has_no_rule() -> None:
    assert [file.path for file in host_files.of(PLAIN._replace(log=SYSLOG))] == ["/etc/aliases", "/etc/msmtprc"]


def test_the_log_of_a_confined_msmtp_is_the_one_that_is_rotated() -> None:
    files = {file.path: file.content for file in host_files.of(PLAIN, host_files.CONFINED_LOG)}
    assert files["/etc/logrotate.d/msmtp"].startswith(b"/var/log/msmtp {\n")
    assert b"\nlogfile        /var/log/msmtp\n" in files["/etc/msmtprc"]


def test_the_aliases_that_are_there_are_kept() -> None:
    files = host_files.of(PLAIN, aliases=b"ops: o@example.com\n")
    assert files[0].content == b"ops: o@example.com\nroot: admin@example.com\ndefault: admin@example.com\n"


LOGS = {
    "/var/log/msmtp.log": b"/var/log/msmtp.log {\n",
    "/var/log/my msmtp.log": b'"/var/log/my msmtp.log" {\n',
    "/var/log/m*.log": b"",
    "/var/log/m\n/etc/shadow": b"",
    '/var/log/"': b"",
    "msmtp.log": b"",
    "": b"",
}


@pytest.mark.parametrize(("log", "first"), LOGS.items(), ids=LOGS)
def test_the_rule_names_that_log_or_there_is_none(log: str, first: bytes) -> None:
    rule = log_rule.text(log)
    assert rule.startswith(first)
    assert bool(rule) is bool(first)


# --- what was parsed

PARSED = {
    "defaults": b"defaults\nauth on\ntls on\nport 26\naccount default\nhost h\nuser u\n",
    "copied, and changed": b"defaults\nuser d\naccount a\nhost h\nuser u\naccount default : a\nport 0x19\n",
    "copied from two": b"account a\nhost h\nuser u\naccount b\nhost i\nuser v\naccount default : a , b\n",
    "settings without an account": b"host h\nuser u\n",
    "of two lines the last": b"account default\nhost g\nhost h\nuser u\nuser\n",
    "old names": b"account default\nhost h\ntls_nocertcheck\ntls_nostarttls\nconnect_timeout 3\n",
    "two names of one thing, the old one last": b"account default\nhost h\nremove_bcc_headers on\nkeepbcc on\n",
    "two names of one thing, the new one last": (
        b"account default\nhost h\nremove_bcc_headers off\nkeepbcc on\nremove_bcc_headers on\n"
    ),
    "one name in the defaults": b"defaults\nkeepbcc on\naccount default\nhost h\nremove_bcc_headers on\n",
    "defaults that stand behind": (
        b"account a\nhost h\nremove_bcc_headers on\ndefaults\nkeepbcc on\naccount default : a\nuser u\n"
    ),
    "an empty trust": b'account default\nhost h\ntls_trust_file\naliases\nlogfile ""\n',
    "an empty trust in the defaults": b"defaults\ntls_trust_file\naccount default\nhost h\n",
    "an empty trust that is copied": b"account a\nhost g\ntls_trust_file\naccount default : a\nhost h\n",
    "quotes and blanks": b'account default\nhost h\nuser " a "\nfrom "b\nlogfile ""c""\n',
    "a carriage return inside": b'account default\nhost h\nuser a\rb\nfrom "c\r"\ndomain "\r"\n',
    "CRLF": b"account default\r\nhost h\r\nuser u\r\n",
    "odd bytes": b"account default\nhost h\nuser \xff\xfe\nfrom \x01\x1b[31m\n",
    "odd names": b'account "a "\nhost g\naccount b c\nhost i\naccount default\nhost h\n',
    "switches without a word": b"account default\nhost h\nauth\ntls\ntls_certcheck\nsyslog\nset_date_header\n",
    "an inline password": b"account default\nhost h\nuser u\npassword correct horse\n",
    "as we write it": msmtprc_text.of(PLAIN, LOG),
}


@pytest.mark.programs
@pytest.mark.parametrize("content", PARSED.values(), ids=PARSED)
def test_what_was_parsed_is_written_with_the_same_meaning(tmp_path: Path, content: bytes) -> None:
    accounts = msmtprc.parse(content)
    written = msmtprc_text.render(accounts)
    again = msmtprc.parse(written)
    assert list(again) == list(accounts)
    for name, account in accounts.items():
        assert _values(again[name]) == _values(account)
        shown = pretend(tmp_path / "msmtprc", content, name)
        assert shown
        assert pretend(tmp_path / "msmtprc", written, name) == shown
    assert _values(msmtprc.parse(msmtprc_text.render(again))["default"]) == _values(accounts["default"])


def _values(account: msmtprc.Account) -> dict[str, str]:
    """What is set; of an empty argument msmtp itself tells what it means."""
    return {command: setting.value for command, setting in account.settings.items() if setting.value}
