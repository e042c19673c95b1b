"""Where every completed item's part of a merged output is: kept right when items move, and in few files."""

from __future__ import annotations

import math
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from curator_core.merge.archive import (
    FIRST_ASIDE,
    MAX_ARCHIVED_BYTES,
    MAX_COMPACTED_BYTES,
    ShardArchive,
    ShardedOutput,
    item_version,
)
from curator_core.records import IndexResult
from curator_core.session.plan import Comparison
from curator_core.storage.atomic import give_other_name, remove
from curator_core.storage.written import is_as_written, written_mark
from curator_core.store import ItemRecord, MetricsStore, StoreWriter

if TYPE_CHECKING:
    from curator_core.session.session import Session

MAX_LOOSE = 500
"""Small shards of one output that a run adds before they are absorbed, and that are left to the next run."""


@dataclass(frozen=True, slots=True)
class ItemState:
    """Where a completed item's part of one output is."""

    record: ItemRecord
    """What is recorded of the item."""
    version: str
    """Its `item_version`."""
    path: str
    """Recorded path: its shard, the archive, or the merged output."""
    loose: Path | None
    """Its shard, ``None`` once that is absorbed or merged."""
    written: int | None = None
    """Mark of its shard."""

    @property
    def index(self) -> int:
        """Present position of the item."""
        return self.record.index

    @property
    def key(self) -> str:
        """Key of the item."""
        return self.record.key

    @property
    def is_lost(self) -> bool:
        """Whether it should have a shard of its own, but there is none, or one that was written over it."""
        return self.loose is not None and not is_as_written(self.path, self.written)


def item_states(
    session: Session,
    output: ShardedOutput,
    indices: Iterable[int] | None = None,
    *,
    only_loose: bool = False,
) -> list[ItemState]:
    """State of every completed item of one output, or of some, in index order; vanished items first."""
    order = None if output.kind == "sink" else output.order
    elsewhere = {output.path, str(output.archive_path)}
    run_id = session.writer.run_id
    recorded = session.store.completed_outputs(
        run_id, order, indices=indices, elsewhere_than=elsewhere if only_loose else ()
    )
    is_shard = output.shard_name.fullmatch
    digest = session.config_hash
    states = []
    for record, path, written in recorded:
        if path in elsewhere or order is None or is_shard(os.path.basename(path)):  # noqa: PTH119 - for every index
            version = item_version(record.key, record.fingerprint, digest)
            states.append(ItemState(record, version, path, None if path in elsewhere else Path(path), written))
    return states


def follow_moves(session: Session, found: Comparison | None) -> None:
    """Bring the database and loose shards in line with the source's present listing.

    Shards are named by index. When items moved to other indices, their loose shards would be
    overwritten, so they are absorbed into the archives first, or get other names where they are folders, or too
    large. Those that killed runs left loose are absorbed, too, when they are many. Files that a plain sink wrote
    stay under their old names, see `Session.watch_shifted`.

    Parameters
    ----------
    session
        The session, which writes.
    found
        The listing, compared with what is recorded; ``None`` where it is known that what is about to be processed is
        recorded at its present index, if at all, and nothing else there.
    """
    writer, has_moved = session.writer, False
    if found is not None:
        came_late = _came_late(found, session.store, writer.run_id)
        has_moved = came_late or any(position >= 0 for position in found.displaced)
    for output in session.outputs:
        loose = item_states(session, output, only_loose=True)
        if has_moved:
            _absorb_all(output, loose, writer)
        elif len(loose) > MAX_LOOSE:
            _absorb(output, loose, writer)
    if found is not None and not found.is_in_place:
        writer.reindex(session.listing.keys)
        session.invalidate()


def _came_late(found: Comparison, store: MetricsStore, run_id: int) -> bool:
    """Whether an item that was taken over from a journal, and has no index yet, had another one when it was written."""
    if not any(position < 0 <= index for position, index in found.displaced.items()):
        return False
    return any(
        found.displaced.get(position, -1) not in (-1, written) for position, written in store.vanished_positions(run_id)
    )


class _ShardAbsorber(ABC):
    """Keeps the loose shards of a run few: absorbs them into the archives, many at a time."""

    def __init__(self, session: Session) -> None:
        self._outputs = session.outputs
        self._added: list[IndexResult] = []

    def add(self, result: IndexResult) -> None:
        """Take notice of a recorded result; now and then, absorb what was recorded since the last time.

        Raises
        ------
        MergeError
            An archive cannot be written. No shard is lost.
        """
        if not self._outputs or not result.is_completed:
            return
        self._added.append(result)
        if len(self._added) > MAX_LOOSE:
            self._absorb_added()

    @abstractmethod
    def _absorb_added(self) -> None:
        """Absorb what was added, and forget it."""


class Compactor(_ShardAbsorber):
    """Of results in the database.

    Parameters
    ----------
    session
        The session, which writes every result before it is added here.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session

    def _absorb_added(self) -> None:
        for output in self._outputs:
            # What is recorded decides: an item that is open again may be written at this moment.
            loose = item_states(self._session, output, [result.index for result in self._added], only_loose=True)
            _absorb(output, loose, self._session.writer)
        self._added = []


class JournalCompactor(_ShardAbsorber):
    """Of a worker's results in a journal, where what is absorbed is written again, with its place.

    Parameters
    ----------
    session
        The worker's session, whose turn keeps others from taking the journal over meanwhile.
    append
        Writes a result into the journal; every result is there before it is added here.
    """

    def __init__(self, session: Session, append: Callable[[IndexResult], object]) -> None:
        super().__init__(session)
        self._digest, self._append = session.config_hash, append

    def finish(self) -> None:
        """Absorb what was added, too, where many shards are loose: workers with few items each make many of them."""
        if self._added and any(_has_many(output) for output in self._outputs):
            self._absorb_added()

    def _absorb_added(self) -> None:
        results, self._added = self._added, []
        for output in self._outputs:
            results = self._absorb(output, results)

    def _absorb(self, output: ShardedOutput, results: list[IndexResult]) -> list[IndexResult]:
        """The same results, with their small shards in the archive."""
        shards = {n: found for n, result in enumerate(results) if (found := _small_shard(output, result)) is not None}
        if not shards:
            return results
        with ShardArchive(output.archive_path, output.path) as archive:
            archive.absorb(
                (results[n].key, item_version(results[n].key, results[n].fingerprint, self._digest), path)
                for n, path in shards.items()
            )
        placed = [_placed(r, output, shards[n]) if n in shards else r for n, r in enumerate(results)]
        for n, path in shards.items():
            self._append(placed[n])
            Path(path).unlink(missing_ok=True)
        return placed


def _has_many(output: ShardedOutput) -> bool:
    return next(islice(output.loose_shards(), MAX_LOOSE, None), None) is not None


def _small_shard(output: ShardedOutput, result: IndexResult) -> str | None:
    """Path of an item's own shard of an output, where it is as it was written, and small."""
    if output.kind == "sink":
        files = list(zip(result.output_paths, result.written, strict=False))
    else:
        files = [(a.path, a.written) for a in result.artifacts if a.filter_order == output.order]
    shards = [(path, mark) for path, mark in files if output.shard_name.fullmatch(os.path.basename(path))]  # noqa: PTH119
    if len(shards) != 1 or not is_as_written(*shards[0]) or _size(shards[0][0]) > MAX_COMPACTED_BYTES:
        return None
    return shards[0][0]


def _placed(result: IndexResult, output: ShardedOutput, shard: str) -> IndexResult:
    archived = str(output.archive_path)
    if output.kind == "sink":
        return replace(result, output_paths=(archived,), written=())
    artifacts = tuple(replace(a, path=archived, written=None) if a.path == shard else a for a in result.artifacts)
    return replace(result, artifacts=artifacts)


def _absorb(output: ShardedOutput, loose: list[ItemState], writer: StoreWriter) -> None:
    """Take loose shards that are small files into the archive; the others stay where they are."""
    small = [state for state in loose if not state.is_lost and _file_size(state) <= MAX_COMPACTED_BYTES]
    _archive(output, small, writer)


def _absorb_all(output: ShardedOutput, loose: list[ItemState], writer: StoreWriter) -> None:
    """Take every loose shard away from where an item at another index would write its own."""
    sizes = [(state, _file_size(state)) for state in loose if not state.is_lost]
    _archive(output, [state for state, size in sizes if size <= MAX_ARCHIVED_BYTES], writer)
    _set_aside(output, [state for state, size in sizes if size > MAX_ARCHIVED_BYTES], writer)


def _set_aside(output: ShardedOutput, loose: list[ItemState], writer: StoreWriter) -> None:
    """Give shards that no archive takes numbers that are no indices. At any moment the recorded place has the shard."""
    named = [state for state in loose if output.shard_number(state.path) < FIRST_ASIDE]
    if not named:
        return
    numbers = map(output.shard_number, output.loose_shards(unfinished=True))
    free = count(max(FIRST_ASIDE - 1, *numbers) + 1)
    moved = [(state, output.shard_beside(state.path, number)) for state, number in zip(named, free, strict=False)]
    for state, place in moved:
        give_other_name(Path(state.path), place)
    marks = {str(place): written_mark(str(place), 0) for _, place in moved}
    paths = [(state.index, state.path, str(place)) for state, place in moved]
    writer.replace_paths(output.kind, output.order, paths, marks)
    for state, _ in moved:
        remove(Path(state.path))


def _archive(output: ShardedOutput, loose: list[ItemState], writer: StoreWriter) -> None:
    """Take shards into the archive. At any moment the recorded place has the shard, the file or the archive."""
    if not loose:
        return
    with ShardArchive(output.archive_path, output.path) as archive:
        archive.absorb((state.key, state.version, state.path) for state in loose)
    archived = str(output.archive_path)
    writer.replace_paths(output.kind, output.order, [(state.index, state.path, archived) for state in loose])
    for state in loose:
        Path(state.path).unlink(missing_ok=True)


def _file_size(state: ItemState) -> float:
    return _size(state.path)


def _size(path: str) -> float:
    """Size of a file; infinite for a folder and where there is nothing."""
    try:
        found = os.stat(path)  # noqa: PTH116 - for every index
    except FileNotFoundError:
        return math.inf
    return found.st_size if stat.S_ISREG(found.st_mode) else math.inf
