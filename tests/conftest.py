"""Shared by all tests: no state outside the test's folder, a strict continuous integration."""

from __future__ import annotations

import gc
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from curator_core.garbage import gc_paused
from tests.builds import IS_WITHOUT_TORCH
from tests.process_state import restored

ALLOWED_TO_SKIP = ("gpu", "network", "mounts", *(("torch",) if IS_WITHOUT_TORCH else ()))
"""Marks of tests that may be skipped where ``CURATOR_CI=1``: they need a machine that is not always there."""

_IS_CI = os.environ.get("CURATOR_CI") == "1"
_skipped: list[str] = []

settings.register_profile(
    "curator",
    deadline=None,
    derandomize=_IS_CI,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("curator")


_prefect_home = tempfile.TemporaryDirectory(prefix="prefect-")
# Read when prefect is imported: its server keeps its database here, and is quiet.
os.environ |= {
    "PREFECT_HOME": _prefect_home.name,
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}


@pytest.fixture(scope="session")
def _installed():
    """Names that installed packages declare are looked up once: what a test finds of them is forgotten after it."""
    from curator_core.pipeline.registry import components
    from curator_core.run.base import backends

    for registry in (components, backends):
        registry.names()


@pytest.fixture(autouse=True)
def _own_process(_installed, tmp_path_factory):
    """A test changes the process, and what the packages keep for all of it, for itself alone."""
    with restored(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="session")
def _caches(tmp_path_factory):
    """Folders that are not there yet, without a look at all that are."""
    folder = tmp_path_factory.mktemp("caches")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _own_cache(_own_process, _caches, monkeypatch):
    """Databases of pipelines that name no place go to a folder of the test."""
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(next(_caches)))


@pytest.fixture
def out(tmp_path):
    """Folder of a sink's outputs."""
    return str(tmp_path / "out")


@pytest.fixture
def numbers(tmp_path, out):
    """Function that makes a pipeline of `n` numbers with a fault table."""
    from curator_core.testing import FaultySource, JsonSink, NumbersSource

    def build(n=5, faults=None, **settings):
        source = FaultySource(NumbersSource(n), str(tmp_path / "log"), faults)
        return source.write(JsonSink(out)).with_settings(db_file=tmp_path / "run.db", **settings)

    return build


@pytest.fixture(scope="session")
def session_processes():
    """Function that gives the living processes of a process session, its leader included."""

    def living(session):
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(stat.parent.name))
        return found

    return living


@pytest.fixture(scope="session")
def _prefect_process(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path_factory.mktemp("prefect") / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
        _wait_for(f"http://127.0.0.1:{port}/api/health", process, log)
        yield f"http://127.0.0.1:{port}/api"
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def prefect_server(_prefect_process, monkeypatch):
    """A Prefect server for the processes that the test starts; mark it with ``xdist_group("prefect")``."""
    monkeypatch.setenv("PREFECT_API_URL", _prefect_process)
    return _prefect_process


@pytest.fixture
def prefect_client(prefect_server):
    """The same server for runs of the test's own process."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: prefect_server}):
        yield


@pytest.fixture(scope="session")
def object_store_server():
    """An object store on this machine; mark tests with ``xdist_group("objects")``, so that one process starts it."""
    from benchmarks.object_server import object_server

    with object_server() as server:
        yield server


def _wait_for(url, process, log):
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What modules of tests import stays: nothing of it is searched for garbage, then or later."""
    with gc_paused():
        found = yield
        gc.freeze()
        return found


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Groups first: each is done by one worker, and nobody should wait for it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    report.may_skip = any(item.get_closest_marker(mark) for mark in ALLOWED_TO_SKIP)


def pytest_runtest_logreport(report):
    """Runs where results arrive: in the only process, or in the controller of pytest-xdist."""
    if _IS_CI and report.skipped and not hasattr(report, "wasxfail") and not getattr(report, "may_skip", False):
        _skipped.append(f"{report.nodeid}: {report.longrepr[2] if report.longrepr else ''}")


def pytest_collectreport(report):
    if _IS_CI and report.skipped:
        _skipped.append(f"{report.nodeid}: {report.longrepr[2] if report.longrepr else ''}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    if _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if _skipped:
        terminalreporter.section("skipped, which CURATOR_CI=1 does not allow", red=True)
        for line in dict.fromkeys(_skipped):
            terminalreporter.line(line)
