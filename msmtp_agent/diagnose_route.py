"""The stages of `diagnose` from the server's name to what it offers: our own look, and msmtp's word, which decides."""

import time
from collections.abc import Iterable
from functools import cached_property

from . import diagnose_words as words
from . import network, serverinfo
from .diagnose_look import look
from .diagnosed import USUAL_PORTS, Seen
from .diagnosis.failure import stage_of, understand
from .errors import AgentError, MsmtpError, RefusedError, TemporaryError
from .explain import explain, gist
from .host import MSMTPRC, Host
from .journal import Entry, Journal
from .model import Outcome, Verification, Wishes
from .msmtp import Msmtp, Served
from .msmtprc import Account
from .network import Reached
from .resolve import resolve
from .secret import Secret

_PATIENCE = 10.0  # s for connections of our own: the packet that begins one has been sent four times by then
_MOST_TRIED = 4  # addresses of which other ports are tried
_ORDER = ("resolve", "connect")  # what msmtp does before it speaks with the server


class Route:
    """What is known of the way to the account's server, stage after stage."""

    def __init__(
        self, host: Host, wishes: Wishes, journal: Journal, msmtp: Msmtp, account: Account, secret: Secret | None
    ) -> None:
        self._host = host
        self._timeout = wishes.timeout
        self._journal = journal
        self._msmtp = msmtp
        self._account = account
        self._secret = secret
        self._name = account.get("host")
        self._port = account.port
        self._stopped = ""  # where our own look at TLS ended
        self._traits: frozenset[str] = frozenset()  # what that look has found out for the decoder
        self._now = time.time()
        self.addresses: tuple[Reached, ...] = ()
        self.ports: tuple[Reached, ...] = ()
        self.certificate: Seen | None = None
        self.server: serverinfo.ServerInfo | None = None

    def error(
        self,
        observed: str,
        outcome: Outcome,
        *,
        stage: str,
        traits: frozenset[str] = frozenset(),
        seen: Iterable[str] = (),
        subject: str = "",
    ) -> AgentError:
        """The error for a run of msmtp that failed; `stage` is where, unless msmtp's own words tell.

        `traits` are for the decoder, `seen` is what else speaks for its answer; `subject` is the server without it.
        """
        subject = subject or f"{self._name or self._account.get('socket')}:{self._port}"
        version = self._msmtp.version()
        told = explain(self._host, self._account, outcome, version=version, stage=stage, traits=traits)
        told = told._replace(evidence=(*told.evidence, *seen))
        kind: type[AgentError] = MsmtpError
        code = outcome.status
        if outcome.status is None:
            kind, code = TemporaryError, None
            observed += f"; msmtp was still waiting after {self._timeout:g} s and was ended"
        elif outcome.status < 0:
            kind, code = AgentError, None
            observed += f"; msmtp died of signal {-outcome.status}"
        elif outcome.status == RefusedError.code and outcome.verification is not Verification.REFUSED:
            kind, code = TemporaryError, None  # a 4xx reply to AUTH
            observed += "; msmtp ended with 77 for a temporary refusal"
        else:
            observed += f"; msmtp ended with {outcome.status}"
        return kind(subject, observed, words=outcome.words, code=code, diagnosis=told)

    def no_login(self, outcome: Outcome) -> AgentError:
        """The error for a login that failed, at the server or before it."""
        place = understand(outcome.words, outcome.status, self._account).stage
        if place == "secret" or (outcome.status is None and self._secret_never_comes()):
            subject = f"{MSMTPRC}: line {self._account.line_of('passwordeval')}"
            return self.error("`passwordeval` gave no password", outcome, stage="secret", subject=subject)
        observed = "no login" if place != "general" else "no answer to the login, or to what follows it"
        if outcome.verification is Verification.REFUSED:
            observed = "the server refused the login"
        return self.error(observed, outcome, stage="auth")

    def _secret_never_comes(self) -> bool:
        """Whether it is the secret command that does not end, and no server that falls silent: it is run once more."""
        if self._secret is not None or not self._account.get("passwordeval"):
            return False
        return self._msmtp.accepts(None, self._account, read_secret=True).status is None

    def resolve_and_connect(self) -> None:
        """The stages resolve, connect and ports. Raises AgentError where msmtp does not get further either."""
        if why := self._not_ours():
            self._leave_to_msmtp(why)
            return
        found = self._resolved()
        if not found:
            for name in ("connect", "ports"):
                with self._journal.stage(name) as entry:
                    entry.skip("we know no address, and msmtp has connected")
            return
        self._connect(found)

    def tls(self) -> None:
        """The stage tls: what msmtp says, and the certificate. Raises AgentError."""
        with self._journal.stage("tls") as entry:
            if not self._account.uses_tls:
                entry.skip("`tls off`: nothing is encrypted")
                return
            self._look(entry)
            served = self._served
            if served.outcome.status == 0:
                self.server = serverinfo.parse(served.lines)
            if served.outcome.status != 0 and self._belongs_to_tls():
                raise self._told(entry, "no TLS session", served.outcome)
            if self.certificate is None and self.server is not None:
                told = words.session(self.server, self._account)
                entry.seen = told.seen
                entry.details += told.details

    def capabilities(self) -> None:
        """The stage capabilities: what msmtp has seen of them. Raises AgentError."""
        with self._journal.stage("capabilities") as entry:
            served = self._served
            if served.outcome.status != 0:
                raise self._told(entry, "the server does not tell what it offers", served.outcome)
            self.server = serverinfo.parse(served.lines)
            entry.seen, entry.details[:] = words.capabilities(self.server, self._account)

    @property
    def _patience(self) -> float:
        return min(self._timeout, _PATIENCE)

    @property
    def _starttls(self) -> bool:
        return self._account.get("tls_starttls") != "off"

    @cached_property
    def _served(self) -> Served:
        """What msmtp says of the server; it is asked once."""
        return self._msmtp.serverinfo(self._account, secret=self._secret)

    def _own_stage(self) -> str:
        """Where msmtp stopped, in the decoder's words, as far as its own line tells."""
        own = gist(self._served.outcome.words)
        return stage_of(own[0]) if own else ""

    def _goes_beyond(self, stage: str, entry: Entry) -> bool:
        """Whether msmtp got further than our own look, which failed at this stage: then the look was wrong."""
        place, status = self._own_stage(), self._served.outcome.status
        further = status == 0 or (place != "" and (place not in _ORDER or _ORDER.index(place) > _ORDER.index(stage)))
        if further:
            entry.seen += "; msmtp gets further all the same"
        return further

    def _not_ours(self) -> str:
        """Why we cannot look ourselves: msmtp goes another way to the server."""
        if self._account.get("socket"):
            return f"the account's server is the socket {self._account.get('socket')}"
        if self._account.get("proxy_host"):
            return f"msmtp goes through the proxy {self._account.get('proxy_host')}"
        return f"msmtp sends from {self._account.get('source_ip')}" if self._account.get("source_ip") else ""

    def _leave_to_msmtp(self, why: str) -> None:
        with self._journal.stage("resolve") as entry:
            entry.skip(why)
        with self._journal.stage("connect") as entry:
            if self._own_stage() in _ORDER:
                raise self._told(entry, f"{why}; no connection", self._served.outcome, at="connect")
            entry.skip(why)
        with self._journal.stage("ports") as entry:
            entry.skip(why)

    def _resolved(self) -> tuple[str, ...]:
        with self._journal.stage("resolve") as entry:
            found = resolve(self._name, timeout=self._timeout, home=self._host.home())
            if not found.fault:
                entry.seen, entry.details[:] = words.addresses(self._name, found.addresses)
                return found.addresses
            entry.seen = f"{self._name}: {found.fault}"
            if not self._goes_beyond("resolve", entry):
                raise self._told(entry, found.fault, self._served.outcome, at="resolve")
        return ()

    def _connect(self, found: tuple[str, ...]) -> None:
        """The stages connect and ports: the second only where the first timed out. Raises AgentError."""
        with self._journal.stage("connect") as entry:
            self.addresses = network.reach_all([(one, self._port) for one in found], self._patience)
            entry.seen, entry.details[:] = words.connections(self.addresses, self._port)
            works = any(not one.fault for one in self.addresses)
            further = self._gets_past_dead_ones(entry) if works else self._goes_beyond("connect", entry)
            observed, looked = entry.seen if works else words.unreached(self.addresses), tuple(entry.details)
            if not further:
                entry.fail(entry.seen)
                entry.details += quoted(self._served.outcome.words)
        with self._journal.stage("ports") as other:
            if works or further:
                other.skip(f"port {self._port} works")
                traits = frozenset({"first-dead"})
            else:
                traits = self._try_ports(other)
        if not further:
            seen = (*looked, *other.details)
            raise self.error(observed, self._served.outcome, stage="connect", traits=traits, seen=seen)

    def _gets_past_dead_ones(self, entry: Entry) -> bool:
        """Whether msmtp comes to the address that works: at one before it that is silent it waits for minutes."""
        works = [not one.fault for one in self.addresses].index(True)
        silent = [one.address for one in self.addresses[:works] if _is_late(one)]
        if not silent or self._account.get("timeout") not in ("", "off"):
            return True
        entry.seen += f"; msmtp waits for {silent[0]} first"
        return self._served.outcome.status is not None

    def _try_ports(self, entry: Entry) -> frozenset[str]:
        """Whether other usual ports of the same addresses answer; what that tells the decoder."""
        late = [one.address for one in self.addresses if _is_late(one)]
        if not late or any(one.fault == "refused" for one in self.addresses):
            entry.skip("the connection did not time out: another port would not help")
            return frozenset()
        others = [number for number in USUAL_PORTS if number != self._port]
        self.ports = network.reach_all([(one, port) for port in others for one in late[:_MOST_TRIED]], self._patience)
        seen, entry.details[:] = words.ports(self.ports, self._port)
        works = {one.port for one in self.ports if not one.fault}
        if works:
            entry.seen = seen
        else:
            entry.fail(seen)
        return frozenset({"timed-out", *([f"open-{port}" for port in works] or ["no-port"])})

    def _belongs_to_tls(self) -> bool:
        """Whether msmtp's failure came before TLS had begun: what comes behind is told of the capabilities.

        Where its words do not tell, our own look does.
        """
        place = self._own_stage() or self._stopped
        if place in ("greeting", "hello"):
            return self._starttls and self.certificate is None
        return place != "" or self.certificate is None

    def _told(self, entry: Entry, observed: str, outcome: Outcome, *, at: str = "") -> AgentError:
        """The error of a failed run, and the end of its stage with it."""
        usual = "hello" if self._starttls and self._account.uses_tls else "greeting"
        stage = at or self._stopped or usual
        return ended(entry, self.error(observed, outcome, stage=stage, traits=self._traits, seen=entry.details))

    def _hide(self, text: str) -> str:
        """Without the secret, which a server may say again."""
        return self._secret.redact(text, self._account.get("user")) if self._secret else text

    def _look(self, entry: Entry) -> None:
        """Our own look at the certificate, at the first address that answers; it judges nothing."""
        address = next((one.address for one in self.addresses if not one.fault), "")
        if not address:
            return
        timeout = self._timeout if self._served.outcome.status is not None else self._patience
        found = look(self._account, address, self._hide, timeout=timeout, patience=self._patience)
        self._stopped, self.certificate = found.stopped, found.certificate
        if found.fault:
            entry.details.append(f"our own look: {found.fault}")
        if found.at_once:
            entry.details.append("our own look: TLS begins there at once, without a greeting")
            self._traits = frozenset({"port-implicit"})
        if self.certificate is None:
            return
        told = words.certificate(self.certificate, self._account, self._now)
        entry.seen = told.seen
        entry.details += told.details
        if warning := words.expires_soon(self.certificate, self._now):
            self._journal.warn(warning)


def ended(entry: Entry, error: AgentError) -> AgentError:
    """The error, once its stage has ended with it and with the words of msmtp and the server."""
    entry.fail(error.message)
    entry.details += quoted(error.words)
    return error


def quoted(words: tuple[str, ...]) -> list[str]:
    """What msmtp said failed, and what the server said first."""
    return [f"msmtp: {line}" for line in gist(words)]


def _is_late(one: Reached) -> bool:
    return one.fault.startswith("timed out")
