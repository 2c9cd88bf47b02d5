"""What msmtp and logrotate really write is what the audit reads as the history of the deliveries."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from msmtp_agent.facts import History
from msmtp_agent.host import Host
from msmtp_agent.survey import configuration, history
from tests.support.account import account
from tests.support.pki import Pki
from tests.support.roots import LOG, MSMTPRC, SECRET
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={"me@example.test": b"right"}, cert=pki.certificate("good"), key=pki.key("good")) as smtpd:
        yield smtpd


def send(sandbox: Sandbox, *options: str) -> int:
    argv = ["msmtp", *options, "--", "you@example.test"]
    return sandbox.run(argv, stdin=b"Subject: x\n\nx\n", env={"TZ": "UTC"}).returncode


def real(sandbox: Sandbox) -> History:
    with Host(str(sandbox.path("/"))) as host:
        stored = host.inspect(SECRET).modified
        found = history.gather(host, configuration.gather(host).account, time.time(), stored)
    assert found is not None
    return found


@pytest.mark.parametrize("time_format", [None, "%F %T", "%s", "%d/%b/%Y:%H:%M:%S %z"])
def test_msmtp_writes_what_is_read(sandbox: Sandbox, pki: Pki, server: Smtpd, time_format: str | None) -> None:
    lines = [f"logfile_time_format {time_format}"] if time_format else []
    sandbox.write(MSMTPRC, account(server.port, pki.ca_file, *lines))
    sandbox.write(SECRET, "right\n")
    before = int(time.time())
    assert send(sandbox) == 0
    found = real(sandbox)
    assert found.last_success is not None
    assert before <= found.last_success <= time.time()
    assert (found.failures, found.proven, found.dated) == ((), True, True)
    server.users["me@example.test"] = b"changed"
    assert [send(sandbox), send(sandbox)] == [77, 77]
    server.users["me@example.test"] = b"right"
    server.refuse_sender = True
    assert send(sandbox) == 65
    assert send(sandbox, "--timeout=3", "--proxy-host=127.0.0.1", "--proxy-port=9") == 75
    found = real(sandbox)
    assert dict(found.failures) == {"EX_NOPERM smtpstatus=535": 2, "EX_DATAERR smtpstatus=553": 1, "EX_TEMPFAIL": 1}
    assert (found.failed_in_a_row, found.last_success is not None, found.proven) == (4, True, True)


@pytest.mark.parametrize(
    "options", ["", "compress\n", "dateext\ncompress\n", "extension .log\ndateext\n", "olddir old\n"]
)
def test_logrotate_leaves_what_is_read(sandbox: Sandbox, pki: Pki, server: Smtpd, options: str) -> None:
    sandbox.write(MSMTPRC, account(server.port, pki.ca_file))
    sandbox.write(SECRET, "right\n")
    sandbox.shell("rm -f /etc/logrotate.d/*; mkdir /var/log/old")
    sandbox.write("/etc/logrotate.conf", f"{LOG} {{\nrotate 5\n{options}}}\n", mode=0o644)
    assert send(sandbox) == 0
    server.refuse_sender = True
    assert send(sandbox) == 65
    sandbox.run(["logrotate", "--force", "--state", "/run/state", "/etc/logrotate.conf"], check=True)
    assert not sandbox.exists(LOG)
    assert send(sandbox) == 65
    found = real(sandbox)
    assert (found.failures, found.proven) == ((("EX_DATAERR smtpstatus=553", 2),), True)
