"""The options as the command line has them, and as the man page and the completions of three shells tell them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from msmtp_agent import rendering_cli
from msmtp_agent.audit_cli import FORMATS
from msmtp_agent.checks import CATALOGUE
from msmtp_agent.cli import app
from msmtp_agent.model import Severity
from msmtp_agent.providers import BUILT_IN
from tests.support.sandbox import PROJECT
from tests.support.view import SYSTEM_PATH

BASH = PROJECT / "completions/bash/msmtp-config"
ZSH = PROJECT / "completions/zsh/_msmtp-config"
FISH = PROJECT / "completions/fish/msmtp-config.fish"
PAGE = PROJECT / "docs/msmtp-config.8"
PROVIDERS = {provider.id for provider in BUILT_IN}
IDS = {check.id for check in CATALOGUE}
# What the audit's options take, where it is one of a few words.
WORDS = {
    "--format": set(FORMATS),
    "--fail-on": {severity.value for severity in Severity},
    "--only": IDS,
    "--skip": IDS,
    "--explain": IDS,
}
RENDERED = set(rendering_cli.FORMATS)
PACKAGE_OPTIONS = ("--deb-url", "--deb-sha256", "--apt-source", "--apt-key")
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
    names = {name for parameter in holder.params for name in parameter.opts if name.startswith("-")}
    return names | set(holder.get_help_option_names(context))


def takes_value(verb: str = "") -> set[str]:
    holder = command().commands[verb] if verb else command()
    valued = [parameter for parameter in holder.params if not getattr(parameter, "is_flag", True)]  # no arguments
    return {name for parameter in valued for name in parameter.opts}


def test_the_truth_is_not_empty() -> None:
    assert {"--password-stdin", "--to", "--help", "-h"} <= options()
    assert options("test") < options()
    assert {"--format", "--root"} <= options("audit")
    assert set(command().commands) == {"apply", "audit", "diagnose", "pin", "providers", "render", "test"}
    assert takes_value() == {"--credential", "--to", "--timeout"}
    assert takes_value("audit") == WORDS.keys() | {"--output", "--root"}
    assert takes_value("render") == {"--format", "--output", *PACKAGE_OPTIONS}


def test_help_shows_them() -> None:
    verbs = ("", *command().commands)
    everything = set().union(*map(options, verbs))
    for verb in verbs:
        text = run(["/usr/bin/python3", "-B", "-m", "msmtp_agent", *verb.split(), "--help"])
        assert set(re.findall(r"(?<![\w-])(--?[a-z][a-z0-9-]*)", text)) & everything == options(verb)


# --- the man page


def section(title: str, level: str = "Sh") -> str:
    found = re.search(rf"^\.{level} {title}\n(.*?)(?=^\.S[hs] |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def flags(text: str) -> set[str]:
    """The options that lines of mdoc name: `.It Fl -to Ar ADDRESS`, `.It Fl h , -help`."""
    found = set()
    for arguments in re.findall(r"^\.(?:It|Op|Fl) ?(?:Fl )?(.*)$", text, re.MULTILINE):
        for word in re.findall(r"(?:^|(?<=Fl )|(?<=, ))(-?[a-z][a-z0-9-]*)", arguments):
            found.add(f"-{word}")
    return found


@pytest.mark.parametrize("verb", ["", "apply", "audit", "diagnose", "pin", "providers", "render", "test"])
def test_the_man_page_tells_every_option(verb: str) -> None:
    told = flags(section(f"The verb {verb}", "Ss") if verb else section("OPTIONS"))
    assert told | {"--help", "-h"} == options(verb)


def test_the_synopsis_is_whole() -> None:
    told: dict[str, set[str]] = {}
    for line in section("SYNOPSIS").split(".Nm\n")[1:]:
        verb = re.search(r"^\.Cm (\w+)", line)
        told.setdefault(verb[1] if verb else "", {"--help", "-h"}).update(flags(line))
    assert told == {verb: options(verb) for verb in ("", *command().commands)}


def test_the_man_page_tells_formats_severities_and_checks() -> None:
    text = section("The verb audit", "Ss")
    assert set(re.findall(r"^\.It Cm (\w+)", text, re.MULTILINE)) == WORDS["--format"]
    assert set(re.findall(r"^\.It Sy (\w+)", text, re.MULTILINE)) == WORDS["--fail-on"]
    assert set(re.findall(r"--(?:only|skip|explain) ([a-z-]+)", section("EXAMPLES"))) <= IDS
    assert set(re.findall(r"^\.Cm ([\w-]+)", section("The verb render", "Ss"), re.MULTILINE)) == RENDERED


def test_the_man_page_tells_every_setting() -> None:
    told = re.findall(r"^\.It Sy (.+)$", section("The settings", "Ss"), re.MULTILINE)
    schema = json.loads((PROJECT / "msmtp_agent/schemas/settings.json").read_text())
    assert {key for line in told for key in line.split(" , ")} == set(schema["properties"]["smtp"]["properties"])


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
    assert bash_offers("audit", "-") == bash_offers("audit", "") == options("audit")
    assert bash_offers("--json", "--to", "me@example.org", "test", "--") == options("test") - {"-h"}
    assert bash_offers("--pass") == {"--password-stdin"}


def test_bash_offers_the_verbs() -> None:
    assert bash_offers("") == set(command().commands)
    assert bash_offers("tes") == {"test"}


def test_bash_offers_the_providers() -> None:
    assert bash_offers("providers", "") == PROVIDERS
    assert bash_offers("providers", "-") == options("providers")
    assert bash_offers("providers", "proton") == {"proton", "proton-bridge"}


def test_every_shell_offers_the_formats_of_render(tmp_path: Path) -> None:
    assert bash_offers("render", "--format", "") == RENDERED
    assert fish_offers("render", "--format", "", home=tmp_path) == RENDERED
    for option in PACKAGE_OPTIONS[:3]:
        assert bash_offers("render", option, "") == set()


def test_bash_is_registered_for_the_command() -> None:
    assert "-F _msmtp_config msmtp-config" in run(["bash", "--norc", "-c", f"source {BASH}; complete -p msmtp-config"])


@pytest.mark.parametrize("option", sorted(takes_value()))
def test_bash_offers_no_options_for_a_value(option: str) -> None:
    assert bash_offers(option, "") == set()
    assert bash_offers(option, "-") == set()


@pytest.mark.parametrize("option", sorted(WORDS))
def test_bash_offers_the_words_for_a_value(option: str) -> None:
    assert bash_offers("audit", option, "") == WORDS[option]
    first = min(WORDS[option])
    assert bash_offers("audit", option, first[:-1]) >= {first}


@pytest.mark.parametrize("option", ["--only", "--skip"])
def test_bash_completes_the_last_check_of_a_list(option: str) -> None:
    assert bash_offers("audit", option, "secret-mode,") == {f"secret-mode,{name}" for name in IDS}
    assert bash_offers("audit", option, "secret-mode,tls-of") == {"secret-mode,tls-off"}


def test_bash_offers_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    start = f"{tmp_path}/"
    assert bash_offers("audit", "--output", start) == {f"{tmp_path}/directory", f"{tmp_path}/file"}
    assert bash_offers("audit", "--root", start) == {f"{tmp_path}/directory"}
    for verb in ("apply", "render"):
        assert bash_offers(verb, start) == {f"{tmp_path}/directory", f"{tmp_path}/file"}
        assert bash_offers(verb, "-") == options(verb)


def test_fish_offers_the_options(tmp_path: Path) -> None:
    long, short = fish_offers("--", home=tmp_path), fish_offers("-", home=tmp_path)
    assert long == options() - {"-h"}
    assert "-h" in short
    for verb in command().commands:
        assert fish_offers(verb, "--", home=tmp_path) == options(verb) - {"-h"}
    assert fish_offers("", home=tmp_path) == set(command().commands)
    assert fish_offers("providers", "", home=tmp_path) == PROVIDERS


@pytest.mark.parametrize("option", sorted(WORDS))
def test_fish_offers_the_words_for_a_value(option: str, tmp_path: Path) -> None:
    assert fish_offers("audit", option, "", home=tmp_path) == WORDS[option]


@pytest.mark.parametrize("option", ["--only", "--skip"])
def test_fish_completes_the_last_check_of_a_list(option: str, tmp_path: Path) -> None:
    assert fish_offers("audit", option, "secret-mode,tls-of", home=tmp_path) == {"secret-mode,tls-off"}


def test_fish_offers_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    start = f"{tmp_path}/"
    assert fish_offers("audit", "--output", start, home=tmp_path) == {f"{start}directory/", f"{start}file"}
    assert fish_offers("audit", "--root", start, home=tmp_path) == {f"{start}directory/"}
    assert fish_offers("apply", start, home=tmp_path) == {f"{start}directory/", f"{start}file"}


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
ZSH_AT_ONCE = 6


def zsh_offers(words: Iterable[str], directory: Path) -> dict[str, set[str]]:
    """What zsh lists after TAB, on a terminal of its own: its completion works nowhere else. By what is typed."""

    def listed(typed: str) -> tuple[str, set[str]]:
        driver = ("timeout", "30", "zsh", "-f", "-c", ZSH_DRIVER, "zsh", ZSH.parent, directory / "dump", typed)
        text = run(driver, home=directory).partition(f"msmtp-config {typed}")[2]
        return typed, set(re.findall(r"(?<![\w-])(?:--?)?[a-z][a-z0-9-]*", text))

    with ThreadPoolExecutor(ZSH_AT_ONCE) as pool:
        return dict(pool.map(listed, words))


@pytest.mark.slow
def test_zsh_offers_the_options(tmp_path: Path) -> None:
    verbs = {f"{verb} -": options(verb) for verb in command().commands}
    offered = zsh_offers(["-", *verbs], tmp_path)
    found = {typed: {word for word in words if word.startswith("-")} for typed, words in offered.items()}
    assert found.pop("-") >= options()
    assert found == verbs


@pytest.mark.slow
def test_zsh_offers_the_words_for_a_value(tmp_path: Path) -> None:
    wanted = {f"audit {option} ": words for option, words in WORDS.items()}
    wanted |= {"providers ": PROVIDERS, "render --format ": RENDERED}
    part = "audit --only secret-mode,tls-"
    offered = zsh_offers([*wanted, part], tmp_path)
    for typed, words in wanted.items():
        assert offered[typed] >= words, typed
    # The list itself is shown again, above what may follow.
    listed = offered[part] & IDS - {"secret-mode"}
    assert listed == {name for name in IDS if name.startswith("tls-")}
