"""Filter for NaN and infinite numbers: refused, masked, filled, or left out."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError
from curator_core.filters.values.fields import Array, FieldError, Fields
from curator_core.filters.values.stepwise import FieldFilter, Missing, present

logger = logging.getLogger("curator")

Mask = npt.NDArray[np.bool_]
Kind = Literal["nan", "inf"]
Action = Literal["fail", "mask", "fill", "drop"]

_EVERY = "*"


class NonFiniteFilter(FieldFilter):
    """NaN and infinite numbers, which are refused unless they are expected.

    Looks at the floating-point fields of every value: variables of datasets, columns of tables, arrays of mappings,
    arrays and results of structures.

    Parameters
    ----------
    action
        What is done with those that `allow` does not name. ``fail``: the item fails, with their number and the first
        place. ``mask``: infinite ones become NaN, which stands for what is missing. ``fill``: they become `fill_value`.
        ``drop``: the steps or rows that have one are left out, of a structure all of it; how many is logged.
    fields
        Names of the fields, coordinates among them; all of the data by default.
    allow
        What may be there, ``nan``, ``inf`` or both, by field or for all of them as ``*``: ``{"sst": "nan"}`` for a
        field that has no values on land. It is left as it is.
    max_fraction
        Largest share of numbers of a field of one value that are not finite, those that are allowed among them; for all
        or by field. Beyond it the item fails, whatever the action.
    fill_value
        For ``fill``: for all or by field.
    along
        For ``drop``: the dimension whose entries are left out; ``time`` of datasets and the rows of tables by default.
    missing
        ``fail``: an item without one of the `fields` fails. ``ignore``: it does not.

    Raises
    ------
    ConfigError
        ``fill`` has no fill value, or another action has one; `fields` names none; a share is none.
    """

    name: ClassVar[str] = "non_finite"
    description: ClassVar[str] = "NaN and infinite numbers refused, masked, filled or left out"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        action: Action = "fail",
        fields: Sequence[str] | None = None,
        *,
        allow: Mapping[str, Kind | Sequence[Kind]] | None = None,
        max_fraction: float | Mapping[str, float] | None = None,
        fill_value: float | Mapping[str, float] | None = None,
        along: str | None = None,
        missing: Missing = "fail",
    ) -> None:
        if (action == "fill") != (fill_value is not None):
            raise ConfigError(f"{self.name}: action='fill' needs a fill_value, and no other action has one.")
        if fields is not None and not fields:
            raise ConfigError(f"{self.name}: fields names none; leave it out for all of them.")
        if along is not None and action != "drop":
            raise ConfigError(f"{self.name}: along is for action='drop'.")
        shares = max_fraction.values() if isinstance(max_fraction, Mapping) else [max_fraction or 0.0]
        if not all(0.0 <= share <= 1.0 for share in shares):
            raise ConfigError(f"{self.name}: max_fraction must lie between 0 and 1, got {max_fraction!r}.")
        self._action, self._fields = action, None if fields is None else tuple(fields)
        self._allowed = {
            field: {kinds} if isinstance(kinds, str) else set(kinds) for field, kinds in (allow or {}).items()
        }
        for kinds in self._allowed.values():
            if not kinds <= {"nan", "inf"}:
                raise ConfigError(f"{self.name}: allow names 'nan' or 'inf', not {sorted(kinds)!r}.")
        self._max_fraction, self._fill_value, self._along = max_fraction, fill_value, along
        self.missing = missing

    def wanted(self) -> Collection[str]:
        options = (self._allowed, self._max_fraction, self._fill_value)
        named = [name for given in options if isinstance(given, Mapping) for name in given if name != _EVERY]
        return dict.fromkeys([*(self._fields or ()), *named])

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        found = list(self._found(fields))
        if self._action == "fail" and found:
            raise FieldError("; ".join(each.described(fields) for each in found))
        if self._action == "drop" and found:
            return self._without(fields, found)
        changed: dict[str, Array] = {}
        for each in found:
            array = each.changed(self._replacement(each))
            if array is not None:
                changed[each.name] = array
        return fields.replaced(changed) if changed else fields

    def _found(self, fields: Fields) -> Iterator[_NonFinite]:
        """The fields with numbers that are not finite and not allowed."""
        for name in fields.names() if self._fields is None else present(self._fields, fields):
            values = fields.values(name)
            if values.dtype.kind not in "fc":
                continue
            is_finite = np.isfinite(values)
            if is_finite.all():
                continue
            self._require_few(name, int(values.size - np.count_nonzero(is_finite)), values.size)
            allowed = self._allowed.get(name, self._allowed.get(_EVERY, set()))
            nan = np.isnan(values)
            bad = _NonFinite(name, values, nan & ("nan" not in allowed), ~is_finite & ~nan & ("inf" not in allowed))
            if bad.mask.any():
                yield bad

    def _require_few(self, name: str, n_bad: int, n_all: int) -> None:
        most = _for_field(self._max_fraction, name)
        if most is not None and n_bad > most * n_all:
            raise FieldError(
                f"field {name!r}: {n_bad:,} of {n_all:,} numbers are NaN or infinite, {n_bad / n_all:.3%}, and "
                f"max_fraction allows {most:.3%}"
            )

    def _replacement(self, found: _NonFinite) -> float | None:
        """What stands for bad numbers; ``None`` for NaN, which is there already where a number is NaN."""
        if self._action == "mask":
            return None
        value = _for_field(self._fill_value, found.name)
        if value is None:
            raise FieldError(f"{found.described(None)}, and fill_value has nothing for it")
        return value

    def _without(self, fields: Fields, found: Sequence[_NonFinite]) -> Any:  # noqa: ANN401 - as above
        dim = self._along or fields.row_dim
        if dim is None:  # a structure is left out as a whole
            logger.warning("%s: a value is left out: %s", self.name, found[0].described(fields))
            return None
        keep = np.ones(fields.length(dim), np.bool_)
        for each in found:
            dims = fields.dims(each.name)
            if dim not in dims:
                raise FieldError(
                    f"{each.described(fields)}, and it has no dimension {dim!r} along which to leave it out"
                )
            others = tuple(axis for axis, other in enumerate(dims) if other != dim)
            keep &= ~each.mask.any(axis=others)
        n_dropped = int(len(keep) - np.count_nonzero(keep))
        logger.warning("%s: %d of %d entries along %s are left out", self.name, n_dropped, len(keep), dim)
        return fields.taken(dim, np.flatnonzero(keep)) if keep.any() else None


@dataclass(frozen=True, slots=True)
class _NonFinite:
    """Numbers of a field that are not finite, and not allowed."""

    name: str
    values: Array
    nan: Mask
    infinite: Mask

    @property
    def mask(self) -> Mask:
        return self.nan | self.infinite

    def described(self, fields: Fields | None) -> str:
        """How many there are, and where the first is."""
        counts = ((self.nan, "NaN"), (self.infinite, "infinite"))
        found = " and ".join(f"{np.count_nonzero(mask):,} {what}" for mask, what in counts if mask.any())
        text = f"field {self.name!r}: {found} of {self.values.size:,} numbers"
        if fields is None:
            return text
        first = np.unravel_index(int(self.mask.argmax()), self.values.shape)
        return f"{text}, the first at {fields.place(self.name, [int(at) for at in first])}"

    def changed(self, replacement: float | None) -> Array | None:
        """Values with another number in their place; ``None`` where nothing changes."""
        bad, number = (self.infinite, np.nan) if replacement is None else (self.mask, replacement)
        if not bad.any():
            return None
        made = self.values.copy()
        with np.errstate(over="ignore"):
            cast = self.values.dtype.type(number)
        if np.isfinite(number) and not np.isfinite(cast):
            raise FieldError(f"field {self.name!r}: {self.values.dtype} does not hold the fill value {number!r}")
        made[bad] = cast
        return made


def _for_field(given: float | Mapping[str, float] | None, name: str) -> float | None:
    return given.get(name, given.get(_EVERY)) if isinstance(given, Mapping) else given
