"""One repair as it is planned: what would be done, what does it, and the looks at a file that every plan takes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .errors import CantCreateError
from .host import Host
from .model import FileFacts, FileKind, Repair, Report

LIMIT = 1 << 20  # bytes of a file that is replaced
PRIVATE = "0600 root:root"
_LONGEST_NAME = 240  # bytes: the temporary name is longer, and a name has at most 255


class Planned(NamedTuple):
    """A repair, and what does it; no content is kept here, it may be the secret."""

    repair: Repair
    effect: Callable[[Host], None]


def failed(report: Report, ids: Sequence[str], path: str = "") -> tuple[str, ...]:
    """Those of the checks that have found something (at this path)."""
    found = (finding for finding in report.findings if finding.id in ids and path in ("", finding.path))
    return tuple(dict.fromkeys(finding.id for finding in found))


def replaceable(host: Host, path: str) -> FileFacts | None:
    """A regular file of one name and an ordinary size, or None. Raises InputOutputError."""
    facts = host.inspect(path)
    plain = facts.kind is FileKind.REGULAR and facts.links == 1 and facts.size <= LIMIT
    return facts if plain and len(path.rpartition("/")[2].encode("utf-8", "surrogateescape")) <= _LONGEST_NAME else None


def content(host: Host, path: str) -> tuple[FileFacts, bytes]:
    """The whole of a file that was planned to be replaced. Raises CantCreateError when it is another one by now."""
    facts, found = host.read(path, LIMIT + 1)
    if facts.kind is not FileKind.REGULAR or len(found) > LIMIT:
        raise changed(host, path)
    return facts, found


def changed(host: Host, path: str) -> CantCreateError:
    """The error of a repair that finds something else than was planned for."""
    return CantCreateError(host.at(path), "has changed since it was looked at", remedy="msmtp-config audit --fix")
