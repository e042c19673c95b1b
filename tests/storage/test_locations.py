"""Kinds of places, by the scheme of their URLs."""

from __future__ import annotations

import json
import re
from contextlib import nullcontext
from pathlib import Path

import pytest

import curator_core
from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.errors import ConfigError, DuplicateNameError
from curator_core.storage.local import LocalLocation
from curator_core.storage.locations import location_of, register_location
from curator_core.storage.outputs import check_output_path
from curator_core.testing import (
    DatasetSink,
    FaultySource,
    FileSource,
    JsonSink,
    LocationContract,
    NumbersSource,
    StatisticsFilter,
)
from tests.storage.vault import VaultLocation


class TestVault(LocationContract):
    """A kind of place that a package adds."""

    def make_location(self, tmp_path):
        (tmp_path / "vault").mkdir(exist_ok=True)
        return VaultLocation(f"vault://{tmp_path}/vault/out.zarr")


def test_paths_are_local():
    """Colons and slashes make no URL."""
    for path in ("out", "a:b/c", Path("/x/y.zarr")):
        location = location_of(path)
        assert type(location) is LocalLocation
        assert location.path == str(path)


@pytest.mark.parametrize("url", ["hdfs://b/x", "vaults://b/x", "file:///x", "gs:/b/x", "s3://b", "vault:/b/x", "~/x"])
def test_what_names_no_place_that_is_known(url):
    """It is refused, by its name and by what it was to be."""
    with pytest.raises(ConfigError, match=f"the statistics.*{url}"):
        location_of(url, "the statistics")


def test_a_scheme_has_one_kind_of_place():
    """The same class may come twice, as a module does that is run and imported."""
    assert register_location(VaultLocation) is VaultLocation
    with pytest.raises(DuplicateNameError, match="'vault' are VaultLocation already"):
        register_location(type("Other", (LocalLocation,), {"scheme": "vault"}))
    for scheme in ("", "file", "S3", "a"):
        with pytest.raises(ConfigError, match="no scheme"):
            register_location(type("Other", (LocalLocation,), {"scheme": scheme}))


def test_a_package_that_declares_a_kind_of_place(tmp_path, monkeypatch):
    """It is loaded when a URL of its scheme is met."""
    info = tmp_path / "drawers-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: drawers\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[curator.locations]\ndrawer = drawers:DrawerLocation\n")
    (tmp_path / "drawers.py").write_text(
        "from tests.storage.vault import VaultLocation\n\n\n"
        "class DrawerLocation(VaultLocation):\n    scheme = 'drawer'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert type(location_of("drawer:///x/out")).__name__ == "DrawerLocation"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("VAULT://x/out", "small letters, vault://"),
        ("vault://", "names no file or folder"),
        ("vault:///", "names no file or folder"),
    ],
)
def test_a_url_is_what_its_place_takes_it_for(url, message):
    """A place looks for its scheme as it is registered; without a name it would publish over the folder of them all."""
    with pytest.raises(ConfigError, match=f"the output '{url}'.*{message}"):
        location_of(url)


@pytest.mark.parametrize(
    ("path", "beside"),
    [
        ("vault://all.json", "vault://m.json"),
        ("vault:///all.json", "vault:///m.json"),
        ("vault://a/b/all.zarr/", "vault://a/b/m.json"),
        ("all.json", "m.json"),
        ("/all.json", "/m.json"),
    ],
)
def test_what_lies_beside_an_output(path, beside):
    """Also of a URL that names no folder."""
    assert location_of(path).beside("m.json").path == beside


def _pipeline(folder):
    return Pipeline(
        FileSource(folder), [StatisticsFilter(f"vault://{folder}/vault/stats.json")], JsonSink(folder / "items"),
        db_file=folder / "m.db", resume=True,
    )  # fmt: skip


def _published(folder):
    return json.loads(location_of(f"vault://{folder}/vault/stats.json").read())["items"]


def test_a_run_publishes_to_any_place_that_is_known(tmp_path):
    """Shards lie at its work path; what is there is neither made again, nor gathered, until it goes."""
    (tmp_path / "vault").mkdir()
    for first, n_items in ((0, 3), (3, 5)):
        for i in range(first, n_items):
            (tmp_path / f"{i}.txt").write_text(str(i))
        run_pipeline(_pipeline(tmp_path))
        shards = sorted(path.name for path in (tmp_path / "vault.work").glob("*_shard_*"))
        assert shards == [f"stats_shard_{i:06d}.json" for i in range(first, n_items)]
        assert _pipeline(tmp_path).summary()["to_gather"]
        assert gather_pipeline(_pipeline(tmp_path)) == [f"vault://{tmp_path}/vault/stats.json"]
        assert _published(tmp_path) == [[1, i] for i in range(n_items)]

    after = _pipeline(tmp_path)
    assert after.plan().counts() == {"up to date": 5}
    assert after.summary()["to_gather"] == []
    assert [path.name for path in (tmp_path / "vault.work").iterdir()] == ["stats_shards.db"]
    location_of(f"vault://{tmp_path}/vault/stats.json").remove()
    assert after.plan().counts() == {"outputs missing": 5}
    run_pipeline(after, gather=True)
    assert _published(tmp_path) == [[1, i] for i in range(5)]


def test_a_place_that_is_not_known_is_refused_before_any_item(tmp_path):
    """No shard of it is written anywhere."""
    source = FaultySource(NumbersSource(2), str(tmp_path / "log"))
    pipeline = Pipeline(source, [StatisticsFilter("cellar://x/stats.json")], JsonSink(tmp_path / "items"))
    for act in (run_pipeline, gather_pipeline, lambda p: p[0]):
        with pytest.raises(ConfigError, match=r"StatisticsFilter: the output 'cellar:.*' is a URL \(cellar\)"):
            act(pipeline)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["there/stats.parquet", "there/stats.json", "nowhere/stats.parquet"])
def test_components_check_their_outputs_at_any_place(tmp_path, name):
    """A suffix that they cannot write, and a place that does not take it, are errors of the component."""
    (tmp_path / "there").mkdir()
    messages = {"there/stats.json": r"must end in '\.parquet'", "nowhere/stats.parquet": "no such vault"}
    with pytest.raises(ConfigError, match=messages[name]) if name in messages else nullcontext():
        check_output_path(f"vault://{tmp_path}/{name}", ".parquet", "statistics")


def test_nobody_else_publishes_outputs():
    """Renaming and recovery of outputs are `LocalLocation`'s; tables of experiments and files of an item are none."""
    root = Path(curator_core.__file__).parent
    modules = [path for package in (root, root.with_name("curator_dagster")) for path in package.rglob("*.py")]
    publishes = re.compile(r"\b(publish_file|publish_directory|recover_directory|Path\(output\.path\))").search
    found = {path.parent.name for path in modules if publishes(path.read_text(encoding="utf-8"))}
    files_of_an_item = {"mesh"}  # a folder for each mesh of several parts
    assert found <= {"storage", "experiments", "stored"} | files_of_an_item


@register_location
class ShelfLocation(LocalLocation):
    """``shelf://name`` is a file in a folder beside that of its name."""

    scheme = "shelf"

    @property
    def work_path(self):
        return Path(f"{self.path.removeprefix('shelf://')}.shelf", "data.json")


def test_a_dataset_at_a_local_place_with_another_name(tmp_path):
    """A sink reads the dataset before it at the local path, so an item that comes is the only one that is processed."""
    output = f"shelf://{tmp_path}/all"
    for n_items in (2, 3):
        (tmp_path / f"{n_items}.txt").write_text(str(n_items))
        pipeline = Pipeline(FileSource(tmp_path), sink=DatasetSink(output), db_file=tmp_path / "m.db", resume=True)
        assert pipeline.plan().counts().get("new") == 1
        assert run_pipeline(pipeline, gather=True)[:-1] == [[output]] * (n_items - 2)
        held = json.loads((tmp_path / "all.shelf" / "data.json").read_text())
        assert [entry["values"] for entry in held] == [[n] for n in range(2, n_items + 1)]
    assert pipeline.plan().counts() == {"up to date": 2}
    assert pipeline.summary()["to_gather"] == []
    assert sorted(path.name for path in (tmp_path / "all.shelf").iterdir()) == ["data.json", "data.json.versions"]
