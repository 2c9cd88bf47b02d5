"""A run that is forked is the run that is started: same words, same status, same surroundings, never outside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.account import ALIASES, MSMTPRC, SECRET, account
from tests.support.applying import FILE, settings
from tests.support.hostile import Hostile
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, PYTHON, Sandbox
from tests.support.tracing import parse, strace
from tests.support.warm import Run, Warm

pytestmark = pytest.mark.root

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--version",),
    ("--help",),
    ("audit", "--help"),
    ("--no-such-option",),
    ("providers", "--json"),
    ("--password-stdin", "--offline"),
    ("--password-stdin", "--offline", "--json"),
    ("apply", FILE, "--dry-run"),
    ("render", FILE),
    ("audit", "--list"),
)
# In the place of the program: what a process has of its own.
SURROUNDINGS = """
import json, os, resource, signal, sys
def main():
    fds = sorted(os.readlink(f"/proc/self/fd/{n}").partition(":")[0] for n in os.listdir("/proc/self/fd") if int(n) < 3)
    print(json.dumps({
        "fds": fds, "count": sum(os.path.exists(f"/proc/self/fd/{n}") for n in range(3, 64)),
        "argv": sys.argv[1:], "name": __name__, "cwd": os.getcwd(), "leader": os.getsid(0) == os.getpid(),
        "environment": {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
        "umask": os.umask(0o077), "core": resource.getrlimit(resource.RLIMIT_CORE),
        "ignored": sorted(map(str, (n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN))),
        "blocked": sorted(map(str, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "read": sys.stdin.read(),
        "streams": [[s.encoding, s.errors, s.line_buffering, s.newlines] for s in (sys.stdin, sys.stdout, sys.stderr)],
        "network": os.readlink("/proc/self/ns/net"), "files": os.readlink("/proc/self/ns/mnt"),
        "rich": "rich" in sys.modules,
    }))
    sys.stderr.write("told")
    return 3
"""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, network="none", warm=True) as view:
        view.write(FILE, settings(9))
        view.write(MSMTPRC, account(9, Path("/etc/ssl/certs/ca-certificates.crt")))
        view.write("/etc/aliases", ALIASES, mode=0o644)
        yield view


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_same_words_and_the_same_status(box: Sandbox, command: tuple[str, ...]) -> None:
    seen = []
    for warm in (True, False):
        box.warm = warm
        box.path(SECRET).unlink(missing_ok=True)
        done = box.agent(*command, stdin=b"correct horse")
        words = re.sub(rb"\d{4}-\d\d-\d\dT\d{6}Z", b"TIME", done.out)
        seen.append((done.returncode, words, done.err, box.exists(SECRET)))
    assert seen[0] == seen[1]


def test_the_same_surroundings(tmp_path: Path) -> None:
    """A stand-in for the package tells them."""
    package = tmp_path / "stand-in/msmtp_agent"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(SURROUNDINGS)
    (package / "__main__.py").write_text("import sys\nfrom .cli import main\n" + "sys.exit(main())\n")
    origin = Warm(PYTHON, package.parent)
    with Sandbox(tmp_path, network="none") as box:
        environment = box.environment({"PYTHONPATH": str(package.parent), "EXTRA": "x", "PYTHONHASHSEED": "0"})
        places = {kind: f"/proc/{box.pid}/ns/{kind}" for kind in ("mnt", "net")}
        started = box.run([PYTHON, "-m", "msmtp_agent", "a", "b"], stdin=b"given", env=environment)
        argv = [str(package / "__main__.py"), "a", "b"]
        with Run(origin, argv, stdin=b"given", env=environment, timeout=30, **places) as run:
            run.go()
            status, out, err, _ = run.finish(box.kill_session)
    assert (status, err) == (started.returncode, started.err) == (3, b"told")
    assert json.loads(out) == json.loads(started.out)
    assert json.loads(out)["count"] == 0
    origin.close()


def test_no_line_of_the_program_runs_outside(box: Sandbox) -> None:
    namespace = f"/proc/{box.pid}/ns/mnt"
    box.close()
    assert not Path(namespace).exists()
    with pytest.raises(RuntimeError, match="was to be inside"):
        box.agent("--version")


def test_the_end_at_the_deadline(box: Sandbox, pki: Pki) -> None:
    box.write(MSMTPRC, account(9, pki.ca_file, passwordeval="sleep 600"))
    with pytest.raises(subprocess.TimeoutExpired):
        box.agent("test", timeout=2)
    deadline = time.monotonic() + 10
    while box.leftovers():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_tracer_sees_it_from_its_first_line(box: Sandbox, tmp_path: Path) -> None:
    output = tmp_path / "trace"
    done = box.traced(strace(output, "-e", "trace=write"), "--version")
    assert done.returncode == 0
    assert [call.arguments for call in parse(output).calls if call.descriptor == 1] == [
        f'1, "{done.stdout.strip()}\\n", {len(done.out)}'
    ]
    fault = ("-e", "inject=write:signal=KILL:when=1")
    assert box.traced(strace(output, "-e", "trace=write", *fault), "--version").returncode == -9


def test_two_at_once(box: Sandbox, pki: Pki) -> None:
    """A run that waits holds up no other."""
    with Hostile(cert=pki.certificate(), key=pki.key()):
        first = box.begin("--version")
        with first, box.begin("--version") as second:
            second.go()
            assert second.finish(box.kill_session)[0] == 0
            first.go()
            assert first.finish(box.kill_session)[0] == 0


def test_what_decides_the_start_starts_it(box: Sandbox) -> None:
    """An environment that Python itself reads when it starts, and another interpreter: those are no forks."""
    assert "import time:" in box.agent("--version", env={"PYTHONPROFILEIMPORTTIME": "1"}).stderr
    done = box.agent("--version", python=sys.executable)
    assert done.argv[0] == sys.executable
    assert str(PROJECT) in box.environment()["PYTHONPATH"]
