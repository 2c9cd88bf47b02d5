"""A local bridge as Proton Mail makes one: it signs its own certificate, for 127.0.0.1 and for twenty years."""

from __future__ import annotations

import ctypes
import datetime as dt
import functools
import hashlib
import ipaddress
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.account import account
from tests.support.hostile import Fault, Hostile, Stage, Tls
from tests.support.sandbox import Sandbox

NAME: Final = (
    (NameOID.COUNTRY_NAME, "CH"),
    (NameOID.ORGANIZATION_NAME, "Proton AG"),
    (NameOID.ORGANIZATIONAL_UNIT_NAME, "Proton Mail"),
    (NameOID.COMMON_NAME, "127.0.0.1"),
)
_DAY = dt.timedelta(days=1)
_CLONE_NEWNET = 0x40000000


@functools.cache
def _bridges_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def self_signed(
    name: tuple[tuple[x509.ObjectIdentifier, str], ...] = NAME,
    *,
    days: int = 20 * 365,
    starts: int = -1,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
) -> tuple[bytes, bytes]:
    """Certificate and key (PEM); as Bridge 3 makes them (its internal/certs/tls.go) but for what is said."""
    key = key or _bridges_key()
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(oid, value) for oid, value in name])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts * _DAY)
        .not_valid_after(now + days * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(*form)


class Bridge(Hostile):
    """A running bridge, that takes any password; its certificate may be replaced while it runs."""

    def __init__(
        self, directory: Path, stage: Stage | None = None, fault: Fault | None = None, *, tls: Tls = "starttls"
    ) -> None:
        self.files = (directory / "bridge.pem", directory / "bridge.key")
        self.others: list[tuple[Path, Path]] = []
        self.install(*self_signed())
        super().__init__(stage, fault, tls=tls, cert=self.files[0], key=self.files[1])

    def install(self, certificate: bytes, key: bytes) -> None:
        """Show this certificate from the next connection on."""
        for file, content in zip(self.files, (certificate, key), strict=True):
            file.touch(mode=0o600)
            file.write_bytes(content)

    def show(self, certificate: Path, key: Path) -> None:
        """The same, of files."""
        self.install(certificate.read_bytes(), key.read_bytes())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what is shown."""
        return self.digest("sha256")

    def digest(self, algorithm: str) -> str:
        der = ssl.PEM_cert_to_DER_cert(self.files[0].read_text())
        return hashlib.new(algorithm, der).digest().hex(":").upper()

    def configure(self, sandbox: Sandbox, *more: str, trust: str | None = None, **changes: str | None) -> bytes:
        """An msmtprc for it, without `tls_certcheck off`; the trust file is the system's. Its text."""
        settings: dict[str, str | None] = {"auth": "plain", "tls_trust_file": trust, **changes}
        text = account(self.port, Path("/nowhere"), *more, **settings)
        sandbox.write("/etc/msmtprc", text)
        return text.encode()


class Far(Bridge):
    """A bridge that is not on this machine: it listens at 192.0.2.1, in the network of a sandbox of its own."""

    ADDRESS: Final = "192.0.2.1"

    def __init__(self, directory: Path, sandbox: Sandbox) -> None:
        super().__init__(directory)
        self._namespace = f"/proc/{sandbox.pid}/ns/net"
        sandbox.shell(f"ip address add {self.ADDRESS}/32 dev lo")

    def listener(self) -> socket.socket:
        made: list[socket.socket] = []
        thread = threading.Thread(target=lambda: made.append(self._inside()))
        thread.start()
        thread.join()
        return made[0]

    def _inside(self) -> socket.socket:
        """In a thread that enters the namespace and ends there; a socket stays in the one that it was made in."""
        descriptor = os.open(self._namespace, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), self._namespace)
        finally:
            os.close(descriptor)
        listener = socket.socket()
        listener.bind((self.ADDRESS, 0))
        return listener
