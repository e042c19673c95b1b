"""Files of Nastran: what meshio leaves out of them, and does not say."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import meshio
from meshio.nastran._nastran import nastran_to_meshio_type  # noqa: PLC2701 - it lists them nowhere else

_CARD: Final = re.compile(r"^([A-Z][A-Z0-9]*\*?)(?=[\s,]|$)", re.MULTILINE)
_LINKING: Final = re.compile(r"C(?!ORD)[A-Z0-9]+\*?|RB(AR|E)\w*\*?|PLOTEL\w*\*?")
"""Cards that link points to cells."""
_KNOWN: Final = frozenset(nastran_to_meshio_type)
"""Those that meshio reads."""
_REF: Final = "nastran:ref"


def read_nastran(path: Path) -> tuple[Any, list[str]]:
    """What meshio makes of a file, and what is to be said of what it leaves out.

    Raises
    ------
    ValueError
        Cells are in a form that meshio passes over, or points in another system of coordinates.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    cards = Counter(_CARD.findall(text.partition("BEGIN BULK")[2]))
    passed_over = {name: n for name, n in cards.items() if _LINKING.fullmatch(name) and name not in _KNOWN}
    wide = [name for name in passed_over if name.rstrip("*") in _KNOWN]
    if wide:
        raise ValueError(f"meshio does not read cells of wide fields, such as {wide[0]}: write them in narrow ones")
    found = meshio.read(path, file_format="nastran")
    systems = found.point_data.get(_REF, ())
    if any(number != 0 for number in systems) and any(card.startswith("CORD") for card in cards):
        raise ValueError("its points are in coordinate systems of their own, which are not read here: write basic ones")
    said = [f"{n:,} {name} are left out, which meshio does not read" for name, n in passed_over.items()]
    if len(systems) < len(found.points) and _REF in found.point_data:
        del found.point_data[_REF]
    n_cells = sum(len(block.data) for block in found.cells)
    n_refs = sum(len(one) for one in found.cell_data.get(_REF, ()))
    if 0 < n_refs < n_cells:
        del found.cell_data[_REF]
        said.append(f"{_REF} is left out: {n_cells - n_refs:,} of {n_cells:,} cells have none, and which is not known")
    return found, said
