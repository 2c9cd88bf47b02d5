"""The one room with sockets: what a server shows, within a deadline and a limit whatever it does; it hears little."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from msmtp_agent.network import Shown, StoppedError, certificate, reach_all
from tests.support.hostile import Fault, Hostile, Stage
from tests.support.pki import Pki

pytestmark = pytest.mark.timeout(20)  # for a deadline that does not hold
SAID = {b"EHLO localhost", b"STARTTLS", b"QUIT"}
SHORT = 1.2  # seconds: of a wait that is meant to end at its deadline
LONG = 10.0  # of one that is not

Script = Callable[[socket.socket, threading.Event], object]


@contextmanager
def server(script: Script, address: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that runs the script for its one client."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    stopping = threading.Event()
    with socket.create_server((address, 0), family=family) as listener:
        listener.settimeout(LONG)

        def serve() -> None:
            with contextlib.suppress(OSError), listener.accept()[0] as client:
                client.settimeout(LONG)
                script(client, stopping)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopping.set()
            thread.join(LONG)
            assert not thread.is_alive()


def der(pki: Pki, name: str = "good") -> bytes:
    return ssl.PEM_cert_to_DER_cert(pki.certificate(name).read_text())


def seen(port: int, *, starttls: bool = True, timeout: float = LONG, name: str = "127.0.0.1") -> Shown:
    return certificate("127.0.0.1", port, timeout, server_name=name, starttls=starttls)


def stopped(port: int, **options: bool | float | str) -> StoppedError:
    with pytest.raises(StoppedError) as caught:
        seen(port, **options)  # type: ignore[arg-type]
    assert caught.value.subject == f"127.0.0.1 port {port}"
    assert caught.value.code == 75
    assert caught.value.observed.isprintable()
    assert len(caught.value.observed) < 300
    return caught.value


def wait_for(happened: Callable[[], bool]) -> None:
    """The server's thread may be a moment behind."""
    deadline = time.monotonic() + LONG
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# --- the certificate


@pytest.mark.parametrize("name", ["good", "wrong", "expired", "self"])
def test_any_certificate_is_shown_and_none_is_judged(pki: Pki, name: str) -> None:
    with Hostile(tls="starttls", cert=pki.certificate(name), key=pki.key(name)) as hostile:
        shown = seen(hostile.port)
        assert shown == Shown(der(pki, name), "TLSv1.3", shown.cipher)
        wait_for(lambda: len(hostile.lines) == 3)
    assert shown.cipher.startswith("TLS_")
    assert hostile.lines == [b"EHLO localhost", b"STARTTLS", b"QUIT"]
    assert hostile.reached == ["greeting", "ehlo", "starttls", "handshake"]


def test_tls_from_the_start(pki: Pki) -> None:
    with Hostile(tls="implicit", cert=pki.certificate(), key=pki.key()) as hostile:
        assert seen(hostile.port, starttls=False).der == der(pki)
    assert hostile.lines == []


def test_ipv6(pki: Pki) -> None:
    with server(_tls(pki), "::1") as port:
        assert certificate("::1", port, LONG, server_name="::1", starttls=False).der == der(pki)
    with (
        server(lambda client, _: client.sendall(b"nonsense\r\n"), "::1") as port,
        pytest.raises(StoppedError) as caught,
    ):
        certificate("::1", port, LONG, server_name="::1", starttls=True)
    assert caught.value.remedy == f"openssl s_client -connect [::1]:{port}"


def _tls(pki: Pki, change: Callable[[ssl.SSLContext], object] = id) -> Script:
    def talk(client: socket.socket, _: threading.Event) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.certificate(), pki.key())
        change(context)
        with context.wrap_socket(client, server_side=True) as secured:
            secured.recv(100)

    return talk


def test_the_protocol_is_told(pki: Pki) -> None:
    def older(context: ssl.SSLContext) -> None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    with server(_tls(pki, older)) as port:
        assert seen(port, starttls=False).protocol == "TLSv1.2"


def test_a_server_that_wants_a_certificate_of_ours(pki: Pki) -> None:
    def demanding(context: ssl.SSLContext) -> None:
        context.load_verify_locations(pki.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED

    with server(_tls(pki, demanding)) as port:
        assert seen(port, starttls=False).der == der(pki)


@pytest.mark.parametrize("name", ["mail.example.test", "127.0.0.1", "bücher.example", ""])
def test_the_name_that_the_server_hears(pki: Pki, name: str) -> None:
    heard: list[str | None] = []

    def listening(context: ssl.SSLContext) -> None:
        context.sni_callback = lambda _, heard_name, __: heard.append(heard_name)

    with server(_tls(pki, listening)) as port:
        seen(port, starttls=False, name=name)
    expected = {"bücher.example": "xn--bcher-kva.example", "127.0.0.1": None, "": None}
    assert heard == [expected.get(name, name)]


@pytest.mark.parametrize("name", ["a..b", ".a", "x" * 70, "a\0b", "\udcff"])
def test_a_name_that_no_server_can_have(pki: Pki, name: str) -> None:
    with Hostile(cert=pki.certificate(), key=pki.key()) as hostile:
        fault = stopped(hostile.port, name=name)
    assert fault.observed.endswith("cannot be the name of a server")


# --- servers that misbehave


def test_hello_is_what_was_asked_for(pki: Pki) -> None:
    with Hostile(cert=pki.certificate(), key=pki.key()) as hostile:
        certificate("127.0.0.1", hostile.port, LONG, server_name="", starttls=True, hello="vm7.example.test")
    assert hostile.lines[0] == b"EHLO vm7.example.test"


PLACES: dict[Stage, tuple[str, str]] = {
    "connect": ("connect", "connection: "),
    "greeting": ("greeting", "greeting: "),
    "ehlo": ("hello", "EHLO: "),
    "starttls": ("starttls", "STARTTLS: "),
    "handshake": ("tls", "TLS: "),
}
ENDED = ("reset by the server", "the server closed the connection", "broken pipe")
WORDS: dict[Fault, tuple[str, ...]] = {
    "refuse": (
        "refused",
        "554 5.7.1 no service",
        "502 5.5.1 not",
        "501 5.5.4 no TLS",
        "the server's alert: handshake failure",
    ),
    "temporary": ("421 4.3.2 come back", "454 4.7.0 TLS not available", "the server's alert: handshake failure"),
    "hang": (f"timed out after {SHORT} s",),
    "drop": ENDED,
    "reset": ENDED,
    "rubbish": ("no SMTP reply but: ?\N{REPLACEMENT CHARACTER}", "the server does not speak TLS here"),
    "flood": ("a line without end (4096 bytes)", "the server does not speak TLS here"),
    "chatter": ("a reply without end (65536 bytes)", "the server does not speak TLS here"),
    "trickle": (f"timed out after {SHORT} s", "the server does not speak TLS here"),
}


# Those that end at their deadline take that long: one of them in every run.
QUICK = (("starttls", "trickle"),)
FAULTS = [
    pytest.param(stage, fault, marks=pytest.mark.slow)
    if fault in ("hang", "trickle") and (stage, fault) not in QUICK
    else (stage, fault)
    for stage in PLACES
    for fault in WORDS
    if stage != "connect" or fault in ("refuse", "hang")
]


@pytest.mark.parametrize(("stage", "fault"), FAULTS)
def test_every_fault_ends_at_its_place(pki: Pki, stage: Stage, fault: Fault) -> None:
    with Hostile(stage, fault, cert=pki.certificate(), key=pki.key()) as hostile:
        error = stopped(hostile.port, timeout=SHORT if fault in ("hang", "trickle") else LONG)
    name, place = PLACES[stage]
    assert error.stage == name
    assert error.observed.startswith(place)
    assert error.observed.removeprefix(place).startswith(WORDS[fault])
    assert set(hostile.lines) <= SAID


def test_no_starttls_and_no_word_of_tls() -> None:
    with Hostile(tls="none") as hostile:
        error = stopped(hostile.port)
    assert (error.stage, error.observed) == ("starttls", "STARTTLS: not offered")
    assert set(hostile.lines) == {b"EHLO localhost"}


@pytest.mark.parametrize("reply", [b"220 go\r\n250 put in\r\n", b"220 go\r\n\x16"])
def test_what_stands_behind_the_reply_to_starttls_is_refused(pki: Pki, reply: bytes) -> None:
    with Hostile("starttls", reply=reply, cert=pki.certificate(), key=pki.key()) as hostile:
        error = stopped(hostile.port)
    assert error.observed == "STARTTLS: more came behind the reply, in clear text"


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        (b"\r\n", "greeting: an empty line, no SMTP reply"),
        (b"HTTP/1.1 400 Bad Request\r\n", "greeting: no SMTP reply but: HTTP/1.1 400 Bad Request"),
        (b"\x16\x03\x01\x02\n", "greeting: no SMTP reply but: ????"),
        (b"220x\r\n", "greeting: no SMTP reply but: 220x"),
        (b"220-a\r\n220-b\r\n554 no\r\n", "greeting: 554 no"),
        (b"554 " + b"y" * 1000 + b"\r\n", "greeting: 554 " + "y" * 196 + " [cut]"),
        ("554 \x1b]0;title\x07\u202e\n".encode(), "greeting: 554 ?]0;title??"),
        (b"220 a\x00b\n", "EHLO: the server closed the connection"),
    ],
)
def test_greetings(greeting: bytes, words: str) -> None:
    def say(client: socket.socket, _: threading.Event) -> None:
        client.sendall(greeting)
        if words.startswith("EHLO"):
            client.recv(100)

    with server(say) as port:
        assert stopped(port).observed == words


@pytest.mark.parametrize("before", [0, 190, 197, 199, 200])
def test_what_is_hidden_is_not_shown_in_part_either(before: int) -> None:
    """The cut comes last: a secret that stands across it is a word like any other by then."""
    greeting = b"554 " + b"y" * before + b"geh\xc2\xa0heim\r\n"
    with server(lambda client, _: client.sendall(greeting)) as port, pytest.raises(StoppedError) as caught:
        certificate(
            "127.0.0.1", port, LONG, server_name="", starttls=True, hide=lambda text: text.replace("geh\xa0heim", "***")
        )
    assert caught.value.observed.rstrip("*").removesuffix(" [cut]").rstrip("*") == "greeting: 554 " + "y" * min(
        before, 196
    )


# A handshake record of 16 KiB that begins a certificate message, and one whose message is a HelloRequest.
BEGINNING = bytes.fromhex("1603034000 0b ffffff ffffff")
HELLO_REQUEST = bytes.fromhex("1603030004 00000000")


@pytest.mark.slow
def test_a_trickling_handshake_ends_at_the_deadline() -> None:
    def trickle(client: socket.socket, stopping: threading.Event) -> None:
        client.recv(4096)
        client.sendall(BEGINNING)
        while not stopping.wait(0.01):
            client.sendall(b"x")

    with server(trickle) as port:
        error = stopped(port, starttls=False, timeout=SHORT)
    assert (error.stage, error.observed) == ("tls", f"TLS: timed out after {SHORT} s")


@pytest.mark.parametrize("record", [HELLO_REQUEST, BEGINNING + bytes(16372), b"\x17\x03\x03\x00\x01x"])
def test_an_endless_handshake_ends(record: bytes) -> None:
    def flood(client: socket.socket, stopping: threading.Event) -> None:
        client.recv(4096)
        while not stopping.is_set():
            client.sendall(record * 1000)

    with server(flood) as port:
        assert stopped(port, starttls=False).stage == "tls"


def test_nothing_is_left_open(pki: Pki) -> None:
    before = set(_descriptors())
    with Hostile("ehlo", "drop", cert=pki.certificate(), key=pki.key()) as hostile:
        stopped(hostile.port)
    with Hostile(cert=pki.certificate(), key=pki.key()) as hostile:
        seen(hostile.port)
        reach_all([("127.0.0.1", hostile.port), ("127.0.0.1", 1), ("not a number", 1)], LONG)
    assert set(_descriptors()) == before


def _descriptors() -> Iterator[str]:
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            yield f"{entry.name}: {entry.readlink()}"


# --- is a port open


@pytest.mark.slow
def test_reach() -> None:
    with Hostile() as hostile, Hostile("connect", "refuse") as closed, Hostile("connect", "hang") as silent:
        places = [("127.0.0.1", silent.port), ("127.0.0.1", hostile.port), ("127.0.0.1", closed.port)]
        found = reach_all([*places, ("localhost", hostile.port)], SHORT)
        assert [(one.address, one.port) for one in found] == [*places, ("localhost", hostile.port)]
        assert [one.fault for one in found[:3]] == [f"timed out after {SHORT} s", "", "refused"]
        assert found[3].fault  # a name: nobody is asked for it
        assert all(one.seconds >= 0 for one in found)
    assert hostile.lines == []


def test_reach_by_ipv6() -> None:
    with server(lambda client, _: client.recv(1), "::1") as port:
        assert reach_all([("::1", port)], LONG)[0].fault == ""
    assert reach_all([("::1", port)], LONG)[0].fault == "refused"


@pytest.mark.parametrize("address", ["mail.example.test", "a..b", "x" * 70, "a\0b", "\udcff", "", "bücher.example"])
def test_what_is_no_address_is_reached_nowhere(address: str) -> None:
    assert reach_all([(address, 25)], LONG)[0].fault == "name or service not known"
    with pytest.raises(StoppedError) as caught:
        certificate(address, 25, LONG, server_name="", starttls=True)
    assert caught.value.observed == "connection: name or service not known"


@pytest.mark.slow
def test_many_that_never_answer_cost_one_deadline() -> None:
    with Hostile("connect", "hang") as silent:
        found = reach_all([("127.0.0.1", silent.port)] * 100, SHORT)
    assert {one.fault for one in found} == {f"timed out after {SHORT} s"}
    assert len(found) == 100


def test_nobody_to_reach() -> None:
    assert reach_all([], LONG) == ()
