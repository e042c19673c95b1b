"""Fields on grids of the tests' own."""

from __future__ import annotations

import numpy as np
import xarray as xr


def regular(step=30.0, *, start=0.0, values=None, descending=True, dtype="f8", **more):
    """A field ``t`` on latitudes by longitudes over the whole globe, with bounds of the longitudes."""
    latitudes = np.arange(-90 + step / 2, 90, step)[:: -1 if descending else 1]
    longitudes = np.arange(start, start + 360, step)
    shape = 2, len(latitudes), len(longitudes)
    field = np.arange(np.prod(shape), dtype=dtype).reshape(shape) if values is None else values
    about = {"units": "K", "actual_range": [0.0, 1.0], "cell_methods": "time: mean"}
    return xr.Dataset(
        {
            "t": (("time", "lat", "lon"), field, about),
            **more,
        },
        {
            "time": ("time", [0, 6], {"units": "hours since 2001-01-01"}),
            "lat": ("lat", latitudes, {"units": "degrees_north"}),
            "lon": ("lon", longitudes, {"units": "degrees_east", "bounds": "lon_bnds"}),
            "lon_bnds": (("lon", "nv"), np.stack([longitudes - step / 2, longitudes + step / 2], axis=1)),
        },
        {"title": "a", "geospatial_lat_min": -90.0},
    ).drop_indexes(["time", "lat", "lon"])


def curved(n=12):
    """A field on a turned grid around the date line, and its 2-D coordinates."""
    y, x = np.meshgrid(np.linspace(-10, 10, n), np.linspace(-10, 10, n), indexing="ij")
    longitudes = (180 + x + y / 4 + 180) % 360 - 180
    return xr.Dataset(
        {"t": (("y", "x"), y + 100 * x, {"units": "K"})},
        {
            "lat": (("y", "x"), y - x / 4, {"standard_name": "latitude", "units": "degrees"}),
            "lon": (("y", "x"), longitudes, {"standard_name": "longitude", "units": "degrees"}),
        },
    )


def through(step, *values):
    """What a filter gives of the values of one item."""
    return list(step(iter(values)))


def smooth(latitudes, longitudes):
    """A field of spherical harmonics up to the second, of which everything is known."""
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    return 3 + np.sin(phi) + np.cos(phi) * np.cos(lam) + 0.5 * np.cos(phi) ** 2 * np.sin(2 * lam)


def on_points(latitudes, longitudes):
    """The smooth field on points, whose coordinates are radians."""
    angles = {"lat": ("latitude", latitudes), "lon": ("longitude", longitudes)}
    return xr.Dataset(
        {"t": ("cell", smooth(latitudes, longitudes), {"units": "K", "GRIB_gridType": "reduced_gg"})},
        {
            name: ("cell", np.radians(values), {"units": "radian", "standard_name": standard_name})
            for name, (standard_name, values) in angles.items()
        },
    )
