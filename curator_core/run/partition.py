"""Grouping of indices: which must be processed by one worker, in order."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Any, cast

from curator_core.engine.failure import describe
from curator_core.errors import ConfigError, PartitionConflictError
from curator_core.pipeline.components import Sink, Source
from curator_core.records import position
from curator_core.redaction import Redactor

Groups = list[list[int]]


def intersect_partitions(source_groups: Groups | None, sink_groups: Groups | None) -> Groups | None:
    """The finest grouping that source and sink both accept, sorted by smallest index.

    A group means "one worker, in this order". Where a group of one side holds whole groups of the
    other, the larger one satisfies both.

    Returns
    -------
    list[list[int]] or None
        ``None`` when neither side has a constraint.

    Raises
    ------
    PartitionConflictError
        Two groups overlap and neither holds the other: one side splits what the other joins.
    """
    if source_groups is None or sink_groups is None:
        only = source_groups if source_groups is not None else sink_groups
        return None if only is None else _sorted(only)
    sink_owner = {index: group for group in sink_groups for index in group}
    chosen: dict[int, list[int]] = {}
    for group in source_groups:
        for index in group:
            other = sink_owner.get(index, [index])
            if not (set(group) <= set(other) or set(other) <= set(group)):
                raise PartitionConflictError(
                    f"The source keeps indices {sorted(group)} together, the sink {sorted(other)}: each would be split "
                    f"by the other (they share {sorted(set(group) & set(other))}). "
                    "Change the chunking of one side so that its groups hold whole groups of the other."
                )
            larger = group if len(group) >= len(other) else other
            chosen[min(larger)] = larger
    return _sorted(list(chosen.values()))


def _sorted(groups: Groups) -> Groups:
    return sorted((list(group) for group in groups if group), key=min)


def batch_groups(groups: Groups, n_workers: int) -> list[list[int]]:
    """Pack whole groups into at most `n_workers` balanced batches, largest group first.

    Within a batch the groups stand in index order, each in its own order.
    """
    n_batches = min(n_workers, len(groups))
    loads = [(0, number) for number in range(n_batches)]
    batches: list[Groups] = [[] for _ in range(n_batches)]
    for group in sorted(groups, key=lambda g: (-len(g), min(g, default=0))):
        load, number = heapq.heappop(loads)
        batches[number].append(group)
        heapq.heappush(loads, (load + len(group), number))
    return [[index for group in _sorted(batch) for index in group] for batch in batches if batch]


def pipeline_groups(source: Source[object], sink: Sink[object], indices: Sequence[int]) -> Groups | None:
    """Groups of `indices` that the two components ask for; ``None`` for no constraint.

    Raises
    ------
    ConfigError
        A component's groups are not the indices it was given, each once.
    PartitionConflictError
        See `intersect_partitions`.
    """
    sides = []
    for component in (source, sink):
        groups = _groups_of(component, indices)
        if groups is not None and sorted(i for group in groups for i in group) != sorted(indices):
            raise ConfigError(
                f"{component.component_name()}.partition_indices() must return every index it is given exactly once."
            )
        sides.append(groups)
    return intersect_partitions(*sides)


def _groups_of(component: Source[object] | Sink[object], indices: Sequence[int]) -> Groups | None:
    """A component's groups as lists, whatever iterables it returned."""
    name = component.component_name()
    try:
        groups: object = component.partition_indices(indices)
        if groups is None:
            return None
        return [[i if type(i) is int else position(i) for i in group] for group in cast("Iterable[Any]", groups)]
    except ConfigError as exc:
        raise ConfigError(f"{name}.partition_indices() must return lists of indices. {exc}") from exc
    except Exception as exc:
        redacted = Redactor(component.secret_values())
        raise ConfigError(
            f"{name}.partition_indices() must return lists of indices, or None; it ended with {redacted(describe(exc))}"
        ) from exc
