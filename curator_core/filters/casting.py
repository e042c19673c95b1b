"""Filter that gives fields another type, if they lose no more than is allowed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from curator_core.errors import ConfigError
from curator_core.filters.values.fields import Array, FieldError, Fields
from curator_core.filters.values.stepwise import FieldFilter, Missing

logger = logging.getLogger("curator")

_EVERY = "*"
_KINDS = "biuf"


class CastFilter(FieldFilter):
    """Gives fields another numeric type.

    A number may not change by more than a bound. Numbers that become infinite, and NaN where the type has none, always
    fail the item; so does a fraction that an integer would lose, beyond the bound.

    Parameters
    ----------
    dtype
        The type, such as ``float32``, of all floating-point fields, or by field, with ``*`` for all others of them.
    max_relative
        By how much a number may change, as a share of itself; for all, or by field. By default by as much as the
        nearest number of the type differs: half a unit in its last place, and nothing for integers.
    max_absolute
        By how much it may change in addition, in its unit.
    on_loss
        ``fail``: an item that loses more fails. ``warn``: it is logged with the largest change.
    missing
        ``fail``: an item without one of the named fields fails. ``ignore``: it does not.

    Raises
    ------
    ConfigError
        A type is none of numbers, or a bound is negative.
    """

    name: ClassVar[str] = "cast"
    description: ClassVar[str] = "Fields in another numeric type, within a bound of what is lost"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        dtype: str | Mapping[str, str],
        *,
        max_relative: float | Mapping[str, float] | None = None,
        max_absolute: float | Mapping[str, float] = 0.0,
        on_loss: Literal["fail", "warn"] = "fail",
        missing: Missing = "fail",
    ) -> None:
        given = dtype if isinstance(dtype, Mapping) else {_EVERY: dtype}
        self._types = {name: self._numeric(text) for name, text in given.items()}
        if not self._types:
            raise ConfigError(f"{self.name}: dtype names no field.")
        self._max_relative, self._max_absolute = max_relative, max_absolute
        bounds = [
            b for each in (max_relative, max_absolute) for b in (each.values() if isinstance(each, Mapping) else [each])
        ]
        if any(bound is not None and not bound >= 0 for bound in bounds):
            raise ConfigError(f"{self.name}: a bound must be at least 0.")
        self._on_loss = on_loss
        self.missing = missing

    def _numeric(self, text: str) -> np.dtype[Any]:
        try:
            dtype = np.dtype(text)
        except TypeError:
            dtype = np.dtype(object)
        if dtype.kind not in _KINDS:
            raise ConfigError(f"{self.name}: {text!r} is no type of numbers, such as float32 or int16.")
        return dtype

    def wanted(self) -> Collection[str]:
        return [name for name in self._types if name != _EVERY]

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        changed: dict[str, Array] = {}
        for name in fields.known():
            values = fields.present(name)
            dtype = self._types.get(name)
            if dtype is None and name in fields.names() and values.dtype.kind == "f":
                dtype = self._types.get(_EVERY)
            if dtype is not None and dtype != values.dtype:
                made, missing = self._cast(fields, name, values, dtype), fields.missing(name)
                changed[name] = made if missing is None else np.ma.MaskedArray(made, missing)
        return fields.replaced(changed) if changed else fields

    def _cast(self, fields: Fields, name: str, values: Array, dtype: np.dtype[Any]) -> Array:
        if values.dtype.kind not in _KINDS:
            raise FieldError(f"field {name!r} is no number, but {values.dtype}")
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            nearest = np.rint(values) if values.dtype.kind == "f" and dtype.kind in "iu" else values
            made = nearest.astype(dtype)
        self._require_held(fields, name, values, made)
        error = _change(values, made)
        size = np.abs(np.nan_to_num(values.astype(np.longdouble), nan=0.0, posinf=0.0, neginf=0.0))
        relative = _bound(self._max_relative, name)
        if relative is None:
            relative = float(np.finfo(dtype).eps) / 2 if dtype.kind == "f" else 0.0
        floor = float(np.finfo(dtype).smallest_subnormal) if dtype.kind == "f" and self._max_relative is None else 0.0
        lost = error > relative * size + ((_bound(self._max_absolute, name) or 0.0) + floor)
        if lost.any():
            worst = int(error.argmax())
            text = (
                f"field {name!r}: as {dtype} {np.count_nonzero(lost):,} of {lost.size:,} numbers lose more than is "
                f"allowed, the most {values.ravel()[worst]!s}, which becomes {made.ravel()[worst]!s}"
            )
            if self._on_loss == "fail":
                raise FieldError(text)
            logger.warning("%s: %s", self.name, text)
        return made

    def _require_held(self, fields: Fields, name: str, values: Array, made: Array) -> None:
        """Raise `FieldError` for numbers that the type does not have at all."""
        if made.dtype.kind == "f":
            bad = ~np.isfinite(made) & _finite(values)
        elif made.dtype.kind == "b":
            bad = (values != 0) & (values != 1)
        else:
            bad = _beyond(values, np.iinfo(made.dtype))
        if bad.any():
            first = [int(at) for at in np.unravel_index(int(bad.argmax()), bad.shape)]
            raise FieldError(
                f"field {name!r}: {made.dtype} does not have {values[tuple(first)]!s}, at {fields.place(name, first)}, "
                f"and {int(np.count_nonzero(bad)) - 1:,} others"
            )


def _beyond(values: Array, info: np.iinfo[Any]) -> npt.NDArray[np.bool_]:
    """Which numbers an integer type does not have, but for their fractions."""
    if values.dtype.kind != "f":
        return np.asarray((values < info.min) | (values > info.max))
    nearest = np.rint(values.astype(np.float64))
    end = 2.0 ** info.max.bit_length()  # the largest integer may be no float, the one after it is
    return np.asarray(~np.isfinite(nearest) | (nearest < info.min) | (nearest >= end))


def _finite(values: Array) -> npt.NDArray[np.bool_]:
    return np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, np.bool_)


def _change(values: Array, made: Array) -> npt.NDArray[np.longdouble]:
    """By how much each number differs; those that are not finite do not."""
    with np.errstate(invalid="ignore"):
        change = np.abs(values.astype(np.longdouble) - made.astype(np.longdouble))
    return np.asarray(np.where(_finite(values), change, 0.0), np.longdouble)


def _bound(given: float | Mapping[str, float] | None, name: str) -> float | None:
    return given.get(name, given.get(_EVERY)) if isinstance(given, Mapping) else given
