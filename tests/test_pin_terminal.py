"""`pin` at a terminal: the certificate is shown, then it asks, and nothing is written before a yes."""

from __future__ import annotations

import os
import signal
import termios
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.account import ALIASES, MSMTPRC, SECRET
from tests.support.bridge import Bridge, self_signed
from tests.support.pins import OFF, PASSWORD, SPOKEN, mail, untouched
from tests.support.sandbox import Sandbox
from tests.test_terminal import Person

pytestmark = pytest.mark.root

QUESTION = f"Pin this certificate in {MSMTPRC}? [y/N] "


class Desk:
    """A sandbox with a bridge that is not checked, and the persons who sit down there."""

    def __init__(self, sandbox: Sandbox, bridge: Bridge, stack: ExitStack) -> None:
        self.sandbox = sandbox
        self.bridge = bridge
        self._stack = stack
        sandbox.write(SECRET, f"{PASSWORD}\n")
        sandbox.write("/etc/aliases", ALIASES, mode=0o644)
        self.text = bridge.configure(sandbox, OFF)

    def sit(self, *options: str, columns: int = 200, env: dict[str, str] | None = None) -> Person:
        argv = self.sandbox.command(self.sandbox.agent_argv("pin", *options))
        person = Person(argv, self.sandbox.environment(env), columns)
        self._stack.callback(person.close)
        return person

    @property
    def pinned(self) -> bytes:
        return self.text.replace(OFF.encode(), f"tls_fingerprint {self.bridge.fingerprint}".encode())


@pytest.fixture
def desk(sandbox: Sandbox, tmp_path: Path) -> Iterator[Desk]:
    with Bridge(tmp_path) as bridge, ExitStack() as stack:
        yield Desk(sandbox, bridge, stack)


@pytest.fixture
def pristine() -> Iterator[list[Any]]:
    """The modes of a terminal that nobody has changed."""
    descriptors = os.openpty()
    yield termios.tcgetattr(descriptors[1])
    for descriptor in descriptors:
        os.close(descriptor)


def test_yes(desk: Desk) -> None:
    person = desk.sit()
    person.see(QUESTION)
    assert desk.sandbox.read(MSMTPRC) == desk.text
    assert f"SHA-256   {desk.bridge.fingerprint}\n" in person.screen
    person.type("y")
    assert person.ends() == 0
    assert desk.sandbox.read(MSMTPRC) == desk.pinned
    assert "passed  proof" in person.screen
    assert set(desk.bridge.lines) == SPOKEN
    assert PASSWORD not in person.screen
    assert mail(desk.sandbox).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("answers", [[b""], [b"n"], [b"perhaps", b"no"], [b"\x04"], [b"\xff\xfe", b""]])
def test_anything_but_yes_writes_nothing(desk: Desk, answers: list[bytes]) -> None:
    before = untouched(desk.sandbox)
    person = desk.sit()
    for answer in answers:
        person.see(QUESTION)
        if answer == b"\x04":
            person.press("d")
        else:
            person.type(answer)
    assert person.ends() == 0
    assert "skipped pin       not wanted: nothing was written\n" in person.screen
    assert untouched(desk.sandbox) == before
    assert person.screen.count(QUESTION) == len(answers)


def _ctrl_c(person: Person) -> None:
    person.press("c")


def _hang_up(person: Person) -> None:
    person.signal(signal.SIGHUP)


@pytest.mark.parametrize(("interrupt", "code"), [(_ctrl_c, 130), pytest.param(_hang_up, 129, marks=pytest.mark.slow)])
def test_interrupted_at_the_question(
    desk: Desk, pristine: list[Any], interrupt: Callable[[Person], None], code: int
) -> None:
    before = untouched(desk.sandbox)
    person = desk.sit()
    person.see(QUESTION)
    interrupt(person)
    assert person.ends() == code
    assert untouched(desk.sandbox) == before
    assert person.terminal == pristine
    assert "failed  pin       interrupted" in person.screen
    assert "Traceback" not in person.screen


@pytest.mark.slow
def test_a_yes_that_was_given_with_the_command(desk: Desk) -> None:
    person = desk.sit("--accept")
    assert person.ends() == 0
    assert QUESTION not in person.screen
    assert desk.sandbox.read(MSMTPRC) == desk.pinned


@pytest.mark.slow
def test_another_certificate_than_the_pinned_one(desk: Desk) -> None:
    assert desk.sit("--accept").ends() == 0
    before, old = untouched(desk.sandbox), desk.bridge.fingerprint
    desk.bridge.install(*self_signed(key=ec.generate_private_key(ec.SECP256R1())))
    person = desk.sit()
    person.see(QUESTION)
    assert f"CHANGED   pinned until now: {old}\n" in person.screen
    assert f"SHA-256   {desk.bridge.fingerprint}\n" in person.screen
    assert "CHANGED: this is not the certificate that is pinned" in person.screen
    person.type()
    assert person.ends() == 0
    assert untouched(desk.sandbox) == before


@pytest.mark.slow
def test_a_file_that_was_changed_while_the_person_thought(desk: Desk) -> None:
    person = desk.sit()
    person.see(QUESTION)
    other = desk.text + b"# of an editor\n"
    desk.sandbox.write(MSMTPRC, other)
    person.type("yes")
    assert person.ends() == 73
    assert f"{MSMTPRC}: has changed since it was looked at" in person.screen
    assert desk.sandbox.read(MSMTPRC) == other


@pytest.mark.slow
def test_a_certificate_that_was_changed_while_the_person_thought(desk: Desk) -> None:
    """The pin is the one that was shown and agreed to; the end tells that it does not hold."""
    agreed = desk.pinned
    person = desk.sit()
    person.see(QUESTION)
    desk.bridge.install(*self_signed(key=ec.generate_private_key(ec.SECP256R1())))
    person.type("y")
    assert person.ends() == 69
    assert "is not accepted with the pin, which is written: msmtp ended with 69" in person.screen
    assert "the certificate fingerprint does not match" in person.screen
    assert desk.sandbox.read(MSMTPRC) == agreed


@pytest.mark.slow
def test_a_narrow_terminal_with_colours(desk: Desk) -> None:
    person = desk.sit(columns=60, env={"TERM": "xterm-256color"})
    person.see(QUESTION)
    assert "subject   CN=127.0.0.1" in person.screen
    assert desk.bridge.fingerprint in person.screen.replace("\n", "")
    person.type("n")
    assert person.ends() == 0
