"""Units that are wanted, given, and refused."""

from __future__ import annotations

import numpy as np
import pytest

from curator_core.errors import ComponentError, ConfigError
from curator_core.filters.conversion import converted
from curator_core.filters.units import UnitsFilter
from curator_core.filters.values import FieldError
from tests.filters.grids import grid, through

pytest.importorskip("cf_xarray")
pd = pytest.importorskip("pandas")


def test_a_dataset():
    """Values, the attribute and no other; types stay, and what came in, too."""
    given = grid()
    given["t"].attrs["actual_range"] = [280.0, 291.0]
    (found,) = through(UnitsFilter({"t": "degC", "rain": "g m-2"}), given)
    np.testing.assert_allclose(found["t"].values, given["t"].values - 273.15, rtol=1e-5)
    assert found["t"].dtype == np.float32
    assert found["t"].attrs == {"units": "degC", "standard_name": "air_temperature"}
    np.testing.assert_allclose(found["rain"].values, given["rain"].values * 1000)
    assert given["t"].attrs["units"] == "K"
    assert given["t"].values[0, 0, 0] == 280.0


def test_a_coordinate():
    """Its bounds are converted with it, and integers become floats."""
    (found,) = through(UnitsFilter({"level": "Pa"}), grid())
    assert found["level"].values.tolist() == [85000.0, 50000.0]
    assert found["level_bnds"].values.tolist() == [[90000.0, 80000.0], [55000.0, 45000.0]]
    assert found["level"].attrs["units"] == "Pa"
    assert "level" in found.coords
    assert "level_bnds" in found.coords
    assert list(found.xindexes) == ["time", "level"]
    (found,) = through(UnitsFilter({"level": "Pa"}), grid().drop_indexes("level"))
    assert list(found.xindexes) == ["time"]


@pytest.mark.parametrize(
    "about",
    [
        {"cell_methods": "time: standard_deviation"},
        {"cell_methods": "time: range (interval: 1 day)"},
        {"standard_name": "air_temperature_anomaly"},
        {"units_metadata": "temperature: difference"},
    ],
)
def test_differences_of_temperatures(about):
    """Have no zero that could be shifted."""
    given = grid()
    given["t"].attrs = {"units": "K", **about}
    (found,) = through(UnitsFilter({"t": "degC"}), given)
    assert found["t"].values.tolist() == given["t"].values.tolist()
    given["t"].attrs = {"units": "K", **about, "units_metadata": "temperature: unknown"}
    with pytest.raises(ComponentError, match="temperatures or differences of temperatures is unknown"):
        through(UnitsFilter({"t": "degC"}), given)


@pytest.mark.parametrize(
    ("given", "wanted", "expected"),
    [
        ("hPa", "Pa", 100.0),
        ("mbar", "hPa", 1.0),
        ("kg m**-2 s**-1", "kg m-2 day-1", 86400.0),
        ("m s-1", "km/h", 3.6),
        ("%", "1", 0.01),
        ("kg kg**-1", "g kg-1", 1000.0),
        ("degrees_north", "radian", np.pi / 180),
        ("m**2 s**-2", "J kg-1", 1.0),
        ("degC2", "K2", 1.0),
        ("degC day-1", "K day-1", 1.0),
        ("m+2 s-2", "J kg-1", 1.0),
    ],
)
def test_pairs(given, wanted, expected):
    """As CF conventions, ECMWF and people write them."""
    assert converted(np.ones(1), given, wanted) == pytest.approx(expected)
    assert converted(np.full(1, expected), wanted, given) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name", ["degree_C", "degrees_celsius", "deg C", "degC", "celsius", "Celsius", "degree_c", "C"]
)
def test_names_of_temperatures(name):
    """As UDUNITS and people write them."""
    assert converted(np.zeros(1), name, "Kelvin") == pytest.approx(273.15)
    assert converted(np.full(1, 32.0), "degrees_F", name) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("given", "wanted", "said"),
    [
        ("K", "m", "measure different things"),
        ("kg m-2 s-1", "mm day-1", "measure different things"),
        ("degree", "1", "measure different things"),
        ("psu", "1", "measure different things"),
        ("degree K", "radian", "measure different things"),
        ("degree m", "m", "measure different things"),
        ("F", "degC", "measure different things"),
        ("k", "K", "unknown|measure different"),
        ("degC2", "K", "measure different things"),
        ("(0 - 1)", "1", "unknown"),
        ("level", "1", "unknown"),
        ("~", "1", "unknown"),
        ("hours since 1900-01-01", "s", "unknown"),
        ("", "1", "no unit"),
        (" ", "1", "no unit"),
    ],
)
def test_what_is_refused(given, wanted, said):
    """Rather than taken for a number of something."""
    with pytest.raises(FieldError, match=said):
        converted(np.ones(1), given, wanted)


def test_numbers_that_become_too_large():
    """Do not become infinite; NaN stays."""
    with pytest.raises(FieldError, match="too large for float32"):
        converted(np.array([1e37], np.float32), "m", "mm")
    assert np.isnan(converted(np.array([np.nan], np.float32), "m", "mm")).all()
    with pytest.raises(FieldError, match="have no unit"):
        converted(np.array(["a"]), "m", "mm")


def test_what_is_given():
    """Stands in place of the attribute, and of the one that tables do not have."""
    dataset = grid()
    dataset["rain"].attrs["units"] = "(0 - 1)"
    with pytest.raises(ComponentError, match=r"value 0: field 'rain': the unit '\(0 - 1\)' is unknown: say what it is"):
        through(UnitsFilter({"rain": "%"}), dataset)
    (found,) = through(UnitsFilter({"rain": "%"}, {"rain": "1"}), dataset)
    assert found["rain"].values.max() == 100.0
    frame = pd.DataFrame({"p": [1.0, 2.0]})
    with pytest.raises(ComponentError, match="field 'p': it has no unit: say which with given="):
        through(UnitsFilter({"p": "Pa"}), frame)
    (found,) = through(UnitsFilter({"p": "Pa"}, {"p": "hPa"}), frame)
    assert found["p"].tolist() == [100.0, 200.0]


def test_a_field_that_is_not_there():
    """Fails the item, unless items may lack it; one of several values suffices."""
    with pytest.raises(ComponentError, match="no value of the item has 'sst'"):
        through(UnitsFilter({"sst": "K"}), grid())
    through(UnitsFilter({"sst": "K"}, missing="ignore"), grid())
    assert len(through(UnitsFilter({"t": "degC"}), grid()[["rain"]], grid())) == 2


def test_configurations():
    """Are refused before anything runs."""
    with pytest.raises(ConfigError, match="the unit 'kelvinn' is unknown"):
        UnitsFilter({"t": "kelvinn"}).check()
    with pytest.raises(ConfigError, match="given has 'a', of which units says nothing"):
        UnitsFilter({"t": "K"}, {"a": "K"})
    with pytest.raises(ConfigError, match="units names no field"):
        UnitsFilter({})
    UnitsFilter({"t": "degC"}, {"t": "K"}).check()
