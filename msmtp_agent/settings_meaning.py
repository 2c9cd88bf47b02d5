"""What settings mean: the provider's facts and the defaults filled in, as the template of the fragment has them."""

from collections.abc import Sequence

from .aliases import LONGEST_LINE
from .errors import DataError, UsageError
from .loopback import is_loopback
from .msmtprc_text import line
from .providers import by_host
from .providers.fact import IMPLICIT, SENDER, Provider
from .readiness import WITHOUT_PASSWORD
from .secret import Secret, parse
from .settings import FILE, TRUST_FILE, Fault, Settings
from .settings_schema import Entries
from .settings_words import COMMAND, FITTING, FITTING_ALIAS, PASSWORD, Shown

_BRIDGE = "proton-bridge"
_PORT = 587
_IMPLICIT_PORT = 465
_COMMANDS = {"from_email": "from", "auth_method": "auth"}  # what a key is called in msmtprc, where the names differ


def settings(entries: Entries, providers: Sequence[Provider], shown: Shown) -> tuple[Settings, list[Fault]]:
    """The settings, and what is wrong with them besides their shape; with a fault they are good for nothing."""
    meaning = _Meaning(entries, providers, shown)
    return meaning.settings(), meaning.faults


class _Meaning:
    def __init__(self, entries: Entries, providers: Sequence[Provider], shown: Shown) -> None:
        self.faults: list[Fault] = []
        self._warnings: list[str] = []
        self._entries = entries
        self._providers = providers
        self._shown = shown

    def settings(self) -> Settings:
        """Everything; `faults` then tells what is wrong."""
        entries = self._entries
        provider = self._provider()
        host = self._host(provider)
        port, implicit = self._way(provider)
        method = _word(entries, "auth_method") or "on"
        user = self._user(provider, method)
        secret, command = self._credential(method)
        for key in entries.values:
            self._require_fitting(key)
        made = Settings(
            host=host,
            port=port,
            sender=entries.text("from_email"),
            user=user,
            recipients=self._recipients(),
            provider=provider.id if provider else "",
            method=method,
            implicit_tls=implicit,
            certcheck=entries.switch("tls_certcheck") is not False,
            trust_file=entries.text("tls_trust_file") or TRUST_FILE,
            cert_file=entries.text("tls_cert_file"),
            key_file=entries.text("tls_key_file"),
            fingerprint=entries.text("tls_fingerprint"),
            set_from_header=_word(entries, "set_from_header"),
            log=entries.text("log") or FILE,
            passwordeval=command,
            secret=secret,
        )
        self._doubt(made)
        return made._replace(warnings=tuple(self._warnings))

    def _provider(self) -> Provider | None:
        from .providers.names import find  # here, because most settings name none

        name = self._entries.text("provider")
        if not name:
            return None
        try:
            return find(self._providers, name)
        except UsageError as error:
            observed = f"{self._shown.text(name)} {error.observed}"
            self.faults.append(self._entries.fault("provider", observed, error.expected))
            return None

    def _host(self, provider: Provider | None) -> str:
        host = self._entries.text("host")
        if provider is None or (not host and "host" in self._entries.lines):
            return host
        if host:
            if not provider.serves(host.lower().removesuffix(".")):
                observed = f"is {self._shown.text(host)}, no server of {provider.name}"
                self.faults.append(self._entries.fault("host", observed, " or ".join(provider.hosts)))
            return host
        usual = provider.hosts[0]
        if "*" in usual:
            observed = f"is missing, and {provider.name} has more than one"
            self.faults.append(self._entries.fault("host", observed, " or ".join(provider.hosts)))
        return usual

    def _way(self, provider: Provider | None) -> tuple[int, bool]:
        """The port, and whether TLS begins with the connection.

        msmtp knows one switch for the latter, and the fragment's template lets `tls_on_connect: true` win.
        """
        starttls, at_once = self._entries.switch("tls_starttls"), self._entries.switch("tls_on_connect")
        wish = True if at_once else not starttls if starttls is not None else at_once
        known = provider.ports if provider else ()
        given = self._entries.values.get("port")
        if given is None:
            fitting = [one for one in known if wish is None or (one.tls == IMPLICIT) is wish]
            port = (fitting or known)[0].number if known else _PORT
        else:
            port = int(given) if isinstance(given, int | float | str) else 0
        usual = next((one.tls == IMPLICIT for one in known if one.number == port), port == _IMPLICIT_PORT)
        implicit = usual if wish is None else wish
        if starttls is not None and starttls is at_once:
            way = "with the connection" if implicit else "with STARTTLS"
            self._warnings.append(
                f"tls_on_connect and tls_starttls contradict each other, both {str(at_once).lower()}: TLS begins {way}"
            )
        if port == _IMPLICIT_PORT and not implicit:
            self._warnings.append("port 465 is for TLS from the start, and STARTTLS is set: msmtp may wait in vain")
        if implicit and port == _PORT:
            self._warnings.append("port 587 is for STARTTLS, and TLS from the start is set: such a port is 465")
        return port, implicit

    def _user(self, provider: Provider | None, method: str) -> str:
        user, sender = self._entries.text("user"), self._entries.text("from_email")
        if user or "user" in self._entries.lines or provider is None:
            return user  # that it is missing without a provider, the schema tells
        if provider.login == SENDER:
            if "%" not in sender:  # else a pattern of msmtp's, which it fills in there alone
                return sender
        elif provider.login:
            return provider.login
        if method not in WITHOUT_PASSWORD:
            self.faults.append(self._entries.fault("user", "is missing", provider.user.text))
        return ""

    def _recipients(self) -> tuple[str, ...]:
        found = [part.strip(" ") for part in self._entries.text("recipient").split(",")]
        recipients = tuple(dict.fromkeys(filter(None, found)))
        if len("default: " + ", ".join(recipients)) >= LONGEST_LINE:
            self.faults.append(self._entries.fault("recipient", "is too long", FITTING_ALIAS))
        return recipients

    def _credential(self, method: str) -> tuple[Secret | None, str]:
        """The password, or else the command that prints it, without the double quotes that are msmtp's."""
        entries, given = self._entries, self._entries.text(PASSWORD)
        used = PASSWORD if given else COMMAND
        if method == "off" and entries.text(used):
            self._warnings.append(f"{used} is not used: auth_method is off")
        if given:
            secret = None
            try:
                secret = parse(given.encode("utf-8", "surrogateescape"), PASSWORD)
            except DataError as error:
                self.faults.append(entries.fault(PASSWORD, error.observed, error.expected))
            if COMMAND in entries.lines:
                self._warnings.append(f"{COMMAND} is not used: {PASSWORD} is set, and it wins")
            return secret, ""
        command = _bare(entries.text(COMMAND))
        if COMMAND in entries.values and not command.strip():
            self.faults.append(entries.fault(COMMAND, "is blank"))
        return None, command

    def _require_fitting(self, key: str) -> None:
        """A fault for what would make a line of msmtprc too long, in bytes."""
        value = self._entries.text(key)
        if key in (PASSWORD, "recipient") or not value:
            return
        try:
            line(_COMMANDS.get(key, key), _bare(value) if key == COMMAND else value, quoted=key == COMMAND)
        except ValueError:
            self.faults.append(self._entries.fault(key, "is too long", FITTING))

    def _doubt(self, made: Settings) -> None:
        """Warn of what is allowed and seldom right."""
        provider = by_host(self._providers, made.host, made.port)
        found = provider.id if provider and is_loopback(made.host) else made.provider
        if found == _BRIDGE and not made.fingerprint:
            self._warnings.append(
                "Proton Mail Bridge has a certificate of its own; once the settings are applied: msmtp-config pin"
            )
        elif not made.certcheck and not made.fingerprint:
            self._warnings.append(
                "tls_certcheck is false: any server can pose as this one and get the password; better: msmtp-config pin"
            )
        if not made.certcheck and made.fingerprint:
            self._warnings.append("tls_certcheck false counts for nothing beside tls_fingerprint")
        if provider and provider.login not in ("", SENDER, made.user) and made.user:
            self._warnings.append(f"user: {provider.name} wants the word {provider.login} there")


def _bare(command: str) -> str:
    """A command without what msmtp takes away around it: blanks, and one pair of double quotes."""
    command = command.strip(" \t")
    return command[1:-1] if len(command) > 1 and command[0] == command[-1] == '"' else command


def _word(entries: Entries, key: str) -> str:
    """The word of a key that knows on and off as well; empty where it is not given."""
    switch = entries.switch(key)
    return entries.text(key) if switch is None else "on" if switch else "off"
