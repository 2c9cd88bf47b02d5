"""What a password looks like, before it is tried: which mistakes are seen, which passwords nothing is said of.

All keys here are made up, of the right shape alone.
"""

from __future__ import annotations

import base64
import random
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from msmtp_agent.msmtprc import Account, Setting, parse
from msmtp_agent.providers import BUILT_IN
from msmtp_agent.secret import Secret
from msmtp_agent.shape import Misfit, joined, judge

USER = "alerts@example.test"
TOKEN = "01234567-89ab-cdef-0123-456789abcdef"
AKIA = "AKIA" + "QZXWVUTSRPONMLKJ"
# 33 bytes, of which the first is the version: 4 today, 2 before 2019.
SES = base64.b64encode(b"\x04" + bytes(range(100, 132))).decode()
OLD_SES = base64.b64encode(b"\x02" + bytes(range(100, 132))).decode()
AWS_SECRET = base64.b64encode(bytes(range(60, 90))).decode()
SENDGRID = "SG." + "q1w2e3r4t5y6u7i8o9p0-_" + "." + "a" * 21 + "-" + "B" * 21
BRIDGE = base64.urlsafe_b64encode(bytes(range(200, 216))).decode().rstrip("=")
HYDROXIDE = base64.b64encode(bytes(range(200, 232))).decode()
APP = "abcdefghijklmnop"
GROUPS = "abcd efgh ijkl mnop"
USERS = {"sendgrid": "apikey", "ses": AKIA, "postmark": TOKEN}
# Every provider whose passwords have a known shape, and one of them.
RIGHT = {
    "gmail": APP,
    "ses": SES,
    "sendgrid": SENDGRID,
    "proton-bridge": BRIDGE,
    "mailgun": "0123456789abcdef0123456789abcdef-01234567-89abcdef",
    "postmark": TOKEN,
}
PROVIDERS = ["", "elsewhere", *(provider.id for provider in BUILT_IN), *RIGHT]


def account(user: str, **settings: str) -> Account:
    values = {"host": "mail.example.test", "from": USER, "auth": "on", "user": user, **settings}
    return Account("default", 1, {name: Setting(value, line) for line, (name, value) in enumerate(values.items(), 2)})


def misfits(password: str, provider: str, user: str | None = None, **settings: str) -> tuple[Misfit, ...]:
    return judge(Secret(password.encode()), account(user or USERS.get(provider, USER), **settings), provider)


def ids(password: str, provider: str, user: str | None = None, **settings: str) -> list[str]:
    return [misfit.id for misfit in misfits(password, provider, user, **settings)]


# --- nothing to say


@pytest.mark.parametrize(
    ("provider", "password"),
    [
        *RIGHT.items(),
        ("ses", OLD_SES),
        ("gmail", APP.upper()),
        ("sendgrid", "SG.short"),
        ("proton-bridge", HYDROXIDE),
        ("mailgun", "a password of one's own"),
        ("proton", "whatever a token is"),
        ("microsoft365", "correct horse"),
        ("fastmail", GROUPS),
        ("", GROUPS),
        ("", AWS_SECRET),
        ("", f"AKIA{AKIA[4:]}"),
        ("", " blanks at both ends "),
    ],
)
def test_right_or_unknown_shape(provider: str, password: str) -> None:
    assert ids(password, provider) == []


@pytest.mark.parametrize("password", ["'it's", '"', "'", '"open', 'close"', "\"mixed'", "`x'", "«x»»x", "it's", "''x"])
def test_quotes_that_belong_to_the_password(password: str) -> None:
    assert ids(password, "") == []


@pytest.mark.parametrize("method", ["xoauth2", "oauthbearer"])
@pytest.mark.parametrize("provider", RIGHT)
def test_token_of_oauth_has_no_known_shape(provider: str, method: str) -> None:
    assert ids("ya29.token of any kind", provider, "someone@example.test", auth=method) == []
    assert joined(Secret(GROUPS.encode()), account(USER, auth=method), "gmail") is None


def test_shapes_are_of_providers_that_exist() -> None:
    assert set(RIGHT) <= {provider.id for provider in BUILT_IN}


# --- what is seen


@pytest.mark.parametrize(
    ("provider", "password", "expected"),
    [
        ("ses", AWS_SECRET, "ses-secret-key"),
        ("ses", f" {AWS_SECRET}\t", "ses-secret-key"),
        ("ses", AKIA, "ses-access-key"),
        ("ses", "ASIA" + AKIA[4:], "ses-access-key"),
        ("ses", "correct horse", "ses-shape"),
        ("ses", "C" + SES[1:], "ses-shape"),
        ("ses", SES[:-1], "ses-shape"),
        ("ses", SES + "=", "ses-shape"),
        ("ses", SES + " ", "blanks"),
        ("sendgrid", SENDGRID[3:], "sendgrid-shape"),
        ("sendgrid", "sg." + SENDGRID[3:], "sendgrid-shape"),
        ("sendgrid", "SG.", "sendgrid-shape"),
        ("sendgrid", "\u00a0" + SENDGRID, "blanks"),
        ("gmail", "correct horse", "gmail-shape"),
        ("gmail", APP[:-1], "gmail-shape"),
        ("gmail", APP + "q", "gmail-shape"),
        ("gmail", APP[:-1] + "1", "gmail-shape"),
        ("gmail", "abcd-efgh-ijkl-mnop", "gmail-shape"),
        ("gmail", "\u0430" + APP[1:], "gmail-shape"),
        ("gmail", GROUPS, "gmail-groups"),
        ("proton-bridge", "my Proton password", "proton-bridge-shape"),
        ("proton-bridge", BRIDGE + "==", "proton-bridge-shape"),
        ("proton-bridge", BRIDGE + "\u200b", "blanks"),
        ("mailgun", "key-" + "0123456789abcdef" * 2, "mailgun-api-key"),
        ("postmark", TOKEN[::-1], "postmark-twin"),
        ("postmark", TOKEN + " ", "blanks"),
        ("", f'"{APP}"', "quoted"),
        ("", "'x'", "quoted"),
        ("", "\u201cx\u201d", "quoted"),
        ("", "\u201ex\u201c", "quoted"),
        ("", "\u2018x\u2019", "quoted"),
        ("", "\u00abx\u00bb", "quoted"),
        ("", '""', "quoted"),
        ("sendgrid", f'"{SENDGRID}"', "quoted"),
        ("gmail", f"'{APP}'", "quoted"),
        ("", USER, "name"),
        ("", USER.upper(), "name"),
        ("", "alerts", "name"),
        ("gmail", f"{USER} ", "name"),
        ("sendgrid", "apikey", "name"),
    ],
)
def test_mistake(provider: str, password: str, expected: str) -> None:
    assert ids(password, provider) == [expected]


@pytest.mark.parametrize(
    ("provider", "user", "expected"),
    [
        ("sendgrid", "alerts@example.test", ["sendgrid-user"]),
        ("sendgrid", "ApiKey", ["sendgrid-user"]),
        ("sendgrid", SENDGRID, ["sendgrid-user"]),
        ("postmark", "alerts@example.test", ["postmark-user"]),
        ("postmark", "PM-T-outbound-of-a-token", []),
        ("ses", "alerts@example.test", []),
        ("", "apikey@example.test", []),
    ],
)
def test_user_name_of_another_kind(provider: str, user: str, expected: list[str]) -> None:
    found = misfits(RIGHT.get(provider, "correct horse"), provider, user)
    assert [misfit.id for misfit in found if misfit.place] == expected
    for misfit in found:
        if misfit.place:
            assert misfit.place == "/etc/msmtprc: line 5"
            assert misfit.remedy.startswith("sensible-editor +5 /etc/msmtprc   # user ")
            assert user not in misfit.message + misfit.remedy


def test_all_that_is_wrong_is_told() -> None:
    assert ids('"hunter2"', "sendgrid", USER) == ["quoted", "sendgrid-shape", "sendgrid-user"]
    assert ids(f"'{AWS_SECRET}'", "ses") == ["quoted", "ses-secret-key"]
    assert ids(f"\u201c{GROUPS}\u201d", "gmail") == ["quoted", "gmail-groups"]


def test_the_server_token_of_postmark_is_user_and_password() -> None:
    assert ids(TOKEN, "postmark") == []
    assert ids(TOKEN, "") == []
    assert ids(TOKEN, "", TOKEN) == ["name"]


def test_words() -> None:
    (found,) = misfits(AWS_SECRET, "ses")
    assert found.message == (
        "password: has the shape of an AWS secret access key; expected an SMTP password of Amazon SES, which is not the"
        " secret access key (how to make one: msmtp-config providers ses)"
    )
    assert found.gist == "The password has the shape of an AWS secret access key"
    (found,) = misfits(SENDGRID, "sendgrid", USER)
    assert found.message == (
        "/etc/msmtprc: line 5: the user name is not `apikey`; expected this very word, for every key"
    )
    assert found.gist == "The user name is not `apikey`"


def test_line_of_the_user_name_in_a_real_file() -> None:
    content = b"defaults\nuser me@example.test\n\naccount default\nhost smtp.sendgrid.net\nfrom a@example.test\n"
    (found,) = judge(Secret(SENDGRID.encode()), parse(content)["default"], "sendgrid")
    assert found.place == "/etc/msmtprc: line 2"


# --- groups


@pytest.mark.parametrize(
    "typed",
    [
        GROUPS,
        GROUPS + " ",
        "\tabcdefgh  ijklmnop",
        GROUPS.replace(" ", "\u00a0"),
        GROUPS.replace(" ", "\u2009"),
        GROUPS.replace(" ", "\u202f"),
        GROUPS.replace(" ", "\u3000"),
        GROUPS.replace(" ", " \u200b"),
        "a " * 15 + "p",
        "AbCd EfGh IjKl MnOp",
    ],
)
def test_groups_of_google_are_joined(typed: str) -> None:
    found = joined(Secret(typed.encode()), account(USER), "gmail")
    assert found is not None
    assert found.reveal().decode() == "".join(letter for letter in typed if letter in string.ascii_letters)
    assert ids(found.reveal().decode(), "gmail") == []


@pytest.mark.parametrize(
    ("provider", "typed"),
    [
        ("gmail", APP),
        ("gmail", GROUPS + " q"),
        ("gmail", GROUPS[:-1]),
        ("gmail", "abcd efgh ijkl mno1"),
        ("gmail", "abcd-efgh-ijkl-mnop"),
        ("gmail", "abcd efgh ijkl mno\u0440"),
        ("gmail", f'"{GROUPS}"'),
        ("gmail", "correct horse battery staple"),
        *((provider, GROUPS) for provider in PROVIDERS if provider != "gmail"),
    ],
)
def test_nothing_else_is_changed(provider: str, typed: str) -> None:
    assert joined(Secret(typed.encode()), account(USER), provider) is None


# --- whatever it is


ANY = st.one_of(
    st.text(max_size=60),
    st.sampled_from([*RIGHT.values(), OLD_SES, AWS_SECRET, AKIA, HYDROXIDE, GROUPS, USER, "apikey"]),
    st.text(string.ascii_letters + " \u00a0", min_size=16, max_size=24),
)


@given(
    password=st.one_of(ANY.map(str.encode), st.binary(max_size=60)),
    provider=st.sampled_from(PROVIDERS),
    user=st.one_of(ANY, st.sampled_from([TOKEN, USER])),
    method=st.sampled_from(["on", "plain", "xoauth2"]),
    quotes=st.sampled_from(["", '"', "'"]),
)
@example(password=b"", provider="gmail", user="", method="on", quotes="")
@example(password=b"\xff", provider="ses", user="\udcff", method="on", quotes="")
def test_never_raises_and_only_16_letters_are_ever_changed(
    password: bytes, provider: str, user: str, method: str, quotes: str
) -> None:
    given_one = Secret(quotes.encode() + password + quotes.encode())
    settings = account(user, auth=method)
    for misfit in judge(given_one, settings, provider):
        assert all(misfit[:3])
    found = joined(given_one, settings, provider)
    if found is not None:
        assert provider == "gmail"
        assert len(found.reveal()) == 16
        assert set(found.reveal()) <= set(string.ascii_letters.encode())
        assert set(found.reveal()) <= set(given_one.reveal())


def _said(password: str, provider: str, user: str) -> tuple[tuple[str, ...], ...]:
    return tuple((*misfit, misfit.message, misfit.gist) for misfit in misfits(password, provider, user))


@given(
    seed=st.integers(0, 2**32),
    length=st.integers(17, 80),
    provider=st.sampled_from(PROVIDERS),
    quotes=st.sampled_from(["", '"', "'", "`"]),
)
def test_words_depend_on_the_kind_of_mistake_alone(seed: int, length: int, provider: str, quotes: str) -> None:
    """Two passwords of no shape, of whatever letters and length: the same words, and no part of either in them."""
    maker = random.Random(seed)  # noqa: S311 - nothing is kept secret with it
    first = "".join(maker.choices(string.ascii_letters + string.digits, k=length)) + "!"
    second = "#" + "".join(maker.choices(string.ascii_letters, k=20))
    said = _said(quotes + first + quotes, provider, USERS.get(provider, USER))
    assert said == _said(quotes + second + quotes, provider, USERS.get(provider, USER))
    words = " ".join(part for misfit in said for part in misfit)
    assert not any(first[start : start + 5] in words for start in range(len(first) - 4))
    assert str(len(first)) not in words.replace("16 letters", "").replace("365", "").replace("line 5", "")


@given(user=ANY)
def test_the_user_name_is_in_no_message(user: str) -> None:
    """At Postmark it is the secret itself."""
    assume(len(user) > 7 and user.strip() and user not in ("apikey", USER))
    for provider in PROVIDERS:
        for password in (user, "correct horse"):
            words = " ".join(part for misfit in _said(password, provider, user) for part in misfit)
            assert user not in words
