"""What a run would change on the axis of a dataset of grids, and the memory that publishing takes, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from curator_core.datasets.aligned.axis import SlotAxis
from curator_core.datasets.aligned.schema import SlotArray
from curator_core.formats.arrays import TEXT


def axis_note(held: tuple[SlotAxis, int] | None, declared: SlotAxis | None) -> str:
    """The axis after a run, beside what it is now.

    Parameters
    ----------
    held
        That of the published dataset, and its number of slots; ``None`` where nothing is published.
    declared
        The one that is declared, if any.
    """
    if held is None:
        if declared is None:
            return "The axis is learned from the items that are published first, and then grows at its end alone."
        return f"The axis {declared.name!r} begins with {declared.label(0)} and {_end(declared)}."
    axis, n_slots = held
    if declared is None or declared.n_declared is None:
        return f"The axis {axis.name!r} has {n_slots:,} slots, up to {axis.label(n_slots - 1)}, and grows at its end."
    n_new = declared.n_declared
    last = declared.label(n_new - 1)
    if n_new < n_slots:
        return (
            f"The axis {axis.name!r} would end with {last} and lose {n_slots - n_new:,} of {n_slots:,} slots: items "
            "that have those must be gone from the source, or nothing is published."
        )
    grows = f"gets {n_new - n_slots:,} slots more, up to {last}" if n_new > n_slots else f"stays, up to {last}"
    return f"The axis {axis.name!r} of {n_slots:,} slots {grows}; no item is processed again for that."


def keys_note(held: Sequence[str] | None, keys: Sequence[str], name: str) -> str:
    """What a run would change on an axis of items, each of which has one slot.

    Parameters
    ----------
    held
        Keys of the slots of the published dataset; ``None`` where nothing is published.
    keys
        Those that the source has.
    name
        The dimension.
    """
    if held is None:
        return f"Every item has one slot of {name!r}, in the order of the source."
    place = {key: position for position, key in enumerate(keys)}
    n_moved = sum(place.get(key, position) != position for position, key in enumerate(held))
    if not n_moved:
        return f"The {len(held):,} slots of {name!r} stay where they are."
    return (
        f"{n_moved:,} of {len(held):,} slots of {name!r} would move, since items come before them, or are gone: files "
        "that have one slot are linked, others are written anew from the dataset. No item is processed for that."
    )


def _end(axis: SlotAxis) -> str:
    if axis.n_declared is None:
        return "ends with the last step that an item gives"
    return f"has {axis.n_declared:,} slots, up to {axis.label(axis.n_declared - 1)}"


def memory_note(arrays: Sequence[SlotArray]) -> str:
    """Memory that publishing takes at most: the largest shard of a dataset as it is stored, and a chunk."""
    largest = max(arrays, key=lambda array: _bytes(array, array.shard))
    chunk = max(_bytes(array, array.chunk) for array in arrays)
    needed = (_bytes(largest, largest.shard) + chunk) / 2**20
    return f"Publishing takes up to {needed:,.1f} MiB of memory: a shard of {largest.name!r}, and a chunk."


def _bytes(array: SlotArray, shape: Sequence[int]) -> int:
    return prod(shape) * (64 if array.dtype == TEXT else np.dtype(array.dtype).itemsize)
