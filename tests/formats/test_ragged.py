"""Datasets of items of different lengths, from shards and from the dataset before."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from curator_core import MergeItem
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.testing.contracts import tree_bytes

zarr = pytest.importorskip("zarr")

from curator_core.formats.arrays import TEXT, ArraySpec, Chunking  # noqa: E402 - needs zarr
from curator_core.formats.ragged import RaggedDataset, merge_ragged, read_rows, write_rows  # noqa: E402

SPECS = (
    ArraySpec("x", "float64", ("row", "axis"), (2,), {"units": "m"}),
    ArraySpec("name", TEXT, ("row",)),
)


def _rows(n, dtype="float64"):
    return {"x": np.arange(2 * n, dtype=dtype).reshape(n, 2) + n, "name": np.array([f"é{i}" for i in range(n)], object)}


@pytest.fixture
def items(tmp_path):
    """Items of so many rows each, with shards, apart from those at some positions."""

    def made(*sizes, without=()):
        for n in sizes:
            write_rows(tmp_path / f"{n}.npz", SPECS, [_rows(n)])
        return [
            MergeItem(i, f"key{i}", None, f"v{n}", None if i in without else tmp_path / f"{n}.npz")
            for i, n in enumerate(sizes)
        ]

    return made


def _merge(items, previous, path):
    merge_ragged(SPECS, items, previous, path, attributes={"format": "test"}, chunking=Chunking(2, 4))
    return RaggedDataset(path, SPECS)


def test_what_is_merged_is_read_back(tmp_path, items):
    """Rows by item, empty items and text among them; plain Zarr sees the arrays, their units and dimensions."""
    dataset = _merge(items(3, 0, 5), None, tmp_path / "a.zarr")
    assert dataset.versions() == {"key0": "v3", "key1": "v0", "key2": "v5"}
    for key, n in (("key0", 3), ("key1", 0), ("key2", 5)):
        for name, values in _rows(n).items():
            np.testing.assert_array_equal(dataset.rows(key)[name], values)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert dict(group.attrs) == {"format": "test"}
    assert group["x"].attrs["units"] == "m"
    assert [(v.name, v.dims, v.shape, v.chunks, v.unit) for v in dataset.variables()] == [
        ("x", ("row", "axis"), (8, 2), (2, 2), "m"),
        ("name", ("row",), (8,), (1,), ""),
    ]
    assert {(key, name, len(values)) for key, name, values in dataset.values(["x"])} == {
        ("key0", "x", 3),
        ("key1", "x", 0),
        ("key2", "x", 5),
    }


@pytest.mark.parametrize("without", [(0,), (1, 2), (0, 1, 2)])
def test_items_of_the_dataset_before_give_the_same_bytes(tmp_path, items, without):
    """What was taken from where does not show."""
    _merge(items(4, 1, 6), None, tmp_path / "old.zarr")
    _merge(items(4, 1, 6, without=without), tmp_path / "old.zarr", tmp_path / "new.zarr")
    assert tree_bytes(tmp_path / "new.zarr") == tree_bytes(tmp_path / "old.zarr")


def test_an_empty_dataset_is_one(tmp_path, items):
    """No item is left, or all are empty."""
    for sizes in ((), (0,)):
        shutil.rmtree(tmp_path / "a.zarr", ignore_errors=True)
        assert _merge(items(*sizes), None, tmp_path / "a.zarr").n_rows == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"x": np.zeros((1, 2))}, r"The arrays are \['x'\], expected \['name', 'x'\]"),
        (_rows(1) | {"y": np.zeros(1)}, r"The arrays are \['name', 'x', 'y'\]"),
        (_rows(2) | {"name": np.array(["a"], object)}, r"name has the shape \(1,\), expected \(2,\)"),
        (_rows(2) | {"x": np.zeros(2)}, r"x has the shape \(2,\), expected \(2, 2\)"),
        (_rows(1, "complex128"), "x is complex128, which float64 cannot hold"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, table, message):
    """While the item is processed; nothing is cut, padded or cast with a loss."""
    with pytest.raises(ComponentError, match=message):
        write_rows(tmp_path / "a.npz", SPECS, [_rows(1), table])


@pytest.mark.parametrize("name", ["str", "bytes", "object", ">f8", "longdouble", "U0", "float46", "i4,f8"])
def test_types_that_would_not_be_read_again_are_refused(name):
    """Before an item is processed, not when the dataset is opened; and said is what strings are."""
    with pytest.raises(ConfigError, match=rf"'operator' cannot be stored as '{name}'.* or 'string' for strings"):
        ArraySpec("operator", name, ("row",))


def test_texts_are_texts(tmp_path):
    """The first that is none is named."""
    specs = (ArraySpec("operator", TEXT, ("row",)),)
    with pytest.raises(ComponentError, match="operator has 7 among its texts"):
        write_rows(tmp_path / "shard.npz", specs, [{"operator": np.array(["", "Ann", 7], object)}])


def test_a_shard_is_read_as_it_was_written(tmp_path):
    """Tables are joined, none is one without rows, and text is exact."""
    odd = {"x": np.zeros((2, 2), "float32"), "name": np.array(["a\0", "\ud800"], object)}
    write_rows(tmp_path / "a.npz", SPECS, [odd, _rows(1)])
    found = read_rows(tmp_path / "a.npz", SPECS)
    assert [found["x"].dtype, found["name"].tolist()] == ["float64", ["a\0", "\ud800", "é0"]]
    write_rows(tmp_path / "b.npz", SPECS, [])
    assert {name: values.shape for name, values in read_rows(tmp_path / "b.npz", SPECS).items()} == {
        "x": (0, 2),
        "name": (0,),
    }


def test_a_shard_that_cannot_be_read_is_named(tmp_path):
    """A file that is cut off, is none, or was written for other arrays."""
    write_rows(tmp_path / "a.npz", SPECS, [_rows(3)])
    with pytest.raises(MergeError, match=r"a\.npz cannot be read .*it has the arrays \['x', 'name'\]"):
        read_rows(tmp_path / "a.npz", SPECS[:1])
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:-30])
    for name in ("b.npz", "none.npz"):
        with pytest.raises(MergeError, match=f"{name} cannot be read"):
            read_rows(tmp_path / name, SPECS)


def test_an_item_that_is_nowhere_is_named(tmp_path, items):
    """Neither a shard nor the version wanted is there."""
    _merge(items(1, 2), None, tmp_path / "old.zarr")
    for wanted, previous in ((items(1, without=[0]), None), (items(1, 3, without=[1]), tmp_path / "old.zarr")):
        with pytest.raises(MergeError, match="has no shard and is not in the previous dataset"):
            _merge(wanted, previous, tmp_path / "new.zarr")
        shutil.rmtree(tmp_path / "new.zarr", ignore_errors=True)


def test_retained_items_of_what_is_there(tmp_path, items):
    """Nothing where there is nothing, an error where something else is."""
    assert RaggedDataset.retained(tmp_path / "a.zarr", SPECS) == {}
    _merge(items(1, 2), None, tmp_path / "a.zarr")
    assert RaggedDataset.retained(tmp_path / "a.zarr", SPECS) == {"key0": "v1", "key1": "v2"}
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(ComponentError, match="There is no Zarr group at"):
        RaggedDataset.retained(tmp_path / "b.zarr", SPECS)


def _without(path):
    shutil.rmtree(path / "name")


def _cut(path):
    (path / "x/c/1/0").write_bytes(b"")


def _repeated(path):
    keys = zarr.open_group(path, mode="r+")["items/key"]
    keys[:] = np.array(["key0", "key0"], object)


def _shortened(path):
    zarr.open_group(path, mode="r+")["items/offsets"].resize((2,))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without, "has no array 'name' of string"),
        (_cut, "x/c/1/0 is empty"),
        (_repeated, "an item twice"),
        (_shortened, "a list of items that contradicts itself"),
    ],
)
def test_a_damaged_dataset_is_not_read(tmp_path, items, damage, message):
    """Plain Zarr would give fill values, or nothing."""
    _merge(items(3, 5), None, tmp_path / "a.zarr")
    damage(tmp_path / "a.zarr")
    with pytest.raises(ComponentError, match=message):
        RaggedDataset(tmp_path / "a.zarr", SPECS).rows("key0")


@pytest.mark.parametrize("changed", [("x", "float32", ("row", "axis"), (2,)), ("y", "float64", ("row",), ())])
def test_arrays_that_have_changed_are_not_mixed(tmp_path, items, changed):
    """What the dataset holds is known still; all items anew replace it, and none is taken from it."""
    _merge(items(3, 5), None, tmp_path / "a.zarr")
    spec = ArraySpec(*changed)
    assert RaggedDataset.retained(tmp_path / "a.zarr", [spec]) == {"key0": "v3", "key1": "v5"}
    write_rows(tmp_path / "s.npz", [spec], [{spec.name: np.zeros((1, *spec.row_shape), spec.dtype)}])
    anew = [MergeItem(0, "key0", None, "new", tmp_path / "s.npz")]
    merge_ragged([spec], anew, tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert RaggedDataset(tmp_path / "b.zarr", [spec]).n_rows == 1
    kept = [MergeItem(0, "key0", None, "v3", None)]
    with pytest.raises(ComponentError, match="raise the version of the sink"):
        merge_ragged([spec], kept, tmp_path / "a.zarr", tmp_path / "c.zarr")


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (ArraySpec("x", "float64", ("row",)), ArraySpec("x", "int32", ("row",))),
        (ArraySpec("x", "float64", ("row", "axis"), (1,)), ArraySpec("x", "float64", ("row", "axis"), (3,))),
        (ArraySpec("x", TEXT, ("row",)), ArraySpec("x", "float64", ("row",))),
    ],
)
def test_a_shard_of_other_arrays_is_not_converted(tmp_path, written, wanted):
    """Nor spread over rows of another shape, as Zarr would."""
    kind = object if written.is_text else written.dtype
    write_rows(tmp_path / "1.npz", [written], [{"x": np.full((2, *written.row_shape), "7").astype(kind)}])
    with pytest.raises(MergeError, match=r"x has rows of .* raise the version of the sink"):
        read_rows(tmp_path / "1.npz", [wanted])


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        (np.array([2**53 + 1]), "float64", "x is int64, which float64 cannot hold"),
        (np.array([2**63], np.uint64), "float64", "x is uint64, which float64 cannot hold"),
        (np.array([12]), "U30", "x is int64, which <?U30 cannot hold"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), "float64", "masked"),
        (np.float64(1), "float64", "x is no array"),
        (np.array(1.0), "float64", "shape"),
        ([1.0], "float64", "x is no array but list"),
    ],
)
def test_values_that_would_change_are_refused(tmp_path, values, dtype, message):
    """Though NumPy would take them; what is exact is taken."""
    spec = ArraySpec("x", dtype, ("row",))
    with pytest.raises(ComponentError, match=message):
        write_rows(tmp_path / "1.npz", [spec], [{"x": values}])
    write_rows(tmp_path / "1.npz", [ArraySpec("x", "float64", ("row",))], [{"x": np.array([-7, 2**53 - 1])}])
