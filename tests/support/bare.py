"""The real msmtp without the program: an account in a file of its own, and how a run of msmtp ended."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DEADLINE = 20.0
SECRET = b"correct horse"
MAIL = b"Subject: a test\n\nbody\n"


@dataclass
class Ran:
    """How a run of msmtp ended: its status (None: it had to be killed), its own words and the server's."""

    status: int | None
    output: str
    errors: bytes
    words: list[str] = field(init=False)
    replies: list[str] = field(init=False)

    def __post_init__(self) -> None:
        lines = self.errors.decode("utf-8", "backslashreplace").split("\n")[:-1]
        assert all(line.startswith("msmtp: ") for line in lines), lines
        lines = [line.removeprefix("msmtp: ") for line in lines]
        self.replies = [line.removeprefix("server message: ") for line in lines if line.startswith("server message: ")]
        own = [line for line in lines if not line.startswith("server message: ")]
        self.words = [line for line in own if not line.startswith("could not send mail (account default from ")]


def msmtp(*arguments: str, given: bytes = b"", inherit: tuple[int, ...] = (), deadline: float = DEADLINE) -> Ran:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent"}
    process = subprocess.Popen(
        ["/usr/bin/msmtp", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=inherit,
        env=environment,
    )
    with process:
        try:
            output, errors = process.communicate(given, deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return Ran(None, "", b"")
    if process.returncode == -signal.SIGABRT:
        errors = b""  # the C library's own words
    return Ran(process.returncode, output.decode(), errors)


@contextmanager
def inherited(secret: bytes, kind: str = "memfd") -> Iterator[int]:
    if kind == "pipe":
        descriptor, writer = os.pipe()
        os.write(writer, secret)
        os.close(writer)
    else:
        descriptor = os.memfd_create("secret")
        os.write(descriptor, secret)
        os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@dataclass
class Client:
    """An account in a file of its own; its secret arrives by an inherited descriptor unless the file has one."""

    path: Path
    trust: Path

    def configure(self, port: int, *lines: str, auth: str = "plain", user: str = "user") -> None:
        text = ["account default", "host 127.0.0.1", f"port {port}", "from from@example.test", f"user {user}"]
        text += [f"auth {auth}", "tls on", f"tls_trust_file {self.trust}", *lines]
        self.path.touch(0o600)
        self.path.write_text("\n".join(text) + "\n")

    def run(
        self,
        *options: str,
        secret: bytes = SECRET + b"\n",
        kind: str = "memfd",
        given: bytes = b"",
        deadline: float = DEADLINE,
    ) -> Ran:
        with inherited(secret, kind) as descriptor:
            evaluate = f"--passwordeval=cat /dev/fd/{descriptor}"
            return msmtp(
                "-C", str(self.path), evaluate, *options, given=given, inherit=(descriptor,), deadline=deadline
            )

    def probe(self, secret: bytes = SECRET + b"\n", *, kind: str = "memfd", deadline: float = DEADLINE) -> Ran:
        return self.run("--logfile=", "--syslog=off", "--", "@", secret=secret, kind=kind, deadline=deadline)

    def send(self, *recipients: str) -> Ran:
        return self.run("--", *(recipients or ("to@example.test",)), given=MAIL)
