"""Segments: runs of items that share shard files, cut by what is in them alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curator_core.datasets.layout import Layout


@dataclass(frozen=True, slots=True)
class ItemSize:
    """An item of a dataset: what it is, and how large."""

    key: str
    """Key of the item."""
    version: str
    """Hash of key, fingerprint and configuration."""
    rows: Mapping[str, int]
    """Number of rows by axis."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of items, and where its rows lie."""

    id: str
    """Hash of its items and of how they are stored: the same files, byte for byte."""
    start: int
    """Position of its first item."""
    stop: int
    """Position after its last item."""
    rows: Mapping[str, int]
    """Number of rows by axis."""
    shard: Mapping[str, int]
    """Number of its first shard by axis."""


def cut(items: Sequence[ItemSize], layout: Layout) -> list[Segment]:
    """The segments of some items, in their order.

    A boundary stands before an item whose key says so, and before one with which the segment would need a second file
    on an axis. So a boundary moves others at most up to the next one that a key makes.
    """
    found: list[Segment] = []
    position = dict.fromkeys(layout.by_name, 0)
    start, rows = 0, dict.fromkeys(layout.by_name, 0)
    for stop, item in enumerate([*items, None]):
        if stop > start and (item is None or _begins(item, rows, layout)):
            found.append(Segment(_id(items[start:stop], layout), start, stop, rows, dict(position)))
            for axis in layout.axes:
                position[axis.name] += axis.n_shards(rows[axis.name])
            start, rows = stop, dict.fromkeys(layout.by_name, 0)
        if item is not None:
            rows = {name: n + item.rows[name] for name, n in rows.items()}
    return found


def _begins(item: ItemSize, rows: Mapping[str, int], layout: Layout) -> bool:
    """Whether an item begins a segment after one with `rows`."""
    if layout.items_per_segment == 1 or _hash(item.key) % layout.items_per_segment == 0:
        return True
    return any(rows[axis.name] + item.rows[axis.name] > axis.shard_rows for axis in layout.axes)


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _id(items: Sequence[ItemSize], layout: Layout) -> str:
    text = json.dumps([layout.signature, *([item.key, item.version] for item in items)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
