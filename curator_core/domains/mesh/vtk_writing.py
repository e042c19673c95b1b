"""Parts of meshes as XML files of VTK, whose cells, order of points and types of numbers are those of the part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

import numpy as np
import pyvista as pv
from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonCore import vtkCommand
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter, vtkXMLUnstructuredGridWriter

from curator_core.domains.mesh.cells import CellType, type_name
from curator_core.domains.mesh.model import MeshPart
from curator_core.domains.mesh.vtk_data import part_to_vtk
from curator_core.domains.mesh.vtk_reading.units import set_units_of_vtk
from curator_core.errors import ComponentError

COMPRESSIONS: Final = ("zlib", "lz4", "lzma", "none")
_POLY: Final = (
    ("SetVerts", {CellType.VERTEX: (1, 1), CellType.POLY_VERTEX: (2, None)}),
    ("SetLines", {CellType.LINE: (2, 2), CellType.POLY_LINE: (3, None)}),
    ("SetPolys", {CellType.TRIANGLE: (3, 3), CellType.QUAD: (4, 4), CellType.POLYGON: (5, None)}),
    ("SetStrips", {CellType.TRIANGLE_STRIP: (3, None)}),
)
"""Groups of cells of poly data, in their order, and the number of points from which readers know the type."""


def write_part(
    part: MeshPart, path: Path, compression: str, *, is_poly: bool, units: Mapping[str, str] | None = None
) -> None:
    """Write a file: VTP where `is_poly`, else VTU; its arrays say the units that are given by path, ``point_data/p``.

    Raises
    ------
    ComponentError
        The format does not hold the part as it is, or the file cannot be written.
    """
    for data in (part.point_data, part.cell_data, part.field_data):
        for name in data:
            require_name(name, '&<"')  # which VTK writes as they are
    for unit in (units or {}).values():
        require_name(unit, '&<"')
    writer = vtkXMLPolyDataWriter() if is_poly else vtkXMLUnstructuredGridWriter()
    try:
        data = _poly_data(part) if is_poly else part_to_vtk(part)
    except ValueError as exc:  # of PyVista, such as on texts that are not ASCII
        raise ComponentError(f"VTK does not hold its data: {exc}") from exc
    set_units_of_vtk(data, units or {})
    writer.SetInputData(data)
    writer.SetFileName(str(path))
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetHeaderTypeToUInt64()
    getattr(writer, f"SetCompressorTypeTo{_COMPRESSOR[compression]}")()
    errors: list[str] = []
    writer.AddObserver(vtkCommand.ErrorEvent, _Listener(errors))
    if not writer.Write() or errors:
        raise ComponentError(f"VTK cannot write {path.name}: {' '.join(errors).strip() or 'it does not say why'}.")


def require_name(name: str, wrong: str = "") -> None:
    """Make sure that a name is read as it was written.

    Raises
    ------
    ComponentError
        It is empty, or has characters that are not printed, or one of those that are wrong.
    """
    if not name or not name.isprintable() or any(character in wrong for character in name):
        raise ComponentError(f"Files of VTK do not hold the name {name!r} as it is: rename it.")


_COMPRESSOR: Final = {"zlib": "ZLib", "lz4": "LZ4", "lzma": "LZMA", "none": "None"}


class _Listener:
    """Keeps the messages of VTK."""

    CallDataType = "string0"

    def __init__(self, errors: list[str]) -> None:
        self._errors = errors

    def __call__(self, _caller: object, _event: object, message: str = "") -> None:
        self._errors.append(" ".join(str(message).split()))


def _poly_data(part: MeshPart) -> Any:  # noqa: ANN401 - VTK's
    """The part as poly data.

    Raises
    ------
    ComponentError
        It has cells that poly data do not have, or in another order.
    """
    data = vtkPolyData()
    grid = part_to_vtk(part)
    data.SetPoints(grid.GetPoints())
    start, lengths = 0, np.diff(part.offsets)
    for setter, kinds in _POLY:
        others = np.flatnonzero(~np.isin(part.types[start:], list(kinds)))
        stop = start + int(others[0]) if len(others) else part.n_cells
        for kind, (least, most) in kinds.items():
            is_other = (lengths[start:stop] < least) | (lengths[start:stop] > (most or np.inf))
            wrong = start + np.flatnonzero((part.types[start:stop] == kind) & is_other)
            if len(wrong):
                raise ComponentError(
                    f"VTP has no {type_name(kind)} of {lengths[wrong[0]]} points (cell {wrong[0]}): readers would take "
                    "it for another type. Write VTU."
                )
        getattr(data, setter)(_cells(part, start, stop))
        start = stop
    if start < part.n_cells:
        raise ComponentError(
            f"VTP does not hold the cells as they are: a {type_name(int(part.types[start]))} (cell {start}) cannot "
            "stand there, since vertices, lines, polygons and strips follow one another. Write VTU."
        )
    data.GetPointData().ShallowCopy(grid.GetPointData())
    data.GetCellData().ShallowCopy(grid.GetCellData())
    data.GetFieldData().ShallowCopy(grid.GetFieldData())
    return pv.wrap(data)


def _cells(part: MeshPart, start: int, stop: int) -> Any:  # noqa: ANN401 - VTK's
    offsets = part.offsets[start : stop + 1]
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(offsets - offsets[0]), deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(part.connectivity[offsets[0] : offsets[-1]]), deep=True),
    )
    return cells


def multi_block(files: Mapping[str, str]) -> str:
    """A VTM file, given the file of each part by its name: a part of ``a/b`` is block ``b`` of block ``a``."""
    tree: dict[str, Any] = {}
    for name, file in files.items():
        *folders, own = name.split("/")
        level = tree
        for folder in folders:
            level = level.setdefault(f"{folder}/", {})
        level[own] = file
    lines = "\n".join(_blocks(tree, "    "))
    return (
        '<?xml version="1.0"?>\n<VTKFile type="vtkMultiBlockDataSet" version="1.0" byte_order="LittleEndian">\n'
        f"  <vtkMultiBlockDataSet>\n{lines}\n  </vtkMultiBlockDataSet>\n</VTKFile>\n"
    )


def _blocks(tree: Mapping[str, Any], indent: str) -> Iterator[str]:
    for number, (name, found) in enumerate(tree.items()):
        own = quoteattr(name.removesuffix("/"))
        if isinstance(found, str):
            yield f'{indent}<DataSet index="{number}" name={own} file={quoteattr(found)}/>'
        else:
            yield f'{indent}<Block index="{number}" name={own}>'
            yield from _blocks(found, f"{indent}  ")
            yield f"{indent}</Block>"


def collection(steps: Sequence[tuple[float, Mapping[str, str]]]) -> str:
    """A PVD file, given the time of each step and the file of each part by its name."""
    lines = [
        f'    <DataSet timestep="{time!r}" part="{part}" name={quoteattr(name)} file={quoteattr(file)}/>'
        for time, files in steps
        for part, (name, file) in enumerate(files.items())
    ]
    body = "\n".join(lines)
    return (
        '<?xml version="1.0"?>\n<VTKFile type="Collection" version="0.1" byte_order="LittleEndian">\n'
        f"  <Collection>\n{body}\n  </Collection>\n</VTKFile>\n"
    )
