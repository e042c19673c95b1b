"""A folder of meshes that is moved as a whole: what belongs to its files is where it was, as seen from them."""

import pytest

pytest.importorskip("pyvista")

import pyvista as pv

from curator_core import run_pipeline
from curator_core.domains.mesh import MeshioSource, MeshZarrSink, VTKSource
from tests.domains.mesh.mesh_files import write_grid, write_openfoam


def write_all(folder):
    """A file of every kind that names others."""
    folder.mkdir()
    write_grid(folder / "x.vtu")
    inner = '<PPoints><PDataArray type="Float32" NumberOfComponents="3"/></PPoints><Piece Source="x.vtu"/>'
    pieces = f"<PUnstructuredGrid>{inner}</PUnstructuredGrid>"
    (folder / "a.pvtu").write_text(f'<VTKFile type="PUnstructuredGrid">{pieces}</VTKFile>')
    (folder / "a.pvd").write_text('<VTKFile><Collection><DataSet timestep="0" file="x.vtu"/></Collection></VTKFile>')
    pv.MultiBlock({"a": pv.Cube()}).save(folder / "a.vtm")
    write_openfoam(folder / "case", {"0": 1.0, "0.5": 2.0})
    (folder / "case" / "a.foam").touch()
    (folder / "a.inp").write_text("*NODE\n1, 0, 0, 0\n*INCLUDE, INPUT=more.inp\n")
    (folder / "more.inp").touch()
    (folder / "a.node").touch()
    (folder / "a.ele").touch()
    (folder / "cases.csv").write_text("case,length\na,4\n")


def fingerprints(folder):
    beside = {"others": {"o": "a.vtm"}, "global_data": "cases.csv"}
    sources = [
        VTKSource(str(folder), "a.pvtu"),
        VTKSource(str(folder), "a.pvd"),
        VTKSource(str(folder), "*.foam"),
        VTKSource(str(folder), "*.foam", time="last"),
        VTKSource(str(folder), "x.vtu", **beside),
        VTKSource(str(folder), "x.vtu", **beside | {"global_data": "none.csv"}),
        MeshioSource(str(folder), "a.[in]*"),
    ]
    return {(n, s.key(index)): s.fingerprint(index) for n, s in enumerate(sources) for index in range(len(s))}


def test_files_that_belong_to_others_may_move_with_them(tmp_path, monkeypatch):
    """Nothing is processed again."""
    write_all(tmp_path / "here")
    before = fingerprints(tmp_path / "here")
    assert len(before) == 9
    read = []

    class CountingSource(VTKSource):
        """Says what it read."""

        def read(self, item):
            read.append(item.key)
            return super().read(item)

    def run(folder):
        monkeypatch.chdir(folder)
        pipeline = CountingSource(".", "a.*[vt][um]").write(MeshZarrSink("out.zarr")).with_settings(db_file="run.db")
        run_pipeline(pipeline, resume=True, gather=True)

    run(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    run(tmp_path / "there")
    assert read == ["a.pvtu", "a.vtm"]
    assert fingerprints(tmp_path / "there") == before
