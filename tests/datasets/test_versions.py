"""Versions of a dataset: what is recorded of them, and what the next run does after one was restored."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest

from curator_core import CuratedDataset, gather_pipeline, run_pipeline
from curator_core.datasets.contents import Changes
from curator_core.datasets.versions import (
    diff_versions,
    expire_versions,
    list_versions,
    locate_version,
    restore_version,
    tag_version,
    untag_version,
)
from curator_core.errors import (
    ConfigError,
    DatasetExpiredError,
    DatasetReplacedError,
    DatasetVersionError,
    MergeError,
    StoreBusyError,
    UnknownNameError,
)
from curator_core.storage.locks import exclusive_lock
from curator_core.testing import DatasetSink, FaultySource, FileSource, StatisticsFilter, invocations

DATA = "out/data.json"


def build(**settings):
    source = FaultySource(FileSource("in", by_content=True), "log")
    steps = source.filter(StatisticsFilter("out/stats.json")).write(DatasetSink(DATA))
    return steps.with_settings(db_file="run.db", resume=True, track_memory=False, **settings)


def publish(**inputs):
    """Write inputs, remove those that are None, and publish what there is then; the data version."""
    settings = {key: inputs.pop(key) for key in ("keep_versions",) if key in inputs}
    for name, text in inputs.items():
        path = Path(f"in/{name}.txt")
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
    run_pipeline(build(**settings), gather=True, progress=False)
    return CuratedDataset.open(DATA).data_version


@pytest.fixture(autouse=True)
def _work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # there is no loss of power here
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()


def values(path=DATA):
    return {entry["key"]: entry["values"] for entry in json.loads(Path(path).read_text())}


def states():
    return {version.id: version.state for version in list_versions(DATA)}


def test_every_publication_is_a_version():
    """Newest first: when, how many items, what was added, changed and removed; the last two are there, whole."""
    first = publish(a="1", b="2")
    assert not Path("out/data.json.versions").exists()
    (only,) = list_versions(DATA)
    assert (only.id, only.state, only.record.n_items, only.record.n_added) == (first, "newest", 2, 2)
    assert only.record.new_bytes == Path(DATA).stat().st_size
    second = publish(a="7", b=None, c="3", d="4")
    third = publish(d="5")
    assert states() == {third: "newest", second: "kept", first: "expired"}
    record = list_versions(DATA)[1].record
    assert (record.n_items, record.n_added, record.n_changed, record.n_removed) == (3, 2, 1, 1)
    assert values(locate_version(DATA, second)) == {"a.txt": [7], "c.txt": [3], "d.txt": [4]}
    assert diff_versions(DATA, second) == Changes(changed=("d.txt",))
    assert [version.record.published_at for version in list_versions(DATA)] == sorted(
        (version.record.published_at for version in list_versions(DATA)), reverse=True
    )
    gather_pipeline(build())
    assert states() == {third: "newest", second: "kept", first: "expired"}


def test_how_many_are_kept_is_a_setting():
    """One alone keeps none; more than there are keeps all; a smaller number deletes what is too much."""
    first = publish(a="1", keep_versions=1)
    second = publish(a="2", keep_versions=1)
    assert states() == {second: "newest"}
    third, fourth = publish(a="3", keep_versions=3), publish(a="4", keep_versions=3)
    assert states() == {fourth: "newest", third: "kept", second: "kept"}
    fifth = publish(a="5", keep_versions=1)
    assert states() == {fifth: "newest", fourth: "expired", third: "expired", second: "expired"}
    with pytest.raises(DatasetExpiredError, match=rf"Version {first[:16]} of the dataset .*data\.json is not kept"):
        locate_version(DATA, first)
    with pytest.raises(ConfigError, match="keep_versions must be"):
        build(keep_versions=0)


def test_a_version_is_named_by_id_beginning_or_tag():
    """What means none or several is refused with what there is."""
    first, second = publish(a="1"), publish(a="2")
    tag_version(DATA, first[:10], "paper-1.0")
    for name in (first, first[:4], "paper-1.0"):
        assert values(locate_version(DATA, name)) == {"a.txt": [1]}
        assert CuratedDataset.open(DATA, data_version=name).data_version == first
    assert locate_version(DATA) == locate_version(DATA, "newest") == locate_version(DATA, second[:6]) == DATA
    for name in ("papers-1.0", "abc", "zzzzzzzz"):
        with pytest.raises(UnknownNameError, match=rf"{name!r}\. Known: .*{first[:16]}"):
            locate_version(DATA, name)


def test_a_tagged_version_stays():
    """Also where no other is kept, and until the tag is removed."""
    first = publish(a="1")
    assert tag_version(DATA, "newest", "v1").tags == ("v1",)
    publish(a="2", keep_versions=1)
    publish(a="3", keep_versions=1)
    assert values(locate_version(DATA, "v1")) == {"a.txt": [1]}
    with pytest.raises(ConfigError, match=r"has the tag 'v1': remove that first"):
        expire_versions(DATA, [first])
    with pytest.raises(ConfigError, match="'v1' is the tag of version"):
        tag_version(DATA, "newest", "v1")
    assert untag_version(DATA, "v1").id == first
    with pytest.raises(UnknownNameError):
        untag_version(DATA, "v1")
    assert expire_versions(DATA, [first[:12]]) == [first]
    with pytest.raises(DatasetExpiredError):
        locate_version(DATA, first)
    for tag in ("", "newest", "a b", "é", first):
        with pytest.raises(ConfigError, match="is no tag"):
            tag_version(DATA, "newest", tag)


def test_versions_expire_on_request():
    """By name or by number, but never the newest one."""
    ids = [publish(a=str(n), keep_versions=9) for n in range(5)]
    assert expire_versions(DATA, [ids[1]]) == [ids[1]]
    assert sorted(expire_versions(DATA, keep_versions=2)) == sorted([ids[0], ids[2]])
    assert list(states().values()) == ["newest", "kept", "expired", "expired", "expired"]
    with pytest.raises(ConfigError, match="is the newest one"):
        expire_versions(DATA, [ids[4]])
    for given in ({}, {"versions": [ids[3]], "keep_versions": 1}, {"keep_versions": 0}):
        with pytest.raises(ConfigError, match="Name the versions"):
            expire_versions(DATA, **given)


def test_a_reader_stays_with_its_version():
    """It finds it where it is kept, pickled as well, and learns that it expired."""
    first = publish(a="1")
    reader = CuratedDataset.open(DATA)
    second = publish(a="2")
    with pytest.raises(DatasetReplacedError, match=rf"is kept: read it with data_version='{first[:16]}'"):
        reader.check()
    kept = pickle.loads(pickle.dumps(CuratedDataset.open(DATA, data_version=first)))
    kept.check()
    assert (values(kept.path), kept.manifest) == ({"a.txt": [1]}, reader.manifest)
    publish(a="3")
    for action in (kept.check, lambda: CuratedDataset.open(DATA, data_version=first)):
        with pytest.raises(DatasetExpiredError, match="is not kept"):
            action()
    with pytest.raises(DatasetReplacedError, match="has expired"):
        reader.check()
    CuratedDataset.open(DATA, data_version=second).check()


def test_a_version_is_restored():
    """It is the newest, with its manifest, and the one that was there is kept; its tags stay its own."""
    first = publish(a="1", b="2")
    before = Path(DATA).read_bytes()
    second = publish(a="7", b=None)
    tag_version(DATA, first, "good")
    record = restore_version(DATA, "good")
    assert (record.id, record.is_restored, record.tags) == (first, True, ("good",))
    assert (record.n_added, record.n_changed, record.n_removed) == (1, 1, 0)
    assert Path(DATA).read_bytes() == before
    assert states() == {first: "newest", second: "kept"}
    assert CuratedDataset.open(DATA).data_version == first
    assert restore_version(DATA, first).id == first
    restore_version(DATA, second)
    assert values() == {"a.txt": [7]}
    assert sorted(path.name for path in Path("out/data.json.versions").iterdir()) == [
        f"{first}.json",
        f"{first}.json.manifest.json",
        "records.json",
    ]
    assert {path.name for path in Path("out").glob("*data*")} == {
        DATA[4:],
        f"{DATA[4:]}.manifest.json",
        f"{DATA[4:]}.versions",
    }


def test_a_run_after_a_restored_version_publishes_what_the_source_holds():
    """Only what the restored version has in another state is processed again; the restored one is kept then."""
    first = publish(a="1", b="2", c="3")
    second = publish(a="7", c=None)
    before, attempts = Path(DATA).read_bytes(), invocations("log")
    restore_version(DATA, first)
    assert build().plan().counts() == {"outputs missing": 1, "up to date": 1}
    with pytest.raises(MergeError, match=r"there is no shard of a\.txt\. Run the pipeline again with resume=True"):
        gather_pipeline(build())
    assert (values()["a.txt"], CuratedDataset.open(DATA).data_version) == ([1], first)
    assert publish() == second
    assert Path(DATA).read_bytes() == before
    assert {key: n - attempts[key] for key, n in invocations("log").items()} == {"a.txt": 1, "b.txt": 0, "c.txt": 0}
    assert states() == {second: "newest", first: "kept"}


def test_an_item_that_a_restored_version_has_and_the_source_has_not():
    """Gathering is due, and takes it out again."""
    first = publish(a="1", b="2")
    second = publish(b=None)
    restore_version(DATA, first)
    assert (values(), build().outputs_to_gather()) == ({"a.txt": [1], "b.txt": [2]}, [DATA])
    gather_pipeline(build())
    assert (values(), build().outputs_to_gather()) == ({"a.txt": [1]}, [])
    assert states() == {second: "newest", first: "kept"}


def test_a_source_that_follows_a_restored_version_has_nothing_to_do():
    """Where the items are those of the version again, they are processed once and give the same bytes."""
    first = publish(a="1", b="2")
    before = Path(DATA).read_bytes()
    publish(a="7")
    restore_version(DATA, first)
    assert publish(a="1") == first
    assert (Path(DATA).read_bytes(), build().plan().counts()) == (before, {"up to date": 2})


def test_what_came_since_survives_a_restored_version():
    """Shards of items that were processed and not yet gathered are merged by the next gathering."""
    first = publish(a="1")
    publish(a="1", b="2")
    Path("in/c.txt").write_text("3")
    run_pipeline(build(), progress=False)
    restore_version(DATA, first)
    assert build().plan().counts() == {"outputs missing": 1, "up to date": 2}
    publish()
    assert values() == {"a.txt": [1], "b.txt": [2], "c.txt": [3]}
    assert invocations("log")["c.txt"] == 1


def test_a_version_of_another_configuration_is_restored():
    """The pipeline that made it finds it up to date, the other one processes its items again."""
    first = publish(a="1")
    other = build().with_settings(filters=[])
    run_pipeline(other, gather=True, progress=False)
    restore_version(DATA, first)
    assert build().plan().counts() == {"up to date": 1}
    assert other.plan().counts() == {"outputs missing": 1}


def test_a_killed_restore_is_finished(monkeypatch):
    """Between the dataset and its manifest nobody takes the one for the other, and the next command puts it right."""
    first, second = publish(a="1"), publish(a="2")
    with monkeypatch.context() as patch:
        patch.setattr("curator_core.datasets.versions.record_publication", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            restore_version(DATA, first)
    assert values() == {"a.txt": [1]}
    with pytest.raises(DatasetReplacedError, match="was written after its manifest"):
        CuratedDataset.open(DATA)
    assert values(CuratedDataset.open(DATA, data_version=second).path) == {"a.txt": [2]}
    tag_version(DATA, "newest", "back")
    assert (states(), CuratedDataset.open(DATA).data_version) == ({first: "newest", second: "kept"}, first)


def test_a_dataset_of_an_earlier_curator_is_the_first_version():
    """Its manifest stands under the former name, is read there, and moves with the next publication."""
    first = publish(a="1")
    Path("out/data.json.manifest.json").rename("out/data_manifest.json")
    assert states() == {first: "newest"}
    assert build().outputs_to_gather() == []
    second = publish(a="2", b="1")
    assert states() == {second: "newest", first: "kept"}
    assert (list_versions(DATA)[0].record.n_added, list_versions(DATA)[0].record.n_changed) == (1, 1)
    assert not Path("out/data_manifest.json").exists()
    assert values(CuratedDataset.open(DATA, data_version=first).path) == {"a.txt": [1]}


def test_records_that_cannot_be_read_are_named():
    """Damaged ones, and those of a newer curator; nothing is published meanwhile."""
    publish(a="1")
    second = publish(a="2")
    records = Path("out/data.json.versions/records.json")
    good = records.read_text()
    for text, match in (
        (good.replace('"format_version": 1', '"format_version": 2'), "format version 2, .* Upgrade curator"),
        (good[:40], "does not say which versions of"),
        ("[]", "does not say which versions of"),
    ):
        records.write_text(text)
        with pytest.raises(DatasetVersionError, match=match):
            list_versions(DATA)
        with pytest.raises(DatasetVersionError, match=match):
            publish(a="3")
        assert CuratedDataset.open(DATA).data_version == second
    records.write_text(good)
    publish()
    manifest = Path("out/data.json.manifest.json")
    manifest.write_text(manifest.read_text().replace("{", '{"format_version": 2,', 1))
    with pytest.raises(DatasetVersionError, match=r"manifest\.json has format version 2.* Upgrade curator"):
        CuratedDataset.open(DATA)


def test_a_dataset_that_is_held_is_not_changed(monkeypatch):
    """A run or gathering that is going on is named."""
    first = publish(a="1")
    publish(a="2")
    monkeypatch.setattr("curator_core.datasets.versions._WAIT_S", 0.0)
    with exclusive_lock("out/data_shards.lock", timeout_s=0, holder="a run"):
        for action in (lambda: restore_version(DATA, first), lambda: tag_version(DATA, first, "x")):
            with pytest.raises(StoreBusyError, match="locked by a run"):
                action()
    assert not Path("out/data_shards.lock").exists() or values() == {"a.txt": [2]}


def test_a_version_that_cannot_be_written_leaves_all_as_it_was(monkeypatch):
    """A full disk while it is restored, say."""
    first, second = publish(a="1"), publish(a="2")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        with pytest.raises(OSError, match="the disk is full"):
            restore_version(DATA, first)
    assert (values(), states()) == ({"a.txt": [2]}, {second: "newest", first: "kept"})
    assert publish(a="3") in states()


def test_what_is_no_dataset():
    """It is said, and nothing is made."""
    for action in (lambda: list_versions("none.zarr"), lambda: tag_version("none.zarr", "newest", "x")):
        with pytest.raises(ConfigError, match=r"There is no dataset none\.zarr"):
            action()
    assert [path.name for path in Path().iterdir()] == ["in"]


def test_a_version_that_was_published_twice_is_described_once():
    """Its manifest may be older than what is kept of it, after a kill between the two, say."""
    first, second = publish(a="1"), publish(a="2")
    manifest = Path(f"{DATA}.versions/{first}.json.manifest.json")
    os.utime(manifest, ns=(0, 0))
    assert restore_version(DATA, first).id == first
    former = Path(f"{DATA}.versions/{second}.json.manifest.json")
    former.write_text(Path(f"{DATA}.manifest.json").read_text())
    with pytest.raises(ConfigError, match=f"is the manifest of version {first[:16]}: somebody changed it"):
        restore_version(DATA, second)
