"""AppArmor's rules as this program reads them: patterns, statements, includes, and what a shell's line starts.

The verdicts on patterns are those of the kernel, asked through securityfs with the same rules loaded.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msmtp_agent.errors import InputOutputError
from msmtp_agent.facts import AppArmor
from msmtp_agent.host import Host
from msmtp_agent.model import FileFacts, Verdict
from msmtp_agent.survey.apparmor import gather
from msmtp_agent.survey.commands import read
from msmtp_agent.survey.globs import Globs, TooMuchError, as_bytes
from msmtp_agent.survey.profile import Policy
from tests.support.pace import within
from tests.support.roots import Root

PATH = "/etc/apparmor.d/test"
WORDS = (
    "{",
    "}",
    "/x",
    "r,",
    '"',
    "deny",
    "owner",
    "profile",
    "#",
    "@{A}",
    "=b",
    "(",
    "flags=(",
    ",",
    "include <a>",
    "\n",
)
TUNABLES = {"HOMEDIRS": ["/home/"], "HOME": ["@{HOMEDIRS}/*/", "/root/"], "run": ["/run/", "/var/run/"], "d": ["[0-9]"]}


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("/a", ["/a"], ["/a/", "/b", "/aa", "/"]),
        ("/a*b/{c,d}/[x-z]?", ["/ab/c/x1", "/axxb/d/zz"], ["/a/b/c/xx", "/ab/c/w1", "/ab/c/x/", "/ab/e/x1"]),
        ("/deep/**", ["/deep/a", "/deep/a/b", "/deep/a/"], ["/deep/", "/deep"]),
        ("/t**", ["/t", "/tx", "/t/", "/t/x/y"], ["/"]),
        ("/**/tail", ["/a/tail", "/a/b/tail"], ["/tail", "/atail"]),
        ("/star/*/x", ["/star/a/x"], ["/star//x", "/star/a/b/x", "/star/x"]),
        ("/q?", ["/qa"], ["/q", "/q/", "/qab"]),
        ("/c/[^a-c]z", ["/c/dz"], ["/c/az", "/c/z"]),
        ("/c/[ab\\]]", ["/c/a", "/c/]"], ["/c/\\"]),
        ("/n{,{,e}st}ed", ["/ned", "/nsted", "/nested"], ["/nested/", "/nesteded"]),
        ("/c,omma", ["/c,omma"], ["/c"]),
        ("/esc\\052\\x2ad", ["/esc**d"], ["/escxxd", "/esc*"]),
        ("/m\\303\\251", ["/mé"], ["/me"]),
        ("@{HOME}/.x*", ["/root/.x", "/home/u/.xyz"], ["/home/.x", "/home/u/v/.x", "/.x"]),
        ("@{run}/{a,b}.sock", ["/run/a.sock", "/var/run/b.sock"], ["/run/c.sock"]),
        ("/@{d}{@{d},}x", ["/1x", "/12x"], ["/x", "/123x"]),
        ("/usr/bin/gpg{,2}", ["/usr/bin/gpg", "/usr/bin/gpg2"], ["/usr/bin/gpg3"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    globs = Globs(TUNABLES)
    found = [path for path in (*matching, *others) if globs.match(pattern, as_bytes(path))]
    assert found == matching


@pytest.mark.parametrize("pattern", ["/a{b", "/a[b", "/a\\", "@{UNKNOWN}", "@{SELF}", "/" + "{" * 60 + "}" * 60])
def test_a_malformed_pattern_is_for_no_path(pattern: str) -> None:
    globs = Globs({"SELF": ["@{SELF}"]})
    assert not any(globs.match(pattern, path) for path in ("/a{b", "/a[b", "/a\\", "/a", "/", ""))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.text("/*?[]{},@\\ab-^HOME0", max_size=60), st.text("/ab*{\\", max_size=40))
def test_any_pattern_gives_an_answer(pattern: str, path: str) -> None:
    assert Globs(TUNABLES).match(pattern, path) in (True, False)


@pytest.mark.parametrize("pattern", ["/" + "**a" * 5000, "/" + "{a,*}" * 5000, "/" + "*a" * 5000, "@{A}"])
def test_no_pattern_takes_long(pattern: str) -> None:
    values = {chr(65 + number): [("@{" + chr(66 + number) + "}") * 9] for number in range(8)} | {"I": ["**a"]}
    globs = Globs(values)
    with within(2), pytest.raises(TooMuchError):
        all(globs.match(pattern, "/" + "a" * 490) in (True, False) for _ in range(1000))


# --- statements


def allowed(
    directory: Path, rules: str, path: str, wanted: str = "r", *, owned: bool = True, preamble: str = ""
) -> bool:
    root = Root(directory / "root").write(PATH, f"{preamble}\nprofile test /usr/bin/test {{\n{rules}\n}}\n", 0o644)
    with Host(str(root.directory)) as host:
        policy = Policy(host, PATH)
        profile = policy.find("/usr/bin/test")
        assert profile is not None
        return policy.allows(profile, path, wanted, owned=owned)[0]


@pytest.mark.parametrize(
    "rules",
    [
        "/x r,",
        "r /x,",
        "  /x   rw,   # why",
        "file r /x,",
        "audit allow file /x r,",
        '"/x" r,',
        "/y r, /x r,",
        "/x\n r\n ,",
        "allow {\n /x r,\n}",
        "file,",
        "all,",
        "/x Rw,",
        "signal (receive, send) set=(term, kill) peer=a//b,\n/x r,",
        'dbus send\n bus=session\n path=/x\n peer=(name=org.a, label="b c"),\n/x r,',
        "network inet stream,\ncapability setuid,\n/x r,",
        "priority=1 /x r,\ndeny /x r,",
        "/y(z r,\n/x r,",
    ],
)
def test_a_rule_that_lets_it_be_read(tmp_path: Path, rules: str) -> None:
    assert allowed(tmp_path, rules, "/x")
    assert not allowed(tmp_path, f"{rules}\nprioritY=9,\npriority=9 deny /x r,", "/x")


@pytest.mark.parametrize(
    "rules",
    [
        "",
        "# /x r,",
        "/x w,",
        "/x r,\ndeny /x r,",
        "deny {\n /x r,\n}\n/x r,",
        "/x r,\naudit deny /** rwklx,",
        "priority=-1 /x r,\n/** w,",
        "profile child {\n /x r,\n}",
        "^hat {\n /x r,\n}",
        "link /x -> /y,",
        "unix (connect) peer=(addr=/x),",
        "/x -> r,",
    ],
)
def test_a_rule_that_does_not(tmp_path: Path, rules: str) -> None:
    assert not allowed(tmp_path, rules, "/x")


def test_the_owner(tmp_path: Path) -> None:
    assert allowed(tmp_path, "owner /x r,", "/x", owned=True)
    assert not allowed(tmp_path, "owner {\n/x r,\n}", "/x", owned=False)


def test_variables(tmp_path: Path) -> None:
    preamble = '@{A}=/one "/t wo"   # a comment\n@{A} += /three\n@{B}?=/four\n@{B}?=/five\n@{B}:=/six'
    for path, expected in {"/one": True, "/t wo": True, "/three": True, "/four": False, "/six": True}.items():
        assert allowed(tmp_path, "@{A} r,\n@{B} r,", path, preamble=preamble) is expected


# --- includes


def test_includes(tmp_path: Path) -> None:
    root = Root(tmp_path / "root")
    root.write("/etc/apparmor.d/abstractions/a", "include if exists <abstractions/a.d>\n/a r,\n")
    root.write("/etc/apparmor.d/abstractions/a.d/one", "/one r,").write(
        "/etc/apparmor.d/abstractions/a.d/two~", "/two r,"
    )
    root.write("/srv/rules", "/absolute r,").link("/etc/apparmor.d/linked", "/srv/rules2").write(
        "/srv/rules2", "/linked r,"
    )
    rules = '#include <abstractions/a>\ninclude "/srv/rules"\ninclude <linked> /last r,\ninclude <missing>'
    found = [path for path in ("/a", "/one", "/two", "/absolute", "/linked", "/last") if allowed(tmp_path, rules, path)]
    assert found == ["/a", "/one", "/absolute", "/linked", "/last"]


def test_an_abstraction_of_the_images_own_counts_more_than_what_debians_would_be(tmp_path: Path) -> None:
    assert allowed(tmp_path, "include <abstractions/ssl_certs>", "/etc/ssl/certs/a.pem")
    Root(tmp_path / "root").write("/etc/apparmor.d/abstractions/ssl_certs", "/srv/certs/* r,\n")
    assert not allowed(tmp_path, "include <abstractions/ssl_certs>", "/etc/ssl/certs/a.pem")


@pytest.mark.parametrize(
    "rules",
    [
        "if $FLAG {\n/x r,\n}",
        "/y r,\n" * 150_000,
        "include <a>",
        "\n".join(f"/**{number}*a*b*c r," for number in range(30_000)),
        "include <many>",
    ],
    ids=["condition", "long", "circle", "costly", "many"],
)
def test_what_is_not_judged_is_said_in_time(tmp_path: Path, rules: str) -> None:
    root = Root(tmp_path / "root").mkdir("/etc").mkdir("/etc/apparmor.d").mkdir("/etc/apparmor.d/many")
    for number in range(40):
        root.write(f"/etc/apparmor.d/a{number}", f"profile p{number} {{\ninclude <a{number + 1}>\n}}\n")
    root.write("/etc/apparmor.d/a", "profile p {\ninclude <a>\ninclude <a0>\n}\n")
    for number in range(300):
        root.write(f"/etc/apparmor.d/many/{number}", "/y r,\n")
    with within(2), pytest.raises(InputOutputError):
        allowed(tmp_path, rules, "/" + "abc" * 150)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(WORDS)))
def test_any_text_is_read(tmp_path: Path, words: list[str]) -> None:
    root = Root(tmp_path / "root").write(PATH, " ".join(words), 0o644)
    with Host(str(root.directory)) as host:
        assert isinstance(Policy(host, PATH).profiles, list)


# --- the secret command's line


@pytest.mark.parametrize(
    ("line", "programs", "opened"),
    [
        ("cat /a", ["cat"], []),
        ("A=1 B=2 exec /bin/cat /a", ["/bin/cat"], []),
        ("cat < /a|head -1", ["cat", "head"], [("/a", "r")]),
        ("cat /a 2>/dev/null >> /b", ["cat"], [("/dev/null", "w"), ("/b", "w")]),
        ("if [ -e /a ]; then cat /a; else x; fi", ["cat", "x"], []),
        ("(a; b) && c || ! d & e", ["a", "b", "c", "d", "e"], []),
        ("< /a cat", ["cat"], [("/a", "r")]),
        ("printf '%s' x", [], []),
        ("'my prog' a", ["my prog"], []),
        ("$PROG; `x`; ~/bin/y; cat < $F", ["cat"], []),
        ("cat 'x", [], []),
        ("", [], []),
        ("cat # not a comment to us", ["cat"], []),
    ],
)
def test_a_line_of_the_shell(line: str, programs: list[str], opened: list[tuple[str, str]]) -> None:
    assert read(line) == (tuple(programs), tuple(opened))


# --- where a path leads


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/dir/file", "/dir/file"),
        ("/dir//./file", "/dir/file"),
        ("/link/file", "/dir/file"),
        ("/absolute", "/dir/file"),
        ("/escape", "/dir/file"),
        ("/chain", "/dir/file"),
        ("/dir/missing", "/dir/missing"),
        ("/link/missing", "/dir/missing"),
        ("/link/no/thing", "/dir/no/thing"),
        ("/dangling", "/dir/gone"),
    ],
)
def test_resolve(tmp_path: Path, path: str, expected: str) -> None:
    root = Root(tmp_path / "root").write("/dir/file").link("/link", "dir").link("/absolute", "/dir/file")
    root.link("/escape", "../../../../dir/file").link("/chain", "absolute").link("/dangling", "link/gone")
    (tmp_path / "by-a-link").symlink_to("root")
    for directory in (root.directory, tmp_path / "by-a-link"):
        with Host(str(directory)) as host:
            assert host.resolve(path) == expected


def test_resolve_on_the_running_system(tmp_path: Path) -> None:
    root = Root(tmp_path / "root").write("/dir/file").link("/link", "dir").link("/loop", "loop")
    at = str(root.directory.resolve())
    assert Host().resolve(f"{at}/link/file") == f"{at}/dir/file"
    assert Host().resolve(f"{at}/link/missing") == f"{at}/dir/missing"
    with pytest.raises(InputOutputError):
        Host().resolve(f"{at}/loop")


# --- what could not be asked


PROFILE = "/etc/apparmor.d/usr.bin.msmtp"
SMALL = (
    "profile msmtp /usr/bin/msmtp {\n/etc/** r,\n/usr/bin/dash Cx,\nprofile /usr/bin/dash {\n/usr/bin/cat ix,\n}\n}\n"
)


class Running(Host):
    """A root that counts as the running system, of which not everything may be read."""

    @property
    def live(self) -> bool:
        return True

    def read(self, path: str, limit: int, *, offset: int = 0, follow: bool = False) -> tuple[FileFacts, bytes]:
        if path == "/sys/kernel/security/apparmor/profiles":
            raise InputOutputError(path, "cannot be read: Permission denied")
        return super().read(path, limit, offset=offset, follow=follow)


def test_a_child_profile_that_is_named_after_the_shell(tmp_path: Path) -> None:
    root = Root(tmp_path).good().write(PROFILE, SMALL, 0o644)
    assert root.found("apparmor-command") == []
    assert root.configure(passwordeval="head -n1 /etc/msmtp-password").found("apparmor-command") == ["apparmor-command"]


def test_a_log_in_a_circle_of_links(tmp_path: Path) -> None:
    """One question without an answer costs the answers of no other."""
    root = Root(tmp_path).good().write(PROFILE, SMALL, 0o644).link("/var/log/msmtp.log", "msmtp.log")
    assert root.result("apparmor-log").verdict is Verdict.CANNOT_TELL
    assert root.result("apparmor-trust").verdict is Verdict.PASSED


def test_a_kernel_that_does_not_say_what_it_has_loaded(tmp_path: Path) -> None:
    root = Root(tmp_path).good().write(PROFILE, SMALL, 0o644)
    root.write("/sys/module/apparmor/parameters/enabled", "Y\n")
    with Running(str(root.directory)) as host:
        assert gather(host, None) == AppArmor(enforced=True)
