"""`providers` on terminals: of every width, with colours and without, and with a name that means harm."""

from __future__ import annotations

import pytest

from msmtp_agent import providers_cli, render_providers
from msmtp_agent.providers import BUILT_IN
from tests.test_audit_terminal import Terminal, plain, words
from tests.test_providers import CHECKED, IDS, day


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def fits(line: str, columns: int) -> bool:
    """Whether it is no wider, or holds one word that is: an address to be opened, a name to be typed."""
    return len(line) <= columns or len(line.split()[-1]) > columns - 16


def tell(name: str | None = None) -> None:
    providers_cli.run(name, as_json=False, root="/nonexistent", clock=lambda: day(CHECKED))


@pytest.mark.parametrize("columns", [160, 400])
def test_a_wide_terminal_gets_the_table(columns: int, terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    shown = terminal.shows(tell, columns=columns)
    tell()
    assert plain(shown) == capsys.readouterr().out
    assert shown.startswith("\x1b[1mID ")
    assert terminal.shows(tell, columns=columns, term="dumb") == plain(shown)
    assert terminal.shows(tell, columns=columns, NO_COLOR="1") == plain(shown)


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_a_narrow_terminal_gets_a_few_lines_for_each(columns: int, terminal: Terminal) -> None:
    shown = terminal.shows(tell, columns=columns)
    lines = plain(shown).splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(IDS)
    assert all(fits(line, columns) for line in lines)
    for provider in BUILT_IN:
        assert f"\x1b[1m{provider.id}" in shown
        assert {*provider.name.split(), f"{provider.hosts[0]}:", *provider.kind.split()} <= {
            word.rstrip(";") for word in words(shown)
        }


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("term", ["xterm", "dumb"])
@pytest.mark.parametrize("name", ["gmail", "microsoft365"])
def test_an_entry_is_folded_and_nothing_of_it_is_lost(
    name: str, columns: int, term: str, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = plain(terminal.shows(lambda: tell(name), columns=columns, term=term))
    tell(name)
    assert words(shown) == words(capsys.readouterr().out)
    assert all(fits(line, columns) for line in shown.splitlines())


def test_words_from_outside_reach_no_terminal_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    # No file may say this (see test_provider_files.py); the printer does not rely on it.
    nasty = "\x1b]0;owned\x07\u202e\n"
    fact = BUILT_IN[0].user._replace(text=nasty, source=nasty)
    ours = BUILT_IN[0]
    ports = (ours.ports[0]._replace(note=nasty),)
    hostile = ours._replace(
        name=nasty, hosts=(nasty,), ports=ports, kind=nasty, user=fact, steps=(nasty,), notes=(fact,), file=nasty
    )
    render_providers.listing((hostile,), "2026-01-01")
    render_providers.entry(hostile._replace(page=nasty), "2026-01-01")
    shown = capsys.readouterr().out
    assert "owned" in shown
    assert all(line.isprintable() for line in shown.splitlines())
    assert shown.count("?]0;owned???") == 12
