"""Values of one variable as they are meant: what is missing, unsigned, packed, text.

References
----------
CF conventions 1.11, section 2.5.1 (missing data) and 8.1 (packed data); NetCDF users' guide, attribute conventions
(``_Unsigned``, ``valid_range``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Attributes = Mapping[str, Any]

ENCODING = frozenset(
    {"scale_factor", "add_offset", "_FillValue", "missing_value", "valid_min", "valid_max", "valid_range", "_Unsigned"}
)
"""Attributes that say how values are stored, and nothing about decoded ones."""

UNWRITTEN = {
    "i2": -32767,
    "u2": 65535,
    "i4": -2147483647,
    "u4": 4294967295,
    "i8": -9223372036854775806,
    "u8": 18446744073709551614,
    "f4": 9.969209968386869e36,
    "f8": 9.969209968386869e36,
}
"""What NetCDF leaves where nothing was written, by type, and what is missing then."""
UNWRITTEN_BYTES = {"i1": -127, "u1": 255}
"""The same of single bytes, in which these are values like any other."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+|inf(?:inity)?|nan)(?:e[-+]?\d+)?", re.IGNORECASE)
_TYPE_SUFFIX = "fFdDsSbBlLuU"  # of constants in CDL
_EXACT = 2**53  # float64 holds every integer up to here


class DecodingError(ValueError):
    """Values of a variable cannot be decoded; says which, and why."""


def require_room(size: int, max_size: int, smaller: str = "item='time'") -> None:
    """Make sure that an item is no larger in memory than its source allows.

    Parameters
    ----------
    size, max_size
        Bytes it takes, and bytes it may take.
    smaller
        What makes items of the source smaller.

    Raises
    ------
    DecodingError
        It is.
    """
    if size > max_size:
        raise DecodingError(
            f"it takes {size / 1e9:,.1f} GB in memory, and max_size allows {max_size / 1e9:,.1f} GB: choose variables, "
            f"{smaller}, or a larger max_size"
        )


@dataclass(frozen=True, slots=True)
class Packing:
    """How the values of a variable are stored.

    Parameters
    ----------
    name
        Of the variable, for messages.
    dtype
        Type of the stored values.
    attributes
        Of the variable.
    is_coordinate
        Whether it is that of a dimension: it has no valid range, since a place cannot be missing.
    unwritten
        What stands where nothing was written; ``None`` where that is a value like any other.
    """

    name: str
    dtype: np.dtype[Any]
    attributes: Attributes
    is_coordinate: bool = False
    unwritten: float | None = None

    @property
    def stored(self) -> np.dtype[Any]:
        """Type of the stored values as they are meant, in the byte order of this machine."""
        kinds = {("i", "true"): "u", ("u", "false"): "i"}
        text = str(self.attributes.get("_Unsigned", "")).lower()
        kind = kinds.get((self.dtype.kind, text), self.dtype.kind)
        return np.dtype(f"{kind}{self.dtype.itemsize}") if self.dtype.kind in "iuf" else self.dtype

    @property
    def is_packed(self) -> bool:
        """Whether values are numbers of something: scaled, shifted."""
        return "scale_factor" in self.attributes or "add_offset" in self.attributes

    @property
    def decoded(self) -> np.dtype[Any]:
        """Type of the decoded values, which does not depend on the values."""
        stored = self.stored
        if stored.kind not in "iuf" or (stored.kind == "f" and not self.is_packed):
            return stored
        if self.is_packed:
            return self._type_of_packing()
        if not any(name in self.attributes for name in ("_FillValue", "missing_value", *self._limits())):
            return stored
        return np.dtype(np.float32 if stored.itemsize <= 2 else np.float64)  # noqa: PLR2004 - 24 bits hold 16

    def _limits(self) -> tuple[str, ...]:
        return () if self.is_coordinate else ("valid_range", "valid_min", "valid_max")

    def _type_of_packing(self) -> np.dtype[Any]:
        types = {np.asarray(self._one(n)).dtype for n in ("scale_factor", "add_offset") if n in self.attributes}
        if types == {np.dtype(np.float32)} and self.stored.itemsize <= 4:  # noqa: PLR2004
            is_exact = self.stored.itemsize <= 2 or self.stored.kind == "f"  # noqa: PLR2004
            return np.dtype(np.float32 if is_exact else np.float64)
        return np.dtype(np.float64)

    def _one(self, name: str) -> Any:  # noqa: ANN401 - a number of any type
        given = self.attributes[name]
        if isinstance(given, str):
            numbers = list(_numbers(given))
            if len(numbers) != 1 or not np.isfinite(numbers[0]):
                raise DecodingError(f"variable {self.name!r}: its {name} {given!r} is no number")
            return numbers[0]
        values = np.atleast_1d(given)
        if values.size != 1 or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise DecodingError(f"variable {self.name!r}: its {name} {given!r} is not one number")
        return values[0]

    def as_meant(self, values: Array) -> Array:
        """Stored values in their type, contiguous."""
        native = values.astype(values.dtype.newbyteorder("="), order="C", copy=False)
        return native if native.dtype == self.stored else native.view(self.stored)

    def missing(self, values: Array) -> npt.NDArray[np.bool_] | None:
        """Which values of `as_meant` are missing; ``None`` for none of them."""
        found = [self._equal(values, number) for number in self._fill_values()]
        found += list(self._beyond(values, unpacked=False))
        masks = [mask for mask in found if mask is not None and mask.any()]
        return np.logical_or.reduce(masks) if masks else None

    def values(self, values: Array) -> Array:
        """Decode stored values.

        Raises
        ------
        DecodingError
            They cannot be decoded without loss.
        """
        values = self.as_meant(values)
        if values.dtype.kind not in "iuf":
            return values
        missing = self.missing(values)
        if self.decoded.kind != "f":
            if missing is not None and values.ndim:  # by no attribute of its own; a number alone carries attributes
                raise self._unwritten(missing)
            return values
        if not self.is_packed and values.dtype.kind == "f" and missing is None:
            return values
        self._require_exact(values, missing)
        decoded = values.astype(self.decoded)
        if self.is_packed:
            self._unpack(decoded)
            for mask in self._of_unpacked(decoded):
                decoded[mask] = np.nan
        if missing is not None:
            decoded[missing] = np.nan
        return decoded

    def _unpack(self, decoded: Array) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # of what is missing
            if "scale_factor" in self.attributes:
                np.multiply(decoded, self._one("scale_factor"), out=decoded, casting="same_kind")
            if "add_offset" in self.attributes:
                np.add(decoded, self._one("add_offset"), out=decoded, casting="same_kind")

    def _unwritten(self, missing: npt.NDArray[np.bool_]) -> DecodingError:
        return DecodingError(
            f"variable {self.name!r}: {np.count_nonzero(missing):,} of {missing.size:,} integers were never written: "
            f"they are NetCDF's {self.unwritten}, and the variable has no _FillValue. Leave it out with variables=, or "
            f"say what is missing with fill_values={{{self.name!r}: {self.unwritten}}}, or that nothing is, with None"
        )

    def _require_exact(self, values: Array, missing: npt.NDArray[np.bool_] | None) -> None:
        if self.is_packed or values.dtype.kind not in "iu" or values.dtype.itemsize < 8:  # noqa: PLR2004
            return
        present = values if missing is None else values[~missing]
        if present.size and (present.max() > _EXACT or (present.dtype.kind == "i" and present.min() < -_EXACT)):
            raise DecodingError(
                f"variable {self.name!r}: its integers are too large to stand beside missing ones, as float64. If "
                f"nothing is missing, say so with fill_values={{{self.name!r}: None}}"
            )

    def _fill_values(self) -> Iterator[float]:
        given = [self.attributes[name] for name in ("_FillValue", "missing_value") if name in self.attributes]
        for value in given:
            yield from _numbers(value)
        if self.unwritten is not None and "_FillValue" not in self.attributes:
            yield self.unwritten

    def _equal(self, values: Array, number: float) -> npt.NDArray[np.bool_] | None:
        """Which stored values are a number; ``None`` where the type has no such number."""
        if values.dtype.kind == "f":
            if np.isnan(number):
                return np.isnan(values)
            with np.errstate(over="ignore"):
                cast = values.dtype.type(number)
            return values == cast if np.isfinite(cast) or not np.isfinite(number) else None
        if not np.isfinite(number) or number != int(number):
            return None
        info, whole = np.iinfo(values.dtype), int(number)
        if whole < 0 and values.dtype.kind == "u":  # written as a signed number
            whole += 2 ** (8 * values.dtype.itemsize)
        return values == values.dtype.type(whole) if info.min <= whole <= info.max else None

    def _of_unpacked(self, decoded: Array) -> Iterator[npt.NDArray[np.bool_]]:
        """Where decoded values are missing by attributes that speak of them."""
        yield from self._beyond(decoded, unpacked=True)
        for number in _numbers(self.attributes.get("missing_value", "")):
            if np.isfinite(number) and self._equal(np.zeros(1, self.stored), number) is None:
                yield decoded == decoded.dtype.type(number)

    def _beyond(self, values: Array, *, unpacked: bool) -> Iterator[npt.NDArray[np.bool_]]:
        """Where values lie outside the valid range, if the range is one of such values."""
        for name in self._limits():
            if name not in self.attributes or self._is_of_unpacked(name) != unpacked:
                continue
            numbers = [self._limit(number, values.dtype) for number in _numbers(self.attributes[name])]
            if name == "valid_range" and len(numbers) != 2:  # noqa: PLR2004
                continue
            if numbers and numbers[0] > numbers[-1]:
                raise DecodingError(
                    f"variable {self.name!r}: its {name} {self.attributes[name]!r} ends before it begins, so that no "
                    "value lies in it. Leave the variable out with variables=, or mend the attribute"
                )
            if numbers and name != "valid_max":
                yield values < numbers[0]
            if numbers and name != "valid_min":
                yield values > numbers[-1]

    def _is_of_unpacked(self, name: str) -> bool:
        """Whether a range is one of decoded values: it is of their type, not of the stored one."""
        kind = np.asarray(self.attributes[name]).dtype.kind
        return self.is_packed and kind == "f" and self.dtype.kind in "iu"

    def _limit(self, number: float, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 - a number
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return dtype.type(number)
        if number < 0 and dtype.kind == "u" and self.dtype.kind == "i":
            return number + 2 ** (8 * dtype.itemsize)
        return number


def text(values: Array, encoding: str = "utf-8") -> Array:
    """Characters along the last dimension as text; bytes that are no UTF-8 are Latin-1."""
    shape = values.shape[:-1]
    if not values.size:
        return np.full(shape, "", dtype="U1")
    joined = values.astype("S1", order="C").reshape(*shape, -1).view(f"S{values.size // prod(shape)}")
    return np.array([text_of(item, encoding) for item in joined.ravel().tolist()], dtype=np.str_).reshape(shape)


def text_of(content: object, encoding: str = "utf-8") -> str:
    """One value of a variable of texts: bytes decoded, those that are no text in the encoding as Latin-1."""
    if not isinstance(content, bytes):
        return "" if content is None else str(content)
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return content.decode("latin-1")


def _numbers(given: object) -> Iterator[float]:
    """Numbers that an attribute holds, also as text; what is none cannot be the value of a variable."""
    if isinstance(given, str):
        for word in re.split(r"[,\s]+", given.strip()):
            bare = word.rstrip(_TYPE_SUFFIX)
            for candidate in (word, bare):
                if _NUMBER.fullmatch(candidate):
                    yield float(candidate)
                    break
        return
    values = np.atleast_1d(np.asarray(given))
    if values.dtype.kind in "iuf":
        yield from values.tolist()
