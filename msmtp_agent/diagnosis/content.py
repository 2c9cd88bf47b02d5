"""Rules of the decoder: what any server says to the mail itself, after DATA and after its end."""

from .rule import ACCOUNT, ADMINISTRATOR, CERTAIN, HOST, Rule, phrases
from .steps import AGAIN, ASK_WHY, VERIFIED

# Before the lists of senders: what is found in a mail is no host on a list.
HARM: tuple[Rule, ...] = (
    Rule(
        "message-virus",
        "the server takes the mail, or something attached to it, for harmful",
        HOST,
        ("look at what was to be sent, and leave out what is attached: programs, archives, links",),
        stage=("data", "message"),
        code=("4", "5"),
        says=phrases("virus | malware | malicious | phish | attachment | infected | potential security"),
    ),
)

CONTENT: tuple[Rule, ...] = (
    Rule(
        "message-too-big",
        "the mail is larger than the server takes",
        HOST,
        ("see what the server takes: msmtp --serverinfo   # SIZE", "make what sends it send less, or a link"),
        CERTAIN,
        stage=("sender", "recipient", "data", "message"),
        code=("4", "5"),
        says=phrases(
            "too large | too big | size limit | size exceeds | exceeds size | exceeds maximum | "
            "maximum message size | maximum size | exceeded maximum | fixed limit | message size"
        ),
    ),
    Rule(
        "message-spam",
        "the server takes the mail for spam",
        ACCOUNT,
        (
            VERIFIED,
            "send from an address of your own, to one of your own, and let the recipient allow it",
            ASK_WHY,
        ),
        stage=("sender", "data", "message"),
        code=("4", "5"),
        says=phrases("spam | unsolicited | bulk mail | junk | content rejected | high probability | suspicious"),
    ),
    Rule(
        "message-loop",
        "the mail goes round: it passed through more servers than the server allows",
        ADMINISTRATOR,
        ("look where the address behind root in /etc/aliases forwards to: not back to this host",),
        CERTAIN,
        stage=("data", "message"),
        code=("4", "5"),
        says=phrases("too many hops | hop count | mail loop | routing loop | loop detected | loops back"),
    ),
    Rule(
        "server-full",
        "the server has no room, or is overloaded",
        ADMINISTRATOR,
        (AGAIN, "if it stays so, tell who runs {host}"),
        stage=("greeting", "hello", "sender", "recipient", "data", "message"),
        code=("4", "5"),
        says=phrases(
            "insufficient system | too busy | insufficient disk | insufficient storage | out of disk | "
            "disk full | disk is full | no space | overload | resources | load too high | queue file write"
        ),
    ),
    Rule(
        "no-recipients",
        "the server has taken none of the recipients",
        HOST,
        ("check /etc/aliases: it gives root an address, and the account has the line: aliases /etc/aliases",),
        stage=("data", "message"),
        code=("4", "5"),
        says=("no valid recipients", "no recipients", "need rcpt", "need recipient"),
    ),
)

# After what is said of the sender and the recipient: "the From header must match the login" is no matter of form, and
# a recipient's server may have `spam` in its name.
FORMAT: tuple[Rule, ...] = (
    Rule(
        "recipient-as-spam",
        "the server of the recipient takes this host, or the sender, for a source of spam",
        ACCOUNT,
        (VERIFIED, "open the page that the reply names, if it names one, and ask there for removal", ASK_WHY),
        stage=("recipient",),
        code=("4", "5"),
        says=("spam", "unsolicited", "junk"),
    ),
    Rule(
        "message-format",
        "the mail is not written as the server wants it: a header is missing, there twice, or no address",
        HOST,
        (
            "in /etc/msmtprc: set_from_header on, set_date_header auto, set_msgid_header auto",
            "try with a plain mail: msmtp-config test",
        ),
        stage=("data", "message"),
        code=("4", "5"),
        says=phrases(
            "header | rfc 5322 | rfc5322 | rfc 2822 | rfc2822 | bare lf | bare line-feed | bare <lf> | "
            "line too long | line length | final '@domain' | malformed | mime-version | mime header | invalid mime | "
            "8bit | non-ascii | syntax | field is required"
        ),
    ),
)
