"""Variables as a file stores them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from curator_core.domains.grid.decoding import Array, Attributes, Packing

FillValues = Mapping[str, float | None]
"""What is missing, by name of the variable, in place of what a file says; ``None`` for nothing."""

Part = Mapping[str, slice]
"""What is wanted of some dimensions; of the others, everything."""


@dataclass(frozen=True, slots=True)
class StoredVariable:
    """A variable as it is stored; values are read when they are asked for."""

    name: str
    """Its name."""
    dims: tuple[str, ...]
    """Names of its dimensions, all of them different."""
    shape: tuple[int, ...]
    """Its length along each of them."""
    dtype: np.dtype[Any]
    """Type of the stored values; ``object`` for text of any length."""
    attributes: Attributes
    """As the file has them."""
    values: Callable[[tuple[slice, ...]], Array]
    """Reads stored values."""
    encoding: Attributes = field(default_factory=dict)
    """How the file stores them, apart from the attributes."""
    unwritten: float | None = None
    """What stands where nothing was written; ``None`` where that is a value like any other."""

    @property
    def is_text(self) -> bool:
        """Whether it holds text, or characters of which the last dimension counts those of a text."""
        return self.dtype.kind in "SUO"

    @property
    def decoded_dims(self) -> tuple[str, ...]:
        """Dimensions of the decoded values."""
        return self.dims[:-1] if self.dtype == np.dtype("S1") else self.dims

    @property
    def is_coordinate(self) -> bool:
        """Whether it is the coordinate of a dimension."""
        return self.decoded_dims == (self.name,)

    @property
    def packing(self) -> Packing:
        """How its values are stored."""
        return Packing(self.name, self.dtype, self.attributes, self.is_coordinate, self.unwritten)

    def part_shape(self, part: Part) -> tuple[int, ...]:
        """Its shape, where a part of some dimensions is wanted."""
        lengths = zip(self.dims, self.shape, strict=True)
        return tuple(len(range(*part[dim].indices(n))) if dim in part else n for dim, n in lengths)

    def read(self, part: Part) -> Array:
        """Stored values."""
        return self.values(tuple(part.get(dim, slice(None)) for dim in self.dims))


def with_fill_value(attributes: Attributes, fill_value: float | None) -> dict[str, Any]:
    """Attributes that say what is missing, in place of what the file says."""
    kept = {name: value for name, value in attributes.items() if name not in ("_FillValue", "missing_value")}
    return kept if fill_value is None else kept | {"_FillValue": fill_value}


def distinct(dims: tuple[str, ...]) -> tuple[str, ...]:
    """Names of dimensions, in which one that comes again has its number."""
    return tuple(dim if dim not in dims[:i] else f"{dim}_{dims[:i].count(dim) + 1}" for i, dim in enumerate(dims))
