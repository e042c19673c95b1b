"""`run_pipeline`: results, failures, options, records."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from curator_core import (
    Pipeline,
    RunBackend,
    RunConfig,
    RunFailed,
    Source,
    get_backend,
    list_backends,
    register_backend,
    run_pipeline,
)
from curator_core.errors import (
    ComponentError,
    ConfigError,
    DuplicateNameError,
    IndexRangeError,
    MissingDependencyError,
    PipelineStateError,
    UnknownNameError,
    WorkerDiedError,
)
from curator_core.storage.locks import exclusive_lock
from curator_core.store import MetricsStore
from curator_core.testing import JsonSink, NumbersSource, invocations, registered


@pytest.fixture
def backend():
    """Register a backend for one test."""
    with registered():
        yield register_backend


def run(pipeline, **options):
    return run_pipeline(pipeline, progress=False, **options)


def test_empty_indices(numbers, tmp_path):
    """Nothing asked for is nothing done, not even a database."""
    assert run(numbers(), indices=[]) == []
    assert not (tmp_path / "run.db").exists()


def test_missing_sink():
    """A pipeline without a sink cannot run, and says how to finish it."""
    with pytest.raises(PipelineStateError, match=r"\.write\(sink\)"):
        run(Pipeline(NumbersSource(2)))
    with pytest.raises(RuntimeError):
        Pipeline(NumbersSource(2))[0]


@pytest.mark.parametrize("index", [5, -1])
def test_index_out_of_range(numbers, index):
    """An index outside the source is a ValueError before anything is processed."""
    with pytest.raises(IndexRangeError, match=f"Index {index} is out of range: the source has 5 items"):
        run(numbers(), indices=[0, index])
    with pytest.raises(ValueError, match="out of range"):
        run(numbers(), indices=[index])


def test_index_given_twice(numbers):
    """An index can be processed once per run."""
    with pytest.raises(ConfigError, match="given twice"):
        run(numbers(), indices=[1, 1])


@pytest.mark.parametrize("n_jobs", [0, 1.5, True, "2"])
def test_wrong_n_jobs(numbers, n_jobs):
    """n_jobs must be a whole number other than 0."""
    with pytest.raises(ConfigError, match="n_jobs"):
        run(numbers(), n_jobs=n_jobs)


def test_n_jobs_counts_from_all_cpus(monkeypatch):
    """-1 is all CPUs, -2 all but one, never below 1."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)))
    assert [RunConfig(n_jobs=n).resolved_n_jobs for n in (-1, -2, -9, 3)] == [4, 3, 1, 3]


def test_unknown_backend(numbers):
    """An unknown backend is a ValueError listing the known ones, nearest first."""
    with pytest.raises(UnknownNameError, match=r"'proces_pool'. Known: process_pool, "):
        run(numbers(), backend="proces_pool")
    with pytest.raises(UnknownNameError, match=r"'Auto'. Known: auto, "):
        run(numbers(), backend="Auto")


def test_unknown_option(numbers):
    """An unknown option is refused by name, with the known ones."""
    with pytest.raises(ConfigError, match=r"option of backend 'process_pool' 'max_worker'. Known: max_workers"):
        run(numbers(), backend="process_pool", n_jobs=2, max_worker=2)


def test_unknown_start_method(numbers):
    """A start method that does not exist is refused before anything is processed."""
    with pytest.raises(ConfigError, match="mp_context='frok'"):
        run(numbers(), n_jobs=2, mp_context="frok")


def test_unknown_on_error(numbers):
    """on_error is one of two words."""
    with pytest.raises(ConfigError, match="'ignore'"):
        run(numbers(), on_error="ignore")


def test_auto_says_what_it_picked(numbers, caplog):
    """The automatic choice is logged."""
    with caplog.at_level(logging.INFO, "curator"):
        run(numbers())
    assert "picked 'sequential'" in caplog.text


def test_run_failed_tells_everything(numbers):
    """RunFailed holds failures, results and the first original exception."""
    with pytest.raises(RunFailed, match="2 of 5 items failed:\n  000001: ComponentError: planned") as caught:
        run(numbers(faults={"000001": ["fail"], "000004": ["fail"]}))
    assert list(caught.value.failures) == [1, 4]
    assert [len(paths) for paths in caught.value.results] == [1, 0, 1, 1, 0]
    assert isinstance(caught.value.__cause__, ComponentError)
    assert isinstance(caught.value, RuntimeError)


def test_skipping_failures_warns(numbers, caplog):
    """on_error="skip" gives an empty list in the place of a failed index and logs which."""
    found = run(numbers(faults={"000001": ["fail"]}), on_error="skip")
    assert [len(paths) for paths in found] == [1, 0, 1, 1, 1]
    assert "000001: ComponentError" in caplog.text


def test_failure_in_a_worker_has_its_traceback(numbers):
    """The original exception of a worker process carries the traceback it had there."""
    with pytest.raises(RunFailed) as caught:
        run(numbers(faults={"000001": ["fail"]}), n_jobs=2)
    assert any("in _act" in note for note in caught.value.__cause__.__notes__)


def test_item_that_kills_its_worker_twice(numbers, tmp_path):
    """Only the item that kills its process fails; it was given a second chance."""
    with pytest.raises(RunFailed) as caught:
        run(numbers(8, faults={"000003": ["kill", "kill"]}), n_jobs=2)
    assert list(caught.value.failures) == [3]
    assert isinstance(caught.value.__cause__, WorkerDiedError)
    assert invocations(tmp_path / "log")["000003"] == 2


def test_item_that_kills_its_worker_once(numbers):
    """An item whose worker was killed once is processed by another one."""
    assert all(run(numbers(8, faults={"000003": ["kill"]}), n_jobs=2))


class BaseExceptionSource(NumbersSource):
    """Item 1 raises an exception that is no Exception."""

    def __getitem__(self, index):
        if index == 1:
            raise SystemExit("the library wants to exit")
        yield index


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_exit_in_an_item_is_a_failure(out, n_jobs):
    """An item that calls sys.exit fails; it does not end the run."""
    found = run(BaseExceptionSource(3).write(JsonSink(out)), n_jobs=n_jobs, on_error="skip")
    assert [len(paths) for paths in found] == [1, 0, 1]


class Simple(RunBackend):
    """The simplest backend."""

    name = "test_simple"

    def run(self, pipeline, config):
        return [pipeline[i] for i in config.indices]


class Threads(RunBackend):
    """Indices in threads."""

    name = "test_threads"

    def run(self, pipeline, config):
        found = {}
        threads = [threading.Thread(target=lambda i=i: found.update({i: pipeline[i]})) for i in config.indices]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [found[i] for i in config.indices]


@pytest.mark.parametrize("cls", [Simple, Threads])
def test_simple_backend(numbers, backend, cls):
    """A backend that only lists pipeline[i] records everything, one failing item included."""
    backend(cls)
    pipeline = numbers(faults={"000002": ["fail"]})
    with pytest.raises(RunFailed) as caught:
        run(pipeline, backend=cls.name)
    assert list(caught.value.failures) == [2]
    assert pipeline.completed_indices == {0, 1, 3, 4}


class Forgetful(RunBackend):
    """Gives no result for the last index."""

    name = "test_forgetful"

    def stream(self, pipeline, config):
        yield from get_backend("sequential").stream(pipeline, RunConfig(items=config.items[:-1]))


def test_result_that_a_backend_forgot(numbers, backend):
    """An index without a result is a failure naming the backend."""
    backend(Forgetful)
    with pytest.raises(RunFailed, match="backend 'test_forgetful' gave no result for item '000004'"):
        run(numbers(), backend="test_forgetful")


def test_backend_names_are_taken_once(backend):
    """A second backend of the same name is refused."""
    backend(Simple)
    with pytest.raises(DuplicateNameError, match="test_simple"):
        register_backend(type("Other", (RunBackend,), {"name": "test_simple", "run": Simple.run}))
    with pytest.raises(ValueError, match="sequential"):
        register_backend(type("Other", (RunBackend,), {"name": "sequential", "run": Simple.run}))


def test_backend_without_a_method_is_refused():
    """A backend must override one of the two methods."""
    with pytest.raises(ConfigError, match=r"must override stream\(\) or run\(\)"):
        register_backend(type("Empty", (RunBackend,), {"name": "test_empty"}))


def test_missing_dependency_names_the_extra(numbers, backend):
    """A backend whose package is missing says what to install, before anything runs."""
    needy = type("Needy", (Simple,), {"name": "test_needy", "requires": ("no_such_package",), "extra": "needy"})
    backend(needy)
    with pytest.raises(MissingDependencyError, match=r"pip install 'curator-dagster\[needy\]'"):
        run(numbers(), backend="test_needy")
    assert list_backends()["test_needy"]["available"] is False


def test_list_backends():
    """Every backend tells description, availability and requirements."""
    known = list_backends()
    assert {"sequential", "process_pool"} <= set(known)
    assert known["sequential"] == {
        "description": "One index after the other, in this process.",
        "available": True,
        "requires": [],
    }


class LockedSink(JsonSink):
    """Holds a lock, which cannot be pickled."""

    def __init__(self, folder):
        super().__init__(folder)
        self.lock = threading.Lock()


def test_unpicklable_component_is_named(out):
    """A component that cannot reach a worker is named, with what to do."""
    with pytest.raises(ConfigError, match=r"LockedSink cannot be sent to a worker process.*Open files"):
        run(NumbersSource(3).write(LockedSink(out)), n_jobs=2)


def failing_initializer():
    raise ValueError("no licence")


def test_failing_initializer_is_told(numbers):
    """A worker that cannot start is a ConfigError with the reason, not a failure of every item."""
    with pytest.raises(ConfigError, match="cannot start: ValueError: no licence"):
        run(numbers(), n_jobs=2, initializer=failing_initializer)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_methods(numbers, method):
    """All start methods of the platform work."""
    assert all(run(numbers(3), n_jobs=2, mp_context=method))


def test_workers_are_replaced(numbers, tmp_path):
    """max_tasks_per_child is passed on."""
    assert all(run(numbers(3), n_jobs=2, max_tasks_per_child=1, mp_context="forkserver"))


def test_pipeline_index(numbers):
    """pipeline[i] processes, records and returns one index; negative ones count from the end."""
    pipeline = numbers(3)
    assert Path(pipeline[-1][0]).name == "item_000002.json"
    assert pipeline.completed_indices == {2}
    with pytest.raises(IndexError, match="out of range"):
        pipeline[3]


def test_pipeline_index_raises_the_original(numbers):
    """pipeline[i] raises what the item failed with, once that is recorded."""
    pipeline = numbers(3, faults={"000001": ["fail"]})
    with pytest.raises(ComponentError, match="planned failure"):
        pipeline[1]
    assert list(pipeline.failed_indices) == [1]


def test_queries_without_tracking(numbers):
    """Every query of an untracked pipeline says why there is no answer."""
    pipeline = numbers(track_metrics=False)
    for name in ("completed_indices", "failed_indices", "metrics", "active_workers"):
        with pytest.raises(PipelineStateError, match="track_metrics=False"):
            getattr(pipeline, name)
    for call in (pipeline.remaining_indices, pipeline.summary, pipeline.reset, lambda: pipeline.reset_index(0)):
        with pytest.raises(RuntimeError, match="track_metrics=False"):
            call()


def test_summary(numbers, tmp_path):
    """The summary counts, times and tells where it is from."""
    pipeline = numbers(4, faults={"000001": ["fail"]})
    run(pipeline, on_error="skip")
    summary = pipeline.summary()
    assert {k: summary[k] for k in ("total", "completed", "failed", "remaining", "workers")} == {
        "total": 4,
        "completed": 3,
        "failed": 1,
        "remaining": 1,
        "workers": 1,
    }
    assert summary["db_path"] == str(tmp_path / "run.db")
    assert summary["config_hash"] == pipeline.config_hash
    assert summary["errors"] == summary["failed"]
    assert list(pipeline.failed_indices) == [1]


def test_workers_whenever_asked(numbers):
    """Who took part is told long after a run; what a killed run left does not look as if it was at work."""
    pipeline = numbers(3)
    run(pipeline)
    with closing(sqlite3.connect(pipeline.db_path)) as db, db:
        db.execute("UPDATE workers SET last_heartbeat = '2001-01-01T00:00:00+00:00', current_index = 2")
    (worker,) = pipeline.active_workers
    assert (worker["pid"], worker["completed_count"], worker["current_index"]) == (os.getpid(), 3, None)
    with exclusive_lock(f"{pipeline.db_path}.lock", timeout_s=0, holder="run"):
        assert pipeline.active_workers[0]["current_index"] == 2


def test_reset(numbers):
    """reset_index opens one index again, reset all of them."""
    pipeline = numbers(3, resume=True)
    run(pipeline)
    pipeline.reset_index(1)
    assert pipeline.remaining_indices() == [1]
    pipeline.reset()
    assert pipeline.remaining_indices() == [0, 1, 2]
    assert (pipeline.summary()["workers"], pipeline.active_workers) == (0, [])
    with MetricsStore(pipeline.db_path) as store:
        assert store.logs(1) == []


def test_index_for_path(numbers, out):
    """The index that wrote a path is found, and what an index wrote."""
    pipeline = numbers(3)
    run(pipeline)
    assert pipeline.index_for_path(f"{out}/item_000001.json") == 1
    assert pipeline.output_paths_for_index(1) == [f"{out}/item_000001.json"]
    assert pipeline.index_for_path("/elsewhere") is None


def test_custom_source_is_abstract():
    """A source without its two methods cannot be made."""
    with pytest.raises(TypeError, match="abstract"):
        type("Empty", (Source,), {})()
