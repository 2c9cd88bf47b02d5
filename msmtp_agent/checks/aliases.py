"""Checks of the group "Aliases": does mail to root and to the other local users find a way out."""

from collections.abc import Iterator
from itertools import pairwise
from shlex import quote

from msmtp_agent.aliases import dead_ends
from msmtp_agent.facts import AliasFile, Facts, NotApplicableError, known
from msmtp_agent.host import ALIASES, MSMTPRC
from msmtp_agent.model import FileKind

from .check import ERROR, WARNING, Flaw, Group, complete, edit, rights
from .configuration import PLACEHOLDER, account_of, put

CHECKS = Group("Aliases")


def _aliases(facts: Facts) -> AliasFile:
    if facts.aliases is None:
        raise NotApplicableError("there is no aliases file")
    return known(facts.aliases)


@CHECKS("aliases-unwired", ERROR, "config-default-account")
def unwired(facts: Facts) -> Iterator[Flaw]:
    """The default account does not use /etc/aliases.

    Without `aliases /etc/aliases` in the account msmtp does not read the file: mail to root leaves as `RCPT TO:<root>`,
    which servers refuse.

    `msmtp-config audit --fix` adds the line, when /etc/aliases is there and msmtp takes it.
    """
    account = account_of(facts)
    if not account.get("aliases"):
        remedy = put(account, "aliases", ALIASES)
        yield Flaw(MSMTPRC, "the default account has no `aliases`", f"`aliases {ALIASES}`", remedy, account.line)


@CHECKS("aliases-missing", ERROR)
def missing(facts: Facts) -> Iterator[Flaw]:
    """The aliases file is missing, or is no file.

    With `aliases` in the account and no file msmtp ends with status 78 for every local recipient; without it nobody
    gets root's mail.

    Write the file: `root: ADDRESS` and `default: ADDRESS`.
    """
    file = _aliases(facts).file
    if not file.path.startswith("/"):
        remedy = put(account_of(facts), "aliases", ALIASES)
        yield Flaw(file.path, "is no absolute path, and leads elsewhere for every sender", ALIASES, remedy)
    elif file.kind is not FileKind.REGULAR:
        path = quote(file.path)
        away = "" if file.kind is FileKind.MISSING else f"mv -T {path} {quote(file.path + '.off')} && "
        observed = "is missing" if file.kind is FileKind.MISSING else f"is {file.kind.value}"
        remedy = f"{away}sensible-editor {path}   # root: ADDRESS, and on a line of its own default: root"
        yield Flaw(file.path, observed, "a line `root: ADDRESS`", remedy)


@CHECKS("aliases-mode", ERROR, "aliases-missing")
def mode(facts: Facts) -> Iterator[Flaw]:
    """The aliases file can be changed by others than root.

    Whoever changes it reads root's mail, password resets and alerts included.

    Make it root's with mode 0644.
    """
    file = _aliases(facts).file
    if file.uid != 0 or file.mode & 0o022:
        remedy = rights(file.path, "0644")
        yield Flaw(file.path, f"is {file.rights}", "0644 root:root", remedy)


@CHECKS("aliases-syntax", ERROR, "aliases-missing")
def syntax(facts: Facts) -> Iterator[Flaw]:
    """A line of the aliases file is refused by msmtp.

    msmtp is stricter than sendmail: a name twice, a second colon (`:include:`), an address on the left or a line of
    more than 509 characters give status 78 for every local recipient.

    Mend the line.
    """
    aliases = _aliases(facts)
    if aliases.fault is not None:
        line = aliases.fault.line
        yield Flaw(
            aliases.file.path, aliases.fault.words, "a line that msmtp accepts", edit(aliases.file.path, line), line
        )


@CHECKS("aliases-root", ERROR, "aliases-syntax")
def root(facts: Facts) -> Iterator[Flaw]:
    """Nobody gets root's mail: there is no `root`, and no `default` that would stand for it.

    It leaves as `RCPT TO:<root>`, which servers refuse.

    Add `root: ADDRESS`.
    """
    aliases = _aliases(facts)
    if "root" not in aliases.names and "default" not in aliases.names:
        remedy = f"sensible-editor {quote(aliases.file.path)}   # root: ADDRESS"
        yield Flaw(aliases.file.path, "has no `root` and no `default`", "a line `root: ADDRESS`", remedy)


@CHECKS("aliases-default", WARNING, "aliases-syntax")
def default(facts: Facts) -> Iterator[Flaw]:
    """There is no `default` for the users that are not listed.

    Mail of cron jobs and services to another local user, www-data for example, leaves with a bare name as its
    recipient, which servers refuse.

    Add `default: ADDRESS`.
    """
    aliases = _aliases(facts)
    if "default" not in aliases.names:
        # The line feed in front: the last line may have none.
        remedy = f"printf '\\ndefault: root\\n' >> {quote(aliases.file.path)}"
        if "root" not in aliases.names:
            remedy = f"sensible-editor {quote(aliases.file.path)}   # default: ADDRESS"
        yield Flaw(aliases.file.path, "has no `default`", "a line `default: ADDRESS`", remedy)


@CHECKS("aliases-placeholder", ERROR, "aliases-syntax")
def placeholder(facts: Facts) -> Iterator[Flaw]:
    """An alias leads to an address from an example.

    `admin@example.com` and its like belong to nobody (RFC 2606): a template was rolled out without its values, and the
    mail is lost.

    Put the real address there, and into the template.
    """
    aliases = _aliases(facts)
    for name, values in aliases.names.items():
        for value in values:
            if "@" in value and PLACEHOLDER.search(value):
                remedy = f"sensible-editor {quote(aliases.file.path)}   # {name}: ADDRESS"
                yield Flaw(aliases.file.path, f"`{name}` leads to {value}, a placeholder", "the real address", remedy)


@CHECKS("aliases-loop", ERROR, "aliases-syntax")
def loop(facts: Facts) -> Iterator[Flaw]:
    """Aliases lead in a circle.

    msmtp ends with status 78 for the names on it.

    Let one of them lead to an address.
    """
    aliases = _aliases(facts)
    for name, ends in dead_ends(aliases.names).items():
        if ends is None:
            remedy = f"sensible-editor {quote(aliases.file.path)}   # {name}: ADDRESS"
            yield Flaw(aliases.file.path, f"`{name}` leads in a circle", "an address at the end", remedy)


@CHECKS("aliases-empty", ERROR, "aliases-syntax")
def empty(facts: Facts) -> Iterator[Flaw]:
    """An alias has nothing behind it.

    `name:` and a comma too many make msmtp send `RCPT TO:<>`, which servers refuse together with the mail.

    Put an address there, or remove the line.
    """
    aliases = _aliases(facts)
    for name, values in aliases.names.items():
        if "" in values:
            remedy = f"sensible-editor {quote(aliases.file.path)}   # {name}: ADDRESS"
            yield Flaw(aliases.file.path, f"`{name}` has an empty value", "an address", remedy)


@CHECKS("aliases-target", ERROR, "aliases-syntax")
def target(facts: Facts) -> Iterator[Flaw]:
    """An alias leads to a pipe or a file.

    msmtp knows neither: `"|command"` and `/path` leave as if they were addresses, which servers refuse.

    Put an address there. msmtp delivers nothing locally.
    """
    aliases = _aliases(facts)
    for name, values in aliases.names.items():
        for value in values:
            if value.lstrip('"')[:1] in ("|", "/"):
                remedy = f"sensible-editor {quote(aliases.file.path)}   # {name}: ADDRESS"
                kind = "a pipe" if value.lstrip('"')[:1] == "|" else "a file"
                yield Flaw(aliases.file.path, f"`{name}` leads to {kind}", "an address", remedy)


@CHECKS("aliases-local", ERROR, "aliases-loop", "aliases-empty")
def local_names(facts: Facts) -> Iterator[Flaw]:
    """A name leads to nothing that has an `@`.

    What is left of it after all aliases is a local name, and leaves as `RCPT TO:<name>`, which servers refuse.

    Let it lead to an address.
    """
    aliases = _aliases(facts)
    for name, ends in dead_ends(aliases.names).items():
        local = [end for end in ends or () if end.lstrip('"')[:1] not in ("|", "/")]
        if local:
            remedy = f"sensible-editor {quote(aliases.file.path)}   # {name}: ADDRESS"
            observed = f"`{name}` leads to {', '.join(f'`{end}`' for end in local)}, which is no address"
            yield Flaw(aliases.file.path, observed, "an address", remedy)


@CHECKS("aliases-in-a-row", WARNING, "aliases-syntax")
def in_a_row(facts: Facts) -> Iterator[Flaw]:
    """A MAILTO= names two local users in a row.

    msmtp up to 1.8.33 does not look up the second of two local names: `root,www-data` reaches root's address and
    `RCPT TO:<www-data>`, which servers refuse.

    Make one alias for them, and name that.
    """
    senders = known(facts.senders)
    found = [mailto for mailto in senders.mailto if _in_a_row(mailto.recipients)]
    for mailto in found:
        observed = f"MAILTO names `{','.join(mailto.recipients)}`, of which msmtp looks up the first"
        yield Flaw(mailto.path, observed, "one local name", edit(mailto.path, mailto.line), mailto.line)
    if not found:
        complete(senders.left_out)


def _in_a_row(recipients: tuple[str, ...]) -> bool:
    return any("@" not in first and "@" not in second for first, second in pairwise(recipients))
