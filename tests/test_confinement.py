"""A failure that msmtp's AppArmor profile has caused is told as that, with the line that mends it.

The words are msmtp's own under the enforced profile, as tests/test_vm_apparmor.py meets them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from msmtp_agent.explain import explain
from msmtp_agent.host import Host
from msmtp_agent.model import Confidence, Diagnosis, Outcome, Owner
from msmtp_agent.survey import configuration
from tests.support.roots import LOG, MSMTPRC, SECRET, Root

PROFILE = "/etc/apparmor.d/usr.bin.msmtp"
LOCAL = "/etc/apparmor.d/local/usr.bin.msmtp"
SWITCH = "/etc/apparmor.d/disable/usr.bin.msmtp"
RULES = """\
profile msmtp /usr/bin/msmtp {
  /usr/bin/msmtp mr,
  /etc/aliases r,
  /etc/msmtprc r,
  /etc/ssl/** r,
  /var/log/msmtp wk,
  /{,usr/}bin/dash Cx -> helpers,
  profile helpers {
    /{,usr/}bin/cat PUx,
  }
  #include <local/usr.bin.msmtp>
}
"""
CA = "/etc/msmtp/ca.pem"
LOADED = f"apparmor_parser -r {PROFILE}"
NOT_PERMITTED = f"cannot evaluate 'cat {SECRET}': Operation not permitted"


class Running(Host):
    """A root that counts as the running system."""

    @property
    def live(self) -> bool:
        return True


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(tmp_path / "root").good().write(PROFILE, RULES, 0o644).write(LOCAL, "", 0o644)
    for program in ("dash", "cat", "python3.13"):
        made.write(f"/usr/bin/{program}", b"\x7fELF", 0o755)
    made.link("/bin", "usr/bin").link("/usr/bin/sh", "dash").link("/usr/bin/python3", "python3.13")
    made.write("/sys/module/apparmor/parameters/enabled", "Y\n")
    made.write("/proc/self/status", "Name:\tmsmtp-config\nNoNewPrivs:\t0\nSeccomp:\t0\n")
    return made.write("/proc/self/cgroup", "0::/user.slice/session-1.scope\n").configure(logfile="/var/log/msmtp")


def told(root: Root, status: int, *words: str) -> Diagnosis:
    with Running(str(root.directory)) as host:
        account = configuration.gather(host).account
        assert account is not None
        return explain(host, account, Outcome(status, words))


def elsewhere(root: Root) -> tuple[str, str]:
    """A trust file in a place that the profile does not have, and what msmtp says of it."""
    root.configure(logfile="/var/log/msmtp", tls_trust_file=CA).write(CA, "", 0o644)
    return f"cannot set X509 trust file {CA} for TLS session: Error while reading file.", "could not send mail"


def test_a_trust_file(root: Root) -> None:
    found = told(root, 66, *elsewhere(root))
    assert (found.id, found.owner, found.confidence) == ("apparmor-trust", Owner.HOST, Confidence.CERTAIN)
    assert found.cause.startswith(f"{CA} is the account's `tls_trust_file` (line ")
    assert found.cause.endswith("and the AppArmor profile refuses it")
    assert found.steps == (f"echo '{CA} r,' >> {LOCAL} && {LOADED}",)
    assert found.evidence[0].startswith("cannot set X509 trust file")


def test_a_trust_file_that_the_profile_allows(root: Root) -> None:
    words = elsewhere(root)
    assert told(root.write(LOCAL, f"{CA} r,\n"), 66, *words).id == "trust-file"


@pytest.mark.parametrize("why", ["switched off", "no profile", "kernel", "not to be read", "complain"])
def test_a_profile_that_is_not_in_force_is_not_blamed(root: Root, why: str) -> None:
    words = elsewhere(root)
    if why == "switched off":
        root.link(SWITCH, PROFILE)
    elif why == "no profile":
        root.remove(PROFILE)
    elif why == "kernel":
        root.write("/sys/module/apparmor/parameters/enabled", "N\n")
    elif why == "not to be read":
        root.write(PROFILE, RULES.replace("  #include", "  if $many {\n  }\n  #include"))
    else:
        root.write(PROFILE, RULES.replace("msmtp {", "msmtp flags=(complain) {"))
    assert told(root, 66, *words).id == "trust-file"


def test_another_failure_of_tls(root: Root) -> None:
    elsewhere(root)
    assert told(root, 69, "TLS certificate verification failed: the certificate has expired").id == "tls-expired"


def test_a_failure_of_the_server(root: Root) -> None:
    elsewhere(root)
    assert told(root, 77, "authentication failed (method PLAIN)", "server message: 535 no").owner is not Owner.HOST


def test_the_aliases(root: Root) -> None:
    root.configure(logfile="/var/log/msmtp", aliases="/srv/aliases").write("/srv/aliases", "root: a@b.test\n", 0o644)
    found = told(root, 78, "/srv/aliases: Permission denied")
    assert found.id == "apparmor-trust"
    assert found.steps == (f"echo '/srv/aliases r,' >> {LOCAL} && {LOADED}",)
    assert told(root, 78, f"{MSMTPRC}: line 3: unknown command bogus").id == "configuration-faulty"


def test_the_secret_command(root: Root) -> None:
    root.configure(logfile="/var/log/msmtp", passwordeval="python3 -c 1")
    found = told(root, 78, "sh: 1: python3: Permission denied", "cannot read output of 'python3 ***'")
    assert found.id == "apparmor-command"
    assert found.cause == "`passwordeval` starts /usr/bin/python3.13, which the AppArmor profile refuses"
    assert found.steps[0].startswith(f"sensible-editor +8 {PROFILE} && {LOADED}   # inside the braces: ")


def test_a_secret_command_that_fails_by_itself(root: Root) -> None:
    assert told(root, 78, f"cannot read output of 'cat {SECRET}'").id == "secret-empty"


def test_the_log(root: Root) -> None:
    found = told(root.configure(logfile=LOG), 0, f"cannot log to {LOG}: cannot open: Permission denied")
    assert (found.id, found.cause) == ("apparmor-log", f"{LOG} is the log, and the AppArmor profile refuses it")
    assert found.steps == (f"echo '{LOG} wk,' >> {LOCAL} && {LOADED}",)


@pytest.mark.parametrize(
    ("group", "subject", "unit"),
    [
        ("0::/system.slice/backup.service\n", "backup.service", "backup.service"),
        ("0::/system.slice/system-x.slice/x@a\\x2db.service\n", "x@a\\x2db.service", "'x@a\\x2db.service'"),
        ("0::/user.slice/session-1.scope\n", "this service", "NAME"),
    ],
)
def test_a_service_without_new_privileges(root: Root, group: str, subject: str, unit: str) -> None:
    root.write("/proc/self/status", "Name:\tx\nNoNewPrivs:\t1\n").write("/proc/self/cgroup", group)
    found = told(root, 78, NOT_PERMITTED)
    assert found.id == "apparmor-no-new-privileges"
    assert found.cause.startswith(f"{subject} has NoNewPrivileges=yes: ")
    assert found.steps == (f"systemctl edit {unit}   # [Service] NoNewPrivileges=no",)


def test_new_privileges_are_no_matter_elsewhere(root: Root) -> None:
    assert told(root, 78, NOT_PERMITTED).id == "secret-forbidden"  # they may be gained
    root.write("/proc/self/status", "NoNewPrivs:\t1\n")
    assert told(root, 78, f"cannot read output of 'cat {SECRET}'").id == "secret-empty"
    assert told(root.link(SWITCH, PROFILE), 78, NOT_PERMITTED).id == "secret-forbidden"
