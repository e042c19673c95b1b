"""Types of fields, and what is lost with them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curator_core.errors import ComponentError, ConfigError
from curator_core.filters.casting import CastFilter
from tests.filters.grids import grid, through

TYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "int64", "uint64"]


def cast(values, dtype, **options):
    """An array in another type."""
    (found,) = through(CastFilter(dtype, **options), {"v": np.asarray(values)})
    return found["v"]


def test_fields_of_a_dataset():
    """All that are floating, or those that are named; attributes stay, and coordinates unless they are named."""
    (found,) = through(CastFilter("float32"), grid())
    assert {name: v.dtype.name for name, v in found.data_vars.items()} == {"t": "float32", "rain": "float32"}
    assert found["rain"].attrs == {"units": "kg m-2"}
    assert found["level_bnds"].dtype == np.float64
    (found,) = through(CastFilter({"t": "int16", "*": "float32", "level": "float32"}), grid())
    assert (found["t"].dtype, found["rain"].dtype, found["level"].dtype) == ("int16", "float32", "float32")
    (same,) = through(CastFilter("float32"), grid()[["t"]])
    assert same.identical(grid()[["t"]])
    with pytest.raises(ComponentError, match="no value of the item has 'sst'"):
        through(CastFilter({"sst": "float32"}), grid())


@given(
    values=hnp.arrays(st.sampled_from(TYPES), st.integers(1, 6)),
    dtype=st.sampled_from(TYPES),
)
@settings(max_examples=60)
def test_no_number_changes_by_more_than_rounding(values, dtype):
    """Of any types: what is passed on is the nearest number of the type, or the item fails."""
    is_whole = np.dtype(dtype).kind in "iu"
    exact = [v if np.isfinite(v) else None for v in values.tolist()]
    if is_whole:
        info = np.iinfo(dtype)
        fits = all(v is not None and v == int(v) and info.min <= v <= info.max for v in exact)
    else:
        with np.errstate(over="ignore"):
            fits = all(v is None or np.isfinite(np.dtype(dtype).type(v)) for v in exact)
    if not fits:
        with pytest.raises(ComponentError, match=r"does not have|lose more than is allowed"):
            cast(values, {"v": dtype})
        return
    found = cast(values, {"v": dtype})
    assert found.dtype == dtype
    for before, after in zip(values.tolist(), found.tolist(), strict=True):
        if is_whole:
            assert before == after
        elif np.isfinite(before):
            assert after == float(np.dtype(dtype).type(before))
        else:
            assert np.isnan(after) if np.isnan(before) else after == before


@pytest.mark.parametrize(
    ("values", "dtype", "said"),
    [
        ([1.0, 1e300], "float32", r"float32 does not have 1e\+300, at rows=1, and 0 others"),
        ([1.0, np.nan], "int32", "int32 does not have nan"),
        ([np.inf], "int64", "int64 does not have inf"),
        ([9.3e18], "int64", "int64 does not have 9"),
        ([2.0**63], "int64", "int64 does not have 9"),
        ([-1], "uint8", "uint8 does not have -1"),
        ([2], "bool", "bool does not have 2"),
        ([1.5], "int32", "1 of 1 numbers lose more than is allowed, the most 1.5, which becomes 2"),
        ([2**53 + 1], "float64", "the most 9007199254740993, which becomes 9007199254740992.0"),
    ],
)
def test_what_is_refused(values, dtype, said):
    """With the number, and its place."""
    if said.startswith("the most"):
        values = np.array(values)
        with pytest.raises(ComponentError, match=said):
            cast(values, {"v": dtype}, max_relative=0.0)
        return
    with pytest.raises(ComponentError, match=said):
        cast(values, {"v": dtype})


def test_bounds(caplog):
    """Relative, absolute, by field; beyond them an item fails, or it is said."""
    assert cast([1.2], {"v": "int16"}, max_absolute=0.25).tolist() == [1]
    assert cast([100.4], {"v": "int16"}, max_relative={"v": 0.01}).tolist() == [100]
    with pytest.raises(ComponentError, match="lose more"):
        cast([1.2], {"v": "int16"}, max_absolute={"w": 0.25})
    with pytest.raises(ComponentError, match="lose more"):
        cast([0.1], {"v": "float16"}, max_relative=1e-5)
    with caplog.at_level(logging.WARNING):
        assert cast([1.4], {"v": "int16"}, on_loss="warn").tolist() == [1]
    assert "the most 1.4, which becomes 1" in caplog.text
    assert np.isnan(cast([np.nan, 1.0], "float32")[0])


@pytest.mark.parametrize("dtype", ["str", "object", "float31", "complex64", {}])
def test_types_that_are_none(dtype):
    """Are refused when the filter is made."""
    with pytest.raises(ConfigError, match=r"no type of numbers|names no field"):
        CastFilter(dtype)
    with pytest.raises(ConfigError, match="at least 0"):
        CastFilter("float32", max_absolute=-1.0)


def test_texts():
    """Are no numbers."""
    with pytest.raises(ComponentError, match="field 'v' is no number, but <U1"):
        cast(["a"], {"v": "float32"})
