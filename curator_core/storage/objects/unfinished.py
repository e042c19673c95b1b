"""Publications to a repository that are under way, and what killed ones left in it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from curator_core.storage import atomic
from curator_core.storage.objects.stores import ObjectUrl, object_store

_ABANDONED: Final = timedelta(days=7)
"""How long a publication from elsewhere may take; one that is older was killed."""
_PAUSE_S: Final = 0.1


class Publications:
    """Notes of the publications of one repository that are under way.

    Objects that no version refers to are of a publication that was killed, or of one that is under way, maybe from
    another machine. So each puts a note beside the repository before it writes anything, and keeps the note's name
    where its parts lie. There, one process at a time publishes: so a name that is found there is of one that was
    killed.

    Parameters
    ----------
    path
        The repository, a path or a URL.
    work_path
        What its parts are named after.
    """

    def __init__(self, path: str, work_path: Path) -> None:
        self._own = work_path.with_name(f".{work_path.name}.curator-publishing")
        self._shared = _SharedNotes(ObjectUrl.parse(path)) if "://" in path else None

    @contextmanager
    def noted(self, *, leaves_garbage: bool = False) -> Iterator[None]:
        """Within, a publication is under way; after an error what it left is there to be collected.

        Parameters
        ----------
        leaves_garbage
            Whether something is there to be collected in any case.
        """
        name = uuid.uuid4().hex
        atomic.publish_text(name, self._own)
        if self._shared is not None:
            self._shared.put(name)
        yield
        self._forget(name, keeps_own=leaves_garbage)

    def note_garbage(self) -> None:
        """Note that something is there to be collected."""
        if not self._own.exists():
            self._own.parent.mkdir(parents=True, exist_ok=True)
            atomic.publish_text(uuid.uuid4().hex, self._own)

    def remove_leftovers(self) -> None:
        """Delete what a process left that was killed while it wrote its note down."""
        atomic.remove_leftovers(self._own)

    def is_any_left(self) -> bool:
        """Whether there may be something to collect."""
        return self._own.exists()

    def collect(self, free: Callable[[datetime], object]) -> None:
        """Delete what publications and versions from here left, unless others publish: then it is done another time.

        Parameters
        ----------
        free
            Deletes what no version needs, and was written before a moment.
        """
        name = self._own.read_text(encoding="utf-8")
        if self._shared is None:
            free(datetime.now(UTC))
            self._forget(name)
            return
        is_alone = not self._shared.others(name, self._shared.put(name))
        if is_alone:
            before = self._shared.moment(name)
            is_alone = not self._shared.others(name, before)  # who comes later writes later
            if is_alone:
                free(before)
        self._forget(name, keeps_own=not is_alone)

    def _forget(self, name: str, *, keeps_own: bool = False) -> None:
        if self._shared is not None:
            self._shared.remove(name)
        if not keeps_own:
            self._own.unlink()


class _SharedNotes:
    """Notes as objects beside the repository."""

    def __init__(self, url: ObjectUrl) -> None:
        self._folder = f"{url.key}.curator-publishing"
        self._store: Any = object_store(url)

    def put(self, name: str) -> datetime:
        """Put a note; its time."""
        key = f"{self._folder}/{name}"
        self._store.put(key, b"")
        put_at: datetime = self._store.head(key)["last_modified"]
        return put_at

    def moment(self, name: str) -> datetime:
        """A time of the store after that of every object that is there, and not after that of any that is put later.

        Many stores keep whole seconds alone.
        """
        first = now = self.put(name)
        while now <= first:
            time.sleep(_PAUSE_S)
            now = self.put(name)
        return now

    def others(self, name: str, now: datetime) -> list[str]:
        """Other publications that are under way."""
        notes = [note for page in self._store.list(f"{self._folder}/") for note in page]
        return [
            note["path"]
            for note in notes
            if not note["path"].endswith(f"/{name}") and note["last_modified"] > now - _ABANDONED
        ]

    def remove(self, name: str) -> None:
        """Remove a note, if it is there."""
        self._store.delete(f"{self._folder}/{name}")
