"""The contract of backends, as a test class to subclass."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from curator_core.errors import ConfigError, PipelineStateError, RunFailed
from curator_core.pipeline.components import Source
from curator_core.pipeline.pipeline import Pipeline
from curator_core.run import get_backend, run_pipeline
from curator_core.store import MetricsStore
from curator_core.testing.dummies import JsonSink, NumbersSource, StatisticsFilter
from curator_core.testing.faults import FaultySource, invocations


class GroupedSource(Source[str]):
    """Items that must be processed in groups of neighbours; each yields the process that read it.

    Parameters
    ----------
    n
        Number of items.
    group_size
        Items per group.
    log
        File that every processed index is appended to.
    """

    def __init__(self, n: int, group_size: int, log: str) -> None:
        self.n = n
        self.group_size = group_size
        self.log = Path(log)

    def __len__(self) -> int:
        return self.n

    def partition_indices(self, indices: Sequence[int]) -> list[list[int]]:
        groups: dict[int, list[int]] = {}
        for index in indices:
            groups.setdefault(index // self.group_size, []).append(index)
        return list(groups.values())

    def __getitem__(self, index: int) -> Generator[str, None, None]:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{index} {os.getpid()}\n")
        yield str(index)


class WatchingSource(Source[int]):
    """Items that wait until the database says that a worker is at them; one that is not heard of in time fails.

    Parameters
    ----------
    n
        Number of items.
    database
        The metrics database of the run.
    """

    patience_s = 20.0

    def __init__(self, n: int, database: str) -> None:
        self.n = n
        self.database = database

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        logging.getLogger("curator.testing").warning("waiting to be seen at %d", index)
        deadline = time.monotonic() + self.patience_s
        while not any(worker["current_index"] == index for worker in self._workers()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody recorded that a worker is at index {index}")
            time.sleep(0.05)
        yield index

    def _workers(self) -> list[dict[str, Any]]:
        with MetricsStore(self.database) as store:
            run = store.latest_run()
            return [] if run is None else store.workers(run.run_id)


class LockedSource(NumbersSource):
    """Numbers, and a lock, which cannot be pickled."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.lock = threading.Lock()


SCRIPT = """
import json, os, sys, time
from pathlib import Path
from curator_core import Filter, Sink, Source, run_pipeline

class Mine(Source):
    def __init__(self, n):
        self.n = n
    def __len__(self):
        return self.n
    def __getitem__(self, index):
        time.sleep(float(Path("pause_s").read_text()))
        yield index

class Twice(Filter):
    def __call__(self, items):
        for item in items:
            yield 2 * item

class Files(Sink):
    def __init__(self, folder):
        self.folder = Path(folder)
    def __call__(self, items, index):
        with (self.folder / "attempts").open("a") as file:
            file.write(f"{index}\\n")
        path = self.folder / f"{index}.txt"
        path.write_text(str(list(items)))
        return [str(path)]

if __name__ == "__main__":
    n, backend, n_jobs, options = sys.argv[1:]
    pipeline = Mine(int(n)).filter(Twice()).write(Files("out"))
    pipeline = pipeline.with_settings(db_file="run.db", resume=True)
    run_pipeline(pipeline, backend=backend, n_jobs=int(n_jobs), progress=False, **json.loads(options))
"""
"""A user's script, with components of its own."""


class BackendContract:
    """What every backend must do; override `backend`, and `options` where it needs some."""

    backend: ClassVar[str] = ""
    """Name of the registered backend under test."""
    options: ClassVar[dict[str, Any]] = {}
    """Options to run it with."""
    n_jobs: ClassVar[int] = 2
    """Number of workers."""
    survives_its_workers: ClassVar[bool] = False
    """Whether workers are processes whose death the run survives."""
    keeps_timeouts: ClassVar[bool | None] = None
    """Whether it knows the option ``timeout``; by default what the backend says, see `RunBackend.takes_timeout`."""
    copies_pipelines: ClassVar[bool | None] = None
    """Whether workers have copies of the pipeline, so that it must be possible to pickle it; by default what the
    backend says, see `RunBackend.copies_pipeline`."""
    script_setup: ClassVar[str] = ""
    """What a script has to do before it can name the backend, unless an entry point makes it known."""
    shows_workers: ClassVar[bool] = True
    """Whether it shows which index every worker is at."""

    @property
    def _streams(self) -> bool:
        """Whether it yields results; one with `run` alone neither hands on exceptions nor says who is at what."""
        return get_backend(self.backend).is_streaming

    def run(self, pipeline: Pipeline[Any], **more: Any) -> list[list[str]]:  # noqa: ANN401 - of run_pipeline
        """Run a pipeline on the backend under test."""
        settings = {"backend": self.backend, "n_jobs": self.n_jobs, "progress": False, **self.options, **more}
        return run_pipeline(pipeline, **settings)

    def pipeline(self, folder: Path, n: int, faults: dict[str, list[str | float]] | None = None) -> Pipeline[Any]:
        """A pipeline with a fault table over `n` items, its files below `folder`."""
        source = FaultySource(NumbersSource(n), str(folder / "log"), faults)
        steps = source.filter(StatisticsFilter(str(folder / "out" / "stats.json")))
        return steps.write(JsonSink(str(folder / "out"))).with_settings(db_file=folder / "run.db", resume=True)

    def test_gives_the_sequential_outputs(self, tmp_path: Path) -> None:
        """Paths, in the order of the indices, and files are those of the sequential backend."""
        here, there = self.pipeline(tmp_path / "a", 12), self.pipeline(tmp_path / "b", 12)
        found = self.run(here)
        expected = run_pipeline(there, backend="sequential", progress=False)
        assert [[Path(p).name for p in paths] for paths in found] == [[Path(p).name for p in ps] for ps in expected]
        assert _texts(tmp_path / "a" / "out") == _texts(tmp_path / "b" / "out")

    def test_keeps_the_order_asked_for(self, tmp_path: Path) -> None:
        """Results stand in the order of `indices`."""
        found = self.run(self.pipeline(tmp_path, 6), indices=[4, 0, 2])
        assert [Path(paths[0]).name for paths in found] == [f"item_{i:06d}.json" for i in (4, 0, 2)]

    def test_processes_every_index_once(self, tmp_path: Path) -> None:
        """No index is left out and none is done twice."""
        self.run(self.pipeline(tmp_path, 30))
        assert invocations(tmp_path / "log") == {f"{i:06d}": 1 for i in range(30)}

    def test_a_failure_stops_nobody(self, tmp_path: Path) -> None:
        """All other indices are processed and recorded; the failed one is named by index and key."""
        pipeline = self.pipeline(tmp_path, 10, {"000003": ["fail"]})
        try:
            self.run(pipeline)
        except RunFailed as failed:
            assert list(failed.failures) == [3]
            assert "planned failure of 000003" in failed.failures[3]
            assert failed.__cause__ is not None or not self._streams
            assert [bool(paths) for paths in failed.results] == [i != 3 for i in range(10)]
        else:
            raise AssertionError("RunFailed was not raised")
        assert pipeline.completed_indices == set(range(10)) - {3}
        assert list(pipeline.failed_indices) == [3]

    def test_failures_can_be_skipped(self, tmp_path: Path) -> None:
        """With ``on_error="skip"`` a failed index gives an empty list."""
        found = self.run(self.pipeline(tmp_path, 4, {"000001": ["fail"]}), on_error="skip")
        assert [bool(paths) for paths in found] == [True, False, True, True]

    def test_resume_processes_what_is_missing(self, tmp_path: Path) -> None:
        """A second run processes the failed index alone and returns all paths."""
        self.run(self.pipeline(tmp_path, 6, {"000002": ["fail"]}), on_error="skip")
        found = self.run(self.pipeline(tmp_path, 6, {"000002": ["fail"]}))
        assert all(found)
        assert invocations(tmp_path / "log") == {f"{i:06d}": 1 + (i == 2) for i in range(6)}

    def test_records_everything(self, tmp_path: Path) -> None:
        """Every index has its stages, whose times sum to its wall time, its artifact and its worker."""
        pipeline = self.pipeline(tmp_path, 5)
        self.run(pipeline)
        with MetricsStore(tmp_path / "run.db") as store:
            run = store.latest_run(pipeline.config_hash)
            assert run is not None
            results = list(store.results(run.run_id))
        assert [result.index for result in results] == list(range(5))
        for result in results:
            assert sum(stage.wall_time_ns for stage in result.stages) == result.wall_time_ns
            assert len(result.artifacts) == 1
            assert result.worker_id

    def test_honours_groups(self, tmp_path: Path) -> None:
        """Indices of a group are processed by one worker, in order."""
        log = tmp_path / "order"
        pipeline = GroupedSource(24, 4, str(log)).write(JsonSink(str(tmp_path / "out")))
        self.run(pipeline.with_settings(db_file=tmp_path / "run.db"))
        seen: dict[int, list[tuple[int, str]]] = {}
        for line in log.read_text().splitlines():
            index, process = line.split()
            seen.setdefault(int(index) // 4, []).append((int(index), process))
        for group, entries in seen.items():
            wanted = list(range(4 * group, 4 * group + 4))
            assert [index for index, _ in entries] == wanted, f"the group {wanted} was processed in another order"
            assert len({process for _, process in entries}) == 1, f"several processes had items of the group {wanted}"

    def test_refuses_unknown_options(self, tmp_path: Path) -> None:
        """An option that is not among those it lists is refused by name, before anything is processed."""
        if get_backend(self.backend).options is None:  # it takes any, and reads them itself
            return
        try:
            self.run(self.pipeline(tmp_path, 3), no_such_option=1)
        except ConfigError as error:
            assert "no_such_option" in str(error)
        else:
            raise AssertionError("the unknown option was accepted")
        assert invocations(tmp_path / "log") == {}

    def test_says_who_is_at_what(self, tmp_path: Path) -> None:
        """While an index is processed, the database says which worker is at it; afterwards nobody is."""
        if not (self.shows_workers and self._streams):
            return
        database = tmp_path / "run.db"
        pipeline = WatchingSource(3, str(database)).write(JsonSink(str(tmp_path / "out")))
        assert all(self.run(pipeline.with_settings(db_file=database)))
        with MetricsStore(database) as store:
            workers = store.workers(1)
        assert {worker["current_index"] for worker in workers} == {None}
        assert sum(worker["completed_count"] for worker in workers) == 3

    def test_keeps_what_workers_log(self, tmp_path: Path) -> None:
        """What an item logs is recorded with its index and its worker."""
        pipeline = self.pipeline(tmp_path, 4, {"000002": ["log"]})
        self.run(pipeline)
        with MetricsStore(tmp_path / "run.db") as store:
            (line,) = [line for line in store.logs(1) if line["logger_name"] == "curator.testing"]
            workers = {worker["worker_id"] for worker in store.workers(1)}
        assert (line["idx"], line["level_name"]) == (2, "WARNING")
        assert line["worker_id"] in workers

    def test_refuses_what_cannot_be_copied(self, tmp_path: Path) -> None:
        """A component that cannot be sent to a worker is refused by name, before anything is processed."""
        pipeline = LockedSource(4).write(JsonSink(str(tmp_path / "out"))).with_settings(track_metrics=False)
        copies = self.copies_pipelines
        if not (get_backend(self.backend).copies_pipeline if copies is None else copies):
            assert all(self.run(pipeline))
            return
        try:
            self.run(pipeline)
        except ConfigError as error:
            assert "LockedSource cannot be sent" in str(error)
        except PipelineStateError:  # it was sent in a way of the backend's own, and the run was stopped
            assert not self._streams
        else:
            raise AssertionError("the component was accepted")
        assert not (tmp_path / "out").exists()

    def test_replaces_a_dead_worker(self, tmp_path: Path) -> None:
        """An item whose worker dies is tried once more; the second death is its failure, and nobody else's."""
        if not self.survives_its_workers:
            return
        pipeline = self.pipeline(tmp_path, 12, {"000003": ["kill"], "000007": ["kill", "kill"]})
        found = self.run(pipeline, on_error="skip")
        assert [bool(paths) for paths in found] == [i != 7 for i in range(12)]
        assert "died twice" in pipeline.failed_indices[7]
        counted = invocations(tmp_path / "log")
        assert counted["000003"] == counted["000007"] == 2

    def test_stops_an_item_that_takes_too_long(self, tmp_path: Path) -> None:
        """Beyond its timeout an item fails, alone; without support for it, the option is refused."""
        backend = get_backend(self.backend)
        keeps_timeouts = backend.takes_timeout if self.keeps_timeouts is None else self.keeps_timeouts
        if backend.options is None and not keeps_timeouts:
            return
        pipeline = self.pipeline(tmp_path, 6, {"000002": [60.0] if keeps_timeouts else []})
        try:
            found = self.run(pipeline, timeout=1.0, on_error="skip")
        except ConfigError:
            assert not keeps_timeouts
            return
        assert keeps_timeouts
        assert [bool(paths) for paths in found] == [i != 2 for i in range(6)]
        assert pipeline.failed_indices[2].startswith("ItemTimeoutError: the item took longer than timeout=1 s")

    def test_runs_components_of_a_script(self, tmp_path: Path) -> None:
        """Components defined in the user's own script work."""
        assert self.script(tmp_path, 5, 0.0).wait(timeout=120) == 0
        assert [(tmp_path / "out" / f"{i}.txt").read_text() for i in range(5)] == [str([2 * i]) for i in range(5)]

    def test_stops_cleanly_at_ctrl_c(self, tmp_path: Path) -> None:
        """SIGINT ends the run soon, what is complete is recorded, and resume does the rest and nothing else."""
        self._interrupted(tmp_path, signal.SIGINT)

    def test_stops_cleanly_at_sigterm(self, tmp_path: Path) -> None:
        """SIGTERM does as SIGINT."""
        self._interrupted(tmp_path, signal.SIGTERM)

    def _interrupted(self, folder: Path, number: signal.Signals) -> None:
        process = self.script(folder, 60, 0.05)
        attempts = folder / "out" / "attempts"
        while process.poll() is None and not (attempts.exists() and len(attempts.read_text().split()) > 10):
            time.sleep(0.01)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        assert process.wait(timeout=60) != 0
        with MetricsStore(folder / "run.db") as store:
            completed = {record.index for record in store.items(1).values() if record.status == "completed"}
        assert 0 < len(completed) < 60
        assert self.script(folder, 60, 0.0).wait(timeout=120) == 0
        counted = Counter(attempts.read_text().split())
        assert set(map(int, counted)) == set(range(60))
        assert all(counted[str(index)] == 1 for index in completed)

    def script(self, folder: Path, n: int, pause_s: float) -> subprocess.Popen[str]:
        """A script with components of its own, started on the backend under test."""
        (folder / "out").mkdir(exist_ok=True)
        (folder / "script.py").write_text(self.script_setup + SCRIPT, encoding="utf-8")
        arguments = [str(n), self.backend, str(self.n_jobs), json.dumps(self.options)]
        (folder / "pause_s").write_text(str(pause_s), encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, "script.py", *arguments], cwd=folder, text=True, start_new_session=True
        )


def _texts(folder: Path) -> dict[str, str]:
    """Content of every file by name; what says whose loose shards lie there is not the same for two folders."""
    files = [path for path in folder.iterdir() if path.suffix not in (".claim", ".lock")]
    return {path.name: path.read_text(encoding="utf-8") for path in files}
