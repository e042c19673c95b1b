"""Edges and counts of histograms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError
from curator_core.filters.statistics.exact_sums import Floats, Reals

Range = Sequence[float] | Mapping[str, Sequence[float]] | None


@dataclass(frozen=True)
class Binning:
    """How numbers are counted: in fixed bins, or in bins that follow the data afterwards."""

    bins: int | Sequence[float]
    """Number of bins of equal width, or the edges of all fields."""
    range: Range
    """Low and high end of all fields, or by field; fields without bins follow the data."""

    def check(self, component: str) -> None:
        """Refuse bins that are none.

        Raises
        ------
        ConfigError
            Edges do not increase, or there is no bin.
        """
        if isinstance(self.bins, int):
            if self.bins < 1:
                raise ConfigError(f"{component}: bins must be at least 1, got {self.bins!r}.")
            ends = self.range.values() if isinstance(self.range, Mapping) else [self.range]
            rows = [list(end) for end in ends if end is not None]
            if not all(len(row) == 2 and _is_increasing(row) for row in rows):  # noqa: PLR2004 - two ends
                raise ConfigError(f"{component}: range must be a finite low and a higher end, got {self.range!r}.")
        elif self.range is not None or len(self.bins) < 2 or not _is_increasing(self.bins):  # noqa: PLR2004 - a bin
            raise ConfigError(f"{component}: bins as edges must increase, be finite and have no range: {self.bins!r}.")

    def edges(self, field: str) -> Floats | None:
        """Fixed edges of a field; ``None`` where they follow the data."""
        if not isinstance(self.bins, int):
            return np.asarray(self.bins, np.float64)
        ends = self.range.get(field) if isinstance(self.range, Mapping) else self.range
        return None if ends is None else spaced(float(ends[0]), float(ends[1]), self.bins)


def spaced(low: float, high: float, n_bins: int) -> Floats:
    """Edges of bins of equal width; fewer where no float lies between two."""
    if math.isfinite(high - low):
        return np.unique(np.linspace(low, high, n_bins + 1))
    at = np.linspace(0.0, 1.0, n_bins + 1)
    return np.unique(low * (1.0 - at) + high * at)


def counted(values: Reals, edges: Floats) -> npt.NDArray[np.int64]:
    """Exact number of increasing values in each bin, ``(n_bins,)``; the last one includes its upper edge."""
    n_below = np.searchsorted(values, edges)
    n_below[-1] = np.searchsorted(values, edges[-1], side="right")
    return np.diff(n_below).astype(np.int64)


def _is_increasing(edges: Sequence[float]) -> bool:
    values = [float(edge) for edge in edges]
    return all(map(math.isfinite, values)) and all(low < high for low, high in pairwise(values))
