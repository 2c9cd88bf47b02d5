"""Rules of the decoder: logins at Microsoft 365. `535 5.7.139` means many things there: only its words tell."""

from .rule import ACCOUNT, ADMINISTRATOR, CERTAIN, HOST, LIKELY, Rule
from .steps import AUTH_ON, LOCKED, NOT_THE_PASSWORD, OAUTH, STORE, TEST, TLS_POLICY, TLS_PRIORITIES, TLS_SPOKEN

_M365 = "microsoft365"
_SWITCH = (
    "administrator: https://admin.microsoft.com > Users > Active users > {user} > Mail > Manage email apps: tick "
    "Authenticated SMTP"
)
_POWERSHELL = (
    "or in Exchange Online PowerShell: Set-CASMailbox -Identity {user} -SmtpClientAuthenticationDisabled $false"
)
_DEFAULTS = "administrator: https://entra.microsoft.com > Overview > Properties > Manage security defaults: Disabled"
_SIGN_INS = "administrator: https://entra.microsoft.com > Users > {user} > Sign-in logs: the entry tells which policy"
_AGAIN = f"15 minutes later: {TEST}"

# `anywhere`: Microsoft's cloud alone says these words, whatever name its server was reached by.
MICROSOFT_LOGIN: tuple[Rule, ...] = (
    Rule(
        "m365-organisation",
        "SMTP AUTH is switched off for the whole organisation; no other password will help",
        ADMINISTRATOR,
        (_SWITCH, _POWERSHELL, _DEFAULTS, _AGAIN),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("smtpclientauthentication is disabled for the tenant",),
    ),
    Rule(
        "m365-mailbox",
        "SMTP AUTH is switched off for the mailbox {user}; no other password will help",
        ADMINISTRATOR,
        (_SWITCH, _POWERSHELL, _AGAIN),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("smtpclientauthentication is disabled",),
    ),
    Rule(
        "m365-security-defaults",
        "the organisation's security defaults block SMTP AUTH; no other password will help",
        ADMINISTRATOR,
        (
            f"{_DEFAULTS} (then conditional access takes their place)",
            _SWITCH,
            "or send without a login: a connector for this host's address, or a provider of relays "
            "(msmtp-config providers)",
        ),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("security defaults",),
    ),
    Rule(
        "m365-no-passwords",
        "Microsoft takes no password for {user}: basic authentication is off",
        ADMINISTRATOR,
        (
            "administrator: allow it in its policy: Set-AuthenticationPolicy -Identity NAME -AllowBasicAuthSmtp",
            "administrator: tick Authenticated SMTP at the mailbox",
            "a personal address (outlook.com, hotmail.com, live.com) has no way back: take another provider "
            "(msmtp-config providers)",
            OAUTH,
        ),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("basic authentication is disabled",),
    ),
    # Announced for the end of basic authentication, whose date is to follow in the second half of 2027; not observed.
    Rule(
        "m365-passwords-ended",
        "Microsoft has ended passwords for SMTP, as it had announced",
        ADMINISTRATOR,
        (
            "take another provider (msmtp-config providers), or Microsoft's own High Volume Email or Azure "
            "Communication Services",
            OAUTH,
        ),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("basic authentication is not supported",),
    ),
    Rule(
        "m365-locked",
        "Microsoft has locked {user}, after too many failed logins or for a danger; each further one prolongs that",
        ADMINISTRATOR,
        (
            "stop what keeps trying, here (the account's logfile tells when) and on other hosts with this mailbox",
            "administrator: https://entra.microsoft.com > Users > {user} > Sign-in logs: they tell from where",
            "administrator: https://admin.microsoft.com > Users > Active users > {user} > Unblock sign-in, or Reset "
            "password",
            STORE,
        ),
        LIKELY,
        provider=_M365,
        says=LOCKED,
    ),
    Rule(
        "m365-disabled",
        "the organisation has switched the account {user} off; no other password will help",
        ADMINISTRATOR,
        ("administrator: https://admin.microsoft.com > Users > Active users > {user} > Unblock sign-in", _AGAIN),
        LIKELY,
        provider=_M365,
        stage=("auth", "sender"),
        says=(
            "authentication unsuccessful ... account is disabled",
            "authentication unsuccessful ... account disabled",
        ),
    ),
    Rule(
        "m365-expired",
        "the password of {user} has expired",
        ACCOUNT,
        (
            "sign in at https://outlook.office.com as {user}, and choose a new password",
            STORE,
            "administrator: let the passwords of such mailboxes never expire: Update-MgUser -UserId {user} "
            "-PasswordPolicies DisablePasswordExpiration",
        ),
        LIKELY,
        provider=_M365,
        stage=("auth", "sender"),
        says=("authentication unsuccessful ... password ... expired",),
    ),
    Rule(
        "m365-tls-version",
        "this host spoke TLS 1.0 or 1.1, which Microsoft takes no longer; waiting does not help",
        HOST,
        (TLS_PRIORITIES, TLS_POLICY, TLS_SPOKEN, TEST),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("tls 1.0 and 1.1 are not supported",),
    ),
    Rule(
        "m365-password",
        "Microsoft knows no {user} with this password",
        ACCOUNT,
        (
            "sign in at https://outlook.office.com as {user}: `user` in /etc/msmtprc is the sign-in address",
            "administrator: https://admin.microsoft.com > Users > Active users > {user} > Reset password",
            STORE,
        ),
        CERTAIN,
        provider=_M365,
        anywhere=True,
        says=("user credentials were incorrect",),
    ),
    Rule(
        "m365-policy",
        "a policy of the organisation (conditional access, mostly) stops this login, whatever the password",
        ADMINISTRATOR,
        (_SIGN_INS, "administrator: leave {user} out of the policy that blocks legacy authentication", _SWITCH),
        LIKELY,
        provider=_M365,
        anywhere=True,
        says=("did not meet the criteria to be authenticated",),
    ),
    Rule(
        "m365-direct-send",
        "{host} takes mail for the organisation's own mailboxes, and no login",
        HOST,
        (
            "write `host smtp.office365.com` and `port 587` in /etc/msmtprc, to log in",
            "or `auth off` and `port 25`, for mail to the organisation's own mailboxes alone",
        ),
        LIKELY,
        provider=_M365,
        stage=("auth",),
        says=("unrecognized authentication type ... protection.outlook.com",),
    ),
    Rule(
        "m365-auth-type",
        "Microsoft takes the methods LOGIN and XOAUTH2 alone, and `auth` in /etc/msmtprc names another",
        HOST,
        (AUTH_ON, TEST),
        LIKELY,
        provider=_M365,
        stage=("auth",),
        says=("unrecognized authentication type",),
    ),
    Rule(
        "m365-auth-method",
        "Microsoft takes the methods LOGIN and XOAUTH2 alone, and `auth` in /etc/msmtprc names another",
        HOST,
        (AUTH_ON, TEST),
        CERTAIN,
        provider=_M365,
        own=("the server does not support authentication method",),
    ),
    Rule(
        "m365-token",
        "Microsoft did not take the OAuth token: it has expired, is for another account, or not for SMTP",
        ACCOUNT,
        (
            "let the program in `passwordeval` sign in as {user} itself, with the scope "
            "https://outlook.office.com/SMTP.Send and offline_access",
            _SWITCH,
        ),
        LIKELY,
        provider=_M365,
        stage=("auth",),
        code=("535",),
        own=("xoauth2", "oauthbearer"),
    ),
    Rule(
        "m365-login",
        "Microsoft refused the login and does not say why: the password is wrong, or SMTP AUTH is off for {user}",
        ACCOUNT,
        (
            "sign in at https://outlook.office.com as {user}; if that fails, have the password reset",
            _SWITCH,
            _SIGN_INS,
            STORE,
        ),
        LIKELY,
        provider=_M365,
        stage=("auth",),
        says=("authentication unsuccessful",),
        unless=NOT_THE_PASSWORD,
    ),
)
