"""Writing the files of one segment after the other: taken over, linked from a part, or encoded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curator_core.datasets.keeping import KeptSegments
from curator_core.datasets.layout import Arrays, RaggedFormat, Rows, stored_arrays, structure
from curator_core.datasets.origins import Origin
from curator_core.datasets.parts import Part, checksum
from curator_core.datasets.published import PublishedRagged
from curator_core.datasets.segments import Segment
from curator_core.formats.arrays import Array, ArraySpec, fill_value
from curator_core.formats.shard_files import ShardCodec
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
        self._joined, self._before = arrays, before
        self.stored = stored_arrays(ragged.layout, arrays)
        self._starts = ragged.layout.starts()
        former = {} if before is None else stored_arrays(before.layout, before.arrays)
        self._same = {name for name, spec in self.stored.items() if _is_alike(former.get(name), spec)}

    @property
    def arrays(self) -> list[ArraySpec]:
        """All arrays."""
        return [*self.stored.values(), *self._starts.values()]

    def make_folders(self, n_shards: Mapping[str, int]) -> None:
        """Make the folders of all arrays, given the number of shards on each axis."""
        for spec in self.arrays:
            folder = self._path / spec.name / "c"
            folder.mkdir(parents=True)
            names = [str(number) for number in range(n_shards[spec.dims[0]])]
            with opened(folder) as place:
                for _ in spec.row_shape:
                    for name in names:
                        os.mkdir(name, dir_fd=place)
                    names = [f"{name}/0" for name in names]

    def take_over(
        self, segments: Sequence[Segment], known: Mapping[int, int], checksums: npt.NDArray[np.uint64]
    ) -> frozenset[int]:
        """Take segments over from the dataset before, array by array, where it stores all arrays alike; give which.

        Parameters
        ----------
        segments
            All segments.
        known
            Position in the dataset before by that in `segments`, of those that it has.
        checksums
            Where checksums of each segment and array are put.
        """
        if self._before is None or not known or len(self._same) < len(self.stored):
            return frozenset()
        kept = KeptSegments(self._before, [(segments[number], former) for number, former in known.items()])
        checksums[list(known)] = kept.checksums(self.stored)
        for number, spec in enumerate(self.stored.values()):
            kept.take(spec, checksums[list(known), number] > 0, self._path)
        for axis, spec in self._starts.items():
            in_place = kept.is_in_place(axis)
            kept.take(spec, in_place, self._path)
            for segment, former in kept.where(~in_place):
                self._put_starts(segment, axis, self._before.lengths(former, axis))
        return frozenset(known)

    def write(self, segment: Segment, origins: Sequence[Origin], known: int | None) -> list[int]:
        """Write the files of a segment, and give the checksum of each array of `stored` in it.

        Parameters
        ----------
        segment
            The segment.
        origins
            Where its items come from.
        known
            Its position in the dataset before, where that has it.
        """
        part = origins[0].part if len(origins) == 1 else None
        if part is not None and part.layout.signature != self._layout.signature:
            part = None
        own = {} if part is None else stored_arrays(self._layout, self._ragged.own(part.schema))
        found: dict[str, int] = {}
        for name, spec in self.stored.items():
            if known is not None and name in self._same:
                found[name] = self._keep(known, segment, spec)
            elif part is not None and _is_alike(own.get(name), spec):
                found[name] = self._place(part, segment, spec)
        left = [name for name in self.stored if name not in found]
        if left:
            found |= self._encode(segment, origins, left)
        for axis, spec in self._starts.items():
            self._write_starts(segment, origins, known, axis, spec)
        for origin in origins:
            origin.release()
        return [found[name] for name in self.stored]

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
        KeptSegments(self._before, [(segment, known)]).take(spec, np.ones(1, bool), self._path)

    def _place(self, part: Part, segment: Segment, spec: ArraySpec) -> int:
        part.place(spec.name, self._targets(segment, spec))
        return part.checksum(spec.name)

    def _encode(self, segment: Segment, origins: Sequence[Origin], names: Sequence[str]) -> dict[str, int]:
        """Write the files of some arrays anew; those that no item has are left out."""
        rows = [origin.rows() for origin in origins]
        fields = [name for name in self._joined.specs if {name, self._layout.presence(name).name} & set(names)]
        pieces = [
            self._ragged.convert(r, origin.schema, self._joined, fields)
            for r, origin in zip(rows, origins, strict=True)
        ]
        return {name: self._encode_array(segment, self.stored[name], rows, pieces) for name in names}

    def _encode_array(self, segment: Segment, spec: ArraySpec, rows: list[Rows], pieces: list[Rows]) -> int:
        values = self._values(spec, rows, pieces)
        if values is None:
            return 0
        codec = self._layout.codec(spec)
        is_constant = spec.dtype == "bool" and not spec.row_shape and bool(values.all())
        return self._put(segment, spec, _true(codec, len(values)) if is_constant else codec.encode(values))

    def _values(self, spec: ArraySpec, rows: list[Rows], pieces: list[Rows]) -> Array | None:
        """Values of an array in a segment; ``None`` where no item has it."""
        name = spec.name
        if name in self._layout.structure:
            return np.concatenate([structure(self._layout, r)[name] for r in rows])
        field = name if name in self._joined.specs else name.removeprefix("present/")
        if not any(field in piece.values for piece in pieces):
            return None
        if field != name:
            return np.concatenate([_presence(piece, field) for piece in pieces])
        return np.concatenate(
            [piece.values[name] if name in piece.values else _missing(spec, piece) for piece in pieces]
        )

    def _put(self, segment: Segment, spec: ArraySpec, files: Iterable[bytes]) -> int:
        written = []
        for target, data in zip(self._targets(segment, spec), files, strict=True):
            with open(target, "wb") as file:  # noqa: PTH123 - for every file
                file.write(data)
            written.append(data)
        return checksum(written)

    def _write_starts(
        self, segment: Segment, origins: Sequence[Origin], known: int | None, axis: str, spec: ArraySpec
    ) -> None:
        """Write the first row of each sample on an axis, unless it is where it was."""
        if (
            known is not None
            and self._before is not None
            and self._before.first_shard(known, axis) == segment.shard[axis]
        ):
            self._take(known, segment, spec)
            return
        self._put_starts(segment, axis, np.concatenate([origin.rows().lengths[axis] for origin in origins]))

    def _put_starts(self, segment: Segment, axis: str, lengths: npt.NDArray[Any]) -> None:
        """Write the first row of each sample on an axis, given how many rows each has."""
        spec, first = self._starts[axis], segment.shard[axis] * self._layout.by_name[axis].shard_rows
        self._put(segment, spec, self._layout.codec(spec).encode(first + np.cumsum(lengths) - lengths))


def _is_alike(first: ArraySpec | None, second: ArraySpec) -> bool:
    """Whether an array is stored in the same bytes under two descriptions."""
    if first is None:
        return False
    kept = first.attributes == second.attributes  # they say what texts mean
    return kept and (first.dtype, first.row_shape, first.dims[0]) == (second.dtype, second.row_shape, second.dims[0])


def _presence(piece: Rows, field: str) -> Array:
    if field not in piece.values:
        return np.zeros(piece.n_rows, bool)
    return piece.present[field] if field in piece.present else np.ones(piece.n_rows, bool)


def _missing(spec: ArraySpec, piece: Rows) -> Array:
    shape = (piece.n_on(spec.dims[0]), *spec.row_shape)
    return np.full(shape, fill_value(spec.dtype), object if spec.is_text else np.dtype(spec.dtype))


def _true(codec: ShardCodec, n_rows: int) -> Iterator[bytes]:
    """The files of an array of flags that are all set: of every segment, and often of the same length."""
    return iter(_true_files(codec, n_rows))


@lru_cache(maxsize=1024)
def _true_files(codec: ShardCodec, n_rows: int) -> tuple[bytes, ...]:
    return tuple(codec.encode(np.ones(n_rows, bool)))
