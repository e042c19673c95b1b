"""Sources of tables: what they share, and Feather files."""

from __future__ import annotations

import copy
import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Self

import pyarrow as pa
from pyarrow import feather, ipc

from curator_core.domains.table.columns import CommonTypes, type_named
from curator_core.domains.table.held_tables import HeldTables, Reading
from curator_core.domains.table.kept_types import KeptTypes
from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.pipeline.config import component_config
from curator_core.sources.files import FileItem, FileSource

logger = logging.getLogger("curator")

_N_THREADS = 4


class TableSource(FileSource[pa.Table]):
    """Files with one table each, as ``pyarrow.Table``; write `table` and `schema_of`.

    Before the first item, the types of all local files are compared. A file whose values of a column are of no type
    that those of most files can be joined with, such as text among numbers, is an item that fails. Types that differ
    otherwise are joined where the dataset is put together: an item depends on its own file alone. What was found of a
    file is kept beside the databases, as long as its fingerprint is the same.
    """

    remedy: ClassVar[str] = "correct the file"
    """What can be done about values of another type."""

    _columns: tuple[str, ...] | None = None
    _conflicts: Mapping[str, str] = MappingProxyType({})
    _kept: KeptTypes | None = None
    _held: HeldTables | None = None
    _known: Mapping[str, pa.Schema] = MappingProxyType({})
    """Schemas of whole files by key, as they were found of the content that the fingerprint stands for."""

    @abstractmethod
    def table(self, item: FileItem) -> pa.Table:
        """The rows of a file, or of a part of one.

        Whatever is raised fails this item alone, with the name of the file.
        """

    @abstractmethod
    def schema_of(self, file: FileItem) -> pa.Schema:
        """Names and types of the columns that a file has, of all of them."""

    def read(self, item: FileItem) -> Iterator[pa.Table]:
        """Yield the table of an item.

        Raises
        ------
        ValueError
            Its values are of another type than in the other files, or damaged.
        """
        why = self._conflicts.get(str(item.path))
        if why is not None:
            raise ValueError(f"{why}. {self.remedy[0].upper()}{self.remedy[1:]}")
        yield self.table(item).replace_schema_metadata(None)

    def reading(self, fields: Sequence[str]) -> Self:
        """A source of the same items, with these columns alone."""
        narrowed = copy.copy(self)
        narrowed._columns = tuple(name for name in fields if self._columns is None or name in self._columns)  # noqa: SLF001
        return narrowed

    def check(self) -> None:
        """Raise an error where there are no files or columns; find the files whose types do not fit the others'."""
        super().check()
        if self._remote is not None:  # would be downloaded
            return
        files = {item.place: item for item in (self.item(index) for index in range(len(self)))}
        self._held = HeldTables()
        if len(files) == 1 and not self.splits():
            self._check_only(*files.values())
            return
        kept = self.kept_types()  # not by the threads, each of which would read it
        with ThreadPoolExecutor(_N_THREADS) as threads:
            found = zip(files, threads.map(self._readable_schema, files.values()), strict=True)
            schemas = [(place, schema) for place, schema in found if schema is not None]
        known = ((file.key, kept.get(file.key, file.fingerprint)) for file in files.values())
        self._known = {key: schema for key, schema in known if schema is not None}
        kept.save()
        self._kept = None  # workers need none
        self.check_schemas([schema for _, schema in schemas])
        self._conflicts = dict(CommonTypes(schemas).conflicts())

    def _check_only(self, file: FileItem) -> None:
        """Look for the named columns in the only file, of which no type can be another than that of most files."""
        if not self._named_columns():
            return
        try:
            self._require_regular(file)
            schema = pa.schema([(name, pa.null()) for name in self.names_of(file)])
        except Exception:  # noqa: BLE001 - fails when it is processed, with its reason
            return
        self.check_schemas([schema])

    def names_of(self, file: FileItem) -> Sequence[str]:
        """Names of the columns that a file has."""
        names: list[str] = self.schema_of(file).names
        return names

    def check_schemas(self, schemas: Sequence[pa.Schema]) -> None:
        """Raise `ConfigError` where columns are named that no file has, given the schemas of all that can be read."""
        known = {name for schema in schemas for name in schema.names}
        for name in self._named_columns():
            if schemas and name not in known:
                raise ConfigError(
                    f"{self.component_name()}: no file has a column {name!r}; they have "
                    f"{', '.join(map(repr, sorted(known)))}."
                )

    def kept_types(self) -> KeptTypes:
        """What runs before found of files with this configuration."""
        if self._kept is None:
            self._kept = KeptTypes([os.fspath(self._root.absolute()), component_config(self)])
        return self._kept

    def kept_schema(self, file: FileItem, find: Callable[[], pa.Schema]) -> pa.Schema:
        """The schema of a whole file: as it is kept, or as it is found now."""
        schema = self.kept_types().get(file.key, file.fingerprint)
        if schema is None:
            schema = find()
            if file.fingerprint is not None and self._is_unchanged(file):
                self.kept_types().add(file.key, file.fingerprint, schema)
        return schema

    def hold(self, file: FileItem, reading: Reading) -> pa.Schema:
        """Keep the table of a whole file, which was read for its schema, until its item is read; gives the schema."""
        if self._held is not None and file.fingerprint is not None and self._is_unchanged(file):
            self._held.add(file.key, file.fingerprint, reading)
        return reading.table.schema

    def held(self, item: FileItem) -> Reading | None:
        """The table of a whole file, if it is held, and the file is as it was."""
        if self._held is None or item.fingerprint is None or item.stop is not None:
            return None
        reading = self._held.take(item.key, item.fingerprint)
        return reading if self._is_unchanged(item) else None

    def _is_unchanged(self, file: FileItem) -> bool:
        return self.file_fingerprint(file.path) == file.fingerprint

    def _named_columns(self) -> Iterable[str]:
        """Names of columns that the configuration has."""
        return self._columns or ()

    def _readable_schema(self, file: FileItem) -> pa.Schema | None:
        """The schema of a file; ``None`` of one that is an item that fails."""
        try:
            self._require_regular(file)
            return (
                self.schema_of(file) if file.stop is not None else self.kept_schema(file, lambda: self.schema_of(file))
            )
        except Exception:  # noqa: BLE001 - fails when it is processed, with its reason
            return None

    def _chosen(self, names: Sequence[str]) -> list[str] | None:
        """Those of the wanted columns that a file has; ``None`` for all of it.

        Raises
        ------
        ValueError
            It has none of them.
        """
        if self._columns is None:
            return None
        found = [name for name in self._columns if name in names]
        if not found:
            raise ValueError(f"it has none of the columns {', '.join(self._columns)}; it has {', '.join(names)}")
        return found


class FeatherSource(TableSource):
    """Tables from Feather and Arrow IPC files, of both versions.

    Every value is looked at: a file that is cut off or has texts of another encoding fails its item.

    Parameters
    ----------
    root
        Folder to search, sub-folders included, or a URL, see `CSVSource`.
    pattern
        Glob pattern of the file names.
    columns
        Names of those that are read; all by default.
    batches_per_index
        Record batches of a file that are one item, named after the first: ``run.arrow#0``. By default a file is one.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Raises
    ------
    ConfigError
        No column is named, or an item has no batches.
    """

    name: ClassVar[str] = "feather"
    description: ClassVar[str] = "Tables from Feather and Arrow IPC files"
    checks_arguments: ClassVar[bool] = True
    remedy: ClassVar[str] = "correct the file, or leave the column out with columns="

    def __init__(
        self,
        root: str,
        pattern: str = "*.feather",
        columns: Sequence[str] | None = None,
        batches_per_index: int | None = None,
        *,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        self._columns = named_columns(columns, self.name)
        if batches_per_index is not None and batches_per_index < 1:
            raise ConfigError(f"{self.name}: batches_per_index must be at least 1, got {batches_per_index!r}.")
        self._n_batches = batches_per_index

    def splits(self) -> bool:
        return self._n_batches is not None

    def split(self, file: FileItem) -> Iterable[FileItem]:
        """The groups of record batches of a file."""
        if self._n_batches is None:
            return [file]
        n_batches = max(_n_batches(file.path), 1)
        starts = range(0, n_batches, self._n_batches)
        return [file.part(str(at), at, min(at + self._n_batches, n_batches)) for at in starts]

    def schema_of(self, file: FileItem) -> pa.Schema:
        if not _is_ipc_file(file.path):
            return _stream_or_former(file.path).schema
        with ipc.open_file(file.path) as opened:
            return opened.schema

    def table(self, item: FileItem) -> pa.Table:
        if not _is_ipc_file(item.path):
            table = _stream_or_former(item.path).slice(item.start)
        else:
            with ipc.open_file(item.path) as opened:
                stop = opened.num_record_batches if item.stop is None else item.stop
                batches = [opened.get_batch(number) for number in range(item.start, stop)]
                table = pa.Table.from_batches(batches, opened.schema)
        table.validate(full=True)
        chosen = self._chosen(table.column_names)
        return table if chosen is None else table.select(chosen)


def _is_ipc_file(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(6) == b"ARROW1"


def _n_batches(path: Path) -> int:
    if not _is_ipc_file(path):
        return 1
    with ipc.open_file(path) as opened:
        return int(opened.num_record_batches)


def _stream_or_former(path: Path) -> pa.Table:
    """The table of a stream of record batches, or of a file of Feather's first version."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"FEA1":
        return feather.read_table(path, memory_map=False)
    if start != b"\xff\xff\xff\xff":
        raise ValueError("it is no Feather or Arrow file")
    with pa.OSFile(str(path)) as file, ipc.open_stream(file) as stream:
        return stream.read_all()


def named_columns(columns: Sequence[str] | None, where: str) -> tuple[str, ...] | None:
    """The argument ``columns`` of a source; ``None`` for all of them.

    Raises
    ------
    ConfigError
        It names none.
    """
    if columns is not None and not columns:
        raise ConfigError(f"{where}: columns names none; leave it out for all of them.")
    return None if columns is None else tuple(columns)


def types_of(schema: Mapping[str, str] | None, where: str) -> dict[str, pa.DataType]:
    """Types of columns by name.

    Raises
    ------
    ConfigError
        A type is none.
    """
    return {name: type_named(text, f"{where}: schema of {name!r}") for name, text in (schema or {}).items()}
