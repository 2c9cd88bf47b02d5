"""The providers that the program knows, and which one a host name belongs to."""

from collections.abc import Iterable, Sequence

from msmtp_agent.loopback import is_loopback

from .fact import Provider
from .mailboxes import MAILBOXES
from .proton import PROTON
from .relays import RELAYS

BUILT_IN: tuple[Provider, ...] = (*MAILBOXES, *PROTON, *RELAYS)


def by_host(providers: Iterable[Provider], host: str, port: int = 0) -> Provider | None:
    """The provider whose server `host` is; None for any other. A loopback address is told by its port as well."""
    name = host.lower().removesuffix(".")
    local = is_loopback(name)
    return by_name([one for one in providers if not local or port in [known.number for known in one.ports]], name)


def by_name(providers: Sequence[Provider], name: str) -> Provider | None:
    """The provider of a server's name, in lower case: one that names it, or else the first of which a pattern fits."""
    named = (provider for provider in providers if name in provider.hosts)
    return next(named, None) or next((provider for provider in providers if provider.serves(name)), None)
