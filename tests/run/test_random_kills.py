"""Workers and coordinators of every backend, killed at random moments.

``make kills`` does it two hundred times and more; what runs here by default is a sample.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curator_core.store import MetricsStore
from curator_core.testing import invocations

TARGET = Path(__file__).with_name("curation_target.py")
N_ITEMS = 40
N_HISTORIES = int(os.environ.get("CURATOR_KILLS", "1"))
KILLS_PER_HISTORY = 3
PAUSE_S = 0.02

BACKENDS = ["sequential", "thread_pool", "process_pool", "loky", "dask", "prefect"]
WITH_PROCESSES = ["process_pool", "loky", "dask"]


MARKS = {
    "prefect": [pytest.mark.xdist_group("prefect"), pytest.mark.campaign],
    "dask": pytest.mark.campaign,
    "sequential": pytest.mark.campaign,  # killed by test_kill.py, too
}


def _parameters(backends):
    return [pytest.param(name, seed, marks=MARKS.get(name, ())) for name in backends for seed in range(N_HISTORIES)]


class Curation:
    """A folder with inputs, and runs over it that are killed."""

    def __init__(self, folder, backend):
        self.folder = folder
        self.backend = backend
        (folder / "in").mkdir(parents=True)
        for number in range(N_ITEMS):
            (folder / "in" / f"f{number:03d}.txt").write_text(f"{number} {number + 1}")
        self.done = {}
        self.n_killed = 0

    def start(self):
        command = [sys.executable, str(TARGET), "dataset", "2", self.backend, str(PAUSE_S)]
        errors = (self.folder / "errors.txt").open("a")
        with errors:
            return subprocess.Popen(command, cwd=self.folder, start_new_session=True, stderr=errors)

    @property
    def n_attempts(self):
        return sum(invocations(self.folder / "log").values())

    def wait_for_attempts(self, process, n_attempts):
        """Until that many attempts were made in all, or the process has ended."""
        while process.poll() is None and self.n_attempts < n_attempts:
            time.sleep(0.005)

    def check_nothing_redone(self):
        """No item is processed again that was recorded as completed before."""
        attempts = invocations(self.folder / "log")
        assert {key: attempts[key] for key in self.done} == self.done
        database = self.folder / "db" / "run.db"
        if not database.exists():
            return
        with MetricsStore(database) as store:
            run = store.latest_run()
            records = store.items(run.run_id) if run else {}
        self.done |= {key: attempts[key] for key, record in records.items() if record.status == "completed"}

    def finish(self):
        """Run to the end, undisturbed."""
        process = self.start()
        assert process.wait(timeout=120) == 0, self.errors
        self.check_nothing_redone()
        assert len(self.done) == N_ITEMS

    @property
    def errors(self):
        return (self.folder / "errors.txt").read_text()

    @property
    def outputs(self):
        """The published files; archives of shards hold times of their own."""
        found = [p for p in (self.folder / "out").iterdir() if p.is_file() and not p.name.endswith("_shards.db")]
        return {p.name: p.read_bytes() for p in found}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    curation = Curation(tmp_path_factory.mktemp("undisturbed") / "c", "sequential")
    curation.finish()
    return curation.outputs


@pytest.fixture
def curation(tmp_path, backend, request, record_property):
    if backend == "prefect":
        request.getfixturevalue("prefect_server")
    made = Curation(tmp_path / "c", backend)
    yield made
    record_property("kills", made.n_killed)  # for --junit-xml


@pytest.mark.parametrize(("backend", "seed"), _parameters(BACKENDS))
def test_coordinators_killed_at_random_moments(curation, undisturbed, session_processes, backend, seed):
    """Nothing recorded is lost or redone, no worker is left over, and the end is that of an undisturbed run."""
    chance = random.Random(f"coordinator {backend} {seed}")
    for _ in range(KILLS_PER_HISTORY):
        process = curation.start()
        curation.wait_for_attempts(process, curation.n_attempts + chance.randint(0, N_ITEMS // 3))
        time.sleep(chance.choice([0, 1]) * chance.uniform(0, 10 * PAUSE_S))  # also while it starts, or ends
        curation.n_killed += process.poll() is None
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while session_processes(process.pid):
            assert time.monotonic() < deadline, "a worker outlived its coordinator"
            time.sleep(0.01)
        curation.check_nothing_redone()
    curation.finish()
    assert curation.outputs == undisturbed


@pytest.mark.parametrize(("backend", "seed"), _parameters(WITH_PROCESSES))
def test_workers_killed_at_random_moments(curation, undisturbed, session_processes, backend, seed):
    """The run goes on: at most an item whose worker was killed twice fails, and says so; the next run does it."""
    chance = random.Random(f"worker {backend} {seed}")
    process = curation.start()
    while curation.n_killed < KILLS_PER_HISTORY:
        curation.wait_for_attempts(process, curation.n_attempts + chance.randint(1, N_ITEMS // 4))
        time.sleep(chance.uniform(0, 2 * PAUSE_S))
        if process.poll() is not None:
            break
        workers = [pid for pid in session_processes(process.pid) if pid != process.pid and _works(pid)]
        if workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
            curation.n_killed += 1
    process.wait(timeout=120)
    curation.check_nothing_redone()
    assert curation.errors.count("died twice") == N_ITEMS - len(curation.done), curation.errors
    curation.finish()
    assert curation.outputs == undisturbed


def _works(pid):
    """Whether a process is a worker, not one that serves others."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return "resource_tracker" not in command and "semaphore_tracker" not in command
