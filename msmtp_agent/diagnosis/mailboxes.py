"""Rules of the decoder: the providers of mailboxes; those of Google, Microsoft and Proton have modules of their own."""

from .google import GOOGLE
from .microsoft import MICROSOFT
from .outlook import OUTLOOK
from .proton import PROTON
from .rule import ACCOUNT, CERTAIN, HOST, LIKELY, MAKE_PASSWORD, Rule
from .steps import NOT_THE_PASSWORD, OTHER, OWN_FROM, OWN_MAILBOX, PACE, STORE, TEST

_FASTMAIL, _ZOHO, _YAHOO, _ICLOUD = "fastmail", "zoho", "yahoo", "icloud"

_OTHERS: tuple[Rule, ...] = (
    Rule(
        "fastmail-app-password",
        "Fastmail takes no account password here: it wants an app password",
        ACCOUNT,
        (MAKE_PASSWORD, STORE),
        CERTAIN,
        provider=_FASTMAIL,
        says=("create an app password",),
    ),
    Rule(
        "fastmail-password",
        "Fastmail knows no {user} with this password: it is the account's own, mistyped, or an app password that was "
        "removed or has no access to SMTP",
        ACCOUNT,
        (MAKE_PASSWORD, STORE),
        LIKELY,
        provider=_FASTMAIL,
        stage=("auth",),
        code=("535",),
        unless=NOT_THE_PASSWORD,
    ),
    Rule(
        "fastmail-sender",
        "{user} may not send as the address in the From: of this mail",
        HOST,
        (
            OWN_MAILBOX,
            "or add the address at https://app.fastmail.com > Settings > My email addresses",
            OWN_FROM,
            TEST,
        ),
        CERTAIN,
        provider=_FASTMAIL,
        says=("not authorised to send from this header address",),
    ),
    Rule(
        "fastmail-two-senders",
        "the From: of this mail has more than one address, or a name with an @ in it",
        HOST,
        (OWN_FROM, "write no @ in the name that stands before the address", TEST),
        CERTAIN,
        provider=_FASTMAIL,
        says=("multiple addresses in a from header",),
    ),
    Rule(
        "zoho-blocked",
        "Zoho has stopped the mails that {user} sends: too many came, or they looked like spam",
        ACCOUNT,
        (
            "sign in at https://mail.zoho.com/UnblockMe as {user} (or mail.zoho.eu, .in, .com.au, .jp)",
            PACE,
            OTHER,
        ),
        CERTAIN,
        provider=_ZOHO,
        says=("unusual sending activity", "sender address blocked", "email outgoing blocked"),
    ),
    Rule(
        "zoho-password",
        "Zoho knows no {user} with this password at {host}: with two-factor sign-in it wants an app password, and the "
        "server must be that of the account's region",
        ACCOUNT,
        (
            MAKE_PASSWORD,
            "compare `host` in /etc/msmtprc with https://mail.zoho.com > Settings > Mail Accounts > SMTP",
            STORE,
        ),
        LIKELY,
        provider=_ZOHO,
        stage=("auth",),
        code=("535",),
        unless=NOT_THE_PASSWORD,
    ),
    Rule(
        "zoho-sender",
        "{user} may not send as the address that this mail is from",
        HOST,
        (OWN_MAILBOX, OWN_FROM, TEST),
        CERTAIN,
        provider=_ZOHO,
        says=("relaying disallowed",),
    ),
    Rule(
        "yahoo-many-attempts",
        "Yahoo takes no logins of {user} for a while: too many have failed",
        ACCOUNT,
        ("wait an hour, and try no password until then", MAKE_PASSWORD, STORE),
        CERTAIN,
        provider=_YAHOO,
        says=("too many bad auth attempts",),
    ),
    Rule(
        "yahoo-password",
        "Yahoo refused the login: it wants an app password, not the account's own",
        ACCOUNT,
        (MAKE_PASSWORD, STORE),
        LIKELY,
        provider=_YAHOO,
        stage=("auth",),
        code=("535",),
        unless=NOT_THE_PASSWORD,
    ),
    Rule(
        "yahoo-sender",
        "Yahoo, which runs the mail of AT&T and AOL too, refused this one, as it does when it is not from the address "
        "that logged in",
        HOST,
        (OWN_MAILBOX, OWN_FROM, TEST),
        LIKELY,
        provider=_YAHOO,
        anywhere=True,
        says=("request failed; mailbox unavailable", "from address not verified - see"),
    ),
    Rule(
        "icloud-password",
        "Apple refused the login: it wants an app-specific password, and as user the whole iCloud address",
        ACCOUNT,
        (MAKE_PASSWORD, STORE),
        LIKELY,
        provider=_ICLOUD,
        stage=("auth",),
        code=("535",),
        unless=NOT_THE_PASSWORD,
    ),
    Rule(
        "icloud-sender",
        "{user} may not send as the address that this mail is from",
        HOST,
        (OWN_MAILBOX, OWN_FROM, TEST),
        CERTAIN,
        provider=_ICLOUD,
        says=("from address is not one of your addresses",),
    ),
)

MAILBOXES: tuple[Rule, ...] = (*GOOGLE, *OUTLOOK, *MICROSOFT, *PROTON, *_OTHERS)
