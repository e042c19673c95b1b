"""The contract of backends, as a test class to subclass."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from curator_core.components import Source
from curator_core.errors import ConfigError, RunFailed
from curator_core.pipeline import Pipeline
from curator_core.run import run_pipeline
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


class BackendContract:
    """What every backend must do; override `backend`, and `options` where it needs some."""

    backend: ClassVar[str] = ""
    """Name of the registered backend under test."""
    options: ClassVar[dict[str, Any]] = {}
    """Options to run it with."""
    n_jobs: ClassVar[int] = 2
    """Number of workers."""

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
        """All other indices are processed and recorded; the failed one is told by index and key."""
        pipeline = self.pipeline(tmp_path, 10, {"000003": ["fail"]})
        try:
            self.run(pipeline)
        except RunFailed as failed:
            assert list(failed.failures) == [3]
            assert "planned failure of 000003" in failed.failures[3]
            assert failed.__cause__ is not None
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
            assert [index for index, _ in entries] == list(range(4 * group, 4 * group + 4))
            assert len({process for _, process in entries}) == 1

    def test_refuses_unknown_options(self, tmp_path: Path) -> None:
        """An option it does not know is refused by name, before anything is processed."""
        try:
            self.run(self.pipeline(tmp_path, 3), no_such_option=1)
        except ConfigError as error:
            assert "no_such_option" in str(error)
        else:
            raise AssertionError("the unknown option was accepted")
        assert invocations(tmp_path / "log") == {}


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
