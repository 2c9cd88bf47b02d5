"""A certificate authority for one test session, and the four certificates that the peers show."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)
_AUTHORITY = "Test authority"


@dataclass(frozen=True)
class Pki:
    """Where the files lie: `ca.pem` for `tls_trust_file`, and NAME.pem with NAME.key.

    `good` is for localhost, 127.0.0.1 and mail.example.test (what a virtual machine calls them), `wrong` for another
    name, `expired` ended yesterday, `self` signs itself.
    """

    directory: Path
    _authority: ec.EllipticCurvePrivateKey

    def issue(self, name: str, hosts: list[str], *, days: int = 2, starts: int = -30, subject: str = "") -> None:
        """Write NAME.pem and NAME.key, from the same authority; valid from `starts` to `days`, counted from today.

        `subject` is the common name, in place of the first host.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(
            _name(subject or hosts[0]), _name(_AUTHORITY), key, self._authority, hosts, days=days, starts=starts
        )
        self._write(name, certificate, key)

    def revoking(self, *names: str) -> bytes:
        """The authority's list of revoked certificates (PEM), with these on it."""
        now = dt.datetime.now(dt.UTC)
        made = x509.CertificateRevocationListBuilder().issuer_name(_name(_AUTHORITY))
        made = made.last_update(now - _DAY).next_update(now + 2 * _DAY)
        for name in names:
            number = x509.load_pem_x509_certificate(self.certificate(name).read_bytes()).serial_number
            entry = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - _DAY)
            made = made.add_revoked_certificate(entry.build())
        return made.sign(self._authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate(name).write_bytes(_pem(certificate))
        self.key(name).touch(mode=0o600)
        self.key(name).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.pem"

    def certificate(self, name: str = "good") -> Path:
        return self.directory / f"{name}.pem"

    def key(self, name: str = "good") -> Path:
        return self.directory / f"{name}.key"


def make_pki(directory: Path) -> Pki:
    """Write a fresh authority and its certificates: about 10 ms with elliptic curves."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    pki = Pki(directory, authority_key)
    authority = _name(_AUTHORITY)
    pki.ca_file.write_bytes(_pem(_certificate(authority, authority, authority_key, authority_key, [], days=2)))
    local = ["localhost", "127.0.0.1"]
    pki.issue("good", [*local, "mail.example.test"])
    pki.issue("wrong", ["other.example.test"])
    pki.issue("expired", local, days=-1)
    key = ec.generate_private_key(ec.SECP256R1())
    itself = _name(local[0])
    pki._write("self", _certificate(itself, itself, key, key, local, days=2), key)
    return pki


def make_authority(days: int) -> bytes:
    """The certificate (PEM) of an authority nobody has the key of; a negative number of days has passed already."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(_AUTHORITY)
    return _pem(_certificate(name, name, key, key, [], days=days))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    hosts: list[str],
    *,
    days: int,
    starts: int = -30,  # long before today: machines differ in their idea of now
) -> x509.Certificate:
    """A server's certificate, or an authority's when it has no hosts; a negative number of days has passed already."""
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts * _DAY)
        .not_valid_after(now + days * _DAY)
        .add_extension(x509.BasicConstraints(ca=not hosts, path_length=None), critical=True)
        .add_extension(_usage(authority=not hosts), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    # Python 3.13 and later refuse an authority that does not say that it may sign.
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
