"""Values that are files of their own beside the table, which holds their paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curator_core.atomic import publish_file, temporary_sibling
from curator_core.errors import ConfigError

DATA_FOLDER = "experiment_data"
"""Folder of the table in a project folder."""


@dataclass(frozen=True)
class Reference:
    """The place of a value: a path relative to ``experiment_data``."""

    path: str

    def load(self, project_dir: str | Path) -> object:
        """Read the value: an array from ``.npy``, a data frame from ``.csv``.

        Raises
        ------
        ConfigError
            No such file, a path outside the folder, or a format that could run code when it is read.
        """
        folder = (Path(project_dir) / DATA_FOLDER).resolve()
        file = (folder / self.path).resolve()
        if not file.is_relative_to(folder):
            raise ConfigError(f"The path {self.path!r} leads out of {folder}; it is not read.")
        try:
            if file.suffix == ".npy":
                return np.load(file, allow_pickle=False)
            if file.suffix == ".csv":
                import pandas as pd

                return pd.read_csv(file, index_col=0, float_precision="round_trip")
        except (OSError, ValueError) as exc:
            raise ConfigError(f"Cannot read {file}: {exc}.") from exc
        raise ConfigError(
            f"{file} is neither .npy nor .csv. Other formats are not opened here, since reading a pickle "
            "runs what is in it; load the file with what wrote it."
        )

    def __str__(self) -> str:
        return self.path


def store_object(project_dir: Path, name: str, index: int, value: object) -> Reference:
    """Write the value of row `index` to a file of its own, whole or not at all."""
    if not name or name.startswith(".") or "/" in name or "\\" in name or "\0" in name:
        raise ConfigError(f"{name!r} cannot be the name of a folder; rename the parameter.")
    array = isinstance(value, np.ndarray) and value.dtype != object
    if not array and not _is_frame(value):
        raise ConfigError(
            f"{name!r} of row {index} is of type {type(value).__name__}; a file of its own can hold a NumPy array "
            "or a pandas data frame. Convert it, or write the file in the experiment and store its path as text."
        )
    target = project_dir / DATA_FOLDER / name / f"{index}{'.npy' if array else '.csv'}"
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_sibling(target)
    with temporary.open("wb") as file:
        if array:
            np.save(file, value, allow_pickle=False)  # type: ignore[arg-type]
        else:
            file.write(value.to_csv().encode())  # type: ignore[attr-defined]
    publish_file(temporary, target)
    return Reference(f"{name}/{target.name}")


def _is_frame(value: object) -> bool:
    return type(value).__name__ == "DataFrame" and hasattr(value, "to_csv")
