"""The aliases parser against msmtp itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msmtp_agent import aliases
from tests.support.smtpd import Smtpd

LONG = "root: " + "x" * 496 + "@h.test"  # 509 characters

CASES: dict[str, tuple[str, str | tuple[str, ...]]] = {
    "one": ("root: a@h.test\n", ("a@h.test",)),
    "several": ("root: a@h.test, b@h.test ,c@h.test\n", ("a@h.test", "b@h.test", "c@h.test")),
    "default": ("default: a@h.test\n", ("a@h.test",)),
    "through a name": ("root: ops\nops: a@h.test\n", ("a@h.test",)),
    "through default": ("root: nobody\ndefault: a@h.test\n", ("a@h.test",)),
    "comment": ("# all\nroot: a@h.test # b@h.test\n\n", ("a@h.test",)),
    "no final line feed": ("root: a@h.test", ("a@h.test",)),
    "blanks": (" root\t:\ta@h.test \r\n", ("a@h.test",)),
    "nothing known": ("ops: a@h.test\n", ("root",)),
    "duplicate": ("root: a@h.test\nroot: b@h.test\n", "line 2: duplicate alias 'root'"),
    "include": ("root: :include:/x\n", "line 1: single ':' delimiter expected"),
    "no colon": ("root a@h.test\n", "line 1: single ':' delimiter expected"),
    "address for a name": ("\na@h.test: b@h.test\n", "line 2: invalid alias 'a@h.test'"),
    "no name": (": b@h.test\n", "line 1: invalid alias ''"),
    "loop": ("root: ops\nops: root\n", "Too many redirects when expanding alias root"),
    "509 characters": (LONG + "\n", (LONG[6:],)),
    "510 characters": (LONG + "x\n", "line 1: longer than 511 characters"),
}


def run_msmtp(directory: Path, content: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    (directory / "aliases").write_bytes(content)
    return subprocess.run(
        ["/usr/bin/msmtp", f"--file={directory}/rc", *options, "--", "root"],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        input=b"Subject: x\n\n",
        capture_output=True,
        timeout=20,
        check=False,
    )


def configure(directory: Path, port: int) -> None:
    (directory / "rc").write_text(
        f"account default\nhost 127.0.0.1\nport {port}\nfrom me@h.test\nauth plain\nuser u\npassword p\n"
        f"aliases {directory}/aliases\n"
    )
    (directory / "rc").chmod(0o600)


@pytest.mark.programs
@pytest.mark.parametrize(("content", "expected"), CASES.values(), ids=CASES)
def test_names_lead_where_msmtp_sends_them(tmp_path: Path, content: str, expected: str | tuple[str, ...]) -> None:
    with Smtpd(users={"u": b"p"}, tls="none") as server:
        configure(tmp_path, server.port)
        done = run_msmtp(tmp_path, content.encode())
        if isinstance(expected, str):
            assert done.returncode == 78
            complaint = done.stderr.decode().partition("\n")[0].removeprefix(f"msmtp: {tmp_path}/aliases: ").rstrip(".")
            assert complaint == expected
            with pytest.raises(aliases.AliasesError) as caught:
                aliases.expand(aliases.parse(content.encode()), "root")
            where = f"line {caught.value.line}: " if caught.value.line else ""
            assert where + caught.value.fault.replace("510", "511") == expected
        else:
            assert done.returncode == 0, done.stderr
            assert sorted(server.messages[0].recipients) == sorted(expected)
            assert aliases.expand(aliases.parse(content.encode()), "root") == expected


_name = st.sampled_from(["root", "default", "ops", "a@h.test", "b@h.test", "", "x y", ":include:/x", '"|cmd"', "#"])
_line = st.tuples(_name, st.sampled_from([":", " : ", "", "::"]), st.lists(_name, max_size=3).map(", ".join)).map(
    "".join
)


@pytest.mark.programs
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(_line, max_size=5))
def test_any_file_is_refused_by_both_or_by_none(tmp_path: Path, lines: list[str]) -> None:
    content = "\n".join([*lines, ""]).encode()
    configure(tmp_path, 1)
    status = run_msmtp(tmp_path, content, "--pretend").returncode
    try:
        aliases.expand(aliases.parse(content), "root")
    except aliases.AliasesError:
        assert status == 78
    else:
        assert status == 0


@settings(max_examples=300, deadline=None)
@given(
    table=st.dictionaries(
        st.sampled_from(["root", "default", "a", "b", "c"]),
        st.lists(st.sampled_from(["a", "b", "c", "d", "x@h.test", ""]), min_size=1, max_size=3).map(tuple),
    )
)
def test_the_ends_of_all_names_are_those_of_each(table: dict[str, tuple[str, ...]]) -> None:
    ends = aliases.dead_ends(table)
    assert list(ends) == list(table)
    for name, found in ends.items():
        try:
            local = {end for end in aliases.expand(table, name) if end and "@" not in end}
        except aliases.AliasesError:
            assert found is None
        else:
            assert found is not None
            assert set(found) <= local
            assert len(found) == min(3, len(local))


@pytest.mark.parametrize(("length", "circle"), [(17, False), (18, True)])
def test_a_chain_as_long_as_msmtp_follows(length: int, circle: bool) -> None:
    table = {f"n{number}": (f"n{number + 1}",) for number in range(length - 1)} | {f"n{length - 1}": ("x@h.test",)}
    assert (aliases.dead_ends(table)["n0"] is None) is circle


def test_aliases_that_multiply_are_not_followed_for_ever() -> None:
    table = {f"n{number}": (f"n{number + 1}",) * 32 for number in range(16)} | {"n16": ("x@h.test",)}
    assert aliases.dead_ends(table)["n0"] == ()
    with pytest.raises(aliases.AliasesError, match="more than 10000 recipients"):
        aliases.expand(table, "n0")
