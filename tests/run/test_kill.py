"""Whatever is killed, whenever: nothing that was recorded is lost or done twice, and the end is the same."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curator_core.store import MetricsStore, read_journals
from curator_core.testing import invocations

TARGET = Path(__file__).with_name("curation_target.py")
N_ITEMS = 60


def with_inputs(folder):
    (folder / "in").mkdir()
    for number in range(N_ITEMS):
        (folder / "in" / f"f{number:03d}.txt").write_text(f"{number} {number + 1}")
    return folder


@pytest.fixture
def curation(tmp_path):
    return with_inputs(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Function that gives the outputs of an undisturbed run."""

    @functools.cache
    def made(sink):
        folder = with_inputs(tmp_path_factory.mktemp("undisturbed"))
        assert end(start(folder, sink, 1)) == 0
        return outputs(folder)

    return made


def start(folder, sink, n_jobs, *more):
    return subprocess.Popen(
        [sys.executable, str(TARGET), sink, str(n_jobs), *more],
        cwd=folder,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_attempts(folder, process, n_attempts):
    """Until that many attempts were made in all, or the process has ended."""
    while process.poll() is None and sum(invocations(folder / "log").values()) < n_attempts:
        time.sleep(0.005)


def end(process):
    """Status of a process whose whole session must be gone soon."""
    process.wait(timeout=30)
    deadline = time.monotonic() + 60
    while True:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < deadline, "a worker outlived its coordinator"
        time.sleep(0.01)
    process.stderr.close()
    return process.returncode


def completed(folder):
    if not (folder / "db" / "run.db").exists():
        return set()
    with MetricsStore(folder / "db" / "run.db") as store:
        run = store.latest_run()
        found = store.items(run.run_id) if run else {}
    return {key for key, record in found.items() if record.status == "completed"}


def kept(folder):
    """Items that are recorded, or in a journal."""
    done = completed(folder)
    with MetricsStore(folder / "db" / "run.db") as store:
        config_hash = store.latest_run().config_hash
    journals = read_journals(folder / "db" / "run.db.journals", config_hash)
    return done | {result.key for _, results in journals for result in results}


def outputs(folder):
    found = [p for p in (folder / "out").iterdir() if p.is_file() and not p.name.endswith("_shards.db")]
    return {p.name: p.read_bytes() for p in found}


def also_in_campaigns(*given):
    """What ``test_random_kills.py`` and the contract of backends have a sample of."""
    return [pytest.param(*one, marks=pytest.mark.campaign) for one in given]


@pytest.mark.parametrize(
    ("sink", "n_jobs"), [("files", 1), *also_in_campaigns(("dataset", 2), ("dataset", 1), ("files", 2))]
)
def test_coordinator_killed_at_random_moments(curation, undisturbed, sink, n_jobs):
    """After kills of the coordinator the outputs are those of an undisturbed run; nothing recorded is redone."""
    chance = random.Random(f"{sink}{n_jobs}")
    done = {}
    for _ in range(4):
        process = start(curation, sink, n_jobs)
        made = sum(invocations(curation / "log").values())
        wait_for_attempts(curation, process, made + chance.randint(1, N_ITEMS // 4))
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        end(process)
        attempts = invocations(curation / "log")
        for key in completed(curation) - set(done):
            done[key] = attempts[key]
    assert end(start(curation, sink, n_jobs)) == 0
    attempts = invocations(curation / "log")
    assert {key: attempts[key] for key in done} == done
    assert outputs(curation) == undisturbed(sink)


def test_kill_loses_no_more_than_the_last_moments(curation):
    """What was processed is soon recorded or in a journal, while the run goes on, and stays so after a kill."""
    process = start(curation, "files", 2, "auto", "0.05")
    wait_for_attempts(curation, process, N_ITEMS // 3)
    before = set(invocations(curation / "log"))
    while not before <= kept(curation):
        time.sleep(0.01)
    process.kill()
    end(process)
    assert before <= kept(curation)


@pytest.mark.parametrize("seed", [1, *also_in_campaigns((2,))])
def test_worker_killed_at_a_random_moment(curation, undisturbed, seed):
    """Items that a killed worker held are processed by another one: the run ends as if nothing had happened."""
    process = start(curation, "dataset", 2)
    wait_for_attempts(curation, process, random.Random(seed).randint(2, N_ITEMS - 10))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(random.Random(seed).choice(children)), signal.SIGKILL)
    errors = process.stderr.read()
    assert end(process) == 0, errors
    assert outputs(curation) == undisturbed("dataset")


@pytest.mark.parametrize(
    ("number", "n_jobs"),
    [(signal.SIGINT, 2), (signal.SIGTERM, 1), *also_in_campaigns((signal.SIGINT, 1), (signal.SIGTERM, 2))],
)
def test_interrupt_stops_cleanly(curation, undisturbed, number, n_jobs):
    """SIGINT and SIGTERM end the run with everything completed recorded, no worker left, and resume goes on."""
    process = start(curation, "dataset", n_jobs)
    wait_for_attempts(curation, process, N_ITEMS // 3)
    process.send_signal(number)
    errors = process.stderr.read()
    assert end(process) == 130, errors
    done = completed(curation)
    assert len(set(invocations(curation / "log")) - done) <= n_jobs
    assert end(start(curation, "dataset", n_jobs)) == 0
    attempts = invocations(curation / "log")
    assert {attempts[key] for key in done} == {1}
    assert outputs(curation) == undisturbed("dataset")
