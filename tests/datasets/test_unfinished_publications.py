"""A publication that was killed before its manifest was written: the next one knows what it published."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from curator_core import CuratedDataset, gather_pipeline, run_pipeline
from curator_core.datasets.contents import content_signature
from curator_core.datasets.manifest import Manifest, manifest_beside
from curator_core.datasets.versions import diff_versions, list_versions, restore_version, tag_version
from curator_core.domains.ragged import ArraySpec, RaggedSink
from curator_core.errors import DatasetReplacedError, DatasetVersionError, MergeError
from curator_core.pipeline.splits import SplitByKey
from curator_core.storage.locations import location_of
from curator_core.testing import DatasetSink, FaultySource, FileSource, invocations

DATA = "out/data.json"


def build(**settings):
    steps = FaultySource(FileSource("in", by_content=True), "log").write(DatasetSink(DATA))
    return steps.with_settings(**{"db_file": "run.db", "resume": True, "track_memory": False} | settings)


def write(**inputs):
    """Write inputs, and remove those that are None."""
    for name, text in inputs.items():
        path = Path(f"in/{name}.txt")
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)


def publish(**settings):
    run_pipeline(build(**settings), gather=True, progress=False)
    return CuratedDataset.open(DATA).data_version


@pytest.fixture(autouse=True)
def _work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    write(a="1", b="2")


def killed_after_publishing(monkeypatch, **settings):
    """Publish, and stop when the dataset is there and nothing says yet what it is."""
    with monkeypatch.context() as patch:
        patch.setattr("curator_core.session.merging.record_publication", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(**settings)


def values(path=DATA):
    return {entry["key"]: entry["values"] for entry in json.loads(Path(path).read_text())}


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("other", [{}, {"filters": ()}, {"db_file": "other.db"}])
def test_the_version_of_a_killed_publication_is_restored(monkeypatch, caplog, is_first, other):
    """Whatever publishes next, with whichever database, keeps it with its manifest."""
    if not is_first:
        publish()
        write(a="7")
    killed_after_publishing(monkeypatch)
    held = values()
    write(a="3", c="4")
    newest = publish(**other)
    assert [v.state for v in list_versions(DATA)][:2] == ["newest", "kept"]
    former = list_versions(DATA)[1]
    assert (former.state, former.record.n_items, former.record.n_added, former.record.n_changed) == (
        *("kept", 2),
        *((2, 0) if is_first else (0, 1)),
    )
    assert diff_versions(DATA, former.id).added == ("c.txt",)
    assert restore_version(DATA, former.id).id == former.id
    assert (values(), [v.id for v in list_versions(DATA)][:2]) == (held, [former.id, newest])
    assert not list(Path("out").glob("*.next.json"))
    assert not [r for r in caplog.records if "without a manifest" in r.getMessage()]


class Numbers(RaggedSink):
    """A Zarr dataset, which says itself what is in it."""

    name = "test_unfinished_numbers"
    arrays = (ArraySpec("x", "float64", ("row",)),)

    def write_shard(self, items, path):
        super().write_shard(iter([{"x": np.array([float(n) for n in items])}]), path)


def test_a_zarr_dataset_is_described_by_whatever_comes_next(monkeypatch):
    """It says itself which version it is, so that nobody has to gather before the version gets a tag, say."""
    pipeline = FileSource("in", by_content=True).write(Numbers("out/d.zarr")).with_settings(db_file="run.db")
    run_pipeline(pipeline, gather=True, progress=False, resume=True)
    former = CuratedDataset.open("out/d.zarr").data_version
    write(a="3")
    with monkeypatch.context() as patch:
        patch.setattr("curator_core.session.merging.record_publication", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_pipeline(pipeline, gather=True, progress=False, resume=True)
    newest = tag_version("out/d.zarr", "newest", "good").id
    assert [(v.id, v.state) for v in list_versions("out/d.zarr")] == [(newest, "newest"), (former, "kept")]
    assert diff_versions("out/d.zarr", former).changed == ("a.txt",)
    assert pipeline.with_settings(resume=True).plan().counts() == {"up to date": 2}


def test_killed_twice(monkeypatch):
    """The second one is killed before its dataset is there: the first one is known still."""
    killed_after_publishing(monkeypatch)
    write(a="3")
    with monkeypatch.context() as patch:
        patch.setattr("curator_core.storage.local.LocalLocation.publish_version", lambda *_: 1 / 0)
        with pytest.raises(MergeError, match="stays as it was"):
            publish()
    assert values()["a.txt"] == [1]
    write(a="4")
    publish()
    assert values(restore_path()) == {"a.txt": [1], "b.txt": [2]}


def restore_path():
    restore_version(DATA, list_versions(DATA)[1].id)
    return CuratedDataset.open(DATA).path


def test_other_splits_alone(monkeypatch):
    """A version that differs in its splits alone is not taken for the one before."""
    first = publish()
    killed_after_publishing(monkeypatch, split=SplitByKey({"train": 1.0}))
    write(c="1")
    publish(split=SplitByKey({"train": 1.0}))
    _, former, before = list_versions(DATA)
    assert (before.id, former.record.n_reassigned, former.record.n_items) == (first, 2, 2)
    assert diff_versions(DATA, former.id).added == ("c.txt",)


def test_a_dataset_without_any_manifest_is_kept_and_that_is_said(monkeypatch, caplog):
    """As one that an earlier curator published and did not describe."""
    killed_after_publishing(monkeypatch)
    Path(f"{DATA}.manifest.next.json").unlink()
    write(a="3")
    publish()
    assert [r.levelno for r in caplog.records if "is kept without a manifest" in r.getMessage()] == [logging.WARNING]


@pytest.mark.parametrize("change", ['{{"format_version": 2,{}', "{}"])
def test_a_manifest_of_a_newer_curator_is_not_written_over(change):
    """Nothing is processed, and nothing published."""
    publish()
    manifest, attempts = Path(f"{DATA}.manifest.json"), invocations("log")
    said = manifest.read_text()
    newer = change.format(said[1:]) if "format" in change else f'{said.rstrip()[:-1]},\n "format_version": 2}}\n'
    manifest.write_text(newer)
    write(a="3")
    dataset = Path(DATA).read_bytes()
    for action in (publish, lambda: publish(resume=False), lambda: gather_pipeline(build())):
        with pytest.raises(DatasetVersionError, match=r"manifest\.json has format version 2.* Upgrade curator"):
            action()
    assert (manifest.read_text(), Path(DATA).read_bytes(), invocations("log")) == (newer, dataset, attempts)


def test_manifests_are_written_as_json_writes_them(tmp_path):
    """Keys with quotes, without a fingerprint, with splits, and none at all."""
    keys = {'a"\\': "1", "é\n": None, "b": "x"}
    for items in (keys, {}):
        manifest = Manifest("c" * 64, items, {"m": "new"}, dict.fromkeys(items, "train"), {"items": []})
        place = manifest_beside(location_of(tmp_path / "d.json"))
        manifest.write(place)
        text = Path(place.path).read_text()
        assert text == f"{json.dumps(json.loads(text), indent=1, ensure_ascii=False)}\n"
        assert Manifest.read(place) == manifest


def test_readers_wait_for_the_manifest(monkeypatch):
    """What is announced is not taken for what is published."""
    publish()
    write(a="3")
    killed_after_publishing(monkeypatch)
    with pytest.raises(DatasetReplacedError):
        CuratedDataset.open(DATA)


@pytest.mark.parametrize("n", [0, 1, 999, 1000, 1001, 2500])
def test_data_versions_are_those_of_json(n):
    """They are in published datasets: other ones would be other versions."""
    versions = {f'"é{number}': f"v{number}" for number in range(n)}
    for splits in ({}, dict.fromkeys(versions, ""), dict.fromkeys(list(versions)[::2], "träin")):
        content = list(versions.items())
        named = [content, [splits.get(key, "") for key in versions]] if any(splits.values()) else content
        assert content_signature(versions, splits) == hashlib.sha256(json.dumps(named).encode()).hexdigest()
