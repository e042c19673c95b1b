"""Times of JSON lines with the zones that they have in the text, which pyarrow leaves out; in records, too."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

_ZONE = r":[0-9.]+(Z|[+-][0-9:]+)$|[0-9]Z$"
"""At the end of a time."""


def has_times(kind: pa.DataType) -> bool:
    """Whether values are times, or hold some."""
    return any(map(has_times, _parts(kind))) if pa.types.is_nested(kind) else bool(pa.types.is_timestamp(kind))


def written(kind: pa.DataType) -> pa.DataType:
    """The type of the same values with times as they are written."""
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(written(member.type)) for member in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(written(kind.value_type)))
    return pa.string() if pa.types.is_timestamp(kind) else kind


def with_zones(values: pa.Array, texts: pa.Array) -> pa.Array:
    """Values whose times are in UTC, where all are written with a zone; the texts where some are, and others are not.

    Parameters
    ----------
    values
        As pyarrow reads them.
    texts
        The same, as `written` types them.
    """
    if not has_times(values.type):
        return values
    if pa.types.is_struct(values.type):
        members = [with_zones(values.field(number), texts.field(number)) for number in range(values.type.num_fields)]
        names = [member.name for member in values.type]
        return pa.StructArray.from_arrays(members, names, mask=values.is_null())
    if pa.types.is_list(values.type):
        inner = with_zones(values.values, texts.values)
        return pa.ListArray.from_arrays(values.offsets, inner, mask=values.is_null())
    zoned = _n_zoned(texts)
    if not zoned:
        return values
    n_times = len(texts) - texts.null_count
    return values.cast(pa.timestamp(values.type.unit, "UTC")) if zoned == n_times else texts


def require_zone(name: str, kind: pa.DataType, texts: pa.ChunkedArray) -> None:
    """Raise `ValueError` where a column is to hold times with a zone, and some have none, or the other way round."""
    zoned, n_times = _n_zoned(texts), len(texts) - texts.null_count
    if kind.tz is None and zoned:
        raise ValueError(f"column {name!r} has times with a zone: say {_as_type(name, pa.timestamp(kind.unit, 'UTC'))}")
    if kind.tz is not None and zoned < n_times:
        raise ValueError(f"column {name!r} has times without a zone: say {_as_type(name, pa.timestamp(kind.unit))}")


def _as_type(name: str, kind: pa.DataType) -> str:
    return f"schema={{{name!r}: '{kind}'}}, or 'string'"


def _n_zoned(texts: pa.Array) -> int:
    return pc.sum(pc.match_substring_regex(texts, _ZONE)).as_py() or 0


def _parts(kind: pa.DataType) -> list[pa.DataType]:
    return [kind.field(number).type for number in range(kind.num_fields)]
