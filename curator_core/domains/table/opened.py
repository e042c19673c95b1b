"""A dataset of tables on this machine, or a Delta table of which files are fetched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import dataset as arrow_dataset
from pyarrow import fs

from curator_core.domains.table.published import PublishedTables, partition_value
from curator_core.errors import ConfigError
from curator_core.storage.locations import location_of
from curator_core.storage.objects.delta.partitions import partition_values
from curator_core.storage.objects.mirror import Mirror, readable_folder

_FETCHED_AT_ONCE: Final = 8
_READ_AT_ONCE: Final = 64
"""Files that are fetched before they are read together."""


class OpenedTables(PublishedTables):
    """A dataset in a folder of this machine, which may be the mirror of a Delta table.

    Parameters
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(location_of(str(folder)))
        self._folder = folder
        self._mirror = Mirror.at(folder)
        self._origin = None if self._mirror is None else self._mirror.origin

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mirror": None}

    def local(self, name: str) -> Path:
        """Where a file is, which is fetched where it has to be.

        Raises
        ------
        FileNotFoundError
            There is none.
        """
        path = self._folder / name
        if not path.exists():
            if self._origin is None:
                raise FileNotFoundError(path)
            if self._mirror is None or not self._folder.is_dir():  # this is another process, or it was removed
                readable_folder(self._origin)
                self._mirror = Mirror.at(self._folder)
            assert self._mirror is not None  # noqa: S101 - it was made
            self._mirror.fetch(name)
        return path

    def all_local(self, names: Sequence[str]) -> list[str]:
        """Where some files are, of which many are fetched at once; see `local`."""
        if self._origin is None:
            return [str(self.local(name)) for name in names]
        with ThreadPoolExecutor(_FETCHED_AT_ONCE, thread_name_prefix="curator-tables") as pool:
            return list(map(str, pool.map(self.local, names)))

    def arrow(self, names: Sequence[str]) -> arrow_dataset.Dataset:
        """Some files as a dataset of Arrow.

        Raises
        ------
        FileNotFoundError
            One is not there.
        ConfigError
            More had to be fetched than is kept on this machine.
        """
        paths = self.all_local(names)
        if self._origin is not None and not all(map(os.path.exists, paths)):
            raise ConfigError(
                f"{self._origin}: its files are more than are kept here. Set $CURATOR_MIRROR_CACHE_SIZE to more than "
                "their size, read batches(), or open the table with a reader of Delta Lake."
            )
        if self.layout.partition_by:
            return self._partitioned(paths, names)
        return arrow_dataset.dataset(paths, self.schema, format="parquet")

    def _partitioned(self, paths: Sequence[str], names: Sequence[str]) -> arrow_dataset.FileSystemDataset:
        """Files at some paths, whose names say the values of partitions."""
        return arrow_dataset.FileSystemDataset.from_paths(
            paths,
            schema=self.schema,
            format=arrow_dataset.ParquetFileFormat(),
            filesystem=fs.LocalFileSystem(),
            partitions=list(map(self._expression, names)),
        )

    def _expression(self, name: str) -> Any:  # noqa: ANN401 - of Arrow
        """What holds for every row of a file."""
        found = None
        for column, text in partition_values(name).items():
            field = arrow_dataset.field(column)
            value = partition_value(text, self.schema.field(column).type)
            own = field == value if value.is_valid else field.is_null()
            found = own if found is None else found & own
        return found

    def of_segment(
        self,
        segment: int,
        columns: list[str] | None,
        condition: Any,  # noqa: ANN401 - of Arrow
        keep: npt.NDArray[np.bool_] | None = None,
    ) -> pa.Table:
        """Rows of a segment that is partitioned, in order; files in which no row can meet the condition are not read.

        Parameters
        ----------
        segment
            Position of the segment.
        columns
            Names of those that are wanted.
        condition
            Which rows, as an expression of Arrow; all where it is ``None``.
        keep
            Which rows besides, ``(n_rows,)``.
        """
        names = [file.name for file in self.files_of(segment)]
        if condition is not None:  # paths that nobody opens
            names = [one.path for one in self._partitioned(names, names).get_fragments(filter=condition)]
        self.all_local(names)
        rows = range(int(self.n_rows_of[self.segment_of == segment].sum()))
        read = columns if condition is None else None
        chosen = (_chosen(*piece, condition, keep) for piece in self.pieces(segment, rows, read, set(names)))
        table = self.in_order(chosen, read)
        return table if columns is None else table.select(columns)

    def table(self, columns: list[str] | None, condition: Any) -> pa.Table:  # noqa: ANN401 - of Arrow
        """Rows of all files; of those that are fetched, some files are read at a time."""
        if self.layout.partition_by:
            empty = self.schema.empty_table() if columns is None else self.schema.empty_table().select(columns)
            segments = range(self.n_segments)
            return pa.concat_tables([empty, *(self.of_segment(one, columns, condition) for one in segments)])
        names = self.files
        step = max(len(names), 1) if self._origin is None else _READ_AT_ONCE
        pieces = (self.arrow(names[start : start + step]) for start in range(0, len(names), step))
        return pa.concat_tables([piece.to_table(columns=columns, filter=condition) for piece in pieces])

    def source(self, name: str) -> Path | pa.NativeFile:
        return self.local(name) if self._origin is None else pa.OSFile(str(self.local(name)))  # stays when it goes


def _chosen(
    positions: npt.NDArray[np.int64],
    table: pa.Table,
    condition: Any,  # noqa: ANN401 - of Arrow
    keep: npt.NDArray[np.bool_] | None,
) -> tuple[npt.NDArray[np.int64], pa.Table]:
    """Those of some rows that are wanted."""
    wanted = np.ones(len(positions), np.bool_) if keep is None else keep[positions]
    if condition is not None:
        met = arrow_dataset.dataset(table).to_table(columns={"met": condition}, use_threads=False)["met"]
        wanted &= np.asarray(met.fill_null(fill_value=False))
    return (positions, table) if wanted.all() else (positions[wanted], table.filter(pa.array(wanted)))
