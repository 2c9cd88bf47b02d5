"""What a host says of a file beside its mode: ACLs, attributes, and the names in a directory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from msmtp_agent import host as host_module
from msmtp_agent.errors import InputOutputError
from msmtp_agent.host import Host


@pytest.fixture(params=["image", "live"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Host, str]]:
    """The same file as an image's and as the running system's: a host, and the directory as it knows it."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "file").chmod(0o600)
    with Host(str(tmp_path) if request.param == "image" else "/") as found:
        yield found, "" if request.param == "image" else str(tmp_path)


def setfacl(*arguments: object) -> None:
    subprocess.run(["setfacl", *map(str, arguments)], check=True, timeout=20)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ("u:33:r", ["user:33:r--"]),
        ("u:33:rwx", ["user:33:rwx"]),
        ("g:105:w", ["group:105:-w-"]),
        ("u:33:r,u:34:w,g:4:x", ["user:33:r--", "user:34:-w-", "group:4:--x"]),
        ("u:33:rwx,m::r", ["user:33:r--"]),
        ("u:33:w,m::r", []),
        ("u:33:rwx,g:105:rwx,m::---", []),
        ("u:33:---", []),
        ("u:0:r", ["user:0:r--"]),
        ("u:4294967294:r", ["user:4294967294:r--"]),
        ("g::r,m::r", []),
    ],
)
def test_the_entries_that_let_others_in(
    host: tuple[Host, str], tmp_path: Path, entries: str, expected: list[str]
) -> None:
    setfacl("-m", entries, tmp_path / "file")
    found = host[0].acl(f"{host[1]}/file")
    assert list(found) == expected
    # What getfacl calls effective, or the entry itself where the mask takes nothing.
    listed = subprocess.run(
        ["getfacl", "-n", "-p", "-c", "-e", tmp_path / "file"], capture_output=True, text=True, check=True, timeout=20
    ).stdout
    effective = [
        line.partition("#effective:")[2].strip() or line.split(":")[2].strip()
        for line in listed.splitlines()
        if line.startswith(("user:", "group:")) and not line.startswith(("user::", "group::"))
    ]
    assert [entry.rpartition(":")[2] for entry in found] == [rights for rights in effective if rights != "---"]


def test_a_file_without_an_acl_has_no_entries(host: tuple[Host, str], tmp_path: Path) -> None:
    assert host[0].acl(f"{host[1]}/file") == ()
    setfacl("-m", "u:33:r", tmp_path / "file")
    setfacl("-b", tmp_path / "file")
    assert host[0].acl(f"{host[1]}/file") == ()
    assert host[0].acl(f"{host[1]}/none") == ()


def test_the_acl_of_a_link_is_not_its_targets(host: tuple[Host, str], tmp_path: Path) -> None:
    setfacl("-m", "u:33:r", tmp_path / "file")
    (tmp_path / "link").symlink_to("file")
    assert host[0].acl(f"{host[1]}/link") == ()


def test_the_default_acl_of_a_directory_is_no_files(host: tuple[Host, str], tmp_path: Path) -> None:
    """But a file that is made in it has it."""
    (tmp_path / "etc").mkdir()
    setfacl("-d", "-m", "u:33:rw", tmp_path / "etc")
    assert host[0].acl(f"{host[1]}/etc") == ()
    (tmp_path / "etc/new").write_text("x")
    assert host[0].acl(f"{host[1]}/etc/new") == ("user:33:rw-",)


@pytest.fixture
def attribute(tmp_path: Path) -> Iterator[Path]:
    """The file, which gets its attributes taken away again: nobody could remove it otherwise."""
    yield tmp_path / "file"
    subprocess.run(["chattr", "-i", "-a", "-d", tmp_path / "file"], check=True, timeout=20)


@pytest.mark.parametrize(("flag", "expected"), [("+i", True), ("+a", True), ("+d", False), ("=", False)])
def test_a_file_that_not_even_root_may_change(
    host: tuple[Host, str], attribute: Path, flag: str, expected: bool
) -> None:
    subprocess.run(["chattr", flag, attribute], check=True, timeout=20)
    assert host[0].immutable(f"{host[1]}/file") is expected
    if expected:
        with pytest.raises(PermissionError):
            attribute.write_text("y")


def test_attributes_are_those_behind_a_link(host: tuple[Host, str], attribute: Path) -> None:
    attribute.with_name("link").symlink_to("file")
    subprocess.run(["chattr", "+i", attribute], check=True, timeout=20)
    assert host[0].immutable(f"{host[1]}/link")


def test_a_file_system_without_attributes_has_none() -> None:
    assert not Host("/").immutable("/proc/version")
    assert not Host("/").immutable("/proc/self")
    assert not Host("/").immutable("/dev/null")


def test_names_are_sorted_and_bounded(monkeypatch: pytest.MonkeyPatch, host: tuple[Host, str], tmp_path: Path) -> None:
    for name in ("b", "a\nb", "\x1b[2J", "\udcff", "file~"):
        (tmp_path / "d" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "d" / name).touch()
    assert host[0].names(f"{host[1]}/d") == sorted(os.listdir(tmp_path / "d"))
    assert host[0].names(f"{host[1]}/none") == []
    assert host[0].names(f"{host[1]}/file") == []
    monkeypatch.setattr(host_module, "_MOST_NAMES", 3)
    with pytest.raises(InputOutputError) as caught:  # never a part of them as if it were the whole
        host[0].names(f"{host[1]}/d")
    assert caught.value.message == f"{host[1]}/d: has more than 3 names"
    monkeypatch.setattr(host_module, "_MOST_NAMES", 5)
    assert len(host[0].names(f"{host[1]}/d")) == 5


def test_what_cannot_be_looked_at_is_said(host: tuple[Host, str], tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for ask in (host[0].names, host[0].immutable):
        with pytest.raises(InputOutputError) as caught:
            ask(f"{host[1]}/loop/x" if ask == host[0].names else f"{host[1]}/loop")
        assert caught.value.observed == "cannot be read: Too many levels of symbolic links"
        assert caught.value.subject.startswith(f"{host[1]}/loop")
