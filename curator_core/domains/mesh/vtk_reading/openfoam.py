"""Folders of OpenFOAM cases: which of their times are where."""

from __future__ import annotations

import gzip
import math
import re
from pathlib import Path
from typing import Final

CASES: Final = (".foam", "controldict")
"""What says that a file stands for a case."""
_BASE: Final = ("kg", "m", "s", "K", "mol", "A", "cd")
_DIMENSIONS: Final = re.compile(rb"^\s*dimensions\s[^;\[]*\[([-+0-9.eE\s]*)\]", re.MULTILINE)
_HEAD: Final = 1 << 14
"""Bytes of a field in which its dimensions stand."""
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


def of_fields(path: Path, time: float, part: str) -> dict[str, str]:
    """Units of the fields of a part at a time, of points and cells alike, as their dimensions say; in SI."""
    case = case_folder(path)
    for folder in (case, case / "processor0"):
        names = times_in(folder) if folder.is_dir() else ()
        found = next((folder / name for name in names if math.isclose(float(name), time, rel_tol=1e-9)), None)
        if found is not None:
            break
    else:
        return {}
    for step in part.split("/"):  # regions, and clouds
        found = found / step if (found / step).is_dir() else found
    units = {file.name.removesuffix(".gz"): _unit(file) for file in sorted(found.iterdir()) if file.is_file()}
    return {f"{kind}/{name}": unit for kind in ("point_data", "cell_data") for name, unit in units.items() if unit}


def _unit(file: Path) -> str:
    """The unit of a field, as CF has it; empty where it says none, or one of exponents that are not whole."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as content:
        stated = _DIMENSIONS.search(content.read(_HEAD))
    exponents = [float(word) for word in stated[1].split()] if stated else []
    if len(exponents) not in (5, len(_BASE)) or not all(each.is_integer() for each in exponents):
        return ""
    powers = [(name, int(each)) for name, each in zip(_BASE, exponents, strict=False) if each]
    return " ".join(name if each == 1 else f"{name}{each}" for name, each in powers) or "1"
