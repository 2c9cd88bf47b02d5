"""Settings that are no settings: each one is one clear error, quickly; nothing is written, and no password is told."""

from __future__ import annotations

import os
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from msmtp_agent import host_files, msmtprc, settings_file
from msmtp_agent.errors import AgentError, InputOutputError
from msmtp_agent.host import Host
from msmtp_agent.settings import MOST_FAULTS, Settings, SettingsError
from tests.support.sandbox import Sandbox
from tests.support.smtpconfig import BASE, SAMPLES, read, refused, text, told, verdict

FILE = "/run/smtp.config.yaml"


# --- documents


def bomb(levels: int = 9) -> str:
    """A billion words, once it has been unfolded."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"smtp: *a{levels - 1}", ""])


DOCUMENTS: dict[str, tuple[str | bytes, int, str]] = {
    "a bomb of aliases": (bomb(), 1, "anchor"),
    "an alias": (text() + "  password: *x\n", 7, "alias"),
    "a merge key": ("base: &b {host: x}\nsmtp:\n  <<: *b\n", 1, "anchor"),
    "a tag of Python's": ("smtp: !!python/object/apply:os.system ['touch /tmp/x']\n", 1, "tag"),
    "a tag": ("smtp:\n  host: !!str x\n", 2, "tag"),
    "a directive": ("%YAML 1.1\n---\n" + text(), 1, "directive"),
    "two documents": (text() + "---\n" + text(), 7, "document"),
    "lists in lists": ("smtp: " + "[" * 60_000, 1, "deep"),
    "mappings in mappings": ("{a: " * 15_000, 1, "deep"),
    "blocks in blocks": ("".join(f"{' ' * n}a:\n" for n in range(300)), 9, "deep"),
    "open quotes": ("smtp:\n  host: '" + "x\n" * 20_000, 2, "YAML"),
    "a tab before a key": ("smtp:\n\thost: x\n", 2, "YAML"),
    "a tab behind the blanks": ("smtp:\n  host: x\n  \tport: 25\n", 3, "YAML"),
    "a second key": (text() + "  host: other.example.com\n", 7, "second 'host'"),
    "a second smtp": (text() + text(), 7, "second 'smtp'"),
    "UTF-16": (text().encode("utf-16"), 1, "UTF-8"),
    "UTF-32": (text().encode("utf-32"), 1, "UTF-8"),
    "Latin-1": (text(user="'\u00fcser'").encode("latin-1"), 5, "UTF-8"),
    "NUL": (text() + "\0", 7, "character"),
    "an escape sequence": (text(user="\x1b]0;x\x07"), 5, "character"),
    "a bare CR": (text().replace("\n", "\r"), 1, "character"),
    "letters from right to left": (text(user="\u202egmail"), 5, "character"),
    "a page of nothing": ("\n" * 65_537, 65_537, "too long"),
    "a long line": ("smtp: {user: '" + "x" * 70_000 + "'}", 1, "too long"),
    "a list": ("- smtp\n", 1, "list"),
    "a word": ("smtp\n", 1, "text"),
    "a number": ("587\n", 1, "number"),
    "settings without smtp": (text().replace("smtp:\n", "").replace("  ", ""), 1, "beside smtp"),
    "a list below smtp": ("smtp:\n  - host: x\n", 1, "list"),
    "a word below smtp": ("smtp: mail.example.com\n", 1, "text"),
    "another key": (text() + "imap:\n  host: x\n", 7, "not known"),
    "a key that is a number": (text() + "  587: x\n", 7, "not known"),
    "a key that is a list": (text() + "  ? [a]\n  : x\n", 7, "key"),
    "an empty key": (text() + "  '': x\n", 7, "key"),
}


@pytest.mark.parametrize(("content", "line", "words"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_is_none(tmp_path: Path, content: str | bytes, line: int, words: str) -> None:
    error = refused(tmp_path / "smtp.config.yaml", content)
    assert error.faults[0].line == line
    assert words in told(error)
    assert f"+{line} {tmp_path}/smtp.config.yaml" in error.remedy


@pytest.mark.parametrize("content", [text(), text().replace("\n", "\r\n"), "\ufeff" + text(), text().rstrip()])
def test_a_byte_order_mark_and_ends_of_lines_change_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "smtp.config.yaml"
    assert read(path, content) == read(path, text()) is not None


@pytest.mark.slow
def test_five_thousand_faults(tmp_path: Path) -> None:
    error = refused(tmp_path / "smtp.config.yaml", "smtp:\n" + "".join(f"  k{n}: 1\n" for n in range(5000)))
    assert len(error.faults) == 5000
    assert len(error.details) == MOST_FAULTS + 1
    assert error.details[0].startswith("line 2: k0: ")
    assert error.details[-1] == f"and {5000 - MOST_FAULTS} more"


def test_every_key_wrong_at_once_is_told_at_once_and_in_order(tmp_path: Path) -> None:
    keys = (*BASE, *SAMPLES)
    error = refused(tmp_path / "smtp.config.yaml", "smtp:\n" + "".join(f"  {key}: []\n" for key in keys))
    assert [(fault.line, fault.key) for fault in error.faults] == list(enumerate(keys, 2))
    assert all(fault.observed == "is a list" and fault.expected for fault in error.faults)


# --- files


def huge(path: Path) -> None:
    """100 MB that begin as settings do."""
    path.write_text(text())
    os.truncate(path, 100_000_000)


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fspath(path))


FILES: dict[str, tuple[Callable[[Path], object], type[AgentError], str]] = {
    "100 MB": (huge, SettingsError, "too long"),
    "missing": (lambda path: path, InputOutputError, "missing"),
    "a directory": (Path.mkdir, InputOutputError, "is a directory"),
    "a FIFO": (os.mkfifo, InputOutputError, "is a FIFO"),
    "a socket": (bound, InputOutputError, "is a socket"),
    "a device without an end": (lambda path: path.symlink_to("/dev/zero"), InputOutputError, "is a character device"),
    "a terminal, perhaps": (lambda path: path.symlink_to("/dev/tty"), InputOutputError, "is a character device"),
    "a link to nothing": (lambda path: path.symlink_to("nothing"), InputOutputError, ""),
    "a link to itself": (lambda path: path.symlink_to(path), InputOutputError, ""),
    "a file of the kernel's that never ends": (
        lambda path: path.symlink_to("/proc/kmsg"),
        InputOutputError,
        "",
    ),
}


@pytest.mark.parametrize(("make", "kind", "words"), FILES.values(), ids=FILES)
def test_a_file_that_is_none(
    tmp_path: Path, make: Callable[[Path], object], kind: type[AgentError], words: str
) -> None:
    path = tmp_path / "smtp.config.yaml"
    make(path)
    tracemalloc.start()
    try:
        with Host() as host, pytest.raises(kind) as raised:
            settings_file.read(host, str(path))
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in raised.value.message
    assert words in raised.value.message
    assert raised.value.remedy


# --- values


BREAKS = (
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\t",
    "\x0b",
    "\x0c",
    "\x1b",
    "\x7f",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\ufeff",
)


@pytest.mark.slow
@pytest.mark.parametrize("key", [*BASE, *SAMPLES])
def test_no_value_carries_another_line_with_it(tmp_path: Path, key: str) -> None:
    """A directive of msmtp's, an alias, a header of a mail: behind a value, before it, and as a whole."""
    good = {**BASE, **SAMPLES}[key]
    for character in BREAKS:
        for value in (
            f"{good}{character}host evil.example",
            f"host evil.example{character}{good}",
            good + character,
            character,
        ):
            quoted = '"' + "".join(f"\\U{ord(one):08x}" for one in value) + '"'
            error = refused(tmp_path / "smtp.config.yaml", text(**{key: quoted}))
            lines = text(**{key: "x"}).split("\n")
            assert error.faults[0].line == next(n for n, line in enumerate(lines, 1) if line.startswith(f"  {key}:"))
            assert "evil" not in told(error) or key not in ("password", "passwordeval", "user")


@pytest.mark.slow
@pytest.mark.parametrize("style", ["|", "|+", "|-", ">", ">+"])
@pytest.mark.parametrize("key", ["user", "password", "passwordeval", "recipient", "tls_trust_file"])
def test_a_block_of_lines_is_no_value(tmp_path: Path, key: str, style: str) -> None:
    good = {**BASE, **SAMPLES}[key]
    content = text(**{key: f"{style}\n    {good}\n\n    host evil.example\n"})
    assert key in [fault.key for fault in refused(tmp_path / "smtp.config.yaml", content).faults]


@pytest.mark.slow
@pytest.mark.parametrize("key", [*BASE, *SAMPLES])
@pytest.mark.parametrize("value", ["''", "' '", "~", "", "[]", "{}", "[x]", "{x: y}", f"'{'x' * 5000}'", "-1.5"])
def test_no_key_takes_everything(tmp_path: Path, key: str, value: str) -> None:
    error = refused(tmp_path / "smtp.config.yaml", text(**{key: value}))
    assert key in [fault.key for fault in error.faults]


@pytest.mark.slow
@pytest.mark.parametrize("size", range(470, 500))
def test_what_is_accepted_fits_a_line(tmp_path: Path, size: int) -> None:
    """Of every length near msmtp's limit, in one byte a letter and in two: refused here, or written and read back."""
    for value in ("x" * size, "\u00e9" * (size // 2) + "x" * (size % 2)):
        for key in ("user", "passwordeval", "tls_trust_file"):
            given = f"/{value[1:]}" if key == "tls_trust_file" else value
            made = verdict(tmp_path / "smtp.config.yaml", text(**{key: given}))
            if isinstance(made, AgentError):
                assert size > 480, told(made)
                assert value[:60] not in told(made)
                continue
            assert isinstance(made, Settings)
            content = {file.path: file.content for file in host_files.of(made)}["/etc/msmtprc"]
            assert msmtprc.parse(content)["default"].get(key) == given


# --- the command


RENDER = [("render", FILE), ("render", FILE, "--output", "/run/out"), ("render", FILE, "--format", "msmtprc")]
APPLY = [
    ("apply", FILE),
    ("apply", FILE, "--dry-run"),
    ("apply", FILE, "--json"),
    ("apply", FILE, "--dry-run", "--json"),
]


def run(box: Sandbox, arguments: tuple[str, ...], status: int, words: str) -> None:
    """One error and its remedy, and nothing written but the lock."""
    before = box.changed()
    done = box.agent(*arguments, timeout=20)
    assert done.returncode == status, done.stdout + done.stderr
    shown = done.stdout if "--json" in arguments else done.stderr
    assert words in shown
    assert "Traceback" not in done.stderr
    assert "internal" not in shown
    if "--json" in arguments:
        assert done.stderr == ""
        assert shown.count("\n") == 1
    else:
        assert shown.count("msmtp-config: ") == 1
        assert shown.count("\n  fix: ") == 1
        assert len(shown.split("\n")) < 30
    assert box.changed() - before <= {"/run/msmtp-config", "/run/msmtp-config/lock"}


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize("name", ["a bomb of aliases", "UTF-16", "a second key", "NUL", "a tab before a key", "a list"])
def test_no_command_writes_for_a_document_that_is_none(sandbox: Sandbox, name: str) -> None:
    content, line, words = DOCUMENTS[name]
    sandbox.write(FILE, content)
    for arguments in (*RENDER, *APPLY):
        run(sandbox, arguments, 65, words)
        run(sandbox, arguments, 65, f"line {line}")


@pytest.mark.root
@pytest.mark.slow
def test_no_command_writes_for_five_thousand_faults(sandbox: Sandbox) -> None:
    sandbox.write(FILE, "smtp:\n" + "".join(f"  k{n}: 1\n" for n in range(5000)))
    for arguments in (*RENDER, *APPLY):
        run(sandbox, arguments, 65, "5000 settings are wrong")


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    "make", ["truncate -s 100M", "mkfifo", "mkdir", "ln -s /dev/zero", "ln -s /proc/kmsg", "ln -s x"]
)
def test_no_command_reads_what_is_no_file_of_settings(sandbox: Sandbox, make: str) -> None:
    sandbox.shell(f"{make} {FILE}")
    for arguments in (*RENDER, *APPLY):
        run(sandbox, arguments, 65 if "100M" in make else 74, FILE)


@pytest.mark.slow
@pytest.mark.root
def test_every_fault_is_told_in_one_run(sandbox: Sandbox) -> None:
    sandbox.write(FILE, text(port="99999", hots="x", auth_method="bogus", recipient="root"))
    done = sandbox.agent("render", FILE)
    assert done.returncode == 65
    assert done.stdout == ""
    first, *others = done.stderr.rstrip("\n").split("\n")
    assert first == f"msmtp-config: {FILE}: 4 settings are wrong"
    assert [line.split(": ")[:2] for line in others[:4]] == [
        ["  line 3", "port"],
        ["  line 6", "recipient"],
        ["  line 7", "hots"],
        ["  line 8", "auth_method"],
    ]
    assert "did you mean host?" in others[2]
    assert others[4:] == [f"  fix: sensible-editor +3 {FILE}"]
