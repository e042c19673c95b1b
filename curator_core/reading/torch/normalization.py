"""Arrays brought to mean 0 and standard deviation 1, by the statistics that were gathered with the dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.errors import ComponentError, MissingDependencyError, UnknownNameError

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as exc:
    raise MissingDependencyError.of("pyarrow", "parquet", "Reading statistics") from exc

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of arrays; those of other names stay as they are."""

    means: Mapping[str, float]
    """Mean by array name."""
    stds: Mapping[str, float]
    """Standard deviation of the population by array name; that of an array of one value counts as 1."""

    @classmethod
    def from_statistics(cls, path: str | Path, fields: Mapping[str, str]) -> Normalization:
        """Read the table that a statistics filter wrote.

        Parameters
        ----------
        path
            Parquet file of the table, such as that of `AtomicStatsFilter`.
        fields
            Field of the table by name of the array: ``{"forces": "forces"}``.

        Raises
        ------
        UnknownNameError
            The table has no such field.
        ComponentError
            It cannot be read, or a field has no finite number.
        """
        rows = {row["field"]: row for row in _table(Path(path))}
        means: dict[str, float] = {}
        stds: dict[str, float] = {}
        for name, field in fields.items():
            if field not in rows:
                raise UnknownNameError.of(f"field of {path}", field, rows)
            if rows[field]["mean"] is None or rows[field]["std"] is None:
                raise ComponentError(f"The field {field!r} of {path} has no finite number.", file=str(path))
            means[name], stds[name] = rows[field]["mean"], rows[field]["std"]
        return cls(means, stds)

    def apply(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Normalise the values of an array."""
        if name not in self.means:
            return values
        return (values - self.means[name]) / (self.stds[name] or 1.0)

    def invert(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Give normalised values, such as predictions, their unit again."""
        if name not in self.means:
            return values
        return values * (self.stds[name] or 1.0) + self.means[name]


def _table(path: Path) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, str | float | None]] = parquet.read_table(
            path, columns=["field", "mean", "std"]
        ).to_pylist()
    except (OSError, pa.ArrowException) as exc:
        raise ComponentError(f"{path} is no table of statistics that can be read: {exc}", file=str(path)) from exc
    return found
