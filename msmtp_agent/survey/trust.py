"""The files of the account's TLS settings, links followed: trusted certificates, its own certificate, and the key."""

from msmtp_agent.certificates import expiries
from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Pem, Unknown
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind
from msmtp_agent.msmtprc import Account

SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt"  # what `tls_trust_file system`, the default, means on Debian
_LIMIT = 4 << 20  # bytes that are read: the system's own are 0.2 MiB

Files = tuple[Pem | Unknown | None, Pem | Unknown | None, Pem | Unknown | None]


def gather(host: Host, account: Account | None, now: float) -> Files:
    """Trust file, certificate and key; None where the account has none, or no TLS."""
    if account is None or not account.uses_tls:
        return None, None, None
    trust = account.get("tls_trust_file")
    if not trust or trust == "system":
        trust = SYSTEM_TRUST
    certificate, key = account.get("tls_cert_file"), account.get("tls_key_file")
    return (
        _pem(host, trust, now),
        _pem(host, certificate, None) if certificate else None,
        _pem(host, key, None) if key else None,
    )


def _pem(host: Host, path: str, now: float | None) -> Pem | Unknown:
    if path.startswith("~/"):
        path = host.home() + path[1:]
    try:
        facts, content = host.read(path, _LIMIT, follow=True)
    except InputOutputError as error:
        return Unknown(error.subject, error.observed)
    if facts.kind is not FileKind.REGULAR:
        return Pem(facts)
    return Pem(facts, content.count(b"-----BEGIN "), _expires(content, now))


def _expires(content: bytes, now: float | None) -> float | None:
    """When a bundle's last certificate expires: the first that is still good is enough of an answer for a long one.

    Without `now`, the first: a client shows that, and the others are those who have signed it.
    """
    if now is None:
        return next(expiries(content), None)
    last = None
    for expiry in expiries(content):
        if expiry > now:
            return expiry
        last = max(last or expiry, expiry)
    return last
