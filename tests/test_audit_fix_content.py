"""What `audit --fix` writes into files: the aliases line of the default account, and a logrotate rule for its log."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msmtp_agent import aliases, msmtprc, repair
from msmtp_agent.facts import AliasFile, Facts, Fault, Log, Rotation
from msmtp_agent.host import Host
from msmtp_agent.model import FileFacts, FileKind, Repair
from tests.support.repairs import BACKUP, LOGROTATE, NOW, facts, fix, log_at, report
from tests.support.roots import ALIASES, MSMTPRC, Root
from tests.support.sandbox import Sandbox

ADDED = b"aliases        /etc/aliases"


def carry_out(root: Root, known: Facts, *ids: str) -> list[Repair]:
    told: list[Repair] = []
    with Host(str(root.directory)) as host:
        repair.carry_out(host, repair.plan(host, known, report(*ids)), told.append)
    return told


# --- where the line goes

# The file up to the line that opens the account, what is added, and the rest.
WIRED = {
    "own account": (b"defaults\nauth on\n\naccount default\n", ADDED + b"\n", b"host h\nfrom a@b\n"),
    "copied account": (b"account x\nhost h\n\n# the default\naccount default : x\n", ADDED + b"\n", b""),
    "copied account with settings": (b"account x\nhost h\naccount default: x\n", ADDED + b"\n", b"port 587\n"),
    "blanks around it": (b"\t account \t default  \n", ADDED + b"\n", b"  host h\n"),
    "between others": (b"account a\nhost h\naccount default\n", ADDED + b"\n", b"host h\naccount b\nhost h\n"),
    "beside one that has them": (b"account a\nhost h\naliases /x\naccount default\n", ADDED + b"\n", b"host h\n"),
    "CRLF": (b"account default\r\n", ADDED + b"\r\n", b"host h\r\nfrom a@b\r\n"),
    "CRLF and no end": (b"account x\r\nhost h\r\naccount default : x", b"\r\n" + ADDED, b""),
    "some CRLF": (b"account default\n", ADDED + b"\n", b"host h\r\n"),
    "without account": (b"# of the 1.2 kind\nhost h\n", ADDED + b"\n", b"from a@b\n"),
    "without account, one line": (b"host h", b"\n" + ADDED, b""),
    "no end": (b"account default\n", ADDED + b"\n", b"host h"),
    "bytes of any kind": (b"account default\n", ADDED + b"\n", b"host h\n# \xff\xfe \x1b[31m\nuser \xe9\n"),
    "NUL in the line": (b"account default\0 rest\n", ADDED + b"\n", b"host h\n"),
}
NOT_WIRED = {
    "other aliases": b"account default\nhost h\naliases /etc/other\n",
    "same aliases": b"account default\nhost h\naliases /etc/aliases\n",
    "aliases of the defaults": b"defaults\naliases /etc/other\naccount default\nhost h\n",
    "aliases of the copied": b"account x\nhost h\naliases /x\naccount default : x\n",
    "switched off by a later line": b"account default\nhost h\naliases\n",
    "no default": b"account x\nhost h\n",
    "empty": b"",
    "refused by msmtp": b"account default\nhost h\nbogus\n",
    "settings of a program": b"account default\nhost h\neval echo host x\n",
}


@pytest.mark.parametrize(("head", "added", "tail"), WIRED.values(), ids=list(WIRED))
def test_the_line_stands_behind_the_one_that_opens_the_account(head: bytes, added: bytes, tail: bytes) -> None:
    new = head + added + tail
    assert repair.wired(head + tail) == new
    assert repair.wired(new) is None


@pytest.mark.parametrize("content", NOT_WIRED.values(), ids=list(NOT_WIRED))
def test_what_cannot_be_wired_this_way_is_left_alone(content: bytes) -> None:
    assert repair.wired(content) is None


# fmt: off
_LINES = st.sampled_from((
    b"account default", b"account x", b"account default : x", b"account y : default", b"defaults", b"host h", b"",
    b"from a@b", b"aliases", b"aliases /x", b' aliases ""', b"aliases /etc/aliases", b"# c", b"user \xff", b"user x\0y",
    b"eval a",
))
# fmt: on
_ENDS = st.sampled_from((b"\n", b"\n", b"\r\n", b"\r", b""))


@given(st.lists(st.tuples(_LINES, _ENDS), max_size=9))
def test_no_other_byte_changes_and_no_other_setting(lines: list[tuple[bytes, bytes]]) -> None:
    old = b"".join(line + end for line, end in lines)
    new = repair.wired(old)
    if new is None:
        return
    pieces = (ADDED + b"\n", ADDED + b"\r\n", b"\n" + ADDED, b"\r\n" + ADDED)
    assert any(new == old[:place] + piece + old[place:] for piece in pieces for place in range(len(old) + 1))
    before, after = msmtprc.parse(old), msmtprc.parse(new)
    assert after["default"].get("aliases") == ALIASES
    for command in ("host", "from", "user"):
        assert [one.get(command) for one in before.values()] == [one.get(command) for one in after.values()]


def pretend(box: Sandbox) -> str:
    return box.run(["msmtp", "--pretend", "--", "root"], env={"LC_ALL": "C"}, timeout=10, check=True).stdout


@pytest.mark.slow
@pytest.mark.parametrize(("head", "added", "tail"), WIRED.values(), ids=list(WIRED))
def test_msmtp_itself_has_the_aliases_in_force_then(sandbox: Sandbox, head: bytes, added: bytes, tail: bytes) -> None:
    sandbox.write(MSMTPRC, head + tail)
    sandbox.write(ALIASES, "root: me@acme.test\n", mode=0o644)
    assert "\naliases = (not set)\n" in pretend(sandbox)
    assert fix(sandbox, "aliases-unwired").done == {MSMTPRC: True}
    assert "\naliases = /etc/aliases\n" in pretend(sandbox)
    assert (sandbox.read(MSMTPRC), sandbox.read(BACKUP)) == (head + added + tail, head + tail)


# --- whether it goes there: only where root's mail leaves then


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(tmp_path).configure(aliases=None).mkdir("/etc/logrotate.d").mkdir("/var/log")
    return made.write("/etc/logrotate.conf", "weekly\ncreate\ninclude /etc/logrotate.d\n", 0o644)


def alias_file(
    content: bytes = b"root: me@acme.test\n", *, mode: int = 0o644, uid: int = 0, gid: int = 0, path: str = ALIASES
) -> AliasFile:
    """The facts of an aliases file, as the survey gathers them."""
    file = FileFacts(path, FileKind.REGULAR, uid, gid, mode)
    try:
        return AliasFile(file, None, aliases.parse(content))
    except aliases.AliasesError as error:
        return AliasFile(file, Fault(error.line, error.fault))


DELIVERING = {
    "root": alias_file(),
    "default": alias_file(b"default: me@acme.test\n"),
    "a way of two steps": alias_file(b"root: admin\nadmin: me@acme.test, you@acme.test\nnobody: root\n"),
    "0600": alias_file(mode=0o600),
    "of another group": alias_file(gid=4),
}
NOT_DELIVERING = {
    "missing": AliasFile(FileFacts(ALIASES, FileKind.MISSING)),
    "directory": AliasFile(FileFacts(ALIASES, FileKind.DIRECTORY)),
    "refused by msmtp": alias_file(b"root: me@acme.test\nroot: you@acme.test\n"),
    "empty": alias_file(b""),
    "no root": alias_file(b"www-data: me@acme.test\n"),
    "root leads nowhere": alias_file(b"root:\n"),
    "root is local": alias_file(b"root: admin\n"),
    "one of two is local": alias_file(b"root: me@acme.test, admin\n"),
    "root in a circle": alias_file(b"root: admin\nadmin: root\n"),
    "another in a circle": alias_file(b"root: me@acme.test\na: b\nb: a\n"),
    "a pipe": alias_file(b'root: "|mail me@acme.test"\n'),
    "a file": alias_file(b"root: /var/mail/me@acme.test\n"),
    "of another user": alias_file(uid=33),
    "others can write it": alias_file(mode=0o646),
    "the group can write it": alias_file(mode=0o664),
    "another file": alias_file(path="/etc/other"),
    "no end of recipients": alias_file(
        b"root: a0\n"
        + b"".join(b"a%d:%s\n" % (number, b"a%d," % (number + 1) * 32) for number in range(15))
        + b"a15: me@acme.test\n"
    ),
}


@pytest.mark.parametrize("known", DELIVERING.values(), ids=list(DELIVERING))
def test_aliases_that_lead_root_to_an_address_are_wired(root: Root, known: AliasFile) -> None:
    told = carry_out(root, facts(aliases=known), "aliases-unwired")
    action = f"add `aliases        /etc/aliases` behind line 1; the old version is kept as {BACKUP}"
    assert told == [Repair(MSMTPRC, action, ("aliases-unwired",), True)]


@pytest.mark.parametrize("known", NOT_DELIVERING.values(), ids=list(NOT_DELIVERING))
def test_aliases_that_would_stop_mail_are_not_wired(root: Root, known: AliasFile) -> None:
    assert carry_out(root, facts(aliases=known), "aliases-unwired") == []
    assert root.at(MSMTPRC).read_text() == root.account(aliases=None)


@pytest.mark.parametrize(("mode", "uid", "gid"), [(0o644, 0, 0), (0o640, 0, 8), (0o600, 33, 0)])
def test_rights_that_are_not_to_be_mended_are_not_changed_with_the_line(
    root: Root, mode: int, uid: int, gid: int
) -> None:
    """Who has skipped the check of the rights wants them as they are."""
    root.rights(MSMTPRC, mode, uid, gid)
    assert carry_out(root, facts(), "aliases-unwired") == []
    assert [one.done for one in carry_out(root, facts(), "config-mode", "aliases-unwired")] == [True, True]


# --- the old version


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644])
def test_old_version_is_kept_once_with_the_rights_of_the_new_one(root: Root, mode: int) -> None:
    root.rights(MSMTPRC, mode)
    carry_out(root, facts(), "config-mode", "aliases-unwired")
    for path in (MSMTPRC, BACKUP):
        found = root.at(path).stat()
        assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o600, 0, 0)
    assert root.at(BACKUP).read_text() == root.account(aliases=None)
    assert carry_out(root, facts(now=NOW + 60), "aliases-unwired") == []
    assert sorted(os.listdir(root.at("/etc"))) == sorted(
        ["logrotate.conf", "logrotate.d", "msmtprc", os.path.basename(BACKUP)]
    )


def test_mode_that_was_right_stays(root: Root) -> None:
    root.rights(MSMTPRC, 0o400)
    carry_out(root, facts(), "aliases-unwired")
    assert {root.at(path).stat().st_mode & 0o7777 for path in (MSMTPRC, BACKUP)} == {0o400}


def test_old_version_of_a_run_that_was_killed_is_taken_up(root: Root) -> None:
    former = "/etc/msmtprc.2025-11-01T080000Z.bak"
    root.write(former, root.account(aliases=None)).aged(former, 1000)
    before = root.at(former).stat()
    carry_out(root, facts(), "aliases-unwired")
    after = root.at(former).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not root.at(BACKUP).exists()


@pytest.mark.parametrize("kind", ["another version", "readable by others", "link", "directory"])
def test_name_that_is_taken_is_not_written_to(root: Root, kind: str) -> None:
    if kind == "link":
        root.link(BACKUP, "nowhere")
    elif kind == "directory":
        root.mkdir(BACKUP)
    else:
        root.write(BACKUP, "x" if kind == "another version" else root.account(aliases=None), 0o644)
    before = root.at(BACKUP).lstat()
    assert [one.done for one in carry_out(root, facts(), "aliases-unwired")] == [True]
    after = root.at(BACKUP).lstat()
    assert (after.st_ino, after.st_mode, after.st_ctime_ns) == (before.st_ino, before.st_mode, before.st_ctime_ns)
    assert root.at(BACKUP.replace("120000", "120001")).read_text() == root.account(aliases=None)


# --- the logrotate rule


def rotate(root: Root, *options: str) -> str:
    """Run the real logrotate with a root's rules; the paths in them have to be this machine's."""
    configuration = root.write("/conf", f"include {root.at('/etc/logrotate.d')}\n", 0o644).at("/conf")
    argv = ["logrotate", "--state", str(root.at("/state")), *options, str(configuration)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "name", ["msmtp.log", "a log of mail.log", "it's.log", "a#b;c.log", "\u00e4.log", "-~=@%+,:.log"]
)
def test_rule_makes_logrotate_rotate_the_log(root: Root, name: str) -> None:
    """Without the global `create`, which would leave the new log to msmtp's umask."""
    path = str(root.write(f"/logs/{name}", "a line\n", 0o644).at(f"/logs/{name}"))
    told = carry_out(root, facts(log=log_at(path)), "log-rotation")
    assert [(one.path, one.done, one.checks) for one in told] == [(LOGROTATE, True, ("log-rotation",))]
    found = root.at(LOGROTATE).stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o644, 0, 0)
    assert f"considering log {path}\n" in rotate(root, "--debug")
    rotate(root, "--force")
    assert sorted(os.listdir(root.at("/logs"))) == [name, f"{name}.1.gz"]
    new = root.at(f"/logs/{name}").stat()
    assert (new.st_mode & 0o7777, new.st_uid, new.st_gid, new.st_size) == (0o600, 0, 0, 0)


def test_rule_is_the_one_of_the_fragment(root: Root) -> None:
    carry_out(root, facts(), "log-rotation")
    words = root.at(LOGROTATE).read_text().split()
    assert words[:2] == ["/var/log/msmtp.log", "{"]
    assert " ".join(words[2:]) == "rotate 4 weekly compress missingok notifempty create 0600 root root }"


def shared(mode: int = 0o775, gid: int = 4) -> Log:
    """A log in a directory of a group's, as /var/log is on Ubuntu."""
    log = log_at("/var/log/msmtp.log")
    return log._replace(directory=log.directory._replace(mode=mode, gid=gid))


COVERED = {
    "a rule": log_at("/var/log/msmtp.log")._replace(rotation=Rotation("/etc/logrotate.d/mail", 1)),
    "no logrotate": log_at("/var/log/msmtp.log")._replace(logrotate=False),
    "no directory": Log(FileFacts("/var/log/x/msmtp.log", FileKind.MISSING), FileFacts("/var/log/x", FileKind.MISSING)),
    "directory of others": shared(),
    "directory of all": shared(0o1777, 0),
    **{
        f"no pattern for {path!r}": log_at(path)
        for path in (
            "msmtp.log",
            "",
            "-",
            "/var/log/a{b",
            "/var/log/a}b",
            '/var/log/a"b',
            "/var/log/a*b",
            "/var/log/a?b",
        )
    },
    **{f"no pattern for {path!r}": log_at(path) for path in ("/var/log/[ab]", "/var/log/a\\b", "/var/log/a\nb")},
}


@pytest.mark.parametrize("log", COVERED.values(), ids=list(COVERED))
def test_no_rule_where_it_would_not_be_the_right_one(root: Root, log: Log) -> None:
    assert carry_out(root, facts(log=log), "log-rotation") == []
    assert os.listdir(root.at("/etc/logrotate.d")) == []


@pytest.mark.parametrize("kind", ["file", "link", "no include", "no directory", "no configuration"])
def test_no_rule_where_there_is_no_place_for_it(root: Root, kind: str) -> None:
    if kind == "file":
        root.write(LOGROTATE, "# of somebody else\n", 0o644)
    elif kind == "link":
        root.link(LOGROTATE, "/nowhere")
    elif kind == "no include":
        root.write("/etc/logrotate.conf", "# include /etc/logrotate.d\n", 0o644)
    elif kind == "no directory":
        root.at("/etc/logrotate.d").rmdir()
    else:
        root.remove("/etc/logrotate.conf")
    assert carry_out(root, facts(), "log-rotation") == []


def test_directory_of_others_is_no_matter_where_logrotate_is_told_as_whom(root: Root) -> None:
    """As on Ubuntu: `/var/log` is the group syslog's, and the configuration says `su root adm`."""
    root.write("/etc/logrotate.conf", "weekly\nsu root adm\ninclude /etc/logrotate.d\n", 0o644)
    assert [one.done for one in carry_out(root, facts(log=shared()), "log-rotation")] == [True]


def test_leftover_of_a_killed_run_does_not_disturb_logrotate(root: Root) -> None:
    """logrotate reads hidden files as well: ours is empty or whole, and gone before there is a second one."""
    path = str(root.write("/logs/x.log", "a line\n").at("/logs/x.log"))
    for content in ("", f"{path} {{\n  weekly\n}}\n"):
        root.write("/etc/logrotate.d/.msmtp.msmtp-config", content, 0o644)
        rotate(root, "--debug")
    carry_out(root, facts(log=log_at(path)), "log-rotation")
    assert os.listdir(root.at("/etc/logrotate.d")) == ["msmtp"]
