"""Settings that are taken with a warning, what of them is never shown, and files that are none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from msmtp_agent.errors import AgentError, ConfigError, ExitCode, InputOutputError, UnavailableError
from msmtp_agent.host import Host
from msmtp_agent.providers import BUILT_IN
from msmtp_agent.settings import Settings, SettingsError
from msmtp_agent.settings_file import of, read
from tests.support.roots import Root
from tests.test_settings_file import ANSWERS, LEAST, made, refused, written

PIN = "msmtp-config pin"
BRIDGE = LEAST.replace("smtp.example.com", "127.0.0.1") + "  port: 1025\n"
FINGERPRINT = "  tls_fingerprint: " + ":".join(["ab"] * 32) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LEAST + "  tls_certcheck: false\n", f"get the password; better: {PIN}"),
        (LEAST + "  tls_certcheck: false\n" + FINGERPRINT, "tls_certcheck false counts for nothing beside tls_finger"),
        (BRIDGE, f"has a certificate of its own; once the settings are applied: {PIN}"),
        (
            BRIDGE.replace("127.0.0.1", "localhost") + "  tls_certcheck: false\n",
            f"once the settings are applied: {PIN}",
        ),
        (LEAST + "  password: x\n  passwordeval: cat y\n", "passwordeval is not used: password is set, and it wins"),
        (LEAST + "  password: x\n  auth_method: off\n", "password is not used: auth_method is off"),
        (LEAST + "  passwordeval: x\n  auth_method: off\n", "passwordeval is not used: auth_method is off"),
        (BRIDGE.replace("1025", "2025\n  provider: proton-bridge"), f"once the settings are applied: {PIN}"),
        (LEAST.replace("smtp.example.com", "smtp.sendgrid.net"), "user: SendGrid wants the word apikey there"),
        (
            LEAST + "  tls_on_connect: true\n  port: 465\n  tls_starttls: true\n",
            "both true: TLS begins with the connect",
        ),
        (
            LEAST + "  port: 2525\n  tls_on_connect: no\n  tls_starttls: no\n",
            "both false: TLS begins with the connection",
        ),
        (LEAST + "  port: 465\n  tls_starttls: true\n", "port 465 is for TLS from the start, and STARTTLS is set"),
        (LEAST + "  port: 465\n  tls_on_connect: false\n", "port 465 is for TLS from the start, and STARTTLS is set"),
        (LEAST + "  tls_on_connect: true\n", "port 587 is for STARTTLS, and TLS from the start is set"),
    ],
)
def test_what_is_taken_with_a_warning(text: str, words: str, tmp_path: Path) -> None:
    (warning,) = made(tmp_path, text).warnings
    assert words in warning


@pytest.mark.parametrize(
    "text",
    [
        LEAST,
        LEAST + "  port: 465\n",
        LEAST + "  port: 465\n  tls_on_connect: true\n  tls_starttls: false\n",
        LEAST + "  tls_starttls: true\n  tls_on_connect: false\n",
        BRIDGE + FINGERPRINT,
        BRIDGE.replace("1025", "2500"),
        LEAST + "  password: x\n",
        LEAST.replace("smtp.example.com", "smtp.sendgrid.net").replace("user: alerts", "user: apikey"),
    ],
)
def test_what_is_taken_without_a_word(text: str, tmp_path: Path) -> None:
    assert made(tmp_path, text).warnings == ()


@pytest.mark.parametrize(
    ("text", "mode", "fixes"),
    [
        (LEAST, 0o644, []),
        (LEAST + "  password: x\n", 0o600, []),
        (LEAST + "  password: x\n", 0o640, ["chmod 0600"]),
        (LEAST + "  password: x\n", 0o604, ["chmod 0600"]),
        (LEAST, 0o620, ["chmod go-w"]),
        (LEAST + "  password: x\n", 0o666, ["chmod 0600", "chmod go-w"]),
    ],
)
def test_a_file_that_others_can_read_or_change(text: str, mode: int, fixes: list[str], tmp_path: Path) -> None:
    warnings = made(tmp_path, text, mode).warnings
    path = tmp_path / "smtp.config.yaml"
    assert [warning.partition(": ")[2] for warning in warnings] == [f"{fix} {path}" for fix in fixes]
    assert all(warning.startswith(f"{path} ") and f"{mode:04o}" in warning for warning in warnings)


def everything(error: AgentError) -> str:
    faults = error.faults if isinstance(error, SettingsError) else ()
    return repr((str(error), error.message, error.remedy, error.words, error.details, faults)).casefold()


# A password as YAML, and the words that no message may have in it.
@pytest.mark.parametrize(
    ("given", "secrets"),
    [
        ("Hunter-2x", ["hunter-2x"]),
        ("4711", ["4711"]),
        ("47.25", ["47.25"]),
        ("[Hunter-2x]", ["hunter-2x"]),
        ("{Hunter-2x: 9988}", ["hunter-2x", "9988"]),
        ('"Hunter-2x\\nBcc: you"', ["hunter-2x", "bcc"]),
        ('"Hunter-2x\\t"', ["hunter-2x"]),
        ("z9", ["z9"]),
    ],
)
def test_the_password_stands_in_no_message_wherever_it_stands_in_the_file(
    given: str, secrets: list[str], tmp_path: Path
) -> None:
    (one, *_) = secrets
    text = f"""smtp:
  host: {one} {one.upper()}
  port: x{one}
  from_email: {one}
  user: ["{one}"]
  recipient: a@b.example, {one}
  password: {given}
  passwordeval: ["echo {one}"]
  provider: {one}
  auth_method: {one}
  log: "{one}"
  {one}-: 5
  password{one}: 1
"""
    told = everything(refused(tmp_path, text))
    assert not [secret for secret in secrets if secret in told]
    assert "line 13: a key: is not known" in told


@pytest.mark.parametrize(
    "text",
    [
        "smtp:\n  password: %hunter2\n",
        "smtp:\n  password: @hunter2\n",
        'smtp:\n  password: "hun\\qter2"\n',
        "smtp:\n  password: 'hunter2\n",
        "smtp:\n  password: *hunter2\n",
        "smtp:\n  password: !hunter2 x\n",
        "smtp:\n  password: hunter2: x\n",
        "smtp:\n  password: hunter2\x07\n",
        "smtp: {password:hunter2}\n",
        "smtp: {password=hunter2, password=hunter2}\n",
        "password:hunter2\n",
        "smtp: password:hunter2\n",
        "password=hunter2: 1\n",
        "smtp:\n  passwordhunter2: 1\n",
        "smtp:\n  passwordeval: [hunter2]\n",
        "smtp:\n  recipient: 'a@example.com\n  password: hunter2'\n",
        f"smtp:\n  password: {'hunter2' * 600}\n",
        f"smtp:\n  passwordeval: {'hunter2' * 100}\n",
        "smtp:\n  passwordeval: hunter2\n  passwordeval: hunter2\n",
    ],
)
def test_a_file_that_cannot_be_read_tells_nothing_of_the_password(text: str, tmp_path: Path) -> None:
    told = everything(refused(tmp_path, text))
    assert "hunter2" not in told
    assert not any(f"'{character}'" in told or f"'\\\\{character}" in told for character in "%@q")
    assert "u+0007" not in told


def test_a_character_is_named_where_no_password_is(tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, "smtp:\n  user: @x\n").faults
    assert fault.observed == "is no YAML: found character '@' that cannot start any token"
    (fault,) = refused(tmp_path, "smtp:\n  password: @x\n").faults
    assert fault.observed == "is no YAML: found character that cannot start any token"
    (fault,) = refused(tmp_path, "smtp:\n  user: x\x07\n").faults
    assert fault.observed == "has the character U+0007"
    (fault,) = refused(tmp_path, "smtp:\n  password: x\x07\n").faults
    assert fault.observed == "has a character that cannot be seen"
    (fault,) = refused(tmp_path, "smtp:\n  password: x\n  log: a\n  log: b\n").faults
    assert fault.observed == "has a second 'log'"
    (fault,) = refused(tmp_path, "smtp: {password=x: 1, password=x: 2}\n").faults
    assert fault.observed == "has a key twice"
    (fault,) = refused(tmp_path, "smtp:\n  user: x\n\tpassword: y\n").faults
    assert (fault.line, "'\\t'" in fault.observed) == (3, True)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
    kinds = {"fifo": "a FIFO", "link": "a FIFO", "socket": "a socket", ".": "a directory", "none": "missing"}
    for name, kind in {**kinds, "/dev/zero": "a character device", "": "missing"}.items():
        path = str(tmp_path / name) if name else ""
        with pytest.raises(InputOutputError) as raised:
            read(Host(), path)
        assert (raised.value.code, raised.value.message) == (ExitCode.IO, f"{path}: is {kind}; expected a regular file")
        # The command that shows what is there.
        look = subprocess.run(["sh", "-c", raised.value.remedy], check=False, timeout=20, capture_output=True)
        assert (look.returncode, look.stderr) == (0, b"")


def test_a_link_and_a_relative_path_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, LEAST)
    (tmp_path / "link").symlink_to("smtp.config.yaml")
    monkeypatch.chdir(tmp_path)
    settings = read(Host(), "link")
    assert settings is not None
    assert settings.user == "alerts"
    written(tmp_path, "- x\n")
    with pytest.raises(SettingsError, match="link: line 1"):
        read(Host(), "link")


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    path = Path(written(tmp_path, LEAST))
    os.truncate(path, 1 << 40)
    with pytest.raises(SettingsError, match="is too long") as raised:
        read(Host(), str(path))
    assert raised.value.expected == "at most 65536 bytes"


def test_the_providers_of_the_host_count_and_their_faults_when_a_provider_is_named(tmp_path: Path) -> None:
    root, site = Root(tmp_path / "root"), "/etc/msmtp-agent/providers.d/site.yaml"
    entry = "{name: Acme, hosts: [mail.acme.test], ports: [{port: 2465, tls: implicit}], checked: 2027-01-01}"
    root.write(site, f"acme: {entry}\n", 0o644)
    root.write("/root/a.yaml", LEAST.replace("host: smtp.example.com", "provider: acme"))
    root.write("/root/b.yaml", LEAST)
    with Host(str(root.directory)) as host:
        settings = read(host, "/root/a.yaml")
        assert settings is not None
        assert (settings.host, settings.port, settings.implicit_tls) == ("mail.acme.test", 2465, True)
        root.write(site, "acme: [", 0o644)
        with pytest.raises(ConfigError, match=r"site\.yaml"):
            read(host, "/root/a.yaml")
        assert isinstance(read(host, "/root/b.yaml"), Settings)


@pytest.mark.parametrize(("module", "package"), [("jsonschema", "python3-jsonschema"), ("yaml", "python3-yaml")])
def test_a_library_that_is_not_installed(
    module: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnavailableError) as raised:
        read(Host(), written(tmp_path, LEAST))
    assert (raised.value.code, raised.value.remedy) == (ExitCode.UNAVAILABLE, f"apt install {package}")


def test_answers_are_warned_of_as_well() -> None:
    assert PIN in of({**ANSWERS, "host": "127.0.0.1", "port": "1025"}, BUILT_IN).warnings[0]
