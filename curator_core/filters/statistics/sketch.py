"""Quantiles of any number of values in a few kilobytes."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from curator_core.errors import MissingDependencyError
from curator_core.filters.statistics.exact_sums import Floats, Reals

_SHARD_SIZE = 200
"""Size parameter of the sketch of one item: at most about 4 kB."""
_MERGED_SIZE = 1000
"""That of a sketch of many items: the ranks of its quantiles are off by about 0.5% at most."""
_HEADER = struct.Struct("<BBBHBHIIdd")
_PREAMBLE = (2, 1, 20, _SHARD_SIZE, 0, 0)
"""Length, version and family of the library's sketches, size, flags, nothing."""
_CLUSTER = np.dtype([("mean", "<f8"), ("weight", "<u8")])
_HALF = np.float64(2.0**-65)
_SCALE = np.float64(2.0**-64)  # sums of the largest numbers must not become infinite


class QuantileSketch:
    """A t-digest: deterministic, so that the same values in the same order give the same bytes.

    Parameters
    ----------
    is_merged
        It will hold the values of many items.

    Raises
    ------
    MissingDependencyError
        datasketches is not installed.

    References
    ----------
    T. Dunning, "The t-digest: Efficient estimates of distributions", Software Impacts 7 (2021) 100049.
    """

    def __init__(self, *, is_merged: bool = False) -> None:
        self._digest = _digest_class()(_MERGED_SIZE if is_merged else _SHARD_SIZE)

    def add(self, values: Reals) -> None:
        """Take in finite numbers in increasing order, ``(n,)``."""
        if len(values) == 1:
            self._digest.update(float(values[0]) * _SCALE)
        elif len(values):
            made = _digest_class().deserialize(_serialized(values))
            if self._digest.is_empty():
                self._digest = made
            else:
                self._digest.merge(made)

    def merge(self, content: bytes) -> None:
        """Take in what `to_bytes` gave.

        Raises
        ------
        ValueError
            It did not.
        """
        try:
            self._digest.merge(_digest_class().deserialize(content))
        except (RuntimeError, IndexError) as exc:  # what the library raises for wrong bytes
            raise ValueError(f"no sketch: {exc}") from exc

    def to_bytes(self) -> bytes:
        """The sketch, to be merged into another."""
        return bytes(self._digest.serialize())

    def __getstate__(self) -> bytes:
        return self.to_bytes()

    def __setstate__(self, content: bytes) -> None:
        self._digest = _digest_class().deserialize(content)

    def quantile(self, fraction: float) -> float:
        """Value below which about this fraction of the numbers lies; there must be some."""
        return float(self._digest.get_quantile(fraction)) / _SCALE

    def fractions_below(self, values: Floats) -> list[float]:
        """About which fraction of the numbers lies below each of these increasing values."""
        return [float(self._digest.get_rank(value)) for value in (values * _SCALE).tolist()]


def _serialized(values: Reals) -> bytes:
    """A sketch of increasing numbers, which are clustered at once; as the library writes one.

    Clusters end at the quantiles (1 - cos(pi k / n)) / 2, Dunning's scale k1, and their medians stand for them.
    """
    ends = np.unique(np.rint((1 - np.cos(np.pi * np.arange(_SHARD_SIZE + 1) / _SHARD_SIZE)) / 2 * len(values)))
    ends = ends.astype(np.int64)
    clusters = np.empty(len(ends) - 1, _CLUSTER)
    clusters["weight"] = np.diff(ends)
    middle = ends[:-1] + ends[1:]
    clusters["mean"] = values[(middle - 1) // 2] * _HALF + values[middle // 2] * _HALF
    low, high = (float(value) * _SCALE for value in (values[0], values[-1]))
    return _HEADER.pack(*_PREAMBLE, len(clusters), 0, low, high) + clusters.tobytes()


def _digest_class() -> Any:  # noqa: ANN401 - the library is untyped
    try:
        from datasketches import tdigest_double
    except ImportError as exc:
        raise MissingDependencyError.of("datasketches", "statistics", "Estimating quantiles") from exc
    return tdigest_double
