"""Text from outside made fit for a terminal."""

import unicodedata


def printable(text: str) -> str:
    """`text` with every control, format, surrogate and separator character shown as `?`, blanks apart."""
    return "".join(
        "?" if character != " " and unicodedata.category(character)[0] in "CZ" else character for character in text
    )
