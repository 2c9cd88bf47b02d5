"""What a certificate says of itself, against openssl and the library of the tests; anything else is a ValueError."""

from __future__ import annotations

import datetime as dt
import functools
import ipaddress
import subprocess
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from msmtp_agent.certificates import Certificate, describe, fingerprint
from msmtp_agent.printable import printable

NAMES = {NameOID.EMAIL_ADDRESS: "emailAddress"}  # openssl has a name for it, and RFC 4514 has none
FIELDS = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "UID": NameOID.USER_ID,
    "DC": NameOID.DOMAIN_COMPONENT,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def made(*subject: tuple[str, str], names: list[x509.GeneralName] | None = None) -> x509.Certificate:
    """A certificate signed by "an authority"."""
    parts = [x509.NameAttribute(FIELDS[field], value) for field, value in subject]
    return signed(x509.Name(parts), names)


def signed(subject: x509.Name, names: list[x509.GeneralName] | None = None) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "An authority, Inc.")]))
        .public_key(_key().public_key())
        .serial_number(77)
        .not_valid_before(dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2044, 2, 28, 23, 59, 59, tzinfo=dt.UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject.rdns)
    return builder.sign(_key(), hashes.SHA256())


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def openssl(der: bytes, *wanted: str) -> str:
    """What openssl says of it, names in RFC 4514's form and without its escapes of what is not ASCII."""
    argv = ["openssl", "x509", "-inform", "DER", "-noout", *wanted, "-nameopt", "RFC2253,-esc_msb,utf8"]
    return (
        subprocess.run(argv, input=der, capture_output=True, check=True, timeout=30).stdout.decode().removesuffix("\n")
    )


@pytest.mark.programs
@pytest.mark.parametrize(
    "subject",
    [
        (("CN", "127.0.0.1"),),
        (("O", "Proton AG"), ("OU", "Proton Mail"), ("CN", "127.0.0.1")),
        (("CN", 'a,b+c"d\\e<f>g;h'), ("O", "#sharp"), ("L", " in front"), ("ST", "behind ")),
        (("CN", "  "), ("O", " ")),
        (("CN", "Zürich 漢字"), ("STREET", "x" * 100), ("UID", "me"), ("emailAddress", "me@example.test")),
        (("DC", "test"), ("DC", "example"), ("CN", "=")),
        (),
    ],
)
def test_as_openssl_says_it(subject: tuple[tuple[str, str], ...]) -> None:
    certificate = made(*subject, names=[x509.DNSName("example.test")])
    der = der_of(certificate)
    assert describe(der) == Certificate(
        subject=openssl(der, "-subject").removeprefix("subject=").replace("street=", "STREET="),  # as in RFC 4514
        issuer=openssl(der, "-issuer").removeprefix("issuer="),
        names=("example.test",),
        not_before=dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC).timestamp(),
        not_after=dt.datetime(2044, 2, 28, 23, 59, 59, tzinfo=dt.UTC).timestamp(),
        fingerprint=openssl(der, "-fingerprint", "-sha256").partition("=")[2],
    )
    assert describe(der).subject == certificate.subject.rfc4514_string(NAMES)


@pytest.mark.programs
@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_fingerprints(algorithm: str) -> None:
    der = der_of(made(("CN", "x")))
    assert fingerprint(der, algorithm) == openssl(der, "-fingerprint", f"-{algorithm}").partition("=")[2]


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["CN", "O", "L", "ST"]), TEXT), max_size=4))
def test_any_text_as_the_library_says_it(subject: list[tuple[str, str]]) -> None:
    certificate = made(*subject)
    found = describe(der_of(certificate))
    assert found.subject == printable(certificate.subject.rfc4514_string())
    assert found.names == tuple(printable(value) for field, value in subject if field == "CN")


def test_parts_with_several_values() -> None:
    part = [x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.USER_ID, "b")]
    certificate = signed(x509.Name([x509.RelativeDistinguishedName(part)]))
    assert sorted(describe(der_of(certificate)).subject.split("+")) == ["CN=a", "UID=b"]


NETWORK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([x509.DNSName("a.test"), NETWORK, x509.DNSName("*.b.test")], ("a.test", "127.0.0.1", "*.b.test")),
        ([x509.IPAddress(ipaddress.ip_address("::1"))], ("::1",)),
        ([x509.RFC822Name("me@example.test"), x509.UniformResourceIdentifier("https://x.test")], ("the common name",)),
        ([x509.DNSName(f"h{number}.test") for number in range(300)], tuple(f"h{number}.test" for number in range(300))),
        ([], ("the common name",)),
        (None, ("the common name",)),
    ],
)
def test_names(names: list[x509.GeneralName] | None, expected: tuple[str, ...]) -> None:
    assert describe(der_of(made(("CN", "the common name"), names=names))).names == expected


def test_no_name_at_all() -> None:
    found = describe(der_of(made()))
    assert (found.subject, found.issuer, found.names) == ("", "O=An authority\\, Inc.", ())


# --- by hand, what no library makes


def der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


CN, OID_SAN, OID_LONG = b"\x55\x04\x03", b"\x55\x1d\x11", b"\x2b\x06\x01\x04\x01\x82\xdf\x13\x01"
SHAPE = {"version": der(0xA0, b"\x02\x01\x02"), "between": b"", "extensions": b"", "behind": b"", "inside": b""}


def attribute(value: bytes, oid: bytes = CN) -> bytes:
    return der(0x31, der(0x30, der(6, oid), value))


def by_hand(*subject: bytes, **shape: bytes) -> bytes:
    """A certificate in form alone: nobody could verify it."""
    part = {**SHAPE, **shape}
    validity = der(0x30, der(0x17, b"240229010203Z"), der(0x18, b"20440228235959Z"))
    empty = der(0x30)
    body = [part["version"], b"\x02\x01\x4d", empty, empty, validity, der(0x30, *subject), empty]
    tbs = der(0x30, *body, part["between"], part["extensions"])
    return der(0x30, tbs, empty, b"\x03\x01\x00", part["inside"]) + part["behind"]


def extensions(*listed: bytes) -> bytes:
    return der(0xA3, der(0x30, *listed))


def alternative(*names: bytes, critical: bytes = b"") -> bytes:
    return der(0x30, der(6, OID_SAN), critical, der(4, der(0x30, *names)))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (der(0x0C, "Zürich".encode()), "Zürich"),
        (der(0x13, b"plain"), "plain"),
        (der(0x14, "Zürich".encode("latin-1")), "Zürich"),
        (der(0x16, b"ia5\x80"), "ia5\N{REPLACEMENT CHARACTER}"),
        (der(0x1E, "漢字".encode("utf-16-be")), "漢字"),
        (der(0x1C, "漢".encode("utf-32-be")), "漢"),
        (der(0x1E, b"\xd8\x00x"), "\N{REPLACEMENT CHARACTER}"),
        (der(0x0C, b"\xff\xfe"), "\N{REPLACEMENT CHARACTER}" * 2),
        (der(0x0C, b"\x1b]0;x\x07\n\xe2\x80\xae"), "?]0\\;x???"),
        (der(0x0C, b"a\x00b"), "a\\00b"),
        (der(0x0C), ""),
        (der(0x02, b"\x01"), "\\#01"),
    ],
)
def test_every_kind_of_string(value: bytes, shown: str) -> None:
    assert describe(by_hand(attribute(value))).subject == f"CN={shown}"


@pytest.mark.parametrize(
    ("certificate", "subject", "names"),
    [
        (by_hand(version=b""), "", ()),
        (by_hand(attribute(der(0x0C, b"x"), OID_LONG)), "1.3.6.1.4.1.44947.1=x", ()),
        (by_hand(attribute(der(0x0C, b"x"), b"\x88\x37")), "2.999=x", ()),
        (by_hand(between=der(0x81, b"\x00") + der(0x82, b"\x00")), "", ()),
        (by_hand(between=der(0x81, b"\x00"), extensions=extensions(alternative(der(0x82, b"a\x1b")))), "", ("a?",)),
        (by_hand(extensions=extensions(alternative(der(0x87, b"abcde"), critical=b"\x01\x01\xff"))), "", ()),
        (by_hand(extensions=extensions(alternative(der(0x87, bytes(16)), der(0x82, b"\xff")))), "", ("::", "\ufffd")),
    ],
)
def test_rare_shapes(certificate: bytes, subject: str, names: tuple[str, ...]) -> None:
    found = describe(certificate)
    assert (found.subject, found.names) == (subject, names)


def test_what_is_hidden_goes_before_anything_is_escaped_or_made_printable() -> None:
    secret = 'ge,h+\u00a0"im'

    def hide(text: str) -> str:
        return text.replace(secret, "***")

    subject = attribute(der(0x0C, f"my {secret} here".encode()))
    found = describe(by_hand(subject, extensions=extensions(alternative(der(0x82, b"xsecretx")))), hide)
    assert (found.subject, found.names) == ("CN=my *** here", ("xsecretx",))
    named = by_hand(extensions=extensions(alternative(der(0x82, b"a-secret.test"))))
    assert describe(named, lambda text: text.replace("secret", "***")).names == ("a-***.test",)
    whole = der_of(made(("CN", "x"), names=None))
    assert describe(whole, lambda text: text.replace("authority, I", "***")).issuer == "O=An ***nc."


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"-----BEGIN CERTIFICATE-----",
        by_hand(behind=b"\x00"),
        by_hand()[:-1],
        by_hand(b"\x31\x02\x05\x00"),
        by_hand(b"\x04\x00"),
        by_hand(attribute(der(0x0C, b"x"), b"")),
        by_hand(attribute(der(0x0C, b"x"), b"\x81")),
        by_hand(attribute(der(0x0C, b"x"), b"\x81" * 100_000 + b"\x01")),
        by_hand(attribute(b"")),
        by_hand(between=b"\x05\x00"),
        by_hand(extensions=extensions(b"\x04\x00")),
        by_hand(extensions=extensions(alternative(b"\x82\x05x"))),
        by_hand(extensions=der(0xA3, b"")),
        b"\x30\x84\xff\xff\xff\xff" + bytes(1000),
        b"\x30\xff" + b"\xff" * 300,
        by_hand().replace(b"240229010203Z", b"240230010203Z").replace(b"20440228", b"20441328"),
        by_hand().replace(b"\x18\x0f2044", b"\x0c\x0f2044"),
    ],
)
def test_what_is_none_is_a_value_error(junk: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind, and nothing else
        describe(junk)


# --- damage


@functools.cache
def good() -> bytes:
    names: list[x509.GeneralName] = [x509.DNSName("mail.example.test"), NETWORK]
    return der_of(made(("O", "Proton AG"), ("CN", "127.0.0.1"), names=names))


def judged(content: bytes) -> Certificate | None:
    try:
        return describe(content)
    except ValueError:
        return None


def assert_fit(found: Certificate | None) -> None:
    if found is not None:
        assert all(text.isprintable() for text in (found.subject, found.issuer, found.fingerprint, *found.names))
        assert all(isinstance(when, float) for when in (found.not_before, found.not_after))


@settings(max_examples=400, deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 350), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 400)),
)
def test_a_damaged_one(changes: list[tuple[int, int]], cut: int | None) -> None:
    damaged = bytearray(good())
    for position, byte in changes:
        damaged[position] = byte
    assert_fit(judged(bytes(damaged[:cut])))


@pytest.mark.slow
def test_every_byte_with_every_value() -> None:
    whole = good()
    found = 0
    for position in range(len(whole)):
        for byte in range(256):
            result = judged(whole[:position] + bytes([byte]) + whole[position + 1 :])
            assert_fit(result)
            found += result is not None
    assert found > len(whole) * 100  # most of it is key and signature


@pytest.mark.slow
def test_every_length() -> None:
    assert [length for length in range(len(good())) if judged(good()[:length]) is not None] == []


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_garbage(content: bytes) -> None:
    assert judged(content) is None


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.recursive(st.binary(max_size=20), lambda inner: st.tuples(st.integers(0, 255), st.lists(inner, max_size=6))))
def test_nested_garbage(tree: Any) -> None:
    assert judged(_flat(tree)) is None


def _flat(tree: Any) -> bytes:
    return tree if isinstance(tree, bytes) else der(tree[0], *(_flat(inner) for inner in tree[1]))


@pytest.mark.slow
def test_large_ones_cost_no_time() -> None:
    many = der(0x30, *[der(0x82, b"x.test")] * 100_000)
    large = by_hand(extensions=extensions(der(0x30, der(6, OID_SAN), der(4, many))))
    assert len(describe(large).names) == 100_000
    assert len(describe(by_hand(*[attribute(der(0x0C, b"," * 100))] * 5_000)).subject) > 1_000_000
