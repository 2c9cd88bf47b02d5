"""The config stage: are `/etc/msmtprc` and what stands at the secret file's path safe, and do they belong together."""

from collections.abc import Callable
from shlex import quote

from . import files, readiness
from .errors import CantCreateError, ConfigError, DataError, NotDurableError, NotUsedError
from .host import MSMTPRC, SECRET, Host
from .interruption import deferred
from .journal import Journal
from .model import FileFacts, FileKind, Wishes, WriteOutcome
from .msmtprc import Account
from .secret import MAXIMUM, Secret, longest, survives

_LIMIT = 1 << 20  # bytes of a configuration file that are read
_RIGHTS = "0600 root:root"
APPLY = "msmtp-config apply smtp.config.yaml"  # the remedy where there is no msmtprc


def store(host: Host, path: str, content: bytes, journal: Journal) -> WriteOutcome:
    """Replace a file of root's with mode 0600 and note the change. Raises CantCreateError."""
    with deferred():  # a signal is not to hide what has been done
        try:
            outcome = files.replace(host, path, content, 0o600)
        except NotDurableError:
            journal.changed = True
            raise
        journal.changed |= outcome is not WriteOutcome.UNCHANGED
    return outcome


def safe_account(host: Host, journal: Journal, repair: Callable[[FileFacts], bool] | None) -> Account:
    """The default account of a `/etc/msmtprc` that only root can read or change.

    `repair` is asked whether wrong rights may be put right; without it a file that others can read is only warned of.
    Raises ConfigError, NotUsedError (readiness), and CantCreateError when a repair cannot be written.
    """
    facts, content = host.read(MSMTPRC, _LIMIT + 1)
    _refuse_odd(facts)
    if facts.rights != _RIGHTS:
        if repair is None and facts.uid == 0 and not facts.mode & 0o022:
            journal.warn(f"{MSMTPRC}: is {facts.rights}, expected {_RIGHTS}")
        elif repair is None or not repair(facts):
            raise ConfigError(
                MSMTPRC,
                f"is {facts.rights}",
                expected=_RIGHTS,
                remedy=f"chown root:root {MSMTPRC} && chmod 0600 {MSMTPRC}",
            )
        else:
            store(host, MSMTPRC, content, journal)
            journal.warn(f"{MSMTPRC}: was {facts.rights}, is {_RIGHTS} now: read it once, others may have changed it")
    own_path, own_content = _own_configuration(host)
    return readiness.find_account(content, own_path, own_content)


def require_unshadowed(host: Host) -> None:
    """Raise NotUsedError where root's own configuration would take the place of any `/etc/msmtprc`."""
    readiness.refuse_shadow(*_own_configuration(host))


def _own_configuration(host: Host) -> tuple[str, bytes]:
    """Path and content of the file that msmtp reads after `/etc/msmtprc` when root sends."""
    own_path = host.root_configuration()
    own_facts, own_content = host.read(own_path, _LIMIT)
    if own_facts.kind not in (FileKind.REGULAR, FileKind.MISSING):
        raise NotUsedError(
            own_path,
            f"is {own_facts.kind.value}, which msmtp would read after {MSMTPRC} when root sends",
            expected="no such file",
            remedy=f"mv {quote(own_path)} {quote(own_path)}.off",
        )
    return own_path, own_content


def _refuse_odd(facts: FileFacts) -> None:
    if facts.kind is FileKind.MISSING:
        raise NotUsedError(MSMTPRC, "is missing", expected="msmtp's configuration", remedy=APPLY)
    if facts.kind is not FileKind.REGULAR:
        target = f" to {facts.target}" if facts.target else ""
        raise ConfigError(
            MSMTPRC, f"is {facts.kind.value}{target}", expected="a regular file", remedy=f"ls -ld {MSMTPRC}"
        )
    if facts.links > 1:
        raise ConfigError(
            MSMTPRC, f"has {facts.links} hard links", expected="one", remedy=f"find / -xdev -samefile {MSMTPRC}"
        )
    if facts.size > _LIMIT:
        raise ConfigError(MSMTPRC, f"holds {facts.size} bytes", expected=f"at most {_LIMIT}", remedy=f"ls -l {MSMTPRC}")


def secret_place(host: Host, wishes: Wishes, journal: Journal) -> FileFacts:
    """What stands at the secret file's path; with `--fix` its owner and mode are put right.

    Raises CantCreateError when a secret cannot take its place.
    """
    facts, content = host.read(SECRET, MAXIMUM + 1)
    files.refuse_replacing(facts)
    if facts.kind is FileKind.REGULAR and facts.rights != _RIGHTS:
        if not wishes.fix:
            journal.warn(f"{SECRET}: is {facts.rights}, expected {_RIGHTS} (storing a secret puts it right, or: --fix)")
        elif len(content) > MAXIMUM:
            raise CantCreateError(SECRET, f"holds {facts.size} bytes", expected="one password", remedy=f"rm {SECRET}")
        else:
            store(host, SECRET, content, journal)
            journal.warn(f"{SECRET}: was {facts.rights}, is {_RIGHTS} now")
            return host.inspect(SECRET)
    return facts


def known_secret(host: Host, account: Account) -> Secret | None:
    """What msmtp sends for the account, to be kept out of messages; None where only a program could tell."""
    if account.get("password"):
        return Secret(account.get("password").encode("utf-8", "surrogateescape"))
    if not readiness.reads_secret_file(account):
        return None
    line = host.read(SECRET, MAXIMUM, follow=True)[1].partition(b"\n")[0].removesuffix(b"\r")
    return Secret(line) if line else None


def require_fitting(candidate: Secret, account: Account) -> None:
    """Raise DataError when msmtp could not send this password as it is, with this user name and method."""
    most = longest(account.method, account.get("user"), account.get("host"), account.port)
    if len(candidate.reveal()) > most:
        raise DataError(
            "password",
            "is longer than msmtp can send",
            expected=f"at most {most} bytes for this user name and `auth {account.method}`",
            remedy="msmtp-config",
        )
    if not survives(account.method, candidate):
        line = account.line_of("auth")
        raise DataError(
            "password",
            f"has characters that `auth {account.method}` forbids or changes (SASLprep)",
            expected="letters, digits, signs, or `auth on`",
            remedy=f"sensible-editor +{line} {MSMTPRC}   # auth on",
        )


def describe(account: Account) -> str:
    """The account in force, in one line."""
    origin = (
        "an inline `password`"
        if account.get("password")
        else SECRET
        if readiness.reads_secret_file(account)
        else "another command"
    )
    tls = "off" if not account.uses_tls else "from the start" if account.get("tls_starttls") == "off" else "STARTTLS"
    return (
        f"{MSMTPRC}: {account.shown_user} at {account.get('host')}, port {account.port}, TLS {tls},"
        f" auth {account.method}, secret from {origin}"
    )
