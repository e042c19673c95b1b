"""Parts of meshes: what they refuse, and that nothing changes on the way to VTK and back."""

import numpy as np
import pytest

pytest.importorskip("pyvista")

import pyvista as pv

from curator_core.domains.mesh import CellType, Mesh, MeshPart, part_from_vtk, part_to_vtk
from curator_core.errors import ComponentError

POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], np.float32)


def assert_same(first, second):
    for name in ("points", "connectivity", "offsets", "types"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert getattr(first, name).dtype == getattr(second, name).dtype
    for kind in ("point_data", "cell_data", "field_data"):
        assert list(getattr(first, kind)) == list(getattr(second, kind))
        for name, values in getattr(first, kind).items():
            np.testing.assert_array_equal(values, getattr(second, kind)[name])
            assert values.dtype == getattr(second, kind)[name].dtype


def test_cells_of_several_types_stay_as_they_are():
    """Types, order of points, dtypes and texts come back from VTK as they went there."""
    part = MeshPart(
        POINTS,
        np.array([0, 1, 2, 3, 0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 7]),
        np.array([0, 4, 7, 15]),
        np.array([CellType.QUAD, CellType.TRIANGLE, CellType.HEXAHEDRON], np.uint8),
        {"p": np.arange(8, dtype=np.float32), "u": np.ones((8, 3)), "id": np.arange(8, dtype=np.int32)},
        {"material": np.array([1, 2, 3], np.uint8)},
        {"note": np.array(["hot", "cold"])},
    )
    assert_same(part_from_vtk(part_to_vtk(part)), part)


def test_polyhedra_keep_their_faces():
    """A cube of six faces beside a tetrahedron, which has none."""
    faces = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]
    stream = [len(faces), *(number for face in faces for number in (len(face), *face))]
    cells = np.array([len(stream), *stream, 4, 0, 1, 2, 4])
    part = part_from_vtk(pv.UnstructuredGrid(cells, np.array([42, 10], np.uint8), POINTS))
    assert part.polyhedra.polyhedron_offsets.tolist() == [0, 6, 6]
    again = part_from_vtk(part_to_vtk(part))
    assert_same(again, part)
    assert again.polyhedra.face_connectivity.tolist() == [point for face in faces for point in face]
    assert part_to_vtk(part).volume == pytest.approx(1 + 1 / 6)


@pytest.mark.parametrize("make", [pv.ImageData, pv.RectilinearGrid, pv.StructuredGrid])
def test_structured_grids_become_cells(make):
    """Images and structured grids have VTK's own cells."""
    axes = [np.arange(3.0), np.arange(4.0), np.arange(2.0)]
    grid = pv.ImageData(dimensions=(3, 4, 2)) if make is pv.ImageData else None
    grid = grid or (make(*axes) if make is pv.RectilinearGrid else make(*np.meshgrid(*axes, indexing="ij")))
    grid.cell_data["n"] = np.arange(grid.n_cells)
    part = part_from_vtk(grid)
    assert (part.n_points, part.n_cells) == (24, 6)
    assert part_to_vtk(part).volume == pytest.approx(6)
    np.testing.assert_array_equal(part.points, grid.points)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"connectivity": np.array([0, 1, 9])}, "points 0 to 9, of 8"),
        ({"offsets": np.array([0, 2])}, "do not cover"),
        ({"types": np.array([CellType.QUAD], np.uint8)}, "Cell 0, a quad, has 3 points"),
        ({"types": np.array([CellType.POLYHEDRON], np.uint8)}, "1 polyhedra have no faces"),
        ({"point_data": {"p": np.zeros(7)}}, r"'p' has the shape \(7,\), not 8 rows"),
        ({"points": np.zeros((8, 2))}, r"not \(n, 3\)"),
        ({"cell_data": {"p": np.ma.masked_equal([0], 0)}}, "'p' is masked"),
        ({"field_data": {"\udc80": np.zeros(1)}}, "name that UTF-8 cannot hold"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, said):
    """A part cannot be made of them."""
    arrays = {
        "points": POINTS,
        "connectivity": np.array([0, 1, 2]),
        "offsets": np.array([0, 3]),
        "types": np.array([CellType.TRIANGLE], np.uint8),
    }
    with pytest.raises(ComponentError, match=said):
        MeshPart(**arrays | change)


def test_names_of_parts_are_paths():
    """They never leave a folder."""
    with pytest.raises(ComponentError, match=r"called 'a/\.\./b'"):
        Mesh({"a/../b": MeshPart(POINTS)})
