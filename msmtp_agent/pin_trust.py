"""Whether a pin is the right thing for a certificate: not where it verifies, has expired, or is another server's."""

from typing import NamedTuple

from . import pin_words
from .errors import ConfigError
from .host import MSMTPRC
from .msmtprc import Account
from .pin_server import Found, Server

_OTHER_NAME = "The certificate is NOT trusted. The name in the certificate does not match the expected."


class Judgement(NamedTuple):
    """Whether a pin is to be written, why (not), and what the person should know."""

    wanted: bool
    why: str
    warning: str = ""


def judge(server: Server, account: Account, found: Found, now: float) -> Judgement:
    """Whether this certificate is to be pinned; `now` in seconds since 1970.

    msmtp itself is asked whether the certificate verifies: by what the account names, and by what the system has.
    Raises ConfigError where a pin would be wrong, AgentError where msmtp came to no answer.
    """
    checked = account.get("tls_certcheck") != "off"
    words = ""
    for options, name in _trusts(account):
        outcome = server.judged(*options)
        if outcome.status == 0:
            return _verifies(account, found, name, checked)
        said = outcome.words[0].strip()
        if options and _OTHER_NAME in said:
            raise _other_server(account, found)
        words = words or said
    if found.matches and checked and not found.weak:
        over = f"{found.place}: the pinned certificate has expired; msmtp takes it all the same"
        expired = found.certificate.not_after < now
        return Judgement(False, "unchanged: this certificate is pinned, and msmtp checks that", over if expired else "")
    _require_valid(found, now)
    return Judgement(True, f"it needs a pin; without one msmtp says: {words}")


def _trusts(account: Account) -> list[tuple[tuple[str, ...], str]]:
    """What a certificate is judged by, the account's own first: the options for msmtp, and its name."""
    own = account.get("tls_trust_file")
    system = (("--tls-trust-file=system",), "the system's certificates")
    return [((), own), system] if own not in ("", "system") else [system]


def _verifies(account: Account, found: Found, name: str, checked: bool) -> Judgement:
    """The certificate needs no pin; that is fine where msmtp judges by just that, or where the pin is this one."""
    own = account.get("tls_trust_file")
    hints = []
    if not checked:
        hints.append(("tls_certcheck", "remove `tls_certcheck off`"))
    if found.pin and not (checked and found.matches):
        hints.append(("tls_fingerprint", f"remove `tls_fingerprint` on line {account.line_of('tls_fingerprint')}"))
    if name != own and own not in ("", "system") and not (checked and found.matches):
        hints.append(("tls_trust_file", f"`tls_trust_file system` on line {account.line_of('tls_trust_file')}"))
    if not hints:
        also = ", and it is pinned" if found.pin else ""
        return Judgement(False, f"unchanged: the certificate verifies by {name}{also}")
    line = account.line_of(hints[0][0])
    raise ConfigError(
        found.place,
        f"its certificate verifies by {name}: a pin would only stop the mail when it is renewed",
        expected="no pin, and the check of certificates on",
        remedy=f"sensible-editor +{line} {MSMTPRC}   # {', '.join(hint for _, hint in hints)}",
    )


def _other_server(account: Account, found: Found) -> ConfigError:
    names = pin_words.cut(", ".join(found.certificate.names))
    return ConfigError(
        found.place,
        f"its certificate is one that the system trusts, but for {names}",
        expected="that name as `host`",
        remedy=f"sensible-editor +{account.line_of('host')} {MSMTPRC}   # host: the name that the certificate is for",
    )


def _require_valid(found: Found, now: float) -> None:
    certificate = found.certificate
    observed = ""
    if now > certificate.not_after:
        observed = f"its certificate expired on {pin_words.date(certificate.not_after)}"
    elif now < certificate.not_before:
        observed = f"its certificate is not valid before {pin_words.date(certificate.not_before)}"
    if observed:
        raise ConfigError(
            found.place, observed, expected="one that is valid now", remedy="date   # right? then have it renewed there"
        )
