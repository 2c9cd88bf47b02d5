"""The group "Log" of the audit: each check where it speaks and where it must not, and logrotate as it really reads."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msmtp_agent import survey
from msmtp_agent.audit import judge
from msmtp_agent.checks import CATALOGUE
from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import AppArmor, Rotation
from msmtp_agent.host import Host
from msmtp_agent.model import Severity, Verdict
from msmtp_agent.survey import logrotate, rotation
from tests.support.roots import LOG, LOGROTATE, MSMTPRC, ROTATION, Root, account, sent
from tests.support.sandbox import Sandbox

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
IDS = [check.id for check in CATALOGUE if check.id.startswith("log-")]
CONF = "/etc/logrotate.conf"
Change = Callable[[Root], object]


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root").good()


def rule(*directives: str, log: str = LOG) -> Change:
    """The rule of the log with these directives, and nothing else."""
    text = "".join(f"\t{directive}\n" for directive in directives)
    return lambda root: root.write(LOGROTATE, f"{log} {{\n{text}}}\n", 0o644)


def both(*changes: Change) -> Change:
    return lambda root: [change(root) for change in changes]


def elsewhere(log: str) -> Change:
    return both(lambda root: root.configure(logfile=log), rule("weekly", log=log))


def special(kind: str) -> Change:
    def change(root: Root) -> None:
        root.remove(LOG)
        if kind == "FIFO":
            os.mkfifo(root.at(LOG))
        else:
            os.mknod(root.at(LOG), 0o600 | 0o020000, os.makedev(1, 7))  # /dev/full

    return change


# id, severity, path, words of what was observed, and what is done to a good root
FLAWED: list[tuple[str, Severity, str, str, Change]] = [
    ("log-none", INFO, MSMTPRC, "nothing tells whether mail leaves", lambda r: r.configure(logfile=None)),
    ("log-none", INFO, MSMTPRC, "`syslog` alone", lambda r: r.configure("syslog LOG_MAIL", logfile=None)),
    ("log-none", INFO, MSMTPRC, "standard output", lambda r: r.configure(logfile="-")),
    ("log-none", INFO, MSMTPRC, "no absolute path", lambda r: r.configure(logfile="msmtp.log")),
    ("log-not-writable", ERROR, LOG, "is a FIFO", special("FIFO")),
    ("log-not-writable", WARNING, LOG, "is a character device", special("device")),
    ("log-not-writable", WARNING, LOG, "is a directory", lambda r: r.remove(LOG).mkdir(LOG)),
    ("log-not-writable", WARNING, "/srv/none", "is missing", elsewhere("/srv/none/m.log")),
    ("log-not-writable", WARNING, "/usr/bin/msmtp", "is a regular file", elsewhere("/usr/bin/msmtp/m.log")),
    ("log-owner", WARNING, LOG, "user 33", lambda r: r.rights(LOG, 0o600, 33, 33)),
    ("log-mode", WARNING, LOG, "0644 root:root", lambda r: r.rights(LOG, 0o644)),
    ("log-mode", WARNING, LOG, "0660 root:4", lambda r: r.rights(LOG, 0o660, 0, 4)),
    ("log-mode", WARNING, LOG, "0602", lambda r: r.rights(LOG, 0o602)),
    ("log-rotation", WARNING, LOG, "in no rule", lambda r: r.remove(LOGROTATE)),
    ("log-rotation", WARNING, LOG, "in no rule", rule("weekly", log="/var/log/other.log")),
    ("log-rotation", WARNING, LOG, "in no rule", lambda r: r.remove(LOGROTATE).write(LOGROTATE + ".bak", ROTATION)),
    ("log-rotation", WARNING, LOG, "in no rule", lambda r: r.write(CONF, "weekly\n", 0o644)),
    ("log-rotation", WARNING, LOG, "in no rule", lambda r: r.remove(CONF)),
    ("log-rotation", WARNING, LOG, "logrotate is not installed", lambda r: r.remove("/usr/sbin/logrotate")),
    ("log-rotation", WARNING, LOGROTATE, "an error in line 2", rule("rotate many")),
    ("log-rotation", WARNING, LOGROTATE, "an error in line 2", rule("create 0640 nobodyatall adm")),
    ("log-rotation", WARNING, LOGROTATE, "group or others can write", lambda r: r.rights(LOGROTATE, 0o664)),
    ("log-rotation", WARNING, LOGROTATE, "not root's", lambda r: r.rights(LOGROTATE, 0o644, 33)),
    ("log-rotation", WARNING, LOGROTATE, "no `su`", lambda r: r.mkdir("/var/log", 0o775, 0, 105)),
    ("log-rotation", WARNING, LOGROTATE, "leaves it as it is", rule("weekly", "copy")),
    ("log-rotation-rights", WARNING, LOGROTATE, "`create 0644 root root`", rule("create 0644 root root")),
    ("log-rotation-rights", WARNING, LOGROTATE, "`create 0640 daemon adm`", rule("create 0640 daemon adm")),
    ("log-rotation-rights", WARNING, LOGROTATE, "`create 0660`", rule("create 0660")),
    (
        "log-rotation-rights",
        WARNING,
        CONF,
        "`create 0644 root adm`",
        both(lambda r: r.write(CONF, f"create 0644 root adm\ninclude {LOGROTATE}\n", 0o644), rule("weekly")),
    ),
    ("log-size", WARNING, LOG, "has 11 MiB", lambda r: os.truncate(r.log(sent()).at(LOG), 11 << 20)),
]
# The nearest neighbours: of what the audit says nothing
FLAWLESS: dict[str, Change] = {
    "syslog beside the log": lambda r: r.configure("syslog LOG_MAIL"),
    "no log yet": lambda r: r.remove(LOG),
    "a link to a file": lambda r: both(
        lambda r: r.write("/var/log/mail/msmtp", f"{sent()}\n").link(LOG, "mail/msmtp"),
        rule("weekly", log="/var/log/mail/*"),
    )(r),
    "readable by adm": lambda r: r.rights(LOG, 0o640, 0, 4),
    "0400": lambda r: r.rights(LOG, 0o400),
    "create alone": rule("create"),
    "create for adm": rule("create 0640 root adm"),
    "nocreate": rule("create 0644 root root", "nocreate"),
    "copytruncate overrules create": rule("create 0644 www-data www-data", "copytruncate"),
    "neither period nor size": rule("rotate 2"),
    "several logs and a glob": rule("weekly", log='/var/log/a.log "/var/log/ms*.log"\n/var/log/b.log'),
    "no included directory": lambda r: r.write(CONF, ROTATION, 0o644).remove(LOGROTATE),
    "su for a directory of another group": both(
        lambda r: r.mkdir("/var/log", 0o775, 0, 105), lambda r: r.write(CONF, f"su root adm\n{ROTATION}", 0o644)
    ),
    "a directory that root's group can write": lambda r: r.mkdir("/var/log", 0o775),
    "in root's home": both(
        lambda r: r.configure(logfile="~/m.log").write("/root/m.log"), rule("weekly", log="/root/m.log")
    ),
    "10 MiB": lambda r: os.truncate(r.log(sent()).at(LOG), 10 << 20),
}


@pytest.mark.parametrize(("name", "severity", "path", "seen", "change"), FLAWED)
def test_a_flaw_is_found(root: Root, name: str, severity: Severity, path: str, seen: str, change: Change) -> None:
    change(root)
    (finding,) = root.findings(*IDS)
    assert (finding.id, finding.severity, finding.path) == (name, severity, path)
    assert seen in finding.observed
    assert finding.expected
    assert "\n" not in finding.remedy


@pytest.mark.parametrize("change", FLAWLESS.values(), ids=FLAWLESS)
def test_its_nearest_neighbour_is_not(root: Root, change: Change) -> None:
    change(root)
    assert root.findings(*IDS) == []


@pytest.mark.root
@pytest.mark.parametrize("attribute", ["i", "a"])
def test_a_log_that_must_not_be_changed_is_found(root: Root, attribute: str) -> None:
    subprocess.run(["chattr", f"+{attribute}", root.at(LOG)], check=True, timeout=10)
    try:
        findings = root.findings(*IDS)
    finally:
        subprocess.run(["chattr", f"-{attribute}", root.at(LOG)], check=True, timeout=10)
    assert [(finding.id, finding.severity) for finding in findings] == [("log-not-writable", WARNING)]
    assert findings[0].remedy == f"chattr -i -a {LOG}"


def test_attributes_that_cannot_be_read_are_no_pass(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    def immutable(_: Host, path: str) -> bool:
        raise InputOutputError(path, "cannot be read: Permission denied")

    monkeypatch.setattr(Host, "immutable", immutable)
    (result,) = root.report(*IDS).having(Verdict.CANNOT_TELL)
    assert (result.id, result.why) == ("log-not-writable", f"{LOG}: cannot be read: Permission denied")


@pytest.mark.parametrize(("enforced", "wanted"), [(True, "/var/log/msmtp"), (False, "/var/log/msmtp.log")])
def test_a_log_is_proposed_that_msmtp_may_write(root: Root, enforced: bool, wanted: str) -> None:
    root.configure(logfile=None)
    with Host(str(root.directory)) as host:
        facts = survey.survey(host, 0.0)._replace(apparmor=AppArmor(enforced=enforced))
    (result,) = judge(facts, {"log-none"})
    assert result.findings[0].remedy == f"sensible-editor +1 {MSMTPRC}   # logfile {wanted}"


def test_without_a_log_the_other_checks_are_skipped_for_it(root: Root) -> None:
    root.configure(logfile=None)
    results = root.report(*IDS).results
    assert {result.verdict for result in results if result.id != "log-none"} == {Verdict.SKIPPED}
    assert {result.why for result in results if result.id not in ("log-none", "log-rotation-rights")} == {
        "needs log-none"
    }


def test_without_an_account_nothing_is_judged(root: Root) -> None:
    root.write(MSMTPRC, "account other\nhost x.test\n")
    assert {result.verdict for result in root.report(*IDS).results} == {Verdict.SKIPPED}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: [r.write(f"/etc/logrotate.d/r{n}", "weekly\n", 0o644) for n in range(2001)],
        lambda r: r.write(CONF, "#" * 1100000 + "\n", 0o644),
        lambda r: r.write(CONF, "/a* /b*[ /c? {\n}\n" * 400, 0o644),
    ],
    ids=["too many files", "too large", "too many patterns"],
)
def test_a_configuration_that_is_not_read_whole_is_no_pass(root: Root, spoil: Change) -> None:
    spoil(root)
    result = root.result("log-rotation")
    assert result.verdict is Verdict.CANNOT_TELL
    assert "read" in result.why or "tried" in result.why


@given(st.text(alphabet=st.sampled_from("/var \t\n{}#\"'*[]~=+x09") | st.characters(codec="latin-1"), max_size=200))
def test_any_text_is_read_to_its_end(text: str) -> None:
    kinds = [event.kind for event in logrotate.read(text, lambda *_: True)]
    assert "given up" not in kinds[:-1]
    assert kinds.count("open") >= kinds.count("close")


def test_a_remedy_of_a_strange_path_is_safe_to_paste(root: Root) -> None:
    strange = "/var/log/x$(reboot) y.log"
    root.configure(logfile=f'"{strange}"').write(strange, mode=0o644)
    for finding in root.findings(*IDS):
        assert "'" in finding.remedy or strange not in finding.remedy
        assert "$(reboot)" not in finding.remedy.replace(f"'{strange}'", "").replace(f"'\"{strange}\" {{'", "")


# --- the real program


class Rotated(NamedTuple):
    """What logrotate did: whether the old log is away, and the rights of the new one (None: there is none)."""

    done: bool
    rights: tuple[int, int, int] | None = None


SAME = (0o600, 0, 0)  # of the log before the rotation
WITH = "weekly\nrotate 2\ninclude /etc/logrotate.d\n"
REAL: dict[str, tuple[dict[str, str], Rotated]] = {
    "of the template": ({CONF: WITH, LOGROTATE: ROTATION}, Rotated(True, SAME)),
    "global create": ({CONF: f"create\n{WITH}", LOGROTATE: f"{LOG} {{\n}}\n"}, Rotated(True, SAME)),
    "global create with rights": (
        {CONF: f"create 0640 root adm\n{WITH}", LOGROTATE: f"{LOG} {{\n}}\n"},
        Rotated(True, (0o640, 0, 4)),
    ),
    "a later create keeps what it does not say": (
        {CONF: f"create 0640 root adm\n{WITH}", LOGROTATE: f"{LOG} {{\ncreate\n}}\n"},
        Rotated(True, (0o640, 0, 4)),
    ),
    "create with an owner alone": ({CONF: f"{LOG} {{\ncreate nobody adm\n}}\n"}, Rotated(True, (0o600, 65534, 4))),
    "nocreate": ({CONF: f"create\n{LOG} {{\nnocreate\n}}\n"}, Rotated(True, None)),
    "no create": ({CONF: f"{LOG} {{\n}}\n"}, Rotated(True, None)),
    "one line": ({CONF: f"{LOG} {{ create\nmissingok daily }}\n"}, Rotated(True, SAME)),
    "an error and no end": ({CONF: f"{LOG} {{ create\ncreate }}\n"}, Rotated(True, SAME)),
    "an error, a script and no end": ({CONF: f"{LOG} {{\nsu x\nprerotate\n}}\n"}, Rotated(True, None)),
    "a bad word on one line": ({CONF: f"{LOG} {{ weekly create }}\n"}, Rotated(False)),
    "without its end": ({CONF: f"{LOG} {{\ncreate\n"}, Rotated(True, SAME)),
    "several patterns": ({CONF: f'"/var/log/a b"\n/var/log/x*\n{LOG}\n{{\ncreate\n}}\n'}, Rotated(True, SAME)),
    "a comment among the patterns": ({CONF: f"/var/log/x\n# {LOG} }}\n{LOG} {{\ncreate\n}}\n"}, Rotated(True, SAME)),
    "only in a comment": ({CONF: f"/var/log/x\n# {LOG}\n{{\n}}\n"}, Rotated(False)),
    "a glob": ({CONF: "/var/*/[a-m]sm?p.log {\ncreate\n}\n"}, Rotated(True, SAME)),
    "a glob that does not reach": ({CONF: "/var/*.log {\ncreate\n}\n"}, Rotated(False)),
    "the first of two rules": ({CONF: f"/var/log/*.log {{\n}}\n{LOG} {{\ncreate\n}}\n"}, Rotated(True, None)),
    "the second after an error in the first": (
        {CONF: f"{LOG} {{\nrotate x\n}}\n{LOG} {{\ncreate\n}}\n"},
        Rotated(True, SAME),
    ),
    "a brace in a script": (
        {CONF: f"{LOG} {{\npostrotate\n: {{ }}\n}}\nendscript\ncreate\n}}\n"},
        Rotated(True, SAME),
    ),
    "quotes that do not end": ({CONF: f"'{LOG}{{\n}}\n/x {{\n}}\n"}, Rotated(True, None)),
    "an escape that does not end": ({CONF: f"{LOG}\\{{\n}}\n{LOG} {{\n}}\n"}, Rotated(False)),
    "an end without a beginning": ({CONF: f"}}\n{LOG} {{\n}}\n"}, Rotated(False)),
    "no directive": ({CONF: f"= 3\n{LOG} {{\n}}\n"}, Rotated(False)),
    "a taboo in a rule": ({CONF: f"{LOG} {{\ntabooext .x\n}}\n"}, Rotated(False)),
    "a rule in a rule": ({CONF: f"{LOG} {{\n/x {{\n}}\n}}\n"}, Rotated(False)),
    "a script without an end": ({CONF: f"{LOG} {{\npostrotate\ntrue\n}}\n"}, Rotated(False)),
    "an unknown directive": ({CONF: f"frobnicate 3\n{LOG} {{\nwhatever }} }}\ncreate\n}}\n"}, Rotated(True, SAME)),
    "an equals sign": ({CONF: f"rotate=2\n{LOG} {{\nrotate = 3\ncreate\n}}\n"}, Rotated(True, SAME)),
    "no blank behind a word": ({CONF: f"{LOG} {{\nrotate3\ncreate\n}}\n"}, Rotated(False)),
    "an error outside of a rule": ({CONF: f"rotate x\n{LOG} {{\ncreate\n}}\n"}, Rotated(False)),
    "an error behind the rule": ({CONF: f"{LOG} {{\ncreate\n}}\nrotate x\n"}, Rotated(True, SAME)),
    "a taboo name": ({CONF: WITH, f"{LOGROTATE}.dpkg-old": f"{LOG} {{\n}}\n"}, Rotated(False)),
    "a taboo taken back": ({CONF: f"tabooext .x\n{WITH}", f"{LOGROTATE}~": f"{LOG} {{\n}}\n"}, Rotated(True, None)),
    "a taboo added": ({CONF: f"taboopat + msm*\n{WITH}", LOGROTATE: f"{LOG} {{\n}}\n"}, Rotated(False)),
    "a hidden file": ({CONF: WITH, "/etc/logrotate.d/.m": f"{LOG} {{\n}}\n"}, Rotated(True, None)),
    "what an included file sets": (
        {CONF: WITH, "/etc/logrotate.d/a": "create 0640 root adm\n", LOGROTATE: f"{LOG} {{\n}}\n"},
        Rotated(True, (0o640, 0, 4)),
    ),
    "what one with an error sets": (
        {CONF: WITH, "/etc/logrotate.d/a": "create 0640 root adm\nrotate x\n", LOGROTATE: f"{LOG} {{\n}}\n"},
        Rotated(True, None),
    ),
    "what one with a bad rule sets": (
        {CONF: WITH, "/etc/logrotate.d/a": "create 0640 root adm\n/x {\nrotate x\n}\n", LOGROTATE: f"{LOG} {{\n}}\n"},
        Rotated(True, None),
    ),
    "set behind the include": ({CONF: f"{WITH}create\n", LOGROTATE: f"{LOG} {{\n}}\n"}, Rotated(True, None)),
    "copytruncate": ({CONF: f"{LOG} {{\ncopytruncate\ncreate 0644 nobody adm\n}}\n"}, Rotated(True, SAME)),
    "su": ({CONF: f"{LOG} {{\nsu root adm\ncreate\n}}\n"}, Rotated(True, SAME)),
    "su without a group": ({CONF: f"{LOG} {{\nsu root\ncreate\n}}\n"}, Rotated(False)),
    "a size": ({CONF: f"{LOG} {{\nsize 10k\ncreate\n}}\n"}, Rotated(True, SAME)),
    "a bad size": ({CONF: f"{LOG} {{\nsize 10x\ncreate\n}}\n"}, Rotated(False)),
    "an unknown user": ({CONF: f"{LOG} {{\ncreate 0640 nobodyatall adm\n}}\n"}, Rotated(False)),
    "an unknown group": ({CONF: f"{LOG} {{\ncreate 0640 root nobodyatall\n}}\n"}, Rotated(False)),
    "an olddir that is missing": ({CONF: f"{LOG} {{\nolddir old\ncreate\n}}\n"}, Rotated(False)),
    "an olddir that is made": ({CONF: f"{LOG} {{\nolddir old\ncreateolddir 0700\n}}\n"}, Rotated(True, None)),
    "a bad mode": ({CONF: f"{LOG} {{\ncreate 0698\n}}\n"}, Rotated(False)),
}


def _force(sandbox: Sandbox, texts: Iterable[tuple[str, str]]) -> Rotated:
    sandbox.shell("rm -f /etc/logrotate.conf; find /etc/logrotate.d -mindepth 1 -delete")
    for path, text in texts:
        sandbox.write(path, text, mode=0o644)
    sandbox.write(LOG, "one line\n")
    sandbox.run(["logrotate", "--force", "--state", "/run/logrotate.state", CONF])
    new = sandbox.stat(LOG) if sandbox.exists(LOG) else None
    if new is None or new.st_size == 0:
        return Rotated(True, (new.st_mode & 0o7777, new.st_uid, new.st_gid) if new else None)
    return Rotated(False)


def _expected(found: Rotation | None) -> Rotated:
    """What our reading of the rule says that logrotate will do."""
    numbers = {"": 0, "root": 0, "adm": 4, "nobody": 65534}
    if found is None or found.why_not:
        return Rotated(False)
    if found.create is None:
        return Rotated(True, None)
    mode, owner, group = found.create
    return Rotated(True, (int(mode or "600", 8), numbers[owner], numbers[group]))


@pytest.mark.parametrize(("texts", "wanted"), REAL.values(), ids=REAL)
def test_a_rule_counts_as_it_does_for_logrotate(
    sandbox: Sandbox, texts: dict[str, str], wanted: Rotated, request: pytest.FixtureRequest
) -> None:
    assert _force(sandbox, texts.items()) == wanted
    with Host(str(sandbox.path("/"))) as host:
        found = rotation.find(host, LOG, host.inspect("/var/log"))
    truncated = request.node.callspec.id == "copytruncate"
    assert _expected(found) == (Rotated(True, None) if truncated else wanted)


@pytest.mark.parametrize(
    ("mode", "uid", "su", "wanted"),
    [(0o644, 0, "", True), (0o664, 0, "", False), (0o644, 33, "", False), (0o600, 0, "", True)],
)
def test_a_file_counts_by_its_rights(sandbox: Sandbox, mode: int, uid: int, su: str, wanted: bool) -> None:
    assert _force(sandbox, [(CONF, "include /etc/logrotate.d\n")]) == Rotated(False)
    sandbox.write(LOGROTATE, f"{LOG} {{\n{su}}}\n", mode=mode, uid=uid)
    sandbox.run(["logrotate", "--force", "--state", "/run/logrotate.state", CONF])
    with Host(str(sandbox.path("/"))) as host:
        found = rotation.find(host, LOG, host.inspect("/var/log"))
    assert found is not None
    assert (not found.why_not) == wanted == (not sandbox.exists(LOG))


@pytest.mark.parametrize(
    ("mode", "gid", "su", "wanted"),
    [
        (0o775, 4, "", False),
        (0o775, 0, "", True),
        (0o777, 0, "", False),
        (0o755, 4, "", True),
        (0o775, 4, "su root adm\n", True),
    ],
)
def test_a_directory_counts_by_its_rights(sandbox: Sandbox, mode: int, gid: int, su: str, wanted: bool) -> None:
    os.chown(sandbox.path("/var/log"), 0, gid)
    sandbox.path("/var/log").chmod(mode)
    assert _force(sandbox, [(CONF, f"{LOG} {{\n{su}}}\n")]).done == wanted
    with Host(str(sandbox.path("/"))) as host:
        found = rotation.find(host, LOG, host.inspect("/var/log"))
    assert found is not None
    assert (not found.why_not) == wanted


def test_the_rule_that_is_proposed_is_one(sandbox: Sandbox, root: Root) -> None:
    root.remove(LOGROTATE)
    remedy = root.findings("log-rotation")[0].remedy
    remedy = remedy.partition("   # ")[0]
    assert remedy == "msmtp-config audit --fix --only log-rotation"
    _force(sandbox, [(CONF, WITH)])
    sandbox.write("/etc/msmtprc", account())
    sandbox.agent(*remedy.split()[1:])
    sandbox.run(["logrotate", "--force", "--state", "/run/logrotate.state", CONF], check=True)
    assert sandbox.stat(LOG).st_size == 0
    assert sandbox.stat(LOG).st_mode & 0o7777 == 0o600
    assert sandbox.exists(f"{LOG}.1.gz")


def test_a_configuration_that_cannot_be_read_is_an_error(root: Root) -> None:
    root.link(CONF, CONF)
    with Host(str(root.directory)) as host, pytest.raises(InputOutputError, match="symbolic links"):
        rotation.find(host, LOG, host.inspect("/var/log"))
