"""What a backend knows of a run."""

from __future__ import annotations

import numbers
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, overload

from curator_core.cpus import available_cpus
from curator_core.engine.deadline import checked_timeout
from curator_core.errors import ConfigError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import Item
from curator_core.run.workers.heartbeats import Heartbeats
from curator_core.run.workers.settings import ProcessSettings
from curator_core.run.workers.worker import WorkerSetup, serialized


def resolve_n_jobs(n_jobs: int) -> int:
    """Number of workers: ``-1`` is all CPUs, ``-2`` all but one, never below 1.

    Raises
    ------
    ConfigError
        0, or no integer.
    """
    if not _is_integer(n_jobs) or n_jobs == 0:
        raise ConfigError(f"n_jobs must be a positive number of workers, or -1 for all CPUs, not {n_jobs!r}.")
    wanted = operator.index(n_jobs)
    return wanted if wanted > 0 else max(1, available_cpus() + 1 + wanted)


def _is_integer(value: object) -> TypeGuard[int]:
    """Whether a value is an integer, one of NumPy's included."""
    return isinstance(value, int | numbers.Integral) and not isinstance(value, bool)


def check_max_workers(given: object) -> None:
    """Refuse a number of workers that is none; ``None`` leaves it to the run.

    Raises
    ------
    ConfigError
        It is no positive integer.
    """
    if given is not None and not (_is_integer(given) and given >= 1):
        raise ConfigError(f"max_workers must be a positive number of workers, not {given!r}.")


def n_workers(config: RunConfig, max_workers: int | None = None) -> int:
    """Workers for a run: as many as asked for, and no more than can have something to do."""
    wanted = config.resolved_n_jobs if max_workers is None else operator.index(max_workers)
    return min(wanted, max(1, len(config.item_groups())))


@dataclass(frozen=True)
class BackendChoice:
    """Who carries out something parallel."""

    backend: str = "auto"
    """Name of a run backend."""
    n_jobs: int = -1
    """Number of workers; -1 for all CPUs."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the backend."""


@dataclass(frozen=True)
class RunConfig:
    """One run, as a backend sees it."""

    n_jobs: int = 1
    """Number of workers as given; see `resolved_n_jobs`."""
    indices: Sequence[int] | None = None
    """What to process, in the order of the results; `run_pipeline` always names it, ``None`` means all of a source."""
    progress: bool = True
    """Whether to show progress."""
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of this backend alone."""
    items: Sequence[Item] = ()
    """The items of `indices`: key and fingerprint as listed when the run was planned."""
    groups: list[list[int]] | None = None
    """Indices that one worker must process in order; ``None`` for no constraint."""
    journals: tuple[Path, str] | None = None
    """Folder and configuration hash for `JournalWriter`, where a worker may outlive the coordinator."""

    resumes: bool = False
    """Reuse results of earlier runs."""
    board: Heartbeats = field(default_factory=Heartbeats)
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

    def worker_setup(
        self,
        pipeline: Pipeline[Any],
        *,
        to: str = "a worker process",
        owns_processes: bool = False,
        initializer: Callable[..., None] | None = None,
        initargs: Sequence[object] = (),
    ) -> WorkerSetup:
        """What every worker gets once: the pipeline, pickled, and where it shows what it does.

        Parameters
        ----------
        pipeline
            What they process.
        to
            What it is sent to, for the message about a component that cannot be pickled.
        owns_processes
            Whether workers are processes of this run alone, which then have this process's working directory,
            environment, import paths and log levels.
        initializer, initargs
            Function that every worker calls first, and its arguments.

        Raises
        ------
        ConfigError
            A component cannot be pickled; the message names it.
        """
        return WorkerSetup(
            serialized(pipeline, to=to),
            self.board.folder,
            initializer,
            tuple(initargs),
            journals=self.journals,
            timeout=self.timeout,
            settings=ProcessSettings.of_this_process() if owns_processes else None,
        )

    def item_groups(self) -> Sequence[list[Item]]:
        """The items by group; each alone where there is no constraint. A group is made when it is asked for."""
        return ItemGroups(self.items, self.groups)


class ItemGroups(Sequence[list[Item]]):
    """Groups of items, in the order in which they should be begun.

    Parameters
    ----------
    items
        All items.
    groups
        Their indices by group; ``None`` puts each in a group of its own.
    """

    def __init__(self, items: Sequence[Item], groups: Sequence[Sequence[int]] | None) -> None:
        self._items = items
        self._groups = groups
        self._positions = None if groups is None else {item.index: at for at, item in enumerate(items)}

    def __len__(self) -> int:
        return len(self._items if self._groups is None else self._groups)

    @overload
    def __getitem__(self, position: int) -> list[Item]: ...
    @overload
    def __getitem__(self, position: slice) -> list[list[Item]]: ...
    def __getitem__(self, position: int | slice) -> list[Item] | list[list[Item]]:
        if isinstance(position, slice):
            return [self[at] for at in range(*position.indices(len(self)))]
        if self._groups is None or self._positions is None:
            return [self._items[position]]
        return [self._items[self._positions[index]] for index in self._groups[position]]


def __getattr__(name: str) -> object:
    """`BackendChoice` under its former name."""
    if name == "Workers":
        warnings.warn(
            "curator_core.run.config.Workers is BackendChoice now: import that.", DeprecationWarning, stacklevel=2
        )
        return BackendChoice
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
