"""What a rule of the decoder is: what it wants of a failure, and what it answers."""

from typing import NamedTuple

from msmtp_agent.model import Confidence, Owner

from .failure import Failure

ACCOUNT, ADMINISTRATOR, NETWORK, HOST = Owner.ACCOUNT, Owner.ADMINISTRATOR, Owner.NETWORK, Owner.HOST
CERTAIN, LIKELY, GENERAL = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GENERAL
MAKE_PASSWORD = "@password"  # noqa: S105 - stands for the provider's own steps to a password


class Rule(NamedTuple):
    """One row of the table. A field that is empty asks for nothing; every other one must hold.

    `says` are alternatives of the server's text and `own` of msmtp's own line, in lower case, the parts of one (between
    ` ... `) in this order; of the phrases in `unless` none may stand in the server's text. `code` and `enhanced` are
    alternatives too, a `code` of one digit is a class of replies.
    `provider` is the id of the provider that the host must belong to (with `anywhere` it only lends its steps).
    `traits` must all hold, those that begin with `!` must not. `cause` and `steps` may name {host}, {port}, {user},
    {sender} and {provider}; the step `MAKE_PASSWORD` stands for the provider's steps.
    """

    id: str
    cause: str
    owner: Owner
    steps: tuple[str, ...]
    confidence: Confidence = LIKELY
    provider: str = ""
    anywhere: bool = False
    stage: tuple[str, ...] = ()
    status: tuple[int | None, ...] = ()
    code: tuple[str, ...] = ()
    enhanced: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()

    def fits(self, failure: Failure, provider: str, text: str, own: str) -> bool:
        """Whether it holds; `text` and `own` are the failure's in lower case, `provider` the host's."""
        return (
            (not self.provider or self.anywhere or self.provider == provider)
            and (not self.stage or failure.stage in self.stage)
            and (not self.status or failure.status in self.status)
            and (not self.code or failure.code in self.code or failure.code[:1] in self.code)
            and (not self.enhanced or failure.enhanced in self.enhanced)
            and (not self.says or any(_said(phrase, text) for phrase in self.says))
            and not any(_said(phrase, text) for phrase in self.unless)
            and (not self.own or any(_said(phrase, own) for phrase in self.own))
            and all((trait.removeprefix("!") in failure.traits) != trait.startswith("!") for trait in self.traits)
        )


def phrases(text: str) -> tuple[str, ...]:
    """Many alternatives as one string, with ` | ` between them."""
    return tuple(text.split(" | "))


def _said(phrase: str, text: str) -> bool:
    """Whether the parts of the phrase stand in the text, in their order."""
    position = 0
    for part in phrase.split(" ... "):
        position = text.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return True
