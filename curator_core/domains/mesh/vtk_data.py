"""Between the data sets of VTK and parts of a mesh; arrays are shared, not copied, where their types allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyvista as pv
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkCellArray

from curator_core.domains.mesh.model import Indices, MeshPart, Polyhedra
from curator_core.formats.arrays import Array


def part_from_vtk(data: Any) -> MeshPart:  # noqa: ANN401 - VTK's classes have no common type
    """A data set of VTK as a part: poly data, images and structured grids become cells in VTK's order.

    Parameters
    ----------
    data
        A ``vtkDataSet``, or its class of PyVista.

    Raises
    ------
    ComponentError
        Its arrays do not fit each other.
    """
    wrapped = pv.wrap(data)
    grid = wrapped if isinstance(wrapped, pv.UnstructuredGrid) else wrapped.cast_to_unstructured_grid()
    offsets, connectivity = _offsets_and_connectivity(grid.GetCells())
    return MeshPart(
        np.asarray(grid.points),
        connectivity,
        offsets,
        np.asarray(grid.celltypes, np.uint8),
        _arrays(wrapped.point_data),
        _arrays(wrapped.cell_data),
        _arrays(wrapped.field_data),
        _polyhedra(grid),
    )


def part_to_vtk(part: MeshPart) -> pv.UnstructuredGrid:
    """A part as VTK's unstructured grid, with types, order of points and dtypes as they are.

    Raises
    ------
    ValueError
        VTK does not hold some of its data as they are.
    """
    grid = pv.UnstructuredGrid()
    grid.points = _native(part.points)
    types = numpy_to_vtk(np.ascontiguousarray(part.types), deep=True)
    cells = _cell_array(part.offsets, part.connectivity)
    if part.polyhedra is None:
        grid.SetCells(types, cells)
    else:
        faces = part.polyhedra
        grid.SetPolyhedralCells(
            types,
            cells,
            _cell_array(faces.polyhedron_offsets, faces.polyhedron_to_faces),
            _cell_array(faces.face_offsets, faces.face_connectivity),
        )
    for target, data in (
        (grid.point_data, part.point_data),
        (grid.cell_data, part.cell_data),
        (grid.field_data, part.field_data),
    ):
        for name, values in data.items():
            target[name] = _held(name, values)
    return grid


def _held(name: str, given: Array) -> Array:
    """Data as VTK takes them; PyVista would turn some into others and not say so."""
    values = np.asarray(given)
    if values.dtype.kind == "O" and (wrong := [value for value in values.ravel() if not isinstance(value, str)]):
        raise ValueError(f"{name!r} has {wrong[0]!r} among its texts")
    if values.dtype.kind not in "biufOU" or values.dtype in (np.float16, np.longdouble) or values.ndim > 2:  # noqa: PLR2004
        raise ValueError(
            f"{name!r} is {values.dtype} of shape {values.shape}: cast it, or make columns of its components"
        )
    return _native(values)


def _native(values: Array) -> Array:
    """Values in the order of bytes of this machine, which VTK takes them to be in."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _arrays(data: Any) -> Mapping[str, Array]:  # noqa: ANN401 - PyVista's data sets
    return {name: np.asarray(data[name]) for name in data.keys()}  # noqa: SIM118 - iterating gives no names


def _cell_array(offsets: Indices, connectivity: Indices) -> vtkCellArray:
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(offsets), deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(connectivity), deep=True),
    )
    return cells


def _polyhedra(grid: pv.UnstructuredGrid) -> Polyhedra | None:
    faces, places = grid.GetPolyhedronFaces(), grid.GetPolyhedronFaceLocations()
    if faces is None or places is None or not faces.GetNumberOfCells():
        return None
    face_offsets, face_connectivity = _offsets_and_connectivity(faces)
    polyhedron_offsets, polyhedron_to_faces = _offsets_and_connectivity(places)
    return Polyhedra(face_connectivity, face_offsets, polyhedron_to_faces, polyhedron_offsets)


def _offsets_and_connectivity(cells: vtkCellArray) -> tuple[Indices, Indices]:
    """The two arrays, whatever storage the cells have."""
    plain = vtkCellArray()
    plain.ShallowCopy(cells)
    plain.ConvertTo64BitStorage()
    offsets = vtk_to_numpy(plain.GetOffsetsAOSArray64()) if plain.GetNumberOfCells() else np.zeros(1, np.int64)
    return offsets, vtk_to_numpy(plain.GetConnectivityAOSArray64())
