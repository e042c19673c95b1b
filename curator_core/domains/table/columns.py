"""Types of columns: by name, the one that holds the values of two others exactly, and those of Delta tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import pyarrow as pa

from curator_core.errors import ComponentError, ConfigError
from curator_core.storage.objects.delta.schema import has_type

_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns), ?tz=([^\]]+)\]")
_DECIMAL = re.compile(r"decimal(128|256)\((\d+), ?(-?\d+)\)")
_UNITS: Final = ("s", "ms", "us", "ns")
_MAX_DIGITS: Final = 38
_INTEGERS: Mapping[pa.DataType, tuple[int, int]] = MappingProxyType(
    {
        pa.int8(): (-(2**7), 2**7 - 1),
        pa.int16(): (-(2**15), 2**15 - 1),
        pa.int32(): (-(2**31), 2**31 - 1),
        pa.int64(): (-(2**63), 2**63 - 1),
        pa.uint8(): (0, 2**8 - 1),
        pa.uint16(): (0, 2**16 - 1),
        pa.uint32(): (0, 2**32 - 1),
        pa.uint64(): (0, 2**64 - 1),
    }
)


def type_named(text: str, where: str) -> pa.DataType:
    """The type of a column by its name, as Arrow writes it: ``int64``, ``string``, ``timestamp[us, tz=UTC]``.

    Raises
    ------
    ConfigError
        There is no such type.
    """
    try:
        if found := _TIMESTAMP.fullmatch(text):
            return pa.timestamp(found[1], tz=found[2])
        if found := _DECIMAL.fullmatch(text):
            make = pa.decimal128 if found[1] == "128" else pa.decimal256
            return make(int(found[2]), int(found[3]))
        return pa.type_for_alias(text)
    except ValueError as exc:
        raise ConfigError(
            f"{where}: {text!r} is no type of a column; write one as Arrow does, such as int64, float64, string, bool, "
            f"date32, timestamp[us], timestamp[us, tz=UTC] or decimal128(10, 2)."
        ) from exc


def kind_of(kind: pa.DataType) -> str:
    """What a column holds, for people."""
    for is_kind, words in _KINDS:
        if is_kind(kind):
            return f"{words} ({kind})"
    return str(kind)


_KINDS = (
    (lambda t: pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t), "numbers"),
    (lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), "text"),
    (pa.types.is_boolean, "truth values"),
    (lambda t: pa.types.is_timestamp(t) or pa.types.is_date(t), "dates"),
)


def plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values themselves, where they are kept in a dictionary, runs or views."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if pa.types.is_string_view(kind):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(kind) else kind


def joined(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    """The narrowest type that holds the values of two types; ``None`` where there is none.

    Integers and floats have float64, which holds an integer only as far as it does so exactly: what would change is
    refused where values are converted. Text and numbers have none, nor have times with a zone and without.
    """
    one, two = plain(one), plain(two)
    if one == two or pa.types.is_null(two):
        return one
    if pa.types.is_null(one):
        return two
    return _joined_numbers(one, two) or _joined_times(one, two) or _joined_texts(one, two) or _joined_nested(one, two)


def _joined_numbers(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    are_integers = [pa.types.is_integer(kind) for kind in (one, two)]
    are_floats = [pa.types.is_floating(kind) for kind in (one, two)]
    if all(are_integers):
        low = min(_INTEGERS[one][0], _INTEGERS[two][0])
        high = max(_INTEGERS[one][1], _INTEGERS[two][1])
        return next((kind for kind, ends in _INTEGERS.items() if ends[0] <= low and high <= ends[1]), None)
    if all(are_floats):
        return max(one, two, key=lambda kind: kind.bit_width)
    if any(are_integers) and any(are_floats):
        return pa.float64()
    if pa.types.is_decimal(one) and pa.types.is_decimal(two):
        scale = max(one.scale, two.scale)
        digits = max(one.precision - one.scale, two.precision - two.scale) + scale
        return pa.decimal128(digits, scale) if digits <= _MAX_DIGITS else None
    return None


def _joined_times(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(two):
        return pa.timestamp(_finer(one, two), tz=one.tz) if one.tz == two.tz else None
    if pa.types.is_duration(one) and pa.types.is_duration(two):
        return pa.duration(_finer(one, two))
    if pa.types.is_time(one) and pa.types.is_time(two):
        unit = _finer(one, two)
        return pa.time32(unit) if unit in _UNITS[:2] else pa.time64(unit)
    for date, other in ((one, two), (two, one)):
        if pa.types.is_date32(date) and pa.types.is_timestamp(other) and other.tz is None:
            return other
    return None


def _finer(one: pa.DataType, two: pa.DataType) -> str:
    return str(max(one.unit, two.unit, key=_UNITS.index))


def _joined_texts(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    if {one, two} == {pa.string(), pa.large_string()}:
        return pa.large_string()
    return pa.large_binary() if {one, two} == {pa.binary(), pa.large_binary()} else None


def _joined_nested(one: pa.DataType, two: pa.DataType) -> pa.DataType | None:
    if pa.types.is_list(one) and pa.types.is_list(two):
        inner = joined(one.value_type, two.value_type)
        return None if inner is None else pa.list_(one.value_field.with_type(inner))
    if pa.types.is_struct(one) and pa.types.is_struct(two):
        members = {member.name: member for member in one}
        for member in two:
            inner = joined(members[member.name].type, member.type) if member.name in members else member.type
            if inner is None:
                return None
            members[member.name] = pa.field(member.name, inner)
        return pa.struct(list(members.values()))
    return None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _others(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"{len(places):,} others, such as {places[0]}"


@dataclass(slots=True)
class _Group:
    """Places in which the values of a column have a type in common."""

    kind: pa.DataType
    places: list[str] = field(default_factory=list)


def _regrouped(groups: list[_Group]) -> list[_Group]:
    """Groups of which no two have a common type: floats hold what signed and unsigned integers together do not."""
    found: list[_Group] = []
    for group in groups:
        for other in found:
            kind = joined(other.kind, group.kind)
            if kind is not None:
                other.kind = kind
                other.places += group.places
                break
        else:
            found.append(group)
    return found if len(found) == len(groups) else _regrouped(found)


class CommonTypes:
    """The type of each column that places, such as files or items, have in common.

    Parameters
    ----------
    schemas
        Names and types of the columns in each place, by the name of the place, in order.
    """

    def __init__(self, schemas: Iterable[tuple[str, pa.Schema]]) -> None:
        self._groups: dict[str, list[_Group]] = {}
        self._fields: dict[str, pa.Field] = {}
        for place, schema in schemas:
            for column in schema:
                self._add(place, column)

    def _add(self, place: str, column: pa.Field) -> None:
        self._fields.setdefault(column.name, column)
        groups = self._groups.setdefault(column.name, [])
        for group in groups:
            kind = joined(group.kind, column.type)
            if kind is not None:
                is_wider, group.kind = kind != group.kind, kind
                group.places.append(place)
                if is_wider:
                    self._groups[column.name] = _regrouped(groups)
                return
        groups.append(_Group(plain(column.type), [place]))

    @property
    def schema(self) -> pa.Schema:
        """The columns in the order in which they come first, each of the type of most places."""
        return pa.schema(
            pa.field(name, self._main(groups).kind, metadata=self._fields[name].metadata)
            for name, groups in self._groups.items()
        )

    @staticmethod
    def _main(groups: list[_Group]) -> _Group:
        # Of as many, numbers rather than text, which anything can be; else the first.
        return max(groups, key=lambda group: (len(group.places), not _is_text(group.kind)))

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Places whose values of a column are none of the type of most places, and why."""
        for name, groups in self._groups.items():
            main = self._main(groups)
            for group in groups:
                if group is not main:
                    why = (
                        f"column {name!r} holds {kind_of(group.kind)} here, and {kind_of(main.kind)} in "
                        f"{_others(main.places)}"
                    )
                    yield from ((place, why) for place in group.places)


def delta_schema(schema: pa.Schema) -> pa.Schema:
    """A schema in types that a Delta table has, and in which the values of the given one are the same.

    A column in which everything is missing is one of text. Times of nanoseconds are of microseconds: values that are
    none in full fail where they are converted.

    Raises
    ------
    ComponentError
        A Delta table has no type for a column.
    """
    return pa.schema([column.with_type(_delta_type(column)) for column in schema])


def _delta_type(column: pa.Field) -> pa.DataType:
    found = _converted(column.type)
    if not has_type(found):
        raise ComponentError(
            f"The column {column.name!r} holds {column.type}, which a Delta table has not: give it another type with "
            "schema= of its source or the filter cast, leave it out with the filter select, or publish a folder that "
            "ends in .parquet."
        )
    return found


def _converted(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(_converted(member.type)) for member in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_converted(kind.value_type)))
    return kind
