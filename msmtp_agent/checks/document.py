"""The catalogue in words: its list, the section of one check, and docs/checks.md, which is all of them."""

from collections.abc import Iterator

from . import CATALOGUE, GROUPS
from .check import Check

_HEAD = """\
# Checks of `msmtp-config audit`

What the audit looks for: one section for each check, in the order in which they run. `msmtp-config audit --explain ID`
prints the same. An id never changes its meaning and is never used again.

error: a secret is exposed, or mail cannot leave. warning: it will break, or is weak. info: worth knowing. The severity
given is the worst that the check reports. A check that needs others is skipped unless they passed.

This page is made from the code by `scripts/checks`.
"""


def listing() -> str:
    """One line for each check: id, severity, title."""
    width = max(len(check.id) for check in CATALOGUE)
    return "\n".join(f"{check.id:<{width}}  {check.severity.value:<7}  {check.title}" for check in CATALOGUE)


def explanation(name: str) -> str:
    """What `--explain` prints for the check with this id. Raises KeyError."""
    check = {check.id: check for check in CATALOGUE}[name]
    return f"{check.id} ({_facts(check)})\n\n{check.title}.\n\n{check.text}"


def page() -> str:
    """The whole of docs/checks.md."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for group in GROUPS:
        yield f"## {group.title}\n"
        for check in group.checks:
            yield f"### {check.id}\n\n{check.title}. ({_facts(check)})\n\n{check.text}\n"


def _facts(check: Check) -> str:
    return "; needs ".join((check.severity.value, *filter(None, [", ".join(check.requires)])))
