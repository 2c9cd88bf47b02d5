"""`apply`: from settings to a host whose mail leaves, on the real msmtp, against a server that writes all down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.account import ADMIN, MSMTPRC, SECRET, USER, account
from tests.support.applying import (
    ALIASES,
    FILE,
    FILES,
    LOCK,
    LOG,
    LOGROTATE,
    MODES,
    NOISE,
    apply,
    as_json,
    backups,
    contents,
    outcomes,
    settings,
    stages,
)
from tests.support.hostile import Hostile
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd

RIGHT = b"correct horse"
TRUST = Path("/etc/ssl/certs/ca-certificates.crt")
WROTE = {"host": "passed", "settings": "passed", "plan": "passed", "write": "passed", "config": "passed"}


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: RIGHT}, cert=pki.certificate("good"), key=pki.key("good")) as smtpd:
        yield smtpd


def rights(box: Sandbox, path: str) -> tuple[int, int, int]:
    facts = box.stat(path)
    return facts.st_mode & 0o7777, facts.st_uid, facts.st_gid


# --- a host that has nothing


def test_settings_become_a_host_that_sends(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    done = apply(sandbox, settings(server.port, pki.ca_file, password=RIGHT.decode()))
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert {path: rights(sandbox, path) for path in FILES} == {path: (MODES[path], 0, 0) for path in FILES}
    assert sandbox.read(SECRET) == RIGHT + b"\n"
    assert rights(sandbox, SECRET) == (0o600, 0, 0)
    assert sandbox.changed() == {*FILES, SECRET, *NOISE}
    assert RIGHT not in sandbox.read(MSMTPRC)
    assert RIGHT.decode() not in done.stdout
    assert [login.password for login in server.logins] == [RIGHT]
    assert server.messages == [], "the proof sends no mail"
    sent = sandbox.run(["/usr/bin/msmtp", "root"], stdin=b"Subject: x\n\nx\n")
    assert sent.returncode == 0, sent.stderr
    assert [(mail.sender, mail.recipients) for mail in server.messages] == [(USER, (ADMIN,))]
    assert f"recipients={ADMIN}".encode() in sandbox.read(LOG)


@pytest.mark.slow
def test_the_audit_has_nothing_against_what_was_written(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    """But that the sandbox has no package that makes msmtp the host's sendmail, which is not the settings' matter.

    With a method by name: of `auth on` it has something to say where msmtp is 1.8.28 or later.
    """
    text = settings(server.port, pki.ca_file, password=RIGHT.decode(), auth_method="plain")
    assert apply(sandbox, text).returncode == 0
    assert sandbox.agent("test").returncode == 0
    groups = ("secret-", "config-", "stray-", "tls-", "aliases-", "log-", "delivery-")
    listed = [line.split()[0] for line in sandbox.agent("audit", "--list").stdout.splitlines()]
    wanted = [name for name in listed if name.startswith(groups)]
    assert len(wanted) > 40
    done = sandbox.agent("audit", "--only", ",".join(wanted), "--fail-on", "info")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_second_run_changes_nothing_and_says_so(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    text = settings(server.port, pki.ca_file, password=RIGHT.decode())
    first = as_json(apply(sandbox, text, "--json"))
    assert (first["result"], first["changed"], first["verification"]) == ("ok", True, "accepted")
    assert outcomes(first) == dict.fromkeys(FILES, ("created", True))
    before = contents(sandbox)
    second = as_json(apply(sandbox, text, "--json"))
    assert (second["result"], second["changed"], second["verification"]) == ("ok", False, "accepted")
    assert outcomes(second) == dict.fromkeys(FILES, ("unchanged", False))
    assert stages(second)["write"] == "skipped"
    assert contents(sandbox) == before


@pytest.mark.slow
def test_without_a_password_the_next_command_is_told(sandbox: Sandbox) -> None:
    """No secret is stored yet: the configuration is tried as far as it goes without one."""
    done = apply(sandbox, settings(9))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "now: msmtp-config"
    report = as_json(apply(sandbox, None, "--json"))
    assert (report["result"], report["verification"], report["next"]) == ("ok", "skipped", "msmtp-config")
    assert stages(report) == {
        **WROTE, "write": "skipped", "secret": "skipped", "pretend": "passed", "probe": "skipped", "store": "skipped",
    }  # fmt: skip
    assert sandbox.changed() == {*FILES, *NOISE}


@pytest.mark.slow
def test_the_password_that_is_stored_already_is_tried(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    sandbox.write(SECRET, RIGHT + b"\n")
    report = as_json(apply(sandbox, settings(server.port, pki.ca_file), "--json"))
    assert (report["result"], report["verification"], report["next"]) == ("ok", "accepted", None)
    assert [login.password for login in server.logins] == [RIGHT]
    assert sandbox.read(SECRET) == RIGHT + b"\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("former", "told"),
    [({}, False), ({"host": "localhost"}, True), ({"user": "you@example.test"}, True)],
    ids=["the same", "another server", "another user"],
)
def test_a_stored_password_that_goes_elsewhere_from_now_on(
    sandbox: Sandbox, former: dict[str, str], told: bool
) -> None:
    """Any mail would send it there; it is said before that is written, and also in a dry run."""
    sandbox.write(MSMTPRC, account(9, TRUST, **former))
    sandbox.write(SECRET, RIGHT)
    dry = apply(sandbox, settings(9), "--dry-run")
    words = f"{SECRET}: was stored for {former.get('user', USER)} at {former.get('host', '127.0.0.1')}"
    assert (words in dry.stderr) is told
    assert (words in apply(sandbox, None).stderr) is told
    assert words not in apply(sandbox, None).stderr


@pytest.mark.slow
@pytest.mark.parametrize("body", ["smtp:\n", "smtp:\n  port: 587\n", "", "smtp:\n  recipient: a@example.test\n"])
def test_without_host_and_provider_nothing_is_done(sandbox: Sandbox, body: str) -> None:
    sandbox.write(MSMTPRC, "account default\n")
    report = as_json(apply(sandbox, body, "--json"))
    assert (report["result"], report["changed"], report["files"]) == ("ok", False, [])
    assert stages(report)["plan"] == "skipped"
    assert sandbox.changed() == {MSMTPRC, *NOISE}


# --- other ways to log in


@pytest.mark.slow
def test_another_command_gives_the_password(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    sandbox.write("/run/token", RIGHT)
    report = as_json(apply(sandbox, settings(server.port, pki.ca_file, passwordeval="cat /run/token"), "--json"))
    assert (report["result"], report["verification"], report["next"]) == ("ok", "accepted", None)
    assert not sandbox.exists(SECRET)
    assert stages(report)["store"] == "skipped"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["false hunter2hunter2", "/none --token=hunter2hunter2"])
def test_a_command_that_fails_is_not_quoted(sandbox: Sandbox, command: str) -> None:
    """msmtp says the whole command line, which may have a password among its words."""
    done = apply(sandbox, settings(9, passwordeval=command))
    assert done.returncode == 78
    assert f"msmtp: cannot read output of '{command.split()[0]} ***'\n" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    report = as_json(apply(sandbox, None, "--json"))
    assert stages(report)["pretend"] == "failed"
    assert "hunter2" not in str(report)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["off", "external"])
def test_no_password_is_asked_for_where_none_is_sent(sandbox: Sandbox, pki: Pki, server: Smtpd, method: str) -> None:
    """The server here takes neither; what counts is that nobody is sent to `msmtp-config` for a password."""
    report = as_json(apply(sandbox, settings(server.port, pki.ca_file, auth_method=method), "--json"))
    assert outcomes(report) == dict.fromkeys(FILES, ("created", True))
    assert stages(report)["secret"] == "skipped"
    assert stages(report)["pretend"] == "passed"
    assert report["next"] is None
    assert not sandbox.exists(SECRET)
    assert server.logins == []


@pytest.mark.slow
def test_a_relay_that_wants_no_login(sandbox: Sandbox, pki: Pki) -> None:
    with Hostile(cert=pki.certificate("good"), key=pki.key("good")) as relay:
        report = as_json(apply(sandbox, settings(relay.port, pki.ca_file, auth_method="off"), "--json"))
    assert (report["result"], report["verification"], report["next"]) == ("ok", "accepted", None)
    assert stages(report)["probe"] == "passed"
    assert not any(line.startswith(b"AUTH") for line in relay.lines)


# --- the server says no, or nothing


@pytest.mark.slow
def test_a_refused_password_leaves_the_files_and_says_so(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    text = settings(server.port, pki.ca_file, password="wrong horse")
    done = apply(sandbox, text)
    assert done.returncode == 77
    assert "the files are applied, and stay as they are now" in done.stderr
    assert done.stderr.endswith(f"  fix: sensible-editor {FILE}   # the password there was refused\n")
    assert "wrong horse" not in done.stdout + done.stderr
    assert not sandbox.exists(SECRET)
    assert all(sandbox.exists(path) for path in FILES)
    report = as_json(apply(sandbox, text, "--json"))
    assert (report["result"], report["changed"], report["verification"]) == ("failed", False, "refused")
    assert report["diagnosis"]["id"]


@pytest.mark.slow
def test_a_stored_password_that_is_refused(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    sandbox.write(SECRET, "wrong horse\n")
    report = as_json(apply(sandbox, settings(server.port, pki.ca_file), "--json"))
    assert (report["error"]["code"], report["verification"], report["changed"]) == (77, "refused", True)
    assert stages(report)["probe"] == "failed"
    assert sandbox.read(SECRET) == b"wrong horse\n"


@pytest.mark.slow
@pytest.mark.parametrize("stored", [False, True])
def test_a_server_that_cannot_be_reached(sandbox: Sandbox, stored: bool) -> None:
    """A new password is stored unproven where none is; the one that is stored stays."""
    if stored:
        sandbox.write(SECRET, "old one\n")
    done = apply(sandbox, settings(9, password=RIGHT.decode()))
    assert done.returncode == 75
    assert "the files are applied, and stay as they are now" in done.stderr
    assert sandbox.read(SECRET) == (b"old one\n" if stored else RIGHT + b"\n")
    assert all(sandbox.exists(path) for path in FILES)


# --- nothing is written where something stands in the way


# An msmtp of another age, that does not know a command of ours; it says so in the words of the real one.
OTHER_MSMTP = """\
#!/bin/sh
for word; do
    case $word in --file=*) echo "msmtp: ${word#--file=}: line 7: unknown command set_from_header" >&2; exit 78 ;; esac
done
exec /run/msmtp "$@"
"""


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--json", "--dry-run"])
def test_settings_that_this_msmtp_refuses_are_never_installed(sandbox: Sandbox, option: str) -> None:
    """It is asked before anything is written, and also when nothing is going to be."""
    sandbox.write(MSMTPRC, "account default\n")
    sandbox.write("/run/other", OTHER_MSMTP, mode=0o755)
    sandbox.shell("cp /usr/bin/msmtp /run/msmtp; mount -n --bind /run/other /usr/bin/msmtp")
    done = apply(sandbox, settings(9, set_from_header="on"), option)
    assert done.returncode == 78
    words = f"{MSMTPRC}: line 7: unknown command set_from_header"
    assert words in done.stderr or json.loads(done.stdout)["error"]["words"] == [words]
    assert sandbox.changed() - {"/run/other", "/run/msmtp"} - LOCK == {MSMTPRC, FILE}
    assert sandbox.read(MSMTPRC) == b"account default\n"


@pytest.mark.slow
def test_wrong_settings_write_nothing(sandbox: Sandbox) -> None:
    report = as_json(apply(sandbox, settings(99999, hots="x"), "--json"))
    assert report["error"]["code"] == 65
    assert [line.split(": ")[1] for line in report["error"]["details"]] == ["port", "hots"]
    assert sandbox.changed() == NOISE


@pytest.mark.slow
def test_a_default_account_of_roots_own_stands_in_the_way(sandbox: Sandbox) -> None:
    sandbox.write("/root/.msmtprc", "account default\nhost h.example.test\nfrom a@example.test\n")
    done = apply(sandbox, settings(9))
    assert done.returncode == 78
    assert "/root/.msmtprc" in done.stderr
    assert sandbox.changed() == {"/root/.msmtprc", *NOISE}


@pytest.mark.slow
def test_aliases_that_msmtp_would_refuse(sandbox: Sandbox) -> None:
    sandbox.write(ALIASES, "root: a@example.test\nfoo bar\n", mode=0o644)
    done = apply(sandbox, settings(9))
    assert done.returncode == 78
    assert done.stderr.startswith(f"msmtp-config: {ALIASES}: line 2: ")
    assert f"  fix: sensible-editor +2 {ALIASES}\n" in done.stderr
    assert sandbox.changed() == {ALIASES, *NOISE}


@pytest.mark.slow
def test_a_broken_msmtprc_is_replaced(sandbox: Sandbox) -> None:
    """What stands there now decides nothing: msmtp itself could not even start with it."""
    sandbox.write(MSMTPRC, "account default\nnonsense hunter2\n")
    done = apply(sandbox, settings(9))
    assert done.returncode == 0, done.stderr
    assert "line 2: cannot be understood" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    assert b"nonsense" not in sandbox.read(MSMTPRC)
    assert list(backups(sandbox).values()) == [b"account default\nnonsense hunter2\n"]


# --- where the log goes


@pytest.mark.slow
def test_syslog_needs_no_rule(sandbox: Sandbox) -> None:
    assert apply(sandbox, settings(9, log="syslog")).returncode == 0
    assert not sandbox.exists(LOGROTATE)
    assert b"syslog         LOG_MAIL" in sandbox.read(MSMTPRC)
    assert b"logfile" not in sandbox.read(MSMTPRC)


@pytest.mark.slow
def test_a_host_without_logrotate(sandbox: Sandbox) -> None:
    sandbox.shell("rm -r /etc/logrotate.d")
    done = apply(sandbox, settings(9))
    assert done.returncode == 0, done.stderr
    assert "warning: /etc/logrotate.d: is no directory" in done.stderr
    assert sandbox.exists(MSMTPRC)


@pytest.mark.slow
def test_old_rights_are_put_right(sandbox: Sandbox) -> None:
    """The content is right already: owner and mode are a change, and no old version is kept of that."""
    assert apply(sandbox, settings(9)).returncode == 0
    before = {path: sandbox.read(path) for path in FILES}
    for path in FILES:
        sandbox.write(path, before[path], mode=0o666, uid=33, gid=33)
    report = as_json(apply(sandbox, None, "--json"))
    assert outcomes(report) == dict.fromkeys(FILES, ("replaced", True))
    assert [file["words"] for file in report["files"]] == [
        f"0666 33:33 becomes {MODES[path]:04o} root:root" for path in FILES
    ]
    assert {path: rights(sandbox, path) for path in FILES} == {path: (MODES[path], 0, 0) for path in FILES}
    assert {path: sandbox.read(path) for path in FILES} == before
    assert backups(sandbox) == {}


@pytest.mark.slow
def test_an_other_run_holds_the_lock(sandbox: Sandbox) -> None:
    sandbox.shell("mkdir -m 700 /run/msmtp-config; touch /run/msmtp-config/lock; chmod 600 /run/msmtp-config/lock")
    holder = sandbox.popen(["flock", "/run/msmtp-config/lock", "sh", "-c", "echo held; exec sleep 60"])
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    done = apply(sandbox, settings(9))
    assert done.returncode == 75
    assert "another msmtp-config is running" in done.stderr
    assert not sandbox.exists(MSMTPRC)
    dry = apply(sandbox, None, "--dry-run")
    assert dry.returncode == 0, "looking needs no lock"
