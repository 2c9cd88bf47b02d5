"""Packages over HTTP, in a network that holds nothing else: one file, or an apt archive that is signed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path

from tests.support.outside import run
from tests.support.ready import wait_for_line
from tests.support.view import SYSTEM_PATH

# Every worker's peer has a network namespace of its own, so the port is fixed.
_PORT = 18080
_SERVE = f"""
import http.server
with http.server.ThreadingHTTPServer(("127.0.0.1", {_PORT}), http.server.SimpleHTTPRequestHandler) as server:
    print("ready", flush=True)
    server.serve_forever()
"""


@contextmanager
def served(directory: Path, enter: Sequence[str]) -> Iterator[str]:
    """The address under which a directory can be had; `enter` is the command that enters the network."""
    log = directory.with_name("archive.log")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*enter, "python3", "-c", _SERVE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={"PATH": SYSTEM_PATH},
            cwd=directory,
        )
    try:
        wait_for_line(process, b"ready\n", 20.0, log)
        yield f"http://127.0.0.1:{_PORT}"
    finally:
        process.kill()
        process.communicate(timeout=20)


def sha256(file: Path) -> str:
    """The checksum as sha256sum prints it."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def sign(directory: Path) -> str:
    """Make the directory an apt archive of the packages in it (suite `./`), and give back the armoured key."""
    _write(directory / "Packages", run("dpkg-scanpackages", ".", cwd=directory))
    index = directory / "Packages"
    release = f"Suite: ./\nDate: {formatdate(usegmt=True)}\nSHA256:\n {sha256(index)} {index.stat().st_size} Packages\n"
    _write(directory / "Release", release)
    home = directory.with_name("gnupg")
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]
    try:
        run(*gpg, "--quick-generate-key", "archive@example.test", "rsa3072", "sign", "1d", cwd=directory)
        run(*gpg, "--output", "InRelease", "--clearsign", "Release", cwd=directory)
        return run(*gpg, "--armor", "--export", cwd=directory)
    finally:
        run("gpgconf", "--homedir", home, "--kill", "gpg-agent", cwd=directory)
        shutil.rmtree(home, ignore_errors=True)


def _write(file: Path, text: str) -> None:
    file.write_text(text)
