"""Checks of the way in: each with what makes it speak, and with its nearest neighbour; and real Debian roots."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from msmtp_agent.audit import audit
from msmtp_agent.checks import way_in
from msmtp_agent.host import Host
from msmtp_agent.model import Severity, Verdict
from tests.support.roots import (
    MSMTPRC,
    SECRET,
    Root,
    Row,
    Table,
    account,
    assert_complete,
    assert_row,
    packages,
    parameters,
)
from tests.support.trees import Machine, tree

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
IDS = [check.id for check in way_in.CHECKS.checks]
MSMTP, SENDMAIL, STATUS = "/usr/bin/msmtp", "/usr/sbin/sendmail", "/var/lib/dpkg/status"
JOBS, SPOOL = "/etc/cron.d/jobs", "/var/spool/cron/crontabs/www-data"
UNIT = "/etc/systemd/system/report.service"
HELPER = "/usr/local/bin/msmtp-config"
OLD_HELPER = "#!/bin/bash\nread -rsp 'Password: ' password\necho $password >/etc/msmtp-password\n"
ELF = b"\x7fELF"


def mta(*names: str, gone: tuple[str, ...] = ()) -> Callable[[Root], object]:
    return lambda root: root.write(STATUS, packages(dict.fromkeys(names, "1.8.28-3"), *gone), 0o644)


def cron(content: str, path: str = JOBS, *then: Callable[[Root], object]) -> Callable[[Root], object]:
    def change(root: Root) -> None:
        root.write(path, content, 0o600 if path == SPOOL else 0o644)
        for step in then:
            step(root)

    return change


def unit(*lines: str, name: str = UNIT) -> Callable[[Root], object]:
    return lambda root: root.write(name, "\n".join(["[Service]", *lines, ""]), 0o644)


def both(*steps: Callable[[Root], object]) -> Callable[[Root], None]:
    def change(root: Root) -> None:
        for step in steps:
            step(root)

    return change


def shared(root: Root) -> None:
    """Configuration and secret file for the group msmtp, of which www-data is a member."""
    root.write("/etc/group", "root:x:0:\nwww-data:x:33:\nmsmtp:x:105:www-data\n", 0o644)
    root.rights(MSMTPRC, 0o640, 0, 105)
    root.rights(SECRET, 0o640, 0, 105)


def other_program(root: Root) -> None:
    root.write("/usr/sbin/exim4", ELF, 0o755).link(SENDMAIL, "exim4")


def alternatives(root: Root) -> None:
    root.link(SENDMAIL, "/etc/alternatives/mta").link("/etc/alternatives/mta", "../../usr/bin/msmtp")


def open_to_all(root: Root) -> None:
    root.rights(MSMTPRC, 0o644)


def no_password(root: Root) -> None:
    root.configure(auth="off", user=None, passwordeval=None).rights(MSMTPRC, 0o644)


def acl(entry: str) -> Callable[[Root], object]:
    def change(root: Root) -> None:
        for path in (MSMTPRC, SECRET):
            subprocess.run(["setfacl", "-m", entry, root.at(path)], check=True, timeout=20)

    return change


WWW = "0 4 * * * www-data /srv/report\n"
SENDS = "ExecStart=/bin/sh -c 'df | mail -s report root'"

TABLE: Table = {
    "sender-msmtp": {
        "gone": Row(lambda root: root.remove(MSMTP), ERROR, "is missing", MSMTP),
        "a directory": Row(lambda root: root.remove(MSMTP).mkdir(MSMTP), ERROR, "is a directory", MSMTP),
        "a link": Row(lambda root: root.write("/opt/msmtp", ELF, 0o755).link(MSMTP, "/opt/msmtp")),
        "for nobody": Row(lambda root: root.write(MSMTP, ELF, 0o644), ERROR, "0644 root:root: not everybody", MSMTP),
    },
    "sender-sendmail": {
        "gone": Row(lambda root: root.remove(SENDMAIL), ERROR, "is missing", SENDMAIL),
        "dangling": Row(
            lambda root: root.link(SENDMAIL, "../bin/no"), ERROR, "leads to /usr/bin/no, which is missing", SENDMAIL
        ),
        "another": Row(other_program, ERROR, "leads to /usr/sbin/exim4, which is not msmtp", SENDMAIL),
        "another, no link": Row(lambda root: root.write(SENDMAIL, ELF, 0o755), ERROR, "another program", SENDMAIL),
        "alternatives": Row(alternatives),
        "a script for msmtp": Row(lambda root: root.write(SENDMAIL, '#!/bin/sh\nexec msmtp "$@"\n', 0o755)),
    },
    "sender-mta": {
        "not installed": Row(mta("msmtp"), WARNING, "msmtp-mta is not installed", SENDMAIL),
        "removed": Row(mta("msmtp", gone=("msmtp-mta",)), WARNING, "by hand", SENDMAIL),
        "the last of all": Row(mta("msmtp", "mawk", "msmtp-mta")),
        "no sendmail either": Row(
            both(mta("msmtp"), lambda root: root.remove(SENDMAIL)), also=("sender-sendmail",), verdict=Verdict.SKIPPED
        ),
        "no dpkg": Row(lambda root: root.remove(STATUS), verdict=Verdict.CANNOT_TELL),
    },
    "sender-cron": {
        "a job": Row(cron(WWW), WARNING, "www-data, who cannot read /etc/msmtprc (0600 root:root)", JOBS, 1),
        "one of its own": Row(cron("\n@daily /srv/report\n", SPOOL), WARNING, "www-data", SPOOL, 2),
        "no secret": Row(cron(WWW, JOBS, open_to_all), WARNING, f"cannot read {SECRET}", JOBS, 1),
        "not of that group": Row(cron("@daily daemon x\n", JOBS, shared), WARNING, "daemon", JOBS, 1),
        "of that group": Row(cron(WWW, JOBS, shared)),
        "an ACL for another": Row(cron("@daily daemon x\n", JOBS, acl("u:33:r")), WARNING, "daemon", JOBS, 1),
        "an ACL": Row(cron(WWW, JOBS, acl("u:33:r"))),
        "an ACL for its group": Row(cron(WWW, JOBS, acl("g:33:r"))),
        "no password": Row(cron(WWW, JOBS, no_password)),
        "root's": Row(cron("0 4 * * * root /srv/report\n")),
        "no mail": Row(cron(f'MAILTO=""\n{WWW}')),
        "no output": Row(cron("0 4 * * * www-data /srv/report >/dev/null 2>&1\n")),
        "its own file": Row(cron("@daily /srv/report -v >>/srv/log 2>/dev/null\n", SPOOL)),
        "words of another": Row(cron("@daily www-data df; /srv/x >/dev/null 2>&1\n"), WARNING, "www-data", JOBS, 1),
        "errors": Row(cron("@daily www-data /srv/report >/dev/null\n"), WARNING, "www-data", JOBS, 1),
        "some mail": Row(cron(f"MAILTO=\n{WWW}MAILTO=root\n{WWW}"), WARNING, "www-data", JOBS, 4),
        "with a configuration": Row(cron(WWW, JOBS, lambda root: root.write("/var/www/.msmtprc", uid=33))),
        "with one in .config": Row(cron(WWW, JOBS, lambda root: root.write("/var/www/.config/msmtp/config"))),
        "a leftover": Row(cron(WWW, "/etc/cron.d/jobs.dpkg-old")),
        "no msmtprc": Row(cron(WWW, JOBS, lambda root: root.remove(MSMTPRC)), verdict=Verdict.SKIPPED),
        "too long to be read": Row(cron("#" * 70_000), verdict=Verdict.CANNOT_TELL),
        "too long, and found": Row(cron(WWW + "#" * 70_000), WARNING, "www-data", JOBS, 1),
    },
    "sender-unit": {
        "a user's": Row(unit("User=www-data", SENDS), WARNING, "report.service sends mail as www-data", UNIT),
        "root's": Row(unit(SENDS)),
        "no mail": Row(unit("User=www-data", "ExecStart=/usr/bin/df")),
        "a dynamic user's": Row(unit("DynamicUser=yes", SENDS), WARNING, "sends mail as report", UNIT),
        "one of that group": Row(both(shared, unit("DynamicUser=yes", "SupplementaryGroups=msmtp", SENDS))),
        "may send": Row(
            unit("User=daemon", "ExecStart=/usr/sbin/atd", name="/usr/lib/systemd/system/atd.service"),
            INFO,
            "atd.service may send mail as daemon",
            "/usr/lib/systemd/system/atd.service",
        ),
        "with a configuration": Row(
            both(unit("User=33", SENDS), lambda root: root.write("/var/www/.msmtprc", account(), 0o600, 33))
        ),
        "too long to be read": Row(unit("#" * 70_000), verdict=Verdict.CANNOT_TELL),
    },
    "sender-mailto": {
        "a blank": Row(cron(f'MAILTO="root www-data"\n{WWW}'), WARNING, "cron refuses this MAILTO", JOBS, 1),
        "an option": Row(cron("\nMAILTO=-t\n@daily x\n", SPOOL), WARNING, "refuses", SPOOL, 2),
        "a comma": Row(cron('MAILTO="root@acme.test,ops@acme.test"\n@daily root x\n')),
        "nobody": Row(cron('MAILTO=""\n@daily root x\n')),
    },
    "sender-helper": {
        "old": Row(lambda root: root.write(HELPER, OLD_HELPER, 0o755), WARNING, "a shell script", HELPER),
        "with an option": Row(
            lambda root: root.write(HELPER, OLD_HELPER.replace("bash", "bash -e", 1), 0o755), WARNING, "shell", HELPER
        ),
        "in sbin": Row(
            lambda root: root.write("/usr/local/sbin/msmtp-config", "#!/usr/bin/env sh\n", 0o755),
            WARNING,
            "a shell script",
            "/usr/local/sbin/msmtp-config",
        ),
        "this program": Row(lambda root: root.write(HELPER, "#!/usr/bin/python3\n", 0o755)),
        "not in use": Row(lambda root: root.write(HELPER, OLD_HELPER, 0o644)),
    },
}  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize(("name", "row"), parameters(TABLE))
def test_check(name: str, row: Row, tmp_path: Path) -> None:
    assert_row(Root(tmp_path), name, row, IDS)


def test_every_check_has_both_kinds_of_rows() -> None:
    assert_complete(TABLE, way_in.CHECKS)


@pytest.mark.root
def test_a_loop_of_links_is_no_pass(tmp_path: Path) -> None:
    root = Root(tmp_path).good().link(SENDMAIL, "sendmail")
    assert root.result("sender-sendmail").verdict is not Verdict.PASSED


@pytest.mark.root
def test_the_remedy_is_a_line_for_this_host(tmp_path: Path) -> None:
    root = Root(tmp_path).good()
    root.write("/etc/cron.d/jobs", WWW, 0o644).write(SPOOL, "@daily x\n")
    assert [finding.remedy.partition("   #")[0] for finding in root.findings("sender-cron")] == [
        "sensible-editor +1 /etc/cron.d/jobs",
        "crontab -u www-data -e",
    ]
    root.remove(SENDMAIL)
    assert [finding.remedy for finding in root.findings("sender-sendmail")] == ["apt-get install --reinstall msmtp-mta"]
    mta("msmtp")(root)
    assert [finding.remedy for finding in root.findings("sender-sendmail")] == ["apt-get install msmtp-mta"]
    root.remove(STATUS)
    assert [finding.remedy for finding in root.findings("sender-sendmail")] == [
        "ln -sf ../bin/msmtp /usr/sbin/sendmail"
    ]


@pytest.mark.tree
@pytest.mark.parametrize("name", ["bookworm", "trixie"])
def test_a_real_debian_passes(name: str, tmp_path: Path) -> None:
    with Machine(name, tmp_path) as machine:
        machine.write(MSMTPRC, account(), mode=0o600)
        machine.write(SECRET, "Correct-Horse-Battery-41\n", mode=0o600)
        with Host(f"/proc/{machine.pid}/root") as host:
            results = audit(host, IDS).results
    assert [(result.id, result.verdict) for result in results] == [(name, Verdict.PASSED) for name in IDS]


@pytest.mark.tree
def test_another_mail_server_is_seen() -> None:
    """Postfix in the place of msmtp-mta: of the checks that need msmtp none passes."""
    with Host(str(tree("peer"))) as host:
        results = {result.id: result.verdict for result in audit(host, IDS).results}
    assert results["sender-msmtp"] is Verdict.FAILED
    assert results["sender-sendmail"] is Verdict.SKIPPED
