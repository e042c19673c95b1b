"""A change of a dataset in a bucket costs what changed."""

from __future__ import annotations

import pytest

from curator_core import run_pipeline
from curator_core.domains.atoms import AtomicDataset, AtomicDataZarrSink
from curator_core.domains.atoms.g2 import write_g2_emt
from curator_core.domains.atoms.sources import ASELMDBSource
from curator_core.storage.objects.location import IcechunkLocation

pytestmark = pytest.mark.xdist_group("objects")


@pytest.mark.campaign
def test_a_changed_item_is_sent_alone(store, tmp_path, url):
    """The shards of the other items stay where they are; all else equals a dataset that is published at once."""
    inputs = write_g2_emt(tmp_path / "in", n_files=20, n_variants=3)

    def publish(place, database):
        source = ASELMDBSource(str(tmp_path / "in"))
        pipeline = source.write(AtomicDataZarrSink(f"{place}/g2.icechunk"))
        run_pipeline(pipeline.with_settings(db_file=tmp_path / database, resume=True), gather=True)
        return IcechunkLocation(f"{place}/g2.icechunk").snapshot()

    publish(url, "run.db")
    first = store.counts()["PUT bytes"]
    reader = AtomicDataset(f"{url}/g2.icechunk")
    write_g2_emt(tmp_path / "other", n_files=20, n_variants=3, seed=1)[7].replace(inputs[7])
    store.counts()
    changed = publish(url, "run.db")
    second = store.counts()["PUT bytes"]
    assert second < first / 4  # of 20 items; the tables are the rest
    scratch = publish(str(tmp_path / "scratch"), "scratch.db")
    of_paths = ("items/version/", "segments/id/", "zarr.json", "croissant.json")
    names = {name for name in changed.objects() if not name.startswith(of_paths)}
    assert len(names) > 300
    assert names <= scratch.objects().keys()
    assert [name for name in sorted(names) if changed.read(name) != scratch.read(name)] == []
    assert len(list(reader)) == len(AtomicDataset(f"{url}/g2.icechunk"))
