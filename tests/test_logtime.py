"""The times in msmtp's log: what strftime(3) wrote is read back, in its zone, with the year that it lacks."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msmtp_agent.survey.logtime import Clock


@pytest.fixture(autouse=True)
def _zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    time.tzset()


NOVEMBER = 1795348800.0  # 2026-11-22 12:00 UTC


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"Nov 22 11:59:59 ", "2026-11-22 11:59:59"),
        (b"Nov 23 11:00:00 ", "2026-11-23 11:00:00"),  # up to a day in the future: clocks are put right
        (b"Nov 23 13:00:00 ", "2025-11-23 13:00:00"),
        (b"Dec 31 23:59:59 ", "2025-12-31 23:59:59"),
        (b"Jan  1 00:00:00 ", "2026-01-01 00:00:00"),
        (b"Feb 29 10:00:00 ", "2024-02-29 10:00:00"),
        (b"Feb 30 25:00:00 ", ""),
        (b"Foo 22 11:59:59 ", ""),
        (b"Nov 22", ""),
        (b"", ""),
    ],
)
def test_the_year_is_told_from_when_the_file_was_written(text: bytes, wanted: str) -> None:
    found = Clock("", newest=NOVEMBER, live=False).read(text)
    assert (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(found)) if found is not None else "") == wanted


def test_the_year_of_an_older_line_is_told_from_the_one_behind_it() -> None:
    clock = Clock("", newest=NOVEMBER, live=False)
    years = [
        time.gmtime(clock.read(line) or 0).tm_year
        for line in (b"Mar 03 10:00:00", b"Jun 01 10:00:00", b"Mar 03 10:00:00")
    ]
    assert years == [2026, 2025, 2025]


@pytest.mark.parametrize(
    "time_format",
    [
        "%F %T",
        "%Y-%m-%dT%H:%M:%S%z",
        "%s",
        "%c",
        "%d.%m.%Y %T",
        "%b %e %T",
        "%-d %h %T",
        "%D %r",
        "[%a %d %b %Y %T %Z]",
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_what_strftime_wrote_is_read(time_format: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    text = time.strftime(time_format, time.localtime(NOVEMBER)).encode()
    found = Clock(time_format, newest=NOVEMBER, live=True).read(text + b" ")
    assert found == NOVEMBER


@given(st.text(alphabet=st.sampled_from("%YmdbTFHMSsezcjGCy-_0 x"), max_size=12), st.binary(max_size=30))
def test_any_format_is_survived(time_format: str, text: bytes) -> None:
    found = Clock(time_format, newest=NOVEMBER, live=True).read(text)
    assert found is None or isinstance(found, float)
