"""Files and stores that are read without a word, or refused without advice, by those who do not look."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
import zarr

from curator_core import run_pipeline
from curator_core.domains.grid import GridZarrSink, NetCDFSource, ZarrSource
from curator_core.errors import ComponentError, RunFailed

DAYS = {"units": "days since 2001-01-01"}


def store(path, arrays, zarr_format=2):
    """Arrays of one dimension, the time."""
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    for name, (values, attributes) in arrays.items():
        dims = {"dimension_names": ("time",)} if zarr_format != 2 else {}
        about = {**attributes, "_ARRAY_DIMENSIONS": ["time"]} if zarr_format == 2 else attributes
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, attributes=about, **dims)
        array[...] = values
    return str(path)


@pytest.mark.filterwarnings("ignore:The data type .* does not have a Zarr V3 specification")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_bytes_are_text(tmp_path, zarr_format):
    """Not what Python shows of them; those that are no UTF-8 are Latin-1."""
    names = np.array(["Köln".encode(), b"", "Ö".encode("latin-1")], "S6")
    (found,) = ZarrSource(store(tmp_path / "a.zarr", {"name": (names, {})}, zarr_format), fill_values={"name": None})[0]
    assert found["name"].values.tolist() == ["Köln", "", "Ö"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_single_bytes_may_have_a_byte_order(tmp_path, order):
    """As NetCDF-C writes them."""
    path = store(tmp_path / "a.zarr", {"flag": (np.array([3, 250], np.uint8), {})})
    metadata = tmp_path / "a.zarr" / "flag" / ".zarray"
    assert '"|u1"' in metadata.read_text()
    metadata.write_text(metadata.read_text().replace('"|u1"', f'"{order}u1"'))
    (found,) = ZarrSource(path)[0]
    assert found["flag"].dtype == np.uint8
    assert found["flag"].values.tolist() == [3, 250]


def test_folders_between_groups_need_not_be_groups(tmp_path):
    """Coordinates come from the groups that are there."""
    store(tmp_path / "a.zarr", {"time": (np.arange(1, 4), DAYS)})
    store(tmp_path / "a.zarr" / "model" / "run", {"t": (np.arange(1.0, 4), {})})
    (found,) = ZarrSource(str(tmp_path / "a.zarr"), group="model/run")[0]
    assert found["t"].values.tolist() == [1, 2, 3]
    assert found["time"].size == 3


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"scale_factor": np.nan}, "is not one number"),
        ({"add_offset": "inf"}, "is no number"),
        ({"valid_range": np.array([9, 2], np.int16)}, "ends before it begins"),
    ],
)
def test_packing_that_leaves_no_value_fails(write_netcdf, attributes, reason):
    """An attribute that makes all of them missing, or infinite, is damaged."""
    path = write_netcdf({"t": (("x",), np.arange(12, dtype=np.int16), attributes)})
    with pytest.raises(ComponentError, match=f"variable 't': .*{reason}"):
        list(NetCDFSource(str(path.parent))[0])


def forecasts():
    """Two forecasts of one time, by the days on which they were made."""
    return {
        "time": (("time",), [40.0, 40.0], DAYS),
        "made": (("time",), [3.0, 1.0], {**DAYS, "standard_name": "forecast_reference_time"}),
        "t": (("time", "x"), np.arange(6, dtype=np.float32).reshape(2, 3), {"coordinates": "made"}),
    }


def published(path, output, axes=None):
    """The dataset that is made of a file."""
    sink = GridZarrSink(str(output), axes)
    run_pipeline(NetCDFSource(str(path.parent)).write(sink), gather=True, progress=False)
    return xr.open_zarr(output, chunks=None, decode_times=False)


def test_a_dataset_can_grow_along_another_time_of_its_steps(write_netcdf, tmp_path):
    """Such as that of the analysis, where the valid time comes twice."""
    path = write_netcdf(forecasts())
    with pytest.raises(RunFailed, match=r"'time' 2001-02-10T00:00:00 twice.* axes="):
        published(path, tmp_path / "a.zarr")
    found = published(path, tmp_path / "b.zarr", {"made": {}})
    assert found["t"].dims == ("made", "x")
    assert found["t"].isel(made=[0, -1]).values.tolist() == [[3, 4, 5], [0, 1, 2]]
    assert found["time"].dims == ("made",)


def test_an_item_without_the_axis_says_what_to_do(write_netcdf, tmp_path):
    """Name the time that it has; of many variables, the message has the first."""
    fields = {f"v{number}": ((), np.float32(number), {}) for number in range(20)}
    path = write_netcdf({"t": ((), 4.0, DAYS), **fields})
    with pytest.raises(RunFailed, match=r"t, v0, v1, v10.* and 9 more\. Name .*: axes=\{'t': \{\}\}"):
        published(path, tmp_path / "a.zarr")
    assert published(path, tmp_path / "b.zarr", {"t": {}})["v7"].values.tolist() == [7]
