"""What `providers` prints: all of them, or the one that was asked for."""

import time
from collections.abc import Callable

from . import render_providers
from .host import Host
from .providers.fact import a_year_before
from .providers.local import known
from .providers.names import find


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
