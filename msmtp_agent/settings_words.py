"""What is said of a setting that is wrong: what was seen, and what is allowed; never the password, not even in part."""

from collections.abc import Mapping, Sequence

from . import aliases, msmtprc
from .printable import printable
from .yaml_lines import Node, Value

TOP = "smtp"  # the one key of the file
PASSWORD, COMMAND = "password", "passwordeval"  # keys whose values are never shown
_TELLING = ("pass", ": ", "://")  # of a password in another value: a URL may have a login in it
_LONGEST_SHOWN = 60  # characters
_LONGEST_KEY = 40
_MOST_HIDDEN = 20  # texts of a password that is a list or a mapping: with more of them no value is shown
_LONGEST_VALUE, _LONGEST_RECIPIENT = 483, 500  # as the schema has it
FITTING = f"a line of msmtprc of at most {msmtprc.LONGEST_LINE} bytes"
FITTING_ALIAS = f"addresses that fit a line of /etc/aliases, {aliases.LONGEST_LINE - 1} bytes"
_ALIKE = 0.7  # of two keys, as difflib counts
_SWITCH = "true or false"
_PATH = "a path that begins with /"
EXPECTED: Mapping[str, str] = {
    "host": "a host name or an IP address",
    "port": "1 to 65535",
    "from_email": "one address, such as alerts@example.com",
    "user": "the user name of the account",
    "recipient": "an address such as admin@example.com, or at most 32 with commas between them",
    PASSWORD: "the password",
    COMMAND: "a shell command that prints the password",
    "tls_certcheck": _SWITCH,
    "tls_on_connect": _SWITCH,
    "tls_starttls": _SWITCH,
    "tls_trust_file": f"{_PATH}, or system",
    "tls_cert_file": _PATH,
    "tls_key_file": _PATH,
    "auth_method": (
        "on, off, plain, login, cram-md5, digest-md5, scram-sha-1, scram-sha-1-plus, scram-sha-256, "
        "scram-sha-256-plus, external, gssapi, ntlm, oauthbearer or xoauth2"
    ),
    "provider": "the id of a provider (msmtp-config providers)",
    "tls_fingerprint": "a SHA-256, SHA-1 or MD5 fingerprint in hexadecimal, with colons",
    "set_from_header": "on, off or auto",
    "log": "file or syslog",
}
KEYS = tuple(EXPECTED)
# What other programs, and people, call them, as far as the letters do not tell.
_SYNONYMS = {
    "from": "from_email", "sender": "from_email", "mail_from": "from_email", "email": "from_email", "to": "recipient",
    "mail_to": "recipient", "server": "host", "auth": "auth_method", "login": "user", "pass": PASSWORD,
    "api_key": PASSWORD, "logfile": "log", "fingerprint": "tls_fingerprint", "ca_file": "tls_trust_file",
}  # fmt: skip
_KINDS = {bool: _SWITCH, str: "text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}


class Shown:
    """Shows values and keys in messages: cleaned, cut, and never the password, wherever it stands."""

    def __init__(self, document: Node) -> None:
        smtp = document.value.get(TOP) if isinstance(document.value, dict) else None
        given = smtp.value.get(PASSWORD) if smtp and isinstance(smtp.value, dict) else None
        lines = [line.strip() for text in _texts(given.value) for line in text.splitlines()] if given else []
        self._hidden = {line.casefold() for line in lines if line}

    def text(self, value: object) -> str:
        """A value, cut; stars where the password is in it."""
        text = str(value)
        if self.hides(text):
            return "***"
        cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        return f"'{printable(cut)}'" if isinstance(value, str) else cut

    def hides(self, text: str) -> bool:
        """Whether the password is in `text`, or may be."""
        # A quote that was not closed takes the lines behind it into its value, `api_key: ...` among them.
        return any(sign in text.casefold() for sign in _TELLING) or self._held(text)

    def key(self, key: str, near: str) -> str:
        """An unknown key that is probably `near`; `password=...` and the like could be the password itself."""
        plain = len(key) <= _LONGEST_KEY and key.replace("_", "").replace("-", "").isalnum()
        hidden = self._held(key) or ("pass" in key.casefold() and not near)
        return printable(key) if plain and not hidden else "a key"

    def _held(self, text: str) -> bool:
        folded = text.casefold()
        return len(self._hidden) > _MOST_HIDDEN or any(hidden in folded for hidden in self._hidden)


def _texts(value: Value) -> list[str]:
    """Every text in a value: a password that stands where none should is one all the same."""
    if isinstance(value, dict):
        return [text for key, node in value.items() for text in (key, *_texts(node.value))]
    if isinstance(value, list):
        return [text for node in value for text in _texts(node.value)]
    return [] if value is None or value == "" or isinstance(value, bool) else [str(value)]


def kind(value: Value) -> str:
    """What a value is, in the words that messages use."""
    return _KINDS[type(value)]


def near(key: str, known: Sequence[str]) -> str:
    """The known key that is probably meant; empty where none is like it."""
    from difflib import get_close_matches  # costs time, and most keys are right

    name = key.casefold().replace("-", "_")[:_LONGEST_KEY]
    synonym = _SYNONYMS.get(name.removeprefix("smtp_"), "")
    return synonym if synonym in known else next(iter(get_close_matches(name, known, 1, _ALIKE)), "")


def wrong(key: str, value: Value, shown: Shown) -> tuple[str, str]:
    """What is wrong with a value that the schema refuses, and what is allowed."""
    expected = EXPECTED[key]
    if value is None:
        return "has no value", expected
    if isinstance(value, str):
        return _wrong_text(key, value, shown)
    if key == "port" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"is {shown.text(value)}", expected
    unquoted = expected != _SWITCH and key != "port" and not isinstance(value, list | dict)
    return f"is {kind(value)}", f"{expected}, written in quotes" if unquoted else expected


def _wrong_text(key: str, value: str, shown: Shown) -> tuple[str, str]:
    expected = EXPECTED[key]
    if expected == _SWITCH:
        return "is text", f"{_SWITCH}, without quotes"
    if not value.strip():
        return "is empty" if not value else "is blank", expected
    if "\n" in value or "\r" in value:
        return "has a line break", f"{expected}, on one line"
    if printable(value) != value:
        return "has a character that cannot be seen", expected
    if key == PASSWORD:
        return "is too long", "at most 4096 characters"
    if value != value.strip():
        return "begins or ends with a blank", expected
    if value[0] == value[-1] == '"' and key != COMMAND:
        return "has double quotes of its own", f"{expected}, without them"
    if len(value) > (_LONGEST_RECIPIENT if key == "recipient" else _LONGEST_VALUE):
        return "is too long", FITTING_ALIAS if key == "recipient" else FITTING
    if not value.isascii() and key in ("host", "from_email", "recipient"):
        return f"is {shown.text(value)}, not ASCII", _in_ascii(key, value, shown)
    # Who shows a user name may show a token.
    return "cannot be taken" if key in (COMMAND, "user") else f"is {shown.text(value)}", expected


def _in_ascii(key: str, value: str, shown: Shown) -> str:
    """What is to be written instead of a name or an address beyond ASCII."""
    before, at, domain = value.rpartition("@")
    label = "" if shown.hides(value) or "," in value or not before.isascii() else _a_label(domain)
    return f"{before}{at}{label}" if label else f"{EXPECTED[key]}, in ASCII (xn--...)"


def _a_label(name: str) -> str:
    """A host name as DNS has it (`xn--...`); empty where the old rules of the standard library could be mistaken."""
    try:
        label = name.encode("idna")
        return label.decode("ascii") if label.decode("idna") == name.lower() else ""
    except UnicodeError:
        return ""
