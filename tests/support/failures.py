"""Failures that no reply of a server tells: the words of msmtp itself, as it was seen to write them, or its sources do.

`tests/test_diagnosis_real.py` brings most of them about with the real msmtp.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from msmtp_agent.diagnosis import decode
from msmtp_agent.diagnosis.failure import Failure, understand
from msmtp_agent.model import Diagnosis
from msmtp_agent.msmtprc import parse
from msmtp_agent.providers import BUILT_IN
from tests.support.account import account

HOST: Final = "mail.example.test"
_IMPLICIT: Final = {"port": "465", "tls_starttls": "off"}
_STARTTLS_465: Final = {"port": "465"}
_BRIDGE: Final = {"port": "1025", "host": "127.0.0.1"}
_LOCAL: Final = {"port": "2525", "host": "localhost"}
_M365: Final = {"host": "smtp.office365.com"}
_MAILGUN: Final = {"host": "smtp.mailgun.org"}
_SENDGRID: Final = {"host": "smtp.sendgrid.net", "user": "apikey"}
_UNTRUSTED: Final = "TLS certificate verification failed: The certificate is NOT trusted. "
_ISSUER: Final = "The certificate issuer is unknown. "
_NAME: Final = "The name in the certificate does not match the expected. "


class Said(NamedTuple):
    """What msmtp wrote and how it ended, and the diagnosis; `changes` are lines of the account."""

    expect: str
    words: tuple[str, ...] = ()
    status: int | None = None
    changes: Mapping[str, str | None] = {}
    stage: str = ""
    traits: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """For the names of tests."""
        return "-".join([self.expect, *sorted(self.traits), *([self.stage] if self.stage else [])])


def failure(
    words: tuple[str, ...],
    status: int | None,
    changes: Mapping[str, str | None] | None = None,
    *,
    stage: str = "",
    traits: frozenset[str] = frozenset(),
) -> Failure:
    """The failure of an account at mail.example.test, port 587."""
    lines = {"host": HOST, "port": "587", **(changes or {})}
    text = account(int(lines.pop("port") or 0), Path("/ca.pem"), **lines)
    return understand(words, status, parse(text.encode())["default"], version="1.8.28", stage=stage, traits=traits)


def diagnosis(said: Said) -> Diagnosis:
    """What the decoder makes of it."""
    failed = failure(said.words, said.status, said.changes, stage=said.stage, traits=said.traits)
    return decode(failed, BUILT_IN, "me@example.test", "me@example.test")


def _at(host: str, port: int, why: str) -> tuple[str, ...]:
    return (f"cannot connect to {host}, port {port}: {why}", "could not send mail (account default from /etc/msmtprc)")


def _own(line: str) -> tuple[str, ...]:
    return (line, "could not send mail (account default from /etc/msmtprc)")


def _auth(reply: str) -> tuple[str, ...]:
    return ("authentication failed (method PLAIN)", f"server message: {reply}")


def _mail(reply: str) -> tuple[str, ...]:
    return ("envelope from address me@example.test not accepted by the server", f"server message: {reply}")


def _rcpt(reply: str) -> tuple[str, ...]:
    return ("recipient address admin@example.com not accepted by the server", f"server message: {reply}")


def _end(reply: str) -> tuple[str, ...]:
    return ("the server did not accept the mail", f"server message: {reply}")


def _data(reply: str) -> tuple[str, ...]:
    return ("the server does not accept mail data", f"server message: {reply}")


# fmt: off
CONNECTIONS: Final = (
    Said("dns-unknown", _own(f"cannot locate host {HOST}: Name or service not known"), 68),
    Said("dns-unknown", _own(f"cannot locate host {HOST}: No address associated with hostname"), 68),
    Said("dns-temporary", _own(f"cannot locate host {HOST}: Temporary failure in name resolution"), 75),
    Said("dns-failed", _own(f"cannot locate host {HOST}: Non-recoverable failure in name resolution"), 68),
    Said("bridge-not-running", _at("127.0.0.1", 1025, "Connection refused"), 75, _BRIDGE),
    Said("connection-refused-here", _at("localhost", 2525, "Connection refused"), 75, _LOCAL),
    Said("connection-refused", _at(HOST, 587, "Connection refused"), 75),
    Said("address-silent", stage="connect", traits=frozenset({"first-dead"})),
    *(Said(f"port-filtered-{port}-open", stage="connect", traits=frozenset({"timed-out", f"open-{port}"}))
      for port in (587, 465, 2525, 2587)),
    Said("ports-filtered", stage="connect", traits=frozenset({"timed-out", "no-port"})),
    Said("connection-timeout-25", _at(HOST, 25, "Connection timed out"), 75, {"port": "25"}),
    Said("connection-timeout-465", _at(HOST, 465, "Connection timed out"), 75, _IMPLICIT),
    Said("connection-timeout", _at(HOST, 587, "Connection timed out"), 75),
    Said("connection-timeout", stage="connect"),
    Said("no-route", _at(HOST, 587, "Network is unreachable"), 75),
    Said("no-route", _at(HOST, 587, "No route to host"), 75),
    Said("connection-forbidden", _at(HOST, 587, "Operation not permitted"), 75),
    Said("connection-forbidden", _own("cannot create socket: Address family not supported by protocol"), 71),
    Said("connection-reset", _at(HOST, 587, "Connection reset by peer"), 75),
    Said("source-address", _own("cannot bind source ip 192.0.2.1: Cannot assign requested address"), 71),
    Said("proxy-failed", _own("proxy failure: connection not allowed"), 69),
    Said("connection-failed", _at(HOST, 587, "No buffer space available"), 75),
    Said("reply-empty", _own("the server sent an empty reply"), 76),
    Said("gmail-hello-hung-up", _own("the server sent an empty reply"), 76, {"host": "smtp-relay.gmail.com"}),
    Said("reply-rubbish", _own("the server sent an invalid reply"), 76),
    Said("m365-long-reply", _own("the server sent an invalid reply"), 76, {"host": "smtp.office365.com"}),
    Said("outlook-long-reply", _own("the server sent an invalid reply"), 76, {"host": "smtp-mail.outlook.com"}),
    Said("portal", ("cannot get initial OK message from server", "server message: 400 HTTP/1.1 Bad Request"), 76),
    Said("reply-too-long",
         _own("Rejecting server reply that is longer than 50 lines. Increase SMTP_MAXLINES."), 76),
    Said("local-silent", stage="configuration"),
    Said("local-silent", stage="secret"),
    Said("server-silent", stage="greeting"),
    Said("server-silent", stage="message"),
    Said("deadline-25", changes={"port": "25"}),
    Said("deadline-465", changes=_IMPLICIT),
    Said("deadline"),
    Said("deadline", _own("network read error: the operation timed out"), 74),
    Said("connection-lost", _own("network read error: Connection reset by peer"), 74),
    Said("connection-lost",
         _own("cannot read from TLS connection: The TLS connection was non-properly terminated."), 74),
)
TLS: Final = (
    Said("tls-fingerprint",
         _own("TLS certificate verification failed: the certificate fingerprint does not match"), 69),
    Said("bridge-certificate", _own(_UNTRUSTED + _ISSUER), 69, _BRIDGE),
    Said("bridge-new-certificate",
         _own("TLS certificate verification failed: the certificate fingerprint does not match"), 69, _BRIDGE),
    Said("tls-not-yet-valid", _own(_UNTRUSTED + "The certificate chain uses not yet valid certificate. "), 69),
    Said("tls-expired", _own(_UNTRUSTED + "The certificate chain uses expired certificate. "), 69),
    Said("tls-revoked", _own(_UNTRUSTED + "The certificate chain is revoked. "), 69),
    Said("tls-intercepted", _own(_UNTRUSTED + _ISSUER + _NAME), 69),
    Said("tls-name", _own(_UNTRUSTED + _NAME), 69),
    Said("tls-name-local", _own(_UNTRUSTED + _NAME), 69, _LOCAL),
    Said("tls-issuer-local", _own(_UNTRUSTED + _ISSUER), 69, _LOCAL),
    Said("tls-issuer", _own(_UNTRUSTED + _ISSUER), 69),
    Said("tls-weak", _own(_UNTRUSTED + "The certificate chain uses insecure algorithm. "), 69),
    Said("tls-certificate", _own(_UNTRUSTED + "The signature in the certificate is invalid. "), 69),
    Said("trust-file", _own("cannot set X509 trust file /nowhere for TLS session: Error while reading file."), 66),
    Said("trust-file", _own("cannot set X509 trust file /dev/null for TLS session: Success."), 66),
    Said("revocation-file", _own("cannot set X509 CRL file /nowhere for TLS session: Error while reading file."), 66),
    Said("client-certificate", _own(
        "cannot set X509 key file /nowhere and/or X509 cert file /nowhere for TLS session: Error while reading file."
    ), 66),
    Said("tls-priorities", _own(
        "cannot set priorities for TLS session: error in priority string at position 1"), 70),
    Said("tls-mode-starttls",
         _own("TLS handshake failed: An unexpected TLS packet was received."), 76, {"tls_starttls": "off"}),
    Said("tls-not-spoken", _own("TLS handshake failed: An unexpected TLS packet was received."), 76),
    Said("tls-alert", _own("TLS handshake failed: A TLS fatal alert has been received."), 76),
    Said("tls-cut-off", _own("TLS handshake failed: Error in the pull function."), 76),
    Said("tls-cut-off", stage="tls"),
    Said("tls-failed", _own("TLS handshake failed: The request is invalid."), 76),
    Said("tls-mode-implicit", changes=_STARTTLS_465),
    Said("tls-mode-implicit", changes=_STARTTLS_465, stage="greeting"),
    Said("tls-mode-implicit", _own("network read error: the operation timed out"), 74, _STARTTLS_465),
    Said("tls-off-implicit", _own("network read error: the operation timed out"), 74, {"port": "465", "tls": "off"}),
    Said("starttls-missing-25",
         _own("the server does not support TLS via the STARTTLS command"), 69, {"port": "25"}),
    Said("starttls-missing", _own("the server does not support TLS via the STARTTLS command"), 69),
    Said("starttls-garbled", _own("command STARTTLS failed"), 76),
)
LOGINS: Final = (
    Said("auth-method", _own("the server does not support authentication method CRAM-MD5"), 69),
    Said("m365-auth-method", _own("the server does not support authentication method PLAIN"), 69,
         {"host": "smtp.office365.com", "auth": "plain"}),
    Said("auth-before-tls", _own("the server does not support authentication"), 69, {"tls": "off"}),
    Said("auth-not-offered-25", _own("the server does not support authentication"), 69, {"port": "25"}),
    Said("auth-not-offered", _own("the server does not support authentication"), 69),
    Said("auth-no-common", _own("cannot find a usable authentication method"), 69),
    Said("auth-in-clear", _own("cannot use a secure authentication method"), 69, {"tls": "off"}),
    Said("sasl-scram", _own("GNU SASL: Error authenticating user"), 70),
    Said("sasl-characters", _own("GNU SASL: Could not prepare internationalized (non-ASCII) string."), 70),
    Said("sasl-failed", _own("GNU SASL: Memory allocation error in SASL library"), 70),
    Said("user-missing", _own("authentication method PLAIN needs a user name"), 69),
    Said("password-missing", _own("authentication method PLAIN needs a password"), 69),
    Said("channel-binding",
         _own("authentication method SCRAM-SHA-256-PLUS needs TLS channel binding information"), 69),
    Said("password-too-long",
         _own("Cannot send command because it is longer than 4094 characters. Increase SMTP_MAXCMDLEN."), 65),
    Said("auth-failed", _own("authentication failed: Error authenticating user (method SCRAM-SHA-1)"), 77),
    Said("auth-oauth",
         ("authentication failed (method LOGIN)", "server message: 535 5.7.3 Basic authentication has ended"), 77),
    Said("auth-web-login",
         ("authentication failed (method PLAIN)", "server message: 535 5.7.14 Please log in via your web browser"), 77),
    Said("auth-account-closed",
         ("authentication failed (method PLAIN)", "server message: 535 5.7.13 User account disabled"), 77),
)
HERE: Final = (
    Said("aliases-faulty", _own("/etc/aliases: line 3: single ':' delimiter expected"), 78),
    Said("aliases-faulty", _own("/etc/aliases: Too many redirects when expanding alias root."), 78),
    Said("configuration-missing", ("account default not found: no configuration file available",), 78),
    Said("account-missing", ("account default not found in /etc/msmtprc",), 78),
    Said("configuration-rights", (
        "/root/.msmtprc: contains secrets and therefore must have no more than user read/write permissions",), 78),
    Said("not-compiled-in", ("support for authentication method GSSAPI is not compiled in",), 69),
    Said("usage", ("no recipients found",), 64),
    Said("configuration-faulty", ("/etc/msmtprc: line 13: unknown command bogus",), 78),
    Said("configuration-faulty", ("account default from /etc/msmtprc: host not set",), 78),
    Said("secret-missing", ("cat: /etc/msmtp-password: No such file or directory",
                            "cannot read output of 'cat /etc/msmtp-password'"), 78),
    Said("secret-forbidden", ("cat: /etc/msmtp-password: Permission denied",
                              "cannot read output of 'cat /etc/msmtp-password'"), 78),
    Said("secret-forbidden", ("cannot evaluate 'cat /etc/msmtp-password': Operation not permitted",), 78),
    Said("secret-empty", ("sh: 1: pass: not found", "cannot read output of 'pass mail'"), 78),
    Said("log-unwritable", ("cannot log to /var/log/msmtp.log: cannot open: Permission denied",
                            "log info was: host=mail.example.test"), 0),
    Said("log-failed", ("cannot log to /var/log/msmtp.log: cannot lock: Resource temporarily unavailable",), 74),
    Said("temporary-file", ("cannot create temporary file: No space left on device",), 74),
    Said("no-memory", ("FATAL: Cannot allocate memory",), 71),
    Said("library-failed", ("error while loading shared libraries: libgsasl.so.18: cannot open shared object",), 127),
    Said("aborted", status=-6),
    Said("aborted", status=-25),
    Said("killed", status=-9),
    Said("crashed", status=-11),
    Said("ended-by-signal", status=-15),
    Said("ended-by-signal", status=143),
    Said("not-started", status=127),
    Said("not-received", status=0, changes={"aliases": None}),
    Said("accepted", status=0),
    *(Said(name, status=status) for status, name in (
        (64, "exit-usage"), (65, "exit-data"), (66, "exit-no-input"), (67, "exit-no-user"), (68, "exit-no-host"),
        (69, "exit-unavailable"), (70, "exit-software"), (71, "exit-os-error"), (72, "exit-os-file"),
        (73, "exit-cannot-create"), (74, "exit-io-error"), (75, "exit-temporary"), (76, "exit-protocol"),
        (77, "exit-permission"), (78, "exit-configuration"), (1, "unknown"), (79, "unknown"),
    )),
)
REPLIES: Final = (
    Said("server-temporary", ("server message: 421 4.3.2 later",), 69),
    Said("server-refused", ("server message: 500 5.5.1 what",), 76),
    Said("reply-unexpected", ("the server did not accept the mail", "server message: 251 2.1.5 forwarded"), 69),
    Said("icloud-password", ("authentication failed (method PLAIN)", "server message: 535 5.7.8 zzz"), 77,
         {"host": "smtp.mail.me.com"}),
    Said("sender-unverified", ("the server did not accept the mail",
                               "server message: 554 5.7.1 the domain of the sender is not verified"), 69),
)
# Rows for servers and relays whose circumstances no real reply was found with.
SOFTWARE: Final = (
    Said("exchange-login-ignored", _mail("530 5.7.57 SMTP; Client was not authenticated to send anonymous mail"), 65),
    Said("exchange-relay-still-denied", _rcpt("550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"), 65),
    Said("exim-login-bare", _auth("535 Incorrect authentication data"), 77, {"user": "me"}),
    Said("exim-relay-still-denied", _rcpt("550 relay not permitted"), 65),
    Said("m365-disabled",
         _auth("535 5.7.139 Authentication unsuccessful, the user account is disabled."), 77, _M365),
    Said("m365-expired",
         _auth("535 5.7.139 Authentication unsuccessful, the user password has expired."), 77, _M365),
    Said("mailgun-stopped", _data("421 Domain mg.example.com is not allowed to send: zzz"), 69, _MAILGUN),
    Said("mailgun-unverified", _data("421 Domain mg.example.com is not allowed to send: The domain is unverified and "
                                     "requires DNS configuration."), 69, _MAILGUN),
    Said("outlook-locked",
         _auth("535 5.7.139 Authentication unsuccessful, account locked."), 77, {"host": "smtp-mail.outlook.com"}),
    Said("postfix-account", _auth("535 5.7.8 Error: authentication failed: User is disabled"), 77),
    Said("postfix-account", _auth("535 5.7.8 Error: authentication failed: This user does not have access rights to "
                                  "this service"), 77),
    Said("postfix-login-bare", _auth("535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6"), 77, {"user": "me"}),
    Said("postfix-login-ignored", _rcpt("553 5.7.1 <me@example.test>: Sender address rejected: not logged in"), 65),
    Said("postfix-reverse-name-logged-in",
         _rcpt("450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.22]"), 69),
    Said("postfix-sender-override",
         _rcpt("553 5.7.1 <root@vm.example>: Sender address rejected: not owned by user me@example.test"), 65),
    Said("postfix-sender-still-denied",
         _rcpt("554 5.7.1 <me@example.test>: Sender address rejected: Access denied"), 65),
    Said("sendgrid-account", _auth("535 Authentication failed: account disabled"), 77, _SENDGRID),
    Said("sendgrid-address", _auth("550 Your IP address is not whitelisted"), 77, _SENDGRID),
    Said("sendmail-relay-still-denied", _rcpt("550 5.7.1 <admin@example.com>... Relaying denied"), 65),
    Said("ses-tls-version", _data("554 Access denied: Amazon SES no longer supports TLS 1.0 and TLS 1.1 connections."),
         65, {"host": "email-smtp.eu-west-1.amazonaws.com"}),
    Said("windows-relay-still-denied", _rcpt("550 Delivery is not allowed to this address."), 65),
)
# Rows for what any server says: no real reply was found for them.
ANYBODY: Final = (
    Said("account-quota", _end("550 account quota exceeded"), 69),
    Said("address-listed-off", _mail("554 listed at http://bl.example.org"), 65, {"auth": "off"}),
    Said("greylisted-off", _rcpt("451 Greylisted"), 69, {"auth": "off"}),
    Said("auth-account-blocked", _auth("535 Your account is temporarily blocked, please contact our support"), 77),
    Said("auth-held", _auth("535 Your account is temporarily locked"), 77),
    Said("auth-refused-bare", _auth("535 5.7.8 zzz"), 77, {"user": "me"}),
    Said("greeting-25-refused",
         ("cannot get initial OK message from server", "server message: 554 zzz"), 76, {"port": "25"}),
    Said("greeting-25-temporary",
         ("cannot get initial OK message from server", "server message: 421 zzz"), 76, {"port": "25"}),
    Said("mailbox-storage", _rcpt("552 5.2.2 zzz"), 65),
    Said("recipient-as-spam", _rcpt("550 5.7.1 spam source"), 65),
    Said("recipient-quota", _rcpt("552 over quota"), 65),
    Said("sender-account-blocked", _end("550 5.7.1 Spam detected, account blocked"), 69),
    Said("sender-authentication-code", _end("550 5.7.26 zzz"), 69),
)
# fmt: on
SAID: Final = (*CONNECTIONS, *TLS, *LOGINS, *HERE, *REPLIES, *SOFTWARE, *ANYBODY)
