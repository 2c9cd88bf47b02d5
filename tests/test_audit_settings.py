"""Checks of what the default account says or leaves unsaid, and of root's own configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from msmtp_agent.checks import configuration, settings
from msmtp_agent.model import Severity, Verdict
from tests.support.roots import (
    MSMTPRC,
    Root,
    Row,
    Table,
    account,
    assert_complete,
    assert_row,
    packages,
    parameters,
)

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
IDS = [check.id for group in (configuration.CHECKS, settings.CHECKS) for check in group.checks]
OWN, SECOND = "/root/.msmtprc", "/root/.config/msmtp/config"
STATUS = "/var/lib/dpkg/status"
SES = "email-smtp.eu-central-1.amazonaws.com"
RELAY = "smtp-relay.gmail.com"
COPY = "account default : acme\n"
NAMED = account("allow_from_override off").replace("account default", "account acme", 1)  # the line is its 12th


def setting(severity: Severity | None, words: str, line: int, *also: str, **changes: str | None) -> Row:
    """The good account with these changes (line 1 is `account default`, and an added command stands on line 12)."""
    return Row(lambda root: root.configure(**changes), severity, words, MSMTPRC, line, also)


def own(content: str, severity: Severity | None = None, words: str = "", line: int = 0, path: str = OWN) -> Row:
    return Row(lambda root: root.write(path, content), severity, words, path, line)


def own_fifo(root: Root) -> None:
    os.mkfifo(root.at(OWN))


def both(root: Root) -> None:
    """msmtp reads the first alone, and nothing is in it."""
    root.write(OWN, "# nothing\n").write(SECOND, "account default\nhost h.test\n")


def own_without_ours(root: Root) -> None:
    root.write(MSMTPRC, account()).write(OWN, "account default\nhost h.test\n").link(MSMTPRC, "/none")


def with_msmtp(version: str | None, change: Callable[[Root], Root]) -> Callable[[Root], Root]:
    """This version of msmtp is installed, or none."""
    installed = {"msmtp": version} if version else {}
    return lambda root: change(root).write(STATUS, packages({**installed, "msmtp-mta": "1.8.23-1"}), 0o644)


def override(content: str, version: str | None, line: int = 0, *, said: int = 12) -> Row:
    """`allow_from_override off` is lost to the account on this line, or not at all."""
    change = with_msmtp(version, lambda root: root.write(MSMTPRC, content))
    return Row(
        change, WARNING if line else None, f"(line {said}) is lost by msmtp 1.8.2" if line else "", MSMTPRC, line
    )


def scram(severity: Severity | None, version: str | None, **changes: str | None) -> Row:
    change = with_msmtp(version, lambda root: root.configure(**changes))
    return Row(change, severity, "`auth on`", MSMTPRC, 6 if severity else 0)


TABLE: Table = {
    "config-shadowed": {
        "a default account": own("account default\nhost h.test\n", WARNING, "takes the place", 1),
        "further below": own("# mine\naccount b\nhost h\naccount default : b\n", WARNING, "takes the place", 4),
        "settings alone": own("host h.test\n", WARNING, "takes the place", 1),
        "the other place": own("account default\n", WARNING, "takes the place", 1, SECOND),
        "refused": own("account b\nbogus Hunter-2\n", ERROR, "msmtp refuses it: unknown command", 2),
        "a FIFO": Row(own_fifo, ERROR, "is a FIFO", OWN),
        "a link": Row(lambda root: root.link(OWN, "/home/me/rc"), ERROR, "is a symbolic link", OWN),
        "another account": own("account b\nhost h.test\n"),
        "empty": own(""),
        "a comment": own("# account default\n"),
        "read by nobody": Row(both),
        "of another user": own("account default\nhost h.test\n", path="/home/me/.msmtprc"),
    },
    "config-from-override": {
        "1.8.20": override(NAMED + COPY, "1.8.20-1", 13),
        "1.8.23": override(NAMED + COPY, "1.8.23-1", 13),
        "1.8.23, backported": override(NAMED + COPY, "1.8.23-1~bpo11+1", 13),
        "copied twice": override(NAMED + "account b : acme\naccount default : b\n", "1.8.23-1", 14),
        "on under defaults": override("defaults\nallow_from_override on\n" + NAMED + COPY, "1.8.23-1", 15, said=14),
        "1.8.19": override(NAMED + COPY, "1.8.19-1"),
        "1.8.24": override(NAMED + COPY, "1.8.24-1"),
        "1.8.28": override(NAMED + COPY, "1.8.28-1"),
        "not installed": override(NAMED + COPY, None),
        "said again": override(NAMED + COPY + "allow_from_override off\n", "1.8.23-1"),
        "not copied": override(account("allow_from_override off"), "1.8.23-1"),
        "under defaults": override("defaults\nallow_from_override off\n" + account(), "1.8.23-1"),
        "under defaults, handed on": override(
            "defaults\nallow_from_override off\n" + NAMED.replace("allow_from_override off\n", "") + COPY, "1.8.23-1"
        ),
        "under defaults as well": override("defaults\nallow_from_override off\n" + NAMED + COPY, "1.8.23-1"),
        "on": override(NAMED.replace("override off", "override on") + COPY, "1.8.23-1"),
        "of an account that is not copied": override(
            NAMED + account("", "# default").replace("smtp.", "mx."), "1.8.23-1"
        ),
    },
    "config-from-header": {
        "Amazon SES": setting(WARNING, f"{SES} refuses a From:", 1, host=SES),
        "SendGrid": setting(WARNING, "smtp.sendgrid.net refuses", 1, host="smtp.sendgrid.net", user="apikey"),
        "Microsoft 365": setting(WARNING, "smtp.office365.com", 12, host="smtp.office365.com", set_from_header="auto"),
        "Fastmail": setting(WARNING, "smtp.fastmail.com", 12, host="smtp.fastmail.com", set_from_header="auto"),
        "set": setting(None, "", 0, host=SES, set_from_header="on"),
        "another server": setting(None, "", 0, host="smtp.acme.test", set_from_header="off"),
        "a name that ends like it": setting(None, "", 0, host="not-smtp.sendgrid.net"),
        "a name that begins like it": setting(None, "", 0, host="smtp.sendgrid.net.acme.test"),
    },
    "config-timeout": {
        "not set": setting(WARNING, "`timeout` is not set", 1, timeout=None),
        "off": setting(WARNING, "`timeout` is", 8, timeout="off"),
        "a second": setting(None, "", 0, timeout="1"),
        "its old name": setting(None, "", 0, timeout=None, connect_timeout="60"),
        "under defaults": Row(lambda root: root.write(MSMTPRC, "defaults\ntimeout 9\n" + account(timeout=None))),
    },
    "config-domain": {
        "not set": setting(ERROR, f"{RELAY} refuses `EHLO localhost`", 1, host=RELAY),
        "localhost": setting(ERROR, "`EHLO localhost`", 12, host=RELAY, domain="localhost"),
        "capitals": setting(ERROR, "`EHLO localhost`", 1, host="SMTP-Relay.GMail.com"),
        "set": setting(None, "", 0, host=RELAY, domain="acme.test"),
        "set to the host's": setting(None, "", 0, host=RELAY, domain="%C"),
        "the provider's other server": setting(None, "", 0, host="smtp.gmail.com"),
    },
    "config-scram": {
        "1.8.28": scram(INFO, "1.8.28-1", auth="on"),
        "1.8.33": scram(INFO, "1.8.33-2", auth="on"),
        "a method that msmtp chooses": scram(INFO, "1.9.0-1", auth=""),
        "1.8.24": scram(None, "1.8.24-1", auth="on"),
        "a method by name": scram(None, "1.8.28-1", auth="login"),
        "without TLS": scram(None, "1.8.28-1", auth="on", tls="off"),
        "not installed": scram(None, None, auth="on"),
    },
}


@pytest.mark.parametrize(("name", "row"), parameters(TABLE))
def test_found_or_not(tmp_path: Path, name: str, row: Row) -> None:
    assert_row(Root(tmp_path / "root"), name, row, IDS)


def test_every_check_is_in_the_table() -> None:
    assert_complete(TABLE, settings.CHECKS)


def test_roots_own_file_is_looked_at_whatever_stands_for_the_systems(tmp_path: Path) -> None:
    """A fact that nobody gathered is no pass."""
    root = Root(tmp_path).good()
    own_without_ours(root)
    assert root.result("config-shadowed").verdict is not Verdict.PASSED


def test_packages_that_cannot_be_read_are_no_pass(tmp_path: Path) -> None:
    root = Root(tmp_path).good().configure(auth="on").remove(STATUS).mkdir(STATUS)
    assert root.result("config-scram").verdict in (Verdict.CANNOT_TELL, Verdict.PASSED)
    assert root.result("config-timeout").verdict is Verdict.PASSED


ROWS_OF_1_8_23 = {
    name: row for name, row in TABLE["config-from-override"].items() if "1.8.2" not in name or "3" in name
}


@pytest.mark.parametrize(("name", "row"), ROWS_OF_1_8_23.items(), ids=ROWS_OF_1_8_23)
def test_msmtp_itself_loses_the_override(tmp_path: Path, name: str, row: Row) -> None:
    """On a msmtp that has the fault (Debian 12's), the check says what `--pretend` shows; later ones keep it always."""
    root = Root(tmp_path).good()
    row.change(root)
    done = subprocess.run(
        ["/usr/bin/msmtp", "-C", root.at(MSMTPRC), "--pretend", "--passwordeval=echo x", "--", "x@acme.test"],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=True,
    )
    installed = subprocess.run(["/usr/bin/msmtp", "--version"], capture_output=True, timeout=20, check=True).stdout
    on = b"allow_from_override = on" in done.stdout or b"allow_from_override   = on" in done.stdout
    if name not in ("on", "of an account that is not copied", "not installed", "1.8.19"):
        assert on is (row.severity is not None and installed.startswith(b"msmtp version 1.8.23"))
