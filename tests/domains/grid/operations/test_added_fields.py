"""Fields computed of others, of places and of times: against tables, identities and the course of the sun."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from curator_core.domains.grid import DerivedFilter, ForcingsFilter
from curator_core.errors import ComponentError, ConfigError
from tests.domains.grid.operations.fields import regular, through

NAMES = ["cos_latitude", "sin_longitude", "cos_julian_day", "sin_julian_day", "cos_local_time", "insolation"]


def air(**units):
    """Temperature, dew point and wind, of known relation."""
    values = {"t": [20.0, 10.0, 0.0], "d": [20.0, 0.0, -10.0], "u": [3.0, 0.0, -1.0], "v": [4.0, 2.0, 0.0]}
    known = {"t": "degC", "d": "degC", "u": "m s-1", "v": "m s-1", **units}
    return xr.Dataset({name: ("x", numbers, {"units": known[name]}) for name, numbers in values.items()})


def test_humidity_dew_point_and_wind():
    """Of saturation pressures of the Smithsonian tables, to a part in 500, and back."""
    humidity = DerivedFilter("relative_humidity", {"temperature": "t", "dew_point": "d"}, "rh")
    (found,) = through(humidity, air())
    np.testing.assert_allclose(found["rh"], [100, 100 * 6.1078 / 12.272, 100 * 2.8627 / 6.1078], rtol=2e-3)
    dew_point = DerivedFilter("dew_point_temperature", {"temperature": "t", "relative_humidity": "rh"})
    (back,) = through(dew_point, found)
    np.testing.assert_allclose(back["dew_point_temperature"], [20, 0, -10], atol=1e-10)
    kelvin = found.assign(t=("x", found["t"].values + 273.15, {"units": "K"}))
    (back,) = through(dew_point, kelvin)
    np.testing.assert_allclose(back["dew_point_temperature"], [293.15, 273.15, 263.15], atol=1e-10)
    assert back["dew_point_temperature"].attrs["units"] == "K"
    (found,) = through(DerivedFilter("wind_speed", {"u": "u", "v": "v"}), air())
    assert found["wind_speed"].values.tolist() == [5, 2, 1]
    assert found["wind_speed"].attrs == {"standard_name": "wind_speed", "units": "m s-1"}


def test_the_sun():
    """Stands highest at noon, in the north in June and in the south in December; sets for months at the poles."""
    given = regular(15.0)[["t"]].isel(time=[0, 0, 0, 0])
    days = [79.5, 171.5, 354.5, 171.0]  # noon and midnight at Greenwich, equinox and solstices of 2001
    given["time"] = ("time", days, {"units": "days since 2001-01-01"})
    (found,) = through(ForcingsFilter(NAMES), given.drop_indexes("time", errors="ignore"))
    sun = found["insolation"].sel(lon=0) if "lon" in found.xindexes else found["insolation"].isel(lon=0)
    highest = [float(given["lat"][int(sun[time].values.argmax())]) for time in range(3)]
    assert [abs(highest[0]), highest[1], highest[2]] == [7.5, 22.5, -22.5]
    noon = np.cos(np.radians(23.44 - given["lat"].values))
    np.testing.assert_allclose(sun[1], np.clip(noon, 0, None), atol=0.01)
    assert (sun[3].values[given["lat"].values < 60] == 0).all()
    assert sun[3].values[0] > 0.2
    np.testing.assert_allclose(found["cos_latitude"][:, 0], np.cos(np.radians(given["lat"])), atol=1e-7)
    np.testing.assert_allclose(
        found["cos_local_time"][0], -np.cos(np.radians(given["lon"].values))[None].repeat(12, 0), atol=1e-6
    )
    np.testing.assert_allclose(found["cos_julian_day"] ** 2 + found["sin_julian_day"] ** 2, 1, atol=1e-6)
    assert {v.dtype.name for v in found[NAMES].values()} == {"float32"}


def test_what_cannot_be_added():
    """Is named before the run, or fails the item."""
    wind = DerivedFilter("wind_speed", {"u": "u", "v": "v"})
    mean = air()
    for name in "uv":
        mean[name].attrs["cell_methods"] = "time: mean"
    for step, changed, said in (
        (wind, air(u="knot"), "'u' is in 'knot', 'v' in 'm s-1'"),
        (wind, mean, "the speed of a mean wind is no mean speed"),
        (wind, air()[["u"]], "no value of the item has 'v'"),
        (
            DerivedFilter("relative_humidity", {"temperature": "t", "dew_point": "d"}),
            air(t="F"),
            "'t' is in 'F', and K or",
        ),
        (
            DerivedFilter("dew_point_temperature", {"temperature": "t", "relative_humidity": "u"}),
            air(u="%"),
            "2 values of 0",
        ),
        (ForcingsFilter(["insolation"]), air(), "it has 0 dimensions of time"),
        (ForcingsFilter(["cos_latitude"]), air(), "no field has latitudes and longitudes"),
    ):
        with pytest.raises(ComponentError, match=said):
            through(step, changed)
    with pytest.raises(ConfigError):
        DerivedFilter("wind_speed", {"u": "u"})
    with pytest.raises(ConfigError):
        ForcingsFilter([])
