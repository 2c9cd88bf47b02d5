"""The text of /etc/aliases with two names of it in our hand: mail arrives, and no byte of anything else has changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msmtp_agent.aliases import AliasesError, expand, parse
from msmtp_agent.aliases_text import edited
from tests.support.smtpd import Smtpd

ADMIN = ("admin@h.test",)
BOTH = ("admin@h.test", "ops@h.test")
OURS = "root: admin@h.test|default: admin@h.test|"

# Before and after with a bar for each line's end; None: the very same bytes.
EDITS: dict[str, tuple[str, str | None]] = {
    "no file, or an empty one": ("", OURS),
    "a line feed": ("|", "|" + OURS),
    "comments alone": ("# mine|", "# mine|" + OURS),
    "other names": ("# See man 5 aliases|postmaster: root|", "# See man 5 aliases|postmaster: root|" + OURS),
    "no final line feed": ("ops: o@h.test", "ops: o@h.test|" + OURS),
    "another address": ("root: me@h.test|ops: root|", "root: admin@h.test|ops: root|default: admin@h.test|"),
    "no address": ("root:|default:|", OURS),
    "both stand there": (OURS, None),
    "in another order, and with blanks": ("default :admin@h.test|# x|  root\t:\t admin@h.test  |", None),
    "default leads to root": ("default: root|root: admin@h.test|ops: root|", None),
    "default leads to root, which leads elsewhere": (
        "default: root # all|root: me@h.test|",
        "default: root # all|root: admin@h.test|",
    ),
    "root is right, as it is written": (
        "root :admin@h.test|default: ops|ops: o@h.test|",
        "root :admin@h.test|default: admin@h.test|ops: o@h.test|",
    ),
    "root leads there through another name": (
        "root: ops|default: root|ops: admin@h.test|",
        "root: admin@h.test|default: root|ops: admin@h.test|",
    ),
    "a comment on the line": ("root: me@h.test  # May|", "root: admin@h.test  # May|default: admin@h.test|"),
    "a comment and nothing else": ("root:# nobody|", "root: admin@h.test # nobody|default: admin@h.test|"),
    "a comment with an entry in it": ("# root: me@h.test|", "# root: me@h.test|" + OURS),
    "indented, in columns": ("  root  :\tme@h.test|", "  root  :\tadmin@h.test|default: admin@h.test|"),
    "twice": (
        "root: a@h.test|ops: o@h.test|root: b@h.test|",
        "root: admin@h.test|ops: o@h.test|default: admin@h.test|",
    ),
    "twice with comments": (
        "root: a@h.test # A|root: b@h.test # B|",
        "root: admin@h.test # A|# B|default: admin@h.test|",
    ),
    "twice, and right": ("root: admin@h.test|default: root|root: admin@h.test|", "root: admin@h.test|default: root|"),
    "an include": ("root: :include:/etc/list|", OURS),
    "a program": ('root: "/bin/x -y"|', OURS),
    "in a circle": ("root: ops|default: root|ops: root|", "root: admin@h.test|default: root|ops: root|"),
    "continued as sendmail does it": (
        "root: a@h.test,|  b@h.test,|\tc@h.test # C|ops: o@h.test|",
        "root: admin@h.test|# C|ops: o@h.test|default: admin@h.test|",
    ),
    "names that only look like it": ("Root: a@h.test|roots: b@h.test|", "Root: a@h.test|roots: b@h.test|" + OURS),
}


@pytest.mark.parametrize(("before", "after"), EDITS.values(), ids=EDITS)
def test_two_names_and_nothing_else(before: str, after: str | None) -> None:
    old = before.replace("|", "\n").encode()
    new = old if after is None else after.replace("|", "\n").encode()
    assert edited(old, ADMIN) == new
    assert edited(new, ADMIN) == new
    for name in ("root", "default", "www-data"):
        assert expand(parse(new), name) == ADMIN


def test_windows_line_ends_stay() -> None:
    old = b"# mine\r\nroot: me@h.test # x\r\nops: o@h.test\r\n"
    new = b"# mine\r\nroot: admin@h.test # x\r\nops: o@h.test\r\ndefault: admin@h.test\r\n"
    assert edited(old, ADMIN) == new


def test_several_recipients_in_their_order_and_each_once() -> None:
    assert edited(b"", (*BOTH, "admin@h.test")) == (
        b"root: admin@h.test, ops@h.test\ndefault: admin@h.test, ops@h.test\n"
    )
    swapped = b"root: ops@h.test, admin@h.test\ndefault: root\n"
    assert edited(swapped, BOTH) == swapped


def test_bytes_that_are_no_text_stay() -> None:
    assert edited(b"\xff\xfe: a@h.test\n# \xe9\0\nroot: x # \xff\0\n", ADMIN) == (
        b"\xff\xfe: a@h.test\n# \xe9\0\nroot: admin@h.test # \xff\0\ndefault: admin@h.test\n"
    )


def test_a_comment_that_leaves_no_room_gets_its_own_line() -> None:
    comment = "# " + "x" * 480
    new = edited(f"root: a@h.test {comment}\n".encode(), BOTH)
    assert new.decode().splitlines()[:2] == [comment, "root: admin@h.test, ops@h.test"]
    assert parse(new)["root"] == BOTH


# What stands there, and the line and the words about it; nothing can be written that msmtp would read.
REFUSED = {
    "another name twice": ("root: a@h.test|ops: b@h.test|root: c@h.test|ops: c@h.test|", 4, "duplicate alias 'ops'"),
    "an include": ("ops: o@h.test|list: :include:/etc/list|", 2, "single ':' delimiter expected: a line is `name: a"),
    "words": ("# x|hello|", 2, "single ':' delimiter expected"),
    "more of another name": ("ops: a@h.test,|  b@h.test|", 2, "single ':' delimiter expected"),
    "an address in front": ("a@h.test: b@h.test|", 1, "invalid alias 'a@h.test': before the colon stands a local name"),
    "a long line": ("ops: " + "a@h.test, " * 51 + "|", 1, "longer than 510 characters: write fewer"),
    "behind a line that goes": ("root: a@h.test|root: b@h.test|oops|", 3, "single ':' delimiter expected"),
}  # fmt: skip


@pytest.mark.programs
@pytest.mark.parametrize(("before", "line", "words"), REFUSED.values(), ids=REFUSED)
def test_what_msmtp_would_refuse_is_told_with_the_line_of_the_file_and_what_to_do(
    tmp_path: Path, before: str, line: int, words: str
) -> None:
    old = before.replace("|", "\n").encode()
    with pytest.raises(AliasesError) as caught:
        edited(old, ADMIN)
    assert (caught.value.line, caught.value.fault[: len(words)]) == (line, words)
    assert accepted(tmp_path, old) is False


RECIPIENTS = {
    "one too many": tuple(f"a{number}@h.test" for number in range(33)),
    "one long line": ("a" * 300 + "@h.test", "b" * 300 + "@h.test"),
    "a comma": ('"a,b"@h.test',),
    "a colon": ('"a:b"@h.test',),
    "a number sign": ('"a#b"@h.test',),
    "a line break": ("a@h.test\nmail: b@h.test",),
    "a blank": (" a@h.test",),
}


@pytest.mark.parametrize("recipients", RECIPIENTS.values(), ids=RECIPIENTS)
def test_recipients_that_msmtp_would_not_read_as_they_are_are_refused(recipients: tuple[str, ...]) -> None:
    for content in (b"", b"root: a@h.test\ndefault: a@h.test\n"):
        with pytest.raises(AliasesError):
            edited(content, recipients)


def test_as_many_recipients_as_msmtp_reads() -> None:
    recipients = tuple(f"a{number}@h.test" for number in range(32))
    assert parse(edited(b"", recipients))["default"] == recipients


def test_a_line_of_a_megabyte_of_blanks_is_read_once() -> None:
    assert edited(b"root:" + b" " * (1 << 20) + b"\n", ADMIN).decode() == OURS.replace("|", "\n")


# --- msmtp itself


def accepted(directory: Path, content: bytes) -> bool:
    (directory / "aliases").write_bytes(content)
    (directory / "rc").write_text(f"account default\nhost h\nfrom a@h.test\naliases {directory}/aliases\n")
    return run(directory, "--pretend", "--", "root").returncode == 0


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["/usr/bin/msmtp", f"--file={directory}/rc", *options],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        input=b"Subject: x\n\n",
        capture_output=True,
        timeout=20,
        check=False,
    )


@pytest.mark.programs
def test_mail_to_root_and_to_any_name_arrives(tmp_path: Path) -> None:
    content = b"root: old@h.test # by hand\r\nops: o@h.test\r\nroot: b@h.test"
    (tmp_path / "aliases").write_bytes(edited(content, BOTH))
    with Smtpd(users={"u": b"p"}, tls="none") as server:
        (tmp_path / "rc").write_text(
            f"account default\nhost 127.0.0.1\nport {server.port}\nfrom me@h.test\nauth plain\nuser u\npassword p\n"
            f"aliases {tmp_path}/aliases\n"
        )
        (tmp_path / "rc").chmod(0o600)
        for name in ("root", "www-data", "ops"):
            assert run(tmp_path, "--", name).returncode == 0
        assert [sorted(message.recipients) for message in server.messages] == [list(BOTH), list(BOTH), ["o@h.test"]]


_part = st.sampled_from(
    [
        "root",
        "default",
        "ops",
        "x",
        "a@h.test",
        "admin@h.test",
        ":",
        ":",
        ",",
        "#",
        " ",
        "\t",
        "\n",
        "\n",
        "\r",
        "\0",
        "@",
    ]
)


@pytest.mark.slow
@pytest.mark.programs
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(_part, max_size=20))
def test_of_any_file_either_msmtp_takes_the_new_one_or_the_old_one_stays(tmp_path: Path, parts: list[str]) -> None:
    old = "".join(parts).encode()
    try:
        new = edited(old, ADMIN)
    except AliasesError:
        assert not accepted(tmp_path, old)
        return
    assert accepted(tmp_path, new)
    assert edited(new, ADMIN) == new
    aliases = parse(new)
    assert expand(aliases, "root") == expand(aliases, "default") == ADMIN
    assert others(new) == others(old)


def others(content: bytes) -> list[bytes]:
    """The lines with a name that is not ours."""
    lines = [line.split(b"\0")[0] for line in content.split(b"\n")]
    named = [line for line in lines if b":" in line.split(b"#")[0]]
    return [line for line in named if line.split(b":")[0].strip() not in (b"root", b"default")]
