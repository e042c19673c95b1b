"""How results come back from copies of a pipeline that a simple backend sends to other processes.

Such a backend returns paths alone, in whatever way it spreads ``pipeline[index]``. Everything else that is known of an
index goes to a journal of the process that worked on it.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from curator_core.engine import process_index
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.session.listing import listed_item
from curator_core.store import JournalWriter

T = TypeVar("T")


@dataclass(frozen=True)
class ReturnPath:
    """Where copies of a pipeline leave their results."""

    folder: Path
    """Folder of journals."""
    config_hash: str
    """Configuration that they belong to."""
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Name of the run: a process may serve several, one after the other."""


class RecordingPipeline(Pipeline[T]):
    """A pipeline as a simple backend gets it: what comes of its indices is taken, and nothing is raised.

    Threads take turns: components hold what belongs to the item that is processed.

    Parameters
    ----------
    pipeline
        The pipeline.
    take
        Takes the results of this process.
    returns_to
        Where copies of it in other processes leave theirs.
    """

    def __init__(
        self, pipeline: Pipeline[T], take: Callable[[IndexResult], None] | None, returns_to: ReturnPath
    ) -> None:
        self.__dict__.update(pipeline.__dict__)
        self._original = pipeline
        self._take = take
        self._returns_to = returns_to
        self._turn = threading.RLock()

    def __getitem__(self, index: int) -> list[str]:
        """Process one index in this process; the sink's paths, none where it failed."""
        item = listed_item(self.source, self._checked_index(index))
        with self._turn:
            result = process_index(self, item, worker_id=worker_id())
        if self._take is not None:
            self._take(result)
        else:
            return_result(self._returns_to, result)
        return list(result.output_paths)

    def with_settings(
        self,
        **changes: Any,  # noqa: ANN401 - the settings have types of their own
    ) -> RecordingPipeline[T]:
        """A copy with other settings, whose results are taken as well."""
        changed = RecordingPipeline(self._original.with_settings(**changes), self._take, self._returns_to)
        changed._turn = self._turn  # its components are the same
        return changed

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what a subclass of the user's has
        if name == "_original":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self._original, name)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_turn"} | {"_take": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _turn=threading.RLock())


_guard = threading.Lock()
_journals: dict[tuple[int, str], JournalWriter] = {}
_worker_ids: dict[tuple[int, int], str] = {}


def return_result(path: ReturnPath, result: IndexResult) -> None:
    """Append a result to this process's journal."""
    own = (os.getpid(), path.token)
    with _guard:
        if own not in _journals:
            for key in list(_journals):  # of an earlier run, or of the process that this one was forked from
                journal = _journals.pop(key)
                if key[0] == own[0]:
                    journal.close()
            _journals[own] = JournalWriter(path.folder, path.config_hash)
        _journals[own].append(result)


def worker_id() -> str:
    """Name of this thread of this process among those who work on indices."""
    own = (os.getpid(), threading.get_ident())
    with _guard:
        return _worker_ids.setdefault(own, uuid.uuid4().hex)
