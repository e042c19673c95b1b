"""Writing the files of one segment after the other: taken over, linked from a part, or encoded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.datasets.layout import Arrays, Integers, RaggedFormat, stored_arrays
from curator_core.datasets.origins import KeptSegments, Origin
from curator_core.datasets.parts import Part, checksum
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.segments import Segment, SegmentEncoder, Segments
from curator_core.formats.arrays import ArraySpec
from curator_core.formats.zarr_metadata import chunk_key
from curator_core.storage.atomic import opened


class SegmentWriter:
    """Writes the arrays of a dataset, one segment after the other.

    Parameters
    ----------
    path
        Folder of the dataset.
    ragged
        What the domain says of its datasets.
    arrays
        Its arrays.
    before
        The dataset before, if any.
    """

    def __init__(self, path: Path, ragged: RaggedFormat, arrays: Arrays, before: PublishedRagged | None) -> None:
        self._path, self._ragged, self._layout = path, ragged, ragged.layout
        self._before, self.encoder = before, SegmentEncoder(ragged, arrays)
        """Encodes what is neither taken over nor in a part."""
        self.stored = self.encoder.stored
        self._starts = ragged.layout.starts()
        former = {} if before is None else stored_arrays(before.layout, before.arrays)
        self._same = frozenset(name for name, spec in self.stored.items() if _is_alike(former.get(name), spec))
        self._alike = lru_cache(maxsize=64)(self._alike_under)

    def _alike_under(self, schema: str) -> frozenset[str]:
        """Arrays that a part with some schema holds as the dataset does."""
        own = stored_arrays(self._layout, self._ragged.own(schema))
        return frozenset(name for name, spec in self.stored.items() if _is_alike(own.get(name), spec))

    @property
    def arrays(self) -> list[ArraySpec]:
        """All arrays."""
        return [*self.stored.values(), *self._starts.values()]

    def make_folders(self, segments: Segments) -> None:
        """Make the folders of all arrays of some segments."""
        for spec in self.arrays:
            folder = self._path / spec.name / "c"
            folder.mkdir(parents=True)
            with opened(folder) as place:
                for number in range(segments.n_shards(spec.dims[0]) if spec.row_shape else 0):
                    name = str(number)
                    for _ in spec.row_shape:
                        os.mkdir(name, dir_fd=place)
                        name += "/0"

    def take_over(self, segments: Segments, known: Integers, checksums: npt.NDArray[np.uint64]) -> bool:
        """Take segments over from the dataset before, array by array, where it stores all arrays alike; give whether.

        Parameters
        ----------
        segments
            All segments.
        known
            Position in the dataset before of each; -1 of those that it has not.
        checksums
            Where checksums of each segment and array are put.
        """
        is_known = known >= 0
        if self._before is None or not is_known.any() or len(self._same) < len(self.stored):
            return False
        kept = KeptSegments(self._before, segments, known)
        checksums[is_known] = kept.checksums(self.stored)
        for number, spec in enumerate(self.stored.values()):
            kept.take(spec, checksums[is_known, number] > 0, self._path)
        for axis, spec in self._starts.items():
            in_place = kept.is_in_place(axis)
            kept.take(spec, in_place, self._path)
            for segment, former in kept.where(~in_place):
                self._put_starts(segment, axis, self._before.lengths(former, axis))
        return True

    def missing(self, origins: Sequence[Origin], known: int | None) -> tuple[str, ...]:
        """Arrays of a segment that are to be encoded: in neither the dataset before nor the part of its only item."""
        there = frozenset[str]() if known is None else self._same
        if self._part(origins) is not None:
            there |= self._alike(origins[0].schema)
        return tuple(name for name in self.stored if name not in there)

    def _part(self, origins: Sequence[Origin]) -> Part | None:
        part = origins[0].part if len(origins) == 1 else None
        return part if part is not None and part.layout.signature == self._layout.signature else None

    def write(
        self, segment: Segment, origins: Sequence[Origin], known: int | None, encoded: Part | None = None
    ) -> list[int]:
        """Write the files of a segment, and give the checksum of each array of `stored` in it.

        Parameters
        ----------
        segment
            The segment.
        origins
            Where its items come from.
        known
            Its position in the dataset before, where that has it.
        encoded
            What is `missing`, where workers encoded it.
        """
        left = self.missing(origins, known)
        part, found = self._part(origins), dict[str, int]()
        for name in self.stored.keys() - set(left):
            if known is not None and name in self._same:
                found[name] = self._keep(known, segment, self.stored[name])
            elif part is not None:
                found[name] = self._place(part, segment, self.stored[name])
        if encoded is not None:
            found |= {name: self._place(encoded, segment, self.stored[name]) for name in left}
        elif left:
            items = [(origin.rows(), origin.schema) for origin in origins]
            for name, files in self.encoder.encode(items, left):
                found[name] = self._put(segment, self.stored[name], files)
        for axis, spec in self._starts.items():
            if (
                known is not None
                and self._before is not None
                and self._before.first_shard(known, axis) == segment.shard[axis]
            ):
                self._take(known, segment, spec)
            else:
                self._put_starts(segment, axis, self._lengths(origins, axis, encoded))
        for origin in origins:
            origin.release()
        return [found[name] for name in self.stored]

    def _lengths(self, origins: Sequence[Origin], axis: str, encoded: Part | None) -> npt.NDArray[Any]:
        """Number of rows of each sample on an axis."""
        counts = self._layout.structure[self._layout.by_name[axis].count]
        if encoded is not None and counts.name in encoded:
            return encoded.decoded(counts)
        return np.concatenate([origin.rows().lengths[axis] for origin in origins])

    def _targets(self, segment: Segment, spec: ArraySpec) -> list[str]:
        axis = spec.dims[0]
        numbers = self._layout.shards(spec, segment.shard[axis], segment.rows[axis])
        return [f"{self._path}/{chunk_key(spec, number)}" for number in numbers]

    def _keep(self, known: int, segment: Segment, spec: ArraySpec) -> int:
        """Take the files of an array over from the dataset before."""
        assert self._before is not None  # noqa: S101 - a segment of it is known
        digest = self._before.checksum(known, spec.name)
        if digest:
            self._take(known, segment, spec)
        return digest

    def _take(self, known: int, segment: Segment, spec: ArraySpec) -> None:
        assert self._before is not None  # noqa: S101 - as above
        first = self._before.first_shard(known, spec.dims[0])
        former = self._layout.shards(spec, first, segment.rows[spec.dims[0]])
        numbers = self._layout.shards(spec, segment.shard[spec.dims[0]], segment.rows[spec.dims[0]])
        self._before.keep(spec, former, numbers, self._path)

    def _place(self, part: Part, segment: Segment, spec: ArraySpec) -> int:
        digest = part.checksum(spec.name)
        if digest:
            part.place(spec.name, self._targets(segment, spec))
        return digest

    def _put(self, segment: Segment, spec: ArraySpec, files: Sequence[bytes]) -> int:
        for target, data in zip(self._targets(segment, spec) if files else (), files, strict=True):
            with open(target, "wb") as file:  # noqa: PTH123 - for every file
                file.write(data)
        return checksum(files)

    def _put_starts(self, segment: Segment, axis: str, lengths: npt.NDArray[Any]) -> None:
        """Write the first row of each sample on an axis, given how many rows each has."""
        spec, first = self._starts[axis], segment.shard[axis] * self._layout.by_name[axis].shard_rows
        self._put(segment, spec, list(self._layout.codec(spec).encode(first + np.cumsum(lengths) - lengths)))


def _is_alike(first: ArraySpec | None, second: ArraySpec) -> bool:
    """Whether an array is stored in the same bytes under two descriptions."""
    if first is None:
        return False
    kept = first.attributes == second.attributes  # they say what texts mean
    return kept and (first.dtype, first.row_shape, first.dims[0]) == (second.dtype, second.row_shape, second.dims[0])
