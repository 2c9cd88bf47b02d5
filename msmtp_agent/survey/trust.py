"""The files of the account's TLS settings, links followed: trusted certificates, its own certificate, and the key."""

from collections.abc import Callable

from msmtp_agent.certificates import expiries, labelled
from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Pem, Unknown
from msmtp_agent.host import Host
from msmtp_agent.model import FileFacts, FileKind
from msmtp_agent.msmtprc import Account

SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt"  # what `tls_trust_file system`, the default, means on Debian
_LIMIT = 4 << 20  # bytes that are read: the system's own are 0.2 MiB

Files = tuple[Pem | Unknown | None, Pem | Unknown | None, Pem | Unknown | None]


def gather(host: Host, account: Account | None) -> Files:
    """Trust file, certificate and key; None where the account has none, or no TLS."""
    if account is None or not account.uses_tls:
        return None, None, None
    trust = account.get("tls_trust_file")
    if not trust or trust == "system":
        trust = SYSTEM_TRUST
    certificate, key = account.get("tls_cert_file"), account.get("tls_key_file")
    return (
        _pem(host, trust, max),
        # A client shows the first; the others are those who have signed it.
        _pem(host, certificate, lambda found: found[0]) if certificate else None,
        _pem(host, key, max) if key else None,
    )


def _pem(host: Host, path: str, counts: Callable[[list[float]], float]) -> Pem | Unknown:
    """The facts of a file; `counts` says which of its certificates it stands and falls with."""
    if path.startswith("~/"):
        path = host.home() + path[1:]
    if not path.startswith("/"):  # where that leads depends on the directory of whoever sends
        return Pem(FileFacts(path, FileKind.MISSING))
    try:
        facts, content = host.read(path, _LIMIT, follow=True)
    except InputOutputError as error:
        return Unknown(error.subject, error.observed)
    if facts.kind is not FileKind.REGULAR:
        return Pem(facts)
    found = list(expiries(content))
    blocks = content.count(b"-----BEGIN ")
    return Pem(facts, blocks, counts(found) if found else None, damaged=len(found) < labelled(content))
