"""Source of atomic structures: folders of ASE databases in LMDB files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

from ase import Atoms

from curator_core.domains.atoms.ase_lmdb.metadata import Counted, counted_files
from curator_core.domains.atoms.ase_lmdb.rows import UNDECODABLE, UNREADABLE, RowFile, open_rows
from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem, FileSource

_Entry = FileItem  # in pickles of former versions


_IGNORE = " Complete or correct the folder; metadata='ignore' compares nothing"


class ASELMDBSource(FileSource[Atoms]):
    """Structures from ``.aselmdb`` files, one file or one block of rows per index.

    Items are sorted by path, and keep ASE's reading of each row: calculator results in a
    `SinglePointCalculator`, and ``unique_id``, ``key_value_pairs`` and ``data`` in ``Atoms.info``.
    Nothing is read before the first use, and nothing is ever written beside the input. Hidden files, editors'
    backups and unfinished downloads are passed over; a named pipe among the files is an item that fails.

    Parameters
    ----------
    data_dir
        Folder to search, sub-folders included; a path, or a URL: ``file://``, ``s3://``, ``gs://``, ``az://``,
        ``https://``, ``http://``.
    pattern
        Glob pattern of the file names.
    rows_per_index
        Rows per index, at least 1; a whole file per index when not given. Remote files are downloaded to be listed
        then.
    metadata
        ``check``: where a folder has a ``metadata.npz`` of fairchem's, as OMol25 has, the numbers of rows and of their
        atoms have to be those that it says; otherwise the items fail. ``ignore``: they are not compared. Those of
        remote folders never are.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded, such as ``20 GB``; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Notes
    -----
    LMDB maps files into memory: remote ones are read from local copies, and a file must not shrink while it
    is being read. Files that are damaged or cut off are recognised before they are mapped.

    While a file is open elsewhere in the same process (``ase.db.connect``), LMDB refuses to open it.
    """

    name: ClassVar[str] = "ase_lmdb"
    description: ClassVar[str] = "Structures from ASE databases in LMDB files (.aselmdb)"
    checks_arguments: ClassVar[bool] = True
    may_be_empty: ClassVar[bool] = True

    def __init__(
        self,
        data_dir: str,
        pattern: str = "*.aselmdb",
        rows_per_index: int | None = None,
        *,
        metadata: Annotated[Literal["check", "ignore"], UNRECORDED] = "check",
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        if rows_per_index is not None and rows_per_index < 1:
            raise ConfigError(f"{self.name}: rows_per_index must be at least 1, got {rows_per_index!r}.")
        super().__init__(data_dir, pattern, storage_options=storage_options, cache_size=cache_size)
        self._rows_per_index = rows_per_index
        self._is_compared = metadata == "check"
        self._counted: Mapping[str, Counted] = {}

    def check(self) -> None:
        """Raise an error where there are no files; find what ``metadata.npz`` says of them."""
        super().check()
        if self._is_compared and self._remote is None:
            self._counted = counted_files({self.item(index).path for index in range(len(self))})

    def splits(self) -> bool:
        return self._rows_per_index is not None

    def split(self, file: FileItem) -> list[FileItem]:
        """Blocks of rows, where they are asked for."""
        size = self._rows_per_index
        if size is None:
            return [file]
        try:
            with open_rows(file.path) as rows:
                n_rows = len(rows.ids())
        except (*UNREADABLE, *UNDECODABLE):
            return [file]  # reading it says more
        # The last block is named for the rows it has room for: its key stays when rows are added
        return [
            file.part(f"{start:06d}-{start + size - 1:06d}", start, start + size)
            for start in range(0, max(n_rows, 1), size)
        ]

    def read(self, item: FileItem) -> Iterator[Atoms]:
        """Yield the structures of a file or block in the order of their ids."""
        with open_rows(item.path) as rows:
            ids = self._ids(rows, item)[item.start : item.stop]
            for row_id, number in zip(ids, self._numbers(item, len(ids)), strict=True):
                atoms = self._atoms(rows, row_id, item)
                if number not in (None, len(atoms)):
                    says = f"{len(atoms)} atoms, and {number} by {self._counted[str(item.path)].path}.{_IGNORE}"
                    raise self.error(item, f"row id {row_id} is another one than was counted", says)
                yield atoms

    def _numbers(self, item: FileItem, n_rows: int) -> Sequence[int | None]:
        """Numbers of atoms that are said of the rows of an item."""
        counted = self._counted.get(str(item.path))
        if counted is None:
            return [None] * n_rows
        if counted.conflict:
            raise self.error(item, "its folder is not what metadata.npz counts", f"{counted.conflict}.{_IGNORE}")
        said: list[int | None] = counted.numbers()[item.start : item.start + n_rows].tolist()
        return said

    def _ids(self, rows: RowFile, item: FileItem) -> list[int]:
        try:
            return rows.ids()
        except UNDECODABLE as exc:
            raise self.error(item, "its list of rows cannot be read", exc) from exc

    def _atoms(self, rows: RowFile, row_id: int, item: FileItem) -> Atoms:
        try:
            return rows.atoms(row_id)
        except UNDECODABLE as exc:
            raise self.error(item, f"row id {row_id} cannot be read", exc) from exc
