"""Fixtures and guards for all tests."""

from __future__ import annotations

import compileall
import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.package_support import SUITES, installed_layer, package
from tests.support import shared
from tests.support.guards import ProgramGuard, Traces, differences, traces
from tests.support.order import dealt
from tests.support.peer import MECHANISMS, Peer
from tests.support.pki import Pki, make_pki
from tests.support.sandbox import PROJECT, Sandbox
from tests.support.trees import Machine

# A test that asks for one of these needs what the marker says; nobody has to remember the marker.
_MARKERS = {
    "sandbox": ("root",),
    "peer": ("root", "tree"),
    "peer_scram": ("root", "tree"),
}
# The interpreters that the program must start on: the system's own, and each supported release of Typer.
TYPER_PYTHONS = {
    "system": "",
    "typer-0.7": "MSMTP_AGENT_PYTHON_TYPER_0_7",
    "typer-0.9": "MSMTP_AGENT_PYTHON_TYPER_0_9",
    "typer-0.15": "MSMTP_AGENT_PYTHON_TYPER_0_15",
    "typer-newest": "MSMTP_AGENT_PYTHON_TYPER_NEWEST",
}
# The same examples in every run, however long each takes: a red run is this change's. `--hypothesis-profile=default`
# goes exploring.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")
_guard = ProgramGuard()
_traces = pytest.StashKey[Traces]()


# --- the session


def pytest_configure(config: pytest.Config) -> None:
    """Workers start later, and share what the first process made."""
    if not hasattr(config, "workerinput"):
        shared.begin()
        config.add_cleanup(shared.end)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the machine's own files; compile once what the sandboxes must not compile."""
    session.config.stash[_traces] = traces(contents=True)
    if not hasattr(session.config, "workerinput"):
        compileall.compile_dir(PROJECT / "msmtp_agent", quiet=2)


def pytest_collection_finish() -> None:
    """What was collected stays until the end: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that has changed one of the machine's own files."""
    found = differences(session.config.stash[_traces], traces(contents=True))
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        sys.stderr.write("\n".join(("", "the tests have changed files of this machine:", *found, "")))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Add the markers that a test's fixtures imply, before -m selects by them; then deal the tests to the workers."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            for marker in _MARKERS.get(fixture, ()):
                item.add_marker(marker)
    yield
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    items[:] = dealt(items, workers, lambda item: item.path.stem)


# --- no skips: a test that cannot run has failed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test into a failure; an expected failure stays what it is."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure here: {report.longreprtext}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a module into an error."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure here: {report.longreprtext}"
    return report


# --- guards around every test


@pytest.fixture(autouse=True)
def _machine_untouched() -> Iterator[None]:
    before = traces()
    yield
    found = differences(before, traces())
    assert not found, found


@pytest.fixture(autouse=True)
def _no_unexpected_programs(request: pytest.FixtureRequest) -> Iterator[None]:
    _guard.armed = not any(request.node.get_closest_marker(name) for name in ("root", "tree", "programs"))
    yield
    _guard.armed = False


# --- fixtures


@pytest.fixture
def warm(request: pytest.FixtureRequest) -> bool:
    """Whether the runs of a sandbox are forks of a Python that has imported the program (tests.support.warm).

    In the slow tests, which are the long tables; whatever runs with every change starts the program as a person does.
    """
    return request.node.get_closest_marker("slow") is not None


@pytest.fixture
def sandbox(tmp_path: Path, warm: bool) -> Iterator[Sandbox]:
    """This machine with an /etc, /root, /run and /var/log of its own."""
    with Sandbox(tmp_path, warm=warm) as view:
        yield view


@pytest.fixture(params=SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """Each distribution: systemd 252 and 257."""
    return str(request.param)


@pytest.fixture
def machine(suite: str, tmp_path: Path) -> Iterator[Machine]:
    """A throw-away machine of each distribution with the package installed; systemd does not run in it."""
    with Machine(suite, tmp_path, share=[package()], over=installed_layer(suite)) as view:
        yield view


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates for this session."""
    return make_pki(tmp_path_factory.mktemp("pki"))


def _session_peer(name: str, factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Peer]:
    server = Peer(factory.mktemp(name), pki, MECHANISMS[name])
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _peer(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Peer]:
    yield from _session_peer("peer", tmp_path_factory, pki)


@pytest.fixture(scope="session")
def _peer_scram(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Peer]:
    yield from _session_peer("peer_scram", tmp_path_factory, pki)


@pytest.fixture
def peer(_peer: Peer) -> Peer:
    """Postfix and Dovecot with PLAIN, LOGIN and CRAM-MD5; no users and no mail at first."""
    _peer.reset()
    return _peer


@pytest.fixture
def peer_scram(_peer_scram: Peer) -> Peer:
    """The same, with DIGEST-MD5, SCRAM-SHA-1 and SCRAM-SHA-256 too."""
    _peer_scram.reset()
    return _peer_scram


# The oldest and the newest in every run; those between them, and the oldest in an environment of its own, in the full.
_ENDS = ("system", "typer-newest")


@pytest.fixture(params=[pytest.param(name, marks=[] if name in _ENDS else pytest.mark.slow) for name in TYPER_PYTHONS])
def typer_python(request: pytest.FixtureRequest) -> Path:
    """Each interpreter that the program must start on."""
    return interpreter(request.param)


def interpreter(name: str) -> Path:
    """The path of one of TYPER_PYTHONS; scripts/test has made them."""
    variable = TYPER_PYTHONS[name]
    found = Path(os.environ.get(variable, "") if variable else "/usr/bin/python3")
    assert found.is_file(), f"{variable or found}: no interpreter; run the tests with scripts/test"
    return found
