"""Where the secret goes: to the secret file and through two pipes, and nowhere else, whatever happens.

A canary takes the secret's place. Every exec and every byte that any process hands to the kernel is recorded; what the
program prints and what it leaves behind is searched as well, also when its own functions raise with the secret in hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import interpreter
from tests.support.account import ALIASES, MSMTPRC, SECRET, USER, account
from tests.support.hostile import Hostile, Stage
from tests.support.pki import Pki
from tests.support.sandbox import PYTHON, Sandbox
from tests.support.smtpd import Smtpd
from tests.support.tracing import Canary, Recording, Sighting, strace_bytes, watch
from tests.support.view import Completed

pytestmark = pytest.mark.root

CANARY = Canary(b"CaNaRy7QxZ-93jfLwpV2")
WRONG = Canary(b"wRoNg5Kd0-TbHu61sYe8")
TEMPORARY = "/etc/.msmtp-password.msmtp-config"
TRACE = "/run/trace"
DEADLINE = 20.0


@pytest.fixture
def box(tmp_path: Path, warm: bool) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, private_tmp=True, warm=warm) as view:
        yield view


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: CANARY.secret}, cert=pki.certificate(), key=pki.key()) as smtpd:
        yield smtpd


def wire(box: Sandbox, pki: Pki, port: int) -> None:
    """An account that is ready but for its password."""
    box.write(MSMTPRC, account(port, pki.ca_file, auth="plain"))
    box.write("/etc/aliases", ALIASES, mode=0o644)


def remains(box: Sandbox, canary: Canary, *, allowed: tuple[str, ...] = ()) -> list[str]:
    """The files that the run has written and that hold the canary, or are named after it."""
    found = []
    for name in box.changed() - {TRACE, *allowed}:
        if canary.shapes_in(name.encode()) or (box.path(name).is_file() and canary.shapes_in(box.read(name))):
            found.append(name)
    return found


def assert_untold(done: Completed, canary: Canary) -> None:
    assert not canary.shapes_in(done.out), done.stdout
    assert not canary.shapes_in(done.err), done.stderr


# --- every exec and every byte


def traced(
    box: Sandbox, *options: str, secret: bytes, python: Path | str = PYTHON, canary: Canary = CANARY
) -> tuple[Completed, Recording]:
    tracer = strace_bytes(Path(TRACE))
    if python == PYTHON:
        done = box.traced(tracer, *options, stdin=secret, timeout=DEADLINE)
    else:
        argv = [*tracer, *box.agent_argv(*options, python=python)]
        done = box.run(argv, stdin=secret, timeout=DEADLINE)
    return done, watch(box.path(TRACE), canary)


def route(recording: Recording) -> list[str]:
    """The canary's way in short words; a pipe counts as the candidate's when `cat` has opened it."""

    def place(sighting: Sighting) -> str:
        if sighting.target.startswith("pipe:"):
            handed_over = sighting.descriptor > 2 and sighting.target in recording.opened["cat"]
            return "candidate's pipe" if handed_over else f"descriptor {sighting.descriptor}"
        return sighting.target

    return [
        f"{'agent' if sighting.program.startswith('python') else sighting.program} {sighting.call} {place(sighting)}"
        for sighting in recording.sightings
    ]


PRETEND = PROBE = ["agent write candidate's pipe", "cat write descriptor 1"]
STORE = [f"agent write {TEMPORARY}"]
DELIVER = ["cat write descriptor 1"]


def test_accepted(box: Sandbox, pki: Pki, server: Smtpd, typer_python: Path) -> None:
    wire(box, pki, server.port)
    done, recording = traced(box, "--password-stdin", secret=CANARY.secret, python=typer_python)
    assert done.returncode == 0, done.stderr
    assert len(server.messages) == 1
    assert route(recording) == PRETEND + PROBE + STORE + DELIVER
    assert recording.started["msmtp"] == 4
    assert_untold(done, CANARY)
    assert not CANARY.shapes_in(server.messages[0].content)
    assert not remains(box, CANARY, allowed=(SECRET,))


@pytest.mark.slow
def test_json(box: Sandbox, pki: Pki, server: Smtpd, typer_python: Path) -> None:
    wire(box, pki, server.port)
    done, recording = traced(box, "--password-stdin", "--json", secret=CANARY.secret, python=typer_python)
    assert done.returncode == 0, done.stderr
    assert route(recording) == PRETEND + PROBE + STORE + DELIVER
    assert_untold(done, CANARY)


def test_refused(box: Sandbox, pki: Pki, server: Smtpd) -> None:
    """Neither the refused password nor the stored one that it was to replace."""
    wire(box, pki, server.port)
    box.write(SECRET, CANARY.secret + b"\n")
    for options in ((), ("--json",)):
        done, recording = traced(box, "--password-stdin", *options, secret=WRONG.secret, canary=WRONG)
        assert done.returncode == 77, done.stderr
        assert route(recording) == PRETEND + PROBE
        assert route(watch(box.path(TRACE), CANARY)) == []
        assert_untold(done, WRONG)
        assert_untold(done, CANARY)
    assert not remains(box, WRONG)
    assert not remains(box, CANARY, allowed=(SECRET,))


@pytest.mark.slow
def test_token_that_is_user_and_password(box: Sandbox, pki: Pki) -> None:
    """As at Postmark. The server itself is told the user name, and nobody else."""
    token = "c0ffee41-7d0e-4f1b-9a35-5be1c0d2a9e8"
    with Smtpd(users={token: token.encode()}, cert=pki.certificate(), key=pki.key()) as smtpd:
        box.write(MSMTPRC, account(smtpd.port, pki.ca_file, user=token))
        box.write("/etc/aliases", ALIASES, mode=0o644)
        for given in (token, token + "x"):
            for form in ((), ("--json",)):
                done = box.agent("--password-stdin", *form, stdin=given.encode())
                assert done.returncode == (0 if given == token else 77), done.stderr
                assert "c0ff..." in done.stdout
                assert token not in done.stdout + done.stderr


@pytest.mark.parametrize("options", [("--offline",), ("--no-mail",)], ids=["offline", "unproven"])
def test_unproven(box: Sandbox, pki: Pki, options: tuple[str, ...]) -> None:
    """Offline, and with a server at which nobody listens."""
    wire(box, pki, 9)
    done, recording = traced(box, "--password-stdin", *options, secret=CANARY.secret)
    assert done.returncode == (0 if "--offline" in options else 75), done.stderr
    assert route(recording)[-1:] == STORE
    assert set(route(recording)) <= {*PRETEND, *STORE}
    assert_untold(done, CANARY)
    assert not remains(box, CANARY, allowed=(SECRET,))


@pytest.mark.slow
def test_second_run_writes_it_nowhere_but_to_msmtp(box: Sandbox, pki: Pki, server: Smtpd) -> None:
    wire(box, pki, server.port)
    box.write(SECRET, CANARY.secret + b"\n")
    done, recording = traced(box, "--password-stdin", secret=CANARY.secret)
    assert done.returncode == 0, done.stderr
    assert route(recording) == PRETEND + PROBE + DELIVER
    done, recording = traced(box, "test", secret=b"")
    assert done.returncode == 0, done.stderr
    assert route(recording) == DELIVER
    assert_untold(done, CANARY)


def test_credential(box: Sandbox, pki: Pki, server: Smtpd) -> None:
    wire(box, pki, server.port)
    box.shell("mkdir -m 0700 /run/credentials")
    box.write("/run/credentials/msmtp.password", CANARY.secret + b"\n", mode=0o400)
    tracer = strace_bytes(Path(TRACE))
    argv = box.agent_argv("--credential", "msmtp.password")
    done = box.run([*tracer, *argv], env={"CREDENTIALS_DIRECTORY": "/run/credentials"}, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert route(watch(box.path(TRACE), CANARY)) == PRETEND + PROBE + STORE + DELIVER
    assert_untold(done, CANARY)
    assert not remains(box, CANARY, allowed=(SECRET, "/run/credentials/msmtp.password"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "secret",
    [
        CANARY.secret + b"\n" + CANARY.secret,
        CANARY.secret + b"\0",
        b"\xef\xbb\xbf" + CANARY.secret,
        CANARY.secret + b"\xff",
        CANARY.secret * 160,
        CANARY.secret * 300,
    ],
    ids=["two lines", "NUL", "BOM", "not UTF-8", "too long", "longer than is read"],
)
def test_malformed(box: Sandbox, pki: Pki, secret: bytes) -> None:
    wire(box, pki, 9)
    for options in ((), ("--json",)):
        done, recording = traced(box, "--password-stdin", *options, secret=secret)
        assert done.returncode == 65, done.stderr
        assert route(recording) == []
        assert_untold(done, CANARY)


def test_secret_file_of_wrong_rights_is_repaired_without_a_copy(box: Sandbox, pki: Pki) -> None:
    wire(box, pki, 9)
    box.write(SECRET, CANARY.secret + b"\n", mode=0o644)
    done, recording = traced(box, "--password-stdin", "--offline", "--fix", secret=CANARY.secret)
    assert done.returncode == 0, done.stderr
    assert route(recording) == STORE + PRETEND
    assert_untold(done, CANARY)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('exec true "$(cat)"', "true: execve"),
        ("X=$(cat) exec true", "true: execve"),
        ("cat >/tmp/copy", "cat: write to 1 /tmp/copy"),
        ("base64 -w0 >/tmp/copy", "base64: write to 1 /tmp/copy"),
        ("exec head -c 12", "head: write to 1 pipe:"),
        ('ln -s "$(cat)" /tmp/link', "ln: "),
        ('(exec 2>/dev/null; cd /tmp; : >"$(rev)")', "openat"),
        ("xxd -p >/tmp/copy || od -An -v -tx1 | tr -d ' \\n' >/tmp/copy", "/tmp/copy"),
    ],
    ids=["argv", "environment", "file", "base64", "a part", "link", "file name, backwards", "hexadecimal"],
)
def test_tracer_catches_a_program_that_leaks(box: Sandbox, script: str, expected: str) -> None:
    """The control: each of these would be seen."""
    box.run([*strace_bytes(Path(TRACE)), "sh", "-c", script], stdin=CANARY.secret, timeout=DEADLINE)
    seen = [str(sighting) for sighting in watch(box.path(TRACE), CANARY).sightings]
    assert any(expected in line for line in seen), seen


# --- a server that repeats what it was told


def echoes() -> bytes:
    """All that a server can make of the secret, in the text of its reply."""
    plain = b64encode(b"\0" + USER.encode() + b"\0" + CANARY.secret)
    return b" ".join((CANARY.secret, b64encode(CANARY.secret), b"AUTH PLAIN", plain))


def assert_unrepeated(box: Sandbox, done: Completed, server: Hostile, code: bytes) -> None:
    assert server.stage in server.reached
    assert code.decode() in done.stdout + done.stderr, "the reply is shown at all"
    assert_untold(done, CANARY)
    # msmtp's own log of a delivery holds what the server says; the probe is never logged.
    logged = ("/var/log/msmtp.log",) if server.stage != "auth" else ()
    assert not remains(box, CANARY, allowed=(SECRET, *logged))


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ("auth", b"535"),
        ("auth", b"454"),
        ("mail", b"553"),
        ("rcpt", b"550"),
        ("rcpt", b"450"),
        ("data", b"554"),
        ("end", b"554"),
        ("end", b"250"),
    ],
)
def test_server_that_echoes_the_secret(
    box: Sandbox, pki: Pki, stage: Stage, code: bytes, options: tuple[str, ...]
) -> None:
    """At each stage of the probe, and of the delivery behind it."""
    reply = code + b"-first " + echoes() + b"\r\n" + code + b" " + echoes() + b"\r\n"
    with Hostile(stage, reply=reply, cert=pki.certificate(), key=pki.key()) as server:
        wire(box, pki, server.port)
        done = box.agent("--password-stdin", *options, stdin=CANARY.secret, timeout=DEADLINE)
        assert_unrepeated(box, done, server, code)
    assert box.exists(SECRET) == (stage != "auth" or code == b"454")


@pytest.mark.parametrize(("stage", "code"), [("auth", b"535"), ("rcpt", b"550"), ("end", b"250")])
def test_server_that_echoes_the_stored_secret(box: Sandbox, pki: Pki, stage: Stage, code: bytes) -> None:
    """The verb `test` asks for no secret, and msmtp sends the one that is installed."""
    with Hostile(stage, reply=code + b" " + echoes() + b"\r\n", cert=pki.certificate(), key=pki.key()) as server:
        wire(box, pki, server.port)
        box.write(SECRET, CANARY.secret + b"\n")
        done = box.agent("test", timeout=DEADLINE)
        assert server.stage in server.reached
        assert code.decode() in done.stdout + done.stderr
        assert_untold(done, CANARY)


# --- an internal call that raises


# Deep in the workflow, and in what Typer calls: on each release of it. The other functions raise on one alone.
SOME = ("files._write", "sources.choose")
ERRORS = ("ValueError", "UnicodeDecodeError", "SystemExit", "KeyboardInterrupt", "MemoryError", "OSError")
# What ends with another status than 70.
STATUSES = {"KeyboardInterrupt": (130,), "SystemExit": (74,), "OSError": (73, 74)}
# Puts one function of the package in the place of another, wherever its name is bound, and then is msmtp-config: in a
# child for each case, since starting Python anew would take most of the time. The canary stands here in a shape that is
# not looked for: it is the test's, not the program's.
_WRAPPER = """\
import gc, importlib, inspect, json, os, pkgutil, sys
import jsonschema, ssl, subprocess, yaml
import msmtp_agent
from msmtp_agent.cli import main

SECRET = bytes(byte ^ 255 for byte in {hidden!r})
PATHS = {paths!r}
modules = [
    importlib.import_module(module.name)
    for module in pkgutil.walk_packages(msmtp_agent.__path__, "msmtp_agent.")
    if module.name != "msmtp_agent.__main__"
]


def functions():
    for module in modules:
        for name, value in vars(module).items():
            if getattr(value, "__module__", "") != module.__name__:
                continue
            if inspect.isfunction(value) and name != "main":
                yield module, None, name
            elif inspect.isclass(value) and not issubclass(value, (Exception, BaseException)):
                for method, body in vars(value).items():
                    if inspect.isfunction(body) and not method.startswith("__"):
                        yield module, value, method


def label(module, owner, name):
    return ".".join((module.__name__.removeprefix("msmtp_agent."), *([owner.__name__] if owner else []), name))


def code(function):
    function = inspect.unwrap(function).__code__
    return function.co_filename, function.co_firstlineno


# In a child, as every case: which functions the job calls when nothing raises.
def record():
    called = set()
    sys.setprofile(lambda frame, event, _: called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno)))
    try:
        main()
    finally:
        sys.setprofile(None)
        with open(PATHS["raised"], "w") as file:
            json.dump(sorted(called), file)
    os._exit(0)


def patch(place, error):
    def raising(*arguments, **named):
        text = SECRET.decode()
        open(PATHS["raised"], "w").close()
        if error == "UnicodeDecodeError":
            raise UnicodeDecodeError("utf-8", SECRET, 0, len(SECRET), text)
        if error == "OSError":
            raise OSError(5, "Input/output error", text)
        raise getattr(__builtins__, error)(text, SECRET) from ValueError(text)

    module, owner, name = place
    if owner:
        setattr(owner, name, raising)
        return
    original = getattr(module, name)
    for holder in modules:
        if getattr(holder, name, None) is original:
            setattr(holder, name, raising)


def child(options, action):
    reader, writer = os.pipe()
    os.write(writer, SECRET)
    os.close(writer)
    os.dup2(reader, 0)
    for descriptor, path in ((1, PATHS["out"]), (2, PATHS["err"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv[:] = ["msmtp-config", "--password-stdin", *options]
    action()
    try:
        sys.exit(main())
    except SystemExit as ended:
        # All that can be seen of an end is done; to take Python apart would cost as much as the run.
        if not isinstance(ended.code, int):
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended.code & 0xFF)


def job(options, action):
    pid = os.fork()
    if not pid:
        child(options, action)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, {{name: take(path) for name, path in PATHS.items()}}


def take(path):
    if not os.path.lexists(path):
        return None
    with open(path, errors="replace") as file:
        content = file.read()
    os.unlink(path)
    return content


wanted, errors, options = (json.loads(word) for word in sys.argv[1:])
gc.freeze()
called = set(map(tuple, json.loads(job(options, record)[1]["raised"])))
results = []
for place in functions():
    module, owner, name = place
    if label(*place) not in wanted and (wanted or code(getattr(owner or module, name)) not in called):
        continue
    for error in errors:
        status, found = job(options, lambda: patch(place, error))
        results.append({{"target": label(*place), "error": error, "status": status, **found}})
json.dump(results, sys.stdout)
"""


def raise_everywhere(
    box: Sandbox,
    tmp_path: Path,
    python: Path | str,
    *,
    targets: tuple[str, ...] = (),
    errors: tuple[str, ...] = ("RuntimeError",),
    options: tuple[str, ...] = (),
    unless: tuple[str, ...] = (),
) -> int:
    """Let each function raise (all without `targets`, but not `unless`), and look at what is seen of it.

    Returns how many were reached.
    """
    paths = {"raised": "/run/raised", "out": "/run/out", "err": "/run/err", "secret": SECRET, "leftover": TEMPORARY}
    wrapper = tmp_path / "wrapper.py"
    hidden = bytes(byte ^ 255 for byte in CANARY.secret)
    wrapper.write_text(_WRAPPER.format(hidden=hidden, paths=paths))
    argv = [python, wrapper, *(json.dumps(words) for words in (targets, errors, options))]
    results = json.loads(box.run(argv, check=True, timeout=100).stdout)
    assert {result["target"] for result in results} >= set(targets)
    reached = [result for result in results if result["raised"] is not None]
    wrong = [fault for result in reached if result["target"] not in unless and (fault := _told(result))]
    assert not wrong, "\n\n".join(wrong)
    assert not remains(box, CANARY)
    wait_until(lambda: not box.leftovers())
    return len(reached)


def _told(result: dict[str, Any]) -> str:
    """What is wrong with this end of the program, "" for nothing."""
    error, err, out = result["error"], result["err"].strip(), result["out"]
    faults = {
        "the secret is told": CANARY.shapes_in((out + err).encode()),
        "a traceback": "Traceback" in err,
        "an empty stage has passed": re.search(r"^passed +\w+ *$", out, re.MULTILINE),
        "more than one error": err.count("msmtp-config: ") > 1 + err.count("msmtp-config: warning: "),
        "exit status": result["status"] not in (70, *STATUSES.get(error, ())),
        "a leftover": result["leftover"] is not None,
    }
    told = [name for name, fault in faults.items() if fault]
    return f"{result['target']}, {error}, exit {result['status']}: {told}\n{out}{err}" if told else ""


@pytest.mark.slow
def test_every_function_that_raises(box: Sandbox, pki: Pki, server: Smtpd, tmp_path: Path) -> None:
    wire(box, pki, server.port)
    assert raise_everywhere(box, tmp_path, interpreter("system")) >= 80


@pytest.mark.slow
def test_every_function_that_raises_under_json(box: Sandbox, pki: Pki, tmp_path: Path) -> None:
    wire(box, pki, 9)
    assert raise_everywhere(box, tmp_path, interpreter("system"), options=("--json", "--offline")) >= 60


@pytest.mark.slow
def test_every_function_that_raises_while_a_refusal_is_explained(box: Sandbox, pki: Pki, tmp_path: Path) -> None:
    with Hostile("auth", "refuse", cert=pki.certificate(), key=pki.key()) as refusing:
        wire(box, pki, refusing.port)
        # These tell the refusal, or come after it is told.
        unless = ("journal.Entry.fail", "journal.exit_code", "render.diagnosis", "render.steps")
        assert raise_everywhere(box, tmp_path, interpreter("system"), unless=unless) >= 100


@pytest.mark.slow
def test_error_of_any_kind(box: Sandbox, pki: Pki, server: Smtpd, tmp_path: Path, typer_python: Path) -> None:
    wire(box, pki, server.port)
    reached = raise_everywhere(box, tmp_path, typer_python, targets=SOME, errors=ERRORS)
    assert reached == len(SOME) * len(ERRORS)


# --- core files


@contextlib.contextmanager
def in_the_probe(box: Sandbox, pki: Pki) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program and its msmtp, both with the secret in memory, waiting for a server; core files are unlimited."""
    with Hostile("auth", "hang", cert=pki.certificate(), key=pki.key()) as server:
        wire(box, pki, server.port)
        agent = " ".join(map(shlex.quote, box.agent_argv("--password-stdin")))
        process = box.popen(["sh", "-c", f"ulimit -c unlimited; exec {agent}"], cwd="/run/cores")
        assert process.stdin is not None
        process.stdin.write(CANARY.secret)
        process.stdin.close()
        process.stdin = None
        wait_until(lambda: "auth" in server.reached)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 1
        yield process, int(children[0])


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def core_limit(pid: int) -> str:
    limits = Path(f"/proc/{pid}/limits").read_text()
    return next(line for line in limits.splitlines() if line.startswith("Max core file size"))


def cores() -> set[str]:
    """What msmtp, whose directory is the root, would leave there."""
    return {name for name in os.listdir("/") if name.startswith("core")}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT])
@pytest.mark.parametrize("victim", ["agent", "msmtp"])
def test_no_core_file(box: Sandbox, pki: Pki, victim: str, number: signal.Signals) -> None:
    box.shell("mkdir -m 0777 /run/cores")
    before = cores()
    with in_the_probe(box, pki) as (process, child):
        for pid in (process.pid, child):
            # 0 forbids a file, 1 also what the kernel would pipe to a program, whatever this machine's pattern is.
            assert core_limit(pid).split()[4:6] == ["1", "1"]
        os.kill(process.pid if victim == "agent" else child, number)
        out, err = process.communicate(timeout=DEADLINE)
        # SIGQUIT ends the program in an orderly way.
        died = 131 if number == signal.SIGQUIT else -number
        assert process.returncode == (died if victim == "agent" else 70), err
        assert not CANARY.shapes_in(out + err)
        if victim == "agent" and number != signal.SIGQUIT:
            os.kill(child, number)
    wait_until(lambda: not box.leftovers())
    assert box.listdir("/run/cores") == []
    assert cores() == before


def test_this_machine_would_write_a_core_file(box: Sandbox) -> None:
    """The control for the tests above: without our limit a core file appears where they look."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    box.shell("mkdir -m 0777 /run/cores")
    script = f"ulimit -c unlimited; {shlex.quote(sys.executable)} -c 'import os; os.abort()'"
    done = box.run(["sh", "-c", script], cwd="/run/cores", timeout=DEADLINE)
    assert done.returncode in (-signal.SIGABRT, 128 + signal.SIGABRT)
    # A pattern with a slash or a pipe puts it elsewhere: there the limits that are read above are the whole proof.
    assert pattern.startswith(("|", "/")) or len(box.listdir("/run/cores")) == 1
