"""`apply` on the command line: who is told, and the exit status."""

from . import apply, arguments, interruption, render_apply, shield
from .host import Host
from .journal import exit_code
from .model import Wishes


def run(settings: str, dry_run: bool, as_json: bool) -> int:
    """Apply the settings in a file, and return the exit status. Raises UsageError for what is no path."""
    arguments.absolute("apply", "FILE", settings)  # no empty variable, and no standard input
    shield.shield()
    interruption.install()
    person = render_apply.Json() if as_json else render_apply.Text()
    applied = apply.run(Host(), settings, Wishes().timeout, person, dry_run=dry_run)
    interruption.quiet()
    person.finish(applied)
    return exit_code(applied.job)
