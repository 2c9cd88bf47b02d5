"""The package as each distribution builds it: twice the same bytes, clean by lintian, and good on the other one too."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from msmtp_agent import __version__
from tests.package_support import SUITES
from tests.support.building import Built, build_twice
from tests.support.shared import once
from tests.support.trees import Machine

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow]

# Debian 13's knows a newer policy than Debian 12's, and each complains of the other's: the newer stands.
# stdlib-deprecation takes 18 s for the tests' modules alone; pytest turns every deprecation of Debian 13's Python into
# a failure.
_LINTIAN = {
    "bookworm": ["--suppress-tags", "newer-standards-version"],
    "trixie": ["--dont-check-part", "languages/python/stdlib-deprecation"],
}
_VARIED = "environment build_path aslr num_cpus time user_group fileordering domain_host home locales exec_path"


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """Where it is built."""
    return str(request.param)


@pytest.fixture
def built(suite: str, tmp_path: Path) -> Built:
    """The packages that this suite builds from the checkout, once for the whole run."""
    return Built(once(f"built-{suite}", lambda into: build_twice(suite, tmp_path, into)))


def test_two_builds_give_the_same_bytes(built: Built) -> None:
    """Under another time, language, umask, path, user, order of files, number of processors; from older files."""
    assert built.deb.name == built.again.name == f"msmtp-agent_{__version__}_all.deb"
    assert built.deb.read_bytes() == built.again.read_bytes()
    assert "Reproduction successful" in built.log
    (line,) = re.findall(r'INFO:reprotest:build "experiment-1": (.*)', built.log)
    for name in (*_VARIED.split(), "timezone", "umask"):
        assert f"vary {name}" in line


def test_the_source_package_is_the_checkout(built: Built) -> None:
    assert "\nFormat: 3.0 (native)\n" in "\n" + built.one("source/*.dsc").read_text()
    source = built.one("source/*.tar.xz")
    done = subprocess.run(["tar", "--list", "--file", source], capture_output=True, text=True, check=True, timeout=60)
    listed = {name.partition("/")[2] for name in done.stdout.splitlines() if not name.endswith("/")}
    assert listed == set((built.directory / "files").read_text().splitlines())


def test_lintian_is_silent(suite: str, built: Built, tmp_path: Path) -> None:
    with Machine(f"{suite}-build", tmp_path, share=[built.directory]) as machine:
        shown = ["--allow-root", "-I", "-E", "--pedantic", "--fail-on", "error,warning,info,pedantic,experimental"]
        files = [built.one("source/*.dsc"), built.deb]
        done = machine.run(["lintian", *shown, *_LINTIAN[suite], *files], timeout=240)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_nothing_is_compiled(built: Built, tmp_path: Path) -> None:
    """What blhc judges, the flags of a compiler, does not exist: no object code, one package for every architecture."""
    subprocess.run(["dpkg-deb", "--extract", built.deb, tmp_path], check=True, timeout=60)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if file.read_bytes()[:4] == b"\x7fELF"]


@pytest.mark.parametrize("where", SUITES)
def test_it_works_on_both(where: str, built: Built, tmp_path: Path) -> None:
    with Machine(where, tmp_path, share=[built.directory]) as machine:
        machine.run(["dpkg", "--install", built.deb], check=True)
        assert machine.run(["dpkg", "--verify", "msmtp-agent"], check=True).stdout == ""
        assert machine.run(["msmtp-config", "--version"], check=True).stdout == f"msmtp-config {__version__}\n"
        units = [name for name in machine.listdir("/usr/lib/systemd/system") if name.startswith("msmtp-config")]
        assert len(units) == 3
        done = machine.run(["systemd-analyze", "verify", "--man=no", *units])
        assert "msmtp-config" not in done.stderr
        machine.run(["dpkg", "--purge", "msmtp-agent"], check=True)
        assert not [name for name in machine.listdir("/usr/lib/systemd/system") if name.startswith("msmtp-config")]
        assert not os.path.lexists(machine.path("/usr/bin/msmtp-config"))
