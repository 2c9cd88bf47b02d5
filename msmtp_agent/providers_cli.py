"""What `providers` prints: all of them, or the one that was asked for."""

import time
from collections.abc import Callable, Sequence

from . import render_providers
from .errors import UsageError
from .host import Host
from .printable import printable
from .providers import by_name
from .providers.fact import Provider, a_year_before
from .providers.local import known

_LONGEST = 60  # characters of a name that are shown again
_MOST_NEAR = 3


def run(name: str | None, as_json: bool, *, root: str = "/", clock: Callable[[], float] = time.time) -> int:
    """List the providers that the host at `root` knows, or tell one; the exit status.

    Raises UsageError for a name that none has, ConfigError for a wrong file in providers.d, and InputOutputError.
    """
    with Host(root) as host:
        providers, fault = known(host)
    if fault is not None:
        raise fault
    limit = a_year_before(clock())
    chosen = providers if name is None else (find(providers, name),)
    if as_json:
        render_providers.as_json(chosen, limit)
    elif name is None:
        render_providers.listing(chosen, limit)
    else:
        render_providers.entry(chosen[0], limit)
    return 0


def find(providers: Sequence[Provider], name: str) -> Provider:
    """The provider of this id, display name or server, in any case. Raises UsageError."""
    wanted = _letters(name)
    for provider in providers:
        if wanted and wanted in (_letters(name) for name in _names(provider)):
            return provider
    found = by_name(providers, name.strip().lower().removesuffix("."))
    if found is None:
        raise _unknown(providers, name)
    return found


def _names(provider: Provider) -> tuple[str, str, str]:
    return provider.id, provider.name, provider.name.partition("(")[0]


def _letters(name: str) -> str:
    """What of a name counts: `Microsoft 365` and `microsoft-365` are one."""
    return "".join(character for character in name.casefold() if character.isalnum())


def _unknown(providers: Sequence[Provider], name: str) -> UsageError:
    from difflib import get_close_matches  # costs time, and most names are right

    ids = {text.casefold(): provider.id for provider in providers for text in (*_names(provider), *provider.hosts)}
    close = get_close_matches(name[:_LONGEST].casefold(), ids, _MOST_NEAR)
    near = list(dict.fromkeys(ids[text] for text in close))
    shown = printable(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}...")
    return UsageError(
        f"provider {shown!r}",
        "is not known" + (f": did you mean {' or '.join(near)}?" if near else ""),
        expected="one of " + ", ".join(provider.id for provider in providers),
        remedy=f"msmtp-config providers {near[0]}" if near else "msmtp-config providers",
    )
