"""A failure that msmtp's AppArmor profile has caused is told as that, with the line that mends it.

The words are msmtp's own under the enforced profile, as tests/test_vm_apparmor.py meets them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from msmtp_agent.delivery import deliver
from msmtp_agent.errors import InputOutputError
from msmtp_agent.explain import explain
from msmtp_agent.host import Host
from msmtp_agent.journal import Entry, Journal
from msmtp_agent.model import Confidence, Diagnosis, Outcome, Owner, StageResult
from msmtp_agent.msmtp import Msmtp
from msmtp_agent.msmtprc import Account
from msmtp_agent.survey import configuration
from tests.support.roots import LOG, MSMTPRC, SECRET, TRUST, Root

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


@pytest.mark.parametrize(
    "words",
    [
        f"cannot set X509 trust file {CA} for TLS session: The requested data were not available.",  # it was read
        "cannot set X509 CRL file /etc/ssl/x.crl for TLS session: Error while reading file.",  # another file
        "cannot set X509 key file /k and/or X509 cert file /c for TLS session: Error while reading file.",
        "cannot set credentials for TLS session: Error while reading file.",
    ],
)
def test_a_file_that_is_at_fault_itself(root: Root, words: str) -> None:
    elsewhere(root)
    assert not told(root, 66, words).id.startswith("apparmor-")


@pytest.mark.parametrize("refused", ["tls_cert_file", "tls_key_file"])
def test_a_client_certificate(root: Root, refused: str) -> None:
    pair = {"tls_cert_file": "/etc/ssl/c.pem", "tls_key_file": "/etc/ssl/k.pem", refused: "/srv/x.pem"}
    root.configure(logfile="/var/log/msmtp", **pair)
    for name in pair.values():
        root.write(name, "", 0o644)
    key = f"cannot set X509 key file {pair['tls_key_file']} and/or X509 cert file {pair['tls_cert_file']}"
    found = told(root, 66, f"{key} for TLS session: Error while reading file.")
    assert (found.id, found.cause.partition(" ")[0]) == ("apparmor-trust", "/srv/x.pem")


def test_the_trust_of_the_system(root: Root) -> None:
    root.configure(logfile="/var/log/msmtp", tls_trust_file="system")
    root.write(PROFILE, RULES.replace("  /etc/ssl/** r,\n", ""), 0o644)
    found = told(root, 66, "cannot set X509 system trust for TLS session: Error while reading file.")
    assert (found.id, found.cause.partition(" ")[0]) == ("apparmor-trust", TRUST)


def test_a_failure_of_the_server(root: Root) -> None:
    elsewhere(root)
    assert told(root, 77, "authentication failed (method PLAIN)", "server message: 535 no").owner is not Owner.HOST


def test_the_aliases(root: Root) -> None:
    root.configure(logfile="/var/log/msmtp", aliases="/srv/aliases").write("/srv/aliases", "root: a@b.test\n", 0o644)
    found = told(root, 78, "/srv/aliases: Permission denied")
    assert found.id == "apparmor-trust"
    assert found.steps == (f"echo '/srv/aliases r,' >> {LOCAL} && {LOADED}",)
    assert told(root, 78, f"{MSMTPRC}: line 3: unknown command bogus").id == "configuration-faulty"
    assert told(root, 78, "/srv/aliases: line 1: invalid address").id == "aliases-faulty"


def test_the_aliases_at_home(root: Root) -> None:
    root.configure(logfile="/var/log/msmtp", aliases="~/aliases").write("/root/aliases", "root: a@b.test\n", 0o644)
    assert told(root, 78, "/root/aliases: Permission denied").id == "apparmor-trust"
    assert told(root, 78, "/root/.msmtprc: Permission denied").id == "configuration-missing"


def test_the_secret_command(root: Root) -> None:
    root.configure(logfile="/var/log/msmtp", passwordeval="python3 -c 1")
    found = told(root, 78, "sh: 1: python3: Permission denied", "cannot read output of 'python3 ***'")
    assert found.id == "apparmor-command"
    assert found.cause == "`passwordeval` starts /usr/bin/python3.13, which the AppArmor profile refuses"
    assert found.steps[0].startswith(f"sensible-editor +8 {PROFILE} && {LOADED}   # inside the braces: ")


def test_a_secret_command_that_is_refused_without_a_word(root: Root) -> None:
    root.configure(logfile="/var/log/msmtp", passwordeval="python3 -c 1 2>/dev/null")
    assert told(root, 78, "cannot read output of 'python3 ***'").id == "apparmor-command"


def test_a_secret_command_that_fails_by_itself(root: Root) -> None:
    assert told(root, 78, f"cannot read output of 'cat {SECRET}'").id == "secret-empty"
    root.configure(logfile="/var/log/msmtp", passwordeval="python3 -c 1")  # which is refused, too
    before = f"cat: {SECRET}: No such file or directory"
    assert told(root, 78, before, f"cannot read output of 'cat {SECRET} | python3 ***'").id == "secret-missing"


@pytest.mark.parametrize("words", [("sh: 1: pyhton: not found",), ()])
def test_a_secret_command_that_is_not_there(root: Root, words: tuple[str, ...]) -> None:
    root.configure(logfile="/var/log/msmtp", passwordeval="pyhton -c 1")
    assert told(root, 78, *words, "cannot read output of 'pyhton ***'").id == "secret-empty"


def test_the_log(root: Root) -> None:
    found = told(root.configure(logfile=LOG), 0, f"cannot log to {LOG}: cannot open: Permission denied")
    assert (found.id, found.cause) == ("apparmor-log", f"{LOG} is the log, and the AppArmor profile refuses it")
    assert found.steps == (f"echo '{LOG} wk,' >> {LOCAL} && {LOADED}",)


@pytest.mark.parametrize("why", ["cannot open: Read-only file system", "No space left on device", "output error"])
def test_a_log_that_is_at_fault_itself(root: Root, why: str) -> None:
    assert told(root.configure(logfile=LOG), 0, f"cannot log to {LOG}: {why}").id == "log-unwritable"


class Noted:
    """Who is told of a job: keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def stage(self, result: StageResult) -> None:
        pass

    def warning(self, text: str) -> None:
        self.warnings.append(text)


class Sent(Msmtp):
    """A msmtp whose mail has left, with these words."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def log(self, _: Account) -> str | None:
        return None

    def send(self, *_: object) -> Outcome:
        return Outcome(0, self._words)

    def last_reply(self, *_: object) -> str:
        return "250 OK"


@pytest.mark.parametrize("path", [LOG, "/var/log/msmtp"])
def test_the_mend_of_a_log_stands_behind_the_line_that_it_is_for(root: Root, path: str) -> None:
    """What the secret command says may look like a line of msmtp's own."""
    noise = "/root/.gnupg: Permission denied"
    line = f"cannot log to {path}: cannot open: Permission denied"
    noted = Noted()
    with Running(str(root.configure(logfile=path).directory)) as host:
        account = configuration.gather(host).account
        assert account is not None
        msmtp = Sent(noise, line, "log info was: host=mail.example.test")
        deliver(host, msmtp, account, "admin@acme.test", None, Journal(noted), Entry())
    first, second, third = noted.warnings
    assert (first, third) == (f"msmtp: {noise}", "msmtp: log info was: host=mail.example.test")
    mends = {
        LOG: f"{LOG} is the log, and the AppArmor profile refuses it (echo '{LOG} wk,' >> {LOCAL} && {LOADED})",
        "/var/log/msmtp": "the mail has left, and msmtp could not write that to its log (msmtp-config audit --fix"
        "   # owner and rights of the log)",
    }
    assert second == f"msmtp: {line}: {mends[path]}"


def test_whatever_cannot_be_read_is_not_blamed(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the machine fails once: the answer is the one of msmtp's words, or, seen well enough, the mend."""
    words = elsewhere(root)
    looks = 0

    def failing(name: str, nth: int) -> None:
        real = getattr(Host, name)

        def look(self: Host, path: str, *arguments: object, **options: object) -> object:
            nonlocal looks
            looks += 1
            if looks == nth:
                raise InputOutputError(path, "cannot be read")
            return real(self, path, *arguments, **options)

        monkeypatch.setattr(Running, name, look, raising=False)

    found = []
    with Running(str(root.directory)) as host:
        account = configuration.gather(host).account
    assert account is not None
    for nth in range(1, 200):
        looks = 0
        for name in ("inspect", "read", "resolve"):
            failing(name, nth)
        with Running(str(root.directory)) as host:
            found.append(explain(host, account, Outcome(66, words)).id)
        if looks < nth:
            break
    assert looks < nth
    assert {"trust-file", "apparmor-trust"} == set(found)


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
