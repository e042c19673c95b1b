"""Grids on others: against analytic fields, xarray's interpolation, and integrals over the sphere."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import xarray as xr

from curator_core.domains.grid import RegridFilter
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.operations.fields import curved, on_points, regular, smooth, through

REGION = {"latitude": {"first": 40, "last": -40, "step": 2.5}, "longitude": {"first": -30, "last": 30, "step": 2.5}}
GLOBE = {"step": 3.0}


def globe(step=2.0, **options):
    """The smooth field on the whole globe."""
    found = regular(step, **options)
    latitudes, longitudes = np.meshgrid(found["lat"], found["lon"], indexing="ij")
    found["t"] = found["t"].copy(data=np.stack([smooth(latitudes, longitudes)] * 2))
    return found


def expected(found):
    """The smooth field where a result is."""
    return smooth(*np.meshgrid(found["latitude"], found["longitude"], indexing="ij"))


def cells(step):
    """Areas of cells of a global grid, by row."""
    return np.radians(step) * -np.diff(np.sin(np.radians(np.arange(90, -90 - step / 2, -step))))


@pytest.mark.parametrize(
    ("to", "method", "error"),
    [
        (GLOBE, "nearest", 0.05),
        (GLOBE, "bilinear", 7e-4),
        (GLOBE, "conservative", 0.012),
        ({"step": 1.0, "poles": True}, "bilinear", 7e-4),
        (REGION, "bilinear", 7e-4),
        (REGION, "conservative", 0.03),
    ],
)
@pytest.mark.parametrize("start", [0.0, -180.0, 1.0])
def test_a_smooth_field_is_itself(to, method, error, start):
    """Everywhere: at the poles and the date line, from longitudes of any count; a constant stays one."""
    given = globe(start=start)
    given["one"] = given["t"] * 0 + 7
    (found,) = through(RegridFilter(to, method), given)
    assert np.abs(found["t"].values - expected(found)).max() < error
    np.testing.assert_allclose(found["one"], 7, rtol=1e-12)
    area = " area: mean" if method == "conservative" else ""
    assert found["t"].attrs == {"units": "K", "cell_methods": f"time: mean{area}"}
    assert sorted(found.coords) == ["latitude", "latitude_bnds", "longitude", "longitude_bnds", "time"]


def test_numbers_are_those_of_xarray():
    """Between points, and the nearest of them."""
    given = globe(start=-180.0).drop_vars("lon_bnds").set_xindex("lat").set_xindex("lon")
    places = {"lat": np.linspace(50.3, -33.1, 17), "lon": np.linspace(-91.7, 120.4, 23)}
    to = {"latitude": places["lat"].tolist(), "longitude": places["lon"].tolist()}
    (found,) = through(RegridFilter(to), given)
    np.testing.assert_allclose(found["t"].values, given["t"].interp(places).values, rtol=1e-12)
    (found,) = through(RegridFilter(to, "nearest"), given)
    np.testing.assert_array_equal(found["t"].values, given["t"].sel(places, method="nearest").values)


@pytest.mark.parametrize(("step", "start"), [(5.0, 0.0), (3.0, -180.0), (1.0, 0.7), (2.5, -3.1)])
def test_integrals_stay(step, start):
    """Of random numbers, from a grid to coarser and finer ones, shifted ones, over the whole sphere."""
    random = np.random.default_rng(5)
    given = regular(2.0, start=start, values=random.random((2, 90, 180)), descending=False)
    (found,) = through(RegridFilter({"step": step}, "conservative"), given)
    before = (given["t"].values * cells(2.0)[::-1, None]).sum(axis=(1, 2))
    after = (found["t"].values * cells(step)[:, None]).sum(axis=(1, 2))
    np.testing.assert_allclose(after, before, rtol=1e-12)


def test_a_wrapped_column_counts_once():
    """As on a grid that repeats its first meridian; a Gaussian grid reaches the poles."""
    nodes = np.degrees(np.arcsin(np.polynomial.legendre.leggauss(32)[0]))[::-1]
    longitudes = np.linspace(0, 360, 65)
    field = smooth(*np.meshgrid(nodes, longitudes, indexing="ij"))
    coordinates = {
        "lat": ("lat", nodes, {"units": "degrees_north"}),
        "lon": ("lon", longitudes, {"units": "degrees_east"}),
    }
    given = xr.Dataset({"t": (("lat", "lon"), field)}, coordinates)
    for method, error in (("bilinear", 0.02), ("conservative", 0.15)):
        (found,) = through(RegridFilter({"step": 5.0}, method), given)
        assert np.abs(found["t"].values - expected(found)).max() < error
    (once,) = through(RegridFilter({"step": 5.0}, "conservative"), given.isel(lon=slice(0, -1)))
    np.testing.assert_allclose(found["t"], once["t"], rtol=1e-12)


@pytest.mark.parametrize(("method", "error"), [("nearest", 0.06), ("bilinear", 2e-3)])
def test_points_all_over_the_globe(method, error):
    """As of a reduced Gaussian or an icosahedral grid, across poles and date line."""
    n = np.arange(10_000) + 0.5
    latitudes, longitudes = np.degrees(np.arcsin(1 - 2 * n / len(n))), np.degrees(np.pi * (1 + 5**0.5) * n) % 360
    (found,) = through(RegridFilter({"step": 5.0, "poles": True}, method), on_points(latitudes, longitudes))
    assert np.abs(found["t"].values - expected(found)).max() < error
    assert found["t"].attrs == {"units": "K"}


def test_a_curved_grid():
    """Across the date line; outside of it, values are missing."""
    given = curved(30)
    given["t"] = given["t"].copy(data=smooth(given["lat"].values, given["lon"].values))
    to = {"latitude": {"first": -20, "last": 20, "step": 1}, "longitude": {"first": 150, "last": 210, "step": 1}}
    for method, error in (("bilinear", 1e-4), ("nearest", 0.05)):
        (found,) = through(RegridFilter(to, method), given)
        assert np.nanmax(np.abs(found["t"].values - expected(found))) < error
        is_in = ~np.isnan(found["t"].values)
        latitudes, longitudes = np.meshgrid(found["latitude"], found["longitude"] - 180, indexing="ij")
        y, x = (latitudes + longitudes / 4) / (1 + 1 / 16), (longitudes - latitudes / 4) / (1 + 1 / 16)
        assert is_in[(np.abs(y) < 9.9) & (np.abs(x) < 9.9)].all()
        assert not is_in[(np.abs(y) > 13) | (np.abs(x) > 13)].any()


@pytest.mark.parametrize("min_valid", [0.3, 0.5, 1.0])
@pytest.mark.parametrize("method", ["bilinear", "conservative"])
def test_missing_values(method, min_valid):
    """Means are of what is there, where it is enough, by area for cells."""
    given = regular(10.0, values=np.full((2, 18, 36), 5.0, "f4"))
    given["t"][0, :, :7] = np.nan
    (found,) = through(RegridFilter({"step": 20.0}, method, min_valid=min_valid), given)
    assert found["t"].dtype == np.float32
    assert set(np.unique(found["t"].values[0])) <= {5.0} | {float("nan")} or np.nanmin(found["t"]) == 5.0
    np.testing.assert_array_equal(found["t"].values[1], 5.0)
    if method == "conservative":  # cells begin at -10, those of the field at -5
        edges = [(-10 + 20 * i, 10 + 20 * i) for i in range(18)]
        there = [20 - max(0, min(high, 65) - max(low, -5)) for low, high in edges]
        np.testing.assert_array_equal(~np.isnan(found["t"].values[0, 0]), [n >= min_valid * 20 for n in there])


def test_the_grid_of_a_file(tmp_path):
    """With its names, bounds and attributes; what the file holds is part of the configuration."""
    other = regular(30.0, start=-180.0)
    other.to_netcdf(tmp_path / "grid.nc")
    step = RegridFilter(str(tmp_path / "grid.nc"), "conservative")
    before = step.file_identities()
    (found,) = through(pickle.loads(pickle.dumps(step)), globe())
    for name in ("lat", "lon", "lon_bnds"):
        np.testing.assert_array_equal(found[name], other[name])
    assert found["lat"].attrs == other["lat"].attrs
    other[["lat", "lon", "lon_bnds"]].to_netcdf(tmp_path / "grid.nc")
    assert step.file_identities() != before
    (same,) = through(step, globe())
    np.testing.assert_array_equal(same["t"], found["t"])
    curved().to_netcdf(tmp_path / "curved.nc")
    with pytest.raises(ComponentError, match=r"the file with the grid: it has no single grid .*, but curved"):
        through(RegridFilter(str(tmp_path / "curved.nc")), globe())


def test_flags_and_directions():
    """Have no mean: the nearest takes them."""
    given = globe(10.0)
    given["kind"] = (("lat", "lon"), np.ones((18, 36), "i1"), {"flag_values": [0, 1]})
    given["wind"] = given["t"].assign_attrs(units="degree", standard_name="wind_from_direction")
    (found,) = through(RegridFilter(GLOBE, "nearest"), given)
    assert set(np.unique(found["kind"])) == {1.0}
    for name, said in (("kind", "has flags"), ("wind", "has directions")):
        with pytest.raises(ComponentError, match=f"field '{name}' {said}, of which there is no mean"):
            through(RegridFilter(GLOBE), given[[name]])


def test_what_cannot_be_regridded():
    """Is named before the run, or fails the item."""
    lone = globe(10.0).assign(weight=("lat", np.ones(18)))
    with pytest.raises(ComponentError, match=r"field 'weight' lies along \('lat',\), and not on the whole grid"):
        through(RegridFilter(GLOBE), lone)
    with pytest.raises(ComponentError, match="'lat' has no bounds with the corners of its cells"):
        through(RegridFilter(GLOBE, "conservative"), curved())
    nowhere = curved()
    nowhere["lat"] = nowhere["lat"] * np.nan
    with pytest.raises(ComponentError, match="'lat' and 'lon' are missing everywhere, so that no point has a place"):
        through(RegridFilter(GLOBE, "nearest"), nowhere)
    far = {"latitude": [60.0, 70.0], "longitude": [0.0, 10.0]}
    with pytest.raises(ComponentError, match="no point of the grid that is wanted lies within that of the field"):
        through(RegridFilter(far), curved())
    for to in (
        {},
        {"step": 7},
        {"step": 0},
        {"latitude": [1, 2]},
        {"latitude": [0, 95], "longitude": [0, 1]},
        "s3://a/b",
    ):
        with pytest.raises(ConfigError):
            RegridFilter(to)
    for axis in ([1], [1, 1], {"first": 0, "last": 1}, {"first": 0, "last": 1, "step": 0.3}, "0"):
        with pytest.raises(ConfigError):
            RegridFilter({"latitude": axis, "longitude": [0, 1]})
