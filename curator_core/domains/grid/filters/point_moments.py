"""Count, mean, variance and extremes of a variable at every point of a grid, over all else that it varies along."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_FORMAT: Final = "curator-point-statistics-1"
_DAMAGED: Final = (zipfile.BadZipFile, OSError, EOFError, KeyError, TypeError)


@dataclass(slots=True)
class PointMoments:
    """What is known of one variable, ``(*kept)`` each."""

    dims: tuple[str, ...]
    """The dimensions that are kept."""
    over: tuple[str, ...]
    """Those that are not."""
    units: str
    """Of the values; empty where nothing says so."""
    count: npt.NDArray[np.int64]
    """Finite numbers."""
    mean: Floats
    """Their mean; 0 without any."""
    squares: Floats
    """Sum of the squares of their differences from it."""
    minimum: Floats
    """Infinite without any."""
    maximum: Floats
    """The same, negative."""

    @classmethod
    def of(cls, values: npt.NDArray[Any], dims: Sequence[str], keep: Collection[str], units: str) -> PointMoments:
        """What an array says, ``(*dims)``."""
        axes = tuple(axis for axis, dim in enumerate(dims) if dim not in keep)
        numbers = np.asarray(values, np.float64)
        is_finite = np.isfinite(numbers)
        count = np.asarray(is_finite.sum(axis=axes, dtype=np.int64))
        n = np.maximum(count, 1)
        mean = np.sum(numbers, axis=axes, where=is_finite) / n
        apart = numbers - np.expand_dims(mean, axes)
        return cls(
            dims=tuple(dim for dim in dims if dim in keep),
            over=tuple(dim for dim in dims if dim not in keep),
            units=units,
            count=count,
            mean=mean,
            squares=np.sum(apart * apart, axis=axes, where=is_finite),
            minimum=np.min(numbers, axis=axes, where=is_finite, initial=np.inf),
            maximum=np.max(numbers, axis=axes, where=is_finite, initial=-np.inf),
        )

    def merge(self, other: PointMoments) -> None:
        """Take in what `other` has.

        Raises
        ------
        ValueError
            It is of other dimensions, another grid, or in another unit.

        References
        ----------
        T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
        variances", COMPSTAT 1982, 30.
        """
        for what in ("dims", "over", "units"):
            if getattr(self, what) != getattr(other, what):
                raise ValueError(f"its {what} are {getattr(other, what)!r}, and {getattr(self, what)!r} before")
        if self.count.shape != other.count.shape:
            raise ValueError(f"it has {other.count.shape} points, and {self.count.shape} before")
        total = self.count + other.count
        n = np.maximum(total, 1)
        apart = other.mean - self.mean
        self.squares += other.squares + apart * apart * (self.count * (other.count / n))
        self.mean += np.where(other.count == total, apart, apart * (other.count / n))
        self.count = total
        self.minimum = np.minimum(self.minimum, other.minimum)
        self.maximum = np.maximum(self.maximum, other.maximum)

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Count, mean, variance (``ddof=0``), standard deviation and extremes; NaN without numbers."""
        is_there = self.count > 0
        variance = self.squares / np.maximum(self.count, 1)
        found = {
            "mean": self.mean,
            "variance": variance,
            "std": np.sqrt(variance),
            "min": self.minimum,
            "max": self.maximum,
        }
        return {"count": self.count} | {name: np.where(is_there, values, np.nan) for name, values in found.items()}


@dataclass(slots=True)
class PointState:
    """What is known of all variables, and where their points are."""

    fields: dict[str, PointMoments]
    """By name."""
    places: dict[str, tuple[npt.NDArray[Any], dict[str, str]]]
    """Coordinates of the dimensions that are kept, and what is said of them, by name."""

    def merge(self, other: PointState) -> None:
        """Take in what `other` has.

        Raises
        ------
        ValueError
            It is on another grid.
        """
        for dim, (values, about) in other.places.items():
            held = self.places.setdefault(dim, (values, about))[0]
            if not np.array_equal(held, values):
                raise ValueError(f"its {dim!r} is not that of the items before: regrid or crop them to one grid first")
        for name, found in other.fields.items():
            if name in self.fields:
                self.fields[name].merge(found)
            else:
                self.fields[name] = found

    def to_bytes(self) -> bytes:
        """What `from_bytes` takes, the same for the same values."""
        arrays: dict[str, Any] = {}
        head: dict[str, Any] = {"format": _FORMAT, "fields": [], "places": []}
        for number, (name, field) in enumerate(sorted(self.fields.items())):
            head["fields"].append([name, field.dims, field.over, field.units])
            arrays |= {f"{number}.{what}": getattr(field, what) for what in _ARRAYS}
        for number, (dim, (values, about)) in enumerate(sorted(self.places.items())):
            head["places"].append([dim, about])
            arrays[f"place.{number}"] = values
        file = io.BytesIO()
        np.savez_compressed(file, head=np.array(json.dumps(head)), **arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> PointState:
        """Restore what `to_bytes` gave.

        Raises
        ------
        ValueError
            It did not.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                head: Mapping[str, Any] = json.loads(str(arrays["head"]))
                if head["format"] != _FORMAT:
                    raise ValueError(f"its format is {head['format']!r}")
                fields = {
                    name: PointMoments(
                        tuple(dims), tuple(over), units, **{what: arrays[f"{number}.{what}"] for what in _ARRAYS}
                    )
                    for number, (name, dims, over, units) in enumerate(head["fields"])
                }
                places = {dim: (arrays[f"place.{n}"], about) for n, (dim, about) in enumerate(head["places"])}
        except _DAMAGED as exc:
            raise ValueError(f"it is damaged: {exc}") from exc
        return cls(fields, places)


_ARRAYS: Final = ("count", "mean", "squares", "minimum", "maximum")
