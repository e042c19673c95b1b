"""Mantissas: what netCDF's BitRound writes, and by how much numbers change."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curator_core.errors import ComponentError, ConfigError
from curator_core.filters.rounding import RoundingFilter, rounded
from tests.filters.grids import grid, through


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_numbers_are_those_of_netcdf(tmp_path, dtype):
    """Bit by bit, of numbers of every size."""
    random = np.random.default_rng(3)
    values = (random.standard_normal(1000) * 10.0 ** random.integers(-20, 20, 1000)).astype(dtype)
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("x", len(values))
        mode = {"significant_digits": 7, "quantize_mode": "BitRound"}
        file.createVariable("v", dtype, ("x",), **mode)[:] = values
        np.testing.assert_array_equal(rounded("v", values, 7), file["v"][:])


@given(values=hnp.arrays("f4", 5), bits=st.integers(1, 22))
@settings(max_examples=60)
def test_no_number_changes_by_more_than_is_said(values, bits):
    """The rest of the mantissa is zero; what is not finite stays; normal numbers are within the bound."""
    try:
        found = rounded("v", values, bits)
    except ValueError:
        assert np.nanmax(np.abs(values[np.isfinite(values)])) > np.finfo("f4").max * (1 - 2.0**-bits)
        return
    is_finite = np.isfinite(values)
    np.testing.assert_array_equal(found[~is_finite], values[~is_finite])
    assert not (found[is_finite].view("u4") & ((1 << (23 - bits)) - 1)).any()
    normal = is_finite & (np.abs(values) >= np.finfo("f4").tiny)
    exact, near = values[normal].astype("f8"), found[normal].astype("f8")
    assert (np.abs(near - exact) <= np.abs(exact) * 2.0 ** -(bits + 1)).all()


def test_datasets_say_so():
    """As CF 1.12 has it; other fields, and other kinds of values, have nothing to say it with."""
    (found,) = through(RoundingFilter({"t": 6}), grid())
    about = {"quantization": "quantization_info", "quantization_nsb": 6, "quantization_maximum_relative_error": 2**-7}
    assert found["t"].attrs == {"units": "K", "standard_name": "air_temperature", **about}
    assert found["quantization_info"].attrs["algorithm"] == "bitround"
    assert found["rain"].identical(grid()["rain"].assign_coords(quantization_info=found["quantization_info"]))
    (found,) = through(RoundingFilter(2), {"v": np.array([1.3, 1.0]), "n": np.arange(3)})
    assert found["v"].tolist() == [1.25, 1.0]
    assert found["n"].tolist() == [0, 1, 2]


def test_what_cannot_be_rounded():
    """Is named before the run, or fails the item."""
    with pytest.raises(ComponentError, match="field 'v' is of type int64, which has no mantissa"):
        through(RoundingFilter({"v": 3}), {"v": np.arange(3)})
    with pytest.raises(ComponentError, match="would become infinite with 3 bits"):
        through(RoundingFilter(3), {"v": np.array([3.4e38], "f4")})
    for bits in (0, 53, {}):
        with pytest.raises(ConfigError):
            RoundingFilter(bits)
