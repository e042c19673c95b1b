"""Numbers of atoms that ``metadata.npz`` says, beside the databases of OMol25 and sets like it.

References
----------
fairchem's ``AseDBDataset``: ``natoms`` has one integer for every row of all databases of a folder, which are sorted by
their names; rows by their ids.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from curator_core.domains.atoms.ase_lmdb.rows import UNDECODABLE, UNREADABLE, open_rows

METADATA: Final = "metadata.npz"
_SUFFIX: Final = ".aselmdb"


@dataclass(frozen=True, slots=True)
class Counted:
    """What is known of the numbers of atoms of a database's rows."""

    path: Path
    """The file that says them."""
    start: int = 0
    """Position of the first row of the database."""
    conflict: str = ""
    """Why it cannot be right."""

    def numbers(self) -> npt.NDArray[np.integer]:
        """Number of atoms of each row, from the first one of the database on."""
        return _natoms(self.path, self.path.stat().st_mtime_ns)[self.start :]


def counted_files(files: Iterable[Path]) -> dict[str, Counted]:
    """Those of some databases whose folder has a `METADATA` file.

    Where the databases of a folder do not have as many rows as it counts, all of them have a `Counted.conflict`; those
    on both sides of which one is damaged are left out.
    """
    found: dict[str, Counted] = {}
    for folder in sorted({path.parent for path in files}):
        path = folder / METADATA
        if path.is_file():
            found |= _in_folder(path, sorted(entry for entry in folder.glob(f"*{_SUFFIX}") if entry.is_file()))
    return found


def _in_folder(path: Path, files: list[Path]) -> dict[str, Counted]:
    try:
        total = len(_natoms(path, path.stat().st_mtime_ns))
    except (OSError, ValueError, LookupError, zipfile.BadZipFile) as exc:
        return {str(file): Counted(path, conflict=f"{path} cannot be read: {exc}") for file in files}
    rows = {file: _n_rows(file) for file in files}
    known = [n for n in rows.values() if n is not None]
    if sum(known) != total and (len(known) == len(files) or sum(known) > total):
        says = f"{path} counts {total} structures, and the {len(files)} databases beside it have {sum(known)}"
        return {str(file): Counted(path, conflict=says) for file in files}
    return {str(file): Counted(path, start) for file, start in _starts(rows, total).items()}


def _starts(rows: Mapping[Path, int | None], total: int) -> dict[Path, int]:
    """First position of each database that can be known, from the front or from the back."""
    starts, start = {}, 0
    for file, n in rows.items():
        if n is None:
            break
        starts[file], start = start, start + n
    for file, n in reversed(list(rows.items())):
        if n is None:
            break
        total -= n
        starts[file] = total
    return starts


def _n_rows(path: Path) -> int | None:
    try:
        with open_rows(path) as rows:
            return len(rows.ids())
    except (*UNREADABLE, *UNDECODABLE):  # an item that fails, with its reason
        return None


@lru_cache(maxsize=8)
def _natoms(path: Path, _mtime_ns: int) -> npt.NDArray[np.integer]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        numbers = arrays["natoms"]
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise ValueError(f"its natoms are {numbers.dtype} of shape {numbers.shape}, no list of integers")
    found: npt.NDArray[np.integer] = numbers
    return found
