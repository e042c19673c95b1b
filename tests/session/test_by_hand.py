"""Indices processed one by one, filters that nobody can merge, and what is said of gathering."""

from __future__ import annotations

import copy
import json
import logging
import threading
from pathlib import Path
from typing import Any

import pytest

from curator_core import Filter, Pipeline, Sink, run_pipeline
from curator_core.errors import ComponentError, ConfigError, RunFailed
from curator_core.run.due import gathered_later
from curator_core.testing import FaultySource, JsonSink, NumbersSource
from curator_core.testing.dummies import DatasetSink, StatisticsFilter


class Parity(Sink[int]):
    """Items 0 and 2 have one file."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def __call__(self, items, index):
        path = self.folder / f"{index % 2}.json"
        path.write_text(json.dumps(list(items)))
        return [str(path)]


class Growing(Parity):
    """Whose items share files on purpose."""

    appends = True


class Rows(Filter[int]):
    """Accumulates, and has no way to merge."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def __call__(self, items):
        for item in items:
            self.rows.append(item)
            yield item

    def flush(self) -> list[int]:
        return self.rows


class Merging(Rows):
    """Can merge, and has no output."""

    def merge(self, shard_paths, output_path):
        raise NotImplementedError


@pytest.fixture(params=[True, False], ids=["tracked", "untracked"])
def pipeline(request, tmp_path):
    """Makes pipelines of three numbers."""

    def make(sink, **settings):
        tracking = {"db_file": tmp_path / "m.db"} if request.param else {"track_metrics": False}
        return Pipeline(NumbersSource(3), [], sink(str(tmp_path)), **tracking, **settings)

    return make


def test_two_indices_of_one_path(pipeline):
    """The second fails by the names of both, and may be processed again and again."""
    made = pipeline(Parity)
    assert made[0] != made[1]
    assert made[0]
    for _ in range(2):
        with pytest.raises(ComponentError, match=r"returned .*0\.json' for '000002' and for '000000'"):
            made[2]
    if made.track_metrics:
        assert list(made.failed_indices) == [2]


def test_indices_that_share_a_file_on_purpose(pipeline):
    """Their sink says so."""
    made = pipeline(Growing)
    assert made[0] == made[2]


@pytest.mark.parametrize("first", ["run", "by hand"])
def test_another_process_began(tmp_path, first):
    """What is recorded counts, until it is forgotten."""

    def make():
        return Pipeline(NumbersSource(3), [], Parity(str(tmp_path)), db_file=tmp_path / "m.db", resume=True)

    if first == "run":
        run_pipeline(make(), indices=[0, 1], progress=False)
    else:
        assert make()[0]
    made = make()
    with pytest.raises(ComponentError, match="for '000002' and for '000000'"):
        made[2]
    made.reset_index(0)
    assert made[2]


def test_a_filter_that_cannot_be_merged(tmp_path):
    """Refused before the first item where copies of it would hold the parts; in this process it may be asked."""
    for step, lacks in ((Rows(), "no merge"), (Merging(), "no _output_path")):
        made: Pipeline[Any] = Pipeline(NumbersSource(3), [step], JsonSink(str(tmp_path / "out")), track_metrics=False)
        for backend in ("process_pool", "thread_pool"):
            with pytest.raises(ConfigError, match=rf"{type(step).__name__} has flush\(\), but {lacks}.*{backend}"):
                run_pipeline(made, n_jobs=2, backend=backend, progress=False)
        assert not (tmp_path / "out").exists()
        run_pipeline(made, progress=False)
        assert step.flush() == [0, 1, 2]
        for path in (tmp_path / "out").iterdir():
            path.unlink()
        (tmp_path / "out").rmdir()


def test_what_is_due_after_failures(tmp_path, caplog):
    """It is said though the run ends in `RunFailed`; not where somebody gathers afterwards."""
    steps = [StatisticsFilter(str(tmp_path / "table.json"))]
    source = FaultySource(NumbersSource(3), str(tmp_path / "log"), {"000001": ["fail"] * 9})
    made = Pipeline(source, steps, JsonSink(str(tmp_path / "out")), db_file=tmp_path / "m.db", resume=True)
    with caplog.at_level(logging.WARNING, "curator.gather"):
        with gathered_later(), pytest.raises(RunFailed):
            run_pipeline(made, progress=False)
        assert "to be gathered" not in caplog.text
        run_pipeline(made, progress=False, on_error="skip")
        assert caplog.text.count("to be gathered: ") == 1
        with pytest.raises(RunFailed):
            run_pipeline(made.with_settings(resume=False), progress=False)
        assert caplog.text.count("to be gathered: ") == 2


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_pipeline_acts_for_itself(tmp_path, copied):
    """It shares the database that was chosen, and processes with its own components."""
    pipeline = NumbersSource(3).write(JsonSink(str(tmp_path / "a"))).with_settings(db_file=tmp_path / "run.db")
    pipeline[0]
    other = copied(pipeline)
    other.sink = JsonSink(str(tmp_path / "b"))
    assert other[1] == [str(tmp_path / "b/item_000001.json")]
    assert (other.completed_indices, pipeline.completed_indices) == ({1}, {0})
    assert other.db_path == pipeline.db_path


@pytest.mark.parametrize("sink", [JsonSink, DatasetSink])
def test_threads_record_what_they_process_in_one_run(tmp_path, sink):
    """Whoever is first chooses the database and begins the run; the others go on with it, also without resuming."""
    pipeline = NumbersSource(6).write(sink(str(tmp_path / "out"))).with_settings(db_dir=tmp_path / "db")
    start = threading.Barrier(6)

    def process(index):
        start.wait()
        pipeline[index]

    threads = [threading.Thread(target=process, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pipeline.completed_indices == set(range(6))
    assert len(list((tmp_path / "db").glob("*.db"))) == 1
