"""Metrics of a pipeline's processed indices, and their exports."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.records import StageMetrics
from curator_core.storage.atomic import published
from curator_core.store.tabular import Row, Table, data_frame, write_csv, write_parquet

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class IndexMetrics:
    """Cost of one index."""

    index: int
    """Position in the source."""
    stages: list[StageMetrics]
    """Exclusive times, source first."""
    wall_time_ns: int
    """Their sum, nanoseconds."""
    peak_memory_bytes: int | None
    """Peak memory of the worker meanwhile, bytes."""
    gpu_memory_bytes: int | None
    """Peak GPU memory, bytes."""


@dataclass(frozen=True, slots=True)
class PipelineMetrics:
    """Cost of all completed indices."""

    indices: list[IndexMetrics]
    """In index order."""

    @property
    def total_wall_time_ns(self) -> int:
        """Sum over the indices, nanoseconds."""
        return sum(i.wall_time_ns for i in self.indices)

    @property
    def mean_index_time_ns(self) -> float:
        """Mean over the indices, nanoseconds; 0 without any."""
        return self.total_wall_time_ns / len(self.indices) if self.indices else 0.0

    @property
    def total_peak_memory_bytes(self) -> int:
        """Largest peak of all indices, bytes."""
        return max((i.peak_memory_bytes or 0 for i in self.indices), default=0)

    def summary(self) -> dict[str, Any]:
        """Totals and the time per stage."""
        stages: dict[str, int] = defaultdict(int)
        for index in self.indices:
            for stage in index.stages:
                stages[stage.name] += stage.wall_time_ns
        return {
            "n_indices": len(self.indices),
            "total_wall_time_ns": self.total_wall_time_ns,
            "mean_index_time_ns": self.mean_index_time_ns,
            "total_peak_memory_bytes": self.total_peak_memory_bytes,
            "stages": dict(stages),
        }

    def to_json(self, path: str | Path) -> None:
        """Write the summary and every index as JSON."""
        data = {"summary": self.summary(), "indices": [asdict(i) for i in self.indices]}
        with published(path) as temporary:
            temporary.write_text(json.dumps(data, indent=2), encoding="utf-8")

    def to_csv(self, path: str | Path) -> None:
        """Write one line per index, one column per stage."""
        with published(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            write_csv(self._table(), file)

    def to_parquet(self, path: str | Path) -> None:
        """Write one row per index, one column per stage.

        Raises
        ------
        MissingDependencyError
            pyarrow is not installed.
        """
        write_parquet(self._table(), path)

    def to_console(self) -> None:
        """Print the totals and the time per stage as a table."""
        from rich.console import Console  # noqa: PLC0415 - only to print
        from rich.table import Table  # noqa: PLC0415

        total = self.total_wall_time_ns or 1
        table = Table(title=f"{len(self.indices)} indices, mean {self.mean_index_time_ns / 1e6:.3f} ms")
        table.add_column("stage")
        table.add_column("seconds", justify="right")
        table.add_column("share", justify="right")
        for name, spent in self.summary()["stages"].items():
            table.add_row(name, f"{spent / 1e9:.3f}", f"{spent / total:.1%}")
        Console().print(table)

    def to_pandas(self) -> pd.DataFrame:
        """One row per index, one column per stage.

        Raises
        ------
        MissingDependencyError
            pandas is not installed.
        """
        return data_frame(self._table())

    def _table(self) -> Table:
        names = ["index", "wall_time_ns", "peak_memory_bytes", "gpu_memory_bytes", *_stage_columns(self.indices)]
        return Table(dict.fromkeys(names, "integer"), self._rows())

    def _rows(self) -> Iterator[Row]:
        columns = _stage_columns(self.indices)
        for i in self.indices:
            row: Row = {"index": i.index, "wall_time_ns": i.wall_time_ns}
            row |= {"peak_memory_bytes": i.peak_memory_bytes, "gpu_memory_bytes": i.gpu_memory_bytes}
            row |= dict.fromkeys(columns)
            yield row | {f"{k}_{s.name}_ns": s.wall_time_ns for k, s in enumerate(i.stages)}


def _stage_columns(indices: Sequence[IndexMetrics]) -> list[str]:
    return list(dict.fromkeys(f"{k}_{s.name}_ns" for i in indices for k, s in enumerate(i.stages)))
