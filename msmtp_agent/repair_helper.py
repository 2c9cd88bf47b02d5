"""The repair of an old shell helper that root's PATH finds before our command."""

from collections.abc import Iterator
from functools import partial

from . import old_helper
from .facts import Facts
from .host import Host
from .model import Repair, Report
from .planned import Planned, failed


def plan(host: Host, facts: Facts, report: Report) -> Iterator[Planned]:
    """A link in the place of the script that cloud-init wrote, and of nothing else. Raises InputOutputError."""
    ids = failed(report, ("sender-helper",))
    for helper in old_helper.plan(host, facts.now) if ids else ():
        yield Planned(Repair(helper.path, helper.action, ids), partial(old_helper.replace, helper=helper))
