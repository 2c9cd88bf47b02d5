"""Checks of /etc/msmtprc: its rights, whether msmtp takes it, and where the password comes from."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from msmtp_agent.checks import configuration, settings
from msmtp_agent.model import Severity, Verdict
from tests.support.pace import within
from tests.support.roots import (
    MSMTPRC,
    USER,
    Root,
    Row,
    Table,
    account,
    assert_complete,
    assert_row,
    parameters,
    pretend,
)

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
SKIPPED = Verdict.SKIPPED
IDS = [check.id for group in (configuration.CHECKS, settings.CHECKS) for check in group.checks]
ANSWERING = re.compile(r"^msmtp: [^:]*: line (\d+): ")
NAMED = account().replace("account default", "account acme", 1)
OTHER_COMMAND = '"cat /run/credentials/pw"'


def speaks(change: Callable[[Root], object], severity: Severity, words: str, line: int = 0, *also: str) -> Row:
    return Row(change, severity, words, MSMTPRC, line, also)


def text(content: str | bytes, severity: Severity | None = None, words: str = "", line: int = 0, *also: str) -> Row:
    return Row(lambda root: root.write(MSMTPRC, content), severity, words, MSMTPRC, line, also)


def setting(severity: Severity | None, words: str, line: int, *also: str, **changes: str | None) -> Row:
    """The good account with these changes (line 1 is `account default`, and an added command stands on line 12)."""
    return Row(lambda root: root.configure(**changes), severity, words, MSMTPRC, line, also)


def more(*lines: str, also: tuple[str, ...] = (), verdict: Verdict = Verdict.PASSED) -> Row:
    """The good account and these lines, of which the check says nothing."""
    return Row(lambda root: root.configure(*lines), also=also, verdict=verdict)


def has(severity: Severity | None, words: str, mode: int = 0o600, uid: int = 0, gid: int = 0) -> Row:
    return Row(lambda root: root.rights(MSMTPRC, mode, uid, gid), severity, words, MSMTPRC)


def inline(severity: Severity | None, mode: int) -> Row:
    """With an inline password, which the mode may show to others."""
    return Row(
        lambda root: root.write(MSMTPRC, account(password="Pw-in-line"), mode),
        severity,
        f"is {mode:04o}",
        MSMTPRC,
        also=("config-inline-password",),
    )


def acl(root: Root, *entries: str) -> None:
    subprocess.run(["setfacl", "-m", ",".join(entries), root.at(MSMTPRC)], check=True, timeout=20)


def other_name(root: Root) -> None:
    os.link(root.at(MSMTPRC), root.at("/root/rc"))


def fifo(root: Root) -> None:
    root.remove(MSMTPRC)
    os.mkfifo(root.at(MSMTPRC), 0o600)


def device(root: Root) -> None:
    root.remove(MSMTPRC)
    os.mknod(root.at(MSMTPRC), 0o600 | stat.S_IFCHR, os.makedev(1, 5))


FILE: Table = {
    "config-missing": {
        "gone": speaks(lambda root: root.remove(MSMTPRC), ERROR, "is missing"),
        "empty": text("", None, "", 0, "config-default-account"),
    },
    "config-type": {
        "a link": speaks(lambda root: root.write("/etc/rc", account()).link(MSMTPRC, "rc"), ERROR, "link to rc"),
        "a link to nothing": speaks(lambda root: root.link(MSMTPRC, "/none"), ERROR, "a symbolic link to /none"),
        "a directory": speaks(lambda root: root.remove(MSMTPRC).mkdir(MSMTPRC), ERROR, "is a directory"),
        "a FIFO": speaks(fifo, ERROR, "is a FIFO"),
        "a device": speaks(device, ERROR, "is a character device"),
        "gone": Row(lambda root: root.remove(MSMTPRC), also=("config-missing",), verdict=SKIPPED),
        "written anew": text(account()),
    },
    "config-links": {
        "another name": speaks(other_name, ERROR, "has 2 names"),
        "a symbolic link to it": Row(lambda root: root.link("/root/rc", MSMTPRC)),
    },
    "config-owner": {
        "www-data's": has(ERROR, "is 0600 33:root", uid=33),
        "of the group msmtp": has(WARNING, "is 0600 root:105", gid=105),
        "root's": has(None, "", 0o400),
    },
    "config-mode": {
        "0640": has(WARNING, "is 0640", 0o640),
        "0644": has(WARNING, "is 0644", 0o644),
        "0601": has(WARNING, "is 0601", 0o601),
        "0620: written by the group": has(ERROR, "is 0620", 0o620),
        "0602: written by all": has(ERROR, "is 0602", 0o602),
        "0700": has(INFO, "is 0700", 0o700),
        "0640 with an inline password": inline(ERROR, 0o640),
        "0604 with an inline password": inline(ERROR, 0o604),
        "0601 with an inline password": inline(WARNING, 0o601),
        "0610 with an inline password": inline(WARNING, 0o610),
        "0644 without an account": Row(
            lambda root: root.write(MSMTPRC, NAMED, 0o644),
            WARNING,
            "is 0644",
            MSMTPRC,
            also=("config-default-account",),
        ),
        "0600 with an inline password": inline(None, 0o600),
        "0400": has(None, "", 0o400),
    },
    "config-acl": {
        "a reader": speaks(lambda root: acl(root, "u:33:r"), ERROR, "user:33:r--", 0, "config-mode"),
        "a writer": speaks(lambda root: acl(root, "g:105:rw"), ERROR, "group:105:rw-", 0, "config-mode"),
        "the mask takes it away": Row(lambda root: acl(root, "u:33:rw", "m::---")),
    },
    "config-line-length": {
        "500 characters": text(account(f"# {'x' * 498}"), ERROR, "longer than 499", 12),
        "499 characters": text(account(f"# {'x' * 497}")),
        "500 characters without a line feed": text(account().rstrip("\n") + "\n#" + "x" * 499, ERROR, "longer", 12),
        "a line without an end": text(b"#" * 60_000, ERROR, "longer than 499", 1),
        "500 bytes in 250 letters": text(account("#x" + "ä" * 249), ERROR, "longer than 499", 12),
    },
    "config-syntax": {
        "unknown command": text(account("pasword hunter2"), ERROR, "unknown command", 12),
        "invalid argument": text(account("tls_starttls hunter2"), ERROR, "invalid argument", 12),
        "no argument": text(account("port"), ERROR, "command port needs an argument", 12),
        "another account twice": text("account b\naccount b\n" + account(), ERROR, "was already defined", 2),
        "copied before it is there": text("account default : acme\n" + NAMED, ERROR, "not (yet) defined", 1),
        "in another account": text(account("", "account b", "bogus"), ERROR, "unknown command", 14),
        "a program's setting": text(account("eval echo timeout 60"), ERROR, "command eval", 12),
        "a comment": more("# pasword hunter2", "   # bogus"),
        "blank lines": more("", "  ", "\t"),
        "CR LF": text(account().replace("\n", "\r\n")),
        "a line too long": Row(lambda root: root.configure("#" * 500), also=("config-line-length",), verdict=SKIPPED),
        "the default account twice": more("account default", also=("config-default-account",)),
    },
    "config-default-account": {
        "none": text(NAMED, ERROR, "has no default account"),
        "called Default": text(account().replace("default", "Default", 1), ERROR, "has no default account"),
        "empty": text("", ERROR, "has no default account"),
        "defaults alone": text("defaults\nhost smtp.acme.test\n", ERROR, "has no default account"),
        "twice": text(account("account default", "host h.test"), ERROR, "a second time", 12),
        "copied": text(NAMED + "account default : acme\n"),
        "copied, with blanks": text(NAMED + "account default: acme\n"),
        "settings without an account": text(account().partition("\n")[2]),
        "refused": more("bogus", also=("config-syntax",), verdict=SKIPPED),
    },
}

ACCOUNT: Table = {
    "config-incomplete": {
        "no host": setting(ERROR, "no `host`", 1, host=None),
        "no from": setting(ERROR, "no `from`", 1, **{"from": None}),
        "no user": setting(ERROR, "no `user`", 1, user=None),
        "an empty from": setting(ERROR, "no `from`", 1, **{"from": ""}),
        "copied without": text(
            NAMED.replace("host smtp.acme.test\n", "") + "account default : acme\n", ERROR, "no `host`", 11
        ),
        "a socket for a host": setting(None, "", 0, host=None, socket="/run/smtp"),
        "auto_from": setting(None, "", 0, **{"from": None, "auto_from": "on", "maildomain": "acme.test"}),
        "no user, and nobody logs in": setting(None, "", 0, user=None, auth="off"),
        "from under defaults": text(f"defaults\nfrom {USER}\n" + account(**{"from": None})),
    },
    "config-placeholder": {
        "host": setting(ERROR, "`host` is smtp.example.com, a placeholder", 2, host="smtp.example.com"),
        "from": setting(ERROR, "`from` is me@example.org", 4, **{"from": "me@example.org"}),
        "user": setting(ERROR, "`user` is you@EXAMPLE.net", 5, user="you@EXAMPLE.net"),
        "reserved": setting(ERROR, "`host` is smtp.acme.invalid", 2, host="smtp.acme.invalid"),
        "your domain": setting(ERROR, "`from` is noreply@your-domain.com", 4, **{"from": "noreply@your-domain.com"}),
        "change me": setting(ERROR, "`user` is CHANGE_ME", 5, user="CHANGE_ME"),
        "longer": setting(None, "", 0, host="smtp.example.com.au"),
        "part of a word": setting(None, "", 0, host="smtp.myexample.com"),
        "part of a name": setting(None, "", 0, host="smtp.best-example.com"),
        "a provider's real name": setting(None, "", 0, host="smtp.yourhosting.nl"),
        "the user of a relay": setting(None, "", 0, user="apikey"),
        "in a comment": more("# host smtp.example.com"),
    },
    "config-inline-password": {
        "inline": setting(WARNING, "inline `password`", 12, password="Pw-in-line"),
        "copied": text(NAMED + "password x\naccount default : acme\n", WARNING, "inline `password`", 12),
        "under defaults": text("defaults\npassword x\n" + account(), WARNING, "inline `password`", 2),
        "of another account": text("account b\nhost h.test\npassword x\n" + account()),
        "empty": setting(None, "", 0, password=""),
        "a comment": more("# password x"),
    },
    "config-secret-command": {
        "another": setting(WARNING, "`passwordeval` is another command", 11, passwordeval=OTHER_COMMAND),
        "of another file": setting(WARNING, "another command", 11, passwordeval='"cat /etc/msmtp-password.old"'),
        "more than reading": setting(
            WARNING, "another command", 11, passwordeval='"cat /etc/msmtp-password | tr -d a"'
        ),
        "none": setting(ERROR, "has no `passwordeval`", 1, passwordeval=None),
        "head": setting(None, "", 0, passwordeval='"head -n 1 /etc/msmtp-password"'),
        "by its path": setting(None, "", 0, passwordeval='"/bin/cat /etc/msmtp-password"'),
        "without quotes": setting(None, "", 0, passwordeval="cat /etc/msmtp-password"),
        "nobody logs in": Row(lambda root: root.configure(auth="off", passwordeval=None), verdict=SKIPPED),
        "an inline password": Row(
            lambda root: root.configure(password="x"), also=("config-inline-password",), verdict=SKIPPED
        ),
    },
    "config-two-secret-commands": {
        "two": speaks(
            lambda root: root.configure(f"passwordeval {OTHER_COMMAND}"),
            WARNING,
            "a second `passwordeval` on line 12",
            11,
            "config-secret-command",
        ),
        "the same twice": speaks(
            lambda root: root.configure('passwordeval "cat /etc/msmtp-password"'), WARNING, "on line 12", 11
        ),
        "one in each of two accounts": text(f"account b\nhost h.test\npasswordeval {OTHER_COMMAND}\n" + account()),
        "its own, and one under defaults": text(f"defaults\npasswordeval {OTHER_COMMAND}\n" + account()),
    },
}
TABLE: Table = {**FILE, **ACCOUNT}


@pytest.mark.parametrize(("name", "row"), parameters(TABLE))
def test_found_or_not(tmp_path: Path, name: str, row: Row) -> None:
    assert_row(Root(tmp_path / "root"), name, row, IDS)


def test_every_check_is_in_the_table() -> None:
    assert_complete(TABLE, configuration.CHECKS)


FAULTS = ("config-line-length", "config-syntax", "config-default-account")


@pytest.mark.parametrize(("name", "row"), parameters({name: FILE[name] for name in FAULTS}))
def test_the_line_is_msmtps_own(tmp_path: Path, name: str, row: Row) -> None:
    """What one of the three finds msmtp refuses with the same line; what none of them finds it takes."""
    root = Root(tmp_path).good()
    row.change(root)
    done = pretend(root)
    found = root.findings(*FAULTS)
    if "eval" in "".join(finding.observed for finding in found):  # runs a program, which the audit never does
        return
    assert done.returncode == (78 if found else 0), done.stderr
    if found and found[0].line:
        if b"line longer than 500 characters" in done.stderr:  # of such a line msmtp names no number
            assert found[0].id == "config-line-length"
            return
        complaint = ANSWERING.match(done.stderr.decode())
        assert complaint is not None, done.stderr
        assert int(complaint[1]) == found[0].line
        assert f"sensible-editor +{found[0].line} {MSMTPRC}" in found[0].remedy
    assert name in FAULTS


@pytest.mark.parametrize(
    "line",
    ["pasword Hunter-2", "password: Hunter-2", "Hunter-2", "auth Hunter-2", "port Hunter-2", "account b : Hunter-2"],
)
def test_a_refused_line_is_not_quoted(tmp_path: Path, line: str) -> None:
    """Somebody may have typed a password there."""
    report = Root(tmp_path).good().configure(line).report()
    assert [finding.id for finding in report.findings if finding.path == MSMTPRC] == ["config-syntax"]
    assert "Hunter" not in repr(report)


def test_an_inline_password_is_not_in_the_report(tmp_path: Path) -> None:
    report = Root(tmp_path).good().configure(password='"Hunter 2"', passwordeval=OTHER_COMMAND).report()
    assert "config-inline-password" in {finding.id for finding in report.findings}
    assert "Hunter" not in repr(report)


def test_what_is_not_there_is_one_finding_each(tmp_path: Path) -> None:
    root = Root(tmp_path).good().configure(host=None, user=None, **{"from": None})
    found = root.findings("config-incomplete")
    assert [finding.observed.split()[-1] for finding in found] == ["`host`", "`from`", "`user`"]


def test_a_huge_file_is_no_pass(tmp_path: Path) -> None:
    root = Root(tmp_path).good().configure(*["# a comment"] * 200_000)
    with within(2):
        report = root.report(*IDS)
    assert report.findings == ()
    assert report.having(Verdict.PASSED) == ()
    assert "holds more than" in report.having(Verdict.CANNOT_TELL)[0].why


@pytest.mark.parametrize(
    "content", [bytes(range(256)) * 16, b"\0" * 4000, b"\xff\n" * 900, b"account \x1b[2J\nhost x\n"]
)
def test_garbage_is_a_finding_and_no_more(tmp_path: Path, content: bytes) -> None:
    report = Root(tmp_path).good().write(MSMTPRC, content).report(*IDS)
    assert report.findings
    assert {finding.id for finding in report.findings} <= {
        "config-line-length",
        "config-syntax",
        "config-default-account",
    }
    assert report.having(Verdict.CANNOT_TELL) == ()
