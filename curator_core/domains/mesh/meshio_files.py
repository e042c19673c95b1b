"""What a reader process reads with meshio."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import meshio
import numpy as np

from curator_core.domains.mesh.abaqus import read_abaqus
from curator_core.domains.mesh.cells import CellType
from curator_core.domains.mesh.fenced.exchange import packed
from curator_core.domains.mesh.model import INTERIOR, Mesh, MeshPart
from curator_core.domains.mesh.nastran import read_nastran
from curator_core.domains.mesh.vtk_reading.selecting import with_arrays
from curator_core.formats.arrays import Array

_TYPES: Final = {
    "vertex": CellType.VERTEX,
    "line": CellType.LINE,
    "line3": CellType.QUADRATIC_EDGE,
    "line4": CellType.CUBIC_LINE,
    "triangle": CellType.TRIANGLE,
    "triangle6": CellType.QUADRATIC_TRIANGLE,
    "triangle7": CellType.BIQUADRATIC_TRIANGLE,
    "polygon": CellType.POLYGON,
    "pixel": CellType.PIXEL,
    "quad": CellType.QUAD,
    "quad6": CellType.QUADRATIC_LINEAR_QUAD,
    "quad8": CellType.QUADRATIC_QUAD,
    "quad9": CellType.BIQUADRATIC_QUAD,
    "tetra": CellType.TETRA,
    "tetra10": CellType.QUADRATIC_TETRA,
    "hexahedron": CellType.HEXAHEDRON,
    "hexahedron20": CellType.QUADRATIC_HEXAHEDRON,
    "hexahedron24": CellType.BIQUADRATIC_QUADRATIC_HEXAHEDRON,
    "hexahedron27": CellType.TRIQUADRATIC_HEXAHEDRON,
    "wedge": CellType.WEDGE,
    "wedge12": CellType.QUADRATIC_LINEAR_WEDGE,
    "wedge15": CellType.QUADRATIC_WEDGE,
    "wedge18": CellType.BIQUADRATIC_QUADRATIC_WEDGE,
    "pyramid": CellType.PYRAMID,
    "pyramid13": CellType.QUADRATIC_PYRAMID,
    "penta_prism": CellType.PENTAGONAL_PRISM,
    "hexa_prism": CellType.HEXAGONAL_PRISM,
}
_WEDGES: Final[dict[str, list[int]]] = {
    "wedge": [0, 2, 1, 3, 5, 4],
    "wedge12": [0, 2, 1, 3, 5, 4, 8, 7, 6, 11, 10, 9],
    "wedge15": [0, 2, 1, 3, 5, 4, 8, 7, 6, 11, 10, 9, 12, 14, 13],
    "wedge18": [0, 2, 1, 3, 5, 4, 8, 7, 6, 11, 10, 9, 12, 14, 13, 17, 16, 15],
}
"""VTK's order of points: the normal of the first triangle points outward there, and inward in meshio."""
_NO_SET: Final = "gmsh:bounding_entities"
"""What meshio has among the sets of cells, and are numbers of gmsh's entities."""
_MARKER: Final = re.compile(
    r"Warning: meshio does not support tags of string type\. Surface tag (.+?) will be replaced by (\d+)"
)


def read(path: str, file_format: str, *, arrays: list[str] | None) -> tuple[Any, list[Array], list[str]]:
    """The mesh of a file.

    Parameters
    ----------
    path, file_format
        The file, and its format by meshio's name.
    arrays
        Names of the data to keep; ``None`` for all.

    Raises
    ------
    ValueError
        meshio cannot read it, says something, or finds no points or cells.
    """
    found, markers, warnings = _heard(path, file_format)
    n_points, n_cells = len(found.points), sum(len(block.data) for block in found.cells)
    if not n_points or not n_cells:
        raise ValueError(f"meshio reads {n_points:,} points and {n_cells:,} cells from it, as {file_format}")
    part = part_from_meshio(found)
    part = part.with_data(field_data={**part.field_data, **markers})
    about, found_arrays = packed(Mesh({INTERIOR: part if arrays is None else with_arrays(part, arrays)}))
    return {**about, "known": sorted({*part.point_data, *part.cell_data})}, found_arrays, warnings


def _heard(path: str, file_format: str) -> tuple[Any, dict[str, Array], list[str]]:
    """What meshio reads, the numbers that it gives SU2's markers in place of their names, and what it leaves out.

    Raises
    ------
    ValueError
        It cannot read it, lacks a package, or says something.
    """
    if not Path(path).stat().st_size:
        raise ValueError("it is empty")
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            found, warnings = _found(Path(path).absolute(), file_format)
    except ModuleNotFoundError as exc:
        raise ValueError(f"meshio needs {exc.name} to read it: pip install {exc.name}") from exc
    except (Exception, SystemExit) as exc:
        reason = str(exc) if type(exc) is ValueError else f"{type(exc).__name__}: {str(exc) or 'is the file whole?'}"
        text = " ".join(said.getvalue().split()) or reason
        raise ValueError(f"meshio cannot read it as {file_format}: {text}") from exc
    text = " ".join(said.getvalue().split())
    if left := _MARKER.sub("", text).strip():
        raise ValueError(f"meshio says: {left}")
    return found, {name: np.array([int(number)]) for name, number in _MARKER.findall(text)}, warnings


def _found(path: Path, file_format: str) -> tuple[Any, list[str]]:
    """What meshio reads, corrected where it is wrong in silence, and what it leaves out."""
    if file_format == "abaqus":
        return read_abaqus(path), []
    if file_format == "nastran":
        return read_nastran(path)
    found = meshio.read(path, file_format=file_format)
    if file_format == "flac3d":
        found.cell_sets = {name: _of_blocks(rows, found.cells) for name, rows in found.cell_sets.items()}
    return found, []


def _of_blocks(rows: Sequence[Array], blocks: Sequence[Any]) -> list[Array]:
    """Positions in blocks of cells, where meshio gives those among all cells."""
    ends = np.cumsum([len(block.data) for block in blocks])
    return [np.asarray(own) - (end - len(block.data)) for own, end, block in zip(rows, ends, blocks, strict=True)]


def part_from_meshio(found: Any) -> MeshPart:  # noqa: ANN401 - meshio's mesh
    """A mesh of meshio as a part: blocks of cells one after another, sets of points and cells as data of 0 and 1.

    Raises
    ------
    ValueError
        It has cells of a type that VTK has not.
    """
    points = np.asarray(found.points)
    points = points if points.dtype.kind == "f" else points.astype(np.float64)
    if points.shape[1] < 3:  # noqa: PLR2004 - of a plane
        points = np.pad(points, ((0, 0), (0, 3 - points.shape[1])))
    lengths, connectivity, types = [], [], []
    for block in found.cells:
        cells = np.asarray(block.data)
        if block.type not in _TYPES or cells.ndim != 2:  # noqa: PLR2004 - cells and their points
            raise ValueError(f"it has cells of type {block.type!r}, which are not read here")
        cells = cells[:, _WEDGES.get(block.type, slice(None))]
        connectivity.append(cells.astype(np.int64).ravel())
        lengths.append(np.full(len(cells), cells.shape[1], np.int64))
        types.append(np.full(len(cells), _TYPES[block.type], np.uint8))
    sizes = [len(kinds) for kinds in types]
    point_data = _with_sets(found.point_data, found.point_sets, lambda rows: _mask(rows, len(points)))
    cell_data = _with_sets(
        {name: np.concatenate([np.asarray(one) for one in values]) for name, values in found.cell_data.items()},
        found.cell_sets,
        lambda rows: np.concatenate([_mask(one, size) for one, size in zip(rows, sizes, strict=True)]),
    )
    return MeshPart(
        points,
        np.concatenate([np.empty(0, np.int64), *connectivity]),
        np.concatenate([[0], np.cumsum(np.concatenate([np.empty(0, np.int64), *lengths]))]).astype(np.int64),
        np.concatenate([np.empty(0, np.uint8), *types]),
        _with_groups(point_data, "point_tags", getattr(found, "point_tags", {})),
        _with_groups(cell_data, "cell_tags", getattr(found, "cell_tags", {})),
        {name: _values_of_file(values) for name, values in found.field_data.items()},
    )


def _values_of_file(values: Any) -> Array:  # noqa: ANN401 - what meshio has of the whole file
    """As an array; names of the components of several data, as MED's, as one text each."""
    if isinstance(values, list) and values and all(isinstance(names, list) for names in values):
        return np.array([", ".join(map(str, names)) for names in values])
    return np.atleast_1d(np.asarray(values))


def _with_sets(data: Mapping[str, Any], sets: Mapping[str, Any], mask: Any) -> dict[str, Array]:  # noqa: ANN401 - a function
    named = {name: np.asarray(values) for name, values in data.items()}
    for name, rows in sets.items():
        if name == _NO_SET:
            continue
        if name in named:
            raise ValueError(f"a set has the name {name!r}, and so have data")
        named[name] = mask(rows)
    return named


def _with_groups(data: dict[str, Array], families: str, groups: Mapping[int, list[str]]) -> dict[str, Array]:
    """The data, and the groups of MED, each of which has some families."""
    named = dict(data)
    if families in data:
        for family, names in groups.items():
            for name in names:
                rows = (data[families] == family).astype(np.uint8)
                named[name] = rows | named[name] if name in named else rows
    return named


def _mask(rows: Any, n_rows: int) -> Array:  # noqa: ANN401 - positions, or None for none
    mask = np.zeros(n_rows, np.uint8)
    if rows is not None:
        at = np.asarray(rows, np.int64)
        if len(at) and not 0 <= at.min() <= at.max() < n_rows:
            raise ValueError("a set has points or cells that are not there")
        mask[at] = 1
    return mask
