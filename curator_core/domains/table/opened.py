"""A dataset of tables on this machine, or a Delta table of which files are fetched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import dataset as arrow_dataset

from curator_core.domains.table.published import PublishedTables
from curator_core.errors import ConfigError
from curator_core.storage.locations import location_of
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
        return arrow_dataset.dataset(paths, self.schema, format="parquet")

    def table(self, columns: list[str] | None, condition: Any) -> pa.Table:  # noqa: ANN401 - of Arrow
        """Rows of all files; of those that are fetched, some files are read at a time."""
        names = self.files
        step = max(len(names), 1) if self._origin is None else _READ_AT_ONCE
        pieces = (self.arrow(names[start : start + step]) for start in range(0, len(names), step))
        return pa.concat_tables([piece.to_table(columns=columns, filter=condition) for piece in pieces])

    def source(self, name: str) -> Path | pa.NativeFile:
        return self.local(name) if self._origin is None else pa.OSFile(str(self.local(name)))  # stays when it goes
