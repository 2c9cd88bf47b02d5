"""What an image may hold to keep an audit busy, to fill its memory, or to be passed over in silence."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from msmtp_agent.host import Host
from msmtp_agent.model import Severity, Verdict
from msmtp_agent.survey.users import Users
from tests.support.pace import within
from tests.support.roots import LOG, SECRET, Root, failed, packages, sent

PROFILE = "/etc/apparmor.d/usr.bin.msmtp"
UNITS = "/etc/systemd/system"
ROTATE = "/etc/logrotate.conf"
TOO_MUCH = "has more rules than are read here"


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root").good()


def profile(rules: str) -> Callable[[Root], object]:
    return lambda root: root.write(PROFILE, f"@{{X}}=/a\n/usr/bin/msmtp {{\n{rules}\n}}\n", 0o644)


def rotation(text: str) -> Callable[[Root], object]:
    return lambda root: root.write(ROTATE, text, 0o644)


def empty_includes(root: Root) -> None:
    root.mkdir("/x")
    for number in range(1500):
        root.at(f"/x/{number}").touch(0o644)
    root.write(ROTATE, "include /x\n" * 40_000, 0o644)


def numbers_for_users(root: Root) -> None:
    users = "".join(f"u{number}:x:{number}:0::/:\n" for number in range(1, 60_000))
    root.write("/etc/passwd", users, 0o644)
    for number in range(10):
        jobs = "".join(f"@daily {user} x\n" for user in range(100_000, 103_900))
        root.write(f"/etc/cron.d/n{number}", jobs, 0o644)


def drop_ins_for_all(root: Root) -> None:
    root.mkdir(UNITS)
    for number in range(1500):
        root.at(f"{UNITS}/s{number}.service").symlink_to("other.service")
    root.mkdir(f"{UNITS}/service.d")
    for number in range(5000):
        root.at(f"{UNITS}/service.d/{number}.conf").symlink_to("x")


def packages_for_each_unit(root: Root) -> None:
    root.write("/var/lib/dpkg/status", packages({"msmtp": "1.8.28-1"}) + "x" * (20 << 20), 0o644)
    for number in range(300):
        service = "[Service]\nExecStart=/usr/sbin/sendmail\nUser=daemon\nPrivateDevices=yes\n"
        root.write(f"{UNITS}/s{number}.service", service, 0o644)


def large_crontabs(root: Root) -> None:
    for number in range(900):
        root.write(f"/etc/cron.d/n{number}", "@daily u x\n" * 5900, 0o644)


@pytest.mark.root
@pytest.mark.parametrize(
    ("change", "check", "words"),
    [
        pytest.param(profile("a" + "(" * 400_000 + " {"), "apparmor-command", "", id="round brackets"),
        pytest.param(profile("file { " * 90_000), "apparmor-command", TOO_MUCH, id="blocks in blocks"),
        pytest.param(profile("file " * 190_000 + "/x r,"), "apparmor-command", "", id="qualifiers"),
        pytest.param(profile("/" + "*a" * 400_000 + " r,"), "apparmor-command", TOO_MUCH, id="stars in a rule"),
        pytest.param(profile("/*" + "\\a" * 400_000 + " r,"), "apparmor-command", TOO_MUCH, id="escapes in a rule"),
        pytest.param(
            profile("@{X}+=" + "/b " * 150_000 + "\n" + "@{X}/c r, " * 50_000),
            "apparmor-command",
            TOO_MUCH,
            id="values",
        ),
        pytest.param(empty_includes, "log-rotation", "more than 2000 files", id="includes of empty files"),
        pytest.param(rotation("tabooext + a\n" * 80_000), "log-rotation", "200 taboo patterns", id="taboo extensions"),
        pytest.param(
            rotation("/var/log/" + "*a" * 500 + " {\n}\n"),
            "log-rotation",
            "more than 16 stars",
            id="stars in a pattern",
        ),
        pytest.param(rotation('/a "' + "b" * 1_000_000 + " {\n}\n"), "log-rotation", "", id="a word of a megabyte"),
        pytest.param(numbers_for_users, "sender-cron", "", id="numbers for users"),
        pytest.param(large_crontabs, "sender-mailto", "more than 4 MiB", id="large crontabs"),
        pytest.param(drop_ins_for_all, "sender-unit", "more than 4000 files", id="drop-ins for all units"),
        pytest.param(packages_for_each_unit, "sender-unit", "", id="packages for each unit"),
    ],
)
def test_no_file_drives_the_time_up(root: Root, change: Callable[[Root], object], check: str, words: str) -> None:
    change(root)
    with within(2):
        result = root.result(check)
    assert words in result.why
    assert "internal error" not in result.why


@pytest.mark.root
def test_copies_that_are_judged_elsewhere_do_not_hide_what_was_not_searched(root: Root) -> None:
    root.write(f"{SECRET}.bak", root.at(SECRET).read_bytes(), 0o644).write(
        "/etc/a.lz4", b"\x04\x22\x4d\x18" + b"x" * 50, 0o644
    )
    assert root.found("stray-secret") == ["stray-secret"]
    result = root.result("elsewhere-config")
    assert (result.verdict, result.why) == (Verdict.CANNOT_TELL, "/etc: not searched: /etc/a.lz4 (packed with lz4)")


@pytest.mark.root
@pytest.mark.parametrize("check", ["sender-mailto", "sender-cron", "aliases-in-a-row"])
def test_a_crontab_that_was_not_read_is_no_pass(root: Root, check: str) -> None:
    root.write("/etc/cron.d/long", "#" * 70_000, 0o644)
    assert root.result(check).verdict is Verdict.CANNOT_TELL
    root.write("/etc/cron.d/odd", "MAILTO=a b\n@daily root x\n", 0o644)
    assert root.found("sender-mailto") == ["sender-mailto"]


@pytest.mark.root
def test_a_list_of_users_that_is_not_read_to_its_end_is_no_pass(root: Root) -> None:
    root.write("/etc/crontab", "@daily late x\n", 0o644)
    root.write("/etc/passwd", "u:x:1:1::/:\n" * 200_000 + "late:x:9:9::/:\n", 0o644)
    assert root.result("sender-cron").verdict is Verdict.CANNOT_TELL


@pytest.mark.root
def test_of_several_users_with_a_number_the_first_one_counts(root: Root) -> None:
    root.write("/etc/passwd", "a:x:7:1::/a:\nb:x:7:2::/b:\n", 0o644)
    with Host(str(root.directory)) as host:
        found = Users(host).find("7")
    assert found is not None
    assert (found.name, found.gid) == ("a", 1)


@pytest.mark.root
def test_a_trust_file_that_is_not_read_to_its_end_is_no_pass(root: Root) -> None:
    trust = root.at("/etc/ssl/certs/ca-certificates.crt")
    trust.write_bytes(trust.read_bytes() + b"\n" * (4 << 20))
    assert root.result("tls-trust-file").verdict is Verdict.CANNOT_TELL


@pytest.mark.root
def test_the_last_service_with_too_many_drop_ins_is_told(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msmtp_agent.survey.unit_files._MOST_FILES", 2)
    root.write(f"{UNITS}/a.service", "[Service]\nExecStart=/usr/sbin/sendmail root\n", 0o644)
    for name in "xyz":
        root.write(f"{UNITS}/a.service.d/{name}.conf", "[Service]\nUser=daemon\n", 0o644)
    assert root.result("sender-unit").verdict is Verdict.CANNOT_TELL


@pytest.mark.root
def test_all_four_rotated_logs_are_unpacked(root: Root) -> None:
    root.log()
    for number, line in enumerate((failed(7200), failed(7300), failed(7400), sent(7500)), 1):
        root.write(f"{LOG}.{number}.gz", gzip.compress(f"{line}\n".encode()))
    assert root.result("delivery-unproven").verdict is Verdict.PASSED
    assert [finding.observed.partition(":")[0] for finding in root.findings("delivery-failing")] == [
        "the last 3 mails all failed"
    ]


@pytest.mark.root
@pytest.mark.parametrize("command", ["gpg -d ''", "'' x", "cat '' /etc/msmtp-password"])
def test_an_empty_word_in_the_secret_command(root: Root, command: str) -> None:
    root.write(PROFILE, "/usr/bin/msmtp {\n/{,usr/}bin/* PUx,\n}\n", 0o644)
    root.configure(passwordeval=f'"{command}"')
    assert "internal error" not in root.result("apparmor-command").why


@pytest.mark.root
def test_a_path_that_is_no_ascii_is_found_in_its_rule(root: Root) -> None:
    log = "/var/log/à la carte.log"
    root.configure(logfile=f'"{log}"').write(log, sent())
    root.write("/etc/logrotate.d/msmtp", f'"{log}" {{\n  olddir "/var/log/à"\n  create 0600 root root\n}}\n', 0o644)
    assert root.found("log-rotation") == ["log-rotation"]
    root.write("/etc/logrotate.d/msmtp", f'"{log}" {{\n  olddir /var/log/à\n  create 0600 root root\n}}\n', 0o644)
    root.mkdir("/var/log/à")
    assert root.found("log-rotation") == []


@pytest.mark.root
def test_a_rule_is_to_name_the_end_of_all_links(root: Root) -> None:
    root.link(LOG, "a.log").link("/var/log/a.log", "b.log").write("/var/log/b.log", sent())
    root.write("/etc/logrotate.d/msmtp", "/var/log/a.log {\n  create 0600 root root\n}\n", 0o644)
    assert root.found("log-rotation") == ["log-rotation"]
    root.write("/etc/logrotate.d/msmtp", "/var/log/b.log {\n  create 0600 root root\n}\n", 0o644)
    assert root.found("log-rotation") == []


@pytest.mark.root
def test_a_relative_path_of_aliases_is_none(root: Root) -> None:
    root.configure(aliases="aliases")
    (finding,) = root.findings("aliases-missing")
    assert (finding.path, finding.severity) == ("aliases", Severity.ERROR)
    assert finding.remedy.startswith("sensible-editor +10 /etc/msmtprc")
    root.configure(aliases="~/aliases").write("/root/aliases", "root: a@acme.test\ndefault: root\n", 0o644)
    assert root.found("aliases-missing") == []


@pytest.mark.root
def test_a_tilde_is_roots_home_whatever_follows_as_msmtp_has_it(root: Root) -> None:
    root.configure(logfile="~.log").write("/root.log", sent() + "\n")
    assert root.result("delivery-unproven").verdict is Verdict.PASSED


@pytest.mark.root
def test_the_host_of_a_provider_is_known_in_capitals_too(root: Root) -> None:
    root.configure(host="SMTP.SendGrid.net")
    assert root.found("config-from-header") == ["config-from-header"]


@pytest.mark.root
def test_the_path_of_a_profile_is_quoted(root: Root) -> None:
    odd = "/etc/apparmor.d/a b;reboot"
    root.write(PROFILE, f'/usr/bin/msmtp {{\n/** r,\ninclude "{odd}"\n}}\n', 0o644)
    root.write(odd, f"deny {LOG} w,\n", 0o644)
    (finding,) = root.findings("apparmor-log")
    assert f"'{odd}'" in finding.remedy
