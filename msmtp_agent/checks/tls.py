"""Checks of the group "TLS": is the password encrypted on its way, to the right server, with files that hold."""

import time
from collections.abc import Iterator
from shlex import quote

from msmtp_agent.facts import Facts, NotApplicableError, Pem, known
from msmtp_agent.host import MSMTPRC
from msmtp_agent.loopback import is_loopback
from msmtp_agent.model import FileKind
from msmtp_agent.msmtprc import Account, refusal
from msmtp_agent.readiness import WITHOUT_PASSWORD

from .check import ERROR, WARNING, Flaw, Group, edit, rights
from .configuration import account_of, put

CHECKS = Group("TLS")
_DAY = 86_400  # seconds


def _encrypted(facts: Facts) -> Account:
    account = account_of(facts)
    if not account.uses_tls:
        raise NotApplicableError("the default account uses no TLS")
    return account


def _trust(facts: Facts) -> Pem | None:
    """The trusted certificates, or None where nothing is judged by them."""
    account = _encrypted(facts)
    if facts.trust is None or account.get("tls_certcheck") == "off" or account.get("tls_fingerprint"):
        return None
    return known(facts.trust)


@CHECKS("tls-off", ERROR, "config-default-account")
def off(facts: Facts) -> Iterator[Flaw]:
    """TLS is off, and the password crosses the network in clear text.

    With `auth plain` or `login` and `tls off` (the default) msmtp sends the password as it is, exit status 0. With
    `auth on` it refuses (status 69), and no mail leaves. A server on loopback is passed over.

    Add `tls on` to the account.
    """
    account = account_of(facts)
    if account.method in WITHOUT_PASSWORD or account.uses_tls or is_loopback(account.get("host")):
        return
    line = account.line_of("tls")
    observed = f"the password would cross the network to {account.get('host')} in clear text (`tls off`)"
    yield Flaw(MSMTPRC, observed, "`tls on`", put(account, "tls", "on"), line)


@CHECKS("tls-unchecked", ERROR, "config-default-account")
def unchecked(facts: Facts) -> Iterator[Flaw]:
    """The server's certificate is not checked.

    With `tls_certcheck off` the password goes to whoever answers at that address; msmtp then does not look at a
    `tls_fingerprint` either. On loopback (a local bridge with a certificate of its own) only another user of this
    machine could be that; the certificate can be pinned there.

    Remove the line. For a certificate of the server's own, as a local bridge has one, `msmtp-config pin` puts its
    fingerprint in place of the line; or name the certificate itself as `tls_trust_file`.
    """
    account = _encrypted(facts)
    if account.get("tls_certcheck") != "off":
        return
    line = account.line_of("tls_certcheck")
    if is_loopback(account.get("host")):
        yield Flaw(MSMTPRC, "`tls_certcheck off`", "the certificate pinned", "msmtp-config pin", line, WARNING)
    else:
        remedy = edit(MSMTPRC, line, "remove tls_certcheck off; for a certificate of its own: msmtp-config pin")
        yield Flaw(MSMTPRC, f"`tls_certcheck off` for {account.get('host')}", "`tls_certcheck on`", remedy, line)


@CHECKS("tls-465-starttls", ERROR, "config-default-account")
def submissions_with_starttls(facts: Facts) -> Iterator[Flaw]:
    """STARTTLS is used on a port where TLS starts with the connection.

    On port 465 (RFC 8314) the server waits for TLS and msmtp for a greeting: without `timeout` for ever.

    Add `tls_starttls off`, or use port 587.
    """
    account = _encrypted(facts)
    if account.port == 465 and account.get("tls_starttls") != "off":
        line = account.line_of("tls_starttls") if account.get("tls_starttls") else account.line_of("port")
        remedy = put(account, "tls_starttls", "off")
        yield Flaw(MSMTPRC, "port 465 with STARTTLS", "`tls_starttls off`", remedy, line)


@CHECKS("tls-587-implicit", ERROR, "config-default-account")
def submission_with_implicit_tls(facts: Facts) -> Iterator[Flaw]:
    """TLS is spoken from the start on a port that wants STARTTLS.

    On port 587 (RFC 6409) and 25 the server answers in clear text first: msmtp ends with status 76, and no mail
    leaves.

    Remove `tls_starttls off`, or use port 465.
    """
    account = _encrypted(facts)
    if account.port in (25, 587) and account.get("tls_starttls") == "off":
        line = account.line_of("tls_starttls")
        remedy = edit(MSMTPRC, line, "remove tls_starttls off, or: port 465")
        yield Flaw(MSMTPRC, f"port {account.port} with TLS from the start", "STARTTLS", remedy, line)


@CHECKS("tls-no-trust", ERROR, "config-default-account")
def no_trust(facts: Facts) -> Iterator[Flaw]:
    """The default account has nothing to judge the server's certificate by.

    An empty `tls_trust_file` takes the system's certificates away. With TLS on and neither a fingerprint nor
    `tls_certcheck off`, or with `tls_crl_file`, msmtp refuses the account (status 78).

    Remove the empty line, or name a file.
    """
    account = account_of(facts)
    words = refusal(account)
    if "tls_trust_file" in words:
        line = account.line_of("tls_trust_file")
        yield Flaw(MSMTPRC, words, "`tls_trust_file system`", edit(MSMTPRC, line, "tls_trust_file system"), line)


@CHECKS("tls-trust-file", ERROR, "config-default-account")
def trust_file(facts: Facts) -> Iterator[Flaw]:
    """The file of trusted certificates is missing, is no file, or does not hold certificates alone.

    msmtp ends with status 66 when it is missing, when it holds no certificate, and when one of them is damaged, however
    good the others are. Without `tls_trust_file` the system's own is taken, which the package ca-certificates makes.

    Install ca-certificates, or name the right file.
    """
    account, trust = _encrypted(facts), _trust(facts)
    if trust is None:
        return
    path, line = trust.file.path, account.line_of("tls_trust_file")
    system = path == "/etc/ssl/certs/ca-certificates.crt"
    remedy = "apt install --reinstall ca-certificates" if system else edit(MSMTPRC, line, "tls_trust_file ...")
    if trust.file.kind is not FileKind.REGULAR:
        observed = "is missing" if trust.file.kind is FileKind.MISSING else f"is {trust.file.kind.value}"
        yield Flaw(path, observed, "a file of certificates", remedy)
    elif trust.expires is None:
        yield Flaw(path, "holds no certificate", "certificates in PEM", remedy)
    elif trust.damaged:
        yield Flaw(path, "holds a damaged certificate, and is refused with all others", "certificates in PEM", remedy)


@CHECKS("tls-trust-expired", ERROR, "tls-trust-file")
def trust_expired(facts: Facts) -> Iterator[Flaw]:
    """Every trusted certificate has expired.

    msmtp refuses the server's certificate (status 69) when what it is to be judged by has expired.

    Get the authority's, or the server's, new certificate.
    """
    trust = _trust(facts)
    if trust is not None:
        yield from _expired(facts, trust, "certificates")


@CHECKS("tls-client-pair", ERROR, "config-default-account")
def client_pair(facts: Facts) -> Iterator[Flaw]:
    """A client certificate is configured without its key, or a key without its certificate.

    msmtp refuses an account with one of `tls_cert_file` and `tls_key_file` alone (status 78), even where TLS is off.

    Name both, or none.
    """
    account = account_of(facts)
    present = [command for command in ("tls_cert_file", "tls_key_file") if account.get(command)]
    if len(present) == 1:
        other = "tls_key_file" if present == ["tls_cert_file"] else "tls_cert_file"
        line = account.line_of(present[0])
        yield Flaw(MSMTPRC, f"`{present[0]}` without `{other}`", "both, or none", put(account, other, "..."), line)


@CHECKS("tls-client-files", ERROR, "tls-client-pair")
def client_files(facts: Facts) -> Iterator[Flaw]:
    """The client's certificate or key is missing, is no file, or holds nothing in PEM.

    msmtp ends with status 66 or 69, and no mail leaves.

    Put the file there, or remove both lines.
    """
    account = _encrypted(facts)
    for command, fact in (("tls_cert_file", facts.certificate), ("tls_key_file", facts.key)):
        if fact is None:
            continue
        pem, line = known(fact), account.line_of(command)
        remedy = edit(MSMTPRC, line, f"{command} ...")
        if pem.file.kind is not FileKind.REGULAR:
            observed = "is missing" if pem.file.kind is FileKind.MISSING else f"is {pem.file.kind.value}"
            yield Flaw(pem.file.path, observed, f"the file of `{command}`", remedy)
        elif not pem.blocks:
            yield Flaw(pem.file.path, "holds nothing in PEM", f"the file of `{command}`", remedy)


@CHECKS("tls-client-expired", ERROR, "tls-client-files")
def client_expired(facts: Facts) -> Iterator[Flaw]:
    """The client's certificate has expired, or will within two weeks.

    The server refuses the connection once it has, and no mail leaves; not even the one that would tell.

    Have it renewed.
    """
    _encrypted(facts)
    if facts.certificate is None:
        return
    certificate = known(facts.certificate)
    yield from _expired(facts, certificate, "certificate")
    left = (certificate.expires or facts.now) - facts.now
    if 0 < left < 14 * _DAY:
        path = certificate.file.path
        observed = f"expires within {int(left // _DAY) + 1} days"
        yield Flaw(
            path, observed, "a new certificate in time", f"openssl x509 -noout -enddate -in {quote(path)}", 0, WARNING
        )


@CHECKS("tls-key-mode", ERROR, "tls-client-files")
def key_mode(facts: Facts) -> Iterator[Flaw]:
    """The client's key can be read by others.

    Whoever reads it can log in as this host. Where only a group may (Debian has `ssl-cert` for that), it is a warning.

    Make it root's with mode 0600; have the certificate renewed with a new key.
    """
    _encrypted(facts)
    if facts.key is None:
        return
    file = known(facts.key).file
    if file.uid != 0 or file.mode & 0o077:
        severity = WARNING if file.uid == 0 and file.mode & 0o077 == 0o040 else ERROR
        yield Flaw(file.path, f"is {file.rights}", "0600 root:root", rights(file.path), severity=severity)


def _expired(facts: Facts, pem: Pem, what: str) -> Iterator[Flaw]:
    if pem.expires is not None and pem.expires <= facts.now:
        date = time.strftime("%Y-%m-%d", time.gmtime(pem.expires))
        remedy = f"openssl x509 -noout -enddate -in {quote(pem.file.path)}"
        yield Flaw(pem.file.path, f"expired on {date}", f"{what} that is valid", remedy)
