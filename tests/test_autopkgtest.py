"""The tests of debian/tests, as a distribution runs them: by its autopkgtest, on the installed package, offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.package_support import Boot, package
from tests.support.sandbox import PROJECT
from tests.support.trees import Machine, tree

TESTS = PROJECT / "debian/tests"
# The package, and what runs on it.
DEB = "/package.deb"
RUN = ["autopkgtest", "--no-built-binaries", "--output-dir=/out"]
GIVEN = [DEB, "/source/", "--"]
# Its exit status when a test was left out.
SOME_SKIPPED = 2
# All that apt knows is what the tree carries.
IMAGE = {
    "/etc/apt/sources.list": "deb [trusted=yes] file:/srv/packages ./\n",
    "/etc/apt/apt.conf.d/test": 'Acquire::Languages "none";\n',
    # No debconf in front of each installation: it asks nothing here.
    "/etc/apt/apt.conf.d/70debconf": "",
    "/etc/dpkg/dpkg.cfg.d/test": "force-unsafe-io\n",
    "/etc/hosts": "127.0.0.1 localhost\n",
}
# The testbed beside the machine that runs autopkgtest. Its upper layer stands on a tmpfs: an overlay takes no other.
TESTBED = """
    mkdir /space /testbed
    mount -t tmpfs tmpfs /space
    mkdir /space/upper /space/work
    mount -t overlay overlay -o "lowerdir=$1,upperdir=/space/upper,workdir=/space/work" /testbed
    mount -t proc proc /testbed/proc
    mount --rbind /dev /testbed/dev
    mount -t tmpfs tmpfs /testbed/run
"""
# The server "null" runs them where it runs itself, and cannot know that this is a container.
BOOTED = f"""
chmod 0755 /source/debian/tests/*
apt-get --quiet update >/outcome/log 2>&1
{" ".join([*RUN, "--ignore-restrictions=isolation-container", *GIVEN])} null >>/outcome/log 2>&1
echo $? >/outcome/status
cp /out/summary /outcome/
"""


def source() -> dict[str, Path]:
    """All of the source that the machine is given: what runs there cannot look at anything else."""
    files = [PROJECT / "debian/control", PROJECT / "debian/changelog", *TESTS.iterdir()]
    found = {f"/source/debian/{file.relative_to(PROJECT / 'debian')}": file for file in files if file.is_file()}
    # To autopkgtest, the mark of a source that has been built: it would want a compiler otherwise.
    return {**found, "/source/debian/files": Path("/dev/null")}


def verdicts(summary: str) -> dict[str, str]:
    """What became of each test."""
    return dict(line.split(maxsplit=1) for line in summary.splitlines())


def test_every_test_says_what_it_proves() -> None:
    """A comment of some sentences stands directly above each, and no executable is left out."""
    _, *paragraphs = (TESTS / "control").read_text().split("\n\n")
    named = {}
    for paragraph in paragraphs:
        lines = paragraph.splitlines()
        (name,) = (line.removeprefix("Tests: ") for line in lines if line.startswith("Tests: "))
        named[name] = [line for line in lines[: lines.index(f"Tests: {name}")] if line.startswith("# ")]
    assert named.keys() == {"smoke", "permissions", "delivery", "unit"}
    assert named.keys() == {file.name for file in TESTS.iterdir() if file.is_file() and file.stat().st_mode & 0o111}
    assert all(len(comment) >= 3 for comment in named.values()), named


@pytest.mark.root
@pytest.mark.tree
@pytest.mark.slow
def test_in_a_chroot(suite: str, tmp_path: Path) -> None:
    """All that needs no init; the unit's test says itself what it lacks."""
    lower = tree(f"{suite}-autopkgtest")
    with Machine(f"{suite}-autopkgtest", tmp_path, share=[lower]) as machine:
        machine.run(["sh", "-euc", TESTBED, "sh", lower], check=True)
        for name, text in IMAGE.items():
            machine.write(f"/testbed{name}", text, mode=0o644)
        machine.run(["chroot", "/testbed", "apt-get", "--quiet", "update"], check=True)
        machine.write(DEB, package().read_bytes(), mode=0o644)
        for name, file in source().items():
            machine.write(name, file.read_bytes(), mode=file.stat().st_mode & 0o777)
        done = machine.run([*RUN, *GIVEN, "chroot", "/testbed"], timeout=300)
        assert done.returncode == SOME_SKIPPED, done.stdout + done.stderr
        found = verdicts(machine.read("/out/summary").decode())
        assert found.pop("unit").startswith('SKIP Test restriction "isolation-container" requires'), found
        assert found == {"smoke": "PASS (superficial)", "permissions": "PASS", "delivery": "PASS"}


@pytest.mark.root
@pytest.mark.tree
@pytest.mark.slow
def test_in_a_booted_machine(suite: str, tmp_path: Path) -> None:
    """All of them, with a systemd, and with nothing but a loopback."""
    files = IMAGE | {name: file.read_text() for name, file in source().items()}
    with Machine(f"{suite}-autopkgtest", tmp_path) as alone:
        booted = Boot(
            f"{suite}-autopkgtest",
            tmp_path,
            files=files,
            installed=False,
            extra=BOOTED,
            network=Path(f"/proc/{alone.pid}/ns/net"),
        )
        with booted as machine:
            machine.wait()
            assert machine.outcome("status") == "0\n", machine.outcome("log")
            assert verdicts(machine.outcome("summary")) == {
                "smoke": "PASS (superficial)",
                "permissions": "PASS",
                "delivery": "PASS",
                "unit": "PASS",
            }
