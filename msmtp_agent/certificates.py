"""When the certificates of a PEM file expire: as much of X.509 as that takes (RFC 5280, 4.1)."""

import binascii
import re
from calendar import timegm
from collections.abc import Iterator

_LABEL = re.compile(rb"(?:X509 |TRUSTED )?CERTIFICATE-----")
_SEQUENCE, _INTEGER, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x02, 0xA0, 0x17, 0x18
_CENTURY = 50  # a UTCTime with a year below it is of this century (RFC 5280, 4.1.2.5.1)


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
    position = 0
    if body[0] == _VERSION:
        position = _content(body, 0, _VERSION)[1]
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # serial number, signature, issuer
        position = _content(body, position, tag)[1]
    validity = _content(body, position, _SEQUENCE)[0]
    after = _content(validity, 0, validity[0])[1]  # behind notBefore
    return _seconds(validity[after], _content(validity, after, validity[after])[0])


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
