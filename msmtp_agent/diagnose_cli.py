"""What the verb `diagnose` does: put the process in order, run, tell, and give the exit status."""

from .model import Wishes


def run(wishes: Wishes, as_json: bool) -> int:
    """Find out why mail does not leave; the exit status is 0, msmtp's, or ours where msmtp was not asked."""
    from . import diagnose, interruption, render_diagnose, shield
    from .host import Host
    from .journal import exit_code

    shield.shield()
    interruption.install()
    listener = render_diagnose.Json() if as_json else render_diagnose.Text()
    report = diagnose.run(Host(), wishes, listener)
    interruption.quiet()
    listener.report(report)
    return exit_code(report.job)
