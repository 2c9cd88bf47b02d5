"""Large files: what of them is searched for the secret, and that the rest is told and is no reason to give up."""

from __future__ import annotations

import gzip
import os
import shlex
import subprocess
from pathlib import Path

import pytest

from msmtp_agent.host import Host
from msmtp_agent.model import Severity, Verdict
from msmtp_agent.survey import sweep
from tests.support.roots import PASSWORD, SECRET, Root

VALUE = PASSWORD.removesuffix(b"\n")
HALF = len(VALUE) // 2
MIB = 1 << 20
CUT = 4 * MIB
SIZE = 12 * MIB  # of the large file: 4 MiB between its beginning and its end
LOG, BOUNDED = "elsewhere-log", "elsewhere-bounded"
PATH = "/var/log/app.log"
OF_IT = "the first and the last 4 MiB of 12 MiB"
OF_CONTENT = "the first 8 MiB of its content"


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that tests may be slow."""
    monkeypatch.setattr(sweep, "_SECONDS", 60.0)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root").good()


def text(*parts: tuple[int, bytes], size: int = SIZE, fill: bytes = b"a") -> bytes:
    """A text of this size, with something else at some places."""
    content = bytearray(fill * size)
    for offset, part in parts:
        content[offset : offset + len(part)] = part
    return bytes(content)


def seen(root: Root) -> tuple[bool, list[str]]:
    """Whether the secret is found in the log, and what is told of large files; everything was searched, it says."""
    results = {result.id: result for result in root.report(LOG, BOUNDED).results}
    assert Verdict.CANNOT_TELL not in {result.verdict for result in results.values()}
    assert {finding.severity for finding in results[BOUNDED].findings} <= {Severity.INFO}
    return bool(results[LOG].findings), [finding.observed for finding in results[BOUNDED].findings]


def told(path: str, what: str) -> list[str]:
    return [f"searched in part: {path} ({what})"]


# --- plain files


@pytest.mark.parametrize(
    "offset",
    [
        pytest.param(0, id="at the beginning"),
        pytest.param(MIB - HALF, id="over a border of pieces in the beginning"),
        pytest.param(CUT - len(VALUE), id="last of the beginning"),
        pytest.param(SIZE - CUT, id="first of the end"),
        pytest.param(SIZE - CUT + MIB - HALF, id="over a border of pieces in the end"),
        pytest.param(SIZE - len(VALUE), id="at the end"),
    ],
)
def test_beginning_and_end_of_a_large_file_are_searched(root: Root, offset: int) -> None:
    root.write(PATH, text((offset, VALUE)), 0o640)
    assert seen(root) == (True, [])


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([(SIZE // 2, VALUE)], id="in between"),
        pytest.param([(CUT - len(VALUE) + 1, VALUE)], id="over the end of the beginning"),
        pytest.param([(SIZE - CUT - 1, VALUE)], id="over the beginning of the end"),
        pytest.param([(CUT - HALF, VALUE[:HALF]), (SIZE - CUT, VALUE[HALF:])], id="half of it on either side"),
        pytest.param([], id="not at all"),
    ],
)
def test_what_stands_in_between_is_not_searched_and_that_is_told(root: Root, parts: list[tuple[int, bytes]]) -> None:
    root.write(PATH, text(*parts), 0o640)
    assert seen(root) == (False, told(PATH, OF_IT))


@pytest.mark.parametrize(("size", "hit"), [(8 * MIB - 1, True), (8 * MIB, True), (8 * MIB + 8192, False)])
def test_a_file_is_large_from_eight_mebibytes_on(root: Root, size: int, hit: bool) -> None:
    root.write(PATH, text((CUT - HALF, VALUE), size=size), 0o640)
    assert seen(root) == (hit, [] if hit else told(PATH, "the first and the last 4 MiB of 9 MiB"))


@pytest.mark.parametrize(
    ("offset", "part", "hit"),
    [
        (CUT - 6, b" tulip ", False),  # the byte behind it is not looked at
        (CUT - 6, b" tulips", False),
        (CUT - 7, b" tulip ", True),
        (SIZE - CUT, b"tulip ", False),  # nor the one in front of it
        (SIZE - CUT - 2, b"mytulip ", False),
        (SIZE - CUT, b" tulip ", True),
        (SIZE - 6, b" tulip", True),
    ],
)
def test_a_short_secret_beside_the_cut_is_not_taken_for_a_word(root: Root, offset: int, part: bytes, hit: bool) -> None:
    root.write(SECRET, b"tulip\n").write(PATH, text((offset, part)), 0o640)
    found, words = seen(root)
    assert found is hit
    assert hit or words == told(PATH, OF_IT)


def test_space_that_is_reserved_for_a_journal_is_not_read(root: Root) -> None:
    """It counts for the size, as journald's does, and reads as a hole does."""
    root.write(PATH, text((MIB, b"b"), size=2 * MIB), 0o640)
    with root.at(PATH).open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 40 * MIB)
    assert seen(root) == (False, told(PATH, "the first and the last 4 MiB of 40 MiB"))
    root.write(PATH, text((MIB, VALUE), size=2 * MIB), 0o640)
    with root.at(PATH).open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 40 * MIB)
    assert seen(root) == (True, [])


def test_holes_make_no_file_large(root: Root) -> None:
    root.write(PATH, b"start", 0o664)
    with root.at(PATH).open("r+b") as file:
        file.seek(1 << 35)
        file.write(VALUE)
        file.truncate(1 << 40)
    assert seen(root) == (True, [])
    root.write(PATH, b"start", 0o664)
    os.truncate(root.at(PATH), 1 << 40)
    assert seen(root) == (False, [])


def test_what_is_scattered_among_holes_is_searched_to_the_end(root: Root) -> None:
    root.write(PATH, b"start", 0o664)
    with root.at(PATH).open("r+b") as file:
        for number in range(1, 1500):
            file.seek(number << 22)
            file.write(b"x")
    assert seen(root) == (False, [])
    with root.at(PATH).open("ab") as file:
        file.write(VALUE)
    assert seen(root) == (True, [])


def test_a_file_that_takes_less_space_than_it_has_bytes_has_an_end_all_the_same(root: Root) -> None:
    """On a file system that packs them, few blocks do not mean holes."""
    root.write(PATH, text((9 * MIB, VALUE)), 0o640)
    with Host(str(root.directory)) as host, root.at(PATH).open("rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        few = os.stat_result(tuple(facts), {"st_blocks": 8})
        search = sweep.Sweep(host)
        pieces = list(search.contents(sweep.Found(PATH, few, file.fileno())))
    assert b"".join(piece for piece in pieces if piece) == b"a" * 8 * MIB
    assert pieces[-1] is None
    assert (search.bounded, search.left_out) == ((f"{PATH} ({OF_CONTENT})",), ())


# --- packed files


@pytest.mark.parametrize(
    ("offset", "hit"),
    [(0, True), (8 * MIB - len(VALUE), True), (8 * MIB - HALF, False), (8 * MIB, False), (SIZE - len(VALUE), False)],
)
def test_of_a_packed_file_the_beginning_of_what_it_unpacks_to(root: Root, offset: int, hit: bool) -> None:
    root.write(f"{PATH}.gz", gzip.compress(text((offset, VALUE))), 0o640)
    assert seen(root) == (hit, [] if hit else told(f"{PATH}.gz", OF_CONTENT))


def test_a_packed_file_that_unpacks_to_just_as_much_is_not_large(root: Root) -> None:
    root.write(f"{PATH}.gz", gzip.compress(text(size=8 * MIB)), 0o640)
    assert seen(root) == (False, [])


def test_a_short_secret_at_the_cut_of_a_packed_file(root: Root) -> None:
    root.write(SECRET, b"tulip\n")
    root.write(f"{PATH}.gz", gzip.compress(text((8 * MIB - 6, b" tulips"))), 0o640)
    assert seen(root) == (False, told(f"{PATH}.gz", OF_CONTENT))
    root.write(f"{PATH}.gz", gzip.compress(text((8 * MIB - 7, b" tulip "))), 0o640)
    assert seen(root) == (True, [])


def test_a_packed_file_that_is_large_itself_is_unpacked_and_not_searched_as_it_is(root: Root) -> None:
    content = os.urandom(9 * MIB)  # gzip cannot make it smaller
    root.write(f"{PATH}.gz", gzip.compress(VALUE + content, 1), 0o640)
    assert seen(root) == (True, [])
    root.write(f"{PATH}.gz", gzip.compress(content, 1), 0o640)
    assert seen(root) == (False, told(f"{PATH}.gz", OF_CONTENT))


# --- what is told, and what is more than a rule of size


def test_many_large_logs_are_told_and_no_more(root: Root) -> None:
    archive = "/var/log/archive"
    content = text(size=9 * MIB, fill=b"j")
    for number in range(12):
        root.write(f"{archive}/app.{number:02}", content, 0o640)
    report = root.report()
    assert report.having(Verdict.CANNOT_TELL) == ()
    (finding,) = report.findings
    assert (finding.id, finding.severity) == (BOUNDED, Severity.INFO)
    assert finding.path.startswith(f"{archive}/app.")
    assert finding.observed.startswith(f"searched in part: {finding.path} (the first and the last 4 MiB of 9 MiB), ")
    assert finding.observed.count("the first and the last") == 8
    assert finding.observed.endswith(", and 4 more")


def test_each_place_tells_of_its_own(root: Root) -> None:
    paths = ["/var/lib/cloud/instance/a (b)", "/etc/app.conf", PATH, "/root/.bash_history"]
    for path in paths:
        root.write(path, text(), 0o644)
    findings = root.findings(BOUNDED)
    assert [finding.path for finding in findings] == paths
    assert [finding.observed for finding in findings] == [told(path, OF_IT)[0] for path in paths]


def test_the_remedy_finds_what_was_not_searched(root: Root) -> None:
    path = "/var/log/of $(false)/app.log"
    root.write(path, text((SIZE // 2, VALUE)), 0o640)
    (finding,) = root.findings(BOUNDED)
    assert shlex.split(finding.remedy, comments=True)[-1] == "/var/log/of $(false)"
    here = finding.remedy.replace("/etc/", f"{root.directory}/etc/").replace("/var/", f"{root.directory}/var/")
    done = subprocess.run(["sh", "-c", here], capture_output=True, check=True, timeout=30)
    assert done.stdout.decode() == f"{root.at(path)}\n"


def test_a_path_that_holds_the_secret_does_not_tell_it(root: Root) -> None:
    root.write(f"/var/log/{VALUE.decode()}.log", text(), 0o640)
    assert seen(root) == (False, told("/var/log/***.log", OF_IT))


def test_a_find_in_another_file_hides_nothing(root: Root) -> None:
    root.write(PATH, text(), 0o640).write("/var/log/small.log", VALUE, 0o640)
    assert seen(root) == (True, told(PATH, OF_IT))


def test_what_was_left_out_for_another_reason_is_still_no_pass(root: Root) -> None:
    root.write(PATH, text(), 0o640).write("/var/log/other.zst", b"\x28\xb5\x2f\xfd" + bytes(40), 0o640)
    assert root.result(LOG).why == "/var/log: not searched: /var/log/other.zst (packed with zstd)"
    assert [finding.observed for finding in root.findings(BOUNDED)] == told(PATH, OF_IT)


@pytest.mark.parametrize("most", [2, 4, 6])
def test_a_large_file_in_which_the_search_ends_is_no_pass(
    root: Root, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(sweep, "_MOST_BYTES", most * MIB)
    root.remove("/var/log/msmtp.log").write(PATH, text(), 0o640)
    result = root.result(LOG)
    assert (result.verdict, result.why) == (
        Verdict.CANNOT_TELL,
        f"/var/log: not searched: {PATH} (all but {most} MiB of it)",
    )
    assert root.findings(BOUNDED) == []


def test_a_large_file_that_takes_the_last_bytes_of_a_search_is_searched(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_MOST_BYTES", 8 * MIB)
    root.remove("/var/log/msmtp.log").write(PATH, text(), 0o640)
    assert seen(root) == (False, told(PATH, OF_IT))


@pytest.mark.parametrize("content", [None, b"\n"])
def test_without_a_secret_nothing_is_searched(root: Root, content: bytes | None) -> None:
    root.write(PATH, text(), 0o640)
    root.remove(SECRET) if content is None else root.write(SECRET, content)
    result = root.result(BOUNDED)
    assert (result.verdict, result.why) == (Verdict.SKIPPED, "there is no secret to look for")


def test_the_journal_is_not_named_each_time(root: Root) -> None:
    path = "/var/log/journal/4711/system.journal"
    root.write(path, text((SIZE - 100, VALUE)), 0o640)
    assert seen(root) == (True, [])
    root.write(path, text(), 0o640)
    assert seen(root) == (False, [])
