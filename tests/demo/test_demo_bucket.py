"""The demo's curation, published to a bucket by a refresh in Dagster."""

import os
import shlex
import subprocess
import sys

import pytest
from dagster import DagsterInstance

from benchmarks.object_server import BUCKET
from curator_core import CuratedDataset
from curator_core.datasets import diff_versions
from curator_core.domains.atoms import AtomicDataset
from curator_core.domains.atoms.g2 import write_g2_emt
from curator_core.storage import location_of
from curator_dagster import build_curation_defs
from curator_dagster.demo_definitions import molecules_pipeline

pytestmark = pytest.mark.xdist_group("objects")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.mark.campaign
def test_a_refresh_publishes_to_a_bucket(object_store_server, tmp_path, monkeypatch):
    """A changed file makes another version; who had the former one open reads it to its end."""
    for name, value in object_store_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CURATOR_DEMO_DIR", str(tmp_path))
    monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "work"))
    place = f"s3://{BUCKET}/demo-{tmp_path.name}"
    monkeypatch.setenv("CURATOR_DEMO_OUTPUT", place)
    inputs = write_g2_emt(tmp_path / "input", n_files=3, n_variants=1)
    defs = build_curation_defs("molecules", molecules_pipeline)
    job = defs.resolve_job_def("molecules_refresh")

    with DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:

        def refresh():
            return job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)

        assert refresh().success
        first = CuratedDataset.open(f"{place}/molecules.icechunk")
        dataset = AtomicDataset(first.path)
        before = [atoms.positions.tolist() for atoms in dataset]
        assert (len(dataset), first.n_items) == (81, 3)
        write_g2_emt(tmp_path / "other", n_files=3, n_variants=2)[0].replace(inputs[0])
        result = refresh()
        assert result.success
    second = CuratedDataset.open(first.path)
    assert second.data_version != first.data_version
    assert [atoms.positions.tolist() for atoms in dataset] == before
    assert len(AtomicDataset(second.path)) > len(dataset) == 81
    published = [event.materialization for event in result.all_events if event.is_step_materialization]
    assert first.path in [value.value for one in published for value in one.metadata.values()]
    (found,) = [one.metadata for one in published if "curator/compare" in one.metadata]
    assert [found[f"curator/n_{what}"].value for what in ("added", "changed", "removed")] == [0, 1, 0]
    assert (found["curator/data_version"].value, found["curator/new_mib"].value > 0) == (second.data_version, True)
    compare = shlex.split(found["curator/compare"].value.strip("`"))
    assert compare[3] == first.path
    assert diff_versions(*compare[3:]).changed == (inputs[0].name,)
    assert CuratedDataset.open(first.path, data_version=first.data_version).manifest == first.manifest
    assert location_of(f"{place}/statistics.parquet").exists()


@pytest.mark.campaign
def test_steps_in_processes_of_their_own_publish_to_a_bucket(object_store_server, tmp_path, monkeypatch):
    """The demo's own executor: none of the processes has used the bucket and is forked then."""
    place = f"s3://{BUCKET}/steps-{tmp_path.name}"
    folders = {"CURATOR_DEMO_DIR": tmp_path, "CURATOR_WORK_DIR": tmp_path / "work", "DAGSTER_HOME": tmp_path / "home"}
    for name, value in (object_store_server.environment | folders | {"CURATOR_DEMO_OUTPUT": place}).items():
        monkeypatch.setenv(name, str(value))
    (tmp_path / "home").mkdir()
    write_g2_emt(tmp_path / "input", n_files=3, n_variants=1)
    command = "-m dagster job execute -m curator_dagster.demo_definitions -j molecules_refresh"
    done = subprocess.run(
        [sys.executable, *command.split()], env=os.environ, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert len(AtomicDataset(f"{place}/molecules.icechunk")) == 81
    assert CuratedDataset.open(f"{place}/molecules.icechunk").n_items == 3
