"""Somebody at the terminal of a host without `/etc/msmtprc`, and the answers that lead to a server of the test's."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.support.account import ADMIN
from tests.support.account import USER as ME
from tests.support.pki import Pki
from tests.support.sandbox import PYTHON, Sandbox
from tests.support.smtpd import Smtpd
from tests.test_terminal import Person

PASSWORD = "correct horse"
TRUST = "/etc/ssl/certs/ca-certificates.crt"
ALIASES, LOGROTATE = "/etc/aliases", "/etc/logrotate.d/msmtp"
PROVIDER, SERVER, PORT = "Provider (number or name): ", "Server: ", "Port [587]: "
SENDER, USER, RECIPIENT = "Sender: ", f"User name [{ME}]: ", "Recipient: "
AGREE = "Write these files? (yes or no): "
PROMPT = f"SMTP password for {ME} at 127.0.0.1: "
MAIL = "Send a test mail? [Y/n] "
APPLY = "msmtp-config apply smtp.config.yaml"


class Desk:
    """A sandbox without an msmtprc, a server, and the persons who sit down there."""

    def __init__(self, sandbox: Sandbox, server: Smtpd, pki: Pki, stack: ExitStack) -> None:
        self.sandbox = sandbox
        self.server = server
        self._stack = stack
        sandbox.write(TRUST, pki.ca_file.read_bytes(), mode=0o644)
        self.before = sandbox.changed()

    def sit(
        self,
        *options: str,
        columns: int = 120,
        env: dict[str, str] | None = None,
        python: str | Path = PYTHON,
        within: str = "",
    ) -> Person:
        argv = self.sandbox.agent_argv(*options, python=python)
        if within:
            argv = ["bash", "-c", within, "bash", *argv]
        person = Person(self.sandbox.command(argv), self.sandbox.environment(env), columns)
        self._stack.callback(person.close)
        return person

    @property
    def answers(self) -> dict[str, str]:
        """Each question on the way to the server that runs here, and the answer."""
        port = str(self.server.port)
        return {
            PROVIDER: "other",
            SERVER: "127.0.0.1",
            PORT: port,
            SENDER: ME,
            USER: "",
            RECIPIENT: ADMIN,
            AGREE: "yes",
        }

    def answer(self, person: Person, last: str = "") -> Person:
        """Answer everything, or all in front of the question `last`, which is then on the screen."""
        for prompt, typed in self.answers.items():
            person.see(prompt)
            if prompt == last:
                return person
            person.type(typed)
        return person

    @property
    def written(self) -> set[str]:
        """What has changed on the host, the lock apart."""
        return {name for name in self.sandbox.changed() - self.before if not name.startswith("/run/msmtp-config")}
