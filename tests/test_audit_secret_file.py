"""Checks of the secret file: each with what makes it speak, and with its nearest neighbour."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from msmtp_agent.checks import secret_file
from msmtp_agent.model import Severity, Verdict
from tests.support.pace import within
from tests.support.roots import MSMTPRC, PASSWORD, SECRET, Root, Row, Table, assert_complete, assert_row, parameters

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
SKIPPED = Verdict.SKIPPED
IDS = [check.id for check in secret_file.CHECKS.checks]
BLOB = b"Whxqht+dQJax1aZeCGLxmiAAAAABAAAADAAAABAAAAC\n"


def holds(
    content: bytes, severity: Severity | None, words: str = "", *also: str, verdict: Verdict = Verdict.PASSED
) -> Row:
    return Row(lambda root: root.write(SECRET, content), severity, words, SECRET, also=also, verdict=verdict)


def has(severity: Severity | None, words: str, *also: str, mode: int = 0o600, uid: int = 0, gid: int = 0) -> Row:
    return Row(lambda root: root.write(SECRET, PASSWORD, mode, uid, gid), severity, words, SECRET, also=also)


def acl(root: Root, *entries: str) -> None:
    subprocess.run(["setfacl", "-m", ",".join(entries), root.at(SECRET)], check=True, timeout=20)


def acl_and_none(root: Root) -> None:
    acl(root, "u:33:r")
    subprocess.run(["setfacl", "-b", root.at(SECRET)], check=True, timeout=20)
    root.rights(SECRET, 0o600)


def device(root: Root) -> None:
    root.remove(SECRET)
    os.mknod(root.at(SECRET), 0o600 | stat.S_IFCHR, os.makedev(1, 5))


def fifo(root: Root) -> None:
    root.remove(SECRET)
    os.mkfifo(root.at(SECRET), 0o600)


def other_name(root: Root) -> None:
    os.link(root.at(SECRET), root.at("/etc/other"))


def other_name_gone(root: Root) -> None:
    other_name(root)
    root.remove("/etc/other")


def directory(path: str, severity: Severity | None, mode: int, uid: int = 0, gid: int = 0) -> Row:
    return Row(lambda root: root.rights(path, mode, uid, gid), severity, f"is {mode:04o}", path)


TABLE: Table = {
    "secret-missing": {
        "gone": Row(lambda root: root.remove(SECRET), ERROR, "is missing", SECRET),
        "empty": holds(b"", None, "", "secret-empty"),
        "gone, and not wanted": Row(
            lambda root: root.remove(SECRET).configure(passwordeval='"cat /run/other"'), verdict=SKIPPED
        ),
        "gone, and no configuration": Row(
            lambda root: root.remove(SECRET).remove(MSMTPRC), ERROR, "is missing", SECRET
        ),
    },
    "secret-type": {
        "a link": Row(lambda root: root.link(SECRET, "/run/pw"), ERROR, "a symbolic link to /run/pw", SECRET),
        "a link to a good one": Row(
            lambda root: root.write("/etc/pw", PASSWORD).link(SECRET, "pw"), ERROR, "a symbolic link to pw", SECRET
        ),
        "a directory": Row(lambda root: root.remove(SECRET).mkdir(SECRET, 0o700), ERROR, "a directory", SECRET),
        "a FIFO": Row(fifo, ERROR, "is a FIFO", SECRET),
        "a device": Row(device, ERROR, "is a character device", SECRET),
        "written anew": holds(b"other\n", None),
        "gone": Row(lambda root: root.remove(SECRET), also=("secret-missing",), verdict=SKIPPED),
    },
    "secret-links": {
        "another name": Row(other_name, ERROR, "has 2 names", SECRET),
        "had another name": Row(other_name_gone),
        "a symbolic link to it": Row(lambda root: root.link("/root/pw", SECRET)),
    },
    "secret-owner": {
        "www-data's": has(ERROR, "is 0600 33:root", uid=33),
        "nobody's": has(ERROR, "is 0600 65534:65534", uid=65534, gid=65534),
        "another group": has(WARNING, "is 0600 root:105", gid=105),
        "root's": has(None, "", mode=0o400),
    },
    "secret-mode": {
        "0640": has(ERROR, "is 0640", mode=0o640),
        "0604": has(ERROR, "is 0604", mode=0o604),
        "0644": has(ERROR, "is 0644", mode=0o644),
        "0620: written by the group": has(ERROR, "is 0620", mode=0o620),
        "0601": has(ERROR, "is 0601", mode=0o601),
        "0000: root reads it all the same": has(INFO, "is 0000", mode=0),
        "0700": has(INFO, "is 0700", mode=0o700),
        "setuid": has(INFO, "is 4600", mode=0o4600),
        "0400": has(None, "", mode=0o400),
    },
    "secret-acl": {
        # The mask stands in the group's bits: such a file is 0640 for ls.
        "a user": Row(lambda root: acl(root, "u:33:r"), ERROR, "user:33:r--", SECRET, also=("secret-mode",)),
        "a group": Row(lambda root: acl(root, "g:105:rw"), ERROR, "group:105:rw-", SECRET, also=("secret-mode",)),
        "two": Row(
            lambda root: acl(root, "u:33:rwx", "g:4:r", "m::rw"),
            ERROR,
            "user:33:rw-, group:4:r--",
            SECRET,
            also=("secret-mode",),
        ),
        "the mask takes it away": Row(lambda root: acl(root, "u:33:rwx", "m::---")),
        "the mask takes all but one away": Row(
            lambda root: acl(root, "u:33:r", "g:4:w", "m::r"), ERROR, "user:33:r--", SECRET, also=("secret-mode",)
        ),
        "an entry without rights": Row(lambda root: acl(root, "u:33:---", "m::r"), also=("secret-mode",)),
        "removed again": Row(acl_and_none),
    },
    "secret-empty": {
        "no byte": holds(b"", ERROR, "is empty"),
        "one byte": holds(b"x", None),
        "a line feed": holds(b"\n", None, "", "secret-blank"),
    },
    "secret-blank": {
        "a line feed": holds(b"\n", ERROR, "begins with a blank line"),
        "CR LF": holds(b"\r\n", ERROR, "begins with a blank line"),
        "the password on the second line": holds(b"\npw\n", ERROR, "begins with a blank line", "secret-lines"),
        "a blank in front": holds(b" pw\n", None),
        "a blank line behind": holds(b"pw\n\n", None),
        "no byte": holds(b"", None, "", "secret-empty", verdict=SKIPPED),
    },
    "secret-lines": {
        "two": holds(b"pw\nnote\n", WARNING, "more than one line"),
        "a note far below": holds(b"pw\n\n\n\n  note", WARNING, "more than one line"),
        "blank lines": holds(b"pw\n\n \t\n\r\n", None),
        "no line feed": holds(b"pw", None),
        "CR LF": holds(b"pw\r\n", None),
    },
    "secret-carriage-return": {
        "inside": holds(b"p\rw\n", ERROR, "a carriage return"),
        "two at the end": holds(b"pw\r\r\n", ERROR, "a carriage return"),
        "one at the end, without a line feed": holds(b"pw\r", ERROR, "a carriage return"),
        "CR LF": holds(b"pw\r\n", None),
        "in the second line, which msmtp ignores": holds(b"pw\nno\rte\n", None, "", "secret-lines"),
    },
    "secret-nul": {
        "inside": holds(b"p\0w\n", ERROR, "a NUL byte"),
        "UTF-16": holds("pw\n".encode("utf-16-le"), ERROR, "a NUL byte", "secret-lines"),
        "the figure": holds(b"p0w\n", None),
        "in the second line, which msmtp ignores": holds(b"pw\n\0\n", None, "", "secret-lines"),
    },
    "secret-byte-order-mark": {
        "UTF-8": holds(b"\xef\xbb\xbfpw\n", ERROR, "a byte order mark"),
        "UTF-16, little": holds("\ufeffpw".encode("utf-16-le"), ERROR, "a byte order mark", "secret-nul"),
        "UTF-16, big": holds("\ufeffpw".encode("utf-16-be"), ERROR, "a byte order mark", "secret-nul"),
        "further behind": holds(b"p\xef\xbb\xbfw\n", None),
        "an umlaut": holds("ïpw\n".encode(), None),
    },
    "secret-utf8": {
        "Latin-1": holds("pässword\n".encode("latin-1"), WARNING, "not valid UTF-8"),
        "half a letter": holds(b"pw\xc3\n", WARNING, "not valid UTF-8"),
        "UTF-8": holds("pässwörd\n".encode(), None),
        "Latin-1 in the second line": holds(b"pw\n\xe4\n", None, "", "secret-lines"),
    },
    "secret-encrypted": {
        "a blob": holds(BLOB, ERROR, "systemd has encrypted"),
        "a line of another kind in base64": holds(b"A" + BLOB, None),
    },
    "secret-directories": {
        "/etc for all": directory("/etc", ERROR, 0o777),
        "/etc for the group": directory("/etc", ERROR, 0o775),
        "/etc, sticky": directory("/etc", ERROR, 0o1777),
        "/etc of another": directory("/etc", ERROR, 0o755, uid=1000),
        "the root for all": directory("/", ERROR, 0o757),
        "/etc root's alone": directory("/etc", None, 0o700),
        "/etc of another group": directory("/etc", None, 0o755, gid=50),
        "another one for all": Row(lambda root: root.mkdir("/tmp", 0o1777)),
    },
}


@pytest.mark.parametrize(("name", "row"), parameters(TABLE))
def test_found_or_not(tmp_path: Path, name: str, row: Row) -> None:
    assert_row(Root(tmp_path / "root"), name, row, IDS)


def test_every_check_is_in_the_table() -> None:
    assert_complete(TABLE, secret_file.CHECKS)


def test_what_is_not_a_file_is_one_finding(tmp_path: Path) -> None:
    """Nothing is said of the content or the rights of what is no file, and nothing waits for it."""
    root = Root(tmp_path).good()
    fifo(root)
    report = root.report(*IDS)
    assert [finding.id for finding in report.findings] == ["secret-type"]
    skipped = {result.id for result in report.having(Verdict.SKIPPED)}
    assert skipped == set(IDS) - {"secret-missing", "secret-type", "secret-directories"}
    assert {result.why for result in report.having(Verdict.SKIPPED)} <= {f"needs {name}" for name in IDS}


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda root: root.remove(SECRET).mkdir(SECRET), "mv -T "),
        (lambda root: root.link(SECRET, "x"), "rm "),
        (fifo, "rm "),
    ],
)
def test_what_stands_there_can_be_removed_as_it_is_said(
    tmp_path: Path, change: Callable[[Root], object], remedy: str
) -> None:
    root = Root(tmp_path).good()
    change(root)
    assert root.findings("secret-type")[0].remedy.startswith(f"{remedy}{SECRET} ")


def test_etc_may_be_a_link(tmp_path: Path) -> None:
    """The directory that it leads to is judged, inside the root."""
    root = Root(tmp_path / "root").good()
    root.at("/etc").rename(root.at("/real"))
    root.link("/etc", "/real")
    assert root.found(*IDS) == []
    root.rights("/real", 0o777)
    assert root.found(*IDS) == ["secret-directories"]


@pytest.mark.parametrize("size", [1, 100_000, 20_000_000])
def test_a_huge_file_is_not_read_whole(tmp_path: Path, size: int) -> None:
    root = Root(tmp_path).good().write(SECRET, b"pw\n")
    os.truncate(root.at(SECRET), 3 + size)
    with within(1):
        assert "secret-lines" in root.found(*IDS)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\0\r\n", BLOB + b"x", bytes(range(255, -1, -1)) * 20, b"\nnote" * 900, b"\0" * 5000]
)
def test_nothing_of_the_content_is_in_the_report(tmp_path: Path, content: bytes) -> None:
    secret = b"Zq7-canary-1f"
    report = Root(tmp_path).good().write(SECRET, secret + content).report()
    assert {finding.id for finding in report.findings} & set(IDS)
    assert "canary" not in repr(report)
    assert str(len(secret + content)) not in repr([finding for finding in report.findings if finding.path == SECRET])
