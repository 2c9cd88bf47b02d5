"""The files of a host that has no `/etc/msmtprc`: asked for, shown, and written once the person has said yes."""

from collections.abc import Iterator

from . import apply_files, apply_plan, questions
from .apply_plan import Change
from .configuration import require_unshadowed
from .host import Host
from .journal import Entry, Journal
from .model import WriteOutcome
from .providers.local import known
from .settings import Settings

_HEAD = 3  # lines of a unified diff in front of its first line: both names, and where it is
# Any settings: that a file cannot be put in its place is to be told before anything is asked.
_ANY = Settings("mail.example.org", 587, "root@example.org", "root", ("root@example.org",))


def write(host: Host, person: questions.Person, journal: Journal, entry: Entry) -> None:
    """Ask what the files are to say, show them, and write them; `entry` gets what became of each.

    Call it under the lock. Raises ConfigError where the person does not want them, or does not answer to the end
    (nothing is written then), NotUsedError where root's own configuration would win over them, and what
    `apply_plan.of` and `apply_files.write` raise.
    """
    require_unshadowed(host)
    apply_plan.of(host, _ANY)
    providers, fault = known(host)
    if fault is not None:
        journal.warn(fault.message)
    plan = apply_plan.of(host, questions.ask(person, providers))
    for change, _ in plan.wanted:
        person.tell("")
        person.tell(f"{change.path}: {change.words}", "  ")
        for line in _lines(change):
            person.tell(f"  {line}")
    person.tell("")
    for warning in plan.warnings:
        journal.warn(warning)
    if not questions.agreed(person, "Write these files?"):
        raise questions.unwanted()
    apply_files.write(host, plan, journal, entry)


def _lines(change: Change) -> Iterator[str]:
    """What is shown of a change: a new file as it will be, any other as the difference."""
    if change.outcome is not WriteOutcome.CREATED:
        yield from change.difference
        return
    for line in change.difference[_HEAD:]:
        yield line[1:]
