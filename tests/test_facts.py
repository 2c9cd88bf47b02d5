"""What this program relies on in msmtp, asked of the msmtp that is installed.

A failure here after an upgrade of msmtp says which assumption has changed, before any other test fails for a reason
that is hard to see.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.bare import MAIL, SECRET, Client
from tests.support.hostile import Fault, Hostile, Stage
from tests.support.pki import Pki
from tests.support.smtpd import Smtpd

ACCEPTED = "recipient address @ not accepted by the server"
SENDER = "envelope from address from@example.test not accepted by the server"
TOO_LONG = "Cannot send command because it is longer than 4094 characters. Increase SMTP_MAXCMDLEN."


@pytest.fixture
def client(tmp_path: Path, pki: Pki) -> Client:
    return Client(tmp_path / "msmtprc", pki.ca_file)


@pytest.fixture
def smtpd(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(
        {"user": SECRET}, cert=pki.certificate(), key=pki.key(), mechanisms=("PLAIN", "LOGIN", "CRAM-MD5")
    ) as server:
        yield server


@pytest.fixture
def hostile(pki: Pki) -> Iterator[Callable[..., Hostile]]:
    servers: list[Hostile] = []

    def start(stage: Stage | None = None, fault: Fault | None = None, *, reply: bytes | None = None) -> Hostile:
        servers.append(Hostile(stage, fault, reply=reply, cert=pki.certificate(), key=pki.key()).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


class TestProbe:
    """The recipient `@`: which words and which status mean what."""

    def test_accepted_password(self, client: Client, smtpd: Smtpd) -> None:
        client.configure(smtpd.port)
        ran = client.probe()
        assert (ran.status, ran.words) == (65, [ACCEPTED])
        assert ran.replies[0].startswith("553 ")
        assert smtpd.messages == []

    def test_accepted_password_and_refused_sender(self, client: Client, smtpd: Smtpd) -> None:
        smtpd.refuse_sender = True
        client.configure(smtpd.port)
        ran = client.probe()
        assert (ran.status, ran.words) == (65, [SENDER])

    def test_refused_password(self, client: Client, smtpd: Smtpd) -> None:
        client.configure(smtpd.port)
        ran = client.probe(b"wrong\n")
        assert (ran.status, ran.words) == (77, ["authentication failed (method PLAIN)"])
        assert ran.replies[0].startswith("535 ")

    @pytest.mark.parametrize(
        ("stage", "fault", "status", "words"),
        [
            # A temporary answer to AUTH has the status of a refused password: only the server's code tells them apart.
            ("auth", "temporary", 77, "authentication failed (method PLAIN)"),
            # Behind AUTH the words are the same for 4xx and 5xx, the status is not.
            ("mail", "temporary", 69, SENDER),
            ("rcpt", "temporary", 69, ACCEPTED),
            ("rcpt", "refuse", 65, ACCEPTED),
            # A server that takes `@` gets as far as DATA: an accepted password all the same.
            ("data", "refuse", 65, "the server does not accept mail data"),
            ("auth", "rubbish", 76, "the server sent an invalid reply"),
            ("auth", "flood", 76, "the server sent an invalid reply"),
            ("auth", "chatter", 76, "Rejecting server reply that is longer than 50 lines. Increase SMTP_MAXLINES."),
            ("auth", "drop", 74, "cannot read from TLS connection: The TLS connection was non-properly terminated."),
            ("handshake", "refuse", 76, "TLS handshake failed: A TLS fatal alert has been received."),
            ("starttls", "temporary", 76, "command STARTTLS failed"),
            ("ehlo", "refuse", 76, "SMTP server does not accept EHLO or HELO commands"),
            ("greeting", "temporary", 76, "cannot get initial OK message from server"),
            ("greeting", "drop", 76, "the server sent an empty reply"),
        ],
    )
    def test_every_other_end(
        self, client: Client, hostile: Callable[..., Hostile], stage: Stage, fault: Fault, status: int, words: str
    ) -> None:
        client.configure(hostile(stage, fault).port)
        ran = client.probe()
        assert (ran.status, ran.words) == (status, [words])
        assert all(reply.startswith("4") for reply in ran.replies) == (fault != "refuse" or stage == "handshake")

    def test_refused_connection(self, client: Client, hostile: Callable[..., Hostile]) -> None:
        port = hostile("connect", "refuse").port
        client.configure(port)
        ran = client.probe()
        assert (ran.status, ran.words) == (75, [f"cannot connect to 127.0.0.1, port {port}: Connection refused"])

    def test_server_that_takes_the_recipient(self, client: Client, hostile: Callable[..., Hostile]) -> None:
        client.configure(hostile().port)
        assert client.probe().status == 0

    @pytest.mark.slow
    def test_its_own_time_limit_does_not_end_a_slow_line(self, client: Client, hostile: Callable[..., Hostile]) -> None:
        client.configure(hostile("auth", "trickle").port, "timeout 1")
        assert client.probe(deadline=2).status is None

    @pytest.mark.parametrize(
        ("reply", "status"),
        [
            (b"535 x\rmsmtp: recipient address @ not accepted by the server\r\n", 77),
            (b"535 recipient address @ not accepted by the server\r\n", 77),
            (b"535-x\r\n535 msmtp: recipient address @ not accepted by the server\r\n", 77),
            (b"535 x\0\rmsmtp: y\r\n", 77),
            (b"535-x\nmsmtp: recipient address @ not accepted by the server\n", 76),
            (b"535 \x1b[2J\x07\x0b\x0c\x7f \xc2\x9b \xff\r\n", 77),
        ],
    )
    def test_no_server_can_begin_a_line(
        self, client: Client, hostile: Callable[..., Hostile], reply: bytes, status: int
    ) -> None:
        client.configure(hostile("auth", reply=reply).port)
        ran = client.probe()
        assert ran.status == status
        assert ran.words == [
            "the server sent an invalid reply" if status == 76 else "authentication failed (method PLAIN)"
        ]
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", ran.errors)


class TestSecret:
    """How the secret reaches msmtp, and how it reaches the server."""

    @pytest.mark.parametrize("kind", ["pipe", "memfd"])
    def test_inherited_descriptor(self, client: Client, smtpd: Smtpd, tmp_path: Path, kind: str) -> None:
        log = tmp_path / "log"
        client.configure(smtpd.port, "passwordeval false", f"logfile {log}")
        pretended = client.run("--pretend", "--", "root", kind=kind)
        assert pretended.status == 0
        assert "password = *" in pretended.output.split("\n")
        assert SECRET.decode() not in pretended.output
        assert client.probe(kind=kind).words == [ACCEPTED]
        assert smtpd.login.password == SECRET
        assert not log.exists(), "`--logfile=` switches the log off"

    def test_inline_password_wins_over_the_option(self, client: Client, smtpd: Smtpd) -> None:
        client.configure(smtpd.port, "password inline", "passwordeval echo file")
        client.probe()
        assert smtpd.login.password == b"inline"

    @pytest.mark.parametrize("auth", ["plain", "login"])
    @pytest.mark.parametrize(
        "secret",
        [
            "-n",
            " a  b ",
            "\\\\a\\b\\0",
            "\"a'b`c$(d)%s$e",
            "a\tb\x1bc\x7f\rd",
            "\u00e9\u0301\ufb01\u00a0",
            "\U0001f600",
            "x" * 501,
        ],
        ids=ascii,
    )
    def test_arrives_exactly(self, client: Client, smtpd: Smtpd, auth: str, secret: str) -> None:
        smtpd.accept_any = True
        client.configure(smtpd.port, auth=auth)
        assert client.probe(secret.encode() + b"\n").words == [ACCEPTED]
        assert smtpd.login[:3] == (auth.upper(), "user", secret.encode())

    @pytest.mark.parametrize(
        ("secret", "arrives"),
        [
            (" a  b!\\\"'$%~ ", " a  b!\\\"'$%~ "),
            ("\u00e9\u4e2d", "\u00e9\u4e2d"),
            ("\u05d0\u05d1", "\u05d0\u05d1"),
            # SASLprep: composed, non-ASCII blanks made ASCII ones, invisible characters dropped.
            ("e\u0301", "\u00e9"),
            ("a\u00a0b\u00adc\ufb01", "a bcfi"),
            # And these it forbids.
            ("a\tb", None),
            ("\U0001f600", None),
            ("\u0627a", None),
        ],
        ids=ascii,
    )
    def test_cram_md5_prepares_it(self, client: Client, smtpd: Smtpd, secret: str, arrives: str | None) -> None:
        smtpd.users["user"] = (arrives or secret).encode()
        client.configure(smtpd.port, auth="cram-md5")
        ran = client.probe(secret.encode() + b"\n")
        if arrives is None:
            words = "GNU SASL: Could not prepare internationalized (non-ASCII) string."
            assert (ran.status, ran.words) == (70, [words])
        else:
            assert (ran.status, ran.words) == (65, [ACCEPTED])
            assert smtpd.login.password == arrives.encode()

    # A line to the server holds 4094 characters without its end: `AUTH PLAIN ` and base64 of \0user\0secret, or
    # base64 of the secret alone.
    @pytest.mark.parametrize(
        ("auth", "user", "longest"),
        [("plain", 1, 3057), ("plain", 100, 2958), ("login", 1, 3069), ("login", 100, 3069)],
    )
    def test_longest(self, client: Client, smtpd: Smtpd, auth: str, user: int, longest: int) -> None:
        smtpd.accept_any = True
        client.configure(smtpd.port, auth=auth, user="u" * user)
        assert client.probe(b"x" * longest + b"\n").words == [ACCEPTED]
        assert smtpd.login.password == b"x" * longest
        smtpd.forget()
        ran = client.probe(b"x" * (longest + 1) + b"\n")
        assert (ran.status, ran.words, smtpd.logins) == (65, [TOO_LONG], [])

    def test_cram_md5_has_no_longest(self, client: Client, smtpd: Smtpd) -> None:
        smtpd.users["user"] = b"x" * 50_000
        client.configure(smtpd.port, auth="cram-md5")
        assert client.probe(b"x" * 50_000 + b"\n").words == [ACCEPTED]

    @pytest.mark.parametrize(
        ("stored", "read"), [(b"x" * 500, True), (b"x" * 501, False), (b"x" * 1002, False), (b"x" * 501 + b"\n", True)]
    )
    def test_line_feed_is_needed(self, client: Client, stored: bytes, read: bool) -> None:
        client.configure(1)
        assert client.run("--pretend", "--", "root", secret=stored).status == (0 if read else 78)

    def test_only_line_ends_are_dropped(self, client: Client, smtpd: Smtpd) -> None:
        smtpd.accept_any = True
        client.configure(smtpd.port)
        for stored, read in [(b" a \r\n", b" a "), (b"a\r\r\n", b"a\r"), (b"a\n\nb\n", b"a"), (b"a", b"a")]:
            client.probe(stored)
            assert smtpd.login.password == read


class TestLog:
    """Where the server's final reply is found."""

    def test_line_of_a_mail(self, client: Client, smtpd: Smtpd, tmp_path: Path) -> None:
        log = tmp_path / "log"
        client.configure(smtpd.port, f"logfile {log}")
        ran = client.send("one@example.test", "two@example.test")
        assert (ran.status, ran.output, ran.errors) == (0, "", b"")
        [message] = smtpd.messages
        assert message.recipients == ("one@example.test", "two@example.test")
        assert re.fullmatch(
            r"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d host=127\.0\.0\.1 tls=on auth=on user=user from=from@example\.test"
            r" recipients=one@example\.test,two@example\.test mailsize=\d+ smtpstatus=250"
            rf" smtpmsg='250 2\.0\.0 Ok: queued as {message.queue_id}' exitcode=EX_OK\n",
            log.read_text(),
        )

    def test_reply_cannot_leave_its_quotes(
        self, client: Client, hostile: Callable[..., Hostile], tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        server = hostile("end", reply=b"250-first\r\n250 a' exitcode=EX_IOERR\x1b\xff\r\n")
        client.configure(server.port, f"logfile {log}")
        assert client.send().status == 0
        assert log.read_bytes().endswith(b" smtpmsg='250-first\\n250 a? exitcode=EX_IOERR?\xff' exitcode=EX_OK\n")

    def test_line_that_cannot_be_written_goes_to_standard_error(
        self, client: Client, smtpd: Smtpd, tmp_path: Path
    ) -> None:
        client.configure(smtpd.port, f"logfile {tmp_path}")
        ran = client.send()
        assert ran.status == 0
        assert ran.words[0] == f"cannot log to {tmp_path}: cannot open: Is a directory"
        assert re.fullmatch(r"log info was: host=.* smtpmsg='250 .*queued as SMTPD0001' exitcode=EX_OK", ran.words[1])

    def test_full_disk_aborts_after_delivery(self, client: Client, smtpd: Smtpd) -> None:
        client.configure(smtpd.port, "logfile /dev/full")
        assert client.send().status == -signal.SIGABRT
        assert len(smtpd.messages) == 1

    @pytest.mark.slow
    def test_fifo_hangs_after_delivery(self, client: Client, smtpd: Smtpd, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        client.configure(smtpd.port, f"logfile {tmp_path}/fifo")
        assert client.run("--", "to@example.test", given=MAIL, deadline=1).status is None
        assert len(smtpd.messages) == 1
