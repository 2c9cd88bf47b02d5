"""The decoder's table: each row is well-formed, reached, in nobody's shadow; and everything has an answer."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from msmtp_agent.diagnosis import ANYBODY, RULES, decode
from msmtp_agent.diagnosis.failure import STAGES, understand
from msmtp_agent.diagnosis.general import GENERAL_ANSWERS, LAST
from msmtp_agent.diagnosis.rule import MAKE_PASSWORD, Rule
from msmtp_agent.model import Confidence, Diagnosis
from msmtp_agent.providers import BUILT_IN
from tests.support.corpus import Case, cases
from tests.support.failures import HOST, SAID, Said, diagnosis, failure

CASES = cases()
ROWS = (*RULES, LAST)
# What a sentence may begin with in capitals: names.
_NAMES = (
    "Google", "Gmail", "Outlook.com", "Microsoft", "Proton", "Fastmail", "Zoho", "Yahoo", "Apple", "SendGrid", "Amazon",
    "Mailgun", "Postmark", "Postfix", "Exim", "Exchange", "Sendmail", "Dovecot", "TLS", "SMTP", "AUTH", "SPF", "DKIM",
    "From", "IPv6",
)  # fmt: skip


def by_id(rule: Rule) -> str:
    return rule.id


def by_name(said: Said) -> str:
    return said.name


# --- the rows


def test_ids_are_unique() -> None:
    assert [name for name, count in Counter(rule.id for rule in ROWS).items() if count > 1] == []


@pytest.mark.parametrize("rule", ROWS, ids=by_id)
def test_row_is_well_formed(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id)
    assert 1 <= len(rule.steps) <= 4
    for text in (rule.cause, *rule.steps):
        assert text == text.strip()
        assert text.isprintable()
        assert text.startswith(_NAMES) or not text[0].isupper(), text
        assert set(re.findall(r"{(\w*)}", text)) <= {"host", "port", "ports", "user", "sender", "provider"}
        assert text.count("{") == text.count("}") == len(re.findall(r"{\w+}", text))
    assert ". " not in rule.cause
    assert not rule.cause.endswith(".")
    assert all(len(step) <= 160 and not step.endswith(".") for step in rule.steps)
    assert set(rule.stage) <= set(STAGES)
    assert all(re.fullmatch(r"[0-9]?|[0-9]{3}", code) for code in rule.code)
    assert all(re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", enhanced) for enhanced in rule.enhanced)
    for phrase in (*rule.says, *rule.own):
        assert re.fullmatch(r"(\S| (?! )){3,}", phrase)
        assert phrase == phrase.lower()
    assert rule.provider in ("", *(provider.id for provider in BUILT_IN))


def test_steps_name_commands_that_there_are() -> None:
    """Verbs and options as the command line has them."""
    verbs = {"": {"--timeout"}, "test": {"--timeout", "--to"}, "audit": {"--fix"}, "diagnose": set(), "pin": set()}
    verbs["providers"] = set()
    for rule in ROWS:
        for step in rule.steps:
            for verb, options in re.findall(r"msmtp-config((?: (?!--)[a-z]+)?)((?: --[a-z]+)*)", step):
                assert set(options.split()) <= verbs[verb.strip()], (rule.id, step)


def test_every_row_is_reached() -> None:
    reached = {case.expect for case in CASES} | {said.expect for said in SAID}
    assert sorted({rule.id for rule in ROWS} - reached) == []
    assert sorted(reached - {rule.id for rule in ROWS}) == []


def _within(wide: tuple[object, ...], narrow: tuple[object, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _codes_within(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or (bool(narrow) and all(code in wide or code[:1] in wide for code in narrow))


def _phrases_within(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or (bool(narrow) and all(any(part in phrase for part in wide) for phrase in narrow))


def _covers(first: Rule, second: Rule) -> bool:
    """Whether the first row fits wherever the second does."""
    anybody = not first.provider or first.anywhere
    return (
        (anybody or (first.provider == second.provider and not second.anywhere))
        and _within(first.stage, second.stage)
        and _within(first.status, second.status)
        and _codes_within(first.code, second.code)
        and _within(first.enhanced, second.enhanced)
        and _phrases_within(first.says, second.says)
        and _phrases_within(first.own, second.own)
        and set(first.traits) <= set(second.traits)
    )


def test_no_row_stands_in_the_shadow_of_another() -> None:
    """Not even one phrase of it: what an earlier row takes whatever else holds is dead."""
    dead = []
    for number, rule in enumerate(RULES):
        alone = [rule._replace(says=(phrase,)) for phrase in rule.says] or [rule]
        alone = [row._replace(own=(phrase,)) for row in alone for phrase in row.own or ("",) if phrase] or alone
        dead += [
            f"{row.id} ({row.says or row.own}) by {before.id}"
            for row in alone
            for before in RULES[:number]
            if _covers(before, row)
        ]
    assert dead == []


# --- words that no server says


@pytest.mark.parametrize("said", SAID, ids=by_name)
def test_own_words_lead_to_their_diagnosis(said: Said) -> None:
    assert diagnosis(said).id == said.expect


def test_probe_gets_no_answer_about_a_mail() -> None:
    """A reply too long for msmtp comes at the end of a mail; in a probe, which sends none, it is rubbish."""
    words, changes = ("the server sent an invalid reply",), {"host": "smtp.office365.com"}
    assert decode(failure(words, 76, changes), BUILT_IN).id == "m365-long-reply"
    assert decode(failure(words, 76, changes, traits=frozenset({"probe"})), BUILT_IN).id == "reply-rubbish"


def test_words_of_msmtp_are_found_among_others() -> None:
    """Noise of the secret command before them, and of the log behind."""
    words = (
        "gpg: WARNING: unsafe permissions on homedir '/root/.gnupg'",
        "authentication failed (method PLAIN)",
        "server message: 535 5.7.8 no",
        "could not send mail (account default from /etc/msmtprc)",
        "cannot log to /var/log/msmtp.log: cannot open: Permission denied",
    )
    failed = failure(words, 77)
    assert (failed.stage, failed.own, failed.code, failed.enhanced, failed.text) == (
        "auth", "authentication failed (method PLAIN)", "535", "5.7.8", "no",
    )  # fmt: skip
    told = decode(failed, BUILT_IN)
    assert told.id == "auth-refused"
    assert told.evidence == ("authentication failed (method PLAIN)", "535 5.7.8 no", "msmtp ended with 77")


@pytest.mark.parametrize(
    ("line", "code", "enhanced", "text"),
    [
        ("535 5.7.8 no", "535", "5.7.8", "no"),
        ("535-5.7.8 no", "535", "5.7.8", "no"),
        ("550 #5.1.0 Address rejected", "550", "5.1.0", "Address rejected"),
        ("550 5.7.1", "550", "5.7.1", ""),
        ("550 ", "550", "", ""),
        ("550 5.7.1: no", "550", "5.7.1", "no"),
        ("550 5.7.1000 no", "550", "", "5.7.1000 no"),
        ("550 192.0.2.1 no", "550", "", "192.0.2.1 no"),
        ("no code", "", "", ""),
    ],
)
def test_reply_is_taken_apart(line: str, code: str, enhanced: str, text: str) -> None:
    failed = failure(("the server did not accept the mail", f"server message: {line}"), 69)
    assert (failed.code, failed.enhanced, failed.text) == (code, enhanced, text)


# --- an answer for everything


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("digit", "2345")
def test_every_stage_and_class_of_reply_has_an_answer(stage: str, digit: str) -> None:
    """With the status that tells least, so that the answer is the reply's."""
    told = decode(failure((f"server message: {digit}99 zzz",), 1, stage=stage), BUILT_IN)
    assert told.id != LAST.id
    if digit in "45" and stage in ("greeting", "starttls", "auth", "sender", "recipient", "data", "message"):
        ending = {"4": "temporary", "5": "refused"}[digit]
        assert told.id == f"{stage}-{ending}"


@pytest.mark.parametrize("stage", STAGES)
def test_every_status_has_an_answer(stage: str) -> None:
    for status in (None, *range(-64, 256)):
        told = decode(failure((), status, stage=stage), BUILT_IN)
        assert told.cause
        assert told.steps
        assert told.id != LAST.id or not (status is None or 64 <= status <= 78 or status <= 0)


def test_nothing_at_all_has_an_answer() -> None:
    told = decode(understand((), 1, None), ())
    assert (told.id, told.evidence, told.confidence) == ("unknown", ("msmtp ended with 1",), Confidence.GENERAL)
    assert "{" not in "".join((told.cause, *told.steps))


def test_general_answers_are_called_general() -> None:
    assert all(rule.confidence is Confidence.GENERAL for rule in (*GENERAL_ANSWERS, LAST))
    assert any(rule.confidence is Confidence.CERTAIN for rule in ANYBODY)


# --- what is filled in


def told_of(host: str, words: tuple[str, ...] = ("cannot locate host x: Name or service not known",)) -> Diagnosis:
    return decode(failure(words, 68, {"host": host}), BUILT_IN, "me", "me@example.test")


def test_host_and_provider_are_named() -> None:
    told = told_of("smtp.gmail.com")
    assert told.cause.startswith("the name smtp.gmail.com leads to no address")
    assert any("getent ahosts smtp.gmail.com" in step for step in told.steps)
    assert any("Gmail" in step for step in told.steps)


@pytest.mark.parametrize("host", ["a;reboot", "$(reboot)", "a b", "a`b`", "a\u202eb", "{user}"])
def test_host_that_nobody_should_paste_is_not_named(host: str) -> None:
    told = told_of(f'"{host}"')
    assert host not in " ".join((told.cause, *told.steps))
    assert "getent ahosts the server" in " ".join(told.steps)


def test_other_ports_of_the_provider_are_named() -> None:
    words = (f"cannot connect to {HOST}, port 587: Connection timed out",)
    unknown = decode(failure(words, 75), BUILT_IN)
    assert any(
        "2525 (tls_starttls on) or 2587 (tls_starttls on) or 465 (tls_starttls off)" in step for step in unknown.steps
    )
    known = decode(failure(words, 75, {"host": "smtp.sendgrid.net"}), BUILT_IN)
    assert any("SendGrid: " in step and " 587" not in step and "2525" in step for step in known.steps)


def test_steps_of_the_provider_stand_where_a_password_is_to_be_made() -> None:
    words = ("authentication failed (method PLAIN)", "server message: 535 5.7.8 zzz")
    rows = [rule for rule in RULES if MAKE_PASSWORD in rule.steps]
    assert len(rows) > 3
    for provider in BUILT_IN:
        host, port = provider.hosts[0].replace("*", "us-east-1"), str(provider.ports[0].number)
        told = decode(failure(words, 77, {"host": host, "port": port}), BUILT_IN)
        assert set(provider.steps) <= set(told.steps) or told.id.startswith(provider.id[:3]), provider.id


def test_facts_that_are_old_are_called_unverified() -> None:
    words = ("authentication failed (method PLAIN)", "server message: 535 5.7.8 zzz")
    failed = failure(words, 77, {"host": "smtp.fastmail.com"})
    (provider,) = [provider for provider in BUILT_IN if provider.id == "fastmail"]
    assert decode(failed, BUILT_IN, stale_before=provider.checked).evidence == decode(failed, BUILT_IN).evidence
    told = decode(failed, BUILT_IN, stale_before="2999-01-01")
    assert told.evidence[-1] == f"facts of {provider.name} unverified since {provider.checked}"


# --- the six rows of the fragment's own table


@pytest.mark.parametrize(
    ("words", "status", "changes", "solution"),
    [
        (("authentication failed",), 77, {}, "Regenerate App Password"),
        (("authentication failed (method PLAIN)", "server message: 535 no"), 77, {}, "Regenerate App Password"),
        (("certificate verify failed",), 69, {}, "apt install ca-certificates"),
        (("TLS certificate verification failed: The issuer is unknown.",), 69, {}, "apt install ca-certificates"),
        (("connection refused",), 75, {}, "Verify SMTP settings"),
        ((f"cannot connect to {HOST}, port 587: Connection refused",), 75, {}, "Verify SMTP settings"),
        ((), 0, {"aliases": None}, "Check /etc/aliases"),
        ((), 0, {}, "Check /etc/aliases"),
        ((), 0, {}, "Use verified sender domain"),
        (("connection refused",), 75, {"host": "127.0.0.1", "port": "1025"}, "Start Proton Bridge"),
    ],
)  # fmt: skip
def test_rows_of_the_fragment(
    words: tuple[str, ...], status: int, changes: dict[str, str | None], solution: str
) -> None:
    """Its issue in words, its solution among the steps. The two about mail that does not arrive: it was accepted."""
    told = decode(failure(words, status, changes), BUILT_IN)
    assert solution.lower() in " / ".join(told.steps).lower()


def test_corpus_and_table_agree_on_the_owner() -> None:
    owners = {rule.id: rule.owner.value for rule in ROWS}

    def wrong(case: Case) -> bool:
        return owners[case.expect] != case.owner

    assert [case.name for case in CASES if wrong(case)] == []
