"""How often a refresh lists its source, opens the records and hashes the configuration: once where that is enough."""

from collections import Counter

import pytest
from dagster import DagsterInstance

from curator_core import MetricsStore, Pipeline
from curator_core.session.listing import Listing
from curator_core.store import StoreWriter
from curator_core.testing import DatasetSink, FileSource, StatisticsFilter
from curator_dagster import build_curation_defs

N = 12
N_BATCHES = 2


@pytest.fixture
def counted(monkeypatch):
    """Counts from now on."""
    found = Counter()

    def counting(cls, name, what):
        method = getattr(cls, name)

        def call(*args, **kwargs):
            found[what] += 1
            return method(*args, **kwargs)

        monkeypatch.setattr(cls, name, staticmethod(call) if name == "of" else call)

    counting(Listing, "of", "listings")
    counting(StoreWriter, "__init__", "writers")
    counting(MetricsStore, "__init__", "readers")
    config = vars(Pipeline)["config"].fget

    def hashed(pipeline):
        found["configurations"] += 1
        return config(pipeline)

    monkeypatch.setattr(Pipeline, "config", property(hashed))
    return found


@pytest.fixture
def refresh(tmp_path):
    """Refreshes a curation of files, all steps in this process."""
    (tmp_path / "in").mkdir()
    for i in range(N):
        (tmp_path / "in" / f"{i:03d}.txt").write_text(str(i))
    out = tmp_path / "out"
    pipeline = Pipeline(
        FileSource(str(tmp_path / "in")),
        [StatisticsFilter(str(out / "stats.json"))],
        DatasetSink(str(out / "data.json")),
        db_file=tmp_path / "run.db",
    )
    job = build_curation_defs("files", pipeline, batch_size=N // N_BATCHES).get_job_def("files_refresh")

    def run():
        with DagsterInstance.ephemeral() as instance:
            assert job.execute_in_process(instance=instance).success

    return run


def test_a_refresh_lists_once_and_opens_once_per_phase(counted, refresh):
    """To plan: a writer and a reader; to process: none; to collect: the same, and a reader for the checks."""
    refresh()
    assert counted == {"listings": 1, "writers": 2, "readers": 3, "configurations": 4 + N_BATCHES}
