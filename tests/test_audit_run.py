"""How an audit runs: what a check needs, what cannot be told, what is skipped; and what every check must bring."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from msmtp_agent import audit as audit_module
from msmtp_agent import survey
from msmtp_agent.audit import audit, judge
from msmtp_agent.checks import CATALOGUE, GROUPS
from msmtp_agent.checks.check import Check, Flaw, Judge
from msmtp_agent.facts import CannotTellError, Facts, NotApplicableError, Unknown, known
from msmtp_agent.host import Host
from msmtp_agent.model import CheckResult, Severity, Verdict
from tests.support.roots import MSMTPRC, SECRET, Root, account

PASSED, FAILED, SKIPPED, CANNOT_TELL = Verdict.PASSED, Verdict.FAILED, Verdict.SKIPPED, Verdict.CANNOT_TELL
ORDER = [Severity.INFO, Severity.WARNING, Severity.ERROR]
PREFIXES = {
    "Secret file": "secret-",
    "Copies and leftovers": "stray-",
    "Configuration": "config-",
    "Settings": "config-",
    "TLS": "tls-",
    "Aliases": "aliases-",
    "Log": "log-",
    "Way in": "sender-",
    "AppArmor": "apparmor-",
    "Secret elsewhere": "elsewhere-",
    "Delivery": "delivery-",
}
_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")


# --- the catalogue


def test_ids_are_for_ever_so_they_are_well_made() -> None:
    ids = [check.id for check in CATALOGUE]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if not _KEBAB.fullmatch(name)] == []
    assert {group.title for group in GROUPS} == set(PREFIXES)
    for group in GROUPS:
        assert group.checks, group.title
        assert [check.id for check in group.checks if not check.id.startswith(PREFIXES[group.title])] == []


def test_requirements_stand_earlier() -> None:
    known_ids: set[str] = set()
    for check in CATALOGUE:
        assert set(check.requires) <= known_ids, check.id
        known_ids.add(check.id)


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.id)
def test_every_check_says_what_it_finds_and_why(check: Check) -> None:
    assert check.title
    assert check.title[0].isupper() or check.title.startswith(("/", "`"))
    assert not check.title.endswith(".")
    assert len(check.title) <= 100
    paragraphs = check.text.split("\n\n")
    assert 2 <= len(paragraphs) <= 3
    assert all(paragraph.strip().endswith((".", ")", "`", ":")) for paragraph in paragraphs), check.text
    assert check.severity in Severity
    # The page is made of this text: no heading of its own, and no line as long as the code's.
    assert not re.search(r"^#", check.text, re.MULTILINE)
    assert max(map(len, check.text.splitlines())) <= 116


def test_nothing_is_found_on_a_good_host_and_everything_is_asked(tmp_path: Path) -> None:
    report = Root(tmp_path).good().report()
    assert report.findings == ()
    assert [result.id for result in report.results] == [check.id for check in CATALOGUE]
    assert report.having(CANNOT_TELL) == ()
    assert report.host == "acme"
    assert report.root == str(tmp_path)


def test_an_empty_root_is_no_good_host_and_no_error(tmp_path: Path) -> None:
    report = Root(tmp_path).report()
    assert {"secret-missing", "config-missing"} <= {finding.id for finding in report.findings}
    assert report.having(CANNOT_TELL) == ()


# --- results


def stub(tmp_path: Path) -> Facts:
    with Host(str(Root(tmp_path).directory)) as host:
        return survey.survey(host, 0.0)


def check(
    name: str, answer: Verdict | Callable[[Facts], None], *requires: str, milder: Severity | None = None
) -> Check:
    """A check that ends so."""

    def say(facts: Facts) -> Iterator[Flaw]:
        if callable(answer):
            answer(facts)
        if answer is CANNOT_TELL:
            raise CannotTellError("/etc/x", "cannot be read: Permission denied")
        if answer is SKIPPED:
            raise NotApplicableError("there is nothing")
        if answer is FAILED:
            yield Flaw("/etc/x", "is so", "otherwise", "mend it", 7, milder)

    judged: Judge = say
    return Check(name, Severity.WARNING, requires, judged)


def verdicts(results: tuple[CheckResult, ...]) -> dict[str, Verdict]:
    return {result.id: result.verdict for result in results}


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checks: list[Check], *wanted: str) -> dict[str, CheckResult]:
    monkeypatch.setattr(audit_module, "CATALOGUE", tuple(checks))
    results = judge(stub(tmp_path), set(wanted))
    assert [result.id for result in results] == [each.id for each in checks if each.id in {r.id for r in results}]
    return {result.id: result for result in results}


@pytest.mark.parametrize("answer", list(Verdict))
def test_a_check_ends_as_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Verdict) -> None:
    result = run(monkeypatch, tmp_path, [check("a-a", answer)], "a-a")["a-a"]
    assert result.verdict is answer
    assert bool(result.findings) is (answer is FAILED)
    why = {CANNOT_TELL: "/etc/x: cannot be read: Permission denied", SKIPPED: "there is nothing"}
    assert result.why == why.get(answer, "")


def test_a_finding_has_its_checks_id_and_severity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = run(
        monkeypatch, tmp_path, [check("a-a", FAILED), check("a-b", FAILED, milder=Severity.INFO)], "a-a", "a-b"
    )
    assert [(finding.id, finding.severity, finding.line) for each in results.values() for finding in each.findings] == [
        ("a-a", Severity.WARNING, 7),
        ("a-b", Severity.INFO, 7),
    ]


@pytest.mark.parametrize("answer", [FAILED, SKIPPED, CANNOT_TELL])
def test_what_needs_it_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Verdict) -> None:
    """Not even asked: its answer would mean nothing."""
    asked: list[str] = []
    checks = [
        check("a-a", answer),
        check("a-b", lambda facts: asked.append(facts.root), "a-a"),
        check("a-c", lambda facts: asked.append(facts.root), "a-b"),
    ]
    results = run(monkeypatch, tmp_path, checks, "a-a", "a-b", "a-c")
    assert verdicts(tuple(results.values())) == {"a-a": answer, "a-b": SKIPPED, "a-c": SKIPPED}
    assert (results["a-b"].why, results["a-c"].why) == ("needs a-a", "needs a-b")
    assert asked == []


@pytest.mark.parametrize(
    ("answers", "wanted", "expected"),
    [
        # What was asked for alone is answered, when nothing stands in its way.
        ((PASSED, PASSED, PASSED), "a-c", {"a-c": PASSED}),
        ((PASSED, PASSED, FAILED), "a-c", {"a-c": FAILED}),
        # The requirement that stands in the way is told, wanted or not, through however many steps.
        ((PASSED, FAILED, PASSED), "a-c", {"a-b": FAILED, "a-c": SKIPPED}),
        ((FAILED, PASSED, PASSED), "a-c", {"a-a": FAILED, "a-c": SKIPPED}),
        ((CANNOT_TELL, PASSED, PASSED), "a-c", {"a-a": CANNOT_TELL, "a-c": SKIPPED}),
        ((PASSED, CANNOT_TELL, PASSED), "a-c", {"a-b": CANNOT_TELL, "a-c": SKIPPED}),
        # A requirement that has nothing to judge blocks too, and is nothing to tell of.
        ((SKIPPED, PASSED, PASSED), "a-c", {"a-c": SKIPPED}),
        # A check that has nothing to judge itself is not blocked.
        ((PASSED, PASSED, SKIPPED), "a-c", {"a-c": SKIPPED}),
        # What comes later is not asked.
        ((FAILED, PASSED, PASSED), "a-a", {"a-a": FAILED}),
    ],
)
def test_only_what_was_wanted_and_what_stands_in_its_way(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    answers: tuple[Verdict, Verdict, Verdict],
    wanted: str,
    expected: dict[str, Verdict],
) -> None:
    first, second, third = answers
    checks = [
        check("a-a", first),
        check("a-b", second, "a-a"),
        check("a-c", third, "a-b"),
        check("a-d", FAILED),
    ]
    assert verdicts(tuple(run(monkeypatch, tmp_path, checks, wanted).values())) == expected


def test_a_check_that_breaks_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def breaks(facts: Facts) -> None:
        raise KeyError(facts.root)

    results = run(monkeypatch, tmp_path, [check("a-a", breaks), check("a-b", FAILED)], "a-a", "a-b")
    assert verdicts(tuple(results.values())) == {"a-a": CANNOT_TELL, "a-b": FAILED}
    assert "KeyError" in results["a-a"].why


# --- what could not be gathered


def test_an_unknown_fact_is_never_a_pass() -> None:
    with pytest.raises(CannotTellError) as caught:
        known(Unknown("/etc/x", "cannot be read"))
    assert (caught.value.path, caught.value.why) == ("/etc/x", "cannot be read")
    assert known("fact") == "fact"


def test_with_every_fact_unknown_nothing_passes(tmp_path: Path) -> None:
    facts = stub(tmp_path)
    unknown = Unknown("/etc", "cannot be read: Input/output error")
    gathered = [name for name in facts._fields if name not in ("root", "live", "now")]
    changes: dict[str, Any] = dict.fromkeys(gathered, unknown)
    facts = facts._replace(**changes)
    results = judge(facts, {each.id for each in CATALOGUE})
    assert {result.verdict for result in results} == {CANNOT_TELL, SKIPPED}
    assert all(result.why.startswith("needs ") if result.verdict is SKIPPED else result.why for result in results)


@pytest.mark.parametrize(
    "gatherer",
    [
        name
        for name in dir(survey)
        if hasattr(getattr(survey, name), "gather") and getattr(survey, name).__name__.startswith("msmtp_agent.survey.")
    ],
)
def test_a_gatherer_that_breaks_costs_its_own_checks_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gatherer: str
) -> None:
    def breaks(*_: object) -> None:
        raise RuntimeError("something that nobody thought of")

    root = Root(tmp_path).good()
    monkeypatch.setattr(getattr(survey, gatherer), "gather", breaks)
    report = root.report()
    assert report.findings == ()
    assert report.having(CANNOT_TELL)
    assert all("RuntimeError" in result.why for result in report.having(CANNOT_TELL))
    if gatherer not in ("configuration", "secret_file"):
        assert len(report.having(PASSED)) > 20


@pytest.mark.parametrize("path", [SECRET, MSMTPRC])
def test_what_stands_behind_an_endless_link_cannot_be_told(tmp_path: Path, path: str) -> None:
    root = Root(tmp_path).good()
    root.at("/etc").rename(root.at("/real"))
    root.link("/etc", "etc")
    report = root.report()
    assert {result.why.partition(": ")[2] for result in report.having(CANNOT_TELL)} >= {
        "cannot be read: Too many levels of symbolic links"
    }
    assert [finding for finding in report.findings if finding.path == path] == []


@pytest.mark.root
def test_permission_denied_is_no_pass(tmp_path: Path) -> None:
    """Another user than root, on a host whose files are root's alone."""
    root = Root(tmp_path).good().rights("/etc", 0o700)
    with Host(str(root.directory)) as host:
        host.inspect("/")  # the way to the root is held open: pytest's own directories are root's alone, too
        os.seteuid(65534)
        try:
            report = audit(host, {check.id for check in CATALOGUE})
        finally:
            os.seteuid(0)
    asked = {result.id: result for result in report.results}
    assert asked["secret-missing"].verdict is CANNOT_TELL
    assert asked["config-missing"].verdict is CANNOT_TELL
    assert "Permission denied" in asked["secret-missing"].why
    assert report.findings == ()


# --- the report


def test_a_report_is_the_same_twice(tmp_path: Path) -> None:
    root = Root(tmp_path).good().write(MSMTPRC, account("bogus"), 0o666).remove(SECRET)
    first, second = root.report(), root.report()
    assert first._replace(time=0.0) == second._replace(time=0.0)
    assert first.findings


def test_nothing_is_written_in_the_root(tmp_path: Path) -> None:
    root = Root(tmp_path).good()

    def state() -> dict[str, tuple[int, int, int]]:
        found = {}
        for directory, subdirectories, files in os.walk(tmp_path):
            for name in (".", *subdirectories, *files):
                facts = os.lstat(os.path.join(directory, name))
                found[os.path.join(directory, name)] = (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode)
        return found

    before = state()
    root.report()
    assert state() == before


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    root = Root(tmp_path).good()
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        root.report()
    with Host(str(root.directory)) as host:
        audit(host, {"secret-mode"})
    assert set(os.listdir("/proc/self/fd")) == before
