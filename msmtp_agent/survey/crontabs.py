"""What cron would mail, read from a crontab as Debian's cron reads it: whose jobs, and to whom."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from msmtp_agent.facts import MailTo

_LONGEST = 1000  # characters of a line: cron knows no longer setting or command
# A setting: either side may be quoted, and then nothing but blanks may follow.
_SETTING = re.compile(r"""(?:"([^"=]*)"|'([^'=]*)'|([^\s=]*))\s*=\s*(?:"([^"]*)"|'([^']*)'|([^"'].*|))\s*""", re.ASCII)
# The recipients that cron passes on; with any other character, a blank among them, it sends nothing ("UNSAFE MAIL").
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9@!:%.,_+=/-]*")
_SEPARATORS = re.compile(r"[,;]")  # where msmtp splits the one argument that it gets


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
        setting = _SETTING.fullmatch(line)
        if setting is not None:
            if "MAILTO" in setting.group(1, 2, 3):
                mailto = _mailto(path, number, setting)
            continue
        user = _user(line, owner)
        if not user:
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


def _mailto(path: str, number: int, setting: re.Match[str]) -> MailTo:
    value = next((value for value in setting.group(4, 5, 6) if value), "").rstrip()
    if value and not _SAFE.fullmatch(value):
        return MailTo(path, number, (), refused=True)
    return MailTo(path, number, tuple(name for name in _SEPARATORS.split(value) if name))


def _user(line: str, owner: str) -> str:
    """The user of a job: time (five fields, or `@daily` and the like), user where it has no owner, command."""
    times = 1 if line[0] == "@" else 5
    fields = line.split(None, times + 1)
    if owner:
        return owner if len(fields) > times else ""
    return fields[times] if len(fields) > times + 1 else ""
