"""A password of the wrong shape in the real main job: asked about at a terminal, told everywhere, never in the way.

The providers' names lead to a local server through the sandbox's /etc/hosts, with a certificate for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import jsonschema
import pytest

from tests.support.account import ALIASES, MSMTPRC, SECRET, USER, account
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.smtpd import Smtpd
from tests.support.tracing import Canary
from tests.support.view import Completed
from tests.test_terminal import DEADLINE, Person

pytestmark = pytest.mark.root

GMAIL, SENDGRID, SES = "smtp.gmail.com", "smtp.sendgrid.net", "email-smtp.eu-west-1.amazonaws.com"
APP, GROUPS = "qzxwvkjhgfdsbnmp", "qzxw vkjh gfds bnmp"
KEY = "SG.q1w2e3r4t5y6u7i8o9p0-_." + "aB3" * 14 + "c"
AWS_SECRET = "wJq7/hXz9KfTn4+VbY2mRc8LdP5sGt3EuA6oNi1k"
OLD = b"the old one\n"
AGAIN = ". Try it all the same? [y/N] "
NOT_GOOGLE = "The password does not have the shape of one that this provider makes" + AGAIN
JOINED = "password: the blanks between the groups of Google's app password were left out"


class Box:
    """A sandbox in which the providers' servers are a local one, that takes one password."""

    def __init__(self, sandbox: Sandbox, pki: Pki, server: Smtpd, stack: ExitStack) -> None:
        self.sandbox = sandbox
        self.server = server
        self._pki = pki
        self._stack = stack
        sandbox.write("/etc/hosts", f"127.0.0.1 localhost {GMAIL} {SENDGRID} {SES}\n", mode=0o644)
        sandbox.write("/etc/aliases", ALIASES, mode=0o644)

    def account(self, host: str, *, port: int = 0, **changes: str) -> None:
        settings = {"host": host, "auth": "plain", **changes}
        self.sandbox.write(MSMTPRC, account(port or self.server.port, self._pki.ca_file, **settings))

    def job(self, password: str, *options: str) -> Completed:
        return self.sandbox.agent("--password-stdin", *options, stdin=password.encode(), timeout=DEADLINE)

    def json(self, password: str, *options: str) -> dict[str, Any]:
        done = self.job(password, "--json", *options)
        assert done.stderr == ""
        report: dict[str, Any] = json.loads(done.stdout)
        jsonschema.validate(report, json.loads((PROJECT / "msmtp_agent/schemas/configure.json").read_bytes()))
        return report

    def sit(self, *options: str, within: str = "") -> Person:
        argv = self.sandbox.agent_argv(*options)
        if within:
            argv = ["bash", "-c", within, "bash", *argv]
        person = Person(self.sandbox.command(argv), self.sandbox.environment(), 160)
        self._stack.callback(person.close)
        return person

    @property
    def stored(self) -> bytes | None:
        return self.sandbox.read(SECRET) if self.sandbox.exists(SECRET) else None

    @property
    def tried(self) -> list[str]:
        return [login.password.decode() for login in self.server.logins]


@pytest.fixture(scope="module")
def _named(pki: Pki) -> str:
    pki.issue("providers", [GMAIL, SENDGRID, SES, "localhost", "127.0.0.1"])
    return "providers"


@pytest.fixture
def box(sandbox: Sandbox, pki: Pki, _named: str) -> Iterator[Box]:
    with ExitStack() as stack:
        server = stack.enter_context(
            Smtpd({USER: APP.encode()}, cert=pki.certificate(_named), key=pki.key(_named), mechanisms=("PLAIN",))
        )
        yield Box(sandbox, pki, server, stack)


def prompt(host: str, user: str = USER) -> str:
    return f"SMTP password for {user} at {host}: "


# --- nobody to ask


@pytest.mark.parametrize("typed", [GROUPS, pytest.param(GROUPS.replace(" ", "\u00a0") + " ", marks=pytest.mark.slow)])
def test_joined_groups_arrive_joined_and_it_is_said(box: Box, typed: str) -> None:
    box.account(GMAIL)
    done = box.job(typed)
    assert done.returncode == 0, done.stderr
    assert box.tried == [APP, APP]
    assert len(box.server.messages) == 1
    assert box.stored == APP.encode() + b"\n"
    (warning,) = done.stderr.splitlines()
    assert warning.startswith(f"msmtp-config: warning: {JOINED}")
    assert not Canary(APP.encode()).shapes_in(done.out + done.err)


@pytest.mark.slow
def test_json_says_that_groups_were_joined(box: Box) -> None:
    box.account(GMAIL)
    report = box.json(GROUPS, "--no-mail")
    assert (report["result"], report["verification"]) == ("ok", "accepted")
    (warning,) = report["warnings"]
    assert warning.startswith(JOINED)
    again = box.json(GROUPS, "--no-mail")
    assert again["changed"] is False


@pytest.mark.slow
def test_nothing_is_joined_for_another_host(box: Box) -> None:
    box.server.users[USER] = GROUPS.encode()
    box.account("127.0.0.1")
    done = box.job(GROUPS, "--no-mail")
    assert (done.returncode, done.stderr) == (0, "")
    assert box.tried == [GROUPS]
    assert box.stored == GROUPS.encode() + b"\n"


@pytest.mark.slow
def test_other_passwords_for_google_stay_as_they_are(box: Box) -> None:
    """A warning, and no verdict: the server accepts it."""
    odd = " not 16\u00a0letters "
    box.server.users[USER] = odd.encode()
    box.account(GMAIL)
    done = box.job(odd, "--no-mail")
    assert done.returncode == 0, done.stderr
    assert "warning: password: does not have the shape of one that this provider makes; expected an app" in done.stderr
    assert box.tried == [odd]
    assert box.stored == odd.encode() + b"\n"


@pytest.mark.parametrize(
    "options",
    [("--offline",), *(pytest.param(more, marks=pytest.mark.slow) for more in ((), ("--no-mail",)))],
)
def test_warnings_are_in_the_json_and_nothing_stops(box: Box, options: tuple[str, ...]) -> None:
    box.server.users[USER] = AWS_SECRET.encode()
    box.account(SENDGRID)
    report = box.json(AWS_SECRET, *options)
    assert report["error"] is None
    assert report["result"] == ("unproven" if "--offline" in options else "ok")
    assert [warning.split(";")[0] for warning in report["warnings"]] == [
        "password: does not have the shape of one that this provider makes",
        "/etc/msmtprc: line 10: the user name is not `apikey`",
    ]
    assert box.stored == AWS_SECRET.encode() + b"\n"
    assert not Canary(AWS_SECRET.encode()).shapes_in(json.dumps(report).encode())


@pytest.mark.slow
def test_refused_password_keeps_its_warning(box: Box) -> None:
    box.account(SES, user="AKIAQZXWVUTSRPONMLKJ")
    done = box.job(AWS_SECRET)
    assert done.returncode == 77
    assert "warning: password: has the shape of an AWS secret access key; expected an SMTP password" in done.stderr
    assert box.stored is None
    assert not Canary(AWS_SECRET.encode()).shapes_in(done.out + done.err)


@pytest.mark.slow
def test_right_shape_is_not_mentioned(box: Box) -> None:
    box.server.users["apikey"] = KEY.encode()
    box.account(SENDGRID, user="apikey")
    done = box.job(KEY)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_password_of_the_proton_account_for_the_bridge(box: Box, host: str) -> None:
    """Told by its port; nobody listens there, and nobody is asked."""
    box.account(host, port=1025)
    (warning,) = box.json("my Proton password", "--offline")["warnings"]
    assert "that Proton Mail Bridge shows, not that of the Proton account" in warning
    assert box.json("AbCdEfGhIjKlMnOpQrSt-_", "--offline")["warnings"] == []


# --- a person


def test_no_means_typed_anew_and_not_tried(box: Box) -> None:
    box.sandbox.write(SECRET, OLD)
    box.account(GMAIL)
    person = box.sit("--no-mail")
    person.see(prompt(GMAIL))
    modes = person.terminal
    person.type("my Google account")
    person.see("warning: password: does not have the shape of one that this provider makes; expected an app password")
    person.see(NOT_GOOGLE)
    assert person.echoes()
    assert (box.stored, box.tried) == (OLD, [])
    person.type()
    person.see(prompt(GMAIL))
    assert not person.echoes()
    assert person.terminal == modes
    person.type(GROUPS)
    person.see(JOINED)
    assert person.ends() == 0
    assert person.screen.count("Try it all the same?") == 1
    assert "skipped secret    not tried, as you wanted; the password is asked for anew" in person.screen
    assert (box.stored, box.tried) == (APP.encode() + b"\n", [APP])
    assert "my Google account" not in person.screen
    assert GROUPS not in person.screen


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["y", "yes"])
def test_yes_means_tried(box: Box, answer: str) -> None:
    box.server.users[USER] = b"my Google account"
    box.account(GMAIL)
    person = box.sit("--no-mail")
    person.see(prompt(GMAIL))
    person.type("my Google account")
    person.see(NOT_GOOGLE)
    person.type(answer)
    assert person.ends() == 0
    assert box.stored == b"my Google account\n"


@pytest.mark.slow
@pytest.mark.parametrize("before", [None, OLD])
def test_three_times_no_is_the_end(box: Box, before: bytes | None) -> None:
    if before:
        box.sandbox.write(SECRET, before)
    box.account(GMAIL)
    person = box.sit()
    for typed in ("wrong 1", "wrong 2", "wrong 3"):
        person.see(prompt(GMAIL))
        person.type(typed)
        person.see(NOT_GOOGLE)
        person.type("n")
    assert person.ends() == 65
    assert person.screen.count(prompt(GMAIL)) == 3
    assert "msmtp-config: password: was not tried: it does not have the shape of one that" in person.screen
    assert "  fix: msmtp-config\n" in person.screen
    assert (box.stored, box.tried, box.server.sessions) == (before, [], [])
    assert "wrong" not in person.screen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "status", "verification"), [(("n", "", "y"), 77, "refused"), (("y", "", "n"), 65, "skipped")]
)
def test_refused_and_unwanted_passwords_share_three_attempts(
    box: Box, answers: tuple[str, ...], status: int, verification: str
) -> None:
    box.account(GMAIL)
    person = box.sit("--json", within='"$@" >/run/report')
    typed = [(answer and f"wrong {number}") or "aaaabbbbccccdddd" for number, answer in enumerate(answers)]
    for password, answer in zip(typed, answers, strict=True):
        person.see(prompt(GMAIL))
        person.type(password)
        if answer:
            person.see(NOT_GOOGLE)
            person.type(answer)
    assert person.ends() == status
    assert person.screen.count(prompt(GMAIL)) == 3
    assert box.tried == [password for password, answer in zip(typed, answers, strict=True) if answer != "n"]
    assert box.stored is None
    assert json.loads(box.sandbox.read("/run/report"))["verification"] == verification


def test_ctrl_c_at_the_question(box: Box) -> None:
    box.sandbox.write(SECRET, OLD)
    box.account(GMAIL)
    person = box.sit()
    modes = person.terminal
    person.see(prompt(GMAIL))
    person.type("my Google account")
    person.see(NOT_GOOGLE)
    person.press("c")
    assert person.ends() == 130
    assert person.terminal == modes
    assert "Traceback" not in person.screen
    assert (box.stored, box.tried) == (OLD, [])
    assert box.sandbox.leftovers() == {}


@pytest.mark.slow
def test_user_name_that_no_password_can_mend(box: Box) -> None:
    box.account(SENDGRID)
    person = box.sit()
    person.see(prompt(SENDGRID))
    person.type(KEY)
    person.see("The user name is not `apikey`" + AGAIN)
    person.type("n")
    assert person.ends() == 78
    assert person.screen.count(prompt(SENDGRID)) == 1
    assert "msmtp-config: /etc/msmtprc: line 10: the user name is not `apikey`; expected" in person.screen
    assert "  fix: sensible-editor +10 /etc/msmtprc   # user apikey\n" in person.screen
    assert (box.stored, box.tried) == (None, [])


@pytest.mark.slow
def test_all_that_is_wrong_is_asked_at_once(box: Box) -> None:
    box.account(SENDGRID)
    person = box.sit("--offline")
    person.see(prompt(SENDGRID))
    person.type('"hunter22"')
    person.see("The password stands in quotes, which msmtp would send as part of it. The password does not have ")
    person.see("The user name is not `apikey`" + AGAIN)
    person.type("y")
    assert person.ends() == 0
    assert box.stored == b'"hunter22"\n'
    assert "hunter22" not in person.screen


@pytest.mark.slow
def test_question_under_json_says_what_it_is_about(box: Box) -> None:
    box.account(GMAIL)
    person = box.sit("--json", "--no-mail", within='"$@" >/run/report')
    person.see(prompt(GMAIL))
    person.type("my Google account")
    person.see(NOT_GOOGLE)
    person.type("n")
    person.see(prompt(GMAIL))
    person.type(GROUPS)
    assert person.ends() == 0
    report = json.loads(box.sandbox.read("/run/report"))
    assert [stage["status"] for stage in report["stages"] if stage["stage"] == "secret"] == ["skipped", "passed"]
    assert len(report["warnings"]) == 2
    assert "warning" not in person.screen


# --- facts of the host that cannot be used


@pytest.mark.slow
def test_fault_of_a_provider_file_is_told_once_and_our_own_facts_are_used(box: Box) -> None:
    box.sandbox.shell("mkdir -p /etc/msmtp-agent/providers.d")
    box.sandbox.write("/etc/msmtp-agent/providers.d/broken.yaml", "providers: [\n", mode=0o644)
    box.account(GMAIL)
    report = box.json(GROUPS, "--no-mail")
    assert report["error"] is None
    fault, warning = report["warnings"]
    assert fault.startswith("/etc/msmtp-agent/providers.d")
    assert warning.startswith(JOINED)
    assert box.tried == [APP]


@pytest.mark.slow
def test_the_names_are_verified(box: Box, pki: Pki) -> None:
    """The control: with another authority the password is not tried."""
    box.account(GMAIL, tls_trust_file=str(pki.certificate("self")))
    assert box.job(GROUPS, "--no-mail").returncode != 0
    assert box.tried == []
