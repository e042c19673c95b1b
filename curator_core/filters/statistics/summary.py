"""What is known of the numbers of one field, and how that is merged."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from curator_core.filters.statistics.exact_sums import Reals
from curator_core.filters.statistics.histogram import Binning, counted, spaced
from curator_core.filters.statistics.moments import Moments
from curator_core.filters.statistics.sketch import QuantileSketch


class FieldSummary:
    """Moments, quantiles and histogram of one field.

    Parameters
    ----------
    field
        Its name.
    binning
        How its numbers are counted.
    is_merged
        It will hold the numbers of many items.
    has_shape
        Skewness and kurtosis are asked for, too.
    """

    def __init__(self, field: str, binning: Binning, *, is_merged: bool = False, has_shape: bool = False) -> None:
        self._field = field
        self._n_bins = binning.bins if isinstance(binning.bins, int) else len(binning.bins) - 1
        self._edges = binning.edges(field)
        self._counts = np.zeros(0 if self._edges is None else len(self._edges) - 1, np.int64)
        self._moments = Moments(has_shape=has_shape)
        self._sketch = QuantileSketch(is_merged=is_merged)

    def add(self, arrays: list[Reals]) -> None:
        """Take in the numbers of some arrays, ``(n,)`` each, which may be reordered."""
        values: Reals = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        values.sort()  # what is not finite comes first or last
        ends = np.array([-np.inf, np.inf], values.dtype)
        finite = values[np.searchsorted(values, ends[0], side="right") : np.searchsorted(values, ends[1])]
        self._moments.samples += len(arrays)
        self._moments.nonfinite += len(values) - len(finite)
        self._moments.add_sorted(finite)
        self._sketch.add(finite)
        if self._edges is not None:
            self._counts = self._counts + counted(finite, self._edges)

    def to_state(self) -> dict[str, Any]:
        """Values for JSON; `merge_state` takes them in."""
        return {
            "moments": self._moments.to_state(),
            "sketch": base64.b64encode(self._sketch.to_bytes()).decode(),
            "counts": self._counts.tolist(),
        }

    def merge_state(self, state: dict[str, Any]) -> None:
        """Take in what another summary of the field gave."""
        moments = Moments.from_state(state["moments"])
        if moments.has_shape != self._moments.has_shape:
            raise ValueError("it was kept with another shape=")
        self._moments.merge(moments)
        if moments.count:
            self._sketch.merge(base64.b64decode(state["sketch"], validate=True))
        self._counts = self._counts + np.asarray(state["counts"], np.int64)

    def row(self, quantiles: tuple[float, ...]) -> dict[str, Any]:
        """Row of the table."""
        moments = self._moments
        edges, counts = self._histogram()
        return {
            "field": self._field,
            "count": moments.count,
            "n_nonfinite": moments.nonfinite,
            "n_samples": moments.samples,
            **moments.row(),
            **{quantile_name(q): self._quantile(q) for q in quantiles},
            "histogram_edges": edges,
            "histogram_counts": counts,
            "is_histogram_exact": self._edges is not None,
        }

    def _quantile(self, fraction: float) -> float | None:
        moments = self._moments
        if not moments.count:
            return None
        if fraction in (0.0, 1.0):
            return moments.maximum if fraction else moments.minimum
        return min(max(self._sketch.quantile(fraction), moments.minimum), moments.maximum)

    def _histogram(self) -> tuple[list[float], list[int]]:
        if self._edges is not None:
            return self._edges.tolist(), self._counts.tolist()
        count, low, high = self._moments.count, self._moments.minimum, self._moments.maximum
        if not count:
            return [], []
        if low == high:
            return [low, high], [count]
        edges = spaced(low, high, self._n_bins)
        below = np.rint(np.array([0.0, *self._sketch.fractions_below(edges[1:-1]), 1.0]) * count)
        return edges.tolist(), np.diff(np.maximum.accumulate(below)).astype(np.int64).tolist()


def quantile_name(fraction: float) -> str:
    """Name of a quantile's column."""
    return f"q{float(fraction)!r}"
