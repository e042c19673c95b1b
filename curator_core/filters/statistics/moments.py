"""Exact statistics: sums without rounding, so that no split or order of the data can change a bit.

A float is an integer times a power of two. Sums of values and of squares are kept as integers in units
of the smallest such power, and rounded once, when mean and variance are asked for. Offsets that dwarf
the spread (total energies) therefore cost no digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SCALE = 1126
"""Sums are in units of 2**-1126: `frexp` writes the smallest subnormal as a 53-bit integer times that."""
_HALF = 27
_MASK = (1 << _HALF) - 1
_BLOCK = 1 << 20  # bincount adds in float64: exact while 27-bit integers are added fewer than 2**26 times


@dataclass(slots=True)
class Moments:
    """Count, sums and extremes of some numbers."""

    count: int = 0
    """Finite numbers."""
    nonfinite: int = 0
    """Numbers that are NaN or infinite, and left out of all else."""
    samples: int = 0
    """Structures, arrays or tables that the numbers are from."""
    total: int = 0
    """Sum, in units of 2**-1126."""
    squares: int = 0
    """Sum of squares, in units of 2**-2252."""
    minimum: float = math.inf
    """Smallest number."""
    maximum: float = -math.inf
    """Largest number."""

    def add(self, values: Floats) -> None:
        """Take in numbers, ``(n,)``."""
        finite = values[np.isfinite(values)]
        self.nonfinite += len(values) - len(finite)
        self.count += len(finite)
        for start in range(0, len(finite), _BLOCK):
            block = finite[start : start + _BLOCK]
            total, squares = _exact_sums(block)
            self.total += total
            self.squares += squares
            self.minimum = min(self.minimum, float(block.min()))
            self.maximum = max(self.maximum, float(block.max()))

    def merge(self, other: Moments) -> None:
        """Take in what `other` has."""
        self.count += other.count
        self.nonfinite += other.nonfinite
        self.samples += other.samples
        self.total += other.total
        self.squares += other.squares
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    @property
    def mean(self) -> float | None:
        """Mean, correctly rounded; ``None`` without numbers."""
        return _ratio(self.total, self.count << _SCALE) if self.count else None

    @property
    def variance(self) -> float | None:
        """Population variance (``ddof=0``), correctly rounded; ``None`` without numbers."""
        if not self.count:
            return None
        return _ratio(self.count * self.squares - self.total**2, self.count**2 << 2 * _SCALE)

    def row(self) -> dict[str, float | None]:
        """Mean, variance, standard deviation and range as columns of a table; ``None`` without numbers."""
        variance = self.variance
        return {
            "mean": self.mean,
            "variance": variance,
            "std": None if variance is None else variance**0.5,
            "min": self.minimum if self.count else None,
            "max": self.maximum if self.count else None,
        }

    def to_state(self) -> list[int | float | str]:
        """Values for JSON; `from_state` restores them exactly."""
        sums = [_shortened(self.total), _shortened(self.squares)]
        return [self.count, self.nonfinite, self.samples, *sums, self.minimum, self.maximum]

    @classmethod
    def from_state(cls, state: list[int | float | str]) -> Moments:
        """Restore what `to_state` gave."""
        count, nonfinite, samples, total, squares, minimum, maximum = state
        return cls(
            int(count),
            int(nonfinite),
            int(samples),
            _restored(total),
            _restored(squares),
            float(minimum),
            float(maximum),
        )


def _ratio(numerator: int, denominator: int) -> float:
    try:
        return numerator / denominator  # Python rounds the quotient of integers correctly
    except OverflowError:  # only a variance can be that large
        return math.inf


def _exact_sums(values: Floats) -> tuple[int, int]:
    """Sum and sum of squares of finite numbers, as integers in the units of `Moments`."""
    fractions, exponents = np.frexp(values)
    mantissas = (fractions * 2.0**53).astype(np.int64)
    lowest = int(exponents.min())
    group = exponents - lowest
    shift = lowest - 53 + _SCALE
    magnitudes = np.abs(mantissas)
    high, low = magnitudes >> _HALF, magnitudes & _MASK
    total = _grouped_sum(mantissas, group, 1)
    squares = (
        (_grouped_sum(high * high, group, 2) << 2 * _HALF)
        + (_grouped_sum(high * low, group, 2) << _HALF + 1)
        + _grouped_sum(low * low, group, 2)
    )
    return total << shift, squares << 2 * shift


def _grouped_sum(integers: npt.NDArray[np.int64], group: npt.NDArray[np.int32], power: int) -> int:
    """Exact sum of ``integers * 2**(power * group)``, for integers below 2**54."""
    high = np.bincount(group, weights=integers >> _HALF)
    low = np.bincount(group, weights=integers & _MASK)
    return sum(
        ((int(upper) << _HALF) + int(lower)) << power * position
        for position, (upper, lower) in enumerate(zip(high.tolist(), low.tolist(), strict=True))
        if upper or lower
    )


def _shortened(number: int) -> str:
    zeros = (number & -number).bit_length() - 1 if number else 0
    return f"{number >> zeros:x}e{zeros}"


def _restored(text: object) -> int:
    digits, _, zeros = str(text).rpartition("e")
    return int(digits, 16) << int(zeros)
