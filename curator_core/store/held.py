"""The metrics database while one process has it for itself: locked, and changed in transactions."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from curator_core.errors import StoreError
from curator_core.storage.atomic import remove_leftovers
from curator_core.storage.locks import exclusive_lock
from curator_core.storage.written import await_tick, file_clock_ns
from curator_core.store.connection import classified, log_path, open_for_writing, transaction
from curator_core.store.location import make_own_file, make_own_folder


class HeldDatabase:
    """A database that is opened for writing; nobody else writes it until `_release`.

    Parameters
    ----------
    path
        The database; created when absent.
    timeout_s
        How long the one is waited for who has it.

    Raises
    ------
    StoreBusyError
        Another process has it.
    StoreError
        It cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str], *, timeout_s: float) -> None:
        self.path = Path(path)
        self._guard = threading.Condition()
        self._stack = ExitStack()
        is_own = make_own_folder(self.path)
        self._stack.enter_context(exclusive_lock(f"{self.path}.lock", timeout_s=timeout_s, holder="curator"))
        self._locked_ns = file_clock_ns()
        with self._releasing():
            remove_leftovers(self.path)  # of a run that was killed while it made the database
            if is_own:
                make_own_file(self.path)
            self._db = open_for_writing(self.path)
            self._stack.callback(self._db.close)
            with classified(self.path), transaction(self._db):  # from now on there is a log
                self._files = {path: _identity(path) for path in (self.path, log_path(self.path))}

    def _await_tick(self) -> None:
        """Return when nothing that is written has a time of whoever had the lock before."""
        await_tick(self._locked_ns)

    def _release(self) -> None:
        """Close the database and give its lock back."""
        self._stack.close()

    @contextmanager
    def _releasing(self) -> Iterator[None]:
        """Within, a failure gives the lock back."""
        try:
            yield
        except BaseException:
            self._release()
            raise

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One transaction of one thread at a time, in the file that was opened."""
        with self._guard, classified(self.path):
            with transaction(self._db):
                yield
            for path, identity in self._files.items():
                if _identity(path) != identity:
                    raise StoreError(
                        f"{path} was removed, moved or replaced while a run was writing it: what was recorded since "
                        "is lost with it. Run again; leave the database where it is until the run has ended."
                    )

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """A question to the database of one thread at a time."""
        with self._guard, classified(self.path):
            yield


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file a path leads to at present."""
    try:
        found = os.stat(path)  # noqa: PTH116 - for every commit
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
