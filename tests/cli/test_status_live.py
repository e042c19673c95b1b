"""`curator status` while a run goes on, and after it was killed."""

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from curator_core.storage.locks import exclusive_lock

EXECUTABLE = Path(sys.executable).with_name("curator")
BACKENDS = [("--backend", "sequential"), ("-j", "2", "--backend", "process_pool")]
SINCE = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def status(curator):
    """What `curator status --json` says of `run.db`; nothing before there is a run."""

    def ask():
        result = curator("status", "run.db", "--json")
        return json.loads(result.out) if result.code == 0 else {"workers": []}

    return ask


def at_work(data):
    """Workers that are at an item."""
    return [worker for worker in data["workers"] if worker["current_index"] is not None]


@pytest.fixture
def held_run(folder, status):
    """Begin a run in a process of its own and wait until its held item is shown; it waits inside the block."""
    os.mkfifo("gate")

    @contextlib.contextmanager
    def begin(*words, held):
        gate = os.open("gate", os.O_RDWR)
        command = [EXECUTABLE, *words, "--db", "run.db", "-q"]
        process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
        try:
            while [worker["current_index"] for worker in at_work(status())] != [held]:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.02)
            yield process
        finally:
            os.close(gate)
            process.communicate(timeout=30)

    return begin


@pytest.mark.parametrize("options", BACKENDS)
def test_item_and_its_duration_are_shown(executable, status, held_run, write_pipeline, options):
    """Soon after a worker has begun an item, another process is told which, where and since when."""
    before = datetime.now(UTC)
    with held_run("run", write_pipeline(source="Held", held=3), *options, held=3) as process:
        (worker,) = at_work(status())
        since = datetime.fromisoformat(worker["current_since"])
        assert before < since < datetime.now(UTC)
        assert (worker["hostname"], worker["active"]) == (socket.gethostname(), True)
        out = executable("status", "run.db").out
        assert "(1 at work)" in out
        line = rf"{worker['worker_id'][:8]} +\S+ +{worker['pid']} +3 +(\S+ m?s|\d+ min \d\d s) +\d+ +\d{{4}}-"
        assert re.search(rf"^{line}", out, re.MULTILINE), out
    assert process.returncode == 0
    assert "(0 at work)" in executable("status", "run.db").out
    assert {(worker["current_index"], worker["current_since"]) for worker in status()["workers"]} == {(None, None)}


def test_key_is_shown_where_it_is_recorded(curator, executable, held_run, write_pipeline, folder):
    """An item of which something is recorded already is named."""
    path = write_pipeline(source="Held", held=3, fail=[3])
    (folder / "gate").rename(folder / "closed")
    curator("run", path, "--db", "run.db")
    (folder / "closed").rename(folder / "gate")
    (folder / "mended").touch()
    with held_run("retry", path, held=3) as process:
        out = executable("status", "run.db").out
        assert re.search(r" 3 +n0003 +\S+ (s|ms|min)", out), out
    assert process.returncode == 0


@pytest.mark.parametrize("options", BACKENDS)
def test_workers_of_a_killed_run_are_at_nothing(status, held_run, write_pipeline, options):
    """Once a run was killed and its processes are gone, nobody is shown at an item, however recent that is."""
    with held_run("run", write_pipeline(source="Held", held=1), *options, held=1) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        while has_processes(process.pid):
            time.sleep(0.02)
        left = status()
        assert left["workers"]
        assert at_work(left) == []
        with contextlib.closing(sqlite3.connect("run.db")) as db:
            assert db.execute("SELECT count(*) FROM workers WHERE current_index = 1").fetchone() == (1,)


def has_processes(session):
    """Whether processes of a session are left."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def recorded_run(curator, write_pipeline):
    """A database with a run that has ended."""
    curator("run", write_pipeline(), "--db", "run.db")
    return "run.db"


@pytest.mark.parametrize(
    ("host", "is_running", "shown"),
    [("node7", True, [2]), ("node7", False, []), (socket.gethostname(), True, [])],
)
def test_whom_to_believe(status, recorded_run, host, is_running, shown):
    """While a run goes on, workers elsewhere are believed, however long silent; those that ended here are not."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    columns = "worker_id, run_id, pid, hostname, started_at, last_heartbeat, current_index, current_since"
    values = ("w" * 32, ended.pid, host, SINCE, SINCE, SINCE)
    with contextlib.closing(sqlite3.connect(recorded_run)) as db, db:
        db.execute(f"INSERT INTO workers ({columns}) VALUES (?, 1, ?, ?, ?, ?, 2, ?)", values)
    with exclusive_lock(f"{recorded_run}.lock", timeout_s=0, holder="run") if is_running else contextlib.nullcontext():
        found = at_work(status())
    assert [worker["current_index"] for worker in found] == shown
    assert [worker["current_since"] for worker in found] == [SINCE] * len(shown)


def test_lock_that_cannot_be_asked(status, recorded_run):
    """Where nobody can say whether a run goes on, what the database says is shown."""
    Path(f"{recorded_run}.lock").unlink()
    Path(f"{recorded_run}.lock").mkdir()  # as unreadable as somebody else's, for root too
    with contextlib.closing(sqlite3.connect(recorded_run)) as db, db:
        db.execute("UPDATE workers SET hostname = 'node7', current_index = 2, current_since = ?", (SINCE,))
    assert [worker["current_index"] for worker in at_work(status())] == [2]
