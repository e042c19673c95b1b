"""What a field of a GRIB file is: variable, level, time, by the keys of ecCodes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import eccodes

from curator_core.domains.grid.decoding import DecodingError
from curator_core.domains.grid.grib.messages import Field

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - GRIB knows no other zone than UTC
_UNKNOWN = "unknown"
_NAMELESS = "parameter"
_OF_ANY_CONSTITUENT = range(400_000, 500_000, 1000)  # parameters that have their name whatever the constituent is
_MISSING_CODE = 255
_NONE = 2**31 - 1  # of a number that a message does not give
_PLAIN_LEVELS = frozenset({"surface", "meanSea", _UNKNOWN})
_SINGLE_LEVELS = {"heightAboveGround": "m", "heightAboveSea": "m_above_sea"}
_EXACT_BITS = 24  # float32 holds them
_OF_MEMBERS = {0: "ens_mean", 1: "ens_weighted_mean", 2: "ens_std", 4: "ens_spread", 8: "ens_min", 9: "ens_max"}
"""What is derived from all members (code table 4.7): one parameter with its own."""
_OF_AREAS = {0: "area_mean", 1: "area_sum", 2: "area_max", 3: "area_min", 6: "area_std"}
"""What was computed of the values around a point (code table 4.10, of product definition 15)."""
NO_PART = -1
"""In place of the number of a direction or frequency, of a field that is no part of a spectrum."""
_OF_DATA_TYPE = {"em": "ens_mean", "es": "ens_std"}  # of ECMWF, also in edition 1


@dataclass(frozen=True, slots=True)
class Header:
    """What the field at a place of the file is."""

    field: int
    """Position among the fields."""
    name: str
    """Of its variable: of the parameter, with the kind of level where that is no surface."""
    param: int
    step_type: str
    level_type: str
    grid: bytes
    member: int | None
    time: int
    """Microseconds since 1970, of the reference time."""
    lead: int
    """Seconds from the reference time to its end."""
    start: int
    """Seconds from the reference time to the start of its period; `lead` where it is of one moment."""
    level: tuple[float, float]
    """Of layers, top and bottom."""
    direction: int
    """Number of the direction in a spectrum of waves; -1 of what is none."""
    frequency: int
    """Number of the frequency, likewise."""
    n_points: int
    is_wide: bool
    """Whether its values need 64 bits."""
    version: str | None
    """Of the experiment: ``0005`` of values that will be replaced."""

    @property
    def has_levels(self) -> bool:
        """Whether the level is a dimension."""
        return self.level_type not in _PLAIN_LEVELS and self.level_type not in _SINGLE_LEVELS

    @property
    def slot(self) -> tuple[int, int, int, tuple[float, float], int, int]:
        """Its place in its variable."""
        member = -1 if self.member is None else self.member
        return (member, self.time, self.lead, self.level, self.direction, self.frequency)


@contextmanager
def handle_of(field: Field) -> Iterator[int]:
    """The field, as ecCodes takes it.

    Raises
    ------
    DecodingError
        ecCodes cannot use it.
    """
    try:
        handle = eccodes.codes_new_from_message(field.content)
    except eccodes.CodesInternalError as exc:
        raise error_of(field, exc) from exc
    try:
        yield handle
    except eccodes.CodesInternalError as exc:
        raise error_of(field, exc) from exc
    finally:
        eccodes.codes_release(handle)


def error_of(field: Field, reason: object) -> DecodingError:
    """The error of a field, which names its message."""
    return DecodingError(f"message {field.number} at byte {field.offset:,} cannot be decoded: {reason}")


def key_of(handle: int, key: str, default: Any = None, kind: type | None = None) -> Any:  # noqa: ANN401 - of any type
    """Value of a key; a default where the message has none."""
    try:
        return eccodes.codes_get(handle, key, kind)
    except eccodes.CodesInternalError:
        return default


def difference(one: Field, other: Field) -> str:
    """Keys, of those by which archives know a field, that two fields have different values of."""
    with handle_of(one) as first, handle_of(other) as second:
        found = dict(_archived(first))
        keys = [f"{key} {found.get(key)!r}, {value!r}" for key, value in _archived(second) if found.get(key) != value]
    return "; ".join(keys) or "no key of MARS does"


def _archived(handle: int) -> Iterator[tuple[str, str]]:
    iterator = eccodes.codes_keys_iterator_new(handle, "mars")
    try:
        while eccodes.codes_keys_iterator_next(iterator):
            key = eccodes.codes_keys_iterator_get_name(iterator)
            yield key, str(key_of(handle, key, kind=str))
    finally:
        eccodes.codes_keys_iterator_delete(iterator)


def header_of(position: int, field: Field, keys: Mapping[str, Collection[str]]) -> Header | None:
    """Read what a field is; ``None`` where one of its keys has none of the wanted values."""
    with handle_of(field) as handle:
        if any(str(key_of(handle, key, kind=str)) not in values for key, values in keys.items()):
            return None
        level_type = str(key_of(handle, "typeOfLevel", _UNKNOWN))
        level = float(key_of(handle, "level", 0.0, float))
        bottom = float(key_of(handle, "bottomLevel", level, float)) if "Layer" in level_type else level
        step_type = str(key_of(handle, "stepType", "instant"))
        lead, start = _steps(handle)
        return Header(
            field=position,
            name=_name(handle, level_type, step_type, level),
            param=int(key_of(handle, "paramId", 0)),
            step_type=step_type,
            level_type=level_type,
            grid=field.grid,
            member=_member(handle),
            time=_time(handle, field),
            lead=lead,
            start=lead if step_type == "instant" else start,
            level=(level, bottom),
            direction=int(key_of(handle, "directionNumber", NO_PART)),
            frequency=int(key_of(handle, "frequencyNumber", NO_PART)),
            n_points=int(key_of(handle, "numberOfDataPoints", 0) or key_of(handle, "numberOfValues", 0)),
            is_wide=_is_wide(handle),
            version=key_of(handle, "experimentVersionNumber", kind=str),
        )


def _is_wide(handle: int) -> bool:
    """Whether more bits are packed than float32 holds; IEEE numbers have no width but their precision."""
    if str(key_of(handle, "packingType", "")).endswith("_ieee"):
        return int(key_of(handle, "precision", 1)) != 1
    return int(key_of(handle, "bitsPerValue", 0)) > _EXACT_BITS


def time_of(field: Field) -> int | None:
    """Microseconds from 1970 to the reference time in a field's message; ``None`` where it has none."""
    year = int.from_bytes(field.date[:2], "big")
    try:
        return (datetime(year, *field.date[2:7]) - _EPOCH) // timedelta(microseconds=1)  # noqa: DTZ001
    except ValueError:
        return None


def _name(handle: int, level_type: str, step_type: str, level: float) -> str:
    short = str(key_of(handle, "cfVarName", _UNKNOWN))
    if short == _UNKNOWN:
        short = str(key_of(handle, "shortName", _UNKNOWN))
    if short == _UNKNOWN:
        numbers: tuple[str, ...] = ("discipline", "parameterCategory", "parameterNumber")
        if key_of(handle, "edition") == 1:
            numbers = ("table2Version", "indicatorOfParameter")
        short = "_".join([_NAMELESS, *(str(key_of(handle, key, "x")) for key in numbers)])
    name = re.sub(r"\W", "_", short)
    own_level = str(key_of(handle, "shortName", ""))[:1].isdigit()  # as of 2t, 10u
    if level_type in _SINGLE_LEVELS and not own_level:
        name += f"_{level:g}{_SINGLE_LEVELS[level_type]}".replace(".", "p")
    elif level_type not in _PLAIN_LEVELS and not own_level:
        name += f"_{level_type}"
    if step_type not in ("instant", "accum") and not name.startswith(step_type):
        name += f"_{step_type}"
    is_of_any = short.startswith(_NAMELESS) or int(key_of(handle, "paramId", 0)) in _OF_ANY_CONSTITUENT
    return "_".join([name, *_derived(handle), *(_constituent(handle) if is_of_any else ())])


def _derived(handle: int) -> Iterator[str]:
    """What a field is of its parameter where it is not the parameter itself: spread of members, a percentile."""
    kind = key_of(handle, "derivedForecast")
    if kind is not None:
        yield _OF_MEMBERS.get(int(kind), f"derived{kind}")
    elif (data_type := str(key_of(handle, "dataType", ""))) in _OF_DATA_TYPE:
        yield _OF_DATA_TYPE[data_type]
    around = key_of(handle, "statisticalProcess", _MISSING_CODE, int)
    if around != _MISSING_CODE:
        yield _OF_AREAS.get(around, f"area{around}")
    percentile = key_of(handle, "percentileValue")
    if percentile is not None:
        yield f"p{percentile}"
    if key_of(handle, "probabilityType") is not None:
        yield f"probability{key_of(handle, 'probabilityType', kind=int)}"
        for limit in ("Lower", "Upper"):
            value = key_of(handle, f"scaledValueOf{limit}Limit", _NONE, int)
            scale = key_of(handle, f"scaleFactorOf{limit}Limit", _NONE, int)
            if _NONE not in (value, scale):
                yield re.sub(
                    r"\W", "_", f"{limit.lower()}{value * 10.0**-scale:g}".replace("-", "minus").replace(".", "p")
                )


def _constituent(handle: int) -> Iterator[str]:
    """What a parameter is of that has no name of its own: constituent or aerosol, sizes of particles, wavelengths."""
    for key in ("constituentType", "aerosolType"):
        number = key_of(handle, key)
        if number is not None:
            known = str(key_of(handle, "chemShortName", _UNKNOWN))
            yield f"{key.removesuffix('Type')}{number}" if known == _UNKNOWN else re.sub(r"\W", "_", known)
            break
    for part, unit, factor in (("Size", "um", 1e6), ("Wavelength", "nm", 1e9)):
        for which in ("First", "Second"):
            value = key_of(handle, f"scaledValueOf{which}{part}", _NONE, int)
            scale = key_of(handle, f"scaleFactorOf{which}{part}", _NONE, int)
            if value not in (0, _NONE) and scale != _NONE:
                yield f"{value * 10.0**-scale * factor:g}{unit}".replace(".", "p").replace("-", "minus")


def _member(handle: int) -> int | None:
    number = int(key_of(handle, "perturbationNumber", 0))
    size = int(key_of(handle, "numberOfForecastsInEnsemble", 0))
    return number if number or size > 1 else None


def _time(handle: int, field: Field) -> int:
    date, time = int(key_of(handle, "dataDate")), int(key_of(handle, "dataTime", 0))
    try:
        moment = datetime(date // 10000, date // 100 % 100, date % 100, time // 100, time % 100)  # noqa: DTZ001
    except ValueError as exc:
        raise error_of(field, f"its reference time, {date:08d} {time:04d}, is no date: {exc}") from exc
    seconds = int(key_of(handle, "second", 0))
    return (moment - _EPOCH + timedelta(seconds=seconds)) // timedelta(microseconds=1)


def _steps(handle: int) -> tuple[int, int]:
    """End and start of its period, in seconds from the reference time."""
    if key_of(handle, "stepUnits") is None:
        return 0, 0
    eccodes.codes_set(handle, "stepUnits", "s")
    end = int(key_of(handle, "endStep", 0, int))
    return end, int(key_of(handle, "startStep", end, int))
