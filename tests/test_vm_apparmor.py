"""msmtp's AppArmor profile, enforced by a real kernel: every job works, or says in one line what was refused.

One boot, because a boot is dear: the guest runs every job (tests/support/confined.sh), and then each of the functions
here looks at what came of some.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support import confined
from tests.support.confined import LOCAL, OTHER_ALIASES, OTHER_CA, OTHER_LOG, PROFILE, Confined
from tests.support.peer import Peer

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow, pytest.mark.timeout(1800)]


def the_profile_is_enforced(guest: Confined) -> None:
    assert guest.text("profiles").split("\n")[:2] == ["msmtp (enforce)", "msmtp//helpers (enforce)"]


def the_unit_stores_a_proven_password(guest: Confined) -> None:
    """The probe reads the password from a descriptor that it inherits, in the unit's sandbox."""
    assert "Result=success" in guest.text("unit.show")
    assert "NoNewPrivileges=no" in guest.text("unit.show")
    said = guest.text("unit")
    assert "12587 accepted the password; no mail was sent" in said
    assert "/etc/msmtp-password created, 0600 root:root" in said
    assert "test mail to operator@example.test: 250 2.0.0 Ok" in said
    assert "warning" not in said
    assert guest.denied_at_boot == ()


def what_the_profile_allows_works(guest: Confined) -> None:
    for job in ("sendmail", "diagnose", "audit-unit", "pin", "apply", "mended", "python-mended", "service-mended"):
        ended = guest.ended(job)
        assert (ended.status, ended.denied) == (0, ()), (job, ended)


def the_audits_own_unit_finds_a_good_host_good(guest: Confined) -> None:
    said = guest.text("audit-unit.journal")
    assert re.search(r"^/: [0-9]+ checks passed$", said, re.MULTILINE), said


def diagnose_goes_all_the_way(guest: Confined) -> None:
    output = guest.ended("diagnose").output
    assert "the server accepted the password of alerts@example.test" in output
    assert "/var/log/msmtp: the last mail was accepted" in output


def pin_reads_its_configuration_from_a_pipe(guest: Confined) -> None:
    assert "port 12590 msmtp takes this certificate, and no other" in guest.ended("pin").output


def apply_proves_a_long_password_and_logs_where_it_may(guest: Confined) -> None:
    report = guest.ended("apply").json
    assert (report["verification"], report["error"], report["warnings"]) == ("accepted", None, [])
    assert guest.text("apply.rights") == f"600 root:root {len(confined.LONG_SECRET) + 1}\n"
    assert f"logfile        {confined.LOG}\n" in guest.text("apply.msmtprc")


def a_configuration_elsewhere_is_refused(guest: Confined) -> None:
    """Nothing of ours uses `-C` with a file; msmtp names what it may not read."""
    ended = guest.ended("elsewhere")
    assert (ended.status, ended.errors) == (74, "msmtp: /srv/good.msmtprc: Permission denied\n")
    assert ended.denied == ("/srv/good.msmtprc r",)


REFUSED = (
    # The job, msmtp's status, what the kernel denied, the finding, and the line that mends it.
    ("refused-1", 78, ("/usr/bin/systemd-creds x",), "apparmor-command", f"sensible-editor +69 {PROFILE}"),
    ("refused-2", 78, (f"{OTHER_ALIASES} r",), "apparmor-trust", f"echo '{OTHER_ALIASES} r,' >> {LOCAL}"),
    ("refused-3", 66, (f"{OTHER_CA} r", f"{OTHER_LOG} c"), "apparmor-trust", f"echo '{OTHER_CA} r,' >> {LOCAL}"),
    ("python", 78, ("/usr/bin/python3.13 x",), "apparmor-command", "sensible-editor +12 /etc/msmtprc"),
)


def a_refusal_is_told_in_one_line_with_the_mend(guest: Confined) -> None:
    for job, status, denied, name, mend in REFUSED:
        ended = guest.ended(job)
        report = ended.json
        assert (ended.status, ended.denied) == (status, denied), (job, ended)
        assert report["diagnosis"]["id"] == name, (job, report)
        assert report["diagnosis"]["cause"].endswith("the AppArmor profile refuses it") or name == "apparmor-command"
        (step,) = report["diagnosis"]["steps"]
        assert step.startswith(mend), (job, step)


def a_log_that_is_refused_costs_no_mail_and_is_told_with_the_mend(guest: Confined) -> None:
    ended = guest.ended("refused-4")
    assert (ended.status, ended.denied) == (0, (f"{OTHER_LOG} c",)), ended
    (warning,) = (one for one in ended.json["warnings"] if "cannot log" in one)
    assert f"{OTHER_LOG} is the log, and the AppArmor profile refuses it (echo '{OTHER_LOG} wk,' >> " in warning


def the_audit_names_all_of_it_with_the_same_mends(guest: Confined) -> None:
    ended = guest.ended("audit")
    assert (ended.status, ended.denied) == (1, ())
    found = ended.json["roots"][0]["findings"]
    assert sorted({one["id"] for one in found if one["id"].startswith("apparmor-")}) == [
        "apparmor-command",
        "apparmor-log",
        "apparmor-no-new-privileges",
        "apparmor-trust",
    ]
    remedies = {one["remedy"] for one in found}
    for number in (1, 2, 3, 4):
        assert guest.text(f"mend-{number}.line").strip() in remedies


def each_mend_helps(guest: Confined) -> None:
    """Those that come after it were refused something else, and the last nothing (see above)."""
    for job in ("mend-1", "mend-2", "mend-3", "mend-4", "python-mend", "service-mend"):
        assert guest.ended(job).status == 0, guest.ended(job)
    assert "recipients=operator@example.test" in guest.text("mended.log")
    assert guest.ended("mended").json["warnings"] == []


def a_service_without_new_privileges_is_told_so(guest: Confined) -> None:
    ended = guest.ended("service")
    assert ended.status == 1
    assert ended.denied == ("/bin/sh x",)
    report = json.loads(guest.text("service.told"))
    assert report["error"]["code"] == 78
    assert report["diagnosis"]["id"] == "apparmor-no-new-privileges"
    assert report["diagnosis"]["steps"] == ["systemctl edit report.service   # [Service] NoNewPrivileges=no"]
    assert guest.text("service-mend.line").strip() == report["diagnosis"]["steps"][0]


JUDGES = (
    the_profile_is_enforced,
    the_unit_stores_a_proven_password,
    what_the_profile_allows_works,
    the_audits_own_unit_finds_a_good_host_good,
    diagnose_goes_all_the_way,
    pin_reads_its_configuration_from_a_pipe,
    apply_proves_a_long_password_and_logs_where_it_may,
    a_configuration_elsewhere_is_refused,
    a_refusal_is_told_in_one_line_with_the_mend,
    a_log_that_is_refused_costs_no_mail_and_is_told_with_the_mend,
    the_audit_names_all_of_it_with_the_same_mends,
    each_mend_helps,
    a_service_without_new_privileges_is_told_so,
)


def test_every_job_under_the_enforced_profile(tmp_path: Path, peer: Peer) -> None:
    with Confined("trixie", tmp_path, peer) as guest:
        faults = []
        for judge in JUDGES:
            try:
                judge(guest)
            except AssertionError as fault:
                fault.add_note(judge.__name__)
                faults.append(fault)
        # The unit's mail and one that a script sent; then four test mails, and two that are named.
        subjects = guest.judge(mails=8)
    if faults:
        raise ExceptionGroup("under msmtp's enforced AppArmor profile", faults)
    assert (subjects.count("from sendmail"), subjects.count("from a service")) == (1, 1)
