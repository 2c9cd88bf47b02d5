"""The audit as people see it: in a pipe, on terminals of every width, and with names that mean harm."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import termios
import textwrap
from collections.abc import Callable

import pytest

from msmtp_agent import render, render_audit
from msmtp_agent.errors import InputOutputError
from msmtp_agent.model import Repair, Report, Severity
from tests.support.reports import (
    CHMOD,
    CLEAN,
    ERROR,
    HOSTILE,
    INFO,
    MIXED,
    WARNING,
    found,
    passed,
    report,
    unknown,
)
from tests.support.sandbox import PROJECT

FORMATS = ("text", "json", "nagios", "prometheus")
SECRET_MODE = Repair("/etc/msmtp-password", "make it 0600 root:root", ("secret-mode", "secret-owner"))
ALIASES = Repair("/etc/msmtprc", "add aliases /etc/aliases", ("aliases-wired",))
FIXED = f"    fix: {CHMOD}"
MANGLED = "/etc/???]0;owned??[31m??[bold]|\"'\\?\u00e9"
NASTY = report(
    found("secret-mode", path=HOSTILE, observed=HOSTILE, expected=HOSTILE, remedy=HOSTILE),
    found("log-mode", WARNING, path=HOSTILE),
    unknown(why=HOSTILE),
    root=HOSTILE,
    host=HOSTILE,
    repairs=(Repair(HOSTILE, HOSTILE, ("secret-mode",)),),
)


def tell(
    form: str,
    *reports: Report,
    threshold: Severity | None = None,
    fixing: bool = False,
    plan: Report | None = None,
) -> None:
    """What the command does with a printer."""
    printer = render_audit.printer(form, threshold=threshold, fixing=fixing)
    if plan is not None:
        printer.plan(plan)
    for one in reports:
        printer.report(one)
    rest = printer.end()
    if rest is not None:
        render.say(rest, sys.stdout, end="")


# --- in a pipe

WORDS: dict[str, tuple[tuple[Report, ...], str]] = {
    "clean": ((CLEAN,), "/: 93 checks passed, 4 skipped"),
    "one check": ((report(*passed(1)),), "/: 1 check passed"),
    "one of each": (
        (MIXED,),
        f"""\
        Secret file
          error   /etc/msmtp-password: is 0644 root:root; expected 0600 root:root [secret-mode]
        {FIXED}
          error   /etc/msmtp-password: is 0644 root:root; expected 0600 root:root [secret-owner]
        {FIXED}
        Settings
          warning /etc/msmtprc: line 12: has no timeout; expected timeout 60 [config-timeout]
            fix: sudoedit +12 /etc/msmtprc   # timeout 60
        Aliases
          info    /etc/aliases: has no default [aliases-default]
        Cannot tell
          log-missing: /var/log/msmtp.log: cannot be read: Permission denied
        /: 2 errors, 1 warning, 1 info; 90 checks passed, 1 skipped, 1 cannot tell""",
    ),
    "another root, clean": ((report(*passed(2), root="/srv/image"),), "/srv/image: 2 checks passed"),
    "another root: what is pasted would change this machine": (
        (report(found("secret-mode"), root="/srv/image"),),
        f"""\
        /srv/image (web1)
        Secret file
          error   /etc/msmtp-password: is 0644 root:root; expected 0600 root:root [secret-mode]
            fix in /srv/image: {CHMOD}
        /srv/image: 1 error; 0 checks passed""",
    ),
    "several roots": (
        (report(*passed(1)), report(unknown(why="x"), root="/srv/a", host=""), report(*passed(1), root="/srv/b")),
        """\
        /: 1 check passed

        /srv/a
        Cannot tell
          log-missing: x
        /srv/a: 0 checks passed, 1 cannot tell
        /srv/b: 1 check passed
        all 3 roots: 2 checks passed, 1 cannot tell""",
    ),
    "this machine behind another root": (
        (report(*passed(1), root="/srv/a"), report(found("secret-mode", expected="", remedy=""))),
        """\
        /srv/a: 1 check passed

        / (web1)
        Secret file
          error   /etc/msmtp-password: is 0644 root:root [secret-mode]
        /: 1 error; 0 checks passed
        all 2 roots: 1 error; 1 check passed""",
    ),
    "a check that the catalogue does not have": (
        (report(found("new-check", expected="", remedy="")),),
        """\
        Other
          error   /etc/msmtp-password: is 0644 root:root [new-check]
        /: 1 error; 0 checks passed""",
    ),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_words(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    reports, words = WORDS[name]
    tell("text", *reports)
    assert capsys.readouterr().out == textwrap.dedent(words) + "\n"


def test_every_group_has_its_title_once_and_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    tell("text", MIXED)
    titles = [line for line in capsys.readouterr().out.splitlines() if not line.startswith((" ", "/"))]
    assert titles == ["Secret file", "Settings", "Aliases", "Cannot tell"]


REPAIRS: dict[str, tuple[Report | None, Report, str]] = {
    "a plan that is not carried out": (
        None,
        report(*passed(1), repairs=(SECRET_MODE, ALIASES)),
        """\
        To repair
          /etc/msmtp-password: make it 0600 root:root [secret-mode, secret-owner]
          /etc/msmtprc: add aliases /etc/aliases [aliases-wired]
        /: 1 check passed""",
    ),
    "a plan, and what came of it": (
        report(repairs=(SECRET_MODE, ALIASES)),
        report(*passed(1), repairs=(SECRET_MODE._replace(done=True), ALIASES)),
        """\
        To repair
          /etc/msmtp-password: make it 0600 root:root [secret-mode, secret-owner]
          /etc/msmtprc: add aliases /etc/aliases [aliases-wired]
        Repaired
          /etc/msmtp-password: make it 0600 root:root [secret-mode, secret-owner]
        Not repaired
          /etc/msmtprc: add aliases /etc/aliases [aliases-wired]
        /: 1 check passed""",
    ),
    "a plan for another root": (
        report(root="/srv/image", repairs=(ALIASES,)),
        report(*passed(1), root="/srv/image", repairs=(ALIASES._replace(done=True),)),
        """\
        /srv/image (web1)
        To repair
          /etc/msmtprc: add aliases /etc/aliases [aliases-wired]
        Repaired
          /etc/msmtprc: add aliases /etc/aliases [aliases-wired]
        /srv/image: 1 check passed""",
    ),
    "nothing": (report(), report(*passed(1)), "Nothing to repair\n/: 1 check passed"),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_repairs_are_told_before_the_findings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan, after, words = REPAIRS[name]
    tell("text", after, fixing=True, plan=plan)
    assert capsys.readouterr().out == textwrap.dedent(words) + "\n"


def test_the_plan_of_one_root_says_nothing_of_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    planned = report(root="/srv/a", repairs=(ALIASES,))
    tell("text", planned, report(unknown(why="x"), root="/srv/b", repairs=(ALIASES,)), plan=planned)
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("/srv/a (web1)") == lines.count("/srv/b (web1)") == lines.count("Not repaired") == 1


@pytest.mark.parametrize("form", FORMATS)
def test_a_plan_is_for_people_alone(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    render_audit.printer(form, threshold=None, fixing=True).plan(report(repairs=(ALIASES,)))
    assert bool(capsys.readouterr().out) == (form == "text")


def test_lines_in_a_pipe_are_never_folded(capsys: pytest.CaptureFixture[str]) -> None:
    tell("text", report(found("secret-mode", observed="long " * 200)))
    assert len([line for line in capsys.readouterr().out.splitlines() if "long" in line]) == 1


@pytest.mark.parametrize(
    ("threshold", "word"), [(None, "WARNING"), (ERROR, "OK"), (WARNING, "WARNING"), (INFO, "WARNING")]
)
def test_the_plugin_counts_warnings_unless_told_otherwise(
    threshold: Severity | None, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell("nagios", report(found("tls-off", WARNING)), threshold=threshold)
    assert capsys.readouterr().out.startswith(f"MSMTP {word} - ")


@pytest.mark.parametrize("form", FORMATS)
def test_no_hostile_name_reaches_a_pipe_as_it_is(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell(form, NASTY, CLEAN)
    out = capsys.readouterr().out
    assert out.encode()
    assert out.endswith("\n")
    assert all(line.isprintable() for line in out.removesuffix("\n").split("\n"))


def test_a_hostile_name_takes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    tell("text", NASTY)
    lines = capsys.readouterr().out.splitlines()
    assert f"    fix in {MANGLED}: {MANGLED}" in lines
    assert f"  error   {MANGLED}: {MANGLED}; expected {MANGLED} [secret-mode]" in lines
    assert len(lines) == 12


# --- at a terminal


class Terminal:
    """A terminal in the place of standard output, for as long as the function that `shows` calls runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)

    def shows(self, action: Callable[[], None], *, columns: int, term: str = "xterm-256color", **more: str) -> str:
        """What has reached the screen."""
        for name, value in {"TERM": term, **more}.items():
            self._patch.setenv(name, value)
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        with open(ours, "rb", buffering=0) as screen, open(theirs, "w", encoding="utf-8") as stream:
            self._patch.setattr(sys, "stdout", stream)
            try:
                action()
            finally:
                self._patch.undo()
            stream.write("\0")
            stream.flush()
            shown = b""
            while not shown.endswith(b"\0"):
                shown += screen.read(65536)
        return shown[:-1].decode().replace("\r\n", "\n")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def plain(text: str) -> str:
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def words(text: str) -> list[str]:
    return plain(text).split()


LONG = report(
    found("secret-mode", observed="is 0644 root:root, so that whoever logs in here can read the password " * 3),
    found("config-timeout", WARNING, path="/etc/" + "x" * 150, remedy="chmod 0600 " + "y" * 300, line=7),
    unknown(why="/var/log/msmtp.log: cannot be read: " + "reason " * 30),
    *passed(90),
    repairs=(SECRET_MODE._replace(action="make it 0600 root:root " * 10),),
)


@pytest.mark.parametrize("columns", [40, 60, 80, 99])
@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_lines_are_folded_to_the_width_and_a_fix_never_is(
    columns: int, term: str, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = terminal.shows(lambda: tell("text", LONG), columns=columns, term=term)
    tell("text", LONG)
    assert words(shown) == words(capsys.readouterr().out)
    lines = plain(shown).splitlines()
    assert [line for line in lines if line.startswith("    fix: ")] == [FIXED, f"    fix: chmod 0600 {'y' * 300}"]
    assert all(len(line) <= columns or "fix: " in line or "x" * 150 in line for line in lines)
    assert any(line.startswith(" " * 10) for line in lines)


def test_a_word_that_is_wider_than_the_terminal_is_whole(terminal: Terminal) -> None:
    shown = terminal.shows(lambda: tell("text", LONG), columns=60, term="dumb")
    assert f"  warning /etc/{'x' * 150}: line 7: is" in " ".join(shown.splitlines()).replace(" " * 11, " ")


@pytest.mark.parametrize("columns", [100, 120, 250])
def test_a_wide_terminal_gets_a_table(columns: int, terminal: Terminal) -> None:
    lines = plain(terminal.shows(lambda: tell("text", MIXED), columns=columns)).splitlines()
    assert re.match(r"  error +secret-mode +/etc/msmtp-password +is 0644 root:root -> 0600 root:root$", lines[1])
    assert re.match(r"  error +secret-owner +/etc/msmtp-password +is 0644 root:root -> 0600 root:root$", lines[2])
    assert lines[3:5] == [FIXED, "Settings"]  # two findings, and one line that mends both
    assert re.match(r"  warning +config-timeout +/etc/msmtprc: line 12 +has no timeout -> timeout 60$", lines[5])
    assert re.match(r"  info +aliases-default +/etc/aliases +has no default$", lines[8])
    rows = [line for line in lines if re.search(r" (secret|config|aliases)-\w+ +/", line)]
    assert len({row.index("/etc") for row in rows}) == 1  # the tables of all groups are in line


def test_a_table_folds_and_never_cuts(terminal: Terminal) -> None:
    lines = plain(terminal.shows(lambda: tell("text", LONG), columns=110)).splitlines()
    assert [line for line in lines if "fix: " in line] == [FIXED, f"    fix: chmod 0600 {'y' * 300}"]
    rest = [line for line in lines if "fix: " not in line]
    assert all(len(line) <= 110 for line in rest)
    assert "".join(rest).replace("expected", "").count("x") == 150
    assert "".join(rest).count("password") >= 3 + 1


@pytest.mark.parametrize("columns", [60, 120])
def test_colours_are_for_severity_and_summary(columns: int, terminal: Terminal) -> None:
    shown = terminal.shows(lambda: tell("text", MIXED), columns=columns)
    for code, word in (("1;31", "error"), ("33", "warning"), ("36", "info"), ("1", "Secret file"), ("1;31", "/: 2 ")):
        assert re.search(rf"\x1b\[{code}m *{word}", shown), word


def test_a_root_with_a_long_name_is_whole(terminal: Terminal) -> None:
    root = "/srv/" + "r" * 200
    shown = plain(terminal.shows(lambda: tell("text", MIXED._replace(root=root)), columns=120))
    assert [line.split()[0].rstrip(":") for line in shown.splitlines() if line.startswith(root)] == [root, root]


SUMMARIES = {
    "clean": (CLEAN, None, "32"),
    "an info": (report(found("tls-off", INFO)), None, "32"),
    "an info that counts": (report(found("tls-off", INFO)), INFO, "1;31"),
    "a warning": (report(found("tls-off", WARNING)), None, "33"),
    "a warning that counts": (report(found("tls-off", WARNING)), WARNING, "1;31"),
    "an error": (report(found("secret-mode")), ERROR, "1;31"),
    "no answer": (report(unknown()), None, "33"),
}


@pytest.mark.parametrize("name", SUMMARIES)
def test_the_summary_is_green_when_all_is_well(name: str, terminal: Terminal) -> None:
    one, threshold, code = SUMMARIES[name]
    shown = terminal.shows(lambda: tell("text", one, threshold=threshold), columns=80)
    assert shown.splitlines()[-1].startswith(f"\x1b[{code}m/: ")


@pytest.mark.parametrize("columns", [0, 40, 120])
@pytest.mark.parametrize("declined", [{"term": "dumb"}, {"NO_COLOR": "1"}])
def test_colours_can_be_declined(
    columns: int, declined: dict[str, str], terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = terminal.shows(lambda: tell("text", MIXED), columns=columns, **declined)
    tell("text", MIXED)
    assert shown.split() == capsys.readouterr().out.split()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("columns", [40, 120])
def test_no_hostile_name_reaches_a_terminal_as_it_is(form: str, columns: int, terminal: Terminal) -> None:
    shown = terminal.shows(lambda: tell(form, NASTY), columns=columns)
    assert all(line.isprintable() for line in plain(shown).removesuffix("\n").split("\n"))
    assert "\x1b[31m[bold]" not in shown


@pytest.mark.parametrize("columns", [60, 120])
def test_markup_in_a_name_is_no_markup(columns: int, terminal: Terminal) -> None:
    one = report(found("secret-mode", path="/etc/[bold red]x[/] :smile:", remedy="[link=http://x]y[/]"))
    shown = plain(terminal.shows(lambda: tell("text", one), columns=columns))
    assert "/etc/[bold red]x[/] :smile:" in " ".join(words(shown))
    assert "    fix: [link=http://x]y[/]\n" in shown


# --- in a process of its own

SCRIPT = """
import sys
from msmtp_agent import render
from tests.test_audit_output import MIXED, tell
from tests.support.reports import report
before = "rich" in sys.modules
tell(sys.argv[1], MIXED._replace(root="/srv/k\\u00e4se"), report())
sys.stdout.flush()
print("rich" in sys.modules, before, file=sys.stderr)
"""


def run(form: str, output: int | None = subprocess.PIPE, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, form],
        stdout=output,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_pipe_needs_no_rich(form: str) -> None:
    done = run(form, TERM="xterm")
    assert done.stderr == b"False False\n"


@pytest.mark.parametrize("form", FORMATS)
def test_a_reader_that_has_gone_is_no_error(form: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as gone:
        done = run(form, gone.fileno())
    assert (done.returncode, done.stderr) == (0, b"False False\n")


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_is_an_error(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(InputOutputError, match="standard output"):
            tell(form, MIXED)
        monkeypatch.undo()


def test_the_end_of_a_line_is_kept_where_a_letter_is_not() -> None:
    written = io.BytesIO()
    render.say("k\u00e4se", io.TextIOWrapper(written, encoding="ascii"), end=",")
    assert written.getvalue() == b"k\\xe4se,"


LOCALES = {
    "text": "/srv/k\\xe4se: 2 errors",
    "json": '"root": "/srv/k\\u00e4se"',
    "nagios": "/srv/k\\xe4se: secret-mode",
    "prometheus": '{root="/srv/k\u00e4se"} 1\n',  # the format knows no other encoding
}


@pytest.mark.parametrize("form", LOCALES)
def test_a_stream_that_knows_ascii_alone(form: str) -> None:
    done = run(form, PYTHONIOENCODING="ascii")
    assert LOCALES[form] in done.stdout.decode("utf-8" if form == "prometheus" else "ascii")
