"""The first questions: what is asked, what is taken for an answer, and the settings that the answers become."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msmtp_agent import questions
from msmtp_agent.errors import ConfigError
from msmtp_agent.host import MSMTPRC
from msmtp_agent.providers import BUILT_IN
from msmtp_agent.settings import Settings

ME, ADMIN = "alerts@example.org", "admin@example.org"
# What the person is asked, as the screen has it.
PROVIDER, SERVER, PORT = "Provider (number or name): ", "Server: ", "Port [587]: "
SENDER, USER, SAME_USER, RECIPIENT = "Sender: ", "User name: ", f"User name [{ME}]: ", "Recipient: "


class Person:
    """Whoever answers, from a list; at its end comes the end of input."""

    def __init__(self, answers: Iterable[str]) -> None:
        self._answers = list(answers)
        self.prompts: list[str] = []
        self.hidden: list[str] = []
        self.told: list[str] = []

    def line(self, prompt: str, *, hidden: bool = False) -> str | None:
        self.prompts.append(prompt)
        if hidden:
            self.hidden.append(prompt)
        return self._answers.pop(0) if self._answers else None

    def tell(self, text: str, indent: str | None = None) -> None:
        del indent
        self.told.append(text)

    @property
    def complaints(self) -> list[str]:
        return [text.strip() for text in self.told if "; expected " in text]


def answered(*answers: str) -> tuple[Settings, Person]:
    person = Person(answers)
    return questions.ask(person, BUILT_IN), person


# --- every provider

# What is typed, and what comes of it: server, port, TLS from the start, user name, and what was asked.
PLAIN = [PROVIDER, SENDER, SAME_USER, RECIPIENT]
OWN = [PROVIDER, SENDER, USER, RECIPIENT]
CASES = {
    "gmail": (["gmail", ME, "", ADMIN], "smtp.gmail.com", 587, False, ME, PLAIN),
    "microsoft365": (["Microsoft 365", ME, "", ADMIN], "smtp.office365.com", 587, False, ME, PLAIN),
    "outlook": (["outlook", ME, "", ADMIN], "smtp-mail.outlook.com", 587, False, ME, PLAIN),
    "fastmail": (["fastmail", ME, "", ADMIN], "smtp.fastmail.com", 465, True, ME, PLAIN),
    "zoho": (["zoho", ME, "", ADMIN], "smtp.zoho.com", 465, True, ME, PLAIN),
    "zoho of Europe": (["smtp.zoho.eu", ME, "", ADMIN], "smtp.zoho.eu", 465, True, ME, PLAIN),
    "yahoo": (["yahoo", ME, "", ADMIN], "smtp.mail.yahoo.com", 465, True, ME, PLAIN),
    "icloud": (["icloud", ME, "me@icloud.com", ADMIN], "smtp.mail.me.com", 587, False, "me@icloud.com", PLAIN),
    "proton": (["proton", ME, "", ADMIN], "smtp.protonmail.ch", 587, False, ME, PLAIN),
    "proton-bridge": (
        ["proton-bridge", "", ME, "", ADMIN],
        "127.0.0.1",
        1025,
        False,
        ME,
        [PROVIDER, "Port [1025]: ", *PLAIN[1:]],
    ),
    "sendgrid": (
        ["sendgrid", ME, "", ADMIN],
        "smtp.sendgrid.net",
        587,
        False,
        "apikey",
        [PROVIDER, SENDER, "User name [apikey]: ", RECIPIENT],
    ),
    "ses": (
        ["ses", "eu-west-1", ME, "AKIAEXAMPLE", ADMIN],
        "email-smtp.eu-west-1.amazonaws.com",
        587,
        False,
        "AKIAEXAMPLE",
        [PROVIDER, SERVER, *OWN[1:]],
    ),
    "ses by its server": (
        ["email-smtp.eu-west-1.amazonaws.com", ME, "AKIAEXAMPLE", ADMIN],
        "email-smtp.eu-west-1.amazonaws.com",
        587,
        False,
        "AKIAEXAMPLE",
        OWN,
    ),
    "mailgun": (
        ["mailgun", ME, "postmaster@example.org", ADMIN],
        "smtp.mailgun.org",
        587,
        False,
        "postmaster@example.org",
        OWN,
    ),
    "postmark": (["postmark", ME, "a-token", ADMIN], "smtp.postmarkapp.com", 587, False, "a-token", OWN),
    "other": (
        ["other", "mail.example.org", "", ME, "", ADMIN],
        "mail.example.org",
        587,
        False,
        ME,
        [PROVIDER, SERVER, PORT, *PLAIN[1:]],
    ),
    "other with TLS from the start": (
        ["other", "mail.example.org", "465", ME, "me", ADMIN],
        "mail.example.org",
        465,
        True,
        "me",
        [PROVIDER, SERVER, PORT, *PLAIN[1:]],
    ),
    "other that is known": (
        ["other", "smtp.fastmail.com", ME, "", ADMIN],
        "smtp.fastmail.com",
        465,
        True,
        ME,
        [PROVIDER, SERVER, *PLAIN[1:]],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_answers_become(case: str) -> None:
    answers, host, port, implicit, user, asked = CASES[case]
    made, person = answered(*answers)
    assert (made.host, made.port, made.implicit_tls, made.user) == (host, port, implicit, user)
    assert (made.sender, made.recipients) == (ME, (ADMIN,))
    assert made.certcheck
    assert made.secret is None
    assert person.prompts == asked
    assert person.complaints == []


def test_every_provider_has_its_case() -> None:
    assert {provider.id for provider in BUILT_IN} <= CASES.keys()


def test_every_provider_has_its_number_and_the_last_is_for_others() -> None:
    _, person = answered(*CASES["gmail"][0])
    shown = [text.split()[:2] for text in person.told if text.strip()[:1].isdigit()]
    assert shown == [
        [str(number), name] for number, name in enumerate([*(one.id for one in BUILT_IN), questions.OTHER], 1)
    ]
    number = [one.id for one in BUILT_IN].index("fastmail") + 1
    assert answered(str(number), ME, "", ADMIN)[0].host == "smtp.fastmail.com"
    assert answered(str(len(BUILT_IN) + 1), "mail.example.org", "", ME, "", ADMIN)[0].host == "mail.example.org"


def test_the_password_that_is_wanted_is_told_before_it_is_asked_for() -> None:
    _, person = answered(*CASES["gmail"][0])
    assert any("an app password: 16 letters" in text and "msmtp-config providers gmail" in text for text in person.told)


def test_a_user_name_that_is_the_password_as_well_is_typed_unseen() -> None:
    _, person = answered(*CASES["postmark"][0])
    assert person.hidden == [USER]
    assert not any("a-token" in text for text in person.told)
    for case in CASES.keys() - {"postmark"}:
        assert answered(*CASES[case][0])[1].hidden == []


def test_several_recipients() -> None:
    made, _ = answered("gmail", ME, "", f"{ADMIN}, other@example.org")
    assert made.recipients == (ADMIN, "other@example.org")


def test_a_sender_that_msmtp_fills_in_is_no_user_name() -> None:
    for begin in (["gmail"], ["other", "mail.example.org", ""]):
        made, person = answered(*begin, "%U@example.org", "", ME, ADMIN)
        assert (made.sender, made.user) == ("%U@example.org", ME)
        assert person.prompts.count(USER) == 2


# --- wrong answers

WRONG = {
    PROVIDER: ["", "0", "99", "-1", "1" * 5000, "gmial", "mail.example.org", "\x1b[A", "²"],
    SERVER: ["", "mail server", "http://mail.example.org", "münchen.example", "a\x1b[Ab", "x" * 300],
    PORT: ["0", "99999", "smtp", "-587", "587.0", "٥٨٧", "9" * 5000],
    SENDER: [
        "",
        "alerts",
        "a b@example.org",
        "Alerts <a@example.org>",
        "a@example.org, b@example.org",
        "ä@example.org",
    ],
    SAME_USER: ["a\x07b", "u" * 600],
    RECIPIENT: ["", "root", "a@example.org, root", "a@example.org,,b@example.org", "a\u202eb@example.org"],
}
RIGHT = {PROVIDER: "other", SERVER: "mail.example.org", PORT: "", SENDER: ME, SAME_USER: "", RECIPIENT: ADMIN}


@pytest.mark.parametrize("prompt", WRONG)
def test_a_wrong_answer_is_told_and_asked_for_again(prompt: str) -> None:
    for wrong in WRONG[prompt]:
        answers = [answer for one, right in RIGHT.items() for answer in ([wrong, right] if one == prompt else [right])]
        made, person = answered(*answers)
        assert (made.host, made.port, made.user) == ("mail.example.org", 587, ME), wrong
        assert len(person.complaints) == 1, (wrong, person.told)
        assert person.prompts == [name for name in RIGHT for _ in range(2 if name == prompt else 1)], wrong
        assert not any(len(text) > 600 for text in person.complaints), wrong


def test_a_near_miss_gets_the_right_name() -> None:
    _, person = answered("gmial", *CASES["gmail"][0])
    assert "did you mean gmail?" in person.complaints[0]


def test_a_server_that_is_not_the_providers() -> None:
    _, person = answered("ses", "smtp.gmail.com", "eu-west-1", ME, "AKIAEXAMPLE", ADMIN)
    assert len(person.complaints) == 1
    assert person.complaints[0].startswith("the server ")


def test_what_was_typed_unseen_is_not_told() -> None:
    for wrong in ("a-token\x1b", "a-token" * 100, "a-token\u2028"):
        _, person = answered("postmark", ME, wrong, "right", ADMIN)
        (complaint,) = person.complaints
        assert complaint.startswith("the user name cannot be taken; expected ")
        assert not any("a-token" in text for text in person.told)


_TEXT = st.text(max_size=40) | st.sampled_from(
    ["", "other", "gmail", "ses", "465", ME, ADMIN, "mail.example.org", "%U"]
)


@pytest.mark.slow
@given(st.lists(_TEXT, max_size=30))
@settings(max_examples=300, deadline=None)
def test_whatever_is_answered(answers: list[str]) -> None:
    """It ends with settings that are whole, or with the end of input."""
    try:
        made, _ = answered(*(answer.strip() for answer in answers))
    except ConfigError:
        return
    assert all((made.host, made.port, made.sender, made.user, made.recipients))


# --- the end


@pytest.mark.parametrize("case", ["gmail", "other", "ses", "proton-bridge", "postmark"])
def test_the_end_of_input_at_every_question(case: str) -> None:
    answers = CASES[case][0]
    for count in range(len(answers)):
        with pytest.raises(ConfigError) as caught:
            answered(*answers[:count])
        assert caught.value.message.startswith(f"{MSMTPRC}: is missing, and nothing was written")
        assert "msmtp-config apply smtp.config.yaml" in caught.value.remedy


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["y"], True),
        (["YES"], True),
        (["n"], False),
        (["No"], False),
        (["", "perhaps", "y"], True),
        (["", "no"], False),
    ],
)
def test_yes_and_no_in_so_many_letters(answers: list[str], expected: bool) -> None:
    person = Person(answers)
    assert questions.agreed(person, "Write these files?") is expected
    assert person.prompts == ["Write these files? (yes or no): "] * len(answers)


def test_the_end_of_input_is_no_yes() -> None:
    with pytest.raises(ConfigError):
        questions.agreed(Person([""]), "Write these files?")
