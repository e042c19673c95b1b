"""What backends take from `run_pipeline` beside its own arguments: declared once, checked and documented from there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from curator_core.engine.deadline import checked_timeout
from curator_core.run.config import check_max_workers


@dataclass(frozen=True)
class Option:
    """One option of a backend, as its class declares it in `RunBackend.options`."""

    description: str
    """What it does, in one sentence for listings and the reference."""
    check: Callable[[Any], object] | None = None
    """Called with the value before any item is processed; raises `ConfigError` for one that cannot be meant."""
    beyond_loop: bool = False
    """Whether it asks for more than a plain loop does, so that the backend is taken for a single worker, too; see
    `RunBackend.loop_with_one_worker`."""


Options: TypeAlias = Mapping[str, Option] | Collection[str] | None
"""Options of a backend: by name, their names alone, or whatever there is."""

MAX_WORKERS = Option("Number of workers, in place of `n_jobs`.", check_max_workers)
"""Option ``max_workers``, as several backends have it."""
TIMEOUT = Option("Time that one item may take, seconds; beyond, it fails, alone.", checked_timeout)
"""Option ``timeout``, as every backend has it that can stop an item."""
