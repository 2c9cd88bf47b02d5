"""The way in for system mail: the sendmail command, msmtp, their packages, and what stands before us in root's PATH."""

import posixpath
from collections.abc import Iterable, Mapping

from msmtp_agent import old_helper
from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Programs, Unknown
from msmtp_agent.host import Host
from msmtp_agent.model import FileFacts, FileKind

MSMTP = "/usr/bin/msmtp"
SENDMAIL = "/usr/sbin/sendmail"
_STATUS = "/var/lib/dpkg/status"
_MOST_STATUS = 32 << 20  # bytes; 3,000 packages have 4 MiB
_MOST_PROGRAM = 1 << 20  # bytes of a sendmail that is no link; msmtp has 0.15 MiB


def gather(host: Host) -> Programs:
    """What is known of them. Raises InputOutputError."""
    end, is_msmtp = _sendmail(host)
    helpers = _helpers(host)
    old = old_helper.standing(host) if helpers else ()
    return Programs(
        msmtp=host.inspect(MSMTP, follow=True),
        sendmail=host.inspect(SENDMAIL, follow=True),
        sendmail_leads_to=end,
        packages=installed(host, ("msmtp", "msmtp-mta")),
        helpers=tuple(helpers.values()),
        old_helpers=frozenset(path for path in helpers if host.resolve(path) in old),
        sendmail_is_msmtp=is_msmtp,
    )


def installed(host: Host, names: Iterable[str]) -> Mapping[str, str] | Unknown:
    """The versions of those packages that are installed, by name."""
    try:
        facts, content = host.read(_STATUS, _MOST_STATUS + 1, follow=True)
    except InputOutputError as error:
        return Unknown(error.subject, error.observed)
    if len(content) > _MOST_STATUS:
        return Unknown(_STATUS, f"holds more than {_MOST_STATUS >> 20} MiB")
    if facts.kind is not FileKind.REGULAR:
        return Unknown(_STATUS, f"is {facts.kind.value}")
    versions = {}
    for name in names:  # searched for, since to parse the whole file takes 100 ms
        first = b"Package: %s\n" % name.encode()
        begin = 0 if content.startswith(first) else content.find(b"\n" + first)
        if begin < 0:
            continue
        stanza = content[begin : content.find(b"\n\n", begin) + 1 or None]
        if _field(stanza, b"Status").endswith(" installed"):
            versions[name] = _field(stanza, b"Version")
    return versions


def _field(stanza: bytes, name: bytes) -> str:
    begin = stanza.find(b"\n%s: " % name)
    if begin < 0:
        return ""
    return stanza[begin + 1 :].partition(b"\n")[0].partition(b": ")[2].decode("utf-8", "replace").strip()


def _sendmail(host: Host) -> tuple[str, bool]:
    """The path at the end of all links, and whether msmtp stands there: by its name, as a copy, or in a script."""
    path = host.resolve(SENDMAIL)
    if posixpath.basename(path) == "msmtp":
        return path, True
    return path, b"msmtp" in host.read(SENDMAIL, _MOST_PROGRAM, follow=True)[1]


def _helpers(host: Host) -> dict[str, FileFacts]:
    """The shell scripts that are run in our place, by path; one that was written through a link to us stands as us."""
    found = {}
    for path in (*old_helper.PLACES, old_helper.COMMAND):
        file = _shell_script(host, path)
        if file is not None:
            place = old_helper.COMMAND if host.resolve(path) == old_helper.COMMAND else path
            found[place] = file._replace(path=place)
    return found


def _shell_script(host: Host, path: str) -> FileFacts | None:
    """The program at this path if it is a shell's: this program, installed there by pip, is Python's."""
    facts, content = host.read(path, 128, follow=True)
    first = content.partition(b"\n")[0]
    interpreter = [word.rpartition(b"/")[2] for word in first[2:].split()[:2]]  # `/bin/bash -e`, `/usr/bin/env sh`
    shell = first.startswith(b"#!") and any(name.endswith(b"sh") for name in interpreter)
    return facts if facts.mode & 0o111 and shell else None
