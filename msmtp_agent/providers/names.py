"""Find a provider by what a person calls it."""

from collections.abc import Sequence

from msmtp_agent.errors import UsageError
from msmtp_agent.printable import printable

from . import by_name
from .fact import Provider

_LONGEST = 60  # characters of a name that are shown again
_MOST_NEAR = 3


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
        "is not known" + (f" (did you mean {' or '.join(near)}?)" if near else ""),
        expected="one of " + ", ".join(provider.id for provider in providers),
        remedy=f"msmtp-config providers {near[0]}" if near else "msmtp-config providers",
    )
