"""The logrotate rule for a log: what `/etc/logrotate.conf` and the files that it includes say of it."""

import fnmatch
import os
import posixpath
from typing import NamedTuple

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Rotation
from msmtp_agent.host import Host
from msmtp_agent.model import FileFacts, FileKind

from . import logrotate

CONFIGURATION = "/etc/logrotate.conf"
_MOST_NAMES, _MOST_BYTES, _MOST_GLOBS = 2000, 1 << 20, 1000  # in all: a real host has some 30 files of 300 bytes
_MOST_TABOO = 200  # patterns, 25 of which are logrotate's own
_MOST_STARS = 16  # in one part of a pattern: what matches it is compiled in a time that grows with them
_LARGEST = 0xFFFFFF  # bytes: logrotate takes nothing larger for a configuration
_NESTING = 16
# fmt: off
_TABOO = (
    ",v", ".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new", ".dpkg-old",
    ".dpkg-tmp", ".new", ".old", ".orig", ".pacnew", ".pacorig", ".pacsave", ".rhn-cfg-tmp-*", ".rpmnew", ".rpmorig",
    ".rpmsave", ".swp", ".ucf-dist", ".ucf-new", ".ucf-old", "~",
)
# fmt: on


class _Options(NamedTuple):
    """What is in force at a place, as far as it matters for rights and names.

    `create`: the mode, owner and group of it, which outlive a later `create` without arguments.
    """

    creates: bool = False
    create: tuple[str, str, str] = ("", "", "")
    origin: tuple[str, int] = ("", 0)
    truncates: bool = False
    copies: bool = False
    su: bool = False
    olddir: str = ""
    makes_olddir: bool = False


def find(host: Host, log: str, directory: FileFacts) -> Rotation | None:
    """The rule that covers `log`, which stands in `directory`; one that is passed over where there is no other.

    Raises InputOutputError when the configuration cannot be read, or is too large to be read whole.
    """
    reader = _Reader(host, posixpath.normpath(log), directory)
    reader.include(CONFIGURATION, 0)
    return reader.found or reader.refused


class _Reader:
    """One reading of the configuration, up to the first rule that covers the log: logrotate ignores later ones."""

    def __init__(self, host: Host, log: str, directory: FileFacts) -> None:
        self.found: Rotation | None = None
        self.refused: Rotation | None = None
        self._host = host
        self._log = log
        foreign = (directory.mode & 0o020 and directory.gid) or directory.mode & 0o002
        self._insecure = (
            f"others than root can write {directory.path} ({directory.rights}), and the rule has no `su`"
            if foreign
            else ""
        )
        self._options = _Options()
        self._taboo = [f"*{extension}" for extension in _TABOO]
        self._bytes = self._globs = self._listed = 0
        self._names: dict[str, set[bytes]] = {}

    def include(self, path: str, depth: int) -> None:
        """Read a file, or the files of a directory in the order of their names, but for names that are taboo.

        The order is that of the C locale, which logrotate's unit has unless the host sets another.
        """
        facts = self._file(path, depth)
        names = self._host.names(path) if facts.kind is FileKind.DIRECTORY else []
        self._listed += 1 + len(names)  # an include counts, too: one that is empty costs no bytes
        if self._listed > _MOST_NAMES:
            raise InputOutputError(path, f"more than {_MOST_NAMES} files of logrotate's configuration are not read")
        for name in names:
            if self.found is None and not any(_matches(taboo, name) for taboo in self._taboo):
                self._file(posixpath.join(path, name), depth)

    def _file(self, path: str, depth: int) -> FileFacts:
        """Read one file; what it sets outside of rules stays in force behind it, unless it has an error."""
        facts, content = self._host.read(path, _MOST_BYTES + 1 - self._bytes, follow=True)
        why_not = ""
        if facts.mode & 0o022:
            why_not = f"logrotate ignores a file that group or others can write ({facts.rights})"
        elif facts.uid:
            why_not = f"logrotate ignores a file that is not root's ({facts.rights})"
        elif facts.size > _LARGEST:
            why_not = "logrotate ignores so large a file"
        self._bytes += len(content)
        if self._bytes > _MOST_BYTES:
            raise InputOutputError(path, f"more than {_MOST_BYTES >> 20} MiB of logrotate's configuration is not read")
        outer = self._options
        if not self._text(path, content.decode("utf-8", "surrogateescape"), why_not, depth) or why_not:
            self._options = outer
        return facts

    def _text(self, path: str, text: str, why_not: str, depth: int) -> bool:
        """Follow one file; False where it has an error."""
        good = True
        start = 0  # the line of the rule that we are in, when it covers the log
        outer = self._options
        for event in logrotate.read(text, self._exists):
            if event.kind == "open":
                outer = self._options
                start = event.line if any(self._covers(word) for word in event.words) else 0
            elif event.kind == "set":
                self._set(path, event, depth)
            else:
                if start:
                    error = f"logrotate drops the rule for an error in line {event.line}"
                    self._conclude(path, start, why_not or ("" if event.kind == "close" else error))
                start, good = 0, good and event.kind == "close"
                self._options = outer
            if self.found is not None:
                break
        return good

    def _conclude(self, path: str, line: int, why_not: str) -> None:
        """A rule that covers the log ends: remember it if logrotate would take it, or else why not."""
        options = self._options
        create = options.create if options.creates and not (options.truncates or options.copies) else None
        passed_over = why_not
        if not passed_over and options.copies and not options.truncates:
            passed_over = "it copies the log and leaves it as it is (`copy`)"
        elif not passed_over and options.olddir and not options.makes_olddir and not self._is_there(options.olddir):
            passed_over = f"its `olddir {options.olddir}` is missing"
        elif not passed_over and not options.su:
            passed_over = self._insecure
        rotation = Rotation(path, line, create, options.origin, passed_over, options.olddir)
        if not why_not:
            self.found = rotation
        elif self.refused is None:
            self.refused = rotation

    def _set(self, path: str, event: logrotate.Event, depth: int) -> None:
        options, words = self._options, event.words
        if event.name == "create":
            mode, owner, group = options.create
            if len(words) in (1, 3):
                mode = words[0]
            if len(words) in (2, 3):
                owner, group = words[-2:]
            origin = (path, event.line) if words or not options.origin[0] else options.origin
            self._options = options._replace(creates=True, create=(mode, owner, group), origin=origin)
        elif event.name == "nocreate":
            self._options = options._replace(creates=False)
        elif event.name in ("copytruncate", "nocopytruncate", "renamecopy"):
            self._options = options._replace(truncates=event.name == "copytruncate")
        elif event.name in ("copy", "nocopy"):
            self._options = options._replace(copies=event.name == "copy")
        elif event.name == "su":
            self._options = options._replace(su=True)
        elif event.name in ("olddir", "noolddir"):
            self._options = options._replace(olddir=words[0] if words else "")
        elif event.name in ("createolddir", "nocreateolddir"):
            self._options = options._replace(makes_olddir=event.name == "createolddir")
        elif event.name == "include":
            if depth < _NESTING and words[0].startswith("/"):
                self.include(words[0], depth + 1)
        elif event.name in ("tabooext", "taboopat"):
            prefix = "*" if event.name == "tabooext" else ""
            kept = self._taboo if words[0] == "+" else []
            self._taboo = kept + [prefix + word for word in words if word not in ("", "+")]
            if len(self._taboo) > _MOST_TABOO:
                raise InputOutputError(path, f"has more than the {_MOST_TABOO} taboo patterns that are tried")

    def _is_there(self, olddir: str) -> bool:
        path = posixpath.join(posixpath.dirname(self._log), olddir)
        return self._host.inspect(path, follow=True).kind is FileKind.DIRECTORY

    def _exists(self, kind: str, name: str) -> bool:
        if name.isdecimal():
            return True
        path = "/etc/passwd" if kind == "user" else "/etc/group"
        if path not in self._names:
            content = self._host.read(path, _MOST_BYTES, follow=True)[1]
            self._names[path] = {line.partition(b":")[0] for line in content.split(b"\n")}
        # The list may be elsewhere as a whole (NSS): then nothing speaks against the name.
        return os.fsencode(name) in self._names[path] or b"root" not in self._names[path]

    def _covers(self, pattern: str) -> bool:
        """Whether glob(3) would find the log for this pattern."""
        if not _is_glob(pattern):
            return posixpath.normpath(pattern) == self._log
        self._globs += 1
        if self._globs > _MOST_GLOBS:
            raise InputOutputError(CONFIGURATION, f"has more than the {_MOST_GLOBS} patterns that are tried")
        parts, names = pattern.split("/"), self._log.split("/")
        return len(parts) == len(names) and all(map(_matches, parts, names))


def _is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern or "[" in pattern


def _matches(pattern: str, name: str) -> bool:
    """fnmatch(3) of one part of a path, with FNM_PERIOD: only a dot matches a leading dot."""
    if not _is_glob(pattern):
        return pattern == name
    if name.startswith(".") and not pattern.startswith("."):
        return False
    rest = pattern[1:]
    if pattern[0] == "*" and not _is_glob(rest):
        return name.endswith(rest)
    if pattern.count("*") > _MOST_STARS:
        raise InputOutputError(CONFIGURATION, f"has a pattern with more than {_MOST_STARS} stars, which is not tried")
    return fnmatch.fnmatchcase(name, pattern)
