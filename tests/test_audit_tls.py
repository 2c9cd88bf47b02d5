"""Checks of the account's TLS: is the password encrypted on its way, to the right server, with files that hold."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509

from msmtp_agent.checks import tls
from msmtp_agent.model import Severity, Verdict
from tests.support.pki import Pki, make_authority
from tests.support.roots import (
    MSMTPRC,
    TRUST,
    USER,
    Root,
    Row,
    Table,
    account,
    assert_complete,
    assert_row,
    parameters,
    pretend,
)
from tests.support.smtpd import Smtpd

ERROR, WARNING = Severity.ERROR, Severity.WARNING
SKIPPED = Verdict.SKIPPED
IDS = [check.id for check in tls.CHECKS.checks]
KEY = b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"
NONE = KEY.replace(b"PRIVATE KEY", b"CERTIFICATE")
CERT_FILE, KEY_FILE = "/etc/msmtp/host.pem", "/etc/msmtp/host.key"
PINNED = ":".join(["a5"] * 32)


@functools.cache
def certificate(days: int) -> bytes:
    """A certificate that is good for so many days, or was until so many days ago."""
    return make_authority(days)


def expired(days: int) -> str:
    """The words for the certificate that was good until so many days ago; at midnight "so many days ago" changes."""
    end = x509.load_pem_x509_certificate(certificate(-days)).not_valid_after_utc
    return f"expired on {end:%Y-%m-%d}"


def setting(severity: Severity | None, words: str, line: int, *also: str, **changes: str | None) -> Row:
    """The good account with these changes (line 1 is `account default`, and an added command stands on line 12)."""
    return Row(lambda root: root.configure(**changes), severity, words, MSMTPRC, line, also)


def without(**changes: str | None) -> Row:
    """With these changes the check has nothing to judge."""
    return Row(lambda root: root.configure(**changes), verdict=SKIPPED)


def trusts(content: bytes, severity: Severity | None = None, words: str = "", *also: str, **changes: str | None) -> Row:
    return Row(lambda root: root.configure(**changes).write(TRUST, content, 0o644), severity, words, TRUST, also=also)


def pair(root: Root, *, expires: int = 90, mode: int = 0o600, uid: int = 0, **changes: str | None) -> Root:
    """A client certificate and its key, as they should be but for what is said."""
    root.configure(**{"tls_cert_file": CERT_FILE, "tls_key_file": KEY_FILE, **changes})
    return root.write(CERT_FILE, certificate(expires), 0o644).write(KEY_FILE, KEY, mode, uid)


def client(
    change: Callable[[Root], object],
    severity: Severity | None = None,
    words: str = "",
    path: str = CERT_FILE,
    also: tuple[str, ...] = (),
) -> Row:
    return Row(change, severity, words, path, also=also)


def trust_is_a_fifo(root: Root) -> None:
    root.remove(TRUST)
    os.mkfifo(root.at(TRUST))


TABLE: Table = {
    "tls-off": {
        "off": setting(ERROR, "to smtp.acme.test in clear text", 7, tls="off"),
        "not said": setting(ERROR, "in clear text (`tls off`)", 1, tls=None),
        "off, where msmtp chooses": setting(ERROR, "in clear text", 7, tls="off", auth="on"),
        "a name that begins like loopback": setting(ERROR, "in clear text", 7, tls="off", host="127.0.0.1.acme.test"),
        "loopback": setting(None, "", 0, tls="off", host="127.0.0.1"),
        "loopback by name": setting(None, "", 0, tls="off", host="localhost"),
        "loopback of IPv6": setting(None, "", 0, tls="off", host="::1"),
        "nobody logs in": setting(None, "", 0, tls="off", auth="off"),
        "bare, which is on": setting(None, "", 0, tls=""),
    },
    "tls-unchecked": {
        "off": setting(ERROR, "`tls_certcheck off` for smtp.acme.test", 12, tls_certcheck="off"),
        "its old name": setting(ERROR, "`tls_certcheck off` for smtp.acme.test", 12, tls_nocertcheck=""),
        "on loopback": setting(WARNING, "`tls_certcheck off`", 12, tls_certcheck="off", host="127.0.0.1"),
        # msmtp then does not look at the fingerprint either (measured below).
        "off, and pinned": setting(
            ERROR, "`tls_certcheck off` for smtp", 12, tls_certcheck="off", tls_fingerprint=PINNED
        ),
        "off, and pinned, on loopback": setting(
            WARNING, "`tls_certcheck off`", 12, tls_certcheck="off", tls_fingerprint=PINNED, host="localhost"
        ),
        "on": setting(None, "", 0, tls_certcheck="on"),
        "on, and pinned": setting(None, "", 0, tls_certcheck="on", tls_fingerprint=PINNED),
        "pinned": setting(None, "", 0, tls_fingerprint=PINNED),
        "without TLS": Row(
            lambda root: root.configure(tls="off", tls_certcheck="off"), also=("tls-off",), verdict=SKIPPED
        ),
    },
    "tls-465-starttls": {
        "not said": setting(ERROR, "port 465 with STARTTLS", 3, port="465"),
        "on": setting(ERROR, "port 465 with STARTTLS", 12, port="465", tls_starttls="on"),
        "in octal": setting(ERROR, "port 465 with STARTTLS", 3, port="0721"),
        "off": setting(None, "", 0, port="465", tls_starttls="off"),
        "off, without a port": setting(None, "", 0, port=None, tls_starttls="off"),
        "its old name": setting(None, "", 0, port="465", tls_nostarttls=""),
        "another port": setting(None, "", 0, port="2465"),
    },
    "tls-587-implicit": {
        "587": setting(ERROR, "port 587 with TLS from the start", 12, tls_starttls="off"),
        "25": setting(ERROR, "port 25 with TLS from the start", 12, port="25", tls_starttls="off"),
        "STARTTLS": setting(None, "", 0, tls_starttls="on"),
        "no port, which is 465": setting(None, "", 0, port=None, tls_starttls="off"),
        "another port": setting(None, "", 0, port="1025", tls_starttls="off"),
    },
    "tls-no-trust": {
        "an empty trust file": setting(ERROR, "tls_trust_file", 12, tls_trust_file=""),
        "a revocation list without it": setting(
            ERROR, "tls_crl_file requires", 12, tls_trust_file="", tls_crl_file="/etc/crl.pem", tls_fingerprint=PINNED
        ),
        "system": setting(None, "", 0, tls_trust_file="system"),
        "empty, and pinned": setting(None, "", 0, tls_trust_file="", tls_fingerprint=PINNED),
        "empty, without TLS": setting(None, "", 0, "tls-off", tls_trust_file="", tls="off"),
    },
    "tls-trust-file": {
        "missing": Row(lambda root: root.remove(TRUST), ERROR, "is missing", TRUST),
        "a directory": Row(lambda root: root.remove(TRUST).mkdir(TRUST), ERROR, "is a directory", TRUST),
        "a FIFO": Row(trust_is_a_fifo, ERROR, "is a FIFO", TRUST),
        "a link to nothing": Row(lambda root: root.link(TRUST, "none.pem"), ERROR, "is missing", TRUST),
        "empty": trusts(b"", ERROR, "holds no certificate"),
        "a key": trusts(KEY, ERROR, "holds no certificate"),
        "no certificate in the block": trusts(NONE, ERROR, "holds no"),
        "a block that is no certificate beside a good one": trusts(NONE + certificate(9), ERROR, ""),
        "text beside a certificate": trusts(b"# CN=Test\n\n" + certificate(9) + b"\n-- \n" + certificate(9)),
        "a key beside a certificate": trusts(KEY + certificate(9)),
        "its own, missing": Row(
            lambda root: root.configure(tls_trust_file="/etc/my.pem"), ERROR, "is missing", "/etc/my.pem"
        ),
        "its own in root's home, missing": Row(
            lambda root: root.configure(tls_trust_file="~/my.pem"), ERROR, "is missing", "/root/my.pem"
        ),
        "its own": Row(
            lambda root: root.configure(tls_trust_file="/etc/my.pem").write("/etc/my.pem", certificate(9)).remove(TRUST)
        ),
        "its own in root's home": Row(
            lambda root: root.configure(tls_trust_file="~/my.pem").write("/root/my.pem", certificate(9))
        ),
        "a link": Row(
            lambda root: root.write("/usr/share/ca.pem", certificate(9), 0o644).link(TRUST, "../../../usr/share/ca.pem")
        ),
        "missing, and pinned": Row(lambda root: root.configure(tls_fingerprint=PINNED).remove(TRUST)),
        "missing, without TLS": Row(
            lambda root: root.configure(tls="off").remove(TRUST), also=("tls-off",), verdict=SKIPPED
        ),
        "empty, and unchecked": trusts(b"", None, "", "tls-unchecked", tls_certcheck="off"),
    },
    "tls-trust-expired": {
        "one": trusts(certificate(-3), ERROR, expired(3)),
        "all": trusts(certificate(-30) + certificate(-9), ERROR, expired(9)),
        "all, in another order": trusts(certificate(-9) + certificate(-30), ERROR, expired(9)),
        "all but the last": trusts(certificate(-30) + certificate(1)),
        "all but the first": trusts(certificate(1) + certificate(-30)),
        "the next day": trusts(certificate(1)),
        "expired, and unchecked": trusts(certificate(-3), None, "", "tls-unchecked", tls_certcheck="off"),
        "expired, and pinned": trusts(certificate(-3), tls_fingerprint=PINNED),
        "empty": Row(lambda root: root.write(TRUST, b""), also=("tls-trust-file",), verdict=SKIPPED),
    },
    "tls-client-pair": {
        "no key": setting(ERROR, "`tls_cert_file` without `tls_key_file`", 12, tls_cert_file=CERT_FILE),
        "no certificate": setting(ERROR, "`tls_key_file` without `tls_cert_file`", 12, tls_key_file=KEY_FILE),
        "an empty key": setting(ERROR, "without `tls_key_file`", 12, tls_cert_file=CERT_FILE, tls_key_file=""),
        "no key, without TLS": setting(
            ERROR, "without `tls_key_file`", 12, "tls-off", tls_cert_file=CERT_FILE, tls="off"
        ),
        "both": Row(pair),
        "none": Row(lambda root: root.configure()),
    },
    "tls-client-files": {
        "no certificate": client(lambda root: pair(root).remove(CERT_FILE), ERROR, "is missing"),
        "no key": client(lambda root: pair(root).remove(KEY_FILE), ERROR, "is missing", KEY_FILE),
        "a directory": client(lambda root: pair(root).remove(KEY_FILE).mkdir(KEY_FILE), ERROR, "is a dir", KEY_FILE),
        "an empty key": client(lambda root: pair(root).write(KEY_FILE, b""), ERROR, "nothing in PEM", KEY_FILE),
        "DER": client(lambda root: pair(root).write(CERT_FILE, b"\x30\x82\x01\x0a"), ERROR, "nothing in PEM"),
        "both": Row(pair),
        "in root's home": Row(lambda root: pair(root, tls_key_file="~/k").remove(KEY_FILE).write("/root/k", KEY)),
        "both in one file": Row(
            lambda root: pair(root, tls_key_file=CERT_FILE).write(CERT_FILE, certificate(90) + KEY)
        ),
    },
    "tls-client-expired": {
        "yesterday": client(lambda root: pair(root, expires=-1), ERROR, expired(1)),
        "in a week": client(lambda root: pair(root, expires=7), WARNING, "expires within 7 days"),
        "in thirteen days": client(lambda root: pair(root, expires=13), WARNING, "expires within 13 days"),
        "its own, and its authority's not": client(
            lambda root: pair(root).write(CERT_FILE, certificate(-1) + certificate(900)), ERROR, expired(1)
        ),
        "its authority's alone": Row(lambda root: pair(root).write(CERT_FILE, certificate(90) + certificate(-1))),
        "in three weeks": Row(lambda root: pair(root, expires=21)),
        "in fifteen days": Row(lambda root: pair(root, expires=15)),
    },
    "tls-key-mode": {
        "0640": client(lambda root: pair(root, mode=0o640), WARNING, "is 0640", KEY_FILE),
        "0604": client(lambda root: pair(root, mode=0o604), ERROR, "is 0604", KEY_FILE),
        "of another": client(lambda root: pair(root, uid=33), ERROR, "is 0600 33:root", KEY_FILE),
        "behind a link": client(
            lambda root: pair(root).write("/root/k", KEY, 0o644).link(KEY_FILE, "/root/k"), ERROR, "is 0644", KEY_FILE
        ),
        "0400": client(lambda root: pair(root, mode=0o400)),
        "the certificate 0644": Row(pair),
        "no client certificate": Row(lambda root: root.write(KEY_FILE, KEY, 0o644)),
    },
}


@pytest.mark.parametrize(("name", "row"), parameters(TABLE))
def test_found_or_not(tmp_path: Path, name: str, row: Row) -> None:
    assert_row(Root(tmp_path / "root"), name, row, IDS)


def test_every_check_is_in_the_table() -> None:
    assert_complete(TABLE, tls.CHECKS)


REFUSED_ALONE = ("tls-no-trust", "tls-client-pair")


@pytest.mark.parametrize(("name", "row"), parameters({name: TABLE[name] for name in REFUSED_ALONE}))
def test_msmtp_refuses_what_is_found(tmp_path: Path, name: str, row: Row) -> None:
    """The two of which msmtp says 78 before it connects; what they do not find it takes."""
    root = Root(tmp_path).good()
    row.change(root)
    done = pretend(root)
    assert done.returncode == (78 if root.found(name) else 0), done.stderr


def send(root: Root, server: Smtpd, pki: Pki, **changes: str | None) -> int:
    """msmtp's exit status when it sends with these changes to a server that has the certificate `good`."""
    trust = str(root.at("/etc/trust.pem"))
    local = {"host": "127.0.0.1", "port": str(server.port), "tls_trust_file": trust, "logfile": None, "aliases": None}
    root.configure(**{**local, "passwordeval": "echo pw", "timeout": "10", **changes})
    if not root.at("/etc/trust.pem").exists():
        root.write("/etc/trust.pem", pki.ca_file.read_bytes())
    done = subprocess.run(
        ["/usr/bin/msmtp", "-C", root.at(MSMTPRC), "--", "x@h.test"],
        env={"LC_ALL": "C", "HOME": "/nonexistent", "PATH": "/usr/bin:/bin"},
        input=b"Subject: x\n\n",
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: b"pw"}, cert=pki.certificate(), key=pki.key()) as found:
        yield found


@pytest.mark.parametrize(("checked", "status"), [("on", 69), ("off", 0)])
def test_msmtp_does_not_look_at_the_pin_where_nothing_is_checked(
    tmp_path: Path, server: Smtpd, pki: Pki, checked: str, status: int
) -> None:
    """The fact behind tls-unchecked: `tls_certcheck off` takes a wrong fingerprint as well."""
    root = Root(tmp_path).good()
    assert send(root, server, pki, tls_certcheck=checked, tls_fingerprint=PINNED) == status
    assert bool(root.found("tls-unchecked")) is (status == 0)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (lambda pki: pki.ca_file.read_bytes(), 0),
        (lambda pki: certificate(-3) + pki.ca_file.read_bytes(), 0),
        (lambda pki: KEY + pki.ca_file.read_bytes(), 0),
        (lambda pki: NONE + pki.ca_file.read_bytes(), 66),
        (lambda pki: pki.ca_file.read_bytes() + NONE, 66),
        (lambda _: KEY, 66),
        (lambda _: b"", 66),
        (lambda _: NONE, 66),
        (lambda _: certificate(-3), 69),
    ],
    ids=["good", "one expired", "a key", "damaged", "damaged behind", "key alone", "empty", "none", "expired"],
)
def test_msmtp_takes_the_trust_files_of_which_nothing_is_said(
    tmp_path: Path, server: Smtpd, pki: Pki, content: Callable[[Pki], bytes], status: int
) -> None:
    root = Root(tmp_path).good().write("/etc/trust.pem", content(pki))
    assert send(root, server, pki) == status
    root.configure(tls_trust_file="/etc/trust.pem")
    assert root.found("tls-trust-file", "tls-trust-expired") == {66: ["tls-trust-file"], 69: ["tls-trust-expired"]}.get(
        status, []
    )


def test_both_files_of_a_pair_are_named(tmp_path: Path) -> None:
    root = pair(Root(tmp_path).good()).remove(CERT_FILE).remove(KEY_FILE)
    assert [finding.path for finding in root.findings("tls-client-files")] == [CERT_FILE, KEY_FILE]


@pytest.mark.parametrize("content", [b"\0" * 9000, b"-----BEGIN CERTIFICATE-----\n" * 100_000, bytes(range(256)) * 999])
def test_garbage_is_no_trust(tmp_path: Path, content: bytes) -> None:
    root = Root(tmp_path).good().write(TRUST, content)
    assert root.found(*IDS) == ["tls-trust-file"]


def test_nothing_is_judged_of_an_account_that_is_not_there(tmp_path: Path) -> None:
    root = Root(tmp_path).good().write(MSMTPRC, account("bogus"))
    report = root.report(*IDS)
    assert [finding.id for finding in report.findings] == ["config-syntax"]
    assert {result.id for result in report.having(Verdict.SKIPPED)} >= set(IDS)
