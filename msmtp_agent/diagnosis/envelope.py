"""Rules of the decoder: what any server says to the host's name, to the sender and to the recipients."""

from .rule import ACCOUNT, ADMINISTRATOR, CERTAIN, HOST, Rule, phrases
from .steps import DIAGNOSE, MAY_RELAY, RELAY_DENIED, SENDER, STILL_DENIED, SUBMISSION_PORT, VERIFIED

_ENVELOPE = ("sender", "recipient", "data", "message")
_ANYWHERE = ("greeting", "hello", *_ENVELOPE)
_ALIASES = "check /etc/aliases: it gives root an address, and the account has the line: aliases /etc/aliases"
_NO_RELAY = phrases(
    "relaying denied | relaying disallowed | relay denied | relay rejected | cannot relay | relaying not | "
    "not permitted to relay | not allowed to relay | relay not allowed | relay is not allowed | relaying is | "
    "do not relay | not relay | no relay | cannot deliver mail for | not a local | rcpthosts"
)

_HELLO: tuple[Rule, ...] = (
    Rule(
        "hello-name",
        "the server does not take the name by which this host greets it: `localhost`, unless the account says another",
        HOST,
        ("in /etc/msmtprc: domain HOST.DOMAIN   # a name that leads to this host",),
        stage=("hello",),
        code=("4", "5"),
        traits=("no-domain",),
    ),
)

_SENDER: tuple[Rule, ...] = (
    Rule(
        "auth-required-off",
        "the server takes mail from nobody who has not logged in, and the account does not",
        HOST,
        ('in /etc/msmtprc: auth on, user NAME and passwordeval "cat /etc/msmtp-password"', "then: msmtp-config"),
        CERTAIN,
        stage=("sender", "recipient", "data"),
        code=("5",),
        says=phrases(
            "authentication required | auth required | issue an auth | must authenticate | not authenticated | "
            "authenticate first | must be authenticated | authentication is required | authentication needed | "
            "log in"
        ),
        traits=("auth-off",),
    ),
    Rule(
        "auth-required",
        "the server says that nobody has logged in: this port or this server is not for submission",
        HOST,
        ("in /etc/msmtprc: port 587, and `host` as {provider} names it for submission", DIAGNOSE),
        stage=("sender", "recipient", "data"),
        code=("5",),
        says=phrases(
            "authentication required | auth required | issue an auth | must authenticate | not authenticated | "
            "authenticate first | must be authenticated | authentication is required | authentication needed"
        ),
    ),
    Rule(
        "sender-bare",
        "`from` is no whole address, and the server wants one",
        HOST,
        ("in /etc/msmtprc: from NAME@DOMAIN",),
        stage=("sender",),
        code=("5",),
        traits=("from-bare",),
    ),
    Rule(
        "sender-unverified",
        "the provider sends for addresses and domains alone that it has verified, and {sender} is none of them",
        ACCOUNT,
        (VERIFIED, "verify {sender}, or its domain, at {provider}", SENDER),
        CERTAIN,
        stage=("sender", "data", "message"),
        code=("4", "5"),
        says=phrases(
            "not verified | verified sender | unverified | not been verified | verify the sender | validate your | "
            "must be verified | verify a domain | verify your domain | not validated | unconfigured sending domain | "
            "not an authorized sender | not associated with your account"
        ),
    ),
    Rule(
        "sender-not-owned",
        "the user who logs in may not send as {sender}",
        ACCOUNT,
        (
            "write an address that {user} may use: from ADDRESS in /etc/msmtprc",
            "or allow it at {provider}",
        ),
        stage=("sender", "recipient", "data", "message"),
        code=("4", "5"),
        says=phrases(
            "not owned by | send as | sendas | not allowed to send | not authorized to send | "
            "not permitted to send | sender mismatch | sender address is not allowed | "
            "sender address not allowed | sender not allowed | must be same as | must be the same as | "
            "sender permission | from address must match | from header must match | sender must match | "
            "from address does not match | from header does not match | sender does not match | "
            "sender address does not match | cannot send from | not allowed to relay from | sender is not allowed | "
            "not authorized to use | not allowed to use | use this sender | from this address"
        ),
    ),
    Rule(
        "sender-domain",
        "the server finds no such domain as the sender's, or no mail server for it",
        ACCOUNT,
        ("look for a typing error in `from {sender}` in /etc/msmtprc", SENDER),
        stage=("sender", "recipient"),
        code=("4", "5"),
        says=phrases(
            "sender address rejected: domain | domain of sender | sender domain | unroutable sender | sender verify"
        ),
    ),
)

_RECIPIENT: tuple[Rule, ...] = (
    Rule(
        "recipient-bare",
        "the recipient is a name of this host, such as root, and no address: no alias was found for it",
        HOST,
        (_ALIASES, "then: msmtp-config test"),
        stage=("recipient",),
        code=("4", "5"),
        says=phrases(
            "fully-qualified address | fully qualified address | must contain a domain | domain missing | "
            "missing domain | bad recipient address | bad address syntax | recipient address syntax"
        ),
    ),
    Rule(
        "relay-denied",
        RELAY_DENIED,
        HOST,
        (
            "in /etc/msmtprc: auth on, with the user and password of this server, and port 587",
            "verify SMTP settings: `host` is to be the server for submission, not the MX of a domain",
            "or ask who runs {host} to relay for this host",
        ),
        CERTAIN,
        stage=_ENVELOPE,
        code=("4", "5"),
        says=_NO_RELAY,
        traits=("auth-off",),
    ),
    Rule(
        "relay-still-denied",
        STILL_DENIED,
        ADMINISTRATOR,
        (
            SUBMISSION_PORT,
            "verify SMTP settings: `host` is to be the server for submission, not the MX of a domain",
            MAY_RELAY,
        ),
        stage=_ENVELOPE,
        code=("4", "5"),
        says=_NO_RELAY,
    ),
    Rule(
        "recipient-domain",
        "the server finds no mail server for the domain of the recipient",
        HOST,
        (_ALIASES, "look for a typing error in the address", "then: msmtp-config test"),
        stage=("recipient", "message"),
        code=("4", "5"),
        says=phrases(
            "domain not found | host not found | no such domain | unrouteable | unroutable | "
            "does not accept mail | nullmx | null mx | no mx | domain does not exist | host unknown | "
            "name service error"
        ),
    ),
    Rule(
        "recipient-unknown",
        "the server has no such mailbox as the recipient's",
        HOST,
        (_ALIASES, "look for a typing error in the address", "then: msmtp-config test"),
        stage=("recipient", "message"),
        code=("4", "5"),
        says=phrases(
            "user unknown | unknown user | no such user | no such recipient | no such mailbox | "
            "recipient unknown | mailbox unavailable | mailbox not found | does not exist | doesn't exist | "
            "unknown recipient | recipient not found | user not found | invalid recipient | invalid mailbox | "
            "no mailbox | unknown address | address unknown | addressee unknown | email address could not be found | "
            "not a valid email address | not in recipient list | recipient rejected | unknown local"
        ),
    ),
    Rule(
        "recipient-disabled",
        "the mailbox of the recipient is closed, or takes no mail from outside",
        ADMINISTRATOR,
        ("ask the recipient, or who runs the mailbox", "or send elsewhere: change the address in /etc/aliases"),
        stage=("recipient", "message"),
        code=("4", "5"),
        says=phrases(
            "disabled | suspended | inactive | not accepting | no longer | deactivated | frozen | discontinued"
        ),
    ),
)

ENVELOPE: tuple[Rule, ...] = (*_SENDER, *_RECIPIENT, *_HELLO)
