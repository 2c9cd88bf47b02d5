"""The tests' own tools: what the other tests rely on without looking."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from tests.support.holder import Holder
from tests.support.pace import within
from tests.support.peer import MECHANISMS, Peer
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.trees import Machine, tree

pytestmark = [pytest.mark.root, pytest.mark.slow]
ME = "me@example.test"


def msmtprc(peer: Peer, port: str = "starttls", **changes: str) -> str:
    """An msmtprc for the peer; a change to "" drops the line."""
    lines = {
        "account": "default",
        "host": peer.host,
        "port": str(peer.ports[port]),
        "from": ME,
        "user": ME,
        "auth": "plain",
        "tls": "on",
        "tls_trust_file": str(peer.ca_file),
        "passwordeval": '"cat /etc/msmtp-password"',
        "timeout": "20",
        **changes,
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items() if value)


# --- the sandbox


def test_the_sandbox_changes_nothing_of_the_machine(sandbox: Sandbox) -> None:
    sandbox.write("/etc/msmtp-infrastructure", "one\n", mode=0o640, gid=8)
    sandbox.shell("cp /etc/msmtp-infrastructure /root/copy; rm /etc/hostname; echo x >/run/x; echo y >/var/log/y")
    assert sandbox.read("/root/copy") == b"one\n"
    facts = sandbox.stat("/etc/msmtp-infrastructure")
    assert (stat.S_IMODE(facts.st_mode), facts.st_uid, facts.st_gid) == (0o640, 0, 8)
    assert sandbox.changed() == {"/etc/msmtp-infrastructure", "/root/copy", "/etc/hostname", "/run/x", "/var/log/y"}
    assert not sandbox.exists("/etc/hostname")
    assert Path("/etc/hostname").exists()
    for name in sandbox.changed() - {"/etc/hostname"}:
        assert not Path(name).exists(), name


def test_the_sandbox_starts_without_the_machines_own_mail_files(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as outer:
        for name in ("/etc/msmtprc", "/etc/msmtp-password", "/etc/aliases", "/root/.msmtprc"):
            outer.write(name, "the machine's own\n")
        # A sandbox in a sandbox: the outer one plays the machine that has these files.
        script = (
            "import sys; from pathlib import Path; from tests.support.sandbox import Sandbox\n"
            "with Sandbox(Path(sys.argv[1])) as inner:\n"
            "    print(inner.listdir('/run'), inner.changed(), inner.exists('/etc/passwd'))\n"
            "    print([n for n in sys.argv[2:] if inner.exists(n)])\n"
            "    inner.write('/root/.msmtprc', 'x'); print(inner.changed())\n"
        )
        names = ("/etc/msmtprc", "/etc/msmtp-password", "/etc/aliases", "/root/.msmtprc")
        done = outer.run([sys.executable, "-c", script, tmp_path, *names], check=True)
    assert done.stdout.splitlines() == ["[] set() True", "[]", "{'/root/.msmtprc'}"]


def test_special_files_can_stand_in_it_and_are_removed_with_it(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        os.mkfifo(sandbox.path("/etc/fifo"))
        os.mknod(sandbox.path("/etc/device"), stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.symlink("/etc/hostname", sandbox.path("/etc/link"))
        sandbox.write("/etc/fixed", "x")
        sandbox.write("/etc/acl", "x")
        sandbox.write("/etc/bound", "over")
        sandbox.shell("chattr +i /etc/fixed; setfacl -m u:8:r /etc/acl; mount --bind /etc/acl /etc/bound")
        assert stat.S_ISFIFO(sandbox.stat("/etc/fifo").st_mode)
        assert stat.S_ISLNK(sandbox.stat("/etc/link").st_mode)
        assert sandbox.run(["rm", "/etc/fixed"]).returncode != 0
        assert sandbox.read("/etc/bound") == b"x"
        assert "user:mail:r--" in sandbox.run(["getfacl", "/etc/acl"]).stdout
        with pytest.raises(OSError, match="Too many levels"):
            sandbox.read("/etc/link")
    assert list(tmp_path.iterdir()) == []


def test_an_absolute_link_on_the_way_stays_inside(sandbox: Sandbox) -> None:
    os.symlink("/root", sandbox.path("/etc/way"))
    sandbox.write("/etc/way/through", "x")
    assert sandbox.read("/root/through") == b"x"
    assert not Path("/root/through").exists()


def test_programs_inside_have_their_own_session_environment_and_user(sandbox: Sandbox) -> None:
    done = sandbox.run(["env"], env={"EXTRA": "1"}, check=True)
    assert {line.split("=")[0] for line in done.stdout.splitlines()} == {
        *("EXTRA", "HOME", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"),
    }
    assert sandbox.run(["pwd"], cwd="/var/log").stdout == "/var/log\n"
    assert sandbox.run(["cat"], stdin=b"\xff\0").out == b"\xff\0"
    # The interpreter of the tests may lie in root's cache.
    script = "import os, typer; print(os.getuid(), os.getgid(), os.getgroups())"
    assert sandbox.run([sys.executable, "-c", script], uid=12345).stdout == "12345 12345 []\n"


def test_the_network_is_the_machines_or_none(sandbox: Sandbox) -> None:
    host = sandbox.run(["readlink", "/proc/self/ns/net"]).stdout.strip()
    assert host == os.readlink("/proc/self/ns/net")
    assert sandbox.run(["ip", "-br", "link"], network="none").stdout.split()[:2] == ["lo", "UNKNOWN"]


def test_a_deadline_ends_the_program_and_its_children(sandbox: Sandbox) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        sandbox.run(["sh", "-c", "echo seen; setsid sleep 600 & sleep 600"], timeout=0.5)
    assert caught.value.stdout == b"seen\n"
    assert sandbox.leftovers() == {}


def test_signals_reach_the_program_itself(sandbox: Sandbox) -> None:
    script = "import signal, sys\nprint('up', flush=True)\nsignal.pause()"
    process = sandbox.popen([sys.executable, "-c", script])
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    assert list(sandbox.leftovers()) == [process.pid]
    process.send_signal(signal.SIGINT)
    assert process.wait(10) in (1, -signal.SIGINT)


def test_closing_ends_what_was_only_just_started(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        process = sandbox.popen(["sleep", "600"])
    assert process.returncode == -signal.SIGKILL


def test_a_private_tmp_shows_what_is_left_there(tmp_path: Path) -> None:
    with Sandbox(tmp_path, private_tmp=True) as sandbox:
        sandbox.shell(f"test -d {tmp_path}; mktemp /tmp/left.XXXXXX")
        assert [name.rpartition(".")[0] for name in sandbox.changed()] == ["/tmp/left"]


def test_terminals_and_traces_work_inside(sandbox: Sandbox) -> None:
    command, *arguments = sandbox.command(["sh", "-c", "read -r line </dev/tty; echo got $line"])
    child = pexpect.spawn(command, arguments, env=dict(sandbox.environment()), timeout=10)
    child.sendline("word")
    child.expect("got word")
    child.close()
    trace = ["strace", "-f", "-o", "/var/log/trace", "-e", "trace=execve", "true"]
    sandbox.run(trace, check=True)
    assert b'execve("/usr/bin/true"' in sandbox.read("/var/log/trace")


def test_a_killed_test_run_leaves_no_holder(tmp_path: Path) -> None:
    script = (
        "import os, sys, signal; from pathlib import Path; from tests.support.sandbox import Sandbox\n"
        "print(Sandbox(Path(sys.argv[1])).pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, cwd=PROJECT, check=False, timeout=30
    )
    pid, deadline = int(done.stdout), time.monotonic() + 10
    while Path(f"/proc/{pid}/ns/mnt").exists() and _state(pid) != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_view_that_cannot_be_made_says_why() -> None:
    with pytest.raises(RuntimeError, match="mount tmpfs /nowhere mode=755: No such file or directory"):
        Holder([("tmpfs", "/nowhere")])


def test_a_view_that_is_closed_again_ends_nothing(tmp_path: Path) -> None:
    """The kernel gives the number of its namespace to another, sooner or later."""
    with Sandbox(tmp_path) as other:
        with Sandbox(tmp_path) as gone:
            pass
        gone._namespace = other._namespace
        gone.close()
        assert other.run(["true"]).returncode == 0
        assert Path(f"/proc/{other.pid}/ns/mnt").exists()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


# --- the peer


@pytest.mark.parametrize("method", ["plain", "login", "cram-md5"])
@pytest.mark.parametrize("password", [b"correct horse", b" a:b%\\{PLAIN}$`'\" ", b"-n", b"x" * 3000])
def test_the_peer_takes_the_right_password_and_no_other(
    tmp_path: Path, peer: Peer, method: str, password: bytes
) -> None:
    peer.set_users({ME: password})
    with Sandbox(tmp_path, network=peer.netns) as sandbox:
        sandbox.write("/etc/msmtprc", msmtprc(peer, auth=method))
        for given, code, words in (
            (password, 65, "recipient address @ not accepted"),
            (password[1:], 77, method.upper()),
        ):
            sandbox.write("/etc/msmtp-password", given + b"\n")
            done = sandbox.run(["msmtp", "--", "@"], timeout=30)
            assert (done.returncode, words in done.stderr) == (code, True), done


@pytest.mark.parametrize("method", ["plain", "login"])
def test_any_utf8_reaches_the_peer(tmp_path: Path, peer: Peer, method: str) -> None:
    password = " p\u00e4\u00df\U0001f600\u00a0".encode()
    peer.set_users({ME: password, "other@example.test": b"other"})
    with Sandbox(tmp_path, network=peer.netns) as sandbox:
        sandbox.write("/etc/msmtprc", msmtprc(peer, auth=method))
        sandbox.write("/etc/msmtp-password", password + b"\n")
        assert sandbox.run(["msmtp", "--", "@"], timeout=30).returncode == 65


@pytest.mark.tree
@pytest.mark.parametrize("name", list(MECHANISMS))
def test_each_peer_offers_its_methods(tmp_path: Path, request: pytest.FixtureRequest, name: str) -> None:
    peer: Peer = request.getfixturevalue(name)
    script = (
        "import smtplib, ssl, sys\n"
        "with smtplib.SMTP('localhost', int(sys.argv[1]), timeout=20) as server:\n"
        "    server.starttls(context=ssl.create_default_context(cafile=sys.argv[2]))\n"
        "    server.ehlo(); print(server.esmtp_features['auth'])\n"
    )
    with Sandbox(tmp_path, network=peer.netns) as sandbox:
        done = sandbox.run([sys.executable, "-c", script, str(peer.ports["starttls"]), peer.ca_file], check=True)
    assert sorted(done.stdout.lower().split()) == sorted(MECHANISMS[name].split())


# SCRAM is not among them: from msmtp 1.8.28 on it fails before it begins when the server has no -PLUS.
def test_the_other_peer_takes_digest_md5(tmp_path: Path, peer_scram: Peer) -> None:
    peer_scram.set_users({ME: b"correct horse"})
    with Sandbox(tmp_path, network=peer_scram.netns) as sandbox:
        sandbox.write("/etc/msmtprc", msmtprc(peer_scram, auth="digest-md5"))
        for given, code in (b"correct horse", 65), (b"wrong", 77):
            sandbox.write("/etc/msmtp-password", given + b"\n")
            assert sandbox.run(["msmtp", "--", "@"], timeout=30).returncode == code


def test_mail_arrives_in_its_own_mailbox(tmp_path: Path, peer: Peer) -> None:
    peer.set_users({ME: b"pw"})
    with Sandbox(tmp_path, network=peer.netns) as sandbox:
        sandbox.write("/etc/msmtprc", msmtprc(peer, port="smtps", tls_starttls="off"))
        sandbox.write("/etc/msmtp-password", "pw\n")
        for number in (1, 2):
            message = f"Subject: number {number}\n\nbody\n".encode()
            sandbox.run(["msmtp", "--", "you@example.test"], stdin=message, timeout=30, check=True)
        outside = sandbox.run(["msmtp", "--", "you@elsewhere.test"], stdin=b"\n", timeout=30)
    found = peer.wait_for_mail("you@example.test", 2)
    assert [message["Subject"] for message in found] == ["number 1", "number 2"]
    assert found[0].get_content() == "body\n"
    assert peer.mailbox("nobody@example.test") == []
    assert outside.returncode == 65
    assert "sasl_username=me@example.test" in peer.wait_for_log("sasl_username=")
    peer.reset()
    assert (peer.mailbox("you@example.test"), peer.log()) == ([], "")


@pytest.mark.parametrize(
    ("port", "changes", "code"),
    [
        ("starttls", {}, 65),
        ("smtps", {"tls_starttls": "off"}, 65),
        ("wrong_name", {}, 69),
        ("expired", {}, 69),
        ("self_signed", {}, 69),
        ("no_tls", {}, 69),
        ("no_tls", {"tls": "off", "tls_trust_file": ""}, 65),
        ("no_auth", {}, 69),
    ],
)
def test_each_port_is_what_its_name_says(
    tmp_path: Path, peer: Peer, port: str, changes: dict[str, str], code: int
) -> None:
    peer.set_users({ME: b"pw"})
    with Sandbox(tmp_path, network=peer.netns) as sandbox:
        sandbox.write("/etc/msmtprc", msmtprc(peer, port=port, **changes))
        sandbox.write("/etc/msmtp-password", "pw\n")
        done = sandbox.run(["msmtp", "--", "@"], timeout=30)
    assert done.returncode == code, done


# --- bounds


def test_a_bound_of_processor_time_holds() -> None:
    with within(60):
        assert sum(range(1000)) == 499_500
    with pytest.raises(AssertionError), within(0.01):
        assert sum(number for number in range(5_000_000)) > 0


# --- trees and interpreters


@pytest.mark.tree
@pytest.mark.parametrize(("name", "version"), [("bookworm", "12."), ("trixie", "13.")])
def test_a_machine_is_a_throw_away_copy_of_a_tree(tmp_path: Path, name: str, version: str) -> None:
    with Machine(name, tmp_path, share=[PROJECT / "msmtp_agent"]) as machine:
        assert machine.read("/etc/debian_version").decode().startswith(version)
        machine.shell(
            "echo x >/etc/written; test -e /dev/null; test -e /proc/self/exe; getent hosts localhost; msmtp --version"
        )
        assert machine.run(["pwd"]).stdout == "/\n"
        assert machine.run(["ip", "link"]).returncode in (0, 127)
        shared = str(PROJECT / "msmtp_agent")
        assert "__init__.py" in machine.listdir(shared)
        assert machine.run(["touch", f"{shared}/x"]).returncode != 0
    assert not (tree(name) / "etc/written").exists()
    assert list(tmp_path.iterdir()) == []


def test_every_interpreter_has_its_release_of_typer(sandbox: Sandbox, typer_python: Path) -> None:
    script = "import rich, typer; print(typer.__version__)"
    version = sandbox.run([typer_python, "-c", script], check=True).stdout.strip()
    wanted = typer_python.parents[1].name.split("-")[1:2]
    assert typer_python == Path("/usr/bin/python3") or wanted == ["newest"] or version.startswith(f"{wanted[0]}.")


# --- the guards: a pytest run of its own, with this project's conftest, on a machine that may be hurt


def run_pytest(sandbox: Sandbox, tmp_path: Path, source: str, *arguments: str) -> tuple[int, str]:
    (tmp_path / "test_inner.py").write_text(source)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  root: x\n  tree: x\n  programs: x\n")
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q"]
    # Loading every installed plugin would cost a second each time.
    environment = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = sandbox.run([*command, *arguments, tmp_path], cwd=str(tmp_path), env=environment, timeout=60)
    return done.returncode, done.stdout + done.stderr


SKIPS = {
    "call": "import pytest\ndef test_x(): pytest.skip('why')",
    "mark": "import pytest\n@pytest.mark.skipif(True, reason='why')\ndef test_x(): pass",
    "fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('why')\ndef test_x(f): pass",
    "module": "import pytest\npytest.skip('why', allow_module_level=True)",
    "import": "import pytest\npytest.importorskip('nowhere', reason='why')",
    "parameters": "import pytest\n@pytest.mark.parametrize('why', [])\ndef test_x(why): pass",
}


@pytest.mark.parametrize(("kind", "workers"), [*((kind, "0") for kind in SKIPS), ("call", "1"), ("module", "1")])
def test_a_skip_fails_the_run(sandbox: Sandbox, tmp_path: Path, kind: str, workers: str) -> None:
    code, text = run_pytest(sandbox, tmp_path, SKIPS[kind], "-n", workers)
    assert code in (1, 2), text
    assert "why" in text
    assert "counts as a failure" in text


def test_a_test_that_touches_the_machine_fails(sandbox: Sandbox, tmp_path: Path) -> None:
    source = "from pathlib import Path\ndef test_x(): Path('/etc/msmtp-password').write_text('x')\ndef test_y(): pass\n"
    code, text = run_pytest(sandbox, tmp_path, source)
    assert code == 1
    assert "/etc/msmtp-password: was None" in text
    assert "2 passed, 1 error" in text
    code, text = run_pytest(sandbox, tmp_path, "def test_y(): pass\nimport os; os.mkdir('/run/msmtp-config')")
    assert code == 1
    assert "/run/msmtp-config: was None" in text


PROGRAMS = """
import os, pytest, subprocess
code = compile("import os, subprocess\\ndef start():\\n try: {}\\n except Exception: pass", "x", "exec")
@pytest.mark.{}
def test_x():
    module = {{"__name__": "msmtp_agent.fake"}}
    exec(code, module)
    module["start"]()
def test_own(): subprocess.run(["true"])
"""


@pytest.mark.parametrize(
    "call", ["subprocess.run(['true'])", "os.system('true')", "os.posix_spawn('/bin/true', ['true'], {})", "os.fork()"]
)
def test_an_unexpected_program_fails_the_test(sandbox: Sandbox, tmp_path: Path, call: str) -> None:
    code, text = run_pytest(sandbox, tmp_path, PROGRAMS.format(call, "filterwarnings"))
    assert code == 1, text
    assert "UnexpectedProgramError" in text
    assert "1 failed, 1 passed" in text


def test_a_test_may_ask_for_programs(sandbox: Sandbox, tmp_path: Path) -> None:
    code, text = run_pytest(sandbox, tmp_path, PROGRAMS.format("subprocess.run(['true'])", "programs"))
    assert code == 0, text


def test_fixtures_bring_their_markers(sandbox: Sandbox, tmp_path: Path) -> None:
    source = "def test_a(peer): pass\ndef test_b(sandbox): pass\ndef test_c(): pass\n"
    _, text = run_pytest(sandbox, tmp_path, source, "-m", "not tree", "--collect-only")
    assert "2/3 tests collected" in text
    _, text = run_pytest(sandbox, tmp_path, source, "-m", "not root", "--collect-only")
    assert "1/3 tests collected" in text


def test_no_tree_is_a_failure(sandbox: Sandbox, tmp_path: Path) -> None:
    source = "from tests.support.trees import tree\ndef test_x(): assert tree('nowhere')\n"
    code, text = run_pytest(sandbox, tmp_path, source)
    assert code == 1
    assert "no such tree" in text
