"""The steps of a diagnosis are those of the provider facts, the host's own files included."""

from __future__ import annotations

from pathlib import Path

from msmtp_agent.explain import explain
from msmtp_agent.host import Host
from msmtp_agent.model import Diagnosis, Outcome
from msmtp_agent.msmtprc import parse
from msmtp_agent.providers import BUILT_IN
from tests.support.roots import Root
from tests.test_provider_files import FILE

GMAIL = b"account default\nhost smtp.gmail.com\nport 587\nauth on\ntls on\nfrom me@gmail.test\nuser me@gmail.test\n"
REFUSED = Outcome(
    77,
    (
        "authentication failed (method PLAIN)",
        "server message: 535-5.7.8 Username and Password not accepted. For more information, go to",
        "server message: 535 5.7.8  https://support.google.com/mail/?p=BadCredentials x - gsmtp",
        "could not send mail (account default from /etc/msmtprc)",
    ),
)


def diagnosed(root: Root) -> Diagnosis:
    with Host(str(root.directory)) as host:
        return explain(host, parse(GMAIL)["default"], REFUSED)


def test_a_diagnosis_has_the_steps_of_the_hosts_file(tmp_path: Path) -> None:
    root = Root(tmp_path)
    assert set(BUILT_IN[0].steps) <= set(diagnosed(root).steps)
    root.write(FILE, "gmail:\n  checked: 2026-11-22\n  steps: [ask mail@acme.test]\n", 0o644)
    steps = diagnosed(root).steps
    assert "ask mail@acme.test" in steps
    assert not set(BUILT_IN[0].steps) & set(steps)


def test_a_wrong_file_takes_no_diagnosis_away(tmp_path: Path) -> None:
    root = Root(tmp_path).write(FILE, "gmail: [", 0o644)
    assert set(BUILT_IN[0].steps) <= set(diagnosed(root).steps)
