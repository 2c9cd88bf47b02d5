"""`diagnose` on the way to the server: several addresses, ports that nobody answers, proxies and sockets."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.account import USER
from tests.support.diagnosing import PASSWORD, Site, all_passed, code, failed_at, seen, statuses
from tests.support.inside import bound
from tests.support.pki import Pki
from tests.support.relay import Relay
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd

pytestmark = pytest.mark.root

NAME = "mail.example.test"


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: PASSWORD}, cert=pki.certificate(), key=pki.key()) as smtpd:
        yield smtpd


@pytest.fixture
def site(sandbox: Sandbox, pki: Pki, server: Smtpd) -> Site:
    here = Site(sandbox, pki)
    here.account(server.port)
    return here


@pytest.fixture
def alone(tmp_path: Path, pki: Pki, warm: bool) -> Iterator[Site]:
    """A site whose network has nothing in it but what a test puts there."""
    with Sandbox(tmp_path, network="none", warm=warm) as sandbox:
        yield Site(sandbox, pki)


def name(site: Site, *addresses: str) -> None:
    lines = [f"{address} {NAME}" for address in addresses]
    site.sandbox.write("/etc/hosts", "\n".join(["127.0.0.1 localhost", *lines, ""]), mode=0o644)


@contextmanager
def silent(listener: socket.socket, *clients: socket.socket) -> Iterator[None]:
    """A port whose queue is full: the next one who comes gets no answer, as behind a filter that drops packets."""
    with ExitStack() as stack:
        for one in (listener, *clients):
            stack.enter_context(one)
        listener.listen(0)
        for client in clients:
            client.settimeout(0.2)
            try:
                client.connect(listener.getsockname())
            except TimeoutError:
                break
        else:
            raise RuntimeError("the queue never filled up")
        yield


@contextmanager
def filtered(site: Site, *ports: int) -> Iterator[None]:
    """Ports of 127.0.0.1 in the site's own network that nobody answers."""
    pid = site.sandbox.pid
    if not ports:
        yield
        return
    with silent(bound(pid, ports[0]), *(bound(pid, 0) for _ in range(4))), filtered(site, *ports[1:]):
        yield


# --- addresses


def test_ipv6_is_dead_and_ipv4_works(site: Site, server: Smtpd) -> None:
    """Nobody listens at ::1. msmtp goes on to the next address as well."""
    name(site, "::1", "127.0.0.1")
    site.account(server.port, "tls_host_override localhost", host=NAME)
    report = site.report()
    assert statuses(report) == all_passed()
    found = {one["address"]: one["fault"] for one in report["addresses"]}
    assert set(found) == {"::1", "127.0.0.1"}
    assert found["127.0.0.1"] is None
    assert found["::1"]
    assert "1 of 2 addresses cannot be reached" in seen(report, "connect")
    assert f"{NAME}: 2 addresses" in seen(report, "resolve")


@pytest.mark.slow
def test_steps_do_not_lead_in_a_circle(alone: Site) -> None:
    name(alone, "127.0.0.1")
    alone.account(587, host=NAME)
    assert alone.sandbox.agent("test").stderr.count("msmtp-config diagnose") == 1
    steps = alone.report()["diagnosis"]["steps"]
    assert steps
    assert not any("msmtp-config diagnose" in step for step in steps)


@pytest.mark.slow
def test_addresses_are_told_once_and_in_order(site: Site, server: Smtpd) -> None:
    name(site, "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.2")
    site.account(server.port, "tls_host_override localhost", host=NAME)
    report = site.report()
    assert [one["address"] for one in report["addresses"]] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert "2 of 3 addresses cannot be reached" in seen(report, "connect")


@pytest.mark.slow
def test_name_with_more_addresses_than_anybody_tries(site: Site, server: Smtpd) -> None:
    name(site, *(f"127.0.0.{number}" for number in range(1, 60)))
    site.account(server.port, "tls_host_override localhost", host=NAME)
    report = site.report()
    assert statuses(report) == all_passed()
    assert len(report["addresses"]) == 16


@pytest.mark.slow
def test_silent_address_before_the_one_that_works(site: Site, server: Smtpd) -> None:
    """msmtp waits there for minutes, and the mail does not leave; with a `timeout` it goes on."""
    first, second = socket.socket(), socket.socket()
    first.bind(("127.0.0.1", 0))
    port = first.getsockname()[1]
    second.bind(("127.0.0.2", port))
    name(site, "127.0.0.1", "127.0.0.2")  # getaddrinfo(3) puts the one first that is nearer to our own
    with Relay(second, server.port), silent(first, *(socket.socket() for _ in range(4))):
        site.account(port, "tls_host_override localhost", host=NAME)
        report = site.report(timeout="1")
        assert statuses(report) == failed_at("connect", ports="skipped")
        assert code(report) == 75
        assert "msmtp waits for 127.0.0.1 first" in seen(report, "connect")
        assert report["diagnosis"]["id"] == "address-silent"
        assert any("127.0.0.1: timed out" in line for line in report["diagnosis"]["evidence"])
        site.account(port, "tls_host_override localhost", "timeout 1", host=NAME)
        assert statuses(site.report(timeout="5")) == all_passed()


@pytest.mark.slow
def test_no_resolver_answers(alone: Site) -> None:
    """It is waited for no longer than any program."""
    alone.sandbox.write("/etc/nsswitch.conf", "hosts: dns\n", mode=0o644)
    alone.sandbox.write("/etc/resolv.conf", "nameserver 127.0.0.1\n", mode=0o644)
    alone.account(587, host="smtp.example.test")
    with bound_datagram(alone.sandbox.pid):
        report = alone.report(timeout="1")
    assert statuses(report) == failed_at("resolve")
    assert code(report) == 75
    assert "no answer from the resolver in 1 s" in seen(report, "resolve")


@contextmanager
def bound_datagram(pid: int) -> Iterator[None]:
    """A name server that never answers: without it the port would be refused at once."""
    with bound(pid, 53, kind=socket.SOCK_DGRAM):
        yield


# --- ports


@pytest.mark.slow
@pytest.mark.parametrize(("port", "works"), [(587, 465), (465, 587), (587, 2525), (25, 2587)])
def test_another_port_answers_where_one_is_filtered(alone: Site, port: int, works: int) -> None:
    alone.account(port)
    with filtered(alone, port), bound(alone.sandbox.pid, works) as listener:
        listener.listen()
        report = alone.report(timeout="1")
    assert statuses(report) == failed_at("connect", ports="passed")
    assert code(report) == 75
    assert f"{works} answers: something on the way drops port {port}" in seen(report, "ports")
    assert {one["port"] for one in report["ports"]} == {587, 465, 2525, 2587} - {port}
    assert [one["port"] for one in report["ports"] if one["fault"] is None] == [works]
    assert (report["diagnosis"]["id"], report["diagnosis"]["owner"]) == (f"port-filtered-{works}-open", "network")
    assert f"port {works}: answers" in report["diagnosis"]["evidence"]


@pytest.mark.slow
def test_no_port_answers(alone: Site) -> None:
    alone.account(587)
    with filtered(alone, 587, 465, 2525, 2587):
        report = alone.report(timeout="1")
    assert statuses(report) == failed_at("connect", ports="failed")
    assert code(report) == 75
    assert {one["fault"] for one in report["ports"]} == {"timed out after 1 s"}
    assert "no other usual port is open either" in seen(report, "ports")
    assert report["diagnosis"]["id"] == "ports-filtered"


@pytest.mark.slow
def test_nobody_else_is_connected_to(alone: Site) -> None:
    """Every process of the run is watched: the account's server at the usual ports, and a name service of the host."""
    trace = "/run/connections"
    alone.account(587)
    argv = ["strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o", trace, *alone.sandbox.agent_argv("diagnose")]
    with filtered(alone, 587):
        done = alone.sandbox.run([*argv, "--timeout=1"], timeout=60)
    assert done.returncode == 75
    met = re.findall(r"connect\(\d+, \{sa_family=(\w+), (.*?)\}", alone.sandbox.read(trace).decode())
    others = {place for family, place in met if family != "AF_UNIX"}
    assert others == {f'sin_port=htons({port}), sin_addr=inet_addr("127.0.0.1")' for port in (587, 465, 2525, 2587)}


@pytest.mark.slow
def test_port_that_is_refused_is_no_filter(alone: Site) -> None:
    """Other ports are left alone, though one would answer."""
    alone.account(587)
    with bound(alone.sandbox.pid, 465) as listener:
        listener.listen()
        listener.settimeout(0)
        report = alone.report()
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert statuses(report) == failed_at("connect", ports="skipped")
    assert report["ports"] == []


@pytest.mark.slow
def test_no_network_at_all(alone: Site) -> None:
    alone.sandbox.shell("ip link set lo down")
    alone.account(587, host="192.0.2.1")
    report = alone.report()
    assert statuses(report) == failed_at("connect", ports="skipped")
    assert code(report) == 75
    assert report["addresses"][0]["fault"] == "network is unreachable"


# --- ways on which we do not go ourselves


@pytest.mark.slow
def test_through_a_proxy(site: Site, server: Smtpd) -> None:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    with Relay(listener, server.port, socks=True) as relay:
        proxy = listener.getsockname()[1]
        site.account(server.port, "proxy_host 127.0.0.1", f"proxy_port {proxy}", host="localhost")
        report = site.report()
    assert statuses(report) == all_passed(resolve="skipped", connect="skipped")
    assert "through the proxy 127.0.0.1" in seen(report, "connect")
    assert relay.names == ["localhost", "localhost"]
    assert report["certificate"] is None
    assert "subject: CN=localhost" in seen(report, "tls")


@pytest.mark.slow
def test_proxy_that_nobody_answers(site: Site, server: Smtpd) -> None:
    site.account(server.port, "proxy_host 127.0.0.1", "proxy_port 9")
    report = site.report()
    assert statuses(report) == failed_at("connect", resolve="skipped")
    assert code(report) == 75
    assert server.sessions == []


@pytest.mark.slow
def test_by_a_socket(site: Site, server: Smtpd) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(site.sandbox.path("/run/smtp")))
    with Relay(listener, server.port):
        site.account(server.port, "socket /run/smtp", host="localhost")
        report = site.report()
    assert statuses(report) == all_passed(resolve="skipped", connect="skipped")
    assert "the socket /run/smtp" in seen(report, "connect")


@pytest.mark.slow
def test_from_an_address_of_its_own(site: Site, server: Smtpd) -> None:
    site.account(server.port, "source_ip 127.0.0.1")
    assert statuses(site.report()) == all_passed(resolve="skipped", connect="skipped")
    site.account(server.port, "source_ip 192.0.2.7")
    report = site.report()
    assert statuses(report) == failed_at("connect", resolve="skipped")
    assert "cannot bind source ip" in seen(report, "connect")


@pytest.mark.slow
def test_name_that_we_cannot_ask_for(site: Site, server: Smtpd) -> None:
    site.account(server.port, host="sérver.example.test")
    report = site.report()
    assert statuses(report) == failed_at("resolve")
    assert report["error"]["words"]
