"""Samples of one version of a dataset, wherever that lies by now."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

from curator_core.datasets.versions import locate_version
from curator_core.errors import IndexRangeError, UnknownNameError
from curator_core.formats.arrays import CACHE_BYTES
from curator_core.reading.pinned import PinnedReader, VersionReader
from curator_core.reading.readers import SampleReader
from curator_core.storage.objects.mirror import readable_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

S = TypeVar("S")


class SamplesOfVersion(VersionReader, Protocol):
    """Reads the samples in a folder, as `VersionReader` says."""

    def split_names(self) -> list[str]:
        """The splits that items are in."""

    def positions_of_split(self, name: str) -> npt.NDArray[np.int64]:
        """Positions of the samples of a split, ascending."""


D = TypeVar("D", bound=SamplesOfVersion)


class PinnedSamples(SampleReader[S], Generic[S, D]):
    """Samples of the version that was opened, which is read to the end, in other processes too.

    The path alone is pickled, with a hash of what is there.

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
        self._cache_bytes = cache_bytes
        self._pinned: PinnedReader[D] = PinnedReader(self._opened, place, cache_bytes=cache_bytes)

    @staticmethod
    @abstractmethod
    def _opened(path: Path, cache_bytes: int) -> D:
        """The reader of a folder."""

    @classmethod
    def open(cls, path: Path) -> Self:
        return cls(path)

    @property
    def _reader(self) -> D:
        return self._pinned.reader

    @property
    def splits(self) -> list[str]:
        return self._pinned.read(lambda reader: reader.split_names())

    def positions_of_split(self, name: str) -> npt.NDArray[np.int64]:
        if name not in self.splits:
            raise UnknownNameError.of("split", name, self.splits)
        return self._pinned.read(lambda reader: reader.positions_of_split(name))

    @property
    def identity(self) -> str:
        return self._pinned.content_hash

    def _positions(self, indices: Sequence[int], samples: str) -> list[int]:
        """Positions of some samples, negative ones counted from the end; `samples` is what they are called."""
        n_samples = len(self)
        positions = [index + n_samples if index < 0 else index for index in map(int, indices)]
        for index, position in zip(indices, positions, strict=True):
            if not 0 <= position < n_samples:
                raise IndexRangeError(f"{self._pinned.path}: index {index} is out of range for {n_samples} {samples}.")
        return positions

    def __getstate__(self) -> tuple[Path, int, str]:
        return self._pinned.path, self._cache_bytes, self._pinned.content_hash

    def __setstate__(self, state: tuple[Path, int, str]) -> None:
        path, self._cache_bytes, content_hash = state
        self._pinned = PinnedReader(self._opened, path, cache_bytes=self._cache_bytes, content_hash=content_hash)
