"""Items whose worker died: who was at them, which are tried again, which fail."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from curator_core.errors import CuratorError, ItemTimeoutError, WorkerDiedError
from curator_core.records import IndexResult, Item
from curator_core.run.config import RunConfig
from curator_core.run.scheduling.chunks import ChunkQueue, failed_result
from curator_core.run.workers.heartbeats import WorkerStatus
from curator_core.run.workers.worker import Chunk, Group
from curator_core.store import read_journals

MAX_FAILED_STARTS = 7
"""How often in a row it may fail to start a worker, before the run gives up."""


class CrashRecovery:
    """Decides on the chunks of workers that died.

    Parameters
    ----------
    config
        The run: its heartbeats say which index a dead worker held, its journals what else that worker had done. Who
        exceeds its time limit is killed and not tried again.
    knows_all
        Whether every worker that begins something has a heartbeat. A chunk whose worker is not there then was never
        begun, and its items are not to blame.
    """

    def __init__(self, config: RunConfig, *, knows_all: bool) -> None:
        self._board = config.board
        self._timeout = config.timeout
        self._journals = config.journals
        self._knows_all = knows_all
        self._n_failed_starts = 0
        self._tried: set[int] = set()
        self.quarantined: deque[Group] = deque()
        """Groups to be tried once more, each alone."""

    def began(self, results: Sequence[IndexResult]) -> None:
        """Workers do start: these are results of theirs."""
        if results:
            self._n_failed_starts = 0

    def attribute(self, lost: Iterable[Chunk], queue: ChunkQueue) -> list[IndexResult]:
        """Suspect the items that dead workers held, give the others back.

        Returns
        -------
        list[IndexResult]
            What dead workers had done and kept, and the failures of those items that were tried before.

        Raises
        ------
        WorkerDiedError
            Workers die again and again before they begin anything.
        """
        presences = self._board.take_dead()
        groups = [group for chunk in lost for group in chunk]
        if self._knows_all and not presences and not self._board.read():
            self._count_failed_start()
            queue.put_back(groups)
            return []
        kept = self._kept_by({presence.worker_id for presence in presences}, groups)
        groups = [rest for group in groups if (rest := [item for item in group if item.index not in kept])]
        return [*kept.values(), *self._blamed(groups, presences, queue)]

    def _count_failed_start(self) -> None:
        self._n_failed_starts += 1
        if self._n_failed_starts >= MAX_FAILED_STARTS:
            raise WorkerDiedError(
                f"{MAX_FAILED_STARTS} times in a row, worker processes ended before they began an item: they do not "
                "start. A library that they load may crash, or memory may be short; what they print, and the kernel's "
                "log, say more. backend='sequential' runs everything in this process."
            )

    def _kept_by(self, dead: set[str], groups: Sequence[Group]) -> dict[int, IndexResult]:
        """What dead workers had finished of these groups and put into their journals."""
        if self._journals is None or not dead:
            return {}
        wanted = {item.index: item for group in groups for item in group}
        found: dict[int, IndexResult] = {}
        for _, results in read_journals(*self._journals):
            for result in results:
                item = wanted.get(result.index)
                if result.worker_id in dead and item is not None and _is_of(result, item):
                    found[result.index] = result
        return found

    def _blamed(self, groups: list[Group], presences: Sequence[WorkerStatus], queue: ChunkQueue) -> list[IndexResult]:
        dead = {presence.index: presence for presence in presences if presence.index is not None}
        blamed = [next((item for item in group if item.index in dead), None) for group in groups]
        if not any(blamed):  # nobody knows: each may be the one
            blamed = [group[0] for group in groups]
        failed = []
        for group, item in zip(groups, blamed, strict=True):
            if item is None:
                queue.put_back([group])
                continue
            error = self._verdict(item, dead.get(item.index))
            if error is None:
                self.quarantined.append(group)
            else:
                failed.append(failed_result(item, error))
                rest = [other for other in group if other is not item]
                if rest:
                    queue.put_back([rest])
        return failed

    def _verdict(self, item: Item, presence: WorkerStatus | None) -> CuratorError | None:
        if self._timeout is not None and presence is not None and presence.elapsed_s > self._timeout:
            return ItemTimeoutError.of(self._timeout, killed=True)
        if item.index not in self._tried:
            self._tried.add(item.index)
            return None
        return WorkerDiedError(
            f"the worker process died twice while it held item {item.key!r} "
            "(killed, out of memory, or a crash in a C library)"
        )


def _is_of(result: IndexResult, item: Item) -> bool:
    return (result.key, result.fingerprint) == (item.key, item.fingerprint)
