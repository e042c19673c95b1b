"""A dataset of tables on this machine, or a Delta table of which files are fetched, or read in parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
from pyarrow import dataset as arrow_dataset
from pyarrow import fs

from curator_core.domains.table.published import FileInParts, PublishedTables
from curator_core.storage.locations import location_of
from curator_core.storage.objects.delta.location import DeltaLocation
from curator_core.storage.objects.mirror import Mirror, readable_folder


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

    def arrow(self, names: Sequence[str]) -> arrow_dataset.Dataset:
        """Some files as a dataset of Arrow, which reads those that are not here in parts.

        Raises
        ------
        FileNotFoundError
            One is not there.
        """
        if self._origin is None:
            return arrow_dataset.dataset(list(map(str, map(self.local, names))), self.schema, format="parquet")
        files = fs.PyFileSystem(_BucketFiles(self._origin, self._folder))
        return arrow_dataset.dataset(list(names), self.schema, format="parquet", filesystem=files)

    def source(self, name: str) -> Path | pa.NativeFile:
        return self.local(name) if self._origin is None else pa.OSFile(str(self.local(name)))  # stays when it goes


class _BucketFiles(fs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    """The files of a version by name, which can be read alone.

    Parameters
    ----------
    origin
        The version, as ``s3://bucket/name.delta#version``.
    folder
        Where files that were fetched are.
    """

    def __init__(self, origin: str, folder: Path) -> None:
        self._location, self._folder = DeltaLocation(origin), folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BucketFiles) and self._location.path == other._location.path

    def __hash__(self) -> int:
        return hash(self._location.path)

    def get_type_name(self) -> str:
        """What kind of places this is."""
        return "curator-delta"

    def normalize_path(self, path: str) -> str:
        """The name, as it is."""
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        """Size of each."""
        return [fs.FileInfo(path, fs.FileType.File, size=self._location.object_size(path)) for path in paths]

    def open_input_file(self, path: str) -> pa.NativeFile:
        """A file that is read at random."""
        try:
            return pa.OSFile(str(self._folder / path))
        except FileNotFoundError:
            return pa.PythonFile(FileInParts(self._location, path), mode="r")

    def open_input_stream(self, path: str) -> pa.NativeFile:
        """A file that is read from its beginning."""
        return self.open_input_file(path)

    def _refuse(self, *_: object) -> NoReturn:
        raise NotImplementedError("The files of a published version are read alone.")

    get_file_info_selector = create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = _refuse
    delete_file = move = copy_file = open_output_stream = open_append_stream = _refuse
