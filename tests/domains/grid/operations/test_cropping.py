"""Boxes of grids: what xarray selects, whatever longitudes are counted from."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from curator_core.domains.grid import CropFilter
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.operations.fields import curved, regular, through


@pytest.mark.parametrize("start", [-180.0, 0.0, 180.0])
@pytest.mark.parametrize(
    ("box", "expected"),
    [([-60, 60], [-60, -30, 0, 30, 60]), ([150, -120], [150, 180, 210, 240]), ([0, 360], list(range(0, 360, 30)))],
)
def test_a_box_is_what_lies_between_its_edges(start, box, expected):
    """Longitudes run from the western edge, the values and bounds with them; attributes that are not true go."""
    given = regular(start=start)
    (found,) = through(CropFilter([-45, 20], box), given)
    assert found["lon"].values.tolist() == expected
    assert found["lon_bnds"].values.mean(axis=1).tolist() == expected
    assert found["lat"].values.tolist() == [15, -15, -45]
    full = given.assign_coords(lon=given["lon"] % 360).sortby("lon")
    wanted = full.sel(lat=slice(20, -45), lon=np.mod(expected, 360))
    np.testing.assert_array_equal(found["t"].values, wanted["t"].values)
    assert found["t"].attrs == {"units": "K", "cell_methods": "time: mean"}
    assert found.attrs == {"title": "a"}


def test_a_meridian_that_is_there_twice_comes_once():
    """As in files that repeat the first column."""
    given = regular()
    wrapped = xr.concat([given.drop_vars("lon_bnds"), given.drop_vars("lon_bnds").isel(lon=[0])], "lon")
    wrapped["lon"] = ("lon", np.append(given["lon"].values, 360.0).astype("f4"), {"units": "degrees_east"})
    (found,) = through(CropFilter(longitude=[-30, 30]), wrapped)
    assert found["lon"].values.tolist() == [-30, 0, 30]
    (found,) = through(CropFilter(longitude=[-180, 180]), wrapped)
    assert len(found["lon"]) == 12


def test_curved_grids_and_points():
    """The smallest block that has all points of the box, across the date line; of points those in it."""
    given = curved()
    inside = (np.abs(given["lat"]) <= 3) & (((given["lon"] - 178) % 360) <= 5)
    (found,) = through(CropFilter([-3, 3], [178, -177]), given)
    rows, columns = (np.flatnonzero(inside.any(dim).values) for dim in ("x", "y"))
    wanted = given.isel(y=slice(rows[0], rows[-1] + 1), x=slice(columns[0], columns[-1] + 1))
    np.testing.assert_array_equal(found["t"], wanted["t"])
    points = given.stack(point=("y", "x")).reset_index("point", drop=True)
    (found,) = through(CropFilter([-3, 3], [178, -177]), points)
    assert found["t"].values.tolist() == given["t"].values[inside.values].tolist()
    points["nodes"] = ("face", [0, 1], {"cf_role": "face_node_connectivity"})
    with pytest.raises(ComponentError, match="'nodes' numbers the points along 'point'"):
        through(CropFilter([-3, 3]), points)


def test_levels_and_ranges():
    """In the order in which they are named; one that is not there fails the item."""
    given = regular().assign_coords(level=("time", [850.0, 500.0], {"units": "hPa"}))
    (found,) = through(CropFilter(levels={"level": [500, 850]}), given)
    assert found["level"].values.tolist() == [500, 850]
    (found,) = through(CropFilter(ranges={"level": [400, 600]}), given)
    assert (found["level"].values.tolist(), found["t"].shape[0]) == ([500], 1)
    for options, said in (
        ({"levels": {"level": [700]}}, r"'level' has the value 700 0 times; it has 850, 500"),
        ({"ranges": {"level": [600, 700]}}, r"no level of the grid lies in \[600.0, 700.0\]"),
        ({"ranges": {"depth": [0, 1]}}, "no value of the item has 'depth'"),
    ):
        with pytest.raises(ComponentError, match=said):
            through(CropFilter(**options), given)


def test_what_cannot_be_cropped():
    """Is named before the run, or fails the item."""
    with pytest.raises(ComponentError, match=r"no latitude of the grid lies in \[1.0, 2.0\]; it has 75, 45"):
        through(CropFilter([1, 2]), regular())
    with pytest.raises(ComponentError, match="no field has latitudes and longitudes"):
        through(CropFilter([1, 2]), regular().drop_vars("lat"))
    for arguments in ([], [[2, 1]], [[-91, 0]], [None, [1]]):
        with pytest.raises(ConfigError):
            CropFilter(*arguments)
