"""The secret's exact bytes elsewhere: what is searched, what is found, and that what was left out is never a pass."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from msmtp_agent.host import Host
from msmtp_agent.model import CheckResult, Severity, Verdict
from msmtp_agent.survey import elsewhere, sweep
from tests.support.roots import MSMTPRC, PASSWORD, SECRET, Root
from tests.support.sandbox import Sandbox
from tests.support.tracing import parse, strace

VALUE = PASSWORD.removesuffix(b"\n")
LINE = b"first\nthe password is '" + VALUE + b"', keep it\nlast\n"
IDS = ("elsewhere-cloud", "elsewhere-config", "elsewhere-log", "elsewhere-history")
CLOUD, CONFIG, LOG, HISTORY = IDS


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root").good()


def paths(result: CheckResult) -> list[str]:
    return [finding.path for finding in result.findings]


def found(root: Root) -> list[tuple[str, str]]:
    """All that the group finds: id and path."""
    return [(finding.id, finding.path) for finding in root.findings(*IDS)]


# --- where


@pytest.mark.parametrize(
    ("path", "mode", "uid", "name"),
    [
        ("/var/lib/cloud/instances/i-1/user-data.txt", 0o600, 0, CLOUD),
        ("/var/lib/cloud/instances/i-1/obj.pkl", 0o400, 0, CLOUD),
        ("/var/lib/cloud/seed/nocloud/user-data", 0o644, 0, CLOUD),
        ("/var/log/cloud-init.log", 0o640, 0, CLOUD),
        ("/var/log/cloud-init-output.log.1", 0o600, 0, CLOUD),
        ("/etc/app.conf", 0o644, 0, CONFIG),
        ("/etc/app.conf", 0o640, 0, CONFIG),
        ("/etc/app.conf", 0o604, 0, CONFIG),
        ("/etc/app.conf", 0o600, 33, CONFIG),
        ("/etc/a/b/c/d/app.conf", 0o644, 0, CONFIG),
        ("/etc/msmtprc.d/app.conf", 0o644, 0, CONFIG),
        ("/etc/\udcff\n\x1b[31m", 0o644, 0, CONFIG),
        ("/var/log/auth.log", 0o640, 0, LOG),
        ("/var/log/app/today.log", 0o600, 33, LOG),
        ("/root/.bash_history", 0o600, 0, HISTORY),
        ("/root/.zsh_history", 0o600, 0, HISTORY),
        ("/root/.local/share/fish/fish_history", 0o600, 0, HISTORY),
        ("/root/.python_history", 0o644, 0, HISTORY),
        ("/root/.viminfo", 0o600, 0, HISTORY),
    ],
)
def test_a_file_that_holds_the_secret_is_found_once(root: Root, path: str, mode: int, uid: int, name: str) -> None:
    root.write(path, LINE, mode, uid)
    (finding,) = root.findings(*IDS)
    assert (finding.id, finding.severity, finding.path) == (name, Severity.ERROR, path)
    assert finding.observed.startswith(f"holds the secret, {mode:04o} {uid or 'root'}:root")
    assert "msmtp-config   # with a new password" in finding.remedy
    assert VALUE.decode() not in repr(finding)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/app.conf", 0o600),
        ("/etc/app.conf", 0o622),
        ("/var/log/app.log", 0o600),
        ("/root/notes", 0o644),
        ("/root/.local/share/fish/config.fish", 0o644),
        ("/home/user/.bash_history", 0o644),
        ("/srv/backup/etc/msmtp-password", 0o644),
        ("/var/lib/cloudy/user-data", 0o644),
        ("/run/cloud-init/instance-data.json", 0o644),  # of an image: nothing of a running system
    ],
)
def test_a_file_that_is_nobody_elses_business_or_not_in_a_place_of_these_is_not(
    root: Root, path: str, mode: int
) -> None:
    root.write(path, LINE, mode)
    assert found(root) == []


def test_a_directory_of_roots_alone_hides_what_is_in_it(root: Root) -> None:
    root.mkdir("/etc/private", 0o700).write("/etc/private/app.conf", LINE, 0o644)
    assert root.result(CONFIG).verdict is Verdict.PASSED
    root.rights("/etc/private", 0o711)
    assert paths(root.result(CONFIG)) == ["/etc/private/app.conf"]


def test_the_secret_file_msmtprc_their_hard_links_and_copies_are_for_other_checks(root: Root) -> None:
    root.write(SECRET, PASSWORD, 0o644).configure(f"password {VALUE.decode()}").rights(MSMTPRC, 0o644)
    root.write(f"{SECRET}.bak", PASSWORD, 0o644).write("/etc/.msmtprc.swp", LINE, 0o644)
    os.link(root.at(SECRET), root.at("/etc/another-name"))
    assert found(root) == []
    assert root.found("stray-secret", "stray-config") == ["stray-secret", "stray-config"]


def test_a_link_is_not_followed(root: Root, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(LINE)
    for number, target in enumerate((str(outside), str(outside / "file"), "../../outside", "/srv", "/srv/file", "/")):
        root.link(f"/etc/link{number}", target)
    root.write("/srv/file", LINE, 0o644)
    assert found(root) == []


def test_top_directories_that_are_links_are_the_roots_own(root: Root) -> None:
    root.write("/data/logs/app.log", LINE, 0o644)
    root.at("/var/log").rename(root.at("/var/former"))
    root.link("/var/log", "/data/logs")
    assert paths(root.result(LOG)) == ["/var/log/app.log"]


def test_the_running_systems_cloud_init_is_searched(sandbox: Sandbox) -> None:
    sandbox.write(SECRET, PASSWORD)
    sandbox.write("/run/cloud-init/instance-data-sensitive.json", LINE)
    sandbox.write("/root/.bash_history", LINE)
    done = sandbox.agent("audit", "--only", ",".join(IDS), python="/usr/bin/python3")
    assert "/run/cloud-init/instance-data-sensitive.json: holds the secret, 0600 root:root" in done.stdout
    assert "/root/.bash_history: holds the secret, 0600 root:root" in done.stdout
    assert VALUE.decode() not in done.stdout + done.stderr
    assert done.returncode == 1


# --- what


@pytest.mark.parametrize(
    ("content", "hit"),
    [
        (VALUE, True),
        (b"x" + VALUE + b"x", True),
        (VALUE + b"\r\n", True),
        (b"\xff\x00\xfe" + VALUE + b"\0", True),
        (b"a" * 5_000_000 + VALUE, True),
        (b"a" * ((1 << 20) - 5) + VALUE + b"b" * 3_000_000, True),  # over the border of two pieces
        (VALUE[:-1], False),
        (VALUE.lower(), False),
        (VALUE[:12] + b"\n" + VALUE[12:], False),
        (b"", False),
    ],
)
def test_the_exact_bytes_are_what_counts(root: Root, content: bytes, hit: bool) -> None:
    root.write("/etc/app.conf", content, 0o644)
    assert paths(root.result(CONFIG)) == ["/etc/app.conf"] * hit


@pytest.mark.parametrize(
    ("content", "hit"),
    [
        (b"tulip", True),
        (b"password=tulip\n", True),
        (b"'tulip'", True),
        (b"a tulips, tulip", True),
        (b"x" * ((1 << 20) - 3) + b" tulip " + b"x" * 2_000_000, True),  # over the border of two pieces
        (b"x" * ((1 << 20) - 6) + b" tulips" + b"x" * 2_000_000, False),  # the border comes before the s
        (b"x" * ((1 << 20) - 1) + b"tulip", False),
        (b"tulips", False),
        (b"mytulip", False),
        (b"tulip7", False),
        ("étulip".encode(), False),
    ],
)
def test_a_short_secret_counts_only_as_a_word(root: Root, content: bytes, hit: bool) -> None:
    root.write(SECRET, b"tulip\n").write("/etc/app.conf", content, 0o644)
    assert paths(root.result(CONFIG)) == ["/etc/app.conf"] * hit


@pytest.mark.parametrize(
    ("stored", "copy", "hit"),
    [
        (b"two words of it\nand another line\n", b"'two words of it'", True),
        (b"with a return\r\n", b"with a return", True),
        (b"kept return\r", b"kept return", False),
        (b"no line feed", b"no line feed", True),
        (b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\n", b"\0\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\0", True),
        (b"before NUL\0behind", b"before NUL", True),
        (b"x" * 4096 + b"\n", b"x" * 5000, True),
    ],
)
def test_the_secret_is_the_first_line(root: Root, stored: bytes, copy: bytes, hit: bool) -> None:
    root.write(SECRET, stored).write("/etc/app.conf", copy, 0o644)
    assert paths(root.result(CONFIG)) == ["/etc/app.conf"] * hit


def test_an_inline_password_is_looked_for_as_well(root: Root) -> None:
    root.configure("password inline-password").write("/etc/app.conf", "inline-password\n", 0o644)
    root.write("/var/log/app.log", LINE, 0o644)
    assert found(root) == [(CONFIG, "/etc/app.conf"), (LOG, "/var/log/app.log")]
    root.remove(SECRET)
    assert found(root) == [(CONFIG, "/etc/app.conf")]


def test_a_secret_behind_a_link_is_looked_for_and_found_where_it_is_open_to_others(root: Root) -> None:
    root.link(SECRET, "secrets/mail").write("/etc/secrets/mail", PASSWORD, 0o644)
    assert found(root) == [(CONFIG, "/etc/secrets/mail")]
    root.rights("/etc/secrets/mail", 0o600)
    assert root.result(CONFIG).verdict is Verdict.PASSED


@pytest.mark.parametrize("content", [None, b"", b"\n", b"  \n", b"\0\0\n", b"\r\n"])
def test_without_a_secret_there_is_nothing_to_look_for(root: Root, content: bytes | None) -> None:
    root.remove(SECRET) if content is None else root.write(SECRET, content)
    root.write("/etc/app.conf", LINE + b"  \n\0\0\n", 0o644)
    for name in IDS:
        result = root.result(name)
        assert (result.verdict, result.why) == (Verdict.SKIPPED, "there is no secret to look for")


def test_the_secret_is_not_told_by_a_path_that_holds_it(root: Root) -> None:
    root.write(f"/etc/{VALUE.decode()}/app.conf", LINE, 0o644)
    assert found(root) == [(CONFIG, "/etc/***/app.conf")]


# --- packed files


ZSTD = b"\x28\xb5\x2f\xfd" + bytes(40)


@pytest.mark.parametrize("pack", [lzma.compress, bz2.compress], ids=["xz", "bzip2"])
def test_other_packing_is_looked_into(root: Root, pack: Callable[[bytes], bytes]) -> None:
    """apt leaves eipp.log.xz on every Debian."""
    half = len(LINE) // 2
    root.write("/var/log/apt/eipp.log.xz", pack(bytes(3_000_000) + LINE[:half]) + pack(LINE[half:]), 0o644)
    root.write("/var/log/other", pack(b"nothing\n") + pack(b"more of it\n"), 0o644)
    assert paths(root.result(LOG)) == ["/var/log/apt/eipp.log.xz"]


@pytest.mark.parametrize("name", ["app.log.2.gz", "user-data"])
def test_gzip_is_looked_into_whatever_the_name(root: Root, name: str) -> None:
    root.write(f"/var/log/{name}", gzip.compress(bytes(3_000_000) + LINE), 0o640)
    root.write("/var/log/other.gz", gzip.compress(b"nothing\n"), 0o640)
    assert paths(root.result(LOG)) == [f"/var/log/{name}"]


def test_a_gzip_of_several_members_and_padding_is_read_to_its_end(root: Root) -> None:
    half = len(LINE) // 2
    packed = gzip.compress(LINE[:half]) + gzip.compress(LINE[half:]) + bytes(512)
    root.write("/var/log/app.log.gz", packed, 0o640)
    assert paths(root.result(LOG)) == ["/var/log/app.log.gz"]
    root.write("/var/log/app.log.gz", gzip.compress(b"one") + gzip.compress(b"two") + bytes(512), 0o640)
    assert root.result(LOG).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (gzip.compress(b"a text")[:-8] + b"not CRC!", "damaged gzip"),
        (gzip.compress(b"a text of some words")[:-9], "cut off gzip"),
        (lzma.compress(b"a text")[:-9], "damaged xz, or one that needs too much memory"),
        (lzma.compress(LINE)[:12] + bytes(40), "damaged xz, or one that needs too much memory"),
        (bz2.compress(b"a text")[:-9], "damaged bzip2"),
        (b"BZh9" + bytes(40), "damaged bzip2"),
        (ZSTD, "packed with zstd"),
        (b"\x04\x22\x4d\x18" + bytes(40), "packed with lz4"),
    ],
    ids=["gzip", "gzip cut off", "xz cut off", "xz", "bzip2 cut off", "bzip2", "zstd", "lz4"],
)
def test_what_cannot_be_unpacked_is_no_pass(root: Root, content: bytes, why: str) -> None:
    root.write("/var/log/app.log.1", content, 0o640)
    result = root.result(LOG)
    assert (result.verdict, result.why) == (
        Verdict.CANNOT_TELL,
        f"/var/log: not searched: /var/log/app.log.1 ({why})",
    )
    assert root.result(CONFIG).verdict is Verdict.PASSED


def test_the_end_of_a_gzip_that_unpacks_in_many_steps_is_reached(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_PIECE", 64)
    content = b"".join(bytes([65 + number % 26]) * (number % 300) for number in range(500)) + VALUE
    root.write("/var/log/app.log.gz", gzip.compress(content), 0o640)
    assert paths(root.result(LOG)) == ["/var/log/app.log.gz"]


# --- bounds: what is left out is said, and never a pass


@pytest.mark.parametrize(
    ("bound", "value", "why"),
    [
        ("_MOST_FILES", 10, "(the search ended here after 10 files)"),
        ("_SECONDS", 0.0, "/etc (the search ended here after 0.0 s)"),
        ("_MOST_BYTES", 1, "(the search ended here after 0 MiB)"),
        ("_DEEPEST", 1, "/etc/many (more than 1 directories deep)"),
    ],
)
def test_a_search_that_ends_early_is_no_pass(
    root: Root, monkeypatch: pytest.MonkeyPatch, bound: str, value: float, why: str
) -> None:
    for number in range(30):
        root.write(f"/etc/many/{number}", "a text that is long enough to be searched\n", 0o644)
    assert root.result(CONFIG).verdict is Verdict.PASSED
    monkeypatch.setattr(sweep, bound, value)
    result = root.result(CONFIG)
    assert result.verdict is Verdict.CANNOT_TELL
    assert result.why.startswith("/etc: not searched: ")
    assert why in result.why


@pytest.mark.slow
def test_a_slow_disk_of_the_running_system_is_waited_for(sandbox: Sandbox, tmp_path: Path) -> None:
    """What a daily unit cannot tell leaves it failed: a cold disk or a host under load is to be no reason for that."""
    sandbox.write(SECRET, PASSWORD)
    sandbox.write("/etc/slow/app.conf", LINE, mode=0o644)
    slow = strace(tmp_path / "trace", "-P", "/etc/slow", "-e", "inject=getdents64:delay_enter=4s:when=1")
    done = sandbox.traced(slow, "audit", "--only", CONFIG)
    assert [call.name for call in parse(tmp_path / "trace").calls if "DELAYED" in call.result] == ["getdents64"]
    assert "/etc/slow/app.conf: holds the secret" in done.stdout
    assert "Cannot tell" not in done.stdout
    assert done.returncode == 1


def test_a_find_wins_over_what_was_left_out(root: Root) -> None:
    root.write("/var/log/app.log.1", ZSTD, 0o640).write("/var/log/app.log", LINE, 0o640)
    assert paths(root.result(LOG)) == ["/var/log/app.log"]


def test_of_much_that_is_left_out_the_first_are_named(root: Root) -> None:
    for number in range(20):
        root.write(f"/var/log/{number:02}.zst", ZSTD, 0o640)
    why = root.result(LOG).why
    assert why.count("packed with zstd") == 8
    assert why.endswith(", and 12 more")


def test_the_finds_of_a_place_are_bounded(root: Root) -> None:
    for number in range(60):
        root.write(f"/etc/many/{number:02}", LINE, 0o644)
    assert len(root.result(CONFIG).findings) == 50


def test_one_place_that_is_full_costs_another_nothing(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_MOST_FILES", 40)
    for number in range(50):
        root.write(f"/etc/many/{number}", "a text that is long enough to be searched\n", 0o644)
    root.write("/var/log/app.log", LINE, 0o640)
    assert root.result(CONFIG).verdict is Verdict.CANNOT_TELL
    assert paths(root.result(LOG)) == ["/var/log/app.log"]


def test_a_file_that_vanishes_or_turns_into_something_else_is_none(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a-gone", "b-fifo", "c-link", "d-stays"):
        root.write(f"/etc/app/{name}", LINE, 0o644)
    plain_open = os.open

    def swapping_open(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        target = root.at(f"/etc/app/{path}")
        if path in ("a-gone", "b-fifo", "c-link"):
            target.unlink()
        if path == "b-fifo":
            os.mkfifo(target)
        if path == "c-link":
            target.symlink_to("d-stays")
        return plain_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapping_open)
    with Host(str(root.directory)) as host:
        facts = elsewhere.gather(host, elsewhere.secrets(host, None))
    assert [copy.path for copy in facts.config.copies] == ["/etc/app/d-stays"]


def test_descriptors_are_given_back(root: Root) -> None:
    root.write("/etc/a/b/c/app.conf", LINE, 0o644).write("/var/log/app.xz", lzma.compress(b"x"), 0o644)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert root.result(CONFIG).findings
    assert len(os.listdir("/proc/self/fd")) == before
