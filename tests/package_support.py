"""The package as scripts/build makes it, and throw-away machines that really boot with it."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.outside import run
from tests.support.sandbox import PROJECT
from tests.support.shared import once
from tests.support.trees import tree
from tests.support.view import SYSTEM_PATH

# scripts/sid names another.
SUITES = tuple(os.environ.get("MSMTP_AGENT_SUITES", "bookworm trixie").split())
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
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


@functools.cache
def package() -> Path:
    """The package under test: scripts/test has built it, or it is built once for this run."""
    given = os.environ.get("MSMTP_AGENT_DEB")
    if given:
        return Path(given)
    (built,) = once("package", build).glob("*.deb")
    return built


# The package goes into a layer of its own, once, and every machine of the run is laid over it.
_INSTALL = """
    tree=$1 layer=$2 package=$3
    work=$layer.work root=$layer.root
    mkdir "$layer" "$work" "$root"
    mount -t overlay overlay -o "lowerdir=$tree,upperdir=$layer,workdir=$work" "$root"
    cp "$package" "$root/package.deb"
    mount --bind /dev/null "$root/dev/null"
    chroot "$root" dpkg --force-unsafe-io --install /package.deb >&2
    umount "$root/dev/null"
"""


@functools.cache
def installed_layer(name: str) -> Path:
    """What the package under test adds to a tree, as a directory to be laid over it; never written to."""
    return once(f"installed-{name}", lambda layer: _install(name, layer))


def _install(name: str, layer: Path) -> None:
    enter = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", _INSTALL, "sh"]
    run(*enter, tree(name), layer, package())


_OUTCOME = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec={seconds}
ExecStart=/bin/sh /outcome.sh
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
"""
# A unit has come to rest when it neither runs nor waits for its next attempt.
_OUTCOME_SCRIPT = """\
rm -rf /outcome
mkdir -p /outcome
rest() {{
    pause=0.1
    while case $(systemctl show -p ActiveState "$1") in *activating) ;; *) false ;; esac; do
        sleep "$pause"
        pause=0.5
    done
}}
record() {{
    journalctl --sync
    systemctl show "$2" -p ActiveState,Result,ExecMainStatus,LoadState,ConditionResult,NRestarts >"/outcome/$1show"
    journalctl -b --no-pager -o cat ${{1:+--cursor-file=/run/recorded}} -u "$2" >"/outcome/$1journal"
}}
{extra}
rest {unit}
record '' {unit}
systemctl --failed --no-legend --plain >/outcome/failed
systemctl is-enabled {unit} >/outcome/enabled 2>&1
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
    lower=$1 work=$2 package=$3 name=$4; shift 4
    root=$work/root
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t tmpfs tmpfs /run
    mkdir -p "$work/upper" "$work/work" "$root"
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$work/upper,workdir=$work/work" "$root"
    cp "$package" "$root/package.deb"
    cd "$work/files"
    find . -type f | tar --create --files-from=- | tar --extract --same-permissions --directory="$root"
    chroot "$root" systemctl --quiet enable outcome.service
    exec systemd-nspawn --quiet --directory="$root" --machine="$name" --register=no --keep-unit --console=read-only \
      "$@" --boot
  ' bash "$@"
)
"""


class Boot:
    """A machine with the package that boots, waits until `unit` has come to rest, and powers itself off.

    It shares this machine's loopback, where the test's mail server listens, or the network namespace that is named; it
    may not change anything of the network. `extra` is shell that runs when everything has been started: `rest UNIT`
    waits for a unit, `record NAME- UNIT` writes down its state, and its journal since the last record.
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
        seconds: int = 240,
        options: Sequence[str] = (),
    ) -> None:
        self._work = directory / f"boot-{time.monotonic_ns()}"
        self._work.mkdir()
        self._layers = [installed_layer(suite), tree(suite)] if installed else [tree(suite)]
        self._unit = unit
        self._network = network
        self._seconds = seconds
        self._options = options
        self._console = self._work / "console"
        self._start(
            {"/etc/systemd/system/outcome.service": _OUTCOME.format(seconds=seconds), **(files or {})},
            extra,
            credential,
        )

    def again(self, *, files: Mapping[str, str] | None = None, credential: str | None = None, extra: str = "") -> Self:
        """Boot the same machine once more: its disk is what it was when it powered itself off."""
        self.wait()
        shutil.rmtree(self._work / "files")
        self._start(files or {}, extra, credential)
        return self

    def _start(self, files: Mapping[str, str], extra: str, credential: str | None) -> None:
        shutil.rmtree(self._work / "upper/outcome", ignore_errors=True)
        for name, text in {"/outcome.sh": _OUTCOME_SCRIPT.format(extra=extra, unit=self._unit), **files}.items():
            file = self._work / "files" / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o600)
        options = [*self._options]
        if credential is not None:
            (self._work / "credential").write_text(credential)
            options.append(f"--load-credential=msmtp.password:{self._work}/credential")
        name = f"t{os.getpid()}-{time.monotonic_ns()}"
        lower = ":".join(map(str, self._layers))
        enter = [] if self._network is None else ["nsenter", f"--net={self._network}", "--"]
        limit = ["timeout", "--kill-after=10", str(self._seconds + 30)]
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                [*enter, *limit, "bash", "-euc", _BOOT, "bash", lower, self._work, package(), name, *options],
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
        self._process.wait(self._seconds + 45)
        assert self.exists("/outcome/complete"), f"no outcome:\n{self._console.read_text(errors='replace')}"
        return self

    def path(self, inside: str) -> Path:
        """Where a file that the machine has written is found from the outside, while it runs too."""
        return self._work / "upper" / inside.lstrip("/")

    def exists(self, inside: str) -> bool:
        """Whether the machine has such a file: one that it wrote, or one of the layers below that it did not remove."""
        for top in (self._work / "upper", *self._layers):
            place = top / inside.lstrip("/")
            for part in (*reversed(place.relative_to(top).parents), place.relative_to(top)):
                try:
                    facts = (top / part).lstat()
                except FileNotFoundError:
                    break
                if stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0:  # overlayfs: removed here
                    return False
            else:
                return True
        return False

    def outcome(self, name: str) -> str:
        """What the machine wrote down at its end: failed, journal, enabled."""
        return self.path(f"/outcome/{name}").read_text(errors="replace")

    def state(self, case: str = "") -> dict[str, str]:
        """The unit's properties at the end, or as they were recorded under a name."""
        return dict(line.split("=", 1) for line in self.outcome(f"{case}show").splitlines())

    @property
    def unit(self) -> dict[str, str]:
        """The unit's properties at the end."""
        return self.state()

    @property
    def attempts(self) -> int:
        """How often the program has run in this boot."""
        return sum(line.split()[1:2] == ["host"] for line in self.outcome("journal").splitlines())
