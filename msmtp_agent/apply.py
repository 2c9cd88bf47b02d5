"""The workflow of `apply`: show what the settings change on this host, write it, and prove that mail can leave."""

from contextlib import ExitStack
from shlex import quote
from typing import NamedTuple, Protocol

from . import apply_files, apply_plan, files, settings_file
from .apply_plan import Change, Plan
from .configuration import describe, known_secret, require_unshadowed, safe_account, secret_place
from .configure import Job, doubted
from .errors import AgentError, MsmtpError, NotRootError, RefusedError, TemporaryError
from .host import SECRET, Host
from .journal import Entry, Journal, Listener
from .model import FileKind, JobReport, Verification, Wishes
from .msmtp import Msmtp
from .msmtprc import Account
from .readiness import WITHOUT_PASSWORD, reads_secret_file
from .secret import Secret
from .settings import Settings
from .sources import Given

STAGES = ("host", "settings", "plan", "write", "config", "secret", "pretend", "probe", "store")
NEXT = "msmtp-config"
_APPLIED = "the files are applied, and stay as they are now"


class Applied(NamedTuple):
    """The whole of a finished run: the job, every file with what became of it, and the command that is left to do."""

    job: JobReport
    changes: tuple[Change, ...] = ()
    dry_run: bool = False
    next: str = ""


class Person(Listener, Protocol):
    """Who is told of the job."""

    def show(self, changes: tuple[Change, ...]) -> None:
        """What is going to change, before it does."""


def run(host: Host, path: str, timeout: float, person: Person, *, dry_run: bool) -> Applied:
    """Apply the settings in the file `path`; with `dry_run` tell what would change, and change nothing.

    `timeout` in seconds bounds every run of msmtp. The report says what became of it; no AgentError is raised.
    """
    journal = Journal(person, STAGES)
    run_ = _Apply(host, path, journal, person)
    with journal.outcome(), ExitStack() as stack:
        with journal.stage("host") as entry:
            msmtp = _msmtp(host, path, timeout)
            if not dry_run:
                stack.enter_context(files.lock(host))
            entry.seen = f"root; msmtp {msmtp.version() or 'of unknown version'} ({msmtp.path})"
        with journal.stage("settings") as entry:
            settings = settings_file.read(host, path)
            entry.seen = _described(path, settings)
        if settings is not None:
            run_.run(msmtp, settings, dry_run=dry_run)
    return Applied(journal.report(), run_.changes, dry_run, run_.next)


def _msmtp(host: Host, path: str, timeout: float) -> Msmtp:
    if host.effective_uid() != 0:
        again = f"sudo msmtp-config apply {quote(path)}"
        raise NotRootError("msmtp-config apply", "does not run as root", expected="root", remedy=again)
    return Msmtp(host, timeout)


def _described(path: str, settings: Settings | None) -> str:
    if settings is None:
        return f"{path}: neither `host` nor `provider` is set, so nothing is to be done"
    recipients = ", ".join(settings.recipients)
    return (
        f"{path}: {settings.sender} by way of {settings.host}, port {settings.port}; root's mail goes to {recipients}"
    )


class _Apply:
    """The stages from the plan on, and what they know of each other."""

    def __init__(self, host: Host, path: str, journal: Journal, person: Person) -> None:
        self._host = host
        self._path = path
        self._journal = journal
        self._person = person
        self._states: dict[str, Change] = {}
        self.next = ""

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every file, and whether it has been written."""
        return tuple(self._states.values())

    def run(self, msmtp: Msmtp, settings: Settings, *, dry_run: bool) -> None:
        """Plan, show, write, and prove."""
        with self._journal.stage("plan") as entry:
            plan = apply_plan.of(self._host, settings)
            self._states = {change.path: change for change in plan.changes}
            require_unshadowed(self._host)
            self._require_parsed(msmtp, plan)
            entry.seen = _counted(plan)
        for warning in plan.warnings:
            self._journal.warn(warning)
        self._person.show(plan.changes)
        with self._journal.stage("write") as entry:
            if dry_run:
                entry.skip("--dry-run: nothing is written, and nothing is proved")
                return
            apply_files.write(self._host, plan, self._journal, entry, self._note)
        try:
            self._prove(msmtp, plan.settings)
        except AgentError as error:
            error.details = (*error.details, _APPLIED)
            if settings.secret is not None and error.code == RefusedError.code:
                # Another one that was only typed would be tried in vain at the next run.
                error.remedy = f"sensible-editor {quote(self._path)}   # the password there was refused"
            raise

    def _note(self, change: Change) -> None:
        self._states[change.path] = change

    def _require_parsed(self, msmtp: Msmtp, plan: Plan) -> None:
        """Let this msmtp read the new text before it is anywhere. Raises MsmtpError, TemporaryError."""
        outcome, refused = msmtp.parse(plan.content, plan.secrets)
        if outcome.status is None:
            observed = "was still waiting at the deadline and was ended, and nothing was written"
            raise TemporaryError("msmtp --pretend", observed, words=outcome.words, remedy="msmtp --pretend -- root")
        if refused:
            raise MsmtpError(
                f"msmtp {msmtp.version()}",
                "refuses what these settings become, and nothing was written",
                words=outcome.words,
                remedy="msmtp-config render smtp.config.yaml --format msmtprc   # shows the line",
                code=outcome.status,
            )

    # --- the main job's stages, with what is installed now

    def _prove(self, msmtp: Msmtp, settings: Settings) -> None:
        wishes = Wishes(mail=False, timeout=msmtp.timeout)
        with self._journal.stage("config") as entry:
            account = safe_account(self._host, self._journal, lambda _: False)
            entry.seen = describe(account)
            uses = reads_secret_file(account) and account.method not in WITHOUT_PASSWORD
            place = secret_place(self._host, wishes, self._journal) if uses else None
        if settings.secret is not None and place is not None:
            Job(self._host, wishes, Given(settings.secret), self._journal, msmtp, account, place).prove()
            return
        with self._journal.stage("secret") as entry:
            missing = place is not None and place.kind is FileKind.MISSING
            if account.method in WITHOUT_PASSWORD:
                entry.skip(f"`auth {account.method}` needs no password")
            elif missing:
                self.next = NEXT
                entry.skip(f"{SECRET} is missing: {NEXT} asks for the password")
            else:
                entry.seen = f"{SECRET} is there" if place is not None else "comes from another command"
            secret = known_secret(self._host, account)
        with self._journal.stage("pretend") as entry:
            self._pretend(msmtp, account, secret, entry, read=not missing)
        with self._journal.stage("probe") as entry:
            if missing:
                entry.skip("there is no password yet")
            else:
                self._probe(msmtp, account, secret, entry)
        with self._journal.stage("store") as entry:
            entry.skip("the settings hold no password")

    def _pretend(self, msmtp: Msmtp, account: Account, secret: Secret | None, entry: Entry, *, read: bool) -> None:
        outcome = msmtp.accepts(secret, account, read_secret=read)
        if outcome.status != 0:
            from .explain import unusable  # here, because most runs have nothing to explain

            raise unusable(self._host, account, outcome, msmtp.version())
        entry.seen = (
            "the configuration parses" + (" and the secret can be read" if read else "") + " (no more than that)"
        )

    def _probe(self, msmtp: Msmtp, account: Account, secret: Secret | None, entry: Entry) -> None:
        outcome = msmtp.login(secret, account)
        self._journal.verification = outcome.verification
        server = f"{account.get('host')}:{account.port}"
        if outcome.verification is Verification.ACCEPTED:
            entry.seen = f"{server} accepted the login; no mail was sent"
            return
        raise doubted(self._host, msmtp, account, outcome, secret, entry)


def _counted(plan: Plan) -> str:
    """What differs, and what is kept."""
    paths = [change.path for change, _ in plan.wanted]
    words = f"to be changed: {', '.join(paths)}" if paths else "nothing differs"
    return "; kept: ".join((words, *plan.kept))
