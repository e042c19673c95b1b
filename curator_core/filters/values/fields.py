"""A value as named fields, whatever its type is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Attributes = Mapping[str, Any]


class FieldError(ValueError):
    """A field is not there, or cannot be what a filter wants of it; says which, and why."""


class Fields(ABC):
    """Named arrays of one value: of a dataset, a mapping, a table, a structure.

    Nothing is changed in place: what changes is given as a new value, which shares what stays.
    """

    what: str = "fields"
    """What has fields, for messages."""
    row_dim: str | None = None
    """The dimension whose entries can be left out or reordered, where it need not be named."""
    has_fixed_units: bool = False
    """Whether everything has the unit that whoever uses the values expects, and none can be another."""

    @abstractmethod
    def names(self) -> list[str]:
        """Names of the data, in order."""

    def known(self) -> list[str]:
        """Names of all that has values: the data, and coordinates where there are any."""
        return self.names()

    def full_name(self, name: str, beside: str | None = None) -> str:
        """The name in `names` that another one stands for; of a new field, in the place of the field `beside`."""
        return name

    def content(self) -> Iterator[tuple[str, Array]]:
        """All that makes the value what it is, by name."""
        for name in self.known():
            yield name, self.values(name)

    @abstractmethod
    def values(self, name: str) -> Array:
        """Values of a field, not to be changed."""

    def missing(self, name: str) -> npt.NDArray[np.bool_] | None:
        """Which values of a field are missing, where that is no number such as NaN; ``None`` where none is."""
        return None

    def present(self, name: str) -> Array:
        """Values of a field in its own type, with anything in the place of those that are `missing`."""
        return self.values(name)

    def attributes(self, name: str) -> Attributes:
        """What is said of a field, such as its ``units``; nothing where values have no such thing."""
        return {}

    def dims(self, name: str) -> tuple[str, ...]:
        """Names of the dimensions of a field."""
        return tuple(f"dimension {axis}" for axis in range(np.ndim(self.values(name))))

    @abstractmethod
    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> Any:  # noqa: ANN401 - of the kind of the value
        """The value with other values of some fields, of the same shape, and other attributes where it has any."""

    @abstractmethod
    def chosen(self, names: Sequence[str]) -> Any:  # noqa: ANN401 - as above
        """The value with some of its data alone, in this order."""

    @abstractmethod
    def renamed(self, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
        """The value with other names of some fields."""

    def taken(self, dim: str, positions: npt.NDArray[np.intp]) -> Any:  # noqa: ANN401 - as above
        """The value with some entries of a dimension, in this order.

        Raises
        ------
        FieldError
            It has no such dimension.
        """
        raise FieldError(f"{self.what} have no rows that could be left out or put into another order")

    def length(self, dim: str) -> int:
        """Number of entries of a dimension.

        Raises
        ------
        FieldError
            It has no such dimension.
        """
        for name in self.known():
            dims = self.dims(name)
            if dim in dims:
                return int(np.shape(self.values(name))[dims.index(dim)])
        dims_known = dict.fromkeys(each for name in self.known() for each in self.dims(name))
        raise FieldError(f"it has no dimension {dim!r}; it has {', '.join(dims_known) or 'none'}")

    def place(self, name: str, position: Sequence[int]) -> str:
        """A place in a field, for people: ``time=3, lat=0``."""
        return ", ".join(f"{dim}={at}" for dim, at in zip(self.dims(name), position, strict=True)) or "the only place"
