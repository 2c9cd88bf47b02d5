"""What a review of the settings, of `render` and of the documents it makes has found."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from msmtp_agent import cloudconfig, host_files
from msmtp_agent.errors import DataError
from msmtp_agent.settings import Settings
from tests.support.sandbox import PROJECT, PYTHON
from tests.support.smtpconfig import refused, text, told
from tests.support.view import SYSTEM_PATH

WORD = "hunter2hunter2"


# --- a password where nobody looks for it


@pytest.mark.parametrize(
    "content",
    [
        text(host=f"smtps://me:{WORD}@smtp.example.com:465"),
        text(provider=f"smtp://me:{WORD}@smtp.gmail.com"),
        text(recipient=f"'admin@example.com\n  api_key: {WORD}'"),
        text(host=f"'smtp.example.com\n  secret: {WORD}'"),
        text(port=f"'587\n  token: {WORD}'"),
    ],
    ids=["URL", "URL as the provider", "API key behind an open quote", "secret likewise", "token likewise"],
)
def test_a_login_in_another_value_is_not_shown(tmp_path: Path, content: str) -> None:
    assert "unter2" not in told(refused(tmp_path / "smtp.config.yaml", content))


# --- what is too much


@pytest.mark.parametrize("number", ["9" * 400, "1" + "0" * 4000, "9" * 5000])
def test_a_port_of_very_many_digits_is_told_as_a_port(tmp_path: Path, number: str) -> None:
    (fault,) = refused(tmp_path / "smtp.config.yaml", text(port=number)).faults
    assert fault.key == "port"


# --- user data


TOKEN = "0a1b2c3d-1111-2222-3333-444455556666"
DEB = cloudconfig.Package("https://packages.acme.test/msmtp-agent.deb", "0" * 64)


def of_postmark(user: str) -> Settings:
    return Settings("smtp.postmarkapp.com", 587, "alerts@acme.test", user, ("ops@acme.test",))


def test_a_user_name_that_is_the_password_is_kept_out_of_user_data() -> None:
    """Postmark's server token is both, and it would stand in the msmtprc of the document."""
    settings = of_postmark(TOKEN)
    with pytest.raises(DataError) as raised:
        cloudconfig.document(settings, host_files.of(settings), DEB, allow_password=False)
    assert raised.value.subject == "user"
    assert "--allow-password-in-user-data" in str(raised.value.message)
    assert TOKEN not in repr(raised.value)
    allowed = cloudconfig.document(settings, host_files.of(settings), DEB, allow_password=True)
    assert TOKEN in allowed
    assert "# It holds the mail password in clear" in allowed
    assert "The mail password is not in here" not in allowed


def test_the_access_key_of_a_token_is_no_secret() -> None:
    settings = of_postmark("PM-T-outbound-abcdefgh")
    assert settings.user in cloudconfig.document(settings, host_files.of(settings), DEB, allow_password=False)


@pytest.mark.slow
@pytest.mark.programs
def test_a_command_in_user_data_is_warned_of(tmp_path: Path) -> None:
    """A token may stand in it, and nobody but the person can tell."""
    path = tmp_path / "smtp.config.yaml"
    path.write_text(text(passwordeval=f"echo {WORD}"))
    options = ("--format", "cloud-config", "--deb-url", DEB.url, "--deb-sha256", DEB.sha256)
    done = subprocess.run(
        [PYTHON, "-m", "msmtp_agent", "render", path, *options],
        env={"PATH": SYSTEM_PATH, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "warning: passwordeval stands in the user data" in done.stderr
    assert WORD not in done.stderr
