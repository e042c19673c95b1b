"""Meshes from files of VTK: what is in them by value, or an error that names file and reason."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pyvista")

import pyvista as pv

from curator_core import run_pipeline
from curator_core.domains.mesh import MeshZarrSink, VTKSource, part_from_vtk
from curator_core.errors import ComponentError, ConfigError, RunFailed
from curator_core.testing import SourceContract
from tests.domains.mesh.mesh_files import write_grid, write_openfoam
from tests.domains.mesh.test_model import assert_same


class TestVTKSource(SourceContract):
    """What every source does."""

    def make_source(self, tmp_path):
        for name in ("a", "b"):
            write_grid(tmp_path / f"{name}.vtu")
        return VTKSource(str(tmp_path))

    def is_equal(self, first, second):
        assert_same(first.parts["interior"], second.parts["interior"])
        return True


def read(root, pattern, **options):
    """The meshes below a folder, by key."""
    source = VTKSource(str(root), pattern, **options)
    return {source.key(index): next(iter(source[index])) for index in range(len(source))}


def error(root, pattern, **options):
    """What is wrong with the only file."""
    with pytest.raises(ComponentError) as raised:
        read(root, pattern, **options)
    return str(raised.value)


def data_sets():
    image = pv.ImageData(dimensions=(3, 4, 2), spacing=(0.5, 1, 2))
    image.point_data["p"] = np.arange(24, dtype=np.float32)
    image.cell_data["id"] = np.arange(6, dtype=np.int16)
    image.field_data["note"] = np.array(["wet", "dry"])
    sphere = pv.Sphere(theta_resolution=5, phi_resolution=5)
    return {
        "vtk": [image.cast_to_unstructured_grid(), sphere],
        "vtu": [image.cast_to_unstructured_grid()],
        "vtp": [sphere],
        "vti": [image],
        "vts": [image.cast_to_structured_grid()],
        "vtr": [image.cast_to_rectilinear_grid()],
        "vtkhdf": [image.cast_to_unstructured_grid(), sphere],
        "ply": [sphere],
        "stl": [sphere],
    }


def test_files_give_what_is_in_them(tmp_path):
    """Points, cells, types, dtypes, data and texts of files as text and binary are those of VTK."""
    for suffix, given in data_sets().items():
        for number, data in enumerate(given):
            for binary in (True, False) if suffix != "vtkhdf" else (True,):
                path = tmp_path / f"{number}{binary}.{suffix}"
                data.save(path, binary=binary)
                (mesh,) = read(tmp_path, path.name).values()
                assert list(mesh.parts) == ["interior"]
                assert_same(mesh.parts["interior"], part_from_vtk(pv.read(path)))


def test_blocks_are_parts(tmp_path):
    """By path, merged, or some of them; a piece that is missing, and one that changes, is noticed."""
    first, second = pv.Sphere(), pv.Cube().triangulate()
    blocks = pv.MultiBlock({"fluid": pv.MultiBlock({"inlet": first, "outlet": second}), "solid": second})
    blocks.save(tmp_path / "a.vtm")
    (mesh,) = read(tmp_path, "a.vtm").values()
    assert list(mesh.parts) == ["fluid/inlet", "fluid/outlet", "solid"]
    assert_same(mesh.parts["solid"], part_from_vtk(second))
    (some,) = read(tmp_path, "a.vtm", blocks="fluid").values()
    assert list(some.parts) == ["fluid/inlet", "fluid/outlet"]
    (merged,) = read(tmp_path, "a.vtm", blocks="merge", arrays=["Normals"]).values()
    part = merged.parts["interior"]
    assert (part.n_points, part.n_cells) == (mesh.n_points, mesh.n_cells)
    np.testing.assert_array_equal(part.points[part.connectivity[-3:]], second.points[second.regular_faces[-1]])
    assert "has no block 'solids'; it has 'fluid/inlet', 'fluid/outlet', 'solid'" in error(
        tmp_path, "a.vtm", blocks="solids"
    )
    assert "blocks cannot be merged: 'solid' has no point data 'q'" in merge_error(tmp_path, second)
    before = VTKSource(str(tmp_path), "a.vtm").fingerprint(0)
    piece = next((tmp_path / "a").rglob("*.vtp"))
    os.utime(piece, ns=(0, 0))
    assert VTKSource(str(tmp_path), "a.vtm").fingerprint(0) != before
    piece.unlink()
    assert f"{piece} is missing, which it lists as" in error(tmp_path, "a.vtm")


def merge_error(folder, cube):
    sphere = pv.Sphere()
    sphere.point_data["q"] = np.zeros(sphere.n_points)
    pv.MultiBlock({"fluid": sphere, "solid": cube}).save(folder / "b.vtm")
    return error(folder, "b.vtm", blocks="merge", arrays=["q"])


def test_times_are_items(tmp_path):
    """With keys that stay when the collection grows, and fingerprints of their own."""
    for step in range(3):
        write_grid(tmp_path / f"{step}.vtu", step=np.array([step]))

    def write(*times):
        lines = "".join(f'<DataSet timestep="{time}" part="0" file="{n}.vtu"/>' for n, time in enumerate(times))
        (tmp_path / "a.pvd").write_text(f'<VTKFile type="Collection"><Collection>{lines}</Collection></VTKFile>')

    write(0, 0.25)
    source = VTKSource(str(tmp_path), "a.pvd")
    before = {source.key(index): source.fingerprint(index) for index in range(len(source))}
    write(0, 0.25, 1e-3)
    meshes = read(tmp_path, "a.pvd")
    assert {key: (m.time, *m.parts["interior"].field_data["step"]) for key, m in meshes.items()} == {
        "a.pvd#0": (0.0, 0),
        "a.pvd#0.001": (0.001, 2),
        "a.pvd#0.25": (0.25, 1),
    }
    grown = VTKSource(str(tmp_path), "a.pvd")
    after = {grown.key(index): grown.fingerprint(index) for index in range(len(grown))}
    assert before.items() < after.items()
    assert {key: mesh.time for key, mesh in read(tmp_path, "a.pvd", time="last").items()} == {"a.pvd": 0.25}
    assert "it has 3 times, and none at position 3" in error(tmp_path, "a.pvd", time=3)


def test_openfoam_cases(tmp_path):
    """The interior and boundaries at every time, that of 0 included, of one process and of two."""
    write_openfoam(tmp_path / "case", {"0": 1.0, "0.5": 2.0})
    write_openfoam(tmp_path / "two" / "processor0", {"0": 1.0, "0.5": 2.0})
    write_openfoam(tmp_path / "two" / "processor1", {"0": 1.0, "0.5": 3.0}, x=1.0)
    write_openfoam(tmp_path / "two", {"0": 1.0})
    (tmp_path / "two" / "case.foam").touch()
    (tmp_path / "case" / "case.foam").touch()
    meshes = read(tmp_path, "*.foam")
    assert list(meshes) == ["case/case.foam#0", "case/case.foam#0.5", "two/case.foam#0", "two/case.foam#0.5"]
    mesh = meshes["case/case.foam#0.5"]
    assert list(mesh.parts) == ["interior", "boundaries/wall"]
    assert mesh.time == 0.5
    assert mesh.parts["interior"].cell_data["p"].tolist() == [2.0]
    assert mesh.field_data == {}
    both = meshes["two/case.foam#0.5"].parts["interior"]
    assert both.cell_data["p"].tolist() == [2.0, 3.0]
    assert list(read(tmp_path, "system/controlDict")) == [
        "case/system/controlDict#0",
        "case/system/controlDict#0.5",
        *(f"two/{where}system/controlDict#{time}" for where in ("processor0/", "processor1/") for time in (0, 0.5)),
        *(f"two/system/controlDict#{time}" for time in (0, 0.5)),
    ]


def test_arrays_and_geometry(tmp_path, caplog):
    """What is chosen is there, and what is not there is an error."""
    grid = write_grid(tmp_path / "a.vtu")
    (mesh,) = read(tmp_path, "a.vtu", arrays=["region"]).values()
    assert (list(mesh.parts["interior"].point_data), list(mesh.parts["interior"].cell_data)) == ([], ["region"])
    assert "it has no array 'q'; it has 'p', 'region'" in error(tmp_path, "a.vtu", arrays=["q"])
    (surface,) = read(tmp_path, "a.vtu", geometry="surface").values()
    assert surface.n_cells == 24
    assert not caplog.text
    (centres,) = read(tmp_path, "a.vtu", geometry="centroids").values()
    np.testing.assert_array_equal(centres.parts["interior"].points, grid.cell_centers().points)
    assert centres.parts["interior"].point_data["region"].tolist() == list(range(8))
    (points,) = read(tmp_path, "a.vtu", geometry="points").values()
    assert (points.n_points, points.n_cells) == (27, 0)
    with pytest.raises(ConfigError, match="arrays names none"):
        VTKSource(str(tmp_path), arrays=[])


def test_bad_files_are_named(tmp_path):
    """Whatever VTK goes on with."""
    write_grid(tmp_path / "a.vtu")
    content = (tmp_path / "a.vtu").read_bytes()
    (tmp_path / "cut.vtu").write_bytes(content[: len(content) * 2 // 3])
    assert "cut.vtu: cannot be read: VTK says: " in error(tmp_path, "cut.vtu")
    pv.Sphere().save(tmp_path / "s.stl")
    content = (tmp_path / "s.stl").read_bytes()
    (tmp_path / "cut.stl").write_bytes(content[:1000])
    assert "VTK says: STLReader error reading file. Remaining file length bad." in error(tmp_path, "cut.stl")
    pv.Plane().save(tmp_path / "s.ply", binary=False)
    content = (tmp_path / "s.ply").read_bytes()
    (tmp_path / "cut.ply").write_bytes(content[: len(content) // 2])
    assert "cut.ply: cannot be read: it is cut off: it has " in error(tmp_path, "cut.ply")
    (tmp_path / "cut.exo").write_bytes(b"CDF\x02\0\0")
    assert "it is cut off: after 6 bytes, its header is not whole" in error(tmp_path, "cut.exo")
    require_cuts_are_noticed(tmp_path)
    (tmp_path / "empty.vtk").touch()
    assert "it is no file of its kind, as VTK reads it" in error(tmp_path, "empty.vtk")
    (tmp_path / "empty.stl").write_text("solid\nendsolid\n")
    assert "it holds no points" in error(tmp_path, "empty.stl")
    cloud = pv.PolyData()
    cloud.points = np.eye(3, dtype=np.float32)
    cloud.save(tmp_path / "c.vtp")
    assert "it holds 3 points and no cells; say geometry='points'" in error(tmp_path, "c.vtp")
    assert read(tmp_path, "c.vtp", geometry="points")["c.vtp"].n_points == 3
    assert "'.abc' is no kind of file that is read here" in abc_error(tmp_path)


UCD = (
    "# a comment\n3 1 1 1 0\n1 0 0 0\n2 1 0 0\n3 0 1 0\n1 1 tri 1 2 3\n1 1\nT, K\n1 280\n2 290\n3 300\n1 1\nr, m\n1 7\n"
)


def require_cuts_are_noticed(folder):
    """Texts of which VTK makes up the rest, and says nothing."""
    grid = pv.ImageData(dimensions=(2, 2, 2))
    grid.point_data["p"] = np.arange(8) / 7
    for data in (grid, grid.cast_to_structured_grid(), grid.cast_to_unstructured_grid(), pv.Plane()):
        data.save(folder / "whole.vtk", binary=False)
        content = (folder / "whole.vtk").read_bytes().rstrip().removesuffix(b"METADATA\nINFORMATION 0").rstrip()
        (folder / "cut.vtk").write_bytes(content)
        assert read(folder, "cut.vtk")
        (folder / "cut.vtk").write_bytes(content.rpartition(b" ")[0])
        assert "cut.vtk: cannot be read: VTK says: Error reading ascii data" in error(folder, "cut.vtk")
    (folder / "ucd.inp").write_text(UCD)
    assert read(folder, "ucd.inp")
    for n_cut in (3, 8, 28, 48):
        (folder / "ucd.inp").write_text(UCD[:-n_cut])
        assert "ucd.inp: cannot be read: it is cut off" in error(folder, "ucd.inp")
    (folder / "ucd.inp").unlink()
    pv.Plane().save(folder / "s.ply")
    content = (folder / "s.ply").read_bytes()
    (folder / "cut.ply").write_bytes(content[: len(content) // 2])
    assert "cut.ply: cannot be read: it is cut off: it has " in error(folder, "cut.ply")


def abc_error(folder):
    (folder / "x.inp").write_text("** a comment\n*NODE\n1, 0, 0, 0\n")
    assert "a file of Abaqus, which VTK does not read: use the source meshio" in error(folder, "*.inp")
    (folder / "x.abc").write_text("x")
    return error(folder, "*.abc")


def test_files_beside_are_parts_and_values(tmp_path):
    """A surface and a volume, found by what the pattern's asterisk stands for, and a row of a table."""
    for number in (1, 2):
        run = tmp_path / f"run_{number}"
        run.mkdir()
        pv.Cube().save(run / f"boundary_{number}.vtp")
        write_grid(run / f"volume_{number}.vtu")
    (tmp_path / "cases.csv").write_text("Run, length, name\n2, 4.5, sedan\n1, 4, coupé\n", encoding="utf-8")
    options = {"part": "surface", "others": {"volume": "volume_{0}.vtu"}, "global_data": "../cases.csv"}
    options["global_row"] = "{0}"
    meshes = read(tmp_path, "boundary_*.vtp", **options)
    mesh = meshes["run_1/boundary_1.vtp"]
    assert list(mesh.parts) == ["surface", "volume"]
    assert_same(mesh.parts["volume"], part_from_vtk(pv.read(tmp_path / "run_1" / "volume_1.vtu")))
    assert {name: values.tolist() for name, values in mesh.field_data.items()} == {
        "Run": [1.0],
        "length": [4.0],
        "name": ["coupé"],
    }
    source = VTKSource(str(tmp_path), "boundary_*.vtp", **options)
    before = [source.fingerprint(index) for index in range(2)]
    (tmp_path / "cases.csv").write_text("Run, length, name\n2, 5.5, sedan\n1, 4, coupé\n", encoding="utf-8")
    after = VTKSource(str(tmp_path), "boundary_*.vtp", **options)
    assert [before[index] == after.fingerprint(index) for index in range(2)] == [True, False]
    chosen = read(tmp_path, "boundary_1.vtp", others={"volume": "volume_1.vtu"}, arrays=["region", "Normals"])
    assert [[*part.point_data, *part.cell_data] for _, part in chosen["run_1/boundary_1.vtp"]] == [
        ["Normals"],
        ["region"],
    ]
    (tmp_path / "run_1" / "volume_1.vtu").unlink()
    assert "volume_1.vtu is missing, which belongs to it as 'volume'" in error(
        tmp_path, "boundary_1.vtp", others={"volume": "volume_1.vtu"}
    )
    assert "cases.csv has no rows '3'" in error(tmp_path, "b*2.vtp", global_data="../cases.csv", global_row="3")
    for name, text in (("twice.csv", "a,b, a\n1,2,3\n"), ("twice.json", '{"a": 1, "a": 2}')):
        (tmp_path / name).write_text(text)
        assert f"{name} has 'a' twice" in error(tmp_path, "boundary_1.vtp", global_data=f"../{name}")
    with pytest.raises(ConfigError, match=r"names \{1\}; the pattern 'boundary_\*.vtp' has \{0\}, \{folder\}"):
        VTKSource(str(tmp_path), "boundary_*.vtp", others={"volume": "{1}.vtu"})


def test_parts_of_other_times_or_of_one_name_are_refused(tmp_path):
    """They would stand for one another."""
    pv.Cube().save(tmp_path / "x.vtp")
    for name, times in (("main", (0, 1)), ("same", (0, 1.0)), ("other", (0, 0.5))):
        listed = "".join(f'<DataSet timestep="{time}" file="x.vtp"/>' for time in times)
        (tmp_path / f"{name}.pvd").write_text(f"<VTKFile><Collection>{listed}</Collection></VTKFile>")
    assert len(read(tmp_path, "main.pvd", others={"o": "same.pvd"})) == 2
    said = error(tmp_path, "main.pvd", others={"o": "other.pvd"})
    assert "other.pvd, which belongs to it as 'o', has time 0.5 where it has 1.0" in said
    pv.MultiBlock({"wall": pv.Sphere(), "interior": pv.Cube()}).save(tmp_path / "m.vtm")
    assert "it has a part 'wall' beside 'interior'" in error(tmp_path, "m.vtm", part="wall")


def test_field_data_of_several_places_are_kept_or_refused(tmp_path):
    """Those of a mesh that belongs to another one, and values of the case of a name that is taken."""
    pv.Cube().save(tmp_path / "x.vtp")
    for name, field in (("one", "re"), ("own", "mach")):
        blocks = pv.MultiBlock({"a": pv.Cube(), "b": pv.Sphere()})
        blocks["b"].field_data["mach"] = [3.0]
        blocks.field_data[field] = [5.0]
        blocks.save(tmp_path / f"{name}.vtm")
    mesh = read(tmp_path, "x.vtp", others={"o": "one.vtm"})["x.vtp"]
    found = {name: {key: values.tolist() for key, values in part.field_data.items()} for name, part in mesh}
    assert found == {"interior": {}, "o/a": {"re": [5.0]}, "o/b": {"re": [5.0], "mach": [3.0]}}
    said = error(tmp_path, "x.vtp", others={"o": "own.vtm"})
    assert "own.vtm has field data of its part 'b' under the name 'mach', and the mesh has other" in said
    for value in (5, 6):
        (tmp_path / "case.json").write_text(f'{{"re": {value}}}')
        if value == 5:
            mesh = read(tmp_path, "one.vtm", global_data="case.json")["one.vtm"]
            assert mesh.field_data["re"].tolist() == [5.0]
    said = error(tmp_path, "one.vtm", global_data="case.json")
    assert "global_data has values under the name 're', and the mesh has other field data" in said


def test_missing_blocks_are_counted():
    """A block that is named and not there; one that holds nothing is empty."""
    from curator_core.domains.mesh.vtk_reading.blocks import Leaves

    blocks = pv.MultiBlock({"wall": pv.Cube(), "gone": None, "more": pv.MultiBlock({"in": None, "no": pv.PolyData()})})
    leaves = Leaves(blocks, ".case")
    assert list(leaves.found) == ["wall"]
    assert leaves.warnings() == [
        "1 of 4 blocks are empty: 'more/no'",
        "2 of 4 blocks are missing: 'gone', 'more/in'",
    ]


def test_files_that_a_file_beside_names_belong_to_it(tmp_path):
    """Whatever lists them; a broken list, or one that names itself, fails its item alone."""
    pv.Cube().save(tmp_path / "x.vtp")
    pv.Cube().save(tmp_path / "y.vtp")
    listed = '<VTKFile><Collection><DataSet timestep="0" file="y.vtp"/></Collection></VTKFile>'
    (tmp_path / "y.pvd").write_text(listed)
    before = VTKSource(str(tmp_path), "x.vtp", others={"o": "y.pvd"}).fingerprint(0)
    pv.Sphere().save(tmp_path / "y.vtp")
    assert VTKSource(str(tmp_path), "x.vtp", others={"o": "y.pvd"}).fingerprint(0) != before
    itself = '<VTKFile><vtkMultiBlockDataSet><DataSet index="0" file="z.vtm"/></vtkMultiBlockDataSet></VTKFile>'
    for content, message in (("broken", "it is no list of blocks"), (itself, "z.vtm: cannot be read: RecursionError")):
        (tmp_path / "z.vtm").write_text(content)
        assert message in error(tmp_path, "z.vtm")
        assert VTKSource(str(tmp_path), "x.vtp", others={"o": "z.vtm"}).fingerprint(0)


def test_polyhedra_come_through(tmp_path):
    """With their faces, merged, too."""
    cube = pv.PolyData(pv.Cube().clean().points)
    faces = [[0, 1, 2], [0, 1, 3], [1, 2, 3], [0, 2, 3]]
    stream = [2 + 4 * len(faces) - 1, len(faces), *(n for face in faces for n in (3, *face))]
    grid = pv.UnstructuredGrid(np.array(stream), [42], cube.points.astype(np.float64))
    pv.MultiBlock({"a": grid, "b": grid.translate((3, 0, 0))}).save(tmp_path / "a.vtm")
    (mesh,) = read(tmp_path, "a.vtm").values()
    expected = part_from_vtk(pv.read(next(iter(sorted((tmp_path / "a").rglob("*.vtu"))))))
    assert_same(mesh.parts["a"], expected)
    np.testing.assert_array_equal(mesh.parts["a"].polyhedra.face_connectivity, expected.polyhedra.face_connectivity)
    (merged,) = read(tmp_path, "a.vtm", blocks="merge").values()
    both = merged.parts["interior"]
    faces = both.polyhedra
    assert faces.polyhedron_to_faces.tolist() == list(range(8))
    np.testing.assert_array_equal(faces.face_connectivity[12:], faces.face_connectivity[:12] + 8)


_WITHOUT = """
import sys
sys.modules["pyvista"] = None
from curator_core.errors import MissingDependencyError
from curator_core.pipeline.registry import components
try:
    components.get("vtk")
except MissingDependencyError as error:
    print(error)
"""


def test_without_its_library_the_extra_is_named():
    """By the component, before a run begins."""
    done = subprocess.run([sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=True)
    assert "needs pyvista. Install it with: pip install 'curator-dagster[mesh]'" in done.stdout


@pytest.mark.parametrize(("backend", "of_source", "of_run"), [("thread_pool", 4.0, None), ("sequential", 3600, 4.0)])
def test_a_reader_that_hangs_is_ended(tmp_path, backend, of_source, of_run):
    """By the source's limit, where a run can have none, and by the run's, whichever comes first."""
    write_grid(tmp_path / "a.vtu")
    os.mkfifo(tmp_path / "piece.vtu")
    for name, piece in (("good", "a.vtu"), ("hangs", "piece.vtu")):
        points = '<PPoints><PDataArray type="Float32" NumberOfComponents="3"/></PPoints>'
        inner = f'<PUnstructuredGrid>{points}<Piece Source="{piece}"/></PUnstructuredGrid>'
        (tmp_path / f"{name}.pvtu").write_text(f'<VTKFile type="PUnstructuredGrid">{inner}</VTKFile>')
    next(VTKSource(str(tmp_path), "good.pvtu")[0])  # starts the reader
    source = VTKSource(str(tmp_path), "*.pvtu", timeout=of_source)
    pipeline = source.write(MeshZarrSink(str(tmp_path / "out.zarr"))).with_settings(db_file=tmp_path / "run.db")
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline, backend=backend, n_jobs=1, **{"timeout": of_run} if of_run else {})
    assert list(failed.value.failures) == [1]
    said = "took longer than timeout=4" if of_run else "hangs.pvtu: cannot be read: the library that reads it takes"
    assert said in failed.value.failures[1]
    with pytest.raises(ConfigError, match="vtk: timeout must be a positive number of seconds, or null, not -1"):
        VTKSource(str(tmp_path), timeout=-1)


def test_the_collated_format_of_openfoam_is_refused(tmp_path):
    """VTK finds nothing there, and would take what is in the case itself for all of it."""
    write_openfoam(tmp_path, {"0": 1.0, "0.5": 2.0})
    (tmp_path / "case.foam").touch()
    (tmp_path / "processors2").mkdir()
    (tmp_path / "0.5").rename(tmp_path / "processors2" / "0.5")
    for options in ({}, {"time": "last"}):
        assert "its times are in processors2, in the collated format" in error(tmp_path, "*.foam", **options)
