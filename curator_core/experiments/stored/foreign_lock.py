"""The lock of f3dasm's workers, so that the two tools never write one table at the same moment.

References
----------
f3dasm 2.4, ``evaluate_cluster``: each worker holds ``experiment_data/lock.lock`` (``flock``) while it reads and writes
the table, and removes the file when it finds no open row any more. Between that, the rows it works on are in progress.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from curator_core.errors import StoreBusyError, WorkflowError

LOCK = "lock.lock"
_POLL_S = 0.02
_held = threading.local()


@contextlib.contextmanager
def foreign_lock_held(folder: Path, *, is_shared: bool, timeout_s: float) -> Iterator[None]:
    """Hold f3dasm's lock on the table in `folder`, where one of its workers has made its file.

    Raises
    ------
    StoreBusyError
        f3dasm still holds it after `timeout_s` seconds.
    """
    path = folder / LOCK
    held: set[Path] = _held.__dict__.setdefault("folders", set())
    deadline = time.monotonic() + timeout_s
    file = None if folder in held else _locked(path, is_shared=is_shared, deadline=deadline)
    if file is None:
        yield
        return
    with file:
        held.add(folder)
        try:
            yield
        finally:
            held.discard(folder)
            fcntl.flock(file, fcntl.LOCK_UN)


def _locked(path: Path, *, is_shared: bool, deadline: float) -> BinaryIO | None:
    """The file once it is locked; ``None`` if there is none, or none any more."""
    while True:
        try:
            file = path.open("rb" if is_shared else "r+b")  # as network file systems want it
        except FileNotFoundError:
            return None
        try:
            _wait_for(file.fileno(), path, is_shared=is_shared, deadline=deadline)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # f3dasm removed it, and another worker may have made a new one


def _wait_for(descriptor: int, path: Path, *, is_shared: bool, deadline: float) -> None:
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise StoreBusyError(
                    f"f3dasm holds {path}, and did not let go of it in time. Wait until its workers are done."
                ) from None
            time.sleep(_POLL_S)
        else:
            return


def refuse_foreign_workers(folder: Path) -> None:
    """Refuse to give away rows of a table that workers of f3dasm work on.

    Raises
    ------
    WorkflowError
        They do, or did until they were killed.
    """
    path = folder / LOCK
    if path.exists():
        raise WorkflowError(
            f"f3dasm works on the table in {folder}, and would not know which rows are claimed here: some would be "
            f"evaluated twice. Wait until its workers are done; if they were killed, delete {path}."
        )
