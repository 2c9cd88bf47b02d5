"""Whether a password looks like what its provider gives out: something to ask about before it is tried, no verdict."""

import re
from typing import NamedTuple

from .host import MSMTPRC
from .msmtprc import Account
from .secret import Secret

# What a web page or a mail puts between and around the groups of a password: the blanks of Unicode, without the ends of
# lines and pages, and the signs that have no width.
_BLANKS = "\t \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_UNSEEN = "\u00ad\u200b\u200c\u200d\u2060\ufeff"
# Quotes as they stand around a word, opening and closing, in the ways of several languages.
_QUOTES = (
    '""', "''", "``", "\u201c\u201d", "\u201d\u201d", "\u201e\u201c", "\u201e\u201d", "\u2018\u2019", "\u2019\u2019",
    "\u201a\u2018", "\u201a\u2019", "\u00ab\u00bb", "\u00bb\u00ab", "\u2039\u203a", "\u203a\u2039",
)  # fmt: skip
_WITH_TOKENS = ("xoauth2", "oauthbearer")  # methods whose secret is a token, which has no known shape
_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# What is told, since the password that is tried and stored is not the one that was given.
JOINED = "the blanks between the groups of Google's app password were left out; the letters alone are tried and stored"
_APP_PASSWORD = "[A-Za-z]{16}"  # noqa: S105 - a pattern


class Misfit(NamedTuple):
    """What speaks against a password, or against the user name that it goes with; nothing of either is told.

    `place` is the file and line of the user name, and empty where it is the password that is to be changed.
    """

    id: str
    observed: str
    expected: str
    place: str = ""
    remedy: str = "msmtp-config"

    @property
    def gist(self) -> str:
        """What was seen, as a sentence without its full stop."""
        return f"The {'user name' if self.place else 'password'} {self.observed}"

    @property
    def message(self) -> str:
        """One line: the subject, what was seen, and what would be right."""
        subject = f"{self.place}: the user name" if self.place else "password:"
        return f"{subject} {self.observed}; expected {self.expected}"


class _Mistake(NamedTuple):
    """Something else of the provider's that is taken for the password: its pattern, and what it is."""

    id: str
    pattern: str
    what: str


class _Shape(NamedTuple):
    """What is known of a provider's passwords. Patterns must match the whole; an empty one says nothing.

    `password` is what the provider makes, `mistakes` what it is confused with, `user` the user name. A user name that
    is a `twin` is the password as well.
    """

    name: str
    password: str = ""
    mistakes: tuple[_Mistake, ...] = ()
    user: str = ""
    user_fault: str = ""
    user_expected: str = ""
    user_setting: str = ""
    twin: str = ""


# Only what the providers document, or what their own source makes: a wrong question is worse than none.
_SHAPES = {
    # Google's help, "Sign in with app passwords".
    "gmail": _Shape("an app password of Google (16 letters), not the password of the account", _APP_PASSWORD),
    # AWS documentation, "Obtaining Amazon SES SMTP credentials": 33 bytes in base64, of which the first is a version
    # (2: `A`, 4: `B`); "IAM identifiers", for the prefixes of access keys.
    "ses": _Shape(
        "an SMTP password of Amazon SES, which is not the secret access key",
        "[AB][A-Za-z0-9+/]{43}",
        (
            _Mistake("ses-access-key", "A(KI|SI)A[A-Z0-9]{16}", "an AWS access key ID"),
            _Mistake("ses-secret-key", "[A-Za-z0-9+/]{40}", "an AWS secret access key"),
        ),
    ),
    # Twilio's documentation, "Integrating with the SMTP API". The length of a key is not promised there.
    "sendgrid": _Shape(
        "an API key of SendGrid, which begins with `SG.`",
        r"SG\.\S+",
        user="apikey",
        user_fault="is not `apikey`",
        user_expected="this very word, for every key",
        user_setting="user apikey",
    ),
    # Bridge makes 16 random bytes, and shows them in base64 for URLs without padding (its source, internal/vault and
    # internal/user, 2.0 to 3.21). hydroxide, which listens on the same port, makes 32 in plain base64.
    "proton-bridge": _Shape(
        "the password that Proton Mail Bridge shows, not that of the Proton account",
        "[A-Za-z0-9_-]{22}|[A-Za-z0-9+/]{43}=",
    ),
    # A password may be anything; this is the form of the older API keys.
    "mailgun": _Shape(
        "the SMTP password of this user, which is not the API key",
        mistakes=(_Mistake("mailgun-api-key", "key-[0-9a-f]{32}", "an API key of Mailgun"),),
    ),
    # Postmark's manual, "Sending email with SMTP": the server token twice, or access key and secret key of a token.
    "postmark": _Shape(
        "the server API token of Postmark, which is the user name as well",
        user="[^@]+",
        user_fault="is an address",
        user_expected="the server API token, which is the password as well, or the access key of an SMTP token",
        user_setting="user TOKEN",
        twin=_UUID,
    ),
}


def joined(candidate: Secret, account: Account, provider: str) -> Secret | None:
    """An app password of Google without the blanks between its groups, in which Google shows it; None for any other.

    msmtp sends blanks like anything else. Nothing but 16 letters is ever joined, and nothing for another provider:
    there a blank may belong to the password.
    """
    if provider != "gmail" or account.method in _WITH_TOKENS:
        return None
    text = _text(candidate)
    letters = _without_blanks(text)
    return Secret(letters.encode()) if letters != text and re.fullmatch(_APP_PASSWORD, letters) else None


def judge(candidate: Secret, account: Account, provider: str) -> tuple[Misfit, ...]:
    """What speaks against this password for this account; `provider` is the id of the host's (empty: unknown)."""
    text = _text(candidate)
    found = []
    if len(text) > 1 and text[0] + text[-1] in _QUOTES:
        found.append(
            Misfit("quoted", "stands in quotes, which msmtp would send as part of it", "the password without quotes")
        )
        text = text[1:-1]
    known = account.method not in _WITH_TOKENS and provider in _SHAPES
    shape = _SHAPES[provider] if known else _Shape("the password of this account")
    steps = f" (how to make one: msmtp-config providers {provider})" if known else ""
    if fault := _password(text, account, shape, provider):
        found.append(Misfit(*fault, shape.name + steps))
    if shape.user and not re.fullmatch(shape.user, account.get("user")):
        line = account.line_of("user")
        remedy = f"sensible-editor +{line} {MSMTPRC}   # {shape.user_setting}"
        found.append(
            Misfit(f"{provider}-user", shape.user_fault, shape.user_expected, f"{MSMTPRC}: line {line}", remedy)
        )
    return tuple(found)


def user_is_password(provider: str, user: str = "") -> bool:
    """Whether the user name at this provider (its id) is a token that is the password as well; without one: can be."""
    twin = _SHAPES[provider].twin if provider in _SHAPES else ""
    return bool(twin and (not user or re.fullmatch(twin, user)))


def _password(text: str, account: Account, shape: _Shape, provider: str) -> tuple[str, str] | None:
    """What is wrong with a password, as the id and the observation of a Misfit; the most telling alone."""
    bare = text.strip(_BLANKS + _UNSEEN)
    for mistake in shape.mistakes:
        if re.fullmatch(mistake.pattern, bare):
            return mistake.id, f"has the shape of {mistake.what}"
    user = account.get("user")
    twin = bool(shape.twin and re.fullmatch(shape.twin, user))
    if twin and bare != user:
        return f"{provider}-twin", "is not the same as the user name"
    if not shape.twin and bare and bare.casefold() in _names(account):
        # Not whose: where a weak password is right all the same, a log would tell it.
        return "name", "looks like a name or an address of the account"
    right = shape.twin if twin else shape.password
    if not right or re.fullmatch(right, text):
        return None
    if re.fullmatch(right, bare):
        return "blanks", "has blanks around it, which msmtp would send as part of it"
    if provider == "gmail" and re.fullmatch(right, _without_blanks(text)):
        return "gmail-groups", "has blanks between its groups, which msmtp would send as part of it"
    return f"{provider}-shape", "does not have the shape of one that this provider makes"


def _names(account: Account) -> set[str]:
    """User name and sender, and the parts in front of their @."""
    names = [account.get("user"), account.get("from")]
    return {form.casefold() for name in names for form in (name, name.partition("@")[0]) if form}


def _text(secret: Secret) -> str:
    return secret.reveal().decode("utf-8", "replace")


def _without_blanks(text: str) -> str:
    return "".join(character for character in text if character not in _BLANKS + _UNSEEN)
