"""Clusters that are there already: a scheduler reached by address, and the active client's."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys

import pytest

from curator_core import run_pipeline
from curator_core.errors import ConfigError
from curator_core.run.backends import dask as backend
from curator_core.store import MetricsStore
from curator_core.testing import FaultySource, JsonSink, NumbersSource, invocations

distributed = pytest.importorskip("distributed")


@pytest.fixture
def cluster():
    """Address of a scheduler in processes of its own, with one worker that the test may kill."""
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        started.append(process)
        return process

    scheduler = start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    address = next(line for line in scheduler.stderr if "Scheduler at:" in line).split()[-1]
    yield address, lambda: start("distributed.cli.dask_worker", address, "--nthreads", "2", "--no-dashboard")
    for process in reversed(started):
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def pipeline(tmp_path):
    source = FaultySource(NumbersSource(40), str(tmp_path / "log"), {"000003": ["fail"]}, pause_s=0.01)
    return source.write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "run.db", resume=True)


def test_running_scheduler(cluster, pipeline, tmp_path):
    """A scheduler's address is enough; workers that join late take part, and the cluster stays as it was."""
    address, start_worker = cluster
    with distributed.Client(address) as client:
        start_worker()
        client.wait_for_workers(1, timeout=60)
        found = run_pipeline(pipeline, backend="dask", address=address, progress=False, on_error="skip")
        assert [bool(paths) for paths in found] == [i != 3 for i in range(40)]
        start_worker()
        client.wait_for_workers(2, timeout=60)
        assert all(run_pipeline(pipeline, backend="dask", address=address, progress=False))
        assert not client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks))
        plugins = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
        assert not [name for name in plugins if name.startswith("curator")]
    assert invocations(tmp_path / "log") == {f"{i:06d}": 1 + (i == 3) for i in range(40)}


def test_active_client_is_picked(pipeline, caplog):
    """With a client in this process, 'auto' takes its cluster, and says so."""
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as local,
        distributed.Client(local),
        caplog.at_level(logging.INFO, "curator"),
    ):
        found = run_pipeline(pipeline, n_jobs=2, progress=False, on_error="skip")
    assert [bool(paths) for paths in found] == [i != 3 for i in range(40)]
    assert "backend 'auto' picked 'dask': there is a client" in caplog.text


def test_no_scheduler(pipeline, monkeypatch, tmp_path):
    """An address where nobody listens is told before anything is processed."""
    monkeypatch.setattr(backend, "CONNECT_TIMEOUT_S", 1.0)
    with pytest.raises(ConfigError, match=r"no dask scheduler at address='tcp://127.0.0.1:1'"):
        run_pipeline(pipeline, backend="dask", address="tcp://127.0.0.1:1", progress=False)
    assert invocations(tmp_path / "log") == {}


def test_workers_without_the_board(pipeline, monkeypatch, tmp_path):
    """Workers that do not share the coordinator's disk tell what they are at over dask's own channel."""
    from curator_core.run.workers.worker import WorkerSetup
    from curator_core.testing.backend_contract import WatchingSource

    database = tmp_path / "far.db"
    far = WatchingSource(3, str(database)).write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=database)
    monkeypatch.setattr(backend, "WorkerSetup", _far_away(WorkerSetup))
    assert all(run_pipeline(far, backend="dask", n_jobs=2, progress=False))
    with MetricsStore(database) as store:
        assert sum(worker["completed_count"] for worker in store.workers(1)) == 3


class _Interrupting(NumbersSource):
    """Ctrl-C reaches the worker while it is at an item."""

    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGINT)
        yield index


def test_workers_of_its_own_cluster_outlive_ctrl_c(tmp_path):
    """A terminal's Ctrl-C reaches the workers as well; what they are at is done and goes to the coordinator."""
    pipeline = _Interrupting(3).write(JsonSink(str(tmp_path / "out")))
    assert all(run_pipeline(pipeline, backend="dask", n_jobs=2, progress=False))


def _far_away(setup):
    return lambda payload, board, **more: setup(payload, board / "on another host", **more)
