"""What `msmtp --serverinfo` prints, taken apart: its own form, and what a server could put into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msmtp_agent.serverinfo import ServerInfo, parse

# msmtp 1.8.23 (GnuTLS) at a server with everything that it knows of.
FULL = """\
SMTP server at smtp.example.test (mail.example.test [192.0.2.25]), port 587:
    mail.example.test ESMTP ready
TLS session parameters:
    (TLS1.3)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(AES-256-GCM)
TLS certificate information:
    Subject:
        CN=smtp.example.test
    Issuer:
        CN=Test authority,O=Example
    Validity:
        Activation time: Fri Oct 23 14:10:17 2026
        Expiration time: Tue Nov 24 14:10:17 2026
    Fingerprints:
        SHA256: {fingerprint}
        SHA1 (deprecated): 00:01
Capabilities:
    SIZE 10240000:
        Maximum message size is 10240000 bytes = 9.77 MiB
    PIPELINING:
        Support for command grouping for faster transmission
    SMTPUTF8:
        Support for Internationalized Email
    DSN:
        Support for Delivery Status Notifications
    STARTTLS:
        Support for TLS encryption via the STARTTLS command
    AUTH:
        Supported authentication methods:
        SCRAM-SHA-256 PLAIN LOGIN
""".format(fingerprint=":".join(["AB"] * 32))


def taken(text: str) -> ServerInfo:
    return parse(text.split("\n"))


@pytest.mark.parametrize("address", ["192.0.2.25", "2001:db8::25", "fe80::25%eth0"])
def test_the_address_of_any_family(address: str) -> None:
    assert taken(FULL.replace("192.0.2.25", address)).address == address


def test_everything_that_msmtp_tells() -> None:
    assert taken(FULL) == ServerInfo(
        address="192.0.2.25",
        greeting="mail.example.test ESMTP ready",
        session="(TLS1.3)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(AES-256-GCM)",
        subject="CN=smtp.example.test",
        issuer="CN=Test authority,O=Example",
        expires="Tue Nov 24 14:10:17 2026",
        fingerprint=":".join(["AB"] * 32),
        extensions=("SIZE", "PIPELINING", "SMTPUTF8", "DSN", "STARTTLS", "AUTH"),
        methods=("SCRAM-SHA-256", "PLAIN", "LOGIN"),
        size=10240000,
    )


def test_server_without_anything() -> None:
    assert taken("SMTP server at h, port 25:\nNo special capabilities.\n") == ServerInfo()


def test_no_limit_and_no_statement() -> None:
    assert taken("Capabilities:\n    SIZE 0:\n        Maximum message size is unlimited\n").size == 0
    assert taken("Capabilities:\n    DSN:\n        Support for ...\n").size is None


def test_ipv6_and_no_name() -> None:
    assert taken("SMTP server at h ([2001:db8::25]), port 465:\n    hello\n").address == "2001:db8::25"


def test_certificate_cannot_forge_capabilities() -> None:
    """The name of a certificate may have line feeds, and msmtp prints it as it is."""
    forged = "CN=x\nCapabilities:\n    SIZE 1:\n        Maximum\n    AUTH:\n        Supported:\n        XOAUTH2 "
    info = taken(FULL.replace("CN=smtp.example.test", forged))
    assert info.methods == ("SCRAM-SHA-256", "PLAIN", "LOGIN")
    assert info.size == 10240000
    head = "SMTP server at h, port 25:\n        CN=x\nCapabilities:\n    AUTH:\n        a\n        PLAIN\n"
    assert taken(head + "No special capabilities.\n").methods == ()


def test_certificate_cannot_forge_its_fingerprint() -> None:
    forged = "CN=x\n    Fingerprints:\n        SHA256: " + ":".join(["00"] * 32)
    assert taken(FULL.replace("CN=smtp.example.test", forged)).fingerprint == ":".join(["AB"] * 32)


@given(st.lists(st.sampled_from(FULL.split("\n")) | st.text(max_size=30), max_size=40))
def test_any_lines_are_taken(lines: list[str]) -> None:
    """Cut off, out of order, or of another program: never an error."""
    info = parse(lines)
    assert info.size is None or info.size >= 0


def test_cut_off_anywhere() -> None:
    lines = FULL.split("\n")
    for end in range(len(lines)):
        assert parse(lines[:end]).methods in ((), ("SCRAM-SHA-256", "PLAIN", "LOGIN"))
