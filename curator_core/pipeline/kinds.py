"""Values that JSON has no kind for, and the tagged form in which configurations and files hold them."""

from __future__ import annotations

import datetime as dt
import math
import re
import sys
import uuid
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

Json = Any
_FRACTION = re.compile(r"[+-]?\d+(?:/\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value."""

    tag: str
    """Name of the entry that holds it."""
    matches: Callable[[Any], bool]
    """Whether a value is of this kind."""
    encode: Callable[[Any], Json]
    """What the entry holds."""
    decode: Callable[[Json], Any]
    """The value again; an error of Python's own where the entry holds something else."""


def _exactly(*types: type) -> Callable[[Any], bool]:
    return lambda value: type(value) in types


def _datetime(value: dt.datetime) -> Json:
    zone = value.tzinfo
    if isinstance(zone, zoneinfo.ZoneInfo) and zone.key:
        return {"local": value.replace(tzinfo=None).isoformat(), "zone": zone.key, "fold": value.fold}
    return {"local": value.isoformat(), "fold": 1} if value.fold else value.isoformat()


def _restored_datetime(content: Json) -> dt.datetime:
    if isinstance(content, str):
        return dt.datetime.fromisoformat(content)
    local = dt.datetime.fromisoformat(content["local"])
    if "zone" not in content:
        return local.replace(fold=content["fold"])
    return local.replace(tzinfo=zoneinfo.ZoneInfo(content["zone"]), fold=content["fold"])


def _time(value: dt.time) -> Json:
    return {"local": value.isoformat(), "fold": 1} if value.fold else value.isoformat()


def _restored_time(content: Json) -> dt.time:
    if isinstance(content, str):
        return dt.time.fromisoformat(content)
    return dt.time.fromisoformat(content["local"]).replace(fold=content["fold"])


def _zone(value: zoneinfo.ZoneInfo) -> Json:
    if not value.key:
        raise TypeError("a time zone without a name")
    return value.key


def _restored_fraction(content: Json) -> Fraction:
    if not _FRACTION.fullmatch(content):  # 1e999999999 would be written out
        raise ValueError(content)
    return Fraction(content)


def _restored_pattern(content: Json) -> re.Pattern[str]:
    try:
        return re.compile(content["pattern"], content["flags"])
    except re.error as exc:
        raise ValueError(str(exc)) from exc


def _is_whole_slice(value: object) -> bool:
    ends = (value.start, value.stop, value.step) if type(value) is slice else ("",)
    return all(end is None or type(end) is int for end in ends)


def _is_numpy(name: str) -> Callable[[Any], bool]:
    def matches(value: object) -> bool:
        numpy = sys.modules.get("numpy")
        return numpy is not None and isinstance(value, getattr(numpy, name))

    return matches


def is_array(value: object) -> bool:
    """Whether a value is a NumPy array of numbers or texts whose data is all of it: one with a mask has more."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and not isinstance(value, numpy.ma.MaskedArray)


def _scalar(value: Any) -> Json:  # noqa: ANN401 - NumPy need not be there
    kind = value.dtype.kind
    if kind in "Mm":
        content: Json = int(value.view("i8"))
    elif kind == "c":
        content = [repr(float(value.real)), repr(float(value.imag))]
    elif kind == "f":
        content = repr(value.item()) if value.dtype.itemsize <= 8 else str(value)  # noqa: PLR2004 - beyond a double
    elif kind == "S":
        content = bytes(value).hex()
    elif kind in "biuU":
        content = value.item()
    else:
        raise TypeError(f"a NumPy scalar of type {value.dtype}")
    return {"dtype": value.dtype.str, "value": content}


def _restored_scalar(content: Json) -> Any:  # noqa: ANN401 - as above
    import numpy as np  # noqa: PLC0415 - the core does without

    dtype, value = np.dtype(content["dtype"]), content["value"]
    if dtype.kind not in "biufcMmSU":
        raise TypeError(dtype)
    if dtype.kind in "Mm":
        return np.int64(value).view(dtype)
    if dtype.kind == "c":
        return dtype.type(complex(float(value[0]), float(value[1])))
    if dtype.kind == "S":
        value = bytes.fromhex(value)
    return dtype.type(value)


def _dtype(value: Any) -> Json:  # noqa: ANN401 - as above
    return value.str if value.names is None and value.subdtype is None else value.descr


def _restored_dtype(content: Json) -> Any:  # noqa: ANN401 - as above
    import numpy as np  # noqa: PLC0415 - as above

    return np.dtype(content if isinstance(content, str) else [_field(field) for field in content])


def _field(field: list[Any]) -> tuple[Any, ...]:
    return (field[0], field[1], *(tuple(shape) for shape in field[2:]))


_TYPES = {kind.__name__: kind for kind in (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)}


def _is_plain_type(value: object) -> bool:
    return isinstance(value, type) and (value in _TYPES.values() or _is_scalar_type(value))


def _is_scalar_type(value: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(value, numpy.generic) and getattr(numpy, value.__name__, None) is value


def _restored_type(content: Json) -> type:
    if content in _TYPES:
        return _TYPES[content]
    import numpy as np  # noqa: PLC0415 - as above

    found = getattr(np, content.removeprefix("numpy."), None)
    if not (content.startswith("numpy.") and isinstance(found, type) and issubclass(found, np.generic)):
        raise ValueError(content)
    return found


KINDS = (
    Kind("$scalar", _is_numpy("generic"), _scalar, _restored_scalar),
    Kind("$float", lambda v: type(v) is float and not math.isfinite(v), repr, float),
    Kind("$bytes", _exactly(bytes), bytes.hex, bytes.fromhex),
    Kind("$bytearray", _exactly(bytearray), bytearray.hex, bytearray.fromhex),
    Kind("$complex", _exactly(complex), lambda v: [repr(v.real), repr(v.imag)], lambda c: complex(*map(float, c))),
    Kind("$datetime", _exactly(dt.datetime), _datetime, _restored_datetime),
    Kind("$date", _exactly(dt.date), dt.date.isoformat, dt.date.fromisoformat),
    Kind("$time", _exactly(dt.time), _time, _restored_time),
    Kind("$zone", _exactly(zoneinfo.ZoneInfo), _zone, zoneinfo.ZoneInfo),
    Kind(
        "$timedelta",
        _exactly(dt.timedelta),
        lambda v: {"days": v.days, "seconds": v.seconds, "microseconds": v.microseconds},
        lambda c: dt.timedelta(**c),
    ),
    Kind("$slice", _is_whole_slice, lambda v: [v.start, v.stop, v.step], lambda c: slice(*c)),
    Kind("$range", _exactly(range), lambda v: [v.start, v.stop, v.step], lambda c: range(*c)),
    Kind("$decimal", _exactly(Decimal), str, Decimal),
    Kind("$fraction", _exactly(Fraction), str, _restored_fraction),
    Kind("$uuid", _exactly(uuid.UUID), str, uuid.UUID),
    Kind(
        "$pattern",
        lambda v: isinstance(v, re.Pattern) and isinstance(v.pattern, str),
        lambda v: {"pattern": v.pattern, "flags": v.flags},
        _restored_pattern,
    ),
    Kind("$dtype", _is_numpy("dtype"), _dtype, _restored_dtype),
    Kind(
        "$type", _is_plain_type, lambda v: v.__name__ if v in _TYPES.values() else f"numpy.{v.__name__}", _restored_type
    ),
)
"""Every kind, the first that matches counts."""

BY_TAG = {kind.tag: kind for kind in KINDS}


def kind_of(value: object) -> Kind | None:
    """The kind of a value that JSON has none for."""
    return next((kind for kind in KINDS if kind.matches(value)), None)
