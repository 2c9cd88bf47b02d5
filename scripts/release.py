"""Make a release, or refuse it with one line: scripts/release says how to call it.

A release is made from a commit, in a copy outside of the checkout. The checkout is touched only for a new version, and
only once everything was made: then it holds what has to be committed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import release_sbom
from release_places import (
    VERSION,
    RefusedError,
    advance,
    differences,
    number,
    ordered,
    rewrite_entry,
    when,
)

PROJECT = Path(__file__).resolve().parents[1]
# Nothing of the caller's: neither language nor time zone nor an option of dpkg's or git's.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _git(*arguments: str) -> str:
    """What git says of the checkout, whoever owns it."""
    argv: list[str | Path] = ["git", "-c", "safe.directory=*", "-C", PROJECT, *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=ENVIRONMENT)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["failed"]
        # On a file system of its own, what is wrong comes first, and a hint follows.
        told = next((line for line in said if line.startswith("fatal:")), said[-1])
        raise RefusedError(f"git {arguments[0]}: {told}")
    return done.stdout


def _refuse_dirty() -> None:
    top = Path(_git("rev-parse", "--show-toplevel").strip())
    if top.resolve() != PROJECT:
        raise RefusedError(f"{PROJECT} is not a git checkout of its own: a release is made from a commit")
    changed = _git("status", "--porcelain", "--untracked-files=normal").splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:3]) + (", ..." if changed[3:] else "")
        raise RefusedError(f"not committed: {names}; a release is made from a commit")


def _tags() -> dict[str, str]:
    """The versions that were released, and the commit of each."""
    shown = _git("for-each-ref", "--format=%(refname:strip=2) %(objectname) %(*objectname)", "refs/tags/v*")
    tags = {fields[0].removeprefix("v"): fields[-1] for fields in map(str.split, shown.splitlines())}
    return {version: commit for version, commit in tags.items() if VERSION.fullmatch(version)}


def _refuse_version(wanted: str | None, current: str) -> str:
    """The version to be made."""
    version = current if wanted is None else wanted
    if not VERSION.fullmatch(version):
        raise RefusedError(f"{version!r} is not a version; expected three numbers, as in 1.2.3")
    if ordered(version) < ordered(current):
        raise RefusedError(f"{version} is older than {current}, which this commit is")
    tags = _tags()
    if version in tags:
        # What was released can be made once more, from its own commit: that is how others verify it.
        if wanted is not None or tags[version] != _git("rev-parse", "HEAD").strip():
            raise RefusedError(f"v{version} is tagged already, at {tags[version][:12]}; name a newer version")
    else:
        newest = max(tags, key=ordered, default="0.0.0")
        if ordered(version) < ordered(newest):
            raise RefusedError(f"{version} is older than {newest}, which is tagged")
    return version


def _refuse_differences(source: Path) -> None:
    if found := differences(source):
        raise RefusedError("\nrelease: ".join(found))


def _exported(directory: Path, version: str) -> Path:
    """The commit as files; its name is the one that the source package will have inside."""
    source = directory / f"msmtp-agent-{version}"
    source.mkdir()
    archive = directory / "commit.tar"
    _git("archive", "--format=tar", f"--output={archive}", "HEAD")
    _run(["tar", "--extract", f"--directory={source}", f"--file={archive}"], directory)
    archive.unlink()
    return source


def _run(argv: list[str | Path], where: Path, **environment: str) -> str:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=300,
        cwd=where,
        env={**ENVIRONMENT, "HOME": str(where), **environment},
    )
    if done.returncode != 0:
        sys.stderr.write("".join((done.stdout + done.stderr).splitlines(keepends=True)[-40:]))
        raise RefusedError(f"{argv[0]} ended with {done.returncode}; its last lines are above")
    return done.stdout


def _level(source: Path, moment: datetime) -> None:
    """Rights and times that do not tell whose checkout this was, nor when it was made."""
    stamp = int(moment.timestamp())
    for path in (source, *source.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (stamp, stamp), follow_symlinks=False)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _make(source: Path, version: str, result: Path) -> None:
    """All files of the release, into an empty directory."""
    moment = when(source)
    _level(source, moment)
    # The source first, as it is: what the build does to its directories has times of its own.
    _run(["dpkg-source", "--build", source.name], source.parent)
    # No .changes and no .buildinfo: they tell of one build (its day, its machine), and are for whoever uploads one.
    _run(["dpkg-buildpackage", "--unsigned-changes", "--build=binary"], source)
    names = [f"msmtp-agent_{version}.dsc", f"msmtp-agent_{version}.tar.xz", f"msmtp-agent_{version}_all.deb"]
    for name in names:
        shutil.copyfile(source.parent / name, result / name)
    sums = {name: _sha256(result / name) for name in names}
    control = _run(["dpkg-deb", "--field", result / names[2]], result)
    requirements = tomllib.loads((source / "pyproject.toml").read_text())["project"]["dependencies"]
    bom = result / f"msmtp-agent_{version}.cdx.json"
    release_sbom.write(bom, release_sbom.bill(control, requirements, sums, sums[names[1]], moment))
    sums[bom.name] = _sha256(bom)
    (result / "SHA256SUMS").write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)))
    for file in result.iterdir():
        file.chmod(0o644)


def _put(result: Path, place: Path) -> None:
    """In place as a whole; what an earlier run made there goes."""
    new = place.with_name(f".{place.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(result, new)
    new.chmod(0o755)
    if place.exists():
        shutil.rmtree(place)
    new.rename(place)


def release(wanted: str | None, output: Path) -> None:
    """Make it, and say what is left to do."""
    _refuse_dirty()
    current = number(PROJECT)
    version = _refuse_version(wanted, current)
    with tempfile.TemporaryDirectory(prefix="msmtp-agent-release-") as work:
        source, result = _exported(Path(work), version), Path(work, "result")
        result.mkdir()
        before = {file: file.read_bytes() for file in source.rglob("*") if file.is_file()}
        if version != current:
            given = os.environ.get("SOURCE_DATE_EPOCH")
            advance(source, version, datetime.fromtimestamp(int(given), UTC) if given else datetime.now(UTC))
        _refuse_differences(source)
        # Before the minute that the rest takes.
        output.mkdir(parents=True, exist_ok=True)
        _make(source, version, result)
        _put(result, output / f"msmtp-agent_{version}")
        changed = [file.relative_to(source) for file, content in before.items() if file.read_bytes() != content]
        for file in changed:
            (PROJECT / file).write_bytes((source / file).read_bytes())
    for file in sorted((output / f"msmtp-agent_{version}").iterdir()):
        print(file)
    if changed:
        print(f"changed: {', '.join(map(str, sorted(changed)))}", file=sys.stderr)
        print(f"next: git commit --all --message 'Release {version}' && git tag v{version}", file=sys.stderr)
    elif version not in _tags():
        print(f"next: git tag v{version}", file=sys.stderr)


def main() -> None:
    """Do what the arguments say."""
    usage = "scripts/release [VERSION] [--output DIRECTORY] | --entry | --check | --help"
    parser = argparse.ArgumentParser(prog="scripts/release", usage=usage, add_help=False, allow_abbrev=False)
    parser.add_argument("version", nargs="?")
    parser.add_argument("--output", type=Path, default=PROJECT / "dist")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--entry", action="store_true")
    arguments = parser.parse_args()
    if (arguments.check or arguments.entry) and len(sys.argv) > 2:
        parser.error("--check and --entry stand alone")
    os.umask(0o022)
    try:
        if arguments.entry:
            rewrite_entry(PROJECT)
        elif arguments.check:
            _refuse_differences(PROJECT)
        else:
            release(arguments.version, arguments.output.resolve())
    except RefusedError as refused:
        sys.exit(f"release: {refused}")
    except OSError as error:
        sys.exit(f"release: {error.filename or 'release'}: {error.strerror}")


if __name__ == "__main__":
    main()
