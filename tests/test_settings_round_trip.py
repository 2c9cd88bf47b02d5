"""What is parsed and written again means the same to msmtp; what settings say is what msmtp reads."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from msmtp_agent import aliases, aliases_text, msmtprc, msmtprc_text
from msmtp_agent.settings import FILE, SYSLOG, Settings
from tests.test_differential import _alias, _configuration
from tests.test_msmtprc import ACCOUNTS, CASES, parse

fixed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLACE = re.compile(rb"^using account (\S+) from .*$", re.MULTILINE)


def dump(path: Path, content: bytes, account: str = "default") -> tuple[int, bytes]:
    """msmtp's exit status, and everything that it prints of an account, but for the name of the file."""
    path.write_bytes(content)
    done = subprocess.run(
        ["/usr/bin/msmtp", "-C", path, "-a", account, "--pretend", "--", "nobody@example.com"],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    return done.returncode, PLACE.sub(rb"using account \1", done.stdout)


def compare(path: Path, content: bytes) -> int:
    """Assert that the file and what is written of it are one to msmtp; how many accounts it has, -1: it is refused."""
    accounts, fault = parse(content)
    if fault is not None:
        return -1
    again = msmtprc_text.render(accounts)
    for name in (name for name in accounts if not name.startswith("-")):
        assert dump(path, again, name) == dump(path, content, name), again
    assert in_force(again) == in_force(content)
    assert msmtprc_text.render(msmtprc.parse(again)) == again, "a second time nothing changes"
    assert b"\n\n\n" not in again
    return len(accounts)


def in_force(content: bytes) -> dict[str, dict[str, str]]:
    """What each account has; what is set to nothing is as good as not set, or shows above."""
    accounts = msmtprc.parse(content)
    return {
        name: {command: setting.value for command, setting in account.settings.items() if setting.value}
        for name, account in accounts.items()
    }


@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.parametrize(
    "lines", [lines for lines, verdict in CASES.values() if verdict == "accepted"], ids=lambda lines: lines[:20]
)
def test_every_line_that_msmtp_takes(tmp_path: Path, lines: str) -> None:
    content = f"defaults\n{lines}\naccount default\nhost h.example.test\n"
    assert compare(tmp_path / "msmtprc", content.encode()) == 1
    assert compare(tmp_path / "msmtprc", f"{content}{lines}".encode()) == 1


@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.parametrize(
    "content", [content for content, verdict in ACCOUNTS.values() if verdict != "refused"], ids=lambda text: text[:20]
)
def test_every_way_to_open_an_account(tmp_path: Path, content: str) -> None:
    assert compare(tmp_path / "msmtprc", content.encode()) >= 0


@pytest.mark.slow
@pytest.mark.programs
def test_a_thousand_files(tmp_path: Path) -> None:
    counted = {-1: 0, 0: 0, 1: 0, 2: 0, 3: 0}

    @settings(fixed, max_examples=1000)
    @given(_configuration)
    @example(["defaults", "user old", "account a", "host h", "defaults", "user new", "account default : a"])
    @example(["account a", "host h", "user u", "account b", "user v", "account default : a , b", "user"])
    @example(["defaults", "tls_starttls off", "account a", "host h", "tls on", "account default : a", "tls_starttls"])
    @example(["account a", "host h", "keepbcc on", "remove_bcc_headers on", "account default : a", "keepbcc off"])
    def all_of(lines: list[str]) -> None:
        content = "\n".join([*lines, ""]).replace("@/", f"{tmp_path}/").encode()
        counted[compare(tmp_path / "msmtprc", content)] += 1

    all_of()
    assert min(counted[1], counted[2]) >= 10, counted  # files of one kind alone would prove little


# --- one line


# What moves through a line: quotes, blanks, signs of other languages, and what has no place there.
_piece = st.sampled_from(
    ['"', "'", " ", "\t", "#", "\\", ":", ",", "=", "%", "~", "$x", "a", "on", "\u00e9", "\u2028", "\U0001f4e7"]
)
_value = st.lists(_piece, min_size=1, max_size=8).map("".join) | st.text(min_size=1, max_size=40)


def held(value: str) -> bool:
    """Whether a line can hold it at all."""
    return not {"\n", "\r", "\0"} & set(value) and len(value.encode("utf-8", "surrogateescape")) < 450


@pytest.mark.slow
@pytest.mark.programs
@settings(fixed, max_examples=300)
@given(_value.filter(lambda value: not re.search("[\ud800-\udfff]", value)))
@example(" x")
@example('"')
@example('""')
@example('"a" "b"')
@example("\u00a0x")
@example("x\u0085")
def test_a_value_comes_back_as_it_was(tmp_path: Path, value: str) -> None:
    if not held(value):
        with pytest.raises(ValueError, match="user"):
            msmtprc_text.line("user", value)
        return
    content = b"account default\nhost h\n" + msmtprc_text.line("user", value) + b"\n"
    assert msmtprc.parse(content)["default"].get("user") == value
    status, shown = dump(tmp_path / "msmtprc", content)
    assert status == 0
    # On a terminal msmtp shows what cannot be seen as `?`; here it is shown as it is.
    assert f"user = {value}\n".encode() in shown


@pytest.mark.slow
@pytest.mark.programs
@pytest.mark.parametrize("size", range(485, 502))
def test_a_value_is_as_long_as_msmtp_reads_it(tmp_path: Path, size: int) -> None:
    """Refused before msmtp refuses it, and not much earlier."""
    value = "x" * size
    try:
        line = msmtprc_text.line("user", value)
    except ValueError:
        line = b""
        assert dump(tmp_path / "msmtprc", b"account default\nhost h\nuser  " + value.encode() + b"\n")[0] == 78
    if line:
        assert (
            b"user = " + value.encode() + b"\n"
            in dump(tmp_path / "msmtprc", b"account default\nhost h\n" + line + b"\n")[1]
        )


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b", "\n", "x" * 600, "\u00e9" * 300])
@pytest.mark.parametrize("command", ["user", "passwordeval", "tls_trust_file"])
def test_what_no_line_holds_is_refused_without_a_word_of_it(command: str, value: str) -> None:
    with pytest.raises(ValueError, match=command) as raised:
        msmtprc_text.line(command, value)
    assert value not in str(raised.value)


# --- settings


_words = st.lists(
    st.sampled_from(['"', "'", " ", "#", "\\", "a", "b", "1", ":", "\u00e9"]), min_size=1, max_size=8
).map("".join)
_settings = st.builds(
    Settings,
    host=st.sampled_from(["smtp.example.com", "127.0.0.1", "2001:db8::1", "mailhub"]),
    port=st.integers(1, 65535),
    sender=st.sampled_from(["alerts@example.com", "a+b@example.com"]),
    user=_words,
    recipients=st.lists(st.sampled_from(["a@example.com", "b@example.com"]), min_size=1, max_size=2).map(tuple),
    method=st.sampled_from(["on", "off", "plain", "login", "cram-md5", "xoauth2", "external"]),
    implicit_tls=st.booleans(),
    certcheck=st.booleans(),
    trust_file=_words.map("/etc/ssl/".__add__),
    cert_file=st.just(""),
    key_file=st.just(""),
    provider=st.just(""),
    secret=st.none(),
    warnings=st.just(()),
    fingerprint=st.sampled_from(["", ":".join(["AB"] * 32), ":".join(["0f"] * 20)]),
    set_from_header=st.sampled_from(["", "on", "off", "auto"]),
    log=st.sampled_from([FILE, SYSLOG]),
    passwordeval=st.just("") | _words.map("echo x # ".__add__),
)


@pytest.mark.slow
@pytest.mark.programs
@settings(fixed, max_examples=200)
@given(_settings, st.sampled_from(["/var/log/msmtp.log", "/var/log/msmtp"]))
def test_settings_are_what_msmtp_reads(tmp_path: Path, wanted: Settings, log: str) -> None:
    content = msmtprc_text.of(wanted, log)
    account = msmtprc.parse(content)["default"]
    found = wanted._replace(
        host=account.get("host"),
        port=account.port,
        sender=account.get("from"),
        user=account.get("user"),
        method=account.method,
        implicit_tls=account.get("tls_starttls") == "off",
        # msmtp compares a fingerprint only where it checks certificates.
        certcheck=account.get("tls_certcheck") != "off" and wanted.certcheck,
        trust_file=account.get("tls_trust_file"),
        fingerprint=account.get("tls_fingerprint"),
        set_from_header=account.get("set_from_header"),
        log=SYSLOG if account.get("syslog") else FILE,
        passwordeval=account.get("passwordeval").removeprefix("cat /etc/msmtp-password"),
    )
    assert found == wanted
    assert account.get("logfile") == ("" if wanted.log == SYSLOG else log)
    assert (account.get("aliases"), account.get("password"), account.uses_tls) == ("/etc/aliases", "", True)
    if wanted.fingerprint:
        assert account.get("tls_certcheck") != "off"
    lines = [line.split()[0] for line in content.splitlines() if line and not line.startswith(b"#")]
    assert len(lines) == len(set(lines)), "one line a directive"
    status, shown = dump(tmp_path / "msmtprc", content.replace(b'"cat /etc/msmtp-password"', b"echo x"))
    assert status == 0
    assert f"\nuser = {wanted.user}\n".encode() in shown
    assert f"\ntls_trust_file = {wanted.trust_file}\n".encode() in shown


# --- aliases


OWNED = ("root:", "default:")


def others_of(lines: list[str]) -> list[str]:
    return [line for line in lines if line and not line.startswith(OWNED)]


@pytest.mark.slow
@settings(fixed, max_examples=300)
@given(st.lists(_alias, max_size=5), st.sampled_from(["\n", "\r\n"]), st.booleans())
@example([], "\n", False)
@example(["root: ops", "# default: x", "default: y"], "\n", False)
@example(["root: a@acme.test", "root: b@acme.test"], "\n", True)
def test_aliases_change_in_two_names_alone(lines: list[str], ending: str, whole: bool) -> None:
    content = ending.join([*lines, ""] if whole else lines).encode()
    wanted = ("ops@example.com", "dev@example.com")
    new, line = b"", 0
    try:
        new = aliases_text.edited(content, wanted)
    except aliases.AliasesError as error:
        line = error.line
    if line:
        others = ending.join("" if line.startswith(OWNED) else line for line in lines).encode()
        with pytest.raises(aliases.AliasesError):
            aliases.parse(others)
        assert 1 <= line <= len(lines)
        return
    table = aliases.parse(new)
    assert aliases.expand(table, "root") == aliases.expand(table, "default") == wanted
    assert table["root"] == wanted  # for sendmail's readers as well
    assert others_of(new.decode().replace("\r\n", "\n").split("\n")) == others_of(lines)
    assert new.startswith(content.partition(ending.encode())[0]) or lines[0].startswith(OWNED)
    assert aliases_text.edited(new, wanted) == new
    assert aliases_text.edited(new, ("ops@example.com",)) != new
