"""Checks of the group "Delivery": what msmtp's log and its rotated predecessors say of the last mails."""

from collections.abc import Iterator

from msmtp_agent.facts import CannotTellError, Facts, History, NotApplicableError, known
from msmtp_agent.host import SECRET
from msmtp_agent.model import FileKind
from msmtp_agent.readiness import WITHOUT_PASSWORD, reads_secret_file

from .check import ERROR, INFO, WARNING, Flaw, Group
from .configuration import account_of

CHECKS = Group("Delivery")
FAILED = 3  # failures in a row: one is greylisting or a mistyped address, and three are neither
STALE = 30  # days without a success: a host that is looked after sends some mail each month
_DAY = 86400.0
_TEST = "msmtp-config test"
# sysexits, as msmtp 1.8 uses them; more than one cause shares most of them.
_MEANINGS = {
    "EX_DATAERR": "the server refused the sender, a recipient or the message",
    "EX_NOINPUT": "a trust, key or certificate file is missing",
    "EX_NOHOST": "the server's name did not resolve",
    "EX_UNAVAILABLE": "TLS, a certificate, or no usable login",
    "EX_SOFTWARE": "a library failed",
    "EX_OSERR": "no socket",
    "EX_IOERR": "the connection broke or timed out",
    "EX_TEMPFAIL": "no connection, or a temporary failure",
    "EX_PROTOCOL": "not an SMTP server, or TLS on the wrong port",
    "EX_NOPERM": "the server refused the login",
    "EX_CONFIG": "the configuration",
}


def _history(facts: Facts) -> History:
    history = known(facts.history)
    if history is None:
        raise NotApplicableError("the account has no log")
    return history


def causes(history: History) -> str:
    """The failures by cause: `2 EX_NOPERM smtpstatus=535 (the server refused the login), 1 EX_TEMPFAIL (...)`."""
    shown = [
        f"{count} x {cause} ({_MEANINGS.get(cause.partition(' ')[0], 'another failure')})"
        for cause, count in history.failures[:4]
    ]
    return ", ".join(shown) + (", and others" if len(history.failures) > 4 else "")


def _unread(history: History) -> CannotTellError:
    return CannotTellError(history.path, f"no success in what was read; left out: {', '.join(history.left_out)}")


@CHECKS("delivery-failing", ERROR, "log-none")
def failing(facts: Facts) -> Iterator[Flaw]:
    """The last mails all failed.

    Three or more attempts in a row did not leave this host, as msmtp's own log says: whatever the rest of this audit
    found in order, mail cannot leave. The causes are told by msmtp's exit code and the server's status alone, because
    a server's words may repeat what it was sent; they stand in the log.

    `msmtp-config test` sends one mail and shows where it stops.
    """
    history = _history(facts)
    if history.failed_in_a_row >= FAILED:
        observed = f"the last {history.failed_in_a_row} mails all failed: {causes(history)}"
        yield Flaw(history.path, observed, "mail that leaves", _TEST)
    elif history.left_out and history.last_success is None:
        raise _unread(history)


@CHECKS("delivery-stale", WARNING, "log-none")
def stale(facts: Facts) -> Iterator[Flaw]:
    """No mail has left this host for 30 days.

    A password that was withdrawn, or a server that moved, shows itself at the first mail that is needed. The log and
    its rotated predecessors hold attempts, but none that the server accepted in this time.

    `msmtp-config test` sends one; a monthly one from cron keeps this check quiet.
    """
    history = _history(facts)
    if not history.attempts and not history.left_out:
        raise NotApplicableError("the log tells of no mail")
    if not history.dated:
        raise CannotTellError(history.path, "its times cannot be read")
    if history.last_success is not None:
        days = (facts.now - history.last_success) / _DAY
        if days > STALE and history.left_out:
            raise CannotTellError(history.path, f"left out: {', '.join(history.left_out)}")
        if days > STALE:
            yield Flaw(history.path, f"the last mail was accepted {days:.0f} days ago", f"one in {STALE} days", _TEST)
    elif history.since is not None and facts.now - history.since > STALE * _DAY:
        days = (facts.now - history.since) / _DAY
        yield Flaw(history.path, f"no mail was accepted for {days:.0f} days or more", f"one in {STALE} days", _TEST)
    elif history.left_out:
        raise _unread(history)


@CHECKS("delivery-failures", INFO, "log-none")
def failures(facts: Facts) -> Iterator[Flaw]:
    """Mails failed since the last one that left.

    One or two failures may be a passing trouble of the server's, such as greylisting, which msmtp does not try again:
    such a mail is lost. Three are an error (see `delivery-failing`).

    `msmtp-config test` tells whether it has passed.
    """
    history = _history(facts)
    if 0 < history.failed_in_a_row < FAILED:
        since = "since the last success" if history.last_success is not None or not history.dated else "so far"
        plural = "mails" if history.failed_in_a_row > 1 else "mail"
        observed = f"{history.failed_in_a_row} failed {plural} {since}: {causes(history)}"
        yield Flaw(history.path, observed, "mail that leaves", _TEST)


@CHECKS("delivery-unproven", WARNING, "log-none")
def unproven(facts: Facts) -> Iterator[Flaw]:
    """No mail was accepted since the password was stored.

    The log knows no mail that the account's server took under its user after the secret file was last written: nothing
    proves that the password in it is right. A secret that was stored while the server could not be reached is such a
    one, and so is one that was changed by hand.

    `msmtp-config test` sends one mail and proves it.
    """
    history = _history(facts)
    account = account_of(facts)
    if account.method in WITHOUT_PASSWORD or account.get("password") or not reads_secret_file(account):
        raise NotApplicableError("the account does not use the secret file")
    if known(facts.secret).access.file.kind is not FileKind.REGULAR:
        raise NotApplicableError("there is no secret file")
    if history.proven is None:
        why = f"left out: {', '.join(history.left_out)}" if history.left_out else "its times cannot be read"
        raise CannotTellError(history.path, why)
    if not history.proven:
        observed = "no mail was accepted since it was stored: nothing proves the password"
        yield Flaw(SECRET, observed, f"a mail in {history.path} that was accepted later", _TEST)
