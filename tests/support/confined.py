"""A Debian on which msmtp's AppArmor profile is enforced: its files, and what its jobs have come to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.support.applying import settings
from tests.support.looked import CANARY, FW_CFG, LOOK, TYPED, host_lines, judge
from tests.support.peer import Peer
from tests.support.vm import MAIL, Guest

USER = "alerts@example.test"
# A multiple of what msmtp reads at once: without a line feed behind it, it would not get it.
LONG_USER, LONG_SECRET = "long@example.test", "l0ng-%" * 167
ADMIN = "operator@example.test"
PROFILE = "/etc/apparmor.d/usr.bin.msmtp"
LOCAL = "/etc/apparmor.d/local/usr.bin.msmtp"
LOAD = f"apparmor_parser -r {PROFILE}"
CA, OTHER_CA, OTHER_ALIASES = "/etc/ssl/certs/test-ca.pem", "/etc/msmtp/ca.pem", "/srv/aliases"
LOG, OTHER_LOG = "/var/log/msmtp", "/var/log/msmtp.log"
_KERNEL = "apparmor=1 security=apparmor"
# As `dpkg-reconfigure msmtp` switches it on.
_SWITCH = "[Service]\nExecStartPre=/usr/bin/rm /etc/apparmor.d/disable/usr.bin.msmtp\n"
_DENIED = re.compile(r'apparmor="DENIED" .*profile="msmtp\b.* name="([^"]+)".* denied_mask="([^"]+)"')
_ROTATION = f"{LOG} {{\n  weekly\n  missingok\n  create 0600 root root\n}}\n"
_REPORT = """\
[Service]
Type=oneshot
NoNewPrivileges=yes
ExecStart=/bin/sh -c 'msmtp-config test --json >/run/report; printf "Subject: from a service\\n\\n" | sendmail root'
"""
# The line to paste from JSON on standard input: of the finding that is named, or of a test mail.
_MEND = """\
import json, re, sys
report = json.load(sys.stdin)
if sys.argv[2:] and sys.argv[2]:
    (found,) = (one["remedy"] for one in report["roots"][0]["findings"] if one["id"] == sys.argv[2])
elif report["diagnosis"]:
    (found,) = report["diagnosis"]["steps"]
else:
    (found,) = (re.search(r"\\((.*)\\)$", one)[1] for one in report["warnings"] if "cannot log" in one)
print(found)
"""
# Stands for the person at the editor: does as the comment behind the command says.
_EDIT = """\
#!/usr/bin/python3
import pathlib, sys
hint = pathlib.Path("/run/line").read_text().strip().partition("   # ")[2]
path = pathlib.Path(sys.argv[-1])
lines = path.read_text().split("\\n")
if hint.startswith("inside the braces: "):
    lines.insert(int(sys.argv[1]), hint.partition(": ")[2])
elif hint.startswith("[Service] "):
    lines = hint.split(" ", 1)
else:
    lines[int(sys.argv[1]) - 1] = hint
path.write_text("\\n".join(lines))
"""


def _msmtprc(peer: Peer, **changes: str | None) -> str:
    lines: dict[str, str | None] = {
        "account": "default",
        "host": MAIL,
        "port": str(peer.ports["starttls"]),
        "from": USER,
        "user": USER,
        "auth": "plain",
        "tls": "on",
        "tls_trust_file": CA,
        "timeout": "60",
        "logfile": LOG,
        "aliases": "/etc/aliases",
        "passwordeval": '"cat /etc/msmtp-password"',
        **changes,
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items() if value is not None)


def _files(peer: Peer) -> dict[str, str]:
    """What the guest brings besides the package."""
    long = {"from": LONG_USER, "user": LONG_USER}
    elsewhere = {"tls_trust_file": OTHER_CA, "aliases": OTHER_ALIASES, "logfile": OTHER_LOG}
    python = """python3 -c "print(open('/etc/msmtp-password').readline().strip())\""""
    person = {"from_email": LONG_USER, "user": LONG_USER, "recipient": ADMIN, "password": LONG_SECRET}
    return {
        "/etc/systemd/system/apparmor.service.d/test.conf": _SWITCH,
        "/etc/msmtprc": _msmtprc(peer),
        "/etc/aliases": f"root: {ADMIN}\ndefault: {ADMIN}\n",
        "/etc/logrotate.d/msmtp": _ROTATION,
        CA: peer.ca_file.read_text(),
        "/srv/good.msmtprc": _msmtprc(peer),
        "/srv/pin.msmtprc": _msmtprc(peer, port=str(peer.ports["self_signed"]), tls_trust_file=None),
        "/srv/refused.msmtprc": _msmtprc(
            peer, **long, **elsewhere, passwordeval='"systemd-creds decrypt --name=mail /etc/mail.cred -"'
        ),
        "/srv/python.msmtprc": _msmtprc(peer, **long, passwordeval=python),
        "/srv/smtp.config.yaml": settings(peer.ports["starttls"], CA, host=MAIL, **person),
        "/srv/report.service": _REPORT,
        "/mend.py": _MEND,
        "/edit.py": _EDIT,
    }


class Ended(NamedTuple):
    """How a job ended, what it said, and what the kernel denied it: `file (permissions)`, each once."""

    status: int
    output: str
    errors: str
    denied: tuple[str, ...]

    @property
    def json(self) -> Any:
        return json.loads(self.output)


class Confined:
    """The guest, which has run every job of confined.sh; what it has written down can be read until `close`."""

    def __init__(self, suite: str, work: Path, peer: Peer) -> None:
        peer.set_users({USER: CANARY.encode(), LONG_USER: LONG_SECRET.encode()})
        self._peer = peer
        prepare, options = host_lines("fw_cfg")
        self._guest = Guest(
            suite,
            work,
            network=peer.netns,
            script=LOOK + Path(__file__).with_suffix(".sh").read_text(),
            files=_files(peer),
            kernel=_KERNEL,
            options=options,
            prepare=prepare,
            host_files=TYPED,
        )

    def __enter__(self) -> Self:
        self._guest.__enter__().wait()
        self._denied = _denials(self.text("kernel"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._guest.__exit__(kind, error, trace)

    def judge(self, mails: int) -> list[str]:
        """It is as any other virtual machine with a password from fw_cfg; the subjects of the mails after its first."""
        return judge(self._guest, self._peer, FW_CFG, mails)

    def text(self, name: str) -> str:
        """A file of the outcome."""
        found = self._guest.outcome(name)
        assert found is not None, name
        return found

    def ended(self, job: str) -> Ended:
        """How a job ended."""
        parts = (self.text(job), self.text(f"{job}.errors"))
        return Ended(int(self.text(f"{job}.status")), *parts, self._denied.get(job, ()))

    @property
    def denied_at_boot(self) -> tuple[str, ...]:
        """What was denied before the first job: to the unit, to a mail, to the audit."""
        return self._denied.get("", ())


def _denials(kernel: str) -> dict[str, tuple[str, ...]]:
    """What msmtp's profile refused, by the job whose mark stands before it."""
    job, found = "", dict[str, dict[str, None]]()
    for line in kernel.splitlines():
        if mark := re.search(r"\] job (\S+)$", line):
            job = mark[1]
        elif denied := _DENIED.search(line):
            found.setdefault(job, {})[f"{denied[1]} {denied[2]}"] = None
    return {name: tuple(denials) for name, denials in found.items()}
