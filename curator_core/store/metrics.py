"""What processed indices cost: of each, in all, as tables, and as it is recorded."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curator_core.formats.tabular import Row, Table, data_frame, write_csv, write_parquet
from curator_core.garbage import gc_paused
from curator_core.records import StageMetrics
from curator_core.storage.atomic import published
from curator_core.store.checked import CheckedDatabase

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


_UNIX_EPOCH_DAY = 2440587.5
"""The Julian day on which POSIX time begins."""


def _stage_columns(indices: Sequence[IndexMetrics]) -> list[str]:
    return list(dict.fromkeys(f"{k}_{s.name}_ns" for i in indices for k, s in enumerate(i.stages)))


@dataclass(frozen=True, slots=True)
class JobUsage:
    """What the workers of a run used that a cluster ran as jobs, as its accounting has it."""

    n_jobs: int
    """How many they are."""
    cpu_s: float
    """CPU time they used, seconds."""
    allotted_s: float
    """CPU time they had: for each its CPUs times how long it had them, seconds."""
    peak_memory_bytes: int | None
    """Largest memory of any; ``None`` where the cluster measured none."""

    @property
    def efficiency(self) -> float | None:
        """The part of the CPU time they had that they used, 0 to 1."""
        return self.cpu_s / self.allotted_s if self.allotted_s else None


class StatusTotals(NamedTuple):
    """What the items of one status cost together."""

    n_items: int = 0
    """How many they are."""
    wall_time_ns: int = 0
    """Sum of their wall times, nanoseconds."""
    peak_memory_bytes: int | None = None
    """Largest peak memory of any worker meanwhile, bytes; ``None`` where none was measured."""
    completed_at: str | None = None
    """When the last one was done, ISO-8601."""


class StageTotal(NamedTuple):
    """Time spent in one stage by all items."""

    name: str
    """Name of the source, filter or sink."""
    total_s: float
    """Sum, seconds."""
    mean_s: float
    """Mean of the items, seconds."""
    max_s: float
    """The longest, seconds."""


@dataclass(frozen=True, slots=True)
class SlowItem:
    """One of the items that took longest."""

    index: int
    """Position in the source."""
    key: str
    """Key of the item."""
    wall_s: float
    """How long it took, seconds."""
    stage: str
    """The stage that took most of it."""
    stage_share: float
    """How much of it, 0 to 1."""
    peak_bytes: int | None
    """Peak memory of its worker meanwhile."""
    is_failed: bool
    """Whether it failed."""


ItemCost = tuple[float | None, float, int | None, int, str | None]
"""Time of completion (POSIX), wall time in seconds, peak memory in bytes, whether it failed, and worker of one item."""


class CostReader(CheckedDatabase):
    """Questions about what items cost."""

    def metrics(self, run_id: int) -> list[IndexMetrics]:
        """Cost of every completed index of the present listing."""
        sql = (
            "SELECT idx, wall_time_ns, peak_memory_bytes, gpu_memory_bytes FROM index_results"
            " WHERE run_id = ? AND status = 'completed' AND idx >= 0 ORDER BY idx"
        )
        self.check_measures(run_id)
        with gc_paused():
            stages = self._stages(run_id)
            rows = self.query(sql, run_id)
            return [IndexMetrics(idx, stages.pop(idx, []), wall, peak, gpu) for idx, wall, peak, gpu in rows]

    def total_time(self, run_id: int) -> tuple[int, int]:
        """Number of the completed indices of the present listing, and the sum of their wall times in nanoseconds."""
        self.check_measures(run_id)
        sql = "SELECT count(*), CAST(total(wall_time_ns) AS INTEGER) AS wall_time_ns FROM index_results"
        ((n_completed, spent),) = self._rows(f"{sql} WHERE run_id = ? AND status = 'completed' AND idx >= 0", run_id)
        return n_completed, spent

    def _stages(self, run_id: int) -> dict[int, list[StageMetrics]]:
        stages: dict[int, list[StageMetrics]] = defaultdict(list)
        sql = "SELECT idx, stage_name, wall_time_ns FROM stage_metrics WHERE run_id = ? ORDER BY idx, stage_order"
        for idx, name, spent in self.query(sql, run_id):
            stages[idx].append(StageMetrics(name, spent))
        return stages

    def job_usage(self, run_id: int) -> JobUsage | None:
        """What a run's workers used in all; ``None`` where no cluster kept accounts of them."""
        sql = (
            "SELECT count(*), total(cpu_s), total(elapsed_s * n_cpus), max(peak_memory_bytes) AS peak_memory_bytes"
            " FROM workers WHERE run_id = ? AND job IS NOT NULL"
        )
        ((n_jobs, *used),) = self._rows(sql, run_id)
        return JobUsage(n_jobs, *used) if n_jobs else None

    def totals(self, run_id: int, *, without: Iterable[str] = ()) -> dict[str, StatusTotals]:
        """What items of the present listing cost together, by status; some keys left out."""
        sql = (
            "SELECT status, count(*), CAST(total(wall_time_ns) AS INTEGER) AS wall_time_ns,"
            " max(peak_memory_bytes) AS peak_memory_bytes, max(completed_at) AS completed_at FROM index_results"
            " WHERE run_id = ? AND idx >= 0 AND item_key NOT IN (SELECT value FROM json_each(?)) GROUP BY status"
        )
        rows = self._rows(sql, run_id, json.dumps(list(without)))
        return {status: StatusTotals(*totals) for status, *totals in rows}

    def wall_times(self, run_id: int) -> list[tuple[str, float]]:
        """Key and wall time in seconds of every completed item of the present listing, in index order."""
        sql = (
            "SELECT item_key, wall_time_ns / 1e9 FROM index_results"
            " WHERE run_id = ? AND idx >= 0 AND status = 'completed' ORDER BY idx"
        )
        return self._rows(sql, run_id)

    def costs(self, run_id: int) -> Iterator[ItemCost]:
        """Cost of every item of the present listing, failed ones included, in index order."""
        sql = (
            f"SELECT (julianday(completed_at) - {_UNIX_EPOCH_DAY}) * 86400, wall_time_ns / 1e9, peak_memory_bytes,"  # noqa: S608 - constants
            " status = 'error', worker_id FROM index_results WHERE run_id = ? AND idx >= 0 ORDER BY idx"
        )
        return self.query(sql, run_id)

    def stage_totals(self, run_id: int) -> list[StageTotal]:
        """Time spent in each stage by all items of the present listing, source first."""
        sql = (
            "SELECT min(stage_name), total(wall_time_ns) / 1e9, avg(wall_time_ns) / 1e9, max(wall_time_ns) / 1e9"
            " FROM stage_metrics WHERE run_id = ? AND idx >= 0 GROUP BY stage_order ORDER BY stage_order"
        )
        return [StageTotal(*row) for row in self._rows(sql, run_id)]

    def slowest(self, run_id: int, limit: int) -> list[SlowItem]:
        """The items of the present listing that took longest, the slowest first."""
        sql = (
            "SELECT idx, item_key, wall_time_ns, peak_memory_bytes, status = 'error' FROM index_results"
            " WHERE run_id = ? AND idx >= 0 ORDER BY wall_time_ns DESC, idx LIMIT ?"
        )
        longest = (
            "SELECT stage_name, wall_time_ns FROM stage_metrics WHERE run_id = ? AND idx = ?"
            " ORDER BY wall_time_ns DESC LIMIT 1"
        )
        found = []
        for index, key, wall_ns, peak_bytes, is_failed in self._rows(sql, run_id, limit):
            stage, stage_ns = next(self.query(longest, run_id, index), ("", 0))
            share = stage_ns / max(wall_ns, 1)
            found.append(SlowItem(index, key, wall_ns / 1e9, stage, share, peak_bytes, bool(is_failed)))
        return found
