"""The decoder on input that nobody planned for: it never raises, always answers, and stays at the right stage."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from msmtp_agent.diagnosis import RULES, decode
from msmtp_agent.diagnosis.failure import STAGES, Failure, understand
from msmtp_agent.diagnosis.general import GENERAL_ANSWERS, LAST
from msmtp_agent.diagnosis.rule import Rule
from msmtp_agent.model import Diagnosis
from msmtp_agent.providers import BUILT_IN
from tests.support.corpus import Case, cases
from tests.support.corpus import failure as failure_of
from tests.support.failures import SAID, failure

CASES = cases()
ROWS: dict[str, Rule] = {rule.id: rule for rule in (*RULES, LAST)}
MARKS = "\x00\x1b[31m\x07\x9b\u202e\ufeff\ud800\t\r\n\U0001f600\u0660é{}{host}%s"


def assert_sound(told: Diagnosis) -> None:
    """An answer of the table, in words that are fit for a terminal and bounded."""
    assert told.id in ROWS
    texts = (told.cause, *told.steps, *told.evidence)
    assert told.cause
    assert told.steps
    assert all(text.isprintable() and len(text) < 1000 for text in texts), texts


# --- ten thousand inputs without sense


def _nonsense(chance: random.Random) -> tuple[Failure, str, str]:
    """Pieces of what msmtp and servers say, put together at random, with odd characters between."""
    said = chance.choice(SAID)
    phrases = [phrase for rule in chance.sample(RULES, 3) for phrase in (*rule.says, *rule.own)]
    pieces = [*said.words, *phrases, chance.choice(CASES).reply, MARKS, "server message: ", "could not send mail", ""]

    def line() -> str:
        text = "".join(chance.choices(pieces, k=chance.randint(0, 4)))
        text = "".join(chance.choice((character, character, character, chance.choice(MARKS))) for character in text)
        code = chance.choice(("", "535 5.7.8 ", "4", "550-", "\u0665\u0663\u0665 ", "999 9.9.9 ", "250 "))
        return chance.choice(("", "server message: " + code)) + text[: chance.randint(0, 400)]

    words = tuple(line() for _ in range(chance.randint(0, 20)))
    status = chance.choice((None, 0, 65, 69, 76, 77, 78, chance.randint(-300, 300), 10**30))
    changes: dict[str, str | None] = {
        "port": chance.choice(("25", "465", "587", "1025", "65535")),
        "host": chance.choice((chance.choice(BUILT_IN).hosts[0], "127.0.0.1", '"a;b"')),
        "tls": chance.choice(("on", "off")),
        "tls_starttls": chance.choice(("on", "off")),
        "auth": chance.choice(("on", "off", "xoauth2")),
        "from": chance.choice(("root", "me@example.test", None)),
    }
    stage = chance.choice((*STAGES, "", "nowhere"))
    traits = frozenset(chance.sample(("first-dead", "timed-out", "no-port", "open-465", "odd"), 2))
    made = failure(words, status, changes, stage=stage, traits=traits)
    if chance.random() < 0.1:
        made = understand(words, status, None, version=chance.choice(("", "1.8.28", "x" * 50)), stage=stage)
    return made, chance.choice(("", MARKS, "me")), chance.choice(("", MARKS, "{user}"))


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_nonsense_always_has_an_answer(count: int) -> None:
    chance = random.Random(count)  # noqa: S311 - nothing is kept secret with it
    seen = set()
    for _ in range(count):
        made, user, sender = _nonsense(chance)
        told = decode(made, chance.choice((BUILT_IN, ())), user, sender)
        assert_sound(told)
        seen.add(told.id)
    assert len(seen) > 25  # or the nonsense is of one kind


def test_ten_megabytes() -> None:
    words = ("the server did not accept the mail", *[f"server message: 550-{'x' * 1_000_000}"] * 10)
    told = decode(failure(words, 69), BUILT_IN)
    assert_sound(told)
    assert told.id == "message-refused"


def test_a_hundred_thousand_lines() -> None:
    words = ("the server did not accept the mail", *["server message: 451-later"] * 100_000)
    told = decode(failure(words, 69), BUILT_IN)
    assert_sound(told)
    assert told.id == "message-temporary"


@pytest.mark.parametrize(
    ("words", "expect"),
    [
        (("server message: server message: 535 5.7.8 no",), "exit-permission"),
        (("authentication failed (method PLAIN)", "server message: 535"), "auth-refused"),
        (("authentication failed (method PLAIN)", "server message: "), "auth-failed"),
        (("authentication failed (method PLAIN)", "server message: 535 cannot locate host x"), "auth-refused"),
        (("server message: cannot locate host x: Name or service not known",), "exit-permission"),
        (("server message: 535 5.7.8 no", "authentication failed (method PLAIN)"), "auth-refused"),
    ],
)
def test_server_cannot_pass_for_msmtp(words: tuple[str, ...], expect: str) -> None:
    assert decode(failure(words, 77), BUILT_IN).id == expect


# --- replies of the corpus, mangled


def _scrambled(words: list[str], chance: random.Random) -> list[str]:
    return ["".join(chance.sample(word, len(word))) for word in words]


def _shuffled(words: list[str], chance: random.Random) -> list[str]:
    return chance.sample(words, len(words))


def _without_vowels(words: list[str], _: random.Random) -> list[str]:
    return [word.translate(str.maketrans("aeiouAEIOU", "xxxxxxxxxx")) for word in words]


def _halved(words: list[str], _: random.Random) -> list[str]:
    return words[: len(words) // 2]


def _gone(_: list[str], __: random.Random) -> list[str]:
    return ["zzz"]


def _shouted(words: list[str], _: random.Random) -> list[str]:
    return [word.upper() for word in words]


def _spread(words: list[str], _: random.Random) -> list[str]:
    return [word + "  " for word in words]


Mangler = Callable[[list[str], random.Random], list[str]]


def _mangled(case: Case, mangle: Mangler, *, enhanced: bool) -> str:
    """The reply with its text changed; its codes stay, the enhanced ones only if wanted."""
    chance = random.Random(case.name)  # noqa: S311 - nothing is kept secret with it
    parts = failure_of(case)
    words = mangle(parts.text.split(), chance)
    start = f"{parts.code} {parts.enhanced} " if enhanced and parts.enhanced else f"{parts.code} "
    return start + " ".join(words)


def _general(rule: Rule, stage: str) -> bool:
    """Whether a row is an answer for this stage without a word of the server: by its codes, or for a whole class."""
    return not rule.says and (stage in rule.stage or (not rule.stage and rule in GENERAL_ANSWERS))


def _variants(mangle: Mangler) -> Iterator[tuple[Case, str, Diagnosis]]:
    for case in CASES:
        for enhanced in (True, False):
            reply = _mangled(case, mangle, enhanced=enhanced)
            told = decode(failure_of(case, reply), BUILT_IN)
            assert_sound(told)
            yield case, reply, told


@pytest.mark.parametrize("mangle", [_scrambled, _without_vowels, _gone])
def test_mangled_reply_falls_to_the_answer_of_its_stage(mangle: Mangler) -> None:
    """The same diagnosis, where a code tells it, or one that needs no word of the server."""
    wrong = []
    for case, reply, told in _variants(mangle):
        stage = failure_of(case).stage
        if told.id != case.expect and not _general(ROWS[told.id], stage):
            wrong.append((case.name, reply, told.id))
    assert wrong == []


@pytest.mark.parametrize("mangle", [_shuffled, _halved])
def test_shuffled_reply_stays_at_its_stage(mangle: Mangler) -> None:
    """Words in another order, or half of them, may mean something else, but nothing of another stage."""
    wrong = []
    for case, reply, told in _variants(mangle):
        stage = failure_of(case).stage
        if told.id != case.expect and ROWS[told.id].stage and stage not in ROWS[told.id].stage:
            wrong.append((case.name, reply, told.id))
    assert wrong == []


@pytest.mark.parametrize("mangle", [_shouted, _spread])
def test_capitals_and_blanks_do_not_matter(mangle: Mangler) -> None:
    told = {case.name: decode(failure_of(case, _mangled(case, mangle, enhanced=True)), BUILT_IN).id for case in CASES}
    assert told == {case.name: case.expect for case in CASES}


def test_reply_that_nobody_knows_keeps_its_words() -> None:
    words = ("recipient address a@example.test not accepted by the server", "server message: 550 5.9.9 blah blah")
    told = decode(failure(words, 65), BUILT_IN)
    assert told.id == "recipient-refused"
    assert told.evidence == (words[0], "550 5.9.9 blah blah", "msmtp ended with 65")
