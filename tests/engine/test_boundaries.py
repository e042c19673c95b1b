"""The boundary around one item, and around one worker: what goes wrong there is told by name, and stays there."""

from __future__ import annotations

import decimal
import logging
import os
import pickle
import sys
import threading
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from curator_core import (
    Filter,
    MetricsStore,
    Pipeline,
    RunBackend,
    RunConfig,
    RunFailed,
    gather_pipeline,
    get_backend,
    register_backend,
    run_pipeline,
)
from curator_core.cpus import available_cpus
from curator_core.engine import IndexProcessor
from curator_core.engine.failure import MAX_ERROR, annotate
from curator_core.engine.logcapture import LogCapture
from curator_core.errors import ConfigError, DuplicateNameError, PipelineStateError, WorkerDiedError
from curator_core.records import IndexResult, Item
from curator_core.run.backends import process_pool
from curator_core.run.scheduling.chunks import ChunkQueue
from curator_core.run.scheduling.crash_recovery import MAX_FAILED_STARTS, CrashRecovery
from curator_core.run.workers.keeper import KEEP_AFTER_S, LOOK_S, Keeper
from curator_core.run.workers.sealed import seal, unseal
from curator_core.run.workers.settings import ProcessSettings
from curator_core.run.workers.worker import CHUNK_SECONDS
from curator_core.session.listing import Listing
from curator_core.store import read_journals
from curator_core.store.journal import live_journals
from curator_core.store.writer import BATCH_SECONDS
from curator_core.testing import JsonSink, NumbersSource, StatisticsFilter, registered


class Raises(Filter):
    """Item 1 fails with what it was given."""

    def __init__(self, error):
        self.error = error

    def __call__(self, items):
        for item in items:
            if item == 1:
                raise self.error
            yield item


class NoTextError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class EndingTextError(Exception):
    def __str__(self):
        raise SystemExit(3)


class NotesError(Exception):
    __notes__ = 5  # type: ignore[assignment]


class ClosedError(Exception):
    def __getattribute__(self, name):
        if name in ("__traceback__", "__notes__", "add_note"):
            raise RuntimeError(name)
        return super().__getattribute__(name)


def processed(step, index=1):
    with IndexProcessor(Pipeline(NumbersSource(3), [step], JsonSink("out"))) as process:
        return process(Item(index, f"{index:06d}"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (GeneratorExit(), "GeneratorExit"),
        (NoTextError(), "__str__ raises"),
        (EndingTextError(), "__str__ raises SystemExit"),
        (ClosedError("x"), "ClosedError: x"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_whatever_an_item_raises_is_its_failure(tmp_path, monkeypatch, error, text):
    """Exceptions that end generators or programs, or have no text, fail their item like any other."""
    monkeypatch.chdir(tmp_path)
    result = processed(Raises(error))
    assert result.status == "error"
    assert text in result.error
    assert pickle.loads(pickle.dumps(result)).error == result.error


@pytest.mark.parametrize("error", [NotesError("why"), ClosedError("why")])
def test_exceptions_that_take_no_note(tmp_path, monkeypatch, error):
    """A run whose first failure takes no note ends as any other."""
    monkeypatch.chdir(tmp_path)

    class Drops(Raises):
        def artifacts(self):
            raise SystemExit

    pipeline = Pipeline(NumbersSource(3), [Drops(error)], JsonSink("out"), track_metrics=False)
    annotate(error, "In a worker process: …")
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline, progress=False)
    assert "why" in failed.value.failures[1]


def test_the_working_directory_is_removed(tmp_path, monkeypatch):
    """What an item writes elsewhere is complete, and later items are processed, when nobody can go back."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    class Removes(Filter):
        def __call__(self, items):
            for item in items:
                if item == 1:
                    (tmp_path / "here").rmdir()
                yield item

    pipeline = Pipeline(NumbersSource(3), [Removes()], JsonSink(str(tmp_path / "out")))
    with IndexProcessor(pipeline) as process:
        results = [process(Item(index, f"{index:06d}")) for index in range(3)]
    assert [result.error for result in results] == [None] * 3


def test_numbers_and_imports_are_as_before(tmp_path, monkeypatch):
    """Precision of decimal and entries of sys.path that an item changed are put back; what it added stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = (decimal.getcontext().prec, list(sys.path))

    class Sets(Filter):
        def __call__(self, items):
            for item in items:
                if item == 1:
                    decimal.getcontext().prec = 2
                    sys.path[:] = ["added"]
                if item == 2:
                    decimal.setcontext(decimal.Context(prec=3))
                yield item

    with decimal.localcontext(), IndexProcessor(Pipeline(NumbersSource(3), [Sets()], JsonSink("out"))) as process:
        for index in range(3):
            result = process(Item(index, f"{index:06d}"))
            assert (decimal.getcontext().prec, sys.path[: len(before[1])]) == before
            assert any("decimal" in line.message for line in result.logs) is (index > 0)
    assert sys.path == [*before[1], "added"]


def test_long_texts_are_shortened(tmp_path, monkeypatch):
    """Error, traceback and log lines of megabytes are cut, which is said."""
    monkeypatch.chdir(tmp_path)

    def loud(items):
        logging.getLogger("loud").warning("y" * 1_000_000)
        yield from items

    result = processed(
        type("Loud", (Raises,), {"__call__": lambda self, items: loud(Raises.__call__(self, items))})(
            ValueError("x" * 1_000_000)
        )
    )
    assert len(result.error) < MAX_ERROR + 100
    assert "left out" in result.error
    assert len(result.traceback) < 50_000
    assert len(result.logs[0].message) < 10_000


@pytest.mark.parametrize(("message", "arguments"), [("%(missing)s", ({"a": 1},)), ("%s", (NoTextError(),)), ("%d", ())])
def test_log_call_that_does_not_fit(message, arguments):
    """A log call whose arguments fit in no way is kept as well as possible, and raises nothing."""
    capture = LogCapture()
    capture.begin()
    capture.emit(logging.LogRecord("odd", logging.WARNING, "file.py", 1, message, arguments, None))
    (line,) = capture.end()
    assert message in line.message


class Changes(Filter):
    """Item 1 changes what all items share."""

    def __call__(self, items):
        for item in items:
            if item == 1:
                Path("elsewhere").mkdir(exist_ok=True)
                os.chdir("elsewhere")
                os.umask(0o777)
                sys.setrecursionlimit(sys.getrecursionlimit() - 100)
                warnings.simplefilter("error", ResourceWarning)
            yield item


@pytest.mark.parametrize("is_absolute", [True, False])
def test_what_an_item_changes_is_put_back(tmp_path, monkeypatch, is_absolute):
    """Folder, mask, recursion limit and warnings are as before; a relative output elsewhere fails its item."""
    monkeypatch.chdir(tmp_path)
    mask = os.umask(0o22)
    before = (Path.cwd(), sys.getrecursionlimit(), list(warnings.filters))
    try:
        sink = JsonSink(str(tmp_path / "out") if is_absolute else "out")
        with IndexProcessor(Pipeline(NumbersSource(3), [Changes()], sink)) as process:
            results = [process(Item(index, f"{index:06d}")) for index in range(3)]
        assert os.umask(0o22) == 0o22
    finally:
        os.umask(mask)
    assert (Path.cwd(), sys.getrecursionlimit(), list(warnings.filters)) == before
    assert [result.is_completed for result in results] == [True, is_absolute, True]
    assert any("umask" in line.message and "000001" in line.message for line in results[1].logs)


def test_lines_of_a_components_threads(tmp_path, monkeypatch):
    """What threads of a component log belongs to the item, where the process has one at a time."""
    monkeypatch.chdir(tmp_path)

    class Threads(Filter):
        def __call__(self, items):
            thread = threading.Thread(target=logging.getLogger("inner").warning, args=("seen",))
            thread.start()
            thread.join()
            yield from items

    assert [line.message for line in processed(Threads()).logs] == ["seen"]


class OddListing(NumbersSource):
    """A source one of whose items has a key or a fingerprint that is wrong."""

    def __init__(self, n, wrong):
        super().__init__(n)
        self.wrong = wrong

    def key(self, index):
        if index == 1 and self.wrong == "key":
            raise ValueError("no header")
        return super().key(index)

    def fingerprint(self, index):
        if self.wrong == "kind":
            return b"digest"
        if index == 1 and self.wrong == "fingerprint":
            raise ValueError("no header")
        return "na\udce9" if self.wrong == "surrogate" else "same"


def test_item_without_key_fails_alone(tmp_path, caplog):
    """The item whose key cannot be had is told by its index; all others are processed."""
    pipeline = Pipeline(OddListing(3, "key"), [], JsonSink(str(tmp_path / "o")), db_file=tmp_path / "m.db")
    run_pipeline(pipeline, progress=False, on_error="skip")
    assert pipeline.completed_indices == {0, 2}
    assert "item 1: ValueError: no header" in caplog.text


def test_fingerprints_that_are_no_texts():
    """One that cannot be had is missing, one that UTF-8 cannot hold is escaped, another kind is refused."""
    assert Listing.of(OddListing(3, "fingerprint")).fingerprints == ["same", None, "same"]
    assert Listing.of(OddListing(1, "surrogate")).fingerprints == ["na\\udce9"]
    with pytest.raises(ConfigError, match=r"OddListing: the fingerprint of item 0.*bytes.*hexdigest"):
        Listing.of(OddListing(3, "kind"))


@pytest.mark.parametrize("indices", [[0.0], "0", [True], [None], 0, np.array([True, False]), [[0]]])
def test_indices_that_are_no_integers(tmp_path, indices):
    """They are refused before anything is processed."""
    with pytest.raises(ConfigError, match=r"integer"):
        run_pipeline(NumbersSource(2).write(JsonSink(str(tmp_path / "o"))), indices=indices, progress=False)
    assert not (tmp_path / "o").exists()


def test_numpy_indices(tmp_path):
    """NumPy's integers are taken as Python's."""
    listing = Listing.of(NumbersSource(3))
    assert [type(index) for index in listing.checked(np.array([2, 0]))] == [int, int]
    pipeline = NumbersSource(2).write(JsonSink(str(tmp_path / "o"))).with_settings(track_metrics=False)
    assert len(pipeline[np.int64(1)]) == 1
    with pytest.raises(ConfigError, match="bool"):
        pipeline[True]


def test_results_held_back_are_kept(tmp_path):
    """What a worker has done of a chunk is in its journal soon, while the chunk goes on."""
    keeper = Keeper((tmp_path, "a" * 64))
    chunk = keeper.begin()
    chunk.append(IndexResult(0, "a", "completed"))
    while not read_journals(tmp_path, "a" * 64):
        time.sleep(0.01)
    chunk.append(IndexResult(1, "b", "completed"))
    keeper.close()
    ((_, results),) = read_journals(tmp_path, "a" * 64)
    assert [result.key for result in results] == ["a", "b"]


def test_results_that_were_handed_over_can_be_kept(tmp_path):
    """When the coordinator dies, the latest chunks go to the journal, each result once, in order."""
    keeper = Keeper((tmp_path, "a" * 64))
    for key in "abcd":
        keeper.begin().append(IndexResult(ord(key), key, "completed"))
        keeper.end()
    keeper.save()
    keeper.save()
    assert not live_journals(tmp_path, "a" * 64)
    keeper.close()
    ((_, results),) = read_journals(tmp_path, "a" * 64)
    assert [result.key for result in results] == ["b", "c", "d"]


def test_delays_of_results_add_up_to_less_than_200_ms():
    """What a worker holds back and what waits for its commit leave 50 ms for the way between."""
    assert KEEP_AFTER_S + LOOK_S + BATCH_SECONDS < 0.151
    assert KEEP_AFTER_S > CHUNK_SECONDS  # quick chunks write no journal


def test_quick_chunks_write_no_journal(tmp_path):
    """A chunk that ends soon leaves nothing."""
    keeper = Keeper((tmp_path / "journals", "a" * 64))
    keeper.begin().append(IndexResult(0, "a", "completed"))
    keeper.end()
    keeper.close()
    assert not (tmp_path / "journals").exists()


def test_workers_that_never_start():
    """After some attempts that begin nothing the run gives up; no item is blamed."""
    recovery = CrashRecovery(RunConfig(), knows_all=True)
    queue = ChunkQueue([])
    for _ in range(MAX_FAILED_STARTS - 1):
        assert recovery.attribute([[[Item(0, "a")]]], queue) == []
        queue.take()
    with pytest.raises(WorkerDiedError, match="do not start"):
        recovery.attribute([[[Item(0, "a")]]], queue)


def test_partial_groups_are_handed_out_again():
    """Of a group that its worker left unfinished, the rest comes next."""
    group = [Item(index, str(index)) for index in range(3)]
    queue = ChunkQueue([group])
    queue.finished(queue.take(), [IndexResult(0, "0", "completed")])
    assert queue.take() == [group[1:]]


def test_setup_in_a_file_is_sealed(tmp_path):
    """It shows nothing of its content, only its owner reads it, and nobody can put another in its place."""
    key = seal(tmp_path / "setup", {"token": "abracadabra"})
    content = (tmp_path / "setup").read_bytes()
    assert b"abracadabra" not in content
    assert (tmp_path / "setup").stat().st_mode & 0o077 == 0
    assert unseal(tmp_path / "setup", key) == {"token": "abracadabra"}
    (tmp_path / "setup").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WorkerDiedError, match="somebody else"):
        unseal(tmp_path / "setup", key)


def test_workers_take_over_settings(tmp_path, monkeypatch):
    """Folder, variables and log levels are those of the coordinator; what joblib set for a worker stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CURATOR_TEST_NEW", "1")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    logger = logging.getLogger("curator_test_levels")
    logger.setLevel(logging.DEBUG)
    settings = ProcessSettings.of_this_process()
    monkeypatch.chdir("/")
    monkeypatch.delenv("CURATOR_TEST_NEW")
    monkeypatch.setenv("CURATOR_TEST_STALE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    logger.setLevel(logging.ERROR)
    settings.apply()
    assert (Path.cwd(), os.environ["CURATOR_TEST_NEW"], logger.level) == (tmp_path, "1", logging.DEBUG)
    assert "CURATOR_TEST_STALE" not in os.environ
    assert os.environ["OMP_NUM_THREADS"] == "3"
    logger.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("own", "files", "n_cpus"),
    [
        ("0::/job\n", {"cpu.max": "max 100000", "job/cpu.max": "150000 100000"}, 2),
        ("0::/of/the/host\n", {"cpu.max": "50000 100000"}, 1),
        (
            "3:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            1,
        ),
        ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ("", {}, 64),
    ],
)
def test_quota_of_a_container(tmp_path, monkeypatch, own, files, n_cpus):
    """The quota of either version of control groups counts, rounded up."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert available_cpus(tmp_path, tmp_path / "own") == n_cpus


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_workers", 0),
        ("max_workers", -5),
        ("max_workers", True),
        ("max_tasks_per_child", 0),
        ("initializer", "run"),
        ("initargs", 3),
        ("mp_context", 7),
    ],
)
def test_wrong_options_of_the_process_pool(tmp_path, option, value):
    """They are refused by name, with one worker, too."""
    pipeline = NumbersSource(2).write(JsonSink(str(tmp_path)))
    for n_jobs in (1, 2):
        with pytest.raises(ConfigError, match=option):
            run_pipeline(pipeline, n_jobs=n_jobs, backend="process_pool", progress=False, **{option: value})


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("initializer", {"initializer": lambda: None}),
        ("initargs", {"initializer": print, "initargs": (threading.Lock(),)}),
    ],
)
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_initializers_that_cannot_be_sent(tmp_path, monkeypatch, option, options, method):
    """A lambda, or an argument that holds a lock, is refused by name before a worker is started."""
    monkeypatch.setattr(process_pool, "is_main_loaded", lambda: True)  # as in a script; here, it depends on pytest
    pipeline = NumbersSource(2).write(JsonSink(str(tmp_path)))
    with pytest.raises(ConfigError, match=f"{option} cannot be sent to a worker process .*{method}"):
        run_pipeline(pipeline, n_jobs=2, backend="process_pool", mp_context=method, progress=False, **options)


class Bad(Filter):
    def __call__(self, items):
        for item in items:
            if item == 1:
                raise ValueError("bad")
            yield item


def one(pipeline, index):
    return pipeline[index]


class Spread(RunBackend):
    name = "test_spread"

    def run(self, pipeline, config):
        with ProcessPoolExecutor(1) as pool:
            return [pool.submit(one, pipeline, index).result() for index in config.indices]


@pytest.fixture
def spread():
    with registered(Spread):
        yield


def test_custom_backend_in_processes(tmp_path, spread):
    """Failures, times, shards and workers of a simple backend in other processes are those of any other."""
    steps = [Bad(), StatisticsFilter(str(tmp_path / "s.json"))]
    pipeline = Pipeline(NumbersSource(3), steps, JsonSink(str(tmp_path / "o")), db_file=tmp_path / "m.db")
    run_pipeline(pipeline, n_jobs=2, backend="test_spread", progress=False, on_error="skip", own_option=1)
    assert (pipeline.completed_indices, pipeline.failed_indices) == ({0, 2}, {1: "ValueError: bad"})
    assert gather_pipeline(pipeline) == [str(tmp_path / "s.json")]
    with MetricsStore(tmp_path / "m.db") as store:
        assert len(store.metrics(store.latest_run().run_id)[0].stages) == 4
    assert pipeline.summary()["workers"] == 1


@pytest.mark.parametrize("returned", [None, [], [["a"], 3], "ab"])
def test_backend_that_returns_something_else(tmp_path, returned):
    """It is told by its name what it must return."""
    odd = type("Odd", (RunBackend,), {"name": "test_odd", "run": lambda *_: returned})
    with registered(odd), pytest.raises(PipelineStateError, match="test_odd"):
        run_pipeline(
            NumbersSource(2).write(JsonSink(str(tmp_path))), backend="test_odd", progress=False, db_dir=tmp_path / "db"
        )


def test_backends_by_name(spread):
    """A name gives an instance; a name is taken once; a class that says nothing has no instances."""
    assert isinstance(get_backend("test_spread"), Spread)
    with pytest.raises(DuplicateNameError):
        register_backend(Spread)
    with pytest.raises(TypeError, match="stream"):
        type("Nothing", (RunBackend,), {"name": "nothing"})()


class EndsWhenSent(NumbersSource):
    """Ends the process that unpickles it."""

    def __setstate__(self, state):
        raise SystemExit(4)


def test_component_that_ends_its_worker_at_the_start(tmp_path):
    """It is a worker that cannot start, as with any other exception."""
    pipeline = Pipeline(EndsWhenSent(2), [], JsonSink(str(tmp_path)), track_metrics=False)
    with pytest.raises(ConfigError, match="A worker cannot start: SystemExit: 4"):
        run_pipeline(pipeline, backend="thread_pool", n_jobs=2, progress=False)


@pytest.mark.parametrize("timeout", [float("inf"), 1e12, np.float64(1e9)])
@pytest.mark.parametrize("n_jobs", [np.int64(1), np.int32(-1)])
def test_limits_and_workers_in_other_numbers(tmp_path, timeout, n_jobs):
    """A limit longer than any item takes is none, and NumPy's integers are numbers of workers."""
    pipeline = Pipeline(NumbersSource(2), [], JsonSink(str(tmp_path)), track_metrics=False)
    assert len(run_pipeline(pipeline, backend="sequential", n_jobs=n_jobs, timeout=timeout, progress=False)) == 2
    options = {"max_workers": np.int64(2)}
    assert len(run_pipeline(pipeline, backend="thread_pool", n_jobs=np.int64(2), progress=False, **options)) == 2


def test_backend_that_is_no_name(tmp_path):
    """A list in place of a backend's name is told as an unknown one."""
    pipeline = Pipeline(NumbersSource(2), [], JsonSink(str(tmp_path)), track_metrics=False)
    with pytest.raises(ConfigError, match="Unknown backend"):
        run_pipeline(pipeline, backend=["sequential"], progress=False)
