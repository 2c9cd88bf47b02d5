"""msmtp's AppArmor profile: whether it is in force, and what of the account it refuses."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import AppArmor, Unknown
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind
from msmtp_agent.msmtprc import Account

if TYPE_CHECKING:
    from .profile import Profile

_DIRECTORY = "/etc/apparmor.d"
_NAME = "usr.bin.msmtp"
_PROFILE = f"{_DIRECTORY}/{_NAME}"
_MSMTP = "/usr/bin/msmtp"
_KERNEL = "/sys/module/apparmor/parameters/enabled"
_LOADED = "/sys/kernel/security/apparmor/profiles"

T = TypeVar("T")


def gather(host: Host, account: Account | None) -> AppArmor:
    """What the profile says. Raises InputOutputError."""
    why_not = _switched_off(host)
    if why_not:
        return AppArmor(why_not=why_not)
    # Not before it is needed: on most hosts the profile is off, and reading it takes some regular expressions.
    from .profile import Policy
    from .refusals import Asked

    policy = Policy(host, _PROFILE)
    profile = policy.find(_MSMTP)
    why_not = _milder(host, profile) if profile else f"{_PROFILE} is not for {_MSMTP}"
    if why_not or profile is None:
        return AppArmor(why_not=why_not)
    if account is None:
        return AppArmor(enforced=True)
    asked = Asked(host, policy, profile, account)
    return AppArmor(
        enforced=True,
        shell=asked.shell,
        programs=asked.programs,
        command=_attempt(asked.command),
        files=_attempt(asked.files),
        log=_attempt(asked.log),
    )


def _switched_off(host: Host) -> str:
    """Why the profile is not loaded, as far as that shows without reading it: what apparmor_parser goes by."""
    if host.inspect(_PROFILE, follow=True).kind is not FileKind.REGULAR:
        return f"there is no {_PROFILE}"
    for directory in ("disable", "force-complain"):
        switch = f"{_DIRECTORY}/{directory}/{_NAME}"
        if host.inspect(switch, follow=True).kind is not FileKind.MISSING:
            return f"{switch} switches the profile off"
    if host.live and host.read(_KERNEL, 1, follow=True)[1] != b"Y":
        return "the kernel has AppArmor off"
    return ""


def _milder(host: Host, profile: "Profile") -> str:
    """Why the profile refuses nothing: its flags, or, on the running system, what the kernel says of it."""
    if profile.mild:
        return f"the profile has the flag {profile.mild}"
    if not host.live:
        return ""
    try:
        loaded = host.read(_LOADED, 1 << 20)[1].decode("latin-1")
    except InputOutputError:  # it is root's alone, and a container may not have it
        return ""
    modes = {name: mode for name, _, mode in (line.rpartition(" ") for line in loaded.splitlines())}
    mode = modes.get(profile.name, "(not loaded)")
    return f"the kernel has it {mode}" if loaded and mode not in ("(enforce)", "(kill)") else ""


def _attempt(ask: Callable[[], T]) -> T | Unknown:
    try:
        return ask()
    except InputOutputError as error:
        return Unknown(error.subject, error.observed)
