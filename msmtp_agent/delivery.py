"""The test mail: who it goes to, what it says, and that it leaves as any system mail does."""

import time
from shlex import quote

from . import __version__, aliases
from .errors import AgentError, ConfigError, MsmtpError, RefusedError, TemporaryError
from .host import ALIASES, MSMTPRC, Host
from .journal import Entry, Journal
from .model import Delivery, FileKind, Outcome, Verification
from .msmtp import Msmtp
from .msmtprc import Account
from .printable import printable
from .secret import Secret

_LIMIT = 1 << 20  # bytes of an aliases file that are read


def deliver(
    host: Host, msmtp: Msmtp, account: Account, to: str | None, secret: Secret | None, journal: Journal, entry: Entry
) -> None:
    """Send one test mail and note the server's final reply.

    To `to`, or else to root as the system's mail goes; `secret` is only kept out of what is shown. Raises ConfigError
    when root has no address, MsmtpError with msmtp's own exit status when it does not leave, TemporaryError when msmtp
    had to be ended.
    """
    envelope, final = _recipients(host, account, to, journal)
    offset = _log_size(host, msmtp.log(account))
    outcome = msmtp.send(envelope, _message(host, envelope[0]), secret, account)
    shown = ", ".join(final)
    if outcome.status != 0:
        raise _not_sent(host, msmtp, account, outcome, shown, secret)
    try:
        reply = msmtp.last_reply(account, offset, outcome, secret)
    except AgentError:
        reply = None
    journal.delivery = Delivery(final, reply)
    entry.seen = f"test mail to {shown}: " + (
        reply or "accepted by the server (its reply is not known: the account has no readable `logfile`)"
    )
    for words in outcome.words:  # such as a log that cannot be written: the mail has left all the same
        journal.warn(f"msmtp: {words}" + _mend(host, account, words))


def _mend(host: Host, account: Account, words: str) -> str:
    """What to say behind a line of msmtp's about its log; nothing behind any other."""
    from .diagnosis.failure import stage_of  # here, because most mails leave without a word
    from .explain import explain

    if stage_of(words) != "log":
        return ""
    # Of this line alone: what the secret command said beside it may look like one of msmtp's.
    told = explain(host, account, Outcome(0, (words,)))
    return f": {told.cause} ({told.steps[0]})"


def _not_sent(
    host: Host, msmtp: Msmtp, account: Account, outcome: Outcome, shown: str, secret: Secret | None
) -> AgentError:
    """The error that a failed run stands for; a deadline is temporary, any other status is msmtp's own."""
    from .explain import explain  # here, because most mails leave
    from .silence import place

    if outcome.status is None:
        return TemporaryError(
            f"test mail to {shown}",
            "msmtp was still waiting for the server at the deadline and was ended",
            words=outcome.words,
            remedy="msmtp-config test --timeout 120",
            diagnosis=place(host, msmtp, account, secret),
        )
    diagnosis = explain(host, account, outcome, version=msmtp.version())
    if outcome.status < 0:
        return AgentError(
            f"test mail to {shown}",
            f"msmtp died of signal {-outcome.status}, and the mail may have left all the same",
            words=outcome.words,
            remedy="df /var/log   # msmtp 1.8 aborts when its log cannot grow",
            diagnosis=diagnosis,
        )
    if outcome.status == RefusedError.code and outcome.verification is not Verification.REFUSED:
        return TemporaryError(  # a 4xx reply to AUTH
            f"test mail to {shown}",
            "was not sent for now",
            words=outcome.words,
            remedy="msmtp-config test   # again in some minutes",
            diagnosis=diagnosis,
        )
    return MsmtpError(
        f"test mail to {shown}",
        f"was not sent, msmtp ended with {outcome.status}",
        words=outcome.words,
        remedy="msmtp-config test   # once that is mended",
        code=outcome.status,
        diagnosis=diagnosis,
    )


def _log_size(host: Host, path: str | None) -> int:
    """Where this mail's log line will begin; raises ConfigError for a FIFO, at which msmtp would wait without end."""
    if path is None:
        return 0
    facts = host.inspect(path)
    if facts.kind is FileKind.FIFO:
        raise ConfigError(
            path, "is a FIFO, and msmtp would wait for its reader", expected="a file", remedy=f"rm {quote(path)}"
        )
    return facts.size


def _recipients(
    host: Host, account: Account, to: str | None, journal: Journal
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The recipients to hand to msmtp, and the addresses that they stand for."""
    wired = account.get("aliases")
    if to is not None:
        return (to,), _expanded(host, wired, to) if wired and "@" not in to else (to,)
    if wired:
        return ("root",), _expanded(host, wired, "root")
    addresses = tuple(address for address in _expanded(host, ALIASES, "root") if "@" in address)
    if not addresses:
        raise ConfigError(
            ALIASES,
            "gives root no address, so there is nobody to send a test mail to",
            expected="a line `root: ADDRESS`",
            remedy="msmtp-config test --to ADDRESS",
        )
    journal.warn(
        f"{MSMTPRC}: the account has no `aliases {ALIASES}`: mail to root leaves as <root>, not to {addresses[0]}"
        f" (add the line: aliases {ALIASES})"
    )
    return addresses, addresses


def _expanded(host: Host, path: str, name: str) -> tuple[str, ...]:
    facts, content = host.read(path, _LIMIT)
    if facts.kind is not FileKind.REGULAR:  # msmtp may follow a link here; we only want to show where the mail goes
        return (name,)
    try:
        return aliases.expand(aliases.parse(content), name)
    except aliases.AliasesError as error:
        from .explain import explain  # as msmtp would end, so that the answer is the same

        where = f"{path}: line {error.line}" if error.line else path
        would = Outcome(ConfigError.code, (f"{where}: {error.fault}",))
        raise ConfigError(
            where,
            error.fault,
            expected="a line that msmtp accepts",
            remedy=f"sensible-editor +{error.line} {quote(path)}",
            diagnosis=explain(host, None, would),
        ) from None


def _message(host: Host, to: str) -> bytes:
    name = printable(host.name())
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return (
        f"To: {to}\n"
        f"Subject: Test mail from {name} (msmtp-config)\n"
        "Auto-Submitted: auto-generated\n"
        "\n"
        "This host can send its system mail.\n"
        "\n"
        f"host:    {name}\n"
        f"time:    {now}\n"
        f"program: msmtp-config {__version__}\n"
    ).encode()
