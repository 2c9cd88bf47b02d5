"""Whether a host is this machine, by its very name or number: nothing is looked up."""

import re

_OURS = re.compile(r"localhost\.?|127(\.[0-9]{1,3}){3}|::1", re.IGNORECASE)


def is_loopback(host: str) -> bool:
    """Whether `host` as an account has it is this machine."""
    return _OURS.fullmatch(host) is not None
