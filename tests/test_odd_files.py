"""What may stand in place of the files that the program reads and writes: never followed, never a hang, one line."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sandbox import Sandbox
from tests.support.view import Completed

pytestmark = [pytest.mark.root, pytest.mark.slow]

SECRET = "/etc/msmtp-password"
MSMTPRC = "/etc/msmtprc"
TEMPORARY = "/etc/.msmtp-password.msmtp-config"
OWN = "/root/.msmtprc"
NEW = b"the new secret\n"
OLD = b"the old secret\n"
OTHER = b"a file of somebody else's\n"
ACCOUNT = f"""\
account default
host mail.example.test
from me@example.test
auth on
user me@example.test
tls on
tls_trust_file /etc/ssl/certs/ca-certificates.crt
passwordeval "cat {SECRET}"
"""
PYTHON = "/usr/bin/python3"  # of the installed package
# A run that stands still is killed and fails its test.
DEADLINE = 10.0
# What the shell puts in place of $X; /etc/other exists and must not change. Then the words for it in the message.
ODD = {
    "symlink": ("ln -s /etc/other $X", "is a symbolic link to /etc/other"),
    "dangling symlink": ("ln -s /etc/nothing $X", "is a symbolic link to /etc/nothing"),
    "hard link": ("ln /etc/other $X", "has 2 hard links"),
    "FIFO": ("mkfifo -m 0600 $X", "is a FIFO"),
    "directory": ("mkdir -m 0600 $X", "is a directory"),
    "endless device": ("mknod -m 0600 $X c 1 5", "is a character device"),
    "block device": ("mknod -m 0600 $X b 7 200", "is a block device"),
    "socket": (
        "/usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' $X",
        "is a socket",
    ),
}
ONE_GIGABYTE = 1 << 30


@pytest.fixture
def box(tmp_path: Path, warm: bool) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, warm=warm) as view:
        view.write(MSMTPRC, ACCOUNT)
        view.write("/etc/other", OTHER)
        yield view


@dataclass(frozen=True)
class Trace:
    """All that a run may not change of a file."""

    facts: tuple[int, ...]
    content: bytes


def trace(box: Sandbox, path: str) -> Trace | None:
    if not box.exists(path):
        return None
    found = box.stat(path)
    content = box.read(path) if stat.S_ISREG(found.st_mode) and found.st_size < ONE_GIGABYTE else b""
    facts = (found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_nlink, found.st_size, found.st_mtime_ns)
    return Trace(facts, content)


def everything(box: Sandbox) -> dict[str, Trace | None]:
    return {path: trace(box, path) for path in box.changed() if not path.startswith("/run/")}


def configure(box: Sandbox, *options: str) -> Completed:
    return box.agent("--password-stdin", "--offline", *options, stdin=NEW, timeout=DEADLINE, python=PYTHON)


def put(box: Sandbox, script: str, path: str) -> None:
    box.path(path).unlink(missing_ok=True)
    box.shell(f"umask 077; X={path}; {script}")


def assert_refused(done: Completed, code: int, path: str, words: str, stage: str = "config") -> str:
    """One line that names the file and what it is, and one line of remedy, which is given back."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith(f"msmtp-config: {path}: {words}"), lines[0]
    assert lines[1].startswith("  fix: ")
    assert [line for line in done.stdout.splitlines() if line.startswith("failed")] == [
        f"failed  {stage:<9} {lines[0].removeprefix('msmtp-config: ')}"
    ]
    return lines[1].removeprefix("  fix: ")


def check_refused(box: Sandbox, code: int, path: str, words: str, *options: str) -> str:
    """Run, be refused with this message, and change nothing; the remedy is given back."""
    before = everything(box)
    done = configure(box, *options)
    remedy = assert_refused(done, code, path, words)
    assert everything(box) == before
    return remedy


def assert_stored(box: Sandbox, done: Completed) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    facts = box.stat(SECRET)
    assert stat.S_ISREG(facts.st_mode)
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, facts.st_nlink) == (0o600, 0, 0, 1)
    assert box.read(SECRET) == NEW
    assert not box.exists(TEMPORARY)


# --- something else than a regular file


@pytest.mark.parametrize("kind", ODD)
def test_in_place_of_the_secret_file(box: Sandbox, kind: str) -> None:
    script, words = ODD[kind]
    put(box, script, SECRET)
    remedy = check_refused(box, 73, SECRET, words)
    check_refused(box, 73, SECRET, words, "--fix", "--force")
    if remedy.startswith("rm"):
        box.shell(remedy)
        assert_stored(box, configure(box))
    assert box.read("/etc/other") == OTHER


@pytest.mark.parametrize("kind", ODD)
def test_in_place_of_msmtprc(box: Sandbox, kind: str) -> None:
    script, words = ODD[kind]
    put(box, script, MSMTPRC)
    check_refused(box, 78, MSMTPRC, words)
    check_refused(box, 78, MSMTPRC, words, "--fix", "--force")


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "hard link"])
def test_in_place_of_roots_own_configuration(box: Sandbox, kind: str) -> None:
    script, words = ODD[kind]
    put(box, script, OWN)
    remedy = check_refused(box, 78, OWN, words.partition(" to ")[0])
    box.shell(remedy)
    assert_stored(box, configure(box))


@pytest.mark.parametrize("kind", ["symlink", "dangling symlink", "hard link", "FIFO", "endless device", "socket"])
def test_in_place_of_the_temporary_name(box: Sandbox, kind: str) -> None:
    """It is unlinked, as a leftover is: what it leads to is not touched."""
    put(box, ODD[kind][0], TEMPORARY)
    assert_stored(box, configure(box))
    assert box.read("/etc/other") == OTHER
    assert not box.exists("/etc/nothing")


def test_directory_in_place_of_the_temporary_name(box: Sandbox) -> None:
    put(box, ODD["directory"][0], TEMPORARY)
    done = configure(box)
    assert_refused(done, 73, SECRET, "cannot be written: ", "store")
    assert not box.exists(SECRET)


def test_missing_directory_of_roots_own_configuration_is_no_fault(box: Sandbox) -> None:
    box.write("/root/.config/msmtp", "a file where a directory is looked for\n")
    assert_stored(box, configure(box))


# --- regular files that cannot be replaced


@pytest.mark.parametrize("attribute", ["i", "a"], ids=["immutable", "append only"])
def test_attribute_of_the_secret_file(box: Sandbox, attribute: str) -> None:
    box.write(SECRET, OLD)
    box.shell(f"chattr +{attribute} {SECRET}")
    before = trace(box, SECRET)
    done = configure(box)
    assert_refused(done, 73, SECRET, "cannot be written: Operation not permitted", "store")
    assert (trace(box, SECRET), box.exists(TEMPORARY)) == (before, False)
    box.shell(f"chattr -{attribute} {SECRET}")
    assert_stored(box, configure(box))


def test_immutable_directory(box: Sandbox) -> None:
    box.shell("mount -n -t tmpfs tmpfs /run; mkdir /run/etc; cp -a /etc/passwd /etc/ld.so.cache /etc/msmtprc /run/etc/")
    box.shell("mount -n --bind /run/etc /etc; chattr +i /etc")
    done = configure(box)
    box.shell("chattr -i /etc")
    assert_refused(done, 73, SECRET, "cannot be written: Operation not permitted", "store")
    assert not box.exists(SECRET)


def test_bind_mount_in_place_of_the_secret_file(box: Sandbox) -> None:
    box.write(SECRET, OLD)
    box.shell(f"mount -n --bind /etc/other {SECRET}")
    done = configure(box)
    assert_refused(done, 73, SECRET, "cannot be written: Device or resource busy", "store")
    assert (box.read("/etc/other"), box.exists(TEMPORARY)) == (OTHER, False)
    box.shell(f"umount -n {SECRET}")
    assert box.read(SECRET) == OLD
    assert_stored(box, configure(box))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (f"mount -n --bind /etc/copy {MSMTPRC}", "Device or resource busy"),
        (f"cp -p /etc/copy {MSMTPRC}; chattr +i {MSMTPRC}", "Operation not permitted"),
    ],
    ids=["bind mount", "immutable"],
)
def test_msmtprc_that_cannot_be_replaced(box: Sandbox, script: str, words: str) -> None:
    """It is as good as any to be read; only a repair is impossible."""
    box.write("/etc/copy", ACCOUNT)
    box.shell(script)
    assert_stored(box, configure(box))
    box.shell("umount -n /etc/msmtprc 2>/dev/null || chattr -i /etc/msmtprc; chmod 0644 /etc/copy /etc/msmtprc")
    box.shell(script)
    before = box.read(MSMTPRC)
    done = configure(box, "--fix")
    assert_refused(done, 73, MSMTPRC, f"cannot be written: {words}")
    assert box.read(MSMTPRC) == before
    assert not box.exists("/etc/.msmtprc.msmtp-config")


# --- regular files of another size, owner or mode


def test_one_gigabyte_in_place_of_msmtprc(box: Sandbox) -> None:
    put(box, f"truncate -s {ONE_GIGABYTE} $X", MSMTPRC)
    check_refused(box, 78, MSMTPRC, f"holds {ONE_GIGABYTE} bytes; expected at most ")
    check_refused(box, 78, MSMTPRC, f"holds {ONE_GIGABYTE} bytes; expected at most ", "--fix", "--force")


def test_one_gigabyte_in_place_of_roots_own_configuration(box: Sandbox) -> None:
    put(box, f"truncate -s {ONE_GIGABYTE} $X", OWN)
    check_refused(box, 78, OWN, "")


@pytest.mark.parametrize("mode", ["0600", "0644"])
def test_one_gigabyte_in_place_of_the_secret_file(box: Sandbox, mode: str) -> None:
    put(box, f"truncate -s {ONE_GIGABYTE} $X; chmod {mode} $X", SECRET)
    # Limited to a fraction of the file: it is not read into memory.
    argv = ["prlimit", f"--as={ONE_GIGABYTE // 2}", *box.agent_argv("--password-stdin", "--offline", python=PYTHON)]
    assert_stored(box, box.run(argv, stdin=NEW, timeout=DEADLINE))


RIGHTS = {
    "0644": "0644 root:root",
    "0640": "0640 root:root",
    "0400": "0400 root:root",
    "0000": "0000 root:root",
    "4600": "4600 root:root",
    "0600 65534:0": "0600 65534:root",
    "0600 0:65534": "0600 root:65534",
    "0644 65534:65534": "0644 65534:65534",
}


def set_rights(box: Sandbox, path: str, rights: str) -> None:
    mode, _, owner = rights.partition(" ")
    if owner:
        os.chown(box.path(path), *map(int, owner.split(":")))
    box.path(path).chmod(int(mode, 8))


@pytest.mark.parametrize("rights", RIGHTS)
def test_rights_of_the_secret_file(box: Sandbox, rights: str) -> None:
    """They are told, and a secret that is stored puts them right, even the same one."""
    for content in (OLD, NEW):
        box.write(SECRET, content)
        set_rights(box, SECRET, rights)
        done = configure(box)
        assert_stored(box, done)
        assert done.stderr.startswith(f"msmtp-config: warning: {SECRET}: is {RIGHTS[rights]}, expected 0600 root:root")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("rights", RIGHTS)
def test_fix_of_the_secret_file_keeps_its_content(box: Sandbox, rights: str) -> None:
    """Also when the new password is not stored: nobody listens at the server's port."""
    box.write(MSMTPRC, ACCOUNT.replace("mail.example.test", "127.0.0.1\nport 9"))
    box.write(SECRET, OLD)
    set_rights(box, SECRET, rights)
    done = box.agent("--password-stdin", "--fix", stdin=NEW, timeout=DEADLINE, python=PYTHON)
    assert done.returncode == 75, done.stderr
    assert done.stderr.startswith(f"msmtp-config: warning: {SECRET}: was {RIGHTS[rights]}, is 0600 root:root now\n")
    facts = box.stat(SECRET)
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o600, 0, 0)
    assert box.read(SECRET) == OLD


@pytest.mark.parametrize("rights", RIGHTS)
def test_rights_of_msmtprc(box: Sandbox, rights: str) -> None:
    set_rights(box, MSMTPRC, rights)
    before = box.read(MSMTPRC)
    remedy = check_refused(box, 78, MSMTPRC, f"is {RIGHTS[rights]}; expected 0600 root:root")
    done = configure(box, "--fix")
    assert_stored(box, done)
    assert done.stderr.startswith(f"msmtp-config: warning: {MSMTPRC}: was {RIGHTS[rights]}, is 0600 root:root now")
    facts = box.stat(MSMTPRC)
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid, box.read(MSMTPRC)) == (0o600, 0, 0, before)
    # The line to paste does the same.
    set_rights(box, MSMTPRC, rights)
    box.shell(remedy)
    assert configure(box).stderr == ""


# --- accounts that would not use the password


def account(**changed: str) -> str:
    """The account with other settings; an empty one is left out."""
    lines = []
    for line in ACCOUNT.splitlines():
        name, _, value = line.partition(" ")
        value = changed.pop(name, value)
        lines += [f"{name} {value}"] if value else []
    return "\n".join([*lines, *(f"{name} {value}" for name, value in changed.items())]) + "\n"


# The content of /etc/msmtprc, the line that is at fault, and the message behind it.
NOT_USED = {
    "inline password": (account(password="inline"), 9, "an inline `password` wins over every other"),
    "inline password before": (
        ACCOUNT.replace("auth on", "password inline"),
        4,
        "an inline `password`",
    ),
    "another command": (account(passwordeval='"gpg -d /etc/x"'), 8, "`passwordeval` is another command"),
    "another file": (account(passwordeval='"cat /etc/other"'), 8, "`passwordeval` is another command"),
    "no command": (account(passwordeval=""), 1, "the default account has no `passwordeval`"),
    "auth off": (account(auth="off"), 4, "the default account sends no password (`auth off`)"),
    "no auth": (account(auth=""), 1, "the default account sends no password (`auth off`)"),
    "eval": (account(eval="echo password inline"), 9, "command eval "),
    "unknown command": (ACCOUNT + "frobnicate on\n", 9, "unknown command frobnicate"),
    "wrong argument": (account(port="70000"), 9, "invalid argument 70000 for command port"),
    "account twice": (ACCOUNT + "account default\n", 9, "account default was already defined"),
}
FAULTY = {
    "tls off": (account(tls="off"), 6, "the password would cross the network to mail.example.test in clear text"),
    "no tls": (account(tls=""), 1, "the password would cross the network to mail.example.test in clear text"),
    "no user": (account(user=""), 1, "the default account has no `user`"),
    "no host": (account(host=""), 1, "the default account has no `host`"),
    "no from": (account(**{"from": ""}), 1, "the default account has no `from`"),
}


@pytest.mark.parametrize("fault", NOT_USED)
def test_account_that_would_not_use_the_password(box: Sandbox, fault: str) -> None:
    content, line, words = NOT_USED[fault]
    # Without an `auth` of its own, the one with the inline password is off as well, which is not the point here.
    box.write(MSMTPRC, content if "auth" in content or fault == "no auth" else content + "auth on\n")
    remedy = check_refused(box, 78, f"{MSMTPRC}: line {line}", words)
    assert remedy.startswith(f"sensible-editor +{line} {MSMTPRC}")
    done = configure(box, "--force")
    assert_stored(box, done)
    assert done.stderr.startswith(f"msmtp-config: warning: {MSMTPRC}: line {line}: {words}")


@pytest.mark.parametrize("fault", FAULTY)
def test_account_that_may_not_be_used(box: Sandbox, fault: str) -> None:
    content, line, words = FAULTY[fault]
    box.write(MSMTPRC, content)
    check_refused(box, 78, f"{MSMTPRC}: line {line}", words)
    check_refused(box, 78, f"{MSMTPRC}: line {line}", words, "--force")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "127.9.9.9"])
def test_clear_text_stays_on_this_machine(box: Sandbox, host: str) -> None:
    box.write(MSMTPRC, account(host=host, tls="off"))
    assert_stored(box, configure(box))


@pytest.mark.parametrize("host", ["localhost.example.test", "127.0.0.1.example.test", "128.0.0.1", "10.0.0.1"])
def test_clear_text_to_another_machine(box: Sandbox, host: str) -> None:
    box.write(MSMTPRC, account(host=host, tls="off"))
    check_refused(box, 78, f"{MSMTPRC}: line 6", f"the password would cross the network to {host} in clear text")


@pytest.mark.parametrize("content", ["", "# nothing\n", account().replace("default", "other")])
def test_no_default_account(box: Sandbox, content: str) -> None:
    box.write(MSMTPRC, content)
    check_refused(box, 78, MSMTPRC, "has no default account")
    assert_stored(box, configure(box, "--force"))


def test_no_msmtprc(box: Sandbox) -> None:
    box.path(MSMTPRC).unlink()
    check_refused(box, 78, MSMTPRC, "is missing")
    assert_stored(box, configure(box, "--force"))


@pytest.mark.parametrize("own", [OWN, "/root/.config/msmtp/config"])
def test_shadow_of_the_account(box: Sandbox, own: str) -> None:
    box.write(own, "# mine\n" + ACCOUNT)
    remedy = check_refused(box, 78, f"{own}: line 2", "its default account takes the place of the one in /etc/msmtprc")
    done = configure(box, "--force")
    assert_stored(box, done)
    assert f"warning: {own}: line 2: " in done.stderr
    box.shell(remedy)
    assert configure(box).stderr == ""


def test_own_configuration_without_a_default_account_is_no_shadow(box: Sandbox) -> None:
    box.write(OWN, ACCOUNT.replace("default", "mine"))
    assert_stored(box, configure(box))


def test_own_configuration_that_msmtp_refuses(box: Sandbox) -> None:
    box.write(OWN, "account mine\nfrobnicate\n")
    check_refused(box, 78, f"{OWN}: line 2", "unknown command frobnicate")


# --- standard input


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("</dev/zero", 65, "standard input: holds more than "),
        ("</dev/null", 65, "standard input: is empty"),
        ("<&-", 64, "--password-stdin: standard input is closed"),
    ],
)
def test_odd_standard_input(box: Sandbox, source: str, code: int, words: str) -> None:
    argv = ["sh", "-c", f'exec "$@" {source}', "sh", *box.agent_argv("--password-stdin", "--offline", python=PYTHON)]
    done = box.run(argv, timeout=DEADLINE)
    assert done.returncode == code, done.stderr
    assert done.stderr.startswith(f"msmtp-config: {words}")
    assert len(done.stderr.splitlines()) == 2
    assert not box.exists(SECRET)
