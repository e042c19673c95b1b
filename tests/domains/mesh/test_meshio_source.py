"""Meshes that VTK does not read: values as meshio has them, with sets; what meshio says or exits with is an error."""

import numpy as np
import pytest

pytest.importorskip("pyvista")

import meshio

from curator_core.domains.mesh import CellType, MeshioSource
from curator_core.domains.mesh.fenced.exchange import unpacked
from curator_core.domains.mesh.meshio_files import part_from_meshio
from curator_core.domains.mesh.meshio_files import read as read_by_meshio
from curator_core.errors import ComponentError
from curator_core.testing import SourceContract
from tests.domains.mesh.test_model import assert_same

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [0, 1, 1]], float)
CELLS = [("wedge", [[0, 1, 2, 3, 4, 5]]), ("triangle", [[0, 1, 2], [3, 4, 5]])]
SU2 = """NDIME= 2
NELEM= 1
5 0 1 2 0
NPOIN= 3
0.0 0.0
1.0 0.0
0.0 1.0
NMARK= 1
MARKER_TAG= inlet
MARKER_ELEMS= 1
3 0 1
"""

GMSH = """$MeshFormat
4.1 0 8
$EndMeshFormat
$PhysicalNames
2
1 1 "wall"
2 2 "fluid"
$EndPhysicalNames
$Entities
2 1 1 0
1 0 0 0 0
2 1 0 0 0
1 0 0 0 1 0 0 1 1 2 1 -2
1 0 0 0 1 1 0 1 2 1 1
$EndEntities
$Nodes
1 3 1 3
2 1 0 3
1
2
3
0 0 0
1 0 0
1 1 0
$EndNodes
$Elements
2 2 1 2
1 1 1 1
1 1 2
2 1 2 1
2 1 2 3
$EndElements
"""


def write_mesh(path, file_format, **sets):
    meshio.Mesh(POINTS, CELLS, **sets).write(path, file_format=file_format)


class TestMeshioSource(SourceContract):
    """What every source does."""

    def make_source(self, tmp_path):
        for name in ("a", "b"):
            write_mesh(tmp_path / f"{name}.bdf", "nastran")
        return MeshioSource(str(tmp_path), "*.bdf")

    def is_equal(self, first, second):
        assert_same(first.parts["interior"], second.parts["interior"])
        return True


def read(folder, pattern, **options):
    """The part of the only file."""
    (mesh,) = MeshioSource(str(folder), pattern, **options)[0]
    return mesh.parts["interior"]


def error(folder, pattern):
    with pytest.raises(ComponentError) as raised:
        read(folder, pattern)
    return str(raised.value)


def test_sets_and_groups_are_data(tmp_path):
    """Of Abaqus, gmsh and SU2; wedges have VTK's order."""
    sets = {"cell_sets": {"wall": [np.array([], int), np.array([1])]}, "point_sets": {"pin": np.array([2, 4])}}
    write_mesh(tmp_path / "a.inp", "abaqus", **sets)
    part = read(tmp_path, "a.inp")
    np.testing.assert_array_equal(part.points, POINTS)
    assert part.types.tolist() == [CellType.WEDGE, CellType.TRIANGLE, CellType.TRIANGLE]
    assert part.connectivity.tolist() == [0, 2, 1, 3, 5, 4, 0, 1, 2, 3, 4, 5]
    assert part.cell_data["wall"].tolist() == [0, 0, 1]
    assert part.point_data["pin"].tolist() == [0, 0, 1, 0, 1, 0]
    groups = {"gmsh:physical": [np.array([7]), np.array([8, 8])], "gmsh:geometrical": [np.array([1]), np.array([1, 2])]}
    mesh = meshio.Mesh(POINTS, CELLS, cell_data=groups, field_data={"skin": np.array([8, 2])})
    mesh.write(tmp_path / "a.msh", file_format="gmsh22")
    part = read(tmp_path, "a.msh", arrays=["gmsh:physical"])
    assert part.cell_data["gmsh:physical"].tolist() == [7, 8, 8]
    assert part.field_data["skin"].tolist() == [8, 2]
    assert list(part.cell_data) == ["gmsh:physical"]
    (tmp_path / "b.msh").write_text(GMSH)
    part = read(tmp_path, "b.msh")
    assert {name: values.tolist() for name, values in part.cell_data.items()} == {
        "gmsh:physical": [1, 2],
        "gmsh:geometrical": [1, 1],
        "wall": [1, 0],
        "fluid": [0, 1],
    }
    (tmp_path / "a.su2").write_text(SU2)
    part = read(tmp_path, "a.su2")
    assert part.points.shape == (3, 3)
    assert part.cell_data["su2:tag"].tolist() == [0, 1]
    assert part.field_data["inlet"].tolist() == [1]


def test_the_content_says_which_of_two_formats_it_is(tmp_path):
    """AVS UCD has the suffix of Abaqus, of which meshio makes an empty mesh."""
    (tmp_path / "a.inp").write_text(
        "3 1 1 0 0\n1 0 0 0\n2 1 0 0\n3 0 1 0\n1 1 tri 1 2 3\n1 1\nT, K\n1 280\n2 290\n3 300\n"
    )
    part = read(tmp_path, "a.inp")
    assert part.types.tolist() == [CellType.TRIANGLE]
    assert part.point_data["T"].tolist() == [280, 290, 300]


def test_what_meshio_cannot_read_is_named(tmp_path):
    """It exits, leaves out, or gives nothing."""
    (tmp_path / "a.msh").write_text("")
    assert error(tmp_path, "a.msh").endswith("a.msh: cannot be read: it is empty")
    (tmp_path / "a.off").write_text("nothing of this kind\n")
    assert "a.off: cannot be read: meshio cannot read it as off: " in error(tmp_path, "a.off")
    (tmp_path / "a.su2").write_text(f"{SU2}a line of another kind\n")
    assert "meshio says: Warning: meshio could not parse line a line of another kind" in error(tmp_path, "a.su2")
    (tmp_path / "b.inp").write_text("*HEADING\nnothing\n")
    assert "b.inp: cannot be read: meshio reads 0 points and 0 cells from it, as abaqus" in error(tmp_path, "b.inp")
    (tmp_path / "a.vtu").write_text("")
    assert "'.vtu' is no kind of file that is read with meshio here" in error(tmp_path, "*.vtu")


def test_groups_of_med_are_data():
    """Each has some families, whose numbers points and cells have; those of MED, with names of components."""
    tags = [np.array([-6]), np.array([-7, -8])]
    mesh = meshio.Mesh(POINTS, CELLS, cell_data={"cell_tags": tags})
    mesh.cell_tags = {-6: ["fluid"], -7: ["inlet", "skin"], -8: ["skin"]}
    mesh.field_data["med:nom"] = [["DX", "DY"], ["T"]]
    part = part_from_meshio(mesh)
    groups = {name: part.cell_data[name].tolist() for name in ("fluid", "inlet", "skin")}
    assert groups == {"fluid": [1, 0, 0], "inlet": [0, 1, 0], "skin": [0, 1, 1]}
    assert part.field_data["med:nom"].tolist() == ["DX, DY", "T"]


def test_included_files_are_those_beside_the_file(tmp_path, monkeypatch):
    """Whatever the working directory has under their name."""
    node = "*NODE\n1,0,0,0\n2,{},0,0\n3,0,1,0\n*ELEMENT, TYPE=S3\n1,1,2,3\n"
    for folder, x in (("case", 1), ("elsewhere", 20)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c.inp").write_text(node.format(x))
    (tmp_path / "case" / "a.inp").write_text("*HEADING\n*INCLUDE, INPUT=c.inp\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    about, arrays, _ = read_by_meshio("../case/a.inp", "abaqus", arrays=None)
    assert unpacked(about, arrays).parts["interior"].points[1, 0] == 1


def test_files_that_included_files_include_belong_to_a_file(tmp_path):
    """Of Abaqus, whatever the name: meshio reads them all."""
    (tmp_path / "a.inp").write_text("*HEADING\n*Include, input=the parts.inp\n")
    (tmp_path / "the parts.inp").write_text("*INCLUDE,INPUT= c.txt.inp \n")
    node = "*NODE\n1,0,0,0\n2,{},0,0\n3,0,1,0\n*ELEMENT, TYPE=S3\n1,1,2,3\n"
    found = []
    for x in (1, 20):
        (tmp_path / "c.txt.inp").write_text(node.format(x))
        source = MeshioSource(str(tmp_path), "a.inp")
        found.append((source.fingerprint(0), next(iter(source[0])).parts["interior"].points[1, 0]))
    assert [x for _, x in found] == [1, 20]
    assert found[0][0] != found[1][0]
    (tmp_path / "a.inp").write_text("*HEADING\n*INCLUDE, INPUT=a\0b.inp\n")
    assert "is missing, which a.inp includes" in error(tmp_path, "a.inp")


ABAQUS = """*Heading
*PART, NAME=plate
*NODE, NSET=left
1, 0, 0, 0
4, 0, 1, 0
*NODE
2, 1, 0, 0
3, 1, 1, 0
*ELEMENT, TYPE=S4
7, 1, 2,
3, 4
*ELEMENT, TYPE=S3, ELSET=Skin
1, 1, 2, 3
*ELEMENT, TYPE=S3, ELSET=skin
2, 1, 3, 4
*ELSET, ELSET=some, GENERATE
1, 7, 6
*ELSET, ELSET=both
some, 2
*NSET, NSET="all of it"
left, 2, 3
*END PART
*INSTANCE, NAME=plate-1, PART=plate
*END INSTANCE
"""


def test_nodes_and_sets_of_abaqus_in_several_blocks(tmp_path):
    """Meshio keeps the last block of nodes, and gives sets to other cells."""
    (tmp_path / "a.inp").write_text(ABAQUS)
    part = read(tmp_path, "a.inp")
    assert part.points[:, :2].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert part.connectivity.tolist() == [0, 2, 3, 1, 0, 2, 3, 0, 3, 1]
    assert {name: values.tolist() for name, values in part.cell_data.items()} == {
        "Skin": [0, 1, 1],
        "some": [1, 1, 0],
        "both": [1, 1, 1],
    }
    assert {name: sum(values) for name, values in part.point_data.items()} == {"left": 2, "all of it": 4}
    for old, new, message in (
        ("2, 1, 0, 0", "4, 1, 0, 0", "it has two nodes 4, as files of several parts have: write a file for each part"),
        ("*END INSTANCE", "1, 0, 0", "the instance 'plate-1' is moved"),
        ("*END PART", "*NGEN", "it makes or moves nodes with *NGEN, which is not read here"),
        ("some, 2", "none", "its set 'both' has the set 'none', which is not there"),
        ("some, 2", "9", "its set 'both' has 9, which is not there"),
        ("*END PART", "*INCLUDE, INPUT=a.inp", "includes itself"),
    ):
        (tmp_path / "a.inp").write_text(ABAQUS.replace(old, new))
        assert message in error(tmp_path, "a.inp")


def test_groups_and_properties_that_are_not_of_all_cells(tmp_path, caplog):
    """Groups of FLAC3D belong to their cells, and properties of Nastran that some cells lack are left out, and said."""
    lines = [f"G {n + 1} {x} {y} {z}" for n, (x, y, z) in enumerate(POINTS)]
    lines += ["F T3 1 1 2 3", "F T3 2 4 5 6", "Z W6 1 1 2 4 3 5 6", "Z T4 2 1 2 3 4"]
    lines += ['FGROUP "skin" SLOT 1', "2", 'ZGROUP "rock" SLOT 1', "2"]
    (tmp_path / "a.f3grid").write_text("\n".join(lines) + "\n")
    part = read(tmp_path, "a.f3grid")
    groups = {name: values.tolist() for name, values in part.cell_data.items() if name != "cell_ids"}
    assert groups == {"face:skin:1": [0, 1, 0, 0], "zone:rock:1": [0, 0, 0, 1]}
    bulk = "GRID,1,{c},0.,0.,0.\nGRID,2,{c},1.,0.,0.\nGRID,3,{c},0.,1.,0.\nCBAR,1,,1,2\n"
    bulk += "CTRIA3,2,5,1,2,3\nRBE2,9,1,123,2\n{more}"

    def write(more="", system=""):
        (tmp_path / "a.bdf").write_text(f"BEGIN BULK\n{bulk.format(more=more, c=system)}ENDDATA\n")

    write()
    assert read(tmp_path, "a.bdf").types.tolist() == [CellType.LINE, CellType.TRIANGLE]
    assert "1 RBE2 are left out, which meshio does not read" in caplog.text
    assert "nastran:ref is left out: 1 of 2 cells have none" in caplog.text
    write("CTRIA3* 3\n")
    assert "meshio does not read cells of wide fields, such as CTRIA3*" in error(tmp_path, "a.bdf")
    write("CORD2C,7\n", 7)
    assert "its points are in coordinate systems of their own" in error(tmp_path, "a.bdf")
