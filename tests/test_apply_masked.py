"""The diff that `apply` shows: readable, and no secret of either version in it, in whatever form it stands there."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msmtp_agent.masked import difference, passwords
from msmtp_agent.secret import Secret

PATH = "/etc/msmtprc"
NEW = b'account        default\nhost           h.acme.test\npasswordeval   "cat /etc/msmtp-password"\n'


def shown(old: bytes, new: bytes = NEW, *hidden: str) -> str:
    """The diff of two msmtprc files, as `apply` asks for it."""
    known = (*(Secret(one.encode()) for one in hidden), *passwords(old))
    return "\n".join(difference(PATH, old, new, known, settings=True))


# --- the diff itself


def test_a_new_file_is_shown_whole() -> None:
    assert difference("/etc/aliases", None, b"root: a@acme.test\n") == (
        "--- /dev/null",
        "+++ /etc/aliases",
        "@@ -0,0 +1 @@",
        "+root: a@acme.test",
    )


def test_a_changed_line_stands_among_its_neighbours() -> None:
    old = b"".join(b"name%d: x@acme.test\n" % number for number in range(20))
    new = old.replace(b"name10: x@", b"name10: y@")
    lines = difference("/etc/aliases", old, new)
    assert lines[:3] == ("--- /etc/aliases", "+++ /etc/aliases", "@@ -8,7 +8,7 @@")
    assert "-name10: x@acme.test" in lines
    assert "+name10: y@acme.test" in lines
    assert " name7: x@acme.test" in lines
    assert not any("name6:" in line for line in lines)


@pytest.mark.parametrize("content", [b"", b"a: b\n", b"\0\xff\n"])
def test_nothing_differs(content: bytes) -> None:
    assert difference("/etc/aliases", content, content) == ()


def test_a_line_feed_that_is_missing_at_the_end_shows() -> None:
    lines = difference("/etc/aliases", b"root: a@acme.test", b"root: a@acme.test\n")
    assert "-root: a@acme.test [no line feed at the end]" in lines
    assert "+root: a@acme.test" in lines


def test_what_others_wrote_is_made_fit_for_a_terminal() -> None:
    (line,) = (one for one in difference("/etc/aliases", b"a\x1b[31m\r: b\n\xff\n", b"a\n") if "31m" in one)
    assert "\x1b" not in line
    assert "\r" not in line


def test_a_long_file_and_a_long_line_are_cut() -> None:
    lines = difference("/etc/aliases", b"".join(b"n%d: x@acme.test\n" % number for number in range(5000)), b"")
    assert len(lines) < 420
    assert lines[-1] == "[4601 more lines]"
    assert len(max(difference("/etc/aliases", b"#" + b"x" * 4000, b""), key=len)) < 400


@pytest.mark.slow
@pytest.mark.parametrize("line", [b"# the same\n", b"\n", b"password hunter2%d\n"])
def test_a_huge_file_takes_no_time(line: bytes) -> None:
    """A mebibyte of lines that are alike, and as many passwords as fit: both took minutes."""
    count = (1 << 20) // len(line)
    old = b"".join(line % number if b"%" in line else line for number in range(count))
    lines = difference(PATH, old, old + b"x\n", passwords(old), settings=True)
    assert lines[2].startswith("[")
    assert len(lines) == 3
    assert len(passwords(old)) <= 64


# --- secrets of an msmtprc


@pytest.mark.parametrize(
    "line",
    [
        "password hunter2hunter2",
        "  password\t\thunter2hunter2  ",
        'password "hunter2hunter2"',
        "password x hunter2hunter2",
        "#password hunter2hunter2",
        "# password: hunter2hunter2",
        "# old password was hunter2hunter2",
        "   ## Passwd=hunter2hunter2",
        "# my api-key hunter2hunter2",
        "# TOKEN hunter2hunter2",
        "# app_secret=hunter2hunter2",
        "# passwordeval echo hunter2hunter2",
        "#eval echo password hunter2hunter2",
        "eval echo password hunter2hunter2",
        'passwordeval "echo hunter2hunter2"',
        "passwordeval echo hunter2hunter2",
        "passwordeval TOKEN=hunter2hunter2 get",
        "passwordeval 'hunter2hunter2'",
        'passwordeval "cat /etc/msmtp-password; echo hunter2hunter2"',
        "Password hunter2hunter2",
        "pasword hunter2hunter2",
        "passwort hunter2hunter2",
        "hunter2hunter2",
        "hunter2hunter2 hunter2hunter2",
        "auth hunter2hunter2",
        "tls hunter2hunter2",
        "port hunter2hunter2",
        "tls_fingerprint hunter2hunter2",
        "password hunter2hunter2\r",
        "passwordhunter2hunter2",
        "passwordhunterhunter2",
        "#passwordhunterhunter2",
        "# pass:hunter2hunter2",
        "user hunter2hunter2hunter2hunter2",
        'user "hunter2hunter2hunter2"',
        "# the way in: hunter2hunter2hunter2",
    ],
)
def test_a_line_that_may_hold_a_secret_shows_none(line: str) -> None:
    for old in (f"account default\n{line}\n", f"{line}\naccount default\n", f"account default\n{line}"):
        text = shown(old.encode())
        assert "unter2" not in text.replace("hunt...", ""), text
        assert "account" in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("password hunter2", "-password ***"),
        ("password        hunter2", "-password        ***"),
        ('passwordeval "gpg --decrypt /root/pw.gpg"', '-passwordeval "gpg ***"'),
        ("passwordeval pass smtp", "-passwordeval pass ***"),
        ("passwordeval /usr/local/bin/token", "-passwordeval /usr/local/bin/token"),
        ('passwordeval "head -n1 /etc/msmtp-password"', '-passwordeval "head -n1 /etc/msmtp-password"'),
        ("user alerts@acme.test", "-user alerts@acme.test"),
        ("user apikey", "-user apikey"),
        ("user AKIAIOSFODNN7EXAMPLE123", "-user AKIA..."),
        ("tls_trust_file /etc/ssl/certs/ca-certificates.crt", "-tls_trust_file /etc/ssl/certs/ca-certificates.crt"),
        ("# written by hand for smtp.acme.test", "-# written by hand for smtp.acme.test"),
        ("# tls_trust_file /etc/ssl/certs/ca-certificates.crt", "-# tls_trust_file /etc/ssl/certs/ca-certificates.crt"),
        ("pasword hunter2", "-*** ***"),
        ("tls_fingerprint " + ":".join(["AB"] * 32), "-tls_fingerprint " + ":".join(["AB"] * 32)),
        ("", "-"),
    ],
)
def test_what_is_left_to_see_of_a_line(line: str, words: str) -> None:
    assert words in shown(f"account default\n{line}\n".encode()).splitlines()


def test_comments_of_the_new_version_are_ours_and_shown() -> None:
    text = shown(b"", b"# The password stands in /etc/msmtp-password alone\naccount default\n")
    assert "+# The password stands in /etc/msmtp-password alone" in text


def test_a_command_of_the_settings_is_masked_in_the_new_version_too() -> None:
    text = shown(b"", b'account default\npasswordeval   "curl -u me:hunter2 https://acme.test"\n')
    assert '+passwordeval   "curl ***"' in text


def test_a_password_is_hidden_wherever_else_it_stands() -> None:
    """In another line, in a comment, and as an AUTH line carries it."""
    secret = "hunter2hunter2"
    encoded = base64.b64encode(f"\0me@acme.test\0{secret}".encode()).decode()
    old = f"account default\nhost {secret}.acme.test\n# {encoded}\nfrom {secret}@acme.test\npassword {secret}\n"
    text = shown(old.encode())
    assert secret not in text
    assert encoded[:20] not in text


def test_the_stored_password_is_hidden_in_other_files() -> None:
    lines = difference("/etc/aliases", b"# hunter2hunter2\n", b"", [Secret(b"hunter2hunter2")])
    assert "-# ***" in lines


def test_a_token_that_is_the_user_name_as_well() -> None:
    token = "0a1b2c3d-1111-2222-3333-444455556666"
    text = shown(f"account default\nuser {token}\npassword {token}\n".encode())
    assert token not in text
    assert token[8:] not in text


PASSWORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=8, max_size=40)


@given(
    secret=PASSWORDS, before=st.sampled_from(["password ", "\tpassword  ", "# password ", 'password "', "eval echo "])
)
def test_no_password_is_ever_shown(secret: str, before: str) -> None:
    end = '"' if before.endswith('"') else ""
    text = shown(f"account default\nhost h.acme.test\n{before}{secret}{end}\n".encode())
    assert secret not in text


@given(old=st.binary(max_size=300), new=st.binary(max_size=300))
def test_any_bytes_make_a_diff(old: bytes, new: bytes) -> None:
    lines = difference(PATH, old, new, passwords(old), settings=True)
    assert bool(lines) == (old != new)
    assert all(line.isprintable() for line in lines)
