"""What cron would mail, read from a crontab as Debian's cron reads it: whose jobs, and to whom."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from msmtp_agent.facts import MailTo

_QUOTES = "'\""
_LONGEST = 1000  # characters of a line: cron knows no longer setting or command
# The recipients that cron passes on; with any other character, a blank among them, it sends nothing ("UNSAFE MAIL").
_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
# One command that gives all of its output to a file: it mails nothing. Of several, another one may.
_SILENT = re.compile(r"[^;|&<>]*>{1,2}\s*[^\s;|&<>]+\s+2>\s*(&1|/dev/null)\s*")
_SAFE_LATER = _SAFE | frozenset("@!:%-.,_+=/")


class Job(NamedTuple):
    """A job whose output is mailed: the user that it runs as, who is the one that sends, and its line."""

    user: str
    line: int


class Crontab(NamedTuple):
    """The jobs that are mailed, and the settings of MAILTO that say where to."""

    jobs: tuple[Job, ...]
    mailto: tuple[MailTo, ...]


def parse(path: str, content: bytes, owner: str = "") -> Crontab:
    """What a crontab says; `owner` is whose it is, and without one each job names its user.

    A line that cron would refuse is passed over. (Debian's cron then ignores the whole file, others do not.)
    """
    jobs: list[Job] = []
    settings: list[MailTo] = []
    mailto: MailTo | None = None
    for number, line in _lines(content):
        setting = _setting(line)
        if setting is not None:
            if setting[0] == "MAILTO":
                mailto = _mailto(path, number, setting[1])
            continue
        user, command = _job(line, owner)
        if not user or _SILENT.fullmatch(command):
            continue
        if mailto is not None and (not settings or settings[-1] is not mailto):
            settings.append(mailto)
        if mailto is None or mailto.recipients:
            jobs.append(Job(user, number))
    return Crontab(tuple(jobs), tuple(setting for setting in settings if setting.recipients or setting.refused))


def _lines(content: bytes) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(content.decode("utf-8", "replace").split("\n"), 1):
        line = line.strip(" \t\r")[:_LONGEST]
        if line and line[0] != "#":
            yield number, line


def _setting(line: str) -> tuple[str, str] | None:
    """Name and value of a setting, either of which may be quoted; None where the line is none."""
    left, equals, right = line.partition("=")
    name, value = _unquoted(left.strip()), _unquoted(right.strip())
    if not equals or name is None or value is None or (" " in name and left[0] not in _QUOTES):
        return None
    return name, value


def _unquoted(text: str) -> str | None:
    """The text without quotes around all of it; None where some close earlier, or not at all."""
    if not text or text[0] not in _QUOTES:
        return text.replace("\t", " ")
    end = text.find(text[0], 1)
    return text[1:end] if end > 0 and not text[end + 1 :] else None


def _mailto(path: str, number: int, value: str) -> MailTo:
    if value and not (value[0] in _SAFE and _SAFE_LATER.issuperset(value)):
        return MailTo(path, number, (), refused=True)
    # msmtp gets them as one argument, and splits it.
    return MailTo(path, number, tuple(name for name in value.split(",") if name))


def _job(line: str, owner: str) -> tuple[str, str]:
    """User and command of a job: time (five fields, or `@daily` and the like), user where it has no owner, command."""
    times = 1 if line[0] == "@" else 5
    fields = line.split(None, times)
    command = fields[times] if len(fields) > times else ""
    if owner:
        return (owner if command else ""), command
    user, _, command = command.partition(" ") if " " in command else command.partition("\t")
    return (user if command.strip() else ""), command
