"""CGNS files as the standard has them: elements by type, polyhedra, boundaries and times are read as they are there."""

import numpy as np
import pytest

pytest.importorskip("pyvista")
pytest.importorskip("h5py")

import h5py  # type: ignore[import-untyped]

from curator_core.domains.mesh import VTKSource, part_to_vtk
from curator_core.errors import ComponentError

_TYPES = {"i4": "I4", "i8": "I8", "f4": "R4", "f8": "R8", "i1": "C1"}
HEXA, QUAD, WEDGE, NGON, NFACE = 17, 7, 14, 22, 23
POINTS = np.array([(x, y, z) for z in range(2) for y in range(2) for x in range(3)], np.float64)
CELLS = [[1, 2, 5, 4, 7, 8, 11, 10], [2, 3, 6, 5, 8, 9, 12, 11]]
FACES = [(0, 3, 2, 1), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7)]


def node(parent, name, label, data=None):
    """A node of the tree; texts are arrays of bytes."""
    data = np.frombuffer(data.encode(), np.int8) if isinstance(data, str) else data
    made = parent.create_group(name, track_order=True)
    kind = "MT" if data is None else _TYPES[np.asarray(data).dtype.str[1:]]
    for key, text, size in (("name", name, 33), ("label", label, 33), ("type", kind, 3)):
        made.attrs.create(key, np.bytes_(text), dtype=f"S{size}")
    made.attrs.create("flags", np.array([1], np.int32))
    if data is not None:
        made.create_dataset(" data", data=data)
    return made


def integers(*values):
    return np.array(values, np.int32)


def write_solutions(zone, solutions):
    for name, (location, arrays) in solutions.items():
        own = node(zone, name, "FlowSolution_t")
        node(own, "GridLocation", "GridLocation_t", location)
        for array, values in arrays.items():
            node(own, array, "DataArray_t", np.asarray(values, np.float64))


def write(path, n_cells, sections, solutions, *, boundaries=(), times=()):
    """A file of one zone: sections are (name, type, first, connectivity, offsets)."""
    with h5py.File(path, "w", track_order=True, libver="earliest") as file:
        for key, text, size in (
            ("name", "HDF5 MotherNode", 33),
            ("label", "Root Node of HDF5 File", 33),
            ("type", "MT", 3),
        ):
            file.attrs.create(key, np.bytes_(text), dtype=f"S{size}")
        file.create_dataset(" format", data=np.frombuffer(b"IEEE_LITTLE_32\0", np.int8))
        file.create_dataset(" hdf5version", data=np.frombuffer(b"HDF5 Version 1.10".ljust(33, b"\0"), np.int8))
        node(file, "CGNSLibraryVersion", "CGNSLibraryVersion_t", np.array([4.2], np.float32))
        base = node(file, "Base", "CGNSBase_t", integers(3, 3))
        zone = node(base, "Zone", "Zone_t", integers([len(POINTS)], [n_cells], [0]))
        node(zone, "ZoneType", "ZoneType_t", "Unstructured")
        coordinates = node(zone, "GridCoordinates", "GridCoordinates_t")
        for axis, values in zip("XYZ", POINTS.T, strict=True):
            node(coordinates, f"Coordinate{axis}", "DataArray_t", values)
        for name, kind, first, connectivity, offsets in sections:
            n_rows = len(connectivity) if offsets is None else len(offsets) - 1
            own = node(zone, name, "Elements_t", integers(kind, 0))
            node(own, "ElementRange", "IndexRange_t", integers(first, first + n_rows - 1))
            if offsets is not None:
                node(own, "ElementStartOffset", "DataArray_t", integers(*offsets))
            node(own, "ElementConnectivity", "DataArray_t", integers(*connectivity).ravel())
        write_solutions(zone, solutions)
        conditions = node(zone, "ZoneBC", "ZoneBC_t") if boundaries else None
        for name, kind, first, last in boundaries:
            own = node(conditions, name, "BC_t", kind)
            node(own, "PointRange", "IndexRange_t", integers([first], [last]))
            node(own, "GridLocation", "GridLocation_t", "FaceCenter")
            if kind == "FamilySpecified":
                node(own, "FamilyName", "FamilyName_t", "Inflow")
        if boundaries:
            node(node(base, "Inflow", "Family_t"), "FamilyBC", "FamilyBC_t", "BCInflow")
        if times:
            node(
                node(base, "Times", "BaseIterativeData_t", integers(len(times))),
                "TimeValues",
                "DataArray_t",
                np.array(times),
            )
            names = np.frombuffer("".join(name.ljust(32) for name in solutions).encode(), np.int8).reshape(-1, 32)
            node(node(zone, "Steps", "ZoneIterativeData_t"), "FlowSolutionPointers", "DataArray_t", names)


def read(folder):
    source = VTKSource(str(folder), "*.cgns")
    return [next(iter(source[index])) for index in range(len(source))]


def test_elements_and_boundaries(tmp_path, caplog):
    """Sections in the order of their numbers; a boundary of a kind that VTK does not read is in the log."""
    h = CELLS[1]
    wedges = [[h[0], h[1], h[2], h[4], h[5], h[6]], [h[0], h[2], h[3], h[4], h[6], h[7]]]
    sections = [("B", HEXA, 3, CELLS[:1], None), ("A", WEDGE, 1, wedges, None)]
    inlet, wall = [CELLS[0][at] for at in FACES[4]], [[cell[at] for at in FACES[0]] for cell in CELLS]
    sections += [("Inlet", QUAD, 4, [inlet], None), ("Wall", QUAD, 5, wall, None)]
    velocity = {f"Velocity{axis}": np.arange(3) + 10 * at for at, axis in enumerate("XYZ")}
    solutions = {"C": ("CellCenter", {"Pressure": [1.5, 2.5, 3.5], **velocity}), "N": ("Vertex", {"T": np.arange(12)})}
    boundaries = [("inlet", "FamilySpecified", 4, 4), ("wall", "BCWall", 5, 6)]
    write(tmp_path / "a.cgns", 3, sections, solutions, boundaries=boundaries)
    with caplog.at_level("WARNING", "curator"):
        (mesh,) = read(tmp_path)
    assert caplog.messages == ["VTK leaves out the boundaries 'Base/Zone/wall'"]
    inner, boundary = mesh.parts["Base/Zone/Internal"], mesh.parts["Base/Zone/Patches/inlet"]
    assert list(mesh.parts) == ["Base/Zone/Internal", "Base/Zone/Patches/inlet"]
    np.testing.assert_array_equal(inner.points, POINTS)
    np.testing.assert_array_equal(inner.connectivity, np.array([*wedges[0], *wedges[1], *CELLS[0]]) - 1)
    assert inner.types.tolist() == [13, 13, 12]
    assert inner.cell_data["Pressure"].tolist() == [1.5, 2.5, 3.5]
    np.testing.assert_array_equal(inner.cell_data["Velocity"], np.transpose(list(velocity.values())))
    assert inner.point_data["T"].tolist() == list(range(12))
    assert boundary.connectivity.tolist() == [at - 1 for at in inlet]
    content = (tmp_path / "a.cgns").read_bytes()
    for size in (900, len(content) // 2, len(content) - 1):
        (tmp_path / "a.cgns").write_bytes(content[:size])
        with pytest.raises(ComponentError, match=r"a\.cgns: "):
            read(tmp_path)


def test_polyhedra_at_times(tmp_path):
    """Faces that two cells share are in the second one with a minus."""
    faces, own = {}, []
    for cell in CELLS:
        for face in FACES:
            nodes = [cell[at] for at in face]
            is_new = frozenset(nodes) not in faces
            number, _ = faces.setdefault(frozenset(nodes), (len(faces) + 1, nodes))
            own.append(number if is_new else -number)
    flat = [nodes for _, nodes in faces.values()]
    sections = [
        ("Faces", NGON, 1, np.ravel(flat), range(0, 4 * len(flat) + 1, 4)),
        ("Cells", NFACE, len(flat) + 1, own, (0, 6, 12)),
    ]
    solutions = {f"Step{at}": ("CellCenter", {"Pressure": [at + 0.5, at + 1.5]}) for at in range(2)}
    write(tmp_path / "a.cgns", 2, sections, solutions, times=(0.0, 0.5))
    first, second = read(tmp_path)
    assert (first.time, second.time) == (0.0, 0.5)
    (part,) = second.parts.values()
    assert part.cell_data["Pressure"].tolist() == [1.5, 2.5]
    assert part.types.tolist() == [42, 42]
    np.testing.assert_allclose(part_to_vtk(part).compute_cell_sizes().cell_data["Volume"], [1.0, 1.0])
