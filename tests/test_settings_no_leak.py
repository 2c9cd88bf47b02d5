"""No error and no warning about settings tells a password, whatever is wrong; no document ends in a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from msmtp_agent import host_files, msmtprc
from msmtp_agent.errors import AgentError, ExitCode
from msmtp_agent.settings import Settings, SettingsError
from tests.support.smtpconfig import BASE, SAMPLES, read, refused, text, told, verdict
from tests.support.tracing import Canary

CANARY = Canary(b"CaNaRy7QxZ-93jfLwpV2")
PASSWORD = CANARY.secret.decode()
fixed = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def wrongs() -> dict[str, str]:
    """Documents that are wrong around a password, or because of it."""
    line = f"  password: {PASSWORD}\n"
    return {
        "as it should be, and another key is wrong": text(port="0", password=PASSWORD),
        "twice": text(password=PASSWORD) + line,
        "in a list": text(password=f"[{PASSWORD}]"),
        "in a mapping": text(password=f"{{{PASSWORD}: x}}"),
        "in a mapping, as a value": text(password=f"\n    value: {PASSWORD}"),
        "with a line break": text(password=f'"{PASSWORD}\\n{PASSWORD}"'),
        "with a NUL": text(password=f'"{PASSWORD}\\0"'),
        "with a byte order mark": text(password=f'"\\uFEFF{PASSWORD}"'),
        "as a block": text(password=f"|\n    {PASSWORD}\n    {PASSWORD}"),
        "without its end": text(password=f'"{PASSWORD}'),
        "with a colon": text(password=f"{PASSWORD}: {PASSWORD}"),
        "as an anchor": text(password=f"&{PASSWORD} x"),
        "as an alias": text(password=f"*{PASSWORD}"),
        "as a tag": text(password=f"!{PASSWORD} x"),
        "as a tag with a handle": text(password=f"!{PASSWORD}!x y"),
        "as a directive": f"%YAML {PASSWORD}\n---\n" + text(),
        "in the value before it, whose quote does not end": text(recipient=f"'a@example.com\n  password: {PASSWORD}'"),
        "behind a quote": text(password=f"'x' {PASSWORD}"),
        "behind a percent sign": text(password=f"%{PASSWORD}"),
        "behind an at sign": text(password=f"@{PASSWORD}"),
        "behind a grave accent": text(password=f"`{PASSWORD}"),
        "behind a brace": text(password="{" + PASSWORD),
        "behind a bracket": text(password="[" + PASSWORD + ","),
        "behind an escape": text(password=f'"\\q{PASSWORD}"'),
        "too long": text(password=PASSWORD * 300),
        "under another name": text(Password=PASSWORD),
        "under a name that is near": text(passwrod=PASSWORD),
        "under a name of its own": text(secret=PASSWORD),
        "beside smtp": text() + f"password: {PASSWORD}\n",
        "as a key": text() + f"  {PASSWORD}: x\n" + line,
        "as a key, twice": text(password=PASSWORD) + f"  {PASSWORD}: x\n" * 2,
        "as a key of lists, twice": text(password=f"{{{PASSWORD}: [x], {PASSWORD}: [y]}}"),
        "as a key, with an equals sign": text() + f"  password={PASSWORD}:\n",
        "without a colon": text() + f"  password {PASSWORD}\n",
        "as the host": text(host=PASSWORD, password=PASSWORD, port="x"),
        "in the sender": text(from_email=f"{PASSWORD}@x@y", password=PASSWORD),
        "in the recipient": text(recipient=PASSWORD, password=PASSWORD),
        "as the user": text(user=PASSWORD, password=PASSWORD, port="x"),
        "as a user that is too long": text(user=PASSWORD + "x" * 600, password=PASSWORD),
        "as the port": text(port=PASSWORD, password=PASSWORD),
        "as the method": text(auth_method=PASSWORD, password=PASSWORD),
        "as the provider": text(provider=PASSWORD, password=PASSWORD),
        "as the pin": text(tls_fingerprint=PASSWORD, password=PASSWORD),
        "as the log": text(log=PASSWORD, password=PASSWORD),
        "as the bundle": text(tls_trust_file=PASSWORD, password=PASSWORD),
        "as a switch": text(tls_starttls=PASSWORD, password=PASSWORD),
        "in capitals as the method": text(auth_method=PASSWORD.upper(), password=PASSWORD.upper()),
        "in a command that is too long": text(passwordeval=f"echo {PASSWORD} {'x' * 600}"),
        "in a command with a line break": text(passwordeval=f'"echo {PASSWORD}\\n"'),
        "in a command that is a list": text(passwordeval=f"[echo, {PASSWORD}]"),
    }


@pytest.mark.parametrize("content", wrongs().values(), ids=wrongs())
def test_no_error_tells_a_password(tmp_path: Path, content: str) -> None:
    path = tmp_path / "smtp.config.yaml"
    assert not CANARY.shapes_in(told(refused(path, content)).encode())
    assert not CANARY.shapes_in(told(refused(path, content)).swapcase().encode())


@pytest.mark.parametrize("character", ["\u00a0", "\x07", "\u202e", "\ufeff"])
@pytest.mark.parametrize("written", ["%s", '"%s"', "'%s'"])
def test_no_character_of_a_password_is_told(tmp_path: Path, written: str, character: str) -> None:
    """Not even its number, where it cannot be seen."""
    shown = told(refused(tmp_path / "smtp.config.yaml", text(password=written % f"se{character}cret")))
    assert f"{ord(character):04X}" not in shown.upper()
    assert "cret" not in shown


def test_no_warning_tells_a_password(tmp_path: Path) -> None:
    """With everything that is doubted at once."""
    made = read(
        tmp_path / "smtp.config.yaml",
        text(
            password=PASSWORD,
            passwordeval=f"echo {PASSWORD}",
            host="smtp.sendgrid.net",
            user=PASSWORD,
            tls_certcheck="false",
            tls_on_connect="true",
            tls_starttls="true",
        ),
    )
    assert made is not None
    assert len(made.warnings) >= 4
    assert not CANARY.shapes_in("\n".join(made.warnings).encode())
    assert not CANARY.shapes_in(repr(made.secret).encode())


# --- anything


def judge(path: Path, content: bytes) -> Settings | None:
    """Assert what is true of every document; the settings, if it holds some."""
    made = verdict(path, content)
    if isinstance(made, AgentError):
        assert made.code == ExitCode.DATA, made.message
        assert isinstance(made, SettingsError)
        assert not CANARY.shapes_in(told(made).encode()), told(made)
        assert all(line.isprintable() for line in told(made).split("\n"))
        return None
    if made is None:
        return None
    files = {file.path: file.content for file in host_files.of(made)}
    account = msmtprc.parse(files["/etc/msmtprc"])["default"]
    assert (account.get("host"), account.port, account.get("user")) == (made.host, made.port, made.user)
    assert "password" not in account.settings
    assert not msmtprc.refusal(account)
    assert not CANARY.shapes_in("\n".join(made.warnings).encode())
    return made


scalars = (
    st.sampled_from(
        ["", "on", "off", "plain", "587", "465", "gmail", "a@example.com", "/etc/x", "x y", "#x", '"x"', "a: b"]
    )
    | st.text(max_size=8)
    | st.integers(-1, 70_000)
    | st.booleans()
    | st.none()
    | st.floats()
    | st.just(PASSWORD)
)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=4), scalars, max_size=2)
good = st.fixed_dictionaries(
    {key: st.just(value) for key, value in BASE.items()},
    optional={
        key: st.just(yaml.safe_load(value)) for key, value in SAMPLES.items() if key not in ("provider", "password")
    },
)
documents = st.builds(
    lambda base, changes, password: {"smtp": {**base, **changes, "password": password}},
    good,
    st.dictionaries(st.sampled_from([*BASE, *SAMPLES, "passwrod", "x"]), values, max_size=3),
    st.just(PASSWORD) | st.lists(st.just(PASSWORD), min_size=1, max_size=2),
)


@pytest.mark.slow
@settings(fixed, max_examples=600)
@given(documents)
@example({"smtp": {**BASE, "password": PASSWORD}})
def test_any_values(tmp_path: Path, document: dict[str, dict[str, object]]) -> None:
    content = yaml.safe_dump(document, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")
    made = judge(tmp_path / "smtp.config.yaml", content)
    if made is not None and str(document).count(PASSWORD) == 1:
        assert made.secret is not None
        assert not any(CANARY.shapes_in(file.content) for file in host_files.of(made))


_TOKENS = [
    "\t",
    ": ",
    "- ",
    "&a ",
    "*a",
    "!x ",
    "!!str ",
    "\0",
    "\n",
    "  ",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "|",
    ">",
    "%",
    "#",
    ",",
]
_TOKENS += ["---\n", "...\n", "\ufeff", "? ", "<<: ", "\\", "\u2028", "\u00e9", "@", "`", "\r", "\x1b", "0", "smtp:"]
edits = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 12), st.sampled_from(_TOKENS) | st.text(max_size=3)),
    min_size=1,
    max_size=4,
)


@pytest.mark.slow
@settings(fixed, max_examples=1000)
@given(edits)
def test_any_change_of_a_document(tmp_path: Path, edits: list[tuple[int, int, str]]) -> None:
    content = text(password=PASSWORD, tls_on_connect="true", provider=None)
    line = f"password: {PASSWORD}"  # stays whole: under another name it would be no password
    for place, gone, new in edits:
        before, after = content[:place], content[place + gone :]
        if line in before or line in after:
            content = before + new + after
    judge(tmp_path / "smtp.config.yaml", content.encode("utf-8", "surrogatepass"))


@pytest.mark.slow
@settings(fixed, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    judge(tmp_path / "smtp.config.yaml", content)
