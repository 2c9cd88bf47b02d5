"""Run the catalogue over the facts of one host: which checks, in which order, and what their answers add up to."""

import time
from collections.abc import Collection

from . import survey
from .checks import CATALOGUE
from .checks.check import Check
from .errors import unforeseen
from .facts import CannotTellError, Facts, History, NotApplicableError
from .host import Host
from .model import CheckResult, Report, Verdict


def audit(host: Host, wanted: Collection[str], unwanted: Collection[str] = ()) -> Report:
    """The report of one root, with the checks of `wanted` (ids) in the catalogue's order; nothing is written or run."""
    return examine(host, wanted, unwanted)[1]


def examine(host: Host, wanted: Collection[str], unwanted: Collection[str] = ()) -> tuple[Facts, Report]:
    """The facts of one root, and the report that they make."""
    facts = survey.survey(host, time.time())
    history = facts.history if isinstance(facts.history, History) else History()
    return facts, Report(
        root=facts.root,
        host=host.name(),
        time=facts.now,
        results=judge(facts, wanted, unwanted),
        last_success=history.last_success,
        proven=history.proven,
    )


def judge(facts: Facts, wanted: Collection[str], unwanted: Collection[str] = ()) -> tuple[CheckResult, ...]:
    """The answers of the wanted checks.

    A check whose requirement did not pass is skipped; then the requirement's own answer is among the results, though
    it was not asked for: it is what the question came to. Unless it was said to be unwanted.
    """
    results: dict[str, CheckResult] = {}
    needed = _with_requirements(wanted)
    blocking: set[str] = set()
    for check in CATALOGUE:
        if check.id in needed:
            results[check.id] = result = _answer(check, facts, results)
            if check.id in wanted and result.verdict is Verdict.SKIPPED:
                blocking |= _blocks(check, results)
    return tuple(result for name, result in results.items() if name in wanted or name in blocking - set(unwanted))


def _with_requirements(wanted: Collection[str]) -> set[str]:
    needed = set(wanted)
    for check in reversed(CATALOGUE):  # requirements stand before what requires them
        if check.id in needed:
            needed.update(check.requires)
    return needed


def _blocks(check: Check, results: dict[str, CheckResult]) -> set[str]:
    """The requirements that kept a check from its answer, and theirs."""
    found = set()
    for name in check.requires:
        if results[name].verdict in (Verdict.FAILED, Verdict.CANNOT_TELL):
            found.add(name)
        elif results[name].verdict is Verdict.SKIPPED:
            found |= _blocks(next(other for other in CATALOGUE if other.id == name), results)
    return found


def _answer(check: Check, facts: Facts, results: dict[str, CheckResult]) -> CheckResult:
    for name in check.requires:
        if results[name].verdict is not Verdict.PASSED:
            return CheckResult(check.id, Verdict.SKIPPED, f"needs {name}")
    try:
        findings = check.findings(facts)
    except CannotTellError as unknown:
        return CheckResult(check.id, Verdict.CANNOT_TELL, f"{unknown.path}: {unknown.why}")
    except NotApplicableError as reason:
        return CheckResult(check.id, Verdict.SKIPPED, reason.why)
    except Exception as error:  # noqa: BLE001 - one check that breaks must not cost the answers of the others
        return CheckResult(check.id, Verdict.CANNOT_TELL, unforeseen(error).observed)
    return CheckResult(check.id, Verdict.FAILED if findings else Verdict.PASSED, "", findings)
