"""Our own look at the certificate of the account's server: what it shows, or where the conversation ended."""

from collections.abc import Callable
from typing import NamedTuple

from . import certificates, network
from .diagnosed import Seen
from .msmtprc import Account
from .printable import printable

_MOST_NAMES = 100  # of a certificate
_LONGEST = 200  # characters of one name


class Look(NamedTuple):
    """The certificate, or where the look `stopped` (a stage of the room `network`) and its `fault` in words.

    `at_once` says that the port takes TLS from the start, where the account waits for a greeting in clear text.
    """

    certificate: Seen | None = None
    stopped: str = ""
    fault: str = ""
    at_once: bool = False


def look(account: Account, address: str, hide: Callable[[str], str], *, timeout: float, patience: float) -> Look:
    """Look at one address; nothing is judged. What the server says goes through `hide`: it may say the secret again.

    It takes `timeout` seconds at most, and `patience` more where no greeting comes.
    """
    starttls = account.get("tls_starttls") != "off"
    try:
        shown = _shake_hands(account, address, hide, timeout, starttls=starttls)
        found = certificates.describe(shown.der, hide)
    except network.StoppedError as error:
        silent = starttls and error.stage == "greeting" and "timed out" in error.observed
        at_once = silent and _begins_at_once(account, address, patience)
        return Look(stopped=error.stage, fault=_short(hide(error.message)), at_once=at_once)
    except ValueError:
        return Look(fault="the certificate cannot be read")
    subject, issuer, *names = (_short(text) for text in (found.subject, found.issuer, *found.names[:_MOST_NAMES]))
    return Look(
        Seen(
            subject,
            issuer,
            tuple(names),
            found.not_before,
            found.not_after,
            found.fingerprint,
            shown.protocol,
            shown.cipher,
        )
    )


def _shake_hands(
    account: Account, address: str, hide: Callable[[str], str], timeout: float, *, starttls: bool
) -> network.Shown:
    """What is shown in a TLS handshake. Raises StoppedError."""
    domain = account.get("domain")
    return network.certificate(
        address,
        account.port,
        timeout,
        server_name=account.get("tls_host_override") or account.get("host"),
        starttls=starttls,
        hello=domain if domain and "%" not in domain else "localhost",
        hide=hide,
    )


def _begins_at_once(account: Account, address: str, timeout: float) -> bool:
    """Whether the server answers a handshake: at such a port no greeting comes, for as long as one waits."""
    try:
        _shake_hands(account, address, str, timeout, starttls=False)
    except network.StoppedError:
        return False
    return True


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= _LONGEST else shown[:_LONGEST] + " [cut]"
