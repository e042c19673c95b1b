"""What is in a source twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curator_core import Source, gather_pipeline, run_pipeline
from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.filters.duplicates import DuplicatesFilter
from curator_core.pipeline.current import PROCESSED
from curator_core.records import Item
from tests.filters.grids import Nowhere, grid

pd = pytest.importorskip("pandas")


def found(items, folder, **options):
    """Pairs of keys that are there twice among items, each a list of values by key."""
    step = DuplicatesFilter(str(folder / "twice.json"), action="report", **options)
    contents = []
    for index, (key, values) in enumerate(items.items()):
        token = PROCESSED.set(Item(index, key))
        try:
            list(step(iter(values)))
            step.write_shard(str(folder / "shard"))
        finally:
            PROCESSED.reset(token)
        contents.append((folder / "shard").read_bytes())
    step.merge_contents(contents, step.output_path)
    rows = json.loads((folder / "twice.json").read_text())["pairs"]
    return [(row["first"], row["second"]) for row in rows]


def test_by_content(tmp_path):
    """All values, types and coordinates; the order of items is of no account for what is found."""
    warmer, later = grid(), grid()
    warmer["t"][0, 0, 0] += 1
    later["time"] = later["time"] + 1
    items = {"a": [grid()], "b": [warmer], "c": [later], "d": [grid()], "e": [grid().astype(np.float64)], "f": [grid()]}
    assert found(items, tmp_path) == [("a", "d"), ("a", "f")]
    frames = {key: [pd.DataFrame({"x": [text]})] for key, text in (("a", "1"), ("b", "2"), ("c", "1"))}
    assert found(frames, tmp_path) == [("a", "c")]


def test_by_coordinate(tmp_path):
    """The same field at the same place; other fields at that place are none."""
    rain, t = grid()[["rain"]], grid()[["t"]]
    later = grid(4).isel(time=[3])
    items = {"a": [rain], "b": [t], "c": [later], "d": [grid(4).isel(time=[2, 3])[["t"]]]}
    assert found(items, tmp_path, by="coordinate", along=["time"]) == [("b", "d"), ("c", "d")]
    first, second = pd.DataFrame({"x": [1, 2], "y": [1, 1], "v": 0}), pd.DataFrame({"x": [1], "y": [2], "v": 0})
    table = {"a": [first], "b": [second]}
    assert found(table, tmp_path, by="coordinate", along=["x", "y"]) == []
    assert found(table, tmp_path, by="coordinate", along=["x"]) == [("a", "b")]
    with pytest.raises(ComponentError, match="it has no coordinate 'when'"):
        found({"a": [grid()]}, tmp_path, by="coordinate", along=["when"])


def test_by_key(tmp_path):
    """The name of a file in two folders, or what a pattern finds."""
    items = {"x/a.nc": [], "y/a.nc": [], "y/b_v2.nc": [], "z/b_v1.nc": []}
    assert found(items, tmp_path, by="key") == [("x/a.nc", "y/a.nc")]
    pairs = found(items, tmp_path, by="key", pattern=r"(\w)(?:_v\d)?\.nc")
    assert pairs == [("x/a.nc", "y/a.nc"), ("y/b_v2.nc", "z/b_v1.nc")]
    with pytest.raises(ComponentError, match="finds nothing in the key"):
        found(items, tmp_path, by="key", pattern="q")


def test_structures(tmp_path):
    """Elements and cells count."""
    ase = pytest.importorskip("ase")
    make = lambda symbols, **more: [ase.Atoms(symbols, [[0, 0, 0], [0, 0, 1]], **more)]  # noqa: E731
    items = {"a": make("H2"), "b": make("He2"), "c": make("H2", cell=[3, 3, 3]), "d": make("H2")}
    assert found(items, tmp_path) == [("a", "d")]


class Twice(Source[dict]):
    """Three items, of which two are the same."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        yield {"x": np.arange(index % 2, 4)}


def test_nothing_is_published(tmp_path, monkeypatch):
    """Both items are named, and the output is not there."""
    monkeypatch.chdir(tmp_path)
    pipeline = Twice().filter(DuplicatesFilter("out/twice.json")).write(Nowhere())
    run_pipeline(pipeline, progress=False)
    with pytest.raises(MergeError, match="the same content is in the items '000000' and '000002'"):
        gather_pipeline(pipeline)
    assert not Path("out/twice.json").exists()


@pytest.mark.parametrize(
    "options", [{"along": ["time"]}, {"by": "coordinate"}, {"pattern": "x"}, {"by": "key", "pattern": "("}]
)
def test_options_that_are_none(options):
    """Are refused when the filter is made."""
    with pytest.raises(ConfigError, match=r"along is for|no regular expression"):
        DuplicatesFilter("twice.json", **options)


def test_damaged_shards(tmp_path):
    """Are said when they are merged."""
    with pytest.raises(MergeError, match="shard 0 of those to merge cannot be used"):
        DuplicatesFilter(str(tmp_path / "twice.json")).merge_contents([b"{}"], str(tmp_path / "twice.json"))
