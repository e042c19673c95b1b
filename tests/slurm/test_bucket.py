"""A job array whose dataset is published to a bucket."""

import pytest

pytest.importorskip("icechunk")

from benchmarks.object_server import BUCKET, object_server
from curator_core import run_pipeline
from curator_core.domains.atoms import AtomicDataset, AtomicDataZarrSink
from curator_core.domains.atoms.g2 import write_g2_emt
from curator_core.domains.atoms.sources import ASELMDBSource

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.campaign, pytest.mark.xdist_group("slurm")]


def test_tasks_of_an_array_leave_what_is_published_to_a_bucket(slurm, resources, tmp_path, monkeypatch):
    """In the work folder, which every node reaches; whoever gathers uploads it."""
    write_g2_emt(tmp_path / "in", n_files=4, n_variants=1)
    with object_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "work"))
        place = f"s3://{BUCKET}/g2.icechunk"
        pipeline = ASELMDBSource(str(tmp_path / "in")).write(AtomicDataZarrSink(place))
        pipeline = pipeline.with_settings(db_file=tmp_path / "run.db", resume=True)
        run_pipeline(pipeline, backend="slurm", cluster=slurm, resources=resources, gather=True, progress=False)
        assert len(AtomicDataset(place).items) == 4
        assert pipeline.plan().counts() == {"up to date": 4}
    assert not list((tmp_path / "work").rglob("*shard*"))
