"""Groups of meshes in repositories: a change sends what changed, and what is there is what a folder holds."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyvista")
pytest.importorskip("icechunk")

import icechunk
from zarr.core.buffer import default_buffer_prototype

from curator_core import open_dataset, run_pipeline
from curator_core.datasets.versions import list_versions, restore_version
from curator_core.domains.mesh import Mesh, MeshPart, MeshZarrSink
from curator_core.errors import ComponentError
from curator_core.merge.verify import count_nonfinite, verify_dataset
from curator_core.pipeline.components import Source
from curator_core.storage.locations import location_of
from curator_core.storage.objects.location import IcechunkLocation

pytestmark = pytest.mark.xdist_group("objects")  # one server


class Runs(Source):
    """Two steps of one geometry for each key, and a value that a file says."""

    def __init__(self, file: str):
        self._values = json.loads(Path(file).read_text())

    def __len__(self):
        return len(self._values)

    def key(self, index):
        return list(self._values)[index]

    def fingerprint(self, index):
        return str(self._values[self.key(index)])

    def __getitem__(self, index):
        points = np.random.default_rng([*self.key(index).encode()]).random((400, 3))
        for step in range(2):
            values = np.full(400, self._values[self.key(index)] + step)
            texts = {"note": np.array(["é"] * 400)}
            part = MeshPart(points, np.arange(399), np.arange(134) * 3, np.full(133, 5, "u1"), {"p": values, **texts})
            yield Mesh({"interior": part}, {"Re": np.array(float(step))}, float(step))


@pytest.fixture
def publish(tmp_path):
    """Function that publishes runs with some values to a place."""

    def publish(place, values, **settings):
        (tmp_path / "values.json").write_text(json.dumps(values))
        pipeline = Runs(str(tmp_path / "values.json")).write(MeshZarrSink(place, chunk_rows=150))
        database = tmp_path / f"{Path(place).suffix[1:]}.db"
        run_pipeline(pipeline.with_settings(db_file=str(database), resume=True, **settings), gather=True)

    return publish


def contents(place):
    """What is there, but for what differs with the configuration."""
    location = location_of(place).pinned()
    own = ("items/version/", "zarr.json", "croissant.json")
    return {name: location.read(name) for name in location.objects() if not name.startswith(own)}


def test_a_repository_holds_what_a_folder_holds(place, publish, tmp_path):
    """After items came, went and changed; versions are read and given back."""
    values = {"a/1": 1, "b": 2, "c": 3}
    folder = str(tmp_path / "m.zarr")
    publish(place, values, keep_versions=2)
    before = open_dataset(place)
    assert before[2].parts["interior"].point_data["p"][0] == 2
    changed = {"c": float("nan"), "b": 2, "e": 9}
    publish(place, changed, keep_versions=2)
    assert verify_dataset(place) == []
    publish(folder, changed)
    here, there = contents(folder), contents(place)
    assert [name for name in here.keys() | there.keys() if here.get(name) != there.get(name)] == []
    own = IcechunkLocation(place).snapshot().info.metadata["new_bytes"]
    assert own < 0.7 * IcechunkLocation(place).size()  # of three items, one stayed
    found = open_dataset(place)
    assert found.keys == ["c", "c", "b", "b", "e", "e"]
    assert found.times.tolist() == [0, 1] * 3
    mesh = found.item("e")[1]
    assert (mesh.field_data["Re"], mesh.parts["interior"].point_data["note"][5]) == (1, "é")
    np.testing.assert_array_equal(found.stored(4).rows("points", 150, 250), mesh.parts["interior"].points[150:250])
    assert [(count.key, count.n_nan) for count in count_nonfinite(place)] == [("c", 400), ("c", 400)]
    assert before.item("a/1")[1].parts["interior"].point_data["p"][0] == 2
    former = next(version for version in list_versions(place) if version.state == "kept").id
    assert open_dataset(place, version=former).item("c")[0].parts["interior"].point_data["p"][0] == 3
    restore_version(place, former)
    assert open_dataset(place).item("c")[0].parts["interior"].point_data["p"][0] == 3


def test_damage_in_a_repository_is_named(publish, tmp_path):
    """A chunk that is gone, and one that is another."""
    place = str(tmp_path / "m.icechunk")
    publish(place, {"a": 1, "b": 2})
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(place))
    session = repository.writable_session("main")
    group = "meshes/a@000000.zarr"
    junk = default_buffer_prototype().buffer.from_bytes(b"junk")
    asyncio.run(session.store.delete(f"{group}/points/c/0/0"))
    asyncio.run(session.store.set(f"{group}/point_data/p/c/0", junk))
    session.commit("damage")
    found = {damage.file: damage.items for damage in verify_dataset(place) if damage.file.startswith("meshes")}
    assert found == {f"{group}/points/c/0/0": ("a",), f"{group}/point_data/p/c/0": ("a",)}
    dataset = open_dataset(place)
    assert dataset[2].n_points == 400
    with pytest.raises(ComponentError, match=r"damaged: .*a@000000.zarr/point"):
        dataset[0]
