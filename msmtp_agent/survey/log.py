"""The account's log: its rights, its directory, and the logrotate rule that covers it."""

import posixpath

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import Log, Rotation, Unknown
from msmtp_agent.host import Host
from msmtp_agent.model import FileFacts, FileKind
from msmtp_agent.msmtprc import Account

from . import configuration, rotation

_LOGROTATE = "/usr/sbin/logrotate"
_MOST_LINKS = 40  # as the kernel


def gather(host: Host, account: Account | None) -> Log | None:
    """What is known of the log; None where the account has none. Raises InputOutputError."""
    path = path_of(host, account)
    if path is None:
        return None
    directory = host.inspect(posixpath.dirname(path), follow=True)
    real = resolved(host, path)
    return Log(
        file=host.inspect(path, follow=True),
        directory=directory,
        immutable=_immutable(host, path),
        rotation=_rotation(host, real, directory),
        logrotate=host.inspect(_LOGROTATE, follow=True).kind is FileKind.REGULAR,
    )


def path_of(host: Host, account: Account | None) -> str | None:
    """The path of the account's log; None without one (`logfile -` is standard output)."""
    return (configuration.path_of(host, account, "logfile") or None) if account else None


def resolved(host: Host, path: str) -> str:
    """Where links at `path` lead: logrotate does not follow links, so that is what a rule has to name."""
    for _ in range(_MOST_LINKS):
        target = host.inspect(path).target
        if not target:
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return path


def _immutable(host: Host, path: str) -> bool | Unknown:
    try:
        return host.immutable(path)
    except InputOutputError as error:
        return Unknown(error.subject, error.observed)


def _rotation(host: Host, path: str, directory: FileFacts) -> Rotation | Unknown | None:
    try:
        if posixpath.dirname(path) != directory.path:
            directory = host.inspect(posixpath.dirname(path), follow=True)
        return rotation.find(host, path, directory)
    except InputOutputError as error:
        return Unknown(error.subject, error.observed)
