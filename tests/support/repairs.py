"""What the tests of `--fix` share: reports that say what is to be mended, and a run of the repairs in a sandbox."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msmtp_agent.facts import AliasFile, Facts, Log, Unknown
from msmtp_agent.host import ALIASES, MSMTPRC, SECRET, Host
from msmtp_agent.model import CheckResult, FileFacts, FileKind, Finding, Repair, Report, Severity, Verdict
from tests.support.sandbox import PYTHON, Sandbox
from tests.support.view import Completed

LOG = "/var/log/msmtp.log"
LOGROTATE = "/etc/logrotate.d/msmtp"
NOW = 1763812800.0  # 2025-11-22 12:00:00 UTC
BACKUP = "/etc/msmtprc.2025-11-22T120000Z.bak"
HELPER = "/usr/local/bin/msmtp-config"
PLACES = {
    "secret": SECRET,
    "config": MSMTPRC,
    "aliases": MSMTPRC,
    "log": LOG,
    "sender": HELPER,
}  # where a check finds what it finds
MEND = "tests.support.mend"
NOTHING = Unknown("/", "not gathered")
SENDING = AliasFile(FileFacts(ALIASES, FileKind.REGULAR, mode=0o644), None, {"root": ("me@acme.test",)})


def log_at(path: str) -> Log:
    """A log that no rule covers, in a directory of root's alone."""
    directory = FileFacts(os.path.dirname(path), FileKind.DIRECTORY, mode=0o755)
    return Log(FileFacts(path, FileKind.REGULAR, mode=0o644), directory)


def facts(root: str = "/", aliases: AliasFile = SENDING, log: Log | None = None, now: float = NOW) -> Facts:
    """What the repairs look at."""
    return Facts(root, now, secret=NOTHING, configuration=NOTHING, aliases=aliases, log=log or log_at(LOG))


def seen_by(host: Host, known: Facts) -> Facts:
    """The same, with the log as it stands there now: a repair is of the very file that was judged."""
    assert isinstance(known.log, Log)
    return known._replace(log=known.log._replace(file=host.inspect(known.log.file.path, follow=True)))


def report(*ids: str, **elsewhere: str) -> Report:
    """A report in which these checks have failed; `elsewhere` are checks (with `_`) that found something at a path."""
    places = {name: PLACES[name.partition("-")[0]] for name in ids}
    places |= {name.replace("_", "-"): path for name, path in elsewhere.items()}
    found = (Finding(name, Severity.ERROR, path, "seen", "right", "true") for name, path in places.items())
    return Report("/", "acme", NOW, tuple(CheckResult(one.id, Verdict.FAILED, "", (one,)) for one in found))


class Told(NamedTuple):
    """A run of the repairs as a program: what it told of each, and the message of the error that it ended with."""

    completed: Completed
    repairs: tuple[Repair, ...]
    error: str
    remedy: str

    @property
    def done(self) -> dict[str, bool]:
        """Whether it says that it was done, by path."""
        return {repair.path: repair.done for repair in self.repairs}


def fix(
    box: Sandbox,
    *ids: str,
    tracer: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    python: str = PYTHON,
) -> Told:
    """Mend what these checks found on the sandbox's own system."""
    environment = {"PYTHONHASHSEED": "0", **(env or {})}
    if python == PYTHON:
        done = box.traced(tracer, *ids, env=environment, timeout=30, module=MEND)
    else:
        done = box.run([*tracer, python, "-m", MEND, *ids], env=environment, timeout=30)
    repairs = tuple(Repair(*json.loads(line)) for line in done.stdout.splitlines())
    error, remedy = json.loads(done.stderr) if done.stderr.startswith("[") else (done.stderr, "")
    return Told(done, repairs, error, remedy)
