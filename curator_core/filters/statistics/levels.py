"""Fields of a dataset level by level, or along whatever dimensions are named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final

import numpy as np

from curator_core.filters.statistics.exact_sums import Reals
from curator_core.filters.statistics.fields import numeric_fields
from curator_core.filters.values.fields import Fields
from curator_core.filters.values.kinds import fields_of

_PLACE: Final = re.compile(r"\[([^\[\]]*)\](?=(?:\.(?:real|imag))?\Z)")


class Levels:
    """Divides fields along dimensions: ``t[level=850]`` is the field ``t`` where ``level`` is 850.

    Fields without any of the dimensions stay as they are; a coordinate that is one number has its place, too.

    Parameters
    ----------
    dims
        Names of the dimensions.
    """

    def __init__(self, dims: Sequence[str]) -> None:
        self.dims = tuple(dims)

    def fields(self, value: object, chosen: frozenset[str] | None) -> Iterator[tuple[str, Reals]]:
        """Names and numbers of the fields of a value, see `numeric_fields`.

        Raises
        ------
        FieldError
            The value is nothing that has fields, or a chosen one is not numeric.
        """
        fields = fields_of(value)
        for name in fields.names():
            if chosen is not None and name not in chosen:
                continue
            array, dims = fields.values(name), fields.dims(name)
            along = [dim for dim in self.dims if dim in dims]
            fixed = [f"{dim}={_labels(fields, dim)[0]}" for dim in self._single(fields, name) if dim not in along]
            labels = [[f"{dim}={label}" for label in _labels(fields, dim)] for dim in along]
            for positions in product(*(range(len(each)) for each in labels)):
                place = [each[at] for each, at in zip(labels, positions, strict=True)] + fixed
                index: list[Any] = [slice(None)] * len(dims)
                for dim, at in zip(along, positions, strict=True):
                    index[dims.index(dim)] = at
                full = f"{name}[{','.join(place)}]" if place else name
                yield from numeric_fields({full: array[tuple(index)]}, None if chosen is None else frozenset({full}))

    def _single(self, fields: Fields, name: str) -> list[str]:
        """Dimensions of which a field has one place, that a coordinate without dimensions says."""
        known = set(fields.known()) - set(fields.names())
        return [dim for dim in self.dims if dim in known and not fields.dims(dim)]


def _labels(fields: Fields, dim: str) -> list[str]:
    """Names of the entries of a dimension: the values of its coordinate, else their positions."""
    if dim not in fields.known():
        return [str(at) for at in range(fields.length(dim))]
    return [label_of(value) for value in np.atleast_1d(fields.values(dim))]


def label_of(value: Any) -> str:  # noqa: ANN401 - a number or a text
    """Name of an entry of a dimension, given its coordinate: numbers of any type that are equal have the same."""
    return str(int(value)) if isinstance(value, np.floating) and value == np.rint(value) else str(value)


def place_of(field: str) -> tuple[str, dict[str, str]]:
    """Name of a field without its place, and the place by dimension."""
    found = _PLACE.search(field)
    if found is None:
        return field, {}
    pairs = (part.partition("=") for part in found[1].split(","))
    return field[: found.start()] + field[found.end() :], {dim: label for dim, _, label in pairs}
