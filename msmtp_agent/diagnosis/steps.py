"""Causes and steps that several tables of the decoder share."""

from .rule import phrases

TEST = "msmtp-config test"
STORE = "run msmtp-config, and type the new password"
RETYPE = "run msmtp-config, and type the password again"
SEND_AGAIN = "send the mail again: msmtp keeps none"
PACE = "see what sends so much: the account's logfile has a line for each mail (/etc/msmtprc names it)"
OTHER = "take a provider of relays for more mails than that: msmtp-config providers"

# The login.
LOG_IN = "write `auth on` and `tls on` in /etc/msmtprc, with `user` and `passwordeval`"
AUTH_ON = "write `auth on` in /etc/msmtprc"
LOGIN_REFUSED = "{host} refuses the password, or does not know the user {user}"
FULL_USER = "write the whole address as `user` in /etc/msmtprc: most servers want it"
SUBMISSION = "write `port 587` there: port 25 is for mail between servers"
# What a 535 says where the password is not its reason: then the rows for any server answer, and not a new password.
NOT_THE_PASSWORD = phrases(
    "locked | blocked | disabled | suspended | deactivated | inactive | terminated | banned | not enabled | "
    "not allowed | not permitted | too many | rate limit | try again later | web browser | captcha | whitelisted"
)

# Names and addresses.
FULL_NAME = "write `domain` and the full name of this host (hostname --fqdn), such as vm.example.org, in /etc/msmtprc"
FULL_SENDER = "write a full address that exists as `from` in /etc/msmtprc"
FULL_RECIPIENT = "write `aliases /etc/aliases` in /etc/msmtprc, and a line `root: ADDRESS` in /etc/aliases"
OWN_SENDER = "write the address of that mailbox as `from` in /etc/msmtprc"
OWN_MAILBOX = "write an address of the mailbox {user} as `from` in /etc/msmtprc; it is {sender}"
ALLOW_SENDER = "or let the administrator of {host} allow {user} to send as {sender}"
# What programs write by themselves: cron says `From: root`, and `sendmail -f` sets a sender of its own.
OWN_FROM = (
    "write `set_from_header on` and `allow_from_override off` in /etc/msmtprc: cron and others set a From: of theirs"
)
# Of the account's own address: what this program sends has no other sender, so that of a program comes last.
NOT_GIVEN = "{host} does not count {sender} among the addresses of the login {user}"
GIVE_SENDER = "ask the administrator of {host} to give the address {sender} to the login {user}"
GIVEN_SENDER = "or write an address that belongs to that login as `from` in /etc/msmtprc"
OTHER_SENDER = (
    "where the reply names another address, a program set it: write `set_from_header on` and `allow_from_override off`"
)

# Of servers that refuse although msmtp has logged in: it ends with an error of its own where there is no login to make.
RELAY_DENIED = "{host} passes mail on for those alone who have logged in; waiting does not heal this, whatever the code"
STILL_DENIED = "{host} passes this mail on to no other domain, although msmtp has logged in"
SUBMISSION_PORT = "write `port 587` in /etc/msmtprc: port 25 is for mail between servers"
MAY_RELAY = "ask the administrator of {host} whether {user} may send to other domains"

# TLS that is too old: Debian's own is not, unless its settings make it so.
TLS_SPOKEN = "see what is spoken: msmtp --serverinfo"
TLS_PRIORITIES = "take `tls_priorities` out of /etc/msmtprc, or let it allow TLS 1.2: tls_priorities NORMAL"
TLS_POLICY = "see that /etc/gnutls/config, for all programs of this host, does not switch TLS 1.2 off"

# Of a Microsoft mailbox, personal or not.
OAUTH = "or write `auth xoauth2` in /etc/msmtprc, and let `passwordeval` run a program that fetches a token"
NOT_OWN = ("sendasdenied", "does not have permissions to send as this sender")
LOCKED = ("account locked", "account is locked")

# Of any server.
SETTINGS = "verify SMTP settings: `host {host}` and `port {port}` in /etc/msmtprc against those that {provider} states"
OTHER_PORT = "try another port of {provider}: {ports}; in /etc/msmtprc: port NUMBER"
DIAGNOSE = "see how far it gets, at each address and the other usual ports: msmtp-config diagnose"
AGAIN = "try again in some minutes: msmtp-config test"
# Providers answer 4xx too where time heals nothing: a domain that is not verified, credits that are used up.
READ = "do what the reply asks for; where it asks for nothing, try again in some minutes: msmtp-config test"
CHOOSE = "let msmtp choose, in /etc/msmtprc: auth on"
SERVERINFO = "see what the server offers: msmtp --serverinfo"
SUBMIT = "use the port for submission, in /etc/msmtprc: port 587 and tls_starttls on"
ASK_WHY = "ask {provider} why, with the text of the reply"
SEE_LIMITS = ("look what sends so much: /var/log/msmtp.log", "see the limits: msmtp-config providers")
SENDER = "write it in /etc/msmtprc: from ADDRESS"
VERIFIED = "use verified sender domain: `from` in a domain with SPF and DKIM records for {provider}"
