"""Facts of the providers of mailboxes: their customers log in with a mailbox's address."""

from .fact import IMPLICIT, SENDER, Fact, Port, Provider

_CHECKED = "2026-11-22"
# Where a source is a page, its stored copy was read on that day: what it says may be older.
_APP_PASSWORDS = "https://support.google.com/accounts/answer/185833"
_GOOGLE_LIMITS = "https://support.google.com/a/answer/166852"
_GOOGLE_RELAY = "https://support.google.com/a/answer/2956491"
_GOOGLE_NOTICES = "Google's notices of 2022 and 2025"
_SMTP_AUTH = (
    "https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission"
)
_DEVICES = "https://learn.microsoft.com/exchange/mail-flow-best-practices/how-to-set-up-a-multifunction-device-or-application-to-send-email-using-microsoft-365-or-office-365"
_MICROSOFT_LIMITS = "https://learn.microsoft.com/defender-office-365/outbound-spam-sending-limits-troubleshoot"
_EXCHANGE_BLOG = "Exchange team blog, 27 January 2026 (message center MC786329)"
_MICROSOFT_THREADS = "threads of administrators, 2019 to 2026"
_OUTLOOK = "https://support.microsoft.com/office/pop-imap-and-smtp-settings-for-outlook-com-d088b986-291d-42b8-9564-9c414e2aa040"
_FASTMAIL_SERVERS = "https://www.fastmail.com/help/technical/servernamesandports.html"
_FASTMAIL_PASSWORDS = "https://www.fastmail.com/help/clients/apppassword.html"
_ZOHO_SMTP = "https://www.zoho.com/mail/help/zoho-smtp.html"
_ZOHO_PASSWORDS = "https://help.zoho.com/portal/kb/articles/manage-application-specific-passwords"
_ZOHO_POLICY = "https://www.zoho.com/mail/help/usage-policy.html"
_YAHOO_PASSWORDS = "https://help.yahoo.com/kb/SLN15241.html"
_APPLE_SERVERS = "https://support.apple.com/102525"
_APPLE_PASSWORDS = "https://support.apple.com/102654"
_APPLE_LIMITS = "https://support.apple.com/102198"
_GUIDES = "guides of third parties, 2026"

MAILBOXES: tuple[Provider, ...] = (
    Provider(
        id="gmail",
        name="Gmail and Google Workspace",
        hosts=("smtp.gmail.com", "smtp.googlemail.com", "smtp-relay.gmail.com"),
        ports=(Port(587), Port(465, IMPLICIT)),
        kind="app password",
        user=Fact("the whole address of the account", _CHECKED, _APP_PASSWORDS),
        password=Fact(
            "an app password: 16 letters, shown in four groups; the account's own password is refused",
            _CHECKED,
            _APP_PASSWORDS,
        ),
        steps=(
            "turn on 2-Step Verification: https://myaccount.google.com/signinoptions/twosv",
            "open https://myaccount.google.com/apppasswords, type a name for this host, and choose Create",
            "run msmtp-config, and type the 16 letters without the blanks between the groups",
        ),
        sender=Fact(
            "the account's own address, or one that it has confirmed under Settings > Accounts > Send mail as; Gmail "
            "puts its own address in place of any other",
            _CHECKED,
            _GUIDES,
            confirmed=False,
        ),
        limits=(
            Fact("500 mails a day without Google Workspace", _CHECKED, _GUIDES, confirmed=False),
            Fact("2,000 mails a day with Google Workspace, 500 in its trial", _CHECKED, _GOOGLE_LIMITS),
            Fact("100 recipients of a mail", _CHECKED, _GOOGLE_LIMITS),
        ),
        notes=(
            Fact(
                "a change of the account's password revokes all its app passwords",
                _CHECKED,
                _APP_PASSWORDS,
            ),
            Fact(
                "no app passwords with Advanced Protection, with security keys as the only second step, or where the "
                "organisation's administrator forbids them",
                _CHECKED,
                _APP_PASSWORDS,
            ),
            Fact(
                "account passwords ended on 30 May 2022, and for Google Workspace on 1 May 2025",
                _CHECKED,
                _GOOGLE_NOTICES,
            ),
            Fact(
                "smtp-relay.gmail.com is the relay of Google Workspace: an administrator allows this host's address "
                "at https://admin.google.com > Apps > Google Workspace > Gmail > Routing > SMTP relay service",
                _CHECKED,
                _GOOGLE_RELAY,
            ),
            Fact(
                "smtp-relay.gmail.com refuses EHLO localhost with 421 4.7.0: set `domain` in /etc/msmtprc",
                _CHECKED,
                "threads of administrators",
            ),
        ),
        page=_APP_PASSWORDS,
        checked=_CHECKED,
        login=SENDER,
    ),
    Provider(
        id="microsoft365",
        name="Microsoft 365 (Exchange Online)",
        hosts=(
            "smtp.office365.com",
            "smtp.office365.us",
            "smtp.partner.outlook.cn",
            "smtp-legacy.office365.com",
            "outlook.office365.com",
            "*.mail.protection.outlook.com",
        ),
        ports=(Port(587), Port(25, note="often filtered by the host's provider")),
        kind="mailbox password",
        user=Fact("the sign-in address of the mailbox", _CHECKED, _DEVICES),
        password=Fact(
            "the mailbox's own password, where SMTP AUTH is allowed; an app password is no way round a block",
            _CHECKED,
            _MICROSOFT_THREADS,
        ),
        steps=(
            "administrator: https://admin.microsoft.com > Users > Active users > the mailbox > Mail > Manage email "
            "apps: tick Authenticated SMTP (or Set-CASMailbox -SmtpClientAuthenticationDisabled $false)",
            "administrator: https://entra.microsoft.com > Overview > Properties > Manage security defaults: they "
            "block SMTP AUTH while they are on",
            "the password is the one of the mailbox: https://admin.microsoft.com > Users > Active users > Reset "
            "password",
        ),
        sender=Fact(
            "the mailbox's own address; any other needs the right Send As on it",
            _CHECKED,
            _DEVICES,
        ),
        limits=(
            Fact("10,000 recipients a day", _CHECKED, _MICROSOFT_LIMITS),
            Fact("30 mails a minute", _CHECKED, _MICROSOFT_LIMITS),
            Fact("500 recipients of a mail, unless an administrator changed it", _CHECKED, _MICROSOFT_LIMITS),
        ),
        notes=(
            Fact(
                "SMTP AUTH is off in organisations made after January 2020, and security defaults block it",
                _CHECKED,
                _SMTP_AUTH,
            ),
            Fact(
                "passwords for SMTP AUTH: unchanged until December 2026; off by default at the end of December 2026 "
                "(an administrator can turn them on again); organisations made after that have OAuth by default; "
                "the date of the removal will be announced in the second half of 2027",
                _CHECKED,
                _EXCHANGE_BLOG,
            ),
            Fact("it offers LOGIN and XOAUTH2 alone: `auth on`, not `auth plain`", _CHECKED, _MICROSOFT_THREADS),
            Fact(
                "NAME.mail.protection.outlook.com takes mail for the organisation's own mailboxes at port 25 without "
                "a password",
                _CHECKED,
                _DEVICES,
            ),
        ),
        page=_SMTP_AUTH,
        checked=_CHECKED,
        login=SENDER,
    ),
    Provider(
        id="outlook",
        name="Outlook.com (personal)",
        hosts=("smtp-mail.outlook.com", "smtp.live.com"),
        ports=(Port(587),),
        kind="none (OAuth alone)",
        user=Fact("the whole address of the account", _CHECKED, _OUTLOOK),
        password=Fact(
            "no password is taken since 16 September 2024, app passwords neither: OAuth alone",
            _CHECKED,
            _OUTLOOK,
        ),
        steps=("send through another provider, this one takes no password: msmtp-config providers",),
        sender=Fact("the account's own address, or one of its aliases", _CHECKED, _OUTLOOK, confirmed=False),
        limits=(Fact("300 recipients a day", _CHECKED, _GUIDES, confirmed=False),),
        notes=(Fact("it answers 535 5.7.139 with the words `basic authentication is disabled`", _CHECKED, _OUTLOOK),),
        page=_OUTLOOK,
        checked=_CHECKED,
        login=SENDER,
    ),
    Provider(
        id="fastmail",
        name="Fastmail",
        hosts=("smtp.fastmail.com", "smtps-proxy.fastmail.com", "smtp.messagingengine.com"),
        ports=(Port(465, IMPLICIT), Port(587, confirmed=False)),
        kind="app password",
        user=Fact("the whole address of the account", _CHECKED, _FASTMAIL_SERVERS),
        password=Fact("an app password with access to mail (SMTP)", _CHECKED, _FASTMAIL_PASSWORDS),
        steps=(
            "open https://app.fastmail.com > Settings > Privacy & Security > app passwords > New app password",
            "choose an access that includes Mail, then Generate password; it is shown once",
        ),
        sender=Fact("an address or alias of the account", _CHECKED, _GUIDES, confirmed=False),
        limits=(Fact("they depend on the plan", _CHECKED, "https://www.fastmail.com/help/account/limits.html"),),
        notes=(Fact("the plan Basic has no SMTP", _CHECKED, _FASTMAIL_PASSWORDS),),
        page=_FASTMAIL_SERVERS,
        checked=_CHECKED,
        login=SENDER,
    ),
    Provider(
        id="zoho",
        name="Zoho Mail",
        hosts=("smtp.zoho.com", "smtp.zoho.*", "smtppro.zoho.*"),
        ports=(Port(465, IMPLICIT), Port(587)),
        kind="app password",
        user=Fact("the whole address of the account", _CHECKED, _ZOHO_SMTP),
        password=Fact(
            "an app password (12 letters and digits, without blanks) where two-factor sign-in is on, else the "
            "account's own",
            _CHECKED,
            _ZOHO_PASSWORDS,
        ),
        steps=(
            "open https://accounts.zoho.com (or .eu, .in, .com.au, .jp: where the account is) > Security > App "
            "Passwords > Generate New Password; it is shown once",
        ),
        sender=Fact("the account's own address, or one of its aliases", _CHECKED, _ZOHO_SMTP),
        limits=(Fact("no number is published; unusual volume blocks the account for days", _CHECKED, _ZOHO_POLICY),),
        notes=(
            Fact(
                "the server is the one of the account's region: smtp.zoho.com, .eu, .in, .com.au, .jp; paid accounts "
                "with a domain of their own use smtppro.zoho.com and so on",
                _CHECKED,
                _ZOHO_SMTP,
            ),
            Fact("its policy forbids automated mail in bulk", _CHECKED, _ZOHO_POLICY),
            Fact("the free plan has no SMTP", _CHECKED, _GUIDES, confirmed=False),
        ),
        page=_ZOHO_SMTP,
        checked=_CHECKED,
        login=SENDER,
    ),
    Provider(
        id="yahoo",
        name="Yahoo Mail",
        hosts=("smtp.mail.yahoo.com", "smtp.bizmail.yahoo.com"),
        ports=(Port(465, IMPLICIT, confirmed=False), Port(587, confirmed=False)),
        kind="app password",
        user=Fact("the whole address of the account", _CHECKED, _GUIDES, confirmed=False),
        password=Fact("an app password; the account's own password is refused", _CHECKED, _YAHOO_PASSWORDS),
        steps=(
            "open https://login.yahoo.com/account/security > External connections > Create app password, in a "
            "browser that has been signed in for some days",
            "type a name for this host, then Generate password; it is shown once",
        ),
        sender=Fact("the account's own address", _CHECKED, _GUIDES, confirmed=False),
        limits=(
            Fact(
                "500 recipients a day, 100 of a mail",
                _CHECKED,
                "https://help.yahoo.com/kb/SLN17518.html (Yahoo Small Business)",
                confirmed=False,
            ),
        ),
        notes=(Fact("an app password outlives a change of the account's password", _CHECKED, _YAHOO_PASSWORDS),),
        page=_YAHOO_PASSWORDS,
        checked=_CHECKED,
        login=SENDER,
    ),
    Provider(
        id="icloud",
        name="iCloud Mail",
        hosts=("smtp.mail.me.com",),
        ports=(Port(587),),
        kind="app password",
        user=Fact("the whole iCloud address", _CHECKED, _APPLE_SERVERS),
        password=Fact("an app-specific password; the account's own password is refused", _CHECKED, _APPLE_PASSWORDS),
        steps=(
            "turn on two-factor authentication for the Apple Account",
            "open https://account.apple.com > Sign-In and Security > App-Specific Passwords > Generate an "
            "app-specific password; it is shown once",
        ),
        sender=Fact("an address or alias of the account", _CHECKED, _GUIDES, confirmed=False),
        limits=(
            Fact("1,000 mails and 1,000 recipients a day, 500 recipients of a mail, 20 MB", _CHECKED, _APPLE_LIMITS),
        ),
        notes=(
            Fact(
                "a change of the account's password revokes all its app-specific passwords (at most 25)",
                _CHECKED,
                _APPLE_PASSWORDS,
            ),
            Fact("with a custom domain the user name stays the iCloud address", _CHECKED, _GUIDES, confirmed=False),
        ),
        page=_APPLE_SERVERS,
        checked=_CHECKED,
        login=SENDER,
    ),
)
