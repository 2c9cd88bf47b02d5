"""Paths below an image's root, against the kernel's own resolution (openat2(2) with RESOLVE_IN_ROOT)."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msmtp_agent.beneath import Beneath
from msmtp_agent.errors import InputOutputError
from msmtp_agent.host import Host
from msmtp_agent.model import FileKind
from tests.support.pace import within

_OPENAT2, _RESOLVE_IN_ROOT = 437, 0x10  # the same number on every architecture (asm/unistd.h, linux/openat2.h)
_libc = ctypes.CDLL(None, use_errno=True)
Answer = tuple[int, int] | int  # device and inode, or the error


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def kernel(root: Path, path: str, *, follow: bool) -> Answer:
    """What the kernel finds at `path` when `root` is its root."""
    how = _How(os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW), 0, _RESOLVE_IN_ROOT)
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        descriptor = _libc.syscall(
            _OPENAT2, directory, ctypes.c_char_p(os.fsencode(path)), ctypes.byref(how), ctypes.sizeof(how)
        )
        return _identity(descriptor) if descriptor >= 0 else ctypes.get_errno()
    finally:
        os.close(directory)


def ours(root: Path, path: str, *, follow: bool) -> Answer:
    """What `Beneath` finds there."""
    beneath = Beneath(str(root))
    try:
        return _identity(beneath.open(path, follow=follow))
    except OSError as error:
        return error.errno or 0
    finally:
        beneath.close()


def _identity(descriptor: int) -> tuple[int, int]:
    facts = os.fstat(descriptor)
    os.close(descriptor)
    return facts.st_dev, facts.st_ino


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """A root with a secret beside it that no path in it may reach."""
    root = tmp_path / "image"
    (root / "etc/deep/er").mkdir(parents=True)
    (root / "etc/file").write_text("inside")
    (root / "etc/deep/er/file").write_text("deep")
    (root / "outside").write_text("the image's own")
    (tmp_path / "outside").write_text("the host's")
    before = descriptors()
    yield root
    assert descriptors() == before


# The link /etc/link leads to TARGET, then PATH is opened: what stands there, or the error.
LINKS: dict[str, tuple[str, str, str | int]] = {
    "relative": ("file", "/etc/link", "etc/file"),
    "relative, up and down": ("../etc/deep/../file", "/etc/link", "etc/file"),
    "absolute": ("/etc/file", "/etc/link", "etc/file"),
    "absolute, which the host has too": ("/outside", "/etc/link", "outside"),
    "above the root": ("../../../../../outside", "/etc/link", "outside"),
    "above the root, absolute": ("/../../outside", "/etc/link", "outside"),
    "a directory on the way": ("deep", "/etc/link/er/file", "etc/deep/er/file"),
    "a directory on the way, absolute": ("/etc/deep", "/etc/link/er/file", "etc/deep/er/file"),
    "up behind a link: from where it leads": ("deep/er", "/etc/link/../er/file", "etc/deep/er/file"),
    "the root": ("/", "/etc/link", "."),
    "the root, by dots": ("..", "/etc/link", "."),
    "nothing": ("nothing", "/etc/link", errno.ENOENT),
    "the host's /proc": ("/proc/self/environ", "/etc/link", errno.ENOENT),
    "itself": ("link", "/etc/link", errno.ELOOP),
    "itself, absolute": ("/etc/link", "/etc/link", errno.ELOOP),
    "itself, on the way": ("link/x", "/etc/link", errno.ELOOP),
    "through a file": ("file/x", "/etc/link", errno.ENOTDIR),
    "up behind a file": ("file/../deep", "/etc/link", errno.ENOTDIR),
    "a name too long": ("x" * 256, "/etc/link", errno.ENAMETOOLONG),
}


@pytest.mark.parametrize(("target", "path", "expected"), LINKS.values(), ids=LINKS)
def test_a_link_leads_where_the_images_own_system_would_go(
    image: Path, target: str, path: str, expected: str | int
) -> None:
    (image / "etc/link").symlink_to(target)
    found = ours(image, path, follow=True)
    wanted = expected if isinstance(expected, int) else _file_identity(image / expected)
    assert found == wanted
    assert found == kernel(image, path, follow=True)


def _file_identity(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_dev, facts.st_ino


PLAIN: dict[str, tuple[str, str | int]] = {
    "root": ("/", "."),
    "doubled": ("//etc///file", "etc/file"),
    "dots": ("/./etc/./deep/../file", "etc/file"),
    "above the root": ("/../../etc/file", "etc/file"),
    "up at the end": ("/etc/deep/..", "etc"),
    "missing": ("/etc/none", errno.ENOENT),
    "missing on the way": ("/none/file", errno.ENOENT),
    "missing, and up again": ("/none/../etc/file", errno.ENOENT),
    "through a file": ("/etc/file/x", errno.ENOTDIR),
}


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize(("path", "expected"), PLAIN.values(), ids=PLAIN)
def test_a_path_without_links(image: Path, path: str, expected: str | int, follow: bool) -> None:
    found = ours(image, path, follow=follow)
    assert found == (expected if isinstance(expected, int) else _file_identity(image / expected))
    assert found == kernel(image, path, follow=follow)


@pytest.mark.parametrize("target", ["file", "/outside", "nothing", "link"])
def test_the_last_link_is_followed_only_when_asked(image: Path, target: str) -> None:
    (image / "etc/link").symlink_to(target)
    with Host(str(image)) as host:
        facts = host.inspect("/etc/link")
        assert (facts.kind, facts.target) == (FileKind.SYMLINK, target)
        assert host.read("/etc/link", 100)[1] == b""
    assert ours(image, "/etc/link", follow=False) == kernel(image, "/etc/link", follow=False)


@pytest.mark.parametrize(("length", "expected"), [(1, 0), (40, 0), (41, errno.ELOOP), (200, errno.ELOOP)])
def test_a_chain_of_links_is_as_long_as_the_kernels(image: Path, length: int, expected: int) -> None:
    for number in range(1, length):
        (image / f"etc/l{number}").symlink_to(f"l{number + 1}" if number % 2 else f"/etc/l{number + 1}")
    (image / f"etc/l{length}").symlink_to("file")
    found = ours(image, "/etc/l1", follow=True)
    assert found == (expected or _file_identity(image / "etc/file"))
    assert found == kernel(image, "/etc/l1", follow=True)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "ü", "\udcff", "-rf", " ", "x" * 255])
def test_any_name_is_a_name(image: Path, name: str) -> None:
    (image / "etc" / name).mkdir()
    (image / "etc" / name / "file").write_text("here")
    (image / "etc/link").symlink_to(name)
    with Host(str(image)) as host:
        assert host.read(f"/etc/{name}/file", 100)[1] == b"here"
        assert host.read("/etc/link/file", 100)[1] == b"here"
        assert name in host.names("/etc")


_part = st.sampled_from(["a", "b", "c", "..", ".", "l", "m"])
_path = st.tuples(st.sampled_from(["", "/"]), st.lists(_part, min_size=1, max_size=5)).map(
    lambda parts: parts[0] + "/".join(parts[1])
)
_tree = st.dictionaries(
    st.lists(st.sampled_from(["a", "b", "c", "l", "m"]), min_size=1, max_size=3).map("/".join),
    st.one_of(st.just(True), st.none(), _path),
    min_size=1,
    max_size=10,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=_tree, path=_path, follow=st.booleans())
def test_any_tree_is_read_as_the_kernel_reads_it(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bool | str | None], path: str, follow: bool
) -> None:
    root = tmp_path_factory.mktemp("tree")
    directories = {""}
    for name, kind in sorted(tree.items()):  # True: a directory, None: a file, text: a link to it
        if name.rpartition("/")[0] not in directories:
            continue
        if kind is True:
            (root / name).mkdir()
            directories.add(name)
        elif isinstance(kind, str):
            (root / name).symlink_to(kind)
        else:
            (root / name).write_text(name)
    if path.endswith("."):  # the kernel then follows what stands before it: nobody asks for such a path
        path += "/a"
    assert ours(root, "/" + path, follow=follow) == kernel(root, "/" + path, follow=follow)


@pytest.mark.parametrize("order", ["forwards", "backwards", "twice"])
def test_results_stay_right_when_directories_are_given_up(image: Path, order: str) -> None:
    wanted = {}
    for number in range(200):
        place = image / f"var/d{number}/e{number % 7}"
        place.mkdir(parents=True)
        (place / "file").write_text(str(number))
        wanted[f"/var/d{number}/e{number % 7}/file"] = str(number).encode()
    paths = {"forwards": [*wanted], "backwards": [*reversed(wanted)], "twice": [*wanted, *wanted]}[order]
    before = descriptors()
    with Host(str(image)) as host:
        assert {path: host.read(path, 10)[1] for path in paths} == wanted
        held = len(descriptors() - before)
        assert 1 < held <= 80
    assert descriptors() == before


@contextmanager
def few_descriptors(number: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(descriptors()) + number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def deep(image: Path) -> Iterator[str]:
    """A path to a directory so deep that holding every one on the way would take all descriptors."""
    depth = 1900
    directory = os.open(image / "etc", os.O_PATH | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=directory)
        further = os.open("d", os.O_PATH | os.O_DIRECTORY, dir_fd=directory)
        os.close(directory)
        directory = further
    os.close(directory)
    yield "/".join(["d"] * depth)
    subprocess.run(["rm", "-rf", image / "etc/d"], check=True, timeout=60)  # too deep for shutil.rmtree


def test_a_deep_path_costs_no_more_than_itself(image: Path, deep: str) -> None:
    (image / "etc/link").symlink_to(f"{deep}/file")
    with within(2), few_descriptors(120), Host(str(image)) as host:
        with suppress(InputOutputError):
            assert host.inspect("/etc/link", follow=True).kind is FileKind.MISSING
        # Whatever came of it: the files that it has nothing to do with can still be read.
        assert host.read("/etc/file", 10)[1] == b"inside"
        assert host.read("/etc/deep/er/file", 10)[1] == b"deep"


def test_a_directory_that_became_a_link_leads_nowhere_else(image: Path) -> None:
    """Held directories are the ones that were reached; what is reached later is resolved as it is then."""
    with Host(str(image)) as host:
        assert host.read("/etc/deep/er/file", 10)[1] == b"deep"
        (image / "etc/deep").rename(image / "etc/gone")
        (image / "etc/deep").symlink_to(image.parent)
        assert host.inspect("/etc/deep/outside").kind is FileKind.MISSING


def test_nothing_but_a_regular_file_is_opened_for_reading(image: Path) -> None:
    os.mkfifo(image / "etc/fifo")
    (image / "etc/link").symlink_to("fifo")
    with Host(str(image)) as host:
        for path in ("/etc/fifo", "/etc/link", "/etc", "/etc/fifo/x"):
            facts, content = host.read(path, 10, follow=True)
            assert content == b""
            assert facts.kind is not FileKind.REGULAR
            assert host.acl(path) == ()
            assert not host.immutable(path)
            assert not stat.S_ISREG(facts.mode)


@pytest.mark.root
def test_a_device_is_looked_at_and_no_more(image: Path) -> None:
    os.mknod(image / "etc/zero", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    with Host(str(image)) as host:
        facts, content = host.read("/etc/zero", 10)
        assert (facts.kind, content) == (FileKind.CHARACTER, b"")


def test_a_part_of_a_file_is_read(image: Path) -> None:
    with Host(str(image)) as host:
        assert host.read("/etc/file", 3, offset=2)[1] == b"sid"
        assert host.read("/etc/file", 100, offset=50)[1] == b""
        assert host.read("/etc/file", 0)[1] == b""


def test_the_name_of_an_image_is_its_own(image: Path) -> None:
    with Host(str(image)) as host:
        assert host.name() == ""
        (image / "etc/hostname").symlink_to("/etc/name")
        (image / "etc/name").write_text("acme \nother\n")
        assert host.name() == "acme"
    assert Host("/").name() == os.uname().nodename
