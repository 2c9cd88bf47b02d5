"""The workflow of the main job and of `test`, in the order that a person would tell it."""

from contextlib import ExitStack
from functools import cached_property
from typing import Protocol

from . import files, readiness, shape
from .configuration import describe, known_secret, require_fitting, safe_account, secret_place, store
from .delivery import deliver
from .errors import (
    AgentError,
    ConfigError,
    DataError,
    NotRootError,
    NotUsedError,
)
from .host import MSMTPRC, SECRET, Host
from .interruption import deferred
from .journal import Entry, Journal, Listener
from .model import FileFacts, FileKind, JobReport, Outcome, Verification, Wishes
from .msmtp import Msmtp
from .msmtprc import Account
from .providers import by_host
from .providers.local import known
from .secret import Secret

_ATTEMPTS = 3  # passwords that a person may type


class Source(Protocol):
    """Where the secret comes from, and the person behind it, if there is one."""

    @property
    def attended(self) -> bool:
        """Whether a person is there to be asked."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def require(self) -> None:
        """Raise UsageError where this source cannot be read at all."""

    def read(self, user: str, host: str) -> Secret:
        """The secret for this account."""

    def confirm(self, question: str, *, default: bool) -> bool:
        """The person's answer; False when there is nobody."""

    def line(self, prompt: str, *, hidden: bool = False) -> str | None:
        """What the person types, without the blanks around it; None at the end of input, or when there is nobody."""

    def tell(self, text: str, indent: str | None = None) -> None:
        """Show a line where the questions stand, folded with `indent` before what is continued; else whole."""


def run(host: Host, wishes: Wishes, source: Source, listener: Listener) -> JobReport:
    """Ask, prove, store, and send a test mail; the report says what became of it, and never raises AgentError."""
    journal = Journal(listener)
    with journal.outcome(), ExitStack() as stack:
        with journal.stage("host") as entry:
            msmtp = _msmtp(host, wishes)
            source.require()
            stack.enter_context(files.lock(host))
            entry.seen = f"root; msmtp {msmtp.version() or 'of unknown version'} ({msmtp.path})"
        with journal.stage("config") as entry:
            place = secret_place(host, wishes, journal)
            if source.attended and not (wishes.offline or wishes.force) and _has_none(host):
                from . import first_files  # here, because most hosts have an msmtprc

                first_files.write(host, source, journal, entry)
            account = _account(host, wishes, source, journal)
            seen = describe(account) if account else f"{MSMTPRC} will not use {SECRET}: --force goes on all the same"
            entry.seen = "; ".join(filter(None, (entry.seen, seen)))
        job = Job(host, wishes, source, journal, msmtp, account, place)
        job.deliver(job.prove())
    return journal.report()


def run_test(host: Host, wishes: Wishes, listener: Listener) -> JobReport:
    """Send a test mail with what is installed; nothing is changed."""
    journal = Journal(listener)
    with journal.outcome():
        with journal.stage("host") as entry:
            msmtp = _msmtp(host, wishes)
            entry.seen = f"root; msmtp {msmtp.version() or 'of unknown version'} ({msmtp.path})"
        with journal.stage("config") as entry:
            account = safe_account(host, journal, lambda _: False)
            if readiness.reads_secret_file(account) and not account.get("password"):
                _require_stored(host.inspect(SECRET))
            entry.seen = describe(account)
        with journal.stage("deliver") as entry:
            deliver(host, msmtp, account, wishes.to, known_secret(host, account), journal, entry)
    return journal.report()


def _msmtp(host: Host, wishes: Wishes) -> Msmtp:
    if host.effective_uid() != 0:
        raise NotRootError("msmtp-config", "does not run as root", expected="root", remedy="sudo msmtp-config")
    return Msmtp(host, wishes.timeout)


def _require_stored(facts: FileFacts) -> None:
    if facts.kind is FileKind.MISSING:
        raise ConfigError(SECRET, "is missing", expected="the password", remedy="msmtp-config")
    files.refuse_replacing(facts)


def _has_none(host: Host) -> bool:
    return host.inspect(MSMTPRC).kind is FileKind.MISSING


def _account(host: Host, wishes: Wishes, source: Source, journal: Journal) -> Account | None:
    """The account that will use the secret file; None where none will and `--force` goes on."""

    def repair(facts: FileFacts) -> bool:
        question = f"{MSMTPRC} is {facts.rights}; make it 0600 root:root?"
        return wishes.fix or source.confirm(question, default=True)

    try:
        account = safe_account(host, journal, repair)
        readiness.require_secret_file(account)
    except NotUsedError as error:
        if not wishes.force:
            raise
        journal.warn(error.message)
        return None
    return account


class Job:
    """The stages from the secret on, and what they know of each other; under the lock."""

    def __init__(
        self,
        host: Host,
        wishes: Wishes,
        source: Source,
        journal: Journal,
        msmtp: Msmtp,
        account: Account | None,
        place: FileFacts,
    ) -> None:
        self._host = host
        self._wishes = wishes
        self._source = source
        self._journal = journal
        self._msmtp = msmtp
        self._account = account
        self._place = place
        self._attempts = _ATTEMPTS if source.attended else 1  # how often a password may still be read

    def prove(self) -> Secret:
        """The stages to the store: the secret, once the server has accepted it. Raises AgentError where it did not."""
        candidate, doubt = self._prove()
        self._store(candidate)
        if doubt is not None:
            raise doubt
        return candidate

    def _prove(self) -> tuple[Secret, AgentError | None]:
        """A secret, and the error to end with when the server did not accept it; a person may type it anew."""
        while True:
            candidate = self._read()
            doubt = self._try(candidate)
            if self._journal.verification is not Verification.REFUSED or not self._attempts:
                return candidate, doubt

    def _read(self) -> Secret:
        """The secret to be tried; a person may type it anew where it looks wrong."""
        while True:
            with self._journal.stage("secret") as entry:
                self._attempts -= 1
                user, server = (self._account.shown_user, self._account.get("host")) if self._account else ("", "")
                candidate = self._source.read(user, server)
                if self._account is not None:
                    candidate = self._fitting(candidate, self._account)
                    if not self._wanted(candidate, self._account):
                        entry.skip("not tried, as you wanted; the password is asked for anew")
                        continue
                entry.seen = f"read from {self._source.name}"
                return candidate

    def _fitting(self, candidate: Secret, account: Account) -> Secret:
        """The candidate as msmtp can send it. Raises DataError where it cannot."""
        letters = shape.joined(candidate, account, self._provider)
        if letters is not None:
            self._journal.warn(f"password: {shape.JOINED}")
        require_fitting(letters or candidate, account)
        return letters or candidate

    def _wanted(self, candidate: Secret, account: Account) -> bool:
        """Whether to try a candidate: what looks wrong is told, and a person asked; there may be more to type.

        Raises ConfigError when a person does not want to try this user name, DataError for the last password.
        """
        misfits = shape.judge(candidate, account, self._provider)
        for misfit in misfits:
            self._journal.warn(misfit.message)
        question = f"{'. '.join(misfit.gist for misfit in misfits)}. Try it all the same?"
        if not (misfits and self._source.attended) or self._source.confirm(question, default=False):
            return True
        self._journal.verification = Verification.SKIPPED
        for misfit in misfits:
            if misfit.place:  # no other password would help
                raise ConfigError(
                    misfit.place, f"the user name {misfit.observed}", expected=misfit.expected, remedy=misfit.remedy
                )
        if not self._attempts:
            last = misfits[0]
            observed = f"was not tried: it {last.observed}"
            raise DataError("password", observed, expected=last.expected, remedy=last.remedy)
        return False

    @cached_property
    def _provider(self) -> str:
        """The id of the provider that the account's host belongs to; empty for any other."""
        providers, fault = known(self._host)
        if fault is not None:
            self._journal.warn(fault.message)
        found = by_host(providers, self._account.get("host"), self._account.port) if self._account else None
        return found.id if found else ""

    def _try(self, candidate: Secret) -> AgentError | None:
        """Let msmtp read the candidate, and the server judge it; the error is what the job ends with if it did not."""
        if self._account is None:
            for name in ("pretend", "probe"):
                with self._journal.stage(name) as entry:
                    entry.skip("this configuration does not use the secret file")
            return None
        with self._journal.stage("pretend") as entry:
            outcome = self._msmtp.pretend(candidate)
            if outcome.status != 0:
                from .explain import unusable  # here, because most jobs have nothing to explain

                raise unusable(self._host, self._account, outcome, self._msmtp.version())
            entry.seen = "the configuration parses and the secret can be read (no more than that)"
        with self._journal.stage("probe") as entry:
            if self._wishes.offline:
                self._journal.verification = Verification.UNPROVEN
                entry.skip("--offline: the password was not tried")
                return None
            outcome = self._msmtp.probe(candidate, self._account)
            self._journal.verification = outcome.verification
            if outcome.verification is Verification.ACCEPTED:
                server = f"{self._account.get('host')}:{self._account.port}"
                entry.seen = f"{server} accepted the password; no mail was sent"
                return None
            return doubted(self._host, self._msmtp, self._account, outcome, candidate, entry)

    def _store(self, candidate: Secret) -> None:
        """Store what the design's table says: the answer of the probe against what stands in the file's place."""
        verification = self._journal.verification
        with self._journal.stage("store") as entry:
            present = self._place.kind is not FileKind.MISSING
            if verification is Verification.REFUSED and not self._wishes.force:
                entry.skip(f"{SECRET} was kept as it was" if present else "nothing was stored")
                return
            if verification is Verification.UNPROVEN and present and not self._may_replace():
                entry.skip(f"{SECRET} was kept as it was: the new password is unproven")
                return
            proof = "" if verification is Verification.ACCEPTED else " (unproven)"
            with deferred():  # a signal is not to hide what has been done
                outcome = store(self._host, SECRET, candidate.reveal() + b"\n", self._journal)
                entry.seen = f"{SECRET} {outcome.value}, 0600 root:root{proof}"

    def _may_replace(self) -> bool:
        if self._wishes.force or self._wishes.offline:
            return True
        return self._source.confirm(
            f"The server could not judge the password. Replace the one in {SECRET} all the same?", default=False
        )

    def deliver(self, candidate: Secret) -> None:
        """The last stage: a test mail, where it is wanted."""
        with self._journal.stage("deliver") as entry:
            if not self._wishes.mail:
                entry.skip("--no-mail")
            elif self._account is None or self._journal.verification is not Verification.ACCEPTED:
                entry.skip("the password is unproven")
            elif self._source.attended and not self._source.confirm("Send a test mail?", default=True):
                entry.skip("not wanted")
            else:
                deliver(self._host, self._msmtp, self._account, self._wishes.to, candidate, self._journal, entry)


def doubted(
    host: Host, msmtp: Msmtp, account: Account, outcome: Outcome, secret: Secret | None, entry: Entry
) -> AgentError:
    """The error of a login that the server did not accept; `entry` is failed with the gist of it."""
    from .explain import doubt, gist  # here, because most logins are accepted

    error = doubt(host, account, outcome, msmtp.version())
    if outcome.status is None:
        from .silence import place

        error.diagnosis = place(host, msmtp, account, secret)
    entry.fail("; ".join((error.message, *gist(error.words))))
    return error
