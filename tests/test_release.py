"""scripts/release: one version number makes all of a release, and the same bytes again; or one line says why not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from msmtp_agent import __version__
from tests.support.sandbox import PROJECT
from tests.support.view import SYSTEM_PATH

pytestmark = pytest.mark.programs
slow = pytest.mark.slow
NEW = "7.8.9"
NEWS = """\
### Added

- A thing that is `told`, in a sentence that is so long that it does not fit on a line of debian/changelog, where 80
  columns are the rule; see [the manual](docs/msmtp-config.8).

### Fixed

- Another.
"""
ENTRY = """\
msmtp-agent (7.8.9) unstable; urgency=medium

  * A thing that is told, in a sentence that is so long that it does not fit
    on a line of debian/changelog, where 80 columns are the rule; see the
    manual.
  * Fixed: Another.

 -- msmtp-agent maintainers <maintainers@example.org>  Thu, 03 Jan 2030 04:05:06 +0000

"""
MOMENT = "1893643506"
NAMES = [
    "SHA256SUMS",
    *(f"msmtp-agent_{NEW}{end}" for end in (".cdx.json", ".dsc", ".tar.xz", "_all.deb")),
]


def run(
    *argv: str | Path, cwd: Path = PROJECT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env={"PATH": SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent", **(env or {})},
    )


def git(where: Path, *arguments: str) -> str:
    settings = ("safe.directory=*", "user.name=Somebody", "user.email=somebody@example.test", "init.defaultBranch=main")
    done = run("git", *(word for setting in settings for word in ("-c", setting)), "-C", where, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def checkout(place: Path) -> Path:
    """The sources as they lie here, committed: what is not committed here is part of what is tested. No news yet."""
    ignored = ("__pycache__", ".git", "dist", ".*_cache", ".hypothesis", ".coverage*")
    shutil.copytree(PROJECT, place, symlinks=True, ignore=shutil.ignore_patterns(*ignored))
    changelog = place / "CHANGELOG.md"
    before, heading, news = changelog.read_text().partition("## [Unreleased]\n\n")
    changelog.write_text(before + heading + news[news.index("## [") :])
    git(place, "init", "--quiet")
    commit(place)
    return place


def commit(place: Path) -> None:
    git(place, "add", "--all")
    git(place, "commit", "--quiet", "--message", "Sources")


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def released(place: Path, *arguments: str | Path, **env: str) -> str:
    done = run(place / "scripts/release", *arguments, cwd=Path("/"), env=env)
    assert done.returncode == 0, done.stderr
    return done.stderr


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


# --- the places of the version


def test_the_places_of_the_version_agree() -> None:
    """msmtp_agent, CHANGELOG.md, debian/changelog with its words, and every line that names a file of a release."""
    done = run(PROJECT / "scripts/release", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    version = run("/usr/bin/python3", "-m", "msmtp_agent", "--version").stdout
    assert version == f"msmtp-config {__version__}\n"
    assert run("dpkg-parsechangelog", "--show-field", "Version").stdout.strip() == __version__
    assert 'dynamic = ["version"]' in (PROJECT / "pyproject.toml").read_text()


@pytest.fixture(scope="module")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("release") / "pristine")


@pytest.fixture
def place(_pristine: Path, tmp_path: Path) -> Path:
    """A checkout of the test's own."""
    where = tmp_path / "checkout"
    shutil.copytree(_pristine, where, symlinks=True)
    return where


DISAGREEMENTS = {
    "number": ("msmtp_agent/__init__.py", f'"{__version__}"', '"9.9.9"', "CHANGELOG.md: no section for 9.9.9"),
    "no-number": ("msmtp_agent/__init__.py", f'"{__version__}"', '"9.9"', "no line __version__"),
    "changelog": ("CHANGELOG.md", f"## [{__version__}]", "## [9.9.9]", f"CHANGELOG.md: no section for {__version__}"),
    "newest": ("CHANGELOG.md", f"## [{__version__}]", f"## [9.9.9] - 2031-01-01\n\n## [{__version__}]", "newest is"),
    "debian": ("debian/changelog", f"({__version__})", "(9.9.9)", "debian/changelog: newest is 9.9.9"),
    "words": ("debian/changelog", "  * ", "  * Not so: ", "does not say what CHANGELOG.md says"),
    "day": ("debian/changelog", " 2026 ", " 2025 ", "debian/changelog: is of 2025-"),
    "readme": ("README.md", "# msmtp-config\n", "# msmtp-agent_9.9.9_all.deb\n", "README.md: names msmtp-agent_9.9.9"),
    "manual": ("docs/msmtp-config.8", ".Os Debian\n", '.\\" msmtp-agent_9.9.9.dsc\n', "docs/msmtp-config.8: names"),
}


@slow
@pytest.mark.parametrize("name", DISAGREEMENTS)
def test_a_place_that_disagrees_is_found(place: Path, name: str) -> None:
    file, before, after, told = DISAGREEMENTS[name]
    edit(place / file, before, after)
    done = run(place / "scripts/release", "--check")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


@slow
def test_the_debian_entry_is_made_from_the_changelog(place: Path) -> None:
    edit(place / "CHANGELOG.md", "### Added\n", "### Fixed\n\n- An **old** fault.\n\n### Added\n")
    before = (place / "debian/changelog").read_text()
    released(place, "--entry")
    after = (place / "debian/changelog").read_text()
    assert after.count("  * Fixed: An old fault.\n") == 1
    assert after.replace("  * Fixed: An old fault.\n", "") == before
    assert run(place / "scripts/release", "--check").returncode == 0


# --- what is refused


def unreleased(place: Path, body: str = NEWS) -> None:
    edit(place / "CHANGELOG.md", "## [Unreleased]\n", f"## [Unreleased]\n\n{body}")


def _modified(place: Path) -> None:
    edit(place / "README.md", "msmtp", "MSMTP")


def _untracked(place: Path) -> None:
    (place / "new").write_text("")


def _tagged(place: Path, version: str = NEW) -> None:
    git(place, "tag", "--annotate", "--message", "x", f"v{version}")


def _tagged_before(place: Path) -> None:
    _tagged(place, __version__)
    (place / "new").write_text("")
    commit(place)


def _tagged_newer(place: Path) -> None:
    _tagged(place, "8.0.0")


def _without_git(place: Path) -> None:
    shutil.rmtree(place / ".git")


def _with_news(place: Path) -> None:
    unreleased(place)
    commit(place)


def _odd_news(place: Path) -> None:
    unreleased(place, "A sentence that belongs to no list.\n")
    commit(place)


def _nothing(_: Path) -> None:
    pass


REFUSED: dict[str, tuple[Callable[[Path], None], tuple[str, ...], str]] = {
    "modified": (_modified, (), "not committed: README.md"),
    "untracked": (_untracked, (NEW,), "not committed: new"),
    "goes-back": (_nothing, ("0.0.9",), f"0.0.9 is older than {__version__}, which this commit is"),
    "goes-behind-a-tag": (_tagged_newer, (NEW,), f"{NEW} is older than 8.0.0, which is tagged"),
    "tag-exists": (_tagged, (NEW,), f"v{NEW} is tagged already"),
    "tagged-elsewhere": (_tagged_before, (), f"v{__version__} is tagged already"),
    "not-a-version": (_nothing, ("1.0-rc1",), "'1.0-rc1' is not a version"),
    "leading-zero": (_nothing, ("1.01.0",), "'1.01.0' is not a version"),
    "other-digits": (_nothing, ("1.2.1\N{ARABIC-INDIC DIGIT THREE}",), "is not a version"),
    "no-news": (_nothing, (NEW,), "CHANGELOG.md: nothing below ## [Unreleased]"),
    "odd-news": (_odd_news, (NEW,), "CHANGELOG.md: is neither a heading nor a point of a list: A sentence"),
    "no-git": (_without_git, (), "a git repository"),
    "no-room": (_nothing, ("--output", "/proc/nowhere"), "/proc/nowhere: No such file or directory"),
}


@slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_release_is_refused_with_one_line(place: Path, tmp_path: Path, name: str) -> None:
    spoil, arguments, told = REFUSED[name]
    spoil(place)
    before = {file: file.read_bytes() for file in place.rglob("*") if file.is_file() and ".git" not in file.parts}
    done = run(place / "scripts/release", "--output", tmp_path / "out", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"release: [^\n]*{re.escape(told)}[^\n]*\n", done.stderr), done.stderr
    assert not (tmp_path / "out").exists()
    after = {file: file.read_bytes() for file in place.rglob("*") if file.is_file() and ".git" not in file.parts}
    assert after == before


@pytest.mark.parametrize("option", ["--check", "--entry"])
def test_what_makes_nothing_takes_no_version(option: str) -> None:
    done = run(PROJECT / "scripts/release", option, NEW)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("error: --check and --entry stand alone\n")


# --- what is made


@pytest.fixture(scope="module")
def new(_pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which a new version was just made: the release lies in dist, and nothing is committed yet."""
    place = tmp_path_factory.mktemp("new") / "checkout"
    shutil.copytree(_pristine, place, symlinks=True)
    edit(place / "README.md", "# msmtp-config\n", f"# msmtp-config\n\nmsmtp-agent_{__version__}_all.deb\n")
    _with_news(place)
    told = released(place, NEW, SOURCE_DATE_EPOCH=MOMENT)
    assert f"git tag v{NEW}" in told
    return place


@pytest.fixture(scope="module")
def made(new: Path) -> Path:
    """The directory of that release."""
    return new / "dist" / f"msmtp-agent_{NEW}"


@slow
def test_a_new_version_is_written_into_every_place(new: Path) -> None:
    changed = set(git(new, "diff", "--name-only").splitlines())
    assert {"CHANGELOG.md", "README.md", "debian/changelog", "msmtp_agent/__init__.py"} <= changed
    assert (new / "CHANGELOG.md").read_text().count(f"## [Unreleased]\n\n## [{NEW}] - 2030-01-03\n\n{NEWS}") == 1
    assert (new / "debian/changelog").read_text().startswith(ENTRY)
    assert f"\nmsmtp-agent_{NEW}_all.deb\n" in (new / "README.md").read_text()
    assert f'__version__ = "{NEW}"\n' in (new / "msmtp_agent/__init__.py").read_text()
    assert run(new / "scripts/release", "--check").returncode == 0
    assert git(new, "tag") == ""
    assert len(git(new, "log", "--format=%H").splitlines()) == 2


@slow
def test_every_file_of_a_release_is_that_version(made: Path, tmp_path: Path) -> None:
    assert sorted(os.listdir(made)) == NAMES
    assert run("sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS", cwd=made).returncode == 0
    assert [line.split("  ")[1] for line in (made / "SHA256SUMS").read_text().splitlines()] == NAMES[1:]
    assert run("dpkg-deb", "--field", made / NAMES[4], "Version").stdout == f"{NEW}\n"
    assert f"\nVersion: {NEW}\n" in (made / NAMES[2]).read_text()
    extracted = tmp_path / "deb"
    run("dpkg-deb", "--extract", made / NAMES[4], extracted)
    done = run(
        "/usr/bin/python3", "-B", "-m", "msmtp_agent", "--version", cwd=extracted / "usr/lib/python3/dist-packages"
    )
    assert done.stdout == f"msmtp-config {NEW}\n"


@slow
def test_the_source_package_is_the_commit(new: Path, made: Path, tmp_path: Path) -> None:
    done = run("dpkg-source", "--no-check", "--extract", made / NAMES[2], tmp_path / "source")
    assert done.returncode == 0, done.stderr
    found = {
        str(file.relative_to(tmp_path / "source")) for file in (tmp_path / "source").rglob("*") if not file.is_dir()
    }
    assert found == set(git(new, "ls-files").splitlines())
    for name in found:
        assert (tmp_path / "source" / name).read_bytes() == (new / name).read_bytes(), name


@slow
def test_the_bill_of_materials_is_valid_and_whole(made: Path) -> None:
    text = (made / NAMES[1]).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill: dict[str, Any] = json.loads(text)
    component = bill["metadata"]["component"]
    assert (component["name"], component["version"], bill["metadata"]["timestamp"]) == (
        "msmtp-agent",
        NEW,
        "2030-01-03T04:05:06Z",
    )
    for reference in component["externalReferences"]:
        assert hashlib.sha256((made / reference["url"]).read_bytes()).hexdigest() == reference["hashes"][0]["content"]
    assert [reference["url"] for reference in component["externalReferences"]] == NAMES[2:]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert component["licenses"] == [{"license": {"id": project["license"]["text"]}}]
    needed = {part["purl"]: part["properties"][0]["value"] for part in bill["components"]}
    assert len(needed) == len(bill["components"])
    for purl in (component["purl"], *needed):
        assert PackageURL.from_string(purl).to_string() == purl
    relations = []
    for field in ("Depends", "Recommends"):
        value = run("dpkg-deb", "--field", made / NAMES[4], field).stdout.strip()
        relations += [f"{field}: {relation}" for relation in value.split(", ")]
    assert [value for purl, value in needed.items() if purl.startswith("pkg:deb/")] == relations
    python = [value.removeprefix("pyproject.toml: ") for purl, value in needed.items() if purl.startswith("pkg:pypi/")]
    assert python == project["dependencies"]
    assert bill["dependencies"][0] == {"ref": component["purl"], "dependsOn": list(needed)}


@slow
def test_the_commit_gives_the_same_bytes_elsewhere(new: Path, made: Path, tmp_path: Path) -> None:
    """In another clone, later, on one processor, by another umask, language, time zone and home; tagged by then."""
    place = tmp_path / "a much longer path" / "clone"
    shutil.copytree(new, place, symlinks=True)
    commit(place)
    _tagged(place)
    again = tmp_path / "again"
    env = {"TZ": "Asia/Tokyo", "LANG": "de_DE.UTF-8", "HOME": str(tmp_path), "PYTHONHASHSEED": "7", "GZIP": "-1"}
    env["DEB_BUILD_OPTIONS"] = "nostrip parallel=7"
    old = 'umask 077; find "$1" -name "*.md" -exec touch -d 2001-02-03 {} +; '
    script = old + 'exec taskset 1 "$1/scripts/release" --output "$2"'
    done = run("sh", "-c", script, "sh", place, again, cwd=Path("/"), env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert contents(again / made.name) == contents(made)
    assert git(place, "status", "--porcelain") == ""
