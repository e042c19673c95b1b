"""The picture of a dataset of meshes: every surface is seen, and one scale is of one field."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pyvista")
pytest.importorskip("matplotlib")

from matplotlib.image import imread

from curator_core.domains.mesh import CellType, Mesh, MeshDataset, MeshPart, MeshZarrSink
from curator_core.pipeline.components import MergeItem
from curator_core.report.availability_section import availability
from curator_core.report.mesh_plot import draw_meshes

POINTS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float64)


def picture(folder, *fields):
    """Of a triangle with each of these fields beside one whose field goes from 0 to 1."""
    triangle = MeshPart(POINTS, np.arange(3), np.array([0, 3]), np.array([CellType.TRIANGLE], np.uint8))
    line = MeshPart(POINTS, np.arange(2), np.array([0, 2]), np.array([CellType.POLYGON], np.uint8))
    folder.mkdir()
    sink = MeshZarrSink(str(folder / "m.zarr"))
    meshes = [{"p": np.linspace(0, 1, 4)}, *fields]
    for number, data in enumerate(meshes):
        mesh = Mesh({"interior": triangle.with_data(point_data=data), "line": line})
        sink.write_shard(iter([mesh]), str(folder / str(number)))
    items = [MergeItem(n, str(n), None, "1", folder / str(n)) for n in range(len(meshes))]
    sink.merge_items(items, None, str(folder / "m.zarr"))
    return draw_meshes(MeshDataset(folder / "m.zarr"))


def test_a_surface_without_the_field_is_grey_and_not_of_another_one(tmp_path):
    grey = picture(tmp_path / "grey", {})
    assert picture(tmp_path / "other", {"T": np.full(4, 300.0)}) == grey
    pixels = (imread(io.BytesIO(grey))[30:, :, :3] < 1).any(axis=2)
    first, second = np.array_split(pixels[:, : pixels.shape[1] * 4 // 5], 2, axis=1)
    assert min(first.mean(), second.mean()) > 0.02


def test_damage_is_on_the_page(tmp_path):
    """In place of the picture; whether the dataset is that of the run or was named."""
    picture(tmp_path / "a", {"T": np.zeros(4)})
    place = tmp_path / "a" / "m.zarr"
    (place / "meshes/1.zarr/interior/points/c/0/0").write_bytes(b"junk")
    run = SimpleNamespace(config_json=json.dumps({"sink": {"params": {"output_path": str(place)}}}), run_dir=None)
    for dataset in (None, str(place)):
        page = availability(run, dataset)
        assert "It cannot be drawn: The dataset is damaged: " in page
        assert "1.zarr/interior/points/c/0/0" in page
        assert "2 meshes of the dataset" in page
