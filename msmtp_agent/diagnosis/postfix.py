"""Rules of the decoder: Postfix, with the postgrey behind it. Its words stand in its smtpd and cleanup."""

from .postfix_login import POSTFIX_LOGIN
from .rule import ADMINISTRATOR, CERTAIN, HOST, LIKELY, NETWORK, Rule
from .steps import (
    ALLOW_SENDER,
    FULL_NAME,
    FULL_RECIPIENT,
    FULL_SENDER,
    GIVE_SENDER,
    GIVEN_SENDER,
    LOG_IN,
    NOT_GIVEN,
    OTHER_SENDER,
    OWN_FROM,
    OWN_SENDER,
    SEND_AGAIN,
    SUBMISSION,
    SUBMISSION_PORT,
    TEST,
)

_PTR = "let whoever gave this host its address set the reverse name (PTR)"
_LOOK_UP = "look the address up at the list that the reply names, and have it taken off there"
_WRONG_LIST = "if the reply says open resolver: the administrator of {host} asks the list wrongly"
_NOT_OWNED = ("sender address rejected: not owned by",)
_NO_NAME = ("cannot find your hostname", "cannot find your reverse hostname")
_GREY = ("greylist", "grey list", "graylist")  # what an administrator wrote into a block list of his own
_LISTED = ("service unavailable; client ... blocked using",)

_NAMES: tuple[Rule, ...] = (
    Rule(
        "postfix-helo",
        "{host} wants the full name of this host in EHLO; msmtp says localhost unless `domain` is set",
        HOST,
        (FULL_NAME, TEST),
        CERTAIN,
        says=("helo command rejected",),
    ),
    Rule(
        "postfix-sender-login",
        "{host} does not let {user} send as the sender of this mail (in /etc/msmtprc it is {sender})",
        HOST,
        (OWN_SENDER, ALLOW_SENDER, TEST),
        CERTAIN,
        says=_NOT_OWNED,
        traits=("from-other",),
    ),
    Rule(
        "postfix-sender-override",
        NOT_GIVEN,
        ADMINISTRATOR,
        (f"{GIVE_SENDER} (smtpd_sender_login_maps)", GIVEN_SENDER, OTHER_SENDER, TEST),
        LIKELY,
        says=_NOT_OWNED,
    ),
    Rule(
        "postfix-sender-domain",
        "the domain of the sender does not exist in the DNS (in /etc/msmtprc it is {sender})",
        HOST,
        (FULL_SENDER, "write `allow_from_override off` there, if programs give a sender of their own", TEST),
        CERTAIN,
        says=("sender address rejected: domain not found",),
    ),
    Rule(
        "postfix-sender-unverified",
        "{host} asked for the mailbox of the sender, and found none (in /etc/msmtprc it is {sender})",
        HOST,
        (FULL_SENDER, OWN_FROM, TEST),
        LIKELY,
        says=("sender address rejected: undeliverable address", "sender address rejected: unverified address"),
    ),
    Rule(
        "postfix-sender-bare",
        "the sender is a name without a full domain (in /etc/msmtprc it is {sender})",
        HOST,
        (FULL_SENDER, TEST),
        CERTAIN,
        says=("sender address rejected: need fully-qualified address",),
    ),
    Rule(
        "postfix-recipient-bare",
        "the recipient is a local name without a full domain, such as root: no alias has made an address of it",
        HOST,
        (FULL_RECIPIENT, TEST),
        CERTAIN,
        says=("recipient address rejected: need fully-qualified address",),
    ),
    Rule(
        "postfix-recipient-unknown",
        "{host} has no such recipient; a bare name such as root it takes for one of its own users",
        HOST,
        (FULL_RECIPIENT, "correct the address, where it has a domain already", TEST),
        CERTAIN,
        says=("user unknown in ... table",),
    ),
    Rule(
        "postfix-reverse-name",
        "the address of this host has no name in the DNS, and {host} wants one of those who have not logged in",
        NETWORK,
        (LOG_IN, SUBMISSION, f"or {_PTR}"),
        LIKELY,
        says=_NO_NAME,
        traits=("auth-off",),
    ),
    Rule(
        "postfix-reverse-name-logged-in",
        "the address of this host has no name in the DNS, and {host} wants one",
        NETWORK,
        (SUBMISSION_PORT, _PTR, "or ask the administrator of {host} to want none of those who have logged in"),
        LIKELY,
        says=_NO_NAME,
    ),
    Rule(
        "postfix-blocked",
        "the address of this host, or of its network, stands on a block list that {host} asks",
        NETWORK,
        (LOG_IN, SUBMISSION, _LOOK_UP, _WRONG_LIST),
        CERTAIN,
        says=_LISTED,
        unless=_GREY,
        traits=("auth-off",),
    ),
    Rule(
        "postfix-blocked-logged-in",
        "the address of this host, or of its network, stands on a block list that {host} asks even of its own users",
        NETWORK,
        (SUBMISSION_PORT, _LOOK_UP, _WRONG_LIST),
        CERTAIN,
        says=_LISTED,
        unless=_GREY,
    ),
)

_LIMITS: tuple[Rule, ...] = (
    Rule(
        "postfix-greylisted",
        "{host} puts mail of senders that it does not know off for some minutes (greylisting)",
        ADMINISTRATOR,
        (
            f"in five minutes or more, to the same address: {TEST}",
            SUBMISSION,
            "ask the administrator of {host} to exempt this host: msmtp keeps no mail to send it again",
        ),
        CERTAIN,
        says=("recipient address rejected: greylist", "postgrey.schweikert.ch"),
    ),
    Rule(
        "postfix-size",
        "the mail is larger than {host} takes",
        HOST,
        (
            "send less: the end of a log, or compressed",
            "or ask the administrator of {host} for a larger message_size_limit (10 MB unless it was changed)",
        ),
        CERTAIN,
        says=("message file too big", "message size exceeds fixed limit", "message size exceeds file system imposed"),
    ),
    Rule(
        "postfix-storage",
        "{host} has too little free disk for its queue, and takes no mail",
        ADMINISTRATOR,
        ("tell the administrator of {host}: the queue wants 1.5 times message_size_limit free", SEND_AGAIN),
        CERTAIN,
        says=("insufficient system storage",),
    ),
    Rule(
        "postfix-queue-write",
        "{host} could not write the mail into its queue: its disk, or a filter behind it, has failed",
        ADMINISTRATOR,
        ("tell the administrator of {host}: the reason stands in the log of its Postfix", SEND_AGAIN),
        CERTAIN,
        says=("queue file write error",),
    ),
    Rule(
        "postfix-server-fault",
        "the configuration of {host}, or one of its tables, is broken",
        ADMINISTRATOR,
        ("tell the administrator of {host}: the reason stands in the log of its Postfix", SEND_AGAIN),
        CERTAIN,
        says=("server configuration error", "server configuration problem", "temporary lookup failure"),
    ),
    Rule(
        "postfix-connections",
        "{host} has too many connections from this address: of this host, or of others behind the same address",
        HOST,
        ("look in the log of msmtp who sends so much at once", SEND_AGAIN),
        CERTAIN,
        says=("error: too many connections from", "error: too many new tls sessions from"),
    ),
    Rule(
        "postfix-rate",
        "{host} has had too much from this address within a minute or so",
        HOST,
        ("look in the log of msmtp who sends so much", SEND_AGAIN),
        CERTAIN,
        says=("error: too much mail from", "error: too many recipients from", "error: too many auth commands from"),
    ),
    Rule(
        "postfix-errors",
        "{host} ended the connection after too many refusals: the first one of them is the cause",
        HOST,
        (
            "look for the first refusal in the log of msmtp, which `logfile` in /etc/msmtprc names",
            "or see where it stops: msmtp-config diagnose",
        ),
        LIKELY,
        says=("error: too many errors",),
    ),
)

POSTFIX: tuple[Rule, ...] = (*POSTFIX_LOGIN, *_NAMES, *_LIMITS)
