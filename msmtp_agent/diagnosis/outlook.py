"""Rules of the decoder: Outlook.com, the personal mailboxes of Microsoft."""

from .rule import ACCOUNT, CERTAIN, HOST, LIKELY, MAKE_PASSWORD, Rule
from .steps import LOCKED, NOT_OWN, NOT_THE_PASSWORD, OAUTH, OTHER, OWN_FROM, OWN_MAILBOX, TEST

_OUTLOOK = "outlook"

OUTLOOK: tuple[Rule, ...] = (
    Rule(
        "outlook-no-passwords",
        "Outlook.com takes no passwords since 16 September 2024, app passwords neither",
        ACCOUNT,
        (MAKE_PASSWORD, OAUTH),
        CERTAIN,
        provider=_OUTLOOK,
        says=("basic authentication is disabled",),
    ),
    Rule(
        "outlook-smtp-off",
        "Outlook.com has switched SMTP off for this mailbox",
        ACCOUNT,
        (MAKE_PASSWORD,),
        CERTAIN,
        provider=_OUTLOOK,
        says=("smtpclientauthentication is disabled",),
    ),
    Rule(
        "outlook-locked",
        "Microsoft has locked {user}; unlocked, it takes no passwords either (since 16 September 2024)",
        ACCOUNT,
        ("sign in at https://account.microsoft.com as {user}, and answer what Microsoft asks", MAKE_PASSWORD, OAUTH),
        LIKELY,
        provider=_OUTLOOK,
        says=LOCKED,
    ),
    Rule(
        "outlook-token",
        "Outlook.com did not take the OAuth token: it has expired, is for another account, or not for SMTP",
        ACCOUNT,
        (
            "let the program in `passwordeval` sign in as {user}, with the scope "
            "https://outlook.office.com/SMTP.Send and offline_access",
            "a token lives for about an hour: the program must fetch a fresh one each time",
        ),
        LIKELY,
        provider=_OUTLOOK,
        stage=("auth",),
        code=("535",),
        own=("xoauth2", "oauthbearer"),
    ),
    Rule(
        "outlook-held",
        "Microsoft holds the mails of {user} back as possible spam until its owner has confirmed the account",
        ACCOUNT,
        (
            "sign in at https://outlook.live.com as {user}, and answer what Microsoft asks",
            "send less, or plainer mails, for some days",
            OTHER,
        ),
        LIKELY,
        provider=_OUTLOOK,
        anywhere=True,  # personal accounts reach smtp.office365.com as well
        says=("outboundspamexception", "wascl useraction verdict"),
    ),
    Rule(
        "outlook-sender",
        "{user} may not send as the address that this mail is from",
        HOST,
        (OWN_MAILBOX, OWN_FROM, TEST),
        CERTAIN,
        provider=_OUTLOOK,
        says=NOT_OWN,
    ),
    Rule(
        "outlook-long-reply",
        "Outlook.com refused the mail with a reply too long for msmtp; the usual one is that {user} may not send as "
        "this address",
        HOST,
        (OWN_MAILBOX, OWN_FROM, TEST),
        LIKELY,
        provider=_OUTLOOK,
        stage=("general", "message"),
        own=("the server sent an invalid reply",),
        traits=("!probe",),
    ),
    Rule(
        "outlook-password",
        "Outlook.com refused the login: it takes no passwords since 16 September 2024, app passwords neither",
        ACCOUNT,
        (MAKE_PASSWORD, OAUTH),
        LIKELY,
        provider=_OUTLOOK,
        stage=("auth",),
        code=("535",),
        unless=NOT_THE_PASSWORD,
    ),
)
