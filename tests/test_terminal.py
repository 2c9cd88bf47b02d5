"""A person at a terminal: what is asked, what is shown, what never is, and how the terminal is left."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import stat
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jsonschema
import pexpect
import pytest

from tests.support.account import SECRET, account
from tests.support.account import USER as ME
from tests.support.hostile import Hostile
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, PYTHON, Sandbox
from tests.support.smtpd import Smtpd

pytestmark = pytest.mark.root

PASSWORD = "correct horse"
OLD = b"the old one\n"
PROMPT = f"SMTP password for {ME} at 127.0.0.1: "
MAIL = "Send a test mail? [Y/n] "
REPAIR = "/etc/msmtprc is 0644 root:root; make it 0600 root:root? [Y/n] "
REPLACE = f"The server could not judge the password. Replace the one in {SECRET} all the same? [y/N] "
DEADLINE = 20.0


class Person:
    """A run of the program in front of a person: a terminal of its own, and everything that stood on the screen."""

    def __init__(self, argv: list[str], env: dict[str, str], columns: int) -> None:
        self._child: pexpect.spawn[bytes] = pexpect.spawn(
            argv[0], argv[1:], env={**env, "TERM": env.get("TERM", "dumb")}, timeout=DEADLINE, dimensions=(40, columns)
        )
        self._screen = io.BytesIO()
        self._child.logfile_read = self._screen
        # A test waits for what it answers to; pauses on top of that prove nothing.
        self._child.delaybeforesend = None

    def see(self, text: str) -> None:
        """Wait until this stands on the screen."""
        if self._child.expect_exact([text.encode(), pexpect.TIMEOUT, pexpect.EOF]) != 0:
            pytest.fail(f"never seen: {text!r}, but:\n{self.screen}")

    def type(self, line: str | bytes = b"") -> None:
        self.begin((line.encode() if isinstance(line, str) else line) + b"\n")

    def begin(self, line: bytes) -> None:
        """Type the beginning of a line."""
        self._child.send(line)

    def press(self, key: str) -> None:
        """Hold Ctrl and press a letter."""
        self._child.sendcontrol(key)

    def signal(self, number: int) -> None:
        self._child.kill(number)

    def ends(self) -> int:
        """Wait for the end: the exit status, negative for a signal."""
        if self._child.expect_exact([pexpect.EOF, pexpect.TIMEOUT]) != 0:
            pytest.fail(f"it does not end:\n{self.screen}")
        self._child.wait()
        return os.waitstatus_to_exitcode(self._child.status or 0)

    @property
    def screen(self) -> str:
        return self._screen.getvalue().decode(errors="backslashreplace").replace("\r\n", "\n")

    def echoes(self) -> bool:
        return self._child.getecho()

    @property
    def terminal(self) -> list[Any]:
        """All modes of the terminal; it keeps them when the program has gone."""
        return termios.tcgetattr(self._child.fileno())

    def close(self) -> None:
        self._child.close(force=True)


class Desk:
    """A sandbox with an account, and the persons who sit down at it."""

    def __init__(self, sandbox: Sandbox, server: Smtpd, pki: Pki, stack: ExitStack) -> None:
        self.sandbox = sandbox
        self.server = server
        self._pki = pki
        self._stack = stack
        self.account(server.port)
        sandbox.write("/etc/aliases", "root: admin@example.test\n", mode=0o644)

    def account(self, port: int, *more: str, mode: int = 0o600) -> None:
        self.sandbox.write("/etc/msmtprc", account(port, self._pki.ca_file, *more, auth="plain"), mode=mode)

    def sit(
        self,
        *options: str,
        columns: int = 120,
        env: dict[str, str] | None = None,
        python: str | Path = PYTHON,
        within: str = "",
    ) -> Person:
        """Start the program; `within` is a line of shell in which "$@" stands for it."""
        argv = self.sandbox.agent_argv(*options, python=python)
        if within:
            argv = ["bash", "-c", within, "bash", *argv]
        return self.start(argv, columns=columns, env=env)

    def start(self, argv: list[str], *, columns: int = 120, env: dict[str, str] | None = None) -> Person:
        person = Person(self.sandbox.command(argv), self.sandbox.environment(env), columns)
        self._stack.callback(person.close)
        return person

    def nobody_answers(self) -> None:
        """From here on the account's port refuses every connection."""
        self.account(self._stack.enter_context(Hostile("connect", "refuse")).port)

    def stored(self) -> bytes | None:
        """The secret file, with the only owner and mode that it may ever have."""
        if not self.sandbox.exists(SECRET):
            return None
        facts = self.sandbox.stat(SECRET)
        assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o600, 0, 0)
        return self.sandbox.read(SECRET)

    def leftovers(self) -> set[str]:
        """What lies about apart from the files that are meant to be there."""
        known = {"/etc/msmtprc", "/etc/aliases", SECRET, "/var/log/msmtp.log", "/run/msmtp-config"}
        return self.sandbox.changed() - known - {"/run/msmtp-config/lock"}


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


# --- the prompt


def test_right_password_is_stored_and_a_mail_goes_out(desk: Desk, pristine: list[Any]) -> None:
    person = desk.sit()
    assert person.echoes()
    person.see(PROMPT)
    assert not person.echoes()
    person.type(PASSWORD)
    person.see(MAIL)
    assert person.echoes()
    assert desk.stored() == PASSWORD.encode() + b"\n"
    person.type()
    person.see("queued as SMTPD0001")
    assert person.ends() == 0
    assert person.terminal == pristine
    assert PASSWORD not in person.screen
    assert desk.server.messages[0].recipients == ("admin@example.test",)
    assert desk.leftovers() == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "mails"), [(["y"], 1), (["YES"], 1), (["n"], 0), (["no"], 0), (["perhaps", "n"], 0)]
)
def test_answers_to_the_test_mail_question(desk: Desk, answers: list[str], mails: int) -> None:
    person = desk.sit()
    person.see(PROMPT)
    person.type(PASSWORD)
    for answer in answers:
        person.see(MAIL)
        person.type(answer)
    assert person.ends() == 0
    assert len(desk.server.messages) == mails
    assert ("skipped deliver   not wanted" in person.screen) == (mails == 0)
    assert desk.stored() == PASSWORD.encode() + b"\n"


def test_no_mail_is_not_asked_about(desk: Desk) -> None:
    person = desk.sit("--no-mail")
    person.see(PROMPT)
    person.type(PASSWORD)
    assert person.ends() == 0
    assert "Send a test mail" not in person.screen
    assert desk.server.messages == []


def test_wrong_then_right(desk: Desk) -> None:
    desk.sandbox.write(SECRET, OLD)
    person = desk.sit()
    person.see(PROMPT)
    person.type("wrong one")
    person.see(f"refused the password of {ME}")
    person.see(PROMPT)
    assert desk.stored() == OLD
    assert not person.echoes()
    person.type(PASSWORD)
    person.see(MAIL)
    person.type("n")
    assert person.ends() == 0
    assert desk.stored() == PASSWORD.encode() + b"\n"
    assert [login.password for login in desk.server.logins] == [b"wrong one", PASSWORD.encode()]
    assert "wrong one" not in person.screen


@pytest.mark.parametrize("before", [None, OLD])
def test_three_wrong_passwords_are_the_end(desk: Desk, before: bytes | None, pristine: list[Any]) -> None:
    if before is not None:
        desk.sandbox.write(SECRET, before)
    person = desk.sit()
    for attempt in ("wrong 1", "wrong 2", "wrong 3"):
        person.see(PROMPT)
        person.type(attempt)
    assert person.ends() == 77
    assert person.screen.count(PROMPT) == 3
    assert [login.password for login in desk.server.logins] == [b"wrong 1", b"wrong 2", b"wrong 3"]
    assert "server message: 535" in person.screen
    assert "  fix: " in person.screen
    assert "wrong 1" not in person.screen
    assert desk.stored() == before
    assert person.terminal == pristine
    assert ("was kept as it was" if before else "nothing was stored") in person.screen
    assert "Send a test mail" not in person.screen


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        (b"", "password: is empty"),
        (b"  \t ", "password: is blank"),
        (b"\x04", "password: nothing was typed"),
        (b"\xff\xfe\xc3", "is not text in this terminal's character set"),
        (b"x" * 3100 + b"", "password: is longer than msmtp can send"),
    ],
)
def test_typed_line_that_is_no_password(desk: Desk, typed: bytes, reason: str, pristine: list[Any]) -> None:
    desk.sandbox.write(SECRET, OLD)
    person = desk.sit(columns=200)
    person.see(PROMPT)
    if typed == b"\x04":
        person.press("d")
    else:
        person.type(typed)
    assert person.ends() == 65
    assert reason in person.screen
    assert person.terminal == pristine
    assert desk.stored() == OLD
    assert desk.server.sessions == []


# A terminal's line holds 4095 bytes: more than msmtp can send.
@pytest.mark.parametrize(
    ("typed", "locale"),
    [
        ("pässwörd ß 漢字 😀 \u202eevil", {"LC_ALL": "C.UTF-8"}),
        ("pässwörd ß 漢字 😀 \u202eevil", {"LC_ALL": "C"}),
        ("pässwörd ß 漢字 😀 \u202eevil", {"LANG": ""}),
        (" both ends ", {}),
        ("q" * 3000, {}),
        ("-n", {}),
        ("\\ \"' `id` $HOME %s", {}),
    ],
)
def test_typed_password_arrives_exactly(desk: Desk, typed: str, locale: dict[str, str]) -> None:
    desk.server.users[ME] = typed.encode()
    person = desk.sit("--no-mail", env=locale)
    person.see(PROMPT)
    person.type(typed)
    assert person.ends() == 0
    assert desk.server.login.password == typed.encode()
    assert desk.stored() == typed.encode() + b"\n"
    assert f"{PROMPT}\npassed  secret " in person.screen
    assert len(typed) < 5 or typed not in person.screen


@pytest.mark.slow
def test_every_supported_typer(desk: Desk, typer_python: Path, pristine: list[Any]) -> None:
    person = desk.sit(python=typer_python)
    person.see(PROMPT)
    assert not person.echoes()
    person.type("wrong one")
    person.see(PROMPT)
    person.type(PASSWORD)
    person.see(MAIL)
    person.type()
    assert person.ends() == 0
    assert person.terminal == pristine
    assert len(desk.server.messages) == 1
    assert "wrong one" not in person.screen
    assert PASSWORD not in person.screen


# --- interrupted


def _at_prompt(desk: Desk) -> Person:
    person = desk.sit()
    person.see(PROMPT)
    assert not person.echoes()
    return person


def _at_second_prompt(desk: Desk) -> Person:
    person = _at_prompt(desk)
    person.type("wrong one")
    person.see(PROMPT)
    assert not person.echoes()
    return person


def _at_repair(desk: Desk) -> Person:
    desk.sandbox.path("/etc/msmtprc").chmod(0o644)
    person = desk.sit()
    person.see(REPAIR)
    return person


def _at_replace(desk: Desk) -> Person:
    desk.nobody_answers()
    person = _at_prompt(desk)
    person.type("new one")
    person.see(REPLACE)
    return person


def _at_mail(desk: Desk) -> Person:
    person = _at_prompt(desk)
    person.type(PASSWORD)
    person.see(MAIL)
    return person


QUESTIONS: dict[str, tuple[Callable[[Desk], Person], bytes]] = {
    "prompt": (_at_prompt, OLD),
    "second prompt": (_at_second_prompt, OLD),
    "repair": (_at_repair, OLD),
    "replace": (_at_replace, OLD),
    "mail": (_at_mail, PASSWORD.encode() + b"\n"),
}


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
def test_ctrl_c_at_every_question(desk: Desk, question: str, pristine: list[Any]) -> None:
    desk.sandbox.write(SECRET, OLD)
    reach, expected = QUESTIONS[question]
    person = reach(desk)
    person.press("c")
    assert person.ends() == 130
    assert person.terminal == pristine
    assert "Traceback" not in person.screen
    assert desk.stored() == expected
    assert desk.leftovers() == set()
    assert desk.server.messages == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGQUIT, 131)]
)
@pytest.mark.parametrize("question", ["prompt", "repair"])
def test_signal_at_a_question(desk: Desk, question: str, number: int, status: int, pristine: list[Any]) -> None:
    desk.sandbox.write(SECRET, OLD)
    person = QUESTIONS[question][0](desk)
    person.signal(number)
    assert person.ends() == status
    assert person.terminal == pristine
    assert desk.stored() == OLD
    assert desk.leftovers() == set()


def test_ctrl_c_while_the_server_is_asked(desk: Desk, pki: Pki, pristine: list[Any]) -> None:
    desk.sandbox.write(SECRET, OLD)
    with Hostile("auth", "hang", cert=pki.certificate(), key=pki.key()) as hostile:
        desk.account(hostile.port)
        person = _at_prompt(desk)
        person.type("new one")
        end = time.monotonic() + DEADLINE
        while "auth" not in hostile.reached:
            assert time.monotonic() < end
            time.sleep(0.01)
        person.press("c")
        assert person.ends() == 130
    assert "failed  probe     interrupted" in person.screen
    assert person.terminal == pristine
    assert desk.stored() == OLD
    assert desk.sandbox.leftovers() == {}


def test_ctrl_z_at_the_prompt_does_nothing(desk: Desk) -> None:
    """Stopped and taken up again with `fg`, it would find the shell's own modes: an echo."""
    shell = desk.start(["bash", "--norc", "--noprofile", "-i"], env={"PS1": "READY> ", "HISTFILE": ""})
    shell.see("READY> ")
    shell.type(" ".join(desk.sandbox.agent_argv("--no-mail")))
    shell.see(PROMPT)
    shell.press("z")
    shell.type(PASSWORD)
    shell.see("passed  store ")
    shell.see("READY> ")
    shell.type("exit")
    assert shell.ends() == 0
    assert PASSWORD not in shell.screen
    assert "Stopped" not in shell.screen


# --- the other questions


@pytest.mark.parametrize("answer", ["", "y"])
def test_repair_of_msmtprc_that_is_wanted(desk: Desk, answer: str) -> None:
    person = _at_repair(desk)
    before = desk.sandbox.read("/etc/msmtprc")
    person.type(answer)
    person.see(PROMPT)
    assert stat.S_IMODE(desk.sandbox.stat("/etc/msmtprc").st_mode) == 0o600
    assert desk.sandbox.read("/etc/msmtprc") == before
    person.type(PASSWORD)
    person.see(MAIL)
    person.type("n")
    assert person.ends() == 0


def test_repair_of_msmtprc_that_is_not_wanted(desk: Desk) -> None:
    person = _at_repair(desk)
    person.type("n")
    assert person.ends() == 78
    assert "/etc/msmtprc: is 0644 root:root; expected 0600 root:root" in person.screen
    assert "  fix: chown root:root /etc/msmtprc && chmod 0600 /etc/msmtprc\n" in person.screen
    assert PROMPT not in person.screen
    assert stat.S_IMODE(desk.sandbox.stat("/etc/msmtprc").st_mode) == 0o644


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "expected"), [("", OLD), ("n", OLD), ("y", b"new one\n")])
def test_replacing_by_an_unproven_password(desk: Desk, answer: str, expected: bytes) -> None:
    desk.sandbox.write(SECRET, OLD)
    person = _at_replace(desk)
    person.type(answer)
    assert person.ends() == 75
    assert desk.stored() == expected
    assert "Connection refused" in person.screen
    assert ("(unproven)" in person.screen) == (answer == "y")
    assert "new one" not in person.screen


def test_unproven_password_without_an_old_one_is_stored_unasked(desk: Desk) -> None:
    desk.nobody_answers()
    person = _at_prompt(desk)
    person.type("new one")
    assert person.ends() == 75
    assert "all the same?" not in person.screen
    assert f"{SECRET} created, 0600 root:root (unproven)" in person.screen
    assert desk.stored() == b"new one\n"


def test_nothing_is_asked_that_would_not_be_used(desk: Desk) -> None:
    desk.account(desk.server.port, "password inline")
    person = desk.sit()
    assert person.ends() == 78
    assert "/etc/msmtprc: line 12: an inline `password` wins over every other" in person.screen
    assert "SMTP password" not in person.screen
    assert desk.stored() is None


def test_password_stdin_does_not_wait_at_a_terminal(desk: Desk) -> None:
    person = desk.sit("--password-stdin")
    assert person.ends() == 64
    assert "--password-stdin: standard input is a terminal; expected a pipe or a file" in person.screen
    assert "SMTP password" not in person.screen


# --- what it looks like


def test_json_stands_alone_on_standard_output(desk: Desk) -> None:
    person = desk.sit("--json", within='"$@" >/run/report')
    person.see(PROMPT)
    person.type(PASSWORD)
    person.see(MAIL)
    person.type()
    assert person.ends() == 0
    report = json.loads(desk.sandbox.read("/run/report"))
    jsonschema.validate(report, json.loads((PROJECT / "msmtp_agent/schemas/configure.json").read_bytes()))
    assert report["delivery"]["reply"] == "250 2.0.0 Ok: queued as SMTPD0001"
    assert [stage["status"] for stage in report["stages"]] == ["passed"] * 7
    assert person.screen.replace(PROMPT, "").replace(MAIL, "").strip() == ""


def _too_wide(screen: str, columns: int) -> list[str]:
    """Lines that a narrow terminal would break, apart from questions, the line to paste, and what has no blank."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    found = []
    for line in plain.split("\n"):
        head = re.match(r" *|(passed|failed|skipped) +[a-z]+ +", line)
        words = line[head.end() if head else 0 :].split()
        if len(line) > columns and not line.startswith(("SMTP password", "Send a test", "  fix: ")) and len(words) > 1:
            found.append(line)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_narrow_terminal(desk: Desk, term: str) -> None:
    desk.sandbox.write(SECRET, OLD, mode=0o644)  # a warning
    desk.account(desk.server.port, "aliases")  # and another one
    person = desk.sit(columns=40, env={"TERM": term})
    for typed in ("wrong one", PASSWORD):
        person.see(PROMPT)
        person.type(typed)
    person.see(MAIL)
    person.type()
    assert person.ends() == 0
    refused = desk.sit("--no-mail", columns=40, env={"TERM": term})
    for _ in range(3):
        refused.see(PROMPT)
        refused.type("wrong one")
    assert refused.ends() == 77
    assert "warning" in person.screen
    assert _too_wide(person.screen + refused.screen, 40) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "coloured"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours(desk: Desk, env: dict[str, str], coloured: bool) -> None:
    desk.sandbox.write(SECRET, OLD)
    person = desk.sit("--no-mail", env=env)
    for _ in range(3):
        person.see(PROMPT)
        person.type("wrong one")
    assert person.ends() == 77
    assert ("\x1b[" in person.screen) == coloured


def test_no_colours_in_a_pipe(desk: Desk) -> None:
    person = desk.sit("--no-mail", env={"TERM": "xterm-256color"}, within='"$@" | cat')
    person.see(PROMPT)
    person.type(PASSWORD)
    assert person.ends() == 0
    assert "\npassed  store " in person.screen
    assert "\x1b" not in person.screen


def test_resized_to_nothing(desk: Desk) -> None:
    """A serial console knows no size: 0 columns."""
    person = desk.sit("--no-mail", within='stty cols 0 rows 0; "$@"')
    person.see(PROMPT)
    person.type(PASSWORD)
    assert person.ends() == 0
    assert f"passed  store     {SECRET} created, 0600 root:root\n" in person.screen


# --- standard streams that are not what they should be


@pytest.mark.slow
def test_reader_that_has_gone(desk: Desk) -> None:
    """`msmtp-config | head -1`: the job is done all the same, and the status is the job's."""
    for options, given, status in (
        ([], PASSWORD, 0),
        (["--json"], PASSWORD, 0),
        ([], "wrong one", 77),
        (["--json"], "wrong one", 77),
    ):
        reader, writer = os.pipe()
        os.close(reader)
        argv = desk.sandbox.agent_argv("--password-stdin", *options)
        process = desk.sandbox.popen(argv, stdout=writer)
        os.close(writer)
        errors = process.communicate(given.encode(), DEADLINE)[1]
        assert process.returncode == status, errors
        assert b"Traceback" not in errors
        assert b"Broken pipe" not in errors
    assert desk.stored() == PASSWORD.encode() + b"\n"
    assert len(desk.server.messages) == 2


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--password-stdin"], ["--password-stdin", "--json"], ["--version"], ["--help"]])
def test_full_standard_output(desk: Desk, options: list[str]) -> None:
    argv = ["sh", "-c", 'exec "$@" >/dev/full', "sh", *desk.sandbox.agent_argv(*options)]
    done = desk.sandbox.run(argv, stdin=PASSWORD.encode(), timeout=DEADLINE)
    assert done.returncode == 74, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert desk.stored() == (PASSWORD.encode() + b"\n" if "--json" in options else None)
    assert desk.leftovers() == set()


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(desk: Desk, closed: str) -> None:
    """Whatever number a closed stream leaves free: no file and no pipe of ours may be taken for it."""
    desk.sandbox.write("/run/credentials/pw", PASSWORD)
    argv = ["sh", "-c", f'exec "$@" {closed}', "sh", *desk.sandbox.agent_argv("--credential", "pw", "--timeout", "5")]
    done = desk.sandbox.run(argv, env={"CREDENTIALS_DIRECTORY": "/run/credentials"}, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert desk.stored() == PASSWORD.encode() + b"\n"
    assert len(desk.server.messages) == 1
