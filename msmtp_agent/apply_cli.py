"""`apply` on the command line: who is told, and the exit status."""

from . import apply, interruption, render_apply, shield
from .errors import UsageError
from .host import Host
from .journal import exit_code
from .model import Wishes


def run(settings: str, dry_run: bool, as_json: bool) -> int:
    """Apply the settings in a file, and return the exit status. Raises UsageError for what is no path."""
    if not settings or settings == "-":
        raise UsageError(
            "FILE", f"is {settings!r}", expected="the path of the settings", remedy="msmtp-config apply --help"
        )
    shield.shield()
    interruption.install()
    person = render_apply.Json() if as_json else render_apply.Text()
    applied = apply.run(Host(), settings, Wishes().timeout, person, dry_run=dry_run)
    interruption.quiet()
    person.finish(applied)
    return exit_code(applied.job)
