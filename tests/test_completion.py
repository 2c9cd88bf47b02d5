"""The options as the command line has them, and as the man page and the completions of three shells tell them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from msmtp_agent.cli import app
from tests.support.sandbox import PROJECT
from tests.support.view import SYSTEM_PATH

BASH = PROJECT / "completions/bash/msmtp-config"
ZSH = PROJECT / "completions/zsh/_msmtp-config"
FISH = PROJECT / "completions/fish/msmtp-config.fish"
PAGE = PROJECT / "docs/msmtp-config.8"
# Everything that a shell starts here is a program of the machine.
pytestmark = pytest.mark.programs


def run(argv: Sequence[str | Path], *, check: bool = True, home: Path = Path("/nonexistent")) -> str:
    environment = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": str(home), "MANWIDTH": "200", "TERM": "dumb"}
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL, env=environment
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@cache
def command() -> Any:
    return typer.main.get_command(app)


def options(verb: str = "") -> set[str]:
    """The truth: what the command, or a verb of it, takes."""
    holder, context = command(), command().make_context("msmtp-config", [], resilient_parsing=True)
    if verb:
        holder = holder.commands[verb]
        context = holder.make_context(verb, [], parent=context, resilient_parsing=True)
    return {name for parameter in holder.params for name in parameter.opts} | set(holder.get_help_option_names(context))


def takes_value(verb: str = "") -> set[str]:
    holder = command().commands[verb] if verb else command()
    return {name for parameter in holder.params if not parameter.is_flag for name in parameter.opts}


def test_the_truth_is_not_empty() -> None:
    assert {"--password-stdin", "--to", "--help", "-h"} <= options()
    assert options("test") < options()
    assert set(command().commands) == {"test"}
    assert takes_value() == {"--credential", "--to", "--timeout"}


def test_help_shows_them() -> None:
    for verb in ("", *command().commands):
        text = run(["/usr/bin/python3", "-B", "-m", "msmtp_agent", *verb.split(), "--help"])
        assert set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", text)) & (options() | {"-h"}) == options(verb)


# --- the man page


def section(title: str, level: str = "Sh") -> str:
    found = re.search(rf"^\.{level} {title}\n(.*?)(?=^\.S[hs] |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def flags(text: str) -> set[str]:
    """The options that lines of mdoc name: `.It Fl -to Ar ADDRESS`, `.It Fl h , -help`."""
    found = set()
    for arguments in re.findall(r"^\.(?:It|Op|Fl) ?(?:Fl )?(.*)$", text, re.MULTILINE):
        for word in re.findall(r"(?:^|(?<=Fl )|(?<=, ))(-?[a-z][a-z-]*)", arguments):
            found.add(f"-{word}")
    return found


def test_the_man_page_tells_every_option() -> None:
    assert flags(section("OPTIONS")) == options()
    verb = section("The verb test", "Ss")
    assert flags(verb) | {"--help", "-h"} == options("test")


def test_the_synopsis_is_whole() -> None:
    main, verb = section("SYNOPSIS").split(".Cm test")
    verb, rest = verb.split(".Nm", 1)
    assert flags(main) | flags(rest) | {"-h"} == options()
    assert flags(verb) | {"--help", "-h"} == options("test")


def test_the_man_page_is_clean() -> None:
    assert run(["man", "--warnings", "--local-file", PAGE]).count("\n") > 100
    done = subprocess.run(
        ["man", "--warnings=w", "--local-file", PAGE],
        capture_output=True,
        check=False,
        timeout=60,
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stderr) == (0, b"")


# --- the shells


@pytest.mark.parametrize(("shell", "file"), [("bash", BASH), ("zsh", ZSH), ("fish", FISH)])
def test_the_shell_can_read_it(shell: str, file: Path) -> None:
    assert run([shell, "-n", file]) == ""


def bash_offers(*words: str) -> set[str]:
    """What bash offers for these words, the last one unfinished."""
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _msmtp_config; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return set(run(["bash", "--norc", "-euc", script, "bash", BASH, "msmtp-config", *words]).split())


def fish_offers(*words: str, home: Path) -> set[str]:
    script = f"source {FISH}; complete -C'{' '.join(('msmtp-config', *words))}'"
    lines = run(["fish", "--no-config", "-c", script], home=home).splitlines()
    return {line.split("\t")[0] for line in lines}


def test_bash_offers_the_options() -> None:
    assert bash_offers("-") == options()
    assert bash_offers("test", "-") == options("test")
    assert bash_offers("--json", "--to", "me@example.org", "test", "--") == options("test") - {"-h"}
    assert bash_offers("--pass") == {"--password-stdin"}


def test_bash_offers_the_verb() -> None:
    assert bash_offers("") == set(command().commands)
    assert bash_offers("tes") == {"test"}


def test_bash_is_registered_for_the_command() -> None:
    assert "-F _msmtp_config msmtp-config" in run(["bash", "--norc", "-c", f"source {BASH}; complete -p msmtp-config"])


@pytest.mark.parametrize("option", sorted(takes_value()))
def test_bash_offers_no_options_for_a_value(option: str) -> None:
    assert bash_offers(option, "") == set()
    assert bash_offers(option, "-") == set()


def test_fish_offers_the_options(tmp_path: Path) -> None:
    long, short = fish_offers("--", home=tmp_path), fish_offers("-", home=tmp_path)
    assert long == options() - {"-h"}
    assert "-h" in short
    assert fish_offers("test", "--", home=tmp_path) == options("test") - {"-h"}
    assert fish_offers("", home=tmp_path) == set(command().commands)


ZSH_DRIVER = """
zmodload zsh/zpty
zpty driven zsh -f -i
zpty -w driven "PS1=READY; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -d $2; bindkey '^I' list-choices"
zpty -w driven "LISTMAX=0; COLUMNS=200; zstyle ':completion:*' verbose no; echo SET''UP"
zpty -r -m driven seen '*SETUP*READY*'
zpty -n -w driven "msmtp-config $3"$'\\t'
sleep 2
zpty -n -w driven $'\\C-u'"echo AF''TER"$'\\n'
zpty -r -m driven seen '*AFTER*'
print -r -- "$seen"
zpty -d driven
"""


def zsh_offers(words: str, directory: Path) -> set[str]:
    """What zsh lists after TAB, on a terminal of its own: its completion works nowhere else."""
    text = run(
        ["timeout", "30", "zsh", "-f", "-c", ZSH_DRIVER, "zsh", ZSH.parent, directory / "dump", words], home=directory
    )
    listed = text.partition(f"msmtp-config {words}")[2]
    return set(re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", listed)) - {"--"}


@pytest.mark.slow
def test_zsh_offers_the_options(tmp_path: Path) -> None:
    assert zsh_offers("-", tmp_path) >= options()
    assert zsh_offers("test -", tmp_path) == options("test")
