"""Whether a reader gave all that a file holds, where VTK does not say so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from curator_core.domains.mesh.model import MeshPart

_STL_HEADER: Final = 84
_STL_TRIANGLE: Final = 50
_BINARY_UCD: Final = b"\x07"
_PLY_SIZES: Final = {
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}
"""Bytes of types that have more than one."""
_PLY_PROPERTIES: Final = re.compile(
    r"[xyz]|n[xyz]|[rgb]|(diffuse_)?(red|green|blue)|alpha|[uvst]|texture_[uv]|intensity|vertex_(index|indices)"
)


def require_complete(path: Path, suffix: str, parts: Mapping[str, MeshPart]) -> list[str]:
    """What is to be said of what a reader left out.

    Raises
    ------
    ValueError
        A file is cut off.
    """
    if suffix == ".stl":
        return _stl(path, sum(part.n_cells for part in parts.values()))
    if suffix == ".ply":
        return _ply(path, parts)
    if suffix == ".cgns":
        return _cgns(path, parts)
    return []


def _cgns(path: Path, parts: Mapping[str, MeshPart]) -> list[str]:
    """Boundaries that VTK passes over, as it does those that belong to no family, and does not always say."""
    import h5py  # type: ignore[import-untyped]  # noqa: PLC0415 - of these files alone

    if not h5py.is_hdf5(path):  # of the former format
        return []
    left_out: list[str] = []

    def note(name: str, node: Any) -> None:  # noqa: ANN401 - of a library without types
        if node.attrs.get("label", b"").rstrip(b"\0 ") == b"BC_t":
            base, zone, _, own = name.split("/")
            if f"{base}/{zone}/Patches/{own}" not in parts:
                left_out.append(f"{base}/{zone}/{own}")

    with h5py.File(path) as file:
        file.visititems(note)
    return [f"VTK leaves out the boundaries {', '.join(map(repr, left_out))}"] if left_out else []


def _stl(path: Path, n_cells: int) -> list[str]:
    """Points that coincide are merged, by which triangles may vanish: a file says how many it has, or is counted."""
    with path.open("rb") as file:
        n_stated = int.from_bytes(file.read(_STL_HEADER)[80:], "little")
    if path.stat().st_size != _STL_HEADER + _STL_TRIANGLE * n_stated:  # it is a text
        n_stated = len(re.findall(rb"endfacet", path.read_bytes(), re.IGNORECASE))
    if n_cells < n_stated:
        return [f"{n_stated - n_cells:,} of {n_stated:,} triangles are left out: two of their corners coincide"]
    return []


def require_whole_ucd(path: Path) -> None:
    """Raise `ValueError` where a file of AVS UCD has fewer lines than it says, which VTK makes up, or crashes."""
    content = path.read_bytes()
    lines = [line for line in content.decode(errors="replace").splitlines() if line.strip() and line[:1] != "#"]
    if content[:1] == _BINARY_UCD or not lines:
        return
    n_points, n_cells, *n_data = (int(word) for word in lines[0].split()[:4])
    n_lines = 1 + n_points + n_cells
    for n_rows, n_values in zip((n_points, n_cells), n_data, strict=False):
        if n_values and len(lines) > n_lines:
            n_lines += 1 + int(lines[n_lines].split()[0]) + n_rows
            is_short = len(lines) == n_lines and len(lines[-1].split()) < 1 + n_values
        elif n_values:
            n_lines, is_short = n_lines + n_rows, True
        else:
            is_short = False
        if is_short or len(lines) < n_lines:
            raise ValueError(f"it is cut off: it has {len(lines):,} lines of at least {n_lines:,}, or a short one")


def require_whole_ply(path: Path) -> None:
    """Raise `ValueError` where a binary PLY file is shorter than its rows, of which VTK makes up the values."""
    content = path.read_bytes()
    header, mark, body = content.partition(b"end_header")
    lines = [line.split() for line in header.decode(errors="replace").splitlines()]
    if not mark or ["format", "ascii", "1.0"] in lines:
        return
    n_bytes = n_rows = 0
    for line in lines:
        if line[:1] == ["element"]:
            n_rows = int(line[2])
        elif line[:1] == ["property"]:  # of a list, the number that says its length
            n_bytes += n_rows * _PLY_SIZES.get(line[2] if line[1] == "list" else line[1], 1)
    if len(body) < n_bytes:
        raise ValueError(f"it is cut off: it has {len(body):,} bytes of data, not {n_bytes:,} or more")


def _ply(path: Path, parts: Mapping[str, MeshPart]) -> list[str]:
    content = path.read_bytes()
    header, mark, body = content.partition(b"end_header")
    lines = [line.split() for line in header.decode(errors="replace").splitlines()]
    counts = {line[1]: int(line[2]) for line in lines if line[:1] == ["element"]}
    names = [line[-1] for line in lines if line[:1] == ["property"]]
    if mark and ["format", "ascii", "1.0"] in lines and counts.keys() <= {"vertex", "face"}:
        n_values = len(body.split())
        n_scalars = sum(counts[element] * n for element, n in _scalars(lines).items())
        n_indices = sum(int(np.maximum(np.diff(part.offsets), 3).sum()) for part in parts.values() if part.n_cells)
        if n_values < n_scalars + n_indices:
            raise ValueError(f"it is cut off: it has {n_values:,} values, not {n_scalars + n_indices:,}")
    unread = [name for name in names if not _PLY_PROPERTIES.fullmatch(name)]
    return [f"VTK does not read the properties {', '.join(map(repr, unread))}"] if unread else []


def _scalars(lines: list[list[str]]) -> dict[str, int]:
    """Values of one row of each element of a PLY file, of lists their lengths alone."""
    found: dict[str, int] = {}
    for line in lines:
        if line[:1] == ["element"]:
            found[line[1]] = 0
        elif line[:1] == ["property"]:
            found[next(reversed(found))] += 1
    return found
