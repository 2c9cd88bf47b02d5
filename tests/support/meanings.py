"""Settings whose meaning is tested: the same as through the old fragment, better by name, or refused."""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.smtpconfig import FINGERPRINT

Better = Mapping[str, tuple[str, str]]  # what --pretend says of it: through the fragment, and now
LOG = "/var/log/msmtp.log"
UNSET = "(not set)"
STORED = "cat /etc/msmtp-password"
# True of every host: local names are looked up, and no server can make a program wait for ever.
ALWAYS: Better = {"aliases": (UNSET, "/etc/aliases"), "timeout": ("off", "60 seconds")}
# A password in the settings moves to the secret file.
MOVED: Better = {"passwordeval": (UNSET, STORED)}
# Methods that want no password must not fail where none is stored.
NO_SECRET: Better = {"password": ("*", UNSET), "passwordeval": (STORED, UNSET)}
IMPLICIT: Better = {"tls_starttls": ("on", "off")}
SYSLOG: Better = {"logfile": (LOG, UNSET), "syslog": (UNSET, "LOG_MAIL")}
METHODS = ("plain", "login", "cram-md5", "oauthbearer", "xoauth2")  # those that the fragment's page names
OTHERS = ("digest-md5", "scram-sha-1", "scram-sha-256", "ntlm", "'on'")
CERTIFICATES = {"tls_cert_file": "/etc/ssl/client.pem", "tls_key_file": "/etc/ssl/private/client.key"}

CASES: dict[str, tuple[dict[str, str | None], Better]] = {
    # --- host, port, sender, user
    "the example": ({}, {}),
    "no port": ({"port": None}, {}),
    "a port in quotes": ({"port": '"587"'}, {}),
    "port 25": ({"port": "25"}, {}),
    "port 2525": ({"port": "2525"}, {}),
    "port 1": ({"port": "1"}, {}),
    "port 65535": ({"port": "65535"}, {}),
    "an address of IPv4": ({"host": "192.0.2.25"}, {}),
    "an address of IPv6": ({"host": '"2001:db8::25"'}, {}),
    "a name in quotes": ({"host": "'smtp.example.com'"}, {}),
    "an A-label": ({"host": "smtp.xn--bcher-kva.example"}, {}),
    "a bare name": ({"host": "mailhub"}, {}),
    "a name of digits": ({"host": "25.example.com"}, {}),
    "another user": ({"user": "alerts"}, {}),
    "a user in quotes that is a number": ({"user": '"0123456"'}, {}),
    "a user with a blank": ({"user": "mail alerts"}, {}),
    "a user with a number sign": ({"user": "'alerts #1'"}, {}),
    "a user that begins with a number sign": ({"user": "'#alerts'"}, {}),
    "a user with a quote inside": ({"user": "'ale\"rts'"}, {}),
    "a user with a backslash": ({"user": "'EXAMPLE\\alerts'"}, {}),
    "a user with a colon": ({"user": "'ou: alerts'"}, {}),
    "a user with a dollar sign": ({"user": "'$alerts$'"}, {}),
    "a user with braces": ({"user": "'{{ alerts }}'"}, {}),
    "a user that looks like a switch": ({"user": "'on'"}, {}),
    "another sender": ({"from_email": "noreply+vm1@mail.example.com"}, {}),
    # --- recipients
    "two recipients": ({"recipient": "admin@example.com, ops@example.com"}, {}),
    "two recipients without a blank": ({"recipient": "admin@example.com,ops@example.com"}, {}),
    "a recipient with a plus sign": ({"recipient": "admin+vm1@example.com"}, {}),
    # --- passwords
    "a password": ({"password": "s3cret-word"}, MOVED),
    "a password with blanks": ({"password": "abcd efgh ijkl mnop"}, MOVED),
    "a password with a number sign": ({"password": "'p#ss #word'"}, MOVED),
    "a command for the password": ({"passwordeval": "cat /etc/msmtp-token"}, {}),
    "a command in quotes": (
        {"passwordeval": "'\"cat /etc/msmtp-token\"'"},
        {"passwordeval": ("cat /etc/msmtp-token",) * 2},
    ),
    "a command with quotes inside": ({"passwordeval": '"sh -c \'cat \\"$0\\"\' /etc/msmtp-token"'}, {}),
    "a command with a pipe": ({"passwordeval": "cat /etc/msmtp-token | head -n 1"}, {}),
    # msmtp never runs the command beside an inline password. That stays, and so the command has to go.
    "a password and a command": (
        {"password": "s3cret-word", "passwordeval": "cat /etc/msmtp-token"},
        {"passwordeval": ("cat /etc/msmtp-token", STORED)},
    ),
    # --- TLS
    "STARTTLS said": ({"tls_starttls": "true"}, {}),
    "STARTTLS off": ({"tls_starttls": "false"}, {}),
    "STARTTLS off on port 465": ({"tls_starttls": "false", "port": "465"}, {}),
    "STARTTLS off, as YAML 1.1 says it": ({"tls_starttls": "off"}, {}),
    "STARTTLS on, as YAML 1.1 says it": ({"tls_starttls": "Yes"}, {}),
    "TLS on connect": ({"tls_on_connect": "true"}, {}),
    "TLS on connect, port 465": ({"tls_on_connect": "true", "port": "465"}, {}),
    "TLS on connect, as YAML 1.1 says it": ({"tls_on_connect": "yes", "port": "465"}, {}),
    "no TLS on connect": ({"tls_on_connect": "false"}, {}),
    "no TLS on connect, and STARTTLS": ({"tls_on_connect": "false", "tls_starttls": "true"}, {}),
    "no TLS on connect, and no STARTTLS": ({"tls_on_connect": "false", "tls_starttls": "false"}, {}),
    "both: TLS on connect wins": ({"tls_on_connect": "true", "tls_starttls": "true"}, {}),
    "both say the same": ({"tls_on_connect": "true", "tls_starttls": "false"}, {}),
    "port 465 alone": ({"port": "465"}, IMPLICIT),
    "port 465 in quotes": ({"port": "'465'"}, IMPLICIT),
    "port 465 with STARTTLS, as was asked for": ({"port": "465", "tls_starttls": "true"}, {}),
    "port 465 without TLS on connect, as was asked for": ({"port": "465", "tls_on_connect": "false"}, {}),
    "the certificate is checked": ({"tls_certcheck": "true"}, {}),
    "the certificate is not checked": ({"tls_certcheck": "false"}, {}),
    "the certificate is not checked, as YAML 1.1 says it": ({"tls_certcheck": "No"}, {}),
    "another bundle": ({"tls_trust_file": "/etc/ssl/certs/acme.pem"}, {}),
    "a bundle with blanks in its name": ({"tls_trust_file": "/etc/ssl/acme root.pem"}, {}),
    "a bundle at home": ({"tls_trust_file": "~/acme.pem"}, {}),
    "msmtp's own choice of a bundle": ({"tls_trust_file": "system"}, {}),
    "no check, and a bundle": ({"tls_certcheck": "false", "tls_trust_file": "/etc/ssl/certs/acme.pem"}, {}),
    "a certificate of the client's": ({**CERTIFICATES}, {}),
    "a certificate, and external": ({**CERTIFICATES, "auth_method": "external"}, NO_SECRET),
    "a certificate on port 465": ({**CERTIFICATES, "port": "465", "tls_on_connect": "true"}, {}),
    # --- methods
    **{f"method {method}": ({"auth_method": method}, {}) for method in METHODS + OTHERS},
    "method external": ({"auth_method": "external"}, NO_SECRET),
    "method gssapi": ({"auth_method": "gssapi"}, NO_SECRET),
    "method off": ({"auth_method": "'off'"}, {"passwordeval": (STORED, UNSET)}),
    "a method and a command": ({"auth_method": "xoauth2", "passwordeval": "cat /etc/msmtp-token"}, {}),
    "a method and a password": ({"auth_method": "login", "password": "s3cret-word"}, MOVED),
    # --- what the fragment did not know
    "a pin": ({"tls_fingerprint": f"'{FINGERPRINT}'"}, {"tls_fingerprint": (UNSET, FINGERPRINT)}),
    "From: is set": ({"set_from_header": "true"}, {"set_from_header": ("auto", "on")}),
    "From: is left": ({"set_from_header": "off"}, {"set_from_header": ("auto", "off")}),
    "From: as msmtp likes": ({"set_from_header": "auto"}, {}),
    "a log file": ({"log": "file"}, {}),
    "the system's log": ({"log": "syslog"}, SYSLOG),
    # --- values that msmtp read in another way than they were written
    "a user with a nought before its digits": ({"user": "0123456"}, {"user": ("42798", "0123456")}),
    "a user with an underscore between digits": ({"user": "1_000"}, {"user": ("1000", "1_000")}),
}

# The settings of the reference's page, provider by provider.
BLOCKS = {
    "proton bridge": """
  host: 127.0.0.1        # Bridge runs locally
  port: 1025             # Default Bridge SMTP port
  from_email: your-email@proton.me
  user: your-email@proton.me
  recipient: admin@example.com
""",
    "proton bridge, its certificate not checked": """
  host: 127.0.0.1
  port: 1025
  from_email: your-email@proton.me
  user: your-email@proton.me
  recipient: admin@example.com
  tls_certcheck: false     # For self-signed certs (Proton Bridge)
""",
    "proton": """
  host: smtp.protonmail.ch
  port: 587
  from_email: your-email@proton.me
  user: your-email@proton.me
  recipient: admin@example.com
""",
    "microsoft 365": """
  host: smtp.office365.com
  port: 587
  from_email: alerts@yourdomain.com
  user: alerts@yourdomain.com
  recipient: admin@yourdomain.com
""",
    "gmail": """
  host: smtp.gmail.com
  port: 587
  from_email: your-email@gmail.com
  user: your-email@gmail.com
  recipient: admin@example.com
""",
    "sendgrid": """
  host: smtp.sendgrid.net
  port: 587
  from_email: alerts@your-verified-domain.com
  user: apikey                    # Literal string "apikey"
  recipient: admin@example.com
""",
    "amazon ses": """
  host: email-smtp.us-east-1.amazonaws.com   # Use your region
  port: 587
  from_email: alerts@your-verified-domain.com
  user: YOUR_SMTP_USERNAME
  recipient: admin@example.com
""",
}

# `provider` alone, and what had to be written for the fragment to mean the same.
PROVIDERS: dict[str, tuple[dict[str, str | None], dict[str, str | None]]] = {
    "gmail": ({}, {"host": "smtp.gmail.com"}),
    "Microsoft 365": ({}, {"host": "smtp.office365.com"}),
    "outlook": ({}, {"host": "smtp-mail.outlook.com"}),
    "fastmail": ({}, {"host": "smtp.fastmail.com", "port": "465", "tls_on_connect": "true"}),
    "zoho": ({}, {"host": "smtp.zoho.com", "port": "465", "tls_on_connect": "true"}),
    "yahoo": ({}, {"host": "smtp.mail.yahoo.com", "port": "465", "tls_on_connect": "true"}),
    "icloud": ({}, {"host": "smtp.mail.me.com"}),
    "proton": ({}, {"host": "smtp.protonmail.ch"}),
    "proton-bridge": ({}, {"host": "127.0.0.1", "port": "1025"}),
    "sendgrid": ({}, {"host": "smtp.sendgrid.net", "user": "apikey"}),
    "mailgun": ({"user": "postmaster@mg.example.com"}, {"host": "smtp.mailgun.org"}),
    "postmark": ({"user": "token"}, {"host": "smtp.postmarkapp.com"}),
    "ses": (
        {"host": "email-smtp.eu-west-1.amazonaws.com", "user": "AKIAEXAMPLE"},
        {"host": "email-smtp.eu-west-1.amazonaws.com"},
    ),
    "smtp.gmail.com": ({}, {"host": "smtp.gmail.com"}),
    # What is said beside it wins.
    "Gmail": ({"port": "465"}, {"host": "smtp.gmail.com", "port": "465", "tls_on_connect": "true"}),
    "sendgrid ": ({"port": "2525", "user": "other"}, {"host": "smtp.sendgrid.net", "port": "2525"}),
    "zoho ": (
        {"host": "smtp.zoho.eu", "port": "587", "tls_starttls": "true"},
        {"host": "smtp.zoho.eu", "tls_starttls": "true"},
    ),
}

# Through the fragment msmtp took these (status 0), and mail left in another way than was written, or not at all.
TAKEN: dict[str, tuple[dict[str, str | None], str]] = {
    "a user that is a number": ({"user": "123456"}, "user"),
    "a user in double quotes of its own, which msmtp takes off": ({"user": "'\"alerts\"'"}, "user"),
    "a user with a blank before it, which msmtp takes off": ({"user": "' alerts'"}, "user"),
    "a user without a value": ({"user": ""}, "user"),
    "no user": ({"user": None}, "user"),
    "no sender": ({"from_email": None}, "from_email"),
    "a sender with a name": ({"from_email": "Alerts <alerts@example.com>"}, "from_email"),
    "two senders": ({"from_email": "'alerts@example.com, ops@example.com'"}, "from_email"),
    "no recipient": ({"recipient": None}, "recipient"),
    "a local recipient, which default: would lead in a circle": ({"recipient": "root"}, "recipient"),
    "a recipient behind a comment sign": ({"recipient": "'#admin@example.com'"}, "recipient"),
    "a switch without a value, which turned the check off": ({"tls_certcheck": ""}, "tls_certcheck"),
    "a switch that is a number": ({"tls_certcheck": "0"}, "tls_certcheck"),
    "a switch in quotes, which was always true": ({"tls_starttls": "'no'"}, "tls_starttls"),
    "a port in hexadecimal": ({"port": "0x24B"}, "port"),
    "a command without a word": ({"passwordeval": "''"}, "passwordeval"),
    "a bundle without a name": ({"tls_trust_file": "''"}, "tls_trust_file"),
    "an unknown key": ({"tls_certchek": "false"}, "tls_certchek"),
    "a tab in a value": ({"user": '"mail\\talerts"'}, "user"),
    "a directive in a value": ({"user": '"alerts\\n      host evil.example"'}, "user"),
    "another alias in a value": ({"recipient": '"a@example.com\\n      dev: b@example.com"'}, "recipient"),
    "a name that is not ASCII": ({"host": "smtp.b\u00fccher.example"}, "host"),
    "a host with a port": ({"host": "smtp.example.com:587"}, "host"),
    "a host with a blank": ({"host": "smtp.example.com backup.example.com"}, "host"),
    "a host that is a URL": ({"host": "smtps://smtp.example.com"}, "host"),
}
# These ended every mail with status 78.
BROKEN: dict[str, tuple[dict[str, str | None], str]] = {
    "port 0": ({"port": "0"}, "port"),
    "port 65536": ({"port": "65536"}, "port"),
    "port 99999": ({"port": "99999"}, "port"),
    "a port below 0": ({"port": "-1"}, "port"),
    "a port that is a word": ({"port": "smtp"}, "port"),
    "a port with a fraction": ({"port": "587.5"}, "port"),
    "a method that is none": ({"auth_method": "oauth2"}, "auth_method"),
    "a method in capitals": ({"auth_method": "PLAIN"}, "auth_method"),
    "a certificate without its key": ({"tls_cert_file": "/etc/ssl/client.pem"}, "tls_key_file"),
    "a key without its certificate": ({"tls_key_file": "/etc/ssl/client.key"}, "tls_cert_file"),
    "a long user": ({"user": "x" * 500}, "user"),
    "a long command": ({"passwordeval": "cat /etc/" + "x" * 500}, "passwordeval"),
    "no name of a host": ({"host": "''"}, "host"),
}
# So did these, and now they mean what they say: YAML 1.1 takes the words for true and false.
MENDED: dict[str, tuple[dict[str, str | None], str]] = {
    "method on": ({"auth_method": "on"}, "on"),
    "method off": ({"auth_method": "off"}, "off"),
}
