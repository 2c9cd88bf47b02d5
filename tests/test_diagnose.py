"""`diagnose` on the real msmtp: everything in order, and each stage made to fail by what is wrong on the host."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.account import MSMTPRC, SECRET, USER
from tests.support.diagnosing import PASSWORD, STAGES, Site, all_passed, code, failed_at, seen, statuses
from tests.support.hostile import Hostile
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd

pytestmark = pytest.mark.root


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: PASSWORD}, cert=pki.certificate(), key=pki.key()) as smtpd:
        yield smtpd


@pytest.fixture
def site(sandbox: Sandbox, pki: Pki, server: Smtpd) -> Site:
    here = Site(sandbox, pki)
    here.account(server.port)
    return here


# --- everything in order


def test_everything_in_order(site: Site, server: Smtpd) -> None:
    done = site.run()
    assert done.returncode == 0, done.stderr
    told = re.findall(r"^(passed|failed|skipped|not reached) +(\w+)", done.stdout, re.MULTILINE)
    assert [name for _, name in told] == list(STAGES)
    assert {name: status for status, name in told} == all_passed()
    assert "msmtp 1." in done.stdout
    assert "TLSv1.3, verified by msmtp, certificate expires 20" in done.stdout
    assert "AUTH PLAIN LOGIN; at most 32.0 MiB; EHLO localhost accepted" in done.stdout
    assert "Nothing is wrong as far as this goes without a mail" in done.stdout
    assert server.messages == []
    assert [login.accepted for login in server.logins] == [True]
    assert not site.sandbox.exists("/var/log/msmtp.log")


def test_json_tells_everything(site: Site, server: Smtpd) -> None:
    report = site.report()
    assert statuses(report) == all_passed()
    assert (report["result"], report["verification"], report["error"]) == ("ok", "accepted", None)
    assert report["diagnosis"]["id"] == "accepted"
    (address,) = report["addresses"]
    assert (address["address"], address["port"], address["fault"]) == ("127.0.0.1", server.port, None)
    assert report["ports"] == []
    certificate, offers = report["certificate"], report["capabilities"]
    assert (certificate["subject"], certificate["issuer"]) == ("CN=localhost", "CN=Test authority")
    assert (certificate["names"], certificate["protocol"]) == (
        ["localhost", "127.0.0.1", "mail.example.test"],
        "TLSv1.3",
    )
    assert certificate["days"] in (1, 2)
    assert certificate["not_after"] > report["time"]
    assert offers["fingerprint"] == certificate["fingerprint"]
    assert (offers["size"], offers["starttls"], offers["auth"]) == (33554432, True, ["PLAIN", "LOGIN"])
    assert report["history"]["attempts"] == 0
    assert any(warning.startswith("certificate: expires in ") for warning in report["warnings"])


@pytest.mark.slow
def test_with_a_mail(site: Site, server: Smtpd) -> None:
    report = site.report("--to", "boss@example.test")
    assert statuses(report) == all_passed(mail="passed")
    assert report["delivery"]["recipients"] == ["boss@example.test"]
    (mail,) = server.messages
    assert mail.recipients == ("boss@example.test",)
    assert report["history"]["attempts"] == 1
    assert "the last mail was accepted 20" in seen(report, "log")
    told = site.run("--to", "boss@example.test").stdout.partition("Nothing is wrong: the mail was accepted.\n")[2]
    assert "or into the spam folder (accepted)\n  1. check /etc/aliases" in told


@pytest.mark.slow
def test_implicit_tls(sandbox: Sandbox, pki: Pki) -> None:
    site = Site(sandbox, pki)
    with Smtpd(users={USER: PASSWORD}, tls="implicit", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port, tls_starttls="off")
        report = site.report()
    assert statuses(report) == all_passed()
    assert not report["capabilities"]["starttls"]


@pytest.mark.slow
def test_no_tls_on_loopback(sandbox: Sandbox, pki: Pki) -> None:
    site = Site(sandbox, pki)
    with Smtpd(users={USER: PASSWORD}, tls="none") as server:
        site.account(server.port, tls="off", auth="plain")
        report = site.report()
    assert statuses(report) == all_passed(tls="skipped")
    assert report["certificate"] is None
    assert report["capabilities"]["session"] == ""


def test_not_root(site: Site) -> None:
    done = site.run(uid=1000)
    assert done.returncode == 4
    assert done.stdout == ""
    assert "does not run as root" in done.stderr
    assert "sudo msmtp-config diagnose" in done.stderr


@pytest.mark.slow
def test_msmtp_not_installed(site: Site) -> None:
    site.sandbox.shell("mount -n --bind /dev/null /usr/bin/msmtp")
    report = site.report()
    assert code(report) == 69
    assert set(statuses(report).values()) == {"not reached"}


# --- the configuration


@pytest.mark.slow
def test_no_configuration(site: Site) -> None:
    site.sandbox.path(MSMTPRC).unlink()
    report = site.report()
    assert code(report) == 78
    assert statuses(report) == failed_at("configuration", log="skipped")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "words"),
    [("bogus on", "unknown command bogus"), ("tls_key_file /etc/key", "tls_key_file requires tls_cert_file")],
    ids=["syntax", "incomplete"],
)
def test_configuration_that_msmtp_refuses(site: Site, server: Smtpd, line: str, words: str) -> None:
    site.account(server.port, line)
    report = site.report()
    assert code(report) == 78
    assert words in report["error"]["message"] + " ".join(report["error"]["words"])
    assert statuses(report)["configuration"] == "failed"


@pytest.mark.slow
def test_aliases_that_msmtp_refuses(site: Site, server: Smtpd) -> None:
    """Mail to root would fail with it: msmtp says so before it connects."""
    site.sandbox.write("/etc/aliases", "root: a\nroot: b\n", mode=0o644)
    report = site.report()
    assert code(report) == 78
    assert statuses(report) == failed_at("configuration")
    assert report["error"]["words"]
    assert server.sessions == []


@pytest.mark.slow
def test_configuration_that_others_read_is_warned_of(site: Site) -> None:
    site.sandbox.shell(f"chmod 0644 {MSMTPRC}")
    report = site.report()
    assert statuses(report) == all_passed()
    assert f"{MSMTPRC}: is 0644 root:root, expected 0600 root:root" in report["warnings"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["0620", "0602"])
def test_configuration_that_others_write_is_not_used(site: Site, server: Smtpd, mode: str) -> None:
    """Somebody could have pointed it at a server of his own, to which the password would go."""
    site.sandbox.shell(f"chmod {mode} {MSMTPRC}")
    report = site.report()
    assert code(report) == 78
    assert statuses(report) == failed_at("configuration")
    assert server.sessions == []


@pytest.mark.slow
def test_password_in_clear_text_is_not_sent(site: Site, server: Smtpd) -> None:
    site.account(server.port, tls="off", auth="plain", host="mail.example.test")
    report = site.report()
    assert code(report) == 78
    assert "clear text" in seen(report, "configuration")


# --- the secret


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (None, 78, "is missing"),
        (b"", 65, "is empty"),
        (b"\n" + PASSWORD, 65, "is empty"),
        (b"  \n", 65, "is blank"),
        (b"\xef\xbb\xbfx\n", 65, "byte order mark"),
    ],
    ids=["missing", "empty", "empty-first-line", "blank", "bom"],
)
def test_secret_that_msmtp_cannot_send(
    site: Site, server: Smtpd, content: bytes | None, status: int, words: str
) -> None:
    if content is None:
        site.sandbox.path(SECRET).unlink()
    else:
        site.store(content)
    report = site.report()
    assert code(report) == status
    assert words in seen(report, "secret")
    assert statuses(report) == failed_at("secret")
    assert server.sessions == []


@pytest.mark.slow
def test_secret_that_is_a_fifo(site: Site) -> None:
    site.sandbox.shell(f"rm {SECRET}; mkfifo {SECRET}")
    report = site.report()
    assert (code(report), statuses(report)) == (78, failed_at("secret"))
    assert "is a FIFO" in seen(report, "secret")


@pytest.mark.slow
def test_secret_whose_length_msmtp_trips_over(site: Site) -> None:
    """Without a final line feed its reading loop fails on multiples of 501: a probe with a pipe of ours would pass."""
    site.store(b"x" * 501)
    report = site.report()
    assert (code(report), statuses(report)) == (78, failed_at("secret"))
    assert any("cannot read output of" in words for words in report["error"]["words"])


@pytest.mark.slow
def test_first_line_is_what_msmtp_sends(site: Site, server: Smtpd) -> None:
    site.store(PASSWORD + b"\r\nanother line\n")
    report = site.report()
    assert statuses(report) == all_passed()
    assert "msmtp sends the first alone" in seen(report, "secret")
    assert server.login.password == PASSWORD


@pytest.mark.slow
def test_secret_behind_a_link(site: Site) -> None:
    """msmtp follows it; the main job would not write there."""
    site.sandbox.shell(f"mv {SECRET} /etc/elsewhere; ln -s elsewhere {SECRET}")
    assert statuses(site.report()) == all_passed()


@pytest.mark.slow
def test_escape_sequences_in_the_configuration(site: Site, server: Smtpd) -> None:
    """Every text of the JSON is looked at by the site."""
    site.account(server.port, "bogus\x1b[2J on")
    assert code(site.report()) == 78
    site.account(server.port, host="mail\x1b[2J.example.test")
    report = site.report()
    assert code(report) in (68, 75)
    assert "mail?[2J.example.test" in seen(report, "configuration")
    assert site.run().returncode == code(report)


@pytest.mark.slow
def test_shape_of_the_password(site: Site, server: Smtpd) -> None:
    """What looks wrong is told, and tried all the same."""
    site.store(b'"' + PASSWORD + b'"\n')
    report = site.report()
    assert statuses(report)["auth"] == "failed"
    assert any("quot" in warning for warning in report["warnings"])
    assert len(server.logins) == 1


# --- the server


@pytest.mark.slow
def test_name_that_does_not_exist(site: Site, server: Smtpd) -> None:
    site.account(server.port, host="smtp.nowhere.invalid")
    report = site.report()
    assert statuses(report) == failed_at("resolve")
    assert code(report) in (68, 75)  # msmtp's own; the second from 1.8.28 on
    assert "cannot locate host smtp.nowhere.invalid" in report["error"]["words"][0]
    assert report["diagnosis"]["id"] == "dns-unknown"
    assert report["error"]["message"].startswith("smtp.nowhere.invalid:")
    assert ": no address was found; msmtp ended with " in report["error"]["message"]


@pytest.mark.slow
def test_nobody_listens(site: Site) -> None:
    site.account(9)
    report = site.report()
    assert statuses(report) == failed_at("connect", ports="skipped")
    assert code(report) == 75
    assert report["addresses"][0]["fault"] == "refused"
    assert report["error"]["message"] == "127.0.0.1:9: cannot be reached: refused; msmtp ended with 75"
    assert "port 9 cannot be reached: refused" in seen(report, "connect")
    assert report["error"]["words"] == ["cannot connect to 127.0.0.1, port 9: Connection refused"]
    assert report["diagnosis"]["id"].startswith("connection-refused")
    assert "127.0.0.1" in " ".join(report["diagnosis"]["evidence"])


@pytest.mark.slow
def test_server_without_starttls(site: Site) -> None:
    with Smtpd(users={USER: PASSWORD}, tls="none") as plain:
        site.account(plain.port)
        report = site.report()
        assert plain.logins == []
    assert statuses(report) == failed_at("tls")
    assert code(report) == 69
    assert "STARTTLS: not offered" in seen(report, "tls")
    assert "starttls" in report["diagnosis"]["id"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "identity"), [("expired", "tls-expired"), ("wrong", "tls-name"), ("self", "tls-issuer")]
)
def test_certificate_that_msmtp_refuses(site: Site, pki: Pki, name: str, identity: str) -> None:
    with Smtpd(users={USER: PASSWORD}, cert=pki.certificate(name), key=pki.key(name)) as server:
        site.account(server.port)
        report = site.report()
        assert server.logins == []
    assert statuses(report) == failed_at("tls")
    assert code(report) == 69
    assert report["certificate"]["fingerprint"] in seen(report, "tls")
    assert (report["certificate"]["days"] < 0) == (name == "expired")
    assert report["diagnosis"]["id"].startswith(identity)
    assert any(report["certificate"]["subject"] in line for line in report["diagnosis"]["evidence"])


@pytest.mark.slow
def test_greeting_refused_behind_tls(sandbox: Sandbox, pki: Pki) -> None:
    """With implicit TLS the greeting comes behind it: TLS has passed."""
    site = Site(sandbox, pki)
    with Hostile("greeting", "refuse", tls="implicit", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port, tls_starttls="off")
        report = site.report()
    assert statuses(report) == failed_at("capabilities")
    assert code(report) == 76
    assert "554 5.7.1 no service for you" in seen(report, "capabilities")
    assert report["certificate"]["subject"] == "CN=localhost"


@pytest.mark.slow
def test_method_that_is_not_offered(site: Site, server: Smtpd) -> None:
    site.account(server.port, auth="cram-md5")
    report = site.report()
    assert statuses(report) == failed_at("auth")
    assert code(report) == 69
    assert "`auth cram-md5` is not among the methods offered" in seen(report, "capabilities")
    assert server.logins == []


def test_wrong_password(site: Site, server: Smtpd) -> None:
    site.store(b"wrong horse\n")
    report = site.report()
    assert statuses(report) == failed_at("auth")
    assert (code(report), report["verification"]) == (77, "refused")
    assert "535 5.7.8" in seen(report, "auth")
    assert len(server.logins) == 1
    text = site.run()
    assert text.returncode == 77
    assert re.search(r"^  why: \w", text.stderr, re.MULTILINE)
    assert re.search(r"^  who: \w", text.stderr, re.MULTILINE)
    assert "msmtp-config diagnose" not in text.stderr.replace("msmtp-config: ", "")


@pytest.mark.slow
def test_login_refused_for_now(site: Site, pki: Pki) -> None:
    with Hostile("auth", "temporary", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        report = site.report()
    assert statuses(report) == failed_at("auth")
    assert (code(report), report["verification"]) == (75, "unproven")


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "status"), [("refuse", 65), ("temporary", 69)])
def test_sender_refused(site: Site, pki: Pki, fault: str, status: int) -> None:
    with Hostile(
        "mail", "refuse" if fault == "refuse" else "temporary", cert=pki.certificate(), key=pki.key()
    ) as server:
        site.account(server.port)
        report = site.report("--to", "boss@example.test")
        assert "data" not in server.reached
    assert statuses(report) == failed_at("sender")
    assert (code(report), report["verification"]) == (status, "accepted")
    assert report["diagnosis"]["evidence"][0].startswith(f"envelope from address {USER} not accepted")


@pytest.mark.slow
def test_mail_refused(site: Site, pki: Pki) -> None:
    with Hostile("rcpt", "refuse", cert=pki.certificate(), key=pki.key()) as server:
        site.account(server.port)
        report = site.report("--to", "boss@example.test")
    assert statuses(report) == failed_at("mail")
    assert code(report) == 65
    assert "recipient address boss@example.test not accepted by the server" in report["error"]["words"]
    assert "failures: 1 x EX_DATAERR smtpstatus=550" in seen(report, "log")


@pytest.mark.slow
@pytest.mark.parametrize("command", [None, "/usr/bin/printf x"])
def test_a_wrong_file_of_provider_facts_is_only_warned_of(site: Site, server: Smtpd, command: str | None) -> None:
    if command:
        site.account(server.port, passwordeval=command)
    site.sandbox.shell("mkdir -p /etc/msmtp-agent/providers.d")
    site.sandbox.write("/etc/msmtp-agent/providers.d/broken.yaml", "providers: [\n", mode=0o644)
    report = site.report()
    assert (report["error"] is None) == (command is None)
    assert [line for line in report["warnings"] if line.startswith("/etc/msmtp-agent/providers.d/broken.yaml: line ")]
