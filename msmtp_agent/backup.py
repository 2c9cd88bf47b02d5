"""The old version of a file that is about to be replaced, kept beside it under a dated name."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import files
from .errors import AgentError, CantCreateError, NotDurableError
from .host import Host
from .interruption import deferred
from .model import FileKind, WriteOutcome

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z"
_MOST_COMPARED = 16  # backups, the newest ones


def name(host: Host, path: str, content: bytes, mode: int, now: float) -> str:
    """Where the old version of `path`, which holds `content`, is to be kept: `PATH.2026-11-22T101500Z.bak`.

    That of a run which was killed before the change, or of an earlier change from the very same version, is taken
    again; so is the date of one that was killed while it wrote it, and its leftover is then written over. `now` is in
    seconds since 1970. Raises InputOutputError.
    """
    directory, _, base = path.rpartition("/")
    ours = re.compile(rf"(?P<leftover>\.)?(?P<name>{re.escape(base)}\.{_DATE}\.bak)(?(leftover)\..+)")
    present = [one for found in host.names(directory or "/") if (one := ours.fullmatch(found))]
    names = [one["name"] for one in present if not one["leftover"]]
    for one in present:
        place = f"{directory}/{one['name']}"
        if one["name"] not in names and files.temporary_name(place) == f"{directory}/{one[0]}":
            return place
    for found in reversed(names[-_MOST_COMPARED:]):
        facts, former = host.read(f"{directory}/{found}", len(content) + 1)
        if former == content and facts.kind is FileKind.REGULAR and facts.rights == f"{mode:04o} root:root":
            return f"{directory}/{found}"
    while (free := f"{base}.{time.strftime('%Y-%m-%dT%H%M%SZ', time.gmtime(now))}.bak") in names:
        now += 1
    return f"{directory}/{free}"


@contextmanager
def kept(host: Host, path: str, place: str, content: bytes, mode: int) -> Iterator[None]:
    """Replace `path` in the block: its old version stands at `place` before that begins (`name` tells where).

    A signal waits until both are done. Where the block raises an AgentError that left `path` as it was, the backup goes
    as well. Call it under the lock. Raises CantCreateError, also when the backup might not outlive a power cut: then
    the block is not run, and nothing has changed.
    """
    with deferred():
        try:
            outcome = files.replace(host, place, content, mode)
        except NotDurableError as error:
            files.discard(host, place)
            words = f"might not outlive a power cut, so {host.at(path)} was left as it is"
            raise CantCreateError(error.subject, words, remedy=error.remedy) from None
        try:
            yield
        except NotDurableError:
            raise
        except AgentError:
            if outcome is WriteOutcome.CREATED:
                files.discard(host, place)
            raise
