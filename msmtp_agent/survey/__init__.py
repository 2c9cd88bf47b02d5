"""Gather the facts of one host, once: nothing is run, nothing written, and every read is bounded."""

from collections.abc import Callable
from typing import TypeVar

from msmtp_agent.errors import InputOutputError, unforeseen
from msmtp_agent.facts import Configuration, Facts, SecretFile, Unknown
from msmtp_agent.host import ALIASES, MSMTPRC, SECRET, Host

from . import (
    alias_file,
    apparmor,
    configuration,
    elsewhere,
    history,
    log,
    programs,
    secret_file,
    senders,
    strays,
    trust,
)

T = TypeVar("T")


def survey(host: Host, now: float) -> Facts:
    """Everything that the checks may know of the host; what could not be gathered is Unknown."""
    config = _attempt(MSMTPRC, lambda: configuration.gather(host))
    account = config.account if isinstance(config, Configuration) else None
    secret = _attempt(SECRET, lambda: secret_file.gather(host))
    stored = secret.access.file.modified if isinstance(secret, SecretFile) else None
    sought = _attempt(SECRET, lambda: elsewhere.secrets(host, account))
    # Who may not read the secret does not get it shown by what he may read.
    redact = str if isinstance(sought, Unknown) else sought.redact
    files = _attempt("tls", lambda: trust.gather(host, account))
    if isinstance(files, Unknown):
        files = (files, files, files)
    return Facts(
        root=host.root or "/",
        now=now,
        secret=secret,
        configuration=config,
        strays=_attempt("/etc", lambda: strays.gather(host)),
        trust=files[0],
        certificate=files[1],
        key=files[2],
        aliases=_attempt(ALIASES, lambda: alias_file.gather(host, account, redact)),
        log=_attempt("log", lambda: log.gather(host, account)),
        history=_attempt("log", lambda: history.gather(host, account, now, stored)),
        senders=_attempt("/etc/crontab", lambda: senders.gather(host, redact)),
        programs=_attempt("/usr/sbin/sendmail", lambda: programs.gather(host)),
        apparmor=_attempt("/etc/apparmor.d", lambda: apparmor.gather(host, account)),
        elsewhere=sought if isinstance(sought, Unknown) else _attempt("/etc", lambda: elsewhere.gather(host, sought)),
    )


def _attempt(path: str, gather: Callable[[], T]) -> T | Unknown:
    """What `gather` gives, or why there is nothing; `path` names what was to be read where the error does not."""
    try:
        return gather()
    except InputOutputError as error:
        return Unknown(error.subject, error.observed)
    except Exception as error:  # noqa: BLE001 - whatever lies in an image must not end the audit of the others
        return Unknown(path, unforeseen(error).observed)
