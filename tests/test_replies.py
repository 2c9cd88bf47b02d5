"""The corpus of real replies (tests/replies): each leads to its diagnosis, in the decoder and in the whole program."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from msmtp_agent.diagnosis import decode
from msmtp_agent.model import Diagnosis
from msmtp_agent.providers import BUILT_IN
from tests.support.account import ADMIN, ALIASES, MSMTPRC, SECRET
from tests.support.corpus import Case, CorpusError, cases, failure, load, said
from tests.support.inside import Inside
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, Sandbox

CASES = cases()
SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/configure.json").read_bytes())
PASSWORD = b"correct horse"
# These run with every change; the whole corpus with every full run. One for each way in which a reply comes.
QUICK = {"gmail-bad-credentials", "general-too-big", "general-credentials-invalid"}
_NAMED = {"general": 30, "gmail": 5, "m365": 5, "sendgrid": 5, "ses": 5, "proton": 3, "bridge": 3}


def decoded(case: Case) -> Diagnosis:
    account = case.parsed
    return decode(failure(case), BUILT_IN, account.shown_user, account.get("from"))


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_reply_leads_to_its_diagnosis(case: Case) -> None:
    diagnosis = decoded(case)
    assert (diagnosis.id, diagnosis.owner.value) == (case.expect, case.owner)


# --- the corpus itself


def test_corpus_is_large_enough() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 80
    assert set(names) >= QUICK
    for provider, least in _NAMED.items():
        assert sum(name.startswith(f"{provider}-") for name in names) >= least, provider


def test_no_reply_stands_there_twice() -> None:
    replies = [(case.host, case.port, case.stage, case.reply, tuple(case.account.items())) for case in CASES]
    assert len(set(replies)) == len(replies)


def test_corpus_names_nobody() -> None:
    """Addresses are those for documentation (RFC 5737), and names those of RFC 2606, or `internal`."""
    documentation = re.compile(r"(192\.0\.2|198\.51\.100|203\.0\.113|127\.\d+\.\d+|0\.0\.0|10\.\d+\.\d+)\.")
    for case in CASES:
        numbers = re.findall(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", case.reply)
        assert [number for number in numbers if not documentation.match(number)] == [], case.name
        domains = re.findall(r"[\w.+-]+@([\w-]+(?:\.[\w-]+)+)", case.reply)
        assert [
            name for name in domains if not re.search(r"(^|\.)example(\.(com|net|org|test))?$|\.(test|internal)$", name)
        ] == [], case.name


GOOD = {
    "source": "RFC 5321, 4.2.3",
    "date": "2008-10",
    "host": "mail.example.test",
    "stage": "auth",
    "reply": "535 no",
    "expect": "auth-refused",
    "owner": "account",
}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"source": None}, "source: missing; expected a string"),
        ({"date": "2008-13"}, "date: '2008-13'; expected 2024-05 or 2024-05-01"),
        ({"host": "Mail.example"}, "host: 'Mail.example'; expected a host name in lower case"),
        ({"stage": "rest"}, "stage: 'rest'; expected one of greeting, ehlo"),
        ({"owner": "me"}, "owner: 'me'; expected one of account"),
        ({"expect": "Auth refused"}, "expect: 'Auth refused'; expected the id of a diagnosis"),
        ({"reply": "no"}, "reply: line 1 is 'no'; expected a code and ' '"),
        ({"reply": "535 a\\n535 b"}, "reply: line 1 is '535 a'; expected a code and '-'"),
        ({"reply": "535-a\\n550 b"}, "reply: line 2 has the code 550, and line 1 has 535"),
        ({"reply": "535 \\u001b[31m"}, "reply: line 1 is not printable ASCII"),
        ({"reply": "535 " + "x" * 510}, "reply: line 1 is longer than the 510 characters of RFC 5321"),
        ({"why": "so"}, "why: an unknown key; expected source, date"),
    ],
)
def test_malformed_file_is_told_by_its_key(tmp_path: Path, changes: dict[str, str | None], fault: str) -> None:
    values = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    path = tmp_path / "general-odd.toml"
    path.write_text("".join(f'{key} = "{value}"\n' for key, value in values.items()))
    with pytest.raises(CorpusError, match=re.escape(f"general-odd.toml: {fault}")):
        load(path)


def test_file_that_is_no_toml_is_told(tmp_path: Path) -> None:
    path = tmp_path / "general-odd.toml"
    path.write_text('source = "RFC 5321"\nreply = \n')
    with pytest.raises(CorpusError, match=r"general-odd\.toml: Invalid value \(at line 2"):
        load(path)


# --- from end to end: a server says it to the real msmtp, and the program explains it


class Site(NamedTuple):
    """A sandbox where the name of every case leads to its own loopback, and a certificate that has them all."""

    sandbox: Sandbox
    pki: Pki


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Site]:
    names = sorted({case.host for case in CASES} - {"127.0.0.1"})
    pki.issue("corpus", ["127.0.0.1", "localhost", *names])
    with Sandbox(tmp_path_factory.mktemp("replies"), network="none") as sandbox:
        sandbox.write("/etc/hosts", f"127.0.0.1 localhost {' '.join(names)}\n", mode=0o644)
        sandbox.write("/etc/aliases", ALIASES, mode=0o644)
        sandbox.write(SECRET, PASSWORD + b"\n")
        yield Site(sandbox, pki)


def report(site: Site, case: Case) -> dict[str, Any]:
    """What the program says: the main job as far as it goes without a mail, `test` from there on."""
    site.sandbox.warm = case.name not in QUICK
    site.sandbox.write(MSMTPRC, case.msmtprc(str(site.pki.ca_file)))
    certificate, key = site.pki.certificate("corpus"), site.pki.key("corpus")
    options = {
        "reply": case.wire,
        "tls": case.tls,
        "auth": case.auth,
        "late": case.late,
        "cert": certificate,
        "key": key,
    }
    probed = case.stage in ("greeting", "ehlo", "starttls", "auth")
    words = ("--password-stdin", "--no-mail") if probed else ("test",)
    with Inside(site.sandbox.pid, case.port, case.stage, **options) as server:
        done = site.sandbox.agent(*words, "--json", "--timeout=20", stdin=PASSWORD if probed else None)
    assert case.stage in server.reached, done.stderr + done.stdout
    told: dict[str, Any] = json.loads(done.out)
    jsonschema.validate(told, SCHEMA)
    return told


@pytest.mark.root
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case.name in QUICK else pytest.mark.slow) for case in CASES],
    ids=by_name,
)
def test_program_explains_the_reply(site: Site, case: Case) -> None:
    told = report(site, case)
    words, status = said(case, case.reply)
    if status == 77 and case.reply.startswith("4"):  # temporary: there the program's status is not msmtp's
        status = 75
    assert (told["error"]["code"], told["error"]["words"]) == (status, list(words))
    expected = decoded(case)
    diagnosis = told["diagnosis"]
    assert (diagnosis["id"], diagnosis["owner"]) == (case.expect, case.owner)
    assert (diagnosis["cause"], diagnosis["steps"]) == (expected.cause, list(expected.steps))
    assert ADMIN not in diagnosis["cause"]
