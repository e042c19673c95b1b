"""How tables are written as Parquet files: the same rows in the same bytes, whichever pieces they come in."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from curator_core.domains.table.columns import kind_of, plain
from curator_core.errors import ComponentError, ConfigError
from curator_core.storage.objects.delta.partitions import partition_folder

CODECS: Final = ("zstd", "snappy", "lz4", "gzip", "brotli", "none")
_N_RUNS: Final = 16
_RUN: Final = 256
"""Neighbours that are looked at, in each of the runs."""
_MAX_PARTITIONS: Final = 1024
"""Files that the rows of a segment may be in."""


@dataclass(frozen=True, slots=True)
class TableLayout:
    """How the files of a dataset of tables are written.

    Raises
    ------
    ConfigError
        There is no such layout.
    """

    items_per_segment: int = 1
    """Items that share a file, on average."""
    row_group_rows: int = 262_144
    """Rows that a reader loads at once."""
    segment_rows: int = 16_777_216
    """Rows of a file of several items, at most."""
    compression: str = "zstd"
    """Of the pages."""
    sort_by: tuple[str, ...] = ()
    """Columns by which the rows of each item are sorted."""
    partition_by: tuple[str, ...] = ()
    """Columns whose values are in the names of folders, and not in the files."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where a number or codec is none, or folders would have no names that are read."""
        for name in ("items_per_segment", "row_group_rows", "segment_rows"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)!r}.")
        if self.compression not in CODECS:
            raise ConfigError(f"compression must be one of {', '.join(CODECS)}, not {self.compression!r}.")
        for name in self.partition_by:
            if not name or name.startswith(("_", ".")):
                raise ConfigError(
                    f"partition_by cannot be {name!r}: readers pass over folders that begin with '_' or '.'; give the "
                    "column another name."
                )
            if self.partition_by.count(name) > 1:
                raise ConfigError(f"partition_by names {name!r} twice.")

    def described(self) -> dict[str, Any]:
        """What `from_description` takes, as JSON."""
        return {
            "items_per_segment": self.items_per_segment,
            "row_group_rows": self.row_group_rows,
            "segment_rows": self.segment_rows,
            "compression": self.compression,
            "sort_by": list(self.sort_by),
            **({"partition_by": list(self.partition_by)} if self.partition_by else {}),
        }

    @classmethod
    def from_description(cls, given: Mapping[str, Any]) -> TableLayout:
        """The layout that `described` describes."""
        known = {name: given[name] for name in cls().described()}
        partition_by = tuple(given.get("partition_by", ()))
        return cls(**(known | {"sort_by": tuple(known["sort_by"]), "partition_by": partition_by}))

    def write(self, table: pa.Table, path: str | Path) -> None:
        """Write a table to a new file.

        Raises
        ------
        ComponentError
            Parquet has no such type as that of a column.
        """
        for column in table.schema:
            what = _unknown_to_parquet(column.type)
            if what:
                raise ComponentError(
                    f"The column {column.name!r} holds {what}, which Parquet has not: leave it out with the filter "
                    "select, or with columns= of its source."
                )
        whole = table.combine_chunks()
        parquet.write_table(
            whole,
            path,
            row_group_size=self.row_group_rows,
            compression=self.compression,
            write_page_checksum=True,
            **_encodings(whole),
        )


def _unknown_to_parquet(kind: pa.DataType) -> str:
    """What a type is, or holds, that no Parquet file does; empty where there is nothing."""
    if pa.types.is_interval(kind) or pa.types.is_union(kind):
        return str(kind)
    if pa.types.is_struct(kind) and not kind.num_fields:
        return "records without members"
    parts = (kind.field(number).type for number in range(kind.num_fields)) if pa.types.is_nested(kind) else ()
    return next(filter(None, map(_unknown_to_parquet, parts)), "")


def _encodings(table: pa.Table) -> dict[str, Any]:
    """Options of ``parquet.write_table``: values that do not repeat have no dictionary, which would hold all of them.

    Of integers and times of that kind, differences are written, which are small where they ascend. Tables with records,
    lists and types of extensions keep pyarrow's encodings: these go by the names of leaves.
    """
    for column in table.schema:
        if pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType) or "." in column.name:
            return {}
    distinct = [column for column in table.schema if not _repeats(table[column.name])]
    names = {column.name for column in distinct}
    return {
        "use_dictionary": [name for name in table.column_names if name not in names],
        "column_encoding": {c.name: "DELTA_BINARY_PACKED" for c in distinct if _is_stored_as_integer(c.type)} or None,
    }


def _repeats(values: pa.ChunkedArray) -> bool:
    """Whether values repeat so much that a dictionary of them is of use, as runs of neighbours show.

    Of 4,096 values, 64 are seen before where rows are drawn from 131,072 values, which is what pyarrow's dictionaries
    hold.
    """
    if not len(values) or pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
        return True
    starts = np.linspace(0, max(len(values) - _RUN, 0), _N_RUNS if len(values) > _N_RUNS * _RUN else 1).astype(int)
    length = _RUN if len(starts) > 1 else min(len(values), _N_RUNS * _RUN)
    seen = pa.chunked_array([c for at in starts for c in values.slice(at, length).chunks], values.type)
    n_present = len(seen) - seen.null_count
    return bool(n_present - pc.count_distinct(seen).as_py() >= n_present // 64)


def _is_stored_as_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def stored_form(tables: Iterable[object], layout: TableLayout) -> pa.Table:
    """All tables of an item as one, as it is stored: dictionaries decoded, sorted where that is asked for.

    Raises
    ------
    ComponentError
        One is no table, or they have other columns or types; or a column by which they are sorted is missing.
    """
    found: list[pa.Table] = []
    for given in tables:
        table = pa.Table.from_batches([given]) if isinstance(given, pa.RecordBatch) else given
        if not isinstance(table, pa.Table):
            raise ComponentError(f"An item gave {type(given).__name__}, expected pyarrow.Table.")
        schema, table = stored_schema(table.schema), _without_runs(table)
        found.append(table.replace_schema_metadata(None).cast(schema))
        if not schema.equals(found[0].schema, check_metadata=True):
            raise ComponentError(f"The tables of the item have other columns: {_difference(found[0].schema, schema)}.")
    if not found:
        raise ComponentError("The item gave no table.")
    joined = pa.concat_tables(found)
    for name in layout.sort_by:
        if name not in joined.column_names:
            raise ComponentError(f"It has no column {name!r}, by which rows are sorted.")
    if layout.partition_by:
        require_partitions(joined.schema, layout)
        partitioned(joined, layout)
    return joined.sort_by([(name, "ascending") for name in layout.sort_by]) if layout.sort_by else joined


def require_partitions(schema: pa.Schema, layout: TableLayout) -> None:
    """Raise `ComponentError` where tables of a schema cannot be in the folders of a layout."""
    for name in layout.partition_by:
        if name not in schema.names:
            raise ComponentError(f"It has no column {name!r}, by which the dataset is partitioned.")
        if not _names_folders(schema.field(name).type):
            raise ComponentError(
                f"The column {name!r}, by which the dataset is partitioned, holds {kind_of(schema.field(name).type)}: "
                "folders are named after texts, integers, dates and truth values."
            )
    if set(schema.names) <= set(layout.partition_by):
        raise ComponentError("It has no column but those by which the dataset is partitioned, which files do not hold.")


def _names_folders(kind: pa.DataType) -> bool:
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_date32, pa.types.is_boolean)
    return pa.types.is_null(kind) or any(test(kind) for test in tests)


def partitioned(table: pa.Table, layout: TableLayout) -> tuple[npt.NDArray[np.int64], list[str]]:
    """The folders in which the rows of a table are, in order of their names.

    Returns
    -------
    numpy.ndarray
        The folder of each row, by its position, ``(n_rows,)``.
    list of str
        The folders.

    Raises
    ------
    ComponentError
        No folder has the name of a value, or they are too many.
    """
    owner, folders = np.zeros(table.num_rows, np.int64), [""] if table.num_rows else []
    for name in layout.partition_by:
        found = table[name].combine_chunks().dictionary_encode(null_encoding="encode")
        _require_few(len(found.dictionary), [name])
        own = _folders(name, found.dictionary)
        present, owner = np.unique(owner * len(own) + np.asarray(found.indices, np.int64), return_inverse=True)
        _require_few(len(present), layout.partition_by)
        folders = [f"{folders[at // len(own)]}/{own[at % len(own)]}".lstrip("/") for at in present.tolist()]
    order = sorted(range(len(folders)), key=folders.__getitem__)
    return np.argsort(order)[owner] if order else owner, [folders[at] for at in order]


def _require_few(found: int, columns: Sequence[str]) -> None:
    if found > _MAX_PARTITIONS:
        raise ComponentError(
            f"There are {found:,} values of {', '.join(columns)}, each of which would be a file; partition_by takes "
            f"{_MAX_PARTITIONS:,} at most: partition by fewer columns, or by coarser ones such as a year, or let fewer "
            "items share a segment with items_per_segment."
        )


def _folders(column: str, values: pa.Array) -> list[str]:
    """Names of the folders of some values of a column."""
    texts: list[str | None] = values.cast(pa.string()).to_pylist()
    try:
        if pa.types.is_date32(values.type):
            _require_four_digits(texts)
        return [partition_folder(column, text) for text in texts]
    except ValueError as exc:
        raise ComponentError(
            f"The column {column!r}, by which the dataset is partitioned, holds {exc}: correct it with a filter, or "
            "partition by another one."
        ) from exc


def _require_four_digits(dates: Iterable[str | None]) -> None:
    for date in dates:
        if date is not None and len(date) != len("2020-01-01"):
            raise ValueError(f"the date {date}, of a year that has not four digits")


def _without_runs(table: pa.Table) -> pa.Table:
    for number, column in enumerate(table.schema):
        if pa.types.is_run_end_encoded(column.type):
            table = table.set_column(number, column.name, pc.run_end_decode(table[number]))
    return table


def stored_schema(schema: pa.Schema) -> pa.Schema:
    """The schema in which a table is stored.

    Raises
    ------
    ComponentError
        Two columns have one name.
    """
    if len(set(schema.names)) < len(schema.names):
        twice = next(name for name in schema.names if schema.names.count(name) > 1)
        raise ComponentError(f"Two columns are named {twice!r}: rename one.")
    return pa.schema([pa.field(f.name, plain(f.type), metadata=_kept_metadata(f)) for f in schema])


def _kept_metadata(column: pa.Field) -> dict[bytes, bytes] | None:
    return {k: v for k, v in (column.metadata or {}).items() if not k.startswith(b"PARQUET:")} or None


def _difference(one: pa.Schema, two: pa.Schema) -> str:
    for name in dict.fromkeys([*one.names, *two.names]):
        kinds = [kind_of(s.field(name).type) if name in s.names else "nothing" for s in (one, two)]
        if kinds[0] != kinds[1]:
            return f"{name!r} is {kinds[0]}, then {kinds[1]}"
    return "they stand in another order, or say something else"


def converted(table: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """A table with the columns of a schema: those that it lacks are null.

    Parameters
    ----------
    table
        The table.
    schema
        Which columns, of which types.
    what
        Whose rows they are, for messages.

    Raises
    ------
    ComponentError
        A value is not exactly one of its new type.
    """
    columns = []
    for column in schema:
        if column.name not in table.column_names:
            columns.append(pa.nulls(table.num_rows, column.type))
            continue
        try:
            columns.append(_cast(table[column.name].combine_chunks(), column.type))
        except pa.ArrowException as exc:
            raise ComponentError(
                f"{what}: column {column.name!r} does not fit the other items' {kind_of(column.type)}: {exc}"
            ) from exc
    return pa.table(columns, schema=schema)


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values in another type, exactly; records in one of other members, which are null where they were not."""
    if values.type == kind:
        return values
    if pa.types.is_null(kind) and values.null_count == len(values):
        return pa.nulls(len(values))
    if pa.types.is_struct(kind) and pa.types.is_struct(values.type):
        own = {member.name: values.field(number) for number, member in enumerate(values.type)}
        found = [
            _cast(own[member.name], member.type) if member.name in own else pa.nulls(len(values), member.type)
            for member in kind
        ]
        return pa.StructArray.from_arrays(found, fields=list(kind), mask=values.is_null())
    if pa.types.is_list(kind) and pa.types.is_list(values.type):
        whole = pa.concat_arrays([values])  # begins at 0
        return pa.ListArray.from_arrays(
            whole.offsets, _cast(whole.values, kind.value_type), type=kind, mask=whole.is_null()
        )
    return values.cast(kind)


def schema_text(schema: pa.Schema) -> str:
    """A schema as text, all of it."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def schema_of_text(text: str) -> pa.Schema:
    """The schema that a text holds."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
