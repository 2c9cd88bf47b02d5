"""One service as systemd puts it together, of its unit file and drop-ins: what it runs, and with which rights."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# What a line that runs a program for mail has in it, and where a shell or systemd would run one: by name where a
# command begins, and by path wherever it stands. (Compiled at its first use: few hosts have such a line.)
HINTS = ("mail", "msmtp", "mutt", "s-nail")
_PROGRAMS = "(?:bsd-mailx|mailx?|msmtp|mutt|s-nail|sendmail)"
_MAILS = (
    rf"""(?m)(?:^|[|;&(`"']|\b(?:exec|then|do|else)[ \t])[ \t]*{_PROGRAMS}(?=$|[\s"'|;&)])"""
    rf"""|(?:^|[\s"'=|;&(`])/(?:usr/)?(?:local/)?(?:s?bin|lib)/{_PROGRAMS}(?=$|[\s"'|;&)])"""
)
# Where programs stand that the administrator has written, rather than a package.
_OWN = ("/usr/local/", "/opt/", "/srv/", "/root/", "/home/", "/etc/")
_YES, _NO = ("1", "yes", "y", "true", "t", "on"), ("0", "no", "n", "false", "f", "off")
# Each of these makes systemd before 255 set NoNewPrivileges for a service that is not root's (measured on 252).
_SANDBOX = (
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "PrivateDevices",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "SystemCallLog",
)
_LISTS = ("SupplementaryGroups", "WantedBy", "RequiredBy", "UpheldBy")


def mails(script: str) -> bool:
    """Whether these lines of shell run a program that takes mail."""
    if not any(hint in script for hint in HINTS):
        return False
    lines = (line for line in script.split("\n") if not line.lstrip().startswith("#"))
    return re.search(_MAILS, "\n".join(lines)) is not None


class Command(NamedTuple):
    """One line of Exec*=: the prefix that systemd takes off, and the rest."""

    prefix: str
    line: str

    @property
    def as_root(self) -> bool:
        """Whether it runs as root whatever User= says."""
        return "+" in self.prefix or "!" in self.prefix

    @property
    def mails(self) -> bool:
        """Whether it runs a program that takes mail."""
        return mails(self.line)

    @property
    def own_programs(self) -> list[str]:
        """The paths in it of programs that no package has brought."""
        words = (word.strip("\"';|&()") for word in self.line.split())
        return [word for word in words if word.startswith(_OWN)]


class Service:
    """The settings in force: of the files, given as path and content in systemd's order, the last one wins."""

    def __init__(self, files: Iterable[tuple[str, bytes]]) -> None:
        self._settings: dict[str, tuple[str, str]] = {}  # value, and the file that sets it
        self._lists: dict[str, list[str]] = {}
        for path, content in files:
            for section, key, value in _assignments(content.decode("utf-8", "replace")):
                if section == "Service" or (section == "Install" and key in _LISTS):
                    self._set(key, value, path)

    def _set(self, key: str, value: str, path: str) -> None:
        self._settings[key] = (value, path)
        if key in _LISTS or key.startswith("Exec"):
            if value:
                self._lists.setdefault(key, []).append(value)
            else:
                self._lists.pop(key, None)  # an empty assignment takes back what stood before

    def get(self, key: str) -> str:
        """The value in force, empty where there is none."""
        return self._settings.get(key, ("", ""))[0]

    def path_of(self, key: str) -> str:
        """The file that sets it, empty where none does."""
        return self._settings.get(key, ("", ""))[1]

    def words(self, key: str) -> list[str]:
        """The words of a setting that adds up."""
        return [word for value in self._lists.get(key, ()) for word in value.split()]

    @property
    def commands(self) -> list[Command]:
        """What it runs."""
        found = []
        for key, lines in self._lists.items():
            if key.startswith("Exec"):
                for line in lines:
                    rest = line.lstrip("-@:+!|")
                    found.append(Command(line[: len(line) - len(rest)], rest.lstrip()))
        return found

    @property
    def installable(self) -> bool:
        """Whether it only starts where it was enabled, or where something else wants it."""
        return any(self._lists.get(key) for key in ("WantedBy", "RequiredBy", "UpheldBy"))

    def is_on(self, key: str) -> bool:
        """Whether a boolean setting is."""
        return self.get(key).lower() in _YES

    def without_new_privileges(self, *, root: bool, implied: bool) -> str:
        """The setting that forbids new privileges, empty where none does.

        `root`: it runs as root; `implied`: systemd is so old that settings of the sandbox do it for others than root.
        """
        for key in ("NoNewPrivileges", "DynamicUser"):
            if self.is_on(key):
                return key
        if implied and not root:
            return next((key for key in _SANDBOX if self.get(key).lower() not in ("", *_NO)), "")
        return ""


def _assignments(text: str) -> Iterator[tuple[str, str, str]]:
    """Section, key and value of each line; a backslash at its end joins it with the next one that is no comment."""
    section = waiting = ""
    for line in text.split("\n"):
        line = line.strip(" \t\r")
        if line[:1] in ("#", ";"):
            continue
        if line.endswith("\\"):
            waiting += line[:-1] + " "
            continue
        line, waiting = waiting + line, ""
        if line.startswith("["):
            section = line.strip("[]")
            continue
        key, equals, value = line.partition("=")
        if equals:
            yield section, key.strip(), value.strip()
