"""Where a ragged dataset has NaN and infinite numbers, by variable and item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from curator_core.errors import ComponentError, ObjectStoreError
from curator_core.formats.arrays import ArraySpec, nonfinite_numbers
from curator_core.storage.base import OutputLocation

if TYPE_CHECKING:
    from curator_core.datasets.verifying import RaggedFiles

_FLOATING: Final = ("float16", "float32", "float64", "complex64", "complex128")


@dataclass(frozen=True, slots=True)
class NonFiniteCount:
    """Numbers of an item in a variable that are not finite."""

    variable: str
    """The variable."""
    key: str
    """Key of the item."""
    n_nan: int
    """How many are NaN; complex ones of which a part is."""
    n_positive: int
    """How many are infinite and positive."""
    n_negative: int
    """How many are infinite and negative."""
    n_values: int
    """How many numbers the item has in it."""


def nonfinite_counts(location: OutputLocation) -> Iterator[NonFiniteCount]:
    """Count the numbers that are not finite, variable by variable, of the items that have some.

    A value that a sample lacks is no NaN, and is not counted. One array of a segment is in memory at a time.

    Parameters
    ----------
    location
        A dataset of format version 2.

    Raises
    ------
    ComponentError
        It is none, or damaged.
    """
    from curator_core.datasets.verifying import RaggedFiles  # noqa: PLC0415 - needs zarr, as tables do not
    from curator_core.formats.shard_files import DAMAGED  # noqa: PLC0415 - as above

    files = RaggedFiles(location)
    for name, spec in files.arrays.items():
        dtype = files.dtype(name)
        if dtype in _FLOATING:
            for segment in range(len(files.tables.segment_ids)):
                try:
                    yield from _of_segment(files, ArraySpec(name, dtype, spec.dims, spec.row_shape), segment)
                except ObjectStoreError:  # no damage
                    raise
                except (*DAMAGED, OSError) as exc:
                    raise ComponentError(
                        f"The dataset {location.path} is damaged: {name} cannot be counted: {exc}", file=location.path
                    ) from exc


def _of_segment(files: RaggedFiles, spec: ArraySpec, segment: int) -> Iterator[NonFiniteCount]:
    tables, axis = files.tables, spec.dims[0]
    column = list(files.arrays).index(spec.name)
    if not tables.checksums[segment, column]:  # no item of the segment has a value
        return
    values = files.decoded(spec, segment)
    values = values.reshape(len(values), -1)
    is_there = _presence(files, spec, segment)
    items = np.flatnonzero(tables.segment == segment)
    stops = np.cumsum(tables.rows[axis][items])
    for item, start, stop in zip(items.tolist(), stops - tables.rows[axis][items], stops, strict=True):
        own = values[start:stop] if is_there is None else values[start:stop][is_there[start:stop]]
        counts = nonfinite_numbers(own)
        if any(counts):
            yield NonFiniteCount(spec.name, tables.keys[item], *counts, own.size)


def _presence(files: RaggedFiles, spec: ArraySpec, segment: int) -> npt.NDArray[np.bool_] | None:
    """Which rows have a value; ``None`` where all have."""
    layout, axis = files.layout, files.layout.by_name[spec.dims[0]]
    present = layout.presence(spec.name)
    if present.name not in files.arrays:
        return None
    found = np.asarray(files.decoded(present, segment), np.bool_)
    if axis is layout.main:
        return found
    return np.repeat(found, files.decoded(layout.structure[axis.count], segment).astype(np.int64))
