"""Typer without its Rich (msmtp_agent/lean.py): it is not loaded, and nothing but colours in the help is lost."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import interpreter
from tests.support.sandbox import PROJECT, Sandbox

# Slow to load, and nothing that these runs need; what Rich brings with itself is among them.
HEAVY = {
    *("rich", "markdown_it", "pygments", "tempfile", "logging", "socket", "ssl", "asyncio", "email", "http"),
    *("importlib.metadata", "pkg_resources", "stringprep", "getopt", "argparse", "pdb", "unittest"),
}
# Runs the command line, and says what it has loaded in the last line of standard error.
WATCHED = """\
import sys
from msmtp_agent.cli import main
status = main()
import json
print("\\n" + json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(status)
"""
# What Typer itself needs for any command; its newest releases bring pydantic into every one.
SMALLEST = """\
import sys
from msmtp_agent.lean import typer
app = typer.Typer(add_completion=False, rich_markup_mode=None)
@app.callback(invoke_without_command=True)
def command(number: float = typer.Option(1.0, "--number")) -> None: ...
typer.main.get_command(app).main(["--number", "2"], standalone_mode=False)
import json
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
MSMTPRC = """\
account default
host 127.0.0.1
port 25
auth plain
from a@example.test
user a@example.test
passwordeval "cat /etc/msmtp-password"
"""


def python(executable: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [executable, *arguments],
        env={**environment, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
    )


def said(executable: Path, code: str) -> str:
    done = python(executable, "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded(stderr: str) -> set[str]:
    """The modules that WATCHED or SMALLEST has written down."""
    return set(json.loads(stderr.splitlines()[-1]))


def needless(executable: Path, modules: set[str]) -> set[str]:
    """What is heavy among the modules, and is not Typer's own need; Rich is nobody's."""
    done = python(executable, "-c", SMALLEST)
    assert done.returncode == 0, done.stderr
    return (modules & HEAVY) - (loaded(done.stderr) - {"rich"})


def rooms(modules: set[str]) -> set[str]:
    return {name.removeprefix("msmtp_agent.") for name in modules if name.startswith("msmtp_agent.")}


# --- the trick


@pytest.mark.programs
def test_the_command_line_comes_without_rich_and_rich_can_be_had_later(typer_python: Path) -> None:
    code = """
import sys
import msmtp_agent.cli
print([name for name in sys.modules if name.partition(".")[0] == "rich"])
from rich.console import Console
from rich.text import Text
Console(force_terminal=True, color_system="standard", width=40).print(Text("seen", style="green"))
"""
    assert said(typer_python, code).split("\n") == ["[]", "\x1b[32mseen\x1b[0m"]


@pytest.mark.programs
def test_a_rich_that_is_there_already_stays(typer_python: Path) -> None:
    code = """
import sys, rich.text
before = sys.modules["rich"]
import msmtp_agent.lean
print(sys.modules["rich"] is before, rich.text.Text("seen"))
"""
    assert said(typer_python, code) == "True seen"


@pytest.mark.programs
def test_rich_is_put_back_where_typer_cannot_be_imported() -> None:
    code = """
import sys
sys.modules["typer"] = None
try:
    import msmtp_agent.lean
except ModuleNotFoundError as error:
    import rich
    print(error.name, rich.__name__)
"""
    assert said(interpreter("system"), code) == "typer rich"


@pytest.mark.programs
@pytest.mark.parametrize("name", ["typer-0.7", "typer-0.9", "typer-0.15"])
def test_there_is_a_reason_for_it(name: str) -> None:
    """When no supported release loads Rich by itself any more, lean.py can go."""
    assert said(interpreter(name), "import sys, typer; print('rich.console' in sys.modules)") == "True"


def test_only_one_room_imports_typer() -> None:
    found = {
        path.stem
        for path in (PROJECT / "msmtp_agent").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "typer" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.level == 0 and str(node.module).split(".")[0] == "typer")
    }
    assert found == {"lean"}


# --- what the two runs that are to be fast load


@pytest.mark.programs
def test_the_version_loads_nothing_that_it_does_not_need(typer_python: Path) -> None:
    done = python(typer_python, "-c", WATCHED, "--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "msmtp-config"), done.stderr
    modules = loaded(done.stderr)
    assert needless(typer_python, modules) == set()
    assert rooms(modules) <= {"cli", "errors", "lean", "model", "printable", "render"}


def test_the_unattended_job_loads_nothing_that_it_does_not_need(sandbox: Sandbox, typer_python: Path) -> None:
    sandbox.write("/etc/msmtprc", MSMTPRC)
    done = sandbox.run([typer_python, "-c", WATCHED, "--password-stdin", "--offline"], stdin=b"correct horse")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^passed +store ", done.stdout, re.MULTILINE), done.stdout
    modules = loaded(done.stderr)
    assert needless(typer_python, modules) == set()
    assert "configure" in rooms(modules)
    assert rooms(modules) & {"saslprep", "__main__"} == set()


# --- what it costs: the help is plain, and as good


@pytest.mark.programs
@pytest.mark.parametrize("verb", [[], ["test"]], ids=["main job", "test"])
def test_the_help_is_plain_text_and_whole(typer_python: Path, verb: list[str]) -> None:
    """Also where colours are asked for."""
    colours = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "100", "LC_ALL": "C.UTF-8"}
    done = python(typer_python, "-m", "msmtp_agent", *verb, "--help", **colours)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii(), done.stdout
    assert "\x1b" not in done.stdout
    wanted = {"--to", "--timeout", "--json", "--quiet", "--help"}
    if not verb:
        wanted |= {"--password-stdin", "--credential", "--no-mail", "--offline", "--fix", "--force", "--version"}
        assert re.search(r"^  test +\w", done.stdout, re.MULTILINE), done.stdout
    described = re.findall(r"^  (?:-h, )?(--[a-z-]+)(?: [A-Z]+)? +\w", done.stdout, re.MULTILINE)
    assert set(described) == wanted, done.stdout
    assert len(described) == len(wanted)


@pytest.mark.programs
def test_the_help_loads_no_rich_either(typer_python: Path) -> None:
    done = python(typer_python, "-c", WATCHED, "--help")
    assert done.returncode == 0, done.stderr
    assert needless(typer_python, loaded(done.stderr)) == set()


@pytest.mark.programs
def test_a_wrong_option_is_answered_in_plain_text(typer_python: Path) -> None:
    done = python(typer_python, "-m", "msmtp_agent", "--verison", FORCE_COLOR="1", TERM="xterm-256color")
    assert (done.returncode, done.stdout) == (os.EX_USAGE, "")
    assert done.stderr.isascii(), done.stderr
    assert done.stderr.startswith("msmtp-config: usage: ")
    assert "\x1b" not in done.stderr
