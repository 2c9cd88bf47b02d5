"""The group "Delivery" of the audit: what it tells from msmtp's log, within bounds."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msmtp_agent.checks import CATALOGUE
from msmtp_agent.facts import History
from msmtp_agent.host import Host
from msmtp_agent.model import Severity, Verdict
from msmtp_agent.msmtprc import parse
from msmtp_agent.survey import configuration, history
from msmtp_agent.survey.logtime import Clock
from tests.support.pace import within
from tests.support.roots import DAY, LOG, SECRET, USER, Root, failed, sent

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO
IDS = [check.id for check in CATALOGUE if check.id.startswith("delivery-")]
REFUSED = "535 5.7.8 Error: authentication failed"
Change = Callable[[Root], object]
PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.fixture(autouse=True)
def _universal_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The times of an image's log count as UTC, so that is what the tests write."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root").good()


def refused(ago: float) -> str:
    return failed(ago, reply=REFUSED)


def unreachable(ago: float) -> str:
    return failed(ago, status="EX_TEMPFAIL", message="cannot connect to smtp.acme.test, port 587: Connection refused")


def log(*lines: str) -> Change:
    return lambda root: root.log(*lines)


def rotated(name: str, *lines: str, ago: float = 0.0) -> Change:
    """A predecessor of the log, last written so long ago, and an empty log."""
    content = "".join(f"{line}\n" for line in lines).encode()
    packed = PACKERS.get(name.rpartition(".")[2], bytes)(content)
    return lambda root: root.log().write(f"/var/log/{name}", packed).aged(f"/var/log/{name}", ago)


def both(*changes: Change) -> Change:
    return lambda root: [change(root) for change in changes]


OTHER_HOST = sent(60).replace("host=smtp.acme.test", "host=mx.other.test")
OTHER_USER = sent(60).replace(f"user={USER}", "user=news@acme.test")
WITHOUT_LOGIN = sent(60).replace(f"auth=on user={USER} ", "auth=off ")
TORN = sent(60).rpartition("exitcode=")[0]
FORGED = failed(60, reply=f"535 x exitcode=EX_OK smtpstatus=250 user={USER}", message="no exitcode=EX_OK")
FORGED_RECIPIENT = refused(60).replace("recipients=", "recipients=x smtpstatus=250 smtpmsg='250 ok' exitcode=EX_OK ")
STORED = 5 * DAY  # how long ago the secret was, where a test sets it

# what is done to a good root, and what is then found: id, severity, words of what was observed
ROWS: dict[str, tuple[Change, list[tuple[str, Severity, str]]]] = {
    "sent": (log(sent(3600)), []),
    "one failed": (
        log(sent(3600), refused(60)),
        [("delivery-failures", INFO, "1 failed mail since the last success: 1 x EX_NOPERM smtpstatus=535 (the server")],
    ),
    "two failed": (
        log(sent(3600), unreachable(120), refused(60)),
        [("delivery-failures", INFO, "1 x EX_TEMPFAIL (no connection")],
    ),
    "three failed": (
        log(sent(3600), unreachable(180), refused(120), refused(60)),
        [("delivery-failing", ERROR, "the last 3 mails all failed: 2 x EX_NOPERM smtpstatus=535")],
    ),
    "failed, then sent": (log(*[refused(600)] * 9, sent(60)), []),
    "failed so far": (
        log(refused(DAY)),
        [
            ("delivery-failures", INFO, "1 failed mail so far"),
            ("delivery-unproven", WARNING, "nothing proves the password"),
        ],
    ),
    "29 days ago": (both(log(sent(29 * DAY)), lambda r: r.aged(SECRET, 50 * DAY)), []),
    "31 days ago": (
        both(log(sent(31 * DAY)), lambda r: r.aged(SECRET, 50 * DAY)),
        [("delivery-stale", WARNING, "the last mail was accepted 31 days ago")],
    ),
    "failing for 31 days": (
        both(log(*[refused(31 * DAY)] * 3), lambda r: r.aged(SECRET, 50 * DAY)),
        [
            ("delivery-failing", ERROR, "3 x EX_NOPERM"),
            ("delivery-stale", WARNING, "no mail was accepted for 31 days or more"),
            ("delivery-unproven", WARNING, ""),
        ],
    ),
    "sent before it was stored": (
        both(log(sent(STORED + 60)), lambda r: r.aged(SECRET, STORED)),
        [("delivery-unproven", WARNING, "since it was stored")],
    ),
    "no mail yet": (log(), [("delivery-unproven", WARNING, "")]),
    "no log yet": (lambda r: r.remove(LOG), [("delivery-unproven", WARNING, "")]),
    "another server": (log(OTHER_HOST), [("delivery-unproven", WARNING, "")]),
    "another user": (log(OTHER_USER), [("delivery-unproven", WARNING, "")]),
    "without a login": (log(WITHOUT_LOGIN), [("delivery-unproven", WARNING, "")]),
    "not written whole": (log(TORN), [("delivery-unproven", WARNING, "")]),
    "forged by the server": (
        log(*[FORGED] * 3),
        [("delivery-failing", ERROR, "3 x EX_NOPERM smtpstatus=535 ("), ("delivery-unproven", WARNING, "")],
    ),
    "forged in a recipient": (
        log(*[FORGED_RECIPIENT] * 3),
        [("delivery-failing", ERROR, "3 x EX_NOPERM smtpstatus=535 ("), ("delivery-unproven", WARNING, "")],
    ),
    "rotated": (rotated("msmtp.log.1", sent(3 * DAY), ago=3 * DAY), []),
    "rotated and compressed": (rotated("msmtp.log.2.gz", sent(3 * DAY), ago=3 * DAY), []),
    "with bzip2": (rotated("msmtp.log.2.bz2", sent(3 * DAY), ago=3 * DAY), []),
    "with xz": (rotated("msmtp.log-20261101.xz", sent(3 * DAY), ago=3 * DAY), []),
    "dated": (rotated("msmtp.log-20261101", sent(3 * DAY), ago=3 * DAY), []),
    "in front of the suffix": (rotated("msmtp-20261101.log.gz", sent(3 * DAY), ago=3 * DAY), []),
    "in an olddir": (
        both(
            rotated("old/msmtp.log.1", sent(3 * DAY), ago=3 * DAY),
            lambda r: r.write("/etc/logrotate.d/msmtp", f"{LOG} {{\nolddir old\n}}\n", 0o644),
        ),
        [],
    ),
    "another log's": (rotated("msmtp.log2.1", sent(3 * DAY)), [("delivery-unproven", WARNING, "")]),
    "failures over two files": (
        both(
            rotated("msmtp.log.2.gz", sent(9 * DAY), refused(8 * DAY), ago=8 * DAY),
            rotated("msmtp.log.1", refused(3 * DAY), ago=3 * DAY),
            log(refused(60)),
        ),
        [("delivery-failing", ERROR, "the last 3 mails all failed: 3 x EX_NOPERM")],
    ),
    "the newest is read first": (
        both(
            rotated("msmtp.log.10", sent(9 * DAY), ago=9 * DAY),
            rotated("msmtp.log.9", *[refused(3 * DAY)] * 3, ago=3 * DAY),
        ),
        [("delivery-failing", ERROR, "the last 3 mails")],
    ),
    "a link": (lambda r: r.write("/var/log/mail/m.1", f"{sent(60)}\n").link(LOG, "mail/m"), []),
    "a format of its own": (
        both(
            lambda r: r.configure("logfile_time_format %Y-%m-%dT%H:%M:%S%z"),
            log(sent(9 * DAY, "%Y-%m-%dT%H:%M:%S+0000"), refused(60)),
        ),
        [("delivery-failures", INFO, "1 failed mail")],
    ),
    "before the format was changed": (both(lambda r: r.configure("logfile_time_format %F %T"), log(sent(60))), []),
}


@pytest.mark.parametrize(("change", "wanted"), ROWS.values(), ids=ROWS)
def test_what_the_log_tells(root: Root, change: Change, wanted: list[tuple[str, Severity, str]]) -> None:
    change(root)
    findings = root.findings(*IDS)
    assert [(finding.id, finding.severity) for finding in findings] == [
        (name, severity) for name, severity, _ in wanted
    ]
    for finding, (name, _, seen) in zip(findings, wanted, strict=True):
        assert seen in finding.observed
        assert finding.path == (SECRET if name == "delivery-unproven" else LOG)
        assert finding.remedy == "msmtp-config test"


HEAD = b"host=smtp.acme.test tls=on auth=off "
UNREAD = b"\x28\xb5\x2f\xfd"
# what cannot be told, and what is said of it
UNTOLD: dict[str, tuple[Change, dict[str, str]]] = {
    "no time": (
        both(lambda r: r.configure("logfile_time_format none"), log(sent(60, ""))),
        {"delivery-stale": "its times cannot be read", "delivery-unproven": "its times cannot be read"},
    ),
    "no date": (
        both(lambda r: r.configure("logfile_time_format %H:%M"), log(sent(60, "%H:%M"))),
        {"delivery-stale": "its times cannot be read", "delivery-unproven": "its times cannot be read"},
    ),
    "months in another language": (
        log(sent(60, "Okt %d %H:%M:%S")),
        {"delivery-stale": "its times cannot be read", "delivery-unproven": "its times cannot be read"},
    ),
    "zstd": (
        both(log(refused(60)), lambda r: r.write("/var/log/msmtp.log.1.zst", UNREAD)),
        {
            "delivery-failing": "msmtp.log.1.zst (packed with zstd)",
            "delivery-stale": "msmtp.log.1.zst",
            "delivery-unproven": "msmtp.log.1.zst",
        },
    ),
    "cut off": (
        both(log(), lambda r: r.write("/var/log/msmtp.log.1.gz", gzip.compress(sent(60).encode())[:-12])),
        dict.fromkeys(("delivery-failing", "delivery-stale", "delivery-unproven"), "cut off"),
    ),
    "not what its name says": (
        both(log(), lambda r: r.write("/var/log/msmtp.log.1.xz", "plain")),
        dict.fromkeys(
            ("delivery-failing", "delivery-stale", "delivery-unproven"), "compressed in a way that is not read"
        ),
    ),
    "a loop of links": (
        both(log(), lambda r: r.link("/var/log/msmtp.log.1", "msmtp.log.1")),
        dict.fromkeys(("delivery-failing", "delivery-stale", "delivery-unproven"), "symbolic links"),
    ),
    "in front of an old success": (
        both(
            rotated("msmtp.log.2.gz", sent(40 * DAY), ago=40 * DAY),
            log(refused(60)),
            lambda r: r.write("/var/log/msmtp.log.1.zst", UNREAD),
        ),
        dict.fromkeys(("delivery-stale", "delivery-unproven"), "msmtp.log.1.zst"),
    ),
    "too many": (
        both(log(), lambda r: [r.write(f"/var/log/msmtp.log.{number}") for number in range(1, 70)]),
        dict.fromkeys(("delivery-failing", "delivery-stale", "delivery-unproven"), "msmtp.log.61 and older ones"),
    ),
}


@pytest.mark.parametrize(("change", "wanted"), UNTOLD.values(), ids=UNTOLD)
def test_what_cannot_be_read_is_no_pass(root: Root, change: Change, wanted: dict[str, str]) -> None:
    change(root)
    untold = {result.id: result.why for result in root.report(*IDS).having(Verdict.CANNOT_TELL)}
    assert set(untold) == set(wanted)
    for name, seen in wanted.items():
        assert seen in untold[name]


def test_what_is_left_out_behind_a_success_does_not_matter(root: Root) -> None:
    root.log(sent(60)).write("/var/log/msmtp.log.1.zst", UNREAD)
    assert {result.verdict for result in root.report(*IDS).results} == {Verdict.PASSED}


def test_failing_is_told_without_times(root: Root) -> None:
    root.configure("logfile_time_format none").log(*[failed(60, "")] * 3)
    assert root.found(*IDS) == ["delivery-failing", "delivery-unproven"]


@pytest.mark.parametrize(("stored", "proven"), [(0.0, True), (0.9, True), (1.0, False), (-60.0, True)])
def test_the_logs_whole_seconds_are_allowed_for(root: Root, stored: float, proven: bool) -> None:
    at = int(time.time()) - 7200
    root.log(sent(time.time() - at))
    os.utime(root.at(SECRET), (at + stored, at + stored))
    assert (root.found(*IDS) == []) == proven


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda r: r.configure(logfile=None), "needs log-none"),
        (lambda r: r.configure(passwordeval='"cat /root/pw"'), "does not use the secret file"),
        (lambda r: r.configure(auth="off"), "does not use the secret file"),
        (lambda r: r.remove(SECRET), "no secret file"),
    ],
)
def test_where_no_secret_can_be_proven_none_is_called_unproven(root: Root, change: Change, why: str) -> None:
    change(root)
    result = root.result("delivery-unproven")
    assert result.verdict is Verdict.SKIPPED
    assert why in result.why


def test_the_report_carries_the_last_success_and_whether_the_secret_is_proven(root: Root) -> None:
    at = int(time.time()) - 7200
    root.log(sent(time.time() - at))
    report = root.report(*IDS)
    assert (report.last_success, report.proven) == (at, True)


# --- bounds


def of(root: Root) -> History:
    with Host(str(root.directory)) as host:
        found = history.gather(host, configuration.gather(host).account, time.time(), 1.0)
    assert found is not None
    return found


def test_of_a_large_log_the_end_is_enough(root: Root) -> None:
    root.log(*[sent(9 * DAY)] * 50_000, refused(60))
    with within(0.5):
        found = of(root)
    assert (found.failed_in_a_row, found.attempts, found.left_out) == (1, 2, ())


def test_a_success_is_looked_for_in_a_mebibyte_and_no_further(root: Root) -> None:
    root.log(sent(9 * DAY), *[refused(60)] * 3000)
    found = of(root)
    assert (found.failed_in_a_row, found.last_success is not None) == (3000, True)
    root.log(sent(9 * DAY), *[refused(60)] * 30_000)
    with within(1):
        found = of(root)
    assert found.failed_in_a_row < 10_000
    assert found.left_out == (f"{LOG} (all but the last 1 MiB)",)


@pytest.mark.parametrize("ending", PACKERS)
def test_a_decompression_bomb_is_not_unpacked(root: Root, ending: str) -> None:
    name = f"msmtp.log.1.{ending}"
    root.log().write(f"/var/log/{name}", PACKERS[ending](bytes(64 << 20)))
    with within(1):
        found = of(root)
    assert found.left_out == (f"/var/log/{name} (holds more than 2 MiB)",)


@pytest.mark.parametrize("text", [b"\n" * (2 << 20), b" exitcode=\n" * 200_000, b" exitcode=" * 200_000])
def test_garbage_costs_no_time(root: Root, text: bytes) -> None:
    for number in range(9):
        root.write(f"/var/log/msmtp.log.{number}", text)
    root.write(LOG, text)
    with within(2):
        assert of(root).attempts == 0


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b" exitcode=EX_", HEAD, HEAD, b"'", b"\n", b" errormsg='"])))
def test_any_bytes_are_read(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    attempts = history._Attempts(parse(b"account default\nhost smtp.acme.test\n")["default"])
    attempts.count(content, Clock("", newest=time.time(), live=False))
    assert attempts.succeeded <= (b"EX_OK" in content)
    assert attempts.failures.total() <= content.count(b" exitcode=EX_")


def test_nothing_of_a_servers_words_is_told(root: Root) -> None:
    root.log(*[failed(60, reply="535 you sent Correct-Horse-Battery-41", message="Correct-Horse-Battery-41")] * 3)
    assert root.found(*IDS) == ["delivery-failing", "delivery-unproven"]
    assert "Correct" not in repr(root.report(*IDS))
