"""Copies and leftovers of the secret file and of msmtprc: which names are, and what their rights make of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from msmtp_agent.files import temporary_name
from msmtp_agent.model import Severity, Verdict
from tests.support.roots import MSMTPRC, PASSWORD, SECRET, Root, account

ORIGINALS = {SECRET: "stray-secret", MSMTPRC: "stray-config"}
IDS = ("stray-secret", "stray-secret-copy", "stray-config", "stray-config-copy")
# NAME is the original's own.
COPIES = (
    "NAME~",
    "NAME-",
    "NAME.bak",
    "NAME.bak.gz",
    "NAME.BAK",
    "NAME.old",
    "NAME.orig",
    "NAME.new",
    "NAME.save",
    "NAME.save.1",
    "NAME.tmp",
    "NAME.swp",
    "NAME.1",
    "NAME.~1~",
    "NAME.rpmsave",
    "NAME.dpkg-old",
    "NAME.dpkg-dist",
    "NAME.dpkg-new",
    "NAME.ucf-old",
    "NAME.ucf-dist",
    "NAME.2026-11-22",
    "NAME.2026-11-22T120000Z.bak",
    "NAME.20261122.0930",
    "NAME.anything",
    "NAME.new\nline",
    "NAME.\udcff\udcfe",
    "NAME (copy)",
    "NAME-20261122",
    "NAME-2026-11-22_09:30",
    "NAME-old",
    "NAME_bak2",
    "NAME-backup~",
    ".NAME",
    ".NAME~",
    ".NAME.swp",
    ".NAME.swo",
    ".NAME.Xy3kPq",
    ".NAME.un~",
    "#NAME#",
    ".#NAME",
    ".#NAME.1.2",
)
OTHERS = (
    "NAMEs-howto",
    "NAME-howto",
    "NAME_gmail",
    "NAME2",
    "xNAME.bak",
    "my-NAME~",
    "NAME.example",
    "NAME.sample",
    "NAME.template",
    "NAME.gpg",
    "NAME.2026.asc",
    "NAME.cred",
    "msmtp",
)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root").good()


def named(pattern: str, original: str) -> str:
    return "/etc/" + pattern.replace("NAME", original.removeprefix("/etc/"))


def seen(root: Root) -> list[tuple[str, str]]:
    """All that the group finds: path and id."""
    return [(finding.path, finding.id) for finding in root.findings(*IDS)]


@pytest.mark.parametrize("original", ORIGINALS)
@pytest.mark.parametrize("pattern", COPIES)
def test_the_name_of_a_copy_is_known(root: Root, pattern: str, original: str) -> None:
    path = named(pattern, original)
    root.write(path, "some words\n")
    assert seen(root) == [(path, f"{ORIGINALS[original]}-copy")]
    root.rights(path, 0o644)
    assert seen(root) == [(path, ORIGINALS[original])]


@pytest.mark.parametrize("original", ORIGINALS)
@pytest.mark.parametrize("pattern", OTHERS)
def test_a_file_with_another_name_is_none(root: Root, pattern: str, original: str) -> None:
    root.write(named(pattern, original), "some words\n", 0o644)
    assert {result.verdict for result in root.report(*IDS).results} == {Verdict.PASSED}


@pytest.mark.parametrize("original", ORIGINALS)
def test_our_own_temporary_file_is_a_leftover(root: Root, original: str) -> None:
    path = temporary_name(original)
    root.write(path, "some words\n")
    assert seen(root) == [(path, f"{ORIGINALS[original]}-copy")]


@pytest.mark.parametrize("original", ORIGINALS)
def test_what_is_no_file_with_content_is_no_copy(root: Root, original: str) -> None:
    root.mkdir(f"{original}.d").write(f"{original}.d/one", "password of a fragment\n", 0o600)
    root.write(f"{original}.empty", b"", 0o644)
    root.link(f"{original}.bak", original)
    root.link(f"/etc/.#{original[5:]}", "root@acme.4711:1764000000")
    os.mkfifo(root.at(f"{original}.fifo"), 0o644)
    assert seen(root) == []


READ, CHANGE = ": others can read it", ": others can change it"
# Mode and owner, and what they let others do (nothing: a copy of root's alone).
RIGHTS = [
    (0o600, 0, "0600 root:root", ""),
    (0o400, 0, "0400 root:root", ""),
    (0o000, 0, "0000 root:root", ""),
    (0o700, 0, "0700 root:root", ""),
    (0o640, 0, "0640 root:root", READ),
    (0o604, 0, "0604 root:root", READ),
    (0o666, 0, "0666 root:root", READ),
    (0o620, 0, "0620 root:root", CHANGE),
    (0o602, 0, "0602 root:root", CHANGE),
    (0o610, 0, "0610 root:root", ": not root's alone"),
    (0o601, 0, "0601 root:root", ": not root's alone"),
    (0o600, 1000, "0600 1000:root", READ),
    (0o000, 1000, "0000 1000:root", READ),
]


@pytest.mark.parametrize(("mode", "uid", "words", "others"), RIGHTS)
def test_a_copy_of_the_secret_is_as_bad_as_its_rights(root: Root, mode: int, uid: int, words: str, others: str) -> None:
    root.write(f"{SECRET}.bak", PASSWORD, mode, uid)
    (finding,) = root.findings(*IDS)
    assert (finding.path, finding.observed) == (f"{SECRET}.bak", f"a copy of {SECRET} by its name, {words}{others}")
    assert (finding.id, finding.severity) == (
        ("stray-secret", Severity.ERROR) if others else ("stray-secret-copy", Severity.WARNING)
    )
    assert finding.remedy.startswith(f"rm {SECRET}.bak")
    assert ("new password" in finding.remedy) == (others == READ)


@pytest.mark.parametrize(("mode", "uid", "words", "others"), RIGHTS)
@pytest.mark.parametrize(
    ("content", "severity", "password"),
    [
        (account(), Severity.WARNING, ""),
        (account('password ""'), Severity.WARNING, ""),
        (account("# password old"), Severity.WARNING, ""),
        (account("password"), Severity.WARNING, ""),
        (account("password hunter2hunter2"), Severity.ERROR, " with an inline password"),
        (account("\t password\t x"), Severity.ERROR, " with an inline password"),
        ("# words\n" * 10_000, Severity.ERROR, ", whether with a password cannot be told"),
    ],
)
def test_a_copy_of_msmtprc_is_as_bad_as_its_rights_and_its_content(
    root: Root, mode: int, uid: int, words: str, others: str, content: str, severity: Severity, password: str
) -> None:
    root.write(f"{MSMTPRC}.old", content, mode, uid)
    (finding,) = root.findings(*IDS)
    assert finding.path == f"{MSMTPRC}.old"
    assert finding.observed == f"a copy of {MSMTPRC} by its name{password}, {words}{others}"
    assert (finding.id, finding.severity) == (
        ("stray-config", severity) if others else ("stray-config-copy", Severity.INFO)
    )
    assert ("new password" in finding.remedy) == (others == READ and severity is Severity.ERROR)
    assert "hunter2" not in repr(finding)


def test_each_of_several_copies_is_reported_once(root: Root) -> None:
    root.write(f"{SECRET}.a", "x\n", 0o644).write(f"{SECRET}.b", "x\n")
    root.write(f"{MSMTPRC}.c", account(), 0o644).write(f"{MSMTPRC}.d", account())
    paths = [f"{SECRET}.a", f"{SECRET}.b", f"{MSMTPRC}.c", f"{MSMTPRC}.d"]
    assert seen(root) == list(zip(paths, IDS, strict=True))


def test_a_password_in_a_swap_file_is_seen(root: Root) -> None:
    content = b"b0VIM 9.0\0\0\0\0" + bytes(4096) + b"tls on\0password hunter2hunter2\0account default\0"
    root.write("/etc/.msmtprc.swp", content, 0o644)
    (finding,) = root.result("stray-config").findings
    assert (finding.severity, finding.path) == (Severity.ERROR, "/etc/.msmtprc.swp")


def test_a_copy_that_is_too_long_to_be_read_is_not_called_harmless(root: Root) -> None:
    root.write(f"{MSMTPRC}.bak", b"# words\n" * 100_000 + b"password hunter2hunter2\n", 0o644)
    (finding,) = root.findings(*IDS)
    assert (finding.id, finding.severity) == ("stray-config", Severity.ERROR)
    assert "whether with a password cannot be told, 0644" in finding.observed


def test_a_dated_backup_of_fix_is_worth_knowing_and_no_more(root: Root) -> None:
    root.write(f"{MSMTPRC}.2026-11-22T120000Z.bak", account())
    assert seen(root) == [(f"{MSMTPRC}.2026-11-22T120000Z.bak", "stray-config-copy")]


@pytest.mark.parametrize("mode", [0o640, 0o602])
def test_the_secret_of_another_account_is_in_use_unless_it_is_open_to_others(root: Root, mode: int) -> None:
    second = f'\naccount second\nhost smtp.other.test\npasswordeval "cat {SECRET}.other"\n'
    root.write(MSMTPRC, account() + second).write(f"{SECRET}.other", "another password\n")
    root.write(f"{SECRET}.oth", "not in use\n")
    assert seen(root) == [(f"{SECRET}.oth", "stray-secret-copy")]
    root.rights(f"{SECRET}.other", mode).remove(f"{SECRET}.oth")
    assert seen(root) == [(f"{SECRET}.other", "stray-secret")]


def test_a_name_in_a_comment_is_not_in_use(root: Root) -> None:
    root.write(MSMTPRC, f"# the old one: {SECRET}.old\n{account()}").write(f"{SECRET}.old", "old\n")
    assert seen(root) == [(f"{SECRET}.old", "stray-secret-copy")]


@pytest.mark.root
def test_an_acl_that_lets_others_read_a_copy_makes_it_an_error(root: Root) -> None:
    root.write(f"{SECRET}.bak", PASSWORD)
    subprocess.run(["setfacl", "-m", "u:1000:r", root.at(f"{SECRET}.bak")], check=True, timeout=10)
    assert seen(root) == [(f"{SECRET}.bak", "stray-secret")]


def test_the_remedy_can_be_pasted_whatever_the_name(root: Root) -> None:
    root.write("/etc/msmtp-password.a b;reboot", PASSWORD)
    (finding,) = root.findings("stray-secret-copy")
    assert finding.remedy == "rm '/etc/msmtp-password.a b;reboot'"


def test_more_copies_than_are_looked_at_are_no_pass(root: Root) -> None:
    for number in range(101):
        root.write(f"{SECRET}.{number}", "x\n", 0o644)
    why = f"/etc: has more than 100 copies of {SECRET} and {MSMTPRC}, by their names"
    answers = {(result.verdict, result.why) for result in root.report(*IDS).results}
    assert answers == {(Verdict.CANNOT_TELL, why)}


def test_without_etc_there_are_no_copies(tmp_path: Path) -> None:
    assert Root(tmp_path / "empty").result("stray-secret").verdict is Verdict.PASSED
