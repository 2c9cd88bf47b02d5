"""An smtp.config.yaml as a person writes it: what it comes to, and everything that is wrong with it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from msmtp_agent.errors import ExitCode
from msmtp_agent.host import Host
from msmtp_agent.providers import BUILT_IN
from msmtp_agent.providers.fact import IMPLICIT, SENDER
from msmtp_agent.settings import Fault, Settings, SettingsError
from msmtp_agent.settings_file import of, read
from msmtp_agent.settings_words import KEYS

LEAST = """smtp:
  host: smtp.example.com
  from_email: alerts@example.com
  user: alerts
  recipient: admin@example.com
"""
ANSWERS = {
    "host": "smtp.example.com",
    "from_email": "alerts@example.com",
    "user": "alerts",
    "recipient": "admin@example.com",
}


def written(directory: Path, text: str | bytes, mode: int = 0o600) -> str:
    path = directory / "smtp.config.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return str(path)


def made(directory: Path, text: str | bytes, mode: int = 0o600) -> Settings:
    settings = read(Host(), written(directory, text, mode))
    assert settings is not None
    return settings


def refused(directory: Path, text: str | bytes) -> SettingsError:
    with pytest.raises(SettingsError) as raised:
        read(Host(), written(directory, text))
    return raised.value


def refused_answers(**answers: object) -> tuple[Fault, ...]:
    with pytest.raises(SettingsError) as raised:
        of({**ANSWERS, **answers}, BUILT_IN)
    return raised.value.faults


def test_the_least_that_is_needed_and_the_defaults(tmp_path: Path) -> None:
    settings = made(tmp_path, LEAST)
    assert settings == Settings(
        host="smtp.example.com",
        port=587,
        sender="alerts@example.com",
        user="alerts",
        recipients=("admin@example.com",),
    )
    assert (settings.method, settings.implicit_tls, settings.certcheck, settings.log) == ("on", False, True, "file")
    assert settings.trust_file == "/etc/ssl/certs/ca-certificates.crt"


def test_every_key(tmp_path: Path) -> None:
    text = """smtp:
  host: 127.0.0.1
  port: "1025"
  from_email: a@example.com
  user: apikey
  recipient: b@example.com , c@example.org,b@example.com
  password: ' p"w: #1'
  tls_certcheck: off
  tls_on_connect: Yes
  tls_starttls: no
  tls_trust_file: system
  tls_cert_file: /etc/ssl/own.crt
  tls_key_file: ~/own.key
  auth_method: scram-sha-256
  tls_fingerprint: 00:11:22:33:44:55:66:77:88:99:aa:BB:cc:dd:ee:ff
  set_from_header: on
  log: syslog
"""
    settings = made(tmp_path, text)
    assert settings.secret is not None
    assert settings.secret.reveal() == b' p"w: #1'
    assert settings._replace(secret=None, warnings=()) == Settings(
        host="127.0.0.1",
        port=1025,
        sender="a@example.com",
        user="apikey",
        recipients=("b@example.com", "c@example.org"),
        method="scram-sha-256",
        implicit_tls=True,
        certcheck=False,
        trust_file="system",
        cert_file="/etc/ssl/own.crt",
        key_file="~/own.key",
        fingerprint="00:11:22:33:44:55:66:77:88:99:aa:BB:cc:dd:ee:ff",
        set_from_header="on",
        log="syslog",
    )


@pytest.mark.parametrize("text", ["", "# nothing\n", "smtp:\n", "smtp: {}\n", "{}\n", "smtp:\n  port: 25\n", "---\n"])
def test_without_host_and_provider_there_is_nothing_to_do(text: str, tmp_path: Path) -> None:
    assert read(Host(), written(tmp_path, text)) is None


def test_what_is_wrong_is_told_even_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert [fault.key for fault in refused(tmp_path, "smtp:\n  prot: 25\n  log: 5\n").faults] == ["prot", "log"]
    (*_, fault) = refused(tmp_path, "smtp:\n  host:\n").faults
    assert fault == Fault(2, "host", "has no value", "a host name or an IP address")


def test_every_fault_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = """smtp:
  hots: smtp.example.com
  host: smtp.example.com:587
  port: 99999
  from_email: Alerts <a@example.com>
  recipient: root
  tls_certcheck: "false"
  auth_method: PLAIN
  log: journal
other: 1
"""
    error = refused(tmp_path, text)
    path = str(tmp_path / "smtp.config.yaml")
    assert error.code == ExitCode.DATA
    assert (error.message, error.remedy) == (f"{path}: 10 settings are wrong", f"sensible-editor +1 {path}")
    keys = "one of " + ", ".join(KEYS)
    methods = "on, off, plain, login, cram-md5, digest-md5, scram-sha-1, scram-sha-1-plus, scram-sha-256, "
    assert error.details == (
        "line 1: user: is missing; expected the user name of the account",
        f"line 2: hots: is not known (did you mean host?); expected {keys}",
        "line 3: host: is 'smtp.example.com:587'; expected a host name or an IP address",
        "line 4: port: is 99999; expected 1 to 65535",
        "line 5: from_email: is 'Alerts <a@example.com>'; expected one address, such as alerts@example.com",
        "line 6: recipient: is 'root'; "
        "expected an address such as admin@example.com, or at most 32 with commas between them",
        "line 7: tls_certcheck: is text; expected true or false, without quotes",
        f"line 8: auth_method: is 'PLAIN'; expected {methods}scram-sha-256-plus, external, gssapi, ntlm, "
        "oauthbearer or xoauth2",
        "line 9: log: is 'journal'; expected file or syslog",
        "line 10: other: is not known; expected the one key smtp",
    )


def test_one_fault_is_one_line_with_file_line_and_key(tmp_path: Path) -> None:
    error = refused(tmp_path, LEAST + "  port: 0\n")
    path = str(tmp_path / "smtp.config.yaml")
    assert error.message == f"{path}: line 6: port: is 0; expected 1 to 65535"
    assert (error.details, error.remedy) == ((), f"sensible-editor +6 {path}")


@pytest.mark.slow
def test_at_most_twenty_faults_are_told(tmp_path: Path) -> None:
    error = refused(tmp_path, LEAST + "".join(f"  key{number}: 1\n" for number in range(5000)))
    assert (len(error.faults), len(error.details)) == (5000, 21)
    assert error.details[-1] == "and 4980 more"
    assert error.details[0] == f"line 6: key0: is not known; expected one of {', '.join(KEYS)}"
    assert error.details[19] == "line 25: key19: is not known; expected one of the keys named for line 6"


# Key, value as YAML, what is seen; what is allowed in full or from its beginning.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value", "observed", "expected"),
    [
        ("host", "~", "has no value", "a host name"),
        ("host", "''", "is empty", "a host name"),
        ("host", "' '", "is blank", "a host name"),
        ("host", "5", "is a number", "a host name or an IP address, written in quotes"),
        ("host", "[smtp.example.com]", "is a list", "a host name or an IP address"),
        ("host", "{a: b}", "is a mapping", "a host name"),
        ("host", "' smtp.example.com'", "begins or ends with a blank", "a host name"),
        ("host", "smtp example", "is 'smtp example'", "a host name"),
        ("host", "-smtp.example.com", "is '-smtp.example.com'", "a host name"),
        ("host", "smtp..example", "is 'smtp..example'", "a host name"),
        ("host", "'[::1]'", "is '[::1]'", "a host name"),
        ("host", f"{'a' * 64}.com", f"is '{'a' * 60}...'", "a host name"),
        ("host", "bücher.example", "is 'bücher.example', not ASCII", "xn--bcher-kva.example"),
        ("host", "faß.example", "is 'faß.example', not ASCII", "a host name or an IP address, in ASCII (xn--...)"),
        ("host", '"a\\nb"', "has a line break", "a host name or an IP address, on one line"),
        ("host", '"a\\tb"', "has a character that cannot be seen", "a host name"),
        ("port", "~", "has no value", "1 to 65535"),
        ("port", "0", "is 0", "1 to 65535"),
        ("port", "-1", "is -1", "1 to 65535"),
        ("port", "587.5", "is 587.5", "1 to 65535"),
        ("port", "'0587'", "is '0587'", "1 to 65535"),
        ("port", "'65536'", "is '65536'", "1 to 65535"),
        ("port", "smtp", "is 'smtp'", "1 to 65535"),
        ("port", "yes", "is true or false", "1 to 65535"),
        ("port", '"587\\n"', "has a line break", "1 to 65535"),
        ("from_email", "alerts", "is 'alerts'", "one address, such as"),
        ("from_email", "a@b.example, c@d.example", "is 'a@b.example, c@d.example'", "one address"),
        ("from_email", "jürgen@example.com", "is 'jürgen@example.com', not ASCII", "one address, such as"),
        ("from_email", "a@bücher.example", "is 'a@bücher.example', not ASCII", "a@xn--bcher-kva.example"),
        ("from_email", '"a@example.com\\nBcc: x@example.com"', "has a line break", "one address"),
        ("user", "123456", "is a number", "the user name of the account, written in quotes"),
        ("user", "1.5", "is a number", "the user name of the account, written in quotes"),
        ("user", "on", "is true or false", "the user name of the account, written in quotes"),
        ("user", "'\"quoted\"'", "has double quotes of its own", "the user name of the account, without them"),
        ("user", '"a\\nb"', "has a line break", "the user name"),
        ("recipient", "root", "is 'root'", "an address such as"),
        ("recipient", "a@b.example; c@d.example", "is 'a@b.example; c@d.example'", "an address such as"),
        ("recipient", "a@b.example,", "is 'a@b.example,'", "an address such as"),
        ("recipient", "a#1@b.example", "is 'a#1@b.example'", "an address such as"),
        ("recipient", "'|x@b.example'", "is '|x@b.example'", "an address such as"),
        ("recipient", "[a@b.example]", "is a list", "an address such as"),
        ("recipient", ", ".join(["a@b.example"] * 33), f"is '{', '.join(['a@b.example'] * 5)[:60]}...'", "an address"),
        ("recipient", ",".join(f"{'a' * 50}{n}@b.example" for n in range(9)), "is too long", "addresses that fit"),
        ("passwordeval", "~", "has no value", "a shell command"),
        ("passwordeval", "'\"  \"'", "is blank", "a shell command"),
        ("passwordeval", '"a\\nb"', "has a line break", "a shell command that prints the password, on one line"),
        ("tls_certcheck", "1", "is a number", "true or false"),
        ("tls_starttls", "'no'", "is text", "true or false, without quotes"),
        ("tls_on_connect", "~", "has no value", "true or false"),
        ("tls_trust_file", "ca.crt", "is 'ca.crt'", "a path that begins with /, or system"),
        ("tls_trust_file", "off", "is true or false", "a path that begins with /, or system, written in quotes"),
        ("auth_method", "LOGIN", "is 'LOGIN'", "on, off, plain"),
        ("auth_method", "1", "is a number", "on, off, plain"),
        ("tls_fingerprint", "00:11", "is '00:11'", "a SHA-256, SHA-1 or MD5 fingerprint"),
        ("set_from_header", "always", "is 'always'", "on, off or auto"),
        ("log", "none", "is 'none'", "file or syslog"),
        ("provider", "gmial", "'gmial' is not known (did you mean gmail?)", "one of gmail, microsoft365,"),
        ("provider", "gmail", "is 'smtp.example.com', no server of Gmail and Google Workspace", "smtp.gmail.com or"),
        ("tls_cert_file", "/own.crt", "is missing", "it beside tls_cert_file"),
        ("tls_key_file", "/own.key", "is missing", "it beside tls_key_file"),
    ],
)  # fmt: skip
def test_what_is_refused(key: str, value: str, observed: str, expected: str, tmp_path: Path) -> None:
    kept = [line for line in LEAST.splitlines(keepends=True) if not line.startswith(f"  {key}:")]
    faults = refused(tmp_path, "".join(kept) + f"  {key}: {value}\n").faults
    assert [(fault.line, fault.observed) for fault in faults] == [
        (2 if observed.endswith("Google Workspace") else len(kept) + 1, observed)
    ]
    assert faults[0].expected.startswith(expected)


@pytest.mark.parametrize(
    ("line", "observed", "expected"),
    [
        ("passwort: x", "is not known (did you mean password?)", "one of host,"),
        ("From: x@y.z", "is not known (did you mean from_email?)", "one of host,"),
        ("smtp_server: x", "is not known (did you mean host?)", "one of host,"),
        ("tls-certcheck: no", "is not known (did you mean tls_certcheck?)", "one of host,"),
        ("auth: plain", "is not known (did you mean auth_method?)", "one of host,"),
        ("timeout: 60", "is not known", "one of host,"),
    ],
)
def test_did_you_mean(line: str, observed: str, expected: str, tmp_path: Path) -> None:
    (fault,) = refused(tmp_path, f"{LEAST}  {line}\n").faults
    assert (fault.line, fault.key, fault.observed) == (6, line.partition(":")[0], observed)
    assert fault.expected.startswith(expected)


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("- smtp\n", [Fault(1, "", "is a list", "a mapping with the one key smtp")]),
        ("text\n", [Fault(1, "", "is text", "a mapping with the one key smtp")]),
        ("smtp: [a]\n", [Fault(1, "smtp", "is a list", "the settings, indented below it")]),
        ("\nsmtp: 1\n", [Fault(2, "smtp", "is a number", "the settings, indented below it")]),
        ("SMTP:\n  host: x\n", [Fault(1, "SMTP", "is not known (did you mean smtp?)", "the one key smtp")]),
        ("smtp:\nhost: x\n", [Fault(2, "host", "stands beside smtp", "it indented below smtp")]),
        ("a: 'x\n", [Fault(1, "", "is no YAML: found unexpected end of stream", "YAML")]),
        ("smtp:\n\thost: x\n", [Fault(2, "", "is no YAML: found character '\\t' that cannot start any token", "YAML")]),
        ("smtp: {}\nsmtp: {}\n", [Fault(2, "", "has a second 'smtp'", "one, the other is on line 1")]),
    ],
)  # fmt: skip
def test_a_document_of_another_shape(text: str, faults: list[Fault], tmp_path: Path) -> None:
    assert list(refused(tmp_path, text).faults) == faults


@pytest.mark.parametrize("key", ["from_email", "user", "recipient"])
def test_what_is_missing(key: str, tmp_path: Path) -> None:
    text = "".join(line for line in LEAST.splitlines(keepends=True) if f" {key}:" not in line)
    (fault,) = refused(tmp_path, "# first\n" + text).faults
    assert (fault.line, fault.key, fault.observed) == (2, key, "is missing")


@pytest.mark.parametrize("method", ["off", "'off'", "external", "gssapi"])
def test_no_user_is_needed_where_nobody_logs_in_by_name(method: str, tmp_path: Path) -> None:
    text = LEAST.replace("  user: alerts\n", f"  auth_method: {method}\n")
    assert made(tmp_path, text).user == ""
    assert made(tmp_path, text).method == method.strip("'")


@pytest.mark.parametrize("provider", BUILT_IN, ids=lambda provider: provider.id)
def test_a_provider_gives_host_port_tls_and_user(provider: object, tmp_path: Path) -> None:
    entry = next(one for one in BUILT_IN if one is provider)
    text = f"smtp:\n  provider: {entry.id}\n  from_email: a@example.com\n  recipient: b@example.com\n"
    if entry.id == "ses":
        assert refused(tmp_path, text).faults[0][:3] == (1, "host", "is missing, and Amazon SES has more than one")
        text += "  host: email-smtp.eu-west-1.amazonaws.com\n"
    if not entry.login:
        assert refused(tmp_path, text).faults == (Fault(1, "user", "is missing", entry.user.text),)
        text += "  user: me\n"
    settings = made(tmp_path, text)
    assert entry.serves(settings.host)
    assert (settings.port, settings.implicit_tls) == (entry.ports[0].number, entry.ports[0].tls == IMPLICIT)
    assert settings.user == {SENDER: "a@example.com", "": "me"}.get(entry.login, entry.login)
    assert settings.provider == entry.id


@pytest.mark.parametrize(
    ("lines", "port", "implicit"),
    [
        ("provider: fastmail", 465, True),
        ("provider: Fastmail\n  tls_starttls: true", 587, False),
        ("provider: gmail\n  tls_on_connect: true", 465, True),
        ("provider: smtp.gmail.com\n  port: 465", 465, True),
        ("provider: ses\n  host: email-smtp.us-east-1.amazonaws.com\n  port: 2465", 2465, True),
        ("provider: proton-bridge\n  port: 2025", 2025, False),
        ("provider: gmail\n  host: SMTP-relay.gmail.com.", 587, False),
        ("host: h\n  port: 465", 465, True),
        ("host: h\n  port: '465'\n  tls_starttls: true", 465, False),
        ("host: h\n  port: 465\n  tls_on_connect: false", 465, False),
        ("host: h\n  tls_starttls: false", 587, True),
        ("host: h\n  tls_on_connect: false", 587, False),
        ("host: h\n  tls_on_connect: true\n  tls_starttls: true", 587, True),
        ("host: h\n  tls_on_connect: false\n  tls_starttls: false", 587, True),
        ("host: h\n  port: 2525.0", 2525, False),
    ],
)
def test_port_and_the_way_of_tls(lines: str, port: int, implicit: bool, tmp_path: Path) -> None:
    settings = made(tmp_path, f"smtp:\n  {lines}\n  user: u\n  from_email: a@b.example\n  recipient: a@b.example\n")
    assert (settings.port, settings.implicit_tls) == (port, implicit)


def test_a_sender_with_a_pattern_of_msmtps_is_no_user_name(tmp_path: Path) -> None:
    text = 'smtp:\n  provider: gmail\n  from_email: "%U@%H.example.com"\n  recipient: b@example.com\n'
    assert [fault.key for fault in refused(tmp_path, text).faults] == ["user"]
    assert made(tmp_path, text + "  user: me\n").sender == "%U@%H.example.com"


@pytest.mark.parametrize(
    ("given", "command"),
    [
        ("cat /run/x", "cat /run/x"),
        ("'\"cat /run/x\"'", "cat /run/x"),
        ("' cat \"/run/my x\"'", 'cat "/run/my x"'),
        ('\'"a" "b"\'', 'a" "b'),  # as msmtp would have it
    ],
)
def test_the_double_quotes_around_a_command_are_msmtps(given: str, command: str, tmp_path: Path) -> None:
    assert made(tmp_path, f"{LEAST}  passwordeval: {given}\n").passwordeval == command


@pytest.mark.parametrize(
    ("key", "fits", "too_long"),
    [
        ("user", "u" * 483, "u" * 484),
        ("user", "\u00fc" * 247, "\u00fc" * 248),  # the line has 499 bytes, and 501
        ("passwordeval", "x" * 483, "x" * 484),
        ("passwordeval", "x" * 482 + '"', "x" * 483 + '"'),
        ("passwordeval", "\u00fc" * 242, "\u00fc" * 243),
        ("tls_trust_file", "/" + "x" * 482, "/" + "x" * 483),
    ],
)
def test_the_longest_value_that_fits_a_line(key: str, fits: str, too_long: str, tmp_path: Path) -> None:
    text = LEAST.replace("  user: alerts\n", "") if key == "user" else LEAST
    assert fits in made(tmp_path, f"{text}  {key}: '{fits}'\n")
    (fault,) = refused(tmp_path, f"{text}  {key}: '{too_long}'\n").faults
    assert (fault.key, fault.observed) == (key, "is too long")


def test_answers_are_checked_like_a_file_and_have_no_lines() -> None:
    assert of({**ANSWERS, "port": "2525"}, BUILT_IN).port == 2525
    assert (
        of({"provider": "Gmail", "from_email": "a@b.example", "recipient": "c@d.example"}, BUILT_IN).user
        == "a@b.example"
    )
    assert refused_answers(port="x") == (Fault(0, "port", "is 'x'", "1 to 65535"),)
    assert [fault.key for fault in refused_answers(host="a b", recipient="root", provider="")] == [
        "host", "recipient", "provider",
    ]  # fmt: skip
    assert [fault.observed for fault in refused_answers(user=None, from_email=b"x", log=["file"])] == [
        "has no value"
    ] * 3
    with pytest.raises(SettingsError) as raised:
        of({"user": "u"}, BUILT_IN)
    assert raised.value.message == "settings: host: is missing; expected a host, or a provider"


def test_an_answer_that_no_terminal_should_give() -> None:
    for text in ("a\x1b[31m", "a\u202eb", "a\u2028b", "a\x00b", "a\udcffb", "a\u00a0b", "\u200b"):
        for key in ("host", "user", "recipient", "from_email", "provider", "tls_trust_file", "passwordeval"):
            faults = refused_answers(**{key: text})
            assert [fault.key for fault in faults] == [key], (key, text)
            assert "\x1b" not in str([fault.words for fault in faults])
