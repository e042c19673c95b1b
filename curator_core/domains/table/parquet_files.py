"""Source of tables: Parquet files, whole or by row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from curator_core.domains.table.sources import TableSource, named_columns
from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem

_SECONDS = pa.timestamp("s")


class ParquetSource(TableSource):
    """Tables from Parquet files, whole or by row groups.

    Checksums of pages are compared with their content, where a file has them, and every text with UTF-8. The number of
    rows has to be what the file says.

    Parameters
    ----------
    root
        Folder to search, sub-folders included; a path, or a URL: ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``https://``, ``http://``.
    pattern
        Glob pattern of the file names.
    columns
        Names of those that are read; all by default.
    row_groups_per_index
        Row groups of a file that are one item, named after the first: ``flights.parquet#0``. By default a file is one.
    filter
        Conditions that rows have to meet, all of them: ``[["year", ">=", 2013], ["origin", "in", ["JFK", "LGA"]]]``.
    verify
        Whether checksums and texts are looked at.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Raises
    ------
    ConfigError
        A condition is none, or no column is named.
    """

    name: ClassVar[str] = "parquet"
    description: ClassVar[str] = "Tables from Parquet files, whole or by row groups"
    checks_arguments: ClassVar[bool] = True
    remedy: ClassVar[str] = "correct the file, or leave the column out with columns="

    def __init__(
        self,
        root: str,
        pattern: str = "*.parquet",
        columns: Sequence[str] | None = None,
        row_groups_per_index: int | None = None,
        filter: Sequence[Sequence[Any]] | None = None,  # noqa: A002 - as pyarrow calls rows that are read
        *,
        verify: bool = True,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        self._columns = named_columns(columns, self.name)
        if row_groups_per_index is not None and row_groups_per_index < 1:
            raise ConfigError(f"{self.name}: row_groups_per_index must be at least 1, got {row_groups_per_index!r}.")
        self._n_groups = row_groups_per_index
        self._conditions = [tuple(condition) for condition in filter or ()]
        self._filter = self._expression() if filter else None
        self._verify = verify

    def _expression(self) -> Any:  # noqa: ANN401 - pyarrow's
        try:
            return parquet.filters_to_expression(self._conditions)
        except (ValueError, TypeError, pa.ArrowException) as exc:
            raise ConfigError(
                f"{self.name}: filter must be a list of conditions such as ['year', '>=', 2013]: {exc}"
            ) from exc

    def splits(self) -> bool:
        return self._n_groups is not None

    def split(self, file: FileItem) -> Iterable[FileItem]:
        """The groups of row groups of a file."""
        if self._n_groups is None:
            return [file]
        with parquet.ParquetFile(file.path) as opened:
            n_groups = max(opened.num_row_groups, 1)
        starts = range(0, n_groups, self._n_groups)
        return [file.part(str(at), at, min(at + self._n_groups, n_groups)) for at in starts]

    def schema_of(self, file: FileItem) -> pa.Schema:
        return parquet.read_schema(file.path)

    def _coarser(self, item: FileItem, groups: range, columns: list[str] | None, unit: str) -> pa.Table:
        with parquet.ParquetFile(item.path, coerce_int96_timestamp_unit=unit) as opened:
            return _rows(opened, groups, columns)

    def _named_columns(self) -> Iterable[str]:
        return [*super()._named_columns(), *(str(condition[0]) for condition in self._conditions)]

    def _filtered(self, names: Sequence[str]) -> list[str]:
        """Columns that conditions name, of those that a file has."""
        found = [str(condition[0]) for condition in self._conditions]
        for name in found:
            if name not in names:
                raise ValueError(f"it has no column {name!r}, which filter= names; it has {', '.join(names)}")
        return found

    def table(self, item: FileItem) -> pa.Table:
        with parquet.ParquetFile(item.path, page_checksum_verification=self._verify) as opened:
            groups = range(item.start, opened.num_row_groups if item.stop is None else item.stop)
            chosen, also = self._chosen(opened.schema_arrow.names), self._filtered(opened.schema_arrow.names)
            read = None if chosen is None else list(dict.fromkeys([*chosen, *also]))
            table = _rows(opened, groups, read)
            expected = sum(opened.metadata.row_group(group).num_rows for group in groups)
            has_int96 = "INT96" in {opened.schema.column(n).physical_type for n in range(len(opened.schema))}
        if has_int96:
            table = in_range(table, lambda unit: self._coarser(item, groups, read, unit))
        if table.num_rows != expected:
            raise ValueError(f"it gives {table.num_rows:,} rows, and says that it has {expected:,}")
        if self._verify:
            table.validate(full=True)
        if self._filter is not None:
            table = table.filter(self._filter)
        return table if chosen is None else table.select(chosen)


def _rows(opened: parquet.ParquetFile, groups: range, columns: list[str] | None) -> pa.Table:
    return opened.read_row_groups(list(groups), columns=columns) if groups else opened.read(columns=columns)


def in_range(table: pa.Table, coarser: Callable[[str], pa.Table]) -> pa.Table:
    """The table, with times as fine as 64 bits hold them: those that Spark writes can lie beyond nanoseconds.

    Parameters
    ----------
    table
        With nanoseconds.
    coarser
        Gives the table with times in another unit.

    Raises
    ------
    ValueError
        No unit holds all times of a column: some are as far as others are fine.
    """
    seconds = coarser("s")
    for number, column in enumerate(table.schema):
        if pa.types.is_nested(column.type):
            if column.type != seconds.schema.field(number).type and not _are_held(table[number], seconds[number]):
                raise ValueError(
                    f"column {column.name!r} may have times beyond nanoseconds: leave it out with columns="
                )
        elif column.type != seconds.schema.field(number).type:
            finer: list[tuple[pa.ChunkedArray, pa.ChunkedArray]] = []
            for unit in ("ns", "us", "ms", "s"):
                values = table[number] if unit == "ns" else coarser(unit)[number]
                off = pc.abs(pc.subtract(values.cast(_SECONDS, safe=False), seconds[number]).cast(pa.int64()))
                is_held = pc.fill_null(pc.less_equal(off, 1), fill_value=True)
                if pc.all(is_held).as_py() is not False:
                    break
                finer.append((values, is_held))
            for exact, is_held in finer:
                if not values.filter(is_held).cast(exact.type).equals(exact.filter(is_held)):
                    raise ValueError(
                        f"column {column.name!r} has times so far away that {unit} is the finest unit which holds "
                        "them, and others that are finer: correct them, or leave the column out with columns="
                    )
            table = table.set_column(number, column.name, values)
    return table


def _are_held(values: pa.ChunkedArray, seconds: pa.ChunkedArray) -> bool:
    """Whether the times of records and lists are the same to the second."""
    try:
        return bool(values.cast(seconds.type, safe=False).equals(seconds))
    except pa.ArrowException:
        return False
