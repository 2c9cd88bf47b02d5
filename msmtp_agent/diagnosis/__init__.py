"""The decoder: a failure and the provider facts become a cause, an owner and steps; it always has an answer."""

from collections.abc import Iterable

from msmtp_agent.model import Diagnosis
from msmtp_agent.printable import printable
from msmtp_agent.providers import by_host
from msmtp_agent.providers.fact import IMPLICIT, Port, Provider
from msmtp_agent.providers.fact import STARTTLS as STARTTLS_MODE

from .connection import CONNECTION, LOST
from .content import CONTENT, FORMAT, HARM
from .envelope import ENVELOPE
from .failure import Failure
from .general import GENERAL_ANSWERS, LAST
from .local import LOCAL
from .login import LOGIN
from .login_replies import LOGIN_REPLIES
from .mailboxes import MAILBOXES
from .quota import MAILBOX, QUOTA
from .relays import RELAYS
from .rule import MAKE_PASSWORD, Rule
from .servers import SERVERS
from .standing import STANDING
from .tls import TLS

# The most specific first: what a provider says, what a server's software says, what the connection tells, what any
# server says at each stage, and last an answer for every stage and every exit status.
SPECIFIC: tuple[Rule, ...] = (*MAILBOXES, *RELAYS, *SERVERS)
ANYBODY: tuple[Rule, ...] = (
    *CONNECTION, *TLS, *LOST, *LOGIN, *LOGIN_REPLIES, *HARM, *MAILBOX, *STANDING, *QUOTA, *CONTENT, *ENVELOPE, *FORMAT,
    *LOCAL,
)  # fmt: skip
RULES: tuple[Rule, ...] = (*SPECIFIC, *ANYBODY, *GENERAL_ANSWERS)
_NEW_PASSWORD = (
    "regenerate App Password (or key, or token) at {provider}; else ask its administrator for a new password"  # noqa: S105 - a step
)
_USUAL_PORTS = (Port(587), Port(2525), Port(2587), Port(465, IMPLICIT))
_MODE = {STARTTLS_MODE: " (tls_starttls on)", IMPLICIT: " (tls_starttls off)"}
_AFTER_ADDRESS = frozenset(":,.")
_MOST_EVIDENCE = 500  # characters of one line


def decode(
    failure: Failure, providers: Iterable[Provider], user: str = "", sender: str = "", *, stale_before: str = ""
) -> Diagnosis:
    """The diagnosis of the first rule that fits; `user` and `sender` as messages show them. It never fails.

    The evidence says so where the facts of the provider were checked before the day `stale_before` (`2025-11-22`).
    """
    known = {provider.id: provider for provider in providers}
    at = by_host(known.values(), failure.host, failure.port)
    text, own = _without_addresses(failure.text.lower()), " ".join(failure.own.lower().split())
    if failure.status is None and not failure.own:
        own = "timed out"
    name = at.id if at else ""
    rule = next((rule for rule in RULES if rule.fits(failure, name, text, own)), LAST)
    provider = known.get(rule.provider) or at
    values = _values(failure, provider, user, sender)
    return Diagnosis(
        rule.id,
        _filled(rule.cause, values),
        rule.owner,
        tuple(_filled(step, values) for step in _steps(rule, provider)),
        (*_evidence(failure), *_age(provider, stale_before)),
        rule.confidence,
    )


def _without_addresses(text: str) -> str:
    """`text` with single blanks, without what it names: <spam@example.com> is nothing that a server says of a mail.

    The signs < and > stay, and what else stands in them (<LF>, <html>): a bare name counts where a colon, a comma or
    dots follow (`<root>: unknown`, `<root>... unknown`).
    """
    words = (_without_address(word) if "@" in word or "<" in word else word for word in text.split())
    return " ".join(word for word in words if word)


def _without_address(word: str) -> str:
    start, end = word.find("<"), word.rfind(">")
    if 0 <= start < end and ("@" in word[start:end] or word[end + 1 : end + 2] in _AFTER_ADDRESS):
        return word[: start + 1] + word[end:]
    local, _, domain = word.rpartition("@")
    return "" if local[-1:].isalnum() and domain[:1].isalnum() else word


def _values(failure: Failure, provider: Provider | None, user: str, sender: str) -> dict[str, str]:
    """What stands for {host} and so on in a rule."""
    host = _pasted(failure.host)
    return {
        "host": host or "the server",
        "port": str(failure.port) if failure.port else "of the account",
        "ports": _ports(provider, failure.port),
        "user": printable(user) or "the user",
        "sender": printable(sender) or "the sender",
        "provider": provider.name if provider else host or "the provider",
    }


def _age(provider: Provider | None, stale_before: str) -> tuple[str, ...]:
    if provider is None or provider.checked >= stale_before:
        return ()
    return (f"facts of {provider.name} unverified since {provider.checked}",)


def _pasted(host: str) -> str:
    """The host as steps name it; empty for one that nobody should paste into a shell."""
    return host if host.isascii() and host.replace(":", "").replace(".", "").replace("-", "").isalnum() else ""


def _ports(provider: Provider | None, tried: int) -> str:
    """The other ports of the provider, or the usual ones."""
    others = [port for port in (provider.ports if provider else _USUAL_PORTS) if port.number != tried]
    return " or ".join(f"{port.number}{_MODE[port.tls]}" for port in others) or "none is known"


def _steps(rule: Rule, provider: Provider | None) -> Iterable[str]:
    for step in rule.steps:
        if step != MAKE_PASSWORD:
            yield step
        elif provider is not None:
            yield from provider.steps
        else:
            yield _NEW_PASSWORD


def _filled(text: str, values: dict[str, str]) -> str:
    """`text` with {host} and so on replaced; one pass, so that nothing of a value is taken for a name."""
    parts = text.split("{")
    result = parts[0]
    for part in parts[1:]:
        name, brace, rest = part.partition("}")
        result += values[name] + rest if brace and name in values else "{" + part
    return result


def _evidence(failure: Failure) -> tuple[str, ...]:
    """What was seen: msmtp's line, the server's reply, and the exit status."""
    reply = " ".join(filter(None, (failure.code, failure.enhanced, failure.text)))
    seen = [line if len(line) <= _MOST_EVIDENCE else line[:_MOST_EVIDENCE] + " [cut]" for line in (failure.own, reply)]
    if failure.status is None:
        ended = "msmtp was ended at the deadline"
    elif failure.status < 0:
        ended = f"msmtp died of signal {-failure.status}"
    else:
        ended = f"msmtp ended with {failure.status}"
    return tuple(filter(None, (*seen, ended)))
