"""Progress of a run in Dagster, seen from outside: the journals grow as items complete."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curator_core import Pipeline, WorkerProgressDisplay
from curator_core.store import journal_directory, read_journals

POLL_S = 0.25
"""Time between two looks at the journals, seconds."""


@contextmanager
def following(pipeline: Pipeline[Any], total: int) -> Iterator[None]:
    """Show the progress of `total` items that other processes work on meanwhile."""
    if total == 0 or pipeline.db_path is None:
        yield
        return
    stop = threading.Event()
    folder, config_hash = journal_directory(pipeline.db_path), pipeline.config_hash
    with WorkerProgressDisplay(total, 0) as display:
        seen: dict[Path, int] = {}

        def look() -> None:
            for path, results in read_journals(folder, config_hash):
                for result in results[seen.get(path, 0) :]:
                    display.complete_item(failed=not result.is_completed)
                seen[path] = len(results)

        def watch() -> None:
            while not stop.wait(POLL_S):
                look()

        watcher = threading.Thread(target=watch, name="curator-follow", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()
