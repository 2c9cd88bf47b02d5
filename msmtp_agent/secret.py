"""`Secret` (not a `str`, shows nothing of itself): the rules of a password that msmtp can carry, and its redaction."""

from base64 import b64encode
from itertools import pairwise
from typing import NoReturn

from .errors import DataError
from .printable import printable

MAXIMUM = 4096  # bytes of a password; only methods that send a digest could carry more (see `longest`)
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# The magic in front of every credential that systemd-creds has encrypted, in base64 (systemd 252 to 262).
ENCRYPTED_CREDENTIAL = b"Whxqht+dQJax1aZeCGLxmi"
_HIDDEN = "***"
_LONG = 6  # characters of a trace that is hidden wherever it stands
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


class Secret:
    """A password that prints, formats and pickles as nothing."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes themselves: for the secret file and for msmtp, and for nobody else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialised")

    def redact(self, text: str, user: str = "") -> str:
        """`text` without the secret, as it is or as an AUTH line carries it in base64.

        A server may echo either, and msmtp, or `printable`, then shows some characters as `?`. A short secret is hidden
        only where it stands as a word of its own: to star every `e` of a message would tell that it is `e`.
        """
        for core in map(self._core, range(3)):
            text = _replace_run(text, core) if len(core) >= _LONG else text
        plain = b"\0" + user.encode("utf-8", "surrogateescape") + b"\0" + self._value
        encoded = [b64encode(value).decode("ascii").rstrip("=") for value in (plain, self._value)]
        typed = self._value.decode("utf-8", "replace")
        sanitised = "".join("?" if ord(character) < 32 or ord(character) == 127 else character for character in typed)
        for trace in (*encoded, typed, sanitised, printable(typed)):
            if len(trace) >= _LONG:
                text = text.replace(trace, _HIDDEN)
            elif trace:
                text = _replace_word(text, trace)
        return text

    def _core(self, offset: int) -> str:
        """The characters of base64 that the secret alone decides, `offset` bytes behind the start of a group.

        In whatever it is wrapped (XOAUTH2, PLAIN with another identity), one of the three stands in the line.
        """
        bits = offset * 8
        first, last = -(-bits // 6), (bits + len(self._value) * 8) // 6
        return b64encode(b"\0" * offset + self._value).decode("ascii")[first:last]


def _replace_run(text: str, core: str) -> str:
    """`text` without the words of base64 that hold `core`: what stands beside it has bits of the secret as well."""
    while (found := text.find(core)) >= 0:
        begin, end = found, found + len(core)
        while begin and text[begin - 1] in _BASE64:
            begin -= 1
        while end < len(text) and text[end] in _BASE64:
            end += 1
        text = text[:begin] + _HIDDEN + text[end:]
    return text


def _replace_word(text: str, word: str) -> str:
    """`text` with `word` hidden where no letter or digit touches it."""
    parts = text.split(word)
    result = parts[0]
    for before, after in pairwise(parts):
        inside = (before[-1:].isalnum() and word[0].isalnum()) or (after[:1].isalnum() and word[-1].isalnum())
        result += (word if inside else _HIDDEN) + after
    return result


def parse(raw: bytes, source: str) -> Secret:
    """The secret in `raw`: one final LF or CRLF is dropped, every other byte is kept.

    `source` is the subject of a refusal (`password`, `standard input`, `credential msmtp.password`).
    Raises DataError for what msmtp could not send as it was meant (facts measured on msmtp 1.8.23 and 1.8.28).
    """
    value = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1] if raw.endswith(b"\n") else raw
    if fault := _fault(value):
        observed, expected, remedy = fault
        raise DataError(source, observed, expected=expected, remedy=remedy)
    return Secret(value)


def _fault(value: bytes) -> tuple[str, str, str] | None:
    """What is wrong with a password: observed, expected, remedy."""
    again = 'printf %s "$PASSWORD" | msmtp-config --password-stdin'
    if not value.strip():
        return ("is empty" if not value else "is blank"), "a password", again
    for bom in _BOMS:
        if value.startswith(bom):
            return "begins with a byte order mark", "the password alone, in UTF-8", again
    # Before the line breaks: systemd-creds folds what it has encrypted.
    if value.startswith(ENCRYPTED_CREDENTIAL):
        decrypt = "systemctl edit msmtp-config.service   # LoadCredentialEncrypted= in place of LoadCredential="
        return "is a credential that systemd has encrypted", "the password itself", decrypt
    if b"\0" in value:
        return "contains a NUL byte, where msmtp would cut it", "text without NUL", again
    if b"\n" in value or b"\r" in value:
        return "contains a line break, and msmtp reads one line", "one line", again
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return "is not valid UTF-8", "text in UTF-8", again
    return None


def longest(method: str, user: str, host: str, port: int) -> int:
    """How many bytes of password msmtp can send with this `auth` method.

    msmtp sends no command line over 4094 characters (measured for 1.8.23 and 1.8.28), and AUTH carries all in base64:
    PLAIN 11 + 4 * ceil((user + password + 2) / 3), LOGIN 4 * ceil(password / 3), and so on. `on` is taken for PLAIN,
    which msmtp chooses wherever it is offered; methods that send a digest have only our own limit.
    """
    name = len(user.encode("utf-8", "surrogateescape"))
    room = {
        "on": 3058 - name,
        "plain": 3058 - name,
        "login": 3069,
        "xoauth2": 3049 - name,
        "oauthbearer": 3025 - name - len(host) - len(str(port)),
    }
    return room.get(method, MAXIMUM)


def survives(method: str, secret: Secret) -> bool:
    """Whether the password is used as it was typed: the library of msmtp normalises it for some methods.

    CRAM-MD5 and SCRAM run SASLprep (RFC 4013). What that forbids ends with status 70 before anything is tried (every
    emoji, control characters); what it changes gives a CRAM-MD5 digest of another password. A SCRAM server should
    normalise likewise (RFC 5802); one that does not refuses the password at the probe.
    """
    if not method.startswith(("cram-md5", "scram-")) or (
        secret.reveal().isascii() and secret.reveal().decode().isprintable()
    ):
        return True
    from .saslprep import saslprep

    prepared = saslprep(secret.reveal().decode("utf-8"))
    return prepared is not None and (method != "cram-md5" or prepared.encode() == secret.reveal())
