"""What the sink writes: the layout that other libraries see, states of slots, and what it refuses."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
cftime = pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core.datasets.aligned.verifying import AlignedFiles  # noqa: E402 - needs xarray
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.errors import ComponentError, ConfigError, MergeError  # noqa: E402 - as above
from curator_core.storage.locations import location_of  # noqa: E402 - as above
from curator_core.testing.contracts import SinkContract  # noqa: E402 - as above
from tests.domains.grid.blocks import LATITUDES, LONGITUDES, START, STEP, Bench, Listed, block, tree  # noqa: E402 - as above

AXES = {"time": {"start": "2020-01-01", "frequency": "6h"}}


class TestGridZarrSinkContract(SinkContract):
    def make_sink(self, tmp_path):
        return GridZarrSink(str(tmp_path / "d.zarr"), chunks={"time": 2})

    def make_items(self, index):
        return [block(3 * index, 3)]


@pytest.fixture
def bench(tmp_path):
    """Function that makes a bench of a sink with some arguments."""
    return lambda axes=AXES, **arguments: Bench(GridZarrSink(str(tmp_path / "d.zarr"), axes, **arguments), tmp_path)


def opened(path):
    return xr.open_zarr(path, chunks=None).load()


def status(path, name="t"):
    """State of each slot of a variable, and the number of its values."""
    table = xr.open_zarr(path, group="slots/time", chunks=None, consolidated=False).load()
    column = table["variable"].values.tolist().index(name)
    return table["status"].values[:, column].tolist(), table["n_cells"].values[:, column].tolist()


def test_xarray_sees_a_dataset_that_it_can_plot(bench):
    """Coordinates, units, masks without time, single values, text, bounds, and integers with gaps."""
    made = bench()
    bounds = np.stack([START + STEP * np.arange(3), START + STEP * np.arange(1, 4)], axis=1)
    item = block(0, 3).assign_coords(
        time_bnds=(("time", "bnds"), bounds), crs=((), np.int32(1), {"grid_mapping_name": "latitude_longitude"})
    )
    item["mask"] = (("lat", "lon"), np.ones((5, 6), "i1"), {"units": "1"})
    item["place"] = ("lat", np.array(list("abcde")))
    path = made.publish("a.zarr", {"x": made.part(item), "y": made.part(block(5, 1))})
    found = opened(path)
    assert found["t"].dims == ("time", "lat", "lon")
    assert found["t"].attrs["units"] == "K"
    assert found["time"].values.tolist() == (START + STEP * np.arange(6)).astype("M8[ns]").astype(int).tolist()
    assert {"time_bnds", "crs"} <= set(found.coords)
    np.testing.assert_array_equal(found["time_bnds"].values[:3].astype("M8[s]"), bounds.astype("M8[s]"))
    assert found["place"].values.tolist() == list("abcde")
    assert int(found["crs"]) == 1
    assert np.isnan(found["n"].values[3:5]).all()
    assert found["n"].values[:3].tolist() == item["n"].values.tolist()
    assert found.attrs["Conventions"] == "CF-1.11"
    assert status(path) == ([1, 1, 1, 0, 0, 1], [30, 30, 30, 0, 0, 30])
    assert list(AlignedFiles(location_of(path), "curator-grid").damages()) == []


def test_states_tell_absent_steps_from_missing_values(bench):
    """No item has the step; one has it without the variable; it is there, and NaN; it will be replaced."""
    made = bench()
    late = block(4, 1)
    late["t"].attrs["GRIB_expver"] = "0005"
    parts = {"a": made.part(block(0, 2)), "b": made.part(block(2, 1, names=["n"])), "c": made.part(late)}
    path = made.publish("a.zarr", parts)
    assert status(path)[0] == [1, 1, 2, 0, 4]
    assert status(path, "n")[0] == [1, 1, 1, 0, 1]
    assert np.isnan(opened(path)["t"].values[:2, 0, 0]).all()


def test_boxes_of_one_item_have_their_places(bench):
    """Two boxes on other levels and times: values where they belong, and how many of them there are."""
    made = bench()
    boxes = []
    for first, levels in ((0, [1000.0, 850.0, 500.0]), (1, [700.0])):
        values = np.full((2, len(levels), 5, 6), first + 1, "f4")
        coordinates = {
            "time": START + STEP * np.arange(first, first + 2),
            "level": ("level", levels, {"units": "hPa", "positive": "down"}),
            "lat": ("lat", LATITUDES, {"units": "degrees_north"}),
            "lon": ("lon", LONGITUDES, {"units": "degrees_east"}),
        }
        boxes.append(xr.Dataset({"u": (("time", "level", "lat", "lon"), values)}, coordinates))
    path = made.publish("a.zarr", {"x": made.part(*boxes)})
    found = opened(path)
    assert found["level"].values.tolist() == [1000, 850, 700, 500]
    assert found["u"].values[:, :, 0, 0].tolist()[1] == [1, 1, 2, 1]
    assert status(path, "u") == ([1, 1, 1], [90, 120, 30])
    assert np.isnan(found["u"].values[0, 2]).all()


def test_the_grid_of_the_dataset_is_kept(bench):
    """Latitudes turned, longitudes from -180 with the first one twice, differences below the tolerance."""
    made = bench()
    item = block(3, 3)
    turned = item.isel(lat=slice(None, None, -1)).assign_coords(
        lon=("lon", (LONGITUDES + 180) % 360 - 180, item["lon"].attrs)
    )
    turned = turned.sortby("lon")
    near = block(6, 3).assign_coords(lat=("lat", LATITUDES + 1e-9, item["lat"].attrs))
    path = made.publish("a.zarr", {"a": made.part(block(0, 3)), "b": made.part(turned), "c": made.part(near)})
    found = opened(path)
    assert found["lat"].values.tolist() == LATITUDES.tolist()
    np.testing.assert_array_equal(found["t"].values[3:6], item["t"].values)
    np.testing.assert_array_equal(found["t"].values[6:], block(6, 3)["t"].values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.assign_coords(lat=("lat", LATITUDES + 0.1)), "'lat' differs from the dataset's by up to 0.1"),
        (lambda d: d.isel(lon=slice(0, 4)), "'lon' has 4 of the 6 values"),
        (lambda d: d.assign(t=d["t"].astype("f8")), "'t' is of type float64, in the dataset of type float32"),
        (lambda d: d.assign(t=d["t"].assign_attrs(units="degC")), "'t' is in 'degC', in the dataset in 'K'"),
        (lambda d: d.assign(t=d["t"].isel(lat=0, drop=True)), "'t' has the dimensions"),
    ],
)
def test_items_of_another_kind_are_refused_by_name(bench, change, message):
    """By the worker where there is a dataset of the same configuration; else when they are published together."""
    made = bench()
    parts = {"a": made.part(block(0, 3)), "b": made.part(block(3, 3))}
    path = made.publish("d.zarr", parts)
    parts = {"a": None, "b": None, "c": made.part(change(block(6, 3)))}
    with pytest.raises(MergeError, match=message):
        made.publish("e.zarr", parts, path)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (block(0, 3).drop_vars(["t", "n"]), "no variable along 'time'"),
        (block(0, 3).isel(time=slice(0, 0)), "no value along 'time'"),
        (xr.concat([block(0, 2), block(1, 1)], "time"), "has 'time' .* twice, at the positions 1 and 2"),
        (block(0, 3).rename(time="day"), "no coordinate 'time'"),
        (
            block(0, 3).assign_coords(time=START + STEP * np.array([0, 1, 2]) + np.timedelta64(1, "h")),
            "spaced by 6 hours",
        ),
        (block(0, 3).rename(t="items"), "cannot be the name of an array"),
    ],
)
def test_items_that_are_none_are_refused(bench, item, message):
    """Nothing along the slots, nothing at all, a step twice, one beside the axis."""
    with pytest.raises(ComponentError, match=message):
        bench().part(item)


def test_an_item_after_the_end_says_that_the_end_may_be_later(bench):
    """Which processes nothing again."""
    made = bench({"time": {"start": "2020-01-01", "end": "2020-01-02", "frequency": "6h"}})
    with pytest.raises(ComponentError, match=r"lies after the last one .* Declare a later end in axes="):
        made.part(block(4, 2))


def test_an_item_without_a_dataset_is_refused(bench):
    """An empty result of an item that is there."""
    with pytest.raises(ComponentError, match="gave no dataset"):
        bench().part()


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "standard"])
def test_calendars(bench, calendar):
    """Steps of a day over the end of February; of another calendar they are refused."""
    axis = {"time": {"start": "2020-02-27", "end": "2020-03-02", "frequency": "1D", "calendar": calendar}}
    made = bench(axis)
    dates = xr.date_range("2020-02-27", "2020-03-02", freq="1D", calendar=calendar, use_cftime=True)
    item = xr.Dataset({"t": ("time", np.arange(len(dates)) * 1.0)}, {"time": dates})
    path = made.publish("a.zarr", {"a": made.part(item)})
    found = xr.open_zarr(path, chunks=None, decode_times=xr.coders.CFDatetimeCoder(use_cftime=True)).load()
    assert found["time"].values.tolist() == dates.values.tolist()
    other = item.assign_coords(
        time=START + np.timedelta64(57 * 24, "h") + np.arange(len(dates)) * np.timedelta64(1, "D")
    )
    if calendar != "standard":
        with pytest.raises(ComponentError, match="one calendar"):
            made.part(other)


def test_a_dimension_is_dated_by_another_variable(bench):
    """As in NEMO's files: the coordinate is all zeros, or is not there, and ``time_centered`` has the times."""
    made = bench(None)
    item = block(0, 3).rename(time="step")
    dates = ("step", item["step"].values, {"standard_name": "time"})
    bare = item.drop_vars("step").assign_coords(time_centered=dates)
    zeros = bare.assign_coords(step=("step", np.zeros(3)))
    for name, given in (("a.zarr", bare), ("b.zarr", zeros)):
        found = opened(made.publish(name, {"a": made.part(given)}))
        assert found["step"].values.astype("M8[s]").tolist() == item["step"].values.tolist()
        assert found["t"].dims[0] == "step"


def test_months_are_a_list_that_grows(bench):
    """Learned: two months, a third later; one before the first is refused."""
    made = bench(None)
    months = np.array(["2020-01", "2020-02", "2020-03"], "M8[M]").astype("M8[s]")
    items = [xr.Dataset({"t": ("time", np.ones(1))}, {"time": months[n : n + 1]}) for n in range(3)]
    path = made.publish("a.zarr", {"b": made.part(items[1])})
    path = made.publish("b.zarr", {"b": None, "c": made.part(items[2])}, path)
    assert opened(path)["time"].values.astype("M8[M]").astype(str).tolist() == ["2020-02", "2020-03"]
    with pytest.raises(MergeError, match="2020-01-01T00:00:00 has no slot: it lies before the first one"):
        made.publish("c.zarr", {"a": made.part(items[0]), "b": None, "c": None}, path)


def test_a_learned_axis_keeps_its_gaps(bench, caplog):
    """Evenly spaced steps with some of them missing, which is said; inserting one moves nothing."""
    made = bench(None, chunks={"time": 4})
    parts = {"a": made.part(block(0, 3)), "c": made.part(block(6, 3))}
    path = made.publish("a.zarr", parts)
    assert status(path)[0] == [1, 1, 1, 0, 0, 0, 1, 1, 1]
    assert "3 of 9 slots of 'time' have no item: 2020-01-01T18:00:00, 2020-01-02T00:00:00" in caplog.text
    inserted = made.publish("b.zarr", {"a": None, "b": made.part(block(4, 2)), "c": None}, path)
    assert status(inserted)[0] == [1, 1, 1, 0, 1, 1, 1, 1, 1]
    np.testing.assert_array_equal(opened(inserted)["t"].values[4:6], block(4, 2)["t"].values)


def test_shards_without_a_change_are_linked(bench):
    """One corrected step: its shards are new, and the tables."""
    made = bench(chunks={"time": 2}, shards={"time": 4})
    parts = {str(n): made.part(block(4 * n, 4)) for n in range(4)}
    path = made.publish("a.zarr", parts)
    again = made.publish("b.zarr", dict.fromkeys(parts) | {"2": made.part(block(8, 4, seed=1))}, path)
    known = {p.stat().st_ino for p in path.rglob("*")}
    new = {str(p.relative_to(again)) for p in again.rglob("*") if p.is_file() and p.stat().st_ino not in known}
    assert {name for name in new if name.startswith(("t/c", "n/c"))} == {"t/c/2/0/0", "n/c/2"}


def test_damage_is_found_by_item(bench):
    """A chunk changed, a shard gone, a foreign file, other metadata."""
    made = bench(chunks={"time": 2}, shards={"time": 4})
    path = made.publish("a.zarr", {str(n): made.part(block(4 * n, 4)) for n in range(3)})
    file = path / "t/c/0/0/0"
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    (path / "t/c/1/0/0").unlink()
    (path / "t/c/9").write_bytes(b"")
    (path / "lat/zarr.json").write_text("{}")
    found = {(d.file, d.items) for d in AlignedFiles(location_of(path), "curator-grid").damages()}
    assert found == {("t/c/0/0/0", ("0",)), ("t/c/1/0/0", ("1",)), ("t/c/9", ()), ("lat/zarr.json", ())}


def test_a_part_that_was_changed_is_named(bench):
    """Its chunks have checksums; a part that is cut off is none."""
    made = bench()
    part = made.part(block(0, 3))
    data = bytearray(part.read_bytes())
    data[30] ^= 1
    part.write_bytes(data)
    with pytest.raises(MergeError, match=r"cannot be read .*process its item again"):
        made.publish("a.zarr", {"a": part})
    part.write_bytes(bytes(data[:-3]))
    with pytest.raises(MergeError, match=r"cannot be read .*process its item again"):
        made.publish("b.zarr", {"a": part})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"axes": {"time": {"start": "2020-01-01"}}}, "needs 'frequency'"),
        ({"axes": {"time": {"start": "2020-01-01", "frequency": "MS"}}}, "needs an end"),
        ({"axes": {"time": {"start": "2020-01-01", "frequency": "wat"}}}, "describes no times"),
        ({"axes": {"time": {"start": "2020-02-30", "frequency": "1D"}}}, "describes no times"),
        ({"axes": {"time": {}, "level": {}}}, "the one dimension"),
        ({"axes": {"time": {"begin": 1}}}, "has 'begin'"),
        ({"axes": {"time": {"values": [2, 1]}}}, "must rise"),
        ({"chunks": {"time": 0}}, "lengths of at least 1"),
        ({"shards": "big"}, "shards must be"),
    ],
)
def test_arguments_that_cannot_be(tmp_path, arguments, message):
    """Refused when the sink is made."""
    with pytest.raises(ConfigError, match=message):
        GridZarrSink(str(tmp_path / "d.zarr"), **arguments)


def test_shards_are_whole_chunks(bench):
    """The length that fits is said."""
    with pytest.raises((ConfigError, ComponentError), match="not 5 but 6"):
        bench(chunks={"time": 3}, shards={"time": 5}).part(block(0, 1))


def test_another_axis_is_said_before_anything_runs(tmp_path, bench):
    """Extending is no other axis; a start or a frequency of its own is."""
    made = bench()
    made.publish("d.zarr", {"a": made.part(block(0, 3))})
    GridZarrSink(str(tmp_path / "d.zarr"), {"time": {**AXES["time"], "end": "2021-01-01"}}).check()
    for other in ({"start": "2019-12-31"}, {"frequency": "3h"}):
        sink = GridZarrSink(str(tmp_path / "d.zarr"), {"time": {**AXES["time"], **other}})
        with pytest.raises(ConfigError, match=r"extended at its end alone: choose another output"):
            sink.check()


def test_the_axis_is_no_part_of_what_items_are(tmp_path):
    """Extending it processes nothing again."""
    one, other = (GridZarrSink(str(tmp_path / "d.zarr"), axes) for axes in (AXES, None))
    assert [p.recorded for p in one.params() if p.name == "axes"] == [False]
    assert pickle.loads(pickle.dumps(other)).arguments == other.arguments


def test_the_type_that_is_asked_for(bench):
    """Of all floating-point variables, or of one."""
    made = bench(dtype="float64")
    assert opened(made.publish("a.zarr", {"a": made.part(block(0, 2))}))["t"].dtype == "f8"
    made = bench(dtype={"p": "float32"})
    found = opened(made.publish("b.zarr", {"a": made.part(block(0, 2, names=["t", "p"]))}))
    assert (found["t"].dtype, found["p"].dtype) == ("f4", "f4")


def test_values_are_read_by_item(bench):
    """Of variables that are cut along space, too."""
    made = bench(chunks={"time": 2, "lat": 2, "lon": 4}, shards={"time": 4, "lat": 4, "lon": 4})
    path = made.publish("a.zarr", {"a": made.part(block(0, 3)), "b": made.part(block(3, 3))})
    sums = {"a": 0.0, "b": 0.0}
    for key, _, values in made.sink.values(str(path), ["t"]):
        sums[key] += float(np.nansum(values))
    expected = {key: float(np.nansum(block(first, 3)["t"].values)) for key, first in (("a", 0), ("b", 3))}
    assert sums == pytest.approx(expected)
    assert made.sink.describe(str(path)) == {"n_slots": 6, "n_complete": 6, "n_failed_items": 0}
    assert {v.name: v.shape for v in made.sink.schema(str(path))} == {"n": (6,), "t": (6, 5, 6)}


def test_parts_without_known_slots_are_the_same_dataset(tmp_path):
    """An axis that is learned: chunks are put together at publication, to the same bytes as where it is known."""
    known, learned = (
        Bench(GridZarrSink(str(tmp_path / name / "d.zarr"), axes, chunks={"time": 4}), tmp_path)
        for name, axes in (("known", {"time": {"start": "2020-01-01", "frequency": "6h"}}), ("learned", None))
    )
    trees = []
    for made in (known, learned):
        Path(made.sink.output_path).parent.mkdir()
        parts = {str(n): made.part(block(3 * n, 3)) for n in range(3)}
        found = tree(made.publish(f"{len(trees)}.zarr", parts))
        trees.append({name: data for name, data in found.items() if name != "zarr.json"})
    assert trees[0] == trees[1]


def test_slots_of_failed_items_on_another_grid_are_let_go(bench, caplog):
    """Where all others are new, and on a grid of their own, that is said; else the old slots stay."""
    made = bench()
    made.sink.set_source(Listed("a", "b"))
    before = made.publish("a.zarr", {"a": made.part(block(0, 3)), "b": made.part(block(3, 3))})
    kept = made.publish("b.zarr", {"a": made.part(block(0, 3, seed=1))}, before, "2")
    assert status(kept)[0] == [1, 1, 1, 3, 3, 3]
    assert list(made.sink.retained_failed(str(kept))) == ["b"]
    moved = block(0, 3).assign_coords(lat=("lat", LATITUDES + 0.1, {"units": "degrees_north"}))
    found = made.publish("c.zarr", {"a": made.part(moved)}, kept, "3")
    assert status(found)[0] == [1, 1, 1]
    assert opened(found)["lat"].values.tolist() == (LATITUDES + 0.1).tolist()
    assert "nothing is kept of 1 that are not, such as b" in caplog.text


def test_a_damaged_dataset_is_replaced_as_a_whole(bench):
    """Where all items are new nothing of it is needed, whatever its table says."""
    made = bench()
    made.sink.set_source(Listed("a", "b"))
    parts = {"a": made.part(block(0, 3)), "b": made.part(block(3, 3))}
    before = made.publish("a.zarr", parts)
    (before / "items" / "key" / "c" / "0").write_bytes(b"damage")
    assert tree(made.publish("b.zarr", parts, before)) == tree(made.publish("c.zarr", parts))


def test_errors_of_what_comes_before_are_not_the_sinks(tmp_path):
    """They keep their component, key and file."""

    def failing():
        raise ComponentError("netcdf: it is damaged", component="netcdf", key="a.nc", file="a.nc")
        yield

    with pytest.raises(ComponentError, match=r"^netcdf: it is damaged$") as failed:
        GridZarrSink(str(tmp_path / "w.zarr"))(failing(), 0)
    assert (failed.value.component, failed.value.key) == ("netcdf", "a.nc")
