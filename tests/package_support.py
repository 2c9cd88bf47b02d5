"""The package as scripts/build makes it, and throw-away machines that really boot with it."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.sandbox import PROJECT
from tests.support.trees import tree
from tests.support.view import SYSTEM_PATH

SUITES = ("bookworm", "trixie")
UNIT = "msmtp-config.service"
AUDIT = "msmtp-config-audit.service"
TIMER = "msmtp-config-audit.timer"
MSMTPRC = """\
defaults
auth           on
tls            on
tls_starttls   on
tls_trust_file {trust}
logfile        /var/log/msmtp.log
aliases        /etc/aliases

account        default
host           127.0.0.1
port           {port}
from           sender@example.org
user           sender@example.org
passwordeval   "cat /etc/msmtp-password"
"""
ALIASES = "root: operator@example.org\ndefault: operator@example.org\n"


def build(directory: Path) -> Path:
    """Build the package from the checkout into a directory."""
    done = subprocess.run(
        [PROJECT / "scripts/build", directory],
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@functools.cache
def package() -> Path:
    """The package under test: scripts/test has built it, or it is built once for this process."""
    given = os.environ.get("MSMTP_AGENT_DEB")
    if given:
        return Path(given)
    directory = tempfile.mkdtemp(prefix="msmtp-agent-deb-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return build(Path(directory))


# The unit has come to rest when it neither runs nor waits for its next attempt.
_OUTCOME = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=60
ExecStart=/bin/sh /outcome.sh
ExecStopPost=/bin/systemctl poweroff --no-block
"""
_OUTCOME_SCRIPT = """\
mkdir -p /outcome
{extra}
while systemctl show -p ActiveState {unit} | grep -q activating; do sleep 0.1; done
journalctl --sync
systemctl show {unit} -p ActiveState,Result,ExecMainStatus,LoadState >/outcome/show
systemctl --failed --no-legend --plain >/outcome/failed
systemctl is-enabled {unit} >/outcome/enabled 2>&1
journalctl -b --no-pager -o cat -u {unit} >/outcome/journal
touch /outcome/complete
"""

# A private /run, because nspawn leaves files there, and a control group of its own that the booted systemd may fill.
_BOOT = """
unified=$(findmnt -rn -t cgroup2 -o TARGET | head -n 1)
group=$unified/msmtp-agent-test.$$
mkdir "$group"
trap 'find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true' EXIT
(
  echo "$BASHPID" >"$group/cgroup.procs"
  exec unshare --mount --propagation private bash -euc '
    tree=$1 work=$2 package=$3 install=$4 name=$5; shift 5
    root=$work/root
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t tmpfs tmpfs /run
    mkdir "$work/upper" "$work/work" "$root"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$work/upper,workdir=$work/work" "$root"
    cp "$package" "$root/package.deb"
    mount --bind /dev/null "$root/dev/null"
    [ "$install" = 0 ] || chroot "$root" dpkg --install /package.deb
    umount "$root/dev/null"
    cd "$work/files"
    find . -type f -print | while read -r file; do install -D -m "$(stat -c %a "$file")" "$file" "$root/$file"; done
    chroot "$root" systemctl --quiet enable outcome.service
    exec systemd-nspawn --quiet --directory="$root" --machine="$name" --register=no --keep-unit --console=read-only \
      "$@" --boot
  ' bash "$@"
)
"""


class Boot:
    """A machine with the package that boots, waits until `unit` has come to rest, and powers itself off.

    It shares this machine's loopback, where the test's mail server listens, or the network namespace that is named; it
    may not change anything of the network.
    """

    def __init__(
        self,
        suite: str,
        directory: Path,
        *,
        files: Mapping[str, str] | None = None,
        credential: str | None = None,
        installed: bool = True,
        extra: str = "",
        unit: str = UNIT,
        network: Path | None = None,
    ) -> None:
        self._work = directory / f"boot-{time.monotonic_ns()}"
        self._work.mkdir()
        given = {
            "/etc/systemd/system/outcome.service": _OUTCOME + "[Install]\nWantedBy=multi-user.target\n",
            "/outcome.sh": _OUTCOME_SCRIPT.format(extra=extra, unit=unit),
            **(files or {}),
        }
        for name, text in given.items():
            file = self._work / "files" / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o600)
        options = []
        if credential is not None:
            (self._work / "credential").write_text(credential)
            options.append(f"--load-credential=msmtp.password:{self._work}/credential")
        name = f"t{os.getpid()}-{time.monotonic_ns()}"
        arguments = [tree(suite), self._work, package(), "1" if installed else "0", name, *options]
        self._console = self._work / "console"
        enter = [] if network is None else ["nsenter", f"--net={network}", "--"]
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                [*enter, "timeout", "--kill-after=10", "90", "bash", "-euc", _BOOT, "bash", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={"PATH": SYSTEM_PATH, "LC_ALL": "C"},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(30)
        shutil.rmtree(self._work, ignore_errors=True)

    def wait(self) -> Self:
        """Until it has powered itself off."""
        self._process.wait(100)
        assert self.exists("/outcome/complete"), f"no outcome:\n{self._console.read_text(errors='replace')}"
        return self

    def path(self, inside: str) -> Path:
        """Where a file that the machine has written is found from the outside, while it runs too."""
        return self._work / "upper" / inside.lstrip("/")

    def exists(self, inside: str) -> bool:
        """Whether the machine has written such a file."""
        return self.path(inside).exists()

    def outcome(self, name: str) -> str:
        """What the machine wrote down at its end: failed, journal, enabled."""
        return self.path(f"/outcome/{name}").read_text(errors="replace")

    @property
    def unit(self) -> dict[str, str]:
        """The unit's properties at the end."""
        return dict(line.split("=", 1) for line in self.outcome("show").splitlines())

    @property
    def attempts(self) -> int:
        """How often the program has run."""
        return sum(line.split()[1:2] == ["host"] for line in self.outcome("journal").splitlines())
