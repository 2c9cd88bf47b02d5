"""piuparts: installation, upgrade from the previous release and purge leave nothing behind and change no other file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.package_support import SUITES, package
from tests.support.building import older
from tests.support.trees import Machine, tree

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow]

# The machine has what we depend on: only our own package comes and goes, and nothing is asked of a network. The
# previous release is in an archive of its own, from where piuparts installs it before the upgrade. Debian 13's judges
# both; it works in memory.
_RUN = """
mkdir -p /tmp/layer/upper /tmp/layer/work /chroot
mount -t overlay overlay -o "lowerdir=$1,upperdir=/tmp/layer/upper,workdir=/tmp/layer/work" /chroot
rm -f /chroot/etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/srv/released ./' >/chroot/etc/apt/sources.list
mkdir -p /chroot/srv/released
cp "$3" /chroot/srv/released
(cd /chroot/srv/released && dpkg-scanpackages . 2>/dev/null >Packages)
exec piuparts --tmpdir /tmp --distribution "$4" --existing-chroot /chroot --keep-sources-list --no-eatmydata \
  --warn-on-usr-move fail "$2"
"""


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_is_left(suite: str, tmp_path: Path) -> None:
    old = older(package(), tmp_path)
    with Machine("trixie-build", tmp_path, share=[tree(suite), package(), old]) as machine:
        done = machine.run(["sh", "-euc", _RUN, "sh", tree(suite), package(), old, suite], timeout=300)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    assert said.rstrip().endswith("piuparts run ends.")
    for passed in ("Installation and purging test", "Installation, upgrade and purging tests", "All tests"):
        assert f"INFO: PASS: {passed}." in said
    # The upgrade was one, the checksums of everything installed were compared, and nothing was only warned of.
    assert "Unpacking msmtp-agent (0.0.1)" in said
    assert "over (0.0.1)" in said
    assert "Command ok: ['debsums', '--root'" in said
    assert "Warning: " not in said
    # Links that lead nowhere are told of; the distribution has some of its own.
    assert not [line for line in said.splitlines() if " -> " in line and "msmtp-config" in line.partition(" -> ")[0]]
