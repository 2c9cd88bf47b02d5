"""Settings as a cloud-config: what the options may say, what the document holds, and that cloud-init takes it."""

from __future__ import annotations

import base64
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from msmtp_agent import cloudconfig, handing_over, host_files
from msmtp_agent.cloudconfig import Package, PasswordInUserDataError
from msmtp_agent.errors import DataError, ExitCode, UsageError
from msmtp_agent.host_files import HostFile
from msmtp_agent.secret import Secret
from msmtp_agent.settings import SYSLOG, Settings
from tests.support.sandbox import PROJECT
from tests.support.trees import Machine
from tests.support.view import SYSTEM_PATH

CANARY = "canary-6f1d"
SETTINGS = Settings("mail.acme.test", 587, "alerts@acme.test", "alerts@acme.test", ("ops@acme.test",))
URL = "https://packages.acme.test/msmtp-agent_0.1.0_all.deb"
SHA256 = "0123456789abcdef" * 4
LINE = "deb https://packages.acme.test/debian stable main"
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQGNBGc=\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
DEB = Package(URL, SHA256)


def document(settings: Settings = SETTINGS, package: Package = DEB, *, allow_password: bool = False) -> str:
    return cloudconfig.document(settings, host_files.of(settings), package, allow_password=allow_password)


def content(
    settings: Settings = SETTINGS, package: Package = DEB, *, allow_password: bool = False
) -> dict[str, object]:
    loaded = yaml.safe_load(document(settings, package, allow_password=allow_password))
    assert isinstance(loaded, dict)
    return loaded


def files(settings: Settings = SETTINGS, package: Package = DEB, *, allow_password: bool = False) -> dict[str, str]:
    found = content(settings, package, allow_password=allow_password)["write_files"]
    assert isinstance(found, list)
    return {file["path"]: file["content"] for file in found}


def script(settings: Settings = SETTINGS, package: Package = DEB, *, allow_password: bool = False) -> list[str]:
    """The lines of the one command."""
    found = content(settings, package, allow_password=allow_password)["runcmd"]
    assert isinstance(found, list)
    (command,) = found
    assert command[:2] == ["sh", "-euc"]
    return [line for line in command[2].splitlines() if not line.startswith("#")]


# --- what the options may say


def test_a_file_with_its_checksum() -> None:
    assert cloudconfig.package(URL, SHA256.upper(), None, None) == DEB
    assert cloudconfig.package("http://[::1]:80/a@b/c.deb?d", SHA256, None, None).url == "http://[::1]:80/a@b/c.deb?d"


@pytest.mark.parametrize(
    ("line", "signed"),
    [
        (LINE, f"{LINE[:3]} [signed-by=/etc/apt/keyrings/msmtp-agent.asc] {LINE[4:]}"),
        (
            "deb [ arch=amd64  ]  http://x.test/ ./",
            "deb [arch=amd64 signed-by=/etc/apt/keyrings/msmtp-agent.asc] http://x.test/ ./",
        ),
    ],
)
def test_a_source_with_its_key(line: str, signed: str) -> None:
    assert cloudconfig.package(None, None, line, KEY.replace("\n", "\r\n")) == Package(source=signed, key=KEY)


def test_a_source_whose_key_the_machine_has() -> None:
    assert cloudconfig.package(None, None, f" {LINE} ", None) == Package(source=LINE)


@pytest.mark.parametrize(
    ("options", "option", "words"),
    [
        ((None, None, None, None), "--format", "needs this program's package"),
        ((None, None, None, KEY), "--apt-key", "without --apt-source"),
        ((URL, None, None, None), "--deb-sha256", "is missing"),
        ((None, SHA256, None, None), "--deb-url", "is missing"),
        ((URL, SHA256, LINE, None), "--deb-url", "together with --apt-source"),
        ((None, SHA256, LINE, None), "--deb-sha256", "together with --apt-source"),
        ((URL, SHA256, None, KEY), "--apt-key", "without --apt-source"),
        (("", SHA256, None, None), "--deb-url", "is empty"),
        (("ftp://acme.test/x.deb", SHA256, None, None), "--deb-url", "is 'ftp"),
        (("/root/x.deb", SHA256, None, None), "--deb-url", "is '/root"),
        (("https://acme.test", SHA256, None, None), "--deb-url", "is 'https"),
        (("https://acme.test/a b.deb", SHA256, None, None), "--deb-url", "is 'https"),
        (("https://acme.test/x.deb#part", SHA256, None, None), "--deb-url", "is 'https"),
        (("https://acme.test/\n- rm", SHA256, None, None), "--deb-url", "not printable"),
        (("https://bücher.test/x.deb", SHA256, None, None), "--deb-url", "not printable ASCII"),
        ((f"https://acme.test/{'x' * 2000}", SHA256, None, None), "--deb-url", "is 'https"),
        ((URL, "", None, None), "--deb-sha256", "is 0 characters"),
        ((URL, SHA256[1:], None, None), "--deb-sha256", "is 63 characters"),
        ((URL, "g" * 64, None, None), "--deb-sha256", "expected 64 hexadecimal digits"),
        ((None, None, "", None), "--apt-source", "is empty"),
        ((None, None, "https://acme.test/debian stable main", None), "--apt-source", "is 'https"),
        ((None, None, "deb-src https://acme.test/debian stable main", None), "--apt-source", "is 'deb-src"),
        ((None, None, "deb https://acme.test/debian", None), "--apt-source", "is 'deb https"),
        (
            (None, None, "deb https://acme.test/debian stable", None),
            "--apt-source",
            "names no component for the suite stable",
        ),
        ((None, None, "deb https://acme.test/debian ./ main", None), "--apt-source", "names main for the suite ./"),
        ((None, None, f"{LINE}\ndeb https://other.test ./", None), "--apt-source", "not printable"),
        ((None, None, "deb [signed-by=/k.asc] https://acme.test ./", KEY), "--apt-source", "a key of its own"),
    ],
)
def test_options_that_cannot_be_meant(options: tuple[str | None, ...], option: str, words: str) -> None:
    with pytest.raises(UsageError) as refusal:
        cloudconfig.package(*options)
    assert (refusal.value.subject, refusal.value.code) == (option, ExitCode.USAGE)
    assert words in refusal.value.message
    assert refusal.value.remedy


@pytest.mark.parametrize(
    "options",
    [
        (f"https://bob:{CANARY}@acme.test/x.deb", SHA256, None, None),
        (f"https://{CANARY}@acme.test/x.deb", SHA256, None, None),
        (None, None, f"deb https://bob:{CANARY}@acme.test/debian stable main", None),
    ],
)
def test_a_login_in_an_address_is_refused_and_not_shown(options: tuple[str | None, ...]) -> None:
    with pytest.raises(UsageError) as refusal:
        cloudconfig.package(*options)
    assert "user data can be read" in refusal.value.message
    assert CANARY not in refusal.value.message


@pytest.mark.parametrize(
    "options",
    [(f"bob:{CANARY}@acme.test/x.deb", SHA256, None, None), (None, None, f"https://{CANARY}@acme.test", None)],
)
def test_a_login_in_what_is_no_address_is_not_shown(options: tuple[str | None, ...]) -> None:
    with pytest.raises(UsageError) as refusal:
        cloudconfig.package(*options)
    assert "has another form" in refusal.value.message
    assert CANARY not in refusal.value.message


@pytest.mark.parametrize(
    "key",
    [
        "",
        "mQGNBGc=",
        KEY.replace("PUBLIC", "PRIVATE"),
        KEY.replace("\n-----END PGP PUBLIC KEY BLOCK-----", ""),
        KEY + KEY.replace("PUBLIC", "PRIVATE") + KEY,
        KEY.replace("mQ", "\x00"),
        KEY.replace("mQ", "\ufffd"),
    ],
)
def test_what_is_no_armoured_public_key(key: str) -> None:
    with pytest.raises(DataError) as refusal:
        cloudconfig.package(None, None, LINE, key)
    assert refusal.value.message.startswith("--apt-key: is no armoured public key; expected -----BEGIN")
    assert "mQ" not in refusal.value.message


# --- what the document holds


def test_the_files_are_those_of_a_host_with_owner_and_mode() -> None:
    entries = content()["write_files"]
    assert entries == [
        {
            "path": file.path,
            "owner": "root:root",
            "permissions": f"{file.mode:04o}",
            "content": file.content.decode(),
        }
        for file in host_files.of(SETTINGS)
    ]


def test_a_log_that_is_no_file_needs_no_rotation() -> None:
    assert content()["packages"] == ["msmtp", "msmtp-mta", "ca-certificates", "logrotate"]
    assert content(SETTINGS._replace(log=SYSLOG))["packages"] == ["msmtp", "msmtp-mta", "ca-certificates"]


def test_the_package_is_checked_before_it_is_installed_and_then_the_unit_is_started() -> None:
    away, fetch, install, start = script()
    assert away == "trap 'rm -f /run/msmtp-agent.deb*' EXIT"
    assert fetch.endswith(f"download-file {URL} /run/msmtp-agent.deb SHA256:{SHA256}")
    assert "apt-get --yes" in install
    assert start == "systemctl start msmtp-config.service"


def test_an_address_with_characters_of_the_shell_stays_one_word() -> None:
    url = "https://acme.test/x.deb?a=$(id)&b='c'"
    fetch = script(package=Package(url, SHA256))[1]
    assert """'https://acme.test/x.deb?a=$(id)&b='"'"'c'"'"''""" in fetch


def test_a_source_stands_in_files_for_no_gpg_is_needed_then() -> None:
    package = cloudconfig.package(None, None, LINE, KEY)
    assert list(files(package=package).items())[:2] == [
        ("/etc/apt/keyrings/msmtp-agent.asc", KEY),
        ("/etc/apt/sources.list.d/msmtp-agent.list", f"{package.source}\n"),
    ]
    packages = content(package=package)["packages"]
    assert isinstance(packages, list)
    assert packages[-1] == "msmtp-agent"
    assert script(package=package) == ["systemctl start msmtp-config.service"]


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS._replace(passwordeval="oama access ops"),
        SETTINGS._replace(method="off"),
        SETTINGS._replace(method="external", cert_file="/c.pem", key_file="/c.key"),
    ],
)
def test_where_no_secret_file_is_read_a_mail_is_the_proof(settings: Settings) -> None:
    assert script(settings)[-1] == "msmtp-config test"
    assert "password is not in here" not in document(settings)


def test_without_a_password_the_document_says_where_it_comes_from() -> None:
    assert "systemd credential msmtp.password" in document()
    assert "sudo msmtp-config" in document()


# --- a password


def test_a_password_is_refused_with_its_reason() -> None:
    with pytest.raises(PasswordInUserDataError) as refusal:
        document(SETTINGS._replace(secret=Secret(CANARY.encode())))
    assert refusal.value.code == ExitCode.DATA
    assert "metadata service" in refusal.value.message
    assert "--allow-password-in-user-data" in refusal.value.message
    assert CANARY not in refusal.value.message


def test_a_password_that_is_allowed_takes_one_way() -> None:
    settings = SETTINGS._replace(secret=Secret(CANARY.encode()))
    text = document(settings, allow_password=True)
    assert text.count(CANARY) == 1
    assert files(settings, allow_password=True)["/run/msmtp-agent.password"] == CANARY
    assert "'0600'\n  content: " + CANARY in text
    away, *_, last = script(settings, allow_password=True)
    assert away == "trap 'rm -f /run/msmtp-agent.deb* /run/msmtp-agent.password' EXIT"
    assert last == "msmtp-config --password-stdin </run/msmtp-agent.password"
    assert "in clear" in text.partition("package_update")[0]


def survives(password: str, text: str, other: bytes = b"") -> None:
    settings = SETTINGS._replace(secret=Secret(password.encode()))
    odd = [HostFile("/etc/a: [b]", text.encode(), 0o600), HostFile("/etc/c", other, 0o644), *host_files.of(settings)]
    whole = cloudconfig.document(settings, odd, DEB, allow_password=True)
    assert whole.isascii()
    assert whole.startswith("#cloud-config\n")
    found = {file["path"]: file for file in yaml.safe_load(whole)["write_files"]}
    assert found["/run/msmtp-agent.password"]["content"] == password
    assert found["/etc/a: [b]"]["content"] == text
    binary = found["/etc/c"]["content"]
    assert (base64.b64decode(binary) if "encoding" in found["/etc/c"] else binary.encode()) == other


@pytest.mark.parametrize(
    "value",
    ["yes", "0600", "12:30", "~", "null", "1e3", " a ", "a: b #c", "- a", "'\"\\", "{{ x }}", "%a", "\u00fc\U0001f600"],
)
def test_a_value_that_yaml_would_read_otherwise(value: str) -> None:
    survives(value, f"{value}\n\n  {value}\n")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.slow
@given(TEXTS, TEXTS, st.binary())
def test_every_value_survives(password: str, text: str, other: bytes) -> None:
    survives(password, text, other)


# --- the lines that are printed to be pasted


def test_the_credential_is_the_one_that_the_unit_takes() -> None:
    unit = (PROJECT / "systemd/msmtp-config.service").read_text()
    assert f"LoadCredential={handing_over.CREDENTIAL}\n" in unit


def test_no_way_has_the_password_in_an_argument() -> None:
    """What reads it is the standard input or a file; `value=` and `string=` would be arguments of QEMU."""
    told = "\n".join(handing_over.lines())
    assert told.count("systemd-ask-password") == 2
    for word in ("value=", "string=", "PASSWORD", "echo"):
        assert word not in told


def test_the_lines_for_libvirt_are_one_element() -> None:
    told = "".join(handing_over.LIBVIRT[1:])
    opened, entry, closed = re.findall(r"<([^>]*)>", told)
    assert (opened, closed) == ("sysinfo type='fwcfg'", "/sysinfo")
    assert dict(re.findall(r" (\w+)='([^']*)'", entry)) == {
        "name": "opt/io.systemd.credentials/msmtp.password",
        "file": "/var/lib/msmtp.password",
    }


@pytest.mark.programs
def test_the_lines_of_the_shell_do_what_they_say(tmp_path: Path) -> None:
    """On a hypervisor: the file, and the string for SMBIOS, which no other user can read."""
    lines = "\n".join((*handing_over.FILE, handing_over.QEMU[3])).replace("/var/lib/", f"{tmp_path}/")
    asked = tmp_path / "systemd-ask-password"
    asked.write_text("#!/bin/sh\necho 'pass word'\n")
    asked.chmod(0o755)
    subprocess.run(
        ["sh", "-euc", lines],
        check=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
        env={"PATH": f"{tmp_path}:{SYSTEM_PATH}"},
    )
    string = tmp_path / "msmtp.smbios"
    assert string.read_text() == "io.systemd.credential.binary:msmtp.password=cGFzcyB3b3JkCg=="
    for file in (string, tmp_path / "msmtp.password"):
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.programs
@pytest.mark.parametrize("way", [handing_over.FILE, handing_over.PROXMOX, handing_over.GUEST])
def test_the_shell_can_read_the_lines(way: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["sh", "-n"],
        input="\n".join(way),
        text=True,
        check=False,
        timeout=20,
        capture_output=True,
        env={"PATH": SYSTEM_PATH},
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- cloud-init takes it


DOCUMENTS = {
    "file": (SETTINGS, DEB),
    "source": (SETTINGS, cloudconfig.package(None, None, LINE, KEY)),
    "source-without-key": (SETTINGS, cloudconfig.package(None, None, LINE, None)),
    "syslog": (SETTINGS._replace(log=SYSLOG, recipients=("a@acme.test", "b@acme.test")), DEB),
    "command": (SETTINGS._replace(passwordeval="""sh -c 'echo "$X: #"'"""), DEB),
    "password": (SETTINGS._replace(secret=Secret("yes: #'\"\\ \x7f ü😀 ".encode())), DEB),
    "everything": (
        SETTINGS._replace(
            port=465,
            method="scram-sha-256",
            implicit_tls=True,
            certcheck=False,
            cert_file="/etc/ssl/a b.pem",
            key_file="/etc/ssl/a#b.key",
            fingerprint=":".join(["AB"] * 32),
            set_from_header="off",
        ),
        DEB,
    ),
}


@pytest.mark.root
@pytest.mark.tree
@pytest.mark.slow
def test_cloud_init_finds_no_fault_in_it(suite: str, tmp_path: Path) -> None:
    check = 'for file; do echo "== $file"; cloud-init schema --config-file "$file" || echo "status $?"; done 2>&1'
    with Machine(f"{suite}-cloud", tmp_path) as machine:
        for name, (settings, package) in DOCUMENTS.items():
            machine.write(f"/root/{name}", document(settings, package, allow_password=True))
        machine.write("/root/wrong", document().replace("permissions: '0644'", "permissions: 420"))
        told = machine.run(["sh", "-c", check, "sh", *(f"/root/{name}" for name in (*DOCUMENTS, "wrong"))], timeout=60)
    *fine, wrong = told.stdout.split("== ")[1:]
    for words in fine:
        assert "Valid" in words, words
        assert "status" not in words, words
    assert "status 1" in wrong
