"""How results come back from copies of a pipeline that a simple backend sends to other processes.

Such a backend returns paths alone, in whatever way it spreads ``pipeline[index]``. Everything else that is known of an
index goes to a journal of the process that worked on it.
"""

from __future__ import annotations

import os
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from curator_core.records import IndexResult
from curator_core.store import JournalWriter


@dataclass(frozen=True)
class ReturnPath:
    """Where copies of a pipeline leave their results."""

    folder: Path
    """Folder of journals."""
    config_hash: str
    """Configuration that they belong to."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Name of the run: a process may serve several, one after the other."""


_guard = threading.Lock()
_journals: dict[tuple[int, str], JournalWriter] = {}
_worker_ids: dict[tuple[int, int], str] = {}


def return_result(path: ReturnPath, result: IndexResult) -> None:
    """Append a result to this process's journal."""
    own = (os.getpid(), path.token)
    with _guard:
        if own not in _journals:
            for key in list(_journals):  # of an earlier run, or of the process that this one was forked from
                _journals.pop(key)
            _journals[own] = JournalWriter(path.folder, path.config_hash)
        _journals[own].append(result)


def worker_id() -> str:
    """Name of this thread of this process among those who work on indices."""
    own = (os.getpid(), threading.get_ident())
    with _guard:
        return _worker_ids.setdefault(own, uuid.uuid4().hex)
