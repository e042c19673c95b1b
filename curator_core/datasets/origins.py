"""Where rows come from: the part that a worker wrote, or the dataset before, of which whole segments are kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
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
    item
        The item.
    previous
        The dataset before, if any.

    Raises
    ------
    MergeError
        The item's part is missing or damaged, or it has none and is not in the dataset before.
    """

    __slots__ = ("_number", "_previous", "_ragged", "part")

    def __init__(self, ragged: RaggedFormat, item: MergeItem, previous: PublishedRagged | None) -> None:
        self._ragged, self._previous, self._number = ragged, previous, -1
        self.part = None if item.shard is None else Part(item.shard)
        """The part that a worker wrote, if there is one."""
        if self.part is not None:
            return
        number = None if previous is None else previous.find(item.key, item.version)
        if number is None:
            raise MergeError(f"Item {item.key!r} has no shard and is not in the previous dataset; process it again.")
        self._number = number

    @property
    def schema(self) -> str:
        """The item's own schema."""
        if self.part is not None:
            return self.part.schema
        assert self._previous is not None  # noqa: S101 - or there was an error above
        return self._previous.tables.schemas[self._number]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Number of rows by axis."""
        if self.part is not None:
            return self.part.rows
        assert self._previous is not None  # noqa: S101 - as above
        return self._previous.sizes(self._number)

    @property
    def place(self) -> str | Place:
        """Path of the part, or where the item lies in the dataset before."""
        if self.part is not None:
            return str(self.part.path.absolute())
        assert self._previous is not None  # noqa: S101 - or there was an error above
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


class KeptSegments:
    """Segments that are in the dataset before, too.

    Parameters
    ----------
    before
        The dataset before.
    segments
        All segments.
    known
        Position in the dataset before by that in `segments`, of those that it has.
    """

    def __init__(self, before: PublishedRagged, segments: Segments, known: Mapping[int, int]) -> None:
        self._before, self._segments = before, segments
        self._number, self._former = np.array(list(known), np.int64), np.array(list(known.values()), np.int64)

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
