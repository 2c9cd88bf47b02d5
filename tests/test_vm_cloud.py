"""A cloud-config in a virtual machine at its first boot: from a disk, with the password in the firmware's tables."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.package_support import package
from tests.support.archive import served, sha256
from tests.support.looked import CANARY, LOOK, SECRET, SMBIOS, TYPED, host_lines, judge
from tests.support.peer import Peer
from tests.support.vm import HOST, Guest
from tests.test_cloudconfig_boot import TRUST, USER, rendered
from tests.test_provisioning import boxes
from tests.test_vm_boot import VM_SETTINGS

pytestmark = [pytest.mark.root, pytest.mark.tree, pytest.mark.slow, pytest.mark.timeout(1800)]
# Any kind of disk does that the machine knows when systemd starts, since cloud-init looks for it that early: here
# that is without the help of an initial RAM disk.
SEED_OPTION = "-drive if=none,id=seed,file=/var/lib/seed.img,format=raw,readonly=on -device nvme,drive=seed,serial=seed"
# Only what the document asks for, since Python is slow under emulation; everything that an image brings runs in the
# boots without a virtual machine. No package comes from elsewhere: what ours depends on is there.
IMAGE = {
    "/etc/apt/sources.list": "",
    "/etc/dpkg/dpkg.cfg.d/test": "force-unsafe-io\n",
    "/etc/apt/apt.conf.d/70debconf": "",
    "/etc/cloud/cloud.cfg.d/99-test.cfg": """\
network: {config: disabled}
cloud_init_modules: [write_files]
cloud_config_modules: []
cloud_final_modules: [package_update_upgrade_install, runcmd, scripts_user]
""",
    "/etc/systemd/system/outcome.service.d/after.conf": "[Unit]\nAfter=cloud-final.service\n",
}
# Debian 12's cloud-init starts anew for each of its stages, this one without a module; Debian 13's is one process.
WITHOUT_A_STAGE = {"bookworm": {"/etc/systemd/system/cloud-config.service": ""}}
CLOUD_LOOK = f"""\
dpkg-query -W -f '${{db:Status-Status}} ${{Version}}' msmtp-agent >/outcome/installed
cp /run/cloud-init/result.json /outcome/result
cp /var/log/cloud-init-output.log /outcome/output
{LOOK}"""


def test_a_first_boot_from_a_cloud_config_ends_with_a_proven_password(suite: str, tmp_path: Path, peer: Peer) -> None:
    peer.set_users({USER: CANARY.encode()})
    directory = tmp_path / "served"
    directory.mkdir()
    deb = Path(shutil.copy(package(), directory))
    prepare, options = host_lines("smbios")
    making = boxes()["cloud-init"][1]
    with served(directory, peer.enter_argv) as url:
        reached = f"http://{HOST}:{urlsplit(url).port}/{deb.name}"
        document = rendered(tmp_path, VM_SETTINGS, "--deb-url", reached, "--deb-sha256", sha256(deb))
        with Guest(
            suite,
            tmp_path,
            network=peer.netns,
            script=CLOUD_LOOK,
            files={**IMAGE, **WITHOUT_A_STAGE.get(suite, {}), TRUST: peer.ca_file.read_text()},
            installed=False,
            options=[*options, *shlex.split(SEED_OPTION)],
            prepare="\n".join((prepare, making)),
            host_files={**TYPED, "user-data": document},
        ) as guest:
            guest.wait()
            # What `cloud-init status` reads; another start of it would take two seconds.
            result = json.loads(guest.outcome("result") or "{}")
            assert result.get("v1", {}).get("errors") == [], (result, guest.outcome("output"))
            assert (guest.outcome("installed") or "").startswith("installed ")
            assert judge(guest, peer, SMBIOS) == []
            assert guest.read(SECRET) == f"{CANARY}\n"
