"""The order of a run: nothing is lost, and what lasts begins first, at each worker something else."""

from __future__ import annotations

import pytest

from tests.support.order import EMULATED, LASTING, WAITING, dealt
from tests.support.sandbox import PROJECT

LONG = list(LASTING)
ITEMS = [(name, number) for name in ("test_a", *LONG[:5], "test_b") for number in range(40)]


def module(item: tuple[str, int]) -> str:
    return item[0]


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_nothing_is_lost_and_modules_stay_together(workers: int) -> None:
    order = dealt(ITEMS, workers, module)
    assert sorted(order) == sorted(ITEMS)
    for name in LONG[:5]:
        places = [order.index(item) for item in ITEMS if module(item) == name]
        assert places == list(range(places[0], places[0] + 40))


def test_each_worker_begins_with_something_that_lasts() -> None:
    items = [("test_a", number) for number in range(396)] + [(name, 0) for name in LASTING if name not in EMULATED][:4]
    order = dealt(items, 4, module)
    assert {module(order[place * 100]) for place in range(4)} == {module(item) for item in items[-4:]}


def test_what_waits_leaves_the_time_of_its_half_to_the_emulated_machines() -> None:
    items = [("test_a", number) for number in range(400 - len(LASTING))] + [(name, 0) for name in LASTING]
    order = dealt(items, 4, module)
    for names, half in ((EMULATED, {0, 1}), (WAITING, {2, 3})):
        assert {place // 100 for place, item in enumerate(order) if module(item) in names} == half


def test_a_run_of_few_tests_keeps_them_all() -> None:
    assert dealt([], 4, module) == []
    assert dealt([("test_a", 1), (LONG[0], 1)], 4, module) == [(LONG[0], 1), ("test_a", 1)]


def test_what_lasts_is_there() -> None:
    assert {name for name in LASTING if not (PROJECT / f"tests/{name}.py").is_file()} == set()
    assert {*EMULATED, *WAITING} <= {*LASTING}
