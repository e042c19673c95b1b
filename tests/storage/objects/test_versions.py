"""Versions of datasets in repositories: what `curator versions` and `curator verify` do with them."""

from __future__ import annotations

import pickle
import shutil

import pytest

from curator_core import CuratedDataset, open_dataset, run_pipeline
from curator_core.cli import main
from curator_core.datasets.versions import (
    diff_versions,
    expire_versions,
    list_versions,
    locate_version,
    tag_version,
)
from curator_core.domains.atoms import AtomicDataset, AtomicDataZarrSink
from curator_core.domains.atoms.g2 import write_g2_emt
from curator_core.domains.atoms.sources import ASELMDBSource
from curator_core.errors import DatasetExpiredError, DatasetReplacedError
from curator_core.merge.verify import verify_dataset
from curator_core.storage.objects.location import IcechunkLocation

pytestmark = pytest.mark.xdist_group("objects")  # one server


@pytest.fixture
def publish(place, tmp_path):
    """Function that publishes what the source holds, with one file changed where a number is given; the version."""
    states = [write_g2_emt(tmp_path / f"state{n}", n_files=3, n_variants=1, seed=n) for n in range(4)]
    source = tmp_path / "in"
    source.mkdir()
    for path in states[0]:
        shutil.copy(path, source)

    def publish(number=None, **settings):
        if number is not None:
            shutil.copy(states[number][number % 3], source)
        pipeline = ASELMDBSource(str(source)).write(AtomicDataZarrSink(place, chunk_rows=64, shard_rows=64))
        run_pipeline(pipeline.with_settings(db_file=tmp_path / "run.db", resume=True, **settings), gather=True)
        return CuratedDataset.open(place).data_version

    return publish


def _positions(dataset):
    return [atoms.positions.tolist() for atoms in dataset]


def _states(place):
    return {version.id: version.state for version in list_versions(place)}


def test_a_dataset_in_a_repository_has_versions(place, publish, capsys):
    """They are listed, compared, opened, tagged, restored and expired, as those of a folder are."""
    first = publish(0)
    reader = AtomicDataset(place)
    rows = _positions(reader)
    copied = pickle.loads(pickle.dumps(reader))
    second = publish(1)
    former, newest = list_versions(place)[::-1]
    assert ((former.id, former.state), (newest.id, newest.state)) == ((first, "kept"), (second, "newest"))
    assert (newest.record.n_changed, newest.record.former, former.record.n_items) == (1, first, 3)
    assert 0 < newest.record.new_bytes < former.record.new_bytes
    (changed,) = diff_versions(place, first).changed
    assert main(["versions", "diff", place, first[:8]]) == 0
    assert changed in capsys.readouterr().out
    assert locate_version(place, first) == f"{place}#{first}"
    dataset = CuratedDataset.open(place, data_version=first[:10])
    dataset.check()
    assert (dataset.data_version, dataset.n_items) == (first, 3)
    assert CuratedDataset.open(f"{place}#{first}").data_version == first
    assert _positions(open_dataset(place, version=first)) == rows == _positions(copied)
    assert (verify_dataset(place), verify_dataset(place, version=first)) == ([], [])

    tag_version(place, first, "paper")
    third = publish(2)
    assert _states(place) == {third: "newest", second: "kept", first: "kept"}
    assert main(["versions", "restore", place, "paper"]) == 0
    assert _positions(open_dataset(place)) == rows
    assert _states(place) == {first: "newest", third: "kept", second: "kept"}
    assert CuratedDataset.open(place).data_version == first
    assert publish() == third
    assert _states(place) == {third: "newest", first: "kept", second: "expired"}
    assert expire_versions(place, keep_versions=1) == []  # one has a tag
    for read in (
        lambda: locate_version(place, second),
        lambda: open_dataset(f"{place}#{second}"),
        lambda: CuratedDataset(f"{place}#{second}", second, dataset.manifest).check(),
    ):
        with pytest.raises(DatasetExpiredError):
            read()
    dataset.check()
    with pytest.raises(DatasetReplacedError, match="That version is kept"):
        CuratedDataset(place, first, dataset.manifest).check()


def test_a_version_without_one_to_keep_it(place, publish):
    """Nothing is kept where one version is enough, and a reader of what was there learns that it expired."""
    publish(0, keep_versions=1)
    reader = AtomicDataset(place)
    second = publish(1, keep_versions=1)
    assert _states(place) == {second: "newest"}
    assert [info.version for info in IcechunkLocation(place).history()] == [second]
    with pytest.raises(DatasetExpiredError):
        _positions(reader)


def test_damage_in_a_repository_is_named(place, publish):
    """A shard that is another's, and one that is not there."""
    publish(0)
    location = IcechunkLocation(place)
    with location.publication() as staged:
        for name in location.objects():
            if name != "positions/c/1/0":
                location.keep("positions/c/0/0" if name == "positions/c/2/0" else name, staged / name)
    found = {damage.file: damage for damage in verify_dataset(place)}
    assert (found["positions/c/1/0"].what, len(found["positions/c/1/0"].items)) == ("is missing", 1)
    assert found["positions/c/2/0"].what == "is not what was written: its checksum is another"
