"""The services of a host that send mail, from its unit files and their drop-ins."""

from collections.abc import Iterator

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Unit, Unknown
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind

from .programs import installed
from .service import HINTS, Service, mails
from .users import UNLISTED, User, Users

_MOST_FILES = 4000  # units, drop-ins and programs
_MOST_BYTES = 4 << 20  # of all files: those of a usual host have 0.1 MiB
_MOST = f"{_MOST_FILES} files or {_MOST_BYTES >> 20} MiB"
_LIMIT = 64 << 10  # bytes of one file that are read
# In the order in which the first that has a name wins.
_OWN = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system")
_DISTRIBUTION = ("/usr/lib/systemd/system", "/lib/systemd/system")
_HINTS = tuple(hint.encode() for hint in HINTS)
# Services that give mail to sendmail, or to a program that does, where they are told to, by their own documentation:
# anacron(8), arpwatch(8), atd(8), auditd.conf(5), cron(8), jail.conf(5) of fail2ban, mdadm(8) as monitor,
# smartd.conf(5), zed(8), msmtpd(1), unattended-upgrades (that apt-daily-upgrade starts), systemd-cron, aide, logcheck.
_TOLD = frozenset(
    {
        "anacron",
        "apt-daily-upgrade",
        "arpwatch@",
        "atd",
        "auditd",
        "cron",
        "cron-failure@",
        "cron-mail@",
        "cronie",
        "dailyaidecheck",
        "fail2ban",
        "logcheck",
        "mdmonitor",
        "mdmonitor-oneshot",
        "msmtpd",
        "smartd",
        "smartmontools",
        "zed",
        "zfs-zed",
    }
)
_NOT_IMPLIED = 255  # the systemd whose sandbox no longer implies NoNewPrivileges= for services with User=


class UnitFiles:
    """The unit files of one host; `left_out` says what was not read of them."""

    def __init__(self, host: Host, users: Users) -> None:
        """Find out which there are. Raises InputOutputError."""
        self.left_out: list[str] = []
        self._host = host
        self._users = users
        self._files = _MOST_FILES
        self._bytes = _MOST_BYTES
        self._services: dict[str, str] = {}  # name to directory
        self._others: dict[str, list[str]] = {}  # any other name to directories, the one that wins first
        self._wanted: frozenset[str] | None = None  # names of units, and for instances the template's up to its `@`
        self._implied: bool | None = None
        merged = host.inspect("/lib").kind is FileKind.SYMLINK
        for directory in (*_OWN, *(_DISTRIBUTION[:1] if merged else _DISTRIBUTION)):
            for name in host.names(directory):
                if name.endswith(".service"):
                    self._services.setdefault(name, directory)
                else:
                    self._others.setdefault(name, []).append(directory)

    def senders(self) -> Iterator[Unit]:
        """The services that send mail, by name."""
        for name, directory in sorted(self._services.items()):
            if self._files <= 0 or self._bytes <= 0:
                self.left_out.append(f"{directory}/{name} and what follows it (more than {_MOST})")
                return
            self._files -= 1
            try:
                unit = self._sender(name.removesuffix(".service"), f"{directory}/{name}", own=directory in _OWN)
            except InputOutputError as error:
                self.left_out.append(f"{error.subject} ({error.observed})")
                continue
            if unit is not None:
                yield unit

    def _sender(self, stem: str, path: str, *, own: bool) -> Unit | None:
        drop_ins = self._drop_ins(stem)
        told = stem in _TOLD
        if not (own or drop_ins) and stem.startswith("systemd-"):
            return None  # half of all services, and systemd's own send none
        content = self._unit_file(path)
        if not content or not (own or drop_ins or told or any(hint in content for hint in _HINTS)):
            return None
        service = Service([(path, content), *((drop_in, self._read(drop_in)) for drop_in in drop_ins)])
        commands = [
            command
            for command in service.commands
            if command.mails or any(self._is_script_that_mails(program) for program in command.own_programs)
        ]
        if not (told or commands) or (service.installable and not self._is_started(stem)):
            return None
        as_root = bool(commands) and all(command.as_root for command in commands)
        free = bool(commands) and all("+" in command.prefix for command in commands)
        user, gids = self._user(stem, service, as_root=as_root)
        because = "" if free else self._because(service, root=user.uid == 0)
        decisive = "DynamicUser" if user.uid and not service.get("User") else "User" if user.uid else because
        return Unit(
            name=f"{stem}.service",
            path=service.path_of(decisive) or path,
            user=user.name,
            no_new_privileges=bool(because),
            uid=user.uid,
            gids=gids,
            because=because,
            may=not commands,
        )

    def _user(self, stem: str, service: Service, *, as_root: bool) -> tuple[User, frozenset[int]]:
        """The user that sends, with an empty name for root, and all groups of that process."""
        name = "" if as_root else service.get("User") or (stem if service.is_on("DynamicUser") else "")
        user = (self._users.find(name) or User(name, UNLISTED)) if name else User("", 0, 0)
        group = service.get("Group")
        more = {self._users.group(word) for word in service.words("SupplementaryGroups")}
        gids = {self._users.group(group) if group else user.gid, *user.others, *more} - {UNLISTED}
        return user if user.uid else User("", 0, 0), frozenset(gids)

    def _because(self, service: Service, *, root: bool) -> str:
        because = service.without_new_privileges(root=root, implied=False)
        if not because and service.without_new_privileges(root=root, implied=True):
            return service.without_new_privileges(root=root, implied=self._is_implied())
        return because

    def _is_implied(self) -> bool:
        """Whether this host's systemd takes new privileges away with most settings of its sandbox; asked once."""
        if self._implied is None:
            packages = installed(self._host, ("systemd",))
            version = "" if isinstance(packages, Unknown) else packages.get("systemd", "")
            major = version.partition(".")[0].partition("-")[0].partition("~")[0]
            self._implied = major.isdecimal() and int(major[:9]) < _NOT_IMPLIED
        return self._implied

    def _drop_ins(self, stem: str) -> list[str]:
        """The paths of its drop-ins, in the order in which they take effect."""
        names = ["service.d"]  # the less it is about this service alone, the earlier it is overruled
        names += [f"{stem[: place + 1]}.service.d" for place, letter in enumerate(stem) if letter in "-@"]
        names.append(f"{stem}.service.d")
        chosen: dict[str, str] = {}
        for name in names:
            for directory in reversed(self._others.get(name, ())):
                found = self._host.names(f"{directory}/{name}")
                self._files -= len(found)  # those that are for many services are listed for each
                for drop_in in found:
                    if drop_in.endswith(".conf"):
                        chosen[drop_in] = f"{directory}/{name}/{drop_in}"
        return [chosen[name] for name in sorted(chosen)]

    def _unit_file(self, path: str) -> bytes:
        """Its content; none of one that is masked, or that is another name of a unit which is read under its own."""
        facts, content = self._host.read(path, _LIMIT + 1)
        if facts.kind is FileKind.SYMLINK:
            if facts.target.rpartition("/")[2] != path.rpartition("/")[2]:
                return b""
            return self._read(path)
        return self._taken(path, content)

    def _read(self, path: str) -> bytes:
        if self._files < 0 or self._bytes < 0:
            raise InputOutputError(path, f"not read, as there are more than {_MOST}")
        return self._taken(path, self._host.read(path, _LIMIT + 1, follow=True)[1])

    def _taken(self, path: str, content: bytes) -> bytes:
        self._bytes -= len(content)
        if len(content) > _LIMIT:
            self.left_out.append(f"{path} (more than {_LIMIT >> 10} KiB)")
        return content[:_LIMIT]

    def _is_script_that_mails(self, path: str) -> bool:
        self._files -= 1
        content = b"" if "\0" in path else self._read(path)
        return content.startswith(b"#!") and mails(content.decode("utf-8", "replace"))

    def _is_started(self, stem: str) -> bool:
        """Whether something starts a service with an [Install] section: what wants it, or a unit of the same name."""
        if self._wanted is None:
            links = [
                f"{directory}/{name}"
                for name, directories in self._others.items()
                if name.endswith((".wants", ".requires", ".upholds"))
                for directory in directories
            ]
            wanted = {unit for link in links for unit in self._host.names(link)}
            self._wanted = frozenset(wanted | {f"{unit.partition('@')[0]}@" for unit in wanted if "@" in unit})
        if any(f"{stem}.{kind}" in self._others for kind in ("path", "socket", "timer")):
            return True
        return f"{stem}.service" in self._wanted or stem in self._wanted
