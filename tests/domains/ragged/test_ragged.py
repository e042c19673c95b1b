"""Datasets of one's own: a sink that names arrays, and what reads them."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest

pytest.importorskip("zarr")

from curator_core import MergeItem, Source
from curator_core.datasets import list_versions
from curator_core.domains.ragged import ArraySpec, Axis, RaggedDataset, RaggedSink, Rows
from curator_core.errors import (
    ComponentError,
    ConfigError,
    DatasetExpiredError,
    IndexRangeError,
    MergeError,
    UnknownNameError,
)
from curator_core.formats.arrays import TEXT
from curator_core.merge import verify_dataset
from curator_core.pipeline import Pipeline
from curator_core.reading import open_dataset
from curator_core.run import run_pipeline
from curator_core.testing import SinkContract


class Readings(RaggedSink):
    """Rows of one axis."""

    name = "test_own_readings"
    arrays = (
        ArraySpec("x", "float64", ("reading", "axis"), (2,), {"units": "m"}),
        ArraySpec("note", TEXT, ("reading",)),
    )
    axes = (Axis("reading", 2, 4),)


class Meshes(RaggedSink):
    """Samples with points."""

    name = "test_own_meshes"
    arrays = (ArraySpec("step", "int32", ("mesh",)), ArraySpec("xyz", "float32", ("point", "xyz"), (3,)))
    axes = (Axis("mesh", 2, 4), Axis("point", 3, 9))


def readings(n):
    return {"x": np.arange(2 * n, dtype="f8").reshape(n, 2) + n, "note": np.array([f"é{i}" for i in range(n)], object)}


def meshes(*sizes):
    steps = np.arange(len(sizes), dtype="i4")
    return Rows(
        len(sizes),
        {"step": steps, "xyz": np.random.default_rng(0).random((sum(sizes), 3), "f4")},
        {"point": np.array(sizes)},
    )


def merged(folder, sink, contents, splits=("", "", "")):
    """The dataset of some items."""
    items = []
    for index, content in enumerate(contents):
        (part,) = sink(iter(content), index)
        items.append(MergeItem(index, f"key{index}", None, "v", part, splits[index]))
    sink.merge_items(items, None, str(folder))
    return folder


class TestReadings(SinkContract):
    def make_sink(self, tmp_path):
        return Readings(str(tmp_path / "d.zarr"), items_per_segment=2)

    def make_items(self, index):
        return [readings(index), readings(1)]


class TestMeshes(SinkContract):
    def make_sink(self, tmp_path):
        return Meshes(str(tmp_path / "d.zarr"))

    def make_items(self, index):
        return [meshes(index, 0, 2)]


def test_samples_are_what_items_gave(tmp_path):
    """One by one, in batches, at random, in another process's copy; text as well."""
    sink = Meshes(str(tmp_path / "d.zarr"))
    contents = [[meshes(3, 0, 5)], [], [meshes(1), meshes(0, 7, 2)]]
    dataset = open_dataset(merged(tmp_path / "d.zarr", sink, contents))
    assert isinstance(dataset, RaggedDataset)
    expected = [
        (rows.values["step"][i], part)
        for content in contents
        for rows in content
        for i, part in enumerate(np.split(rows.values["xyz"], np.cumsum(rows.lengths["point"])[:-1]))
    ]
    assert len(dataset) == len(expected) == 7
    for order in (range(7), [6, 0, 3, 3, -1]):
        for found, index in zip(pickle.loads(pickle.dumps(dataset)).__getitems__(list(order)), order, strict=True):
            assert found["step"] == expected[index][0]
            np.testing.assert_array_equal(found["xyz"], expected[index][1])
    batch = dataset.batch([2, 4], ["xyz"])
    assert [batch.counts["point"].tolist(), batch.values["xyz"].shape] == [[5, 0], (5, 3)]
    texts = RaggedDataset(merged(tmp_path / "t.zarr", Readings(str(tmp_path / "t.zarr")), [[readings(3)]]))
    assert [sample["note"] for sample in texts] == ["é0", "é1", "é2"]
    assert list(texts.arrays()) == ["x"]
    with pytest.raises(IndexRangeError):
        dataset[7]
    with pytest.raises(UnknownNameError):
        texts.batch([0], ["note"])


def test_a_split_of_it_is_read(tmp_path):
    """The samples of its items, and no others."""
    sink = Readings(str(tmp_path / "d.zarr"))
    contents = [[readings(3)], [readings(2)], [readings(1)]]
    path = merged(tmp_path / "d.zarr", sink, contents, ("train", "test", "train"))
    assert sink.retained_splits(str(path)) == {"key0": "train", "key1": "test", "key2": "train"}
    assert [sample["note"] for sample in open_dataset(path, split="train")] == ["é0", "é1", "é2", "é0"]
    with pytest.raises(UnknownNameError, match="'rest'"):
        open_dataset(path, split="rest")


def test_it_is_described(tmp_path):
    """What Dagster shows, and checks."""
    sink = Readings(str(tmp_path / "d.zarr"))
    path = str(merged(tmp_path / "d.zarr", sink, [[readings(3)], [], [readings(5)]]))
    assert [(v.name, v.dims, v.shape, v.chunks, v.unit) for v in sink.schema(path)] == [
        ("x", ("reading", "axis"), (8, 2), (2, 2), "m"),
        ("note", ("reading",), (8,), (2,), ""),
    ]
    assert [sink.n_rows(path), sink.describe(path)] == [8, {"n_readings": 8}]
    found = [(key, name, len(values)) for key, name, values in sink.values(path, ["x"])]
    assert found == [("key0", "x", 3), ("key1", "x", 0), ("key2", "x", 5)]


class Counting(Source):
    """Items of so many readings each."""

    def __init__(self, sizes: str):
        self.sizes = [int(n) for n in sizes.split()]

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        yield readings(self.sizes[index])


def test_it_has_versions_and_can_be_verified(tmp_path, monkeypatch):
    """A reader stays with the version that it opened, until that expires; damage is named by item."""
    monkeypatch.chdir(tmp_path)

    def publish(sizes):
        pipeline = Pipeline(Counting(sizes), sink=Readings("d.zarr"), db_file="run.db", resume=True)
        run_pipeline(pipeline, gather=True, progress=False)

    publish("3 4")
    before = open_dataset("d.zarr")
    publish("5 4 1")
    assert [len(before), len(open_dataset("d.zarr"))] == [7, 10]
    assert before[0]["x"].tolist() == readings(3)["x"][0].tolist()
    older = list_versions("d.zarr")[1]
    assert len(open_dataset("d.zarr", version=older.id)) == 7
    assert not verify_dataset("d.zarr")
    (tmp_path / "d.zarr/x/c/0/0").write_bytes(b"")
    assert [damage.items for damage in verify_dataset("d.zarr")] == [("000000",)]
    publish("6")
    with pytest.raises(DatasetExpiredError):
        before[0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"x": np.zeros((1, 2))}, r"The arrays are \['x'\], expected \['note', 'x'\]"),
        (readings(1) | {"y": np.zeros(1)}, r"The arrays are \['note', 'x', 'y'\]"),
        (readings(2) | {"note": np.array(["a"], object)}, r"note has the shape \(1,\), expected \(2,\)"),
        (readings(2) | {"x": np.zeros(2)}, r"x has the shape \(2,\), expected \(2, 2\)"),
        (readings(1) | {"x": np.zeros((1, 2), "c16")}, "x is complex128, which float64 cannot hold"),
        (readings(1) | {"x": np.full((1, 2), 2**53 + 1)}, "x is int64, which float64 cannot hold"),
        (readings(1) | {"x": np.ma.masked_array([[1.0, 2.0]], [[0, 1]])}, "masked"),
        (readings(1) | {"x": [[1.0, 2.0]]}, "x is no array but list"),
        (readings(1) | {"note": np.array([7], object)}, "note has 7 among its texts"),
        (3, "An item gave int, expected Rows, or arrays by name"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, table, message):
    """While the item is processed; nothing is cut, padded or cast with a loss."""
    with pytest.raises(ComponentError, match=message):
        Readings(str(tmp_path / "d.zarr")).write_shard(iter([readings(1), table]), str(tmp_path / "a.part"))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"step": np.zeros(1, "i4")}, "expected Rows"),
        (Rows(2, meshes(1, 2).values, {"point": np.array([3])}), "lengths of 'point' are not 2"),
        (Rows(2, meshes(1, 2).values, {"point": np.array([-1, 4])}), "lengths of 'point' are not 2"),
        (Rows(2, meshes(1, 2).values, {"point": np.array([1.0, 2.0])}), "lengths of 'point' are not 2"),
        (Rows(2, meshes(1, 2).values), "lengths of 'point' are not 2"),
        (Rows(2, meshes(1, 2).values, {"point": np.array([1, 3])}), r"xyz has the shape \(3, 3\), expected \(4, 3\)"),
    ],
)
def test_rows_of_several_axes_that_do_not_fit_are_refused(tmp_path, table, message):
    """A sample says how many rows it has on each further axis."""
    with pytest.raises(ComponentError, match=message):
        Meshes(str(tmp_path / "d.zarr")).write_shard(iter([table]), str(tmp_path / "a.part"))


def test_arrays_that_have_changed_are_not_mixed(tmp_path):
    """What the dataset holds is known still; all items anew replace it, and none is taken from it, nor an old part."""

    class Single(Readings):
        arrays = (ArraySpec("x", "float32", ("reading", "axis"), (2,)), Readings.arrays[1])

    former, sink = Readings(str(tmp_path / "d.zarr")), Single(str(tmp_path / "d.zarr"))
    path = str(merged(tmp_path / "a.zarr", former, [[readings(3)], [readings(5)]]))
    assert sink.retained_items(path) == {"key0": "v", "key1": "v"}
    (old,) = former(iter([readings(2)]), 7)
    for shard in (None, old):
        with pytest.raises(MergeError, match=r"other arrays than the sink has now\. Raise the version of the sink"):
            sink.merge_items([MergeItem(0, "key0", None, "v", shard)], path, str(tmp_path / "b.zarr"))
        shutil.rmtree(tmp_path / "b.zarr", ignore_errors=True)
    (new,) = sink(iter([readings(2) | {"x": np.ones((2, 2), "f4")}]), 8)
    sink.merge_items([MergeItem(0, "key0", None, "w", new)], path, str(tmp_path / "b.zarr"))
    assert [sample["x"].dtype for sample in open_dataset(tmp_path / "b.zarr")] == ["float32"] * 2


def test_what_cannot_be_a_sink_is_refused(tmp_path):
    """Without arrays; over something else."""

    class Nothing(RaggedSink):
        name = "test_nothing"

    with pytest.raises(ConfigError, match="names no arrays"):
        Nothing(str(tmp_path / "d.zarr"))
    merged(tmp_path / "d.zarr", Meshes(str(tmp_path / "d.zarr")), [[meshes(1)]])
    with pytest.raises(ConfigError, match=r"no dataset of 'test_own_readings'\. Move it away"):
        Readings(str(tmp_path / "d.zarr")).check()


@pytest.mark.parametrize("name", ["str", "bytes", "object", ">f8", "longdouble", "U0", "float46", "i4,f8"])
def test_types_that_would_not_be_read_again_are_refused(name):
    """Before an item is processed, not when the dataset is opened; and said is what strings are."""
    with pytest.raises(ConfigError, match=rf"'operator' cannot be stored as '{name}'.* or 'string' for strings"):
        ArraySpec("operator", name, ("row",))
