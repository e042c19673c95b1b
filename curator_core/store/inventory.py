"""What metrics databases a folder holds, and how one is removed with all that belongs to it."""

from __future__ import annotations

import operator
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from curator_core.errors import StoreError
from curator_core.storage.locks import exclusive_lock, is_locked
from curator_core.store.connection import is_metrics_database
from curator_core.store.journal import journal_directory
from curator_core.store.location import forget_latest
from curator_core.store.reader import MetricsStore, RunRecord

_MAX_LOOKED_AT = 100
_RECENT = timedelta(seconds=60)
_COMPANIONS = ("-wal", "-shm", "-journal", ".turn")


@dataclass(frozen=True, slots=True)
class DatabaseSummary:
    """One database, without a look at its items."""

    path: Path
    """The file."""
    size_bytes: int
    """Its size, with the files beside it."""
    is_running: bool
    """Whether a run is writing it."""
    n_journals: int
    """Journals beside it that no run has taken over."""
    last_activity: datetime | None
    """When something was last recorded; ``None`` when it cannot be read."""
    runs: tuple[RunRecord, ...] = ()
    """Its runs, oldest first."""
    n_completed: int = 0
    """Items of the latest run that are complete."""
    n_failed: int = 0
    """Items of the latest run that failed."""
    problem: str | None = None
    """Why it cannot be read."""

    @property
    def config_hashes(self) -> list[str]:
        """Configurations that it holds runs of, each once."""
        return list(dict.fromkeys(run.config_hash for run in self.runs))

    @property
    def components(self) -> list[str]:
        """Names of the latest run's source, filters and sink."""
        return (self.runs[-1].components if self.runs else None) or []

    @property
    def obstacle(self) -> str | None:
        """Why it must not be removed."""
        if self.problem is not None:
            return self.problem
        if self.is_running:
            return "a run is writing it"
        if self.n_journals:
            folder = journal_directory(self.path)
            return f"{folder.name} holds results that no run has taken over: resume the run, or remove that folder"
        return None


def is_being_written(path: str | os.PathLike[str]) -> bool:
    """Whether a run is writing a database; also where that cannot be asked, such as of another user's."""
    try:
        return is_locked(f"{os.fspath(path)}.lock")
    except (OSError, StoreError):
        return True


def find_databases(folder: str | os.PathLike[str]) -> list[DatabaseSummary]:
    """Metrics databases ``*.db`` in a folder, the most recently active first; other files are passed over."""
    found = [_summary(path) for path in sorted(Path(folder).glob("*.db")) if is_metrics_database(path)]
    return sorted(found, key=lambda one: one.last_activity or datetime.min.replace(tzinfo=UTC), reverse=True)


def was_heard_of(heartbeat: str) -> bool:
    """Whether a worker was heard of within the last minute, by this host's clock.

    What was heard of in times to come says nothing: the clock was ahead, or has been put back since.
    """
    now = datetime.now(UTC)
    since, until = ((now + sign * _RECENT).isoformat() for sign in (-1, 1))
    return since <= heartbeat <= until


def database_of_other_format(folder: Path, config_format: int, names: Sequence[Collection[str]]) -> Path | None:
    """A database in a folder that holds nothing but runs of the same components in another format of configurations.

    Parameters
    ----------
    folder
        The folder; the databases that changed last are looked at.
    config_format
        The present format.
    names
        What source, filters and sink may be called.
    """
    found = sorted((path.stat().st_mtime_ns, path) for path in folder.glob("*.db") if path.is_file())
    for _, path in found[: -_MAX_LOOKED_AT - 1 : -1]:
        if is_metrics_database(path):
            with suppress(StoreError), MetricsStore(path) as store:
                if store.has_other_formats(config_format) and any(_is_of(run, names) for run in store.runs()):
                    return path
    return None


def _is_of(run: RunRecord, names: Sequence[Collection[str]]) -> bool:
    parts = run.components
    return parts is not None and len(parts) == len(names) and all(map(operator.contains, names, parts))


def remove_database(path: Path) -> None:
    """Delete a database and the files beside it.

    Raises
    ------
    StoreBusyError
        A run is writing it.
    StoreError
        It holds what would be lost, or is no metrics database.
    """
    lock = Path(f"{path}.lock")
    with exclusive_lock(lock, timeout_s=0, holder="curator cache prune"):
        if _journals(path):
            raise StoreError(f"{path} was left: {journal_directory(path)} holds results that no run has taken over.")
        if not is_metrics_database(path):
            raise StoreError(f"{path} was left: it is no metrics database of curator.")
        path.unlink()  # first: SQLite ignores what lies beside a database that is not there
        for suffix in _COMPANIONS:
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        journals = journal_directory(path)
        if journals.is_dir() and not any(journals.iterdir()):
            journals.rmdir()
        forget_latest(path)
        lock.unlink()


def _moment(stamp: str) -> datetime:
    found = datetime.fromisoformat(stamp)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _journals(path: Path) -> list[Path]:
    return list(journal_directory(path).glob("*.jsonl"))


def _summary(path: Path) -> DatabaseSummary:
    journals = _journals(path)
    beside = [Path(f"{path}{suffix}") for suffix in ("", *_COMPANIONS)]
    size = sum(file.stat().st_size for file in [*beside, *journals] if file.exists())
    is_running = False
    try:
        is_running = is_locked(f"{path}.lock")
        with MetricsStore(path) as store:
            runs = tuple(store.runs())
            counts = store.counts(runs[-1].run_id) if runs else {}
            last = store.last_activity()
        times = [_moment(last)] if last is not None else []
    except (OSError, StoreError, ValueError) as exc:
        return DatabaseSummary(path, size, is_running, len(journals), None, problem=str(exc))
    if runs and runs[-1].components is None:
        problem = "its configuration is none that curator writes"
        return DatabaseSummary(path, size, is_running, len(journals), max(times, default=None), runs, problem=problem)
    times += [datetime.fromtimestamp(journal.stat().st_mtime, UTC) for journal in journals if journal.exists()]
    return DatabaseSummary(
        *(path, size, is_running, len(journals), max(times, default=None), runs),
        n_completed=counts.get("completed", 0),
        n_failed=counts.get("error", 0),
    )
