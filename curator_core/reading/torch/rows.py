"""Some rows of large samples, such as points of meshes, as tensors."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from torch.utils.data import Dataset, default_collate

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.formats.arrays import Array
from curator_core.reading.readers import SampleReader
from curator_core.reading.split_samples import SplitSamples
from curator_core.reading.torch.samples import Sample, opened, tensor_of

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch

    from curator_core.reading.torch.normalization import Normalization


class StoredSample(Protocol):
    """A sample in a dataset, of which rows are read."""

    def n_rows(self, name: str) -> int:
        """Number of rows of an array."""

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Array:
        """Rows of an array from one to another."""

    def take(self, names: Collection[str], rows: npt.NDArray[np.int64]) -> dict[str, Array]:
        """Some rows of several arrays of one length."""

    def weights(self, weights: str, name: str) -> npt.NDArray[np.float64]:
        """What the rows of an array weigh, by numbers of some name."""


class _ReadsRows(Protocol):
    def stored(self, index: int) -> StoredSample: ...

    def require_weights(self, weights: str, name: str) -> None: ...


class RowSamples(Dataset[Sample]):
    """As many rows of each sample for PyTorch's ``DataLoader``, at random or side by side; safe in workers.

    Of a mesh these are points or cells, which have their coordinates and data, and whatever is said of the mesh as a
    whole. Which rows come depends on the seed, the epoch and the position of the sample alone, and they come in their
    order; without weights, no row comes twice.

    Parameters
    ----------
    dataset
        A reader whose samples are read row by row, such as `MeshDataset`; or the path of a dataset.
    n_rows
        Rows of each sample; one that has fewer is an error.
    names
        Arrays that are wanted, such as ``points`` and ``point_data/p``: all of one axis, or of the main one, which
        come whole.
    is_block
        Whether the rows are side by side, which reads few chunks: from a random one on, and from the first one again
        after the last. Otherwise they are spread over the sample, all of which is decoded.
    weights
        Numbers by which rows are drawn, each by itself, so that one may come several times and the mean of many is the
        weighted mean of the sample: an array of the rows, such as ``cell_data/Area``, or of the cells of points. Or
        ``sizes``, the areas of the cells of a surface, volumes inside and lengths of lines, computed whenever a sample
        is read. A point weighs its share of the cells around it. Every row is as likely as any other by default.
    seed
        What the choice depends on.
    split
        The split that is wanted, such as ``"train"``, where the dataset is a path.
    dtype
        Type to which numbers with a fraction are converted, such as ``torch.float32``.
    normalization
        What is subtracted, and by what is divided.
    transform
        Called with each sample; must be picklable where workers are spawned.

    Raises
    ------
    ConfigError
        The dataset has no rows to choose from, no such array or split, arrays of several axes are wanted, weights are
        of other rows, or rows side by side are to have some.
    """

    def __init__(
        self,
        dataset: SampleReader[Any] | str | Path,
        n_rows: int,
        names: Collection[str],
        *,
        is_block: bool = False,
        weights: str | None = None,
        seed: int = 0,
        split: str | None = None,
        dtype: torch.dtype | None = None,
        normalization: Normalization | None = None,
        transform: Callable[[Sample], Sample] | None = None,
    ) -> None:
        reader = opened(dataset, split)
        whole = reader.reader if isinstance(reader, SplitSamples) else reader
        if not isinstance(reader, SampleReader) or not hasattr(whole, "stored"):
            raise ConfigError(f"{dataset!r} is no dataset of samples that are read row by row.")
        if n_rows < 1:
            raise ConfigError(f"n_rows must be at least 1, got {n_rows!r}.")
        known = reader.arrays()
        for name in [*names, *(normalization.means if normalization else ())]:
            if name not in known:
                raise UnknownNameError.of("array of numbers that all samples have", name, known)
        axes = {known[name].dims[0] for name in names} - {reader.main_axis}
        if len(axes) != 1:
            raise ConfigError(f"The arrays are along {', '.join(sorted(axes)) or 'no axis'}: choose those of one.")
        self.reader: SampleReader[Any] = reader
        """What reads the dataset."""
        self.n_rows = n_rows
        """Rows of each sample."""
        self.epoch = 0
        """Which rows come; `TrainingLoader` counts it."""
        self._rows = [name for name in names if known[name].dims[0] != reader.main_axis]
        self._whole = [name for name in names if known[name].dims[0] == reader.main_axis]
        if weights is not None:
            if is_block:
                raise ConfigError("Rows that are side by side are not drawn by weights: leave out is_block or weights.")
            cast("_ReadsRows", whole).require_weights(weights, self._rows[0])
        self._is_block, self._weights, self._seed, self._dtype = is_block, weights, seed, dtype
        self._normalization, self._transform = normalization, transform

    @property
    def identity(self) -> str:
        """Changes with the content of the dataset."""
        return self.reader.identity

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> Sample:
        reader = self.reader
        if not -len(self) <= index < len(self):
            raise IndexError(f"There is no sample {index} among {len(self)}.")
        position = index + len(self) if index < 0 else index
        if isinstance(reader, SplitSamples):
            stored = cast("_ReadsRows", reader.reader).stored(int(reader.positions[position]))
        else:
            stored = cast("_ReadsRows", reader).stored(position)
        if self._weights is None:
            chosen = self._chosen(stored.n_rows(self._rows[0]), position)
        else:
            chosen = self._drawn(stored.weights(self._weights, self._rows[0]), position)
        values = stored.take(self._rows, chosen)
        values |= {name: stored.rows(name) for name in self._whole}
        sample = {name: tensor_of(name, found, self._dtype, self._normalization) for name, found in values.items()}
        return sample if self._transform is None else self._transform(sample)

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Samples at some positions, in their order."""
        return [self[index] for index in indices]

    def _chosen(self, n_rows: int, position: int) -> npt.NDArray[np.int64]:
        if n_rows < self.n_rows:
            raise ConfigError(
                f"Sample {position} has {n_rows:,} rows of {self._rows[0]!r}, fewer than {self.n_rows:,}."
            )
        random = np.random.default_rng([self._seed, self.epoch, position])
        if self._is_block:
            start = int(random.integers(n_rows))
            return np.sort(np.arange(start, start + self.n_rows) % n_rows)
        return np.sort(random.choice(n_rows, self.n_rows, replace=False, shuffle=False))

    def _drawn(self, weights: npt.NDArray[np.float64], position: int) -> npt.NDArray[np.int64]:
        is_weight = np.isfinite(weights) & (weights >= 0)
        if not is_weight.all() or not weights.any():
            found = f"{weights[~is_weight][0]} among its weights" if not is_weight.all() else "no weight above 0"
            raise ConfigError(f"Sample {position} has {found} {self._weights!r} of {self._rows[0]!r}.")
        total = np.cumsum(weights / weights.max())
        random = np.random.default_rng([self._seed, self.epoch, position])
        rows = np.searchsorted(total, random.random(self.n_rows) * total[-1], side="right")
        return np.sort(np.minimum(rows, np.flatnonzero(weights)[-1])).astype(np.int64)

    @staticmethod
    def collate(samples: Sequence[Sample]) -> Sample:
        """Stack the tensors of samples: a ``collate_fn``."""
        found: Sample = default_collate(list(samples))
        return found
