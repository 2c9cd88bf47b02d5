"""Checks of the group "Way in": does the system's mail reach msmtp, and may everybody who sends some use it."""

from collections.abc import Iterator, Mapping
from shlex import quote

from msmtp_agent.facts import Access, Facts, NotApplicableError, Programs, Sender, known
from msmtp_agent.host import MSMTPRC
from msmtp_agent.model import FileFacts, FileKind
from msmtp_agent.readiness import WITHOUT_PASSWORD, reads_secret_file

from .check import ERROR, INFO, WARNING, Flaw, Group, complete, edit, rights

CHECKS = Group("Way in")
_MSMTP = "/usr/bin/msmtp"
_SENDMAIL = "/usr/sbin/sendmail"
_SPOOL = "/var/spool/cron/"
_COMMAND = "/usr/bin/msmtp-config"  # in full: the name alone would run the script
_REINSTALL = "apt-get install --reinstall"
_INSTALL = f"{_REINSTALL} msmtp msmtp-mta"


def _programs(facts: Facts) -> Programs:
    if facts.programs is None:
        raise NotApplicableError("the programs were not looked at")
    return known(facts.programs)


@CHECKS("sender-msmtp", ERROR)
def msmtp(facts: Facts) -> Iterator[Flaw]:
    """The program msmtp is not there.

    Without `/usr/bin/msmtp` no mail leaves: whatever is configured for it is read by nobody.

    Install the package `msmtp`, with `msmtp-mta` for the sendmail command.
    """
    file = _programs(facts).msmtp
    if file.kind is not FileKind.REGULAR:
        yield Flaw(_MSMTP, f"is {file.kind.value}", "the program", _INSTALL)
    elif file.mode & 0o111 != 0o111:
        yield Flaw(_MSMTP, f"is {file.rights}: not everybody may run it", "0755 root:root", rights(_MSMTP, "0755"))


@CHECKS("sender-sendmail", ERROR, "sender-msmtp")
def sendmail(facts: Facts) -> Iterator[Flaw]:
    """The sendmail command is missing, or is not msmtp.

    Cron, smartd, fail2ban and most other programs give their mail to `/usr/sbin/sendmail`. Without it cron throws the
    output of its jobs away (`No MTA installed, discarding output`); with that of another program the mail does not
    take the way that is configured here.

    The package `msmtp-mta` brings the command, a link to msmtp, and takes the place of another mail server.
    """
    programs = _programs(facts)
    packages = programs.packages
    if isinstance(packages, Mapping):
        again = "--reinstall " if "msmtp-mta" in packages else ""
        remedy = f"apt-get install {again}msmtp-mta"
    else:
        remedy = f"ln -sf ../bin/msmtp {_SENDMAIL}"
    if programs.sendmail.kind is FileKind.MISSING:
        dangling = f"leads to {programs.sendmail_leads_to}, which is missing"
        observed = dangling if programs.sendmail_leads_to != _SENDMAIL else "is missing"
        yield Flaw(_SENDMAIL, observed, "a link to ../bin/msmtp", remedy)
    elif not programs.sendmail_is_msmtp:
        other = f"leads to {programs.sendmail_leads_to}, which is not msmtp"
        observed = other if programs.sendmail_leads_to != _SENDMAIL else "is another program, not msmtp"
        yield Flaw(_SENDMAIL, observed, "a link to ../bin/msmtp", remedy)


@CHECKS("sender-mta", WARNING, "sender-sendmail")
def mta(facts: Facts) -> Iterator[Flaw]:
    """The sendmail command is msmtp, but the package msmtp-mta is not installed.

    For the package manager this host then has no mail server. A package that asks for one brings another, and its
    sendmail takes the place of the link.

    Install `msmtp-mta`: the link stays as it is, and from then on it is the package's.
    """
    programs = _programs(facts)
    if "msmtp-mta" not in known(programs.packages):
        yield Flaw(_SENDMAIL, "is msmtp by hand: msmtp-mta is not installed", "msmtp-mta", "apt-get install msmtp-mta")


@CHECKS("sender-cron", WARNING, "sender-sendmail")
def cron(facts: Facts) -> Iterator[Flaw]:
    """A cron job's owner cannot use the configuration.

    Cron runs sendmail as the owner of the job. msmtp passes over an `/etc/msmtprc` that this user cannot read, and
    ends with status 78 where the user cannot read the secret file: the output of the job is lost, and nothing but a
    line in cron's log tells. Jobs with `MAILTO=""`, and users with a msmtp configuration of their own, are not
    reported.

    Where nobody reads this mail write `MAILTO=""` above the job; else give the job to root, or the user a `.msmtprc`
    with a password of its own. Opening the files to more users gives the password to them.
    """
    senders = known(facts.senders)
    found = False
    for sender in senders.cron:
        file = None if sender.user in senders.configured else _barrier(facts, sender.uid, sender.gids)
        if file is not None:
            found = True
            observed = f"runs jobs as {sender.user}, who cannot read {file.path} ({file.rights}): their mail is lost"
            expected = 'MAILTO="", or jobs of somebody who can send'
            yield Flaw(sender.path, observed, expected, _crontab(sender), sender.line)
    if not found:
        complete(senders.left_out)


@CHECKS("sender-unit", WARNING, "sender-msmtp")
def unit(facts: Facts) -> Iterator[Flaw]:
    """A service that sends mail runs as a user who cannot use the configuration.

    With `User=` or `DynamicUser=` in its unit file a service sends as that user. msmtp passes over an `/etc/msmtprc`
    that the user cannot read, and ends with status 78 where it cannot read the secret file: the service's mail is
    lost. Of services that send mail only where they were told to, it is worth knowing.

    Give the user a `.msmtprc` with a password of its own, or let the part that sends run as root (`ExecStopPost=+...`).
    """
    senders = known(facts.senders)
    found = False
    for service in senders.units:
        file = None if service.user in senders.configured else _barrier(facts, service.uid, service.gids)
        if file is not None:
            found = True
            sends = "may send mail" if service.may else "sends mail"
            yield Flaw(
                service.path,
                f"{service.name} {sends} as {service.user}, who cannot read {file.path} ({file.rights})",
                "a user who can send",
                f"systemctl edit {quote(service.name)}   # another User=, or a .msmtprc for {service.user}",
                severity=INFO if service.may else WARNING,
            )
    if not found:
        complete(senders.units_left_out)


@CHECKS("sender-mailto", WARNING)
def mailto(facts: Facts) -> Iterator[Flaw]:
    """A MAILTO= is one that cron refuses.

    With a blank, `#` or `;` in it, or a `-` in front, cron logs `UNSAFE MAIL` and throws the output of the jobs away;
    nothing of it reaches msmtp (Debian's cron 3.0pl1).

    Put commas between the recipients, or name an alias.
    """
    senders = known(facts.senders)
    refused = [setting for setting in senders.mailto if setting.refused]
    for setting in refused:
        remedy = edit(setting.path, setting.line, 'MAILTO="root"')
        yield Flaw(setting.path, "cron refuses this MAILTO", "names without blanks between them", remedy, setting.line)
    if not refused:
        complete(senders.left_out)


@CHECKS("sender-helper", WARNING)
def helper(facts: Facts) -> Iterator[Flaw]:
    """An old shell helper comes before this program.

    A script `msmtp-config` in `/usr/local/sbin` or `/usr/local/bin` is what root's PATH finds first. The one that
    cloud-init used to write destroys the old password before the new one is tried, spoils passwords that have
    backslashes or blanks at an end, and leaves the file readable by everybody for a moment.

    `/usr/bin/msmtp-config audit --fix` puts a link to the package's command in the place of that one, and keeps the
    script beside it; a script that is not exactly that one is left alone: remove it. Take it out of the cloud-init data
    too: in an instance that is made of this host, cloud-init would write it again, through the link over our command.
    """
    programs = _programs(facts)
    for file in programs.helpers:
        observed = "is a shell script that root's PATH finds first"
        if file.path == _COMMAND:
            remedy = f"{_REINSTALL} msmtp-agent   # in place of the name the path of its .deb, where no source has it"
            yield Flaw(_COMMAND, "is a shell script", "the package's command", remedy)
        elif file.path in programs.old_helpers:
            yield Flaw(file.path, observed, f"a link to {_COMMAND}", f"{_COMMAND} audit --fix --only sender-helper")
        else:
            yield Flaw(file.path, observed, "no such file", f"rm {file.path}")


def _barrier(facts: Facts, uid: int, gids: frozenset[int]) -> FileFacts | None:
    """The file that keeps this user from sending with the system's configuration, if any does."""
    configuration = known(facts.configuration)
    if configuration.access.file.kind is not FileKind.REGULAR:
        raise NotApplicableError(f"{MSMTPRC} is {configuration.access.file.kind.value}")
    if not _reads(configuration.access, uid, gids):
        return configuration.access.file
    account = configuration.account
    if account is None or account.method in WITHOUT_PASSWORD or account.get("password"):
        return None
    if reads_secret_file(account):
        secret = known(facts.secret).access
        if secret.file.kind is FileKind.REGULAR and not _reads(secret, uid, gids):
            return secret.file
    return None


def _reads(access: Access, uid: int, gids: frozenset[int]) -> bool:
    """Whether a process of this user and these groups may read the file (acl(5))."""
    file = access.file
    if uid == 0:
        return True
    if uid == file.uid:
        return bool(file.mode & 0o400)
    entries = [entry.split(":") for entry in access.entries]
    for tag, number, letters in entries:
        if tag == "user" and number == str(uid):
            return "r" in letters
    groups = [letters for tag, number, letters in entries if tag == "group" and int(number) in gids]
    if file.gid in gids:
        groups.append("r" if file.mode & 0o040 else "")
    return any("r" in letters for letters in groups) if groups else bool(file.mode & 0o004)


def _crontab(sender: Sender) -> str:
    hint = f'MAILTO="" where nobody reads it, else a .msmtprc for {sender.user}'
    if sender.path.startswith(_SPOOL):
        return f"crontab -u {quote(sender.user)} -e   # {hint}"
    return edit(sender.path, sender.line, hint)
