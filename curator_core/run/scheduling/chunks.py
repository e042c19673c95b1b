"""What is still to be handed out, in chunks sized from the measured cost per index."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from curator_core.errors import CuratorError
from curator_core.records import IndexResult, Item
from curator_core.run.workers.worker import CHUNK_SECONDS, Chunk, Group

MAX_CHUNK = 1000
"""Items that are sent to a worker at once, at most."""


class ChunkQueue:
    """Groups of items, taken in chunks: small when items are slow, large when they are fast.

    Parameters
    ----------
    groups
        All there is to do; read as it is needed.
    max_chunk
        Items of a chunk, at most, unless a single group is larger.
    """

    def __init__(self, groups: Iterable[Group], max_chunk: int = MAX_CHUNK) -> None:
        self._max_chunk = max_chunk
        self._fresh: Iterator[Group] = iter(groups)
        self._returned: deque[Group] = deque()
        self._seconds_per_item: float | None = None
        self._look_ahead()

    def _look_ahead(self) -> None:
        if not self._returned:
            self._returned.extend(group for group in (next(self._fresh, None),) if group is not None)

    def __bool__(self) -> bool:
        return bool(self._returned)

    @property
    def chunk_size(self) -> int:
        """Items of the next chunk, unless a single group is larger."""
        if self._seconds_per_item is None:
            return 1
        return max(1, min(self._max_chunk, int(CHUNK_SECONDS / max(self._seconds_per_item, 1e-7))))

    def take(self) -> Chunk:
        """The next chunk: one whole group at least."""
        size = self.chunk_size
        chunk = [self._returned.popleft()]
        n_items = len(chunk[0])
        self._look_ahead()
        while self._returned and n_items + len(self._returned[0]) <= size:
            n_items += len(self._returned[0])
            chunk.append(self._returned.popleft())
            self._look_ahead()
        return chunk

    def put_back(self, groups: Sequence[Group]) -> None:
        """Groups that are to be done after all, before the others."""
        self._returned.extendleft(reversed(groups))

    def finished(self, chunk: Chunk, results: Sequence[IndexResult]) -> None:
        """A worker did a chunk, or the first groups of it; what it left comes next."""
        if results:
            self._seconds_per_item = sum(result.wall_time_ns for result in results) / 1e9 / len(results)
        left = len(results)
        for position, group in enumerate(chunk):
            if left < len(group):
                self.put_back([group[left:], *chunk[position + 1 :]])
                return
            left -= len(group)


def failed_result(item: Item, error: CuratorError) -> IndexResult:
    """The result of an index that no worker could give."""
    return IndexResult(
        index=item.index,
        key=item.key,
        fingerprint=item.fingerprint,
        status="error",
        error=f"{type(error).__name__}: {error}",
        completed_at=datetime.now(UTC).isoformat(),
        exception=error,
    )
