"""Where rows come from: the part that a worker wrote, or the dataset before, of which whole segments are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import Integers, RaggedFormat, Rows
from curator_core.datasets.parts import Part
from curator_core.datasets.published import Place, PublishedRagged
from curator_core.datasets.segments import Segment, Segments
from curator_core.datasets.tables import shard_numbers
from curator_core.errors import MergeError
from curator_core.formats.arrays import ArraySpec
from curator_core.pipeline.components import MergeItem

Flags = npt.NDArray[np.bool_]


class Origin:
    """Where the rows of one item come from.

    Parameters
    ----------
    ragged
        What the domain says of its datasets.
    part
        The part that a worker wrote, if there is one.
    previous
        The dataset before, if any.
    number
        Position of the item there, where it has no part.
    """

    __slots__ = ("_number", "_previous", "_ragged", "part")

    def __init__(self, ragged: RaggedFormat, part: Part | None, previous: PublishedRagged | None, number: int) -> None:
        self._ragged, self.part, self._previous, self._number = ragged, part, previous, number

    @property
    def schema(self) -> str:
        """The item's own schema."""
        if self.part is not None:
            return self.part.schema
        assert self._previous is not None  # noqa: S101 - `Origins` found it there
        return self._previous.tables.schema_of(self._number)

    @property
    def place(self) -> str | Place:
        """Path of the part, or where the item lies in the dataset before."""
        if self.part is not None:
            return str(self.part.path.absolute())
        assert self._previous is not None  # noqa: S101 - as above
        return self._previous.place(self._number)

    @property
    def digest(self) -> bytes:
        """Changes with the bytes of the part, or of the segment that holds the item before."""
        if self.part is not None:
            return self.part.digest
        assert self._previous is not None  # noqa: S101 - as above
        return self._previous.digest(self._number)

    def rows(self) -> Rows:
        """The rows under the item's own schema."""
        if self.part is not None:
            return self.part.read(self._ragged)
        assert self._previous is not None  # noqa: S101 - as above
        return self._previous.rows.read(self._previous.place(self._number), self.schema)

    def release(self) -> None:
        """Let go of what was read."""
        if self.part is not None:
            self.part.release()


class Origins:
    """Where the rows of all items come from: numbers in arrays, for there may be millions.

    Parameters
    ----------
    ragged
        What the domain says of its datasets.
    items
        The items, in the order of the dataset.
    previous
        The dataset before, if any.

    Raises
    ------
    MergeError
        An item's part is missing or damaged, or it has none and is not in the dataset before.
    """

    def __init__(self, ragged: RaggedFormat, items: Sequence[MergeItem], previous: PublishedRagged | None) -> None:
        self._ragged = ragged
        self._parts = {n: Part(item.shard) for n, item in enumerate(items) if item.shard is not None}
        self._previous = None if len(self._parts) == len(items) else previous  # it may have other arrays
        self.former = _former(items, self._previous)
        """Position of each item in the dataset before; -1 of one with a part."""
        self.rows = {axis.name: self._rows(axis.name) for axis in ragged.layout.axes}
        """Number of rows of each by axis."""
        self.schemas, self.schema = self._schemas()
        """The different schemas, in the order in which items have them first; position among these of that of each."""

    @property
    def before(self) -> PublishedRagged | None:
        """The dataset before, where anything comes from it."""
        return self._previous

    def __len__(self) -> int:
        return len(self.former)

    def __getitem__(self, numbers: slice) -> list[Origin]:
        return [
            Origin(self._ragged, self._parts.get(number), self._previous, int(self.former[number]))
            for number in range(*numbers.indices(len(self)))
        ]

    def take(self, numbers: slice) -> list[Origin]:
        """Some of them for the last time: what is kept of their parts goes with them."""
        found = self[numbers]
        for number in range(*numbers.indices(len(self))):
            self._parts.pop(number, None)
        return found

    def _rows(self, axis: str) -> Integers:
        found = np.zeros(len(self), np.int64)
        if self._previous is not None:
            found = np.where(self.former >= 0, self._previous.tables.rows[axis][self.former], 0)
        if self._parts:
            found[list(self._parts)] = [part.rows[axis] for part in self._parts.values()]
        return found

    def _schemas(self) -> tuple[list[str], Integers]:
        tables = None if self._previous is None else self._previous.tables
        numbers = {} if tables is None else {text: number for number, text in enumerate(tables.schemas)}
        found = np.zeros(len(self), np.int64)
        if tables is not None:
            found = np.where(self.former >= 0, tables.schema[self.former], 0)
        if self._parts:
            own = [numbers.setdefault(part.schema, len(numbers)) for part in self._parts.values()]
            found[list(self._parts)] = own
        used, first = np.unique(found, return_index=True)
        used = used[np.argsort(first)]
        renumbered = np.zeros(len(numbers), np.int64)
        renumbered[used] = np.arange(len(used))
        texts = list(numbers)
        return [texts[number] for number in used.tolist()], renumbered[found]

    def known_segments(self, n_items: Integers) -> Integers:
        """Position in the dataset before of each segment that it has; -1 of the others.

        It has those whose items, none of which was processed again, are all that one of its own consists of.

        Parameters
        ----------
        n_items
            Number of items of each segment.
        """
        before, absent = self._previous, np.full(len(n_items), -1, np.int64)
        if before is None or before.layout.signature != self._ragged.layout.signature:
            return absent
        starts = np.cumsum(n_items) - n_items
        first = self.former[starts]
        follows = self.former == np.repeat(first - starts, n_items) + np.arange(len(self))
        held = np.bincount(before.tables.segment, minlength=len(before.tables.segment_ids))
        segment = before.tables.segment[first]
        is_one = np.logical_and.reduceat(follows, starts) & (first >= 0)
        is_whole = (held[segment] == n_items) & ((np.cumsum(held) - held)[segment] == first)
        return np.where(is_one & is_whole, segment, absent)


def _former(items: Sequence[MergeItem], previous: PublishedRagged | None) -> Integers:
    """Position of each item in the dataset before; -1 of one with a part."""
    keys = [] if previous is None else previous.tables.keys
    versions = [] if previous is None else previous.tables.versions
    found, following = [], 0
    for item in items:
        number = following if following < len(keys) and keys[following] == item.key else -1
        if number < 0 and item.shard is None and previous is not None:
            number = previous.positions.get(item.key, -1)  # seldom: most stand behind the one that they stood behind
        following = number + 1 if number >= 0 else following
        if item.shard is not None:
            number = -1
        elif number < 0 or versions[number] != item.version:
            raise MergeError(f"Item {item.key!r} has no shard and is not in the previous dataset; process it again.")
        found.append(number)
    return np.array(found, np.int64)


class KeptSegments:
    """Segments that are in the dataset before, too.

    Parameters
    ----------
    before
        The dataset before.
    segments
        All segments.
    known
        Position in the dataset before of each of `segments`; -1 of those that it has not.
    """

    def __init__(self, before: PublishedRagged, segments: Segments, known: Integers) -> None:
        self._before, self._segments = before, segments
        self._number = np.flatnonzero(known >= 0)
        self._former = known[self._number]

    def checksums(self, names: Collection[str]) -> npt.NDArray[np.uint64]:
        """Checksum of each segment and array; 0 where a segment has no files of one."""
        columns = np.array([self._before.names.index(name) for name in names], np.int64)
        return self._before.tables.checksums[self._former[:, None], columns]

    def is_in_place(self, axis: str) -> Flags:
        """Which segments begin where they began before, on an axis."""
        return np.asarray(self._before.tables.shard[axis][self._former] == self._first(axis))

    def _first(self, axis: str) -> Integers:
        return self._segments.first_shards(axis)[self._number]

    def where(self, wanted: Flags) -> Iterator[tuple[Segment, int]]:
        """Some of the segments, with their positions before."""
        pairs = zip(self._number[wanted].tolist(), self._former[wanted].tolist(), strict=True)
        return ((self._segments[number], former) for number, former in pairs)

    def take(self, spec: ArraySpec, wanted: Flags, staged: Path) -> None:
        """Take the files of an array in some of the segments into a staged dataset.

        Raises
        ------
        ComponentError
            One is missing.
        """
        tables, axis = self._before.tables, self._before.layout.by_name[spec.dims[0]]
        former, first = self._former[wanted], self._first(axis.name)[wanted]
        n_shards = -(-tables.segment_rows[axis.name][former] // axis.shard_rows)
        numbers = shard_numbers(tables.shard[axis.name][former], n_shards)
        self._before.keep(spec, numbers, shard_numbers(first, n_shards), staged)
