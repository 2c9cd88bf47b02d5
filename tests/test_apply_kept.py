"""What `apply` takes over from what stands there: a pin, a password, the aliases of others, the old versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.account import ADMIN, MSMTPRC, SECRET, USER, account
from tests.support.applying import (
    ALIASES,
    FILES,
    LOGROTATE,
    NOISE,
    apply,
    as_json,
    backups,
    contents,
    outcomes,
    settings,
    stages,
)
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd

RIGHT = b"correct horse battery"
PIN = ":".join(["AB"] * 32)
SYSTEM = Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: RIGHT}, cert=pki.certificate("good"), key=pki.key("good")) as smtpd:
        yield smtpd


def value(box: Sandbox, command: str) -> list[str]:
    """The arguments of every line with this command in msmtprc."""
    lines = [line.split(None, 1) for line in box.read(MSMTPRC).decode().splitlines()]
    return [line[1] for line in lines if line and line[0] == command]


# --- the pin


@pytest.mark.slow
@pytest.mark.parametrize("check", [None, False])
def test_a_pin_of_the_same_server_stays(sandbox: Sandbox, check: bool | None) -> None:
    """Else every run would undo `msmtp-config pin`, also where the settings would not look at certificates at all."""
    sandbox.write(MSMTPRC, account(9, SYSTEM, tls_fingerprint=PIN))
    report = as_json(apply(sandbox, settings(9, tls_certcheck=check), "--json"))
    assert value(sandbox, "tls_fingerprint") == [PIN]
    assert value(sandbox, "tls_certcheck") == [], "with the check off msmtp would not compare the pin"
    plan = next(stage["seen"] for stage in report["stages"] if stage["stage"] == "plan")
    assert "kept: `tls_fingerprint` of 127.0.0.1 port 9" in plan
    assert not [warning for warning in report["warnings"] if "msmtp-config pin" in warning]
    second = as_json(apply(sandbox, None, "--json"))
    assert second["changed"] is False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        ({"tls_fingerprint": PIN, "port": "10"}, {}),
        ({"tls_fingerprint": PIN, "host": "localhost"}, {}),
        ({"tls_fingerprint": PIN, "tls_certcheck": "off"}, {}),
        ({"tls_fingerprint": PIN}, {"tls_fingerprint": PIN.replace("AB", "CD")}),
    ],
    ids=["other port", "other host", "not in force", "the settings have one"],
)
def test_a_pin_that_is_not_taken_over(sandbox: Sandbox, present: dict[str, str], wanted: dict[str, object]) -> None:
    text = account(9, SYSTEM, **{key: text for key, text in present.items() if key != "port"})
    sandbox.write(MSMTPRC, text.replace("port 9\n", f"port {present.get('port', 9)}\n"))
    report = as_json(apply(sandbox, settings(9, **wanted), "--json"))
    assert value(sandbox, "tls_fingerprint") == list(wanted.values())
    assert not [stage for stage in report["stages"] if "kept" in stage["seen"] and stage["stage"] == "plan"]


@pytest.mark.slow
def test_the_pin_of_a_real_run_of_pin(sandbox: Sandbox, server: Smtpd) -> None:
    """Its settings know no authority for the server: the first run is refused, `pin` mends it, the next keeps that."""
    text = settings(server.port, password=RIGHT.decode())
    assert apply(sandbox, text).returncode != 0
    assert sandbox.agent("pin", "--accept").returncode == 0
    report = as_json(apply(sandbox, text, "--json"))
    assert (report["result"], report["verification"]) == ("ok", "accepted")
    assert len(value(sandbox, "tls_fingerprint")) == 1


# --- the inline password


def with_inline(box: Sandbox, port: int, trust: Path, **changes: str | None) -> bytes:
    """An msmtprc as the fragment writes it from settings with a password."""
    text = account(port, trust, **{"passwordeval": None, "password": RIGHT.decode(), **changes})
    box.write(MSMTPRC, text)
    return text.encode()


@pytest.mark.slow
def test_an_inline_password_moves_into_the_secret_file(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    with_inline(sandbox, server.port, pki.ca_file)
    report = as_json(apply(sandbox, settings(server.port, pki.ca_file), "--json"))
    assert (report["result"], report["verification"]) == ("ok", "accepted")
    assert outcomes(report)[SECRET] == ("created", True)
    assert [file["path"] for file in report["files"]] == [ALIASES, LOGROTATE, SECRET, MSMTPRC]
    assert sandbox.read(SECRET) == RIGHT + b"\n"
    assert (sandbox.stat(SECRET).st_mode & 0o7777, sandbox.stat(SECRET).st_uid) == (0o600, 0)
    assert RIGHT not in sandbox.read(MSMTPRC)
    assert RIGHT.decode() not in str(report)
    assert server.login.password == RIGHT
    (kept,) = backups(sandbox)
    assert any(warning.startswith(f"{kept}: will hold the inline password") for warning in report["warnings"])
    second = as_json(apply(sandbox, None, "--json"))
    assert (second["changed"], second["warnings"]) == (False, [])


@pytest.mark.slow
@pytest.mark.parametrize("word", ["in quotes", "plain"])
def test_a_password_that_moves_keeps_its_bytes(sandbox: Sandbox, pki: Pki, server: Smtpd, word: str) -> None:
    odd = b'  \xc3\xa4 "#; $(x) \xff ' if word == "in quotes" else b"a\"b'#c"
    server.users[USER] = odd
    text = account(server.port, pki.ca_file, passwordeval=None).encode()
    sandbox.write(MSMTPRC, text + b"password " + (b'"%b"' % odd if word == "in quotes" else odd) + b"\n")
    done = apply(sandbox, settings(server.port, pki.ca_file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sandbox.read(SECRET) == odd + b"\n"
    assert server.login.password == odd


@pytest.mark.slow
def test_the_stored_password_wins_over_the_inline_one(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    with_inline(sandbox, server.port, pki.ca_file, password="another one")
    sandbox.write(SECRET, RIGHT + b"\n")
    report = as_json(apply(sandbox, settings(server.port, pki.ca_file), "--json"))
    assert (report["verification"], SECRET in outcomes(report)) == ("accepted", False)
    assert any("gives way to the one in /etc/msmtp-password" in warning for warning in report["warnings"])
    assert "another one" not in str(report)
    assert sandbox.read(SECRET) == RIGHT + b"\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        ({"user": "you@example.test"}, {}),
        ({"host": "localhost"}, {}),
        ({}, {"password": "of the settings"}),
        ({}, {"passwordeval": "echo of the command"}),
        ({}, {"auth_method": "off"}),
    ],
    ids=["other user", "other host", "the settings have one", "a command", "no login"],
)
def test_an_inline_password_that_is_not_taken_over(
    sandbox: Sandbox, present: dict[str, str], wanted: dict[str, object]
) -> None:
    with_inline(sandbox, 9, SYSTEM, **present)
    done = apply(sandbox, settings(9, **wanted))
    assert RIGHT.decode() not in done.stdout + done.stderr
    assert sandbox.exists(SECRET) == ("password" in wanted)
    if "password" in wanted:
        assert sandbox.read(SECRET) == b"of the settings\n"
    assert RIGHT not in sandbox.read(MSMTPRC)


@pytest.mark.slow
def test_a_dry_run_moves_nothing_and_masks_it(sandbox: Sandbox, pki: Pki, server: Smtpd) -> None:
    old = with_inline(sandbox, server.port, pki.ca_file)
    done = apply(sandbox, settings(server.port, pki.ca_file), "--dry-run")
    assert done.returncode == 0
    assert f"{SECRET}: the inline `password` of {MSMTPRC} moves here, 0600 root:root\n" in done.stdout
    assert "-password ***\n" in done.stdout
    assert RIGHT.decode() not in done.stdout + done.stderr
    assert sandbox.read(MSMTPRC) == old
    assert sandbox.changed() == {MSMTPRC, "/run/smtp.config.yaml"}
    assert server.logins == []


# --- other accounts


@pytest.mark.slow
def test_accounts_that_are_lost_are_named(sandbox: Sandbox) -> None:
    text = "account bridge\nhost 127.0.0.1\naccount shop\nhost shop.test\naccount default : bridge\nport 9\n"
    sandbox.write(MSMTPRC, text)
    done = apply(sandbox, settings(9))
    assert done.returncode == 0
    (kept,) = backups(sandbox)
    words = f"{MSMTPRC}: has the accounts bridge, shop, which are not in the settings: they stand in {kept} alone"
    assert words in done.stderr
    assert apply(sandbox).stderr == ""


# --- the aliases of others


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", f"root: {ADMIN}\ndefault: {ADMIN}\n".encode()),
        (
            b"# ours\r\npostmaster: root\r\nroot: old@example.test # me\r\n",
            f"# ours\r\npostmaster: root\r\nroot: {ADMIN} # me\r\ndefault: {ADMIN}\r\n".encode(),
        ),
        (b"www: web@example.test", f"www: web@example.test\nroot: {ADMIN}\ndefault: {ADMIN}\n".encode()),
    ],
    ids=["empty", "CRLF and comments", "no line feed at the end"],
)
@pytest.mark.slow
def test_other_lines_of_aliases_stay(sandbox: Sandbox, old: bytes, new: bytes) -> None:
    sandbox.write(ALIASES, old, mode=0o644)
    assert apply(sandbox, settings(9)).returncode == 0
    assert sandbox.read(ALIASES) == new
    assert list(backups(sandbox).values()) == [old]
    assert as_json(apply(sandbox, None, "--json"))["changed"] is False


# --- the old versions


@pytest.mark.slow
def test_one_dated_backup_of_each_file_that_changes(sandbox: Sandbox) -> None:
    old = {ALIASES: b"root: old@example.test\n", LOGROTATE: b"# mine\n", MSMTPRC: b"account default\nhost old\n"}
    for path, content in old.items():
        sandbox.write(path, content, mode=0o640 if path == ALIASES else 0o600)
    report = as_json(apply(sandbox, settings(9), "--json"))
    kept = {file["path"]: file["backup"] for file in report["files"]}
    assert backups(sandbox) == {kept[path]: content for path, content in old.items()}
    for path in FILES:
        facts = sandbox.stat(kept[path])
        assert (facts.st_mode & 0o7777, facts.st_uid) == (0o640 if path == ALIASES else 0o600, 0)
    assert sandbox.changed() == {*FILES, *kept.values(), *NOISE}


@pytest.mark.slow
def test_going_back_and_forth_keeps_each_version_once(sandbox: Sandbox) -> None:
    one, two = settings(9), settings(10)
    apply(sandbox, one)
    for _ in range(3):
        apply(sandbox, two)
        apply(sandbox, one)
    assert len(backups(sandbox)) == 2
    before = contents(sandbox)
    apply(sandbox, one)
    assert contents(sandbox) == before


@pytest.mark.slow
def test_logrotate_does_not_read_the_backup_of_its_rule(sandbox: Sandbox) -> None:
    sandbox.write(LOGROTATE, "/var/log/msmtp.log {\n  daily\n}\n", mode=0o644)
    assert apply(sandbox, settings(9)).returncode == 0
    (kept,) = backups(sandbox)
    assert kept.startswith(f"{LOGROTATE}.")
    done = sandbox.run(["logrotate", "--debug", "/etc/logrotate.conf"])
    assert done.returncode == 0, done.stderr
    assert "duplicate log entry" not in done.stderr
    assert f"Ignoring {kept.rpartition('/')[2]}" in done.stderr


# --- AppArmor


@pytest.mark.slow
@pytest.mark.parametrize("enforced", [True, False])
def test_the_log_is_where_the_profile_lets_it_be(sandbox: Sandbox, enforced: bool) -> None:
    """The profile is in force where its file is there and the kernel has AppArmor on: both are put in place here."""
    sandbox.shell(
        "mkdir -p /etc/apparmor.d/disable /run/sys/module/apparmor/parameters; rm -f /etc/apparmor.d/disable/*;"
        "printf '/usr/bin/msmtp {\\n  /** rwlk,\\n}\\n' > /etc/apparmor.d/usr.bin.msmtp;"
        "echo Y > /run/sys/module/apparmor/parameters/enabled; mount -n --bind /run/sys /sys"
    )
    if not enforced:  # as Debian installs it
        sandbox.shell("ln -s ../usr.bin.msmtp /etc/apparmor.d/disable/usr.bin.msmtp")
    assert apply(sandbox, settings(9)).returncode == 0
    log = "/var/log/msmtp" if enforced else "/var/log/msmtp.log"
    assert value(sandbox, "logfile") == [log]
    assert sandbox.read(LOGROTATE).startswith(f"{log} {{".encode())
    assert stages(as_json(apply(sandbox, None, "--json")))["write"] == "skipped"
