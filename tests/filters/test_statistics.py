"""The statistics filter, against NumPy and against itself under any order and split of the items."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curator_core import Sink, Source, SplitByKey, gather_pipeline, run_pipeline
from curator_core.errors import ComponentError, ConfigError, MergeError, PipelineStateError, UnknownNameError
from curator_core.filters.statistics.field_statistics import FieldStatistics, HasStatistics
from curator_core.filters.statistics.filter import StatisticsFilter
from curator_core.filters.statistics.split import split_of
from curator_core.session import compaction
from curator_core.testing import FilterContract

pytest.importorskip("datasketches")
pq = pytest.importorskip("pyarrow.parquet")

DOUBLES = hnp.arrays(np.float64, st.integers(0, 40), elements=st.floats(width=64))
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class Arrays(Source[object]):
    """Items given in memory."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        yield from self.values[index]


class Nowhere(Sink[object]):
    """Takes the items and writes nothing."""

    def __call__(self, items, index):
        for _ in items:
            pass
        return []


def table(values, folder, **options):
    """Rows by field of the values of some items, each a list."""
    step = StatisticsFilter(str(folder / "stats.parquet"), **options)
    contents = []
    for number, items in enumerate(values):
        list(step(iter(items)))
        step.write_shard(str(folder / f"shard{number}"))
        contents.append((folder / f"shard{number}").read_bytes())
    step.merge_contents(contents, step.output_path)
    return {row["field"]: row for row in pq.read_table(step.output_path).to_pylist()}


class TestContract(FilterContract):
    def make_filter(self, tmp_path):
        return StatisticsFilter(str(tmp_path / "stats.parquet"), range={"x": (0, 2)})

    def make_items(self, index):
        return [{"x": np.arange(3.0) * index, "name": "text"}, {"y": index}]

    def is_equal(self, first, second):
        return str(first) == str(second)


@given(arrays=st.lists(DOUBLES, min_size=1, max_size=6))
@settings(max_examples=60)
def test_numbers_of_any_size_agree_with_numpy(arrays):
    """Counts, extremes and a fixed histogram are NumPy's; quantiles are numbers between the extremes, in order."""
    with tempfile.TemporaryDirectory() as folder:
        free = table([[a] for a in arrays], Path(folder))["value"]
        fixed = table([[a] for a in arrays], Path(folder), bins=5, range=(-2.0, 3.0))["value"]
    every = np.concatenate(arrays)
    finite = every[np.isfinite(every)]
    assert (free["count"], free["n_nonfinite"]) == (len(finite), len(every) - len(finite))
    assert fixed["histogram_counts"] == np.histogram(finite, np.linspace(-2, 3, 6))[0].tolist()
    assert sum(free["histogram_counts"]) == len(finite)
    found = [free[f"q{q}"] for q in QUANTILES]
    if len(finite):
        assert (free["min"], free["max"]) == (finite.min(), finite.max())
        assert found == sorted(found)
        assert finite.min() <= found[0] <= found[-1] <= finite.max()
        assert np.all(np.diff(free["histogram_edges"]) > 0) or finite.min() == finite.max()
    else:
        assert {free["min"], free["mean"], free["variance"], *found} == {None}


@pytest.mark.parametrize("kind", ["normal", "lognormal", "sorted", "few values"])
def test_statistics_of_many_items_agree_with_numpy(tmp_path, kind):
    """Mean and variance to the last digits, quantiles to 1% of rank, of data in any order."""
    random = np.random.default_rng(3)
    every = {
        "normal": random.normal(1e6, 1e-3, 60_000),
        "lognormal": random.lognormal(0, 4, 60_000),
        "sorted": np.sort(random.normal(size=60_000)),
        "few values": random.integers(0, 5, 60_000).astype(float),
    }[kind]
    row = table([[part] for part in np.array_split(every, 150)], tmp_path)["value"]
    assert row["mean"] == pytest.approx(np.mean(every.astype(np.longdouble)), rel=1e-15)
    assert row["variance"] == pytest.approx(float(np.var(every.astype(np.longdouble))), rel=1e-9)
    for q in QUANTILES:
        assert np.mean(every < row[f"q{q}"]) - 0.01 <= q <= np.mean(every <= row[f"q{q}"]) + 0.01
    exact = np.histogram(every, row["histogram_edges"])[0]
    assert kind == "few values" or np.abs(exact - row["histogram_counts"]).max() <= 0.01 * len(every)
    assert not row["is_histogram_exact"]


@given(
    values=st.lists(hnp.arrays(np.float64, st.integers(0, 4), elements=st.floats(-9, 9)), min_size=2, max_size=7),
    data=st.data(),
)
@settings(max_examples=8)
def test_any_order_and_split_gives_the_same_bytes(values, data):
    """Items in two runs in any order, in one process or two, gathered between or not: the bytes of one run."""
    order = data.draw(st.permutations(range(len(values))))
    cut = data.draw(st.integers(0, len(values)))
    jobs, is_gathered = data.draw(st.sampled_from([1, 2])), data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        source = Arrays([[{"x": v, "y": v.astype(np.float32)}] for v in values])
        pipeline = source.filter(StatisticsFilter("out/stats.parquet", bins=3, range={"y": (-1, 1)})).write(Nowhere())
        once = pipeline.with_settings(db_file="once.db", resume=True)
        run_pipeline(once, progress=False)
        gather_pipeline(once)
        expected = Path("out/stats.parquet").read_bytes()
        for path in Path("out").iterdir():
            path.unlink()
        patch.setattr(compaction, "MAX_LOOSE", 1)
        twice = pipeline.with_settings(db_file="twice.db", resume=True)
        run_pipeline(twice, indices=order[:cut], n_jobs=jobs, progress=False)
        if is_gathered:
            gather_pipeline(twice)
        run_pipeline(twice, indices=order[cut:], progress=False)
        gather_pipeline(twice)
        assert Path("out/stats.parquet").read_bytes() == expected


def test_types_of_numbers(tmp_path):
    """Integers, booleans, half floats, complex numbers, masks and nested names have a defined meaning."""
    item = {
        "i": np.array([1, 2], np.int8),
        "b": np.array([True, False]),
        "h": np.array([0.5], np.float16),
        "z": np.array([1 + 2j]),
        "m": np.ma.array([1.0, 9.0], mask=[False, True]),
        "in": {"ner": [3, 4]},
        "s": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "big": np.array([np.longdouble("1e400"), 1], np.longdouble),
        "empty": np.empty((0, 3)),
        "text": np.array(["x"]),
        "ragged": [[1], [1, 2]],
        "time": np.array(["2020-01-01"], "datetime64[s]"),
        "none": None,
    }
    rows = table([[item]], tmp_path)
    means = {"b": 0.5, "big": 1.0, "empty": None, "h": 0.5, "i": 1.5, "in.ner": 3.5, "m": 1.0, "s.a": 1.0, "s.b": 2.0}
    assert {name: row["mean"] for name, row in rows.items()} == means | {"z.real": 1.0, "z.imag": 2.0}
    assert [name for name, row in rows.items() if row["n_nonfinite"]] == ["big", "m"]
    assert rows["empty"]["n_samples"] == 1


def test_tables_and_datasets(tmp_path):
    """Columns of data frames, pandas' missing values and variables of datasets are fields."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": pd.array([3, None], dtype="Int64"), "t": ["x", "y"]})
    rows = table([[frame, frame["a"]]], tmp_path)
    assert {name: (row["mean"], row["n_nonfinite"]) for name, row in rows.items()} == {
        "a": (1.0, 1),
        "b": (3.0, 1),
        "value": (1.0, 1),
    }


def test_named_fields(tmp_path):
    """Only the named fields are taken; one that no item has is in the table, one of text is an error."""
    rows = table([[{"x": 1.0, "y": 2.0, "z": 3j}]], tmp_path, fields=["x", "absent", "z"])
    assert [(name, row["count"]) for name, row in rows.items()] == [
        ("absent", 0),
        ("x", 1),
        ("z.imag", 1),
        ("z.real", 1),
    ]
    with pytest.raises(ComponentError, match="value 0: field 'name' is no number: a str"):
        table([[{"name": "text"}]], tmp_path, fields=["name"])


@pytest.mark.parametrize("value", ["text", object(), None])
def test_what_has_no_fields_is_refused(tmp_path, value):
    """A value that is no array, mapping or table is an error naming its type."""
    with pytest.raises(ComponentError, match=f"cannot take statistics of a {type(value).__name__}"):
        table([[value]], tmp_path)


def test_later_changes_do_not_count(tmp_path):
    """A value that a later step changes was counted as it passed."""
    step = StatisticsFilter(str(tmp_path / "stats.parquet"))
    for array in step(iter([np.ones(3)])):
        array[:] = 7
    step.write_shard(str(tmp_path / "shard"))
    step.merge([str(tmp_path / "shard")], step.output_path)
    assert pq.read_table(step.output_path)["mean"].to_pylist() == [1.0]


def test_shards_are_small(tmp_path):
    """A million numbers leave a shard of a few kilobytes."""
    table([[np.random.default_rng(0).normal(size=1_000_001)]], tmp_path)
    assert (tmp_path / "shard0").stat().st_size < 8_000


def test_one_split_alone(tmp_path, monkeypatch):
    """Items of other splits pass through and leave nothing; outside a run the split is not known."""
    monkeypatch.chdir(tmp_path)
    source = Arrays([[float(index)] for index in range(200)])
    step = StatisticsFilter("stats.parquet", split="train", fractions={"train": 0.5, "rest": 0.5}, seed=4)
    pipeline = source.filter(step).write(Nowhere()).with_settings(db_file="run.db", resume=True)
    run_pipeline(pipeline, n_jobs=2, progress=False)
    gather_pipeline(pipeline)
    chosen = [i for i in range(200) if split_of(source.key(i), {"train": 0.5, "rest": 0.5}, 4) == "train"]
    (row,) = pq.read_table("stats.parquet").to_pylist()
    assert (row["count"], row["mean"]) == (len(chosen), np.mean(chosen))
    with pytest.raises(PipelineStateError, match="No item is being processed"):
        list(step(iter([1.0])))


@pytest.mark.parametrize(
    "options",
    [
        {"fields": []},
        {"bins": 0},
        {"bins": [1.0, 1.0]},
        {"bins": [0.0, 1.0], "range": (0, 1)},
        {"range": (1, 0)},
        {"range": {"x": (0, float("inf"))}},
        {"quantiles": (1.5,)},
        {"split": "training", "fractions": {"train": 1.0}},
        {"split": "train", "fractions": {"train": 0.5}},
        {"fractions": {"train": 1.5, "rest": -0.5}},
    ],
)
def test_wrong_arguments_are_refused(options):
    """Before any item is read, an argument out of its range is an error."""
    with pytest.raises(ConfigError):
        StatisticsFilter("stats.parquet", **options)


def test_a_split_that_the_pipeline_does_not_have_is_refused():
    """Before any item is read; without a rule of the pipeline there are three."""
    pipeline = Arrays([[1.0]]).filter(StatisticsFilter("stats.parquet", split="training")).write(Nowhere())
    for rule in (None, SplitByKey({"fit": 1.0})):
        with pytest.raises(UnknownNameError, match=r"Unknown split 'training'. Known: (train|fit)"):
            pipeline.with_settings(split=rule).check()
    pipeline.with_settings(split=SplitByKey({"training": 1.0})).check()


@pytest.mark.parametrize(
    "change", [{"format": "other"}, {"fields": {"x": {}}}, {"fields": {"value": {"sketch": "AAAA"}}}]
)
def test_damaged_shards_are_refused(tmp_path, change):
    """A shard of another format or with wrong content is an error, never other numbers."""
    table([[np.ones(3)]], tmp_path)
    shard = json.loads((tmp_path / "shard0").read_text())
    if "value" in change.get("fields", {}):
        change = {"fields": {"value": shard["fields"]["value"] | change["fields"]["value"]}}
    with pytest.raises(MergeError, match="shard 0 of those to merge cannot be used"):
        StatisticsFilter("x.parquet").merge_contents([json.dumps(shard | change).encode()], str(tmp_path / "x.parquet"))


def test_what_the_filter_tells_is_what_its_files_hold(tmp_path):
    """Moments and histogram of the table, moments of one item from its shard."""
    step = StatisticsFilter(str(tmp_path / "statistics.parquet"), bins=[0.0, 2.0, 4.0])
    assert isinstance(step, HasStatistics)
    for index, numbers in enumerate([[1.0, 3.0, np.inf], [3.0]]):
        list(step(iter([{"a": np.array(numbers)}])))
        step.write_shard(str(tmp_path / f"{index}.json"))
    shards = [tmp_path / "0.json", tmp_path / "1.json"]
    (first,) = step.item_statistics(shards[0].read_bytes())
    assert first == FieldStatistics("a", 2, 1, mean=2.0, std=1.0, minimum=1.0, maximum=3.0)
    step.merge([str(path) for path in shards], step.output_path)
    (merged,) = step.statistics(step.output_path)
    assert (merged.count, merged.n_nonfinite, merged.minimum, merged.maximum) == (3, 1, 1.0, 3.0)
    assert (merged.edges, merged.counts) == ((0.0, 2.0, 4.0), (1, 2))
    assert not StatisticsFilter("s.parquet", split="train").is_of_all_items
