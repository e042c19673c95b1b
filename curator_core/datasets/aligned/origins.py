"""Where the slots of the items come from: the parts that workers wrote, or the dataset before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curator_core.datasets.aligned.axis import SlotAxis
from curator_core.datasets.aligned.codec import Array
from curator_core.datasets.aligned.parts import Part, Run
from curator_core.datasets.aligned.published import PublishedAligned, is_made_by
from curator_core.datasets.aligned.schema import SlotArray
from curator_core.errors import MergeError
from curator_core.pipeline.components import MergeItem

_MAX_OPEN: Final = 32


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
    ) -> None:
        self.items = items = [*items, *failed]
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

    def all_slots(self) -> Array:
        """Coordinate values of all parts."""
        return np.concatenate([part.slots for part in self.parts.values()])


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
    """A part, with the positions of its slots."""

    def __init__(self, part: Part, axis: SlotAxis) -> None:
        self._part = part
        self._positions = axis.positions(part.slots)

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
        found = self._part.whole.get((array.name, position))
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


class OpenParts:
    """The parts that are read, the last few of which stay open.

    Parameters
    ----------
    parts
        By position of the item.
    axis
        The axis of the dataset.
    """

    def __init__(self, parts: dict[int, PartSummary], axis: SlotAxis) -> None:
        self._parts, self._axis = parts, axis
        self._open: OrderedDict[int, PlacedPart] = OrderedDict()

    def __contains__(self, number: object) -> bool:
        return number in self._parts

    def __getitem__(self, number: int) -> PlacedPart:
        found = self._open.get(number)
        if found is None:
            found = self._open[number] = PlacedPart(Part(self._parts[number].path), self._axis)
            if len(self._open) > _MAX_OPEN:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(number)
        return found
