"""What stands at and above /etc/msmtp-agent/providers.d: whose it is, what kind it is, and how much of it there is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from msmtp_agent.providers import BUILT_IN
from msmtp_agent.providers.local import DIRECTORY
from tests.support.roots import Root
from tests.test_provider_files import FILE, told

ABOVE = DIRECTORY.rpartition("/")[0]


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "rights"),
    [
        (0o664, 0, 0, "0664 root:root"),
        (0o646, 0, 0, "0646 root:root"),
        (0o644, 1000, 0, "0644 1000:root"),
        (0o600, 33, 33, "0600 33:33"),
    ],
)
def test_a_file_that_others_can_change_is_refused(mode: int, uid: int, gid: int, rights: str, tmp_path: Path) -> None:
    root = Root(tmp_path).write(FILE, "gmail: {checked: 2027-01-01}", mode, uid, gid)
    fault = told(root)[1]
    assert fault is not None
    assert fault.message == f"{FILE}: is {rights}; expected 0644 root:root"
    assert fault.remedy == f"chown root:root {FILE} && chmod 0644 {FILE}"
    assert told(root)[0]["gmail"] == BUILT_IN[0]


@pytest.mark.parametrize(("mode", "gid"), [(0o644, 0), (0o600, 0), (0o640, 42), (0o444, 42)])
def test_a_file_that_others_can_read_is_read(mode: int, gid: int, tmp_path: Path) -> None:
    root = Root(tmp_path).write(FILE, "gmail: {checked: 2027-01-01}", mode, 0, gid)
    assert told(root)[0]["gmail"].checked == "2027-01-01"


@pytest.mark.parametrize(("mode", "uid"), [(0o777, 0), (0o775, 0), (0o755, 1000)])
def test_a_directory_that_others_can_change_is_refused(mode: int, uid: int, tmp_path: Path) -> None:
    root = Root(tmp_path).write(FILE, "gmail: {checked: 2027-01-01}", 0o644).rights(DIRECTORY, mode, uid)
    fault = told(root)[1]
    assert fault is not None
    assert fault.subject == DIRECTORY
    assert fault.expected == "0755 root:root"


def test_what_stands_above_has_to_be_roots_as_well(tmp_path: Path) -> None:
    """Who can change it can lay other files of root's in the place of these, and have them quoted."""
    root = Root(tmp_path).write(FILE, "gmail: {checked: 2027-01-01}", 0o644).rights(ABOVE, 0o777)
    fault = told(root)[1]
    assert fault is not None
    assert fault.message == f"{ABOVE}: is 0777 root:root; expected 0755 root:root"


@pytest.mark.parametrize("path", [DIRECTORY, ABOVE])
def test_a_link_in_place_of_a_directory_is_refused(path: str, tmp_path: Path) -> None:
    root = Root(tmp_path).write(FILE, "gmail: {checked: 2027-01-01}", 0o644)
    root.at(path).rename(root.at("/etc/elsewhere"))
    root.at(path).symlink_to("/etc/elsewhere")
    providers, fault = told(root)
    assert tuple(providers.values()) == BUILT_IN
    assert fault is not None
    assert fault.message == f"{path}: is a symbolic link to /etc/elsewhere; expected a directory"


@pytest.mark.parametrize(
    ("make", "kind"),
    [(Path.touch, "a regular file"), (os.mkfifo, "a FIFO"), (lambda path: path.symlink_to("x"), "a symb")],
)
def test_what_is_no_directory_is_not_passed_over(make: Callable[[Path], object], kind: str, tmp_path: Path) -> None:
    root = Root(tmp_path).write("/etc/msmtp-agent/README", "", 0o644)
    make(root.at(DIRECTORY))
    fault = told(root)[1]
    assert fault is not None
    assert fault.message.startswith(f"{DIRECTORY}: is {kind}")


def test_all_files_together_have_a_limit(tmp_path: Path) -> None:
    """Each may cost a third of a second; a hundred of them would hold every run up."""
    root = Root(tmp_path)
    for number in range(5):
        root.write(f"{DIRECTORY}/{number}.yaml", "#" * 65_536, 0o644)
    fault = told(root)[1]
    assert fault is not None
    assert fault.message == f"{DIRECTORY}: has files of more than 262144 bytes in all; expected at most 262144"


def test_a_link_a_fifo_and_a_directory_are_refused_and_nothing_waits(tmp_path: Path) -> None:
    root = Root(tmp_path).write("/etc/passwd", "root:x", 0o644)
    for make, kind in (
        (lambda path: path.symlink_to("/etc/passwd"), "a symbolic link to /etc/passwd"),
        (os.mkfifo, "a FIFO"),
        (Path.mkdir, "a directory"),
    ):
        root.remove(FILE)
        root.at(DIRECTORY).mkdir(parents=True, exist_ok=True)
        make(root.at(FILE))
        fault = told(root)[1]
        assert fault is not None
        assert fault.message == f"{FILE}: is {kind}; expected a regular file"


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    root = Root(tmp_path)
    for number in range(101):
        root.write(f"{DIRECTORY}/{number}.yaml", "", 0o644)
    fault = told(root)[1]
    assert fault is not None
    assert fault.message == f"{DIRECTORY}: has 101 files; expected at most 100"
