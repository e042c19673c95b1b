"""Small meshes end to end: the same bytes after any history, everything as it was given, one set of fields."""

from __future__ import annotations

import random

import numpy as np
import pytest

pytest.importorskip("pyvista")

from curator_core import MergeItem, Source, open_dataset, run_pipeline
from curator_core.domains.mesh import Mesh, MeshPart, MeshZarrSink
from curator_core.errors import ComponentError, ConfigError, MergeError, UnknownNameError
from curator_core.merge import verify_dataset
from curator_core.testing import SinkContract


def mesh_of(draw, kind="triangles", time=None):
    """A fan of triangles, or triangles and quadrilaterals, with data of every kind."""
    n = draw.randrange(1, 9)
    points = np.random.default_rng(draw.randrange(99)).random((n + 3, 3)).astype("f4")
    if kind == "triangles":
        corners = [[0, i + 1, i + 2] for i in range(n)]
    else:
        corners = [[0, i + 1, i + 2] if i % 2 else [0, i, i + 1, i + 2] for i in range(1, n + 1)]
    lengths = [len(own) for own in corners]
    part = MeshPart(
        points,
        np.array([corner for own in corners for corner in own]),
        np.concatenate([[0], np.cumsum(lengths)]),
        np.array([5 if length == 3 else 9 for length in lengths], np.uint8),
        {"p": np.arange(n + 3, dtype="f8"), "a/b": points.astype("i2")},
        {"material": np.array([f"m{i}" for i in range(n)])},
        {"scalar": np.array(n, "i4"), "names": np.array([["ß", f"{n}", ""], ["", "d", "e"]]).T},
    )
    return Mesh({"interior": part}, {"Re": np.array([n, n / 2])}, time)


def content_of(key, version):
    draw = random.Random(f"{key} {version}")
    n_meshes = draw.choice([0, 1, 1, 2])
    kind = draw.choice(["triangles", "mixed"])
    return [mesh_of(draw, kind, step / 2 if n_meshes > 1 else None) for step in range(n_meshes)]


def assert_same(one, two):
    assert one.time == two.time
    first, second = one.parts["interior"], two.parts["interior"]
    found = [(one.field_data, two.field_data)]
    found += [(getattr(first, w), getattr(second, w)) for w in ("point_data", "cell_data", "field_data")]
    names = ("points", "connectivity", "offsets", "types")
    found.append(tuple({name: getattr(part, name) for name in names} for part in (first, second)))
    for own, other in found:
        assert list(own) == list(other)
        for name, values in own.items():
            np.testing.assert_array_equal(values, other[name], strict=True)


def tree(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def publish(sink, path, items, *, before=None, previous=None):
    given, before = [], before or {}
    for index, (key, version) in enumerate(items.items()):
        shard = None
        if before.get(key) != version:
            shard = path.with_name(f"{path.name}-{index}.part")
            sink.write_shard(iter(content_of(key, version)), str(shard))
        given.append(MergeItem(index, key, None, str(version), shard, "train" if version % 2 else ""))
    sink.merge_items(given, None if previous is None else str(previous), str(path))
    return path


class TestRaggedMeshes(SinkContract):
    def make_sink(self, tmp_path):
        return MeshZarrSink(str(tmp_path / "meshes.zarr"), layout="ragged")

    def make_items(self, index):
        return [mesh_of(random.Random(index))]


def test_after_any_history_the_bytes_are_those_from_scratch(tmp_path):
    """And every mesh is what the item gave; rows and arrays are read alone."""
    sink = MeshZarrSink(str(tmp_path / "m.zarr"), layout="ragged", items_per_segment=2)
    draw, items, before, previous = random.Random(7), {}, {}, None
    for step in range(5):
        for key in draw.sample("abcdefgh", 3):
            items = {name: version for name, version in items.items() if name != key}
            if draw.random() < 0.8:
                items[key] = draw.randrange(50)
        path = publish(sink, tmp_path / f"step-{step}.zarr", items, before=before, previous=previous)
        assert tree(path) == tree(publish(sink, tmp_path / f"scratch-{step}.zarr", items))
        before, previous = dict(items), path
    found = open_dataset(previous)
    assert sink.retained_items(str(previous)) == {key: str(version) for key, version in items.items()}
    for key, version in items.items():
        for one, two in zip(content_of(key, version), found.item(key), strict=True):
            assert_same(one, two)
    meshes = list(found)
    assert sink.describe(str(previous))["n_cells"] == sum(mesh.n_cells for mesh in meshes)
    assert sink.n_rows(str(previous)) == len(meshes)
    assert {variable.name for variable in sink.schema(str(previous))} >= {"points", "point_data/p"}
    batch = found.batch([2, 0], ["points", "point_data/p", "mesh/field_data/Re"])
    own = [meshes[index].parts["interior"] for index in (2, 0)]
    np.testing.assert_array_equal(batch.values["points"], np.concatenate([part.points for part in own]))
    assert batch.counts["point"].tolist() == [part.n_points for part in own]
    assert batch.values["mesh/field_data/Re"].shape == (2, 2)
    stored = found.stored(1)
    part = meshes[1].parts["interior"]
    np.testing.assert_array_equal(stored.rows("point_data/a/b", 1, 3), part.point_data["a/b"][1:3])
    np.testing.assert_array_equal(stored.take(["points"], [2, 0])["points"], part.points[[2, 0]])
    assert stored.rows("field_data/scalar").shape == ()
    values = list(sink.values(str(previous), ["point_data/p"]))
    assert [key for key, *_ in values] == found.keys
    with pytest.raises(UnknownNameError, match="array of the mesh"):
        stored.rows("point_data/q")
    train = [key for key, version in items.items() if version % 2]
    split = open_dataset(previous, split="train")
    assert len(split) == sum(found.keys.count(key) for key in train)


def test_other_fields_fail_by_name(tmp_path):
    """Of an item among others, of a mesh among those of an item, and what this layout does not hold."""
    sink = MeshZarrSink(str(tmp_path / "m.zarr"), layout="ragged")
    mesh = mesh_of(random.Random(1))
    part = mesh.parts["interior"]
    other = mesh.with_parts({"interior": part.with_data(point_data={"p": part.point_data["p"].astype("f4")})})
    items = []
    for index, (key, given) in enumerate({"a": mesh, "b": other, "c": mesh}.items()):
        sink.write_shard(iter([given]), str(tmp_path / key))
        items.append(MergeItem(index, key, None, key, tmp_path / key))
    with pytest.raises(
        MergeError, match=r"item 'b' has other fields than most: 'point_data/a%2Fb' is int16 \(3,\) in one"
    ):
        sink.merge_items(items, None, str(tmp_path / "m.zarr"))
    for meshes, message in (
        ([mesh, other], "meshes of the item have other fields"),
        ([mesh.with_parts({"a": part, "b": part})], "parts a, b: layout='groups' stores several"),
        ([Mesh({"interior": part}, {"e": np.empty((3, 0))})], r"mesh_data/e has the shape \(3, 0\)"),
        ([Mesh({"mesh": part}, {"scalar": np.array(1)})], "would be read as 'mesh/field_data/scalar'"),
        ([Mesh({"interior": part}, time=float("nan"))], "time of the mesh is nan"),
    ):
        with pytest.raises(ComponentError, match=message):
            sink.write_shard(iter(meshes), str(tmp_path / "x"))
    sink.merge_items(items[::2], None, str(tmp_path / "m.zarr"))
    retained = [MergeItem(0, "a", None, "a", None), items[1], MergeItem(2, "c", None, "c", None)]
    with pytest.raises(MergeError, match="item 'b' has other fields than most"):
        sink.merge_items(retained, str(tmp_path / "m.zarr"), str(tmp_path / "n.zarr"))
    assert [damage for damage in verify_dataset(tmp_path / "m.zarr") if damage.file] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "flat"}, "must be 'groups' or 'ragged'"),
        ({"layout": "ragged", "chunk_rows": 5}, "are of layout='groups'"),
        ({"items_per_segment": 5}, "is of layout='ragged'"),
        ({"layout": "ragged", "items_per_segment": 0}, "items_per_segment must be at least 1"),
    ],
)
def test_bad_configuration_fails_before_work_begins(options, message):
    with pytest.raises(ConfigError, match=message):
        MeshZarrSink("m.zarr", **options)


class Fans(Source):
    """Meshes of given seeds."""

    def __init__(self, seeds: list[int]):
        self._seeds = seeds

    def __len__(self):
        return len(self._seeds)

    def key(self, index):
        return f"fan-{index}"

    def fingerprint(self, index):
        return str(self._seeds[index])

    def __getitem__(self, index):
        yield mesh_of(random.Random(self._seeds[index]))


def test_repositories_hold_small_meshes(tmp_path):
    """They are read and verified there; a correction is another version."""
    pytest.importorskip("icechunk")
    output = str(tmp_path / "m.icechunk")
    for seeds in ([1, 2], [1, 5, 3]):
        pipeline = Fans(seeds).write(MeshZarrSink(output, layout="ragged", items_per_segment=2))
        pipeline = pipeline.with_settings(resume=True, db_file=str(tmp_path / "runs.db"))
        run_pipeline(pipeline, gather=True, progress=False)
        found = open_dataset(output)
        for seed, mesh in zip(seeds, found, strict=True):
            assert_same(mesh_of(random.Random(seed)), mesh)
        assert verify_dataset(output) == []
