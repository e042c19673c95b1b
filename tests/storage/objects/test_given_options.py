"""Credentials of an output by a secret parameter: used for all that is published beside it, and written nowhere."""

from __future__ import annotations

import pickle

import pytest

from benchmarks.object_server import KEY, SECRET
from curator_core import CuratedDataset, Pipeline, run_pipeline
from curator_core.domains.atoms import AtomicDataset, AtomicDataZarrSink, AtomicStatsFilter
from curator_core.domains.atoms.g2 import write_g2_emt
from curator_core.domains.atoms.sources import ASELMDBSource
from curator_core.domains.grid import GridZarrSink
from curator_core.domains.mesh import MeshZarrSink
from curator_core.domains.table import ParquetSink, TableZarrSink
from curator_core.errors import ConfigError, ObjectStoreError
from curator_core.storage.locations import location_of
from curator_core.storage.objects import stores
from curator_core.storage.objects.repository import storage
from curator_core.storage.objects.stores import ObjectUrl, give_options, given_options

pytestmark = pytest.mark.xdist_group("objects")  # one server


@pytest.fixture
def options(store, monkeypatch):
    """Those of the server, which the environment knows nothing of."""
    for name in store.environment:
        monkeypatch.delenv(name)
    return {"endpoint": store.url, "aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region": "us-east-1"}


def test_an_output_has_credentials_of_its_own(options, url, tmp_path, monkeypatch):
    """Whatever is published beside it goes there with them; no file and no object holds them."""
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(tmp_path / "cache"))
    write_g2_emt(tmp_path / "in", n_files=2, n_variants=1)
    sink = AtomicDataZarrSink(f"{url}/g2.icechunk", storage_options=options)
    pipeline = ASELMDBSource(str(tmp_path / "in")).filter(AtomicStatsFilter(f"{url}/stats.parquet")).write(sink)
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db", resume=True)
    run_pipeline(pickle.loads(pickle.dumps(pipeline)), gather=True)
    assert CuratedDataset.open(f"{url}/g2.icechunk").n_items == 2
    assert len(AtomicDataset(f"{url}/g2.icechunk").items) == 2
    assert SECRET not in repr(sink) + str(pipeline)
    assert set(sink.secret_values()) == {KEY, SECRET}
    other = AtomicDataZarrSink(f"{url}/g2.icechunk", storage_options=options | {"aws_secret_access_key": "another"})
    assert pipeline.with_settings(sink=other).config_hash == pipeline.config_hash
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    place = ObjectUrl.parse(url)
    bucket = stores.object_store(place, options)
    files += [bytes(bucket.get(found["path"]).bytes()) for found in bucket.list(place.key).collect()]
    assert len(files) > 20
    assert not [content for content in files if SECRET.encode() in content]


@pytest.mark.parametrize("sink", [AtomicDataZarrSink, GridZarrSink, MeshZarrSink, TableZarrSink, ParquetSink])
def test_every_dataset_in_a_bucket_takes_them(sink, options, url):
    """The environment has none, and its place can be checked; they are no part of the configuration."""
    place = f"{url}/set.{'delta' if sink is ParquetSink else 'icechunk'}"
    ours = sink(place, storage_options=options)
    ours.check()
    assert set(ours.secret_values()) == {KEY, SECRET}
    bare = Pipeline(ASELMDBSource("in"), sink=sink(place))
    assert bare.with_settings(sink=ours).config_hash == bare.config_hash


def test_credentials_that_are_refused_are_not_shown(options, url, monkeypatch):
    """Neither by what checks the output, nor by what reads it; a folder that is nearer has its own."""
    monkeypatch.setattr(stores, "TRIES", 1)
    give_options(f"{url}/deep/x.json", options)
    give_options(f"{url}/x.json", options | {"aws_access_key_id": "AKIAOTHER"})
    for name in ("x.json", "x.icechunk"):
        location_of(f"{url}/deep/{name}").check("the output")
        with pytest.raises(ConfigError, match="the credentials are refused") as caught:
            location_of(f"{url}/{name}").check("the output")
        assert not [secret for secret in (SECRET, "AKIAOTHER") if secret in str(caught.value)]
    give_options(f"{url}/x.json", {"no_such_option": "topsecret"})
    with pytest.raises(ObjectStoreError, match=r"cannot be used") as unknown:
        location_of(f"{url}/x.json").exists()
    assert "topsecret" not in str(unknown.value)


def test_which_options_are_whose():
    """Those of the folder, by names with or without the provider's; none of a neighbour, and none for a path."""
    give_options("s3://b/a/x.json", {"aws_region": "here"})
    assert given_options(ObjectUrl.parse("s3://b/a/deep/y.json")) == {"aws_region": "here"}
    for other in ("s3://b/ab/x.json", "s3://b/x.json", "gs://b/a/x.json"):
        assert given_options(ObjectUrl.parse(other)) == {}
    with pytest.raises(ConfigError, match="storage_options are for outputs that a URL names"):
        AtomicDataZarrSink("out.zarr", storage_options={"region": "here"})


@pytest.mark.parametrize(
    ("place", "options"),
    [
        ("gs://b/x.icechunk", {"service_account_key": "{}"}),
        ("az://b/x.icechunk", {"azure_storage_account_name": "me", "azure_account_key": "c2VjcmV0"}),
    ],
)
def test_other_services_take_them(place, options):
    """Their clients are made, and ask no service yet."""
    give_options(place, options)
    assert "c2VjcmV0" not in repr(storage(place))
