"""The audit for programs: the JSON document, the plugin's line, and the metrics, each through a parser of its kind."""

from __future__ import annotations

import json
import pickle
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from msmtp_agent.errors import PluginStatus
from msmtp_agent.model import Repair, Report, Severity
from msmtp_agent.monitoring import Document, Metrics, StatusLine, Tally, nagios_status
from tests.support.reports import (
    CLEAN,
    ERROR,
    HOSTILE,
    HOUR,
    INFO,
    MIXED,
    NASTY,
    NOW,
    WARNING,
    found,
    passed,
    report,
    skipped,
    unknown,
)
from tests.support.sandbox import PROJECT

SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/audit.json").read_text())
REPAIRED = report(
    *passed(2),
    repairs=(
        Repair("/etc/msmtp-password", "make it 0600 root:root", ("secret-mode", "secret-owner"), done=True),
        Repair("/etc/msmtprc", "make it 0600 root:root", ("config-mode",)),
    ),
)
SHAPES = {"clean": CLEAN, "mixed": MIXED, "repaired": REPAIRED, "nasty": NASTY, "empty": report()}
# Any text that a name or a message may turn into, lone surrogates included.
ANY_TEXT = st.text(st.characters(exclude_categories=()) | st.sampled_from(HOSTILE), max_size=400)
RESULTS = st.lists(
    st.one_of(
        st.builds(found, st.just("secret-mode"), st.sampled_from(Severity), path=ANY_TEXT, observed=ANY_TEXT),
        st.builds(unknown, why=ANY_TEXT),
        st.builds(skipped, why=ANY_TEXT),
    ),
    max_size=20,
)
REPORTS = st.lists(
    st.builds(
        lambda results, root, ago: report(*results, root=root, last_success=None if ago is None else NOW - ago),
        RESULTS,
        ANY_TEXT,
        st.none() | st.floats(0, 1e8),
    ),
    max_size=4,
)


# --- json


def document(*reports: Report) -> str:
    pieces = Document()
    return "".join([*(pieces.entry(one) for one in reports), pieces.end()])


def parsed(text: str) -> dict[str, Any]:
    """The document as a strict parser sees it: valid UTF-8, no half characters, no number that JSON does not know."""
    value: dict[str, Any] = json.loads(text.encode(), parse_constant=lambda word: pytest.fail(word))
    json.dumps(value, ensure_ascii=False).encode()
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    return value


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**parsed(document()), "secret": ""}, SCHEMA)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_document_is_valid_and_has_each_root_on_a_line(shape: str) -> None:
    text = document(SHAPES[shape], CLEAN, SHAPES[shape])
    assert len(parsed(text)["roots"]) == 3
    head, *entries, tail = text.splitlines()
    assert [json.loads(line.removesuffix(","))["host"] for line in entries] == [
        SHAPES[shape].host.replace("\udcff", "\\udcff"),
        "web1",
        SHAPES[shape].host.replace("\udcff", "\\udcff"),
    ]
    assert parsed(head + tail)["roots"] == []


def test_an_entry_says_everything() -> None:
    (entry,) = parsed(document(MIXED))["roots"]
    assert (entry["root"], entry["host"], entry["proven"]) == ("/", "web1", True)
    assert (entry["time"], entry["last_success"]) == ("2025-10-09T08:53:20Z", "2025-10-09T07:53:20Z")
    assert [(one["id"], one["severity"], one["line"]) for one in entry["findings"]] == [
        ("secret-mode", "error", None),
        ("secret-owner", "error", None),
        ("config-timeout", "warning", 12),
        ("aliases-default", "info", None),
    ]
    assert entry["findings"][2] == {
        "id": "config-timeout",
        "severity": "warning",
        "path": "/etc/msmtprc",
        "line": 12,
        "observed": "has no timeout",
        "expected": "timeout 60",
        "remedy": "sensible-editor +12 /etc/msmtprc   # timeout 60",
    }
    assert entry["cannot_tell"] == [
        {"id": "log-missing", "why": "/var/log/msmtp.log: cannot be read: Permission denied"}
    ]
    assert entry["skipped"] == [{"id": "log-mode", "why": "needs log-missing"}]
    assert entry["passed"][:2] == ["tls-check-1", "tls-check-2"]
    assert entry["summary"] == {"error": 2, "warning": 1, "info": 1, "passed": 90, "skipped": 1, "cannot_tell": 1}


def test_what_nothing_tells_is_null() -> None:
    (entry,) = parsed(document(CLEAN))["roots"]
    assert (entry["last_success"], entry["proven"]) == (None, None)


def test_repairs_say_whether_they_were_done() -> None:
    (entry,) = parsed(document(REPAIRED))["roots"]
    assert [(one["path"], one["checks"], one["done"]) for one in entry["repairs"]] == [
        ("/etc/msmtp-password", ["secret-mode", "secret-owner"], True),
        ("/etc/msmtprc", ["config-mode"], False),
    ]


def test_the_summary_adds_the_roots_up() -> None:
    assert parsed(document(MIXED, CLEAN, MIXED))["summary"] == {
        "roots": 3, "error": 4, "warning": 2, "info": 2, "passed": 273, "skipped": 6, "cannot_tell": 2,
    }  # fmt: skip


def test_without_a_root_the_document_is_whole() -> None:
    assert parsed(document())["summary"]["roots"] == 0


def test_a_hostile_name_is_exact_but_for_the_byte_that_no_parser_takes() -> None:
    text = document(NASTY)
    assert text.isascii()
    assert "\x1b" not in text
    (entry,) = parsed(text)["roots"]
    assert entry["findings"][0]["path"] == HOSTILE.replace("\udcff", "\\udcff")


def test_the_same_reports_give_the_same_document() -> None:
    assert document(MIXED, NASTY) == document(MIXED, NASTY)


@given(REPORTS)
def test_any_text_gives_a_valid_document(reports: list[Report]) -> None:
    assert len(parsed(document(*reports))["roots"]) == len(reports)


# --- nagios


def line(*reports: Report, threshold: Severity = WARNING) -> str:
    status = StatusLine(threshold)
    for one in reports:
        status.add(one)
    return status.text()


STATUSES = {
    "clean": ((CLEAN,), {ERROR: "OK", WARNING: "OK", INFO: "OK"}),
    "nothing at all": ((), {WARNING: "OK"}),
    "an error": ((report(found("secret-mode")),), {ERROR: "CRITICAL", WARNING: "CRITICAL", INFO: "CRITICAL"}),
    "a warning": ((report(found("tls-off", WARNING)),), {ERROR: "OK", WARNING: "WARNING", INFO: "WARNING"}),
    "an info": ((report(found("tls-off", INFO)),), {ERROR: "OK", WARNING: "OK", INFO: "WARNING"}),
    "no answer": ((report(unknown()),), {ERROR: "UNKNOWN", WARNING: "UNKNOWN", INFO: "UNKNOWN"}),
    "no answer and an info": ((report(unknown(), found("tls-off", INFO)),), {WARNING: "UNKNOWN", INFO: "WARNING"}),
    "no answer and a warning": (
        (report(unknown(), found("tls-off", WARNING)),),
        {ERROR: "UNKNOWN", WARNING: "WARNING"},
    ),
    "no answer and an error": ((report(unknown(), found("secret-mode")),), {WARNING: "CRITICAL"}),
    "one bad root of three": ((CLEAN, report(found("secret-mode"), root="/srv"), CLEAN), {WARNING: "CRITICAL"}),
}


@pytest.mark.parametrize("name", STATUSES)
def test_the_word_and_the_exit_status_are_the_same(name: str) -> None:
    reports, words = STATUSES[name]
    for threshold, word in words.items():
        tally = Tally()
        for one in reports:
            tally.add(one)
        assert nagios_status(tally, threshold) is PluginStatus[word]
        assert line(*reports, threshold=threshold).startswith(f"MSMTP {word} - ")


def test_the_numbers_are_those_of_the_monitoring_plugins() -> None:
    assert {status.name: int(status) for status in PluginStatus} == {"OK": 0, "WARNING": 1, "CRITICAL": 2, "UNKNOWN": 3}


LINES = {
    "clean": ((CLEAN,), "MSMTP OK - 93 checks passed, 4 skipped"),
    "one of each": (
        (MIXED,),
        "MSMTP CRITICAL - 2 errors, 1 warning, 1 info, 1 cannot tell: "
        "secret-mode /etc/msmtp-password is 0644 root:root, "
        "secret-owner /etc/msmtp-password is 0644 root:root, config-timeout /etc/msmtprc: line 12 has no timeout, "
        "log-missing /var/log/msmtp.log: cannot be read: Permission denied",
    ),
    "not counted": ((report(found("a-b", INFO), found("a-c", INFO)),), "MSMTP OK - 2 info, 0 checks passed"),
    "the worst first": (
        (report(found("tls-off", WARNING, path="/w", observed="x"), found("secret-mode", path="/e", observed="y")),),
        "MSMTP CRITICAL - 1 error, 1 warning: secret-mode /e y, tls-off /w x",
    ),
    "several roots": (
        (CLEAN, report(found("secret-mode"), root="/srv/image")),
        "MSMTP CRITICAL - 2 roots: 1 error: /srv/image: secret-mode /etc/msmtp-password is 0644 root:root",
    ),
    "no answer": (
        (report(unknown(), *passed(2)),),
        "MSMTP UNKNOWN - 1 cannot tell: log-missing /var/log/msmtp.log: cannot be read: Permission denied",
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_the_words_in_front_of_the_bar(name: str) -> None:
    reports, words = LINES[name]
    assert line(*reports).partition(" | ")[0] == words


def test_many_findings_are_cut_to_a_line_that_can_be_read_and_counted() -> None:
    text = line(report(*(found("secret-mode", path=f"/etc/{number}") for number in range(500)))).partition(" | ")[0]
    assert len(text) <= 300
    shown = text.count("secret-mode")
    assert shown >= 3
    assert text.endswith(f" and {500 - shown} more")


def test_one_finding_that_is_too_long_is_cut() -> None:
    text = line(report(found("secret-mode", observed="x" * 1000))).partition(" | ")[0]
    assert len(text) == 300
    assert text.endswith("xxx...")


PERFORMANCE = {
    "clean": (CLEAN, WARNING, "errors=0;;0;0 warnings=0;0;;0 infos=0;;;0 cannot_tell=0;;;0"),
    "mixed": (
        MIXED, WARNING, "errors=2;;0;0 warnings=1;0;;0 infos=1;;;0 cannot_tell=1;;;0 last_success_age=3600s;;;0",
    ),
    "errors alone count": (CLEAN, ERROR, "errors=0;;0;0 warnings=0;;;0 infos=0;;;0 cannot_tell=0;;;0"),
    "all count": (CLEAN, INFO, "errors=0;;0;0 warnings=0;0;;0 infos=0;0;;0 cannot_tell=0;;;0"),
}  # fmt: skip


@pytest.mark.parametrize("name", PERFORMANCE)
def test_performance_data(name: str) -> None:
    one, threshold, data = PERFORMANCE[name]
    assert line(one, threshold=threshold).partition(" | ")[2] == data


def test_of_several_roots_the_longest_silence_counts() -> None:
    roots = [report(last_success=NOW - ago) for ago in (HOUR, 3 * HOUR, 2 * HOUR)]
    assert "last_success_age=10800s" in line(*roots)


def test_a_success_in_the_future_has_no_negative_age() -> None:
    assert "last_success_age=0s" in line(report(last_success=NOW + HOUR))


@given(REPORTS, st.sampled_from(Severity))
def test_any_text_gives_one_plain_line(reports: list[Report], threshold: Severity) -> None:
    text, bar, data = line(*reports, threshold=threshold).partition(" | ")
    assert bar
    assert len(text) <= 300
    assert text.isprintable()
    assert "|" not in text + data
    assert all(re.fullmatch(r"[a-z_]+=\d+s?;\d*;\d*;0", word) for word in data.split(" "))


# --- prometheus


def metrics(*reports: Report) -> str:
    collected = Metrics()
    for one in reports:
        collected.add(one)
    return collected.text()


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and labels, as the reference parser reads them; each is a gauge with an explanation, and has no time."""
    told: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.timestamp is None
            key = (sample.name, *sample.labels.values())
            assert key not in told
            told[key] = sample.value
    return told


def test_the_metrics_of_a_host() -> None:
    assert samples(metrics(MIXED)) == {
        ("msmtp_config_audit_findings", "/", "error"): 2,
        ("msmtp_config_audit_findings", "/", "warning"): 1,
        ("msmtp_config_audit_findings", "/", "info"): 1,
        ("msmtp_config_audit_cannot_tell_checks", "/"): 1,
        ("msmtp_config_audit_last_run_timestamp_seconds", "/"): 1_760_000_000,
        ("msmtp_config_last_success_timestamp_seconds", "/"): 1_759_996_400,
        ("msmtp_config_password_proven", "/"): 1,
    }


def test_a_metric_that_nothing_tells_is_absent() -> None:
    text = metrics(CLEAN)
    assert samples(text)["msmtp_config_audit_findings", "/", "error"] == 0
    assert "last_success" not in text
    assert "proven" not in text


@pytest.mark.parametrize(("proven", "value"), [(True, 1), (False, 0)])
def test_proven_is_one_or_zero(proven: bool, value: int) -> None:
    assert samples(metrics(report(proven=proven)))["msmtp_config_password_proven", "/"] == value


def test_a_family_is_told_in_one_piece() -> None:
    text = metrics(MIXED, report(root="/srv/a"), report(root="/srv/b", proven=False))
    names = [
        text_line.split("{")[0].split(" ")[2 if text_line.startswith("#") else 0] for text_line in text.splitlines()
    ]
    assert names == sorted(names, key=list(dict.fromkeys(names)).index)
    for name in set(names):
        assert text.count(f"# HELP {name} ") == text.count(f"# TYPE {name} gauge\n") == 1
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_a_root_that_is_given_twice_is_told_once() -> None:
    told = samples(metrics(report(found("secret-mode"), root="/srv"), report(root="/srv")))
    assert told["msmtp_config_audit_findings", "/srv", "error"] == 0


LABELS = {
    "/srv/a": "/srv/a",
    'say "hi"': 'say "hi"',
    "back\\slash": "back\\slash",
    "back\\nslash": "back\\nslash",
    "two\nlines": "two\nlines",
    "k\u00e4se {x=1} # |": "k\u00e4se {x=1} # |",
    "escape\x1b[31m": "escape\\x1b[31m",
    "byte\udcff": "byte\\udcff",
    "turned\u202e": "turned\\u202e",
}


@pytest.mark.parametrize("root", LABELS)
def test_a_label_comes_back_as_it_was_but_for_control_characters(root: str) -> None:
    text = metrics(report(root=root))
    assert ("msmtp_config_audit_cannot_tell_checks", LABELS[root]) in samples(text)
    assert text.replace("\n", "").isprintable()


def test_no_root_gives_an_empty_file() -> None:
    assert metrics() == ""


@given(REPORTS)
def test_any_root_gives_a_file_that_the_parser_takes(reports: list[Report]) -> None:
    text = metrics(*reports)
    assert len(samples(text)) == text.count("\n") - text.count("\n# ") - text.startswith("# ")


# --- what is kept


def test_nothing_is_kept_of_a_root_that_has_been_told() -> None:
    """What is held after 1,000 roots has the size of what was held after 10, but for a digit in a few numbers."""
    pieces, status = Document(), StatusLine(WARNING)
    sizes = {}
    for count in range(1, 1001):
        one = report(found("secret-mode", observed="x" * 100), unknown(), root=f"/srv/image-{count:04}")
        pieces.entry(one)
        status.add(one)
        sizes[count] = len(pickle.dumps((pieces, status)))
    assert sizes[1000] <= sizes[10] + 20
