"""A finished dataset as a sequence of samples, whichever sink of arrays wrote it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from curator_core.datasets.versions import locate_version
from curator_core.domains.ragged.reader import RaggedReader
from curator_core.errors import IndexRangeError, UnknownNameError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.formats.dataset_files import CACHE_BYTES
from curator_core.reading.pinned import PinnedReader
from curator_core.reading.readers import RaggedBatch, SampleReader
from curator_core.storage.objects.mirror import readable_folder


class RaggedDataset(SampleReader[Mapping[str, Array]]):
    """Samples of a dataset that a `RaggedSink` wrote: the rows of each array by name.

    An array of the main axis has one row a sample, which is given alone. The version that was opened is read to the
    end, in workers too: when another one is published it is read where it is kept as a former one.

    Parameters
    ----------
    path
        Folder of the dataset, or a repository, such as ``s3://bucket/name.icechunk``.
    cache_bytes
        Bytes of decoded chunks that are kept, in every process that reads.
    version
        The version that is wanted, by id, by the beginning of one, or by tag; the one that is there by default.

    Raises
    ------
    ComponentError
        There is no such dataset, or it was written by a newer version.
    DatasetExpiredError
        The version is not kept any more.
    """

    def __init__(self, path: str | Path, *, cache_bytes: int = CACHE_BYTES, version: str | None = None) -> None:
        place = readable_folder(path if version is None else locate_version(path, version))
        self._pinned = PinnedReader(RaggedReader, place, cache_bytes=cache_bytes)
        self._cache_bytes = cache_bytes
        self.main_axis = self._reader.layout.main.name

    @classmethod
    def open(cls, path: Path) -> RaggedDataset:
        return cls(path)

    @property
    def _reader(self) -> RaggedReader:
        return self._pinned.reader

    def __len__(self) -> int:
        return self._reader.n_samples

    def __getitems__(self, indices: Sequence[int]) -> list[Mapping[str, Array]]:
        specs = self._reader.specs
        batch = self._gathered(indices, specs)
        stops = {axis: np.cumsum(counts) for axis, counts in batch.counts.items()}
        found: list[Mapping[str, Array]] = []
        for number in range(len(indices)):
            sample = {}
            for name, values in batch.values.items():
                stop = int(stops[axis := specs[name].dims[0]][number])
                first = stop - int(batch.counts[axis][number])
                sample[name] = values[first] if axis == self.main_axis else values[first:stop]
            found.append(sample)
        return found

    @property
    def splits(self) -> list[str]:
        return self._pinned.read(RaggedReader.split_names)

    def positions_of_split(self, name: str) -> npt.NDArray[np.int64]:
        return self._pinned.read(lambda reader: reader.positions_of_split(name))

    def arrays(self) -> dict[str, ArraySpec]:
        return {name: spec for name, spec in self._reader.specs.items() if not spec.is_text}

    def batch(self, indices: Sequence[int], names: Collection[str]) -> RaggedBatch:
        known = self.arrays()
        for name in names:
            if name not in known:
                raise UnknownNameError.of("array of numbers", name, known)
        return self._gathered(indices, names)

    @property
    def identity(self) -> str:
        return self._pinned.content_hash

    def _gathered(self, indices: Sequence[int], names: Collection[str]) -> RaggedBatch:
        n_samples = len(self)
        positions = [index + n_samples if index < 0 else index for index in map(int, indices)]
        for index, position in zip(indices, positions, strict=True):
            if not 0 <= position < n_samples:
                raise IndexRangeError(f"{self._pinned.path}: index {index} is out of range for {n_samples} samples.")
        return RaggedBatch(*self._pinned.read(lambda reader: reader.gather(positions, names)))

    def __getstate__(self) -> tuple[Path, int, str]:
        return self._pinned.path, self._cache_bytes, self._pinned.content_hash

    def __setstate__(self, state: tuple[Path, int, str]) -> None:
        path, self._cache_bytes, content_hash = state
        self._pinned = PinnedReader(RaggedReader, path, cache_bytes=self._cache_bytes, content_hash=content_hash)
        self.main_axis = self._reader.layout.main.name
