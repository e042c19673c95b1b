"""What filters that gather statistics know of the fields they saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from curator_core.filters.statistics.moments import Moments


@dataclass(frozen=True, slots=True)
class FieldStatistics:
    """Statistics of the numbers of one field."""

    name: str
    """The field."""
    count: int
    """Finite numbers."""
    n_nonfinite: int
    """NaN and infinite ones, which enter nothing else."""
    mean: float | None
    """``None``, as all below, without finite numbers."""
    std: float | None
    """Of the population (``ddof=0``)."""
    minimum: float | None
    """Smallest number."""
    maximum: float | None
    """Largest number."""
    edges: tuple[float, ...] = ()
    """Histogram, ``(n_bins + 1,)``; empty where there is none."""
    counts: tuple[int, ...] = ()
    """Numbers in each of its bins."""

    @classmethod
    def of(cls, name: str, moments: Moments) -> Self:
        """Statistics of a field whose moments are known."""
        row = moments.row()
        return cls(name, moments.count, moments.nonfinite, row["mean"], row["std"], row["min"], row["max"])


@runtime_checkable
class HasStatistics(Protocol):
    """What a `ShardedFilter` that gathers statistics knows, beyond the files it writes."""

    @property
    def is_of_all_items(self) -> bool:
        """Whether all numbers of a field are counted, or those of some items."""

    def statistics(self, output_path: str) -> list[FieldStatistics]:
        """Every field of a merged output."""

    def item_statistics(self, shard: bytes) -> list[FieldStatistics]:
        """Every field of one item, given the content of its shard."""
