"""The parser against msmtp itself: what one refuses the other refuses, and the settings in force are the same."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msmtp_agent import msmtprc

# What every file of the table is followed by, so that `--pretend` has an account to show.
TAIL = "\naccount default\nhost h.example.test\n"
SHOWN = {
    "host": "host",
    "user": "user",
    "from": "from",
    "passwordeval": "passwordeval",
    "logfile": "logfile",
    "aliases": "aliases",
    "domain": "domain",
    "tls_trust_file": "tls_trust_file",
}
# Newer than the msmtp of Debian 12.
TOO_NEW = ("from_full_name", "set_to_header", "undisclosed_recipients", "scram-sha-1-plus", "scram-sha-256-plus")


def pretend(path: Path, content: bytes) -> tuple[int, str, dict[str, str]]:
    """msmtp's exit status, its first complaint, and what it says is in force."""
    path.write_bytes(content)
    done = subprocess.run(
        ["/usr/bin/msmtp", "-C", path, "--pretend", "--", "root"],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    shown = dict(re.findall(r"^(\w+) += (.*)$", done.stdout.decode("utf-8", "surrogateescape"), re.MULTILINE))
    complaint = done.stderr.decode("utf-8", "surrogateescape").partition("\n")[0]
    return done.returncode, complaint.removeprefix(f"msmtp: {path}: "), shown


def in_force(account: msmtprc.Account) -> dict[str, str]:
    """The settings as `--pretend` words them."""
    found = {name: account.get(command) or "(not set)" for command, name in SHOWN.items()}
    for command, default in (("domain", "localhost"), ("from", "(not set)")):  # an empty one is not an absent one
        found[command] = account.settings[command].value if command in account.settings else default
    found["tls_trust_file"] = account.get("tls_trust_file") or "system"
    found["port"] = str(account.port)
    found["tls"] = "on" if account.uses_tls else "off"
    found["auth"] = {"on": "choose", "off": "none"}.get(account.method, account.method.upper())
    found["tls_starttls"] = "off" if account.get("tls_starttls") == "off" else "on"
    found["tls_certcheck"] = "off" if account.get("tls_certcheck") == "off" else "on"
    for name in ("tls_fingerprint", "tls_key_file", "tls_cert_file", "tls_crl_file"):
        found[name] = account.get(name) or "(not set)"
    seconds = account.get("timeout")
    found["timeout"] = "off" if seconds in ("", "off") else f"{int(seconds, 0)} seconds"
    return found


def parse(content: bytes) -> tuple[dict[str, msmtprc.Account], msmtprc.MsmtprcError | None]:
    try:
        return msmtprc.parse(content), None
    except msmtprc.MsmtprcError as error:
        return {}, error


def compare(path: Path, content: bytes) -> str:
    """Assert that both agree; what they agree on: `refused`, `no default`, or `accepted`."""
    status, complaint, shown = pretend(path, content)
    accounts, fault = parse(content)
    if fault is not None:
        if status == -signal.SIGABRT:  # msmtp 1.8 frees the former value twice when a second `syslog` is refused
            return "refused"
        assert status == 78, (fault, shown)
        if "longer than" in fault.fault:
            assert complaint == "line longer than 500 characters"
        else:
            assert complaint == re.sub(r"[\x00-\x1f\x7f]", "?", f"line {fault.line}: {fault.fault}")
        return "refused"
    if "default" not in accounts:
        assert (status, complaint) == (78, f"account default not found in {path}") or "not found" in complaint
        return "no default"
    if not accounts["default"].get("host"):
        assert complaint.endswith("host not set")
        return "no host"
    assert status == 0, complaint
    wanted = in_force(accounts["default"])
    assert {name: shown[name] for name in wanted} == wanted
    return "accepted"


CASES = {
    "quotes": ('user "a b"\nfrom "ab\nlogfile "x"y"', "accepted"),
    "quotes keep blanks": ('user " a "  ', "accepted"),
    "one quote": ('user "', "accepted"),
    "two quotes": ('user ""', "accepted"),
    "tabs and blanks": ("\t user\t me \t\n   from  x@y  ", "accepted"),
    "CRLF": ("user me\r\nfrom x\r", "accepted"),
    "comments": ("# user nobody\n  # from nobody\nuser me # no comment", "accepted"),
    "later line wins": ("user a\nuser b\nport 26\nport 27", "accepted"),
    "unset again": ("user a\nuser\nlogfile /x\nlogfile", "accepted"),
    "NUL": ("user a\0b\n\0from x\nfrom y", "accepted"),
    "octal port": ("port 025", "accepted"),
    "hexadecimal port": ("port 0x19", "accepted"),
    "octal nine": ("port 09", "refused"),
    "no port": ("port", "refused"),
    "port 0": ("port 0", "refused"),
    "port 65536": ("port 65536", "refused"),
    "port and words": ("port 25 # smtp", "refused"),
    "timeout off": ("timeout off", "accepted"),
    "timeout 0": ("timeout 0", "refused"),
    "auth bare": ("auth", "accepted"),
    "auth upper case": ("auth ON", "refused"),
    "auth method": ("auth cram-md5", "accepted"),
    "auth bogus": ("auth bogus", "refused"),
    "tls bare": ("tls", "accepted"),
    "tls yes": ("tls yes", "refused"),
    "allow_from_override bare": ("allow_from_override", "refused"),
    "syslog": ("syslog LOG_LOCAL7", "accepted"),
    "syslog bogus": ("syslog LOG_LOCAL8", "refused"),
    "fingerprint": ("tls_fingerprint 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF", "accepted"),
    "fingerprint short": ("tls_fingerprint 00:11", "refused"),
    "dsn_return": ("dsn_return headers", "accepted"),
    "dsn_return bogus": ("dsn_return some", "refused"),
    "old names": ("tls_nocertcheck\ntls_nostarttls\nconnect_timeout 3\nkeepbcc on\nauto_from off", "accepted"),
    "old name with argument": ("tls_nostarttls on", "refused"),
    "set_to_header": ("set_from_header auto\nset_date_header\nset_msgid_header off", "accepted"),
    "unknown": ("bogus 1", "refused"),
    "case": ("USER me", "refused"),
    "form feed": ("\fuser me", "refused"),
    "499 characters": ("user " + "x" * 494, "accepted"),
    "500 characters": ("user " + "x" * 495, "refused"),
    "500 characters of comment": ("#" * 500, "refused"),
    "host missing": ("host", "refused"),
    "dsn_notify": ("dsn_notify failure", "accepted"),
}


@pytest.mark.programs
@pytest.mark.parametrize(("lines", "verdict"), CASES.values(), ids=CASES)
def test_a_line_means_what_it_means_to_msmtp(tmp_path: Path, lines: str, verdict: str) -> None:
    content = f"account default\nhost h.example.test\n{lines}\n".encode()
    assert compare(tmp_path / "msmtprc", content) == verdict
    if verdict == "accepted":  # in defaults, and without a final line feed
        assert compare(tmp_path / "msmtprc", f"defaults\n{lines}{TAIL}".encode().removesuffix(b"\n")) == verdict


ACCOUNTS = {
    "no account command": ("host h\nuser u\n", "accepted"),
    "nothing": ("", "no default"),
    "comments alone": ("# nothing\n", "no default"),
    "another account": ("account a\nhost h\n", "no default"),
    "no host": ("account default\nuser u\n", "no host"),
    "copied": ("account a\nhost h\nuser u\naccount default : a\n", "accepted"),
    "copied, then changed": ("account a\nhost h\nuser u\naccount default : a\nuser v\n", "accepted"),
    "copied from two": ("account a\nhost h\nuser u\naccount b\nuser v\naccount default : a , b\n", "accepted"),
    "copied in a chain": ("account a\nhost h\naccount b : a\nuser u\naccount default: b\n", "accepted"),
    "defaults are not copied": (
        "defaults\nuser old\naccount a\nhost h\ndefaults\nuser new\naccount default : a\n",
        "accepted",
    ),
    "defaults twice": ("defaults\nuser u\ndefaults\nport 26\naccount default\nhost h\n", "accepted"),
    "defaults with an argument": ("defaults x\n", "refused"),
    "no name": ("account\n", "refused"),
    "no name after the colon": ("account default :\n", "refused"),
    "a comma too many": ("account a\nhost h\naccount default : a,\n", "refused"),
    "not defined": ("account default : a\n", "refused"),
    "itself": ("account default : default\n", "refused"),
    "twice": ("account default\nhost h\naccount default\nhost i\n", "refused"),
    "a name with a comma": ("account a,b\nhost h\n", "refused"),
    "a quoted name": ('account "default"\nhost h\n', "accepted"),
    "a comment is part of the name": ("account default # mine\nhost h\n", "no default"),
    "an error in an account that is not used": ("account default\nhost h\naccount a\nbogus\n", "refused"),
    "BOM": ("\ufeffaccount default\nhost h\n", "refused"),
}


@pytest.mark.programs
@pytest.mark.parametrize(("content", "verdict"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_accounts_are_found_as_msmtp_finds_them(tmp_path: Path, content: str, verdict: str) -> None:
    assert compare(tmp_path / "msmtprc", content.encode()) == verdict


_command = st.sampled_from(
    sorted(set(msmtprc._COMMANDS) - set(TOO_NEW) - {"socket", "tls_fingerprint", "dsn_notify", "auto_from", "aliases"})
)
_argument = st.one_of(
    st.sampled_from(
        ["", "on", "off", "auto", "25", "025", "smtp", "plain", '"q u"', '"', "~/x", "/x y", "LOG_MAIL", "a # b"]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0", exclude_categories=["Cs"]), max_size=12),
)
_line = st.one_of(
    st.tuples(_command, st.sampled_from([" ", "\t", "  "]), _argument).map("".join),
    st.sampled_from(["defaults", "account a", "account b : a", "account default : a", "# x", "", "account default"]),
)


@pytest.mark.programs
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(_line, max_size=10))
def test_any_file_means_what_it_means_to_msmtp(tmp_path: Path, lines: list[str]) -> None:
    # Expansions and checks that come behind the parser are msmtp's own business: %-signs, ~, files that go together.
    content = "\n".join(["defaults", "host h", *lines, ""])
    if any(word in content for word in ("%", "~", "tls_key_file", "tls_cert_file", "tls_crl_file", "lmtp")):
        return
    if any(name in content for name in TOO_NEW) or re.search(r"^tls( on)?$|tls_trust_file", content, re.MULTILINE):
        return
    assert compare(tmp_path / "msmtprc", content.encode())


@pytest.mark.programs
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_rubbish_never_breaks_the_parser(tmp_path: Path, content: bytes) -> None:
    _, fault = parse(content)
    status, complaint, _ = pretend(tmp_path / "msmtprc", content)
    if fault is None:  # blank, a comment, or by chance a file (`tls`)
        assert not complaint.startswith("line ")
    else:
        assert 1 <= fault.line <= content.count(b"\n") + 1
        assert status == 78


@pytest.mark.programs
@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\0x\r\n", b"\r\0x\n", b"\r\r\n"])
def test_carriage_returns_and_nuls_at_the_end_of_a_line(tmp_path: Path, end: bytes) -> None:
    content = b"account default\nhost h\nfrom a" + end
    shown = pretend(tmp_path / "msmtprc", content)[2]["from"]
    assert msmtprc.parse(content)["default"].get("from") == shown


def test_eval_is_not_run_and_not_believed() -> None:
    with pytest.raises(msmtprc.MsmtprcError, match="eval") as caught:
        msmtprc.parse(b"account default\neval echo host h\n")
    assert caught.value.line == 2


def test_the_line_of_a_setting_in_force() -> None:
    accounts = msmtprc.parse(b"defaults\nauth on\n\naccount a\nuser u\naccount default : a\nauth off\n")
    account = accounts["default"]
    assert (account.line, account.line_of("user"), account.line_of("auth"), account.line_of("tls")) == (6, 5, 7, 6)
