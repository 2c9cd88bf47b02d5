"""A host without `/etc/msmtprc`, and a person at its terminal: from the first question to a mail that has arrived."""

from __future__ import annotations

import os
import re
import signal
import stat
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from msmtp_agent.providers import BUILT_IN
from tests.support.account import ADMIN, MSMTPRC, SECRET
from tests.support.account import USER as ME
from tests.support.asked import (
    AGREE,
    ALIASES,
    APPLY,
    LOGROTATE,
    MAIL,
    PASSWORD,
    PORT,
    PROMPT,
    PROVIDER,
    RECIPIENT,
    SENDER,
    SERVER,
    USER,
    Desk,
)
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd
from tests.test_terminal import Person

pytestmark = pytest.mark.root


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd({ME: PASSWORD.encode()}, cert=pki.certificate(), key=pki.key(), mechanisms=("PLAIN",)) as running:
        yield running


@pytest.fixture
def desk(sandbox: Sandbox, server: Smtpd, pki: Pki) -> Iterator[Desk]:
    with ExitStack() as stack:
        yield Desk(sandbox, server, pki, stack)


@pytest.fixture
def pristine() -> Iterator[list[Any]]:
    """The modes of a terminal that nobody has changed."""
    descriptors = os.openpty()
    yield termios.tcgetattr(descriptors[1])
    for descriptor in descriptors:
        os.close(descriptor)


def rights(sandbox: Sandbox, path: str) -> tuple[int, int, int]:
    facts = sandbox.stat(path)
    return stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid


# --- the whole of it


def test_from_nothing_to_a_mail_that_has_arrived(desk: Desk, pristine: list[Any]) -> None:
    person = desk.answer(desk.sit(), AGREE)
    assert desk.written == set()
    shown = person.screen
    assert f"  {'host':<14} 127.0.0.1\n" in shown
    assert f"root: {ADMIN}\n" in shown
    assert LOGROTATE in shown
    person.type("yes")
    person.see(PROMPT)
    assert not person.echoes()
    person.type(PASSWORD)
    person.see(MAIL)
    person.type()
    person.see("queued as SMTPD0001")
    assert person.ends() == 0
    assert person.terminal == pristine
    assert PASSWORD not in person.screen
    assert "passed  config" in person.screen
    assert "/etc/msmtprc created" in person.screen
    assert desk.server.messages[0].recipients == (ADMIN,)
    assert desk.written == {MSMTPRC, ALIASES, LOGROTATE, SECRET, "/var/log/msmtp.log"}
    assert {path: rights(desk.sandbox, path) for path in (MSMTPRC, SECRET, ALIASES, LOGROTATE)} == {
        MSMTPRC: (0o600, 0, 0),
        SECRET: (0o600, 0, 0),
        ALIASES: (0o644, 0, 0),
        LOGROTATE: (0o644, 0, 0),
    }
    # What was shown is what stands there now, and msmtp takes it.
    for path in (MSMTPRC, ALIASES, LOGROTATE):
        for line in desk.sandbox.read(path).decode().splitlines():
            assert f"  {line}\n" in shown, line
    done = desk.sandbox.agent("--password-stdin", stdin=PASSWORD.encode())
    assert done.returncode == 0, done.stderr
    audit = desk.sandbox.agent("audit", "--skip", "sender-sendmail")  # which is the machine's own
    assert audit.returncode == 0, audit.stdout


@pytest.mark.slow
def test_every_supported_typer(desk: Desk, typer_python: Path) -> None:
    person = desk.answer(desk.sit("--no-mail", python=typer_python))
    person.see(PROMPT)
    person.type(PASSWORD)
    assert person.ends() == 0
    assert desk.server.login.accepted


@pytest.mark.slow
def test_the_second_run_asks_for_the_password_alone(desk: Desk) -> None:
    first = desk.answer(desk.sit())
    first.see(PROMPT)
    first.press("c")
    assert first.ends() == 130
    before = desk.sandbox.read(MSMTPRC)
    second = desk.sit()
    second.see(PROMPT)
    assert PROVIDER not in second.screen
    assert desk.sandbox.read(MSMTPRC) == before


# --- providers, up to the files


def _provider_cases() -> Iterator[Any]:
    servers = {"ses": "email-smtp.eu-west-1.amazonaws.com"}
    for number, provider in enumerate(BUILT_IN, 1):
        host = servers.get(provider.id, provider.hosts[0])
        yield pytest.param(provider.id, str(number), host, id=provider.id)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "number", "host"), list(_provider_cases()))
def test_a_provider_by_its_name_and_by_its_number(desk: Desk, name: str, number: str, host: str) -> None:
    shown = []
    for typed in (name, number):
        person = desk.sit()
        person.see(PROVIDER)
        person.type(typed)
        if name == "ses":
            person.see(SERVER)
            person.type("eu-west-1")
        if name == "proton-bridge":
            person.see("Port [1025]: ")
            person.type()
        person.see(SENDER)
        person.type(ME)
        person.see("User name")
        person.see(": ")
        person.type("postmaster@example.test" if name in ("ses", "mailgun", "postmark") else "")
        person.see(RECIPIENT)
        person.type(ADMIN)
        person.see(AGREE)
        shown.append(person.screen.split(RECIPIENT)[1])
        person.type("no")
        assert person.ends() == 78
    assert shown[0] == shown[1]
    assert f"{host}\n" in shown[0]
    user = {"sendgrid": "apikey"}.get(name, "postmaster@example.test" if name in ("ses", "mailgun", "postmark") else ME)
    assert re.search(rf"^  user +{user}$", shown[0], re.MULTILINE)
    assert desk.written == set()


TOKEN = "3fd84a2c-91be-4f4e-8a5c-2b7d1c0e9f66"


@pytest.mark.slow
def test_a_token_that_is_user_name_and_password_is_never_shown(desk: Desk) -> None:
    person = desk.sit()
    for prompt, typed in {PROVIDER: "postmark", SENDER: ME, "User name: ": f"{TOKEN}\x07", RECIPIENT: ""}.items():
        person.see(prompt)
        if prompt == RECIPIENT:
            break
        assert person.echoes() == (prompt != "User name: ")
        person.type(typed)
        if typed.startswith(TOKEN):
            person.see("the user name cannot be taken; expected ")
            person.see(prompt)
            person.type(TOKEN)
    person.type(ADMIN)
    person.see(AGREE)
    person.type("yes")
    person.see(f"SMTP password for {TOKEN[:4]}")
    person.press("c")
    assert person.ends() == 130
    assert f"{TOKEN}\n".encode() in desk.sandbox.read(MSMTPRC)
    assert TOKEN[:20] not in person.screen


@pytest.mark.slow
def test_the_end_of_input_where_nothing_is_shown(desk: Desk, pristine: list[Any]) -> None:
    person = desk.sit()
    for prompt, typed in {PROVIDER: "postmark", SENDER: ME}.items():
        person.see(prompt)
        person.type(typed)
    person.see("User name: ")
    person.press("d")
    assert person.ends() == 78
    assert "User name: \nfailed  config " in person.screen
    assert person.terminal == pristine
    assert desk.written == set()


# --- wrong answers


@pytest.mark.slow
def test_wrong_answers_are_asked_for_again(desk: Desk) -> None:
    wrong = {
        PROVIDER: "gmial",
        SERVER: "http://mail.example.org",
        PORT: "99999",
        SENDER: "alerts",
        RECIPIENT: "root",
        AGREE: "perhaps",
    }
    person = desk.sit("--no-mail")
    for prompt, typed in desk.answers.items():
        if prompt in wrong:
            person.see(prompt)
            person.type(wrong[prompt])
        person.see(prompt)
        person.type(typed)
    person.see(PROMPT)
    person.type(PASSWORD)
    assert person.ends() == 0
    assert "did you mean gmail?" in person.screen
    assert person.screen.count("; expected ") == len(wrong) - 1
    assert all(person.screen.count(prompt) == 2 for prompt in wrong)
    assert desk.server.login.accepted


@pytest.mark.slow
@pytest.mark.parametrize(
    "typed", [b"\x1b[A\x1b[B", b"\xff\xfe", b"x" * 4000, "ä@exämple".encode(), b"a\tb@example.org"]
)
def test_what_is_no_answer_at_all(desk: Desk, typed: bytes) -> None:
    person = desk.answer(desk.sit(), SENDER)
    person.type(typed)
    person.see(SENDER)
    person.press("c")
    assert person.ends() == 130
    told = person.screen.split(SENDER)[1]
    assert "expected" in told
    assert "Traceback" not in person.screen
    assert desk.written == set()


# --- the end


def _ctrl_c(person: Person) -> int:
    person.press("c")
    return 130


def _ctrl_d(person: Person) -> int:
    person.press("d")
    return 78


def _hang_up(person: Person) -> int:
    person.signal(signal.SIGHUP)
    return 129


QUESTIONS = (PROVIDER, SERVER, PORT, SENDER, USER, RECIPIENT, AGREE)


@pytest.mark.slow
@pytest.mark.parametrize("how", [_ctrl_c, _ctrl_d, _hang_up])
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_end_at_every_question(
    desk: Desk, pristine: list[Any], question: str, how: Callable[[Person], int]
) -> None:
    person = desk.answer(desk.sit(), question)
    status = how(person)
    assert person.ends() == status
    assert person.terminal == pristine
    assert desk.written == set()
    assert "Traceback" not in person.screen
    last = person.screen.split(question)[-1]
    if how is _ctrl_d:
        assert last.count("msmtp-config: /etc/msmtprc: is missing, and nothing was written") == 1
        assert APPLY in last
    else:
        assert "failed  config    interrupted" in last


@pytest.mark.slow
def test_no(desk: Desk, pristine: list[Any]) -> None:
    person = desk.answer(desk.sit(), AGREE)
    person.type("no")
    assert person.ends() == 78
    assert "msmtp-config: /etc/msmtprc: is missing, and nothing was written, as you wanted\n" in person.screen
    assert desk.written == set()
    assert person.terminal == pristine
    assert PROMPT not in person.screen


@pytest.mark.slow
def test_a_terminal_that_nobody_can_be_asked_at(desk: Desk) -> None:
    """Without a controlling terminal, as below setsid(1)."""
    person = desk.sit(within='setsid --wait "$@"')
    assert person.ends() == 74
    assert "terminal: cannot ask: No such device or address" in person.screen
    assert "Traceback" not in person.screen
    assert desk.written == set()


@pytest.mark.slow
def test_half_a_line_and_the_end_of_input(desk: Desk) -> None:
    person = desk.answer(desk.sit(), SENDER)
    person.begin(ME.encode())
    person.press("d")
    person.press("d")
    assert person.ends() == 78
    assert desk.written == set()
