"""Variables with the names of one table."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from curator_core.domains.grid import GRIBSource, NamesFilter
from curator_core.domains.grid.filters.quantities import QUANTITIES
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.test_grib import message
from tests.filters.grids import through


def fields(*names, level=None, **attributes):
    """A dataset of some variables, on levels of pressure where there are any."""
    dims = ("time", "lat") if level is None else ("time", "level", "lat")
    shape = [{"time": 2, "lat": 3, "level": 1}[dim] for dim in dims]
    coordinates = {"lat": ("lat", [3.0, 2.0, 1.0], {"units": "degrees_north"})}
    if level is not None:
        coordinates["level"] = ("level", [level], {"units": "hPa"})
    return xr.Dataset({name: (dims, np.ones(shape), attributes) for name in names}, coordinates)


def renamed(dataset, table, **options):
    """Names of a dataset in a table."""
    (found,) = through(NamesFilter(table, **options), dataset)
    return list(found.data_vars)


def test_every_name_of_the_table_leads_to_the_others():
    """And back, on its kind of level."""
    for quantity in QUANTITIES:
        level = 500 if quantity.level == "pressure" else None
        about = {"units": quantity.units[0]}
        if quantity.ecmwf == "z" and not level:
            about["GRIB_typeOfLevel"] = "surface"
        for name in (quantity.ecmwf, quantity.netcdf, quantity.weatherbench):
            given = fields(name, level=level, **about)
            assert renamed(given, "weatherbench") == [quantity.weatherbench]
            assert renamed(given, "ecmwf") == [quantity.ecmwf]
    assert len({quantity.weatherbench for quantity in QUANTITIES}) == len(QUANTITIES)


def test_attributes_are_those_of_cf():
    """Values and other attributes stay; dimensions have the names of WeatherBench there alone."""
    given = fields("t", level=500, units="K", history="x")
    (found,) = through(NamesFilter("weatherbench"), given)
    assert found["temperature"].dims == ("time", "level", "latitude")
    assert found["temperature"].attrs == {"units": "K", "history": "x", "standard_name": "air_temperature"}
    assert found["latitude"].attrs == {"units": "degrees_north", "standard_name": "latitude"}
    np.testing.assert_array_equal(found["temperature"].values, given["t"].values)
    (found,) = through(NamesFilter("ecmwf"), fields("sd", "lsm", units="m of water equivalent"))
    assert found["sd"].attrs["units"] == "m"
    assert found["sd"].dims == ("time", "lat")


def test_messages_of_grib(tmp_path):
    """By parameter and level; what is on another kind of level is another quantity."""
    kinds = [{"shortName": "u"}, {"shortName": "2t", "typeOfLevel": "heightAboveGround", "level": 2}]
    kinds += [{"shortName": "t", "typeOfLevel": "hybrid", "level": 3}, {"shortName": "10u"}]
    (tmp_path / "a.grib").write_bytes(b"".join(message(**kind) for kind in kinds))
    names = [name for d in through(NamesFilter("weatherbench"), *GRIBSource(str(tmp_path))[0]) for name in d]
    assert sorted(names) == ["10m_u_component_of_wind", "2m_temperature", "t_hybrid", "u_component_of_wind"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (fields("t", standard_name="soil_temperature"), "t"),
        (fields("z"), "z"),
        (fields("z", GRIB_typeOfLevel="surface"), "geopotential_at_surface"),
        (fields("z", level=500), "geopotential"),
        (fields("PSL", standard_name="air_pressure_at_mean_sea_level"), "mean_sea_level_pressure"),
        (fields("ta", level=500, standard_name="air_temperature"), "temperature"),
        (fields("ta", standard_name="air_temperature"), "ta"),
        (fields("tas", standard_name="air_temperature").assign_coords(
            height=((), 2.0, {"standard_name": "height", "units": "m"})), "2m_temperature"),
        (fields("tp", units="m s-1"), "tp"),
        (fields("tp", units="m"), "total_precipitation"),
        (fields("tp", units="kg m-2"), "tp"),
        (fields("t", units="degC"), "t"),
        (fields("sd"), "sd"),
        (fields("t2m_ens_spread", standard_name="air_temperature", GRIB_paramId=167, units="K"), "t2m_ens_spread"),
    ],
)  # fmt: skip
def test_nothing_is_guessed(given, expected):
    """A name alone is none where two quantities have it, or an attribute contradicts it."""
    assert renamed(given, "weatherbench") == [expected]


def test_what_has_no_name_is_kept_or_refused():
    """Two variables of one name, and a table that is none, are refused."""
    assert renamed(fields("t2m", "rain", units="K"), "ecmwf") == ["2t", "rain"]
    with pytest.raises(ComponentError, match="'rain' is no quantity with a name in ecmwf"):
        renamed(fields("t2m", "rain", units="K"), "ecmwf", unknown="fail")
    with pytest.raises(ComponentError, match="'t2m' and '2m_temperature' would both be '2t'"):
        renamed(fields("t2m", "2m_temperature", units="K"), "ecmwf")
    with pytest.raises(ComponentError, match="'t' and 'air_temperature' would both be 'air_temperature'"):
        renamed(fields("t", "air_temperature", level=500), "cf")
    assert renamed(fields("t2m", "rain"), {"rain": "t2", "t2m": "warmth"}) == ["warmth", "t2"]
    with pytest.raises(ComponentError, match="no value of the item has 'snow'"):
        renamed(fields("t2m"), {"snow": "t2"})
    for table in ("gfs", {}, {"a": "c", "b": "c"}):
        with pytest.raises(ConfigError, match="table"):
            NamesFilter(table)
