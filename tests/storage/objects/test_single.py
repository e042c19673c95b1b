"""Single objects as places of outputs, and what is said of stores that cannot be used."""

from __future__ import annotations

import pickle

import pytest

from benchmarks.object_server import BUCKET, SECRET
from curator_core.errors import ConfigError, MergeError, ObjectStoreError
from curator_core.storage.locations import location_of
from curator_core.storage.objects import stores
from curator_core.storage.objects.failures import explained
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.storage.objects.single import ObjectLocation
from curator_core.storage.objects.stores import ObjectUrl

pytestmark = pytest.mark.xdist_group("objects")  # one server


def _publish(location, content):
    with location.publication() as staged:
        staged.write_bytes(content)


def test_an_object_is_published_whole(url):
    """It is told from the one that it replaces, be it of the same content, and is gone when it is removed."""
    location = location_of(f"{url}/stats.json")
    location.check("the output")
    assert type(location) is ObjectLocation
    assert (location.exists(), location.objects(), location.mark(0)) == (False, {}, None)
    _publish(location, b"same")
    first, published_ns = location.mark(0), location.modified_ns()
    assert location.is_as_written(first)
    assert pickle.loads(pickle.dumps(location)).read() == b"same"
    _publish(location, b"same")
    assert (location.objects(), location.is_as_written(first)) == ({"": 4}, False)
    assert location.modified_ns() > published_ns
    location.remove()
    location.remove()
    assert not location.is_as_written(None)


def test_a_folder_needs_a_repository(url):
    """No object store replaces a folder as a whole, so a Zarr folder is refused by the name that works."""
    location = location_of(f"{url}/a.zarr")
    with pytest.raises(ConfigError, match=rf"the output '{url}/a.zarr'.*Name it {url}/a.icechunk"):
        location.check("the output")
    with pytest.raises(MergeError, match=r"name it …[.]icechunk"), location.publication() as staged:
        staged.mkdir()
    assert not location.exists()


def test_what_lies_beside_a_repository(tmp_path):
    """Objects beside one in a bucket, files beside a local one."""
    for root in ("s3://b", str(tmp_path)):
        dataset, other = location_of(f"{root}/a.icechunk"), location_of(f"{root}/m.json")
        assert type(dataset) is IcechunkLocation
        assert type(dataset.beside("m.json")) is type(other)
        assert type(dataset.beside("b.icechunk")) is IcechunkLocation


@pytest.mark.parametrize("wrong", ["s3://key:secret@b/x", "s3://b/x?key=secret", "s3://b", "s3:///x", "s3://b/../x"])
def test_urls_that_name_no_object(wrong):
    """They are refused, and a secret in one is not shown."""
    with pytest.raises(ConfigError, match=r"the output '.*s3://b?/?") as caught:
        location_of(wrong)
    assert "secret" not in str(caught.value)


def test_a_whole_bucket_is_a_folder():
    """Inputs may be all of its objects."""
    assert ObjectUrl.parse("s3://b/", is_prefix=True) == ObjectUrl("s3", "b", "")


@pytest.mark.parametrize("name", ["x.json", "x.icechunk"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bucket": "nowhere"}, "there is no bucket 'nowhere': make it"),
        ({"AWS_ACCESS_KEY_ID": "AKIAOTHER"}, "the credentials are refused: set AWS_ACCESS_KEY_ID"),
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "the service at http://127.0.0.1:9 cannot be reached, after 2 tri",
        ),
    ],
)
def test_a_store_that_cannot_be_used(store, monkeypatch, name, change, said):
    """One sentence says why, before anything is written, and when it is read."""
    monkeypatch.setattr(stores, "TRIES", 2)
    for variable in change.keys() - {"bucket"}:
        monkeypatch.setenv(variable, change[variable])
    location = location_of(f"s3://{change.get('bucket', BUCKET)}/folder/{name}")
    with pytest.raises(ConfigError, match=f"the output '{location.path}' cannot be written: {said}"):
        location.check("the output")
    for act in (location.read, lambda: _publish(location, b"x")):
        with pytest.raises(ObjectStoreError, match=f"{location.path} cannot be used: {said}") as caught:
            act()
        assert caught.value.__suppress_context__
    if "bucket" not in change:  # a service says no more of an object than that it is not there
        with pytest.raises(ObjectStoreError, match=r"cannot be used: (access is denied|the service|the credentials)"):
            location.exists()


def test_answers_that_a_service_gives_under_load(store, url):
    """The request is made again."""
    store.disturb(503, times=3, method="PUT")
    _publish(location_of(f"{url}/x.json"), b"content")
    counts = store.counts()
    assert (counts["disturbed"], counts["PUT"]) == (3, 4)
    assert location_of(f"{url}/x.json").read() == b"content"


def test_secrets_are_not_shown(store):
    """Whatever the library's error says."""
    with (
        pytest.raises(ObjectStoreError, match=r"s3://b/x cannot be used: a key \*\*\* that is wrong") as caught,
        explained("s3://b/x"),
    ):
        raise OSError(f"a key {SECRET} that is wrong")
    assert SECRET not in repr(caught.value)
