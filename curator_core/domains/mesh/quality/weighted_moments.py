"""Exact weighted statistics: sums without rounding, so that no order or division of the data can change a bit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from curator_core.filters.statistics.exact_sums import SCALE, power_sums
from curator_core.filters.values.fields import FieldError

Floats = npt.NDArray[np.float64]

_SPLITTER: Final = 2.0**27 + 1
_LARGEST: Final = 2.0**300
"""Products of three numbers of this size, and what splits them, are finite."""


@dataclass(slots=True)
class WeightedMoments:
    """Count, weighted sums and extremes of some numbers."""

    count: int = 0
    """Finite numbers."""
    nonfinite: int = 0
    """Numbers that are NaN or infinite, and left out of all else."""
    samples: int = 0
    """Arrays that the numbers are from."""
    weight: int = 0
    """Sum of the weights, in units of 2**-1126."""
    total: int = 0
    """Sum of weight times number, in units of 2**-1126."""
    squares: int = 0
    """Sum of weight times square, in units of 2**-1126."""
    minimum: float = math.inf
    """Smallest number."""
    maximum: float = -math.inf
    """Largest number."""

    def add(self, name: str, values: Floats, weights: Floats) -> None:
        """Take in the numbers of an array of that name, and as many weights, (n,) each.

        Raises
        ------
        FieldError
            A number is so large that its square is none.
        """
        is_finite = np.isfinite(values)
        numbers, shares = values[is_finite], weights[is_finite]
        self.samples += 1
        self.nonfinite += len(values) - len(numbers)
        if not len(numbers):
            return
        low, high = float(numbers.min()), float(numbers.max())
        if max(-low, high, float(shares.max())) > _LARGEST:
            text = f"numbers from {low:g} to {high:g}, which are too large for their squares to be summed up"
            raise FieldError(f"field {name!r} has {text}")
        self.count += len(numbers)
        self.weight += _sum(shares)
        self.total += sum(map(_sum, _products(shares, numbers)))
        self.squares += sum(_sum(term) for square in _products(numbers, numbers) for term in _products(shares, square))
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)

    def merge(self, other: WeightedMoments) -> None:
        """Take in what `other` has."""
        self.count += other.count
        self.nonfinite += other.nonfinite
        self.samples += other.samples
        self.weight += other.weight
        self.total += other.total
        self.squares += other.squares
        self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)

    def row(self) -> dict[str, float | None]:
        """Columns of a table; ``None`` where there is no weight."""
        weight, total = self.weight, self.total
        mean = total / weight if weight else None
        variance = (weight * self.squares - total**2) / weight**2 if weight else None
        return {
            "weight": weight / (1 << SCALE),
            "integral": total / (1 << SCALE),
            "mean": mean,
            "variance": variance,
            "std": None if variance is None else math.sqrt(variance),
            "min": self.minimum if self.count else None,
            "max": self.maximum if self.count else None,
        }

    def to_state(self) -> list[int | float | str]:
        """Values for JSON; `from_state` restores them exactly."""
        sums = [f"{number:x}" for number in (self.weight, self.total, self.squares)]
        return [self.count, self.nonfinite, self.samples, *sums, self.minimum, self.maximum]

    @classmethod
    def from_state(cls, state: list[int | float | str]) -> WeightedMoments:
        """Restore what `to_state` gave."""
        count, nonfinite, samples, weight, total, squares, minimum, maximum = state
        weights, totals, all_squares = (int(str(number), 16) for number in (weight, total, squares))
        counts = (int(count), int(nonfinite), int(samples))
        return cls(*counts, weights, totals, all_squares, float(minimum), float(maximum))


def _sum(numbers: Floats) -> int:
    """Exact sum, in units of 2**-1126."""
    return power_sums(numbers)[0] if numbers.any() else 0


def _products(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Products, and what their rounding took away (Dekker): both together are exact but for underflow.

    References
    ----------
    T. J. Dekker, A floating-point technique for extending the available precision, Numerische Mathematik 18 (1971) 224.
    """
    product = first * second
    (high, low), (other_high, other_low) = _halves(first), _halves(second)
    rest = ((high * other_high - product) + high * other_low + low * other_high) + low * other_low
    return product, rest


def _halves(numbers: Floats) -> tuple[Floats, Floats]:
    high = numbers * _SPLITTER
    high -= high - numbers
    return high, numbers - high
