"""What a domain gives to those who read its datasets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.formats.arrays import Array, ArraySpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import xarray as xr

S = TypeVar("S")


class DatasetOpener(ABC):
    """Opens the published datasets of one format, which is named by the attribute ``format`` of their group."""

    @classmethod
    @abstractmethod
    def open(cls, path: Path) -> object:
        """The reader of a dataset: of samples a `SampleReader`, of grids an ``xarray.Dataset``, say.

        Raises
        ------
        ComponentError
            The dataset is damaged, or was written by a newer version.
        """

    @classmethod
    def open_split(cls, path: Path, split: str) -> object:
        """The reader of one split of a dataset, unless `open` gives a `SampleReader`, of which any samples are read.

        Raises
        ------
        UnknownNameError
            There is no such split.
        ConfigError
            Datasets of this format are read as a whole.
        ComponentError
            The dataset is damaged, or was written by a newer version.
        """
        raise ConfigError(f"{path}: {cls.__name__} reads whole datasets, not the split {split!r} of one.")


def require_split(split: str, known: Collection[str], where: str | Path) -> None:
    """Raise where a dataset has no split of a name.

    Parameters
    ----------
    split
        The name.
    known
        Splits of the items of the dataset, those of items in none left out.
    where
        What the dataset is called in messages.

    Raises
    ------
    UnknownNameError
        No item is in a split of that name.
    ConfigError
        The dataset has no splits.
    """
    if not known:
        raise ConfigError(
            f"{where} has no splits: give its pipeline a rule, such as split=SplitByKey(), and gather it again; no "
            "item is processed for that."
        )
    if split not in known:
        raise UnknownNameError.of(f"split of {where}:", split, known)


@dataclass(frozen=True, slots=True)
class RaggedBatch:
    """Arrays of several samples: the rows of all of them, one after another."""

    values: Mapping[str, Array]
    """``(n_rows, *shape)`` by array name; what is missing is NaN, 0 or ``False``. Do not change them."""
    counts: Mapping[str, npt.NDArray[np.int64]]
    """``(n_samples,)``, rows of each sample, by name of the axis."""


class SampleReader(DatasetOpener, Sequence[S]):
    """A dataset of samples that have different numbers of rows, such as structures of atoms or small meshes.

    It can be pickled, and read on in a process that was forked.
    """

    main_axis: str
    """Axis on which every sample has exactly one row."""

    @property
    def splits(self) -> list[str]:
        """The splits that samples are in; none unless overridden."""
        return []

    def positions_of_split(self, name: str) -> npt.NDArray[np.int64]:
        """Positions of the samples of one of `splits`, ascending.

        Raises
        ------
        UnknownNameError
            There is no such split.
        ComponentError
            The dataset is damaged, or was replaced.
        """
        raise UnknownNameError.of("split", name, self.splits)

    @overload
    def __getitem__(self, index: int) -> S: ...

    @overload
    def __getitem__(self, index: slice) -> list[S]: ...

    def __getitem__(self, index: int | slice) -> S | list[S]:
        if isinstance(index, slice):
            return self.__getitems__(range(*index.indices(len(self))))
        return self.__getitems__([index])[0]

    @abstractmethod
    def __getitems__(self, indices: Sequence[int]) -> list[S]:
        """Samples at some positions, in their order.

        Raises
        ------
        IndexRangeError
            There is no such sample.
        ComponentError
            One is damaged, or the dataset was replaced.
        """

    @abstractmethod
    def arrays(self) -> dict[str, ArraySpec]:
        """Arrays that hold numbers, by name; the first of their axes is that of the rows.

        Where samples have no value, ``present/<name>`` says which have one.
        """

    @abstractmethod
    def batch(self, indices: Sequence[int], names: Collection[str]) -> RaggedBatch:
        """Rows of some arrays for the samples at some positions, in their order.

        Raises
        ------
        IndexRangeError
            There is no such sample.
        ComponentError
            One is damaged, or the dataset was replaced.
        """

    def to_xarray(self, indices: Sequence[int] | None = None, names: Collection[str] | None = None) -> xr.Dataset:
        """Read samples into an ``xarray.Dataset``, in the indexed ragged form of the CF conventions.

        Rows of all samples stand one after another; ``<main axis>_index`` says to which sample each row belongs, by its
        place in what is given, and the coordinate of the main axis is the position of each sample in the dataset.

        Parameters
        ----------
        indices
            Positions of the samples; all of them unless given: they are read into memory.
        names
            Arrays that are wanted; all arrays of numbers unless given.

        Raises
        ------
        MissingDependencyError
            xarray is not installed.
        UnknownNameError
            There is no such array.
        IndexRangeError
            There is no such sample.
        """
        from curator_core.reading.cf import to_xarray  # noqa: PLC0415 - needs xarray

        return to_xarray(self, indices, names)

    @property
    @abstractmethod
    def identity(self) -> str:
        """Hash of what is in the dataset: equal where samples have the same positions and values."""
