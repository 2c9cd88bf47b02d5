"""A server's certificate in words: what `pin` shows before it asks."""

import time

from .certificates import Certificate

_DAY = 86_400  # seconds
_LONGEST = 240  # characters of what a certificate says
_COMPARE = "openssl x509 -noout -fingerprint -sha256 -in cert.pem"


def told(certificate: Certificate, now: float, pin: str, *, matches: bool) -> list[tuple[str, str]]:
    """The certificate, as titles and what stands behind them; `now` in seconds since 1970.

    `pin` is the fingerprint that the account has (empty: none), and `matches` whether it is this certificate's.
    """
    own = certificate.issuer == certificate.subject
    rows = [
        ("subject", cut(certificate.subject or "(empty)")),
        ("names", cut(", ".join(certificate.names) or "(none)")),
        ("issuer", "itself" if own else cut(certificate.issuer or "(empty)")),
        ("expires", _expiry(certificate, now)),
        ("SHA-256", certificate.fingerprint),
    ]
    if matches:
        weak = f"this one, but by a digest that proves little: {pin}"
        rows.append(("pinned", "this one" if pin.upper() == certificate.fingerprint else weak))
    elif pin:
        rows.append(("CHANGED", f"pinned until now: {pin}"))
    return rows


def compare(*, local: bool) -> list[tuple[str, str]]:
    """How to find out, where the server runs, whether the fingerprint is the server's own."""
    place = "on this machine" if local else "at the server"
    rows = [("compare", f"{place}, with the certificate's own file: {_COMPARE}")]
    if local:
        rows.append(("", "Proton Mail Bridge: Settings > Advanced settings > Export TLS certificates makes that file"))
    return rows


def cut(text: str) -> str:
    """`text`, which may be as long as whoever made a certificate liked, at a length to be read."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " [cut]"


def date(seconds: float) -> str:
    """The day, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _expiry(certificate: Certificate, now: float) -> str:
    day = date(certificate.not_after)
    if now < certificate.not_before:
        return f"{day} (and not valid before {date(certificate.not_before)})"
    days = int(abs(certificate.not_after - now) // _DAY)
    count = f"{days} day" if days == 1 else f"{days} days"
    return f"{day} (in {count})" if now <= certificate.not_after else f"{day} (expired {count} ago)"
