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


def with_zones(kind: pa.DataType, texts: pa.Array) -> pa.Array:
    """Values with times in UTC, where all have a zone in the text; as texts where some have one, and others have not.

    Parameters
    ----------
    kind
        Their type, as pyarrow finds it. Its values are of no use: lists of times with nulls among them are damaged.
    texts
        The same values, of the type that `written` gives.
    """
    if not has_times(kind):
        return texts
    if pa.types.is_struct(kind):
        members = [with_zones(member.type, texts.field(number)) for number, member in enumerate(kind)]
        return pa.StructArray.from_arrays(members, [member.name for member in kind], mask=texts.is_null())
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(texts.offsets, with_zones(kind.value_type, texts.values), mask=texts.is_null())
    zoned = _n_zoned(texts)
    if zoned and zoned < len(texts) - texts.null_count:
        return texts
    return texts.cast(pa.timestamp(kind.unit, "UTC" if zoned else None))


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
