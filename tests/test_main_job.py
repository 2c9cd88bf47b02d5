"""The main job and `test`, on the real msmtp, against a server that writes down what reaches it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.account import MSMTPRC as RC
from tests.support.account import SECRET, USER, account
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.smtpd import Smtpd
from tests.support.view import Completed

RIGHT = b"correct horse"
OLD = b"old secret\n"


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: RIGHT}, cert=pki.certificate("good"), key=pki.key("good")) as smtpd:
        yield smtpd


def configure(
    sandbox: Sandbox,
    pki: Pki,
    port: int,
    *extra: str,
    without: tuple[str, ...] = (),
    aliases: str | None = "root: admin@example.test\n",
) -> None:
    sandbox.write(RC, account(port, pki.ca_file, *extra, **dict.fromkeys(without)))
    if aliases is not None:
        sandbox.write("/etc/aliases", aliases, mode=0o644)


def by_stdin(sandbox: Sandbox, *options: str, secret: bytes = RIGHT) -> Completed:
    return sandbox.agent("--password-stdin", *options, stdin=secret)


def as_json(done: Completed) -> dict[str, Any]:
    schema = json.loads((PROJECT / "msmtp_agent/schemas/configure.json").read_text())
    report: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(report, schema)
    assert done.stderr == ""
    assert done.returncode == (report["error"] or {"code": 0})["code"]
    return report


def stages(report: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["status"] for stage in report["stages"]}


def stored(sandbox: Sandbox) -> bytes | None:
    """The secret file's bytes; its owner and mode are right wherever it exists."""
    if not sandbox.exists(SECRET):
        return None
    facts = sandbox.stat(SECRET)
    assert (facts.st_mode & 0o7777, facts.st_uid, facts.st_gid, facts.st_nlink) == (0o600, 0, 0, 1)
    return sandbox.read(SECRET)


# --- the way that a person walks


def test_an_accepted_password_is_stored_and_a_test_mail_leaves(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    done = by_stdin(sandbox)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    assert [line[:2] for line in lines] == [
        ["passed", stage] for stage in ("host", "config", "secret", "pretend", "probe", "store", "deliver")
    ]
    assert "msmtp 1." in lines[0][2]
    assert "/usr/bin/msmtp" in lines[0][2]
    assert lines[-1][2] == "test mail to admin@example.test: 250 2.0.0 Ok: queued as SMTPD0001"
    assert stored(sandbox) == RIGHT + b"\n"
    assert [login.password for login in server.logins] == [RIGHT, RIGHT]
    (mail,) = server.messages
    assert (mail.sender, mail.recipients) == (USER, ("admin@example.test",))
    host = sandbox.run(["uname", "-n"]).stdout.strip()
    assert f"Subject: Test mail from {host} (msmtp-config)\r\n".encode() in mail.content
    assert f"host:    {host}\r\n".encode() in mail.content
    assert b"program: msmtp-config " in mail.content
    assert sandbox.changed() == {
        RC, "/etc/aliases", SECRET, "/run/msmtp-config", "/run/msmtp-config/lock", "/var/log/msmtp.log",
    }  # fmt: skip


def test_the_probe_leaves_no_trace_in_the_mail_log(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    assert by_stdin(sandbox, "--no-mail").returncode == 0
    assert not sandbox.exists("/var/log/msmtp.log")
    assert server.messages == []


def test_a_second_run_says_unchanged_and_touches_nothing(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    first = as_json(by_stdin(sandbox, "--json"))
    assert (first["result"], first["changed"], first["verification"]) == ("ok", True, "accepted")
    before = sandbox.stat(SECRET)
    second = as_json(by_stdin(sandbox, "--json", "--no-mail"))
    assert (second["result"], second["changed"], second["verification"]) == ("ok", False, "accepted")
    assert any("unchanged" in stage["seen"] for stage in second["stages"] if stage["stage"] == "store")
    after = sandbox.stat(SECRET)
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )


def test_json_tells_the_whole_job(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    report = as_json(by_stdin(sandbox, "--json"))
    assert report["delivery"] == {"recipients": ["admin@example.test"], "reply": "250 2.0.0 Ok: queued as SMTPD0001"}
    assert report["error"] is None
    assert report["warnings"] == []
    assert stages(report) == dict.fromkeys(
        ("host", "config", "secret", "pretend", "probe", "store", "deliver"), "passed"
    )


def test_quiet_says_nothing_when_all_is_well(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    done = by_stdin(sandbox, "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stored(sandbox) == RIGHT + b"\n"


def test_on_every_supported_typer(sandbox: Sandbox, pki: Pki, server: Smtpd, typer_python: Path) -> None:
    configure(sandbox, pki, server.port)
    done = sandbox.agent("--password-stdin", "--json", python=typer_python, stdin=RIGHT)
    assert as_json(done)["result"] == "ok"
    done = sandbox.agent("--password-stdin", python=typer_python, stdin=b"wrong")
    assert done.returncode == 77
    assert "535 5.7.8" in done.stderr
    usage = sandbox.agent("--bogus", python=typer_python)
    assert (usage.returncode, usage.stdout) == (64, "")
    assert usage.stderr.splitlines()[-1] == "  fix: msmtp-config --help"


# --- the table of the probe


@pytest.mark.parametrize("old", [None, OLD])
def test_a_refused_password_changes_nothing(sandbox: Sandbox, pki: Pki, server: Smtpd, old: bytes | None) -> None:
    configure(sandbox, pki, server.port)
    if old:
        sandbox.write(SECRET, old)
    done = by_stdin(sandbox, secret=b"wrong")
    assert done.returncode == 77
    assert "msmtp: server message: 535 5.7.8" in done.stderr
    assert stored(sandbox) == old
    assert server.messages == []


def test_force_stores_a_refused_password(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    sandbox.write(SECRET, OLD)
    report = as_json(by_stdin(sandbox, "--force", "--json", secret=b"wrong"))
    assert (report["error"]["code"], report["verification"], report["changed"]) == (77, "refused", True)
    assert stored(sandbox) == b"wrong\n"


@pytest.mark.parametrize(("old", "now"), [(None, RIGHT + b"\n"), (OLD, OLD)])
def test_an_unreachable_server_proves_nothing(sandbox: Sandbox, pki: Pki, old: bytes | None, now: bytes) -> None:
    configure(sandbox, pki, 1)  # nothing listens there
    if old:
        sandbox.write(SECRET, old)
    report = as_json(by_stdin(sandbox, "--json"))
    assert report["error"]["code"] == 75
    assert any("Connection refused" in words for words in report["error"]["words"])
    assert (report["result"], report["verification"], report["changed"]) == ("failed", "unproven", old is None)
    assert stages(report)["deliver"] == "skipped"
    assert stored(sandbox) == now
    assert by_stdin(sandbox, "--force").returncode == 75
    assert stored(sandbox) == RIGHT + b"\n"


def test_a_refused_sender_comes_after_an_accepted_password(sandbox: Sandbox, pki: Pki) -> None:
    with Smtpd(users={USER: RIGHT}, cert=pki.certificate("good"), key=pki.key("good"), refuse_sender=True) as server:
        configure(sandbox, pki, server.port)
        report = as_json(by_stdin(sandbox, "--json"))
    assert report["verification"] == "accepted"
    assert stages(report)["store"] == "passed"
    assert stages(report)["deliver"] == "failed"
    assert report["error"]["code"] == 65
    assert stored(sandbox) == RIGHT + b"\n"


@pytest.mark.parametrize("old", [None, OLD])
def test_offline_stores_unproven_and_is_content(sandbox: Sandbox, pki: Pki, old: bytes | None) -> None:
    configure(sandbox, pki, 1)
    if old:
        sandbox.write(SECRET, old)
    done = sandbox.agent("--password-stdin", "--offline", "--json", stdin=RIGHT, network="none")
    report = as_json(done)
    assert (done.returncode, report["result"], report["verification"]) == (0, "unproven", "unproven")
    assert stages(report)["probe"] == stages(report)["deliver"] == "skipped"
    assert stored(sandbox) == RIGHT + b"\n"


# --- what the configuration says


@pytest.mark.parametrize(
    ("without", "extra", "line", "words"),
    [
        (("passwordeval",), ("password hidden",), 11, "an inline `password` wins"),
        (("passwordeval",), ('passwordeval "gpg -d /etc/p"',), 11, "`passwordeval` is another command"),
        (("passwordeval",), (), 1, "has no `passwordeval`"),
        (("auth",), ("auth off",), 11, "sends no password (`auth off`)"),
        (("auth",), (), 1, "sends no password (`auth off`)"),
        ((), ("eval echo password x",), 12, "command eval takes a setting from a program"),
        ((), ("bogus",), 12, "unknown command bogus"),
    ],
)
def test_a_configuration_that_will_not_use_the_file(
    sandbox: Sandbox, pki: Pki, server: Smtpd, without: tuple[str, ...], extra: tuple[str, ...], line: int, words: str
) -> None:
    configure(sandbox, pki, server.port, *extra, without=without)
    done = by_stdin(sandbox)
    assert done.returncode == 78
    assert f"msmtp-config: {RC}: line {line}: " in done.stderr
    assert words in done.stderr
    assert f"  fix: sensible-editor +{line} {RC}" in done.stderr
    assert "hidden" not in done.stdout + done.stderr
    assert stored(sandbox) is None
    forced = as_json(by_stdin(sandbox, "--force", "--json"))
    assert (forced["error"], forced["verification"]) == (None, "skipped")
    assert words in " ".join(forced["warnings"])
    assert stored(sandbox) == RIGHT + b"\n"
    assert server.logins == []


def test_roots_own_configuration_shadows_the_systems(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    for path in ("/root/.config/msmtp/config", "/root/.msmtprc"):
        sandbox.write(path, "# mine\naccount default\nhost other.example.test\n")
        done = by_stdin(sandbox)
        assert done.returncode == 78
        assert f"msmtp-config: {path}: line 2: its default account takes the place" in done.stderr
        assert done.stderr.endswith(f"  fix: mv {path} {path}.off\n")
    assert server.logins == []


def test_a_password_does_not_cross_the_network_in_clear_text(sandbox: Sandbox, pki: Pki) -> None:
    configure(sandbox, pki, 25, "tls off", "auth plain", "host mail.example.test")
    done = by_stdin(sandbox, "--force")
    assert done.returncode == 78
    assert f"{RC}: line 12: the password would cross the network to mail.example.test in clear text" in done.stderr
    assert stored(sandbox) is None


def test_clear_text_on_loopback_is_nobodys_business(sandbox: Sandbox, pki: Pki) -> None:
    with Smtpd(users={USER: RIGHT}, tls="none") as server:
        configure(sandbox, pki, server.port, "tls off", "auth plain")
        assert by_stdin(sandbox).returncode == 0
    assert server.messages


def test_defaults_copies_and_the_later_line(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    sandbox.write(
        RC,
        f"defaults\ntls on\ntls_trust_file {pki.ca_file}\nauth plain\nlogfile /var/log/msmtp.log\n"
        f"account other\nhost other.example.test\nfrom x@example.test\n"
        f'account site\nhost 127.0.0.1\nport 1\nport {server.port}\nfrom {USER}\nuser {USER}\npasswordeval "false"\n'
        f'passwordeval "head -n 1 {SECRET}"\naccount default : site\n',
    )
    report = as_json(by_stdin(sandbox, "--to", "you@example.test", "--json"))
    assert report["result"] == "ok"
    assert server.messages[0].recipients == ("you@example.test",)


def test_the_owner_and_mode_of_msmtprc(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    content = sandbox.read(RC)
    for mode, owner in ((0o644, 0), (0o600, 33), (0o400, 0)):
        sandbox.write(RC, content, mode=mode, uid=owner)
        done = by_stdin(sandbox)
        assert done.returncode == 78
        seen = f"{mode:04o} {'33' if owner else 'root'}:root"
        assert f"msmtp-config: {RC}: is {seen}; expected 0600 root:root\n" in done.stderr
        assert f"  fix: chown root:root {RC} && chmod 0600 {RC}\n" in done.stderr
        assert stored(sandbox) is None
        report = as_json(by_stdin(sandbox, "--fix", "--offline", "--json"))
        assert report["changed"]
        assert seen in report["warnings"][0]
        facts = sandbox.stat(RC)
        assert (facts.st_mode & 0o7777, facts.st_uid, sandbox.read(RC)) == (0o600, 0, content)
        sandbox.path(SECRET).unlink()


def test_fix_repairs_the_secret_file_even_when_the_new_password_is_refused(
    sandbox: Sandbox, pki: Pki, server: Smtpd
) -> None:
    configure(sandbox, pki, server.port)
    sandbox.write(SECRET, OLD, mode=0o644, uid=33)
    done = by_stdin(sandbox, secret=b"wrong")
    assert f"warning: {SECRET}: is 0644 33:root, expected 0600 root:root" in done.stderr
    assert sandbox.stat(SECRET).st_mode & 0o777 == 0o644
    assert by_stdin(sandbox, "--fix", secret=b"wrong").returncode == 77
    assert stored(sandbox) == OLD


# --- where the test mail goes


def test_aliases_that_are_not_wired(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(
        sandbox, pki, server.port, without=("aliases",), aliases="root: ops, two@example.test\nops: one@example.test\n"
    )
    report = as_json(by_stdin(sandbox, "--json"))
    assert report["delivery"]["recipients"] == ["one@example.test", "two@example.test"]
    assert "the account has no `aliases /etc/aliases`" in report["warnings"][0]
    assert set(server.messages[0].recipients) == {"one@example.test", "two@example.test"}


def test_nobody_to_send_to(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port, without=("aliases",), aliases=None)
    done = by_stdin(sandbox)
    assert done.returncode == 78
    assert "msmtp-config: /etc/aliases: gives root no address" in done.stderr
    assert stored(sandbox) == RIGHT + b"\n"
    assert server.messages == []


def test_aliases_that_msmtp_refuses(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port, aliases="root: a@example.test\nroot: b@example.test\n")
    done = by_stdin(sandbox)
    assert done.returncode == 78
    assert "duplicate alias 'root'" in done.stderr
    assert "line 2" in done.stderr
    assert stored(sandbox) is None


@pytest.mark.parametrize(
    ("extra", "reply"),
    [(("logfile",), None), (("logfile /nowhere/msmtp.log",), "250 2.0.0 Ok: queued as SMTPD0001")],
)
def test_the_reply_without_a_log(
    sandbox: Sandbox, pki: Pki, server: Smtpd, extra: tuple[str, ...], reply: str | None
) -> None:
    configure(sandbox, pki, server.port, *extra)
    report = as_json(by_stdin(sandbox, "--json"))
    assert report["delivery"]["reply"] == reply
    assert bool(report["warnings"]) is (reply is not None)  # msmtp complains, and the mail has left


def test_a_fifo_for_a_log_is_a_finding_and_not_a_hang(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    sandbox.run(["mkfifo", "/var/log/msmtp.log"], check=True)
    done = by_stdin(sandbox)
    assert done.returncode == 78
    assert "msmtp-config: /var/log/msmtp.log: is a FIFO" in done.stderr
    assert server.messages == []


# --- the verb test


def test_the_verb_test_uses_what_is_installed(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    missing = sandbox.agent("test")
    assert missing.returncode == 78
    assert f"msmtp-config: {SECRET}: is missing; expected the password\n  fix: msmtp-config\n" in missing.stderr
    sandbox.write(SECRET, RIGHT + b"\n")
    before = sandbox.changed()
    report = as_json(sandbox.agent("test", "--json"))
    assert report["delivery"]["reply"] == "250 2.0.0 Ok: queued as SMTPD0001"
    assert (report["changed"], stages(report)["store"]) == (False, "skipped")
    assert sandbox.agent("test", "--to", "you@example.test", "--quiet").stdout == ""
    assert server.messages[1].recipients == ("you@example.test",)
    assert sandbox.changed() - before == {"/var/log/msmtp.log"}
    sandbox.write(SECRET, b"wrong\n")
    assert sandbox.agent("test").returncode == 77


@pytest.mark.parametrize(
    ("line", "words"),
    [("password correct horse", "an inline `password`"), ("passwordeval echo correct horse", "another command")],
)
def test_the_verb_test_says_where_the_secret_really_comes_from(
    sandbox: Sandbox, pki: Pki, server: Smtpd, line: str, words: str
) -> None:
    configure(sandbox, pki, server.port, line, without=("passwordeval",))
    report = as_json(sandbox.agent("test", "--json"))
    seen = {stage["stage"]: stage["seen"] for stage in report["stages"]}
    assert report["result"] == "ok"
    assert seen["config"].endswith(f"secret from {words}")
    assert server.login.password == RIGHT


# --- the command line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--password-stdin", "--credential", "x"), "--password-stdin: and --credential exclude each other"),
        (("--to", "you@example.test", "--no-mail"), "--to: and --no-mail exclude each other"),
        (("--to", "you@example.test", "--offline"), "--to: and --offline exclude each other"),
        (("--to", "-f", "--password-stdin"), "--to: is not a mail address"),
        (("--to", "a b@example.test"), "--to: is not a mail address"),
        (("--to", "@"), "--to: is not a mail address"),
        (("--to", "me@"), "--to: is not a mail address"),
        (("--to", "@example.test"), "--to: is not a mail address"),
        (("--to", "<me@example.test>"), "--to: is not a mail address"),
        (("--timeout", "0"), "--timeout: is 0; expected seconds"),
        (("--timeout", "nan"), "--timeout: is nan"),
        (("--timeout", "soon"), "--timeout"),
        (("--json", "test"), "--json: stands before the verb test"),
        (("tset",), "No such command 'tset'"),
        (("-x",), "No such option: -x"),
        (("--credential", "../x"), "--credential: is not the name of a credential"),
        (("--credential", "x"), "credential x: CREDENTIALS_DIRECTORY is not set"),
        ((), "password: there is no terminal to ask at"),
    ],
)
def test_wrong_options_are_one_clear_error(sandbox: Sandbox, options: tuple[str, ...], words: str) -> None:
    done = sandbox.agent(*options, stdin=b"x")
    assert done.returncode == 64
    assert done.stderr.startswith("msmtp-config: ")
    assert words in done.stderr.splitlines()[0]
    assert not sandbox.exists(SECRET)


def test_a_wrong_option_of_a_verb_leads_to_the_help_of_the_verb(sandbox: Sandbox) -> None:
    done = sandbox.agent("render", "--jsn")
    assert done.returncode == 64
    assert done.stderr == "msmtp-config: usage: No such option: --jsn\n  fix: msmtp-config render --help\n"


def test_not_root_comes_first(sandbox: Sandbox, pki: Pki) -> None:
    configure(sandbox, pki, 25)
    for options in ((), ("--password-stdin",), ("test",)):
        done = sandbox.agent(*options, stdin=RIGHT, uid=65534, python="/usr/bin/python3")
        assert done.returncode == 4
        assert "msmtp-config: does not run as root; expected root\n  fix: sudo msmtp-config\n" in done.stderr


def test_without_msmtp(sandbox: Sandbox) -> None:
    sandbox.shell("mount --bind /dev/null /usr/bin/msmtp")
    done = by_stdin(sandbox)
    assert done.returncode == 69
    assert "msmtp-config: msmtp: is not installed\n  fix: apt install msmtp msmtp-mta\n" in done.stderr


@pytest.mark.parametrize(
    ("secret", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b" \t\n", "is blank"),
        (b"a\nb\n", "contains a line break"),
        (b"a\rb", "contains a line break"),
        (b"a\0b", "contains a NUL byte"),
        (b"\xef\xbb\xbfpw", "begins with a byte order mark"),
        (b"caf\xe9", "is not valid UTF-8"),
        (b"Whxqht+dQJax1aZeCGLxmiAAAAAA", "is a credential that systemd has encrypted"),
        (b"x" * 3058, "is longer than msmtp can send"),
        (b"x" * 5000, "holds more than 4096 bytes"),
    ],
)
def test_a_malformed_secret_is_refused_with_its_reason(
    sandbox: Sandbox, pki: Pki, server: Smtpd, secret: bytes, reason: str
) -> None:
    configure(sandbox, pki, server.port)
    sandbox.write("/run/credentials/msmtp.password", secret)
    for done in (
        by_stdin(sandbox, secret=secret),
        sandbox.agent("--credential", "msmtp.password", env={"CREDENTIALS_DIRECTORY": "/run/credentials"}),
    ):
        assert done.returncode == 65
        assert reason in done.stderr.splitlines()[0]
        assert stored(sandbox) is None
    assert server.logins == []


def test_a_credential_is_read_byte_for_byte(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    configure(sandbox, pki, server.port)
    here = {"CREDENTIALS_DIRECTORY": "/run/credentials"}
    sandbox.write("/run/credentials/msmtp.password", RIGHT + b"\n", mode=0o400)
    assert sandbox.agent("--credential", "msmtp.password", env=here).returncode == 0
    assert stored(sandbox) == RIGHT + b"\n"
    done = sandbox.agent("--credential", "other", env=here)
    assert done.returncode == 65
    assert "msmtp-config: credential other: is missing; expected the password" in done.stderr
