"""The first questions on terminals of every kind, on hosts that are not empty, and where nobody is to be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import jsonschema
import pytest

from tests.support.account import ADMIN, MSMTPRC
from tests.support.account import USER as ME
from tests.support.asked import (
    AGREE,
    ALIASES,
    APPLY,
    PASSWORD,
    PROMPT,
    PROVIDER,
    Desk,
)
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.smtpd import Smtpd

pytestmark = pytest.mark.root


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd({ME: PASSWORD.encode()}, cert=pki.certificate(), key=pki.key(), mechanisms=("PLAIN",)) as running:
        yield running


@pytest.fixture
def desk(sandbox: Sandbox, server: Smtpd, pki: Pki) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(sandbox, server, pki, stack)


# --- what it looks like


def _too_wide(screen: str, columns: int) -> list[str]:
    """Lines that the terminal would break, apart from those of files, from questions, and from the one to paste."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    prose = plain.partition("/etc/aliases:")[0] + plain.partition(AGREE)[2]
    return [
        line
        for line in prose.split("\n")
        if len(line) > columns
        and len(line.split()) > 1
        and "]: " not in line
        and not line.startswith(("SMTP pa", "  fix: "))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": "xterm-256color"}, {"TERM": "xterm", "NO_COLOR": "1"}])
def test_a_narrow_terminal(desk: Desk, env: dict[str, str]) -> None:
    person = desk.answer(desk.sit("--no-mail", columns=40, env=env))
    person.see(PROMPT)
    person.type(PASSWORD)
    assert person.ends() == 0
    assert _too_wide(person.screen, 40) == []
    assert ("\x1b[" in person.screen) == (env["TERM"] == "xterm-256color")
    assert "\x1b" not in person.screen.partition(PROMPT)[0].partition(PROVIDER)[2].partition(AGREE)[0]


@pytest.mark.slow
def test_a_console_that_knows_no_size(desk: Desk) -> None:
    person = desk.answer(desk.sit("--no-mail", within='stty cols 0 rows 0; "$@"'))
    person.see(PROMPT)
    person.type(PASSWORD)
    assert person.ends() == 0


@pytest.mark.slow
def test_standard_output_may_be_a_pipe(desk: Desk) -> None:
    """The questions stand where they are answered, and the report alone where it goes."""
    person = desk.answer(desk.sit("--json", "--no-mail", within='"$@" >/run/report'))
    person.see(PROMPT)
    person.type(PASSWORD)
    assert person.ends() == 0
    report = json.loads(desk.sandbox.read("/run/report"))
    jsonschema.validate(report, json.loads((PROJECT / "msmtp_agent/schemas/configure.json").read_bytes()))
    assert report["changed"]
    (config,) = [stage for stage in report["stages"] if stage["stage"] == "config"]
    assert config["status"] == "passed"
    assert "/etc/msmtprc created; " in config["seen"]


# --- a host that is not empty


@pytest.mark.slow
def test_lines_of_others_in_aliases_stay(desk: Desk) -> None:
    desk.sandbox.write(ALIASES, "# ours\nwww-data: web@example.org\nroot: old@example.org\n", mode=0o644)
    person = desk.answer(desk.sit("--no-mail"), AGREE)
    assert "-root: old@example.org\n" in person.screen
    assert f"+root: {ADMIN}\n" in person.screen
    person.type("y")
    person.see(PROMPT)
    person.press("c")
    assert person.ends() == 130
    content = desk.sandbox.read(ALIASES).decode()
    assert content.startswith("# ours\nwww-data: web@example.org\n")
    assert f"root: {ADMIN}\n" in content
    (kept,) = [name for name in desk.written if name.startswith(f"{ALIASES}.")]
    assert desk.sandbox.read(kept) == b"# ours\nwww-data: web@example.org\nroot: old@example.org\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "status", "words"),
    [
        ("ln -s /nowhere /etc/msmtprc", 78, "/etc/msmtprc: is a symbolic link to /nowhere"),
        ("mkdir /etc/aliases", 73, "/etc/aliases: is a directory"),
        ("mkfifo /etc/aliases", 73, "/etc/aliases: is a FIFO"),
        ("echo 'a: b: c' >/etc/aliases", 78, "/etc/aliases: line 1: single ':' delimiter expected"),
        ("mkfifo /etc/msmtp-password", 73, "/etc/msmtp-password: is a FIFO"),
        ("echo account default >/root/.msmtprc", 78, "/root/.msmtprc: line 1: its default account takes the place"),
    ],
)
def test_what_stands_in_the_way_is_told_before_anything_is_asked(
    desk: Desk, prepare: str, status: int, words: str
) -> None:
    desk.sandbox.shell(prepare)
    before = desk.written
    person = desk.sit(columns=200)
    assert person.ends() == status
    assert words in person.screen
    assert PROVIDER not in person.screen
    assert desk.written == before


@pytest.mark.slow
def test_a_file_that_was_made_while_the_person_thought(desk: Desk) -> None:
    person = desk.answer(desk.sit(columns=200), AGREE)
    desk.sandbox.write(MSMTPRC, "# of an editor\n")
    person.type("yes")
    assert person.ends() == 73
    assert "/etc/msmtprc: has changed since it was looked at" in person.screen
    assert desk.sandbox.read(MSMTPRC) == b"# of an editor\n"


# --- nobody to ask


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--password-stdin"], pytest.param(["--json"], marks=pytest.mark.slow)])
def test_nobody_is_asked_where_nobody_is(desk: Desk, options: list[str]) -> None:
    done = desk.sandbox.agent(*options, stdin=PASSWORD.encode())
    assert done.returncode == (78 if "--password-stdin" in options else 64)
    assert "Provider" not in done.stdout + done.stderr
    assert desk.written == set()
    if "--password-stdin" in options:
        assert f"msmtp-config: {MSMTPRC}: is missing; expected msmtp's configuration\n  fix: {APPLY}\n" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--offline", "--force"])
def test_options_that_go_on_without_it_ask_nothing(desk: Desk, option: str) -> None:
    person = desk.sit(option)
    if option == "--force":
        person.see("SMTP password: ")
        person.press("c")
    assert person.ends() == (130 if option == "--force" else 78)
    assert PROVIDER not in person.screen
    assert desk.written == set()
