"""Servers that refuse, fall silent, hang up or talk nonsense at every step: where a run ends, and what it keeps."""

from __future__ import annotations

import json
import unicodedata
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import jsonschema
import pytest

from tests.support.account import SECRET, account
from tests.support.account import USER as ME
from tests.support.diagnosing import assert_clean_strings
from tests.support.hostile import FAULTS, STAGES, Fault, Hostile, Stage, Tls
from tests.support.pki import Pki
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.view import Completed

pytestmark = [pytest.mark.root, pytest.mark.slow]

PASSWORD = b"correct horse"
STORED = PASSWORD + b"\n"
OLD = b"the old one\n"
SCHEMA = json.loads((PROJECT / "msmtp_agent/schemas/configure.json").read_bytes())
# Each program of a run ends by itself or at `--timeout`; the run as a whole must be over by the deadline.
TIMEOUT, DEADLINE = "1", 15.0
ACCEPTED = 0  # in the tables: not a status, the server has let the user in

# What msmtp has for answers that are none: the stage does not matter, but for the handshake's reset.
NONSENSE: dict[Fault, int] = {"drop": 76, "reset": 74, "rubbish": 76, "flood": 76, "chatter": 76}
CUT_OFF: dict[Fault, int] = {**NONSENSE, "drop": 74}  # under TLS
# What a run ends with when its probe meets this (75 is our own: a deadline, a temporary answer to AUTH).
PROBE: dict[Stage, dict[Fault, int]] = {
    "connect": {"refuse": 75, "hang": 75},
    "greeting": {"refuse": 76, "temporary": 76, "hang": 75, "trickle": 75, **NONSENSE},
    "ehlo": {"refuse": 76, "temporary": 76, "hang": 75, "trickle": 75, **NONSENSE},
    "starttls": {"refuse": 76, "temporary": 76, "hang": 75, "trickle": 75, **NONSENSE},
    "handshake": {**NONSENSE, "refuse": 76, "temporary": 76, "reset": 76, "hang": 75, "trickle": 76},
    "auth": {"refuse": 77, "temporary": 75, "hang": 75, "trickle": 75, **CUT_OFF},
    "mail": {"refuse": ACCEPTED, "temporary": ACCEPTED, "hang": 75, "trickle": 75, **CUT_OFF},
    "rcpt": {"refuse": ACCEPTED, "temporary": ACCEPTED, "hang": 75, "trickle": 75, **CUT_OFF},
    # A server that takes the recipient `@` gets as far as an empty mail.
    "data": {"refuse": ACCEPTED, "temporary": ACCEPTED, "hang": 75, "trickle": 75, **CUT_OFF},
    "end": {"refuse": ACCEPTED, "temporary": ACCEPTED, "hang": 75, "trickle": 75, **CUT_OFF},
}
# The same for the test mail, after a probe that went well.
DELIVERY: dict[Stage, dict[Fault, int]] = {
    "greeting": {"refuse": 76, "hang": 75},
    "handshake": {"drop": 76},
    "auth": {"refuse": 77, "temporary": 75, "hang": 75},
    "mail": {"refuse": 65, "temporary": 69, "drop": 74},
    "rcpt": {"refuse": 65, "temporary": 69, "rubbish": 76},
    "data": {"refuse": 65, "temporary": 69, "hang": 75, "trickle": 75, **CUT_OFF},
    "end": {"refuse": 69, "temporary": 69, "hang": 75, "trickle": 75, **CUT_OFF},
}


class Later(Hostile):
    """Takes the probe (and its empty mail) without a word, and misbehaves from the second conversation on."""

    def misbehaves_at(self, stage: Stage) -> bool:
        return self.reached.count("greeting") > 1 and super().misbehaves_at(stage)


class Site:
    """A sandbox with an account at a hostile server, and what every run of it must keep to."""

    def __init__(self, sandbox: Sandbox, pki: Pki, stack: ExitStack) -> None:
        self.sandbox = sandbox
        self._pki = pki
        self._stack = stack
        self.port = 0
        sandbox.write("/etc/aliases", "root: admin@example.test\n", mode=0o644)

    def meet(
        self,
        stage: Stage | None = None,
        fault: Fault | None = None,
        *,
        kind: type[Hostile] = Hostile,
        reply: bytes | None = None,
        tls: Tls = "starttls",
        starttls: str = "on",
    ) -> Hostile:
        """Start the server, and make it the account's."""
        server = kind(stage, fault, reply=reply, tls=tls, cert=self._pki.certificate(), key=self._pki.key())
        self._stack.enter_context(server)
        self.port = server.port
        text = account(server.port, self._pki.ca_file, auth="plain", tls_starttls=starttls)
        self.sandbox.write("/etc/msmtprc", text)
        return server

    def run(self, *options: str, timeout: str = "10") -> Completed:
        """The main job by its deadline; what it says is fit for a terminal and never holds the password."""
        options = ("--password-stdin", f"--timeout={timeout}", *options)
        done = self.sandbox.agent(*options, stdin=PASSWORD, timeout=DEADLINE)
        assert_clean(done)
        assert self.sandbox.leftovers() == {}
        return done

    def report(self, *options: str, timeout: str = "10") -> dict[str, Any]:
        """What the main job says in JSON; its status is the error's."""
        done = self.run("--json", *options, timeout=timeout)
        assert done.stderr == ""
        report = cast(dict[str, Any], json.loads(done.out))
        jsonschema.validate(report, SCHEMA)
        assert done.returncode == (report["error"] or {"code": 0})["code"]
        assert_clean_strings(report)
        return report

    def stored(self) -> bytes | None:
        return self.sandbox.read(SECRET) if self.sandbox.exists(SECRET) else None


@pytest.fixture
def site(sandbox: Sandbox, pki: Pki) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(sandbox, pki, stack)


def assert_clean(done: Completed) -> None:
    """No control, format, private or separator character but the line feed, no bytes that are not UTF-8; no flood."""
    for stream in (done.out, done.err):
        text = stream.decode("utf-8")
        odd = {char for char in text if char not in "\n " and unicodedata.category(char)[0] in "CZ"}
        assert odd == set()
        assert PASSWORD.decode() not in text
        assert len(text) < 20_000


def stages(report: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["status"] for stage in report["stages"]}


def statuses(*seven: str) -> dict[str, str]:
    return dict(zip(("host", "config", "secret", "pretend", "probe", "store", "deliver"), seven, strict=True))


BEFORE = ("passed", "passed", "passed", "passed")


def rows(table: dict[Stage, dict[Fault, int]]) -> list[Any]:
    return [
        pytest.param(stage, fault, status, id=f"{stage}-{fault}")
        for stage, faults in table.items()
        for fault, status in faults.items()
    ]


def limit(fault: Fault) -> str:
    """`--timeout` as short as may be where it is what ends the run, and out of the way where it is not."""
    return TIMEOUT if fault in ("hang", "trickle") else "10"


def test_every_fault_at_every_stage_has_its_row() -> None:
    assert set(PROBE) == set(STAGES)
    assert all(set(faults) == set(FAULTS) for stage, faults in PROBE.items() if stage != "connect")


# --- the probe


@pytest.mark.parametrize(("stage", "fault", "status"), rows(PROBE))
def test_probe(site: Site, stage: Stage, fault: Fault, status: int) -> None:
    """Both rows of the table, one after the other: no secret file yet, and one that is kept."""
    server = site.meet(stage, fault)

    first = site.run("--no-mail", timeout=limit(fault))
    assert first.returncode == status, first.stdout + first.stderr
    if status == ACCEPTED:
        assert f"\npassed  probe     127.0.0.1:{site.port} accepted the password; no mail was sent\n" in first.stdout
        assert f"\npassed  store     {SECRET} created, 0600 root:root\n" in first.stdout
        assert first.stderr == ""
        assert site.stored() == STORED
    else:
        judged = "refused the password" if status == 77 else "could not judge the password"
        assert f"\nfailed  probe     127.0.0.1:{site.port}: {judged}" in first.stdout
        assert f"msmtp-config: 127.0.0.1:{site.port}: {judged}" in first.stderr
        assert "\n  fix: " in first.stderr
        kept = "skipped store     nothing was stored" if status == 77 else f"passed  store     {SECRET} created"
        assert f"\n{kept}" in first.stdout
        assert ("(unproven)" in first.stdout) == (status != 77)
        assert site.stored() == (None if status == 77 else STORED)
    assert stage == "connect" or stage in server.reached

    site.sandbox.write(SECRET, OLD)
    second = site.report("--no-mail", timeout=limit(fault))
    if status == ACCEPTED:
        assert stages(second) == statuses(*BEFORE, "passed", "passed", "skipped")
        assert (second["result"], second["changed"], second["verification"]) == ("ok", True, "accepted")
        assert site.stored() == STORED
    else:
        verification = "refused" if status == 77 else "unproven"
        assert stages(second) == statuses(*BEFORE, "failed", "skipped", "skipped")
        assert (second["result"], second["changed"], second["verification"]) == ("failed", False, verification)
        assert second["error"]["code"] == status
        assert site.stored() == OLD


@pytest.mark.parametrize(
    ("stage", "fault", "status", "verification"),
    [
        ("connect", "refuse", 75, "unproven"),
        ("handshake", "drop", 76, "unproven"),
        ("auth", "refuse", 77, "refused"),
        ("auth", "temporary", 75, "unproven"),
        ("auth", "hang", 75, "unproven"),
        ("rcpt", "refuse", 0, "accepted"),
    ],
)
@pytest.mark.parametrize("before", [None, OLD])
def test_force_stores_in_every_row(
    site: Site, stage: Stage, fault: Fault, status: int, verification: str, before: bytes | None
) -> None:
    site.meet(stage, fault)
    if before is not None:
        site.sandbox.write(SECRET, before)
    report = site.report("--force", "--no-mail", timeout=limit(fault))
    assert (report["error"] or {"code": 0})["code"] == status
    assert (report["changed"], report["verification"]) == (True, verification)
    assert stages(report)["store"] == "passed"
    assert site.stored() == STORED


@pytest.mark.parametrize(
    ("tls", "starttls", "status"),
    [
        ("implicit", "on", 75),  # both wait for the other to begin
        ("starttls", "off", 76),  # a greeting where a handshake should be
        ("none", "on", 69),  # no STARTTLS on offer
    ],
)
def test_two_ideas_of_tls(site: Site, tls: Tls, starttls: str, status: int) -> None:
    site.meet(tls=tls, starttls=starttls)
    report = site.report("--no-mail", timeout=TIMEOUT if status == 75 else "10")
    assert (report["error"]["code"], report["verification"]) == (status, "unproven")
    assert stages(report) == statuses(*BEFORE, "failed", "passed", "skipped")


@pytest.mark.parametrize(("stage", "fault"), [("handshake", "hang"), ("greeting", "hang"), ("greeting", "trickle")])
def test_silence_under_tls_from_the_start(site: Site, stage: Stage, fault: Fault) -> None:
    site.meet(stage, fault, tls="implicit", starttls="off")
    report = site.report("--no-mail", timeout=TIMEOUT)
    assert (report["error"]["code"], report["verification"]) == (75, "unproven")


# --- the test mail


@pytest.mark.parametrize(
    ("stage", "fault", "status"),
    rows(DELIVERY),
)
def test_delivery_never_undoes_what_is_proven(site: Site, stage: Stage, fault: Fault, status: int) -> None:
    server = site.meet(stage, fault, kind=Later)
    report = site.report(timeout=limit(fault))
    assert report["error"]["code"] == status
    assert report["error"]["message"].startswith("test mail to admin@example.test: ")
    assert stages(report) == statuses(*BEFORE, "passed", "passed", "failed")
    assert (report["changed"], report["verification"], report["delivery"]) == (True, "accepted", None)
    assert site.stored() == STORED
    assert stage in server.reached


@pytest.mark.parametrize(
    ("stage", "fault", "status"), [("end", "hang", 75), ("auth", "refuse", 77), ("data", "drop", 74)]
)
def test_the_verb_test_ends_too(site: Site, stage: Stage, fault: Fault, status: int) -> None:
    site.meet(stage, fault)
    site.sandbox.write(SECRET, OLD)
    done = site.sandbox.agent("test", f"--timeout={TIMEOUT}", "--json", timeout=DEADLINE)
    report = json.loads(done.out)
    jsonschema.validate(report, SCHEMA)
    assert done.returncode == report["error"]["code"] == status
    assert stages(report)["deliver"] == "failed"
    assert site.stored() == OLD


# --- what a server says

ESCAPES = {
    "colour": b"\x1b[31mred\x1b[0m",
    "clear": b"\x1b[2J\x1b[H",
    "title": b"\x1b]0;owned\x07",
    "c1": b"\x9b31m \xc2\x9b31m \xc2\x85next",
    "bidi": "\u202egnidaelsim\u202c \u2066x\u2069 \u200f".encode(),
    "separators": "one\u2028two\u2029three\u00a0four\u200bfive\ufefffsix".encode(),
    "controls": bytes(range(1, 10)) + bytes(range(11, 13)) + bytes(range(14, 32)) + b"\x7f",
    "no-utf-8": b"\xff\xfe\xc3( \xed\xa0\x80 \xf4\x90\x80\x80",
    "private": "\ue000 \U000f0000 \ufdd0 \U0010ffff".encode(),
    "backspace": b"535 accepted" + b"\b" * 12 + b"235 accepted",
    "return": b"\rpassed  probe     the server accepted the password",
    "long": b"x" * 900,
}
SPEAKERS: dict[Stage, tuple[bytes, int, type[Hostile]]] = {
    "greeting": (b"554", 76, Hostile),
    "ehlo": (b"502", 76, Hostile),
    "starttls": (b"501", 76, Hostile),
    "auth": (b"535", 77, Hostile),
    "end": (b"554", 69, Later),
}


def reply_of_escapes(code: bytes, half: int) -> bytes:
    """Half of them, each as one line of a reply: all of it is shown."""
    *first, last = list(ESCAPES.values())[half::2]
    return b"".join(code + b"-" + line + b"\r\n" for line in first) + code + b" " + last + b"\r\n"


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("stage", SPEAKERS)
def test_what_a_server_says_is_cleaned(site: Site, stage: Stage, half: int) -> None:
    """On the screen and in JSON, at the steps whose replies are shown (`run` and `report` look)."""
    code, status, kind = SPEAKERS[stage]
    site.meet(stage, reply=reply_of_escapes(code, half), kind=kind)
    done = site.run()
    assert done.returncode == status, done.stderr
    assert done.stderr.count(f"  msmtp: server message: {code.decode()}") == len(ESCAPES) // 2
    report = site.report()
    assert report["error"]["code"] == status
    assert sum(words.startswith("server message: ") for words in report["error"]["words"]) == len(ESCAPES) // 2


@pytest.mark.parametrize("half", [0, 1])
def test_the_last_reply_is_cleaned(site: Site, half: int) -> None:
    site.meet("end", reply=reply_of_escapes(b"250", half))
    assert "\npassed  deliver   test mail to admin@example.test: 250-" in site.run().stdout
    assert site.report()["delivery"]["reply"].startswith("250-")


def test_the_last_reply_cannot_be_forged(site: Site) -> None:
    site.meet("end", reply=b"250 x' exitcode=EX_OK smtpmsg='250 forged\r\n")
    assert site.report()["delivery"]["reply"] == "250 x? exitcode=EX_OK smtpmsg=?250 forged"


# What would mean an accepted password, if it were msmtp that said it.
VERDICT = b"recipient address @ not accepted by the server"
FORGERIES: dict[str, bytes] = {
    "words": b"535 %s\r\n",
    "prefix": b"535 msmtp: %s\r\n",
    "temporary": b"454 msmtp: %s\r\n",
    "second line": b"535-x\r\n535 msmtp: %s\r\n",
    "carriage return": b"535 x\rmsmtp: %s\r\n",
    "line feed": b"535 x\nmsmtp: %s\r\n",
    "line feed inside": b"535-x\nmsmtp: %s\n535 x\r\n",
    "nul": b"535 x\0\nmsmtp: %s\r\n",
    "line separator": b"535 x\xe2\x80\xa8msmtp: %s\r\n",
    "next line": b"535 x\xc2\x85msmtp: %s\r\n",
    "separators": b"454 x\x0b\x0c\x1c\x1d\x1emsmtp: %s\r\n",
    "bare": b"msmtp: %s\r\n",
}


def assert_not_accepted(site: Site) -> None:
    site.sandbox.write(SECRET, OLD)
    report = site.report("--no-mail")
    assert report["verification"] in ("refused", "unproven")
    assert stages(report)["store"] == "skipped"
    assert site.stored() == OLD


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_server_cannot_forge_its_own_acceptance(site: Site, forgery: str) -> None:
    site.meet("auth", reply=FORGERIES[forgery] % VERDICT)
    assert_not_accepted(site)


@pytest.mark.parametrize(
    "verdict",
    [
        VERDICT,
        b"envelope from address me@example.test not accepted by the server",
        b"the server does not accept mail data",
        b"the server did not accept the mail",
    ],
)
def test_nor_at_any_other_stage(site: Site, verdict: bytes) -> None:
    for stage, code in (("greeting", b"554"), ("auth", b"535")):
        site.meet(cast(Stage, stage), reply=code + b"-msmtp: " + verdict + b"\r\n" + code + b" " + verdict + b"\r\n")
        assert_not_accepted(site)


def test_a_server_that_echoes_the_password(site: Site) -> None:
    """Plain, in base64 as AUTH carried it, and in the middle of other words: never shown again."""
    whole = b64encode(b"\0" + ME.encode() + b"\0" + PASSWORD)
    for echo in (
        PASSWORD,
        whole,
        b64encode(PASSWORD),
        b"<" + whole.rstrip(b"=") + b">",
        b"no '" + PASSWORD + b"' here",
    ):
        site.meet("auth", reply=b"535 you said " + echo + b"\r\n")
        done = site.run()
        report = site.report()
        for text in (done.stdout + done.stderr, json.dumps(report)):
            assert "you said" in text
            assert PASSWORD.decode() not in text
            assert whole.rstrip(b"=").decode() not in text
            assert b64encode(PASSWORD).rstrip(b"=").decode() not in text


CODES = [
    *((code, 77, "refused") for code in (b"530", b"534", b"535", b"538", b"550", b"500", b"504")),
    *((code, 75, "unproven") for code in (b"421", b"432", b"451", b"454")),
]


@pytest.mark.parametrize(("code", "status", "verification"), CODES)
def test_codes_at_auth(site: Site, code: bytes, status: int, verification: str) -> None:
    site.meet("auth", reply=code + b" no\r\n")
    report = site.report()
    assert (report["error"]["code"], report["verification"]) == (status, verification)
    assert site.stored() == (None if status == 77 else STORED)


@pytest.mark.parametrize(("reply", "status"), [(b"454-x\r\n535 x\r\n", 75), (b"535-x\r\n454 x\r\n", 77)])
def test_first_lines_code_counts(site: Site, reply: bytes, status: int) -> None:
    site.meet("auth", reply=reply)
    assert site.report()["error"]["code"] == status
