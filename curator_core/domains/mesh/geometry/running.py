"""VTK's algorithms, whose errors are raised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyvista as pv
from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonDataModel import vtkCellArray

from curator_core.domains.mesh.model import Indices, MeshPart
from curator_core.domains.mesh.vtk_data import part_to_vtk
from curator_core.filters.values.fields import Array, FieldError

ID = "curator_id"
"""Name of the array of cells by which results are traced back."""


def output_of(algorithm: Any, data: Any) -> Any:  # noqa: ANN401 - VTK's classes have no common type
    """What an algorithm makes of a data set.

    Raises
    ------
    FieldError
        VTK reports an error.
    """
    messages: list[str] = []

    def note(_caller: object, _event: object, text: str | None = None) -> None:
        messages.append(" ".join((text or "an error without a text").split()))

    vars(note)["CallDataType"] = "string0"  # so that VTK hands over the text
    for source in (algorithm, algorithm.GetExecutive()):
        source.AddObserver("ErrorEvent", note)
    algorithm.SetInputDataObject(data)
    algorithm.Update()
    if messages:
        raise FieldError(f"VTK says: {messages[0]}")
    return pv.wrap(algorithm.GetOutputDataObject(0))


def bare(part: MeshPart) -> MeshPart:
    """The points and cells of a part, without data."""
    return part.with_data(point_data={}, cell_data={}, field_data={})


def numbered(part: MeshPart) -> pv.UnstructuredGrid:
    """A part as VTK's grid whose only data are the numbers of its cells, named `ID`.

    Data stay behind: VTK changes types of some of them, and ends the process at texts.
    """
    return part_to_vtk(bare(part).with_data(cell_data={ID: np.arange(part.n_cells)}))


def polygons_as_vtk(points: Array, connectivity: Indices, offsets: Indices) -> pv.PolyData:
    """Polygons as VTK's poly data, with numbers named `ID`."""
    made = pv.PolyData()
    made.points = points
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(offsets), deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(connectivity), deep=True),
    )
    made.SetPolys(cells)
    made.cell_data[ID] = np.arange(len(offsets) - 1)
    return made
