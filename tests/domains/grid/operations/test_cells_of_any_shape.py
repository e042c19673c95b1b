"""Conservative weights from cells of any shape: triangles, polygons, curved rows, over poles and the date line."""

from __future__ import annotations

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
spatial = pytest.importorskip("scipy.spatial")

from curator_core.domains.grid.operations.regridding import RegridFilter  # noqa: E402 - needs xarray
from curator_core.errors import ComponentError  # noqa: E402 - as above


def angles(points):
    """Latitudes and longitudes of points on the sphere, degrees; some of them count from -180, others beyond 360."""
    longitudes = np.degrees(np.arctan2(points[..., 1], points[..., 0]))
    return np.degrees(np.arcsin(np.clip(points[..., 2], -1, 1))), longitudes + 360 * (points[..., 2] > 0.5)


def smooth(points):
    """A field whose mean over the sphere is 2."""
    x, y, z = np.moveaxis(points, -1, 0)
    return 2 + z + x * y


def directions(latitudes, longitudes):
    phi, lam = np.radians(latitudes), np.radians(longitudes)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


def curved(tilt, step=6.0):
    """A grid of latitudes by longitudes whose poles are elsewhere; the globe's lie on edges, or at corners."""
    rows, columns = np.meshgrid(np.arange(-90, 90 + step, step), np.arange(0, 360 + step, step), indexing="ij")
    turn = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    points = directions(rows, columns) @ turn.T if tilt else directions(rows, columns)
    corners = np.stack([points[:-1, :-1], points[:-1, 1:], points[1:, 1:], points[1:, :-1]], axis=2)
    if not tilt:
        return dataset(("y", "x"), corners, (rows, columns))
    return dataset(("y", "x"), corners)


def dataset(dims, corners, edges=None, *, unit="degrees"):
    """Cells as a file has them; corners in degrees or radians."""
    middle = np.nanmean(corners, axis=-2)
    middle /= np.linalg.norm(middle, axis=-1, keepdims=True)
    places, bounds = angles(middle), angles(corners)
    if edges is not None:
        parts = [np.stack([e[:-1, :-1], e[:-1, 1:], e[1:, 1:], e[1:, :-1]], axis=2) for e in edges]
        bounds, places = parts, [part.mean(axis=2) for part in parts]
    made = xr.Dataset({"t": (dims, smooth(middle), {"units": "K"})})
    for name, place, bound, suffix in zip(("lat", "lon"), places, bounds, ("_north", "_east"), strict=True):
        standard = {"lat": "latitude", "lon": "longitude"}[name]
        about = {"units": unit + suffix if unit == "degrees" else "radian", "standard_name": standard}
        factor = 1.0 if unit == "degrees" else np.pi / 180
        made = made.assign_coords({name: (dims, place * factor, {**about, "bounds": f"{name}_bnds"})})
        made = made.assign_coords({f"{name}_bnds": ((*dims, "nv"), bound * factor)})
    return made


@pytest.fixture(scope="module")
def voronoi():
    """Cells around points at random, of 3 to about 10 corners, with their areas as SciPy has them."""
    points = np.random.default_rng(0).normal(size=(1500, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    found = spatial.SphericalVoronoi(points)
    found.sort_vertices_of_regions()
    corners = np.full((len(points), max(map(len, found.regions)), 3), np.nan)
    for cell, region in zip(corners, found.regions, strict=True):
        cell[: len(region)] = found.vertices[region]
    return dataset(("cell",), corners, unit="radian"), found.calculate_areas()


def through(step, given):
    (found,) = step(iter([given]))
    return found


def mean(found):
    """Over the sphere, of a grid of latitudes by longitudes."""
    south, north = np.sin(np.radians(found["latitude_bnds"].values)).T
    return float((found["t"].mean("longitude").values * (north - south)).sum() / 2)


@pytest.mark.parametrize("tilt", [0.0, 0.3, 1.0, np.pi / 2])
def test_a_constant_stays_and_a_smooth_field_is_what_it_is(tilt):
    """Also in the cells with the poles, and of cells over the date line."""
    given = curved(tilt)
    step = RegridFilter({"step": 4.0}, "conservative", min_valid=1.0)
    one = through(step, given.assign(t=xr.ones_like(given["t"])))
    np.testing.assert_allclose(one["t"], 1.0, rtol=1e-12)
    found = through(step, given)
    assert found["t"].attrs["cell_methods"] == "area: mean"
    exact = smooth(directions(*np.meshgrid(found["latitude"], found["longitude"], indexing="ij")))
    assert np.abs(found["t"] - exact).max() < 0.06  # half of a cell of 6 degrees
    assert mean(found) == pytest.approx(2.0, abs=2e-4)


def test_corners_of_rows_and_columns_give_what_their_edges_give():
    """The other way to the weights of a grid of latitudes by longitudes, to the last digits."""
    given = curved(0.0)
    random = np.random.default_rng(1).random(given["t"].shape)
    of_edges = xr.Dataset(
        {"t": (("lat", "lon"), random)},
        {
            "lat": ("lat", given["lat"].values[:, 0], {"units": "degrees_north"}),
            "lon": ("lon", given["lon"].values[0], {"units": "degrees_east"}),
        },
    )
    step = RegridFilter({"latitude": [-71.0, 20.5, 80.0], "longitude": [-100.0, 3.0, 160.0]}, "conservative")
    found, expected = through(step, given.assign(t=(("y", "x"), random))), through(step, of_edges)
    np.testing.assert_allclose(found["t"], expected["t"], rtol=1e-12)


def test_integrals_of_polygons_stay(voronoi):
    """For a field of noise, with the areas that the cells have here; those are near the areas of SciPy."""
    given, areas = voronoi
    random = np.random.default_rng(2).random(len(areas))
    step = RegridFilter({"step": 7.5}, "conservative", min_valid=1.0)
    own = np.array([mean(through(step, given.assign(t=("cell", part)))) for part in (random, areas, areas * 0 + 1)])
    assert own[2] == pytest.approx(1.0, rel=1e-13)
    assert own[0] == pytest.approx((random * areas).sum() / (4 * np.pi), rel=1e-4)
    matrix = next(iter(step._weights.values())).matrix
    south, north = np.sin(np.radians(through(step, given)["latitude_bnds"].values)).T
    cells = np.repeat((north - south) * np.radians(7.5), 48) @ matrix
    np.testing.assert_allclose(cells, areas, rtol=0.01)
    assert own[0] == pytest.approx((random * cells).sum() / (4 * np.pi), rel=1e-12)


def test_cells_that_are_covered_in_part_are_missing_below_a_share(voronoi):
    """Cells of one half of the globe, one without corners."""
    given, _ = voronoi
    north = given.isel(cell=given["lat"].values > 0)
    north["lat_bnds"][5], north["lon_bnds"][5] = np.nan, np.nan
    north["t"][:] = 3.0
    for share, n_most in ((0.01, 33), (0.999, 30)):
        found = through(RegridFilter({"step": 6.0}, "conservative", min_valid=share), north)["t"].values
        assert np.isnan(found[-13:]).all()
        assert found[np.isfinite(found)] == pytest.approx(3.0)
        assert np.isfinite(found).sum() < n_most * 30


def test_a_few_cells_without_an_area_are_left_out_and_named(caplog):
    """As of NEMO: on land some have the corners of others, and below ice edges that cross."""
    given = curved(0.0)
    bounds = {name: given[name].values.copy() for name in ("lat_bnds", "lon_bnds")}
    for values in bounds.values():
        values[7, 9], values[20, 4] = values[25, 30], values[20, 4][[0, 2, 1, 3]]
    made = given.assign_coords({name: (given[name].dims, values) for name, values in bounds.items()})
    step = RegridFilter({"step": 6.0}, "conservative", min_valid=0.9)  # each of whose cells has halves of two
    found = through(step, made.assign(t=xr.ones_like(given["t"])))["t"]
    assert np.count_nonzero(np.isnan(found)) == 4
    np.testing.assert_allclose(found.values[np.isfinite(found)], 1.0, rtol=1e-12)
    through(step, made)  # the next item, of a grid whose weights are there
    assert [record.message.partition(", such as number ")[2] for record in caplog.records] == 2 * [
        "1204, have edges that cross: they are left out of the mean",
        "429, have corners elsewhere than their points: they are left out of the mean",
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda given: given.drop_vars("lat_bnds"), "'lat' has no bounds with the corners of its cells"),
        (lambda given: given.isel(nv=[0, 2, 1, 3]), "1,681 of 1,800 cells, such as number 30, have edges that cross"),
        (
            lambda given: given.assign_coords(lat=given["lat"][::-1]),
            "cells, .* have corners elsewhere than their points",
        ),
        (lambda given: given.assign_coords(lat_bnds=given["lat_bnds"] * 2), "latitudes up to"),
        (lambda given: given.assign_coords(lat_bnds=given["lat_bnds"] * np.nan), "no cell has corners"),
    ],
)
def test_cells_without_an_area_are_refused(change, what):
    """By the name of the coordinate, or the number of the cell."""
    with pytest.raises(ComponentError, match=what):
        through(RegridFilter({"step": 3.0}, "conservative"), change(curved(1.0)))
