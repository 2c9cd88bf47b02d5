"""How fast the program is, in ratios: each against what nobody could leave out, measured side by side (scripts/bench).

The package is installed in a throw-away copy of a root tree, where scripts/bench_meter.py runs everything; the SMTP
server runs here, outside of what is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench_meter import DECODED

from tests.support.roots import Root
from tests.support.smtpd import Smtpd
from tests.support.trees import Machine

SUITES = ("bookworm", "trixie")
ROOTS = 1000  # images in one run
METER = Path(__file__).resolve().with_name("bench_meter.py")
USER, PASSWORD = "alerts@example.test", b"correct horse\\battery"
MSMTPRC = """\
defaults
auth           on
tls            on
tls_trust_file /etc/ssl/certs/bench.pem
logfile        /var/log/msmtp.log
aliases        /etc/aliases

account        default
host           127.0.0.1
port           {port}
from           {user}
user           {user}
passwordeval   "cat /etc/msmtp-password"
"""
# As long as the longest of the fragment's examples, and with what costs the most: every kind of value.
SETTINGS = """\
smtp:
  host: smtp.example.com
  port: "587"
  from_email: alerts@example.com
  user: alerts@example.com
  recipient: admin@example.com, root@example.org
  tls_starttls: true
  tls_trust_file: /etc/ssl/certs/ca-certificates.crt
  auth_method: plain
  set_from_header: auto
  log: file
"""
# What the machine calls itself, and what matters of it here.
NAME = """\
. /etc/os-release
printf '%s' "$PRETTY_NAME"
dpkg-query --show --showformat ', ${Package} ${Version}' python3 python3-typer msmtp
"""

Samples = dict[str, list[tuple[float, int]]]
TYPER = "import typer"
OFFLINE_RUNS = ("msmtp version", "msmtp pretend")
ALL_RUNS = (*OFFLINE_RUNS, "msmtp probe", "msmtp send")


class Row(NamedTuple):
    """One line of the table: what was measured, and what it is measured against."""

    what: str
    measured: float
    against: float
    unit: str
    target: float

    def __str__(self) -> str:
        ratio = self.measured / self.against
        verdict = "met" if ratio <= self.target else "missed"
        figures = f"{self.measured:8.1f} {self.against:8.1f} {self.unit:<3} {ratio:6.2f} {self.target:6.2f}"
        return f"  {self.what:<62}{figures}  {verdict}"


HEADER = f"  {'':<62}{'this':>8} {'against':>8}     {'ratio':>6} {'target':>6}"


def _milliseconds(samples: Samples, *names: str, less: tuple[str, ...] = ()) -> float:
    """The median over the rounds of what the named programs took together, without what those of `less` took."""

    def took(some: tuple[str, ...], number: int) -> float:
        return sum(samples[name][number][0] for name in some)

    return 1000 * median(took(names, number) - took(less, number) for number in range(len(samples[TYPER])))


def _mebibytes(samples: Samples, name: str) -> float:
    return median(kibibytes for _, kibibytes in samples[name]) / 1024


def _each_root(samples: Samples) -> float:
    """Milliseconds that one root more costs in a run of many."""
    many, few = (median(seconds for seconds, _ in samples[f"audit {name}"]) for name in ("all roots", "10 roots"))
    return 1000 * (many - few) / (ROOTS - 10)


def _each_outcome(samples: Samples) -> float:
    """Milliseconds of decoding one outcome."""
    many, none = (_milliseconds(samples, f"decode {name}") for name in ("many", "none"))
    return (many - none) / DECODED


def _rows(samples: Samples) -> list[Row]:
    typer = _milliseconds(samples, TYPER)
    version = _milliseconds(samples, "version")
    offline = _milliseconds(samples, "offline", less=OFFLINE_RUNS)
    whole, parts = _milliseconds(samples, "whole"), _milliseconds(samples, TYPER, *ALL_RUNS)
    memory, typer_memory = _mebibytes(samples, "whole"), _mebibytes(samples, TYPER)
    both = _milliseconds(samples, "import typer, yaml")
    many, few = _mebibytes(samples, "audit all roots"), _mebibytes(samples, "audit 10 roots")
    return [
        Row("msmtp-config --version : import typer", version, typer, "ms", 0.75),
        Row("job with --offline, less its 2 runs of msmtp : import typer", offline, typer, "ms", 0.9),
        Row("whole job : its 4 runs of msmtp + import typer", whole, parts, "ms", 1.25),
        Row("whole job, peak memory : import typer", memory, typer_memory, "MiB", 1.3),
        Row("audit : import typer", _milliseconds(samples, "audit text"), typer, "ms", 1.1),
        Row("audit --format json : import typer", _milliseconds(samples, "audit json"), typer, "ms", 0.85),
        Row(f"audit, each of {ROOTS} roots : 3 ms", _each_root(samples), 3.0, "ms", 1.0),
        Row("providers : 0.9 x import typer + 10 ms", _milliseconds(samples, "providers"), 0.9 * typer + 10, "ms", 1.0),
        Row("render : import typer + import yaml", _milliseconds(samples, "render"), both, "ms", 1.3),
        Row("decoding one outcome : 1 ms", _each_outcome(samples), 1.0, "ms", 1.0),
        Row(f"audit, peak memory of {ROOTS} roots : of 10", many, few, "MiB", 1.1),
    ]


def _each(samples: Samples) -> Iterator[str]:
    """A line for each program by itself; no memory, of which the meter's own is the least that can be seen."""
    for name, taken in samples.items():
        yield f"    {name:<16}{1000 * median(seconds for seconds, _ in taken):8.1f} ms"


@contextmanager
def _server(work: Path) -> Iterator[tuple[Smtpd, Path]]:
    """An SMTP server with TLS and AUTH on loopback, and the certificate to trust."""
    certificate, key = work / "server.pem", work / "server.key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    done = subprocess.run(
        [*command.split(), *names, "-keyout", key, "-out", certificate],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise RuntimeError(f"openssl: exit status {done.returncode}\n{done.stderr}")
    with Smtpd({USER: PASSWORD}, cert=certificate, key=key) as server:
        yield server, certificate


def _make_roots(machine: Machine) -> None:
    """Images on which the audit finds nothing, each with files of its own."""
    machine.shell("mkdir -p /srv/roots")
    Root(machine.path("/srv/roots/0000")).good()
    copies = f"for n in $(seq -w 1 {ROOTS - 1}); do cp -a /srv/roots/0000 /srv/roots/$n; done"
    machine.shell(copies, timeout=120)


def _measure(suite: str, package: Path, rounds: int, work: Path) -> tuple[str, Samples]:
    """What the machine is, and the samples of every program."""
    with (
        _server(work) as (server, certificate),
        Machine(suite, work, network="host", share=[package, METER]) as machine,
    ):
        machine.run(["dpkg", "--install", package], check=True)
        machine.write("/etc/msmtprc", MSMTPRC.format(port=server.port, user=USER))
        machine.write("/etc/aliases", "root: admin@example.test\n", mode=0o644)
        machine.write("/srv/smtp.config.yaml", SETTINGS)
        machine.write("/etc/ssl/certs/bench.pem", certificate.read_bytes(), mode=0o644)
        _make_roots(machine)
        argv: list[str | Path] = ["/usr/bin/python3", METER, "--rounds", str(rounds)]
        done = machine.run(argv, stdin=PASSWORD, timeout=60 + 20 * rounds)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        # Two mails in each round, and one round more than is counted: nothing that was measured has failed unseen.
        if len(server.messages) != 2 * (rounds + 1):
            raise RuntimeError(f"{len(server.messages)} mails have arrived, expected {2 * (rounds + 1)}")
        return machine.shell(NAME).stdout, json.loads(done.stdout)


def main() -> None:
    """Measure each distribution, and print its table; the exit status says whether it could."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("package", type=Path, help="the .deb")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="samples of each program (20)")
    parser.add_argument("--suite", choices=SUITES, action="append", help="one distribution only")
    arguments = parser.parse_args()
    for suite in arguments.suite or SUITES:
        try:
            with tempfile.TemporaryDirectory(prefix="msmtp-agent-bench-") as work:
                machine, samples = _measure(suite, arguments.package.resolve(), arguments.rounds, Path(work))
        except (RuntimeError, AssertionError, OSError, subprocess.TimeoutExpired) as error:
            sys.exit(f"bench: {suite}: could not be measured: {error}")
        print(f"\n{machine}; medians of {arguments.rounds}\n{HEADER}")
        print(*_rows(samples), "  each by itself:", *_each(samples), sep="\n", flush=True)


if __name__ == "__main__":
    main()
