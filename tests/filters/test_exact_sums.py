"""Sums of powers, against fractions; and that their order and pieces change no digit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from curator_core.errors import MergeError
from curator_core.filters.statistics import StatisticsFilter
from curator_core.filters.statistics.exact_sums import SCALE, power_sums
from curator_core.filters.statistics.moments import Moments
from tests.filters.test_statistics import table


def fractions(values):
    """Sums of powers as they are."""
    exact = [Fraction(float(value)) for value in values]
    return [sum(number**power for number in exact) * 2 ** (SCALE * power) for power in (1, 2, 3, 4)]


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: hnp.arrays(
            dtype, st.integers(1, 60), elements={"allow_nan": False, "allow_infinity": False, "allow_subnormal": True}
        )
    )
)
@settings(max_examples=60)
def test_sums_of_any_numbers_are_exact(values):
    """The smallest and the largest numbers, beside each other, too."""
    assert power_sums(values, 4) == fractions(values)
    assert power_sums(np.sort(values), is_sorted=True) == fractions(values)[:2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["offset", "near", "wide", "small", "equal"])
def test_sums_of_more_numbers_than_are_added_at_once(dtype, kind):
    """As in the fields of weather: a large mean, near each other, around zero, over many orders, all the same."""
    random = np.random.default_rng(1)
    values = {
        "offset": random.normal(101325, 900, 10_000),
        "near": -(2**23 + random.integers(-9, 2**20, 10_000)) * 2.0**-30,
        "wide": random.normal(0, 1, 10_000) * np.exp(random.normal(0, 20, 10_000)),
        "small": random.integers(1, 9000, 10_000) * 2.0**-149,
        "equal": np.full(10_000, 0.1),
    }[kind].astype(dtype)
    whole = power_sums(values, 4)
    assert whole == fractions(values)
    assert power_sums(np.sort(values), is_sorted=True) == power_sums(values) == whole[:2]
    order = random.permutation(len(values))
    pieces = [power_sums(values[piece], 4) for piece in np.split(order, [1, 77, 9_000])]
    assert [sum(found) for found in zip(*pieces, strict=True)] == whole


@pytest.mark.parametrize("digits", [9, 2])
def test_sums_of_sorted_numbers_are_those_of_unsorted_ones(digits):
    """Of many rows, some of them around zero; and of numbers that are there many times, as in packed files."""
    values = np.random.default_rng(2).normal(0, 8, 200_000).round(digits).astype(np.float32)
    assert power_sums(np.sort(values), is_sorted=True) == power_sums(values)


@given(st.lists(hnp.arrays(np.float32, st.integers(0, 9), elements=st.floats(-99, 99, width=32)), max_size=4))
@settings(max_examples=40)
def test_shape(arrays):
    """Skewness and kurtosis are those of fractions to the last digits, and pass through what is kept of items."""
    merged = Moments(has_shape=True)
    for array in arrays:
        part = Moments(has_shape=True)
        part.add(array)
        merged.merge(Moments.from_state(part.to_state()))
    exact = [Fraction(float(value)) for array in arrays for value in array]
    mean = sum(exact, Fraction(0)) / max(1, len(exact))
    second, third, fourth = (sum((x - mean) ** p for x in exact) / max(1, len(exact)) for p in (2, 3, 4))
    if not second:
        assert (merged.skewness, merged.kurtosis) == (None, None)
        return
    assert merged.kurtosis == float(fourth / second**2 - 3)
    assert merged.skewness == pytest.approx(float(np.sign(third)) * float(third**2 / second**3) ** 0.5, rel=1e-15)


def test_columns_of_the_shape(tmp_path):
    """They are there where they are asked for, and what was kept without is refused."""
    every = np.random.default_rng(0).exponential(size=30_000)
    row = table([[part] for part in np.array_split(every, 7)], tmp_path, shape=True)["value"]
    assert (row["skewness"], row["kurtosis"]) == (pytest.approx(2, abs=0.2), pytest.approx(6, abs=1.5))
    assert "skewness" not in table([[every]], tmp_path)["value"]
    with pytest.raises(MergeError, match="kept with another shape="):
        StatisticsFilter("x.parquet", shape=True).merge([str(tmp_path / "shard0")], str(tmp_path / "x.parquet"))
