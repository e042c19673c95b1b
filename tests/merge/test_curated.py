"""A published dataset as its readers get it."""

import os
import pickle

import pytest

from curator_core import CuratedDataset
from curator_core.errors import ConfigError, DatasetReplacedError
from curator_core.merge.publication import Manifest, manifest_beside
from curator_core.storage.locations import location_of

FIRST = Manifest("config", {"a": "1", "b": None}, {"c": "failed: ValueError"})


@pytest.fixture
def publish(tmp_path):
    """Publishes a dataset of one file and its manifest."""

    def published(manifest, name="table.json"):
        location = location_of(tmp_path / name)
        with location.publication() as staged:
            staged.write_text("[]")
        manifest.write(manifest_beside(location), location)
        return location.path

    return published


def test_a_dataset_knows_its_version_and_its_items(publish):
    """Those of the manifest that was published with it; it pickles, and is checked against what lies there."""
    dataset = CuratedDataset.open(publish(FIRST))
    assert (dataset.data_version, dataset.config_hash, dataset.n_items) == (FIRST.data_version, "config", 2)
    assert (dataset.manifest.fingerprints, dataset.manifest.missing) == (FIRST.fingerprints, FIRST.missing)
    assert "failed" not in repr(dataset)
    again = pickle.loads(pickle.dumps(dataset))
    assert again == CuratedDataset.open(dataset.path, data_version=FIRST.data_version)
    again.check()


def test_another_version_is_refused_by_name(publish):
    """When it is opened, and when it was published while somebody read."""
    dataset = CuratedDataset.open(publish(FIRST))
    publish(Manifest("config", {"a": "2"}, {}))
    with pytest.raises(DatasetReplacedError, match=r"table\.json is of version .* now, not .* which was asked for"):
        dataset.check()
    with pytest.raises(DatasetReplacedError) as refused:
        CuratedDataset.open(dataset.path, data_version=FIRST.data_version)
    assert refused.value.file == dataset.path
    assert CuratedDataset.open(dataset.path).n_items == 1


def test_what_is_no_whole_dataset_is_refused_by_name(publish, tmp_path):
    """One that is not there, has no manifest or a broken one, or was written after it."""
    path = publish(FIRST)
    manifest = tmp_path / "table.json.manifest.json"
    later = manifest.stat().st_mtime_ns + 1
    os.utime(path, ns=(later, later))
    with pytest.raises(DatasetReplacedError, match="was written after its manifest: it is being published now"):
        CuratedDataset.open(path)
    manifest.write_text("[]")
    with pytest.raises(ConfigError, match=r"table\.json\.manifest\.json is no manifest of a dataset: TypeError"):
        CuratedDataset.open(path)
    manifest.unlink()
    with pytest.raises(ConfigError, match=r"has no manifest .*table\.json\.manifest\.json beside it"):
        CuratedDataset.open(path)
    with pytest.raises(ConfigError, match=r"There is no dataset .*none"):
        CuratedDataset.open(tmp_path / "none.json")
