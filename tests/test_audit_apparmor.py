"""The audit's AppArmor group: the profile that msmtp ships, switched on, and accounts that it lets out or not.

What the kernel does was measured with this profile in force (Debian 12 and 13); the tables here say the same.
"""

from __future__ import annotations

import functools
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from msmtp_agent.audit import judge
from msmtp_agent.facts import Senders
from msmtp_agent.host import Host
from msmtp_agent.model import Severity, Verdict
from msmtp_agent.survey import survey
from tests.support.roots import LOG, MSMTPRC, SECRET, TRUST, Root
from tests.support.trees import tree

pytestmark = pytest.mark.tree

PROFILE = "/etc/apparmor.d/usr.bin.msmtp"
LOCAL = "/etc/apparmor.d/local/usr.bin.msmtp"
RELOAD = f"apparmor_parser -r {PROFILE}"
COMMAND, FILES, LOGGED, PRIVILEGES = (
    "apparmor-command",
    "apparmor-trust",
    "apparmor-log",
    "apparmor-no-new-privileges",
)
PROGRAMS = ("cat", "head", "sed", "tr", "env", "gpg", "systemd-creds", "python3.11", "dash")


@functools.cache
def shipped(distribution: str) -> str:
    return (tree(distribution) / PROFILE.lstrip("/")).read_text()


@pytest.fixture(params=["bookworm", "trixie"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    """A good host with the profile on: merged /usr, the programs of a Debian, and a log that the profile allows."""
    made = Root(tmp_path / "root").good().write(PROFILE, shipped(request.param), 0o644).write(LOCAL, "", 0o644)
    for program in PROGRAMS:
        made.write(f"/usr/bin/{program}", b"\x7fELF", 0o755)
    made.link("/bin", "usr/bin").link("/usr/bin/sh", "dash").link("/usr/bin/python3", "python3.11")
    return made.configure(logfile="/var/log/msmtp")


def after(root: Root, remedy: str, tmp_path: Path) -> None:
    """Do as the remedy says, in the root: the parser is one that does nothing."""
    parser = tmp_path / "bin/apparmor_parser"
    parser.parent.mkdir()
    parser.write_text("#!/bin/sh\n")
    parser.chmod(0o755)
    subprocess.run(
        ["sh", "-euc", remedy.replace("/etc/apparmor.d", f"{root.directory}/etc/apparmor.d")],
        env={"PATH": f"{parser.parent}:/usr/bin:/bin"},
        check=True,
        timeout=10,
    )


def test_a_good_host_is_good_with_the_profile_on(root: Root) -> None:
    assert root.findings(COMMAND, FILES, LOGGED, PRIVILEGES) == []
    assert root.result(COMMAND).verdict is Verdict.PASSED


# --- is it on


class TestOff:
    """Everything would be refused here; nothing is, because the profile is not in force."""

    @pytest.fixture
    def off(self, root: Root) -> Root:
        return root.configure(passwordeval="python3 -c 1", logfile=LOG, aliases="/srv/aliases").write("/srv/aliases")

    def test_or_else(self, off: Root) -> None:
        assert off.found(COMMAND, FILES, LOGGED) == [COMMAND, FILES, LOGGED]

    def test_no_profile(self, off: Root) -> None:
        assert off.remove(PROFILE).result(COMMAND).why == f"there is no {PROFILE}"

    @pytest.mark.parametrize("directory", ["disable", "force-complain"])
    def test_a_link_that_switches_it_off(self, off: Root, directory: str) -> None:
        link = f"/etc/apparmor.d/{directory}/usr.bin.msmtp"
        result = off.link(link, PROFILE).result(LOGGED)
        assert (result.verdict, result.why) == (Verdict.SKIPPED, f"{link} switches the profile off")

    def test_a_link_that_leads_nowhere_does_not(self, off: Root) -> None:
        assert off.link("/etc/apparmor.d/disable/usr.bin.msmtp", "/gone").found(LOGGED) == [LOGGED]

    @pytest.mark.parametrize("flag", ["complain", "unconfined", "default_allow"])
    def test_a_flag(self, off: Root, flag: str) -> None:
        text = off.at(PROFILE).read_text().replace("(attach_disconnected)", f"(attach_disconnected, {flag})")
        assert off.write(PROFILE, text).result(FILES).why == f"the profile has the flag {flag}"

    def test_a_profile_for_another_program(self, off: Root) -> None:
        text = off.at(PROFILE).read_text().replace("profile msmtp /usr/bin/msmtp", "profile msmtp /opt/msmtp")
        assert "is not for /usr/bin/msmtp" in off.write(PROFILE, text).result(FILES).why

    @pytest.mark.parametrize(
        ("enabled", "loaded", "why"),
        [
            ("Y\n", "msmtp (enforce)\nmsmtp//helpers (enforce)\n", ""),
            ("Y\n", None, ""),
            ("Y\n", "msmtp (complain)\n", "the kernel has it (complain)"),
            ("Y\n", "cupsd (enforce)\n", "the kernel has it (not loaded)"),
            ("N\n", None, "the kernel has AppArmor off"),
            (None, None, "the kernel has AppArmor off"),
        ],
    )
    def test_the_running_kernel_has_its_word(
        self, off: Root, enabled: str | None, loaded: str | None, why: str
    ) -> None:
        for path, text in (
            ("/sys/module/apparmor/parameters/enabled", enabled),
            ("/sys/kernel/security/apparmor/profiles", loaded),
        ):
            if text is not None:
                off.write(path, text)
        with Running(str(off.directory)) as host:
            result = judge(survey(host, time.time()), {LOGGED})[-1]
        assert (result.why, len(result.findings)) == (why, 0 if why else 1)


class Running(Host):
    """A root that counts as the running system."""

    @property
    def live(self) -> bool:
        return True


# --- the secret command


@pytest.mark.parametrize(
    "command",
    [
        f"cat {SECRET}",
        f"/bin/cat {SECRET}",
        f"/usr/bin/cat {SECRET}",
        f"head -n1 {SECRET}",
        f"exec cat {SECRET}",
        f"LC_ALL=C cat {SECRET} | head -n 1",
        f"cat {SECRET} 2>/dev/null",
        "gpg -d /etc/msmtp-password.gpg",
        "echo x",
        "pass msmtp",  # not installed: what it would be is allowed
        "$READER x",  # cannot be told
        "cat 'x",  # the shell refuses it
    ],
)
def test_an_allowed_command(root: Root, command: str) -> None:
    assert root.configure(passwordeval=command).findings(COMMAND) == []


@pytest.mark.parametrize(
    ("command", "observed"),
    [
        ("systemd-creds decrypt /etc/x.cred -", "starts /usr/bin/systemd-creds"),
        ("python3 -c 'print(1)'", "starts /usr/bin/python3.11"),
        ("/bin/python3 -c 'print(1)'", "starts /usr/bin/python3.11"),
        ("keyctl print 1", "starts a program, "),  # not installed
        (f"cat {SECRET} | tr a b", "starts /usr/bin/tr"),
        (f"env cat {SECRET}", "starts /usr/bin/env"),
        (f"sed -n 1p {SECRET}", "starts /usr/bin/sed"),
        (f"cat < {SECRET}", f"opens {SECRET}"),
        (f"cat {SECRET} 2>/var/log/err", "opens a file, "),  # not there
    ],
)
def test_a_refused_command(root: Root, command: str, observed: str) -> None:
    (found,) = root.configure(passwordeval=command).findings(COMMAND)
    assert (found.severity, found.path, found.line) == (Severity.ERROR, MSMTPRC, 11)
    assert observed in found.observed


@pytest.mark.parametrize("more", [{"auth": "off"}, {"password": "inline"}])
def test_a_command_that_is_not_run(root: Root, more: dict[str, str]) -> None:
    assert root.configure(passwordeval="python3 -c 1", **more).findings(COMMAND) == []


def test_auth_external_runs_it_all_the_same(root: Root) -> None:
    assert root.configure(passwordeval="python3 -c 1", auth="external").found(COMMAND) == [COMMAND]


def test_a_command_that_reads_the_secret_file_should_be_cat(root: Root) -> None:
    (found,) = root.configure(passwordeval=f"cat < {SECRET}").findings(COMMAND)
    assert found.remedy == f'sensible-editor +11 {MSMTPRC}   # passwordeval "cat {SECRET}"'


@pytest.mark.parametrize("command", ["Tr0ub4dor", "/Tr0ub4dor", f"cat {SECRET} </Tr0ub4dor", "sh Tr0ub4dor; Tr0ub4dor"])
@pytest.mark.parametrize("shell", ["dash", "busybox"])
def test_a_password_that_was_typed_there_is_not_told(root: Root, command: str, shell: str) -> None:
    root.write("/usr/bin/busybox", b"x", 0o755).link("/usr/bin/sh", shell).configure(passwordeval=command)
    (found,) = root.findings(COMMAND)
    assert "Tr0ub4dor" not in repr(found)


def test_another_program_needs_a_rule_in_helpers(root: Root) -> None:
    """Where local rules do not reach; and of two child profiles for one shell the parser takes neither."""
    (found,) = root.configure(passwordeval="systemd-creds cat msmtp | head -n1").findings(COMMAND)
    head, _, comment = found.remedy.partition("   # ")
    line = next(number for number, text in enumerate(lines(root, PROFILE), 1) if "profile helpers {" in text)
    assert head == f"sensible-editor +{line} {PROFILE} && {RELOAD}"
    rule = comment.removeprefix("inside the braces: ")
    assert rule == "/usr/bin/systemd-creds PUx,"
    root.write(PROFILE, "\n".join([*lines(root, PROFILE)[:line], rule, *lines(root, PROFILE)[line:]]))
    assert root.findings(COMMAND) == []


def lines(root: Root, path: str) -> list[str]:
    return root.at(path).read_text().splitlines()


def test_a_shell_that_the_profile_does_not_know(root: Root, tmp_path: Path) -> None:
    root.write("/usr/bin/busybox", b"\x7fELF", 0o755).link("/usr/bin/sh", "busybox")
    (found,) = root.findings(COMMAND)
    assert "needs /usr/bin/busybox, the shell" in found.observed
    after(root, found.remedy, tmp_path)
    assert root.findings(COMMAND) == []


@pytest.mark.parametrize(
    ("helpers", "rules", "found"),
    [
        ("Ux", "", []),
        ("ix", "/usr/bin/python3.11 PUx,", []),
        ("ix", "", [COMMAND]),
        ("Px -> elsewhere", "", []),
        ("Cx -> loose", "profile loose flags=(complain) {\n}", []),
        ("Cx -> own", "profile own {\n  /usr/bin/python3* Ux,\n}", []),
        ("Cx -> helpers", "deny /usr/bin/dash x,", [COMMAND]),
        ("Cx -> helpers", "/usr/bin/das? Ux,", [COMMAND]),  # the rule that lists its paths goes first
    ],
)
def test_where_the_profile_leads_the_shell(root: Root, helpers: str, rules: str, found: list[str]) -> None:
    text = root.at(PROFILE).read_text().replace("Cx -> helpers", helpers)
    root.configure(passwordeval="python3 -c 1").write(PROFILE, text).write(LOCAL, f"{rules}\n")
    assert root.found(COMMAND) == found


# --- certificates, key, aliases


@pytest.mark.parametrize(
    "path", [TRUST, "/usr/local/share/ca-certificates/own.crt", "/etc/letsencrypt/archive/a/chain1.pem"]
)
def test_an_allowed_trust_file(root: Root, path: str) -> None:
    assert root.write(path, "x", 0o644).configure(tls_trust_file=path).findings(FILES) == []


@pytest.mark.parametrize("setting", ["tls_trust_file", "tls_crl_file", "aliases"])
def test_a_refused_file(root: Root, setting: str, tmp_path: Path) -> None:
    path = "/etc/msmtp/file"
    root.write(path, "x", 0o644).configure(**{setting: path})
    (found,) = root.findings(FILES)
    assert (found.severity, found.path) == (Severity.ERROR, path)
    assert f"`{setting}` (line " in found.observed
    assert found.remedy == f"echo '{path} r,' >> {LOCAL} && {RELOAD}"
    after(root, found.remedy, tmp_path)
    assert root.findings(FILES) == []


def test_certificate_and_key(root: Root) -> None:
    root.write("/etc/ssl/private/own.key", "x").write("/srv/own.pem", "x")
    root.configure(tls_cert_file="/srv/own.pem", tls_key_file="/etc/ssl/private/own.key")
    assert [found.path for found in root.findings(FILES)] == ["/srv/own.pem"]


@pytest.mark.parametrize(
    "settings",
    [
        {"tls": "off"},
        {"tls_certcheck": "off"},
        {"tls_fingerprint": ":".join(["AB"] * 32)},
        {"tls_trust_file": "/etc/msmtp/missing"},
        {"tls_trust_file": "system"},
        {"tls_trust_file": "/etc/ssl/certs/../certs/link"},
        {"tls_cert_file": "/etc/msmtp/ca"},  # without a key neither is read
    ],
)
def test_a_file_that_is_not_read_or_not_there(root: Root, settings: dict[str, str]) -> None:
    root.write("/etc/msmtp/ca", "x", 0o644).link("/etc/ssl/certs/link", "ca-certificates.crt")
    trust = {} if "tls_cert_file" in settings else {"tls_trust_file": "/etc/msmtp/ca"}
    assert root.configure(**{**trust, **settings}).findings(FILES) == []


def test_a_link_counts_as_what_it_leads_to(root: Root) -> None:
    root.write("/srv/ca", "x", 0o644).link("/etc/ssl/certs/ca.pem", "../../../srv/ca")
    assert [found.path for found in root.configure(tls_trust_file="/etc/ssl/certs/ca.pem").findings(FILES)] == [
        "/srv/ca"
    ]
    root.link("/srv/link", TRUST)
    assert root.configure(tls_trust_file="/srv/link").findings(FILES) == []


def test_a_rule_for_the_owner_is_for_roots_own_files(root: Root) -> None:
    root.configure(aliases="~/.msmtp-aliases").write("/root/.msmtp-aliases", "x")
    assert root.findings(FILES) == []
    assert root.rights("/root/.msmtp-aliases", 0o644, uid=1000).found(FILES) == [FILES]


# --- the log


@pytest.mark.parametrize("log", ["/var/log/msmtp", "-", "/dev/null", "~/.msmtp.log", None])
def test_an_allowed_log(root: Root, log: str | None) -> None:
    os.mknod(root.mkdir("/dev").at("/dev/null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    assert root.configure(logfile=log).findings(LOGGED) == []


@pytest.mark.parametrize("missing", [False, True])
def test_a_refused_log(root: Root, missing: bool, tmp_path: Path) -> None:
    root.configure(logfile=LOG)
    if missing:
        root.remove(LOG)
    (found,) = root.findings(LOGGED)
    assert (found.severity, found.path) == (Severity.WARNING, LOG)
    assert found.remedy == f"echo '{LOG} wk,' >> {LOCAL} && {RELOAD}"
    after(root, found.remedy, tmp_path)
    assert root.findings(LOGGED) == []


@pytest.mark.parametrize(
    "name", ["a b", "it's", "a{b,c}", "st*r?[x]", "back\\slash", "mé", "a,b", "new\x1bline", "@{HOME}", "#x"]
)
def test_a_remedy_for_any_name(root: Root, name: str, tmp_path: Path) -> None:
    root.configure(logfile=f"/srv/{name}.log")
    (found,) = root.findings(LOGGED)
    assert found.remedy.isascii()
    assert found.remedy.isprintable()
    after(root, found.remedy, tmp_path)
    assert root.findings(LOGGED) == []
    assert root.configure(logfile="/srv/other.log").found(LOGGED) == [LOGGED]  # it was for that name alone


def test_writing_without_locking_is_not_enough(root: Root) -> None:
    root.configure(logfile=LOG).write(LOCAL, f"{LOG} w,\n")
    assert root.found(LOGGED) == [LOGGED]
    assert root.write(LOCAL, f"{LOG} k,\nowner w {LOG},\n").findings(LOGGED) == []


def test_a_rule_that_denies_wins_and_is_named(root: Root) -> None:
    root.configure(logfile=LOG).write(LOCAL, f"# ours\n\n{LOG} wk,\ndeny /var/log/** w,\n")
    (found,) = root.findings(LOGGED)
    assert found.remedy == f"sensible-editor +4 {LOCAL} && {RELOAD}   # take the `deny` away"


def test_a_profile_without_local_rules_is_edited_itself(root: Root) -> None:
    text = root.at(PROFILE).read_text().replace("#include <local/usr.bin.msmtp>", "")
    (found,) = root.configure(logfile=LOG).write(PROFILE, text).findings(LOGGED)
    assert found.remedy.startswith(f"sensible-editor +5 {PROFILE} && ")
    assert found.remedy.endswith(f"inside the braces: {LOG} wk,")


# --- NoNewPrivileges=


UNIT = "/etc/systemd/system/disk.service"
SERVICE = "[Service]\nExecStart=/bin/sh -c 'df | mail root'\n"


@pytest.mark.parametrize("setting", ["NoNewPrivileges=yes", "DynamicUser=yes"])
def test_a_unit_with_no_new_privileges(root: Root, setting: str) -> None:
    (found,) = root.write(UNIT, f"{SERVICE}{setting}\n", 0o644).findings(PRIVILEGES)
    assert (found.severity, found.path) == (Severity.ERROR, UNIT)
    assert found.observed.startswith("disk.service sends mail and has ")
    assert found.remedy.startswith("systemctl edit disk.service   # [Service] ")
    assert ("NoNewPrivileges=no" in found.remedy) is (setting == "NoNewPrivileges=yes")


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("NoNewPrivileges=no", {}),
        ("ProtectSystem=strict", {}),
        ("NoNewPrivileges=yes", {"auth": "off"}),  # no secret command: no other profile is needed
        ("NoNewPrivileges=yes", {"password": "inline"}),
    ],
)
def test_a_unit_that_can_send(root: Root, setting: str, settings: dict[str, str]) -> None:
    root.write(UNIT, f"{SERVICE}{setting}\n", 0o644).configure(logfile="/var/log/msmtp", **settings)
    assert root.findings(PRIVILEGES) == []


def test_a_unit_that_sends_where_it_was_told_to(root: Root) -> None:
    root.write("/usr/lib/systemd/system/smartd.service", "[Service]\nExecStart=/usr/sbin/smartd\nNoNewPrivileges=yes\n")
    assert [found.severity for found in root.findings(PRIVILEGES)] == [Severity.INFO]


def test_units_that_were_not_read(root: Root) -> None:
    with Host(str(root.directory)) as host:
        facts = survey(host, time.time())._replace(senders=Senders(units_left_out=("/etc/systemd/system/x",)))
    assert judge(facts, {PRIVILEGES})[-1].verdict is Verdict.CANNOT_TELL


def test_a_unit_with_no_new_privileges_and_no_profile(root: Root) -> None:
    root.write(UNIT, f"{SERVICE}NoNewPrivileges=yes\n", 0o644).remove(PROFILE)
    assert root.result(PRIVILEGES).verdict is Verdict.SKIPPED


def test_no_remedy_switches_the_profile_off(root: Root) -> None:
    root.configure(passwordeval="python3 -c 1", logfile=LOG, aliases="/srv/a", tls_trust_file="/srv/a").write("/srv/a")
    remedies = " ".join(found.remedy for found in root.findings(COMMAND, FILES, LOGGED))
    assert not {"aa-disable", "aa-complain", "disable", "complain", "teardown", "-R"} & set(
        remedies.replace("/", " ").split()
    )
