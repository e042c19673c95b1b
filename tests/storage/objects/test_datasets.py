"""Datasets of atomic structures, published to a bucket."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from benchmarks.object_server import BUCKET, object_server
from curator_core import CuratedDataset, gather_pipeline, open_dataset, run_pipeline
from curator_core.datasets import restore_version
from curator_core.datasets.published import PublishedRagged, described
from curator_core.datasets.verifying import RaggedFiles
from curator_core.domains.atoms import AtomicDataset, AtomicDataZarrSink, AtomicStatsFilter
from curator_core.domains.atoms.g2 import write_g2_emt
from curator_core.domains.atoms.ragged import AtomsFormat
from curator_core.domains.atoms.sources import ASELMDBSource
from curator_core.errors import ConfigError, MergeError, ObjectStoreError
from curator_core.merge.census import nonfinite_counts
from curator_core.merge.verify import verify_dataset
from curator_core.storage.objects import stores
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.testing import FaultySource, invocations

pytestmark = pytest.mark.xdist_group("objects")  # one server


@pytest.fixture
def inputs(tmp_path):
    write_g2_emt(tmp_path / "in", n_files=4, n_variants=1)
    return tmp_path / "in"


def _pipeline(inputs, place, **settings):
    source = ASELMDBSource(str(inputs))
    pipeline = source.filter(AtomicStatsFilter(f"{place}/stats.parquet"))
    return pipeline.write(AtomicDataZarrSink(f"{place}/g2.icechunk", chunk_rows=64, shard_rows=64)).with_settings(
        db_file=inputs.parent / "run.db", resume=True, **settings
    )


def _positions(dataset):
    return [atoms.positions for atoms in dataset]


@pytest.mark.parametrize(
    "backend",
    ["sequential", *(pytest.param(name, marks=pytest.mark.campaign) for name in ("process_pool", "loky", "dask"))],
)
def test_a_run_publishes_to_a_bucket(inputs, url, backend):
    """What is there equals what is published locally; a reader pinned to it stays, and nothing is left to do."""
    pipeline = _pipeline(inputs, url)
    run_pipeline(pipeline, backend=backend, n_jobs=2, gather=True)
    local = _pipeline(inputs, str(inputs.parent / "out"))
    run_pipeline(local.with_settings(db_file=inputs.parent / "local.db"), gather=True)
    here, there = AtomicDataset(f"{inputs.parent}/out/g2.icechunk"), AtomicDataset(f"{url}/g2.icechunk")
    for one, other in zip(_positions(here), _positions(there), strict=True):
        np.testing.assert_array_equal(one, other)
    assert [item.version for item in there.items] == [item.version for item in pickle.loads(pickle.dumps(there)).items]
    assert len(open_dataset(f"{url}/g2.icechunk")) == len(here)
    dataset = CuratedDataset.open(f"{url}/g2.icechunk")
    assert (dataset.path, dataset.n_items) == (f"{url}/g2.icechunk", 4)
    assert _pipeline(inputs, url).plan().counts() == {"up to date": 4}
    assert _pipeline(inputs, url).summary()["to_gather"] == []
    assert gather_pipeline(_pipeline(inputs, url)) == [f"{url}/stats.parquet", f"{url}/g2.icechunk"]
    assert len(IcechunkLocation(f"{url}/g2.icechunk").history()) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAOTHER"}, "the credentials are refused"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be reached"),
        ({}, "there is no bucket 'nowhere'"),
    ],
)
def test_a_run_to_a_bucket_that_cannot_be_used(inputs, url, monkeypatch, change, said):
    """One sentence says so, before an item is read."""
    monkeypatch.setattr(stores, "TRIES", 2)
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    place = url if change else "s3://nowhere/folder"
    sink = AtomicDataZarrSink(f"{place}/g2.icechunk")
    source = FaultySource(ASELMDBSource(str(inputs)), str(inputs.parent / "log"))
    with pytest.raises(ConfigError, match=said):
        run_pipeline(source.write(sink).with_settings(db_file=inputs.parent / "run.db"), progress=False)
    assert invocations(inputs.parent / "log") == {}


def test_a_connection_that_is_lost_is_no_damage(inputs, monkeypatch, tmp_path):
    """Whoever reads says that the service cannot be reached, and of which dataset, not that this is damaged."""
    monkeypatch.setattr(stores, "TRIES", 1)
    monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "work"))
    place = f"s3://{BUCKET}/g2.icechunk"
    with object_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        run_pipeline(_pipeline(inputs, f"s3://{BUCKET}"), gather=True)
        dataset, generic = AtomicDataset(place), open_dataset(place)
        location = IcechunkLocation(place)
        files = RaggedFiles(location)
        former = PublishedRagged(location, AtomsFormat(files.layout))
        server.stop()
    for read in (
        lambda: dataset[0],
        lambda: generic.batch([0, 1], ["positions"]),
        lambda: verify_dataset(place),
        lambda: list(files.damages()),
        lambda: list(nonfinite_counts(location)),
        lambda: former.tables,
        lambda: described(location),
        lambda: restore_version(place, "newest"),
    ):
        with pytest.raises(
            ObjectStoreError, match=rf"^{place}\S* cannot be used: the service at \S+ cannot be reached"
        ):
            read()


def test_a_connection_that_is_lost_while_gathering(inputs, monkeypatch, tmp_path):
    """What is processed stays where it is: once the store answers again it is published, and nothing is done twice."""
    monkeypatch.setattr(stores, "TRIES", 2)
    monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "work"))
    with object_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        pipeline = _pipeline(inputs, f"s3://{BUCKET}/lost")
        run_pipeline(pipeline, progress=False)
        server.disturb(503, times=1000, part="/lost/g2")
        with pytest.raises(MergeError, match=r"g2\.icechunk cannot be written, it stays as it was: the service"):
            gather_pipeline(pipeline)
        server.disturb(503, times=0)
        assert pipeline.plan().counts() == {"up to date": 4}
        gather_pipeline(pipeline)
        assert len(AtomicDataset(f"s3://{BUCKET}/lost/g2.icechunk").items) == 4
