"""What certificates say: when those of a PEM file expire, and whose one is (as much of RFC 5280 as that takes)."""

import binascii
import re
from calendar import timegm
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .printable import printable

_LABEL = re.compile(rb"(?:X509 |TRUSTED )?CERTIFICATE-----")
_SEQUENCE, _INTEGER, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x02, 0xA0, 0x17, 0x18
_SET, _OBJECT, _BOOLEAN, _OCTETS, _EXTENSIONS = 0x31, 0x06, 0x01, 0x04, 0xA3
_UNIQUE_IDS = (0x81, 0xA1, 0x82, 0xA2)  # of issuer and subject, which nobody uses
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87  # of a GeneralName (RFC 5280, 4.2.1.6)
_ALTERNATIVE_NAME = "2.5.29.17"
_COMMON_NAME = "2.5.4.3"
_LONGEST_OBJECT = 64  # bytes of an object identifier
_CENTURY = 50  # a UTCTime with a year below it is of this century (RFC 5280, 4.1.2.5.1)

# The names of attributes in RFC 4514, and the one that openssl adds.
_ATTRIBUTES = {
    _COMMON_NAME: "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
# How the strings of X.520 are written: UTF8, Numeric, Printable, Teletex, IA5, Visible, Universal and BMP.
_STRINGS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}


class Certificate(NamedTuple):
    """What a certificate says of itself; every text is fit for a terminal.

    `subject` and `issuer` as RFC 4514 writes them, `names` the hosts and addresses that it is for (of the subject's
    alternative names, or else its common name), times in seconds since 1970, `fingerprint` SHA-256 as `AA:BB:...`.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    fingerprint: str


def describe(der: bytes, hide: Callable[[str], str] = str) -> Certificate:
    """What one certificate in DER says; every text of its maker's goes through `hide`.

    Raises ValueError, and nothing else, for what is not a certificate.
    """
    try:
        return _describe(der, hide)
    except (IndexError, OverflowError) as error:
        raise ValueError("not a certificate") from error


def fingerprint(der: bytes, algorithm: str = "sha256") -> str:
    """The digest of a certificate, as msmtp and openssl write it: `AA:BB:...`."""
    import hashlib  # here, because the audit needs none

    return hashlib.new(algorithm, der, usedforsecurity=False).digest().hex(":").upper()


def expiries(content: bytes) -> Iterator[float]:
    """For each certificate, in order, when it expires, in seconds since 1970; what is not one is left out."""
    for piece in content.split(b"-----BEGIN ")[1:]:
        label = _LABEL.match(piece)
        if label is None:
            continue
        try:
            yield _not_after(binascii.a2b_base64(piece[label.end() :].partition(b"-----END ")[0]))
        except (ValueError, IndexError):  # binascii.Error is a ValueError
            continue


def labelled(content: bytes) -> int:
    """How many blocks say that they are a certificate."""
    return sum(1 for piece in content.split(b"-----BEGIN ")[1:] if _LABEL.match(piece))


def _not_after(der: bytes) -> float:
    """The notAfter of a certificate in DER. Raises ValueError or IndexError for anything else."""
    certificate = _content(der, 0, _SEQUENCE)[0]
    body = _content(certificate, 0, _SEQUENCE)[0]
    validity = _content(body, _content(body, _issuer_at(body), _SEQUENCE)[1], _SEQUENCE)[0]
    _, (tag, text) = _all(validity)  # behind notBefore
    return _seconds(tag, text)


def _issuer_at(body: bytes) -> int:
    """Where the issuer stands: behind the version (which may be missing), the serial number and the signature."""
    position = _content(body, 0, _VERSION)[1] if body[0] == _VERSION else 0
    for tag in (_INTEGER, _SEQUENCE):
        position = _content(body, position, tag)[1]
    return position


def _describe(der: bytes, hide: Callable[[str], str]) -> Certificate:
    certificate, end = _content(der, 0, _SEQUENCE)
    if end != len(der):
        raise ValueError("more than a certificate")
    body = _content(certificate, 0, _SEQUENCE)[0]
    issuer, position = _content(body, _issuer_at(body), _SEQUENCE)
    validity, position = _content(body, position, _SEQUENCE)
    subject, position = _content(body, position, _SEQUENCE)
    position = _content(body, position, _SEQUENCE)[1]  # the public key
    while position < len(body) and body[position] in _UNIQUE_IDS:
        position = _content(body, position, body[position])[1]
    extensions = [_content(body, position, _EXTENSIONS)[0]] if position < len(body) else []
    names = tuple(name for content in extensions for name in _alternative_names(content)) or tuple(
        value for parts in _parts(subject) for object_id, value in parts if object_id == _COMMON_NAME
    )
    begins, ends = (_seconds(tag, text) for tag, text in _all(validity))
    shown = tuple(printable(hide(name)) for name in names)
    by, of = _distinguished(issuer, hide), _distinguished(subject, hide)
    return Certificate(of, by, shown, begins, ends, fingerprint(der))


def _distinguished(name: bytes, hide: Callable[[str], str]) -> str:
    """A distinguished name as RFC 4514 writes it, its last part first, fit for a terminal."""
    parts = [
        "+".join(f"{_ATTRIBUTES.get(object_id, object_id)}={_escaped(hide(value))}" for object_id, value in part)
        for part in _parts(name)
    ]
    return printable(",".join(reversed(parts)))


def _escaped(value: str) -> str:
    text = re.sub(r'([\\"+,;<>])', r"\\\1", value).replace("\0", "\\00")
    if text.startswith(("#", " ")):
        text = "\\" + text
    return text[:-1] + "\\ " if text.endswith(" ") and len(value) > 1 else text


def _parts(name: bytes) -> list[list[tuple[str, str]]]:
    """The parts of a distinguished name, in order, each with its attributes: object identifier and value."""
    return [[_attribute(attribute) for attribute in _each(part, _SEQUENCE)] for part in _each(name, _SET)]


def _attribute(attribute: bytes) -> tuple[str, str]:
    object_id, position = _content(attribute, 0, _OBJECT)
    tag = attribute[position]
    value = _content(attribute, position, tag)[0]
    encoding = _STRINGS.get(tag)
    return _dotted(object_id), value.decode(encoding, "replace") if encoding else f"#{value.hex()}"


def _dotted(content: bytes) -> str:
    """An object identifier in the usual notation (X.690, 8.19)."""
    if not content or len(content) > _LONGEST_OBJECT or content[-1] & 0x80:
        raise ValueError("not an object identifier")
    numbers = [0]
    for byte in content:
        numbers[-1] = numbers[-1] << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(0)
    first = min(numbers[0] // 40, 2)
    return ".".join(str(number) for number in (first, numbers[0] - 40 * first, *numbers[1:-1]))


def _alternative_names(extensions: bytes) -> list[str]:
    """The DNS names and addresses among the subject's alternative names, in order."""
    import ipaddress  # here, because the audit needs none

    found: list[str] = []
    for extension in _each(_content(extensions, 0, _SEQUENCE)[0], _SEQUENCE):
        object_id, position = _content(extension, 0, _OBJECT)
        if _dotted(object_id) != _ALTERNATIVE_NAME:
            continue
        if extension[position] == _BOOLEAN:  # whether it is critical
            position = _content(extension, position, _BOOLEAN)[1]
        names = _content(_content(extension, position, _OCTETS)[0], 0, _SEQUENCE)[0]
        for tag, value in _all(names):
            if tag == _DNS_NAME:
                found.append(value.decode("ascii", "replace"))
            elif tag == _IP_ADDRESS and len(value) in (4, 16):
                found.append(str(ipaddress.ip_address(value)))
    return found


def _each(data: bytes, tag: int) -> Iterator[bytes]:
    """The contents of the elements that follow each other, all of which have this tag."""
    for found, content in _all(data):
        if found != tag:
            raise ValueError(found)
        yield content


def _all(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that follow each other: tag and content."""
    position = 0
    while position < len(data):
        tag = data[position]
        content, position = _content(data, position, tag)
        yield tag, content


def _content(data: bytes, position: int, tag: int) -> tuple[bytes, int]:
    """The content of the element with this tag at `position`, and the position behind it."""
    if data[position] != tag:
        raise ValueError(position)
    length, start = data[position + 1], position + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise ValueError(position)
    return data[start : start + length], start + length


def _seconds(tag: int, text: bytes) -> float:
    digits = text.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:
        digits = ("20" if int(digits[:2]) < _CENTURY else "19") + digits
    elif tag != _GENERALIZED_TIME:
        raise ValueError(tag)
    year, rest = int(digits[:4]), [int(digits[position : position + 2]) for position in range(4, 14, 2)]
    return float(timegm((year, *rest)))
