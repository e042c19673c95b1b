"""Folders of OpenFOAM cases: which of their times are where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")


def case_folder(path: Path) -> Path:
    """The folder of a case, of which a file is given: ``case.foam``, or ``system/controlDict``."""
    return path.parent.parent if path.parent.name == "system" else path.parent


def times_in(folder: Path) -> set[str]:
    """Names of the folders of times in a case, or in one of its processors'."""
    return {entry.name for entry in folder.iterdir() if _NUMBER.fullmatch(entry.name) and entry.is_dir()}


def is_decomposed(path: Path) -> bool:
    """Whether the folders of processors have times that the case itself has not.

    Raises
    ------
    ValueError
        They are in the collated format, which VTK does not read.
    """
    case = case_folder(path)
    own = times_in(case)
    for folder in case.glob("processors[0-9]*"):
        if times_in(folder) - own:
            raise ValueError(
                f"its times are in {folder.name}, in the collated format, which VTK does not read: run "
                "reconstructPar, or write with -fileHandler uncollated"
            )
    first = case / "processor0"
    return first.is_dir() and bool(times_in(first) - own)
