"""Checks of the group "AppArmor": does msmtp's own profile, where it is in force, let the mail out."""

import os
from collections.abc import Iterator
from shlex import quote

from msmtp_agent.facts import AppArmor, Facts, NotApplicableError, Refused, known
from msmtp_agent.host import MSMTPRC, SECRET
from msmtp_agent.readiness import WANTED

from .check import ERROR, INFO, WARNING, Flaw, Group, complete, edit
from .configuration import account_of

CHECKS = Group("AppArmor")
_PROFILE = "/etc/apparmor.d/usr.bin.msmtp"
_LOCAL = "/etc/apparmor.d/local/usr.bin.msmtp"
_LOAD = f"apparmor_parser -r {_PROFILE}"
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:=~%")


def _in_force(facts: Facts) -> AppArmor:
    profile = known(facts.apparmor)
    if not profile.enforced:
        raise NotApplicableError(profile.why_not)
    return profile


def _rule(path: str, permissions: str) -> str:
    """A rule for exactly this path: whatever is not plain as its octal number, which apparmor.d(5) takes anywhere."""
    raw = os.fsencode(path)
    if _PLAIN.issuperset(raw):
        return f"{path} {permissions},"
    return '"' + "".join(chr(byte) if byte in _PLAIN else f"\\{byte:03o}" for byte in raw) + f'" {permissions},'


def _add(*rules: str) -> str:
    """The command that adds the rules to the local ones and loads the profile again."""
    write = "echo" if len(rules) == 1 and "\\" not in rules[0] else "printf '%s\\n'"
    return f"{write} {' '.join(map(quote, rules))} >> {_LOCAL} && {_LOAD}"


def _mend(refused: Refused, rule: str) -> str:
    """The command that opens the profile where no local addition helps."""
    path, line = refused.mend or (_PROFILE, 1)
    what = "take the `deny` away" if refused.deny else f"inside the braces: {rule}"
    return f"sensible-editor +{line} {quote(path)} && {_LOAD}   # {what}"


def _allow(refused: Refused, permissions: str) -> str:
    rule = _rule(refused.path, permissions)
    return _mend(refused, rule) if refused.mend else _add(rule)


@CHECKS("apparmor-command", ERROR, "config-default-account")
def command(facts: Facts) -> Iterator[Flaw]:
    """The AppArmor profile of msmtp refuses the secret command.

    Where the profile that Debian and Ubuntu ship is switched on, `passwordeval` may start cat, head, gpg, pass,
    secret-tool and keyring (in Debian 13 also oauth2get), and no other program: systemd-creds and python3 were tried.
    The shell that starts them may itself open no file, so `cat < FILE` is refused, too. msmtp then gets no password and
    ends with status 78.

    Use `cat /etc/msmtp-password`: the profile is made for it. Another program needs a rule of its own inside the braces
    of the child profile `helpers`, where local rules do not reach.
    """
    account = account_of(facts)
    profile = _in_force(facts)
    refused = known(profile.command)
    if refused is None:
        return
    line = account.line_of("passwordeval")
    rule = _rule(refused.path, "PUx" if refused.wanted == "x" else refused.wanted)
    expected = f"`{WANTED}`" + (f", or a rule `{rule}`" if refused.path else "")
    if refused.wanted != "x":
        observed = f"the shell of `passwordeval` opens {refused.path or 'a file'}, which the AppArmor profile refuses"
    elif refused.path == profile.shell and not refused.mend:
        observed = f"`passwordeval` needs {refused.path}, the shell, which the AppArmor profile refuses"
        expected = "a shell that it knows (dash or bash), or rules for this one"
    else:
        observed = f"`passwordeval` starts {refused.path or 'a program'}, which the AppArmor profile refuses"
    yield Flaw(MSMTPRC, observed, expected, _allow_command(facts, profile, refused), line)


def _allow_command(facts: Facts, profile: AppArmor, refused: Refused) -> str:
    account = account_of(facts)
    if refused.path == profile.shell and not refused.mend:
        programs = " ".join(_rule(program, "PUx") for program in profile.programs)
        inside = f"include <abstractions/base> {_rule(profile.shell, 'mr')} {programs}"
        return _add(_rule(profile.shell, "Cx -> secret"), f"profile secret {{ {inside} }}")
    # What reads a file can be `cat`, and what the shell was to open `cat` can open.
    certain = not refused.path or refused.wanted != "x" or SECRET in account.get("passwordeval")
    if certain and not refused.deny:
        return edit(MSMTPRC, account.line_of("passwordeval"), WANTED)
    return _allow(refused, "PUx")


@CHECKS("apparmor-trust", ERROR, "config-default-account")
def files(facts: Facts) -> Iterator[Flaw]:
    """The AppArmor profile of msmtp refuses a file of the account: certificates, the key, or the aliases.

    Where the profile is switched on, msmtp may read certificates and keys below /etc/ssl and in the usual places for
    them, and /etc/aliases. A trust file in /etc/msmtp/ was refused: status 66, no mail leaves. Aliases that cannot be
    read end with status 78.

    Move the file to such a place, or add a rule for it to the local ones. A link counts as what it leads to.
    """
    account = account_of(facts)
    for refused in known(_in_force(facts).files):
        observed = f"is the account's `{refused.setting}` (line {account.line_of(refused.setting)})"
        rule = _rule(refused.path, "r")
        yield Flaw(
            refused.path, f"{observed}, and the AppArmor profile refuses it", f"a rule `{rule}`", _allow(refused, "r")
        )


@CHECKS("apparmor-log", WARNING, "config-default-account")
def log(facts: Facts) -> Iterator[Flaw]:
    """The AppArmor profile of msmtp refuses the log.

    Where the profile is switched on, the only log below /var/log is /var/log/msmtp. With another (/var/log/msmtp.log
    was tried) mail leaves with status 0 and nothing is logged: no failure can be seen afterwards.

    Add a rule for it to the local ones, or let the account log to /var/log/msmtp. A link counts as what it leads to.
    """
    account_of(facts)
    refused = known(_in_force(facts).log)
    if refused is not None:
        rule = _rule(refused.path, "wk")
        yield Flaw(
            refused.path, "is the log, and the AppArmor profile refuses it", f"a rule `{rule}`", _allow(refused, "wk")
        )


@CHECKS("apparmor-no-new-privileges", ERROR, "config-default-account")
def no_new_privileges(facts: Facts) -> Iterator[Flaw]:
    """A unit that sends mail has NoNewPrivileges=yes while msmtp's AppArmor profile is in force.

    The two do not go together: the kernel lets no program of such a unit change its profile, so msmtp cannot start the
    shell for `passwordeval` (`cannot evaluate 'cat ...'`, status 78). The unit's mail is lost; everybody else's leaves.

    Take the setting from that unit, or the one that implies it (`DynamicUser=`; before systemd 255 also much of the
    sandbox, for other users than root). No rule of the profile helps. Root's services keep the rest of their hardening:
    measured, it does no harm. Of services that send mail only where they were told to, it is worth knowing.
    """
    account = account_of(facts)
    _in_force(facts)
    if account.method == "off" or account.get("password") or not account.get("passwordeval"):
        raise NotApplicableError("msmtp starts no secret command")
    senders = known(facts.senders)
    found = [unit for unit in senders.units if unit.no_new_privileges]
    for unit in found:
        sends = "sends mail only where it was told to" if unit.may else "sends mail"
        implied = unit.because not in ("", "NoNewPrivileges")
        setting = f"{unit.because}=, which implies NoNewPrivileges=yes" if implied else "NoNewPrivileges=yes"
        hint = f"[Service] without {unit.because}=" if implied else "[Service] NoNewPrivileges=no"
        yield Flaw(
            unit.path,
            f"{unit.name} {sends} and has {setting}: under the AppArmor profile msmtp gets no password there",
            "NoNewPrivileges=no",
            f"systemctl edit {quote(unit.name)}   # {hint}",
            severity=INFO if unit.may else ERROR,
        )
    if not found:
        complete(senders.units_left_out)
