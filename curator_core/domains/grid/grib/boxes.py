"""Dense boxes of a sparse set of slots: nothing is invented between them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from itertools import product
from typing import TypeAlias

Slot: TypeAlias = tuple[Hashable, ...]
Box: TypeAlias = tuple[tuple[Hashable, ...], ...]


def boxes(slots: Collection[Slot]) -> Iterator[Box]:
    """Boxes that cover every slot once, and nothing else: the values on each axis, sorted.

    One where the slots are a full product of their values; otherwise, values of the first axis with the same others
    share a box.

    Parameters
    ----------
    slots
        Different ones, with the same number of values that can be sorted.
    """
    axes = tuple(tuple(sorted(set(values))) for values in zip(*slots, strict=True))
    if len(set(slots)) == _size(axes):
        yield axes
        return
    rests: dict[Hashable, list[Slot]] = {}
    for first, *rest in slots:
        rests.setdefault(first, []).append(tuple(rest))
    alike: dict[frozenset[Slot], list[Hashable]] = {}
    for first in axes[0]:
        alike.setdefault(frozenset(rests[first]), []).append(first)
    for rest_of, firsts in alike.items():
        for box in boxes(sorted(rest_of)):
            yield (tuple(firsts), *box)


def slots_of(box: Box) -> Iterator[Slot]:
    """Slots of a box, the last axis fastest."""
    return product(*box)


def _size(axes: Box) -> int:
    size = 1
    for axis in axes:
        size *= len(axis)
    return size
