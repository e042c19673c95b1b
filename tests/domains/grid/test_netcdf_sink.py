"""NetCDF files that the sink writes, read by the library, by xarray and by the source."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from curator_core import Pipeline, run_pipeline
from curator_core.domains.grid import NetCDFSink, NetCDFSource
from curator_core.errors import ComponentError, ConfigError
from curator_core.testing import SinkContract
from tests.domains.grid.blocks import block


class TestNetCDFSink(SinkContract):
    def make_sink(self, tmp_path):
        return NetCDFSink(str(tmp_path / "files"))

    def make_items(self, index):
        return [block(index, 2)]


def _copy(tmp_path, pattern="*.nc", **options):
    """Run the files of a folder through the sink; give what the source reads of both."""
    arguments = {key: options.pop(key) for key in ("item",) if key in options}
    source = NetCDFSource(str(tmp_path), pattern, **arguments)
    results = run_pipeline(source.write(NetCDFSink(str(tmp_path / "out"), **options)), progress=False)
    assert results
    return source, NetCDFSource(str(tmp_path / "out"), "**/*.nc", **arguments)


def _write(dataset, tmp_path, **options):
    return NetCDFSink(str(tmp_path / "out"), **options)(iter([dataset]), 0)[0]


def test_what_is_read_again_is_what_was_written(tmp_path, write_netcdf, series):
    """Values, missing ones, coordinates, bounds, attributes and times are those of the source."""
    write_netcdf(series, attributes={"title": "two steps"})
    before, after = _copy(tmp_path)
    (was,), (found,) = before[0], after[0]
    for name in was.variables:
        np.testing.assert_array_equal(found[name].values, was[name].values)
        assert found[name].dims == was[name].dims
        assert {k: v for k, v in found[name].attrs.items() if k != "coordinates"} == was[name].attrs
    assert set(found.coords) == set(was.coords)
    assert found.attrs == {"Conventions": "CF-1.11", "title": "two steps"}
    with xr.open_dataset(tmp_path / "out/a.nc") as opened, xr.open_dataset(tmp_path / "a.nc") as original:
        assert opened.time.equals(original.time)
        np.testing.assert_allclose(opened["t"], original["t"], rtol=1e-7)


@pytest.mark.parametrize("calendar", ["standard", "noleap", "all_leap", "360_day", "julian", "proleptic_gregorian"])
def test_calendars_stay(tmp_path, write_netcdf, calendar):
    """A time in any calendar, between whole seconds too, is the same time again."""
    time = (("time",), [0.25, 400.000001], {"units": "days since 1500-02-27", "calendar": calendar})
    write_netcdf({"time": time, "t": (("time",), [1.0, 2.0], {})})
    before, after = _copy(tmp_path)
    (was,), (found,) = before[0], after[0]
    np.testing.assert_array_equal(found["time"].values, was["time"].values)
    assert found["time"].attrs["calendar"] == calendar


def test_every_step_is_a_file(tmp_path, write_netcdf, series):
    """Parts of files have names of their own, and a template gives others."""
    write_netcdf(series, "year/a.nc")
    _copy(tmp_path, "**/*.nc", item="time", template="{part}/{stem}.nc")
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.nc"))
    steps = ["2001-01-31T06:00:00", "2001-01-31T12:00:00"]
    assert names == [f"{step}/year/a#{step}.nc" for step in steps]


def test_variables_on_other_levels_share_a_file(tmp_path):
    """Datasets of one item are one file, in which a dimension with other values has a name of its own."""

    def box(name, levels):
        field = xr.DataArray(np.random.default_rng(1).random((2, len(levels), 3)), dims=("time", "level", "lat"))
        bounds = (("level", "nv"), np.stack([levels, np.add(levels, 1)], 1))
        coordinates = {
            "time": np.array(["2001-01-01", "2001-01-02"], "M8[us]"),
            "level": ("level", levels, {"units": "hPa", "bounds": "level_bounds"}),
            "lat": ("lat", [1.0, 2.0, 3.0], {"units": "degrees_north"}),
            "level_bounds": bounds,
        }
        return xr.Dataset({name: field}, coordinates)

    boxes = [box("u", [1000.0, 850.0]), box("v", [850.0]), box("w", [1000.0, 850.0])]
    (path,) = NetCDFSink(str(tmp_path / "out"))(iter(boxes), 0)
    with xr.open_dataset(path) as found:
        assert found["u"].dims == found["w"].dims == ("time", "level", "lat")
        assert found["v"].dims == ("time", "level_2", "lat")
        assert found["level_2"].attrs["bounds"] == "level_bounds_2"
        assert found["level_bounds_2"].dims == ("level_2", "nv")
        for dataset in boxes:
            (name,) = dataset.data_vars
            np.testing.assert_array_equal(found[name].values, dataset[name].values)
    with pytest.raises(ComponentError, match="'u' come in several pieces"):
        NetCDFSink(str(tmp_path / "out"))(iter([boxes[0], box("u", [500.0])]), 0)


def test_packed_values_are_within_half_a_step(tmp_path):
    """Packing is what was asked for; a value that it does not hold, or would take for missing, fails the item."""
    dataset = block(0, 2)
    packing = {"t": {"dtype": "int16", "scale_factor": 0.001, "add_offset": 0.5, "complevel": 4}}
    with xr.open_dataset(_write(dataset, tmp_path, encoding=packing)) as found:
        assert found["t"].encoding["dtype"] == np.int16
        np.testing.assert_allclose(found["t"].values, dataset["t"].values, atol=0.0005001)
        assert np.isnan(found["t"].values[:, 0, 0]).all()
    packing["t"]["scale_factor"] = 1e-6
    with pytest.raises(ComponentError, match=r"holds 0\.467232 to 0\.532767"):
        _write(dataset, tmp_path, encoding=packing)


@pytest.mark.parametrize(
    ("values", "attributes", "encoding", "message"),
    [
        (np.array([-32767], "i2"), {}, {}, "never written"),
        (np.array([1e300]), {}, {"dtype": "float32"}, "float32 does not hold"),
        (np.array([5.0, 1.0]), {"valid_max": 4.0}, {}, "which is read as nan"),
        (np.array([5.0, np.nan]), {}, {"_FillValue": 5.0}, "has for what is missing"),
        (np.array([1.5, np.nan]), {}, {"dtype": "int32"}, "int32 does not hold"),
        (np.array([1.0 + 2j]), {}, {}, "complex128"),
        (np.array(["a"]), {}, {"dtype": "int8"}, "cannot be encoded"),
        (np.array(["a\0b"], object), {}, {}, "null character"),
        (np.array([1.0], np.longdouble), {}, {}, "cast them to float64"),
        (np.array([-1], "i1"), {"_Unsigned": "true"}, {}, "which is read as 255"),
        (np.array([-1], "i1"), {}, {"_FillValue": 300}, "has no _FillValue 300"),
    ],
)
def test_what_would_be_read_as_other_values_fails(tmp_path, values, attributes, encoding, message):
    """No value is written that a reader would take for another one."""
    dataset = xr.Dataset({"x": ("n", values, attributes)})
    with pytest.raises(ComponentError, match=message):
        _write(dataset, tmp_path, encoding={"x": encoding})
    assert not list((tmp_path / "out").iterdir())


def test_kinds_of_values_are_kept(tmp_path, write_netcdf):
    """Texts, truth values and whole numbers of every size are there again."""
    kinds = {f"k{dtype}": ("n", np.array([0, 100], dtype)) for dtype in "bBhHiIlLqefd"}
    dataset = xr.Dataset({**kinds, "text": ("n", ["a", "Öl"]), "yes": ("n", [True, False]), "one": ((), 3)})
    with xr.open_dataset(_write(dataset, tmp_path)) as found:
        for name, variable in dataset.variables.items():
            np.testing.assert_array_equal(found[name].values, variable.values)
            assert name in ("text", "yes", "ke") or found[name].dtype == variable.dtype


def test_two_items_of_one_name_are_both_named(tmp_path, write_netcdf, series):
    """Items whose files would have one name fail, and neither is written."""
    for name in ("a.nc", "a.nc4"):
        write_netcdf(series, name)
    source = NetCDFSource(str(tmp_path), "a.*")
    sink = NetCDFSink(str(tmp_path / "out"))
    sink.set_source(source)
    for index in range(2):
        with pytest.raises(ComponentError, match=r"names two items 'a.nc': .*a.nc.*a.nc"):
            sink(source[index], index)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("template", ["../{key}", "/tmp/{key}", "{part}", "a/../../{key}", "out/{key}"])
def test_no_file_leaves_the_folder(tmp_path, template):
    """A name that leads out of the folder fails, also where a link leads there."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "out").symlink_to(tmp_path)
    sink = NetCDFSink(str(tmp_path / "folder"), template)
    with pytest.raises(ComponentError, match=r"no file in|leads out"):
        sink(iter([block(0, 1)]), 0)


_WRONG = (
    {"_FillValue": "a"},
    {"dtype": "i1", "_FillValue": 300},
    {"dtype": "i2", "_FillValue": float("nan")},
    {"dtype": "i2", "scale_factor": float("inf")},
    {"chunksizes": {"time": 0}},
    {"chunksizes": [1, 2]},
    {"complevel": 99},
)


def test_arguments_are_checked_before_anything_runs(tmp_path):
    """A template or encoding that cannot be right is refused at once."""
    for template in ("file.nc", "{year}.nc", "{"):
        with pytest.raises(ConfigError, match="template"):
            NetCDFSink(str(tmp_path), template)
    for wanted in (
        {"zstd": 1},
        {"dtype": "no"},
        {"dtype": "f4", "scale_factor": 2},
        {"scale_factor": 0, "dtype": "i2"},
        *_WRONG,
    ):
        with pytest.raises(ConfigError, match="encoding of 't'"):
            NetCDFSink(str(tmp_path), encoding={"t": wanted})
    with pytest.raises(ComponentError, match="The item has no 'q', of which encoding speaks"):
        _write(block(0, 1), tmp_path, encoding={"q": {"dtype": "f4"}})
    with pytest.raises(ComponentError, match="no dimension 'x', of which chunksizes speak"):
        _write(block(0, 1), tmp_path, encoding={"t": {"chunksizes": {"x": 1}}})


def test_a_pipeline_file_names_it(tmp_path):
    """Its name in pipeline files is ``netcdf_files``."""
    pipeline = NetCDFSource(str(tmp_path)).write(NetCDFSink(str(tmp_path / "out"), encoding={"t": {"dtype": "f4"}}))
    pipeline.save(tmp_path / "pipeline.yaml")
    assert "netcdf_files" in (tmp_path / "pipeline.yaml").read_text()
    assert Pipeline.load(tmp_path / "pipeline.yaml").config_hash == pipeline.config_hash


def test_names_and_coordinates_that_a_file_cannot_hold(tmp_path):
    """A name with a slash would be a group, and a place that is missing no place."""
    for dataset, message in (
        (xr.Dataset({"a/b": ("n", [1.0])}), "of another group"),
        (xr.Dataset({"a": ("n", [1.0, 2.0])}, {"n": [0.0, np.nan]}), "a coordinate of its dimension is missing"),
    ):
        with pytest.raises(ComponentError, match=message):
            _write(dataset, tmp_path)
