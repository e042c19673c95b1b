"""Components that misbehave, and what is recorded of an item."""

from __future__ import annotations

import logging
import resource
from pathlib import Path

import pytest

from curator_core import (
    Filter,
    RunFailed,
    Sink,
    run_pipeline,
)
from curator_core.errors import (
    ConfigError,
    DuplicateKeyError,
)
from curator_core.store import MetricsStore
from curator_core.testing import JsonSink, NumbersSource


def run(pipeline, **options):
    return run_pipeline(pipeline, progress=False, **options)


class SilentSource(NumbersSource):
    """Yields nothing."""

    def __getitem__(self, index):
        yield from ()


def test_item_without_values(out):
    """An item that yields nothing is written as an empty one."""
    ((path,),) = run(SilentSource(1).write(JsonSink(out)))
    assert Path(path).read_text() == "[]"


class BadFilter(Filter[int]):
    """Returns something that is no generator."""

    def __init__(self, what):
        self.what = what

    def __call__(self, items):
        return list(items) if self.what == "list" else None


@pytest.mark.parametrize(("what", "told"), [("list", "returned list, not a generator"), ("none", "returned NoneType")])
def test_filter_that_does_not_yield(out, what, told):
    """A filter that returns a list or nothing is told so by name."""
    with pytest.raises(RunFailed, match=f"BadFilter {told}"):
        run(NumbersSource(1).filter(BadFilter(what)).write(JsonSink(out)))


class BadSink(Sink[int]):
    """Returns something that is no list of existing paths."""

    def __init__(self, returned):
        self.returned = returned

    def __call__(self, items, index):
        list(items)
        return self.returned


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("file.txt", "must return the list of paths"),
        (None, "returned None"),
        (["/no/such/file"], "nothing at that path"),
        (["/tmp/\udcff"], "no UTF-8"),
    ],
)
def test_sink_that_returns_no_paths(returned, told):
    """A sink's return value is checked: a string, nothing, a path that is not there."""
    with pytest.raises(RunFailed, match=told):
        run(NumbersSource(1).write(BadSink(returned)).with_settings(track_metrics=False))


class SameKeys(NumbersSource):
    """Items 1 and 3 have one key."""

    def key(self, index):
        return f"k{index % 2 if index in {1, 3} else index}"


def test_duplicate_keys_name_both_items(out):
    """Two items of one key stop the run before it begins."""
    with pytest.raises(DuplicateKeyError, match="items 1 and 3 have the same key 'k1'"):
        run(SameKeys(4).write(JsonSink(out)))


class OddKeys(NumbersSource):
    """A key that UTF-8 cannot hold."""

    def key(self, index):
        return f"\udcff{index}"


def test_key_that_is_no_utf8(out):
    """A key that cannot be stored is told with its item."""
    with pytest.raises(ConfigError, match="the key of item 0"):
        run(OddKeys(2).write(JsonSink(out)))


class Talkative(NumbersSource):
    """Logs, and raises with a text that UTF-8 cannot hold."""

    def __getitem__(self, index):
        logging.getLogger("talk").warning("reading %s", index)
        if index == 1:
            raise ValueError("bad name \udcff")
        yield index


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_logs_have_worker_and_index(tmp_path, out, n_jobs):
    """What a worker logs reaches the logs table with its index; odd characters do not stop the run."""
    pipeline = Talkative(3).write(JsonSink(out)).with_settings(db_file=tmp_path / "run.db")
    run(pipeline, n_jobs=n_jobs, on_error="skip")
    with MetricsStore(tmp_path / "run.db") as store:
        logs = store.logs(1)
        workers = {worker["worker_id"] for worker in store.workers(1)}
    assert {(log["idx"], log["message"], log["level_name"]) for log in logs} == {
        (i, f"reading {i}", "WARNING") for i in range(3)
    }
    assert {log["worker_id"] for log in logs} <= workers
    assert pipeline.failed_indices == {1: "ValueError: bad name \\udcff"}


class Hungry(NumbersSource):
    """Item 1 allocates 200 MB with NumPy."""

    def __getitem__(self, index):
        if index == 1:
            import numpy as np

            np.ones(25_000_000)
        yield index


def test_memory_peak_sees_numpy(tmp_path, out):
    """The peak of an item counts memory of C libraries, and is of that item alone."""
    pipeline = Hungry(3).write(JsonSink(out)).with_settings(db_file=tmp_path / "run.db")
    run(pipeline)
    low, high, after = (index.peak_memory_bytes for index in pipeline.metrics.indices)
    assert high - low > 180e6
    assert high - after > 180e6


def test_stage_times_sum_to_the_wall_time(numbers):
    """Stages are exclusive: their times sum to the index's wall time."""
    pipeline = numbers(3, faults={"000001": [0.05]})
    run(pipeline)
    for index in pipeline.metrics.indices:
        assert sum(stage.wall_time_ns for stage in index.stages) == index.wall_time_ns
        assert [stage.name for stage in index.stages] == ["FaultySource", "JsonSink"]
    assert pipeline.metrics.indices[1].stages[0].wall_time_ns > 50e6


class TwiceFilter(Filter[int]):
    """A third party's accumulating filter, as other packages write them."""

    def __init__(self, output):
        self._output_path = Path(output)
        self._seen = []

    def __call__(self, items):
        for item in items:
            self._seen.append(item)
            yield item

    def flush(self):
        self._output_path.write_text(",".join(map(str, self._seen)))
        self._seen = []

    def merge(self, shard_paths, output_path):
        Path(output_path).write_text(";".join(Path(path).read_text() for path in shard_paths))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_accumulating_filters_of_third_parties(tmp_path, out, n_jobs):
    """A filter with flush(), merge() and _output_path gets a shard per index and is merged in order."""
    from curator_core import gather_pipeline

    (tmp_path / "t").mkdir()
    twice = TwiceFilter(str(tmp_path / "t" / "seen.csv"))
    pipeline = NumbersSource(4, 2).filter(twice).write(JsonSink(out))
    run(pipeline, n_jobs=n_jobs)
    assert gather_pipeline(pipeline) == [str(tmp_path / "t" / "seen.csv")]
    assert (tmp_path / "t" / "seen.csv").read_text() == "0,0;1,1;2,2;3,3"
    assert twice._output_path == tmp_path / "t" / "seen.csv"


def test_output_folder_that_cannot_be_made(tmp_path):
    """An output below a file fails every item by name; nothing is recorded as complete."""
    (tmp_path / "file").write_text("")
    pipeline = NumbersSource(2).write(JsonSink(str(tmp_path / "file" / "out")))
    with pytest.raises(RunFailed, match=r"NotADirectoryError|FileExistsError"):
        run(pipeline)
    assert pipeline.completed_indices == set()


class BigSource(NumbersSource):
    """Item 1 is too large for the limit on files."""

    def __getitem__(self, index):
        yield from range(300_000 if index == 1 else 1)


def test_disk_full_for_one_item(tmp_path, out):
    """An item whose output cannot be written completely fails, and leaves nothing that looks complete."""
    import signal

    pipeline = BigSource(3).write(JsonSink(out)).with_settings(db_file=tmp_path / "run.db")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        with pytest.raises(RunFailed, match=r"000001: OSError.*File too large"):
            run(pipeline)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert pipeline.completed_indices == {0, 2}
    assert sorted(p.name for p in Path(out).glob("item*")) == ["item_000000.json", "item_000002.json"]


class VanishingSource(NumbersSource):
    """An item disappears after the listing."""

    def __getitem__(self, index):
        raise FileNotFoundError(2, "No such file or directory", f"/data/{index}")
        yield


def test_item_that_vanished(out):
    """A file that disappears while the run goes on is that item's failure, by name."""
    with pytest.raises(RunFailed, match=r"FileNotFoundError.*'/data/0'"):
        run(VanishingSource(1).write(JsonSink(out)))
