"""`apply` and `render` handle up to three passwords: of the settings, of the old msmtprc, and the stored one.

Each goes where it belongs and nowhere else: not into an output, a file, an argument, an environment or a diff.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import interpreter
from tests.support.account import MSMTPRC, SECRET, USER, account
from tests.support.applying import ALIASES, BACKUP, FILE, LOGROTATE, apply, settings
from tests.support.hostile import Hostile
from tests.support.pki import Pki
from tests.support.sandbox import Sandbox
from tests.support.smtpd import Smtpd
from tests.support.tracing import Canary, watch
from tests.support.view import Completed
from tests.test_no_leak import (
    _WRAPPER,
    DELIVER,
    PRETEND,
    PROBE,
    STORE,
    TEMPORARY,
    TRACE,
    _told,
    assert_untold,
    remains,
    route,
    traced,
)

pytestmark = pytest.mark.root

NEW = Canary(b"NeWcAnArY5-QxZjfLwpV2")  # in the settings
OLD = Canary(b"oLdKd0TbHu61-sYe8RmPq")  # in the msmtprc that was there
STORED = Canary(b"sToReD9gWn3Ux-BcDzKf7")  # in the secret file
ALL = (NEW, OLD, STORED)
READ = DELIVER  # `cat` hands the secret file to msmtp
FORMS = [(), ("--json",), ("--dry-run",), ("--dry-run", "--json")]


@pytest.fixture
def box(tmp_path: Path, warm: bool) -> Iterator[Sandbox]:
    with Sandbox(tmp_path, private_tmp=True, warm=warm) as view:
        yield view


@pytest.fixture
def server(pki: Pki) -> Iterator[Smtpd]:
    with Smtpd(users={USER: NEW.secret}, cert=pki.certificate(), key=pki.key()) as smtpd:
        yield smtpd


def given(box: Sandbox, at: int, pki: Pki, **changes: object) -> None:
    """The settings for a server at that port, with a password."""
    keys = {"auth_method": "plain", "password": NEW.secret.decode(), **changes}
    box.write(FILE, settings(at, pki.ca_file, **keys))


def there(box: Sandbox, port: int, pki: Pki, *, stored: bool = True, mode: int = 0o600) -> None:
    """A host that the old fragment has set up, with a password in its msmtprc, and perhaps another one beside it."""
    word = OLD.secret.decode()
    box.write(
        MSMTPRC, account(port, pki.ca_file, f"password {word}", f"# password {word}", passwordeval=None), mode=mode
    )
    if stored:
        box.write(SECRET, STORED.secret + b"\n")


def run(box: Sandbox, *options: str, status: int = 0) -> tuple[Completed, dict[Canary, list[str]]]:
    """`apply` under strace: that nothing is told, and the way that each canary went."""
    done, recording = traced(box, "apply", FILE, *options, secret=b"", canary=NEW)
    assert done.returncode == status, done.stdout + done.stderr
    for canary in ALL:
        assert_untold(done, canary)
    return done, {
        NEW: route(recording),
        OLD: route(watch(box.path(TRACE), OLD)),
        STORED: route(watch(box.path(TRACE), STORED)),
    }


def kept(box: Sandbox) -> list[str]:
    """The backups of msmtprc."""
    return [path for path in sorted(box.changed()) if path.startswith(MSMTPRC) and BACKUP.search(path)]


def assert_only(box: Sandbox, places: dict[Canary, tuple[str, ...]]) -> None:
    """Each canary stands in these files, and in no other one that was written."""
    for canary in ALL:
        assert set(remains(box, canary)) == set(places.get(canary, ())), canary.secret


# --- every exec and every byte


@pytest.mark.slow
def test_the_password_of_the_settings(box: Sandbox, pki: Pki, server: Smtpd) -> None:
    given(box, server.port, pki)
    _, routes = run(box)
    assert routes == {NEW: PRETEND + PROBE + STORE, OLD: [], STORED: []}
    assert_only(box, {NEW: (FILE, SECRET)})
    assert box.stat(SECRET).st_mode & 0o7777 == 0o600


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS[1:], ids=" ".join)
def test_the_password_of_the_settings_in_every_form(
    box: Sandbox, pki: Pki, server: Smtpd, form: tuple[str, ...]
) -> None:
    there(box, server.port, pki)
    given(box, server.port, pki)
    done, routes = run(box, *form)
    dry = "--dry-run" in form
    assert routes[NEW] == ([] if dry else PRETEND + PROBE + STORE)
    assert routes[STORED] == []
    if dry:
        assert routes[OLD] == []
        assert_only(box, {NEW: (FILE,), OLD: (MSMTPRC,), STORED: (SECRET,)})
    else:
        assert_only(box, {NEW: (FILE, SECRET), OLD: tuple(kept(box))})
    assert "***" in done.stdout  # the diff is there, and masked
    assert ("--json" in form) == done.stdout.startswith("{")


@pytest.mark.slow
@pytest.mark.parametrize("mode", [0o600, 0o644], ids=oct)
def test_all_three(box: Sandbox, pki: Pki, server: Smtpd, mode: int) -> None:
    """What stood in the old msmtprc stands in its backup, which nobody else can read; the stored one is gone."""
    there(box, server.port, pki, mode=mode)
    given(box, server.port, pki)
    _, routes = run(box)
    (backup,) = kept(box)
    directory, _, name = backup.rpartition("/")
    assert routes == {NEW: PRETEND + PROBE + STORE, OLD: [f"agent write {directory}/.{name}.msmtp-config"], STORED: []}
    assert_only(box, {NEW: (FILE, SECRET), OLD: (backup,)})
    assert box.stat(backup).st_mode & 0o7777 == 0o600
    done, routes = run(box)
    assert routes == {NEW: PRETEND + PROBE, OLD: [], STORED: []}
    assert "unchanged" in done.stdout


@pytest.mark.slow
def test_the_password_of_the_old_file_moves(box: Sandbox, pki: Pki, server: Smtpd) -> None:
    server.users[USER] = OLD.secret
    there(box, server.port, pki, stored=False)
    given(box, server.port, pki, password=None)
    _, routes = run(box)
    (backup,) = kept(box)
    steps = routes[OLD]
    assert steps[-2:] == READ * 2  # pretend and probe
    assert set(steps[:-2]) == {*STORE, f"agent write /etc/.{backup.removeprefix('/etc/')}.msmtp-config"}
    assert routes[NEW] == routes[STORED] == []
    assert_only(box, {OLD: (SECRET, backup)})


@pytest.mark.slow
def test_the_stored_password_is_tried_where_it_is(box: Sandbox, pki: Pki, server: Smtpd) -> None:
    server.users[USER] = STORED.secret
    there(box, server.port, pki)
    given(box, server.port, pki, password=None)
    _, routes = run(box)
    assert routes[STORED] == READ * 2
    assert_only(box, {OLD: tuple(kept(box)), STORED: (SECRET,)})


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS[:2], ids=["text", "json"])
def test_refused(box: Sandbox, pki: Pki, form: tuple[str, ...]) -> None:
    with Smtpd(users={USER: b"another"}, cert=pki.certificate(), key=pki.key()) as server:
        there(box, server.port, pki)
        given(box, server.port, pki)
        _, routes = run(box, *form, status=77)
    assert routes[NEW] == PRETEND + PROBE
    assert routes[STORED] == []
    assert_only(box, {NEW: (FILE,), OLD: tuple(kept(box)), STORED: (SECRET,)})


@pytest.mark.slow
@pytest.mark.parametrize("canary", [NEW, OLD, STORED], ids=["given", "moved", "stored"])
def test_unreachable(box: Sandbox, pki: Pki, canary: Canary) -> None:
    if canary is not NEW:
        there(box, 9, pki, stored=canary is STORED)
    given(box, 9, pki, password=NEW.secret.decode() if canary is NEW else None)
    run(box, status=75)
    assert set(remains(box, canary)) == {SECRET, *({FILE} if canary is NEW else set())} | (
        set(kept(box)) if canary is OLD else set()
    )


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=" ".join)
@pytest.mark.parametrize(
    "wrong",
    [
        {"tls_certcheck": "perhaps"},
        {"host": "a b"},
        {"auth_method": "bogus"},
        {"secret": NEW.secret.decode()},
        {"user": None},
    ],
    ids=str,
)
def test_wrong_settings(box: Sandbox, pki: Pki, form: tuple[str, ...], wrong: dict[str, object]) -> None:
    there(box, 9, pki)
    given(box, 9, pki, **wrong)
    _, routes = run(box, *form, status=65)
    assert routes == {NEW: [], OLD: [], STORED: []}
    assert_only(box, {NEW: (FILE,), OLD: (MSMTPRC,), STORED: (SECRET,)})


# --- a server that repeats what it was told


def echoes(canary: Canary) -> bytes:
    """The password in a reply, and in base64 as the AUTH line has it."""
    from base64 import b64encode

    plain = b64encode(b"\0" + USER.encode() + b"\0" + canary.secret)
    return b" ".join((canary.secret, b64encode(canary.secret), plain))


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS[:2], ids=["text", "json"])
@pytest.mark.parametrize("canary", ALL, ids=["given", "moved", "stored"])
@pytest.mark.parametrize("code", [b"535", b"454"])
def test_server_that_echoes_a_password(
    box: Sandbox, pki: Pki, canary: Canary, code: bytes, form: tuple[str, ...]
) -> None:
    reply = code + b" " + echoes(canary) + b"\r\n"
    with Hostile("auth", reply=reply, cert=pki.certificate(), key=pki.key()) as server:
        if canary is not NEW:
            there(box, server.port, pki, stored=canary is STORED)
        given(box, server.port, pki, password=NEW.secret.decode() if canary is NEW else None)
        done = apply(box, None, *form)
    assert done.returncode in (75, 77)
    assert code.decode() in done.stdout + done.stderr, "the reply is shown at all"
    assert_untold(done, canary)


# --- odd places


WORD = OLD.secret.decode()
ODD = {
    "misspelt": f"pasword {WORD}\n",
    "with a colon": f"password: {WORD}\n",
    "with an equals sign": f"password={WORD}\n",
    "alone": f"{WORD}\n",
    "in capitals": f"PASSWORD {WORD}\n",
    "commented out": f"#password {WORD}\n",
    "a comment": f"# the password is {WORD}\n",
    "a comment without the word": f"# {WORD}\n",
    "behind a switch": f"tls {WORD}\n",
    "a command": f'passwordeval "echo {WORD}"\n',
    "an evaluated line": f"eval echo password {WORD}\n",
    "of another account": f"account other\nhost h\npassword {WORD}\n",
    "in quotes": f'password "{WORD}"\n',
    "with blanks": f"   password \t {WORD}  \r\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS[2:], ids=["text", "json"])
def test_no_diff_of_an_old_msmtprc_shows_what_may_be_a_password(box: Sandbox, pki: Pki, form: tuple[str, ...]) -> None:
    given(box, 9, pki, password=None)
    shown = {}
    for name, line in ODD.items():
        box.write(MSMTPRC, account(9, pki.ca_file) + line)
        done = apply(box, None, *form)
        assert done.returncode == 0, done.stderr
        assert "-account" in done.stdout or "@@" in done.stdout, name
        shown[name] = OLD.shapes_in(done.out + done.err)
    assert not {name for name, shapes in shown.items() if shapes}


@pytest.mark.slow
@pytest.mark.parametrize("path", [ALIASES, LOGROTATE])
def test_a_known_password_is_hidden_in_the_other_files_too(box: Sandbox, pki: Pki, path: str) -> None:
    there(box, 9, pki)
    given(box, 9, pki)
    words = " ".join(canary.secret.decode() for canary in ALL)
    box.write(path, f"# {words}\nroot: x@example.com # {words}\n", mode=0o644)
    for form in FORMS[2:]:
        done = apply(box, None, *form)
        for canary in ALL:
            assert_untold(done, canary)
        assert "***" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=" ".join)
def test_a_command_that_holds_a_password(box: Sandbox, pki: Pki, server: Smtpd, form: tuple[str, ...]) -> None:
    """It has to stand in msmtprc, and nothing else shows it."""
    given(box, server.port, pki, password=None, passwordeval=f"echo {NEW.secret.decode()}")
    done = apply(box, None, *form)
    assert done.returncode == 0, done.stderr
    assert_untold(done, NEW)
    assert set(remains(box, NEW)) == {FILE} | (set() if "--dry-run" in form else {MSMTPRC})


@pytest.mark.slow
def test_a_token_that_is_user_and_password(box: Sandbox, pki: Pki) -> None:
    """As at Postmark."""
    token = NEW.secret.decode()
    with Smtpd(users={token: NEW.secret}, cert=pki.certificate(), key=pki.key()) as server:
        given(box, server.port, pki, user=token)
        for form in FORMS:
            done = apply(box, None, *form)
            assert done.returncode == 0, done.stderr
            assert_untold(done, NEW)


# --- render


@pytest.mark.slow
@pytest.mark.parametrize("form", ["files", "msmtprc", "aliases", "logrotate", "cloud-config"])
def test_render(box: Sandbox, pki: Pki, form: str) -> None:
    """It needs no password at all; a cloud-config with one is refused, and the refusal shows none."""
    there(box, 9, pki)
    given(box, 9, pki)
    cloud = ("--deb-url", "https://example.com/a.deb", "--deb-sha256", "0" * 64) if form == "cloud-config" else ()
    for output in ((), ("--output", "/run/out")):
        done, recording = traced(box, "render", FILE, "--format", form, *cloud, *output, secret=b"", canary=NEW)
        assert done.returncode == (65 if cloud else 0), done.stderr
        for canary in ALL:
            assert_untold(done, canary)
            assert route(watch(box.path(TRACE), canary)) == []
        assert not recording.started.keys() & {"msmtp", "sh", "cat"}
    assert_only(box, {NEW: (FILE,), OLD: (MSMTPRC,), STORED: (SECRET,)})


# --- an internal call that raises


PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "form"),
    [*((part, ()) for part in range(PARTS)), (0, ("--json",))],
    ids=[*(f"text, part {part}" for part in range(PARTS)), "json"],
)
def test_every_function_that_raises(
    box: Sandbox, pki: Pki, server: Smtpd, tmp_path: Path, part: int, form: tuple[str, ...]
) -> None:
    """With the passwords in hand: one clear error, no traceback, no copy left."""
    given(box, server.port, pki)
    paths = {"raised": "/run/raised", "out": "/run/out", "err": "/run/err", "secret": SECRET, "leftover": TEMPORARY}
    paths |= {"msmtprc": MSMTPRC, "aliases": ALIASES, "rule": LOGROTATE}
    hidden = bytes(byte ^ 255 for byte in NEW.secret)
    program = _WRAPPER.format(hidden=hidden, paths=paths)
    program = program.replace('"--password-stdin", *options', "*options")
    program = program.replace("in functions():", f"in list(functions())[{part}::{PARTS}]:")
    wrapper = tmp_path / "wrapper.py"
    wrapper.write_text(program)
    words = ((), ("RuntimeError",), ("apply", FILE, *form))
    results = json.loads(
        box.run([interpreter("system"), wrapper, *map(json.dumps, words)], check=True, timeout=100).stdout
    )
    reached = [result for result in results if result["raised"] is not None]
    wrong = [fault for result in reached if (fault := _told(result))]
    wrong += [result["target"] for result in reached if NEW.shapes_in((result["out"] + result["err"]).encode())]
    assert not wrong, "\n\n".join(wrong)
    assert len(reached) >= 30
    assert set(remains(box, NEW)) == {FILE}
