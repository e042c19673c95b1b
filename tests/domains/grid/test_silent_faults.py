"""What stands in a file as a number, and may be none, or another: it is refused, by name, with what to do."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr

from curator_core.domains.grid import GridZarrSink, NetCDFSource, ZarrSource
from curator_core.domains.grid.decoding import DecodingError
from curator_core.domains.grid.netcdf.files import opened
from curator_core.errors import ComponentError, MergeError
from tests.domains.grid.blocks import Bench, block


def read(source):
    (found,) = source[0]
    return found


@pytest.mark.parametrize(("stored", "missing"), [(-999.0, [1]), (-1.0, [0])])
def test_a_store_with_two_fill_values(tmp_path, stored, missing):
    """That of the array and that of the attribute: xarray takes the one, the conventions the other."""
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    about = {"_ARRAY_DIMENSIONS": ["x"], "_FillValue": -999.0}
    array = group.create_array("t", shape=(3,), dtype="f4", fill_value=-1.0, attributes=about)
    array[:] = [5, stored, 6] if stored == -999.0 else [stored, -999.0, 6]
    url = str(tmp_path / "a.zarr")
    if stored == -1.0:
        with pytest.raises(ComponentError, match=r"missing is -999\.0 by its _FillValue, and -1\.0 by .* 1 of its val"):
            read(ZarrSource(url))
    fills = {} if stored == -999.0 else {"t": stored}
    assert np.flatnonzero(np.isnan(read(ZarrSource(url, fill_values=fills))["t"])).tolist() == missing


@pytest.mark.parametrize("dtype", ["i1", "u1"])
def test_steps_of_bytes_that_were_never_written(write_netcdf, dtype):
    """NetCDF leaves -127 or 255 there, which are values like any other in a step that has others, too."""
    default = {"i1": -127, "u1": 255}[dtype]
    values = np.array([[1, default, 3], [default, default, default]], dtype)
    path = write_netcdf({"mask": (("time", "x"), values, {})})
    with pytest.raises(ComponentError, match=rf"'mask': 1 of 2 steps have no other value than {default}.*fill_values="):
        read(NetCDFSource(str(path.parent)))
    found = read(NetCDFSource(str(path.parent), fill_values={"mask": None}))
    assert found["mask"].values.tolist() == values.tolist()
    write_netcdf({"mask": (("time", "x"), values[:1], {})})
    assert read(NetCDFSource(str(path.parent)))["mask"].values.tolist() == values[:1].tolist()


@pytest.mark.parametrize(
    ("units", "values", "shown"),
    [
        ("seconds since 1970-01-01", 1577836800 + 3600 * np.arange(4), "2020-01-01T00:59:44 may be"),
        ("days since 1900-01-01", 43829 + np.arange(4) / 24, r"2020-01-01T01:01:52.500000 may be"),
        ("day as %Y%m%d.%f", [20200102.0, 20200104.0], r"none between 2020010\d.0 and 2020010\d.0"),
    ],
)
def test_times_that_their_type_does_not_hold(write_netcdf, units, values, shown):
    """They were rounded when they were written, to times that look like others."""
    times = {"units": units}
    path = write_netcdf(
        {"time": (("time",), np.asarray(values, "f4"), times), "t": (("time",), np.ones(len(values)), {})}
    )
    with pytest.raises(ComponentError, match=f"'time': its times are float32 .*{shown}.*float64"):
        read(NetCDFSource(str(path.parent)))
    write_netcdf({"time": (("time",), np.asarray(values, "f8"), times)})
    assert read(NetCDFSource(str(path.parent))).sizes["time"] == len(values)


@pytest.mark.parametrize(
    ("units", "values"),
    [("hours since 1900-01-01", 1051896 + np.arange(4)), ("days since 0001-01-01", 737425 + np.arange(4) / 4)],
)
def test_times_that_a_short_type_holds(write_netcdf, units, values):
    """Whole hours, and quarters of days, are what they are in float32, too."""
    path = write_netcdf({"time": (("time",), np.asarray(values, "f4"), {"units": units})})
    assert np.unique(np.diff(read(NetCDFSource(str(path.parent)))["time"].values)).size == 1


@pytest.fixture
def bench(tmp_path):
    return Bench(GridZarrSink(str(tmp_path / "d.zarr"), {"time": {"start": "2020-01-01", "frequency": "6h"}}), tmp_path)


@pytest.mark.parametrize("is_published", [False, True])
def test_a_mask_that_a_later_item_brings_lies_as_the_dataset_does(bench, is_published):
    """The item has its latitudes the other way round, and the dataset has no mask yet; nor the bounds."""
    mask = np.arange(30.0).reshape(5, 6)
    later = block(2, 2).assign(mask=(("lat", "lon"), mask), lon_bnds=(("lon", "nv"), np.ones((6, 2))))
    parts = {"a": bench.part(block(0, 2)), "b": bench.part(later.isel(lat=slice(None, None, -1)))}
    before = bench.publish("a.zarr", {"a": parts["a"]}) if is_published else None
    path = bench.publish("b.zarr", parts | ({"a": None} if is_published else {}), before)
    found = xr.open_zarr(path, chunks=None)
    np.testing.assert_array_equal(found["mask"].values, mask)
    np.testing.assert_array_equal(found["t"].values[2:], block(2, 2)["t"].values)
    assert found["lon_bnds"].shape == (6, 2)


@pytest.mark.parametrize("is_published", [False, True])
def test_what_lies_along_some_levels_alone_is_not_left_out(bench, is_published):
    """The item has one of two levels, and a weight of it, of which the dataset has none: it was dropped."""

    def layered(first, levels):
        found = block(first, 2, names=("p", "t"))
        return found.assign(p=found["p"].expand_dims(level=levels).transpose("time", "level", ...))

    later = layered(2, [500]).assign(weight=(("level",), [0.5]))
    parts = {"a": bench.part(layered(0, [850, 500])), "b": bench.part(later)}
    before = bench.publish("a.zarr", {"a": parts["a"]}) if is_published else None
    with pytest.raises(MergeError, match="'b': It has 'weight', which the dataset has not, for a part of level alone"):
        bench.publish("b.zarr", parts | ({"a": None} if is_published else {}), before)


def read_while(path, change):
    """Values of a variable of a file, which changes before they are read."""
    with opened(path) as root:
        change()
        return root["x"][:].tolist()


def test_a_file_that_is_written_to_while_it_is_read(write_netcdf):
    """In place, some variables can be old, and others new; where another file takes its place, all are old."""
    x = {"x": (("x",), np.arange(3.0), {})}
    path = write_netcdf(x, form="NETCDF3_CLASSIC")
    with pytest.raises(DecodingError, match="written to while it was read"):
        read_while(path, lambda: path.write_bytes(path.read_bytes()))
    other = write_netcdf({"x": (("x",), np.ones(3), {})}, "b.nc", form="NETCDF3_CLASSIC")
    assert read_while(path, lambda: other.replace(path)) == [0, 1, 2]
