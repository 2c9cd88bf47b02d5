"""The audit on terminals: of every width, with colours and without, and with names that mean harm."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
from collections.abc import Callable

import pytest

from msmtp_agent.model import Repair
from tests.support.reports import (
    CHMOD,
    CLEAN,
    ERROR,
    FORMATS,
    INFO,
    MIXED,
    NASTY,
    WARNING,
    found,
    passed,
    report,
    tell,
    unknown,
)

FIXED = f"    fix: {CHMOD}"
SECRET_MODE = Repair("/etc/msmtp-password", "make it 0600 root:root", ("secret-mode", "secret-owner"))


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
