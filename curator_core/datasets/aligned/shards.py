"""Writing the shard files of arrays: linked, or put together from the chunks of parts and of the dataset before."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.codec import Array, ShardChunks, write_shard_file
from curator_core.datasets.aligned.origins import OpenParts
from curator_core.datasets.aligned.parts import spatial_chunks
from curator_core.datasets.aligned.published import PublishedAligned, shard_grid, shard_key
from curator_core.datasets.aligned.schema import SlotArray
from curator_core.datasets.aligned.slots import NOBODY

Flags = npt.NDArray[np.bool_]
Owners = npt.NDArray[np.int64]


class ShardWriter:
    """Writes the files of arrays.

    Parameters
    ----------
    path
        Folder of the dataset.
    before
        The dataset before, if any.
    parts
        The parts of items that were processed anew.
    level
        Level of Zstandard.
    aside
        Variables that are kept, and not shown.
    """

    def __init__(
        self, path: Path, before: PublishedAligned | None, parts: OpenParts, level: int, aside: Collection[str]
    ) -> None:
        self._path, self._before, self._parts, self._level, self._aside = path, before, parts, level, aside

    def write(self, array: SlotArray, owner: Owners, is_changed: Flags, tail: Flags) -> npt.NDArray[np.uint64]:
        """Write the files of an array, and give their checksums by position; 0 where there is no file.

        Parameters
        ----------
        array
            The array.
        owner
            Which item gives each slot.
        is_changed
            Which slots are others than in the dataset before.
        tail
            The same, of slots that are behind the last one now.
        """
        grid = shard_grid(array, len(owner))
        is_changed = np.concatenate([is_changed, tail])[: grid[0] * array.shard[0]]
        checksums = np.zeros(grid, np.uint64)
        for position in product(*map(range, grid)):
            window = slice(position[0] * array.shard[0], (position[0] + 1) * array.shard[0])
            checksums[position] = self._write_shard(array, position, owner[window], is_changed[window])
        return checksums

    def _write_shard(self, array: SlotArray, position: tuple[int, ...], owner: Owners, is_changed: Flags) -> int:
        target = self._path / shard_key(array, position, self._aside)
        held = (
            0
            if self._before is None or array.name not in self._before.names
            else self._before.checksum(array, position)
        )
        if held and not is_changed.any():
            assert self._before is not None  # noqa: S101 - it has a checksum
            self._before.keep(array, position, target)
            return held
        if (owner == NOBODY).all():
            return 0
        linked = self._linked(array, position, owner, target)
        if linked is not None:
            return linked
        target.parent.mkdir(parents=True, exist_ok=True)
        former = self._before.shard(array, position) if held and self._before is not None else None
        return write_shard_file(
            target,
            _Assembly(
                array,
                position,
                owner=owner,
                is_changed=is_changed,
                former=former,
                parts=self._parts,
                level=self._level,
            ).chunks(),
        )

    def _linked(self, array: SlotArray, position: tuple[int, ...], owner: Owners, target: Path) -> int | None:
        """Link a shard that one item fills, as its worker wrote it, and give its checksum; else ``None``."""
        used = np.flatnonzero(owner != NOBODY)
        item = int(owner[used[0]])
        if item not in self._parts or not (owner[used] == item).all():
            return None
        slots = used + position[0] * array.shard[0]
        return self._parts[item].placed_whole(array, position, slots, self._level, target)


class _Assembly:
    """The chunks of one shard file."""

    def __init__(
        self,
        array: SlotArray,
        position: tuple[int, ...],
        *,
        owner: Owners,
        is_changed: Flags,
        former: ShardChunks | None,
        parts: OpenParts,
        level: int,
    ) -> None:
        self._array, self._position, self._former, self._parts = array, position, former, parts
        self._owner, self._is_changed, self._codec = owner, is_changed, array.codec(level)
        shape = [-(-n // size) for n, size in zip(array.row_shape, array.chunk[1:], strict=True)]
        self._cells = np.arange(prod(shape)).reshape(shape)
        self._cuts = spatial_chunks(array)

    def chunks(self) -> list[Callable[[], bytes] | None]:
        """By position in C order, a function that gives the chunk; ``None`` for one without a slot in use."""
        n_chunks, *within = self._codec.grid
        n_used = min(n_chunks, -(-len(self._owner) // self._array.chunk[0]))
        used = enumerate(product(range(n_used), *map(range, within)))
        return [self._chunk(n, place) for n, place in used] + [None] * ((n_chunks - n_used) * prod(within))

    def _chunk(self, number: int, place: tuple[int, ...]) -> Callable[[], bytes] | None:
        size = self._array.chunk[0]
        window = slice(place[0] * size, (place[0] + 1) * size)
        at = tuple(p * g + n for p, g, n in zip(self._position[1:], self._codec.grid[1:], place[1:], strict=True))
        is_inside = all(n < length for n, length in zip(at, self._cells.shape, strict=True))
        if not is_inside or (self._owner[window] == NOBODY).all():
            return None
        if not self._is_changed[window].any() and self._former is not None:
            return partial(self._kept, number)
        return partial(self._made, window, int(self._cells[at]), number)

    def _kept(self, number: int) -> bytes:
        found = None if self._former is None else self._former[number]
        if found is None:
            raise ValueError(f"chunk {number} of a file of {self._array.name!r} is missing")
        return found

    def _made(self, window: slice, cell: int, number: int) -> bytes:
        """A chunk of the slots of several items, or of one."""
        owner, first = self._owner[window], self._position[0] * self._array.shard[0] + window.start
        owners = np.unique(owner[owner != NOBODY]).tolist()
        slots = {item: np.flatnonzero(owner == item) for item in owners}
        changed = {item for item in owners if self._is_part(item)}
        if len(owners) == 1 and changed:
            ready = self._parts[owners[0]].ready(self._array, slots[owners[0]] + first, cell)
            if ready is not None:
                return ready
        values = self._codec.empty()
        former: Array | None = None
        cut: tuple[Any, ...] = tuple(slice(0, c.stop - c.start) for c in self._cuts[cell])
        moved = [item for item in owners if self._parts.has_moved(item)]
        if moved:
            rows = np.concatenate([slots[item] for item in moved])
            values[(rows, *cut)] = self._parts.moved_rows(self._array, moved)[(slice(None), *self._cuts[cell])]
        for item in (item for item in owners if not self._parts.has_moved(item)):
            rows = slots[item]
            if item in changed:
                values[(rows, *cut)] = self._parts.part(item).rows(self._array, rows + first, cell)
                continue
            if former is None:
                former = self._codec.decode(self._kept(number))
            values[rows] = former[rows]
        return self._codec.encode(values)

    def _is_part(self, item: int) -> bool:
        return item in self._parts
