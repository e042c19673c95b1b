"""What workers this process can start, or has already; asked before any item is processed."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import cast

from curator_core.errors import ConfigError
from curator_core.storage.disk import is_full, reason


def is_daemonic() -> bool:
    """Whether this process may not have children: it is a worker of somebody's pool."""
    return multiprocessing.current_process().daemon


def live_client() -> object | None:
    """The dask client of this process, if there is one."""
    distributed = sys.modules.get("distributed")  # without it, there is no client
    if distributed is not None:
        with suppress(ValueError):
            return cast("object", distributed.default_client())
    return None


def check_may_have_children(backend: str) -> None:
    """Refuse to start processes from a daemonic one.

    Raises
    ------
    ConfigError
        This process is a worker of `multiprocessing.Pool`, Celery, a data loader.
    """
    if is_daemonic():
        raise ConfigError(
            f"Backend {backend!r} starts processes, which a daemonic process may not (this one is a worker of "
            "multiprocessing.Pool, Celery, a data loader, …). Use n_jobs=1 or backend='thread_pool' here."
        )


@contextmanager
def semaphores_needed(backend: str) -> Iterator[None]:
    """Within, workers are set up that share semaphores.

    Raises
    ------
    ConfigError
        This system gives none.
    """
    try:
        yield
    except (OSError, ImportError, NotImplementedError) as exc:
        raise ConfigError(
            f"Backend {backend!r} cannot set up worker processes: {exc}. They need semaphores in /dev/shm, which may "
            "be full, missing, or not yours to write (in a container, give it room by --shm-size); or too many files "
            "are open. backend='thread_pool', backend='loky' and n_jobs=1 need none."
        ) from exc


@contextmanager
def temporary_files_needed(purpose: str, *, among_others: bool = False) -> Iterator[None]:
    """Within, files are written to the temporary folder; `among_others`: errors name them only when the disk is full.

    Raises
    ------
    ConfigError
        That is not possible; the message names the folder.
    """
    try:
        yield
    except OSError as exc:
        if among_others and not is_full(exc):
            raise
        raise ConfigError(
            f"{purpose} needs a file in the temporary folder{_temporary_folder()}: {reason(exc)}. Make room there, "
            "or set TMPDIR to a folder with more."
        ) from exc


@contextmanager
def temporary_folder(purpose: str, *, prefix: str = "curator-") -> Iterator[Path]:
    """A folder in the temporary folder, for this user alone, which is removed at the end.

    Raises
    ------
    ConfigError
        There is no room for it; the message names the temporary folder.
    """
    with temporary_files_needed(purpose):
        folder = TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    with folder as path:
        yield Path(path)


def _temporary_folder() -> str:
    try:
        return f" {gettempdir()}"
    except OSError:  # none can be written
        return ""
