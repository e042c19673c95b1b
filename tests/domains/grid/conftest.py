"""NetCDF files that the tests write themselves."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest

from tests.builds import IS_WITHOUT_TORCH

collect_ignore = ["test_windows.py"] if IS_WITHOUT_TORCH else []


@pytest.fixture
def write_netcdf(tmp_path):
    """Writes a file of variables, each its dimensions, stored values and attributes; gives its path."""

    def write(variables, name="a.nc", *, form="NETCDF4", unlimited=(), attributes=None, group=None):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with netCDF4.Dataset(path, "a" if group and path.exists() else "w", format=form) as root:
            root.set_auto_maskandscale(False)
            root.setncatts(attributes or {})
            _write_variables(root.createGroup(group) if group else root, variables, unlimited)
        return path

    return write


def _write_variables(group, variables, unlimited):
    for dims, values, _ in variables.values():
        for dim, n in zip(dims, np.shape(values), strict=True):
            if dim not in group.dimensions and (group.parent is None or dim not in group.parent.dimensions):
                group.createDimension(dim, None if dim in unlimited else n)
    for name, (dims, values, attributes) in variables.items():
        stored = np.asarray(values)
        given = dict(attributes)
        fill = given.pop("_FillValue", None)
        dtype = str if stored.dtype.kind in "UO" else stored.dtype
        variable = group.createVariable(name, dtype, dims, fill_value=fill)
        variable.set_auto_maskandscale(False)
        variable.setncatts(given)
        variable[...] = stored.astype(object) if dtype is str else stored


@pytest.fixture
def series():
    """Variables of two steps of a packed field on a grid of 3 × 4, with bounds of time."""
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4) * 100
    stored[1, 2, 3] = -999
    packing = {"scale_factor": np.float32(0.01), "add_offset": np.float32(273.0), "_FillValue": np.int16(-999)}
    return {
        "time": (("time",), [6.0, 12.0], {"units": "hours since 2001-01-31", "bounds": "time_bnds"}),
        "time_bnds": (("time", "nv"), [[0.0, 6.0], [6.0, 12.0]], {}),
        "lat": (("lat",), [60.0, 50.0, 40.0], {"units": "degrees_north"}),
        "lon": (("lon",), [0.0, 1.0, 2.0, 3.0], {"units": "degrees_east"}),
        "t": (("time", "lat", "lon"), stored, {"units": "K", **packing}),
        "orography": (("lat", "lon"), np.full((3, 4), 1.1, np.float32), {"units": "m"}),
    }
