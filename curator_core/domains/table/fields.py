"""The columns of a table as fields, for the filters that every domain has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curator_core.domains.table.columns import plain
from curator_core.filters.values.fields import Array, Attributes, FieldError, Fields

_ROWS = "rows"


class TableFields(Fields):
    """A ``pyarrow.Table``, whose columns are fields.

    Where a number is missing, it is NaN; so are integers and truth values of a column with missing ones floats. Decimal
    numbers are floats, texts objects. What is said of a column, such as its ``units``, stands in its metadata.
    """

    what = "tables"
    row_dim = _ROWS

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def names(self) -> list[str]:
        return [str(name) for name in self._table.column_names]

    def content(self) -> Iterator[tuple[str, Array]]:
        for name in self.names():
            column = self._column(name)
            yield f"{name}: {column.type}", np.asarray(column.is_valid())
            if pa.types.is_decimal(column.type):
                column = column.cast(pa.string())
            yield name, _array(pc.drop_null(column))

    def _column(self, name: str) -> pa.ChunkedArray:
        column = self._table[name]
        kind = plain(column.type)
        return column if kind == column.type else column.cast(kind)

    def values(self, name: str) -> Array:
        column = self._column(name)
        if column.null_count and (pa.types.is_integer(column.type) or pa.types.is_boolean(column.type)):
            column = column.cast(pa.uint8()) if pa.types.is_boolean(column.type) else column
            column = column.cast(pa.float64(), safe=False)
        return _array(column)

    def missing(self, name: str) -> npt.NDArray[np.bool_] | None:
        column = self._table[name]
        return np.asarray(column.is_null()) if column.null_count else None

    def present(self, name: str) -> Array:
        column = self._column(name)
        if not column.null_count:
            return _array(column)
        if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type) or pa.types.is_floating(column.type):
            return _array(pc.fill_null(column, pa.scalar(0).cast(column.type)))
        return self.values(name)

    def attributes(self, name: str) -> Attributes:
        metadata = self._table.schema.field(name).metadata or {}
        return {key.decode(): value.decode("utf-8", "replace") for key, value in metadata.items()}

    def dims(self, name: str) -> tuple[str, ...]:
        return (_ROWS,)

    def length(self, dim: str) -> int:
        if dim != _ROWS:
            return super().length(dim)
        return int(self._table.num_rows)

    def replaced(self, values: Mapping[str, Array], attributes: Mapping[str, Attributes] | None = None) -> pa.Table:
        table, given = self._table, attributes or {}
        for name in dict.fromkeys([*values, *given]):
            column, old = table[name], table.schema.field(name)
            if name in values:
                column = self._made(name, values[name])
            about = given.get(name)
            metadata = old.metadata if about is None else {str(key): str(value) for key, value in about.items()}
            made = pa.field(name, column.type, metadata=metadata or None)
            table = table.set_column(table.schema.get_field_index(name), made, column)
        return table

    def _made(self, name: str, values: Array) -> pa.Array:
        """Values as a column: null where they are masked, or NaN in the place of a missing one."""
        missing, old = self.missing(name), plain(self._table.schema.field(name).type)
        mask: npt.NDArray[np.bool_] | None = None
        if isinstance(values, np.ma.MaskedArray):
            values, mask = np.asarray(values.data), np.ma.getmaskarray(values)
        elif missing is not None:
            mask = missing & np.isnan(values) if values.dtype.kind == "f" else missing
        made = pa.array(values, mask=mask, from_pandas=False)
        if missing is not None and pa.types.is_integer(old) and values.dtype == np.float64 and mask is not None:
            try:  # they were floats because some were missing, which were filled
                return made if isinstance(values, np.ma.MaskedArray) else made.cast(old)
            except pa.ArrowInvalid:
                return made
        return made

    def chosen(self, names: Sequence[str]) -> pa.Table:
        return self._table.select(list(names))

    def renamed(self, names: Mapping[str, str]) -> pa.Table:
        return self._table.rename_columns([names.get(name, name) for name in self.names()])

    def taken(self, dim: str, positions: npt.NDArray[np.intp]) -> pa.Table:
        if dim != _ROWS:
            raise FieldError(f"it has no dimension {dim!r}; it has {_ROWS}")
        return self._table.take(pa.array(positions))


def _array(column: pa.ChunkedArray) -> Array:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if not len(column) and pa.types.is_nested(column.type):
        return np.empty(0, object)
    found: Array = column.to_numpy()
    return found
