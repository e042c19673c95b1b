"""Arrays brought to mean 0 and standard deviation 1, by the statistics that were gathered with the dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from curator_core.errors import ComponentError, ConfigError, MissingDependencyError, UnknownNameError
from curator_core.filters.statistics.levels import label_of, place_of

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError as exc:
    raise MissingDependencyError.of("pyarrow", "parquet", "Reading statistics") from exc

if TYPE_CHECKING:
    import xarray as xr

Moment: TypeAlias = float | npt.NDArray[np.float64]
"""One number for an array, or one for each of its levels: of length 1 along its other dimensions."""


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of arrays; those of other names stay as they are."""

    means: Mapping[str, Moment]
    """Mean by array name."""
    stds: Mapping[str, Moment]
    """Standard deviation of the population by array name; that of an array of one value counts as 1."""
    levels: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """By array name, of those that have a mean for each level: the levels by dimension, in their order."""

    @classmethod
    def from_statistics(
        cls, path: str | Path, fields: Mapping[str, str], dataset: xr.Dataset | None = None
    ) -> Normalization:
        """Read the table that a statistics filter wrote.

        Parameters
        ----------
        path
            Parquet file of the table, such as that of `AtomicStatsFilter`.
        fields
            Field of the table by name of the array: ``{"forces": "forces"}``.
        dataset
            The dataset that is read, as `curator_core.open_dataset` opens grids: needed where the table has fields
            level by level (``by=["level"]``), since its levels are in an order of its own.

        Raises
        ------
        UnknownNameError
            The table has no such field.
        ComponentError
            It cannot be read, a field has no finite number, or a level of the dataset has none.
        ConfigError
            The table has a field level by level, and no dataset is given.
        """
        table = _Table(Path(path))
        means: dict[str, Moment] = {}
        stds: dict[str, Moment] = {}
        levels: dict[str, Mapping[str, Sequence[str]]] = {}
        for name, wanted in fields.items():
            if not (dims := table.dims(wanted)):
                means[name], stds[name] = table.moments(wanted)
            elif dataset is None:
                raise ConfigError(
                    f"{path} has {wanted!r} along {', '.join(dims)}: give the dataset, which has them in order, as "
                    "dataset=open_dataset(…)."
                )
            else:
                means[name], stds[name], levels[name] = table.along(name, wanted, dataset)
        return cls(means, stds, levels)

    def apply(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Normalise the values of an array: ``(..., *shape)``, where `shape` is that of a sample, or of a step."""
        if name not in self.means:
            return values
        return (values - _beside(self.means[name], values)) / _beside(_divisor(self.stds[name]), values)

    def invert(self, name: str, values: torch.Tensor) -> torch.Tensor:
        """Give normalised values, such as predictions, their unit again."""
        if name not in self.means:
            return values
        return values * _beside(_divisor(self.stds[name]), values) + _beside(self.means[name], values)

    def check_levels(self, dataset: xr.Dataset) -> None:
        """Raise `ConfigError` where a dataset has other levels, or in another order, than the numbers are for."""
        for name, levels in self.levels.items():
            for dim, labels in levels.items():
                if dim not in dataset[name].dims or _labels(dataset, dim) != list(labels):
                    raise ConfigError(
                        f"The normalization of {name!r} is for other values of {dim!r} than the dataset has: make it "
                        "of this dataset."
                    )


def _divisor(std: Moment) -> Moment:
    return np.where(std == 0.0, 1.0, std) if isinstance(std, np.ndarray) else std or 1.0


def _beside(moment: Moment, values: torch.Tensor) -> float | torch.Tensor:
    """A number as it is; numbers of levels as a tensor of the type of the values, next to which they lie."""
    if not isinstance(moment, np.ndarray):
        return moment
    own, theirs = moment.shape, tuple(values.shape[-moment.ndim :])
    if len(own) != len(theirs) or any(n not in (1, length) for n, length in zip(own, theirs, strict=True)):
        raise ConfigError(f"Values of shape {tuple(values.shape)} do not end in the levels that {own} numbers are for.")
    dtype = values.dtype if values.is_floating_point() else torch.get_default_dtype()
    return torch.as_tensor(moment, dtype=dtype, device=values.device)


def _labels(dataset: xr.Dataset, dim: str) -> list[str]:
    return [label_of(value) for value in dataset[dim].values]


class _Table:
    """Moments by field, or by field and place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            rows = parquet.read_table(path, columns=["field", "mean", "std"]).to_pylist()
        except (OSError, pa.ArrowException) as exc:
            raise ComponentError(f"{path} is no table of statistics that can be read: {exc}", file=str(path)) from exc
        self._rows: dict[str, dict[str, Any]] = {row["field"]: row for row in rows}
        self._places: dict[str, dict[frozenset[tuple[str, str]], str]] = {}
        for full in self._rows:
            name, place = place_of(full)
            if place:
                self._places.setdefault(name, {})[frozenset(place.items())] = full

    def _failed(self, why: str) -> ComponentError:
        return ComponentError(why, file=str(self._path))

    def dims(self, name: str) -> list[str]:
        """Dimensions along which the table has a field.

        Raises
        ------
        UnknownNameError
            It has no such field.
        ComponentError
            It has the field along others in some items.
        """
        if name not in self._rows and name not in self._places:
            raise UnknownNameError.of(f"field of {self._path}", name, {**self._rows, **self._places})
        along = {tuple(sorted(dim for dim, _ in place)) for place in self._places.get(name, ())}
        along |= {()} if name in self._rows else set()
        if len(along) > 1:
            raise self._failed(f"{self._path} has {name!r} along some dimensions in some items, and not in others.")
        return list(along.pop())

    def moments(self, full: str) -> tuple[float, float]:
        """Mean and standard deviation in a row."""
        row = self._rows[full]
        if row["mean"] is None or row["std"] is None:
            raise self._failed(f"The field {full!r} of {self._path} has no finite number.")
        return row["mean"], row["std"]

    def along(self, name: str, wanted: str, dataset: xr.Dataset) -> tuple[Moment, Moment, dict[str, list[str]]]:
        """Moments as they lie beside the values of a step, and the levels by dimension."""
        if name not in dataset.data_vars:
            raise UnknownNameError.of("variable of the dataset", name, list(map(str, dataset.data_vars)))
        dims = [str(dim) for dim in dataset[name].dims[1:]]  # the first is that of the slots
        own = self.dims(wanted)
        levels = {dim: _labels(dataset, dim) for dim in dims if dim in own}
        fixed = {dim: self._only(wanted, dim, dataset) for dim in own if dim not in levels}
        shape = [len(levels.get(dim, [""])) for dim in dims]
        mean, std = np.empty(shape), np.empty(shape)
        for position in np.ndindex(*shape):
            place = fixed | {dim: levels[dim][at] for dim, at in zip(dims, position, strict=True) if dim in levels}
            full = self._places[wanted].get(frozenset(place.items()))
            if full is None:
                said = ", ".join(f"{dim}={label}" for dim, label in place.items())
                raise self._failed(f"{self._path} has no statistics of {wanted!r} at {said}, which the dataset has.")
            mean[position], std[position] = self.moments(full)
        return (mean, std, levels) if levels else (mean.item(), std.item(), levels)

    def _only(self, wanted: str, dim: str, dataset: xr.Dataset) -> str:
        """The place along a dimension that the variable of the dataset does not have."""
        if dim in dataset.coords and not dataset[dim].dims:
            return label_of(dataset[dim].values[()])
        labels = {label for place in self._places[wanted] for each, label in place if each == dim}
        if len(labels) > 1:
            raise self._failed(
                f"{self._path} has {wanted!r} along {dim!r}, which is no dimension of a step of the dataset's variable."
            )
        return labels.pop()
