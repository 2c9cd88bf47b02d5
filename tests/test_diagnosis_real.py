"""Failures that the real msmtp meets before a server says anything: its words are those of the table, and explained."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import jsonschema
import pytest

from msmtp_agent.diagnosis import decode
from msmtp_agent.diagnosis.failure import understand
from msmtp_agent.model import Diagnosis
from msmtp_agent.msmtprc import parse
from msmtp_agent.printable import printable
from msmtp_agent.providers import BUILT_IN
from tests.support.account import ALIASES, MSMTPRC, SECRET, USER, account
from tests.support.failures import HOST, SAID
from tests.support.inside import Inside, NameServer
from tests.support.peer import Peer
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.trees import Machine
from tests.support.view import Completed, View

pytestmark = pytest.mark.root
SCHEMA: Final = json.loads((PROJECT / "msmtp_agent/schemas/configure.json").read_bytes())
PASSWORD: Final = b"correct horse"
TRUST: Final = "/etc/ca-of-the-test.pem"
_ZEROS: Final = ":".join(["00"] * 32)
_IMPLICIT: Final = {"port": "465", "tls_starttls": "off"}
_BRIDGE: Final = {"port": "1025", "host": "127.0.0.1"}


class Met(NamedTuple):
    """A case: the diagnosis, what answers (None: nobody), and the lines of the account that differ."""

    expect: str
    server: Mapping[str, Any] | None = None
    changes: Mapping[str, str | None] = MappingProxyType({})
    script: tuple[str, ...] = ()
    names: int | None = None

    @property
    def name(self) -> str:
        more = [*self.script, *(f"{key}={value}" for key, value in self.changes.items() if key != "tls_fingerprint")]
        return "-".join([self.expect, *more]).replace("/", "")


# fmt: off
MET: Final = (
    Met("dns-unknown", names=NameServer.NO_SUCH_NAME, changes={"host": "elsewhere.example.test"}),
    Met("dns-unknown", names=NameServer.NO_DATA, changes={"host": "nowhere.example.test"}),
    Met("dns-temporary", names=NameServer.SERVER_FAILURE, changes={"host": "here.example.test"}),
    Met("connection-refused"),
    Met("connection-refused-here", changes={"host": "localhost", "port": "2525"}),
    Met("bridge-not-running", changes=_BRIDGE),
    Met("no-route", changes={"host": "198.51.100.7"}),
    Met("connection-timeout", {}, {"timeout": "1"}, ("connect", "hang")),
    Met("tls-name", {"cert": "wrong"}),
    Met("tls-expired", {"cert": "old"}),
    Met("tls-not-yet-valid", {"cert": "future"}),
    Met("tls-intercepted", {"cert": "self"}),
    Met("tls-issuer", {}, {"tls_trust_file": "/etc/other-ca.pem"}),
    Met("bridge-certificate", {"cert": "self"}, _BRIDGE),
    Met("tls-fingerprint", {}, {"tls_fingerprint": _ZEROS}),
    Met("tls-revoked", {"cert": "revoked"}, {"tls_crl_file": "/etc/crl.pem"}),
    Met("trust-file", {}, {"tls_trust_file": "/nowhere"}),
    Met("trust-file", {}, {"tls_trust_file": "/dev/null"}),
    Met("revocation-file", {}, {"tls_crl_file": "/nowhere"}),
    Met("client-certificate", {}, {"tls_key_file": "/nowhere", "tls_cert_file": "/nowhere"}),
    Met("tls-priorities", {}, {"tls_priorities": "BOGUS"}),
    Met("tls-mode-starttls", {}, {"tls_starttls": "off"}),
    Met("tls-mode-implicit", {"tls": "implicit"}, {"port": "465", "timeout": "1"}),
    Met("tls-off-implicit", {"tls": "implicit"}, {"port": "465", "timeout": "1", "tls": "off"}),
    Met("tls-not-spoken", {}, {}, ("handshake", "rubbish")),
    Met("tls-alert", {}, {}, ("handshake", "refuse")),
    Met("tls-cut-off", {}, {}, ("handshake", "drop")),
    Met("starttls-missing", {"tls": "none"}),
    Met("starttls-missing-25", {"tls": "none"}, {"port": "25"}),
    Met("auth-not-offered", {"auth": ""}),
    Met("auth-not-offered-25", {"auth": ""}, {"port": "25"}),
    Met("auth-before-tls", {}, {"tls": "off"}),
    Met("auth-method", {}, {"auth": "cram-md5"}),
    Met("auth-no-common", {"auth": "XOAUTH2 GSSAPI"}),
    Met("auth-in-clear", {"tls": "none"}, {"tls": "off"}),
    Met("user-missing", {}, {"user": None}),
    Met("password-missing", {}, {"passwordeval": None}),
    Met("password-too-long", {}, {"passwordeval": '"head -c 4000 /dev/zero | tr \\\\0 x"'}),
    Met("sasl-characters", {"auth": "CRAM-MD5"}, {"passwordeval": '"printf \'a\\007b\\n\'"'}),
    Met("reply-empty", {}, {}, ("greeting", "drop")),
    Met("reply-rubbish", {}, {}, ("greeting", "rubbish")),
    Met("reply-too-long", {}, {}, ("greeting", "chatter")),
    Met("connection-lost", {}, {}, ("greeting", "reset")),
    Met("connection-lost", {}, {}, ("auth", "drop")),
    Met("deadline", {}, {"timeout": "1"}, ("greeting", "hang")),
    Met("starttls-garbled", {"reply": b"220 go ahead\r\n250 and more\r\n"}, {}, ("starttls",)),
    Met("secret-missing", {}, {"passwordeval": '"cat /etc/msmtp-password"', "logfile": None}),
    Met("secret-empty", {}, {"passwordeval": '"pass mail"'}),
)
# fmt: on
QUICK: Final = ("connection-refused", "tls-name", "auth-not-offered")


def by_name(met: Met) -> str:
    return met.name


class Site:
    """A view with a network of its own, where the host of the account is itself."""

    def __init__(self, view: View, pki: Pki) -> None:
        self.view = view
        self.pki = pki
        here = f"127.0.0.1 localhost {HOST}\n"
        view.write("/etc/hosts", here, mode=0o644)
        view.write("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", mode=0o644)
        view.write("/etc/aliases", ALIASES, mode=0o644)
        view.write(TRUST, pki.ca_file.read_bytes(), mode=0o644)
        view.write("/etc/crl.pem", pki.revoking("revoked"), mode=0o644)
        view.write("/etc/other-ca.pem", pki.certificate("self").read_bytes(), mode=0o644)

    def server(self, met: Met, port: int) -> AbstractContextManager[object]:
        """What the case meets at that port."""
        if met.names is not None:
            return NameServer(self.view.pid, met.names)
        if met.server is None:
            return nullcontext()
        more = {"auth": "PLAIN LOGIN", "cert": "host", **met.server}
        name = more.pop("cert")
        return Inside(self.view.pid, port, *met.script, cert=self.pki.certificate(name), key=self.pki.key(name), **more)

    def send(self, met: Met, run: Callable[[], Completed]) -> tuple[Completed, str]:
        """Run something against it; the account's text as well."""
        changes = {"host": HOST, "passwordeval": '"echo secret"', **met.changes}
        port = int(changes.pop("port", None) or 587)
        text = account(port, Path(TRUST), **changes)
        self.view.write(MSMTPRC, text)
        with self.server(met, port):
            return run(), text


def certificates(pki: Pki) -> Pki:
    """Those of the cases, by the session's authority."""
    pki.issue("host", [HOST, "127.0.0.1"])
    pki.issue("revoked", [HOST])
    pki.issue("old", [HOST], days=-1)
    pki.issue("future", [HOST], starts=1, days=3)
    return pki


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Site]:
    with Sandbox(tmp_path_factory.mktemp("real"), network="none") as view:
        yield Site(view, certificates(pki))


@pytest.fixture(scope="module")
def trixie(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Site]:
    with Machine("trixie", tmp_path_factory.mktemp("real")) as view:
        yield Site(view, certificates(pki))


def decoded(done: Completed, text: str, version: str, status: int | None = None) -> tuple[Diagnosis, tuple[str, ...]]:
    """The diagnosis of a run of msmtp, and its words as an Outcome has them."""
    lines = [printable(line.removeprefix("msmtp: ")) for line in done.stderr.split("\n") if line]
    ended = done.returncode if status is None else status
    failed = understand(lines, ended, parse(text.encode())["default"], version=version)
    return decode(failed, BUILT_IN), tuple(lines)


def assert_met(site: Site, met: Met, version: str) -> None:
    done, text = site.send(met, lambda: site.view.run(["msmtp", "--", "@"], stdin=b"", timeout=20))
    told, words = decoded(done, text, version)
    assert told.id == met.expect, done.stderr
    # The table of the tests holds the very words; the host in them is the case's own.
    host = str(met.changes.get("host", HOST))
    known = {line.replace(host, HOST) for said in SAID if said.expect == met.expect for line in said.words[:1]}
    assert words[0].replace(host, HOST) in known


@pytest.mark.parametrize(
    "met", [pytest.param(met, marks=[] if met.name in QUICK else pytest.mark.slow) for met in MET], ids=by_name
)
def test_msmtp_of_this_machine(here: Site, met: Met) -> None:
    assert_met(here, met, "1.8.23")


@pytest.mark.tree
@pytest.mark.slow
@pytest.mark.parametrize("met", MET, ids=by_name)
def test_msmtp_of_debian_13(trixie: Site, met: Met) -> None:
    assert_met(trixie, met, "1.8.28")


@pytest.mark.tree
@pytest.mark.slow
def test_scram_without_channel_binding_on_debian_13(trixie: Site) -> None:
    """Msmtp 1.8.28 gives up before AUTH; 1.8.23 tries the password."""
    met = Met("sasl-scram", {"auth": "SCRAM-SHA-256 PLAIN"})
    assert_met(trixie, met, "1.8.28")
    done, _ = trixie.send(
        met._replace(changes={"auth": "plain"}), lambda: trixie.view.run(["msmtp", "--", "@"], stdin=b"")
    )
    assert done.returncode == 0, done.stderr


# --- the whole program


def report(done: Completed) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(done.out)
    jsonschema.validate(told, SCHEMA)
    return told


@pytest.mark.slow
@pytest.mark.parametrize(
    "met",
    [
        met
        for met in MET
        if met.expect in ("connection-refused", "dns-unknown", "tls-name", "starttls-missing", "auth-method")
    ],
    ids=by_name,
)
def test_program_explains(here: Site, met: Met) -> None:
    assert isinstance(here.view, Sandbox)
    view = here.view
    changes = {**met.changes, "passwordeval": f'"cat {SECRET}"'}
    done, _ = here.send(
        met._replace(changes=changes),
        lambda: view.agent("--password-stdin", "--no-mail", "--json", "--timeout=20", stdin=PASSWORD),
    )
    told = report(done)
    assert told["diagnosis"]["id"] == met.expect
    assert told["diagnosis"]["evidence"][0] == told["error"]["words"][0]


@pytest.mark.slow
def test_program_explains_a_deadline(here: Site) -> None:
    """STARTTLS spoken to a port with TLS from the start waits without end: msmtp is ended without a word of it."""
    assert isinstance(here.view, Sandbox)
    view = here.view
    met = Met("tls-mode-implicit", {"tls": "implicit"}, {"port": "465", "passwordeval": f'"cat {SECRET}"'})
    done, _ = here.send(
        met, lambda: view.agent("--password-stdin", "--no-mail", "--json", "--timeout=1", stdin=PASSWORD)
    )
    told = report(done)
    assert told["diagnosis"]["id"] == "tls-mode-implicit"
    assert told["diagnosis"]["evidence"][0] == "msmtp was ended at the deadline"


# --- Postfix and Dovecot


@pytest.mark.tree
@pytest.mark.slow
@pytest.mark.parametrize(
    ("port", "changes", "words", "expect"),
    [
        ("starttls", {}, ("--no-mail",), "postfix-login"),
        ("starttls", {"user": "nobody@example.test"}, ("--no-mail",), "postfix-login"),
        ("starttls", {"auth": "login"}, ("--no-mail",), "postfix-login"),
        ("wrong_name", {}, ("--no-mail",), "tls-name-local"),
        ("expired", {}, ("--no-mail",), "tls-expired"),
        ("self_signed", {}, ("--no-mail",), "tls-issuer-local"),
        ("no_tls", {}, ("--no-mail",), "starttls-missing"),
        ("no_auth", {}, ("--no-mail",), "auth-not-offered"),
        ("starttls", {"tls_starttls": "off"}, ("--no-mail",), "tls-not-spoken"),
        ("starttls", {}, ("test", "--to", "you@elsewhere.test"), "postfix-relay-still-denied"),
    ],
)
def test_postfix_and_dovecot(
    tmp_path: Path, peer: Peer, port: str, changes: dict[str, str | None], words: tuple[str, ...], expect: str
) -> None:
    peer.set_users({USER: PASSWORD})
    with Sandbox(tmp_path, network=peer.netns) as view:
        view.write("/etc/aliases", ALIASES, mode=0o644)
        view.write(MSMTPRC, account(peer.ports[port], peer.ca_file, **changes))
        if words[0] == "test":
            view.write(SECRET, PASSWORD + b"\n")
            done = view.agent(*words, "--json", timeout=40)
        else:
            done = view.agent("--password-stdin", *words, "--json", stdin=b"not this one", timeout=40)
    assert report(done)["diagnosis"]["id"] == expect
