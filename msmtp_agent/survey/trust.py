"""The files of the account's TLS settings, links followed: trusted certificates, its own certificate, and the key."""

from collections.abc import Callable

from msmtp_agent.certificates import expiries, labelled
from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Pem, Unknown
from msmtp_agent.host import Host
from msmtp_agent.model import FileFacts, FileKind
from msmtp_agent.msmtprc import Account

from .configuration import path_of

SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt"  # what `tls_trust_file system`, the default, means on Debian
_LIMIT = 4 << 20  # bytes that are read: the system's own are 0.2 MiB

Files = tuple[Pem | Unknown | None, Pem | Unknown | None, Pem | Unknown | None]


def gather(host: Host, account: Account | None) -> Files:
    """Trust file, certificate and key; None where the account has none, or no TLS."""
    if account is None or not account.uses_tls:
        return None, None, None

    def named(command: str, counts: Callable[[list[float]], float]) -> Pem | Unknown | None:
        name = account.get(command)
        path = path_of(host, account, command)
        # A relative path is as good as missing: where it leads depends on the directory of whoever sends.
        missing = Pem(FileFacts(name, FileKind.MISSING)) if name else None
        return _pem(host, path, counts) if path else missing

    system = account.get("tls_trust_file") in ("", "system")
    return (
        _pem(host, SYSTEM_TRUST, max) if system else named("tls_trust_file", max),
        named("tls_cert_file", lambda found: found[0]),  # a client shows it; the others have signed it
        named("tls_key_file", max),
    )


def _pem(host: Host, path: str, counts: Callable[[list[float]], float]) -> Pem | Unknown:
    """The facts of a file; `counts` says which of its certificates it stands and falls with."""
    try:
        facts, content = host.read(path, _LIMIT + 1, follow=True)
    except InputOutputError as error:
        return Unknown(error.subject, error.observed)
    if len(content) > _LIMIT:
        return Unknown(path, f"holds more than {_LIMIT >> 20} MiB")
    if facts.kind is not FileKind.REGULAR:
        return Pem(facts)
    found = list(expiries(content))
    blocks = content.count(b"-----BEGIN ")
    return Pem(facts, blocks, counts(found) if found else None, damaged=len(found) < labelled(content))
