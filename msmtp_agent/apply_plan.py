"""What settings change on this host: each file as it is and as it is to be, what is kept, and the masked difference."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from shlex import quote
from typing import NamedTuple

from . import backup, files, host_files, masked, old_helper
from .aliases import AliasesError
from .configuration import APPLY
from .errors import CantCreateError, ConfigError, DataError, InputOutputError
from .host import ALIASES, MSMTPRC, SECRET, Host
from .host_files import HostFile
from .log_rule import LOGROTATE
from .model import FileFacts, FileKind, WriteOutcome
from .msmtprc import Account, MsmtprcError, parse
from .readiness import WITHOUT_PASSWORD, reads_secret_file
from .secret import MAXIMUM, Secret
from .settings import Settings
from .survey import apparmor

_LIMIT = 1 << 20  # bytes of a file that is replaced
_MOST_TOLD = 10  # names of accounts


class Change(NamedTuple):
    """What is to become of one file: in one word, in words, as a masked diff, and where its old version is kept."""

    path: str
    outcome: WriteOutcome
    words: str
    difference: tuple[str, ...] = ()
    backup: str = ""
    done: bool = False


class Planned(NamedTuple):
    """A change, and what does it."""

    change: Change
    effect: Callable[[Host], None]


class Plan(NamedTuple):
    """All of it, in the order in which it is to be done.

    `settings` are those that were given, with what is kept of the present file; `content` is the new msmtprc; `secrets`
    are the passwords that stand on this host or in the settings, as far as they are known. `warnings` are for a person.
    """

    settings: Settings
    content: bytes
    planned: tuple[Planned, ...]
    kept: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every file, those that stay as they are included."""
        return tuple(planned.change for planned in self.planned)

    @property
    def wanted(self) -> tuple[Planned, ...]:
        """Those that differ."""
        return tuple(planned for planned in self.planned if planned.change.outcome is not WriteOutcome.UNCHANGED)


class _Present(NamedTuple):
    """A file as it stands there; `content` is None where there is none."""

    facts: FileFacts
    content: bytes | None


def of(host: Host, settings: Settings) -> Plan:
    """What is to be done; nothing is changed, and nothing run.

    Raises CantCreateError for a place where no file can be put, ConfigError for aliases that msmtp would refuse,
    DataError for settings that no msmtprc can hold, and InputOutputError.
    """
    return _Planner(host, settings).plan()


class _Planner:
    """The parts of a plan, as they come together."""

    def __init__(self, host: Host, settings: Settings) -> None:
        self._host = host
        self._settings = settings
        self._now = time.time()
        self._present = {path: present(host, path) for path in (ALIASES, LOGROTATE, MSMTPRC)}
        self._stored = self._secret_file()
        self._kept: list[str] = []
        self._warnings: list[str] = []
        self._moved: Secret | None = None

    def plan(self) -> Plan:
        """See `of`."""
        old = self._present[MSMTPRC].content
        self._keep(old or b"")
        secrets = self._secrets(old or b"")
        planned = []
        wanted = self._files()
        for file in wanted:
            if file.path == MSMTPRC and self._moved is not None:
                words = f"the inline `password` of {MSMTPRC} moves here, 0600 root:root"
                change = Change(SECRET, WriteOutcome.CREATED, words)
                planned.append(Planned(change, partial(_move, moved=self._moved)))
            planned.append(self._planned(file, secrets))
        for helper in old_helper.plan(self._host, self._now):
            change = Change(helper.path, WriteOutcome.REPLACED, helper.action, backup=helper.backup)
            planned.append(Planned(change, partial(old_helper.replace, helper=helper)))
        settings = self._settings
        if settings.fingerprint:  # a pin that is kept is what these would propose
            settings = settings._replace(warnings=tuple(one for one in settings.warnings if "config pin" not in one))
        warnings = (*settings.warnings, *self._warnings)
        return Plan(settings, wanted[-1].content, tuple(planned), tuple(self._kept), warnings, secrets)

    # --- what is kept

    def _keep(self, old: bytes) -> None:
        """Take over what the present msmtprc has, and the settings do not tell: its pin, and its inline password."""
        try:
            account = parse(old).get("default")
        except MsmtprcError as error:
            place = f"{MSMTPRC}: line {error.line}"
            self._warnings.append(
                f"{place}: cannot be understood, so neither a pin nor a password is taken over from it"
            )
            return
        if account is None:
            return
        settings = self._settings
        here = (account.get("host").lower(), account.port) == (settings.host.lower(), settings.port)
        pin = account.get("tls_fingerprint")
        # With the check of certificates off msmtp compares nothing, so that no pin is in force.
        if here and pin and not settings.fingerprint and account.get("tls_certcheck") != "off":
            self._settings = settings._replace(fingerprint=pin, certcheck=True)
            self._kept.append(f"`tls_fingerprint` of {settings.host} port {settings.port}, as `pin` has set it")
        if account.get("password"):
            self._keep_password(account)
        elif reads_secret_file(account):
            self._tell_elsewhere(account)

    def _tell_elsewhere(self, account: Account) -> None:
        """Say it where the stored password goes to another server, or for another user, from now on."""
        settings = self._settings
        former = (account.get("host").lower(), account.get("user"))
        needed = not (settings.secret or settings.passwordeval or settings.method in WITHOUT_PASSWORD)
        if needed and self._stored is not None and former != (settings.host.lower(), settings.user):
            whose = f"{account.shown_user} at {account.get('host')}"
            self._warnings.append(f"{SECRET}: was stored for {whose}, and is sent to {settings.host} from now on")

    def _keep_password(self, account: Account) -> None:
        settings = self._settings
        if settings.secret or settings.passwordeval or settings.method in WITHOUT_PASSWORD:
            return
        inline = Secret(account.get("password").encode("utf-8", "surrogateescape"))
        place = f"{MSMTPRC}: line {account.line_of('password')}"
        if (account.get("host").lower(), account.get("user")) != (settings.host.lower(), settings.user):
            self._warnings.append(f"{place}: the inline `password` belongs to another account, and is not taken over")
        elif self._stored is None:
            self._moved = inline
        elif self._stored.reveal() != inline.reveal():
            self._warnings.append(f"{place}: the inline `password` gives way to the one in {SECRET}, which is another")

    def _secrets(self, old: bytes) -> tuple[Secret, ...]:
        """All that are known: no difference and no message is to show one."""
        given = (self._settings.secret, self._stored)
        return (*(one for one in given if one is not None and one.reveal()), *masked.passwords(old))

    def _secret_file(self) -> Secret | None:
        """The password that is stored; None where there is no file. Raises CantCreateError where none can stand."""
        facts, content = self._host.read(SECRET, MAXIMUM)
        if not self._settings.passwordeval and self._settings.method not in WITHOUT_PASSWORD:
            files.refuse_replacing(facts)
        return None if facts.kind is FileKind.MISSING else Secret(content.partition(b"\n")[0].removesuffix(b"\r"))

    # --- the files

    def _files(self) -> tuple[HostFile, ...]:
        """The files as they are to be; msmtprc is the last."""
        log = host_files.CONFINED_LOG if _confined(self._host) else host_files.LOG
        try:
            wanted = host_files.of(self._settings, log, self._present[ALIASES].content or b"")
        except AliasesError as error:
            raise ConfigError(
                f"{ALIASES}: line {error.line}" if error.line else ALIASES,
                error.fault,
                remedy=f"sensible-editor +{error.line or 1} {ALIASES}",
            ) from None
        except ValueError as error:  # a value that no line can hold; its words show none
            raise DataError("settings", str(error)) from None
        rules = LOGROTATE.rpartition("/")[0]
        if self._host.inspect(rules, follow=True).kind is not FileKind.DIRECTORY:
            self._warnings.append(f"{rules}: is no directory, so the log will not be rotated: apt install logrotate")
            wanted = tuple(file for file in wanted if file.path != LOGROTATE)
        return wanted

    def _planned(self, file: HostFile, secrets: Sequence[Secret]) -> Planned:
        facts, old = self._present[file.path]
        rights = f"{file.mode:04o} root:root"
        if old is None:
            outcome, words = WriteOutcome.CREATED, f"is new, {rights}"
        elif old != file.content:
            outcome, words = (
                WriteOutcome.REPLACED,
                "changes" if facts.rights == rights else f"changes, and {_becomes(facts, rights)}",
            )
        elif facts.rights != rights:
            outcome, words = WriteOutcome.REPLACED, _becomes(facts, rights)
        else:
            return Planned(Change(file.path, WriteOutcome.UNCHANGED, "stays as it is"), _nothing)
        place, mode = "", facts.mode & file.mode
        if old is not None and old != file.content:
            place = backup.name(self._host, file.path, old, mode, self._now)
            words += f"; the old version is kept as {place}"
            if file.path == MSMTPRC:
                self._tell_lost(old, place)
        shown = masked.difference(file.path, old, file.content, secrets, settings=file.path == MSMTPRC)
        effect = partial(_replace, file=file, old=old, place=place, mode=mode)
        return Planned(Change(file.path, outcome, words, shown, place), effect)

    def _tell_lost(self, old: bytes, place: str) -> None:
        """What stands in the old version alone from now on."""
        others = [name for name in _accounts(old) if name != "default"]
        if others:
            more = len(others) - _MOST_TOLD
            names = ", ".join(others[:_MOST_TOLD]) + (f" and {more} more" if more > 0 else "")
            words = f"has the accounts {names}, which are not in the settings: they stand in {place} alone"
            self._warnings.append(f"{MSMTPRC}: {words}")
        if masked.passwords(old):
            self._warnings.append(f"{place}: will hold the inline password: rm {place}   # once mail leaves")


def _accounts(content: bytes) -> Mapping[str, Account]:
    """Those of an msmtprc, none where msmtp would refuse it."""
    try:
        return parse(content)
    except MsmtprcError:
        return {}


def present(host: Host, path: str) -> _Present:
    """What stands at a path that is to be replaced. Raises CantCreateError for what nothing can take the place of."""
    facts, content = host.read(path, _LIMIT + 1)
    files.refuse_replacing(facts)
    if facts.kind is FileKind.MISSING:
        return _Present(facts, None)
    if len(content) > _LIMIT:
        raise CantCreateError(
            path, f"holds {facts.size} bytes", expected=f"at most {_LIMIT}", remedy=f"ls -l {quote(path)}"
        )
    if host.immutable(path):
        raise CantCreateError(
            path, "may not be changed by anybody (chattr +i or +a)", remedy=f"chattr -i -a {quote(path)}"
        )
    return _Present(facts, content)


def _becomes(facts: FileFacts, rights: str) -> str:
    return f"{facts.rights} becomes {rights}"


def _confined(host: Host) -> bool:
    """Whether msmtp's AppArmor profile says where the log may be; where that cannot be told, it is taken for so."""
    try:
        return apparmor.gather(host, None).enforced
    except InputOutputError:
        return True


# --- effects


def _nothing(_: Host) -> None:
    """A file that stays as it is."""


def _move(host: Host, moved: Secret) -> None:
    if host.inspect(SECRET).kind is not FileKind.MISSING:
        raise _changed(host, SECRET)
    files.replace(host, SECRET, moved.reveal() + b"\n", 0o600)


def _replace(host: Host, file: HostFile, old: bytes | None, place: str, mode: int) -> None:
    if present(host, file.path).content != old:
        raise _changed(host, file.path)
    if place and old is not None:
        with backup.kept(host, file.path, place, old, mode):
            files.replace(host, file.path, file.content, file.mode)
    else:
        files.replace(host, file.path, file.content, file.mode)


def _changed(host: Host, path: str) -> CantCreateError:
    return CantCreateError(host.at(path), "has changed since it was looked at", remedy=APPLY)
