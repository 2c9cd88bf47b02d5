"""Which passwords are taken, that they arrive byte for byte, and that nothing on the way shows them."""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import io
import json
import logging
import pickle
import select
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from msmtp_agent.errors import DataError
from msmtp_agent.saslprep import saslprep
from msmtp_agent.secret import Secret, longest, parse, survives
from tests.support.account import SECRET, account
from tests.support.account import USER as ME
from tests.support.peer import Peer
from tests.support.pki import Pki
from tests.support.sandbox import PYTHON, Sandbox
from tests.support.smtpd import Smtpd

DEADLINE = 20.0
# One process and one server for all examples of a test; the same examples in every run.
PROPERTY = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Runs inside a sandbox and does there what the command does, without starting Python for every password.
DRIVER = """
import base64, json, os, sys
from msmtp_agent import configure, configuration, secret, sources
from msmtp_agent.host import Host
from msmtp_agent.journal import Journal, exit_code
from msmtp_agent.model import Wishes
from msmtp_agent.msmtp import Msmtp

class Nobody:
    def stage(self, result): pass
    def warning(self, text): pass

def job(raw):
    descriptor = os.memfd_create("standard input")
    os.write(descriptor, raw)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    report = configure.run(Host(), Wishes(mail=False), sources.StandardInput(), Nobody())
    said = report.problem.message if report.problem else ""
    return {"code": exit_code(report), "said": said, "changed": report.changed, "verdict": report.verification.value}

def probe(raw):
    host = Host()
    account = configuration.safe_account(host, Journal(Nobody()), lambda _: False)
    outcome = Msmtp(host, 10).probe(secret.Secret(raw), account)
    return {"code": outcome.status, "said": " ".join(outcome.words), "verdict": outcome.verification.value}

questions = os.fdopen(os.dup(0), "rb")
for line in questions:
    work, raw = json.loads(line)
    print(json.dumps({"job": job, "probe": probe}[work](base64.b64decode(raw))), flush=True)
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    code: int | None
    said: str
    verdict: str
    changed: bool = False


class Program:
    """The program in a sandbox, ready to take one password after the other."""

    def __init__(self, sandbox: Sandbox, pki: Pki) -> None:
        self.sandbox = sandbox
        self._trust = pki.ca_file
        sandbox.write("/etc/aliases", "root: admin@example.test\n", mode=0o644)
        self._process = sandbox.popen([PYTHON, "-c", DRIVER], stderr=subprocess.STDOUT)

    def account(self, port: int, method: str, user: str = ME) -> None:
        self.sandbox.write("/etc/msmtprc", account(port, self._trust, user=user, auth=method))

    def job(self, raw: bytes) -> Answer:
        """The main job with `--password-stdin --no-mail`."""
        return self._ask("job", raw)

    def probe(self, value: bytes) -> Answer:
        """What msmtp itself makes of a password: nothing of ours looks at it before."""
        return self._ask("probe", value)

    def stored(self) -> bytes | None:
        return self.sandbox.read(SECRET) if self.sandbox.exists(SECRET) else None

    def _ask(self, work: str, raw: bytes) -> Answer:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([work, base64.b64encode(raw).decode()]).encode() + b"\n")
        self._process.stdin.flush()
        assert select.select([self._process.stdout], [], [], DEADLINE)[0], "no answer by the deadline"
        line = self._process.stdout.readline()
        try:
            return Answer(**json.loads(line))
        except ValueError:
            pytest.fail(f"no answer but {line!r} {self._process.communicate(timeout=DEADLINE)[0]!r}")


class Desk(Program):
    """The program and a server that writes down what reaches it."""

    def __init__(self, sandbox: Sandbox, pki: Pki, method: str, stack: ExitStack) -> None:
        super().__init__(sandbox, pki)
        self.server = stack.enter_context(
            Smtpd({}, cert=pki.certificate(), key=pki.key(), mechanisms=(method.upper(),))
        )
        # CRAM-MD5 needs a known password; for the others only the record counts.
        self.server.accept_any = method != "cram-md5"
        self.account(self.server.port, method)

    def forget(self) -> None:
        self.server.forget()
        self.sandbox.path(SECRET).unlink(missing_ok=True)


METHODS = ("plain", "login", "cram-md5")


@pytest.fixture
def desk(request: pytest.FixtureRequest, sandbox: Sandbox, pki: Pki) -> Iterator[Desk]:
    """An account with the `auth` method that the test is parametrized with; plain without."""
    with ExitStack() as stack:
        yield Desk(sandbox, pki, getattr(request, "param", "plain"), stack)


@pytest.fixture
def at_peer(tmp_path: Path, peer: Peer, pki: Pki) -> Iterator[Program]:
    """The program where Postfix and Dovecot are."""
    with Sandbox(tmp_path, network=peer.netns) as sandbox:
        yield Program(sandbox, pki)


every_method = pytest.mark.parametrize("desk", METHODS, indirect=True)

# Text that a shell, a format string, base64 or msmtp's own parser could take for something else.
PIECES = [
    " ",
    "  ",
    "\t",
    '"',
    "'",
    "\\",
    "\\\\",
    "%",
    "%s",
    "%n",
    "$",
    "$HOME",
    "`id`",
    "-n",
    "-e",
    "#",
    "!",
    "&",
    "|",
]
PIECES += [";", "<", ">", "*", "?", "~", "=", ":", "\x1b[31m", "\x7f", "\x01", "\u00a0", "\u200b", "\u202e", "\ufeff"]
PIECES += [
    "ß",
    "é",
    "e\u0301",
    "漢字",
    "😀",
    "👩‍💻",
    "\U0010ffff",
    "/etc/passwd",
    "passwordeval",
    "\x0b",
    "\x0c",
    "\x85",
]
letters = st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")
common = st.text(st.sampled_from("aZ09 \"'\\%$`-#~=éßñ漢"), max_size=30)
texts = st.lists(st.one_of(st.sampled_from(PIECES), common, st.text(letters, max_size=20)), min_size=1, max_size=6).map(
    "".join
)
# Around the length of msmtp's reading loop (501), and far above it.
sized = st.builds(
    lambda piece, size: (piece * size).encode()[:size].decode("utf-8", "ignore"),
    st.sampled_from(["x", "é", "漢", "😀", "a b"]),
    st.one_of(*(st.integers(number - 3, number + 3) for number in (501, 1002, 1503, 3006))),
)
endings = st.sampled_from([b"", b"\n", b"\r\n"])


def is_fair(text: str) -> bool:
    """Whether our rules have nothing against it, in other words than the program's."""
    return text.strip("\t\n\x0b\x0c\r ") != "" and not text.startswith(("\ufeff", "Whxqht+dQJax1aZeCGLxmi"))


# --- byte for byte


@pytest.mark.slow
@every_method
@given(text=st.one_of(common, texts, sized), ending=endings)
@PROPERTY
def test_what_is_accepted_arrives_byte_for_byte(desk: Desk, text: str, ending: bytes) -> None:
    desk.forget()
    value = text.encode()
    desk.server.users[ME] = value
    answer = desk.job(value + ending)
    if answer.code == 65:
        # Nothing was tried and nothing written; and it is refused for a reason.
        method = "plain" if desk.server.accept_any else "cram-md5"
        assert not is_fair(text) or not survives(method, Secret(value))
        assert (desk.server.sessions, desk.stored()) == ([], None)
        return
    assert (answer.code, answer.verdict, answer.changed) == (0, "accepted", True)
    assert [login.password for login in desk.server.logins] == [value]
    assert desk.server.login.accepted
    assert desk.stored() == value + b"\n"


@pytest.mark.parametrize("method", METHODS)
@given(text=st.one_of(common, texts, sized))
@PROPERTY
def test_dovecot_gets_it_byte_for_byte(at_peer: Program, peer: Peer, method: str, text: str) -> None:
    """Every password is the one of a user of its own: a byte more or less, and the server would refuse it."""
    assume(not set(text) & set("\x01\t"))  # Dovecot has no password with these, whoever sends it
    value = text.encode()
    user = f"{hashlib.sha256(value).hexdigest()[:12]}@example.test"
    peer.set_users({user: value, "other@example.test": value + b" "})
    at_peer.sandbox.path(SECRET).unlink(missing_ok=True)
    at_peer.account(peer.ports["starttls"], method, user)
    answer = at_peer.job(value)
    if answer.code == 65:
        assert not is_fair(text) or not survives(method, Secret(value))
        return
    assert (answer.code, answer.verdict) == (0, "accepted"), peer.log()
    assert at_peer.stored() == value + b"\n"


@pytest.mark.slow
@given(raw=st.binary(max_size=40))
@example(b"\xef\xbb\xbfpassword")
@example(b"\xff\xfep\0w\0")
@example(b"\xff")
@example(b"\xed\xa0\x80")
@PROPERTY
def test_any_bytes_at_all_arrive_or_are_refused(desk: Desk, raw: bytes) -> None:
    desk.forget()
    answer = desk.job(raw)
    if answer.code == 65:
        assert answer.said.startswith("standard input: ")
        assert (desk.server.sessions, desk.stored()) == ([], None)
    else:
        value = raw.removesuffix(b"\n").removesuffix(b"\r") if raw.endswith(b"\n") else raw
        assert answer.code == 0
        assert desk.server.login.password == value
        assert desk.stored() == value + b"\n"


@pytest.mark.parametrize(
    ("desk", "limit"), [("plain", 3058 - len(ME)), ("login", 3069), ("cram-md5", 4096)], indirect=["desk"]
)
@pytest.mark.parametrize("filling", ["x", "é"])
def test_limit_is_exact(desk: Desk, limit: int, filling: str) -> None:
    value = (filling * (limit // len(filling.encode()))).encode().ljust(limit, b"y")
    desk.server.users[ME] = value
    # 4096 bytes are all that is ever read: there the line end is one too many.
    for ending in (b"", b"\n") if limit < 4096 else (b"",):
        desk.forget()
        assert desk.job(value + ending).code == 0
        assert desk.server.login.password == value
        assert desk.stored() == value + b"\n"
    desk.forget()
    answer = desk.job(value + b"z")
    assert answer.code == 65
    assert "is longer than msmtp can send" in answer.said or "holds more than 4096 bytes" in answer.said
    assert (desk.server.sessions, desk.stored()) == ([], None)


@pytest.mark.parametrize(("desk", "limit"), [("plain", 3058 - len(ME)), ("login", 3069)], indirect=["desk"])
def test_limit_is_msmtps_own(desk: Desk, limit: int) -> None:
    """Not lower than it need be: msmtp takes this one, and not the next."""
    assert desk.probe(b"x" * limit).verdict == "accepted"
    beyond = desk.probe(b"x" * (limit + 1))
    assert (beyond.code, beyond.verdict) == (65, "unproven")
    assert "longer than 4094 characters" in beyond.said


AWKWARD = [
    "plain-old_password.1",
    " leading blank",
    "trailing blank ",
    "  two  inside  ",
    "tab\tinside",
    "back\\slash",
    "two\\\\slashes",
    "\\n is no line feed",
    'double"quote',
    '"in double quotes"',
    "single'quote",
    "$HOME and ${PATH}",
    "`id` and $(id)",
    "100%s %n %d",
    "-n",
    "--password-stdin",
    "#comment",
    "semi;colon & ampersand | pipe > file",
    "pässwörd ß 漢字",
    "emoji 😀 👩‍💻",
]


@pytest.mark.slow
@pytest.mark.parametrize("password", AWKWARD)
def test_awkward_password_from_the_command_to_the_mail(desk: Desk, password: str) -> None:
    """Through the probe, the file, and msmtp's own reading of the file."""
    value = password.encode()
    done = desk.sandbox.agent("--password-stdin", stdin=value)
    assert done.returncode == 0, done.stderr
    assert desk.stored() == value + b"\n"
    assert [login.password for login in desk.server.logins] == [value, value]
    assert len(desk.server.messages) == 1
    # As the system's own mail leaves: nothing of ours takes part.
    desk.sandbox.run(["/usr/bin/msmtp", "root"], stdin=b"Subject: x\n\nx\n", check=True)
    assert desk.server.login.password == value


# --- what is refused


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"pw", b"pw"),
        (b"pw\n", b"pw"),
        (b"pw\r\n", b"pw"),
        (b" pw \t\n", b" pw \t"),
        (b"pw \r\n", b"pw "),
        ("p\u2028w\u0085\n".encode(), "p\u2028w\u0085".encode()),
        (b"p\xef\xbb\xbfw", b"p\xef\xbb\xbfw"),
        (b"p\x0bw\x0c", b"p\x0bw\x0c"),
    ],
)
def test_one_line_end_is_dropped_and_no_more(raw: bytes, value: bytes) -> None:
    assert parse(raw, "password").reveal() == value


REFUSED = [
    (b"", "is empty"),
    (b"\n", "is empty"),
    (b"\r\n", "is empty"),
    (b" ", "is blank"),
    (b"\t \x0b\x0c \n", "is blank"),
    (b"\n\n", "is blank"),
    (b"pw\n\n", "contains a line break"),
    (b"pw\r\r\n", "contains a line break"),
    (b"pw\r", "contains a line break"),
    (b"\npw", "contains a line break"),
    (b"p\rw\n", "contains a line break"),
    (b"p\0w\n", "contains a NUL byte"),
    (b"pw\0", "contains a NUL byte"),
    (b"\0", "contains a NUL byte"),
    (b"\xef\xbb\xbfpw", "begins with a byte order mark"),
    ("pw".encode("utf-16"), "begins with a byte order mark"),
    ("pw".encode("utf-16-be"), "contains a NUL byte"),
    (b"caf\xe9", "is not valid UTF-8"),
    (b"\xed\xa0\x80", "is not valid UTF-8"),
    (b"\xc0\x80", "is not valid UTF-8"),
    (b"Whxqht+dQJax1aZeCGLxmiAAAAABAAAADAAAABAAAAC", "is a credential that systemd has encrypted"),
    (b"Whxqht+dQJax1aZeCGLxmiAAAAABAAAADAAAABAAAAC\nAAAAtKqFl1yC\n", "is a credential that systemd has encrypted"),
]


@pytest.mark.parametrize(("raw", "reason"), REFUSED)
def test_refused_by_the_rules(raw: bytes, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(raw, "password")
    assert caught.value.message.startswith(f"password: {reason}")
    assert "; expected " in caught.value.message
    assert caught.value.remedy


def test_refused_by_the_command(desk: Desk) -> None:
    """Nothing is sent, nothing is written, and the old password stays."""
    desk.sandbox.write(SECRET, "the old one\n")
    rest = [(b"x" * 4097, "holds more than 4096 bytes"), (b"x" * 1_000_000, "holds more than 4096 bytes")]
    for raw, reason in [*REFUSED, *rest, (b"x" * 4096, "is longer than msmtp can send")]:
        answer = desk.job(raw)
        assert (answer.code, answer.verdict, answer.changed) == (65, "skipped", False)
        assert reason in answer.said
    assert desk.server.sessions == []
    assert desk.stored() == b"the old one\n"


# --- SASLprep: what msmtp's library makes of a password for CRAM-MD5

PREPARED = [
    "plain ASCII ~!@#",
    " both ends ",
    "é",
    "e\u0301",
    "ﬁ",
    "Ⅸ",
    "ª",
    "x\u00a0y",
    "x\u3000y",
    "x\u00ady",
    "x\u200by",
    "x\ufeffy",
    "x\u200dy",
    "שלום",
    "\u05d0abc",  # right to left and left to right
    "\u0661abc",
    "\u05d01",
    "\u05d01\u05d0",
    "😀",
    "x\ty",
    "x\x1by",
    "x\x7fy",
    "x\u0085y",
    "x\ue000y",
    "x\ufffdy",
    "x\u2028y",
    "x\u202ey",
    "\u0221",
    "漢字",
    "ǅ",
    "K",
]


@pytest.mark.slow
@pytest.mark.parametrize("desk", ["cram-md5"], indirect=True)
def test_saslprep_is_what_msmtp_does(desk: Desk) -> None:
    for text in PREPARED:
        prepared = saslprep(text)
        desk.server.users[ME] = b"" if prepared is None else prepared.encode()
        answer = desk.probe(text.encode())
        if prepared is None:
            assert answer.code == 70, ascii(text)
            assert "Could not prepare internationalized" in answer.said
        else:
            assert answer.verdict == "accepted", ascii(text)


@pytest.mark.slow
@given(text=st.text(letters, min_size=1, max_size=6))
@PROPERTY
@pytest.mark.parametrize("desk", ["cram-md5"], indirect=True)
def test_saslprep_is_what_msmtp_does_with_any_text(desk: Desk, text: str) -> None:
    prepared = saslprep(text)
    desk.server.users[ME] = b"" if prepared is None else prepared.encode()
    answer = desk.probe(text.encode())
    assert (answer.code == 70) == (prepared is None)
    assert (answer.verdict == "accepted") == bool(prepared)


@pytest.mark.parametrize(
    ("method", "text", "fine"),
    [
        ("plain", "😀", True),
        ("login", "e\u0301", True),
        ("on", "😀", True),
        ("cram-md5", "é", True),
        ("cram-md5", "e\u0301", False),
        ("cram-md5", "😀", False),
        ("cram-md5", "x\u00a0y", False),
        # A SCRAM server prepares the password as the client does.
        ("scram-sha-256", "e\u0301", True),
        ("scram-sha-256", "😀", False),
        ("scram-sha-1", "tab\t", False),
    ],
)
def test_what_survives_a_method(method: str, text: str, fine: bool) -> None:
    assert survives(method, Secret(text.encode())) == fine


def test_longest_counts_bytes_of_the_user_name() -> None:
    assert longest("plain", "é" * 10, "host", 25) == 3058 - 20
    assert longest("on", "u", "host", 25) == longest("plain", "u", "host", 25) == 3057
    assert longest("login", "é" * 10, "host", 25) == 3069
    assert longest("oauthbearer", "u", "host", 2525) == 3025 - 1 - 4 - 4


# --- nothing shows it

CANARY = b"k4nari-Vogel\\'\"\xc3\xa9"
SHOWN = ["k4nari", base64.b64encode(CANARY).decode()[:10], CANARY.hex()[:10]]


@dataclasses.dataclass
class Holder:
    secret: Secret


def test_no_way_of_printing_shows_a_secret() -> None:
    secret = Secret(CANARY)
    stream = io.StringIO()
    logger = logging.Logger("canary")
    logger.addHandler(logging.StreamHandler(stream))
    logger.error("%s %r", secret, secret)
    logger.error("%(secret)s", {"secret": secret})
    try:
        raise ValueError(secret)
    except ValueError as error:
        # As far as a traceback can go: the values of all local variables.
        stream.writelines(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    holder = Holder(secret)
    shown = [stream.getvalue(), repr(secret), str(secret), f"{secret}", f"{secret!r:>30}", f"{secret!a}"]
    shown += [repr(holder), str([secret]), str({"a": secret}), str(vars(holder)), str(dir(secret)), format(secret)]
    for text in shown:
        assert not [word for word in SHOWN if word in text], text


def test_a_secret_is_not_serialised() -> None:
    secret = Secret(CANARY)
    for way in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps, bytes, dataclasses.asdict):
        with pytest.raises(TypeError) as caught:
            cast(Any, way)(Holder(secret) if way is dataclasses.asdict else secret)
        assert "k4nari" not in str(caught.value)
    assert not hasattr(secret, "__dict__")
    assert not issubclass(Secret, str | bytes)
    with pytest.raises(TypeError):
        format(secret, "s")


@given(value=st.text(letters, min_size=6, max_size=30), before=st.text(max_size=10), after=st.text(max_size=10))
@settings(derandomize=True, database=None, deadline=None)
def test_redacted_text_does_not_hold_it(value: str, before: str, after: str) -> None:
    secret = Secret(value.encode())
    plain = base64.b64encode(b"\0" + ME.encode() + b"\0" + value.encode()).decode()
    alone = base64.b64encode(value.encode()).decode()
    shown = secret.redact(f"{before}{value}{after} {plain} {alone} {value}", ME)
    for trace in (value, plain.rstrip("="), alone.rstrip("=")):
        assert trace not in shown


@given(value=st.text(letters, min_size=6, max_size=30), before=st.binary(max_size=9), after=st.binary(max_size=9))
@example(value="correct horse", before=b"user=me\x01auth=Bearer ", after=b"\x01\x01")  # XOAUTH2
@example(value="correct horse", before=b"other\0me\0", after=b"")  # PLAIN for another identity
@settings(derandomize=True, database=None, deadline=None)
def test_redacted_base64_does_not_hold_it_whatever_it_is_wrapped_in(value: str, before: bytes, after: bytes) -> None:
    line = base64.b64encode(before + value.encode() + after).decode()
    assert Secret(value.encode()).redact(f"535 {line} is wrong") == "535 *** is wrong"


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        ("no\u00a0break", "535 no?break", "535 ***"),
        ("secret99", "535 secret99 is wrong, SECRET99 too", "535 *** is wrong, SECRET99 too"),
        ("abc", "535 abc: no abcd, no xabc, (abc) abc", "535 ***: no abcd, no xabc, (***) ***"),
        ("e", "535 the letter e stays in every other word", "535 the letter *** stays in every other word"),
        ("tab\tin it", "535 you said tab?in it", "535 you said ***"),
        ("päss", "535 päss, pässe", "535 ***, pässe"),
        ("secret99", "535 nothing", "535 nothing"),
    ],
)
def test_redaction_is_of_words(value: str, text: str, shown: str) -> None:
    assert Secret(value.encode()).redact(text) == shown
