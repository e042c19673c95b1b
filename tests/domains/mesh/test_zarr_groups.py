"""Datasets of groups of meshes: the same bytes after any history, everything as it was given, and what reads them."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import random
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyvista")

import mlcroissant
import pyvista as pv
import zarr

from curator_core import MergeItem, open_dataset, run_pipeline
from curator_core.domains.mesh import MeasuresFilter, Mesh, MeshPart, MeshZarrSink, part_from_vtk, part_to_vtk
from curator_core.domains.mesh.zarr_groups.names import escaped
from curator_core.errors import ComponentError, ConfigError, DatasetExpiredError, MergeError, UnknownNameError
from curator_core.merge import verify_dataset
from curator_core.merge.verify import count_nonfinite
from curator_core.pipeline.components import Source
from curator_core.testing import SinkContract

CUBE = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], "f8")


def surface(draw):
    """A sphere of triangles, of float32."""
    part = part_from_vtk(pv.Sphere(theta_resolution=draw.randrange(3, 9), phi_resolution=draw.randrange(3, 9)))
    fields = {
        "p": draw_array(draw, part.n_points, "f4"),
        "a/b": draw_array(draw, 3 * part.n_points, "f8").reshape(-1, 3),
    }
    return part.with_data(point_data=fields, cell_data={"id": np.arange(part.n_cells, dtype="i2")}, field_data={})


def mixed(draw):
    """A polyhedron, a tetrahedron and a quadrilateral, with texts."""
    stream = [len(CUBE), *(number for face in CUBE for number in (len(face), *face))]
    cells = np.array([len(stream), *stream, 4, 0, 1, 2, 4, 4, 0, 1, 2, 3])
    part = part_from_vtk(pv.UnstructuredGrid(cells, np.array([42, 10, 9], np.uint8), CORNERS))
    texts = np.array(["hot", "", "é"])
    data = {"material": texts, "k": draw_array(draw, 3, "f8"), "__odd": np.array([1, 2, 3], "u8")}
    return part.with_data(cell_data=data, field_data={"scalar": np.array(draw.random()), "note": np.array(["a", "bc"])})


def draw_array(draw, n, dtype):
    return np.random.default_rng(draw.randrange(99)).normal(size=n).astype(dtype)


def content_of(key, version):
    """What a source gives for an item: none, one or several meshes, of other forms each."""
    draw = random.Random(f"{key} {version}")
    cubes = part_from_vtk(pv.ImageData(dimensions=(3, 2, 2)).cast_to_unstructured_grid())
    kinds = [
        {"interior": surface(draw)},
        {"interior": surface(draw), "boundaries/inlet": surface(draw), "boundaries/a/b": surface(draw)},
        {"interior": mixed(draw)},
        {"Block 1": cubes, "interior": mixed(draw), "boundaries": surface(draw)},
        {"interior": MeshPart(CORNERS[: draw.randrange(8)])},
    ]
    parts = draw.choice(kinds)
    n_meshes = draw.choice([0, 1, 1, 1, 3])
    times = [np.float32(step) / 2 if n_meshes > 1 else None for step in range(n_meshes)]
    data = {"scalar": np.array([n_meshes]), "names": np.array([["a", "", "ß"], ["c", "d", "e"]]).T}
    return [Mesh(parts, data, time) for time in times]


def assert_same_mesh(first, second):
    assert list(first.parts) == list(second.parts)
    assert first.time == second.time
    assert_same_arrays(first.field_data, second.field_data)
    for name, part in first:
        other = second.parts[name]
        for where in ("point_data", "cell_data", "field_data"):
            assert_same_arrays(getattr(part, where), getattr(other, where))
        owners = [(part, other, ("points", "connectivity", "offsets", "types"))]
        assert (part.polyhedra is None) == (other.polyhedra is None)
        if part.polyhedra is not None:
            owners.append((part.polyhedra, other.polyhedra, part.polyhedra.__slots__))
        for one, two, names in owners:
            assert_same_arrays({n: getattr(one, n) for n in names}, {n: getattr(two, n) for n in names})


def assert_same_arrays(first, second):
    assert list(first) == list(second)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], strict=True)


def tree(folder):
    """Content of every file."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def publish(sink, path, items, *, before=None, previous=None):
    """A dataset of items, of which those that did not change are taken from the previous one."""
    given, before = [], before or {}
    for index, (key, version) in enumerate(items.items()):
        shard = None
        if before.get(key) != version:
            shard = path.with_name(f"{path.name}-{index}.part")
            sink.write_shard(iter(content_of(key, version)), str(shard))
        given.append(MergeItem(index, key, f"mark {version}", str(version), shard, "train" if version % 2 else ""))
    sink.merge_items(given, None if previous is None else str(previous), str(path))
    return path


class TestMeshZarrSink(SinkContract):
    def make_sink(self, tmp_path):
        return MeshZarrSink(str(tmp_path / "meshes.zarr"), chunk_rows=4)

    def make_items(self, index):
        return [Mesh({"interior": surface(random.Random(index))})]


def test_after_any_history_the_bytes_are_those_from_scratch(tmp_path):
    """Whatever items came and went; every mesh is what the item gave, bit for bit."""
    sink = MeshZarrSink(str(tmp_path / "m.zarr"), chunk_rows=5, shard_bytes=100)
    draw, items, before, previous = random.Random(3), {}, {}, None
    keys = ["a/b.vtu", "a/b.vtu#1", "é", "..", "x" * 300, "c@000001", "d", "e"]
    for step in range(5):
        for _ in range(draw.randrange(1, 5)):
            key = draw.choice(keys)
            items = {name: version for name, version in items.items() if name != key}
            if draw.random() < 0.7:
                items[key] = draw.randrange(50)
        items = dict(draw.sample(sorted(items.items()), len(items)))
        path = publish(sink, tmp_path / f"step-{step}.zarr", items, before=before, previous=previous)
        scratch = publish(sink, tmp_path / f"scratch-{step}.zarr", items)
        assert tree(path) == tree(scratch)
        assert sink.retained_items(str(path)) == {key: str(version) for key, version in items.items()}
        before, previous = items, path
    found = open_dataset(previous)
    for key, version in items.items():
        given = content_of(key, version)
        assert len(given) == found.keys.count(key)
        for one, two in zip(given, found.item(key), strict=True):
            assert_same_mesh(one, two)
    assert sink.describe(str(previous))["n_points"] == sum(mesh.n_points for mesh in found)
    assert sink.n_rows(str(previous)) == len(found)
    assert {variable.name for variable in sink.schema(str(previous))} >= {
        "points",
        "point_data/p",
        "mesh/field_data/scalar",
    }


class Spheres(Source):
    """Surfaces whose resolutions a file says; key and time are those of a step."""

    def __init__(self, file: str):
        self._file = file
        self._sizes = json.loads(Path(file).read_text())

    def __len__(self):
        return len(self._sizes)

    def key(self, index):
        return list(self._sizes)[index]

    def fingerprint(self, index):
        return str(self._sizes[self.key(index)])

    def __getitem__(self, index):
        size, value = self._sizes[self.key(index)]
        part = part_from_vtk(pv.Sphere(theta_resolution=size, phi_resolution=size))
        fields = {"p": np.full(part.n_points, value, "f4")}
        yield Mesh({"interior": part.with_data(point_data=fields)}, {"Re": np.array([float(size)])}, float(index))


def curate(tmp_path, sizes, *, backend="sequential", split=None, **options):
    (tmp_path / "sizes.json").write_text(json.dumps(sizes))
    pipeline = Spheres(str(tmp_path / "sizes.json")).write(MeshZarrSink(str(tmp_path / "out.zarr"), **options))
    pipeline = pipeline.with_settings(resume=True, db_file=str(tmp_path / "runs.db"), split=split)
    return run_pipeline(pipeline, backend=backend, gather=True, progress=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of rdflib, which mlcroissant calls
def test_a_reader_stays_with_its_version(tmp_path):
    """Arrays, rows and parts are read alone; another version is published meanwhile; workers read on."""
    sizes = {f"run/{n}": [n + 4, n] for n in range(4)}
    curate(tmp_path, sizes, chunk_rows=8, split={"by": "key", "fractions": {"train": 0.5, "test": 0.5}})
    before = open_dataset(tmp_path / "out.zarr")
    whole = before[2]
    stored = before.stored(2)
    assert stored.names == ["points", "cells", "point_data/p", "mesh/field_data/Re"]
    np.testing.assert_array_equal(stored.rows("points", 5, 20), whole.parts["interior"].points[5:20])
    rows = np.array([24, 2, 2, 17])
    taken = stored.take(["points", "point_data/p"], rows)
    np.testing.assert_array_equal(taken["points"], whole.parts["interior"].points[rows])
    assert list(stored.part(fields=["point_data/p"]).point_data) == ["p"]
    assert before.times.tolist() == [0, 1, 2, 3]
    assert part_to_vtk(whole.parts["interior"]).n_cells == whole.n_cells
    curate(tmp_path, sizes | {"run/2": [5, 70], "run/9": [4, 9]}, backend="process_pool", chunk_rows=8)
    assert before[2].parts["interior"].point_data["p"][0] == 2
    assert open_dataset(tmp_path / "out.zarr").item("run/2")[0].parts["interior"].point_data["p"][0] == 70
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(len, (pool.apply(before.__getitems__, ([3],)),)) == 1
    assert len(pickle.loads(pickle.dumps(before))) == 4
    assert verify_dataset(tmp_path / "out.zarr") == []
    record = mlcroissant.Dataset(jsonld=str(tmp_path / "out.zarr" / "croissant.json")).metadata
    (meshes,) = (records for records in record.record_sets if records.id == "mesh")
    shapes = {field.name: field.array_shape for field in meshes.fields}
    assert (record.ctx.issues.errors, shapes["points"], shapes["point_data/p"]) == (set(), "-1,3", "-1")
    curate(tmp_path, sizes, chunk_rows=8)
    with pytest.raises(DatasetExpiredError):
        before.item("run/1")
    with pytest.raises(UnknownNameError, match="part of the mesh"):
        open_dataset(tmp_path / "out.zarr").stored(0).part("inlet")


@pytest.mark.torch
def test_splits_and_batches(tmp_path):
    """Arrays that all meshes have are joined; what is said of a mesh is a row of it."""
    sizes = {f"{n}": [n + 4, n] for n in range(6)}
    curate(tmp_path, sizes, split={"by": "key", "fractions": {"train": 0.5, "test": 0.5}})
    parts = {name: open_dataset(tmp_path / "out.zarr", split=name) for name in ("train", "test")}
    assert sum(map(len, parts.values())) == 6
    dataset = open_dataset(tmp_path / "out.zarr")
    batch = dataset.batch([1, 4], ["points", "point_data/p", "mesh/field_data/Re", "cells"])
    assert batch.values["mesh/field_data/Re"].tolist() == [[5.0], [8.0]]
    assert batch.counts["point"].tolist() == [dataset[1].n_points, dataset[4].n_points]
    assert batch.values["cells"].shape == (dataset[1].n_cells + dataset[4].n_cells, 3)
    assert set(parts["train"].batch([0], ["point_data/p"]).values) == {"point_data/p"}
    _check_rows(tmp_path / "out.zarr", dataset)


def _check_rows(path, dataset):
    """As many rows of each mesh, the same in every worker, others in the next epoch."""
    torch = pytest.importorskip("torch")
    from curator_core.reading.torch import RowSamples, TrainingLoader

    names = ["points", "point_data/p", "mesh/field_data/Re"]
    samples = RowSamples(dataset, 9, names, seed=3)
    first = samples[4]
    assert [tuple(first[name].shape) for name in names] == [(9, 3), (9,), (1,)]
    points = {tuple(point) for point in dataset[4].parts["interior"].points.tolist()}
    assert len({tuple(point) for point in first["points"].tolist()} & points) == 9
    block = RowSamples(path, 8, ["points"], is_block=True, split="train")
    assert block[0]["points"].shape == (8, 3)
    assert torch.equal(block[-len(block)]["points"], block[0]["points"])
    for position in (len(block), -len(block) - 1):
        with pytest.raises(IndexError, match="There is no sample"):
            block[position]
    found = []
    for options in ({}, {"num_workers": 1, "multiprocessing_context": "fork"}):
        loader = TrainingLoader(samples, 3, shuffle=False, **options)
        found.append([batch["points"].tolist() for _ in range(2) for batch in loader])
    assert found[0] == found[1]
    assert found[0][:2] != found[0][2:]
    with pytest.raises(ConfigError, match="Sample 0 has 10 rows of 'points', fewer than 900"):
        RowSamples(dataset, 900, ["points"])[0]
    with pytest.raises(ConfigError, match="along cell, point: choose those of one"):
        RowSamples(dataset, 9, ["points", "cells"])


def _graded(shift=0.0):
    """A surface whose cells grow along x, with a pressure and the areas of the cells."""
    ticks = np.geomspace(1, 9, 6) + shift
    grid = pv.RectilinearGrid(ticks, np.arange(3.0), np.zeros(1)).cast_to_unstructured_grid().triangulate()
    part = part_from_vtk(grid)
    (mesh,) = MeasuresFilter()(iter([Mesh({"interior": part})]))
    part = mesh.parts["interior"]
    return Mesh({"interior": part.with_data(point_data={"row": np.arange(part.n_points)})})


@pytest.mark.torch
@pytest.mark.parametrize("layout", ["groups", "ragged"])
def test_rows_are_drawn_by_area(tmp_path, layout):
    """Cells and points as often as they are large, by chi-square; the same whichever worker reads."""
    pytest.importorskip("torch")
    from scipy.stats import chisquare  # type: ignore[import-untyped]

    from curator_core.reading.torch import RowSamples, TrainingLoader

    sink = MeshZarrSink(str(tmp_path / "m.zarr"), layout=layout)
    sink.write_shard(iter([_graded(), _graded(1.0)]), str(tmp_path / "a.part"))
    sink.merge_items([MergeItem(0, "a", None, "1", tmp_path / "a.part")], None, str(tmp_path / "m.zarr"))
    part = _graded().parts["interior"]
    areas = part.cell_data["Area"]
    shares = np.bincount(part.connectivity, np.repeat(areas / 3, 3))

    def counted(name, n, **options):
        samples = RowSamples(tmp_path / "m.zarr", 16, [name], seed=4, **options)
        found = np.zeros(n)
        for epoch in range(50):
            samples.epoch = epoch
            np.add.at(found, samples[0][name].numpy() if n == len(shares) else _cells(samples[0][name], areas), 1)
        return found

    for weights in ("sizes", "cell_data/Area"):
        found = counted("point_data/row", len(shares), weights=weights)
        assert chisquare(found, shares / shares.sum() * 800).pvalue > 0.01
    assert chisquare(counted("point_data/row", len(shares)), shares / shares.sum() * 800).pvalue < 1e-9
    expected = np.bincount(_cells(areas, areas), areas)
    found = counted("cell_data/Area", len(expected), weights="cell_data/Area")
    assert chisquare(found, expected / expected.sum() * 800).pvalue > 0.01
    samples = RowSamples(tmp_path / "m.zarr", 500, ["points", "point_data/row"], weights="sizes", seed=4)
    assert samples[1]["points"].shape == (500, 3)  # of 18 points
    loaders = [TrainingLoader(samples, 1, shuffle=False)]
    loaders.append(TrainingLoader(samples, 1, shuffle=False, num_workers=2, multiprocessing_context="fork"))
    first, second = ([batch["point_data/row"].tolist() for _ in range(2) for batch in loader] for loader in loaders)
    assert first == second
    assert first[:2] != first[2:]
    for options, message in (
        ({"names": ["points"], "weights": "points"}, r"points has the shape \(3,\) along point: weights of points are"),
        ({"names": ["cell_data/Area"], "weights": "point_data/row"}, "single numbers along cell"),
        ({"names": ["points"], "weights": "areas"}, "Unknown weights 'areas'"),
        ({"names": ["points"], "weights": "sizes", "is_block": True}, "side by side"),
    ):
        with pytest.raises(ConfigError, match=message):
            RowSamples(tmp_path / "m.zarr", 5, **options)
    with pytest.raises(ConfigError, match="Sample 0 has nan among its weights"):
        RowSamples(tmp_path / "m.zarr", 5, ["points"], weights="sizes")._drawn(np.array([1, np.nan]), 0)


def _cells(values, areas):
    """Which of the different areas each is."""
    return np.searchsorted(np.unique(areas.round(9)), np.asarray(values).round(9))


def test_large_geometry_is_stored_once(tmp_path):
    """Of the steps of a series, and of items; one item in many costs its own fields."""
    part = part_from_vtk(pv.Plane(i_resolution=400, j_resolution=400).triangulate())
    part = part.with_data(point_data={}, cell_data={})
    noise = np.random.default_rng(0).random((4, part.n_points))
    steps = [Mesh({"interior": part.with_data(point_data={"p": noise[n]})}, time=n / 4) for n in range(4)]
    twice = {"p": noise[3], "column": noise[3][:, None]}  # the same bytes in files of other names
    steps[3] = Mesh({"interior": part.with_data(point_data=twice)}, time=0.75)
    sink = MeshZarrSink(str(tmp_path / "m.zarr"))
    for name, meshes in (("series", steps[:3]), ("other", steps[3:])):
        sink.write_shard(iter(meshes), str(tmp_path / name))
    items = [MergeItem(n, key, None, key, tmp_path / key) for n, key in enumerate(["series", "other"])]
    sink.merge_items(items[:1], None, str(tmp_path / "first.zarr"))
    retained = [MergeItem(0, "series", None, "series", None), items[1]]
    sink.merge_items(retained[::-1], str(tmp_path / "first.zarr"), str(tmp_path / "m.zarr"))
    folder = tmp_path / "m.zarr" / "meshes"
    for array in ("points", "cells"):
        inodes = {file.stat().st_ino for file in folder.glob(f"*/{array}/c/0/0")}
        assert len(inodes) == 1, array
    assert len({file.stat().st_ino for file in folder.glob("*/point_data/p/c/0")}) == 4
    found = open_dataset(tmp_path / "m.zarr")
    assert found.times.tolist() == [0.75, 0, 0.25, 0.5]
    assert_same_mesh(found[3], steps[2])
    assert_same_mesh(found[0], steps[3])
    assert sorted(path.name for path in folder.iterdir())[:2] == ["other.zarr", "series@000000.zarr"]


def test_plain_zarr_reads_what_physicsnemo_names(tmp_path):
    """Points and cells of simplices, data in groups, an attribute with the type; other cells are no `cells`."""
    draw = random.Random(1)
    meshes = {
        "a.stl": Mesh({"interior": surface(draw)}, {"Re": np.array(5.0)}),
        "b.vtu": Mesh({"interior": surface(draw), "boundaries/in/let": surface(draw)}, {"Re": np.array([5.0])}),
        "c.vtu": Mesh({"interior": mixed(draw)}),
    }
    sink = MeshZarrSink(str(tmp_path / "m.zarr"))
    for key, mesh in meshes.items():
        sink.write_shard(iter([mesh]), str(tmp_path / f"{key}.part"))
    items = [MergeItem(n, key, None, "1", tmp_path / f"{key}.part") for n, key in enumerate(meshes)]
    sink.merge_items(items, None, str(tmp_path / "m.zarr"))
    root = zarr.open_group(tmp_path / "m.zarr", mode="r")
    assert sorted(root["meshes"].group_keys()) == ["a.stl.zarr", "b.vtu.zarr", "c.vtu.zarr"]
    assert root["items/key"][:].tolist() == list(meshes)
    first, second, third = (zarr.open_group(tmp_path / "m.zarr" / "meshes" / f"{key}.zarr", mode="r") for key in meshes)
    interior = meshes["a.stl"].parts["interior"]
    assert first.attrs["physicsnemo_mesh_type"] == "Mesh"
    np.testing.assert_array_equal(first["cells"][:], interior.connectivity.reshape(-1, 3), strict=True)
    np.testing.assert_array_equal(first["points"][:], interior.points, strict=True)
    assert first["global_data/Re"][...] == 5.0
    assert sorted(first["point_data"].array_keys()) == ["a%2Fb", "p"]
    assert second.attrs["physicsnemo_mesh_type"] == "DomainMesh"
    assert list(second["boundaries"].group_keys()) == ["in%2Flet"]
    assert second["boundaries/in%2Flet/points"].shape[1] == 3
    assert "physicsnemo_mesh_type" not in third.attrs
    assert "points" not in third
    assert sorted(third["interior"].array_keys()) == ["connectivity", "offsets", "points", "types"]


def test_damage_is_named_by_item(tmp_path):
    """Of a chunk, of metadata, of what does not belong there; numbers that are not finite are counted."""
    curate(tmp_path, {"a": [5, 1], "b": [6, float("nan")], "c": [7, 3]})
    path = tmp_path / "out.zarr"
    assert [(c.variable, c.key, c.n_nan) for c in count_nonfinite(path)] == [("point_data/p", "b", 26)]
    read = MeshZarrSink(str(path)).values(str(path), ["point_data/p"])
    assert [(key, len(values)) for key, _, values in read] == [("a", 17), ("b", 26), ("c", 37)]
    chunk = path / "meshes/a.zarr/points/c/0/0"
    damaged = bytearray(chunk.read_bytes())
    damaged[30] ^= 1
    chunk.unlink()
    chunk.write_bytes(damaged)
    (path / "meshes/b.zarr/cells/c/0/0").unlink()
    other = path / "meshes/c.zarr/points/zarr.json"
    other.write_text(other.read_text().replace("point", "place"))
    (path / "meshes/extra").write_bytes(b"")
    found = {damage.file: damage.items for damage in verify_dataset(path) if damage.file}
    assert found == {
        "meshes/a.zarr/points/c/0/0": ("a",),
        "meshes/b.zarr/cells/c/0/0": ("b",),
        "meshes/c.zarr/points/zarr.json": ("c",),
        "meshes/extra": (),
    }
    with pytest.raises(ComponentError, match=r"damaged: .*b.zarr/cells/c/0/0 is missing"):
        open_dataset(path)[1]


def test_what_cannot_be_stored_fails_its_item(tmp_path):
    sink = MeshZarrSink(str(tmp_path / "m.zarr"))
    part = MeshPart(CORNERS)
    for mesh, message in (
        ("text", "gave str, expected Mesh"),
        (Mesh({"interior": part.with_data(point_data={"x": np.array([1, "a"] * 4, object)})}), "has 1 among its texts"),
        (Mesh({"interior": part}, time=float("nan")), "time of the mesh is nan"),
        (Mesh({"mesh": part.with_data(field_data={"p": CORNERS})}, {"p": CORNERS}), "read as 'mesh/field_data/p'"),
    ):
        with pytest.raises(ComponentError, match=message):
            sink.write_shard(iter([mesh]), str(tmp_path / f"{message[:9]}"))
    with pytest.raises(ConfigError, match=r"must end in '\.zarr'"):
        MeshZarrSink("m.vtu").check()
    with pytest.raises(ConfigError, match="chunk_rows must be at least 1"):
        MeshZarrSink("m.zarr", chunk_rows=0)
    sink.write_shard(iter([Mesh({"interior": part})]), str(tmp_path / "part"))
    (tmp_path / "part/0/points/c/0/0").unlink()
    with pytest.raises(MergeError, match="is missing: process the item 'k' again"):
        sink.merge_items([MergeItem(0, "k", None, "1", tmp_path / "part")], None, str(tmp_path / "m.zarr"))


def test_names_stay_apart():
    names = [
        "a/b",
        "a%2Fb",
        "",
        ".",
        "..",
        "c",
        "C",
        "__x",
        "zarr.json",
        "x" * 300,
        "x" * 301,
        "\udcff",
        "é",
        "a@1",
        "%",
    ]
    found = [escaped(name) for name in names]
    assert len(set(found)) == len(names)
    assert all(name.strip(".") and "/" not in name and len(name.encode()) < 240 for name in found)


@pytest.mark.parametrize("layout", ["groups", "ragged"])
def test_a_name_of_data_does_not_say_their_kind(tmp_path, layout):
    sink, items = MeshZarrSink(str(tmp_path / "m.zarr"), layout=layout), []
    for n in (5, 7):
        part = MeshPart(np.zeros((n, 3)), point_data={"my_field_data/x": np.arange(n), "p": np.arange(n)})
        sink.write_shard(iter([Mesh({"a": part})]), str(tmp_path / str(n)))
        items.append(MergeItem(len(items), str(n), None, "1", tmp_path / str(n)))
    sink.merge_items(items, None, str(tmp_path / "m.zarr"))
    batch = open_dataset(tmp_path / "m.zarr").batch([0, 1], ["a/point_data/my_field_data/x", "a/point_data/p"])
    assert {name: list(counts) for name, counts in batch.counts.items()} == {"mesh": [1, 1], "a/point": [5, 7]}
    assert len(batch.values["a/point_data/my_field_data/x"]) == 12


def test_complex_numbers_are_counted(tmp_path):
    """NaN in either part, and infinite ones, as in the datasets of other domains."""
    values = np.array([1, complex(0, np.nan), complex(np.inf, 0), complex(-np.inf, 1), 0, 0, 0, 0], "c16")
    sink, path = MeshZarrSink(str(tmp_path / "out.zarr")), tmp_path / "out.zarr"
    sink.write_shard(iter([Mesh({"interior": MeshPart(CORNERS, point_data={"z": values})})]), str(tmp_path / "a.part"))
    sink.merge_items([MergeItem(0, "a", None, "1", tmp_path / "a.part", "")], None, str(path))
    (found,) = count_nonfinite(path)
    assert (found.variable, found.key, found.n_nan, found.n_positive, found.n_negative) == (
        "point_data/z",
        "a",
        1,
        1,
        1,
    )
