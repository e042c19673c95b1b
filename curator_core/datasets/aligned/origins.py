"""Where the slots of the items come from: the parts that workers wrote, or the dataset before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.codec import Array, ShardChunks
from curator_core.datasets.aligned.keyed.axis import KeyAxis
from curator_core.datasets.aligned.parts import Part, Run
from curator_core.datasets.aligned.published import PublishedAligned, is_made_by
from curator_core.datasets.aligned.schema import SlotArray
from curator_core.datasets.aligned.slots import NOBODY, Slots
from curator_core.errors import MergeError
from curator_core.formats.arrays import TEXT
from curator_core.pipeline.components import MergeItem

_MAX_OPEN: Final = 32
_MAX_NAMED: Final = 3
ShardReader = Callable[[SlotArray, tuple[int, ...]], ShardChunks]


@dataclass(frozen=True, slots=True)
class PartSummary:
    """What is kept in memory of a part."""

    path: Path
    """Where it is."""
    digest: str
    """Of its schema."""
    slots: Array
    """Coordinate values of its slots."""
    n_cells: dict[str, npt.NDArray[np.int64]]
    """How many values of each slot the source gave, by array."""
    provisional: dict[str, npt.NDArray[np.bool_]]
    """Slots that will be replaced, by array."""
    config_hash: str
    """Of the configuration by which it was processed."""

    @classmethod
    def of(cls, path: Path) -> PartSummary:
        """Summary of the part at a path."""
        part = Part(path)
        n_cells = {name: np.array(found) for name, found in part.n_cells.items()}
        return cls(path, part.digest, np.array(part.slots), n_cells, part.provisional, part.config_hash)


class Origins:
    """Where the items of a publication come from.

    Parameters
    ----------
    items
        The items, in the order of the dataset.
    before
        The dataset before, if any.
    failed
        Items of the dataset before that are kept behind these, see `failed_items`.
    scratch
        Folder for parts that the dataset before has.
    listed
        Keys of all items that the source has, in their order.

    Raises
    ------
    MergeError
        A part is missing or damaged, or an item has none and is not in the dataset before.
    """

    def __init__(
        self,
        items: Sequence[MergeItem],
        before: PublishedAligned | None,
        failed: Sequence[MergeItem],
        scratch: Path,
        listed: Collection[str],
    ) -> None:
        self.items = items = [*items, *failed]
        self._listed = listed
        self.n_failed = len(failed)
        self.parts = {n: PartSummary.of(item.shard) for n, item in enumerate(items) if item.shard is not None}
        held = {} if before is None else before.versions() | {item.key: item.version for item in failed}
        lost = [i.key for n, i in enumerate(items) if n not in self.parts and held.get(i.key) != i.version]
        if lost:
            raise MergeError(f"Item {lost[0]!r} has no shard and is not in the previous dataset; process it again.")
        if before is not None and before.hidden:
            self._take_hidden(before, scratch)
        self.is_part = np.zeros(len(items) + 1, np.bool_)  # the last one is nobody
        self.is_part[list(self.parts)] = True

    def _take_hidden(self, before: PublishedAligned, scratch: Path) -> None:
        """Take what is kept of items of whose slots others give some: they give them again where the others do not."""
        scratch.mkdir(exist_ok=True)
        for number, item in enumerate(self.items[: len(self.items) - self.n_failed]):
            if number not in self.parts and item.key in before.hidden:
                path = scratch / f"hidden-{number}"
                path.write_bytes(before.hidden_part(item.key))
                self.parts[number] = PartSummary.of(path)

    def is_failed(self, number: int) -> bool:
        """Whether an item is one whose slots are kept, since it failed."""
        return number >= len(self.items) - self.n_failed

    def numbers(self, before: PublishedAligned) -> npt.NDArray[np.int64]:
        """Position of each item of the dataset before that comes from it; -1 of the others."""
        own = {item.key: n for n, item in enumerate(self.items) if n not in self.parts}
        return np.array([own.get(key, -1) for key in before.keys], np.int64)

    @property
    def keys_in_order(self) -> list[str]:
        """Keys of the items in the order of the source, those that failed at their place."""
        place = {key: n for n, key in enumerate(self._listed)}
        last = len(place)
        return sorted((item.key for item in self.items), key=lambda key: place.get(key, last))

    def former_positions(self, axis: KeyAxis, before: PublishedAligned) -> npt.NDArray[np.int64]:
        """Where the items on an axis were in the dataset before; -1 for those that do not come from it."""
        former = {key: position for position, key in enumerate(before.axis.values.tolist())}
        own = {item.key for number, item in enumerate(self.items) if number not in self.parts}
        return np.array([former[key] if key in own else NOBODY for key in axis.values.tolist()], np.int64)

    def moved(self, axis: KeyAxis, former: npt.NDArray[np.int64]) -> dict[int, int]:
        """Former positions of the items that have another one now, by item."""
        numbers = {item.key: number for number, item in enumerate(self.items)}
        pairs = enumerate(zip(axis.values.tolist(), former.tolist(), strict=True))
        return {numbers[key]: at for position, (key, at) in pairs if at not in (NOBODY, position)}

    def all_slots(self) -> Array:
        """Coordinate values of all parts."""
        return np.concatenate([part.slots for part in self.parts.values()])


def former_owners(
    origins: Origins, before: PublishedAligned | None, names: Sequence[str], n_slots: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Who gave each slot in the dataset before, as items of this one, and which slots their item left."""
    if before is None:
        empty = Slots.empty(names, n_slots).owner
        return empty, np.zeros(empty.shape, np.bool_)
    held = before.slots.fitted(names, max(n_slots, before.n_slots))
    former = held.renumbered(origins.numbers(before))
    gone = former.owner == NOBODY
    gone[n_slots:] = True
    return former.owner, (held.owner != NOBODY) & gone


def lacked(origins: Origins, before: PublishedAligned | None, names: Sequence[str]) -> dict[str, list[str]]:
    """Variables that are not in every item, whatever others give in its place, with the keys of those that lack them.

    Raises
    ------
    MergeError
        No variable is in every item.
    """
    gives = np.zeros((len(origins.items), len(names)), np.bool_)
    for number, part in origins.parts.items():
        gives[number] = [bool((part.n_cells.get(name, np.zeros(1)) > 0).any()) for name in names]
    if before is not None:
        owner = former_owners(origins, before, names, before.n_slots)[0]
        for column, own in enumerate(owner.T):
            gives[own[own != NOBODY], column] = True
    # Of one that failed, and of whose slots others give some, it is not known what it had.
    hidden = () if before is None else before.hidden
    counted = [n for n, item in enumerate(origins.items) if not (origins.is_failed(n) and item.key in hidden)]
    keys = [origins.items[number].key for number in counted]
    found = {
        name: [key for key, is_given in zip(keys, gives[counted, column].tolist(), strict=True) if not is_given]
        for column, name in enumerate(names)
    }
    if names and all(found.values()):
        shown = "; ".join(f"{name!r} is not in {found[name][0]!r}" for name in names[:_MAX_NAMED])
        raise MergeError(
            f"No variable is in all items: {shown}. Leave out the items that lack what the dataset shall have, or take "
            "all variables, without variables='intersection' of the sink."
        )
    return {name: lacking for name, lacking in found.items() if lacking}


def failed_items(
    items: Sequence[MergeItem], before: PublishedAligned, listed: Collection[str], config_hash: str
) -> list[MergeItem]:
    """Items of the dataset before that the source has, and that are not there as they are now.

    Parameters
    ----------
    items
        The items that are.
    before
        The dataset before.
    listed
        Keys of all items that the source has.
    config_hash
        Configuration that made them; any where it is not known.
    """
    there, wanted = {item.key for item in items}, set(listed)
    columns = zip(*(before.items[name] for name in ("key", "version", "fingerprint", "split")), strict=True)
    found = [given for given in columns if given[0] in wanted and given[0] not in there]
    if config_hash:
        found = [given for given in found if is_made_by(config_hash, *given[:3])]
    first = len(items)
    return [
        MergeItem(first + n, key, mark or None, version, None, split)
        for n, (key, version, mark, split) in enumerate(found)
    ]


class PlacedPart:
    """A part, with the positions of its slots.

    Parameters
    ----------
    part
        The part.
    positions
        Those of its slots in the dataset.
    """

    def __init__(self, part: Part, positions: npt.NDArray[np.int64]) -> None:
        self._part, self._positions = part, positions
        is_keyed = part.schema.slot_dtype == TEXT  # written as the first of many items: its files move with its slot
        self._shift = int(positions[0]) if is_keyed else 0

    def ready(self, array: SlotArray, slots: npt.NDArray[np.int64], cell: int) -> bytes | None:
        """The encoded chunk that has exactly some slots; ``None`` where the worker did not know them."""
        row = int(np.searchsorted(self._positions, slots[0]))
        run = self._run(array.name, row)
        is_whole = run.row == row and run.n_rows == len(slots) and run.offset == slots[0] % array.chunk[0]
        is_whole = is_whole and int(slots[-1] - slots[0]) == len(slots) - 1  # a gap that the worker did not know
        if not is_whole or not np.array_equal(self._positions[row : row + len(slots)], slots):
            return None
        return self._part.piece(array.name, run, cell)

    def placed_whole(
        self, array: SlotArray, position: tuple[int, ...], slots: npt.NDArray[np.int64], level: int, target: Path
    ) -> int | None:
        """Link a shard that has exactly some slots, and give its checksum; ``None`` where the part has none such.

        Raises
        ------
        MergeError
            It is not what was written.
        """
        found = self._part.whole.get((array.name, (position[0] - self._shift // array.shard[0], *position[1:])))
        if found is None or self._part.level != level:
            return None
        shard, path = found
        if not np.array_equal(self._positions[shard.row : shard.row + shard.n_rows], slots):
            return None
        try:
            return shard.place(path, target)
        except (OSError, ValueError) as exc:
            raise self._part.unreadable(exc) from exc

    def rows(self, array: SlotArray, slots: npt.NDArray[np.int64], cell: int) -> Array:
        """Values of some slots, in the cells of a chunk."""
        found: list[Any] = []
        rows = np.searchsorted(self._positions, slots)
        position = 0
        while position < len(rows):
            run = self._run(array.name, int(rows[position]))
            inside = rows[position:][rows[position:] < run.row + run.n_rows]
            found.append(self._part.decoded(array.name, run, cell)[inside - run.row])
            position += len(inside)
        return np.concatenate(found)

    def _run(self, name: str, row: int) -> Run:
        runs = self._part.runs[name]
        starts = self._part.starts[name]
        return runs[int(np.searchsorted(starts, row, "right")) - 1]


class MovedItem:
    """The only slot of an item in the dataset before, which has another position now.

    Parameters
    ----------
    before
        The dataset before.
    position
        Where it is there.
    shard
        Gives the chunks of a file of an array of the dataset before.
    """

    def __init__(self, before: PublishedAligned, position: int, shard: ShardReader) -> None:
        self._before, self._position, self._shard = before, position, shard

    def ready(self, array: SlotArray, slots: npt.NDArray[np.int64], cell: int) -> bytes | None:
        """The encoded chunk that has the slot alone; ``None`` where it has others, too."""
        if array.chunk[0] > 1:
            return None
        codec = array.codec(self._before.level)
        shape = [-(-n // size) for n, size in zip(array.row_shape, array.chunk[1:], strict=True)]
        at = [int(n) for n in np.unravel_index(cell, shape)] if shape else []
        place, inside = self._position // array.shard[0], self._position % array.shard[0]
        shard = self._shard(array, (place, *(n // g for n, g in zip(at, codec.grid[1:], strict=True))))
        within = (inside, *(n % g for n, g in zip(at, codec.grid[1:], strict=True)))
        return shard[int(np.ravel_multi_index(within, codec.grid))]

    def placed_whole(
        self, array: SlotArray, position: tuple[int, ...], slots: npt.NDArray[np.int64], level: int, target: Path
    ) -> int | None:
        """Link the file that has the slot alone, and give its checksum; ``None`` where it has others, too."""
        if array.shard[0] > 1:
            return None
        former = (self._position, *position[1:])
        self._before.keep(array, former, target)
        return self._before.checksum(array, former)


class OpenParts:
    """The parts that are read, the last few of which stay open, and the items that moved.

    Parameters
    ----------
    parts
        By position of the item.
    positions
        Positions of the slots of each.
    moved
        Where items were in the dataset before that have another position now, and no part.
    before
        The dataset before, if any.
    """

    def __init__(
        self,
        parts: Mapping[int, PartSummary],
        positions: Mapping[int, npt.NDArray[np.int64]],
        moved: Mapping[int, int],
        before: PublishedAligned | None,
    ) -> None:
        self._parts, self._positions = parts, positions
        self._moved, self._before = moved, before
        self._last: tuple[str, tuple[int, ...], ShardChunks] | None = None
        self._open: OrderedDict[int, PlacedPart] = OrderedDict()

    def __contains__(self, number: object) -> bool:
        return number in self._parts or number in self._moved

    def __getitem__(self, number: int) -> PlacedPart | MovedItem:
        if number in self._moved and self._before is not None:
            return MovedItem(self._before, self._moved[number], self._shard)
        return self.part(number)

    def part(self, number: int) -> PlacedPart:
        """The part of an item that was processed anew."""
        found = self._open.get(number)
        if found is None:
            part = Part(self._parts[number].path)
            found = self._open[number] = PlacedPart(part, self._positions[number])
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(number)
        return found

    def has_moved(self, number: int) -> bool:
        """Whether an item has another position than in the dataset before, where its values are."""
        return number in self._moved

    def moved_rows(self, array: SlotArray, numbers: Sequence[int]) -> Array:
        """Values of items that moved, ``(n_items, *row_shape)``."""
        assert self._before is not None  # noqa: S101 - they have moved from there
        former = np.array([self._moved[number] for number in numbers])
        order = np.argsort(former)
        found: Array = self._before.rows_at(array.name, former[order])
        return found[np.argsort(order)]

    def _shard(self, array: SlotArray, position: tuple[int, ...]) -> ShardChunks:
        if self._last is None or self._last[:2] != (array.name, position):
            assert self._before is not None  # noqa: S101 - as above
            self._last = array.name, position, self._before.shard(array, position)
        return self._last[2]
