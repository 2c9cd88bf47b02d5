"""Whether msmtp's AppArmor profile is why a run of msmtp failed; then the mend is the remedy that the audit has for it.

msmtp's own words speak of a missing permission, or of a damaged file, and root looks at rights that are all right.
"""

import re
from collections.abc import Iterator
from shlex import quote

from .checks import apparmor as checks
from .checks.check import Flaw
from .diagnosis.failure import Failure
from .errors import InputOutputError
from .facts import Access, AppArmor, CannotTellError, Configuration, Facts, Refused, Unknown
from .host import MSMTPRC, Host
from .model import Confidence, Diagnosis, Owner
from .msmtprc import Account
from .survey import apparmor

_FORBIDS = re.compile(rb"^NoNewPrivs:\s*1$", re.MULTILINE)
_SERVICE = re.compile(r"/([^/\n]+\.service)$", re.MULTILINE)
_LIMIT = 1 << 16  # bytes of a file in /proc
_TLS_FILES = {  # as msmtp's line names them
    "tls_cert_file": ("key file ",),
    "tls_key_file": ("key file ",),
    "tls_trust_file": ("trust file ", "system trust "),
    "tls_crl_file": ("CRL file ",),
}


def judge(host: Host, account: Account, failure: Failure, told: Diagnosis) -> Diagnosis:
    """`told`, or, where the profile refuses what msmtp then could not do, that, with what the audit says of it."""
    try:
        profile = apparmor.gather(host, account)
        if not profile.enforced:
            return told
        if failure.stage == "secret" and "not permitted" in failure.own and _no_new_privileges(host):
            return _without_privileges(host, told)
        found = list(_refused(host, account, failure, profile)) if _is_refusal(failure) else []
    except (InputOutputError, CannotTellError):
        return told
    if not found:
        return told
    name, first = found[0]
    seen = first.observed if first.path == MSMTPRC else f"{first.path} {first.observed}"
    return _instead(told, name, seen, *(flaw.remedy for _, flaw in found))


def _refused(host: Host, account: Account, failure: Failure, profile: AppArmor) -> Iterator[tuple[str, Flaw]]:
    """What the profile refuses of what msmtp did at this stage, with the id of the audit's check."""
    facts = Facts(
        root=host.root or "/",
        now=0.0,
        secret=Unknown(MSMTPRC, "was not asked for"),
        configuration=Configuration(Access(host.inspect(MSMTPRC)), account=account),
        apparmor=profile,
    )
    if failure.stage == "secret":
        if isinstance(profile.command, Refused) and profile.command.path:  # without one, there is no such program
            yield from (("apparmor-command", flaw) for flaw in checks.command(facts))
    elif failure.stage == "log":
        yield from (("apparmor-log", flaw) for flaw in checks.log(facts))
    elif not isinstance(profile.files, Unknown):
        for refused in profile.files:
            if _names(failure.own, refused.setting, account):
                only = facts._replace(apparmor=profile._replace(files=(refused,)))
                yield from (("apparmor-trust", flaw) for flaw in checks.files(only))


def _is_refusal(failure: Failure) -> bool:
    """Whether the words are those of a file that may not be opened: one may be missing or damaged as well."""
    if failure.stage == "secret" and failure.own.endswith("'"):  # the command itself said nothing
        return True
    return ("Error while reading file" if failure.stage == "tls" else "Permission denied") in failure.own


def _names(own: str, setting: str, account: Account) -> bool:
    """Whether msmtp's line is about the file of this setting."""
    if setting == "aliases":  # msmtp puts the home in the place of `~`
        return own.startswith("/") and account.get(setting).removeprefix("~") in own
    return own.startswith(tuple(f"cannot set X509 {what}" for what in _TLS_FILES[setting]))


def _no_new_privileges(host: Host) -> bool:
    """Whether we may gain no privileges, which whatever we start inherits."""
    return _FORBIDS.search(host.read("/proc/self/status", _LIMIT, follow=True)[1]) is not None


def _without_privileges(host: Host, told: Diagnosis) -> Diagnosis:
    groups = host.read("/proc/self/cgroup", _LIMIT, follow=True)[1].decode("utf-8", "replace")
    found = _SERVICE.search(groups)
    service = found[1] if found else ""
    return _instead(
        told,
        "apparmor-no-new-privileges",
        f"{service or 'this service'} has NoNewPrivileges=yes: under the AppArmor profile msmtp gets no password there",
        f"systemctl edit {quote(service or 'NAME')}   # [Service] NoNewPrivileges=no",
    )


def _instead(told: Diagnosis, name: str, cause: str, *steps: str) -> Diagnosis:
    return told._replace(id=name, cause=cause, owner=Owner.HOST, steps=steps, confidence=Confidence.CERTAIN)
