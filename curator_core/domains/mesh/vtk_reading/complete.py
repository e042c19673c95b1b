"""Whether a reader gave all that a file holds, where VTK does not say so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from curator_core.domains.mesh.model import MeshPart

_STL_HEADER: Final = 84
_STL_TRIANGLE: Final = 50
_PLY_PROPERTIES: Final = re.compile(
    r"[xyz]|n[xyz]|[rgb]|(diffuse_)?(red|green|blue)|alpha|[uvst]|texture_[uv]|intensity|vertex_(index|indices)"
)


def require_complete(path: Path, suffix: str, parts: Mapping[str, MeshPart]) -> list[str]:
    """What is to be said of what a reader left out."""
    if suffix == ".stl":
        return _stl(path, sum(part.n_cells for part in parts.values()))
    if suffix == ".ply":
        return _ply(path)
    return []


def _stl(path: Path, n_cells: int) -> list[str]:
    """Points that coincide are merged, by which triangles may vanish: a file says how many it has, or is counted."""
    with path.open("rb") as file:
        n_stated = int.from_bytes(file.read(_STL_HEADER)[80:], "little")
    if path.stat().st_size != _STL_HEADER + _STL_TRIANGLE * n_stated:  # it is a text
        n_stated = len(re.findall(rb"endfacet", path.read_bytes(), re.IGNORECASE))
    if n_cells < n_stated:
        return [f"{n_stated - n_cells:,} of {n_stated:,} triangles are left out: two of their corners coincide"]
    return []


def _ply(path: Path) -> list[str]:
    header = path.read_bytes()[: 1 << 16].partition(b"end_header")[0].decode(errors="replace")
    names = [line.split()[-1] for line in header.splitlines() if line.startswith("property ")]
    unread = [name for name in names if not _PLY_PROPERTIES.fullmatch(name)]
    return [f"VTK does not read the properties {', '.join(map(repr, unread))}"] if unread else []
