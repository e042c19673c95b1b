"""Files of VTK: what was written is what VTK reads, whole or not at all, and in the folder."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pyvista")

import pyvista as pv

from curator_core.domains.mesh import CellType, Mesh, MeshPart, VTUSink, part_from_vtk
from curator_core.errors import ComponentError, ConfigError
from curator_core.pipeline.components import Source
from curator_core.testing import SinkContract

POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], np.float32)
CUBE = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]


def solid():
    """A polyhedron and a tetrahedron, data of several types, and texts."""
    stream = [len(CUBE), *(number for face in CUBE for number in (len(face), *face))]
    cells = np.array([len(stream), *stream, 4, 0, 2, 1, 4])
    part = part_from_vtk(pv.UnstructuredGrid(cells, np.array([42, 10], np.uint8), POINTS))
    return part.with_data(
        point_data={"u": np.arange(24, dtype="f8").reshape(8, 3), "a b": np.arange(8, dtype="i2")},
        cell_data={"id": np.array([7, 9], "u8"), "material": np.array(["hot", "cold"])},
    )


def surface():
    """A vertex, a line, a triangle, a quadrilateral and a polygon."""
    connectivity = [0, 0, 1, 2, 1, 0, 0, 1, 2, 3, 0, 1, 2, 3, 7]
    offsets = np.array([0, 1, 3, 6, 10, 15])
    return MeshPart(POINTS, np.array(connectivity), offsets, np.array([1, 3, 5, 9, 7], np.uint8))


class Named(Source):
    """Items of given keys."""

    def __init__(self, *keys):
        self._keys = keys

    def __len__(self):
        return len(self._keys)

    def __getitem__(self, index):
        yield Mesh({"interior": solid()})

    def key(self, index):
        return self._keys[index]


class TestVTUSink(SinkContract):
    def make_sink(self, tmp_path):
        return VTUSink(str(tmp_path / "out"))

    def make_items(self, index):
        return [Mesh({"interior": solid()}, {"n": np.array([index])})]


def assert_same(first, second):
    for name in ("points", "connectivity", "offsets", "types"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), strict=True)
    for where in ("point_data", "cell_data"):
        one, two = getattr(first, where), getattr(second, where)
        assert list(one) == list(two)
        for name, values in one.items():
            np.testing.assert_array_equal(values, two[name], strict=values.dtype.kind != "U")
    assert (first.polyhedra is None) == (second.polyhedra is None)
    if first.polyhedra is not None:
        for name in first.polyhedra.__slots__:
            np.testing.assert_array_equal(getattr(first.polyhedra, name), getattr(second.polyhedra, name))


@pytest.mark.parametrize("compression", ["zlib", "lz4", "lzma", "none"])
def test_what_is_read_is_what_was_written(tmp_path, compression):
    sink = VTUSink(str(tmp_path), compression=compression)
    (path,) = sink(iter([Mesh({"interior": solid()}, {"Re": np.array([5.0])}, 0.25)]), 3)
    assert path == str(tmp_path / "000003.vtu")
    found = part_from_vtk(pv.read(path))
    assert_same(solid(), found)
    assert found.field_data["Re"] == [5.0]
    assert found.field_data["TimeValue"] == [0.25]
    assert [file.name for file in tmp_path.iterdir()] == ["000003.vtu"]


def test_vtp_holds_what_it_can(tmp_path):
    """Cells that poly data would turn into others, or order anew, are refused by name."""
    sink = VTUSink(str(tmp_path), format="vtp")
    (path,) = sink(iter([Mesh({"interior": surface()})]), 0)
    assert_same(surface(), part_from_vtk(pv.read(path)))
    turned = MeshPart(POINTS, np.array([0, 1, 2, 0, 1]), np.array([0, 3, 5]), np.array([5, 3], np.uint8))
    pixel = MeshPart(POINTS, np.arange(4), np.array([0, 4]), np.array([CellType.PIXEL], np.uint8))
    small = MeshPart(POINTS, np.arange(3), np.array([0, 3]), np.array([CellType.POLYGON], np.uint8))
    for part, message in (
        (turned, r"part 'interior': VTP does not hold the cells .* a line \(cell 1\)"),
        (pixel, r"a pixel \(cell 0\)"),
        (small, r"VTP has no polygon of 3 points \(cell 0\)"),
        (solid(), "a polyhedron"),
    ):
        with pytest.raises(ComponentError, match=message):
            sink(iter([Mesh({"interior": part})]), 1)
    assert [file.name for file in tmp_path.iterdir()] == ["000000.vtp"]


def test_several_parts_are_blocks(tmp_path):
    """The file names those of one version; what it named before is gone."""
    sink = VTUSink(str(tmp_path / "out"))
    sink.set_source(Named("runs/a.foam"))
    parts = {"boundaries/in": surface(), "boundaries/out & up": surface()}
    for scale in (1, 2):
        moved = {name: replace(part, points=part.points * np.float32(scale)) for name, part in parts.items()}
        paths = sink(iter([Mesh({"interior": solid(), **moved}, {"Re": np.array([5.0])})]), 0)
        blocks = pv.read(paths[0])
        assert blocks.keys() == ["interior", "boundaries"]
        assert blocks["boundaries"].keys() == ["in", "out & up"]
        assert_same(solid(), part_from_vtk(blocks["interior"]))
        assert_same(moved["boundaries/in"], part_from_vtk(blocks["boundaries"]["in"]))
        assert len(list((tmp_path / "out/runs").iterdir())) == 2
    assert paths == [str(tmp_path / "out/runs/a.vtm"), paths[1]]


def test_what_an_item_was_before_is_removed_or_named(tmp_path, caplog):
    """A list goes with the parts that it names; a file that may be of another origin stays, and the log names it."""
    sink = VTUSink(str(tmp_path))
    one, two = Mesh({"interior": solid()}, time=0.0), Mesh({"interior": solid(), "wall": surface()}, time=1.0)
    for meshes, names, said in (
        ([one, two], {"pvd", "parts"}, []),
        ([two], {"vtm", "parts"}, []),
        ([one], {"vtm", "parts", "vtu"}, ["vtm"]),
        ([two, one], {"pvd", "parts", "vtu"}, ["vtu"]),
    ):
        caplog.clear()
        sink(iter(meshes), 0)
        assert sorted(path.suffix[1:] for path in tmp_path.iterdir()) == sorted(names)
        texts = [record.getMessage() for record in caplog.records]
        assert all(f"000000.{kind} is there, too" in text for kind, text in zip(said, texts, strict=True))
    (tmp_path / "000000.vtm").write_text("<VTKFile><vtkMultiBlockDataSet/></VTKFile>")  # of someone else
    sink(iter([one, two]), 0)
    assert (tmp_path / "000000.vtm").is_file()


def test_series_are_collections(tmp_path):
    sink = VTUSink(str(tmp_path))
    steps = [Mesh({"interior": solid()}, {"n": np.array([n])}, n / 4) for n in range(3)]
    path, _ = sink(iter(steps), 0)
    reader = pv.get_reader(path)
    assert reader.time_values == [0, 0.25, 0.5]
    reader.set_active_time_value(0.5)
    assert reader.read()[0].field_data["n"][0] == 2
    with pytest.raises(ComponentError, match="2 meshes, of which some have no time"):
        sink(iter([steps[0], Mesh({"interior": solid()})]), 1)


def test_names_stay_in_the_folder(tmp_path):
    accented = solid().with_data(cell_data={"material": np.array(["hot", "é"])})
    with pytest.raises(ComponentError, match=r"VTK does not hold its data: .* non-ASCII"):
        VTUSink(str(tmp_path / "out"))(iter([Mesh({"interior": accented})]), 0)
    sink = VTUSink(str(tmp_path / "out"))
    sink.set_source(Named("../a.vtu", "b.vtu", "b.stl"))
    with pytest.raises(ComponentError, match=r"'../a', the name of '../a.vtu', is that of no file"):
        sink(iter([Mesh({"interior": solid()})]), 0)
    with pytest.raises(ComponentError, match=r"names two items 'b': 'b\.vtu' and 'b\.stl'"):
        sink(iter([Mesh({"interior": solid()})]), 1)
    for options, message in (
        ({"format": "stl"}, "'vtu' or 'vtp'"),
        ({"compression": "zip"}, "not 'zip'"),
        ({"template": "x"}, "needs one of"),
    ):
        with pytest.raises(ConfigError, match=message):
            VTUSink("out", **options)


def test_data_that_vtk_would_change_are_refused(tmp_path):
    """Tensors would be transposed, complex numbers become pairs; the order of bytes is brought to the machine's."""
    sink, part = VTUSink(str(tmp_path)), MeshPart(POINTS)
    for values in (np.zeros((8, 3, 3)), np.zeros(8, complex), np.zeros(8, np.float16), np.zeros(8, "M8[s]")):
        with pytest.raises(ComponentError, match="VTK does not hold its data: 'x' is " + re.escape(str(values.dtype))):
            sink(iter([Mesh({"interior": part.with_data(point_data={"x": values})})]), 0)
    for name in ("a & b", "a<b", 'a"b', "a\nb", "a\0b", ""):
        with pytest.raises(ComponentError, match="do not hold the name " + re.escape(repr(name))):
            sink(iter([Mesh({"interior": part.with_data(field_data={name: np.arange(2)})})]), 0)
    with pytest.raises(ComponentError, match="'x' has None among its texts"):
        sink(iter([Mesh({"interior": part.with_data(field_data={"x": np.array(["a", None])})})]), 0)
    with pytest.raises(ComponentError, match=r"part 'a\\x01': Files of VTK do not hold the name"):
        sink(iter([Mesh({"a\x01": part})]), 0)
    big = MeshPart(POINTS.astype(">f4"), point_data={"x": np.arange(8, dtype=">f8")})
    (path,) = sink(iter([Mesh({"interior": big})]), 0)
    found = part_from_vtk(pv.read(path))
    np.testing.assert_array_equal(found.points, POINTS, strict=True)
    np.testing.assert_array_equal(found.point_data["x"], np.arange(8.0), strict=True)
