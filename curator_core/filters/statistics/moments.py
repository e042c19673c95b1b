"""Exact statistics: sums without rounding, so that no split or order of the data can change a bit.

Sums of powers are whole numbers, and rounded once, when mean and variance are asked for. Offsets that dwarf the spread
(total energies) therefore cost no digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from curator_core.filters.statistics.exact_sums import SCALE, Reals, power_sums
from curator_core.filters.statistics.exact_sums import Floats as Floats  # noqa: PLC0414 - others import it from here

_N_PLAIN = 7
"""Values of the state of moments without a shape."""


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
    cubes: int = 0
    """Sum of third powers, in units of 2**-3378; 0 where there is no shape."""
    fourths: int = 0
    """Sum of fourth powers, in units of 2**-4504; 0 where there is no shape."""
    has_shape: bool = False
    """Whether the third and fourth powers are summed up, too."""

    def add(self, values: Reals) -> None:
        """Take in numbers, ``(n,)``."""
        is_finite = np.isfinite(values)
        finite = values if is_finite.all() else values[is_finite]
        self.nonfinite += len(values) - len(finite)
        self.add_sorted(np.sort(finite))

    def add_sorted(self, values: Reals) -> None:
        """Take in increasing numbers, ``(n,)``, none of which is NaN or infinite."""
        if not len(values):
            return
        total, squares, *more = power_sums(values, 4 if self.has_shape else 2, is_sorted=True)
        self.count += len(values)
        self.total += total
        self.squares += squares
        if self.has_shape:
            self.cubes += more[0]
            self.fourths += more[1]
        self.minimum = min(self.minimum, float(values[0]))
        self.maximum = max(self.maximum, float(values[-1]))

    def merge(self, other: Moments) -> None:
        """Take in what `other` has."""
        self.count += other.count
        self.nonfinite += other.nonfinite
        self.samples += other.samples
        self.total += other.total
        self.squares += other.squares
        self.cubes += other.cubes
        self.fourths += other.fourths
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    @property
    def mean(self) -> float | None:
        """Mean, correctly rounded; ``None`` without numbers."""
        return _ratio(self.total, self.count << SCALE) if self.count else None

    @property
    def variance(self) -> float | None:
        """Population variance (``ddof=0``), correctly rounded; ``None`` without numbers."""
        return _ratio(self._spread, self.count**2 << 2 * SCALE) if self.count else None

    @property
    def _spread(self) -> int:
        """Second central moment, times the square of the count."""
        return self.count * self.squares - self.total**2

    @property
    def skewness(self) -> float | None:
        """Third central moment over the standard deviation's cube; ``None`` where all numbers are equal."""
        n, total, spread = self.count, self.total, self._spread
        if not spread:
            return None
        third = n**2 * self.cubes - 3 * n * total * self.squares + 2 * total**3
        return math.copysign(_ratio(third**2, spread**3) ** 0.5, -1 if third < 0 else 1)

    @property
    def kurtosis(self) -> float | None:
        """Fourth central moment over the variance's square, less 3; ``None`` where all numbers are equal."""
        n, total, spread = self.count, self.total, self._spread
        if not spread:
            return None
        fourth = n**3 * self.fourths - 4 * n**2 * total * self.cubes + 6 * n * total**2 * self.squares - 3 * total**4
        return _ratio(fourth - 3 * spread**2, spread**2)

    def row(self) -> dict[str, float | None]:
        """Mean, variance, standard deviation, range and shape as columns of a table; ``None`` without numbers."""
        variance = self.variance
        return {
            "mean": self.mean,
            "variance": variance,
            "std": None if variance is None else variance**0.5,
            "min": self.minimum if self.count else None,
            "max": self.maximum if self.count else None,
        } | ({"skewness": self.skewness, "kurtosis": self.kurtosis} if self.has_shape else {})

    def to_state(self) -> list[int | float | str]:
        """Values for JSON; `from_state` restores them exactly."""
        sums = [_shortened(self.total), _shortened(self.squares)]
        shape = [_shortened(self.cubes), _shortened(self.fourths)] if self.has_shape else []
        return [self.count, self.nonfinite, self.samples, *sums, self.minimum, self.maximum, *shape]

    @classmethod
    def from_state(cls, state: list[int | float | str]) -> Moments:
        """Restore what `to_state` gave."""
        count, nonfinite, samples, total, squares, minimum, maximum = state[:_N_PLAIN]
        cubes, fourths = map(_restored, state[_N_PLAIN:] or ["0e0"] * 2)
        return cls(
            int(count),
            int(nonfinite),
            int(samples),
            _restored(total),
            _restored(squares),
            float(minimum),
            float(maximum),
            cubes,
            fourths,
            has_shape=len(state) > _N_PLAIN,
        )


def _ratio(numerator: int, denominator: int) -> float:
    try:
        return numerator / denominator  # Python rounds the quotient of integers correctly
    except OverflowError:  # only a variance can be that large
        return math.inf


def _shortened(number: int) -> str:
    zeros = (number & -number).bit_length() - 1 if number else 0
    return f"{number >> zeros:x}e{zeros}"


def _restored(text: object) -> int:
    digits, _, zeros = str(text).rpartition("e")
    return int(digits, 16) << int(zeros)
