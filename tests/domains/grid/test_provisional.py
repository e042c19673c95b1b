"""Provisional values: marked, replaced by final ones, and what that changed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from curator_core import open_dataset, run_pipeline
from curator_core.cli.commands.versions import versions
from curator_core.datasets import list_versions
from curator_core.datasets.aligned.availability import Replacements, replacements
from curator_core.domains.grid import GridZarrSink, NamesFilter, NetCDFSource, slot_status
from curator_core.errors import ComponentError
from curator_core.pipeline.components import MergeItem
from tests.domains.grid.blocks import Bench, block, tree
from tests.filters.grids import through

AXES = {"time": {"start": "2020-01-01", "end": "2020-01-01T18", "frequency": "6h"}}
SINCE = "hours since 2020-01-01"


def late_block(first, n_steps, seed=0):
    """Steps that say that they will be replaced."""
    return block(first, n_steps, seed).assign_coords(expver=("time", ["0005"] * n_steps))


def final_block(first, n_steps, seed=0):
    """Steps that are final."""
    return block(first, n_steps, seed).assign_coords(expver=("time", ["0001"] * n_steps))


def states(path, name="t"):
    """States of the steps of a variable."""
    return slot_status(path)["status"].sel(variable=name).values.tolist()


def publish(bench, name, boxes, previous=None, new=None):
    """Publish boxes by key, of which some are new."""
    parts = {key: bench.part(box) if new is None or key in new else None for key, box in boxes.items()}
    items = [MergeItem(n, key, None, key, part) for n, (key, part) in enumerate(parts.items())]
    bench.sink.merge_items(items, None if previous is None else str(previous), str(bench.folder / name))
    return bench.folder / name


def test_final_values_of_another_item_take_the_place(tmp_path):
    """Whatever came first, in the bytes of a build from scratch; without them, the others are there again."""
    bench = Bench(GridZarrSink(str(tmp_path / "d.zarr"), AXES), tmp_path)
    late, early, final = late_block(0, 4), late_block(1, 2, 3), final_block(0, 2, 1)
    boxes = {"a": final, "b": late}
    both = publish(bench, "both.zarr", boxes)
    assert states(both) == [1, 1, 4, 4]
    np.testing.assert_array_equal(open_dataset(both)["t"].values[:2], final["t"].values)
    alone = publish(bench, "late.zarr", {"b": late})
    assert states(alone) == [4, 4, 4, 4]
    added = publish(bench, "added.zarr", boxes, alone, {"a"})
    assert tree(added) == tree(both)
    assert tree(publish(bench, "gone.zarr", {"b": late}, both, ())) == tree(alone)
    with pytest.raises(Exception, match="'b' and 'c' both give"):
        publish(bench, "two.zarr", {**boxes, "c": early})


def test_provisional_values_of_a_final_step_do_not_clash(tmp_path):
    """Two items with provisional values are no reason to refuse what a third has final, whichever is preferred."""
    bench = Bench(GridZarrSink(str(tmp_path / "d.zarr"), AXES, duplicate="prefer=late-*"), tmp_path)
    boxes = {"final": final_block(0, 2, 1), "late-1": late_block(0, 2), "late-2": late_block(0, 2, 3)}
    path = publish(bench, "d.zarr", boxes)
    assert states(path) == [1, 1, 0, 0]
    np.testing.assert_array_equal(open_dataset(path)["t"].values[:2], boxes["final"]["t"].values)


def test_both_versions_in_one_file(tmp_path, write_netcdf):
    """Along a dimension, as files of the Climate Data Store had them: final values where there are any."""
    final = np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]], np.float32)
    late = np.array([[np.nan, np.nan], [np.nan, np.nan], [5.0, np.nan]], np.float32)
    variables = {
        "time": (("time",), [0, 6, 12], {"units": SINCE}),
        "expver": (("expver",), [1, 5], {}),
        "tp": (("time", "expver", "x"), np.stack([final, late], 1), {"units": "m", "_FillValue": np.float32(-9)}),
    }
    write_netcdf(variables)
    path = tmp_path / "d.zarr"
    source = NetCDFSource(str(tmp_path))
    run_pipeline(source.filter(NamesFilter("weatherbench")).write(GridZarrSink(str(path))), gather=True, progress=False)
    found = open_dataset(path)["total_precipitation"]
    np.testing.assert_array_equal(found.values, [[1, 2], [3, 4], [5, np.nan]])
    assert found.dims == ("time", "x")
    assert states(path, "total_precipitation") == [1, 1, 4]
    variables["tp"][1][0, 1, 0] = 7.0
    variables["tp"][1][0, 0, 0] = np.nan
    write_netcdf(variables, "b.nc")
    (given,) = source.__class__(str(tmp_path), "b.nc")[0]
    with pytest.raises(ComponentError, match="'tp' has final and provisional values at step 0 of 'time'"):
        GridZarrSink(str(tmp_path / "e.zarr"))(iter([given]), 0)
    with pytest.raises(ComponentError, match="other versions than 1 and 5"):
        GridZarrSink(str(tmp_path / "e.zarr"))(iter([given.assign_coords(expver=[1, 7])]), 0)


def test_marks_stay_with_other_names():
    """A variable keeps what says that it is provisional when it is renamed."""
    given = xr.Dataset(
        {"t2m": ("time", [1.0, 2.0], {"units": "K", "ancillary_variables": "t2m_expver"})},
        {"time": ("time", [0, 1], {"units": SINCE}), "t2m_expver": ("time", ["0001", "0005"])},
    )
    (found,) = through(NamesFilter("weatherbench"), given)
    assert found["2m_temperature"].attrs["ancillary_variables"] == "t2m_expver"


def test_what_became_final_is_reported(tmp_path, write_netcdf):
    """How many steps, and by how much their values changed, beside the facts of the dataset."""

    def write(version, values):
        variables = {
            "time": (("time",), [0, 6], {"units": SINCE}),
            "expver": (("time",), np.array(version), {}),
            "t": (("time", "x"), np.array(values, np.float32), {"units": "K"}),
        }
        write_netcdf(variables, "a.nc")

    def described(version, values):
        write(version, values)
        sink = GridZarrSink(str(tmp_path / "d.zarr"))
        pipeline = NetCDFSource(str(tmp_path)).write(sink).with_settings(resume=True)
        run_pipeline(pipeline, gather=True, progress=False)
        return sink.describe(str(tmp_path / "d.zarr"))

    facts = {"n_slots": 2, "n_complete": 2, "n_failed_items": 0}
    found = described(["0001", "0005"], [[1, 2], [3, 4]])
    assert found == {**facts, "n_provisional": 1, "n_became_final": 0}
    found = described(["0001", "0001"], [[1, 2], [3, 4.5]])
    assert found == {**facts, "n_provisional": 0, "n_became_final": 1, "largest_change_t": 0.5}
    path = str(tmp_path / "d.zarr")
    _, former = list_versions(path)
    assert replacements(path, former.id) == Replacements(("a.nc",), ())
    assert replacements(path, former=former.id) == Replacements((), ("a.nc",))

    def said(*words):
        return CliRunner().invoke(versions, words).output

    assert said("list", path).splitlines()[0].split()[8:10] == ["provisional", "final"]
    rows = json.loads(said("list", path, "--json"))
    assert [(row["n_provisional"], row["n_final"]) for row in rows] == [(0, 1), (1, None)]
    assert said("diff", path, former.id).endswith("! a.nc\n0 added, 1 changed, 0 removed, 1 became final\n")
    assert json.loads(said("diff", path, "newest", former.id, "--json"))["provisional"] == ["a.nc"]
    assert described(["0001", "0001"], [[1, 2.5], [3, 4.5]]) == facts
