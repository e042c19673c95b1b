"""What a dataset of grids must never take without a word: each of these was, once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("cftime")
pytest.importorskip("zarr")

from curator_core import gather_pipeline, run_pipeline  # noqa: E402 - needs xarray
from curator_core.datasets.aligned.axis import EPOCH, labelled  # noqa: E402 - as above
from curator_core.datasets.contents import item_version  # noqa: E402 - as above
from curator_core.domains.grid.sinks import GridZarrSink  # noqa: E402 - as above
from curator_core.errors import ComponentError, ConfigError, MergeError, RunFailed  # noqa: E402 - as above
from curator_core.pipeline.components import MergeItem  # noqa: E402 - as above
from tests.domains.grid.blocks import (  # noqa: E402 - as above
    LATITUDES,
    START,
    Bench,
    BlocksSource,
    Listed,
    block,
    write_block,
)

AXES = {"time": {"start": "2020-01-01", "frequency": "6h"}}
MICROSECOND = np.timedelta64(1, "us")


@pytest.fixture
def bench(tmp_path):
    """Function that makes a bench of a sink with some arguments."""
    return lambda axes=AXES, **arguments: Bench(GridZarrSink(str(tmp_path / "d.zarr"), axes, **arguments), tmp_path)


def opened(path):
    return xr.open_zarr(path, chunks=None).load()


def status(path, name="t"):
    table = xr.open_zarr(path, group="slots/time", chunks=None, consolidated=False).load()
    return table["status"].values[:, table["variable"].values.tolist().index(name)].tolist()


def at(*steps):
    """Times of some steps, which need not be whole."""
    return START.astype("M8[us]") + (np.array(steps) * 21_600_000_000).astype("m8[us]")


def on_levels(step, levels, value=1.0, dtype="f8"):
    """A variable on some levels at one step."""
    values = np.full((1, len(levels)), value, dtype)
    return xr.Dataset({"t": (("time", "level"), values)}, {"time": at(step), "level": np.array(levels, float)})


def numbered(numbers, dtype):
    numbers = np.array(numbers, dtype)
    return xr.Dataset({"t": ("number", numbers * 1.0)}, {"number": numbers})


# slots


def test_slots_of_other_types_of_numbers(bench):
    """Of items, and of boxes of one item: 16, 32 and 64 bits."""
    made = bench({"number": {}})
    boxes = numbered([0, 100], "i2").rename(t="u"), numbered([200, 20000], "i8").rename(t="v")
    parts = {"a": made.part(numbered([*range(0, 30000, 100)], "i2")), "b": made.part(*boxes)}
    parts["c"] = made.part(numbered([30000.0], "f8"))
    found = opened(made.publish("a.zarr", parts))
    assert found["number"].dtype == np.int64
    assert found["t"].values.tolist() == found["number"].values.tolist()
    assert np.flatnonzero(np.isfinite(found["v"].values)).tolist() == [2, 200]


def test_a_slot_that_its_type_does_not_hold(bench):
    """Half a number is not the whole one."""
    made = bench({"number": {}})
    parts = {"a": made.part(numbered([0, 1, 2], "i8")), "b": made.part(numbered([2.5], "f8"))}
    with pytest.raises(MergeError, match="'number' is of type float64, in the dataset of type int64"):
        made.publish("a.zarr", parts)


def test_a_time_that_is_missing(bench):
    """It has no slot."""
    times = at(0, 1, 2)
    times[1] = "NaT"
    with pytest.raises(ComponentError, match="time of step 1 of 'time' is missing"):
        bench(None).part(block(0, 3).assign_coords(time=times))


def test_two_steps_of_one_slot(bench):
    """In one item, where they differ by less than the tolerance; and in two, on axes that are learned."""
    with pytest.raises(ComponentError, match="the same slot of the dataset, 2020-01-01T06:00:00"):
        bench().part(block(0, 3).assign_coords(time=[*at(0, 1), at(1)[0] + MICROSECOND]))
    made = bench(None)
    a, b = made.part(block(0, 2)), made.part(block(1, 1).assign_coords(time=at(1) + MICROSECOND))
    path = made.publish("a.zarr", {"a": a})
    for previous, first in ((None, a), (path, None)):
        with pytest.raises(MergeError, match="'a' and 'b' both give 't' at time 2020-01-01T06:00:00"):
            made.publish("b.zarr", {"a": first, "b": b}, previous)


def test_times_of_any_calendar_are_said_as_dates():
    """In messages, with the calendar where it is not that of today."""
    assert labelled(0, {"units": EPOCH, "calendar": "360_day"}) == "1970-01-01T00:00:00 (360_day)"
    assert labelled(-86_400_000_000, {"units": EPOCH, "calendar": "noleap"}) == "1969-12-31T00:00:00 (noleap)"
    assert labelled(0, {"units": EPOCH, "calendar": "standard"}) == "1970-01-01T00:00:00"


def test_a_time_that_is_damaged_makes_no_long_axis(bench):
    """Of steps of a minute, the year 9999 is far away."""
    with pytest.raises(ComponentError, match=r"lies 4,\d+,\d+,\d+ steps after the first one"):
        bench({"time": {"start": "2020-01-01", "frequency": "1min"}}).part(
            block(0, 1).assign_coords(time=np.array(["9999-01-01"], "M8[us]"))
        )


def test_a_dataset_that_began_with_one_step_has_its_gaps(bench):
    """The first day one step, then others: what is missing then has a slot, and may come late."""
    made = bench(None)
    path = made.publish("a.zarr", {"a": made.part(block(0, 1))})
    parts = {"a": None, "b": made.part(block(1, 2)), "d": made.part(block(5, 2))}
    path = made.publish("b.zarr", parts, path)
    assert status(path) == [1, 1, 1, 0, 0, 1, 1]
    late = made.publish("c.zarr", dict.fromkeys(parts) | {"c": made.part(block(4, 1))}, path)
    assert status(late) == [1, 1, 1, 0, 1, 1, 1]
    np.testing.assert_array_equal(opened(late)["t"].values[4], block(4, 1)["t"].values[0])


def test_months_of_one_length_are_months(bench):
    """July to September are 31 days each; October begins 30 days later."""
    made = bench(None)
    months = np.arange("2020-07", "2020-11", dtype="M8[M]").astype("M8[us]")
    items = [xr.Dataset({"t": ("time", np.ones(len(m)))}, {"time": m}) for m in (months[:3], months[3:])]
    path = made.publish("a.zarr", {"a": made.part(items[0])})
    found = opened(made.publish("b.zarr", {"a": None, "b": made.part(items[1])}, path))
    assert found["time"].values.astype("M8[M]").astype(str).tolist() == ["2020-07", "2020-08", "2020-09", "2020-10"]


def test_an_end_that_is_declared_anew_cuts_nothing_off(bench, tmp_path):
    """An earlier one is refused while items have later steps; without these it is the end."""
    made = bench({"time": {**AXES["time"], "end": "2020-01-03"}})
    path = made.publish("a.zarr", {"a": made.part(block(0, 2)), "b": made.part(block(2, 3))})
    made.sink = GridZarrSink(str(tmp_path / "d.zarr"), {"time": {**AXES["time"], "end": "2020-01-01T06"}})
    with pytest.raises(MergeError, match="ends with 2020-01-01T06:00:00, and the item 'b' has 2020-01-02T00:00:00"):
        made.publish("b.zarr", {"a": None, "b": None}, path)
    assert opened(made.publish("c.zarr", {"a": None}, path)).sizes["time"] == 2


def test_an_axis_of_dates(bench):
    """As YAML gives them: texts, or dates."""
    made = bench({"time": {"values": ["2020-01-01", "2020-01-01T06:00", "2020-01-05"]}})
    path = made.publish("a.zarr", {"a": made.part(block(0, 2)), "b": made.part(block(16, 1))})
    assert status(path) == [1, 1, 1]
    with pytest.raises(ConfigError, match="values that are no times"):
        bench({"time": {"values": ["2020-01-01", "soon"]}})


# times


def test_bounds_have_the_units_of_their_time(bench):
    """Where they say none, as CF allows."""
    time = ("time", [0.0, 6.0], {"units": "hours since 2020-01-01", "bounds": "time_bnds"})
    bounds = ("time", "nv"), [[0.0, 6.0], [6.0, 12.0]]
    item = xr.Dataset({"t": ("time", [1.0, 2.0]), "time_bnds": bounds}, {"time": time})
    made = bench()
    found = opened(made.publish("a.zarr", {"a": made.part(item)}))
    assert (found["time_bnds"].values == np.stack([at(0, 1), at(1, 2)], axis=1)).all()


def test_calendars_that_are_the_same_today(bench):
    """Xarray writes ``proleptic_gregorian``; before the reform of the calendar it is another."""

    def dated(time, calendar):
        about = {"units": "days since 1500-01-01", "calendar": calendar}
        return xr.Dataset({"t": ("time", [1.0])}, {"time": ("time", [time], about)})

    made = bench({"time": {}})
    late = made.part(dated(200_000, "standard")), made.part(dated(200_010, "proleptic_gregorian"))
    found = opened(made.publish("a.zarr", dict(zip("ab", late, strict=True))))
    assert (np.diff(found["time"].values) / np.timedelta64(1, "D")).tolist() == [1.0]
    with pytest.raises(MergeError, match="one calendar"):
        made.publish("b.zarr", {"a": late[0], "b": made.part(dated(10, "proleptic_gregorian"))})


def test_a_lead_time_stays_one(bench):
    """The dimension that is asked for says what it counts: times along it do not take its place."""
    item = xr.Dataset(
        {"t": ("lead_time", [1.0, 2.0])},
        {"lead_time": ("lead_time", [0, 21600], {"units": "seconds"}), "valid_time": ("lead_time", at(0, 1))},
    )
    made = bench({"lead_time": {}})
    found = xr.open_zarr(made.publish("a.zarr", {"a": made.part(item)}), chunks=None, decode_timedelta=False)
    assert found["lead_time"].values.tolist() == [0, 21600]
    assert (found["valid_time"].values == at(0, 1)).all()


def test_single_times_of_items_are_kept(bench):
    """Times of the analysis a few minutes apart, as a single value and as a dimension."""

    def item(step, **of):
        return block(step, 1).assign_coords(analysis=at(step / 100)[0], **of)

    made = bench()
    found = opened(made.publish("a.zarr", {str(n): made.part(item(n)) for n in range(2)}))
    assert (found["analysis"].values == at(0, 0.01)).all()
    parts = {str(n): made.part(block(n, 1).expand_dims(run=at(n / 100))) for n in range(2)}
    found = opened(made.publish("b.zarr", parts))
    assert (found["run"].values == at(0, 0.01)).all()
    assert np.isfinite(found["t"].values[:, :, 1, 1]).tolist() == [[True, False], [False, True]]


# the grid


def test_fields_that_are_fixed_are_compared_where_they_lie(bench):
    """On latitudes that are turned, and on some of the levels."""
    made = bench()
    mask = ("lat", "lon"), np.arange(30.0).reshape(5, 6)
    turned = block(1, 1).assign_coords(lat=("lat", LATITUDES[::-1].copy(), {"units": "degrees_north"}))
    parts = {"a": made.part(block(0, 1).assign(mask=mask)), "b": made.part(turned.assign(mask=mask))}
    with pytest.raises(MergeError, match="'b': 'mask' differs from the dataset's by up to 24"):
        made.publish("a.zarr", parts)
    parts["b"] = made.part(turned.assign(mask=(mask[0], mask[1][::-1].copy())))
    np.testing.assert_array_equal(opened(made.publish("b.zarr", parts))["mask"].values, mask[1])
    some = [
        on_levels(n, levels).assign(a=("level", [f * v for v in levels]))
        for n, levels, f in ((0, [1, 2], 1), (1, [2], 7))
    ]
    with pytest.raises(MergeError, match="'a' differs from the dataset's by up to 12"):
        made.publish("c.zarr", {str(n): made.part(d) for n, d in enumerate(some)})


def test_fields_along_levels_grow_with_them(bench):
    """Where every item has its own; where one has none, that is said."""
    made = bench()
    items = [
        on_levels(n, levels).assign(a=("level", 10.0 * np.array(levels))) for n, levels in enumerate([[1, 3], [2, 3]])
    ]
    found = opened(made.publish("a.zarr", {str(n): made.part(d) for n, d in enumerate(items)}))
    assert (found["level"].values.tolist(), found["a"].values.tolist()) == ([1, 2, 3], [10, 20, 30])
    with pytest.raises(MergeError, match="'a' is not in every item"):
        made.publish("b.zarr", {"a": made.part(items[0]), "b": made.part(items[1].drop_vars("a"))})


def test_items_that_do_not_say_where_they_are(bench):
    """Without the latitudes that the dataset has, or with levels of another unit."""
    made = bench()
    with pytest.raises(MergeError, match="'b': It has no coordinate 'lat'"):
        made.publish("a.zarr", {"a": made.part(block(0, 1)), "b": made.part(block(1, 1).drop_vars("lat"))})
    levels = [on_levels(n, [1, 2]) for n in range(2)]
    for dataset, units in zip(levels, ("m", "km"), strict=True):
        dataset["level"].attrs["units"] = units
    with pytest.raises(MergeError, match="'level' is in 'km', in the dataset in 'm'"):
        made.publish("b.zarr", {str(n): made.part(d) for n, d in enumerate(levels)})


def test_a_column_that_is_there_twice(bench):
    """At 0 and 360 degrees: once in the dataset, where both are the same."""
    made = bench()
    item = block(1, 1, names=["t"])
    wrapped = xr.concat([item, item.isel(lon=[0]).assign_coords(lon=("lon", [360.0], item["lon"].attrs))], "lon")
    parts = {"a": made.part(block(0, 1, names=["t"])), "b": made.part(wrapped)}
    np.testing.assert_array_equal(opened(made.publish("a.zarr", parts))["t"].values[1], item["t"].values[0])
    other = wrapped.assign(t=wrapped["t"].where(wrapped["lon"] < 360, 0.0))
    with pytest.raises(MergeError, match="'b': 't' has two columns at one place of the dataset, 0, which differ"):
        made.publish("b.zarr", {"a": parts["a"], "b": made.part(other)})


def test_small_numbers_differ_too(bench):
    """Of a dimension of one value there is no spacing: wavelengths in metres."""
    made = bench()
    parts = {str(n): made.part(on_levels(n, [value])) for n, value in enumerate([5.5e-7, 6.5e-7])}
    assert opened(made.publish("a.zarr", parts))["level"].values.tolist() == [5.5e-7, 6.5e-7]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda d: d.assign(t=d["t"].isel(time=0, drop=True)),
            "'t' lies along 'time' in some items, and not in others",
        ),
        (
            lambda d: d.assign(t=d["t"].assign_attrs(standard_name="dew_point")),
            "has standard_name .*it is another quantity",
        ),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_another_quantity_of_the_same_name(bench, change, message, is_first):
    """A field without time where others have one, or by its attributes."""
    made = bench()
    items = [block(0, 1, names=["t", "p"]), block(1, 1, names=["t", "p"])]
    items[not is_first] = change(items[not is_first])
    with pytest.raises(MergeError, match=message):
        made.publish("a.zarr", {str(n): made.part(d) for n, d in enumerate(items)})


def test_boxes_that_overlap(bench):
    """In a dataset of more levels, where the number of values alone would not tell."""
    made = bench()
    made.sink.set_config_hash("c")
    items = [MergeItem(0, "a", None, item_version("a", None, "c"), made.part(on_levels(0, [1, 2, 3, 4, 5])))]
    made.sink.merge_items(items, None, made.sink.output_path)
    made.sink.set_config_hash("c")
    with pytest.raises(ComponentError, match="values of 't' twice"):
        made.part(on_levels(1, [1, 2], 1.0), on_levels(1, [2, 3], np.nan))


# values


def test_values_that_would_be_taken_for_absent(bench):
    """255 of unsigned bytes is refused, with the type that holds it; flags have gaps as well."""
    made = bench()

    def item(step, values):
        return xr.Dataset({"t": (("time", "x"), np.array([values]))}, {"time": at(step)})

    with pytest.raises(ComponentError, match=r"has the value 255, .* dtype=\{'t': 'uint16'\}"):
        made.part(item(0, np.array([1, 255], "u1")))
    parts = {
        "a": made.part(item(0, [True, False]).assign(mask=("x", [True, False]))),
        "b": made.part(item(2, [False, True])),
    }
    found = opened(made.publish("a.zarr", parts))
    np.testing.assert_array_equal(found["t"].values, [[1, 0], [np.nan] * 2, [0, 1]])
    assert found["mask"].dtype == bool
    made = bench(dtype={"t": "uint16"})
    found = opened(made.publish("b.zarr", {"a": made.part(item(0, np.array([1, 255], "u1")))}))
    assert found["t"].values.tolist() == [[1, 255]]


def test_integers_on_some_levels(bench):
    """Where an item has no value of a level, there is none, also where another item has wider integers."""
    made = bench()
    known = made.publish(
        "a.zarr", {"a": made.part(on_levels(0, [1, 2], 3, "i2")), "b": made.part(on_levels(1, [2], 4, "i2"))}
    )
    np.testing.assert_array_equal(opened(known)["t"].values, [[3, 3], [np.nan, 4]])
    boxes = on_levels(0, [1], 3, "i2"), on_levels(1, [2], 3, "i2")
    wider = made.publish("b.zarr", {"a": made.part(*boxes), "b": made.part(on_levels(2, [1, 2], 70_000, "i4"))})
    np.testing.assert_array_equal(opened(wider)["t"].values, [[3, np.nan], [np.nan, 3], [70_000, 70_000]])


@pytest.mark.parametrize(
    ("dtype", "factor", "message"),
    [({"t": "int16"}, 1, "has the value nan"), ("float16", 1e6, r"has the value \d+\.\d+, which the type float16")],
)
def test_types_that_do_not_hold_the_values(bench, dtype, factor, message):
    """Missing values as integers, and numbers that would be infinite."""
    item = block(0, 2, names=["t"])
    with pytest.raises(ComponentError, match=message):
        bench(dtype=dtype).part(item.assign(t=item["t"] * factor))


@pytest.mark.parametrize(("dtype", "message"), [("wat", "no type"), ({"t": "M8[s]"}, "no type"), ("int16", "by name")])
def test_types_that_are_none(bench, dtype, message):
    """Said when the sink is made."""
    with pytest.raises(ConfigError, match=message):
        bench(dtype=dtype)


@pytest.mark.parametrize(
    ("attributes", "what"), [({"scale_factor": 0.1}, "scale_factor"), ({"_FillValue": 3}, "_FillValue, 3")]
)
def test_values_that_are_not_decoded(bench, attributes, what):
    """What they mean would be lost."""
    item = block(0, 1, names=["n"]).assign(n=("time", np.array([3], "i2"), attributes))
    with pytest.raises(ComponentError, match=f"'n' has .*{what}.* decode it first"):
        bench().part(item)


# states


def test_provisional_steps_of_an_item(bench):
    """Final ones first, in one file."""
    made = bench()
    item = block(0, 3).assign_coords(expver=("time", np.array(["0001", "0001", "0005"])))
    path = made.publish("a.zarr", {"a": made.part(item.isel(time=[2, 0, 1]))})
    assert status(path) == [1, 1, 4]
    again = made.publish("b.zarr", {"a": None, "b": made.part(block(3, 1))}, path)
    assert status(again) == [1, 1, 4, 1]


def test_an_item_that_failed_while_all_others_are_new(bench):
    """It keeps its slot, marked, and its split; under another configuration there is nothing to keep."""
    made = bench()

    def items(config_hash, *given):
        made.sink.set_config_hash(config_hash)
        return [
            MergeItem(n, key, mark, item_version(key, mark, config_hash), made.part(block(*steps)), "train")
            for n, (key, mark, *steps) in enumerate(given)
        ]

    path = str(made.folder / "a.zarr")
    made.sink.merge_items(items("c", ("a", "1", 0, 1), ("b", "1", 3, 1)), None, path)
    made.sink.set_source(Listed("a", "b"))
    made.sink.merge_items(items("c", ("a", "2", 0, 1, 7)), path, str(made.folder / "b.zarr"))
    assert status(made.folder / "b.zarr") == [1, 0, 0, 3]
    assert made.sink.retained_splits(str(made.folder / "b.zarr")) == {"a": "train", "b": "train"}
    np.testing.assert_array_equal(opened(made.folder / "b.zarr")["t"].values[3], block(3, 1)["t"].values[0])
    made.sink.merge_items(items("other", ("a", "2", 0, 1, 7)), path, str(made.folder / "c.zarr"))
    assert status(made.folder / "c.zarr") == [1]
    assert Path(path).exists()


def test_gaps_within_an_item(bench):
    """Which the worker does not know, since the axis is learned: every step is at its place."""
    made = bench(None)
    item = block(0, 8).isel(time=[0, 1, 5, 7])
    found = opened(made.publish("a.zarr", {"a": made.part(item)}))
    np.testing.assert_array_equal(found["t"].values[[0, 1, 5, 7]], item["t"].values)
    assert np.isnan(found["t"].values[[2, 3, 4, 6]]).all()


def test_times_that_were_rounded(bench):
    """Fractions of an hour with eight digits: the steps are those that were meant."""
    hours = np.round(438_288 + np.arange(60) / 6, 7)
    item = xr.Dataset({"t": ("time", hours)}, {"time": ("time", hours, {"units": "hours since 1970-01-01"})})
    made = bench(None)
    found = opened(made.publish("a.zarr", {"a": made.part(item)}))
    assert (found["time"].values == START + np.timedelta64(10, "m") * np.arange(60)).all()


def test_an_item_on_another_grid_fails_before_anything_is_published(tmp_path):
    """By itself, in the first run; the others are published."""
    for first in (0, 3, 6):
        write_block(tmp_path / "in", first, 3)
    other = block(3, 3).assign_coords(lat=("lat", LATITUDES / 2, {"units": "degrees_north"}))
    other.to_netcdf(tmp_path / "in/000003.nc", engine="scipy")
    pipeline = BlocksSource(str(tmp_path / "in")).write(GridZarrSink(str(tmp_path / "d.zarr")))
    with pytest.raises(RunFailed, match=r"1 of 3 items failed:\n.*'lat' differs from the dataset's by up to 30"):
        run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline, max_missing=1)
    assert status(tmp_path / "d.zarr") == [1, 1, 1, 0, 0, 0, 1, 1, 1]


def test_the_first_item_itself_may_be_corrected(tmp_path):
    """It is not compared with what it was."""
    write_block(tmp_path / "in", 3, 3)
    other = block(0, 3).assign_coords(lat=("lat", LATITUDES / 2, {"units": "degrees_north"}))
    other.to_netcdf(tmp_path / "in/000000.nc", engine="scipy")
    sink = GridZarrSink(str(tmp_path / "d.zarr"))
    with pytest.raises(RunFailed, match="1 of 2 items failed"):
        run_pipeline(BlocksSource(str(tmp_path / "in")).write(sink), progress=False)
    write_block(tmp_path / "in", 0, 3)
    run_pipeline(BlocksSource(str(tmp_path / "in")).write(sink), progress=False, gather=True)
    assert status(tmp_path / "d.zarr") == [1] * 6


def test_advice_names_times_that_data_lie_along(bench):
    """Not bounds of a time, along which there is nothing; a single time counts."""
    dataset = (
        block(0, 1)
        .isel(time=0, drop=True)
        .assign_coords(
            t=((), 0, {"units": "hours since 2020-01-01"}),
            edges=("edge", [0, 6], {"units": "hours since 2020-01-01"}),
        )
    )
    for wanted in ({"edges": {}}, {"edge": {}}):
        with pytest.raises(ComponentError, match=r"Name the coordinate to grow along: axes=\{'t': \{\}\}\.$"):
            bench(wanted).part(dataset)


def test_an_item_unlike_the_first_one_says_which_that_is(tmp_path):
    """Also where a coordinate of many values is a single one in the other item."""
    (tmp_path / "in").mkdir()
    block(0, 3).assign_coords(lead=[0, 6]).to_netcdf(tmp_path / "in" / "000000.nc", engine="scipy")
    block(3, 3).assign_coords(lead=0).to_netcdf(tmp_path / "in" / "000003.nc", engine="scipy")
    pipeline = BlocksSource(str(tmp_path / "in")).write(GridZarrSink(str(tmp_path / "w.zarr"), AXES))
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline, progress=False)
    (text,) = failed.value.failures.values()
    assert "Compared with the first item '000000.nc'" in text
    assert "'lead'" in text
