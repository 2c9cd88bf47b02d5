"""Rules of the decoder: server software, told by words that it alone says (Exim, Exchange, Sendmail, and Postfix)."""

from .postfix import POSTFIX
from .rule import ACCOUNT, ADMINISTRATOR, CERTAIN, HOST, LIKELY, MAKE_PASSWORD, Rule
from .steps import (
    ALLOW_SENDER,
    FULL_NAME,
    FULL_RECIPIENT,
    FULL_SENDER,
    FULL_USER,
    GIVE_SENDER,
    GIVEN_SENDER,
    LOG_IN,
    LOGIN_REFUSED,
    MAY_RELAY,
    NOT_GIVEN,
    OTHER_SENDER,
    OWN_SENDER,
    RELAY_DENIED,
    RETYPE,
    SEND_AGAIN,
    STILL_DENIED,
    SUBMISSION,
    SUBMISSION_PORT,
    TEST,
)

_EXIM_LOGIN = ("incorrect authentication data",)
_EXIM_DENIED = (
    "relay not permitted",
    "not permitted to relay ... through this server without authentication",
    "turn on smtp authentication in your mail client",
)
_ANONYMOUS = ("client was not authenticated",)
_SEND_AS = ("permissions to send as this sender",)
_UNABLE_CODES = ("5.7.1", "5.7.54")
_UNABLE = ("unable to relay",)
_SENDMAIL_DENIED = (">... relaying denied",)
_WINDOWS_DENIED = (
    "delivery is not allowed to this address",
    "requires authentication when attempting to send to a non-local e-mail address",
)
_CONNECTOR = "or let the administrator of {host} add this host's address to a relay connector"

_EXIM: tuple[Rule, ...] = (
    Rule(
        "exim-helo",
        "{host} does not take the name in EHLO: a character such as the underscore stands in `domain` of /etc/msmtprc",
        HOST,
        (FULL_NAME, TEST),
        CERTAIN,
        says=("syntactically invalid helo argument", "syntactically invalid ehlo argument"),
    ),
    Rule(
        "exim-helo-name",
        "{host} does not take the name in EHLO: `domain` in /etc/msmtprc, and localhost where that is not set",
        HOST,
        (FULL_NAME, TEST),
        CERTAIN,
        says=("access denied - invalid helo name", "helo name contains a ip address"),
    ),
    Rule(
        "exim-login-bare",
        LOGIN_REFUSED,
        ACCOUNT,
        (FULL_USER, RETYPE, MAKE_PASSWORD),
        LIKELY,
        says=_EXIM_LOGIN,
        traits=("user-bare",),
    ),
    Rule("exim-login", LOGIN_REFUSED, ACCOUNT, (RETYPE, MAKE_PASSWORD), LIKELY, says=_EXIM_LOGIN),
    Rule(
        "exim-login-fault",
        "{host} could not check the login: its own configuration is broken, and nobody has judged the password",
        ADMINISTRATOR,
        ("tell the administrator of {host}: the reason stands in the log of its Exim", TEST),
        CERTAIN,
        says=("unable to authenticate at present",),
    ),
    Rule(
        "exim-recipient-bare",
        "the recipient is a local name without a domain, such as root: no alias has made an address of it",
        HOST,
        (FULL_RECIPIENT, TEST),
        CERTAIN,
        says=("recipient address must contain a domain",),
    ),
    Rule(
        "exim-sender-bare",
        "the sender is a name without a domain (in /etc/msmtprc it is {sender})",
        HOST,
        (FULL_SENDER, TEST),
        CERTAIN,
        says=("sender address must contain a domain",),
    ),
    Rule(
        "exim-relay-denied",
        RELAY_DENIED,
        HOST,
        (LOG_IN, SUBMISSION, MAY_RELAY, TEST),
        CERTAIN,
        says=_EXIM_DENIED,
        traits=("auth-off",),
    ),
    Rule(
        "exim-relay-still-denied",
        STILL_DENIED,
        ADMINISTRATOR,
        (SUBMISSION_PORT, MAY_RELAY, TEST),
        LIKELY,
        says=_EXIM_DENIED,
    ),
    Rule(
        "exim-sender-verify",
        "{host} asked the DNS or another server for the sender, and found none (in /etc/msmtprc it is {sender})",
        HOST,
        ("write an address that exists and gets mail as `from` in /etc/msmtprc", TEST),
        CERTAIN,
        says=("sender verify failed",),
    ),
    Rule(
        "exim-rate",
        "more mails in an hour or a day than {host} takes from this account",
        ADMINISTRATOR,
        (
            "look in the log of msmtp who sends so much",
            "wait for the next hour, then send the mail again: msmtp keeps none",
            "ask the administrator of {host} for a higher limit",
        ),
        CERTAIN,
        says=(
            "too many emails - rate overlimit",
            "exceeded the max emails per hour",
            "max defers and failures per hour",
        ),
    ),
    Rule(
        "exim-connections",
        "{host} is full: too many connections, or too much load",
        ADMINISTRATOR,
        (SEND_AGAIN, "if it stays, tell the administrator of {host}"),
        CERTAIN,
        says=("too many concurrent smtp connections; please try again later", "too much load; please try again later"),
    ),
    Rule(
        "exim-fault",
        "{host} failed inside: a table or a filter of it is broken",
        ADMINISTRATOR,
        (SEND_AGAIN, "if it stays, tell the administrator of {host}: the reason stands in the log of its Exim"),
        CERTAIN,
        says=("temporary local problem",),
    ),
)

_EXCHANGE: tuple[Rule, ...] = (
    Rule(
        "exchange-login",
        "{host} refuses the password, or does not know the user {user}, or does not let it log in for SMTP",
        ACCOUNT,
        (
            RETYPE,
            "write the user as name@domain, or DOMAIN\\name, in /etc/msmtprc",
            "ask the administrator of {host} whether the account is locked, or expired",
        ),
        LIKELY,
        stage=("auth",),
        enhanced=("5.7.3",),
        says=("authentication unsuccessful",),
    ),
    Rule(
        "exchange-not-logged-in",
        "{host} wants a login, and msmtp sends without",
        HOST,
        (LOG_IN, SUBMISSION, "or let the administrator of {host} take mail of this host's address without a login"),
        CERTAIN,
        says=_ANONYMOUS,
        traits=("auth-off",),
    ),
    Rule(
        "exchange-login-ignored",
        "{host} takes msmtp for nobody, although it has logged in: another connector of it answers than the one meant",
        ADMINISTRATOR,
        (SUBMISSION_PORT, "ask the administrator of {host} which connector (receive connector) is for {user}", TEST),
        LIKELY,
        says=_ANONYMOUS,
    ),
    Rule(
        "exchange-relay-denied",
        "{host} passes mail to other domains on for those alone who have logged in, or whom a connector names",
        HOST,
        (LOG_IN, SUBMISSION, _CONNECTOR, TEST),
        LIKELY,
        enhanced=_UNABLE_CODES,
        says=_UNABLE,
        traits=("auth-off",),
    ),
    Rule(
        "exchange-relay-still-denied",
        STILL_DENIED,
        ADMINISTRATOR,
        (SUBMISSION_PORT, MAY_RELAY, _CONNECTOR, TEST),
        LIKELY,
        enhanced=_UNABLE_CODES,
        says=_UNABLE,
    ),
    Rule(
        "exchange-send-as",
        "{host} does not let {user} send as the sender of this mail (in /etc/msmtprc it is {sender})",
        HOST,
        (
            OWN_SENDER,
            "for mail that brings a From of its own, as cron's does, write `set_from_header on` there",
            ALLOW_SENDER,
            TEST,
        ),
        CERTAIN,
        says=_SEND_AS,
        traits=("from-other",),
    ),
    Rule(
        "exchange-send-as-override",
        NOT_GIVEN,
        ADMINISTRATOR,
        (f"{GIVE_SENDER} (or the right to send as it)", GIVEN_SENDER, OTHER_SENDER, TEST),
        LIKELY,
        says=_SEND_AS,
    ),
    Rule(
        "exchange-resources",
        "{host} is short of disk or memory, and takes no mail until it has some again (back pressure)",
        ADMINISTRATOR,
        ("tell the administrator of {host}: event 15006 of MSExchangeTransport names what is short", SEND_AGAIN),
        CERTAIN,
        says=("insufficient system resources",),
    ),
    Rule(
        "exchange-connections",
        "{host} has too many connections: of this host, or of all",
        ADMINISTRATOR,
        ("look in the log of msmtp who sends so much at once", SEND_AGAIN, "ask for a higher limit of its connector"),
        CERTAIN,
        says=("maximum number of concurrent ... connections has exceeded",),
    ),
    Rule(
        "exchange-size",
        "the mail is larger than {host} takes",
        HOST,
        (
            "send less: the end of a log, or compressed",
            "or ask the administrator of {host} for a larger MaxMessageSize of the connector",
        ),
        CERTAIN,
        enhanced=("5.3.4", "4.3.1"),
        says=("message size exceeds fixed maximum message",),
    ),
)

_SENDMAIL: tuple[Rule, ...] = (
    Rule(
        "sendmail-relay-denied",
        RELAY_DENIED,
        HOST,
        (LOG_IN, SUBMISSION, TEST),
        CERTAIN,
        says=_SENDMAIL_DENIED,
        traits=("auth-off",),
    ),
    Rule(
        "sendmail-relay-still-denied",
        STILL_DENIED,
        ADMINISTRATOR,
        (SUBMISSION_PORT, MAY_RELAY, TEST),
        LIKELY,
        says=_SENDMAIL_DENIED,
    ),
)

# hMailServer and MailEnable, of Windows.
_OTHERS: tuple[Rule, ...] = (
    Rule(
        "windows-relay-denied",
        RELAY_DENIED,
        HOST,
        (LOG_IN, SUBMISSION, MAY_RELAY, TEST),
        LIKELY,
        says=_WINDOWS_DENIED,
        traits=("auth-off",),
    ),
    Rule(
        "windows-relay-still-denied",
        STILL_DENIED,
        ADMINISTRATOR,
        (SUBMISSION_PORT, f"{MAY_RELAY} (hMailServer: IP Ranges)", TEST),
        LIKELY,
        says=_WINDOWS_DENIED,
    ),
)

SERVERS: tuple[Rule, ...] = (*POSTFIX, *_EXIM, *_EXCHANGE, *_SENDMAIL, *_OTHERS)
