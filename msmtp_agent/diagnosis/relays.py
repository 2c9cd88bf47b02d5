"""Rules of the decoder: relays (SendGrid, Amazon SES, Mailgun, Postmark). Their words stand in tests/replies.

Words that one provider alone says are believed from any host: some serve customers under the customer's own name.
"""

from .amazon import AMAZON
from .rule import ACCOUNT, CERTAIN, HOST, LIKELY, MAKE_PASSWORD, Rule
from .steps import LOG_IN, PACE, STORE, TEST

_ADDRESSES = "if IP Access Management is on, add the address of this host: https://app.sendgrid.com/settings/access"
_APP = "https://app.mailgun.com"

_SENDGRID: tuple[Rule, ...] = (
    Rule(
        "sendgrid-credits",
        "the SendGrid account has no mails left: its plan is used up, or its trial has ended",
        ACCOUNT,
        (
            "open https://app.sendgrid.com > Settings > Account Details: the plan, and what is left of it",
            "choose a larger plan, or wait for the next day or month of the plan",
            TEST,
        ),
        CERTAIN,
        "sendgrid",
        anywhere=True,
        says=("maximum credits exceeded", "exceeded your messaging limits"),
    ),
    Rule(
        "sendgrid-account-password",
        "SendGrid takes the password of the account no longer: it wants an API key, and the word apikey as the user",
        ACCOUNT,
        (MAKE_PASSWORD,),
        CERTAIN,
        "sendgrid",
        anywhere=True,
        says=("basic authentication is not allowed",),
    ),
    Rule(
        "sendgrid-address",
        "the SendGrid account lets in some addresses alone, and the one of this host is none of them",
        ACCOUNT,
        (_ADDRESSES, TEST),
        LIKELY,
        "sendgrid",
        says=("not whitelisted",),
    ),
    Rule(
        "sendgrid-account",
        "SendGrid has closed the account, or holds it back: for a bill, a review or its terms; no new key will help",
        ACCOUNT,
        ("sign in at https://app.sendgrid.com: it says what the account lacks", "else: https://support.sendgrid.com"),
        LIKELY,
        "sendgrid",
        code=("4", "5"),
        says=("disabled", "suspended", "terminated", "account is locked", "under review", "banned", "frozen"),
    ),
    Rule(
        "sendgrid-user",
        "the user is {user}; SendGrid knows one user alone, the word apikey, and the API key as its password",
        HOST,
        ("write `user apikey` in /etc/msmtprc", "run msmtp-config, and give the API key as the password"),
        CERTAIN,
        "sendgrid",
        stage=("auth",),
        code=("535", "451"),
        traits=("!user-apikey",),
    ),
    Rule(
        "sendgrid-key",
        "the API key is none of SendGrid's, or it was deleted there",
        ACCOUNT,
        (MAKE_PASSWORD,),
        CERTAIN,
        "sendgrid",
        anywhere=True,
        stage=("auth",),
        says=("authorization grant is invalid",),
    ),
    Rule(
        "sendgrid-login",
        "SendGrid refuses what was given as the API key; waiting does not heal this, whatever the code of the reply",
        ACCOUNT,
        (MAKE_PASSWORD, _ADDRESSES),
        LIKELY,
        "sendgrid",
        stage=("auth",),
        says=("authentication failed", "bad username"),
    ),
    Rule(
        "sendgrid-sender",
        "the From of the mail is no verified sender of the SendGrid account (in /etc/msmtprc it is {sender})",
        ACCOUNT,
        (
            "verify the address or its domain: https://app.sendgrid.com/settings/sender_auth",
            "or write a verified address as `from` in /etc/msmtprc",
            "for mail that brings a From of its own, as cron's does, write `set_from_header on` there",
            TEST,
        ),
        CERTAIN,
        "sendgrid",
        anywhere=True,
        says=("does not match a verified sender identity", "not authorized to send from that email address"),
    ),
    Rule(
        "sendgrid-not-logged-in",
        "msmtp sends without logging in, and SendGrid takes mail from its customers alone",
        HOST,
        (LOG_IN, "write `user apikey` there", TEST),
        CERTAIN,
        "sendgrid",
        anywhere=True,
        says=("unauthenticated senders not allowed",),
        traits=("auth-off",),
    ),
)

_MAILGUN: tuple[Rule, ...] = (
    Rule(
        "mailgun-sandbox",
        "a sandbox domain or free account of Mailgun sends to authorized recipients alone; waiting does not heal this",
        ACCOUNT,
        (
            f"open {_APP} > the sandbox domain > Authorized recipients, add the recipient, and let it confirm",
            "or add a domain of your own there, and use its SMTP user in /etc/msmtprc",
            TEST,
        ),
        CERTAIN,
        "mailgun",
        anywhere=True,
        says=("sandbox subdomains are for test purposes only", "free accounts are for test purposes only"),
    ),
    Rule(
        "mailgun-unverified",
        "Mailgun has not found the DNS records of the domain yet; waiting alone does not heal this",
        ACCOUNT,
        (
            f"open {_APP} > Send > Sending > Domain settings > DNS records, and choose the domain",
            "set the records that it shows (SPF and DKIM, as TXT) at the name servers of the domain",
            "choose Verify DNS settings there",
            TEST,
        ),
        CERTAIN,
        "mailgun",
        anywhere=True,
        says=("domain is unverified and requires dns",),
    ),
    Rule(
        "mailgun-limit",
        "the domain or the account has sent as much as Mailgun takes from it for now: by its plan, or on probation",
        ACCOUNT,
        (
            "wait for the time that the reply names, else an hour, then send the mail again: msmtp keeps none",
            PACE,
            f"ask for a higher limit, or choose a larger plan: {_APP}",
        ),
        CERTAIN,
        "mailgun",
        anywhere=True,
        says=(
            "your account is on probation",
            "is not allowed to send: you are sending too",
            "is not allowed to send: ... limit",
        ),
    ),
    Rule(
        "mailgun-inactive",
        "the Mailgun account is not active, or no longer; waiting does not heal this, whatever the code of the reply",
        ACCOUNT,
        (
            f"log in at {_APP}: it says what the account lacks (the mail of the activation, the telephone, a payment)",
            "if it is disabled there, ask the support of Mailgun",
            TEST,
        ),
        CERTAIN,
        "mailgun",
        anywhere=True,
        says=("please activate your mailgun account", "is not allowed to send: account "),
    ),
    Rule(
        "mailgun-stopped",
        "Mailgun lets the domain send nothing, for the reason that the reply gives",
        ACCOUNT,
        (f"look what is wrong with the domain and the account: {_APP} > Send > Sending > Domains", TEST),
        LIKELY,
        "mailgun",
        says=("domain ... is not allowed to send",),
    ),
    Rule(
        "mailgun-not-logged-in",
        "msmtp sends without logging in, and Mailgun takes mail from its customers alone",
        HOST,
        (LOG_IN, TEST),
        CERTAIN,
        "mailgun",
        says=("relaying denied",),
        traits=("auth-off",),
    ),
    Rule(
        "mailgun-login",
        "Mailgun does not know this user and password: each domain has its own, the API key is none of them, and "
        "domains of the EU log in at smtp.eu.mailgun.org alone",
        ACCOUNT,
        (MAKE_PASSWORD, STORE),
        LIKELY,
        "mailgun",
        stage=("auth",),
        says=("login or password",),
    ),
)

_POSTMARK: tuple[Rule, ...] = (
    Rule(
        "postmark-login",
        "Postmark refuses this token: it wants the Server API token (not the Account's) as user and password both, and "
        "SMTP enabled in the settings of that server",
        ACCOUNT,
        (MAKE_PASSWORD, "see that SMTP is enabled: https://account.postmarkapp.com/servers > the server > Settings"),
        LIKELY,
        "postmark",
        stage=("auth",),
        code=("535",),
        says=("authentication failed",),
    ),
)

RELAYS: tuple[Rule, ...] = (*_SENDGRID, *AMAZON, *_MAILGUN, *_POSTMARK)
