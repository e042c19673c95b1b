"""CPU time and memory of tasks, from a cluster's accounting."""

import json
import os
import re
import time

import pytest

from curator_core import MetricsStore
from curator_core.cli import main
from curator_core.errors import ArrayUnfinishedError
from curator_core.run.backends.slurm import watch as slurm_watch
from curator_core.run.backends.slurm.array import ArrayFolder
from curator_core.slurm import ArrayState, TaskUsage, accounting, array_states, cancel
from curator_core.slurm.accounting import read_accounts
from curator_core.testing import FileSource


def on_slurm(test):
    """Mark a test that needs the cluster; reading what sacct prints does not."""
    return pytest.mark.slow(pytest.mark.slurm(pytest.mark.xdist_group("slurm")(test)))


class Heavy(FileSource):
    """Files whose reading takes half a second of CPU time and 64 MiB."""

    def __getitem__(self, index):
        held = bytearray(os.urandom(1024)) * 2**16
        before = os.times().user
        while os.times().user - before < 0.5:
            sum(range(100_000))
        assert len(held) == 2**26
        yield from super().__getitem__(index)


def test_what_sacct_prints_is_read():
    """Steps belong to their task; what is not measured is unknown, not zero; other lines are passed over."""
    lines = """\
12_0|COMPLETED|1-02:03:04||93784|2
12_0.batch|COMPLETED|1-02:03:04|65212416|93784|2
12_0.extern|COMPLETED|00:00:00|1024K|93784|2
12_1|CANCELLED by 1000|02:00:01||7300|1
12_1.batch|CANCELLED|02:00:01||7300|1
12_10|OUT_OF_MEMORY|00:00.320||3|4
12_10.batch|OUT_OF_MEMORY|00:00.320|1.50G|3|4
12_11|RUNNING|||17|4
12_[12-20%4]|PENDING|00:00:00||0|1
12_21|TIMEOUT|INVALID||600|1"""
    assert read_accounts(lines.splitlines()) == {
        0: TaskUsage(ArrayState.COMPLETED, 93784, 2, 93784.0, 65212416),
        1: TaskUsage(ArrayState.CANCELLED, 7300, 1, 7201.0, None),
        10: TaskUsage(ArrayState.OUT_OF_MEMORY, 3, 4, 0.32, 3 * 2**29),
        11: TaskUsage(ArrayState.RUNNING, 17, 4, None, None),
        21: TaskUsage(ArrayState.TIMEOUT, 600, 1, None, None),
    }


@on_slurm
def test_a_run_tells_what_its_tasks_used(folder, run, accounted, resources, capsys):
    """One worker for each task, with its job; the totals in status, in its JSON and in the report."""
    for path in sorted((folder / "in").iterdir())[3:]:
        path.unlink()
    few = type(resources)(time=resources.time, mem=resources.mem, max_array_size=2)
    run(source=Heavy("in", by_content=True), cluster=accounted, resources=few)
    with MetricsStore(folder / "db" / "run.db") as store:
        workers = store.workers(1)
        used = store.job_usage(1)
    assert sorted(worker["completed_count"] for worker in workers) == [1, 2]
    assert {worker["job"].partition("_")[2] for worker in workers} == {"0", "1"}
    assert {worker["job_state"] for worker in workers} == {"completed"}
    assert used.n_jobs == 2
    assert 1.5 < used.cpu_s < 60
    assert used.allotted_s == sum(worker["elapsed_s"] * worker["n_cpus"] for worker in workers)
    assert used.peak_memory_bytes > 2**26
    capsys.readouterr()
    main(["status", "db/run.db"])
    assert re.search(r"cluster jobs +2, CPU time ", capsys.readouterr().out)
    main(["status", "db/run.db", "--json"])
    assert json.loads(capsys.readouterr().out)["cluster_jobs"] == {
        "n_jobs": 2,
        "cpu_s": used.cpu_s,
        "allotted_s": used.allotted_s,
        "peak_memory_bytes": used.peak_memory_bytes,
        "efficiency": used.efficiency,
    }
    assert main(["report", "db/run.db", "-o", "report.html"]) == 0
    assert "<dt>cluster jobs</dt><dd>2, CPU time " in (folder / "report.html").read_text()


@pytest.fixture(params=["exit 1", "echo nonsense", "exec sleep 600"], ids=["down", "nonsense", "hangs"])
def broken_sacct(request, tmp_path, monkeypatch):
    """In place of the real one."""
    program = tmp_path / "bin" / "sacct"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{request.param}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    monkeypatch.setattr(accounting, "TIMEOUT_S", 1.0)


@pytest.mark.campaign
@on_slurm
@pytest.mark.usefixtures("broken_sacct")
def test_accounting_that_fails_harms_no_run(folder, run, accounted, resources, caplog):
    """One warning; everything is done and recorded."""
    assert len(run(cluster=accounted, resources=resources)) == 12
    (told,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert told.startswith("CPU time and memory of the SLURM tasks are not known: ")
    with MetricsStore(folder / "db" / "run.db") as store:
        assert store.job_usage(1) is None
        assert store.counts(1) == {"completed": 12}


@on_slurm
def test_a_cluster_without_accounting_says_nothing(folder, run, caplog):
    """No warning, nothing recorded, and no wait."""
    run()
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    with MetricsStore(folder / "db" / "run.db") as store:
        assert store.job_usage(1) is None
        assert len(store.workers(1)) == 12


@on_slurm
def test_what_slurm_has_forgotten_the_accounts_know(folder, run, accounted, resources, monkeypatch):
    """A task that was cancelled is not taken for one that died, however long ago that was."""
    few = type(resources)(time=resources.time, mem=resources.mem, max_array_size=2)
    with pytest.raises(ArrayUnfinishedError) as caught:
        run(cluster=accounted, resources=few, pause_s=5.0, wait=False)
    wait_until((folder / "log").exists)
    cancel(*caught.value.job_ids)
    wait_until(lambda: all(state.is_over for state in array_states(*caught.value.job_ids).values()))
    monkeypatch.setattr(slurm_watch, "array_states", lambda _: {})
    watched = slurm_watch.WatchedArray(ArrayFolder(next((folder / "db").glob("*.slurm/*"))), *caught.value.job_ids)
    wait_until(lambda: watched.states() == dict.fromkeys(range(2), ArrayState.CANCELLED))


def wait_until(claim, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.1)
