"""The Debian package: what it is, and its whole life on throw-away machines of both distributions."""

from __future__ import annotations

import email
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from msmtp_agent import __version__
from msmtp_agent.errors import ExitCode
from tests.package_support import ALIASES, AUDIT, MSMTPRC, SUITES, TIMER, UNIT, package
from tests.support.building import older
from tests.support.installing import LINK, SECRET, TIMER_LINK, apt, changed, configure, snapshot
from tests.support.sandbox import PROJECT
from tests.support.trees import Machine
from tests.support.view import SYSTEM_PATH

pytestmark = [pytest.mark.root, pytest.mark.tree]
METRICS = "/var/lib/prometheus/node-exporter/msmtp-config.prom"
STAMP = f"/var/lib/systemd/timers/stamp-{TIMER}"
MODULES = "./usr/lib/python3/dist-packages/msmtp_agent"
LEFTOVERS = (
    "/etc/.msmtp-password.msmtp-config",
    "/etc/.msmtprc.msmtp-config",
    "/etc/.aliases.msmtp-config",
    "/etc/logrotate.d/.msmtp.msmtp-config",
    "/usr/local/bin/.msmtp-config.msmtp-config",
    "/var/lib/prometheus/node-exporter/.msmtp-config.prom.msmtp-config",
)


def run(*argv: str | Path, env: dict[str, str] | None = None, cwd: Path = PROJECT) -> str:
    environment = {"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **(env or {})}
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        stdin=subprocess.DEVNULL,
        env=environment,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- what it is


@pytest.fixture(scope="module")
def deb() -> Path:
    """The package under test."""
    return package()


def test_one_version_everywhere(deb: Path) -> None:
    changelog = run("dpkg-parsechangelog", "--show-field", "Version").strip()
    assert changelog == __version__ == run("dpkg-deb", "--field", deb, "Version").strip()


def test_relations(deb: Path) -> None:
    control = email.message_from_string(run("dpkg-deb", "--field", deb))
    assert set(control["Depends"].split(", ")) == {
        "msmtp",
        "python3-jsonschema",
        "python3-rich",
        "python3-typer",
        "python3-yaml",
        "python3:any (>= 3.11~)",
    }
    assert set(control["Recommends"].split(", ")) == {"ca-certificates", "msmtp-mta"}
    assert control["Architecture"] == "all"


def contents(deb: Path) -> dict[str, str]:
    """Mode and owner of everything in the package, by name."""
    lines = [line.split(maxsplit=5) for line in run("dpkg-deb", "--contents", deb).splitlines()]
    return {fields[5]: f"{fields[0]} {fields[1]}" for fields in lines}


def test_contents(deb: Path) -> None:
    found = contents(deb)
    files = {re.sub(r"^\./lib/", "./usr/lib/", name) for name in found if not name.endswith("/")}
    share = "./usr/share"
    # Where Debian 12 builds it, an override for a tag of its lintian is inside.
    assert files - {f"{share}/lintian/overrides/msmtp-agent"} == {
        "./usr/bin/msmtp-config",
        *(f"./usr/lib/systemd/system/{unit}" for unit in (UNIT, AUDIT, TIMER)),
        f"{share}/bash-completion/completions/msmtp-config",
        f"{share}/doc/msmtp-agent/changelog.gz",
        f"{share}/doc/msmtp-agent/checks.md.gz",
        f"{share}/doc/msmtp-agent/copyright",
        f"{share}/fish/vendor_completions.d/msmtp-config.fish",
        f"{share}/man/man8/msmtp-config.8.gz",
        f"{share}/zsh/vendor-completions/_msmtp-config",
        *(name for name in files if ".dist-info/" in name),
        f"{MODULES}/py.typed",
        *(f"{MODULES}/{file.relative_to(PROJECT / 'msmtp_agent')}" for file in (PROJECT / "msmtp_agent").rglob("*.py")),
        *(f"{MODULES}/schemas/{file.name}" for file in (PROJECT / "msmtp_agent/schemas").glob("*.json")),
    }


def test_owners_and_modes(deb: Path) -> None:
    for name, facts in contents(deb).items():
        mode = "drwxr-xr-x" if name.endswith("/") else "-rwxr-xr-x" if name.startswith("./usr/bin/") else "-rw-r--r--"
        assert facts == f"{mode} root/root", name


def test_the_shipped_files_are_the_checkouts(deb: Path, tmp_path: Path) -> None:
    run("dpkg-deb", "--extract", deb, tmp_path)
    shipped = {file.name: file for file in tmp_path.rglob("*") if file.is_file()}
    for source in (
        *(f"systemd/{unit}" for unit in (UNIT, AUDIT, TIMER)),
        "completions/zsh/_msmtp-config",
        "completions/fish/msmtp-config.fish",
    ):
        assert shipped[Path(source).name].read_bytes() == (PROJECT / source).read_bytes()


def test_nothing_is_asked_and_the_timer_alone_is_started(deb: Path, tmp_path: Path) -> None:
    """No debconf question can exist, and no script of the package starts a service."""
    run("dpkg-deb", "--control", deb, tmp_path / "control")
    assert sorted(os.listdir(tmp_path / "control")) == ["control", "md5sums", "postinst", "postrm", "prerm"]
    postinst = (tmp_path / "control/postinst").read_text()
    assert f"deb-systemd-helper enable '{UNIT}'" in postinst
    assert f"deb-systemd-helper enable '{TIMER}'" in postinst
    assert re.findall(r"deb-systemd-invoke .*?'(.*)'", postinst) == [TIMER]
    assert postinst.count("deb-systemd-invoke") == 1
    assert AUDIT not in postinst
    assert not re.search(r"systemctl.*start|debconf", postinst)


@pytest.mark.slow
def test_the_same_source_gives_the_same_bytes(deb: Path, tmp_path: Path) -> None:
    """Whatever the time zone, the language, the umask and the place."""
    environment = {"TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "HOME": str(tmp_path), "PYTHONHASHSEED": "7"}
    run(
        "sh",
        "-c",
        'umask 077; exec "$1" "$2"',
        "sh",
        PROJECT / "scripts/build",
        tmp_path,
        env=environment,
        cwd=tmp_path,
    )
    (again,) = tmp_path.glob("*.deb")
    assert again.name == deb.name
    assert again.read_bytes() == deb.read_bytes()


# --- its life


@pytest.fixture(params=SUITES)
def machine(request: pytest.FixtureRequest, tmp_path: Path, deb: Path) -> Iterator[Machine]:
    """A throw-away machine of each distribution, configured by an administrator, without the package."""
    with Machine(request.param, tmp_path, share=[deb]) as view:
        view.write("/etc/msmtprc", MSMTPRC.format(port=587, trust="/etc/ssl/certs/ca-certificates.crt"))
        view.write("/etc/msmtprc.bak", "an administrator's backup\n")
        view.write("/etc/msmtp-password.bak", "another\n")
        view.write("/etc/aliases", ALIASES, mode=0o644)
        view.write("/root/.msmtprc.old", "an administrator's\n")
        yield view


def test_an_installation_changes_and_starts_nothing(machine: Machine, deb: Path) -> None:
    before = snapshot(machine)
    done = apt(machine, "install", deb)
    assert changed(before, snapshot(machine)) == {LINK, TIMER_LINK}
    for link, unit in ((LINK, UNIT), (TIMER_LINK, TIMER)):
        assert os.readlink(machine.path(link)) in (f"/lib/systemd/system/{unit}", f"/usr/lib/systemd/system/{unit}")
    assert machine.leftovers() == {}
    assert not machine.exists("/run/msmtp-config")
    assert "?" not in done.stdout + done.stderr, done.stdout + done.stderr


def test_the_installed_command_works(machine: Machine, deb: Path) -> None:
    apt(machine, "install", deb)
    for argv in (["msmtp-config", "--version"], ["python3", "-m", "msmtp_agent", "--version"]):
        done = machine.run(argv)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"msmtp-config {__version__}\n", "")
    done = machine.run(["msmtp-config"], uid=65534)
    assert done.returncode == ExitCode.NOT_ROOT
    assert "expected root" in done.stderr
    configure(machine)
    facts = machine.stat(SECRET)
    assert (facts.st_mode, facts.st_uid, facts.st_gid) == (stat.S_IFREG | 0o600, 0, 0)


def test_upgrade_and_reinstallation_keep_everything(machine: Machine, deb: Path, tmp_path: Path) -> None:
    machine.write("/old.deb", older(deb, tmp_path).read_bytes(), mode=0o644)
    apt(machine, "install", "/old.deb")
    configure(machine)
    before = snapshot(machine)
    for arguments in (("install",), ("install", "--reinstall")):
        apt(machine, *arguments, deb)
        assert machine.run(["dpkg-query", "-W", "-f", "${Version} ${Status}", "msmtp-agent"]).stdout == (
            f"{__version__} install ok installed"
        )
        assert changed(before, snapshot(machine)) == set()


def test_a_removal_keeps_the_secret_and_a_purge_takes_ours_alone(machine: Machine, deb: Path) -> None:
    before = snapshot(machine)
    apt(machine, "install", deb)
    configure(machine)
    for name in (*LEFTOVERS, METRICS, STAMP):
        machine.write(name, "what a killed run, or the timer's, left\n")
    machine.write("/var/lib/msmtp-config/retry", "")
    machine.write(f"{METRICS}.theirs", "another program's\n")
    apt(machine, "remove", "msmtp-agent")
    assert machine.read(SECRET) == b"canary\n"
    assert not machine.exists("/usr/bin/msmtp-config")
    assert not machine.exists("/usr/lib/python3/dist-packages/msmtp_agent")
    # Nobody keeps them true any more; what is alerted on must not stay as it was.
    assert not machine.exists(METRICS)
    apt(machine, "purge", "msmtp-agent")
    assert changed(before, snapshot(machine)) == set()
    assert not any(machine.exists(name) for name in (*LEFTOVERS, STAMP))
    assert machine.exists(f"{METRICS}.theirs")
    assert not machine.exists("/run/msmtp-config")
    assert not machine.exists("/var/lib/msmtp-config")
    assert machine.run(["dpkg-query", "-W", "msmtp-agent"]).returncode != 0


def test_a_purge_without_a_removal_before(machine: Machine, deb: Path) -> None:
    before = snapshot(machine)
    apt(machine, "install", deb)
    configure(machine)
    apt(machine, "purge", "msmtp-agent")
    assert changed(before, snapshot(machine)) == set()


def test_a_purge_follows_no_link_and_takes_no_directory(machine: Machine, deb: Path) -> None:
    apt(machine, "install", deb)
    machine.write("/etc/precious", "not ours\n")
    machine.shell(f"ln -s /etc/precious {SECRET}; mkdir {LEFTOVERS[0]}; echo x >{LEFTOVERS[0]}/file")
    apt(machine, "purge", "msmtp-agent")
    assert not machine.exists(SECRET)
    assert machine.read("/etc/precious") == b"not ours\n"
    assert machine.exists(f"{LEFTOVERS[0]}/file")
