"""What a partition stands for: one item, or a block of neighbours where a source has too many items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from curator_core import IndexResult, Plan
from curator_core.merge import content_signature, item_version
from curator_core.session import Listing
from curator_dagster.curation.partitions import partition_key


@dataclass(frozen=True)
class PartitionBlock:
    """A partition and its items."""

    partition: str
    """Partition key."""
    version: str
    """Data version once all items are completed: changes exactly when an item does."""
    indices: range
    """Its items."""
    due: tuple[int, ...]
    """Those that are not completed, and are to be processed."""
    is_whole: bool = True
    """Whether that is all that are not completed: when they are done, the partition is."""


@dataclass(frozen=True)
class BlockResults:
    """A partition whose items are all completed."""

    block: PartitionBlock
    """The partition."""
    results: list[IndexResult]
    """What was processed now; everything that is recorded when nothing was."""


def partition_keys(listing: Listing, size: int) -> list[str]:
    """Partition keys of a source, in order.

    Parameters
    ----------
    listing
        The source's listing.
    size
        Items per partition. A partition of one item has the item's key; a block has its indices, such as
        ``000002000-000002999``, whose end does not depend on how many items there are: it keeps its name
        while it fills up.
    """
    if size == 1:
        return [partition_key(key) for key in listing.keys]
    return [f"{start:09d}-{start + size - 1:09d}" for start in range(0, len(listing), size)]


def blocks_of(plan: Plan, size: int, config_hash: str) -> Iterator[PartitionBlock]:
    """The partitions of a source, in order."""
    keys, fingerprints, reasons = plan.listing.keys, plan.listing.fingerprints, plan.reasons
    for number, partition in enumerate(partition_keys(plan.listing, size)):
        indices = range(number * size, min((number + 1) * size, len(keys)))
        versions = {keys[i]: item_version(keys[i], fingerprints[i], config_hash) for i in indices}
        version = next(iter(versions.values())) if size == 1 else content_signature(versions)[:32]
        yield PartitionBlock(partition, version, indices, tuple(index for index in indices if reasons[index]))


class BlockProgress:
    """Notices when the last due item of a block is completed.

    Parameters
    ----------
    blocks
        What is being processed.
    """

    def __init__(self, blocks: Iterable[PartitionBlock]) -> None:
        self._open = {block.partition: BlockResults(block, []) for block in blocks}
        self._owner = {index: found for found in self._open.values() for index in found.block.due}

    def partition_of(self, index: int) -> str:
        """Partition of an item."""
        return self._owner[index].block.partition

    def add(self, result: IndexResult) -> BlockResults | None:
        """Take a completed item; returns its block when that was the last one of it."""
        found = self._owner[result.index]
        found.results.append(result)
        return found if found.block.is_whole and len(found.results) == len(found.block.due) else None
