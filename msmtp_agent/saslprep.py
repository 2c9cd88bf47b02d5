"""SASLprep (RFC 4013), what msmtp's GNU SASL does to a password for CRAM-MD5 and SCRAM."""

import stringprep
from unicodedata import ucd_3_2_0

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,
)


def saslprep(text: str) -> str | None:
    """`text` as both ends use it, or None where the profile forbids it (unassigned characters included)."""
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if stringprep.in_table_c12(character) or not stringprep.in_table_b1(character)  # U+200B is in both tables
    )
    prepared = ucd_3_2_0.normalize("NFKC", mapped)
    if any(forbidden(character) for character in prepared for forbidden in _PROHIBITED):
        return None
    if any(map(stringprep.in_table_d1, prepared)):  # right to left: only so, from the first character to the last
        ends = stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1])
        if not ends or any(map(stringprep.in_table_d2, prepared)):
            return None
    return prepared
