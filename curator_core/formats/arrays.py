"""What the arrays of a dataset hold and how they are cut, whatever library writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError

Array: TypeAlias = npt.NDArray[np.generic]

TEXT: Final = "string"
"""Type of an array of strings."""
CACHE_BYTES: Final = 64 << 20
"""Bytes of decoded chunks that a reader keeps."""
_STRING_BYTES = 64  # a guess, only to size what is read ahead


def fill_value(dtype: str) -> object:
    """What stands where there is no value: NaN, 0, ``False`` or an empty string."""
    return "" if dtype == TEXT else {"f": np.nan, "c": np.nan}.get(np.dtype(dtype).kind, 0)


def nonfinite_numbers(values: Array) -> tuple[int, int, int]:
    """How many numbers are NaN, positive and infinite, negative and infinite."""
    numbers: Any = values
    is_nan = np.isnan(numbers)
    n_infinite = int(np.count_nonzero(np.isinf(numbers) & ~is_nan))
    n_negative = int(np.count_nonzero(np.isneginf(numbers.real) & ~is_nan)) if n_infinite else 0
    return int(np.count_nonzero(is_nan)), n_infinite - n_negative, n_negative


def _is_storable(name: str) -> bool:
    """Whether arrays of a type are read as they were written: not objects, strings of no length, swapped bytes."""
    try:
        dtype = np.dtype(name)
    except TypeError:
        return False
    return dtype.isnative and dtype.kind in "biufcmMSU" and dtype.itemsize > 0 and dtype.char not in "gG"


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """An array whose first axis grows with the dataset: rows of structures, points, time steps or lines."""

    name: str
    """Path in the group."""
    dtype: str
    """Name of a NumPy type, or `TEXT`."""
    dims: tuple[str, ...]
    """Names of the axes, that of the rows first."""
    row_shape: tuple[int, ...] = ()
    """Shape of one row."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """What is said of the array, such as its unit."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` for a type that cannot be stored."""
        if not self.is_text and not _is_storable(self.dtype):
            raise ConfigError(
                f"The array {self.name!r} cannot be stored as {self.dtype!r}: give the name of a NumPy type such as "
                f"'float64', of the native byte order, or {TEXT!r} for strings of any length."
            )

    @property
    def is_text(self) -> bool:
        """Whether rows are strings rather than numbers."""
        return self.dtype == TEXT

    @property
    def row_bytes(self) -> int:
        """Size of one row in memory; a guess for strings."""
        return _STRING_BYTES if self.is_text else np.dtype(self.dtype).itemsize * prod(self.row_shape)
