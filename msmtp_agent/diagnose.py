"""The workflow of `diagnose`: the way of a mail stage by stage, until one fails; nothing on the host is changed."""

import time

from . import diagnose_words as words
from . import secret as secrets
from . import shape
from .configuration import describe, known_secret, safe_account
from .delivery import deliver
from .diagnose_route import Route, ended
from .diagnosed import STAGES, Diagnosed
from .diagnosis.failure import understand
from .errors import AgentError, ConfigError, DataError, InputOutputError, NotRootError, unforeseen
from .explain import explain, unusable
from .facts import History
from .host import MSMTPRC, SECRET, Host
from .journal import Entry, Journal, Listener
from .model import Diagnosis, FileKind, Outcome, Status, Verification, Wishes
from .msmtp import Msmtp
from .msmtprc import Account
from .providers import by_host
from .providers.fact import Provider
from .providers.local import known
from .readiness import WANTED, WITHOUT_PASSWORD, reads_secret_file
from .secret import MAXIMUM, Secret
from .survey import configuration, history


def run(host: Host, wishes: Wishes, listener: Listener) -> Diagnosed:
    """Go as far as a mail would go, and send none unless `wishes.to` says where; it never raises AgentError."""
    journal = Journal(listener, STAGES, unreached=Status.NOT_REACHED)
    job = _Job(host, wishes, journal)
    with journal.outcome():
        job.run()
    return job.report()


class _Job:
    """The stages, and what they know of each other."""

    def __init__(self, host: Host, wishes: Wishes, journal: Journal) -> None:
        self._host = host
        self._wishes = wishes
        self._journal = journal
        self._now = time.time()
        self._version = ""
        self._account: Account | None = None
        self._providers: tuple[Provider, ...] = ()
        self._arrival: Diagnosis | None = None
        self._route: Route | None = None
        self._history: History | None = None

    def run(self) -> None:
        """All stages. Raises the error of the first that fails, once the log has been told."""
        if self._host.effective_uid() != 0:
            raise NotRootError(
                "msmtp-config diagnose", "does not run as root", expected="root", remedy="sudo msmtp-config diagnose"
            )
        msmtp = Msmtp(self._host, self._wishes.timeout)
        fault = None
        try:
            self._go(msmtp)
        except AgentError as error:
            fault = error
        self._journal.pass_over("log")
        with self._journal.stage("log") as entry:
            self._tell_log(entry)
        if fault is not None:
            fault.diagnosis = _without_us(fault.diagnosis)
            raise fault
        self._compare()
        # What is left where nothing has failed: mail that leaves, and does not arrive.
        self._arrival = explain(self._host, self._account, Outcome(0, ()), version=self._version)

    def report(self) -> Diagnosed:
        """What is known by now."""
        job, route = self._journal.report(), self._route
        told = Diagnosed(job, self._now, self._version, history=self._history, arrival=self._arrival)
        if route is None:
            return told
        return told._replace(
            addresses=route.addresses, ports=route.ports, certificate=route.certificate, server=route.server
        )

    def _go(self, msmtp: Msmtp) -> None:
        with self._journal.stage("configuration") as entry:
            self._version = msmtp.version()
            account = self._account = safe_account(self._host, self._journal, None)
            outcome = msmtp.accepts(None, account, read_secret=False)
            if outcome.status != 0:
                raise unusable(self._host, account, outcome, self._version)
            self._providers, wrong = known(self._host)
            if wrong is not None:
                self._journal.warn(wrong.message)
            entry.seen = describe(account)
            entry.details.append(f"msmtp {self._version or 'of unknown version'} ({msmtp.path}) takes it")
        with self._journal.stage("secret") as entry:
            secret = self._read_secret(msmtp, account, entry)
        route = self._route = Route(self._host, self._wishes, self._journal, msmtp, account, secret)
        route.resolve_and_connect()
        route.tls()
        route.capabilities()
        self._log_in(msmtp, account, secret, route)
        with self._journal.stage("mail") as entry:
            if self._wishes.to is None:
                entry.skip("no mail is sent without --to ADDRESS")
            else:
                deliver(self._host, msmtp, account, self._wishes.to, secret, self._journal, entry)

    # --- the secret

    def _read_secret(self, msmtp: Msmtp, account: Account, entry: Entry) -> Secret | None:
        """The secret that msmtp will send, where it can be known without running a foreign command.

        Raises ConfigError, DataError, and msmtp's own failure to read it.
        """
        if account.method in WITHOUT_PASSWORD:
            entry.skip(f"`auth {account.method}` needs no password")
            return None
        if account.get("password"):
            entry.seen = f"an inline `password` ({MSMTPRC}: line {account.line_of('password')})"
        elif reads_secret_file(account):
            entry.seen = self._readable(entry)
        else:
            line = account.line_of("passwordeval")
            entry.skip(
                f"another command ({MSMTPRC}: line {line}): msmtp alone runs it, when it logs in"
                if account.get("passwordeval")
                else "no `password` and no `passwordeval`: msmtp looks for one in ~/.netrc"
            )
            return None
        candidate = known_secret(self._host, account) or Secret(b"")
        subject, remedy = SECRET, "msmtp-config   # asks for it anew"
        if account.get("password"):
            line = account.line_of("password")
            subject, remedy = f"{MSMTPRC}: line {line}", f"sensible-editor +{line} {MSMTPRC}   # {WANTED}"
        try:
            secrets.parse(candidate.reveal(), subject)
        except DataError as error:
            raise DataError(error.subject, error.observed, expected=error.expected, remedy=remedy) from None
        outcome = msmtp.accepts(candidate, account, read_secret=True)
        if outcome.status != 0:
            raise unusable(self._host, account, outcome, self._version)
        provider = by_host(self._providers, account.get("host"), account.port)
        for misfit in shape.judge(candidate, account, provider.id if provider else ""):
            self._journal.warn(misfit.message)
        return candidate

    def _readable(self, entry: Entry) -> str:
        """What stands at the secret file's path. Raises ConfigError where msmtp could not read it."""
        facts, content = self._host.read(SECRET, MAXIMUM + 2, follow=True)
        if facts.kind is FileKind.MISSING:
            raise ConfigError(SECRET, "is missing", expected="the password", remedy="msmtp-config")
        if facts.kind is not FileKind.REGULAR:
            raise ConfigError(
                SECRET, f"is {facts.kind.value}", expected="a file with the password", remedy=f"ls -ld {SECRET}"
            )
        if content.removesuffix(b"\n").count(b"\n"):
            entry.details.append("it has more than one line: msmtp sends the first alone")
        return f"{SECRET}, {facts.rights}"

    # --- the login

    def _log_in(self, msmtp: Msmtp, account: Account, secret: Secret | None, route: Route) -> None:
        """The stages auth and sender, both told by one run of msmtp that ends before any mail."""
        outcome: Outcome | None = None
        with self._journal.stage("auth") as entry:
            if account.method == "off":
                entry.skip(words.login(account, needed=False))
            else:
                outcome = msmtp.login(secret, account)
                self._journal.verification = outcome.verification
                if outcome.verification is not Verification.ACCEPTED:
                    raise ended(entry, route.no_login(outcome))
                entry.seen = words.login(account, needed=True)
        with self._journal.stage("sender") as entry:
            outcome = outcome or msmtp.login(secret, account)
            place = understand(outcome.words, outcome.status, account).stage
            if outcome.verification is not Verification.ACCEPTED or place == "sender":
                observed = f"the server refused the sender {account.get('from') or 'of the account'}"
                if place != "sender":
                    observed = "the server took no sender"
                raise ended(entry, route.error(observed, outcome, stage="sender"))
            entry.seen = f"the server accepted {account.get('from') or 'the sender of the account'}"
            entry.details.append(words.recipient(place, outcome))

    # --- the log

    def _tell_log(self, entry: Entry) -> None:
        """What the log says; it is told whatever failed before, and it decides nothing."""
        try:
            account = configuration.gather(self._host).account
            facts = self._host.inspect(SECRET)
            stored = facts.modified if facts.kind is FileKind.REGULAR else None
            found = history.gather(self._host, account, self._now, stored)
        except InputOutputError as error:
            entry.skip(error.message)
            return
        except Exception as error:  # noqa: BLE001 - what is wrong with mail is due all the same
            entry.skip(unforeseen(error).observed)
            return
        if account is None:
            entry.skip(f"{MSMTPRC} has no default account that could be read")
        elif found is None:
            facility = account.get("syslog")
            where = " (it logs to syslog: journalctl -t msmtp)" if facility not in ("", "off") else ""
            entry.skip(f"the account has no `logfile`{where}")
        else:
            self._history = found
            entry.seen, entry.details[:] = words.told(found, self._now)

    def _compare(self) -> None:
        """Warn where everything works now, and the last mail failed all the same."""
        if self._history is not None and self._history.failed_in_a_row:
            self._journal.warn(
                f"{self._history.path}: the last mail failed, and now every stage passes: the fault has gone, or that"
                " mail was sent in another way (see msmtp-config audit)"
            )


def _without_us(diagnosis: Diagnosis | None) -> Diagnosis | None:
    """The diagnosis without the step that sends people here."""
    if diagnosis is None:
        return None
    return diagnosis._replace(steps=tuple(step for step in diagnosis.steps if "msmtp-config diagnose" not in step))
