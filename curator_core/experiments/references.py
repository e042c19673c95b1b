"""Values that are files of their own beside the table, which holds their paths."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.experiments import typed_csv
from curator_core.experiments.frames import frame_text, read_frame
from curator_core.storage.atomic import publish_file, temporary_sibling
from curator_core.storage.disk import make_folder, writing

DATA_FOLDER = "experiment_data"
"""Folder of the table in a project folder."""
FOREIGN_FOLDER = "experiment_sample"
"""Folder in which array tasks of f3dasm leave their results."""


_NETCDF = {".nca": "load_dataarray", ".ncs": "load_dataset", ".nc": "load_dataset"}
"""Function of xarray that reads a file, by f3dasm's endings for what is in it."""


def xarray(purpose: str) -> Any:  # noqa: ANN401 - it need not be installed
    """The package.

    Raises
    ------
    MissingDependencyError
        It is not installed; `purpose` begins the message.
    """
    try:
        return import_module("xarray")
    except ImportError as exc:
        raise MissingDependencyError.of("xarray", "xarray", purpose) from exc


@dataclass(frozen=True)
class Reference:
    """The place of a value: a path relative to ``experiment_data``."""

    path: str
    folder: Path | None = field(default=None, compare=False, repr=False)
    """The project folder that it is relative to, where that is known not to depend on the table's."""

    @property
    def is_readable(self) -> bool:
        """Whether `load` can read files of this kind here."""
        suffix = Path(self.path).suffix
        return suffix in (".npy", ".csv") or (suffix in _NETCDF and find_spec("xarray") is not None)

    def load(self, project_dir: str | Path) -> object:
        """Read the value: an array from ``.npy``, a data frame from ``.csv``, what xarray wrote from NetCDF.

        Raises
        ------
        ConfigError
            No such file, a path outside the folder, or a format that could run code when it is read.
        MissingDependencyError
            It takes xarray, which is not installed.
        """
        file = self.file(project_dir)
        try:
            if file.suffix in _NETCDF:
                return getattr(xarray(f"Reading {file}"), _NETCDF[file.suffix])(file)
            if file.suffix == ".npy":
                return np.load(file, allow_pickle=False)
            if file.suffix == ".csv":
                return read_frame(file)
        except (OSError, ValueError) as exc:
            raise ConfigError(f"Cannot read {file}: {exc}.") from exc
        raise ConfigError(
            f"{file} is neither .npy nor .csv nor NetCDF. Other formats are not opened here, since reading a pickle "
            "runs what is in it; load the file with what wrote it."
        )

    def shown(self, project_dir: str | Path) -> object:
        """The value, or the reference itself where `load` does not read such files."""
        return self.load(project_dir) if self.is_readable else self

    def file(self, project_dir: str | Path) -> Path:
        """The file itself.

        Raises
        ------
        ConfigError
            The path leads out of the folder.
        """
        folder = ((self.folder or Path(project_dir)) / DATA_FOLDER).resolve()
        file = (folder / self.path).resolve()
        if not file.is_relative_to(folder):
            raise ConfigError(f"The path {self.path!r} leads out of {folder}; it is not read.")
        return file

    def __str__(self) -> str:
        return self.path


def store_object(project_dir: Path, name: str, index: int, value: object) -> Reference:
    """Write the value of row `index` to a file of its own, whole or not at all; copy it if it is one already.

    The file's name has a hash of its content, so that no table on disk changes before a new one is stored.
    """
    if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
        raise ConfigError(f"{name!r} cannot be the name of a folder; rename the parameter.")
    write, suffix = _writer(value, f"{name!r} of row {index}", project_dir)
    folder = project_dir / DATA_FOLDER / name
    make_folder(folder)
    temporary = temporary_sibling(folder / str(index))
    with writing(folder / f"{index}{suffix}"):
        try:
            with temporary.open("w+b") as file:
                write(file)
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
            target = folder / f"{index}-{digest}{suffix}"
            publish_file(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    return Reference(f"{name}/{target.name}", project_dir)


def is_object(value: object) -> bool:
    """Whether a value has more than one number or text in it, so that it can only be kept in a file of its own."""
    return (isinstance(value, np.ndarray) and value.ndim > 0) or _is_frame(value)


def check_object(value: object, where: str) -> None:
    """Whether a file of its own can hold a value; a text is taken for the path of one.

    Raises
    ------
    ConfigError
        It cannot; `where` names it.
    """
    if isinstance(value, str):
        typed_csv.quoted(value, where)
    elif not isinstance(value, Reference):
        _writer(value, where, Path())


def _writer(value: object, where: str, project_dir: Path) -> tuple[Callable[[BinaryIO], object], str]:
    if isinstance(value, Reference):
        source = value.file(project_dir)
        try:
            content = source.read_bytes()
        except OSError as exc:
            raise ConfigError(f"Cannot copy {where}: {exc}.") from exc
        return lambda file: file.write(content), source.suffix
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ConfigError(f"{where} is an array with masked elements, which a file cannot keep. Use filled() first.")
    array = np.asarray(value) if isinstance(value, bool | int | float | np.generic) else value
    if isinstance(array, np.ndarray) and not array.dtype.hasobject:
        return lambda file: np.save(file, array, allow_pickle=False), ".npy"
    if _is_frame(value):
        text = frame_text(value, where)  # type: ignore[arg-type]
        return lambda file: file.write(text.encode()), ".csv"
    raise ConfigError(
        f"{where} is of type {type(value).__name__}; a file of its own can hold a NumPy array of numbers or texts, "
        "or a pandas data frame. Convert it, or write the file in the experiment and store its path as text."
    )


def _is_frame(value: object) -> bool:
    return type(value).__name__ == "DataFrame" and hasattr(value, "to_csv")
