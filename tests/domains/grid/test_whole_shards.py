"""Shards that one item fills: written by the worker, linked when they are published."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core.datasets.aligned import whole_shards  # noqa: E402 - needs xarray
from curator_core.datasets.aligned.verifying import AlignedFiles  # noqa: E402 - as above
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.errors import ComponentError, MergeError  # noqa: E402 - as above
from curator_core.storage.locations import location_of  # noqa: E402 - as above
from tests.domains.grid.blocks import Bench, block, tree  # noqa: E402 - as above

CUT = {"chunks": {"time": 2, "lat": 3, "lon": 4}, "shards": {"time": 4, "lat": 3, "lon": 8}}


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Function that makes a bench whose workers write whole shards of any size."""
    monkeypatch.setattr(whole_shards, "WHOLE_BYTES", 0)

    def make(**axis):
        axes = {"time": {"start": "2020-01-01", "frequency": "6h", **axis}}
        return Bench(GridZarrSink(str(tmp_path / "d.zarr"), axes, **CUT), tmp_path)

    return make


def linked(part: Path, path: Path) -> set[str]:
    """Files of a dataset that are links to those of a part."""
    own = {file.stat().st_ino for file in part.rglob("*.shard")}
    return {str(file.relative_to(path)) for file in path.rglob("*") if file.stat().st_ino in own}


def test_they_are_linked_and_the_bytes_are_the_same(bench, monkeypatch):
    """Steps 1 to 9 of shards of four: one item fills the second shard, and shares the first and the third."""
    made = bench()
    trees = []
    for limit in (0, 1 << 30):
        monkeypatch.setattr(whole_shards, "WHOLE_BYTES", limit)
        parts = {"a": made.part(block(0, 1)), "b": made.part(block(1, 9)), "c": made.part(block(10, 2))}
        path = made.publish(f"{limit}.zarr", parts)
        expected = {"t/c/1/0/0", "t/c/1/1/0"} if limit == 0 else set()
        assert (
            linked(parts["b"], path) - {name for name in linked(parts["b"], path) if name.startswith("n/")} == expected
        )
        trees.append(tree(path))
    assert trees[0] == trees[1]
    assert list(AlignedFiles(location_of(path), "curator-grid").damages()) == []
    found = xr.open_zarr(path, chunks=None).load()
    np.testing.assert_array_equal(found["t"].values[1:10], block(1, 9)["t"].values)


def test_the_last_shard_of_an_axis_that_ends(bench):
    """Six slots are a shard and half of one, which an item fills that has the two last ones; also with a later end."""
    made = bench(end="2020-01-02T06")
    part = made.part(block(0, 6))
    path = made.publish("a.zarr", {"a": part})
    assert {"t/c/0/0/0", "t/c/1/0/0", "t/c/0/1/0", "t/c/1/1/0"} <= linked(part, path)
    made.sink = bench().sink
    again = made.publish("b.zarr", {"a": part, "b": made.part(block(6, 1))})
    assert {name[:5] for name in linked(part, again)} == {"t/c/0", "n/c/0"}
    found = xr.open_zarr(again, chunks=None).load()
    np.testing.assert_array_equal(found["t"].values[:6], block(0, 6)["t"].values)


def test_a_step_that_lacks_a_variable_fills_nothing(bench):
    """Boxes of an item: one has the third step without the field."""
    made = bench()
    part = made.part(block(0, 3), block(3, 1, names=["n"]))
    path = made.publish("a.zarr", {"a": part})
    assert not any(name.startswith("t/") for name in linked(part, path))
    np.testing.assert_array_equal(xr.open_zarr(path, chunks=None)["t"].values[:3], block(0, 3)["t"].values)


def test_a_shard_that_was_changed_is_named(bench):
    """Cut off, or gone."""
    made = bench()
    part = made.part(block(0, 4))
    file = part / "0.shard"
    file.write_bytes(file.read_bytes()[:-1])
    for n in range(2):
        with pytest.raises(MergeError, match=r"cannot be read .*process its item again"):
            made.publish(f"{n}.zarr", {"a": part})
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("name", ["lat/c/0", "items/fingerprint/c/0", "slots/time/n_cells/c/0/0", "checksums/t/c/0"])
def test_tables_and_coordinates_are_compared_with_what_was_written(bench, name):
    """A byte more in one of them is found, and the file named, as is an attribute that somebody changed everywhere."""
    made = bench()
    path = made.publish("d.zarr", {"a": made.part(block(0, 4))})
    assert list(AlignedFiles(location_of(path), "curator-grid").damages()) == []
    (path / name).write_bytes((path / name).read_bytes() + b"x")
    (path / "zarr.json").write_text((path / "zarr.json").read_text().replace('"blocks"', '"others"'))
    try:
        found = [damage.file for damage in AlignedFiles(location_of(path), "curator-grid").damages()]
    except ComponentError as exc:
        found = str(exc).rpartition("not what was written: ")[2].split(", ")
    assert {name, "zarr.json"} <= set(found)


def test_single_numbers_take_no_memory_of_a_whole_shard(tmp_path):
    """Shards of a number a slot have millions of slots, of which a few are used."""
    made = Bench(GridZarrSink(str(tmp_path / "d.zarr"), {"time": {"start": "2020-01-01", "frequency": "6h"}}), tmp_path)
    parts = {"a": made.part(block(0, 3))}
    tracemalloc.start()
    try:
        made.publish("a.zarr", parts)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
