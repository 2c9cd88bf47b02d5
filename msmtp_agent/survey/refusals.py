"""What an AppArmor profile refuses of an account: the secret command, the files that msmtp reads, and the log."""

from msmtp_agent.facts import Refused
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind
from msmtp_agent.msmtprc import Account

from . import commands
from .configuration import path_of
from .profile import BASE, Place, Policy, Profile, Rule
from .trust import SYSTEM_TRUST

_LOCAL = f"{BASE}/local/usr.bin.msmtp"
_SHELL = ("/bin/sh", "/usr/bin/dash")  # and what it is on Debian, for an image without one


class Asked:
    """What one account needs, asked of the profile."""

    def __init__(self, host: Host, policy: Policy, profile: Profile, account: Account) -> None:
        self._host = host
        self._policy = policy
        self._profile = profile
        self._account = account
        shell, usual = _SHELL
        self.shell = host.resolve(shell) if self._exists(shell) else usual
        line = account.get("passwordeval")
        self._starts = bool(line) and account.method != "off" and not account.get("password")
        self._command = commands.read(line if self._starts else "")
        self._programs = tuple(dict.fromkeys(host.resolve(self._find(name)) for name in self._command.programs))
        self.programs = tuple(filter(self._exists, self._programs))

    def _exists(self, path: str) -> bool:
        return self._host.inspect(path, follow=True).kind is not FileKind.MISSING

    def _owned(self, path: str) -> bool:
        """Whether rules for the owner count: system mail is root's. A file that is still to be made is the maker's."""
        return self._host.inspect(path, follow=True).uid == 0

    def log(self) -> Refused | None:
        """The log, that msmtp appends to and locks; a device has no log to lose."""
        path = self._path("logfile")
        if not path or self._host.inspect(path, follow=True).kind not in (FileKind.REGULAR, FileKind.MISSING):
            return None
        return self._file("logfile", path, "wk")

    def files(self) -> tuple[Refused, ...]:
        """The files that msmtp reads: of TLS, and the aliases."""
        account = self._account
        wanted: dict[str, str] = {"aliases": self._path("aliases")}
        if account.uses_tls:
            certificate, key = self._path("tls_cert_file"), self._path("tls_key_file")
            if certificate and key:
                wanted |= {"tls_cert_file": certificate, "tls_key_file": key}
            if account.get("tls_certcheck") != "off" and not account.get("tls_fingerprint"):
                system = account.get("tls_trust_file") in ("", "system")
                wanted["tls_trust_file"] = SYSTEM_TRUST if system else self._path("tls_trust_file")
                wanted["tls_crl_file"] = self._path("tls_crl_file")
        refused = (self._file(name, path, "r") for name, path in wanted.items() if path and self._exists(path))
        return tuple(one for one in refused if one)

    def _path(self, command: str) -> str:
        """The absolute path that the setting names, or the empty string."""
        return path_of(self._host, self._account, command)

    def _file(self, setting: str, path: str, wanted: str) -> Refused | None:
        resolved = self._host.resolve(path)
        allowed, denied = self._policy.allows(self._profile, resolved, wanted, owned=self._owned(resolved))
        return None if allowed else self._refused(setting, resolved, wanted, denied)

    def _refused(
        self, setting: str, path: str, wanted: str, denied: Place | None, mend: Place | None = None
    ) -> Refused:
        extensible = _LOCAL in self._profile.included
        place = denied or mend or (None if extensible else self._profile.place)
        at = (place.path, self._policy.line(place)) if place else None
        return Refused(setting, path, wanted, at, denied is not None)

    # --- the secret command

    def command(self) -> Refused | None:
        """What the profile refuses of the secret command: its shell, a program, or a file that the shell opens."""
        if not self._starts:
            return None
        rule, denied = self._execution(self._profile, self.shell)
        if rule is None:
            return self._refused("passwordeval", self.shell, "x", denied)
        inside = self._inside(rule)
        if inside is None or inside.mild:
            return None
        for path in self._programs:
            started, denied = self._execution(inside, path)
            if started is None:
                # Local rules cannot add to a child profile, and another one for the same shell would contradict it.
                mend = None if inside is self._profile else inside.place
                return self._refused("passwordeval", self._told(path), "x", denied, mend)
        for name, wanted in self._command.opened:
            path = self._host.resolve(name)
            allowed, denied = self._policy.allows(inside, path, wanted, owned=self._owned(path))
            if not allowed:
                return self._refused("passwordeval", self._told(path), wanted, denied, inside.place)
        return None

    def _told(self, path: str) -> str:
        """The path, if there is such a file: what else stands in the line may be a password that was typed there."""
        return path if self._exists(path) else ""

    def _execution(self, profile: Profile, path: str) -> tuple[Rule | None, Place | None]:
        return self._policy.execution(profile, path, owned=self._owned(path))

    def _inside(self, rule: Rule) -> Profile | None:
        """The profile that the shell gets, or None where it is none of this file's: then nothing is known of it."""
        if "c" in rule.modes.lower():
            return self._policy.child(self._profile, rule, self.shell)
        return self._profile if rule.modes.lower() == "i" else None

    def _find(self, program: str) -> str:
        """The program that the shell finds for a word; where it finds none, the one that it would be on Debian."""
        if "/" in program:
            return program if program.startswith("/") else f"/{program}"
        paths = [f"{directory}/{program}" for directory in commands.PATH]
        return next((path for path in paths if self._exists(path)), f"/usr/bin/{program}")
