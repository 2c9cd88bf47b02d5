"""Rules of the decoder: Microsoft 365 (Exchange Online), and what it says to mails."""

from .microsoft_login import MICROSOFT_LOGIN
from .rule import ACCOUNT, ADMINISTRATOR, CERTAIN, HOST, LIKELY, NETWORK, Rule
from .steps import LOG_IN, NOT_OWN, OTHER, OWN_FROM, OWN_MAILBOX, PACE, TEST

_M365 = "microsoft365"
_SEND_AS = (
    "or the administrator lets {user} send as {sender}: https://admin.exchange.microsoft.com > Recipients > Mailboxes "
    "> Delegation > Send as"
)
_SUPPORT = "https://admin.microsoft.com > Support > New service request"

_SENDING: tuple[Rule, ...] = (
    Rule(
        "m365-starttls",
        "Microsoft takes mail over TLS alone, and msmtp did not begin it; waiting does not help",
        HOST,
        ("write `tls on`, `tls_starttls on` and `port 587` in /etc/msmtprc", TEST),
        CERTAIN,
        provider=_M365,
        says=("starttls is required to send mail",),
    ),
    Rule(
        "m365-no-login",
        "Microsoft wants a login, and msmtp made none",
        HOST,
        (LOG_IN, TEST),
        LIKELY,
        provider=_M365,
        says=("client was not authenticated", "client not authenticated"),
    ),
    Rule(
        "m365-send-as",
        "{user} may not send as the address that this mail is from",
        HOST,
        (OWN_MAILBOX, OWN_FROM, _SEND_AS),
        CERTAIN,
        provider=_M365,
        says=NOT_OWN,
    ),
    # Microsoft adds diagnostic data to SendAsDenied, in one line; msmtp reads no reply of more than 1021 characters.
    Rule(
        "m365-long-reply",
        "Microsoft refused the mail with a reply too long for msmtp; the usual one is that {user} may not send as this "
        "address",
        HOST,
        (OWN_MAILBOX, OWN_FROM, _SEND_AS),
        LIKELY,
        provider=_M365,
        stage=("general", "message"),
        own=("the server sent an invalid reply",),
        traits=("!probe",),
    ),
    Rule(
        "m365-connections",
        "more than three mails were on their way at once for {user}",
        HOST,
        ("try again in a minute: it heals by itself", PACE),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("concurrent connections limit exceeded", "storedrv.clientsubmit; sender thread limit exceeded"),
    ),
    Rule(
        "m365-busy",
        "Microsoft has too many connections for now: from this address, or of all",
        ADMINISTRATOR,
        (f"in some minutes: {TEST}", PACE, "administrator: https://admin.microsoft.com > Health tells of outages"),
        LIKELY,
        provider=_M365,
        says=("maximum number of concurrent ... connections", "maximum number of concurrent connections"),
    ),
    Rule(
        "m365-quota",
        "{user} has reached its limit of recipients for one day",
        ACCOUNT,
        ("wait: the last 24 hours count", PACE, OTHER),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("submissionquotaexceeded", "reached your daily limit for message recipients"),
    ),
    Rule(
        "m365-restricted",
        "Microsoft has barred {user} from sending, since its mails looked like spam",
        ADMINISTRATOR,
        (
            "administrator: reset the password of {user}, and see what it sent",
            "administrator: https://security.microsoft.com/restrictedentities: {user} > Unblock",
        ),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("bad outbound sender",),
    ),
    Rule(
        "m365-threshold",
        "Microsoft takes no mail of the whole organisation: too much of it looked like spam, or went to too many",
        ADMINISTRATOR,
        (
            "administrator: find who sent it: https://security.microsoft.com/reports/TopSenderRecipients",
            "administrator: reset the passwords of those accounts, and remove connectors that nobody knows",
            f"administrator: have the block lifted: {_SUPPORT}",
            "if the subscription was renewed just now, wait a day",
        ),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("tenant has exceeded threshold",),
    ),
    Rule(
        "m365-new-organisation",
        "Microsoft does not trust the address that it sends this mail from itself: it is one for new and trial "
        "organisations",
        ADMINISTRATOR,
        (
            "administrator: buy the licences, if the organisation is on trial",
            f"administrator: until then, ask for an exception: {_SUPPORT}",
            "or take another provider: msmtp-config providers",
        ),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("traffic not accepted from this ip",),
    ),
    Rule(
        "m365-banned-address",
        "Microsoft bars the IP address of this host",
        NETWORK,
        (
            "have it taken off the list: https://sender.office.com",
            "or write `host smtp.office365.com`, `port 587` and `auth on` in /etc/msmtprc",
        ),
        CERTAIN,
        provider=_M365,
        says=("banned sending ip",),
    ),
)

MICROSOFT: tuple[Rule, ...] = (*MICROSOFT_LOGIN, *_SENDING)
