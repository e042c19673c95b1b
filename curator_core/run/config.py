"""What a backend is told about a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curator_core.engine.deadline import checked_timeout
from curator_core.errors import ConfigError
from curator_core.records import Item
from curator_core.run.board import WorkerBoard


def resolve_n_jobs(n_jobs: int) -> int:
    """Number of workers: ``-1`` is all CPUs, ``-2`` all but one, never below 1.

    Raises
    ------
    ConfigError
        0, or no integer.
    """
    if not _is_integer(n_jobs) or n_jobs == 0:
        raise ConfigError(f"n_jobs must be a positive number of workers, or -1 for all CPUs, not {n_jobs!r}.")
    if n_jobs > 0:
        return n_jobs
    return max(1, available_cpus() + 1 + n_jobs)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def available_cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class RunConfig:
    """One run, as a backend sees it."""

    n_jobs: int = 1
    """Number of workers as given; see `resolved_n_jobs`."""
    indices: list[int] = field(default_factory=list)
    """What to process, in the order of the results."""
    progress: bool = True
    """Whether to show progress."""
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of this backend alone."""
    items: list[Item] = field(default_factory=list)
    """The items of `indices`: key and fingerprint as listed when the run was planned."""
    groups: list[list[int]] | None = None
    """Indices that one worker must process in order; ``None`` for no constraint."""
    journals: tuple[Path, str] | None = None
    """Folder and configuration hash for `JournalWriter`, where a worker may outlive the coordinator."""

    board: WorkerBoard = field(default_factory=WorkerBoard)
    """Where workers show what they are at."""

    @property
    def timeout(self) -> float | None:
        """The option ``timeout``: time that one index may take, seconds.

        Raises
        ------
        ConfigError
            It is no positive number.
        """
        return checked_timeout(self.backend_options.get("timeout"))

    @property
    def resolved_n_jobs(self) -> int:
        """Number of workers, at least 1."""
        return resolve_n_jobs(self.n_jobs)

    def item_groups(self) -> list[list[Item]]:
        """The items by group; each alone where there is no constraint."""
        if self.groups is None:
            return [[item] for item in self.items]
        by_index = {item.index: item for item in self.items}
        return [[by_index[index] for index in group] for group in self.groups]
