"""Tables of experiments in a job's folder, while a workflow works on them, and after."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curator_core.cli.output import counted
from curator_core.errors import ExperimentsNotFoundError
from curator_core.experiments.stored.files import read_jobs
from curator_core.workflow import ExperimentData, JobStatus, claimed_rows, read_results

_DATA_FOLDER = "experiment_data"


@dataclass(frozen=True)
class TableState:
    """How the experiments of a table went; results that wait to be collected count."""

    folder: Path
    """Folder of the table."""
    counts: dict[JobStatus, int]
    """Rows by status, those without rows left out."""
    n_waiting: int
    """Rows whose results wait to be collected."""
    n_claimed: int
    """Rows that processes hold."""
    errors: dict[int, str]
    """``"ErrorType: message"`` of failed rows; only of those whose reason is known."""

    @classmethod
    def read(cls, folder: Path) -> TableState | None:
        """The table in a folder as it is at this moment, if there is one."""
        results = read_results(folder).found  # first: what is collected meanwhile is in the table then
        try:
            jobs = read_jobs(folder)
            waiting = [row for row in results if jobs.get(row) is JobStatus.OPEN]
            jobs |= {row: results[row].status for row in waiting}
            errors = ExperimentData.from_file(folder).failures if JobStatus.ERROR in jobs.values() else {}
        except ExperimentsNotFoundError:
            return None
        errors |= {row: failure for row in waiting if (failure := results[row].failure) is not None}
        said = {row: failure.error for row, failure in sorted(errors.items())}
        return cls(folder, dict(Counter(jobs.values())), len(waiting), len(claimed_rows(folder)), said)

    @property
    def n_failed(self) -> int:
        """Rows in error."""
        return self.counts.get(JobStatus.ERROR, 0)

    def __str__(self) -> str:
        """``16 experiments: 15 finished, 1 failed``."""
        words = {"finished": JobStatus.FINISHED, "failed": JobStatus.ERROR, "open": JobStatus.OPEN}
        words["in progress"] = JobStatus.IN_PROGRESS
        parts = [f"{self.counts[status]:,} {word}" for word, status in words.items() if status in self.counts]
        return ": ".join(filter(None, [counted(sum(self.counts.values()), "experiment"), ", ".join(parts)]))


def tables_below(job_dir: Path) -> list[TableState]:
    """All tables in a job's folder, by path."""
    return [table for folder in sorted(_folders(job_dir)) if (table := TableState.read(folder)) is not None]


def _folders(job_dir: Path) -> Iterator[Path]:
    for folder, children, _ in os.walk(job_dir):
        if _DATA_FOLDER in children:
            yield Path(folder)
        children[:] = [name for name in children if name not in (_DATA_FOLDER, "experiment_results")]
