"""Checks of the group "Settings": what the default account says, or leaves unsaid, that mail will stumble over."""

import re
from collections.abc import Iterator
from shlex import quote

from msmtp_agent.facts import Facts, known
from msmtp_agent.host import MSMTPRC
from msmtp_agent.model import FileKind

from .check import ERROR, INFO, WARNING, Flaw, Group, edit
from .configuration import account_of, put

CHECKS = Group("Settings")
# They refuse a From: that is not the account's (their documentation, 2026-11-22).
_CHECK_FROM = re.compile(
    r"^(smtp\.(sendgrid\.net|office365\.com|fastmail\.com)|email-smtp\.[a-z0-9-]+\.amazonaws\.com)$"
)
_REFUSE_LOCALHOST = ("smtp-relay.gmail.com",)  # 421 4.7.0 after EHLO localhost (its documentation, 2026-11-22)


def _msmtp_version(facts: Facts) -> tuple[int, ...]:
    """The upstream version of the installed msmtp, e.g. (1, 8, 23); empty where the package is not installed."""
    packages = known(known(facts.programs).packages) if facts.programs is not None else {}
    found = re.match(r"(?:\d+:)?(\d+(?:\.\d+)*)", packages.get("msmtp", ""))
    return tuple(int(part) for part in found[1].split(".")) if found else ()


@CHECKS("config-shadowed", ERROR)
def shadowed(facts: Facts) -> Iterator[Flaw]:
    """Root's own configuration takes the place of /etc/msmtprc.

    msmtp reads `~/.msmtprc` (or `~/.config/msmtp/config`) after the system's file, and an account of the same name
    there replaces it: root's mail goes by settings that nobody looks at. A line that msmtp refuses there stops all of
    root's mail (status 78), and a FIFO there makes it wait for ever.

    Move root's own file away.
    """
    configuration = known(facts.configuration)
    if configuration.own is None:
        return
    own = known(configuration.own)
    remedy = f"mv {quote(own.path)} {quote(own.path + '.off')}"
    if own.kind not in (FileKind.REGULAR, FileKind.MISSING):
        # A link is followed by msmtp to a file that is not judged here.
        yield Flaw(own.path, f"is {own.kind.value}, which msmtp reads when root sends", "no such file", remedy)
    elif configuration.own_fault is not None:
        fault = configuration.own_fault
        yield Flaw(own.path, f"msmtp refuses it: {fault.words}", "no such file", remedy, fault.line)
    elif configuration.shadow:
        observed = f"its default account takes the place of the one in {MSMTPRC} when root sends"
        yield Flaw(own.path, observed, "no such account", remedy, configuration.shadow, WARNING)


@CHECKS("config-from-override", WARNING, "config-default-account")
def from_override(facts: Facts) -> Iterator[Flaw]:
    """`allow_from_override off` is lost in the default account.

    msmtp 1.8.20 to 1.8.23 do not hand this setting on when an account is copied: with `account default : NAME` it is on
    again, and `sendmail -f` puts a sender into the envelope that the server refuses.

    Repeat the line in the default account, behind `account default : NAME`, or write it under `defaults`.
    """
    account = account_of(facts)
    setting, default = (settings.get("allow_from_override") for settings in (account.settings, account.defaults))
    if setting is None or setting.value != "off" or (default is not None and default.value == "off"):
        return
    if setting.line > account.line or "allow_from_override" not in account.own:  # the account's own line, or defaults'
        return
    version = _msmtp_version(facts)
    if (1, 8, 20) <= version <= (1, 8, 23):
        observed = f"`allow_from_override off` (line {setting.line}) is lost by msmtp {'.'.join(map(str, version))}"
        remedy = edit(MSMTPRC, account.line, "add below: allow_from_override off")
        yield Flaw(MSMTPRC, observed, "the line in the default account itself", remedy, account.line)


@CHECKS("config-from-header", WARNING, "config-default-account")
def from_header(facts: Facts) -> Iterator[Flaw]:
    """The server refuses the From: header of system mail.

    cron and others write `From: root`. Amazon SES, SendGrid, Microsoft 365 and Fastmail refuse a From: that is not the
    account's own (`554 Missing final '@domain'`, `550 ... verified Sender Identity`, `550 5.7.60`, `551 5.7.1 Not
    authorised to send from this header address`). msmtp leaves a From: that is there alone unless `set_from_header on`.

    Add `set_from_header on` to the account.
    """
    account = account_of(facts)
    if _CHECK_FROM.match(account.get("host").lower()) and account.get("set_from_header") != "on":
        line = account.line_of("set_from_header")
        observed = f"{account.get('host')} refuses a From: of others, and `set_from_header` is not on"
        yield Flaw(MSMTPRC, observed, "`set_from_header on`", put(account, "set_from_header", "on"), line)


@CHECKS("config-timeout", WARNING, "config-default-account")
def timeout(facts: Facts) -> Iterator[Flaw]:
    """The default account has no `timeout`.

    msmtp waits for ever by default: a server that accepts the connection and says nothing (STARTTLS spoken to a port
    with implicit TLS is enough) keeps every cron job that sends mail.

    Add `timeout 60` to the account.
    """
    account = account_of(facts)
    if account.get("timeout") in ("", "off"):
        line = account.line_of("timeout")
        yield Flaw(MSMTPRC, "`timeout` is not set", "`timeout 60`", put(account, "timeout", "60"), line)


@CHECKS("config-domain", ERROR, "config-default-account")
def domain(facts: Facts) -> Iterator[Flaw]:
    """The server refuses the name that msmtp greets it with.

    msmtp says `EHLO localhost` unless `domain` is set, and smtp-relay.gmail.com answers 421 to that.

    Set `domain` to the host's full name; `%C` stands for it.
    """
    account = account_of(facts)
    if account.get("host").lower() in _REFUSE_LOCALHOST and account.get("domain") in ("", "localhost"):
        line = account.line_of("domain")
        observed = f"`domain` is not set, and {account.get('host')} refuses `EHLO localhost`"
        yield Flaw(MSMTPRC, observed, "`domain %C`", put(account, "domain", "%C"), line)


@CHECKS("config-scram", INFO, "config-default-account")
def scram(facts: Facts) -> Iterator[Flaw]:
    """`auth on` fails with this msmtp against servers that offer SCRAM.

    msmtp 1.8.28 and later with `auth on` and TLS end with status 70 (`GNU SASL: Error authenticating user`) before
    they send AUTH, when the server offers SCRAM without -PLUS. Servers without SCRAM are not affected.

    Name the method: `auth plain` (over TLS), or `auth login`.
    """
    account = account_of(facts)
    if account.method == "on" and account.uses_tls and _msmtp_version(facts) >= (1, 8, 28):
        line = account.line_of("auth")
        observed = "`auth on`: this msmtp fails with 70 where the server offers SCRAM"
        yield Flaw(
            MSMTPRC, observed, "`auth plain`, or another method by name", edit(MSMTPRC, line, "auth plain"), line
        )
