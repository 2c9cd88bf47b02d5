"""What the stages of `diagnose` have seen, in words: one line, and the details below it."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from .checks.delivery import causes
from .diagnosed import Seen
from .facts import History
from .model import Outcome
from .msmtprc import Account
from .network import Reached
from .readiness import WITHOUT_PASSWORD
from .serverinfo import ServerInfo

_SOON = 21  # days before it expires: certificates that are renewed by a program are renewed earlier
_MOST_NAMES = 8
_DAY = 86400.0


class Words(NamedTuple):
    """One line, and the details."""

    seen: str
    details: tuple[str, ...] = ()


def duration(seconds: float) -> str:
    """How long something took: `23 ms`, `4.1 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def addresses(name: str, found: Sequence[str]) -> Words:
    """What a name resolves to; a number is not told twice."""
    if tuple(found) == (name,):
        return Words(f"{name} is an address")
    return Words(f"{name}: {_count(len(found), 'address', 'es')}", tuple(found))


def unreached(reached: Sequence[Reached]) -> str:
    """Why no address could be reached: each reason once."""
    return f"cannot be reached: {', '.join(dict.fromkeys(one.fault for one in reached))}"


def connections(reached: Sequence[Reached], port: int) -> Words:
    """Which addresses answer at the port, and how long that took."""
    works = [one for one in reached if not one.fault]
    details = tuple(f"{one.address}: {one.fault or duration(one.seconds)}" for one in reached)
    if not works:
        return Words(f"port {port} {unreached(reached)}", details if len(reached) > 1 else ())
    first = f"{works[0].address}, port {port}, in {duration(works[0].seconds)}"
    if len(works) == len(reached):
        return Words(first, details if len(reached) > 1 else ())
    return Words(f"{first}; {len(reached) - len(works)} of {len(reached)} addresses cannot be reached", details)


def ports(reached: Sequence[Reached], port: int) -> Words:
    """Which of the other usual ports answer, where the account's times out."""
    numbers = dict.fromkeys(one.port for one in reached)
    faults = {number: [one.fault for one in reached if one.port == number] for number in numbers}
    works = [str(number) for number in numbers if not all(faults[number])]
    details = tuple(
        f"port {number}: {'answers' if str(number) in works else ', '.join(dict.fromkeys(faults[number]))}"
        for number in numbers
    )
    if works:
        verb = "answers" if len(works) == 1 else "answer"
        return Words(f"{' and '.join(works)} {verb}: something on the way drops port {port}", details)
    return Words("no other usual port is open either", details)


def certificate(shown: Seen, account: Account, now: float) -> Words:
    """The server's certificate: how long it holds, whose it is, and who has verified it."""
    date = time.strftime("%Y-%m-%d", time.gmtime(shown.not_after))
    days = int(abs(shown.not_after - now) // _DAY)
    span = _count(days, "day") if days else "less than a day"
    verb, validity = ("expires", f"in {span}") if shown.not_after > now else ("expired", f"{span} ago")
    names = ", ".join(shown.names[:_MOST_NAMES]) or "none"
    more = f" and {len(shown.names) - _MOST_NAMES} more" if len(shown.names) > _MOST_NAMES else ""
    return Words(
        f"{shown.protocol}, {_trust(account)}, certificate {verb} {date}, {validity}",
        (
            f"subject: {shown.subject or 'empty'}",
            f"issuer: {shown.issuer or 'empty'}",
            f"names: {names}{more}",
            f"valid: {time.strftime('%Y-%m-%d', time.gmtime(shown.not_before))} to {date} ({verb} {validity})",
            f"SHA-256: {shown.fingerprint}",
            f"cipher: {shown.cipher}",
        ),
    )


def expires_soon(shown: Seen, now: float) -> str:
    """A warning for a certificate that holds for some days yet; an empty string for any other."""
    days = shown.days(now)
    span = _count(days, "day") if days else "less than a day"
    return f"certificate: expires in {span}; expected a renewed one" if 0 <= days < _SOON else ""


def session(info: ServerInfo, account: Account) -> Words:
    """TLS as msmtp alone has seen it."""
    details = (
        ("subject", info.subject),
        ("issuer", info.issuer),
        ("expires", info.expires),
        ("SHA-256", info.fingerprint),
    )
    told = tuple(f"{name}: {text}" for name, text in details if text)
    return Words(f"{info.session or 'TLS'}, {_trust(account)}", told)


def _trust(account: Account) -> str:
    if account.get("tls_certcheck") == "off":
        return "not verified (`tls_certcheck off`)"
    return "the pinned certificate (`tls_fingerprint`)" if account.get("tls_fingerprint") else "verified by msmtp"


def capabilities(info: ServerInfo, account: Account) -> Words:
    """What the server offers, and whether that is what the account needs."""
    method, domain = account.method, account.get("domain") or "localhost"
    size = "" if info.size is None else "no size limit" if info.size == 0 else f"at most {_size(info.size)}"
    login = f"AUTH {' '.join(info.methods)}" if info.methods else "no AUTH"
    seen = "; ".join(filter(None, (login, size, f"EHLO {domain} accepted")))
    details = [f"greeting: {info.greeting}"] if info.greeting else []
    if not info.methods and method != "off":
        details.append("no AUTH is offered: msmtp cannot log in")
    elif method not in ("off", "on") and method.upper() not in info.methods:
        details.append(f"`auth {method}` is not among the methods offered: msmtp cannot log in")
    elif method == "off" and info.methods:
        details.append("AUTH is offered, and `auth off` does not use it")
    if not account.uses_tls and "STARTTLS" in info.extensions:
        details.append("STARTTLS is offered, and `tls off` does not use it")
    return Words(seen, tuple(details))


def login(account: Account, *, needed: bool) -> str:
    """What an accepted login says."""
    if not needed:
        return f"`auth {account.method}`: msmtp does not log in"
    what = "the login" if account.method in WITHOUT_PASSWORD else f"the password of {account.shown_user}"
    return f"the server accepted {what}"


def recipient(place: str, outcome: Outcome) -> str:
    """What became of the recipient of a probe, which is none, and whom no server should take."""
    if place == "recipient":
        return "no mail was sent: it refused the recipient `@`, as it should"
    return f"it took the recipient `@` as well, and {'refused the' if outcome.status else 'an'} empty mail behind it"


def told(history: History, now: float) -> Words:
    """What the log says of the account's deliveries, back to the last success."""
    details = [f"failures: {causes(history)}"] if history.failures else []
    if history.proven is False:
        details.append("no mail was accepted since the password was stored")
    details += [f"left out: {name}" for name in history.left_out]
    if not history.attempts:
        return Words(f"{history.path}: tells of no mail of this account", tuple(details))
    failed = history.failed_in_a_row
    then = f"{_count(failed, 'mail')} failed" if failed else ""
    if history.attempts > failed:
        then = then and f", then {then}"
        when = _ago(history.last_success, now) if history.last_success is not None else "at a time that cannot be read"
        last = f"the last mail was accepted {when}"
    else:
        since = f" (since {_date(history.since)})" if history.since is not None else ""
        last, then = f"no mail was accepted{since}", f", {then}"
    return Words(f"{history.path}: {last}{then}", tuple(details))


def _ago(moment: float, now: float) -> str:
    days = int((now - moment) // _DAY)
    return f"{_date(moment)} ({'today' if days <= 0 else _count(days, 'day') + ' ago'})"


def _date(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def _count(number: int, noun: str, plural: str = "s") -> str:
    return f"{number} {noun}{plural if number != 1 else ''}"


def _size(number: int) -> str:
    return f"{number / 1048576:.1f} MiB" if number >= 1 << 20 else f"{number} bytes"
