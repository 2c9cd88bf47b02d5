"""Rules of the decoder: what any server says to a login."""

from .rule import ACCOUNT, ADMINISTRATOR, CERTAIN, HOST, MAKE_PASSWORD, Rule, phrases
from .steps import ASK_WHY, CHOOSE, OTHER_PORT, READ, SEE_LIMITS, SERVERINFO, STORE, SUBMIT

_NOT_HERE = phrases(
    "when not advertised | authentication not enabled | authentication not available | plaintext authentication | "
    "authentication disallowed"
)
_REFUSED = "the server refused the user name or the password"

LOGIN_REPLIES: tuple[Rule, ...] = (
    Rule(
        "tls-required",
        "the server wants TLS before anything else",
        HOST,
        ("in /etc/msmtprc: tls on and, at port 587, tls_starttls on",),
        CERTAIN,
        stage=("auth", "sender", "recipient"),
        code=("5", "451"),
        says=phrases(
            "issue a starttls | starttls is required | encryption required | requires tls | "
            "starttls command first | without ssl | without tls"
        ),
    ),
    Rule(
        "auth-not-here-25",
        "the server lets nobody log in at port 25, which is for mail between servers",
        HOST,
        (SUBMIT,),
        stage=("auth",),
        code=("5",),
        says=_NOT_HERE,
        traits=("port-25",),
    ),
    Rule(
        "auth-not-here",
        "the server lets nobody log in at port {port}, or not like this; the password was not judged",
        HOST,
        ("in /etc/msmtprc: tls on", OTHER_PORT, SERVERINFO),
        stage=("auth",),
        code=("5",),
        says=_NOT_HERE,
    ),
    Rule(
        "auth-method-refused",
        "the server does not know the method of logging in that msmtp used",
        HOST,
        (CHOOSE, "or name another that the server offers: auth login, or auth plain", SERVERINFO),
        stage=("auth",),
        code=("5",),
        says=phrases(
            "unrecognized auth | mechanism not | unsupported auth | auth mechanism | auth method | too weak | "
            "unknown auth | not implemented"
        ),
    ),
    Rule(
        "auth-app-password",
        "the server wants a password made for this program alone, not the account's own",
        ACCOUNT,
        (MAKE_PASSWORD, STORE),
        CERTAIN,
        stage=("auth",),
        says=phrases(
            "application-specific | app-specific | authorization code | app password | application password | "
            "application specific"
        ),
    ),
    Rule(
        "auth-oauth",
        "the server no longer takes passwords for this account, only OAuth",
        ACCOUNT,
        (
            "ask {provider}, or the administrator of the account, for SMTP with a password",
            "or send by way of a relay that takes a key: msmtp-config providers",
        ),
        stage=("auth",),
        code=("4", "5"),
        says=("basic auth", "oauth", "modern auth"),
    ),
    Rule(
        "auth-web-login",
        "the provider wants the owner of the account to log in with a browser first",
        ACCOUNT,
        ("log in at the site of {provider} with a browser, and confirm what it asks", "then: msmtp-config"),
        CERTAIN,
        stage=("auth",),
        says=phrases(
            "web browser | webmail | web login | verify your account | via web | via the web | via your web | captcha"
        ),
    ),
    Rule(
        "auth-limit",
        "the server lets nobody in for a while: too many attempts, from this address or for this account",
        ACCOUNT,
        (
            "stop what keeps trying with a wrong password: journalctl -t msmtp; /var/log/msmtp.log",
            "wait an hour, then: msmtp-config",
        ),
        stage=("auth",),
        code=("4", "5"),
        says=phrases(
            "too many ... login | too many ... auth | too many ... fail | too many ... attempt | "
            "too many ... error | too many times | brute force"
        ),
    ),
    Rule(
        "auth-sending-limit",
        "the account, or this host, has sent as much as it may for now, and may not log in before that is over",
        ACCOUNT,
        ("wait for the limit to pass, as long as the reply says", *SEE_LIMITS),
        stage=("auth",),
        code=("4", "5"),
        says=phrases(
            "too many messages | too many mails | too many emails | sending limit | sending quota | rate limit | "
            "credits exceeded | enough credit"
        ),
    ),
    Rule(
        "auth-account-blocked",
        "{provider} has blocked the account, and asks to be contacted",
        ACCOUNT,
        (ASK_WHY, "type no password until it answers: a new one changes nothing"),
        stage=("auth",),
        code=("4", "5"),
        says=("blocked ... contact", "locked ... contact", "suspended ... contact", "disabled ... contact"),
    ),
    Rule(
        "auth-held",
        "the server does not let {user} in for a while",
        ACCOUNT,
        (
            "stop what keeps trying with a wrong password: journalctl -t msmtp; /var/log/msmtp.log",
            "wait an hour, then: msmtp-config",
            ASK_WHY,
        ),
        stage=("auth",),
        code=("4", "5"),
        says=("temporarily blocked", "temporarily locked"),
    ),
    Rule(
        "auth-address",
        "{provider} lets nobody log in from the address of this host, whatever the password",
        ACCOUNT,
        (
            "allow the address of this host at the site of {provider}: security, authorized (or allowed) IP addresses",
            "or switch that restriction off there",
            "if there is none, ask {provider} why, with the text of the reply",
        ),
        stage=("auth",),
        code=("4", "5"),
        says=phrases(
            "unauthorized ip | ip not authorized | ip is not authorized | ip address not authorized | "
            "ip address is not authorized | not whitelisted | not in the whitelist | ip address not allowed | "
            "ip address is not allowed | ip not allowed | ip is not allowed | ip address is blocked | ip is blocked | "
            "ip banned | ip is banned | your ip | this ip | your country | this country"
        ),
    ),
    Rule(
        "auth-account-closed",
        "the account is locked, disabled or not allowed to send by SMTP",
        ACCOUNT,
        (
            "log in at the site of {provider}: is the account open, and SMTP allowed for it?",
            "else ask its administrator",
        ),
        stage=("auth",),
        code=("5",),
        says=phrases(
            "disabled | suspended | locked | blocked | inactive | deactivated | not enabled | terminated | expired | "
            "not activated | not yet activated | not been activated | has no permission | banned | not allowed | "
            "not permitted"
        ),
    ),
    Rule(
        "auth-transition",
        "the server keeps this password in a way that the method of logging in cannot use (RFC 4954)",
        ACCOUNT,
        (
            "in /etc/msmtprc: auth plain   # once: the server then stores it anew",
            "or set the password anew at {provider}",
        ),
        CERTAIN,
        stage=("auth",),
        says=("password transition",),
    ),
    Rule(
        "auth-temporary",
        "the server could not check the password just now",
        ADMINISTRATOR,
        (READ, "if it stays so, look for trouble at {provider}, and try the password anew: msmtp-config"),
        stage=("auth",),
        code=("4",),
    ),
    Rule(
        "auth-refused-bare",
        _REFUSED,
        ACCOUNT,
        ("verify `user {user}` in /etc/msmtprc: most providers want the whole address", MAKE_PASSWORD, STORE),
        stage=("auth",),
        code=("5",),
        traits=("user-bare",),
    ),
    Rule(
        "auth-refused",
        _REFUSED,
        ACCOUNT,
        ("verify `user {user}` in /etc/msmtprc: it is the name that {provider} gave", MAKE_PASSWORD, STORE),
        stage=("auth",),
        code=("5",),
    ),
)
