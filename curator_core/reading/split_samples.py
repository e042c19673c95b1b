"""One split of a dataset of samples, read as a dataset of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError, IndexRangeError
from curator_core.formats.arrays import ArraySpec
from curator_core.reading.readers import RaggedBatch, SampleReader, require_split

S = TypeVar("S")

_BLOCK: Final = 1024


class SplitSamples(SampleReader[S]):
    """The samples of one split, in the order of the dataset, numbered from 0.

    Parameters
    ----------
    reader
        What reads the whole dataset.
    split
        Name of the split.
    where
        What the dataset is called in messages.

    Raises
    ------
    UnknownNameError
        No sample is in a split of that name.
    ConfigError
        The dataset has no splits.
    """

    def __init__(self, reader: SampleReader[S], split: str, *, where: str = "the dataset") -> None:
        require_split(split, reader.splits, where)
        self.reader = reader
        """What reads the whole dataset."""
        self.split = split
        """Name of the split."""
        self.positions: npt.NDArray[np.int64] = reader.positions_of_split(split)
        """Position of each sample in the whole dataset."""
        self.main_axis = reader.main_axis
        self._where = where

    @classmethod
    def open(cls, path: Path) -> SampleReader[Any]:
        raise ConfigError(f"{path}: a split is opened with open_dataset(path, split=…).")

    def __len__(self) -> int:
        return len(self.positions)

    def __getitems__(self, indices: Sequence[int]) -> list[S]:
        return self.reader.__getitems__(self._placed(indices))

    def __iter__(self) -> Iterator[S]:
        for start, stop in pairwise([*range(0, len(self), _BLOCK), len(self)]):
            yield from self.reader.__getitems__(self.positions[start:stop].tolist())

    def arrays(self) -> dict[str, ArraySpec]:
        return self.reader.arrays()

    def batch(self, indices: Sequence[int], names: Collection[str]) -> RaggedBatch:
        return self.reader.batch(self._placed(indices), names)

    @property
    def identity(self) -> str:
        return hashlib.sha256(f"{self.reader.identity} {self.split}".encode()).hexdigest()

    def _placed(self, indices: Sequence[int]) -> list[int]:
        n_samples = len(self)
        places = np.asarray(indices, np.int64)
        outside = (places < -n_samples) | (places >= n_samples)
        if outside.any():
            index = int(places[outside][0])
            what = f"{n_samples} samples of the split {self.split!r}"
            raise IndexRangeError(f"{self._where}: index {index} is out of range for {what}.")
        found: list[int] = self.positions[places].tolist()
        return found

    def __getstate__(self) -> tuple[SampleReader[S], str, str]:
        return self.reader, self.split, self._where

    def __setstate__(self, state: tuple[SampleReader[S], str, str]) -> None:
        reader, split, where = state
        self.__init__(reader, split, where=where)  # type: ignore[misc]  # positions are read again, not sent
