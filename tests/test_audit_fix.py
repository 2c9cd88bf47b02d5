"""What `audit --fix` mends, and what it leaves alone: root trees, every file judged by what stands there afterwards."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from msmtp_agent import repair
from msmtp_agent.errors import CantCreateError
from msmtp_agent.facts import Facts
from msmtp_agent.host import Host
from msmtp_agent.model import Repair, Report
from msmtp_agent.survey import survey
from tests.support.repairs import BACKUP, LOG, LOGROTATE, NOW, facts, log_at, report, seen_by
from tests.support.roots import ALIASES, MSMTPRC, SECRET, Root, account
from tests.support.sandbox import Sandbox

pytestmark = pytest.mark.root

STRAY = "/etc/msmtprc.save"
TEXT = b"a file of two lines\nwithout a line feed at its end"
RIGHT = "0600 root:root"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(tmp_path / "root")
    return made.mkdir("/etc").mkdir("/var/log").write("/etc/logrotate.conf", "include /etc/logrotate.d\n", 0o644)


def plan(root: Root, found: Report, known: Facts | None = None) -> list[Repair]:
    with Host(str(root.directory)) as host:
        return [planned.repair for planned in repair.plan(host, seen_by(host, known or facts()), found)]


def fix(root: Root, found: Report, known: Facts | None = None) -> list[Repair]:
    """Plan and carry out; what was told of it."""
    told: list[Repair] = []
    with Host(str(root.directory)) as host:
        repair.carry_out(host, repair.plan(host, seen_by(host, known or facts()), found), told.append)
    return told


def rights(root: Root, path: str) -> str:
    with Host(str(root.directory)) as host:
        return host.inspect(path).rights


def everything(directory: Path) -> dict[str, tuple[object, ...]]:
    """All that a look may not change below a directory."""
    found: dict[str, tuple[object, ...]] = {}
    for place, directories, names in os.walk(directory):
        for name in (".", *directories, *names):
            path = Path(place, name)
            facts = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(facts.st_mode) and facts.st_size < 1 << 16 else b""
            found[str(path)] = (facts.st_ino, facts.st_mode, facts.st_uid, facts.st_gid, facts.st_ctime_ns, content)
    return found


# --- owner, mode and ACL of whole files

MENDED = {
    "0644": (0o644, 0, 0, "", f"0644 root:root becomes {RIGHT}"),
    "0660": (0o660, 0, 0, "", f"0660 root:root becomes {RIGHT}"),
    "0000": (0o000, 33, 0, "", f"0000 33:root becomes {RIGHT}"),
    "4600": (0o4600, 0, 0, "", f"4600 root:root becomes {RIGHT}"),
    "owner": (0o600, 33, 0, "", f"0600 33:root becomes {RIGHT}"),
    "group": (0o640, 0, 33, "", f"0640 root:33 becomes {RIGHT}"),
    "ACL": (0o600, 0, 0, "u:33:r", f"0640 root:root with an ACL becomes {RIGHT}"),
    "ACL of writers": (0o600, 0, 0, "g:33:rw", f"0660 root:root with an ACL becomes {RIGHT}"),
}
CHECKS = {SECRET: "secret-mode", MSMTPRC: "config-mode"}


@pytest.mark.parametrize("case", MENDED)
@pytest.mark.parametrize("path", [SECRET, MSMTPRC, STRAY])
def test_file_that_others_can_reach_is_replaced(root: Root, path: str, case: str) -> None:
    mode, uid, gid, acl, action = MENDED[case]
    before = root.write(path, TEXT, mode, uid, gid).at(path).stat().st_ino
    if acl:
        subprocess.run(["setfacl", "-m", acl, root.at(path)], check=True, timeout=10)
    found = report(CHECKS[path]) if path in CHECKS else report(stray_config=path)
    name = found.results[0].id
    assert plan(root, found) == [Repair(path, action, (name,))]
    assert fix(root, found) == [Repair(path, action, (name,), True)]
    assert (rights(root, path), root.at(path).read_bytes()) == (RIGHT, TEXT)
    assert root.at(path).stat().st_ino != before, "who held the old file open keeps nothing of the new one"
    with Host(str(root.directory)) as host:
        assert host.acl(path) == ()
    assert sorted(os.listdir(root.at("/etc"))) == sorted(["logrotate.conf", os.path.basename(path)])


def test_default_acl_of_the_directory_does_not_reach_the_new_file(root: Root) -> None:
    root.write(SECRET, TEXT, 0o644)
    subprocess.run(["setfacl", "-d", "-m", "u:33:rwx,g::rwx,o::rwx", root.at("/etc")], check=True, timeout=10)
    fix(root, report("secret-mode"))
    assert rights(root, SECRET) == RIGHT
    with Host(str(root.directory)) as host:
        assert host.acl(SECRET) == (), "the mask takes what is inherited"
    assert plan(root, report("secret-mode", "secret-acl")) == []


def test_checks_that_one_repair_mends_are_named_together(root: Root) -> None:
    root.write(MSMTPRC, TEXT, 0o644, 33)
    assert [one.checks for one in plan(root, report("config-owner", "config-mode", "config-acl"))] == [
        ("config-owner", "config-mode", "config-acl")
    ]


def test_what_was_not_found_is_not_touched(root: Root) -> None:
    root.write(SECRET, TEXT, 0o644).write(MSMTPRC, TEXT, 0o644)
    assert [one.path for one in plan(root, report("secret-mode"))] == [SECRET]
    assert plan(root, report("secret-empty", "config-syntax", "log-mode")) == []


def odd(root: Root, kind: str, path: str) -> None:
    """Something that must not be replaced."""
    other = root.write("/etc/other", TEXT, 0o644).at("/etc/other")
    target = root.at(path)
    if kind == "link":
        target.symlink_to("other")
    elif kind == "hard link":
        target.hardlink_to(other)
    elif kind == "FIFO":
        os.mkfifo(target, 0o644)
    elif kind == "directory":
        target.mkdir()
    elif kind == "device":
        os.mknod(target, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    elif kind == "huge":
        root.write(path, b"", 0o644)
        os.truncate(target, (1 << 20) + 1)


@pytest.mark.parametrize("kind", ["missing", "link", "hard link", "FIFO", "directory", "device", "huge"])
@pytest.mark.parametrize("path", [SECRET, MSMTPRC, STRAY])
def test_what_is_no_plain_file_is_left_alone(root: Root, path: str, kind: str) -> None:
    odd(root, kind, path)
    before = everything(root.directory)
    found = report(CHECKS[path], "aliases-unwired") if path in CHECKS else report(stray_secret=path)
    assert fix(root, found) == []
    assert everything(root.directory) == before


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_copy_that_is_roots_alone_stays(root: Root, mode: int) -> None:
    """It is still a finding: whether it is needed is for somebody to say."""
    root.write(STRAY, TEXT, mode)
    assert plan(root, report(stray_config=STRAY)) == []


def test_copy_with_a_name_of_any_kind(root: Root) -> None:
    names = ["/etc/msmtprc.a\nb\x1b[31m", "/etc/msmtprc.\udcff", "/etc/msmtprc.$(reboot)", "/etc/msmtprc." + "x" * 220]
    for path in names:
        root.write(path, TEXT, 0o644)
        assert [one.done for one in fix(root, report(stray_config=path))] == [True]
        assert rights(root, path) == RIGHT
    root.write("/etc/msmtprc." + "x" * 240, TEXT, 0o644)
    assert plan(root, report(stray_config="/etc/msmtprc." + "x" * 240)) == [], "no room for a temporary name"


def test_our_own_leftover_goes_with_the_repair_of_its_original(root: Root) -> None:
    leftover = "/etc/.msmtprc.msmtp-config"
    root.write(MSMTPRC, TEXT, 0o644).write(leftover, TEXT, 0o644)
    told = fix(root, report("config-mode", stray_config=leftover))
    assert [(one.path, one.done) for one in told] == [(leftover, True), (MSMTPRC, True)]
    assert not root.at(leftover).exists()


# --- the log: the same file, since msmtp may be writing to it


@pytest.mark.parametrize("case", [case for case in MENDED if "ACL" not in case])
def test_log_becomes_roots_and_loses_no_line(root: Root, case: str) -> None:
    mode, uid, gid, _, action = MENDED[case]
    before = root.write(LOG, "one\n", mode, uid, gid).at(LOG).stat().st_ino
    found = report("log-owner", "log-mode")
    with root.at(LOG).open("ab", buffering=0) as msmtp:
        assert fix(root, found) == [Repair(LOG, action, ("log-owner", "log-mode"), True)]
        msmtp.write(b"two\n")
    assert (rights(root, LOG), root.at(LOG).read_bytes()) == (RIGHT, b"one\ntwo\n")
    assert root.at(LOG).stat().st_ino == before


@pytest.mark.parametrize("kind", ["missing", "link", "hard link", "FIFO", "directory", "device"])
def test_log_that_is_no_plain_file_is_left_alone(root: Root, kind: str) -> None:
    odd(root, kind, LOG)
    before = everything(root.directory)
    assert fix(root, report("log-owner", "log-mode")) == []
    assert everything(root.directory) == before


@pytest.mark.parametrize("kind", ["link", "hard link", "FIFO"])
def test_log_that_is_exchanged_behind_the_plan_is_not_followed(root: Root, kind: str) -> None:
    root.write(LOG, "one\n", 0o644)
    with Host(str(root.directory)) as host:
        planned = repair.plan(host, seen_by(host, facts()), report("log-mode"))
        root.remove(LOG)
        odd(root, kind, LOG)
        before = everything(root.directory)
        told: list[Repair] = []
        with pytest.raises(CantCreateError):
            repair.carry_out(host, planned, told.append)
    assert [one.done for one in told] == [False]
    assert everything(root.directory) == before


def test_directory_that_is_exchanged_behind_the_plan_leads_to_no_other_file(root: Root) -> None:
    """Its owner may put a link in its place, to any file of that name."""
    path = "/home/u/log/m.log"
    root.mkdir("/home").mkdir("/home/u", uid=33).write(path, "one\n", 0o644).write("/srv/m.log", "two\n", 0o644)
    known = facts(log=log_at(path))
    with Host(str(root.directory)) as host:
        planned = repair.plan(host, seen_by(host, known), report(log_mode=path))
        root.remove(path)
        root.at("/home/u/log").rmdir()
        root.link("/home/u/log", "/srv")
        with pytest.raises(CantCreateError, match="another file has taken its place"):
            repair.carry_out(host, planned, lambda _: None)
    assert root.at("/srv/m.log").stat().st_mode & 0o777 == 0o644


# --- more than one repair, and the whole


def test_second_run_does_nothing(root: Root) -> None:
    root.configure(aliases=None).rights(MSMTPRC, 0o644, 33)
    root.write(SECRET, TEXT, 0o644).write(STRAY, TEXT, 0o644).write(LOG, "", 0o644, 33).mkdir("/etc/logrotate.d")
    found = report(
        "secret-mode", "config-owner", "config-mode", "aliases-unwired", "log-owner", "log-rotation", stray_config=STRAY
    )
    told = fix(root, found)
    assert [one.path for one in told] == [STRAY, SECRET, MSMTPRC, MSMTPRC, LOG, LOGROTATE]
    assert all(one.done for one in told)
    before = everything(root.directory)
    assert fix(root, found) == []
    assert everything(root.directory) == before


def test_plan_changes_nothing_and_is_what_is_done(root: Root) -> None:
    root.configure(aliases=None).rights(MSMTPRC, 0o644)
    root.write(SECRET, TEXT, 0o644, 33).write(LOG, "", 0o644, 33).mkdir("/etc/logrotate.d")
    found = report("secret-owner", "config-mode", "aliases-unwired", "log-owner", "log-rotation")
    before = everything(root.directory)
    planned = plan(root, found)
    assert everything(root.directory) == before
    assert fix(root, found) == [one._replace(done=True) for one in planned]


@pytest.fixture
def immutable_secret(root: Root) -> Iterator[Path]:
    target = root.write(SECRET, TEXT, 0o644).at(SECRET)
    subprocess.run(["chattr", "+i", target], check=True, timeout=10)
    yield target
    subprocess.run(["chattr", "-i", target], check=True, timeout=10)


def test_one_that_fails_keeps_none_from_being_done(root: Root, immutable_secret: Path) -> None:
    """The others are done and told, and the error names the file where it stands on this machine."""
    root.write(MSMTPRC, TEXT, 0o644)
    told: list[Repair] = []
    with Host(str(root.directory)) as host, pytest.raises(CantCreateError) as caught:
        repair.carry_out(
            host, repair.plan(host, seen_by(host, facts()), report("secret-mode", "config-mode")), told.append
        )
    assert [(one.path, one.done) for one in told] == [(SECRET, False), (MSMTPRC, True)]
    assert (rights(root, SECRET), rights(root, MSMTPRC)) == ("0644 root:root", RIGHT)
    assert caught.value.message == f"{immutable_secret}: cannot be written: Operation not permitted"
    assert caught.value.remedy.endswith(f"chattr -i {immutable_secret}")
    assert not root.at("/etc/.msmtp-password.msmtp-config").exists()


def test_checks_that_were_mended_find_nothing_afterwards(tmp_path: Path) -> None:
    root = Root(tmp_path / "root").good().mkdir("/etc/logrotate.d").mkdir("/var/log")
    root.configure(aliases=None).rights(MSMTPRC, 0o664, 33, 33).rights(SECRET, 0o644, 33)
    subprocess.run(["setfacl", "-m", "u:33:r", root.at(SECRET)], check=True, timeout=10)
    ids = ("secret-owner", "secret-mode", "secret-acl", "config-owner", "config-mode", "aliases-unwired")
    assert root.found(*ids) == list(ids)
    with Host(str(root.directory)) as host:
        repair.carry_out(host, repair.plan(host, survey(host, NOW), root.report(*ids)), lambda _: None)
    assert root.found(*ids) == []
    assert root.at(BACKUP).read_text() == root.account(aliases=None)


# --- images: no link leads out of them


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What a hostile image would have us change: the machine's own files, in a directory of the test's."""
    machine = Root(tmp_path / "outside").configure(aliases=None).rights(MSMTPRC, 0o644)
    machine.write(SECRET, TEXT, 0o644).write(LOG, TEXT, 0o644).write(STRAY, TEXT, 0o644)
    machine.write("/etc/logrotate.conf", "include /etc/logrotate.d\n", 0o644).mkdir("/etc/logrotate.d")
    return machine.directory


ALL = ("secret-mode", "config-mode", "aliases-unwired", "log-mode", "log-rotation")


@pytest.mark.parametrize("target", ["{outside}/{name}", "../../../../../../../../..{outside}/{name}"])
def test_image_whose_directories_lead_out_of_it(tmp_path: Path, outside: Path, target: str) -> None:
    image = Root(tmp_path / "image")
    for name in ("etc", "var"):
        image.link(f"/{name}", target.format(outside=outside, name=name))
    before = everything(outside)
    assert fix(image, report(*ALL, stray_config=STRAY)) == [], "they lead to nothing in the image"
    assert everything(outside) == before


def test_image_whose_links_stay_in_it_is_mended_there(tmp_path: Path, outside: Path) -> None:
    """The same absolute link leads into the image, where the same path is another file."""
    image = Root(tmp_path / "image")
    inner = Root(image.at(str(outside))).configure(aliases=None).rights(MSMTPRC, 0o644)
    inner.write(SECRET, TEXT, 0o644).write("/log/msmtp.log", TEXT, 0o644)
    inner.write("/etc/logrotate.conf", "include /etc/logrotate.d\n", 0o644)
    image.link("/etc", f"{outside}/etc").link("/var/log", f"{outside}/log").mkdir(f"{outside}/rules")
    inner.link("/etc/logrotate.d", f"{outside}/rules")
    before = everything(outside)
    told = fix(image, report(*ALL))
    assert [(one.path, one.done) for one in told] == [
        (path, True) for path in (SECRET, MSMTPRC, MSMTPRC, LOG, LOGROTATE)
    ]
    assert everything(outside) == before
    assert {rights(inner, path) for path in (SECRET, MSMTPRC, BACKUP, "/log/msmtp.log")} == {RIGHT}
    assert rights(inner, "/rules/msmtp") == "0644 root:root"


def test_image_in_which_the_way_is_exchanged_behind_the_plan(tmp_path: Path, outside: Path) -> None:
    image = Root(tmp_path / "image").write(SECRET, TEXT, 0o644).write(LOG, TEXT, 0o644)
    before = everything(outside)
    told: list[Repair] = []
    with Host(str(image.directory)) as host:
        planned = repair.plan(host, seen_by(host, facts()), report("secret-mode", "log-mode"))
        for name in ("etc", "var"):
            image.at(f"/{name}").rename(image.at(f"/old-{name}"))
            image.link(f"/{name}", str(outside / name))
    with Host(str(image.directory)) as host, pytest.raises(CantCreateError):
        repair.carry_out(host, planned, told.append)
    assert [one.done for one in told] == [False, False]
    assert everything(outside) == before


# --- the command


IDS = (
    "secret-owner,secret-mode,secret-acl,stray-secret,config-owner,config-mode,config-acl,aliases-unwired,"
    "log-owner,log-mode,log-rotation"
)


def test_command_mends_this_machine_and_then_finds_nothing(sandbox: Sandbox) -> None:
    copy = "/etc/msmtp-password~"
    sandbox.write(MSMTPRC, account(aliases=None), mode=0o644, uid=33)
    sandbox.write(ALIASES, "root: me@acme.test\n", mode=0o644)
    for path in (SECRET, copy, LOG):
        sandbox.write(path, TEXT, mode=0o644, uid=33)
    planned = sandbox.agent("audit", "--fix", "--dry-run", "--only", IDS)
    assert planned.returncode == 1
    done = sandbox.agent("audit", "--fix", "--only", IDS)
    assert done.returncode == 0, done.stdout + done.stderr
    for path in (copy, SECRET, MSMTPRC, LOG, LOGROTATE):
        assert path in planned.stdout
        assert path in done.stdout
        found = sandbox.stat(path)
        assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o644 if path == LOGROTATE else 0o600, 0)
    before = {path: sandbox.stat(path).st_ctime_ns for path in sandbox.changed()}
    again = sandbox.agent("audit", "--fix", "--only", IDS)
    assert again.returncode == 0
    assert {path: sandbox.stat(path).st_ctime_ns for path in sandbox.changed()} == before


def test_command_writes_nothing_outside_of_an_image(sandbox: Sandbox) -> None:
    """The image's /etc is an absolute link to the machine's own, whose files would all be mended."""
    sandbox.write(MSMTPRC, account(aliases=None), mode=0o644)
    sandbox.write(ALIASES, "root: me@acme.test\n", mode=0o644)
    sandbox.write(SECRET, TEXT, mode=0o644)
    sandbox.shell("mkdir -p /run/image/var; ln -s /etc /run/image/etc; ln -s ../../../var/log /run/image/var/log")
    before = {path: sandbox.stat(path).st_ctime_ns for path in sandbox.changed()}
    done = sandbox.agent("audit", "--fix", "--root", "/run/image", "--only", IDS)
    assert "internal error" not in done.stdout + done.stderr
    after = {path: sandbox.stat(path).st_ctime_ns for path in sandbox.changed()}
    assert {path: after.get(path) for path in before} == before
    assert set(after) - set(before) <= {"/run/msmtp-config", "/run/msmtp-config/lock"}
