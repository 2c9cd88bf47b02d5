"""Facts of the providers of relays: services that send for programs, with a key or a token in place of a password."""

from .fact import IMPLICIT, Fact, Port, Provider

_CHECKED = "2026-11-22"
# Where a source is a page, its stored copy was read on that day: what it says may be older.
_SENDGRID_SMTP = "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api"
_SENDGRID_SENDERS = "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/sender-identity"
_SENDGRID_TRIAL = "https://support.sendgrid.com/hc/en-us/articles/35270136965403"
_SES_CREDENTIALS = "https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html"
_SES_CONNECT = "https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html"
_SES_QUOTAS = "https://docs.aws.amazon.com/ses/latest/dg/quotas.html"
_SES_SANDBOX = "https://docs.aws.amazon.com/ses/latest/dg/request-production-access.html"
_MAILGUN_SMTP = "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp"
_MAILGUN_CREDENTIALS = "https://help.mailgun.com/hc/en-us/articles/203380100"
_MAILGUN_RECIPIENTS = "https://help.mailgun.com/hc/en-us/articles/217531258"
_POSTMARK_SMTP = "https://postmarkapp.com/support/article/811-what-are-the-smtp-details-api-tokens-i-should-be-using"
_POSTMARK_ERRORS = "https://postmarkapp.com/support/article/common-smtp-connection-errors"
_POSTMARK_LIMITS = "https://postmarkapp.com/developer"
_THREADS = "threads of administrators"

RELAYS: tuple[Provider, ...] = (
    Provider(
        id="sendgrid",
        name="SendGrid",
        hosts=("smtp.sendgrid.net", "smtp.eu.sendgrid.net"),
        ports=(Port(587), Port(2525), Port(25), Port(465, IMPLICIT)),
        kind="API key",
        user=Fact("the word apikey, for everybody", _CHECKED, _SENDGRID_SMTP),
        password=Fact("an API key: 69 characters that begin with SG.", _CHECKED, _SENDGRID_SMTP),
        steps=(
            "open https://app.sendgrid.com/settings/api_keys > Create API Key",
            "choose Restricted Access with Mail Send; the key is shown once",
            "write `user apikey` in /etc/msmtprc, then run msmtp-config",
        ),
        sender=Fact(
            "a verified sender identity, or any address of an authenticated domain: "
            "https://app.sendgrid.com/settings/sender_auth",
            _CHECKED,
            _SENDGRID_SENDERS,
        ),
        limits=(
            Fact("100 mails a day in the trial", _CHECKED, _SENDGRID_TRIAL),
            Fact("5,000 mails in one connection", _CHECKED, _SENDGRID_SMTP),
        ),
        notes=(
            Fact(
                "accounts made since 25 March 2025 have a trial of 60 days; nothing is sent after it without a plan",
                _CHECKED,
                _SENDGRID_TRIAL,
            ),
            Fact("the free plan ended from 27 May 2025", _CHECKED, "support pages", confirmed=False),
            Fact("smtp.eu.sendgrid.net serves the EU region", _CHECKED, _THREADS, confirmed=False),
        ),
        page=_SENDGRID_SMTP,
        checked=_CHECKED,
        login="apikey",
    ),
    Provider(
        id="ses",
        name="Amazon SES",
        hosts=(
            "email-smtp.*.amazonaws.com",
            "email-smtp-fips.*.amazonaws.com",
            "email-smtp.*.amazonaws.com.cn",
        ),
        ports=(
            Port(587),
            Port(2587),
            Port(465, IMPLICIT),
            Port(2465, IMPLICIT),
            Port(25, note="throttled on EC2"),
        ),
        kind="SMTP password",
        user=Fact(
            "the SMTP user name of this region: 20 characters, usually beginning with AKIA",
            _CHECKED,
            _SES_CREDENTIALS,
        ),
        password=Fact(
            "the SMTP password of this region: 44 characters beginning with B (old ones with A); the secret access "
            "key of AWS (40 characters) is something else",
            _CHECKED,
            _SES_CREDENTIALS,
        ),
        steps=(
            "open https://console.aws.amazon.com/ses in the region of the server > SMTP settings > Create SMTP "
            "credentials",
            "create the user, and download the credentials: they are shown once",
            "write the SMTP user name as `user` in /etc/msmtprc, then run msmtp-config",
        ),
        sender=Fact(
            "a verified identity of this region: an address, or any of a verified domain; a whole address in every "
            "address header, To: root is refused",
            _CHECKED,
            "https://docs.aws.amazon.com/ses/latest/dg/verify-addresses-and-domains.html",
        ),
        limits=(
            Fact(
                "in the sandbox: verified recipients alone, 200 mails a day, one a second",
                _CHECKED,
                _SES_SANDBOX,
            ),
            Fact("out of the sandbox: a quota for each account and region", _CHECKED, _SES_QUOTAS),
            Fact("40 MB a mail", _CHECKED, _SES_QUOTAS),
        ),
        notes=(
            Fact("user name and password belong to one region", _CHECKED, _SES_CREDENTIALS),
            Fact("each region leaves the sandbox by a request of its own", _CHECKED, _SES_SANDBOX),
            Fact("not every region has an SMTP server", _CHECKED, _SES_CONNECT),
        ),
        page=_SES_CREDENTIALS,
        checked=_CHECKED,
    ),
    Provider(
        id="mailgun",
        name="Mailgun",
        hosts=("smtp.mailgun.org", "smtp.eu.mailgun.org"),
        ports=(Port(587), Port(2525), Port(25), Port(465, IMPLICIT)),
        kind="SMTP password",
        user=Fact("an SMTP user of the domain, such as postmaster@ and the domain", _CHECKED, _MAILGUN_SMTP),
        password=Fact("the password of that SMTP user; not the API key", _CHECKED, _MAILGUN_CREDENTIALS),
        steps=(
            "open https://app.mailgun.com > Send > Sending > Domain settings > SMTP credentials, and choose the domain",
            "choose Reset password at the user (or add one); the password is shown once",
        ),
        sender=Fact("an address of the domain", _CHECKED, _MAILGUN_SMTP, confirmed=False),
        limits=(
            Fact("a sandbox domain sends to at most 5 authorized recipients", _CHECKED, _MAILGUN_RECIPIENTS),
            Fact("25 MB a mail", _CHECKED, "https://documentation.mailgun.com"),
            Fact("100 mails a day on the free plan", _CHECKED, "guides of third parties, 2026", confirmed=False),
        ),
        notes=(
            Fact("domains of the EU region use smtp.eu.mailgun.org, and no other", _CHECKED, _MAILGUN_CREDENTIALS),
            Fact("421 for a sandbox or an inactive account does not heal by waiting", _CHECKED, _THREADS),
        ),
        page=_MAILGUN_SMTP,
        checked=_CHECKED,
    ),
    Provider(
        id="postmark",
        name="Postmark",
        hosts=("smtp.postmarkapp.com", "smtp-broadcasts.postmarkapp.com"),
        ports=(Port(587), Port(2525), Port(25)),
        kind="server API token",
        user=Fact("the Server API token, the same as the password", _CHECKED, _POSTMARK_SMTP),
        password=Fact(
            "the Server API token; the Account API token is refused; or user and password of an SMTP token",
            _CHECKED,
            _POSTMARK_ERRORS,
        ),
        steps=(
            "open https://account.postmarkapp.com/servers > the server > API Tokens, and copy the Server API token",
            "write the token as `user` in /etc/msmtprc, then run msmtp-config, and type it as the password",
        ),
        sender=Fact(
            "a confirmed sender signature, or any address of a verified domain: "
            "https://account.postmarkapp.com/signature_domains",
            _CHECKED,
            _POSTMARK_LIMITS,
        ),
        limits=(Fact("50 recipients and 10 MB a mail", _CHECKED, _POSTMARK_LIMITS),),
        notes=(
            Fact("there is no port 465", _CHECKED, _POSTMARK_SMTP),
            Fact(
                "a 250 is not a delivery: mail to suppressed recipients is accepted, and reported later",
                _CHECKED,
                "Postmark's documentation",
            ),
            Fact("smtp-broadcasts.postmarkapp.com is for mail in bulk", _CHECKED, _POSTMARK_SMTP),
        ),
        page=_POSTMARK_SMTP,
        checked=_CHECKED,
    ),
)
