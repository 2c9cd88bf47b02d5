"""The workflow of `pin`: look at the server's certificate, ask, and trust that one by its fingerprint.

What msmtp does with `tls_fingerprint` (its `mtls_check_cert()`, 1.8.20 to 1.8.33, and measured): a certificate with
that fingerprint is taken whatever its names, dates and issuer are, and no other one; `tls_trust_file` is not even
opened. With `tls_certcheck off` nothing is compared.
"""

import time
from contextlib import ExitStack
from typing import Protocol

from . import files, msmtprc_edit, pin_words
from .configuration import describe, known_secret, safe_account, store
from .errors import CantCreateError, ConfigError, NotRootError, UsageError
from .host import MSMTPRC, Host
from .interruption import deferred
from .journal import Entry, Journal, Listener
from .model import JobReport
from .msmtp import Msmtp
from .msmtprc import Account, MsmtprcError
from .pin_server import Found, Server
from .pin_trust import judge

STAGES = ("host", "config", "server", "trust", "pin", "proof")
_LIMIT = 1 << 20  # bytes of msmtprc


class Person(Listener, Protocol):
    """Who is told of the job, and may be asked."""

    def show(self, rows: list[tuple[str, str]]) -> None:
        """Titles, and what stands behind each."""

    def agrees(self, question: str) -> bool | None:
        """The answer; None when there is nobody to ask."""


def run(host: Host, timeout: float, person: Person) -> JobReport:
    """Pin the certificate that the default account's server shows; the report says what became of it."""
    journal = Journal(person, STAGES)
    with journal.outcome(), ExitStack() as stack:
        with journal.stage("host") as entry:
            if host.effective_uid() != 0:
                raise NotRootError(
                    "msmtp-config pin", "does not run as root", expected="root", remedy="sudo msmtp-config pin"
                )
            msmtp = Msmtp(host, timeout)
            stack.enter_context(files.lock(host))
            entry.seen = f"root; msmtp {msmtp.version() or 'of unknown version'} ({msmtp.path})"
        with journal.stage("config") as entry:
            account = safe_account(host, journal, lambda _: False)
            content = host.read(MSMTPRC, _LIMIT + 1)[1]
            _require_tls(account)
            entry.seen = describe(account)
        server = Server(host, msmtp, account, known_secret(host, account))
        with journal.stage("server") as entry:
            found = server.look(timeout)
            entry.seen = f"{found.place} shows this certificate:"
        now = time.time()
        person.show(pin_words.told(found.certificate, now, found.pin, matches=found.matches))
        with journal.stage("trust") as entry:
            judgement = judge(server, account, found, now)
            entry.seen = judgement.why
        if judgement.warning:
            journal.warn(judgement.warning)
        if judgement.wanted:
            _Job(host, server, account, content, journal, person).run(found)
    return journal.report()


def _require_tls(account: Account) -> None:
    """Raise ConfigError for an account whose server shows us no certificate."""
    for command in ("socket", "proxy_host"):
        if account.get(command):
            raise ConfigError(
                f"{MSMTPRC}: line {account.line_of(command)}",
                f"with `{command}` the server is reached by way of something else, and cannot be looked at",
                expected="a `host` that is connected to",
                remedy="msmtp --serverinfo --auth=off --tls-certcheck=off   # shows the fingerprint",
            )
    if not account.uses_tls:
        line = account.line_of("tls")
        raise ConfigError(
            f"{MSMTPRC}: line {line}",
            "the default account uses no TLS, so there is no certificate to pin",
            expected="`tls on`",
            remedy=f"sensible-editor +{line} {MSMTPRC}   # tls on",
        )


class _Job:
    """The last two stages: the pin, and the proof that it holds."""

    def __init__(
        self, host: Host, server: Server, account: Account, content: bytes, journal: Journal, person: Person
    ) -> None:
        self._host = host
        self._server = server
        self._account = account
        self._content = content
        self._journal = journal
        self._person = person

    def run(self, found: Found) -> None:
        """Prove the new text, ask, write it, and prove what is installed then."""
        with self._journal.stage("pin") as entry:
            new = self._edited(found)
            self._server.require_accepted(new)
            self._warn(found)
            self._person.show(pin_words.compare(local=found.local))
            answer = self._person.agrees(f"Pin this certificate in {MSMTPRC}?")
            if answer is None:
                raise UsageError(
                    "standard input",
                    "is no terminal, so nobody can be asked; nothing was written",
                    expected="--accept, or a terminal",
                    remedy="msmtp-config pin --accept   # once the fingerprint has been compared",
                )
            if not answer:
                entry.skip("not wanted: nothing was written")
                return
            self._write(new, entry)
        with self._journal.stage("proof") as entry:
            self._server.require_installed()
            entry.seen = f"from {found.place} msmtp takes this certificate, and no other"

    def _edited(self, found: Found) -> bytes:
        """The new text of msmtprc."""
        try:
            new = msmtprc_edit.pinned(self._content, found.certificate.fingerprint)
        except MsmtprcError:
            raise _changed() from None
        if new is None:
            line = self._account.line
            raise ConfigError(
                f"{MSMTPRC}: line {line}",
                "an account with another server is copied from the default one, and would get its pin",
                expected="a default account that none is copied from",
                remedy=f"sensible-editor +{line} {MSMTPRC}   # tls_fingerprint {found.certificate.fingerprint}",
            )
        return new

    def _warn(self, found: Found) -> None:
        if found.pin and not found.matches:
            self._journal.warn(
                f"{found.place}: CHANGED: this is not the certificate that is pinned: the server has a new one,"
                " or somebody else answers in its place"
            )
        if not found.local:
            self._journal.warn(
                f"{found.place}: is not on this machine: whoever stands on the way can show a certificate of his own,"
                " and would be trusted from now on; compare the fingerprint first"
            )

    def _write(self, new: bytes, entry: Entry) -> None:
        if self._host.read(MSMTPRC, _LIMIT + 1)[1] != self._content:
            raise _changed()
        with deferred():  # a signal is not to hide what has been done
            outcome = store(self._host, MSMTPRC, new, self._journal)
            check = ", and the check of certificates is on" if self._account.get("tls_certcheck") == "off" else ""
            entry.seen = f"{MSMTPRC} {outcome.value}, 0600 root:root: `tls_fingerprint` is this certificate's{check}"


def _changed() -> CantCreateError:
    return CantCreateError(MSMTPRC, "has changed since it was looked at", remedy="msmtp-config pin")
