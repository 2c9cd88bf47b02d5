"""Rules of the decoder: whose room is used up, that of the recipient's mailbox or the account's own."""

from .rule import ACCOUNT, ADMINISTRATOR, CERTAIN, Rule, phrases
from .steps import ASK_WHY, SEE_LIMITS

_MAKE_ROOM = ("have the recipient make room", "or send elsewhere: change the address in /etc/aliases")
_USED_UP = phrases(
    "over quota | overquota | quota exceeded | exceeded quota | exceeded its quota | exceeds quota | out of storage | "
    "exceeded storage"
)

# Before what is said of limits and of sizes: "Mailbox size limit exceeded" is neither.
MAILBOX: tuple[Rule, ...] = (
    Rule(
        "mailbox-full",
        "the mailbox of the recipient is full",
        ADMINISTRATOR,
        _MAKE_ROOM,
        CERTAIN,
        stage=("recipient", "data", "message"),
        code=("4", "5"),
        says=phrases(
            "mailbox full | mailbox is full | full mailbox | mailbox for user is full | mailbox size limit | "
            "mailbox quota | mailbox over quota | mailbox is over quota | mailbox has exceeded | "
            "mailbox would exceed | user over quota | user is over quota | user is overquota | "
            "user quota exceeded | recipient overquota | recipient over quota | "
            "you tried to reach is over quota | maildir over quota | inbox is full"
        ),
    ),
)

QUOTA: tuple[Rule, ...] = (
    Rule(
        "mailbox-storage",
        "the mailbox of the recipient is full, by the code of the reply (x.2.2)",
        ADMINISTRATOR,
        _MAKE_ROOM,
        stage=("recipient", "data", "message"),
        enhanced=("5.2.2", "4.2.2"),
    ),
    Rule(
        "recipient-quota",
        "the mailbox of the recipient is most likely full",
        ADMINISTRATOR,
        _MAKE_ROOM,
        stage=("recipient",),
        code=("4", "5"),
        says=_USED_UP,
    ),
    Rule(
        "account-quota",
        "a quota is used up: that of the account, or of the mailbox of the recipient",
        ACCOUNT,
        (*SEE_LIMITS, "have the recipient look whether the mailbox is full", ASK_WHY),
        stage=("sender", "data", "message"),
        code=("4", "5"),
        says=_USED_UP,
    ),
)
