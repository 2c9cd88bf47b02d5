"""Rules of the decoder: what any server says to who sends too much, or is not trusted: greylists, lists, limits."""

from .rule import ACCOUNT, ADMINISTRATOR, CERTAIN, NETWORK, Rule, phrases
from .steps import AGAIN, ASK_WHY, SEE_LIMITS, SENDER, VERIFIED

_ENVELOPE = ("sender", "recipient", "data", "message")
_ANYWHERE = ("greeting", "hello", *_ENVELOPE)
_UNPROVEN = "the domain of the sender does not say that this server may send for it: SPF, DKIM or DMARC fails"
_PROVE = (VERIFIED, "add the records that {provider} names to the DNS of the domain of {sender}", SENDER)
_PUT_OFF = "the server puts off mail from senders that it does not know yet (greylisting); the same mail passes later"
_LATER = "try again in ten minutes: msmtp-config test   # msmtp itself has no queue"
_GREY = phrases("greylist | graylist | grey list | gray list | postgrey")
_DISTRUSTED = "the server does not trust the address of this host: it stands on a list of senders of spam"
_REMOVAL = "open the page that the reply names, and ask there for removal"
_OTHER_ADDRESS = "or ask the provider of this machine for another address"
_LISTS = phrases(
    "blocked using | blocklist | block list | block listed | blacklist | black list | spamhaus | spamcop | "
    "barracuda reputation | barracudacentral | dnsbl | an rbl | the rbl | is listed at | is listed by | "
    "is listed in | is listed on | listed at http | found in ... list | found on ... list | "
    "poor reputation | bad reputation | low reputation | ip reputation | banned sending ip"
)

STANDING: tuple[Rule, ...] = (
    Rule(
        "sender-account-closed",
        "the account is not open for sending: not activated yet, suspended or closed",
        ACCOUNT,
        (
            "log in at the site of {provider}: what does the account still want?",
            "else ask its support to open it for SMTP",
        ),
        stage=_ENVELOPE,
        code=("4", "5"),
        says=phrases(
            "account is not yet activated | account is not activated | account not activated | "
            "account is not active | account is suspended | account has been suspended | account suspended | "
            "your account is disabled"
        ),
    ),
    # Not at the recipient, whose account such words may mean.
    Rule(
        "sender-account-blocked",
        "{provider} has blocked the account for sending: most often for mail that looked like spam, or too much of it",
        ACCOUNT,
        (ASK_WHY, "change the password at {provider}, if mail was sent that is not yours; then: msmtp-config"),
        stage=("sender", "data", "message"),
        code=("4", "5"),
        says=phrases(
            "account blocked | account is blocked | account has been blocked | account locked | account is locked | "
            "account has been locked | account is temporarily | account temporarily"
        ),
    ),
    Rule(
        "account-on-trial",
        "the account is for tests: until a domain is verified, it sends to the address of its owner alone",
        ACCOUNT,
        (
            "verify a domain of your own at {provider}, and take an address of it as `from` in /etc/msmtprc",
            "until then, to the address that the account was opened with: msmtp-config test --to ADDRESS",
        ),
        CERTAIN,
        stage=_ENVELOPE,
        code=("4", "5"),
        says=phrases("only send testing emails | trial account | test purposes only"),
    ),
    Rule(
        "greylisted-off",
        _PUT_OFF,
        ADMINISTRATOR,
        (_LATER, "or log in, in /etc/msmtprc: port 587 and auth on"),
        stage=_ENVELOPE,
        code=("4",),
        says=_GREY,
        traits=("auth-off",),
    ),
    Rule(
        "greylisted",
        _PUT_OFF,
        ADMINISTRATOR,
        (_LATER, "or ask who runs {host} to exempt those who have logged in"),
        stage=_ENVELOPE,
        code=("4",),
        says=_GREY,
    ),
    Rule(
        "address-listed-off",
        _DISTRUSTED,
        ADMINISTRATOR,
        (
            _REMOVAL,
            "send by port 587 with a log-in, in place of port 25: what logs in is seldom held against a list",
            _OTHER_ADDRESS,
        ),
        stage=_ANYWHERE,
        code=("4", "5"),
        says=_LISTS,
        traits=("auth-off",),
    ),
    Rule(
        "address-listed",
        _DISTRUSTED,
        ADMINISTRATOR,
        (_REMOVAL, "or ask who runs {host} to ask no list about those who log in", _OTHER_ADDRESS),
        stage=_ANYWHERE,
        code=("4", "5"),
        says=_LISTS,
    ),
    Rule(
        "address-blocked",
        "the server takes no connection from the address of this host: it stands on a list, of its own or another's",
        ADMINISTRATOR,
        (
            _REMOVAL,
            "else ask who runs {host} to take the address of this host off its list",
            _OTHER_ADDRESS,
        ),
        stage=("greeting", "hello"),
        code=("4", "5"),
        says=("blocked", "banned", "denylist", "spam"),
    ),
    Rule(
        "reverse-dns",
        "the server wants a name for the address of this host (a PTR record), and one that leads back to it",
        NETWORK,
        (
            "set the PTR record at the provider of this machine, to a name whose A or AAAA record is that address",
            "or send by way of a relay: msmtp-config providers",
        ),
        stage=_ANYWHERE,
        code=("4", "5"),
        says=phrases(
            "reverse dns | reverse hostname | ptr record | ptr resource record | ptr does | no ptr | "
            "cannot find your | rdns | reverse lookup | ip name lookup failed"
        ),
    ),
    Rule(
        "sender-authentication",
        _UNPROVEN,
        ACCOUNT,
        _PROVE,
        stage=_ENVELOPE,
        code=("4", "5"),
        says=phrases(
            "spf | dkim | dmarc | sender policy framework | unauthenticated email | unauthenticated mail | "
            "sender is unauthenticated | anti-spoofing"
        ),
    ),
    Rule(
        "sender-authentication-code",
        _UNPROVEN,
        ACCOUNT,
        _PROVE,
        stage=_ENVELOPE,
        # RFC 7372, and what Gmail adds to it.
        enhanced=tuple(f"{digit}.7.{detail}" for digit in "54" for detail in (20, 21, 22, 23, 24, 26, 27, 30, 31, 32)),
    ),
    Rule(
        "connection-limit",
        "the server takes no more connections for now, from this address or at all",
        NETWORK,
        (AGAIN, "look what sends at the same time: /var/log/msmtp.log"),
        stage=("greeting", "hello", "sender"),
        code=("4", "5"),
        says=phrases(
            "too many connections | too many concurrent | concurrent connection | too many sessions | "
            "simultaneous | connection rate"
        ),
    ),
    Rule(
        "sending-limit",
        "the account, or this host, has sent as much as it may for now",
        ACCOUNT,
        (
            "wait for the limit to pass: an hour, or a day, as the reply says",
            *SEE_LIMITS,
        ),
        stage=_ANYWHERE,
        code=("4", "5"),
        says=phrases(
            "sending limit | sending quota | rate limit | too many messages | too many mails | too many emails "
            "| hourly | daily | per hour | per day | too fast | too much mail | throttl | message limit | "
            "quota ... messages | sending rate | sender rate | enough credit | credits exceeded | "
            "too many recipients | recipients limit | frequency limited | too quickly"
        ),
    ),
)
