"""Checks of the group "Configuration": the rights of `/etc/msmtprc`, whether msmtp takes it, and what it lacks."""

import re
from collections.abc import Iterator

from msmtp_agent.facts import Access, Configuration, Facts, NotApplicableError, known
from msmtp_agent.host import MSMTPRC
from msmtp_agent.model import FileKind
from msmtp_agent.msmtprc import Account
from msmtp_agent.readiness import WANTED, WITHOUT_PASSWORD, reads_secret_file

from .check import ERROR, INFO, WARNING, Flaw, Group, edit, rights

CHECKS = Group("Configuration")
# RFC 2606, and what examples and templates write in the place of a name.
PLACEHOLDER = re.compile(
    r"(?i:(^|[@.])example\.(com|net|org)$|\.(example|invalid)$|\byour[-_]?domain\b|\byour[-_](e?mail|verified[-_]domain)\b"
    r"|\bchange[-_]?me\b)|\bYOUR_[A-Z_]+\b"
)


def account_of(facts: Facts) -> Account:
    """The default account. Raises NotApplicableError where there is none that msmtp would take."""
    account = known(facts.configuration).account
    if account is None:
        raise NotApplicableError("there is no default account")
    return account


def put(account: Account, command: str, argument: str) -> str:
    """The remedy that gives a setting this argument: on its line, or below the account's where it has none."""
    add = "" if command in account.settings else "add below: "
    return edit(MSMTPRC, account.line_of(command), f"{add}{command} {argument}")


def _access(facts: Facts) -> Access:
    return known(facts.configuration).access


@CHECKS("config-missing", ERROR)
def missing(facts: Facts) -> Iterator[Flaw]:
    """The configuration /etc/msmtprc is missing.

    Without it msmtp ends with status 78 (`account default not found: no configuration file available`) for every
    system mail.

    `msmtp-config apply` writes it from settings; at a terminal `msmtp-config` asks for them.
    """
    if _access(facts).file.kind is FileKind.MISSING:
        yield Flaw(
            MSMTPRC,
            "is missing",
            "msmtp's configuration",
            "msmtp-config apply smtp.config.yaml",
        )


@CHECKS("config-type", ERROR, "config-missing")
def kind(facts: Facts) -> Iterator[Flaw]:
    """Something else stands in the place of /etc/msmtprc.

    A link may lead to a file that others can change, and whoever changes it decides where the password is sent.
    `msmtp-config` accepts a regular file alone.

    Put the file itself there.
    """
    file = _access(facts).file
    if file.kind is not FileKind.REGULAR:
        target = f" to {file.target}" if file.target else ""
        yield Flaw(MSMTPRC, f"is {file.kind.value}{target}", "a regular file", f"ls -ld {MSMTPRC}")


@CHECKS("config-links", ERROR, "config-type")
def links(facts: Facts) -> Iterator[Flaw]:
    """/etc/msmtprc has another name.

    A hard link in a directory of somebody else is the same file: what is written there counts here.

    Find the other names with `find / -xdev -samefile`, and remove them.
    """
    count = _access(facts).file.links
    if count > 1:
        yield Flaw(MSMTPRC, f"has {count} names", "one name", f"find / -xdev -samefile {MSMTPRC}")


@CHECKS("config-owner", ERROR, "config-type")
def owner(facts: Facts) -> Iterator[Flaw]:
    """/etc/msmtprc is not root's.

    msmtp checks neither owner nor mode when root sends. Its owner can send root's password to a server of his own, or
    have root run any command with `passwordeval`.

    `msmtp-config audit --fix` makes it root's. Read it once: it may have been changed.
    """
    file = _access(facts).file
    if (file.uid, file.gid) != (0, 0):
        yield Flaw(MSMTPRC, f"is {file.rights}", "root:root", rights(MSMTPRC), severity=ERROR if file.uid else WARNING)


@CHECKS("config-mode", ERROR, "config-type")
def mode(facts: Facts) -> Iterator[Flaw]:
    """The mode of /etc/msmtprc is not 0600.

    Who may write it decides which command root runs for the password and which server gets it. Who may read it sees
    the server, the user name, and an inline password if there is one. msmtp itself checks nothing.

    `msmtp-config audit --fix` sets 0600.
    """
    file, account = _access(facts).file, known(facts.configuration).account
    if file.mode in (0o600, 0o400):
        return
    exposed = file.mode & 0o022 or (file.mode & 0o044 and account is not None and account.get("password"))
    severity = ERROR if exposed else WARNING if file.mode & 0o077 else INFO
    yield Flaw(MSMTPRC, f"is {file.rights}", "0600", rights(MSMTPRC), severity=severity)


@CHECKS("config-acl", ERROR, "config-type")
def acl(facts: Facts) -> Iterator[Flaw]:
    """An ACL lets others at /etc/msmtprc.

    It gives named users or groups rights beside what the mode shows. Entries that the mask takes away are not reported.

    `msmtp-config audit --fix` replaces the file by one without an ACL.
    """
    entries = _access(facts).entries
    if entries:
        remedy = f"setfacl -b {MSMTPRC} && chmod 0600 {MSMTPRC}"
        yield Flaw(MSMTPRC, f"has an ACL with {', '.join(entries)}", "no ACL", remedy)


@CHECKS("config-line-length", ERROR, "config-type")
def line_length(facts: Facts) -> Iterator[Flaw]:
    """A line of /etc/msmtprc is longer than msmtp reads.

    msmtp refuses a file with a line of more than 499 characters, comments included, and ends with status 78.

    Break the comment, or shorten the argument.
    """
    fault = known(facts.configuration).fault
    if fault is not None and "longer than" in fault.words:
        yield Flaw(MSMTPRC, fault.words, "at most 499 characters", edit(MSMTPRC, fault.line), fault.line)


@CHECKS("config-syntax", ERROR, "config-line-length")
def syntax(facts: Facts) -> Iterator[Flaw]:
    """A line of /etc/msmtprc is refused by msmtp.

    With one line that it does not accept msmtp ends with status 78, in whichever account the line stands. The words
    are msmtp's own, without what it quotes of the line: somebody may have typed a password there.

    Mend the line. `msmtp --pretend -- root` says whether msmtp takes the file.
    """
    fault = known(facts.configuration).fault
    if fault is not None and not _twice(known(facts.configuration)):
        yield Flaw(MSMTPRC, fault.words, "a line that msmtp accepts", edit(MSMTPRC, fault.line), fault.line)


def _twice(configuration: Configuration) -> bool:
    return configuration.fault is not None and configuration.fault.words.startswith("account default was")


@CHECKS("config-default-account", ERROR, "config-syntax")
def default_account(facts: Facts) -> Iterator[Flaw]:
    """The default account is missing, or defined twice.

    System mail names no account, so msmtp takes the one called `default`, and ends with status 78 without it. Of two
    msmtp refuses the second.

    Name the account `default`, or copy one: `account default : NAME`.
    """
    configuration = known(facts.configuration)
    if _twice(configuration):
        line = configuration.fault.line if configuration.fault else 0
        yield Flaw(MSMTPRC, "defines the account default a second time", "one", edit(MSMTPRC, line), line)
    elif configuration.account is None:
        remedy = f"sensible-editor {MSMTPRC}   # account default : NAME"
        yield Flaw(MSMTPRC, "has no default account", "`account default`, or `account default : NAME`", remedy)


@CHECKS("config-incomplete", ERROR, "config-default-account")
def incomplete(facts: Facts) -> Iterator[Flaw]:
    """The default account lacks `host`, `from` or `user`.

    Without `host` msmtp does not start; without `from` the sender is a local name that servers refuse; without `user`
    it cannot authenticate.

    Add the line to the account.
    """
    account = account_of(facts)
    instead = {"host": account.get("socket"), "from": account.get("auto_from")}
    wanted = ("host", "from") if account.method in WITHOUT_PASSWORD else ("host", "from", "user")
    for command in wanted:
        if not (account.get(command) or instead.get(command)):
            remedy = put(account, command, "...")
            yield Flaw(
                MSMTPRC, f"the default account has no `{command}`", f"a line `{command} ...`", remedy, account.line
            )


@CHECKS("config-placeholder", ERROR, "config-default-account")
def placeholder(facts: Facts) -> Iterator[Flaw]:
    """The default account still holds a name from an example.

    `example.com` and its like belong to nobody (RFC 2606): a template was rolled out without its values, and no mail
    leaves.

    Put the real name there, and into the template.
    """
    account = account_of(facts)
    for command in ("host", "from", "user"):
        if PLACEHOLDER.search(account.get(command)):
            line = account.line_of(command)
            observed = f"`{command}` is {account.get(command)}, a placeholder"
            yield Flaw(MSMTPRC, observed, "the real name", put(account, command, "..."), line)


@CHECKS("config-inline-password", WARNING, "config-default-account")
def inline_password(facts: Facts) -> Iterator[Flaw]:
    """The password stands in /etc/msmtprc itself.

    An inline `password` wins over every secret command. It travels with each copy and backup of the configuration, and
    with the template or the user data that wrote it; `msmtp-config` cannot replace it.

    Put `passwordeval "cat /etc/msmtp-password"` in its place, and store the password with `msmtp-config`.
    """
    account = account_of(facts)
    if account.get("password"):
        line = account.line_of("password")
        yield Flaw(MSMTPRC, "holds an inline `password`", f"`{WANTED}`", edit(MSMTPRC, line, WANTED), line)


@CHECKS("config-secret-command", ERROR, "config-default-account", "config-inline-password")
def secret_command(facts: Facts) -> Iterator[Flaw]:
    """The password of the default account does not come from the secret file.

    Without any command msmtp looks into `~/.netrc` and asks at a terminal, which system mail does not have. Another
    command may be right, but then the password that `msmtp-config` stores is never used.

    Use `passwordeval "cat /etc/msmtp-password"`.
    """
    account = account_of(facts)
    if account.method in WITHOUT_PASSWORD:
        raise NotApplicableError(f"the default account sends no password (`auth {account.method}`)")
    if not reads_secret_file(account):
        command = account.get("passwordeval")
        line = account.line_of("passwordeval")
        observed = "`passwordeval` is another command" if command else "the default account has no `passwordeval`"
        severity = WARNING if command else ERROR
        remedy = put(account, *WANTED.split(" ", 1))
        yield Flaw(MSMTPRC, observed, f"`{WANTED}`", remedy, line, severity)


@CHECKS("config-two-secret-commands", WARNING, "config-default-account")
def two_secret_commands(facts: Facts) -> Iterator[Flaw]:
    """The default account has two secret commands.

    Of two `passwordeval` lines the last one counts, and the first is never run: one of them is not what somebody meant.

    Remove the line that is not wanted.
    """
    account = account_of(facts)
    former = account.overruled.get("passwordeval")
    if former is not None:
        observed = f"a second `passwordeval` on line {account.line_of('passwordeval')} takes the place of this one"
        yield Flaw(MSMTPRC, observed, "one", edit(MSMTPRC, former.line), former.line)
