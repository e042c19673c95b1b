"""Shards that a sink only writes and curator publishes; abilities that a component has or not."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from curator_core import Pipeline, ShardedSink, gather_pipeline, run_pipeline
from curator_core.errors import ComponentError, ConfigError, OutputError
from curator_core.filters.statistics.filter import StatisticsFilter
from curator_core.pipeline.abilities import MergesContents, ReadsValues
from curator_core.pipeline.components import Filter, Sink, overrides
from curator_core.testing import DatasetSink, NumbersSource, SinkContract
from curator_core.testing.dummies import AddFilter


class Arrays(ShardedSink[int]):
    """One ``.npz`` file of all items, which says only how a shard is written."""

    def __init__(self, output: str) -> None:
        self.output = output

    @property
    def output_path(self):
        return self.output

    def write_shard(self, items, path):
        np.savez(path, values=np.array(list(items)))  # adds a suffix where there is none

    def retained_items(self, output_path):
        if not Path(output_path).exists():
            return {}
        with np.load(output_path) as arrays:
            return dict(json.loads(str(arrays["versions"])))

    def merge_items(self, items, previous, output_path):
        held = dict(np.load(previous)) if previous else {}
        merged = {item.key: held[item.key] if item.shard is None else np.load(item.shard)["values"] for item in items}
        versions = np.array(json.dumps([(item.key, item.version) for item in items]))
        with Path(output_path).open("wb") as file:
            np.savez(file, versions=versions, **merged)


class TestArrays(SinkContract):
    """The contract of sinks, for one that has `write_shard` alone."""

    def make_sink(self, tmp_path):
        return Arrays(str(tmp_path / "arrays.npz"))

    def make_items(self, index):
        return [index, index + 1]


class Wrong(Arrays):
    """A sink whose way of writing a shard is `wrong`."""

    wrong = staticmethod(id)

    def write_shard(self, items, path):
        list(items)
        self.wrong(path)


def _full(path):
    Path(path).write_text("begun")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _refused(path):
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def test_a_run_merges_the_shards_and_takes_the_rest_from_before(tmp_path):
    """The dataset is made of shards first, later of itself and one shard."""
    for n_items in (2, 3):
        sink = Arrays(str(tmp_path / "all.npz"))
        pipeline = Pipeline(NumbersSource(n_items), sink=sink, db_file=tmp_path / "m.db", resume=True)
        paths = run_pipeline(pipeline, progress=False)
        assert [Path(path).name for path in paths[-1]] == [f"all_shard_{n_items - 1:06d}.npz"]
        gather_pipeline(pipeline)
        with np.load(tmp_path / "all.npz") as arrays:
            assert [arrays[f"{i:06d}"].tolist() for i in range(n_items)] == [[i] for i in range(n_items)]
    assert not list(tmp_path.glob("*shard*"))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (_full, OutputError, r"all_shard_000000\.npz cannot be written: the disk is full"),
        (_refused, PermissionError, "Permission denied"),
        (id, ComponentError, r"Wrong\.write_shard\(\) wrote nothing"),
    ],
)
def test_a_shard_that_is_not_written_leaves_nothing(tmp_path, monkeypatch, wrong, error, message):
    """Whatever goes wrong is said of the shard, and neither it nor a part of it is there."""
    monkeypatch.setattr(Wrong, "wrong", staticmethod(wrong))
    with pytest.raises(error, match=message):
        Wrong(str(tmp_path / "all.npz"))(iter([1]), 0)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_may_be_a_folder(tmp_path, monkeypatch):
    """It replaces the one of an earlier run, as a file does."""
    monkeypatch.setattr(Wrong, "wrong", staticmethod(lambda path: (Path(path).mkdir(), Path(path, "part").touch())))
    sink = Wrong(str(tmp_path / "all.npz"))
    assert sink(iter([1]), 0) == sink(iter([1]), 0) == [str(tmp_path / "all_shard_000000.npz")]
    assert [path.name for path in tmp_path.rglob("*")] == ["all_shard_000000.npz", "part"]


def test_a_full_disk_elsewhere_is_not_the_shards(tmp_path):
    """An error of a stage before, which comes out of the items, is passed on as it is."""

    def items():
        yield 1
        raise OSError(errno.ENOSPC, "no room for the cache")

    with pytest.raises(OSError, match="no room for the cache") as caught:
        Arrays(str(tmp_path / "all.npz"))(items(), 0)
    assert type(caught.value) is OSError
    assert list(tmp_path.iterdir()) == []


def test_a_sink_that_cannot_write_a_shard_is_refused(tmp_path):
    """Before anything is processed, by the name of what it lacks."""

    class Silent(Arrays):
        write_shard = ShardedSink.write_shard

    with pytest.raises(ConfigError, match=r"Silent writes no shards: give it write_shard\(items, path\)"):
        run_pipeline(Pipeline(NumbersSource(1), sink=Silent(str(tmp_path / "x.npz")), track_metrics=False))


def test_abilities_are_told_from_their_absence(tmp_path):
    """Protocols find the methods that a base class lacks; `overrides` finds forms of those that it has."""
    assert isinstance(StatisticsFilter(str(tmp_path / "x.parquet")), MergesContents)
    assert not isinstance(AddFilter(), MergesContents)
    assert not isinstance(DatasetSink("x.json"), ReadsValues)

    class Reporting(AddFilter):
        def artifacts(self):
            return ["x"]

    plain, own = AddFilter(), AddFilter()
    own.artifacts = list  # type: ignore[method-assign]
    assert [overrides(step, Filter.artifacts) for step in (plain, Reporting(), own)] == [False, True, True]
    assert not overrides(DatasetSink("x.json"), Sink.set_source)
