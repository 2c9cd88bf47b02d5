"""docs/checks.md, `--list` and `--explain`: what they say of the checks is what the code says."""

from __future__ import annotations

import re

import pytest

from msmtp_agent.checks import CATALOGUE, GROUPS
from msmtp_agent.checks.check import Check
from msmtp_agent.checks.document import explanation, listing, page
from tests.support.sandbox import PROJECT

PAGE = PROJECT / "docs/checks.md"


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text() == page(), "scripts/checks writes it anew"


def test_there_is_one_section_for_each_check_in_the_catalogues_order() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == [check.id for check in CATALOGUE]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [group.title for group in GROUPS]
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def test_the_page_is_clean() -> None:
    lines = PAGE.read_text().split("\n")
    assert [line for line in lines if line != line.rstrip()] == []
    assert [line for line in lines if len(line) > 120 and "; needs " not in line] == []
    assert lines[-1] == ""
    assert lines[-2] != ""
    assert "\n\n\n" not in "\n".join(lines)


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.id)
def test_a_section_has_everything(check: Check) -> None:
    section = PAGE.read_text().partition(f"\n### {check.id}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    assert check.title in section
    assert check.text in section
    assert check.severity.value in section
    assert all(name in section for name in check.requires)


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.id)
def test_an_explanation_has_everything(check: Check) -> None:
    said = explanation(check.id)
    assert said.startswith(check.id)
    assert all(part in said for part in (check.title, check.text, check.severity.value, *check.requires))


def test_there_is_no_explanation_of_what_is_no_check() -> None:
    with pytest.raises(KeyError):
        explanation("secret")


def test_the_list_has_a_line_for_each_check() -> None:
    lines = listing().split("\n")
    assert [line.split()[0] for line in lines] == [check.id for check in CATALOGUE]
    assert [line.split()[1] for line in lines] == [check.severity.value for check in CATALOGUE]
    assert all(line.endswith(check.title) for line, check in zip(lines, CATALOGUE, strict=True))
