"""`diagnose` in front of a person: terminals of any width, with colours and without, and a run that is broken off."""

from __future__ import annotations

import io
import re
import signal
import time
from collections.abc import Callable, Iterator

import pexpect
import pytest

from tests.support.account import USER
from tests.support.diagnosing import DEADLINE, PASSWORD, STAGES, Site
from tests.support.hostile import Hostile
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd

pytestmark = pytest.mark.root

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def site(sandbox: Sandbox, pki: Pki) -> Iterator[Site]:
    with Smtpd(users={USER: b"another"}, cert=pki.certificate(), key=pki.key()) as server:
        here = Site(sandbox, pki)
        here.account(server.port)
        yield here


def screen(site: Site, columns: int, env: dict[str, str]) -> str:
    """Everything that stood on the screen of a run whose login is refused."""
    argv = site.sandbox.command(site.sandbox.agent_argv("diagnose"))
    seen = io.BytesIO()
    child = pexpect.spawn(
        argv[0], argv[1:], env=site.sandbox.environment(env), timeout=DEADLINE, dimensions=(60, columns)
    )
    child.logfile_read = seen
    child.expect_exact(pexpect.EOF)
    child.close()
    assert child.exitstatus == 77
    return seen.getvalue().decode().replace("\r\n", "\n")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_lines_fit_the_terminal(site: Site, columns: int) -> None:
    shown = screen(site, columns, {"TERM": "dumb"})
    assert "\x1b" not in shown
    for line in shown.splitlines():
        # A word that is longer than the terminal is left whole: half a fingerprint is none.
        assert len(line) <= columns or " " not in line.strip(), line
    for name in STAGES:
        assert re.search(rf"^(passed|failed|skipped|not reached) +{name}\b", shown, re.MULTILINE)
    assert re.search(r"^  why: ", shown, re.MULTILINE)
    layout = "passed      resolve\n    127.0.0.1" if columns < 72 else "passed      resolve       127.0.0.1"
    assert f"{layout} is an address\n" in shown


def test_colours(site: Site) -> None:
    shown = screen(site, 120, {"TERM": "xterm-256color"})
    told = {word: colour for colour, word in re.findall(r"^(\x1b\[[0-9;]*m)(\w+)", shown, re.MULTILINE)}
    assert set(told) == {"passed", "failed", "skipped", "not"}
    assert len({told["passed"], told["failed"], told["not"]}) == 3
    assert "passed      auth" not in _COLOUR.sub("", shown)


@pytest.mark.slow
def test_no_colours_wanted(site: Site) -> None:
    assert "\x1b" not in screen(site, 120, {"TERM": "xterm-256color", "NO_COLOR": "1"})


@pytest.mark.slow
def test_pipe_is_plain_and_unfolded(site: Site) -> None:
    done = site.run()
    assert max(len(line) for line in done.stdout.splitlines()) > 130
    assert "\x1b" not in done.stdout + done.stderr


# --- broken off


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_broken_off(sandbox: Sandbox, pki: Pki, number: signal.Signals, options: tuple[str, ...]) -> None:
    site = Site(sandbox, pki)
    with Hostile("auth", "hang", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        before = sandbox.changed()
        process = sandbox.popen(sandbox.agent_argv("diagnose", *options))
        wait_until(lambda: "auth" in server.reached)
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + number
    assert sandbox.changed() == before
    assert sandbox.leftovers() == {}
    assert PASSWORD not in out + err
    told = (out if options else err).decode()
    assert "interrupted" in told
    assert "Traceback" not in told


@pytest.mark.slow
def test_ctrl_c_stands_on_a_line_of_its_own(sandbox: Sandbox, pki: Pki) -> None:
    site = Site(sandbox, pki)
    with Hostile("auth", "hang", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        argv = sandbox.command(sandbox.agent_argv("diagnose"))
        child = pexpect.spawn(argv[0], argv[1:], env=sandbox.environment({"TERM": "dumb"}), timeout=DEADLINE)
        wait_until(lambda: "auth" in server.reached)
        child.sendcontrol("c")
        child.expect_exact("^C\r\nfailed      auth          interrupted\r\n")
        child.expect_exact(pexpect.EOF)
        child.close()
    assert child.exitstatus == 130
