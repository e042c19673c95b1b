"""Samples of a dataset as tensors, one by one and in batches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch.utils.data import Dataset

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.formats.arrays import Array
from curator_core.reading.opening import open_dataset
from curator_core.reading.readers import SampleReader

if TYPE_CHECKING:
    from curator_core.reading.torch.normalization import Normalization

Sample: TypeAlias = dict[str, torch.Tensor]
"""Tensors by name of the array."""


def opened(dataset: SampleReader[Any] | str | Path, split: str | None) -> object:
    """The reader itself, or that of the dataset at a path, or of a split of it.

    Raises
    ------
    ConfigError
        There is no such split, or one is wanted of a reader.
    """
    if isinstance(dataset, str | Path):
        return open_dataset(dataset, split=split)
    if split is not None:
        raise ConfigError(f"split={split!r} goes with a path: open the reader with open_dataset(path, split=…).")
    return dataset


def tensor_of(name: str, values: Array, dtype: torch.dtype | None, normalization: Normalization | None) -> torch.Tensor:
    """Values of an array, normalised; those with a fraction are converted to a type that is given."""
    tensor = torch.from_numpy(values if values.flags.writeable else values.copy())
    if normalization is not None:
        tensor = normalization.apply(name, tensor)
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


class TensorSamples(Dataset[Sample]):
    """A dataset for PyTorch's ``DataLoader``, safe in workers that are forked or spawned.

    A sample has one tensor an array: ``(n_rows, *shape)`` on an axis on which samples have different numbers of rows,
    such as the atoms of a structure, and ``shape`` where a sample has one row.

    Parameters
    ----------
    dataset
        A reader, or the path of a dataset.
    names
        Arrays that are wanted, as `SampleReader.arrays` names them; all arrays of numbers, unless given.
    dtype
        Type to which numbers with a fraction are converted, such as ``torch.float32``.
    split
        The split that is wanted, such as ``"train"``, where the dataset is a path.
    normalization
        What is subtracted, and by what is divided.
    transform
        Called with each sample; must be picklable where workers are spawned.

    Raises
    ------
    ConfigError
        The dataset is not one of samples, or has no such array, or no such split.
    """

    def __init__(
        self,
        dataset: SampleReader[Any] | str | Path,
        names: Collection[str] | None = None,
        *,
        split: str | None = None,
        dtype: torch.dtype | None = None,
        normalization: Normalization | None = None,
        transform: Callable[[Sample], Sample] | None = None,
    ) -> None:
        reader = opened(dataset, split)
        if not isinstance(reader, SampleReader):
            raise ConfigError(f"{dataset!r} is not a dataset of samples, but a {type(reader).__name__}.")
        known = reader.arrays()
        self.reader: SampleReader[Any] = reader
        """What reads the dataset."""
        self.names = [name for name in known if not name.startswith("present/")] if names is None else list(names)
        """Arrays of a sample."""
        for name in [*self.names, *(normalization.means if normalization else ())]:
            if name not in known:
                raise UnknownNameError.of("array of numbers", name, known)
        self._axes = {name: known[name].dims[0] for name in self.names}
        self._dtype = dtype
        self._normalization = normalization
        self._transform = transform

    @property
    def identity(self) -> str:
        """Changes with the content of the dataset."""
        return self.reader.identity

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """Samples at some positions, in their order."""
        batch = self.reader.batch(indices, self.names)
        columns = []
        for name, axis in self._axes.items():
            rows = tensor_of(name, batch.values[name], self._dtype, self._normalization)
            columns.append(rows.unbind() if axis == self.reader.main_axis else rows.split(batch.counts[axis].tolist()))
        samples = [dict(zip(self._axes, values, strict=True)) for values in zip(*columns, strict=True)]
        return samples if self._transform is None else [self._transform(sample) for sample in samples]

    def collate(self, samples: Sequence[Sample]) -> Sample:
        """Join samples to a batch: a ``collate_fn``.

        Rows of samples of different lengths are joined end to end; all other tensors are stacked. For each axis of
        different lengths the batch has ``n_<axis>s``, rows of each sample, and ``batch``, number of the sample to which
        each row belongs (``batch_<axis>`` where there are several such axes).
        """
        joined: Sample = {}
        counts: dict[str, torch.Tensor] = {}
        for name in samples[0]:
            values = [sample[name] for sample in samples]
            axis = self._axes.get(name, self.reader.main_axis)
            is_ragged = axis != self.reader.main_axis
            joined[name] = torch.cat(values) if is_ragged else torch.stack(values)
            if is_ragged and axis not in counts:
                counts[axis] = torch.tensor([len(value) for value in values])
        for axis, lengths in counts.items():
            joined[f"n_{axis}s"] = lengths
            joined["batch" if len(counts) == 1 else f"batch_{axis}"] = torch.arange(len(samples)).repeat_interleave(
                lengths
            )
        return joined
