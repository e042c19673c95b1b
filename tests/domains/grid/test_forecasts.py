"""Forecasts and ensembles as datasets of slots: every lead time and member has its place, whatever file it comes in."""

from __future__ import annotations

import eccodes
import numpy as np
import pytest
import xarray as xr

from curator_core import gather_pipeline, open_dataset, run_pipeline
from curator_core.datasets.aligned.codec import folded
from curator_core.domains.grid import GRIBSource, GridZarrSink, NetCDFSource, slot_status
from curator_core.errors import ComponentError, ConfigError, RunFailed
from curator_core.pipeline.components import MergeItem
from tests.domains.grid.blocks import Bench, tree
from tests.domains.grid.test_grib import message

LEADS = {"start": "0h", "end": "18h", "frequency": "6h"}
INITS = {"init_time": {"start": "2001-01-01", "end": "2001-01-02", "frequency": "12h"}}
START = np.datetime64("2001-01-01", "us").astype(np.int64)
HOUR = 3_600_000_000


def forecast(init, leads, members=None, name="t"):
    """A dataset of one forecast, as `GRIBSource` gives it: values say what they are of."""
    dated = {"units": "microseconds since 1970-01-01", "calendar": "standard"}
    starts, ahead = np.array([START + init * HOUR]), 3600 * np.array(leads)
    values = init + np.array(leads, np.float32)[None, :, None] / 100 + np.zeros((1, len(leads), 3), np.float32)
    dims = ["time", "lead_time", "x"]
    coordinates = {
        "time": ("time", starts, {"standard_name": "forecast_reference_time", **dated}),
        "lead_time": ("lead_time", ahead, {"units": "seconds", "standard_name": "forecast_period"}),
        "valid_time": (("time", "lead_time"), starts[:, None] + ahead * 1_000_000, dated),
    }
    if members is not None:
        values = np.stack([values + 1000 * member for member in members])
        dims = ["number", *dims]
        coordinates["number"] = ("number", np.array(members), {"standard_name": "realization"})
    return xr.Dataset({name: (dims, values, {"units": "K"})}, xr.Coordinates(coordinates, indexes={}))


def expected(init, lead, member=0):
    """Its value there."""
    return np.float32(init + np.float32(lead) / 100 + 1000 * member)


@pytest.fixture
def publish(tmp_path):
    """Publishes datasets, each an item, with a sink; gives the path."""

    def make(boxes, name="d.zarr", previous=None, **options):
        bench = Bench(GridZarrSink(str(tmp_path / name), **options), tmp_path)
        parts = {f"k{n:02d}": bench.part(box) for n, box in enumerate(boxes)}
        return bench.publish(name, parts, previous)

    return make


def test_runs_of_slots_that_are_blocks():
    """Of two dimensions within: lengths that lie in one of them, in both, or beyond."""
    found = {length: folded(length, (4, 6)) for length in (1, 2, 3, 4, 5, 6, 12, 18, 24, 48, 36)}
    assert found[3] == (1, 1, 3)
    assert found[12] == (1, 2, 6)
    assert found[48] == (2, 4, 6)
    assert [length for length, block in found.items() if block is None] == [4, 5, 18, 36]


@pytest.mark.parametrize("chunks", ["auto", {"lead_time": 2}, {"init_time": 2}])
def test_files_of_single_lead_times_fill_one_dataset(publish, tmp_path, chunks):
    """In any order; what no file has is named, and a dataset of whole forecasts is the same, byte for byte."""
    slots = [(init, lead) for init in (0, 12, 24) for lead in (0, 6, 12, 18) if (init, lead) != (12, 6)]
    options = {"axes": INITS, "layout": "forecast", "leads": LEADS, "chunks": chunks}
    path = publish([forecast(init, [lead]) for init, lead in reversed(slots)], **options)
    with xr.open_zarr(path) as found:
        assert found["t"].dims == ("init_time", "lead_time", "x")
        assert dict(found.sizes) == {"init_time": 3, "lead_time": 4, "x": 3}
        for init, lead in slots:
            assert (found["t"].values[init // 12, lead // 6] == expected(init, lead)).all()
        assert np.isnan(found["t"].values[1, 1]).all()
        assert found["valid_time"].values[1, 2] == np.datetime64("2001-01-02T00:00:00")
        assert "valid_time" in found.coords
    status = slot_status(path)["status"].sel(variable="t")
    assert status.dims == ("init_time", "lead_time")
    assert status.values.tolist() == [[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]]
    whole = publish(
        [forecast(0, [0, 6, 12, 18]), forecast(12, [0, 12, 18]), forecast(24, [0, 6, 12, 18])], "w.zarr", **options
    )
    arrays = {key: data for key, data in tree(path).items() if key.startswith("t/c/")}
    assert arrays == {key: data for key, data in tree(whole).items() if key.startswith("t/c/")}


def test_members_in_files_of_their_own(publish):
    """Fill one dataset with those that come together in another; the missing ones are named."""
    boxes = [forecast(0, [0, 6], [0, 1]), forecast(0, [0, 6], [3]), forecast(12, [0], [1])]
    path = publish(
        boxes, axes=INITS, layout="forecast", leads=["0h", "6h"], members="0-3", chunks={"lead_time": 1, "number": 1}
    )
    found = open_dataset(path)
    assert found["t"].dims == ("init_time", "lead_time", "number", "x")
    assert found["t"].encoding["chunks"] == (1, 1, 1, 3)
    status = slot_status(path)["status"].sel(variable="t")
    assert status.dims == ("init_time", "lead_time", "number")
    assert status.values[0].tolist() == [[1, 1, 0, 1], [1, 1, 0, 1]]
    assert status.values[1].tolist() == [[0, 1, 0, 0], [0, 0, 0, 0]]
    for member in (0, 1, 3):
        assert (found["t"].sel(number=member).values[0, 1] == expected(0, 6, member)).all()
    without = publish([forecast(0, [0], [number]).squeeze("lead_time") for number in (1, 0)], "m.zarr", members=[0, 1])
    with xr.open_zarr(without) as found:
        assert found["t"].dims == ("time", "number", "x")
        assert found["t"].values[0, :, 0].tolist() == [expected(0, 0), expected(0, 0, 1)]


def test_valid_times_of_chosen_lead_times(publish):
    """Each time from the forecast whose lead time is wanted; which one it was is beside."""
    boxes = [forecast(init, [0, 6, 12, 18]) for init in (0, 12)]
    path = publish(boxes, layout="time", leads={"start": "6h", "end": "12h"})
    found = open_dataset(path)
    assert found["t"].values[:, 0].tolist() == [expected(0, 6), expected(0, 12), expected(12, 6), expected(12, 12)]
    assert (found["lead_time"].values // 3600).tolist() == [6, 12, 6, 12]
    assert found["init_time"].values.astype("M8[h]").astype(str).tolist()[2] == "2001-01-01T12"
    with pytest.raises(Exception, match="'k00' and 'k01' both give 't' at time 2001-01-01T12:00:00"):
        publish(boxes, "e.zarr", layout="time", leads={"end": "18h"})
    later = publish(boxes, "f.zarr", layout="time", leads={"end": "18h"}, duplicate="last")
    assert open_dataset(later)["t"].values[:, 0].tolist() == [
        expected(0, 0), expected(0, 6), *(expected(12, lead) for lead in (0, 6, 12, 18))
    ]  # fmt: skip
    both = xr.concat([box.drop_vars("valid_time") for box in boxes], "time")
    with pytest.raises(ComponentError, match=r"2001-01-01T12:00:00 twice: 0 h and 12 h ahead. Narrow leads="):
        publish([both], "g.zarr", layout="time", leads={"end": "18h"})
    one = publish([both], "h.zarr", layout="time", leads={"end": "18h"}, duplicate="last")
    np.testing.assert_array_equal(open_dataset(one)["t"].values, open_dataset(later)["t"].values)
    with pytest.raises(ComponentError, match="no lead time of leads="):
        publish([forecast(0, [0])], "i.zarr", layout="time", leads={"start": "6h", "end": "12h"})


def test_histories_end_in_the_bytes_of_a_build_from_scratch(tmp_path):
    """Additions, corrections and removals of single lead times; a failed one keeps its slot, marked."""
    random = np.random.default_rng(2)
    sink = GridZarrSink(str(tmp_path / "d.zarr"), INITS, layout="forecast", leads=LEADS, chunks={"lead_time": 2})
    bench = Bench(sink, tmp_path)
    slots = [(init, lead) for init in (0, 12, 24) for lead in (0, 6, 12, 18)]
    held, published = {}, None
    for step in range(6):
        wanted = {slot: held.get(slot, 0) + (random.random() < 0.4) for slot in slots if random.random() < 0.7}
        wanted = {slot: version or 1 for slot, version in wanted.items()}
        made = {slot: forecast(slot[0], [slot[1]]) + version for slot, version in wanted.items()}
        for box in made.values():
            box["t"].attrs["units"] = "K"
        parts = {str(s): bench.part(made[s]) if held.get(s) != v else None for s, v in wanted.items()}
        versions = {str(s): str(v) for s, v in wanted.items()}
        published = _publish(bench, f"p{step}.zarr", parts, versions, published)
        scratch = _publish(bench, f"s{step}.zarr", {str(s): bench.part(made[s]) for s in wanted}, versions, None)
        assert tree(published) == tree(scratch)
        held = wanted


def _publish(bench, name, parts, versions, previous):
    items = [MergeItem(n, key, None, f"{key} {versions[key]}", parts[key]) for n, key in enumerate(sorted(parts))]
    bench.sink.merge_items(items, None if previous is None else str(previous), str(bench.folder / name))
    return bench.folder / name


@pytest.mark.parametrize("backend", ["sequential", "process_pool"])
def test_grib_files_of_lead_times_and_members(tmp_path, backend):
    """Through a pipeline, with one that is damaged and repaired: it is missing, and there then."""
    ensemble = {"productDefinitionTemplateNumber": 1, "numberOfForecastsInEnsemble": 2}
    contents = {}
    for lead in (6, 12):
        for number in (0, 1):
            content = message(**ensemble, step=lead, perturbationNumber=number)
            contents[lead, number] = content
            (tmp_path / f"{lead}-{number}.grib").write_bytes(content)
    broken = tmp_path / "12-1.grib"
    broken.write_bytes(contents[12, 1][:-9])
    sink = GridZarrSink(str(tmp_path / "d.zarr"), layout="forecast", leads=["6h", "12h"], members=[0, 1])
    pipeline = GRIBSource(str(tmp_path)).write(sink).with_settings(resume=True)
    with pytest.raises(RunFailed):
        run_pipeline(pipeline, backend=backend, progress=False)
    gather_pipeline(pipeline, max_missing=1)
    assert slot_status(tmp_path / "d.zarr")["status"].values.ravel().tolist() == [1, 1, 1, 0]
    broken.write_bytes(contents[12, 1])
    run_pipeline(pipeline, gather=True, progress=False)
    with xr.open_zarr(tmp_path / "d.zarr") as found:
        one = found["t_isobaricInhPa"]
        assert one.dims == ("init_time", "lead_time", "number", "isobaricInhPa", "latitude", "longitude")
        for (lead, number), content in contents.items():
            np.testing.assert_array_equal(
                one.sel(lead_time=lead * 3600, number=number).values.ravel(), _values(content)
            )


def _values(content):
    handle = eccodes.codes_new_from_message(content)
    try:
        return np.float32(eccodes.codes_get_values(handle))
    finally:
        eccodes.codes_release(handle)


def test_netcdf_files_of_forecasts(tmp_path, write_netcdf):
    """With CF's names of both times; valid times and their bounds are along both dimensions."""
    for init in (0, 6):
        since = "hours since 2001-01-01"
        variables = {
            "forecast_reference_time": ((), float(init), {"units": since, "standard_name": "forecast_reference_time"}),
            "time": (("time",), init + np.array([6.0, 12.0]), {"units": since, "standard_name": "time", "bounds": "b"}),
            "b": (("time", "nv"), init + np.array([[0.0, 6.0], [6.0, 12.0]]), {}),
            "t": (("time", "x"), np.full((2, 3), init, np.float32), {"units": "K"}),
        }
        write_netcdf(variables, f"{init}.nc")
    sink = GridZarrSink(str(tmp_path / "d.zarr"), layout="forecast", leads=["6h", "12h"])
    run_pipeline(NetCDFSource(str(tmp_path)).write(sink), gather=True, progress=False)
    found = open_dataset(tmp_path / "d.zarr")
    assert found["t"].dims == ("init_time", "lead_time", "x")
    assert found["t"].values[:, 0, 0].tolist() == [0, 6]
    assert found["valid_time"].attrs["bounds"] == "valid_time_bnds"
    np.testing.assert_array_equal(found["valid_time_bnds"].values[..., 1], found["valid_time"].values)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"layout": "forecast"}, "need leads"),
        ({"leads": ["6h"]}, "need leads"),
        ({"layout": "often", "leads": ["6h"]}, "layout must be"),
        ({"layout": "forecast", "leads": {"end": "6h"}}, "and a frequency"),
        ({"layout": "forecast", "leads": ["6h", "0h"]}, "and rise"),
        ({"layout": "forecast", "leads": ["six"]}, "no length of time"),
        ({"layout": "forecast", "leads": ["6h"], "axes": {"time": {}}}, "is 'init_time', not 'time'"),
        ({"members": "few"}, "a range such as '0-50'"),
        ({"members": [1, 1]}, "different whole numbers"),
    ],
)
def test_layouts_are_checked(tmp_path, options, why):
    """Before anything runs."""
    with pytest.raises(ConfigError, match=why):
        GridZarrSink(str(tmp_path / "d.zarr"), **options)


SIX = {"layout": "forecast", "leads": ["0h", "6h"]}


@pytest.mark.parametrize(
    ("box", "options", "why"),
    [
        (forecast(0, [3]), SIX, "The lead time 3 h has no slot"),
        (forecast(0, [6], [7]), {"members": [0, 1]}, "The member 7 has no slot"),
        (forecast(0, [6]), {"members": [0, 1]}, "has no member"),
        (forecast(0, [6]).drop_vars(["lead_time", "valid_time"]), SIX, "no forecast"),
        (forecast(0, [0, 6]).assign(z=("time", [1.0])), SIX, "'z' lies along"),
    ],
)
def test_items_that_do_not_fit_are_refused(publish, box, options, why):
    """With what to do."""
    with pytest.raises(ComponentError, match=why):
        publish([box], **options)


def test_chunks_divide_the_lead_times(publish):
    """Or hold all of them."""
    with pytest.raises(ConfigError, match=r"chunks must divide lead_time \(3\)"):
        publish([forecast(0, [0])], layout="forecast", leads=["0h", "6h", "12h"], chunks={"lead_time": 2})


def test_another_layout_is_another_dataset(publish, tmp_path):
    """Which is said before any item is read."""
    publish([forecast(0, [0])], layout="forecast", leads=["0h"])
    with pytest.raises(ConfigError, match="has other lead times or members"):
        GridZarrSink(str(tmp_path / "d.zarr"), layout="forecast", leads=["0h", "6h"]).check()
