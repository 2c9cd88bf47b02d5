"""The same settings mean to msmtp what they meant through the old fragment; support/meanings.py names each improvement.

The fragment's own template writes one /etc/msmtprc, the program another: `msmtp --pretend` says what each has in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from msmtp_agent import aliases, host_files, msmtprc
from msmtp_agent.settings import Settings, SettingsError
from tests.support import fragment
from tests.support.meanings import ALWAYS, BLOCKS, BROKEN, CASES, LOG, MENDED, PROVIDERS, TAKEN, Better
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.smtpconfig import SENDER, read, text

pytestmark = pytest.mark.root


def sampled(cases: Mapping[str, tuple[object, object]]) -> list[Any]:
    """The cases as parameters: one in ten in every run, the others in the full."""
    return [
        pytest.param(*case, id=name, marks=() if number % 10 == 0 else pytest.mark.slow)
        for number, (name, case) in enumerate(cases.items())
    ]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One machine for all: each case brings its own files."""
    with Sandbox(tmp_path_factory.mktemp("meaning")) as view:
        for path in ("/etc/msmtp-password", "/etc/msmtp-token"):
            view.write(path, "s3cret-word\n")
        yield view


def pretend(
    box: Sandbox, files: Mapping[str, str | bytes], recipient: str = "nobody@example.com"
) -> tuple[int, dict[str, str]]:
    """msmtp's exit status and what is in force, with these files and no other."""
    for path in ("/etc/msmtprc", "/etc/aliases"):
        box.path(path).unlink(missing_ok=True)
    for path, content in files.items():
        box.write(path, content)
    done = box.run(["msmtp", "--pretend", "--", recipient], env={"LC_ALL": "C"}, timeout=20)
    assert done.returncode in (0, 78), done.stderr
    return done.returncode, dict(re.findall(r"^(\w+) = (.*)$", done.stdout, re.MULTILINE))


def ours(path: Path, content: str, log: str = LOG) -> tuple[Settings, dict[str, bytes]]:
    """The settings, and the files that they become."""
    settings = read(path, content)
    assert settings is not None
    return settings, {file.path: file.content for file in host_files.of(settings, log)}


def compare(box: Sandbox, path: Path, new: str, old: str, better: Better) -> Settings:
    """Assert that `new` has in force what `old` had through the fragment, but for what is better."""
    status, before = pretend(box, fragment.files(old))
    assert status == 0, "a case in which the fragment itself works"
    settings, files = ours(path, new)
    status, after = pretend(box, files, "root")  # a local name: the aliases are parsed as well
    assert status == 0
    expected = {**before, **{name: now for name, (_, now) in better.items()}}
    assert {name: before[name] for name in better} == {name: then for name, (then, _) in better.items()}
    assert after == expected
    for name in ("root", "www-data"):
        assert delivered(files[fragment.ALIASES], name) == delivered(
            fragment.files(old)[fragment.ALIASES].encode(), name
        )
    assert "password" not in msmtprc.parse(files[fragment.MSMTPRC])["default"].settings
    return settings


def delivered(content: bytes, name: str) -> tuple[str, ...]:
    return aliases.expand(aliases.parse(content), name)


def test_the_table_covers_what_it_must() -> None:
    keys = {key for changes, _ in CASES.values() for key in changes}
    assert len(CASES) + len(BLOCKS) + len(PROVIDERS) >= 60
    template = (Path(fragment.__file__).with_suffix(".yaml.tpl")).read_text()
    asked = set(re.findall(r"smtp\.(\w+)", template)) - {"recipient"}
    assert keys >= asked | {"tls_fingerprint", "set_from_header", "log"}


def test_every_difference_is_documented() -> None:
    page = (PROJECT / "docs/fragment.md").read_text()
    for name in {*ALWAYS, *(name for _, better in CASES.values() for name in better)}:
        assert f"`{name}" in page, name
    for key in ("provider", "tls_fingerprint", "set_from_header", "log"):
        assert f"`{key}" in page.partition("## New keys")[2], key


@pytest.mark.parametrize(("changes", "better"), sampled(CASES))
def test_settings_mean_what_they_meant(
    box: Sandbox, tmp_path: Path, changes: dict[str, str | None], better: Better
) -> None:
    content = text(**changes)
    settings = compare(box, tmp_path / "smtp.config.yaml", content, content, {**ALWAYS, **better})
    given = yaml.safe_load(content)["smtp"].get("password")
    assert (settings.secret and settings.secret.reveal()) == (given and given.encode())


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_the_blocks_of_the_reference(box: Sandbox, tmp_path: Path, block: str) -> None:
    content = "smtp:" + block
    compare(box, tmp_path / "smtp.config.yaml", content, content, ALWAYS)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_stands_for_what_had_to_be_written(box: Sandbox, tmp_path: Path, name: str) -> None:
    given, meant = PROVIDERS[name]
    new = text(**{"host": None, "port": None, "user": None, "provider": name, **given})
    user = given.get("user") or SENDER
    compare(box, tmp_path / "smtp.config.yaml", new, text(**{"user": user, **meant}), ALWAYS)


# --- what msmtp made nonsense of, and what is said of it now


def only_fault(path: Path, content: str) -> tuple[int, str]:
    with pytest.raises(SettingsError) as raised:
        read(path, content)
    (fault,) = raised.value.faults
    return fault.line, fault.key


@pytest.mark.parametrize(("changes", "key"), sampled({**TAKEN, **BROKEN}))
def test_what_has_no_meaning_is_told_on_its_line(
    box: Sandbox, tmp_path: Path, changes: dict[str, str | None], key: str
) -> None:
    content = text(**changes)
    status, _ = pretend(box, fragment.files(content))
    assert status == (78 if (changes, key) in BROKEN.values() else 0)
    lines = [
        number for number, line in enumerate(content.split("\n"), 1) if line.startswith(f"  {next(iter(changes))}:")
    ]
    # What is missing is told of `smtp:`, or of the key that wants it.
    assert only_fault(tmp_path / "smtp.config.yaml", content) == (lines[0] if lines else 1, key)


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "method"), MENDED.values(), ids=MENDED)
def test_a_method_that_yaml_took_for_a_switch(
    box: Sandbox, tmp_path: Path, changes: dict[str, str | None], method: str
) -> None:
    assert pretend(box, fragment.files(text(**changes)))[0] == 78
    settings, files = ours(tmp_path / "smtp.config.yaml", text(**changes))
    assert settings.method == method
    assert pretend(box, files)[1]["auth"] == {"on": "choose", "off": "none"}[method]


# --- nothing, the log, and the command


@pytest.mark.parametrize("content", ["", "# nothing\n", "smtp:\n", "smtp: {}\n", "smtp:\n  recipient: a@example.com\n"])
def test_without_a_host_nothing_is_made(tmp_path: Path, content: str) -> None:
    assert fragment.files(content) == {}
    assert read(tmp_path / "smtp.config.yaml", content) is None


def test_a_log_that_apparmor_lets_msmtp_write(box: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "smtp.config.yaml"
    usual, confined = (pretend(box, ours(path, text(), log)[1])[1] for log in (LOG, "/var/log/msmtp"))
    assert confined == {**usual, "logfile": "/var/log/msmtp"}


def test_the_rule_for_the_log_keeps_what_it_said(tmp_path: Path) -> None:
    rules = (
        fragment.files(text())[fragment.LOGROTATE],
        ours(tmp_path / "smtp.config.yaml", text())[1][fragment.LOGROTATE],
    )
    old, new = (rule.split("\n") for rule in (rules[0], rules[1].decode()))
    assert set(old) - set(new) == set()
    # A new log must not be readable by others because logrotate's own settings say so.
    assert set(new) - set(old) == {"  create 0600 root root"}


@pytest.mark.slow
def test_the_command_prints_these_very_files(sandbox: Sandbox, tmp_path: Path) -> None:
    content = text(port="465", user="'alerts #1'", auth_method="login")
    files = ours(tmp_path / "smtp.config.yaml", content)[1]
    sandbox.write("/run/smtp.config.yaml", content)
    before = sandbox.changed()
    for form, path in (("msmtprc", fragment.MSMTPRC), ("aliases", fragment.ALIASES), ("logrotate", fragment.LOGROTATE)):
        done = sandbox.agent("render", "/run/smtp.config.yaml", "--format", form)
        assert (done.returncode, done.out, done.err) == (0, files[path], b"")
    done = sandbox.agent("render", "/run/smtp.config.yaml")
    assert done.returncode == 0
    for path, mode in ((fragment.MSMTPRC, "0600"), (fragment.ALIASES, "0644"), (fragment.LOGROTATE, "0644")):
        assert f"# ==> {path} ({mode} root:root) <==\n{files[path].decode()}" in done.stdout
    assert sandbox.changed() == before
