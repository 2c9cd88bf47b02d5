"""The audit in a pipe: the words for people, and every format where nobody or nothing good is at the other end."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap

import pytest

from msmtp_agent import render, render_audit
from msmtp_agent.errors import InputOutputError
from msmtp_agent.model import Repair, Report, Severity
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
from tests.support.sandbox import PROJECT

SECRET_MODE = Repair("/etc/msmtp-password", "make it 0600 root:root", ("secret-mode", "secret-owner"))
ALIASES = Repair("/etc/msmtprc", "add aliases /etc/aliases", ("aliases-wired",))
FIXED = f"    fix: {CHMOD}"
MANGLED = "/etc/???]0;owned??[31m??[bold]|\"'\\?\u00e9"

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
            fix: sensible-editor +12 /etc/msmtprc   # timeout 60
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


# --- in a process of its own

SCRIPT = """
import sys
from msmtp_agent import render
from tests.support.reports import MIXED, report, tell
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
    with io.TextIOWrapper(written, encoding="ascii") as stream:
        render.say("k\u00e4se", stream, end=",")
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
