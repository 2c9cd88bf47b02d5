"""The server that is to be pinned: its certificate, as msmtp and we are shown it, and how msmtp judges it."""

from typing import NamedTuple

from . import certificates, network, serverinfo
from .certificates import Certificate
from .errors import AgentError, DataError, TemporaryError
from .host import Host
from .model import Outcome
from .msmtp import Msmtp, Served
from .msmtprc import Account
from .secret import Secret

_DIGESTS = {47: "md5", 59: "sha1", 95: "sha256"}  # by the length of a `tls_fingerprint`
_JUDGED = ("TLS certificate verification failed", "cannot set X509")  # by what there is to judge by, if that is there


class Found(NamedTuple):
    """What stands at the other end.

    `local`: it is this machine. `pin` is the fingerprint that the account has (empty: none), `matches` whether it is
    this certificate's, and `weak` that its digest is one that no longer proves much.
    """

    place: str
    local: bool
    certificate: Certificate
    pin: str
    matches: bool
    weak: bool


class Server:
    """The default account's server, of which nothing is asked but what it shows before any login.

    It may say again what it heard at a login before: `secret`, as far as it is known, is kept out of everything.
    """

    def __init__(self, host: Host, msmtp: Msmtp, account: Account, secret: Secret | None) -> None:
        self._host = host
        self._msmtp = msmtp
        self._account = account
        self._secret = secret

    def look(self, timeout: float) -> Found:
        """The certificate, seen twice: by msmtp, and by us, who can read more of it.

        Raises MsmtpError, TemporaryError, and DataError for one that cannot be read.
        """
        account = self._account
        info = serverinfo.parse(self._ask("could not be looked at", "--tls-certcheck=off"))
        name = account.get("host")
        place = f"{name} port {account.port}"
        shown = network.certificate(
            info.address or name,
            account.port,
            timeout,
            server_name=account.get("tls_host_override") or name,
            starttls=account.get("tls_starttls") != "off",
            hello=self._hello(),
            hide=self._hide,
        )
        try:
            certificate = certificates.describe(shown.der, self._hide)
        except ValueError:
            raise DataError(place, "shows a certificate that cannot be read") from None
        if info.fingerprint != certificate.fingerprint:
            raise TemporaryError(
                place,
                f"showed two certificates to two connections: {info.fingerprint}, and {certificate.fingerprint}",
                expected="the same one",
                remedy="msmtp-config pin   # once there is one server alone behind that name",
            )
        pin = account.get("tls_fingerprint")
        digest = _DIGESTS.get(len(pin), "")
        matches = bool(digest) and certificates.fingerprint(shown.der, digest) == pin.upper()
        return Found(place, _is_local(info.address), certificate, pin, matches, digest in ("md5", "sha1"))

    def judged(self, *options: str) -> Outcome:
        """How msmtp judges the certificate without a pin; `options` say by what. Raises AgentError where it did not."""
        outcome = self._serverinfo("--tls-certcheck=on", "--tls-fingerprint=", *options).outcome
        if outcome.status != 0 and not (outcome.words and outcome.words[0].startswith(_JUDGED)):
            raise self._failure("its certificate could not be judged", outcome)
        return outcome

    def require_accepted(self, content: bytes) -> None:
        """Let msmtp connect with this text as its configuration. Raises MsmtpError, TemporaryError.

        It comes through a pipe, since it may hold a password that no other file is to hold. msmtp reads it after
        `/etc/msmtprc`, in place of root's own file, and its accounts take the place of those of the same name.
        """
        self._ask("is not accepted with the pin, and nothing was written", "--file=/dev/stdin", given=content)

    def require_installed(self) -> None:
        """Let msmtp connect with what is installed. Raises MsmtpError, TemporaryError."""
        self._ask("is not accepted with the pin, which is written")

    def _ask(self, otherwise: str, *options: str, given: bytes = b"") -> tuple[str, ...]:
        """What msmtp prints of the server; `otherwise` is what a failure means."""
        served = self._serverinfo(*options, given=given)
        if served.outcome.status != 0:
            raise self._failure(otherwise, served.outcome)
        return served.lines

    def _serverinfo(self, *options: str, given: bytes = b"") -> Served:
        return self._msmtp.serverinfo(self._account, *options, secret=self._secret, given=given)

    def _failure(self, observed: str, outcome: Outcome) -> AgentError:
        """The error of a run that came to no answer: msmtp's own status and words."""
        from .explain import explain, failure  # here, because most runs have nothing to explain

        told = explain(self._host, self._account, outcome, version=self._msmtp.version())
        subject = f"{self._account.get('host')}:{self._account.port}"
        return failure(subject, observed, outcome, told, remedy="msmtp-config diagnose", again="msmtp-config pin")

    def _hide(self, text: str) -> str:
        return self._secret.redact(text, self._account.get("user")) if self._secret else text

    def _hello(self) -> str:
        """What EHLO is to say, as far as we can tell: msmtp fills in more."""
        domain = self._account.get("domain") or "localhost"
        return (self._host.name() or "localhost") if "%" in domain else domain


def _is_local(address: str) -> bool:
    import ipaddress  # here, because most commands need none

    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
