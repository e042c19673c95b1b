"""The state of a run at one moment, and what can show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from curator_core.run.progress.eta import Forecast


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """What a worker is doing."""

    worker: str
    """Its name."""
    index: int | None
    """The index it is on; ``None`` when it is idle."""
    key: str | None
    """Key of the item, where it is known."""
    age_s: float
    """How long it has been on it, seconds."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment."""

    total: int
    """Number of items."""
    completed: int
    """Items processed, failed ones included."""
    failed: int
    """Items that failed."""
    elapsed_s: float
    """Time since the start, seconds."""
    forecast: Forecast
    """Rate and time left."""
    workers: tuple[WorkerLine, ...]
    """The workers, in the order in which they appeared."""


class View(Protocol):
    """Shows snapshots; used by one thread at a time."""

    interval_s: float
    """Time between snapshots, seconds."""

    def draw(self, now: Snapshot) -> None:
        """Show the present state."""

    def close(self, end: Snapshot) -> None:
        """Show the last state and give everything back."""
