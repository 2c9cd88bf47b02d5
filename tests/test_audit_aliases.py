"""Checks of the aliases: does mail to root and to the other local users find a way out."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from msmtp_agent.checks import aliases
from msmtp_agent.checks.check import Flaw
from msmtp_agent.facts import Facts, MailTo, Senders
from msmtp_agent.host import Host
from msmtp_agent.model import Severity, Verdict
from msmtp_agent.survey import survey
from tests.support.pace import within
from tests.support.roots import (
    ALIASES,
    MSMTPRC,
    USER,
    Root,
    Row,
    Table,
    account,
    assert_complete,
    assert_row,
    parameters,
)

ERROR, WARNING = Severity.ERROR, Severity.WARNING
SKIPPED = Verdict.SKIPPED
IDS = [check.id for check in aliases.CHECKS.checks]
GOOD = f"root: {USER}\ndefault: {USER}\n"
CRONTAB = "/etc/crontab"


def holds(content: str | bytes, severity: Severity | None = None, words: str = "", line: int = 0, *also: str) -> Row:
    return Row(lambda root: root.write(ALIASES, content, 0o644), severity, words, ALIASES, line, also)


def more(line: str, severity: Severity | None = None, words: str = "", *also: str) -> Row:
    """The good file with this line in front; what is wrong with a name is said of the file as a whole."""
    return holds(f"{line}\n{GOOD}", severity, words, 0, *also)


def refused(line: str, words: str) -> Row:
    """A third line that msmtp refuses."""
    return holds(f"{GOOD}{line}\n", ERROR, words, 3)


def has(severity: Severity | None, words: str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> Row:
    return Row(lambda root: root.rights(ALIASES, mode, uid, gid), severity, words, ALIASES)


def mails_to(value: str, severity: Severity | None = None, line: int = 0) -> Row:
    content = f"SHELL=/bin/sh\nMAILTO={value}\n17 * * * * root run-parts /etc/cron.hourly\n"
    return Row(lambda root: root.write(CRONTAB, content, 0o644), severity, "of which msmtp looks up the", CRONTAB, line)


def chain(length: int) -> str:
    """n0 leads over so many names to an address."""
    return "".join(f"n{number}: n{number + 1}\n" for number in range(length - 1)) + f"n{length - 1}: {USER}\n"


def fifo(root: Root) -> None:
    root.remove(ALIASES)
    os.mkfifo(root.at(ALIASES))


TABLE: Table = {
    "aliases-unwired": {
        "not said": Row(lambda root: root.configure(aliases=None), ERROR, "has no `aliases`", MSMTPRC, 1),
        "empty": Row(lambda root: root.configure(aliases=""), ERROR, "has no `aliases`", MSMTPRC, 1),
        "said in another account": Row(
            lambda root: root.write(MSMTPRC, f"account b\naliases {ALIASES}\n" + account(aliases=None)),
            ERROR,
            "has no `aliases`",
            MSMTPRC,
            3,
        ),
        "under defaults": Row(
            lambda root: root.write(MSMTPRC, f"defaults\naliases {ALIASES}\n" + account(aliases=None))
        ),
        "another file": Row(
            lambda root: root.configure(aliases="/etc/msmtp/aliases").write("/etc/msmtp/aliases", GOOD)
        ),
    },
    "aliases-missing": {
        "gone": Row(lambda root: root.remove(ALIASES), ERROR, "is missing", ALIASES),
        "gone, and not wired": Row(
            lambda root: root.remove(ALIASES).configure(aliases=None),
            ERROR,
            "missing",
            ALIASES,
            also=("aliases-unwired",),
        ),
        "another file": Row(lambda root: root.configure(aliases="/etc/mine"), ERROR, "is missing", "/etc/mine"),
        "in root's home": Row(lambda root: root.configure(aliases="~/mine"), ERROR, "is missing", "/root/mine"),
        "a directory": Row(lambda root: root.remove(ALIASES).mkdir(ALIASES), ERROR, "is a directory", ALIASES),
        "a FIFO": Row(fifo, ERROR, "is a FIFO", ALIASES),
        "a link to nothing": Row(lambda root: root.link(ALIASES, "none"), ERROR, "is missing", ALIASES),
        "a link": Row(lambda root: root.write("/etc/mine", GOOD, 0o644).link(ALIASES, "/etc/mine")),
        "empty": holds("", None, "", 0, "aliases-root", "aliases-default"),
    },
    "aliases-mode": {
        "0664": has(ERROR, "is 0664 root:root", 0o664),
        "0646": has(ERROR, "is 0646 root:root", 0o646),
        "of another": has(ERROR, "is 0644 33:root", uid=33),
        "behind a link": Row(
            lambda root: root.write("/srv/mine", GOOD, 0o666).link(ALIASES, "/srv/mine"), ERROR, "is 0666", ALIASES
        ),
        "0600": has(None, "", 0o600),
        "0755": has(None, "", 0o755),
        "0644 of another group": has(None, "", gid=8),
    },
    "aliases-syntax": {
        "twice": refused("root: b@acme.test", "duplicate alias 'root'"),
        "include": refused("list: :include:/etc/list", "single ':' delimiter expected"),
        "no colon": refused(f"ops {USER}", "single ':' delimiter expected"),
        "an address for a name": refused(f"a@acme.test: {USER}", "invalid alias 'a@acme.test'"),
        "no name": refused(f": {USER}", "invalid alias ''"),
        "a line too long": refused(f"ops: {'x' * 600}@acme.test", "longer than"),
        "a comment": more("# root: b@acme.test", None),
        "twice in other letters": more(f"Root: {USER}"),
        "a long line": more(f"ops: {'x' * 480}@acme.test"),
        "CR LF": holds(GOOD.replace("\n", "\r\n")),
        "no final line feed": holds(GOOD.rstrip("\n")),
    },
    "aliases-root": {
        "neither": holds(f"ops: {USER}\n", ERROR, "no `root` and no `default`", 0, "aliases-default"),
        "empty file": holds("", ERROR, "no `root` and no `default`", 0, "aliases-default"),
        "commented out": holds(f"#root: {USER}\n", ERROR, "no `root`", 0, "aliases-default"),
        "default alone": holds(f"default: {USER}\n"),
        "root alone": holds(f"root: {USER}\n", None, "", 0, "aliases-default"),
    },
    "aliases-default": {
        "root alone": holds(f"root: {USER}\n", WARNING, "has no `default`"),
        "in other letters": holds(f"root: {USER}\nDefault: {USER}\n", WARNING, "has no `default`"),
        "default alone": holds(f"default: {USER}\n"),
    },
    "aliases-placeholder": {
        "the fragment's": more("ops: admin@example.com", ERROR, "`ops` leads to admin@example.com, a placeholder"),
        "one of two": more(f"ops: {USER}, me@yourdomain.com", ERROR, "me@yourdomain.com, a placeholder"),
        "much like it": more("ops: admin@best-example.com"),
        "the name alone": more(f"admin.example.com: {USER}"),
    },
    "aliases-loop": {
        "itself": more("ops: ops", ERROR, "`ops` leads in a circle"),
        "through default": holds(f"root: {USER}\ndefault: nobody\n", ERROR, "`default` leads in a circle"),
        "itself beside an address": more(f"ops: {USER}, ops", ERROR, "`ops` leads in a circle"),
        "18 names in a row": more(chain(18).rstrip(), ERROR, "`n0` leads in a circle"),
        "17 names in a row": more(chain(17).rstrip()),
        "the same in two places": more(f"ops: dev, dev\ndev: {USER}"),
    },
    "aliases-empty": {
        "nothing": more("ops:", ERROR, "`ops` has an empty value"),
        "a comma too many": more(f"ops: {USER},", ERROR, "`ops` has an empty value"),
        "two commas": more(f"ops: {USER},,b@acme.test", ERROR, "`ops` has an empty value"),
        "a comment for a value": more(f"ops: # {USER}", ERROR, "`ops` has an empty value"),
        "two values": more(f"ops: {USER}, b@acme.test"),
    },
    "aliases-target": {
        "a pipe": more('ops: "|/usr/bin/procmail"', ERROR, "`ops` leads to a pipe"),
        "a pipe without quotes": more("ops: |procmail", ERROR, "`ops` leads to a pipe"),
        "a file": more("ops: /var/mail/ops", ERROR, "`ops` leads to a file"),
        "a file beside an address": more(f"ops: {USER}, /dev/null", ERROR, "`ops` leads to a file"),
        "a pipe to an address": more('ops: "|mail b@acme.test"', ERROR, "`ops` leads to a pipe"),
        "a slash further behind": more("ops: a/b@acme.test"),
    },
    "aliases-local": {
        "a name": holds("root: admin\n", ERROR, "`root` leads to `admin`, which is no address", 0, "aliases-default"),
        "a name beside an address": holds(
            f"root: {USER}, admin\n", ERROR, "`root` leads to `admin`", 0, "aliases-default"
        ),
        "a name that default stands for": more("ops: admin"),
        "a name with an alias": holds(f"root: admin\nadmin: {USER}\n", None, "", 0, "aliases-default"),
        "a file, which another check tells of": holds(
            "root: /dev/null\n", None, "", 0, "aliases-default", "aliases-target"
        ),
        # A reason not to ask where names lead: the check needs the one that tells of it.
        "a circle": more("ops: ops", None, "", "aliases-loop")._replace(verdict=SKIPPED),
    },
    "aliases-in-a-row": {
        "two": mails_to("root,www-data", WARNING, 2),
        "two behind an address": mails_to(f"{USER},root,www-data", WARNING, 2),
        "one": mails_to("root"),
        "none": mails_to('""'),
        "an address between": mails_to(f"root,{USER},www-data"),
        "two addresses": mails_to(f"{USER},b@acme.test"),
    },
}


@pytest.mark.parametrize(("name", "row"), parameters(TABLE))
def test_found_or_not(tmp_path: Path, name: str, row: Row) -> None:
    assert_row(Root(tmp_path / "root"), name, row, IDS)


def test_every_check_is_in_the_table() -> None:
    assert_complete(TABLE, aliases.CHECKS)


def pretend(root: Root, recipient: str) -> subprocess.CompletedProcess[bytes]:
    options = [f"--aliases={root.at(ALIASES)}", "--passwordeval=echo x"]
    return subprocess.run(
        ["/usr/bin/msmtp", "-C", root.at(MSMTPRC), "--pretend", *options, "--", recipient],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "row"), parameters({name: TABLE[name] for name in ("aliases-syntax", "aliases-loop")})
)
def test_msmtp_refuses_what_is_found(tmp_path: Path, name: str, row: Row) -> None:
    """With the same line; and for a circle it refuses the very name."""
    root = Root(tmp_path).good()
    row.change(root)
    found = root.findings(name)
    recipient = found[0].observed.split("`")[1] if found and name == "aliases-loop" else "root"
    done = pretend(root, recipient)
    assert done.returncode == (78 if found else 0), done.stderr
    if found and found[0].line:
        assert f": line {found[0].line}: ".encode() in done.stderr


def facts_with(tmp_path: Path, *recipients: str) -> Facts:
    with Host(str(Root(tmp_path).good().directory)) as host:
        facts = survey(host, time.time())
    return facts._replace(senders=Senders(mailto=(MailTo("/etc/cron.d/x", 3, recipients),)))


@pytest.mark.parametrize(
    ("recipients", "found"),
    [
        (("root", "www-data"), True),
        (("a@h.test", "root", "www-data"), True),
        (("root", "a@h.test", "www-data"), False),
        (("root",), False),
        ((), False),
    ],
)
def test_two_local_names_in_a_row(tmp_path: Path, recipients: tuple[str, ...], found: bool) -> None:
    """By hand, whoever gathers who sends mail."""
    check = {check.id: check for check in aliases.CHECKS.checks}["aliases-in-a-row"]
    flaws = list(check.judge(facts_with(tmp_path, *recipients)))
    assert [flaw[:1] + flaw[4:5] for flaw in flaws] == ([("/etc/cron.d/x", 3)] if found else [])
    assert all(isinstance(flaw, Flaw) for flaw in flaws)


def test_each_name_in_a_circle_is_named(tmp_path: Path) -> None:
    root = Root(tmp_path).good().write(ALIASES, f"a: b\nb: c\nc: a\nd: c\ne: {USER}\n{GOOD}", 0o644)
    named = [finding.observed for finding in root.findings("aliases-loop")]
    assert named == [f"`{name}` leads in a circle" for name in "abcd"]
    assert root.result("aliases-local").verdict is SKIPPED


@pytest.mark.parametrize(
    "content",
    [
        "".join(f"n{i}: {','.join([f'n{i + 1}'] * 32)}\n" for i in range(17)) + GOOD,
        "".join(f"n{i}: n{i + 1}\n" for i in range(20_000)) + GOOD,
        "".join(f"n{i}: n{i}\n" for i in range(20_000)) + GOOD,
        "".join(f"n{i}: {','.join(f'm{j}' for j in range(i, i + 32))}\n" for i in range(1500)),
        f"root: {','.join(['root'] * 32)}\n",
        f"default: {','.join(f'x{i}' for i in range(32))}\n",
        ":" * 400 + "\n",
        "\n" * 1_000_000,
        "a:b@c\n" * 200_000,
    ],
    ids=["multiplying", "chain", "circles", "wide", "itself", "default", "colons", "lines", "large"],
)
def test_hostile_expansion_ends(tmp_path: Path, content: str) -> None:
    root = Root(tmp_path).good().write(ALIASES, content, 0o644)
    with within(2):
        report = root.report(*IDS)
    assert {result.verdict for result in report.results} != {Verdict.PASSED} or "n16" in content


@pytest.mark.parametrize("content", [bytes(range(256)) * 8, b"\0" * 5000, b"\xff: \xfe\n", b"\x1b[2J: a@h.test\n"])
def test_garbage_is_a_finding_and_no_more(tmp_path: Path, content: bytes) -> None:
    report = Root(tmp_path).good().write(ALIASES, content, 0o644).report(*IDS)
    assert report.findings
    assert report.having(Verdict.CANNOT_TELL) == ()
