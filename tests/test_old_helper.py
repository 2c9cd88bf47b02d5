"""The shell helper of old: that script and nothing else is recognised, and our command takes its place."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from msmtp_agent import old_helper, repair
from msmtp_agent.errors import CantCreateError
from msmtp_agent.host import Host
from msmtp_agent.model import Repair
from tests.support.old_helper import COMMAND, HELPER, HELPER_FIRST, PROGRAM, SCRIPT, install
from tests.support.repairs import NOW, facts
from tests.support.roots import Root
from tests.support.sandbox import Sandbox

DATE = "2025-11-22T120000Z"
BACKUP = f"{HELPER}.{DATE}.bak"
REMEDY = "/usr/bin/msmtp-config audit --fix --only sender-helper"
ACTION = f"becomes a link to {COMMAND}; the old script is kept as {BACKUP}"


# --- what is recognised

STORES = 'PASSWORD_FILE="/etc/msmtp-password"\nread -s P\necho -n "$P" > "$PASSWORD_FILE"\nchmod 600 "$PASSWORD_FILE"\n'
THE_SCRIPT = {
    "as it was written": SCRIPT,
    "no end": SCRIPT.rstrip("\n"),
    "no comments": SCRIPT.replace("# The file is there before its mode is.\n", ""),
    "a comment of somebody's": SCRIPT.replace(
        "set -e\n", "set -e\n# written by cloud-init; do not edit `this` $(file)\n"
    ),
    "tabs": SCRIPT.replace("    ", "\t\t").replace("  ", "\t"),
    "another name": SCRIPT.replace("ENTERED", "SMTP_PASSWORD"),
    "other words": SCRIPT.replace("That is all!", "Das wär's; && > | fertig"),
    "without the mail": SCRIPT[: SCRIPT.index("read -p")],
    "by env": SCRIPT.replace("/bin/bash", "/usr/bin/env bash"),
    "nothing but what it is known by": "#!/bin/bash\n" + STORES,
}
END = "That is all!"
ANOTHER = {
    "empty": "",
    "one line more": SCRIPT + "systemctl restart cron\n",
    "one that is somebody's own, in a branch": SCRIPT.replace("  else\n", "    logger sent\n  else\n"),
    "a backslash is kept": SCRIPT.replace("read -s ", "read -rs "),
    "a backslash is kept, in two words": SCRIPT.replace("read -s ", "read -r -s "),
    "an option for a prompt": SCRIPT.replace("read -s ", "read -s -p x "),
    "without echo": SCRIPT.replace('echo -n "$ENTERED"', "printf %s \"$ENTERED\""),
    "without quotes": SCRIPT.replace('echo -n "$ENTERED"', "echo -n $ENTERED"),
    "another file": SCRIPT.replace('"/etc/msmtp-password"', '"/etc/other-password"'),
    "another file too": SCRIPT.replace("set -e\n", 'set -e\nPASSWORD_FILE="/etc/shadow"\n'),
    "appends": SCRIPT.replace('> "$PASS', '>> "$PASS'),
    "a mode of its own": SCRIPT.replace("chmod 600", "chmod 640"),
    "no mode": SCRIPT.replace('chmod 600 "$PASSWORD_FILE"\n', ""),
    "a umask": SCRIPT.replace("set -e\n", "set -e\numask 077\n"),
    "the mode first": SCRIPT.replace('chmod 600 "$PASSWORD_FILE"\n', "").replace(
        "read -s", 'chmod 600 "$PASSWORD_FILE"\nread -s'
    ),
    "asks twice": SCRIPT.replace("read -s ENTERED\n", "read -s ENTERED\nread -s AGAIN\n"),
    "asks for the same twice": SCRIPT.replace("read -s ENTERED\n", "read -s ENTERED\nread -s ENTERED\n"),
    "stores something else": SCRIPT.replace('echo -n "$ENTERED"', 'echo -n "$ANSWER"'),
    "stores something else too": SCRIPT + 'echo -n "$ANSWER" > "$PASSWORD_FILE"\n',
    "shows what was typed": SCRIPT.replace("That is all!", "$ENTERED"),
    "runs a program in its words": SCRIPT.replace(END, "$(systemctl restart cron)"),
    "runs a program in its words, in the old way": SCRIPT.replace(END, "`reboot`"),
    "writes another file": SCRIPT.replace(f'echo "{END}"', f'echo "{END}" > /etc/motd'),
    "goes on after its words": SCRIPT.replace(f'echo "{END}"', f'echo "{END}"; reboot'),
    "goes on in the next line": SCRIPT.replace(f'echo "{END}"', f'echo "{END}" \\'),
    "words of two lines": SCRIPT.replace(f'echo "{END}"', 'echo "\nset -e\n"'),
    "mails somebody else": SCRIPT.replace('msmtp "$RECIPIENT"', "msmtp me@acme.test"),
    "reads another file": SCRIPT.replace("cut -d: -f2", "cut -d: -f2 /etc/shadow"),
    "mails it elsewhere too": SCRIPT.replace('msmtp "$RECIPIENT"', 'tee /root/x | msmtp "$RECIPIENT"'),
    "another recipient": SCRIPT.replace('"^root:"', '"^ops:"'),
    "a recipient by a program": SCRIPT.replace("tr -d ' '", "sh -c x"),
    "for another shell": SCRIPT.replace("/bin/bash", "/bin/sh"),
    "with an option": SCRIPT.replace("/bin/bash", "/bin/bash -x"),
    "no interpreter": SCRIPT.partition("\n")[2],
    "in Python": PROGRAM,
    "CRLF": SCRIPT.replace("\n", "\r\n"),
    "with a byte order mark": "\ufeff" + SCRIPT,
    "NUL": SCRIPT + "\0",
    "too long": SCRIPT + "#" * 4096 + "\n",
}  # fmt: skip


@pytest.mark.parametrize("text", THE_SCRIPT.values(), ids=list(THE_SCRIPT))
def test_the_script_is_recognised(text: str) -> None:
    assert old_helper.recognised(text.encode())


@pytest.mark.parametrize("text", ANOTHER.values(), ids=list(ANOTHER))
def test_another_script_is_not(text: str) -> None:
    assert text not in THE_SCRIPT.values()
    assert not old_helper.recognised(text.encode())


@pytest.mark.parametrize("addition", ["; reboot", " && reboot", " | tee /root/log", " > /root/log", " #"])
def test_no_line_may_say_more(addition: str) -> None:
    lines = SCRIPT.split("\n")
    for place, line in enumerate(lines):
        if line and not line.startswith("# "):
            changed = [*lines[:place], line + addition, *lines[place + 1 :]]
            assert not old_helper.recognised("\n".join(changed).encode()), line


# --- what is done: trees


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A host with the package's command, and the script before it."""
    made = Root(tmp_path / "root").good()
    return made.write(COMMAND, PROGRAM, 0o755).write(HELPER, SCRIPT, 0o755)


def fix(root: Root) -> list[Repair]:
    """What `audit --fix` does for this check alone."""
    told: list[Repair] = []
    with Host(str(root.directory)) as host:
        planned = repair.plan(host, facts(str(root.directory)), root.report("sender-helper"))
        repair.carry_out(host, planned, told.append)
    return told


def untouched(root: Root) -> tuple[int, ...]:
    """All that a look may not change at the script's place; nothing where nothing is."""
    if not os.path.lexists(root.at(HELPER)):
        return ()
    found = root.at(HELPER).lstat()
    return found.st_ino, found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def leads_to(root: Root, path: str) -> str:
    assert root.at(path).is_symlink(), path
    return os.readlink(root.at(path))


@pytest.mark.root
def test_the_command_takes_its_place_and_the_script_is_kept(root: Root) -> None:
    (finding,) = root.findings("sender-helper")
    assert (finding.path, finding.expected, finding.remedy) == (HELPER, f"a link to {COMMAND}", REMEDY)
    assert fix(root) == [Repair(HELPER, ACTION, ("sender-helper",), True)]
    assert leads_to(root, HELPER) == COMMAND
    kept = root.at(BACKUP).lstat()
    assert (root.at(BACKUP).read_text(), stat.S_IMODE(kept.st_mode), kept.st_uid) == (SCRIPT, 0o644, 0)
    assert sorted(os.listdir(root.at("/usr/local/bin"))) == ["msmtp-config", os.path.basename(BACKUP)]
    assert root.findings("sender-helper") == []
    assert fix(root) == []


@pytest.mark.root
def test_one_in_each_directory(root: Root) -> None:
    root.write(HELPER_FIRST, SCRIPT, 0o755)
    assert [one.path for one in fix(root)] == [HELPER_FIRST, HELPER]
    assert (leads_to(root, HELPER_FIRST), leads_to(root, HELPER)) == (COMMAND, COMMAND)
    assert root.at(f"{HELPER_FIRST}.{DATE}.bak").read_text() == SCRIPT
    assert root.findings("sender-helper") == []


@pytest.mark.root
def test_a_link_to_it_is_mended_with_it(root: Root) -> None:
    root.link(HELPER_FIRST, "../bin/msmtp-config")
    assert [(one.path, one.remedy) for one in root.findings("sender-helper")] == [
        (HELPER_FIRST, REMEDY),
        (HELPER, REMEDY),
    ]
    assert [one.path for one in fix(root)] == [HELPER]
    assert leads_to(root, HELPER_FIRST) == "../bin/msmtp-config"
    assert root.findings("sender-helper") == []


@pytest.mark.root
def test_a_backup_of_a_run_that_was_killed_is_taken_again(root: Root) -> None:
    earlier = f"{HELPER}.2025-01-01T000000Z.bak"
    root.write(earlier, SCRIPT, 0o644).write(BACKUP, "another version\n", 0o644)
    (told,) = fix(root)
    assert told.action.endswith(earlier)
    assert root.at(BACKUP).read_text() == "another version\n"


LEFT_ALONE = {
    "no command": lambda root: root.remove(COMMAND),
    "a command for nobody": lambda root: root.rights(COMMAND, 0o644),
    "the command is the script": lambda root: root.write(COMMAND, SCRIPT, 0o755),
    "the command is a link to the script": lambda root: root.link(COMMAND, HELPER),
    "the command leads nowhere": lambda root: root.link(COMMAND, "/opt/none"),
    "the command is a directory": lambda root: root.remove(COMMAND).mkdir(COMMAND),
    "what is somebody's own": lambda root: root.write(HELPER, SCRIPT + "logger done\n", 0o755),
    "a link to somebody's place": lambda root: root.write("/opt/helper", SCRIPT, 0o755).link(HELPER, "/opt/helper"),
    "two names": lambda root: root.at("/usr/local/bin/other").hardlink_to(root.at(HELPER)),
}  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("case", LEFT_ALONE)
def test_what_is_not_that_script_or_has_no_command_behind_it_is_left_alone(root: Root, case: str) -> None:
    """And is told with a remedy that a person decides on."""
    LEFT_ALONE[case](root)
    before = untouched(root)
    remedies = {HELPER: f"rm {HELPER}", COMMAND: "apt-get install --reinstall msmtp-agent"}
    found = root.findings("sender-helper")
    assert [one.path for one in found] == ([HELPER, COMMAND] if "script" in case.partition("is")[2] else [HELPER])
    assert [one.remedy.partition("   #")[0] for one in found] == [remedies[one.path] for one in found]
    assert fix(root) == []
    assert untouched(root) == before
    with Host(str(root.directory)) as host:
        assert old_helper.plan(host, NOW) == ()


@pytest.mark.root
@pytest.mark.parametrize("kind", ["directory", "FIFO", "dangling link", "not executable", "missing", "ours"])
def test_nothing_to_do(root: Root, kind: str) -> None:
    root.remove(HELPER)
    if kind == "directory":
        root.mkdir(HELPER)
    elif kind == "FIFO":
        os.mkfifo(root.at(HELPER))
    elif kind == "dangling link":
        root.link(HELPER, "/opt/none")
    elif kind == "not executable":
        root.write(HELPER, SCRIPT, 0o644)
    elif kind == "ours":
        root.write(HELPER, PROGRAM, 0o755)
    before = untouched(root)
    assert root.findings("sender-helper") == []
    with Host(str(root.directory)) as host:
        assert old_helper.plan(host, NOW) == ()
    assert untouched(root) == before


CHANGES = {
    "edited": lambda root: root.write(HELPER, SCRIPT + "reboot\n", 0o755),
    "gone": lambda root: root.remove(HELPER),
    "a link": lambda root: root.link(HELPER, "/opt/other"),
    "the command is gone": lambda root: root.remove(COMMAND),
}  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("case", CHANGES)
def test_what_has_changed_since_it_was_looked_at_is_left_alone(root: Root, case: str) -> None:
    with Host(str(root.directory)) as host:
        (planned,) = old_helper.plan(host, NOW)
        CHANGES[case](root)
        before = untouched(root)
        with pytest.raises(CantCreateError) as raised:
            old_helper.replace(host, planned)
    assert raised.value.observed == "has changed since it was looked at"
    assert untouched(root) == before
    assert not os.path.lexists(root.at(BACKUP))


@pytest.mark.root
def test_nothing_outside_of_an_image_is_replaced(root: Root, tmp_path: Path) -> None:
    """The image's /usr/local/bin is an absolute link to a directory that the machine has, too."""
    outside = Root(tmp_path / "outside").write("/msmtp-config", SCRIPT, 0o755)
    root.remove(HELPER).at("/usr/local/bin").rmdir()
    root.link("/usr/local/bin", str(outside.directory))
    assert root.findings("sender-helper") == []
    assert fix(root) == []
    assert outside.at("/msmtp-config").read_text() == SCRIPT
    assert os.listdir(outside.directory) == ["msmtp-config"]


# --- the command, as it is typed


@pytest.mark.slow
def test_the_remedy_as_it_is_pasted(sandbox: Sandbox) -> None:
    install(sandbox)
    found = sandbox.agent("audit", "--only", "sender-helper", "--fail-on", "warning")
    assert found.returncode == 1
    assert f"fix: {REMEDY}" in found.stdout
    planned = sandbox.run([*REMEDY.split(), "--dry-run"])
    assert planned.returncode == 0
    assert f"becomes a link to {COMMAND}" in planned.stdout
    assert sandbox.read(HELPER) == SCRIPT.encode()
    assert sandbox.listdir("/usr/local/bin") == sorted({*os.listdir("/usr/local/bin"), "msmtp-config"})
    done = sandbox.run(REMEDY.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.readlink(sandbox.path(HELPER)) == COMMAND
    (kept,) = (name for name in sandbox.listdir("/usr/local/bin") if name.startswith("msmtp-config."))
    assert f"kept as /usr/local/bin/{kept}" in done.stdout
    assert sandbox.read(f"/usr/local/bin/{kept}") == SCRIPT.encode()
    shell = ["sh", "-c", 'PATH=/usr/local/sbin:/usr/local/bin:$PATH; command -v "$1"; "$@"', "sh"]
    assert sandbox.run([*shell, "msmtp-config", "--version"]).stdout.startswith(f"{HELPER}\nmsmtp-config ")
    before = sandbox.stat(HELPER).st_ctime_ns
    assert sandbox.run(REMEDY.split()).returncode == 0
    assert sandbox.stat(HELPER).st_ctime_ns == before


@pytest.mark.slow
def test_a_script_of_somebodys_own_is_told_and_left(sandbox: Sandbox) -> None:
    install(sandbox, SCRIPT + "logger done\n")
    done = sandbox.run([COMMAND, "audit", "--fix", "--only", "sender-helper", "--fail-on", "warning"])
    assert done.returncode == 1
    assert f"fix: rm {HELPER}" in done.stdout
    assert sandbox.read(HELPER) == SCRIPT.encode() + b"logger done\n"
