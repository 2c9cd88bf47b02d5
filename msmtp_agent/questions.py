"""The first questions, where there is no `/etc/msmtprc` yet: each answer is checked at once, all become settings."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from . import settings_file
from .configuration import APPLY
from .errors import ConfigError, UsageError
from .host import MSMTPRC
from .loopback import is_loopback
from .providers import by_host
from .providers.fact import SENDER, Fact, Provider
from .providers.names import find
from .settings import Fault, Settings, SettingsError
from .shape import user_is_password

OTHER = "other"  # in place of a provider's name
_SUBMISSION = "587"  # the usual port (RFC 6409)
_LONGEST_NUMBER = 4  # digits of a number in the list of providers
_INDENT = "  "
# What is taken for an answer while it has not been asked for, so that those that are there can be checked.
_MADE_UP = {"from_email": "root@example.org", "user": "root", "recipient": "root@example.org"}
_MADE_UP_HOST = {"host": "mail.example.org"}
AGAIN = f"msmtp-config   # asks again; or: {APPLY}"


class Person(Protocol):
    """Who is asked."""

    def line(self, prompt: str, *, hidden: bool = False) -> str | None:
        """What is typed, without the blanks around it; None at the end of input."""

    def tell(self, text: str, indent: str | None = None) -> None:
        """Show it where the questions stand; `indent` (of continued lines) folds it to the terminal's width."""


class _Question(NamedTuple):
    """One question: the key of the settings that it fills, what it is called, and what an empty answer stands for.

    `hint` is told in front of it. What is typed is not shown when it is `hidden`.
    """

    key: str
    name: str
    hint: str = ""
    default: str = ""
    hidden: bool = False

    @property
    def prompt(self) -> str:
        return self.name + (f" [{self.default}]" if self.default else "") + ": "


def ask(person: Person, providers: Sequence[Provider]) -> Settings:
    """What the person wants. Raises ConfigError at the end of input, and SettingsError when nothing can come of it."""
    return _Form(person, providers).fill()


def agreed(person: Person, question: str) -> bool:
    """Whether the person says yes to `question`, in so many letters: an empty line is no answer.

    Raises ConfigError at the end of input.
    """
    while True:
        answer = _line(person, f"{question} (yes or no): ").lower()
        if answer in ("y", "yes", "n", "no"):
            return answer.startswith("y")


def unwanted() -> ConfigError:
    """The end of a run in which the person said no."""
    return ConfigError(MSMTPRC, "is missing, and nothing was written, as you wanted", remedy=AGAIN)


def _line(person: Person, prompt: str, *, hidden: bool = False) -> str:
    typed = person.line(prompt, hidden=hidden)
    if typed is None:
        raise ConfigError(
            MSMTPRC, "is missing, and nothing was written: the questions were not answered to their end", remedy=AGAIN
        )
    return typed


class _Form:
    """The answers so far, and what is to be asked next."""

    def __init__(self, person: Person, providers: Sequence[Provider]) -> None:
        self._person = person
        self._providers = providers
        self._values: dict[str, str] = {}

    def fill(self) -> Settings:
        self._person.tell(
            f"{MSMTPRC} is missing. A few questions come first; nothing is written before you have seen it and said "
            "yes (Ctrl-C ends).",
            "",
        )
        provider = self._server(self._provider())
        hint = _words(provider.sender) if provider else "the address that this host's mail is from"
        sender = self._ask(_Question("from_email", "Sender", hint))
        self._ask(_user(provider, sender))
        hint = "where the mail of root and of every other local user goes; several addresses with commas between them"
        self._ask(_Question("recipient", "Recipient", hint))
        return settings_file.of(self._values, self._providers)

    def _provider(self) -> Provider | None:
        """The provider that is chosen; None for any other server."""
        self._person.tell("")
        self._person.tell("Who sends this host's mail on?")
        last = len(self._providers) + 1
        for number, (name, words) in enumerate(
            [*((provider.id, provider.name) for provider in self._providers), (OTHER, "another server")], 1
        ):
            head = f"{number:>3} {name:<14} "
            self._person.tell(head + words, " " * len(head))
        while True:
            typed = _line(self._person, "Provider (number or name): ")
            if typed.lower() in (OTHER, str(last)):
                return None
            if typed.isascii() and typed.isdigit() and len(typed) <= _LONGEST_NUMBER and 0 < int(typed) < last:
                return self._chosen(self._providers[int(typed) - 1], "")
            try:
                return self._chosen(find(self._providers, typed), typed.lower().removesuffix("."))
            except UsageError as error:
                fault = Fault(
                    0,
                    "",
                    error.observed if typed else "is empty",
                    f"a number from 1 to {last}, a name of the list, or its server's",
                )
                self._tell_fault(error.subject if typed else "the provider", fault)

    def _chosen(self, provider: Provider, typed: str) -> Provider:
        """The same, its server noted where that is what was typed, and told what its password is."""
        self._values["provider"] = provider.id
        if provider.serves(typed):
            self._values["host"] = typed
        how = f"; how to make one: msmtp-config providers {provider.id}"
        self._hint(f"password for {provider.name}: {_words(provider.password)}{how}")
        return provider

    def _server(self, provider: Provider | None) -> Provider | None:
        """Ask for server and port where they do not follow from the provider; the provider that has the server."""
        if provider is None:
            return self._other()
        usual, port = provider.hosts[0], provider.ports[0]
        if "host" not in self._values and "*" in usual:
            self._ask(_Question("host", "Server", f"{usual}: the whole name, or what stands for the *"), usual)
        if is_loopback(self._values.get("host", usual)):
            self._ask(_Question("port", "Port", port.note, str(port.number)))
        return provider

    def _other(self) -> Provider | None:
        """Ask for a server; the provider that it turns out to be one of."""
        host = self._ask(_Question("host", "Server", "the name of the server that mail is handed to"))
        port = ""
        if by_host(self._providers, host) is None:
            hint = "465 stands for TLS from the start, any other for STARTTLS"
            port = self._ask(_Question("port", "Port", hint, _SUBMISSION))
        provider = by_host(self._providers, host, int(port or 0))
        return provider and self._chosen(provider, "")

    def _ask(self, question: _Question, pattern: str = "") -> str:
        """The right answer, which is kept as well; one without a dot is taken for the `*` of `pattern`."""
        if question.hint:
            self._hint(question.hint)
        while True:
            typed = _line(self._person, question.prompt, hidden=question.hidden) or question.default
            if pattern and typed and "." not in typed:
                typed = pattern.replace("*", typed)
            fault = self._fault(question.key, typed)
            if fault is None:
                self._values[question.key] = typed
                return typed
            if question.hidden and typed:
                fault = fault._replace(observed="cannot be taken")  # what was seen may be a part of it
            self._tell_fault(f"the {question.name.lower()}", fault)

    def _fault(self, key: str, typed: str) -> Fault | None:
        """What is wrong with this answer, by the rules of a file of settings."""
        if not typed:
            return Fault(0, key, "is empty", "an answer (Ctrl-C ends)")
        made_up = _MADE_UP | ({} if "provider" in self._values else _MADE_UP_HOST)
        try:
            settings_file.of({**made_up, **self._values, key: typed}, self._providers)
        except SettingsError as error:
            return next((fault for fault in error.faults if fault.key == key), None)
        return None

    def _hint(self, text: str) -> None:
        self._person.tell("")
        self._person.tell(f"{_INDENT}{text}", _INDENT)

    def _tell_fault(self, subject: str, fault: Fault) -> None:
        self._person.tell(f"{_INDENT}{subject} {fault.observed}; expected {fault.expected}", _INDENT * 2)


def _user(provider: Provider | None, sender: str) -> _Question:
    name = "" if "%" in sender else sender  # a pattern of msmtp's, which it fills in there alone
    if provider is None:
        return _Question("user", "User name", "the name to log in with", name)
    hidden = user_is_password(provider.id)
    hint = _words(provider.user) + ("; it is not shown while you type it" if hidden else "")
    return _Question("user", "User name", hint, name if provider.login == SENDER else provider.login, hidden)


def _words(fact: Fact) -> str:
    return fact.text + ("" if fact.confirmed else " (unconfirmed)")
