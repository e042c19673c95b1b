"""Segments of several items, encoded while a refresh publishes their dataset."""

import json
from pathlib import Path

import pytest

pytest.importorskip("zarr")
pytest.importorskip("ase")

from dagster import DagsterInstance, in_process_executor

from curator_core import run_pipeline
from curator_core.datasets import segment_tasks
from curator_core.run import segments
from curator_core.run.choice import chosen_backend
from curator_dagster import build_curation_defs
from tests.datasets.kinds import SINKS, Contents, tree


def pipeline_in(folder, monkeypatch):
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("versions.json").write_text(json.dumps({f"k{n}": n for n in range(12)}))
    sink = SINKS["small meshes"]("d.zarr", items_per_segment=3)
    return Contents("small meshes").write(sink).with_settings(db_file="run.db", resume=True)


@pytest.mark.parametrize("settings", [{}, {"backend": "thread_pool", "backend_options": {"max_workers": 2}}])
def test_workers_encode_the_segments(tmp_path, monkeypatch, settings):
    """Those of the curation's backend, or processes of the machine; the bytes are those of one process."""
    monkeypatch.setattr(segment_tasks, "LEAST_BYTES", 0)
    monkeypatch.setattr("curator_dagster.steps.processing.available_cpus", lambda: 2)
    engines = []
    monkeypatch.setattr(segments, "chosen_backend", lambda *given: engines.append(given[0]) or chosen_backend(*given))
    pipeline = pipeline_in(tmp_path / "a", monkeypatch)
    defs = build_curation_defs("numbers", lambda: pipeline, executor=in_process_executor, **settings)
    with DagsterInstance.ephemeral() as instance:
        job = next(job for job in defs.jobs if "refresh" in job.name)
        assert defs.get_job_def(job.name).execute_in_process(instance=instance).success
    assert engines == [settings.get("backend", "process_pool")]
    found = tree("d.zarr")
    run_pipeline(pipeline_in(tmp_path / "b", monkeypatch), gather=True, progress=False)
    assert found == tree("d.zarr")
