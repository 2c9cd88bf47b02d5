"""The verb `render` as a user meets it: any user, a pipe, a file; the host is not touched, and no password is shown."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.sandbox import PROJECT, PYTHON, Sandbox
from tests.test_terminal import Person

SETTINGS = """\
smtp:
  host: smtp.example.com
  from_email: alerts@example.com
  user: alerts@example.com
  recipient: admin@example.com
"""
PASSWORD = "correct horse'battery"
WITH_PASSWORD = f'{SETTINGS}  password: "{PASSWORD}"\n'
HEADS = {
    "msmtprc": "# ==> /etc/msmtprc (0600 root:root) <==",
    "aliases": "# ==> /etc/aliases (0644 root:root) <==",
    "logrotate": "# ==> /etc/logrotate.d/msmtp (0644 root:root) <==",
}
DEB = ("--deb-url", "https://h.test/a.deb", "--deb-sha256", "a" * 64)
CLOUD = ("--format", "cloud-config", *DEB)
MARK = "old content\n"
pytestmark = pytest.mark.programs


def settings(directory: Path, text: str = SETTINGS) -> Path:
    path = directory / "smtp.config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def argv(*options: str | Path) -> list[str]:
    return [PYTHON, "-m", "msmtp_agent", "render", *map(str, options)]


def environment(**more: str) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1", **more}


def render(
    *options: str | Path, cwd: Path | str = "/", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A run from the checkout, which writes nothing but what it is told to."""
    return subprocess.run(
        argv(*options),
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        cwd=cwd,
    )


def said(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


# --- what is printed


def test_any_user_may_and_nothing_of_the_host_is_touched(sandbox: Sandbox) -> None:
    sandbox.write("/run/settings/smtp.config.yaml", SETTINGS, mode=0o644)
    before = sandbox.changed()
    done = sandbox.agent("render", "/run/settings/smtp.config.yaml", uid=65534)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("# ==>")] == list(HEADS.values())
    assert sandbox.changed() == before


@pytest.mark.slow
def test_each_file_alone_is_what_stands_under_its_name(tmp_path: Path) -> None:
    path = settings(tmp_path)
    together = render(path)
    assert (together.returncode, together.stderr) == (0, "")
    assert said(render(path, "--format", "files")) == said(together)
    parts = []
    for form, head in HEADS.items():
        done = render(path, "--format", form)
        assert (done.returncode, done.stderr) == (0, "")
        parts.append(f"{head}\n{done.stdout}")
    assert "\n".join(parts) == together.stdout


@pytest.mark.slow
def test_text_beyond_ascii_is_utf8_whatever_the_locale(tmp_path: Path) -> None:
    path = settings(tmp_path, f"{SETTINGS}  passwordeval: pass show m\u00fcll\n")
    for locale in ("C", "POSIX", "C.UTF-8"):
        done = render(path, env=environment(LC_ALL=locale, PYTHONIOENCODING="ascii", PYTHONUTF8="0"))
        assert done.returncode == 0
        assert 'passwordeval   "pass show m\u00fcll"\n' in done.stdout


# Settings without a server; with --output as well: nothing is written.
NOTHING = {
    "an empty file": "",
    "comments": "# later\n",
    "nothing in it": "smtp:\n",
    "no host": "smtp:\n  port: 587\n  user: me@example.com\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("text", NOTHING.values(), ids=NOTHING)
@pytest.mark.parametrize("options", [(), CLOUD], ids=["files", "cloud-config"])
def test_without_a_server_nothing_is_generated_and_that_is_success(
    tmp_path: Path, text: str, options: tuple[str, ...]
) -> None:
    path, output = settings(tmp_path, text), tmp_path / "out"
    output.write_text(MARK)
    words = f"msmtp-config: {path}: has no `host` and no `provider`: nothing is generated\n"
    assert said(render(path, *options)) == (0, "", words)
    assert said(render(path, *options, "--output", output)) == (0, "", words)
    assert output.read_text() == MARK


@pytest.mark.slow
def test_a_log_that_is_not_a_file_has_no_rule_to_print(tmp_path: Path) -> None:
    path, output = settings(tmp_path, f"{SETTINGS}  log: syslog\n"), tmp_path / "out"
    done = render(path, "--format", "logrotate", "--output", output)
    assert (done.returncode, done.stdout, output.exists()) == (0, "", False)
    assert "the settings let msmtp log to syslog" in done.stderr
    assert HEADS["logrotate"] not in render(path).stdout


# --- a file


@pytest.mark.slow
def test_an_output_is_replaced_by_what_would_be_printed_and_is_the_users_alone(tmp_path: Path) -> None:
    path, output = settings(tmp_path), tmp_path / "out"
    output.write_text(MARK)
    output.chmod(0o644)
    assert said(render("smtp.config.yaml", "--output", "out", cwd=tmp_path)) == (0, "", "")
    assert output.read_text() == render(path).stdout
    assert output.stat().st_mode & 0o7777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["out", "smtp.config.yaml"]


ODD = {
    "empty": ("", 64, "--output: is ''; expected a path"),
    "standard output": ("-", 64, "--output: is '-'; expected a path"),
    "a device": ("/dev/null", 64, "--output: /dev/null is no regular file"),
    "standard output by its path": ("/dev/stdout", 64, "--output: /dev/stdout is no regular file"),
    "a directory": ("directory", 64, "--output: directory is no regular file"),
    "a link": ("link", 64, "--output: link is no regular file"),
    "a link to nothing": ("dangling", 64, "--output: dangling is no regular file"),
    "a FIFO": ("fifo", 64, "--output: fifo is no regular file"),
    "the settings themselves": ("smtp.config.yaml", 64, "--output: names smtp.config.yaml, which is read"),
    "another name of the settings": ("second", 64, "--output: names smtp.config.yaml, which is read"),
    "two names": ("twice", 73, "has 2 hard links"),
    "no such directory": ("none/out", 73, "cannot be written: No such file or directory"),
    "below a file": ("out/out", 73, "cannot be written: Not a directory"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("output", "status", "words"), ODD.values(), ids=ODD)
def test_an_odd_output_is_one_clear_error_and_all_stays_as_it_was(
    tmp_path: Path, output: str, status: int, words: str
) -> None:
    path = settings(tmp_path)
    (tmp_path / "directory").mkdir()
    (tmp_path / "out").write_text(MARK)
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "dangling").symlink_to("gone")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "second").hardlink_to(path)
    (tmp_path / "twice").write_text(MARK)
    (tmp_path / "thrice").hardlink_to(tmp_path / "twice")
    before = sorted(os.listdir(tmp_path))
    done = render("smtp.config.yaml", "--output", output, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr.splitlines()[0]
    assert done.stderr.splitlines()[1].startswith("  fix: ")
    assert len(done.stderr.splitlines()) == 2
    assert sorted(os.listdir(tmp_path)) == before
    assert (path.read_text(), (tmp_path / "out").read_text()) == (SETTINGS, MARK)
    assert (tmp_path / "twice").read_text() == MARK


@pytest.mark.slow
def test_a_user_writes_where_he_may_and_nowhere_else(sandbox: Sandbox) -> None:
    sandbox.write("/run/settings/s.yaml", SETTINGS, mode=0o644)
    sandbox.shell("mkdir /run/theirs && chown 65534:65534 /run/theirs")
    assert sandbox.agent("render", "/run/settings/s.yaml", "--output", "/run/theirs/out", uid=65534).returncode == 0
    facts = sandbox.stat("/run/theirs/out")
    assert (facts.st_uid, facts.st_mode & 0o7777) == (65534, 0o600)
    done = sandbox.agent("render", "/run/settings/s.yaml", "--output", "/run/settings/out", uid=65534)
    assert (done.returncode, done.stdout) == (73, "")
    assert "/run/settings/out: cannot be written: Permission denied" in done.stderr
    assert not sandbox.exists("/run/settings/out")


@pytest.mark.slow
def test_settings_that_are_wrong_leave_the_output_as_it_was(tmp_path: Path) -> None:
    path, output = settings(tmp_path, SETTINGS.replace("user:", "usr:") + "  port: 99999\n"), tmp_path / "out"
    output.write_text(MARK)
    done = render(path, "--output", output)
    assert (done.returncode, done.stdout, output.read_text()) == (65, "", MARK)
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"msmtp-config: {path}: ")
    assert any(line.startswith("  line 4: usr: ") and "user" in line for line in lines)
    assert any(line.startswith("  line 6: port: ") and "99999" in line for line in lines)


# --- who reads it


@pytest.mark.slow
def test_nobody_who_reads_is_no_error(tmp_path: Path) -> None:
    path = settings(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        argv(path), env=environment(), stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    path = settings(tmp_path)
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            argv(path), env=environment(), stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 74
    assert done.stderr.decode().startswith("msmtp-config: standard output: cannot be written")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_shows_the_files_as_they_are_and_folds_our_own_words(tmp_path: Path, columns: int) -> None:
    command = "pass show " + "very/" * 16 + "long"
    path = settings(tmp_path, f"{SETTINGS}  passwordeval: {command}\n  tls_certcheck: false\n")
    person = Person(argv(path), environment(), columns)
    assert person.ends() == 0
    assert f'passwordeval   "{command}"\n' in person.screen
    warning = person.screen.partition(HEADS["msmtprc"])[0].splitlines()
    assert warning[0].startswith("msmtp-config: warning: ")
    assert len(warning) > 1
    assert all(len(line) <= columns or " " not in line.strip() for line in warning)


# --- options

WRONG = {
    "nothing to render": ((), "usage: "),
    "an empty variable": (("",), "FILE: is ''; expected a path"),
    "standard input": (("-",), "FILE: is '-'; expected a path"),
    "no such format": (("s.yaml", "--format", "yaml"), "--format: is 'yaml'; expected files, msmtprc, aliases, log"),
    "nearly a format": (("s.yaml", "--format", "cloudconfig"), "--format: is 'cloudconfig'; expected cloud-config"),
    "a package for files": (("s.yaml", *DEB), "--deb-url: goes with --format cloud-config, and the format is files"),
    "a checksum for files": (("s.yaml", *DEB[2:]), "--deb-sha256: goes with --format cloud-config"),
    "a source for msmtprc": (
        ("s.yaml", "--format", "msmtprc", "--apt-source", "deb https://h.test/ ./"),
        "--apt-source: goes with --format cloud-config, and the format is msmtprc",
    ),
    "a key for files": (("s.yaml", "--apt-key", "k"), "--apt-key: goes with --format cloud-config"),
    "a password allowed for files": (
        ("s.yaml", "--allow-password-in-user-data"),
        "--allow-password-in-user-data: goes with --format cloud-config",
    ),
    "a key alone": (
        ("s.yaml", "--format", "cloud-config", "--apt-key", "/etc/hostname"),
        "--apt-key: is given without --apt-source",
    ),
    "no package": (("s.yaml", "--format", "cloud-config"), "--format: cloud-config needs"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_wrong_options_are_told_before_the_settings_are_read(options: tuple[str, ...], words: str) -> None:
    done = render(*options)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith(f"msmtp-config: {words}")


KEYS = {
    "missing": ("none", 74, "none: is missing; expected the apt source's key"),
    "a directory": (".", 74, "is a directory; expected the apt source's key"),
    "a FIFO": ("fifo", 74, "is a FIFO; expected the apt source's key"),
    "a device": ("/dev/zero", 74, "is a character device; expected the apt source's key"),
    "too large": ("large", 65, "holds more than 65536 bytes; expected the apt source's key"),
    "no key": ("smtp.config.yaml", 65, "is no armoured public key"),
    "bytes": ("bytes", 65, "is no armoured public key"),
    "empty": ("", 64, "--apt-key: is ''"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("key", "status", "words"), KEYS.values(), ids=KEYS)
def test_a_key_that_is_none_is_one_clear_error(tmp_path: Path, key: str, status: int, words: str) -> None:
    settings(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * 65_537)
    (tmp_path / "bytes").write_bytes(b"\xff\0" * 100)
    source = ("--format", "cloud-config", "--apt-source", "deb https://h.test/ stable main", "--apt-key", key)
    done = render("smtp.config.yaml", *source, "--output", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout, (tmp_path / "out").exists()) == (status, "", False)
    assert words in done.stderr.splitlines()[0]


@pytest.mark.slow
def test_the_key_is_not_replaced_by_what_is_made_of_it(tmp_path: Path) -> None:
    settings(tmp_path)
    key = tmp_path / "key.asc"
    text = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDMEZ\n-----END PGP PUBLIC KEY BLOCK-----\n"
    key.write_text(text)
    source = ("--format", "cloud-config", "--apt-source", "deb https://h.test/ stable main", "--apt-key", "key.asc")
    done = render("smtp.config.yaml", *source, "--output", "key.asc", cwd=tmp_path)
    assert (done.returncode, key.read_text()) == (64, text)
    assert "--output: names key.asc, which is read" in done.stderr
    assert "mDMEZ" in render("smtp.config.yaml", *source, cwd=tmp_path).stdout


# --- the password


def shown(text: str) -> bool:
    """Whether the password can be read there, as it is or as a program might have encoded it."""
    encoded = base64.b64encode(PASSWORD.encode()).decode().rstrip("=")
    return any(part in text for part in (PASSWORD, "correct", "battery", encoded[:12]))


@pytest.mark.slow
@pytest.mark.parametrize("form", ["files", "msmtprc", "aliases", "logrotate"])
def test_no_password_in_any_output_and_that_is_said(tmp_path: Path, form: str) -> None:
    path, output = settings(tmp_path, WITH_PASSWORD), tmp_path / "out"
    done = render(path, "--format", form)
    assert done.returncode == 0
    assert done.stderr == (
        f"msmtp-config: warning: the password is in none of these files;"
        f" sudo msmtp-config apply {path} stores it in its own\n"
    )
    assert render(path, "--format", form, "--output", output).stdout == ""
    assert not shown(done.stdout + done.stderr + output.read_text())
    plain = settings(tmp_path)
    assert render(plain, "--format", form).stdout == done.stdout


@pytest.mark.slow
def test_a_password_that_others_can_read_is_warned_of_beside_what_is_printed(tmp_path: Path) -> None:
    path = settings(tmp_path, WITH_PASSWORD)
    path.chmod(0o644)
    done = render(path)
    assert (done.returncode, done.stdout.startswith(HEADS["msmtprc"])) == (0, True)
    assert f"warning: {path} holds a password and is 0644" in done.stderr
    assert not shown(done.stdout + done.stderr)


@pytest.mark.slow
def test_a_password_is_no_user_data_unless_it_is_allowed(tmp_path: Path) -> None:
    path, output = settings(tmp_path, WITH_PASSWORD), tmp_path / "out"
    done = render(path, *CLOUD, "--output", output)
    assert (done.returncode, done.stdout, output.exists()) == (65, "", False)
    told, remedy = done.stderr.splitlines()[:2]
    assert told.startswith(f"msmtp-config: {path}: password: stands in the settings, and user data can be read")
    assert remedy.startswith(f"  fix: sensible-editor {path}   # ")
    assert "--allow-password-in-user-data" in done.stderr
    assert "\nqm set VMID --args " in done.stderr
    assert not shown(done.stderr)
    done = render(path, *CLOUD, "--allow-password-in-user-data", "--output", output)
    assert (done.returncode, done.stdout, output.stat().st_mode & 0o7777) == (0, "", 0o600)
    assert output.read_text().startswith("#cloud-config\n")
    assert shown(output.read_text())
    assert not shown(done.stderr)
