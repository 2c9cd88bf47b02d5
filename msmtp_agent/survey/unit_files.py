"""The services of a host that send mail, from the unit files and their drop-ins as systemd puts them together."""

import re
from collections.abc import Iterator

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Unit
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind

from .service import NAME_OF_MAIL, Service
from .users import NOBODY_KNOWN, Users

_MOST_FILES = 4000
_MOST_SCRIPTS = 64
_LIMIT = 64 << 10  # bytes of a file that are read
# In the order in which the first that has a name wins.
_OWN = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
_DISTRIBUTION = ("/usr/lib/systemd/system", "/lib/systemd/system")
# Services that give mail to sendmail, or to a program that does, where they are told to, by their own documentation:
# anacron(8), arpwatch(8), atd(8), auditd.conf(5), cron(8), jail.conf(5) of fail2ban, mdadm(8) in monitor mode,
# smartd.conf(5), zed(8), msmtpd(1), unattended-upgrades (started by apt-daily-upgrade), systemd-cron, aide, logcheck.
_TOLD = frozenset(
    (
        "anacron apt-daily-upgrade arpwatch@ atd auditd cron cron-failure@ cron-mail@ cronie dailyaidecheck fail2ban"
        " logcheck mdmonitor mdmonitor-oneshot msmtpd smartd smartmontools zed zfs-zed"
    ).split()
)


class UnitFiles:
    """The unit files of one host, found once: which there are, and where."""

    def __init__(self, host: Host, users: Users, systemd: int | None) -> None:
        """`systemd` is its version, where it is known. Raises InputOutputError."""
        self.left_out: list[str] = []
        self._host = host
        self._users = users
        self._systemd = systemd
        self._scripts = _MOST_SCRIPTS
        self._services: dict[str, str] = {}  # name to directory
        self._others: dict[str, list[str]] = {}  # any other name to directories, the one that wins first
        merged = host.inspect("/lib").kind is FileKind.SYMLINK
        for directory in (*_OWN, *(_DISTRIBUTION[:1] if merged else _DISTRIBUTION)):
            for name in host.names(directory):
                if name.endswith(".service"):
                    self._services.setdefault(name, directory)
                else:
                    self._others.setdefault(name, []).append(directory)
        self._started: frozenset[str] | None = None

    def senders(self) -> Iterator[Unit]:
        """The services that send mail, by name."""
        for number, (name, directory) in enumerate(sorted(self._services.items())):
            if number == _MOST_FILES:
                self.left_out.append(f"{directory} (more than {_MOST_FILES} services)")
                return
            try:
                unit = self._sender(name, directory)
            except InputOutputError as error:
                self.left_out.append(f"{error.subject} ({error.observed})")
                continue
            if unit is not None:
                yield unit

    def _sender(self, name: str, directory: str) -> Unit | None:
        stem = name.removesuffix(".service")
        drop_ins = self._drop_ins(stem)
        own = directory in _OWN or bool(drop_ins)
        if not own and stem.startswith("systemd-"):
            return None  # half of all services of a host, and systemd's own send none
        path = f"{directory}/{name}"
        content = self._unit_file(path, name)
        if not content:
            return None
        files = [(path, content), *((drop_in, self._read(drop_in)) for drop_in in drop_ins)]
        told = stem in _TOLD
        # A file of the distribution that does not name a program for mail is not looked at twice.
        if not (told or own or NAME_OF_MAIL.search(content)):
            return None
        service = Service(files)
        commands = [command for command in service.commands if command.mails or self._runs_a_script_that_mails(command)]
        if not (told or commands) or (service.installable and not self._is_started(stem)):
            return None
        as_root = bool(commands) and all(command.as_root for command in commands)
        return self._unit(name, path, service, as_root=as_root, may=not commands)
