"""Cases of EnSight: what is in them by value, and no file of theirs that is cut off or too long read in silence."""

import numpy as np
import pytest

pytest.importorskip("pyvista")

from curator_core.domains.mesh import VTKSource
from curator_core.errors import ComponentError
from tests.domains.mesh.ensight_files import BLOCK, COMPONENTS, POINTS, Case, coordinates, values

_TENSOR_OF_VTK = [0, 1, 2, 3, 5, 4]
"""EnSight has xx, yy, zz, xy, xz, yz."""
CASES = {
    "gold text": {"form": "text", "layout": "files"},
    "gold C": {"form": "C<", "layout": "file set", "ids": "assign"},
    "gold Fortran": {"form": "Fortran>"},
    "6 text": {"form": "text", "is_gold": False, "layout": "file set"},
    "6 C": {"form": "C>", "is_gold": False, "ids": "assign", "layout": "file set"},
}


def read(folder):
    """What each item gives, a mesh or its error."""
    source = VTKSource(str(folder), "*.case", timeout=30)
    found = []
    for index in range(len(source)):
        try:
            found.append(next(iter(source[index])))
        except ComponentError as error:
            found.append(str(error))
    return found


def assert_as_written(mesh, case, step):
    assert len(mesh.parts) == 1 + case.is_gold
    n_cells = {1: sum(map(len, case.cells.values())), 2: 2}
    for number, part in enumerate(mesh.parts.values(), 1):
        n_points = BLOCK if number == 2 else POINTS
        np.testing.assert_array_equal(part.points, np.transpose(coordinates(n_points, step)).astype(np.float32))
        for kind in COMPONENTS:
            for data, place, n in ((part.point_data, "node", n_points), (part.cell_data, "element", n_cells[number])):
                expected = values(kind, number, n, step).T
                expected = expected[:, _TENSOR_OF_VTK] if kind.startswith("tensor") else expected
                np.testing.assert_array_equal(data[f"{kind[0]}_{place}"], np.squeeze(expected))


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_files_are_as_their_geometry_has_them_or_fail_by_name(options, tmp_path):
    case = Case(tmp_path, **options)
    found = read(tmp_path)
    assert len(found) == (1 if options.get("layout", "constant") == "constant" else 2)
    for step, mesh in enumerate(found):
        assert_as_written(mesh, case, step)
    rng = np.random.default_rng(0)
    for path in sorted(tmp_path.iterdir()):
        if path.suffix == ".case":
            continue
        whole = path.read_bytes()
        changed = [whole[:cut] for cut in rng.integers(1, len(whole) - 2, 3)]
        if case.form == "text":  # without the end of its last line as well
            changed += [whole[:-3], whole.replace(b"\npart", b"\n7\npart")] if b"\npart" in whole else [whole[:-3]]
        for content in changed:
            path.write_bytes(content)
            errors = [item for item in read(tmp_path) if isinstance(item, str)]
            assert errors
            assert all(str(path) in error for error in errors)
        path.write_bytes(whole)


def test_what_vtk_reads_otherwise_than_meant_fails(tmp_path):
    Case(tmp_path / "partial")
    path = tmp_path / "partial" / "s_node"
    path.write_bytes(path.read_bytes().replace(b"coordinates\n", b"coordinates partial\n", 1))
    (error,) = read(tmp_path / "partial")
    assert "s_node is not as its case has it: VTK does not read 'partial' of part 1 as it is meant" in error
    Case(tmp_path / "six", "Fortran<", is_gold=False)
    (error,) = read(tmp_path / "six")
    assert "VTK does not read EnSight 6 that Fortran wrote" in error
