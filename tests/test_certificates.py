"""When certificates expire, against openssl for real ones; anything else is left out and never an exception."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import subprocess
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from msmtp_agent.certificates import expiries
from tests.support.pace import within

BEGIN, END = b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n"
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18


def made(expires: dt.datetime, *, begins: dt.datetime = dt.datetime(1950, 1, 1, tzinfo=dt.UTC)) -> bytes:
    """A certificate (PEM) signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a name " * 5)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(expires)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def openssl_says(pem: bytes) -> float:
    done = openssl("x509", "-noout", "-enddate", "-dateopt", "iso_8601", stdin=pem)
    stamp = done.decode().strip().removeprefix("notAfter=")
    return dt.datetime.strptime(stamp, "%Y-%m-%d %H:%M:%SZ").replace(tzinfo=dt.UTC).timestamp()


def openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, timeout=30, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("expires", "tag"),
    [
        ("2049-12-31T23:59:59", UTC_TIME),
        ("2050-01-01T00:00:00", GENERALIZED_TIME),
        ("2026-02-28T12:34:56", UTC_TIME),
        ("1999-12-31T23:59:59", UTC_TIME),
        ("1970-01-01T00:00:00", UTC_TIME),
        ("1950-01-02T00:00:00", UTC_TIME),
        ("1965-06-15T06:00:00", UTC_TIME),
        ("2000-02-29T00:00:01", UTC_TIME),
        ("2124-02-29T23:59:59", GENERALIZED_TIME),
        ("9999-12-31T23:59:59", GENERALIZED_TIME),  # "no expiry", RFC 5280
    ],
)
def test_both_ways_to_write_a_time(expires: str, tag: int) -> None:
    then = dt.datetime.fromisoformat(expires).replace(tzinfo=dt.UTC)
    pem = made(then)
    text = then.strftime("%y%m%d%H%M%SZ" if tag == UTC_TIME else "%Y%m%d%H%M%SZ").encode()
    assert bytes([tag, len(text)]) + text in base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    assert list(expiries(pem)) == [then.timestamp()] == [openssl_says(pem)]


@pytest.mark.parametrize("shape", ["v1", "v3", "TRUSTED", "X509", "CRLF", "one line", "text before", "RSA"])
def test_every_shape_that_openssl_reads(tmp_path: Path, shape: str) -> None:
    pem = shaped(tmp_path, shape)
    assert list(expiries(pem)) == [openssl_says(pem)]


def shaped(directory: Path, shape: str) -> bytes:
    """A certificate signed by itself: version 1, that is without extensions, but for the shape v3."""
    key, config = str(directory / "key"), directory / "config"
    config.write_text("[req]\ndistinguished_name = subject\n[subject]\n")  # the system's own asks for extensions
    algorithm = ["rsa:2048"] if shape == "RSA" else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    form = ["-addext", "basicConstraints=CA:TRUE"] if shape == "v3" else version_1()
    made_by = ["req", "-x509", "-config", str(config), "-newkey", *algorithm, "-nodes", "-keyout", key, *form]
    pem = openssl(*made_by, "-subj", "/CN=h.test", "-days", "77", "-set_serial", "255")
    version = openssl("x509", "-noout", "-text", stdin=pem)
    assert (b"Version: 3 (0x2)" if shape == "v3" else b"Version: 1 (0x0)") in version
    if shape == "TRUSTED":
        pem = openssl("x509", "-trustout", "-addtrust", "serverAuth", stdin=pem)
    if shape == "text before":
        pem = openssl("x509", "-text", stdin=pem)
        assert pem.startswith(b"Certificate:\n")
    if shape == "X509":
        return pem.replace(b" CERTIFICATE", b" X509 CERTIFICATE")
    if shape == "CRLF":
        return pem.replace(b"\n", b"\r\n")
    assert (b"TRUSTED" in pem) is (shape == "TRUSTED")
    if shape == "one line":
        lines = pem.splitlines()
        return b"\n".join([lines[0], *lines[1:-1], lines[-1]])  # without a final line feed
    return pem


@functools.cache
def version_1() -> list[str]:
    """Newer releases of openssl (3.5 in Debian 13) write version 3 unless told; 3.0 in Debian 12 has no such option."""
    return ["-x509v1"] if b"x509v1 " in openssl("list", "-options", "req") else []


@functools.cache
def three() -> tuple[tuple[bytes, float], ...]:
    """Certificates that expire in 2001, 2035 and 2101."""
    times = [dt.datetime(year, 5, 4, 3, 2, 1, tzinfo=dt.UTC) for year in (2001, 2035, 2101)]
    return tuple((made(then), then.timestamp()) for then in times)


BUNDLES = {
    "together": (b"", b""),
    "text between": (b"# Subject: CN=x\n-----BEGINNER-----\n\n", b"junk \xff\x00 -----END NOTHING-----\n"),
    "a key between": (b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n", b""),
    "not one between": (BEGIN + b"AAAA\n" + END, BEGIN + END),
    "garbage between": (BEGIN + b"\xff\xfe%%%\n" + END, BEGIN + b"MII=A\n" + END),
    "a request between": (
        b"-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n",
        b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
    ),
}


@pytest.mark.parametrize(("before", "behind"), BUNDLES.values(), ids=BUNDLES)
def test_a_bundle_gives_each_in_order(before: bytes, behind: bytes) -> None:
    content = b"".join(before + pem + behind for pem, _ in three())
    assert list(expiries(content)) == [when for _, when in three()]


def test_the_systems_own_bundle() -> None:
    content = Path("/etc/ssl/certs/ca-certificates.crt").read_bytes()
    with within(0.5):
        found = list(expiries(content))
    with warnings.catch_warnings():  # of a serial number that is not positive
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        certificates = x509.load_pem_x509_certificates(content)
    assert found == [certificate.not_valid_after_utc.timestamp() for certificate in certificates]
    assert len(found) > 50


# --- what is no certificate


def pem_of(der: bytes) -> bytes:
    return BEGIN + base64.encodebytes(der) + END


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=400))
def test_garbage_is_no_certificate_and_no_exception(garbage: bytes) -> None:
    assert list(expiries(garbage)) == []
    assert list(expiries(BEGIN + garbage + END)) == []
    assert all(isinstance(when, float) for when in expiries(pem_of(garbage)))


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(
    which=st.integers(0, 2),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 400)),
)
def test_a_damaged_certificate_is_no_exception(which: int, changes: list[tuple[int, int]], cut: int | None) -> None:
    pem, when = three()[which]
    der = bytearray(base64.b64decode(b"".join(pem.splitlines()[1:-1])))
    for position, byte in changes:
        der[position] = byte
    found = list(expiries(pem_of(bytes(der[:cut])) + pem))
    assert found[-1] == when  # the whole one behind it is still seen
    assert len(found) <= 2


def test_every_byte_of_the_time_may_be_wrong() -> None:
    """Each position with each value: a date that is none is no certificate, or one with some other date."""
    pem, when = three()[0]
    der = bytearray(base64.b64decode(b"".join(pem.splitlines()[1:-1])))
    start = der.index(b"\x17\x0d010504030201Z")
    others = 0
    for position in range(start, start + 15):
        for byte in range(256):
            changed = bytes(der[:position]) + bytes([byte]) + bytes(der[position + 1 :])
            found = list(expiries(pem_of(changed)))
            assert len(found) <= 1
            others += found not in ([], [when])
    assert others > 0


@pytest.mark.parametrize(
    "content",
    [
        BEGIN * 100_000,
        b"-----BEGIN TRUSTED CERTIFICATE-----" * 100_000,
        b"-----BEGIN " * 300_000,
        (BEGIN + END) * 60_000,
        b"-" * (4 << 20),
        pem_of(b"\x30\x84\xff\xff\xff\xff" + bytes(1 << 20)),
        pem_of(b"\x30\xff" + b"\xff" * 500_000),
        b"-----END CERTIFICATE-----\n" * 100_000 + BEGIN,
    ],
    ids=["begins", "trusted begins", "half begins", "empty ones", "dashes", "long", "longer than long", "ends"],
)
def test_many_beginnings_cost_no_time(content: bytes) -> None:
    with within(1):
        assert list(expiries(content)) == []
