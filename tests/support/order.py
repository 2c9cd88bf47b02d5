"""In which order a run of several workers takes its tests: what lasts begins first, each at another worker.

pytest-xdist deals the tests in their order, the same number to each worker, and a worker that has no more takes from
the end of another's. By name, the boots would all be the last worker's, and it would be alone with them at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

# Modules whose tests boot a system, build a package, or wait, with their seconds, roughly: only their order matters.
LASTING: Final[dict[str, int]] = {
    "test_hostile": 150,
    "test_vm_cloud": 90,
    "test_power_cut": 90,
    "test_first_boot": 90,
    "test_autopkgtest": 80,
    "test_package_build": 60,
    "test_package_life": 60,
    "test_explain": 55,
    "test_replies": 55,
    "test_vm_apparmor": 50,
    "test_diagnose_hostile": 48,
    "test_package_piuparts": 45,
    "test_units_audit": 40,
    "test_units": 40,
    "test_diagnose_network": 30,
    "test_cloudconfig_boot": 30,
    "test_package": 30,
    "test_package_pulled": 25,
    "test_release": 25,
    "test_vm_boot": 16,
    "test_provisioning": 15,
    "test_first_boot_walls": 14,
}
# Those of them whose machines are emulated: they never wait, and more of them at once than there are processors take
# longer than one after the other.
EMULATED: Final = ("test_vm_cloud", "test_power_cut", "test_vm_apparmor", "test_vm_boot")
# Those that hardly do anything else than wait: for servers that say nothing. An emulator has the time meanwhile.
WAITING: Final = ("test_hostile", "test_explain", "test_replies", "test_diagnose_hostile", "test_diagnose_network")
_Item = TypeVar("_Item")


def dealt(items: Sequence[_Item], workers: int, module: Callable[[_Item], str]) -> list[_Item]:
    """The same items: each worker's share begins with whole modules of LASTING.

    EMULATED are dealt to one half of the workers, WAITING to the other.
    """
    lasting: dict[str, list[_Item]] = {}
    rest: list[_Item] = []
    for item in items:
        name = module(item)
        (lasting.setdefault(name, []) if name in LASTING else rest).append(item)
    loads, shares = [0] * workers, [list[_Item]() for _ in range(workers)]
    for name in sorted(lasting, key=lambda name: -LASTING[name]):
        possible: Sequence[int] = range(workers)
        if name in EMULATED:
            possible = possible[: max(1, workers // 2)]
        elif name in WAITING:
            possible = possible[workers // 2 :]
        place = min(possible, key=loads.__getitem__)
        loads[place] += LASTING[name]
        shares[place] += lasting[name]
    left, order = len(items), list[_Item]()
    for place, share in enumerate(shares):
        fill = max(0, left // (workers - place) - len(share))
        share += rest[:fill]
        del rest[:fill]
        left -= len(share)
        order += share
    return [*order, *rest]
