"""A real mail server beside the tests: Postfix and Dovecot in a network namespace that holds nothing else.

Every pytest worker has its own, so the ports are fixed. Programs reach it with `Sandbox(tmp_path, network=peer.netns)`.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import TypeVar

from tests.support.pki import Pki
from tests.support.ready import wait_for_line
from tests.support.trees import tree
from tests.support.view import SYSTEM_PATH

_READY_SECONDS = 45.0
_Seen = TypeVar("_Seen")
MECHANISMS = {
    # What most providers offer.
    "peer": "plain login cram-md5",
    # What a server with a full Dovecot or Cyrus SASL offers: from msmtp 1.8.28 on, `auth on` fails here (exit 70).
    "peer_scram": "plain login cram-md5 digest-md5 scram-sha-1 scram-sha-256",
}


class Peer:
    """Postfix with Dovecot's SASL; mail for anybody @example.test is accepted from whoever has authenticated."""

    host = "localhost"
    ports: Mapping[str, int] = {
        "starttls": 12587,
        "smtps": 12465,
        "wrong_name": 12588,
        "expired": 12589,
        "self_signed": 12590,
        "no_tls": 12525,
        "no_auth": 12526,
    }

    def __init__(self, work: Path, pki: Pki, mechanisms: str) -> None:
        self.ca_file = pki.ca_file
        self._work = work
        log = work / "start.log"
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--propagation", "private"),
                    *(Path(__file__).parent / "peer_config/start.sh", tree("peer"), pki.directory, work, mechanisms),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={"PATH": SYSTEM_PATH},
                cwd="/",
                start_new_session=True,
            )
        # unshare itself stands in the new mount and network namespaces too; only its child is in the PID namespace.
        self.netns_pid = self._process.pid
        self.netns = Path(f"/proc/{self.netns_pid}/ns/net")
        self.enter_argv = ["nsenter", f"--net={self.netns}", "--"]
        self._root = Path(f"/proc/{self.netns_pid}/root{work}/root")
        try:
            wait_for_line(self._process, b"ready\n", _READY_SECONDS, log)
        except BaseException:
            self.close()
            raise

    def set_users(self, users: Mapping[str, bytes]) -> None:
        """These users and no others, from the next attempt on; a password is any bytes without a NUL."""
        directory = self._root / "users"
        for old in directory.iterdir():
            old.unlink()
        for name, password in users.items():
            encoded = "{PLAIN.b64}" + base64.b64encode(password).decode()
            (directory / name).write_text(json.dumps({"password": encoded}))

    def reset(self) -> None:
        """No users, no mail, empty logs."""
        self.set_users({})
        for message in self._mail():
            message.unlink()
        for log in self._logs():
            with log.open("r+b") as file:
                file.truncate()

    def mailbox(self, address: str) -> list[EmailMessage]:
        """What has been delivered to this address so far, oldest first."""
        messages = []
        for path in sorted(self._mail(), key=lambda path: path.stat().st_mtime_ns):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if message.get("Delivered-To") == address:
                messages.append(message)
        return messages

    def wait_for_mail(self, address: str, count: int = 1, *, seconds: float = 20.0) -> list[EmailMessage]:
        """The mailbox, as soon as it holds that many messages: Postfix says 250 before it delivers."""
        return self._wait(lambda: self.mailbox(address), lambda found: len(found) >= count, seconds)

    def log(self) -> str:
        """What Postfix and Dovecot have written since the last `reset`."""
        return "".join(path.read_text(errors="replace") for path in self._logs())

    def wait_for_log(self, pattern: str, *, seconds: float = 20.0) -> str:
        """The log, as soon as this regular expression is found in it."""
        return self._wait(self.log, lambda text: re.search(pattern, text) is not None, seconds)

    def close(self) -> None:
        """End it; the kernel ends what is left in its PID namespace."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        shutil.rmtree(self._work, ignore_errors=True)

    def _mail(self) -> list[Path]:
        return list((self._root / "var/mail/peer/all/new").glob("*"))

    def _logs(self) -> list[Path]:
        return [
            path for path in (self._root / "var/log/postfix.log", self._root / "var/log/dovecot.log") if path.exists()
        ]

    def _wait(self, look: Callable[[], _Seen], enough: Callable[[_Seen], bool], seconds: float) -> _Seen:
        deadline = time.monotonic() + seconds
        while not enough(found := look()):
            assert time.monotonic() < deadline, f"not seen within {seconds} s; the peer's log:\n{self.log()}"
            time.sleep(0.02)
        return found
