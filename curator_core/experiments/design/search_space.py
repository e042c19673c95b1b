"""The inputs of a domain as a vector of real numbers, which optimizers search."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curator_core.errors import ConfigError
from curator_core.experiments.design.domain import Domain
from curator_core.experiments.design.parameters import (
    ArrayParameter,
    CategoricalParameter,
    ConstantParameter,
    ContinuousParameter,
    DiscreteParameter,
    Parameter,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]


@dataclass(frozen=True)
class _Axis:
    """One input, as a part of the vector."""

    name: str
    parameter: Parameter
    low: Vector
    high: Vector
    is_whole: bool
    """Whether its numbers are integers: places in a list of values."""

    @classmethod
    def of(cls, name: str, parameter: Parameter) -> _Axis:
        if isinstance(parameter, ContinuousParameter):
            bounds = (parameter.lower_bound, parameter.upper_bound)
            low, high = (math.log(one) for one in bounds) if parameter.log else bounds
            return cls(name, parameter, np.array([low]), np.array([high]), is_whole=False)
        if isinstance(parameter, ArrayParameter):
            ends = (parameter.lower_bound, parameter.upper_bound)
            lows, highs = (np.broadcast_to(np.asarray(one, dtype=np.float64), parameter.shape).ravel() for one in ends)
            return cls(name, parameter, lows, highs, is_whole=False)
        if isinstance(parameter, DiscreteParameter | CategoricalParameter | ConstantParameter):
            return cls(name, parameter, np.zeros(1), np.array([len(_values(parameter)) - 1.0]), is_whole=True)
        raise ConfigError(f"Input {name!r} is of kind {parameter.kind!r}, which cannot be searched; give it bounds.")

    def value(self, part: Vector) -> object:
        """The input's value."""
        if self.is_whole:
            return _values(self.parameter)[int(np.clip(np.rint(part[0]), self.low[0], self.high[0]))]
        if isinstance(self.parameter, ArrayParameter):
            return part.reshape(self.parameter.shape).copy()
        is_log = isinstance(self.parameter, ContinuousParameter) and self.parameter.log
        return math.exp(part[0]) if is_log else float(part[0])

    def part(self, value: object) -> Vector:
        """The numbers of a value."""
        if self.is_whole:
            return np.array([float(_values(self.parameter).index(value))])
        numbers = np.asarray(value, dtype=np.float64).ravel()
        return np.log(numbers) if isinstance(self.parameter, ContinuousParameter) and self.parameter.log else numbers


@dataclass(frozen=True)
class SearchSpace:
    """All inputs in order."""

    axes: tuple[_Axis, ...]

    @classmethod
    def of(cls, domain: Domain) -> SearchSpace:
        """The space of a domain's inputs.

        Raises
        ------
        ConfigError
            An input has neither bounds nor a list of values, or there is none.
        """
        if not domain.input_space:
            raise ConfigError("The table has no inputs that could be searched; give it a domain.")
        return cls(tuple(_Axis.of(name, parameter) for name, parameter in domain.input_space.items()))

    @property
    def bounds(self) -> list[tuple[float, float]]:
        """Lowest and highest number of each element."""
        pairs = [pair for axis in self.axes for pair in zip(axis.low, axis.high, strict=True)]
        return [(float(low), float(high)) for low, high in pairs]

    @property
    def is_whole(self) -> list[bool]:
        """Whether each element is an integer."""
        return [axis.is_whole for axis in self.axes for _ in axis.low]

    def row(self, vector: Vector) -> dict[str, object]:
        """Inputs by name."""
        found, at = {}, 0
        for axis in self.axes:
            found[axis.name] = axis.value(vector[at : at + len(axis.low)])
            at += len(axis.low)
        return found

    def vector(self, row: Mapping[str, object]) -> Vector:
        """The numbers of a row that has all inputs."""
        return np.concatenate([axis.part(row[axis.name]) for axis in self.axes])

    def key(self, row: Mapping[str, object]) -> Hashable:
        """What two rows have in common that are the same point; ``None`` for one that lacks an input."""
        if any(axis.name not in row for axis in self.axes):
            return None
        values = [row[axis.name] for axis in self.axes]
        return tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in values)

    def centre(self) -> Vector:
        """The middle of all bounds.

        Raises
        ------
        ConfigError
            Not all are finite.
        """
        ends = np.array(self.bounds)
        if not np.isfinite(ends).all():
            raise ConfigError("An input has no finite bounds, so the search needs a first row to start from.")
        return np.asarray(ends.mean(axis=1))


def _values(parameter: Parameter) -> list[object]:
    if isinstance(parameter, DiscreteParameter):
        return list(range(parameter.lower_bound, parameter.upper_bound + 1, parameter.step))
    if isinstance(parameter, ConstantParameter):
        return [parameter.value]
    return list(parameter.categories) if isinstance(parameter, CategoricalParameter) else []
