"""The addresses of a host name, asked as msmtp asks, but in a program of its own: a resolver may take minutes."""

from typing import NamedTuple

from . import process

_MOST = 16  # addresses; a name server may answer with as many as it likes


class Resolved(NamedTuple):
    """The addresses of a name, each once, in the order in which they are tried; `fault` says why there is none."""

    addresses: tuple[str, ...]
    fault: str = ""


def resolve(name: str, *, timeout: float, home: str) -> Resolved:
    """Ask getaddrinfo(3) by way of getent(1), at most `timeout` seconds.

    The libc chooses and orders the addresses, as for msmtp: IPv6 is asked for also where this host has none. Of more
    than 16 the first are given. Raises TemporaryError when the program cannot be started.
    """
    path = process.find("getent")
    if path is None:
        return Resolved((), "getent is not installed (package libc-bin)")
    if not name.isascii() or not name.isprintable() or not name:
        return Resolved((), "the name is not ASCII")
    completed = process.run([path, "--no-addrconfig", "ahosts", "--", name], timeout=timeout, home=home)
    if completed.status is None:
        return Resolved((), f"no answer from the resolver in {timeout:g} s")
    words = [line.split() for line in completed.output.decode("ascii", "replace").splitlines()]
    addresses = dict.fromkeys(word[0] for word in words if word and _is_address(word[0]))
    if not addresses:
        return Resolved((), "no address was found")
    return Resolved(tuple(addresses)[:_MOST])


def _is_address(text: str) -> bool:
    import ipaddress  # here, because most commands resolve nothing

    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
