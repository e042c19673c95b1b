"""A finished dataset as a sequence of samples, whichever sink of arrays wrote it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from curator_core.domains.ragged.reader import RaggedReader
from curator_core.errors import UnknownNameError
from curator_core.formats.arrays import Array, ArraySpec
from curator_core.reading.pinned_samples import PinnedSamples
from curator_core.reading.readers import RaggedBatch


class RaggedDataset(PinnedSamples[Mapping[str, Array], RaggedReader]):
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

    @staticmethod
    def _opened(path: Path, cache_bytes: int) -> RaggedReader:
        return RaggedReader(path, cache_bytes)

    @property
    def main_axis(self) -> str:  # type: ignore[override]  # the others' is of their class
        return self._reader.layout.main.name

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

    def arrays(self) -> dict[str, ArraySpec]:
        return {name: spec for name, spec in self._reader.specs.items() if not spec.is_text}

    def batch(self, indices: Sequence[int], names: Collection[str]) -> RaggedBatch:
        known = self.arrays()
        for name in names:
            if name not in known:
                raise UnknownNameError.of("array of numbers", name, known)
        return self._gathered(indices, names)

    def _gathered(self, indices: Sequence[int], names: Collection[str]) -> RaggedBatch:
        positions = self._positions(indices, "samples")
        return RaggedBatch(*self._pinned.read(lambda reader: reader.gather(positions, names)))
