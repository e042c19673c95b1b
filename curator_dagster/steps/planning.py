"""What a run in Dagster has to do: due items in batches, and what the event log lacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from curator_core import Item, Plan, batch_groups, intersect_partitions
from curator_core.errors import StoreBusyError
from curator_core.run import available_cpus, pipeline_groups
from curator_core.session import Session
from curator_dagster._compat.events.asset_events import latest_data_versions
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.partition_block import BlockResults, PartitionBlock

if TYPE_CHECKING:
    from dagster import DagsterInstance

BATCHES_PER_CPU = 2
"""A step costs about a second to start, so batches are few: more than one per CPU only for balance."""


@dataclass(frozen=True)
class Batch:
    """Partitions whose due items one step processes."""

    number: int
    """Position among the batches of the run."""
    n_batches: int
    """How many there are."""
    items: tuple[Item, ...]
    """In processing order."""
    blocks: tuple[PartitionBlock, ...]
    """The partitions they belong to."""


def await_others(session: Session, log: Callable[[str], None]) -> None:
    """Wait until no step of another run is at the items of a pipeline: none is done twice, or merged half-way."""
    try:
        session.await_workers(timeout_s=0)
    except StoreBusyError as exc:
        log(f"Another run has items of this curation at work; this one waits for its end. {exc}")
        session.await_workers(timeout_s=math.inf)


def unmirrored(
    instance: DagsterInstance,
    curation: Curation,
    session: Session,
    blocks: Iterable[PartitionBlock],
    *,
    failed: Collection[str] = (),
) -> list[BlockResults]:
    """Completed partitions whose latest materialization is missing or of another version, or that show as failed."""
    logged = latest_data_versions(instance, curation.samples_key)
    done = [block for block in blocks if not block.due and block.is_whole]
    return recorded_results(session, [b for b in done if logged.get(b.partition) != b.version or b.partition in failed])


def recorded_results(session: Session, blocks: Iterable[PartitionBlock]) -> list[BlockResults]:
    """Recorded results of the items of some partitions."""
    found = {block.partition: BlockResults(block, []) for block in blocks}
    owner = {index: results for results in found.values() for index in results.block.indices}
    run_id = session.run_id if owner else None
    for result in () if run_id is None else session.store.results(run_id):
        if result.index in owner:
            owner[result.index].results.append(result)
    return list(found.values()) if owner else []


def make_batches(
    curation: Curation,
    session: Session,
    blocks: Sequence[PartitionBlock],
    *,
    n_batches: int | None = None,
) -> list[Batch]:
    """Pack the due items of some partitions into batches.

    A partition lies in one batch, and so does a group of source and sink.

    Raises
    ------
    PartitionConflictError
        A block of items divides a group of source or sink.
    """
    by_index = {index: block for block in blocks for index in block.due}
    if not by_index:
        return []
    groups = pipeline_groups(session.pipeline.source, session.sink, sorted(by_index))
    whole = intersect_partitions(groups, [list(block.due) for block in blocks if block.due]) or []
    if groups is not None:  # a block may hold several groups, each of which has an order
        ordered = [index for group in sorted(groups, key=min) for index in group]
        positions = {index: position for position, index in enumerate(ordered)}
        whole = [sorted(indices, key=positions.__getitem__) for indices in whole]
    if n_batches is None:
        size = curation.batch_size
        n_batches = -(-len(by_index) // size) if size is not None else available_cpus() * BATCHES_PER_CPU
        if curation.backend is not None:  # which spreads the items itself
            n_batches = 1
    batches = [_batch(session.plan, indices, by_index) for indices in batch_groups(whole, n_batches)]
    return [replace(batch, number=number, n_batches=len(batches)) for number, batch in enumerate(batches)]


def _batch(plan: Plan, indices: Sequence[int], by_index: dict[int, PartitionBlock]) -> Batch:
    blocks = {by_index[index].partition: by_index[index] for index in indices}
    return Batch(0, 1, tuple(plan.item(index).item for index in indices), tuple(blocks.values()))
