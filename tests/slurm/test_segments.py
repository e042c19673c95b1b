"""Segments of several items, encoded by an array of their own."""

import json
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("zarr")
pytest.importorskip("ase")

from curator_core import run_pipeline
from curator_core.datasets import segment_tasks
from tests.datasets.kinds import SINKS, Contents, tree

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]


def arrays_so_far():
    command = ["squeue", "--noheader", "--states=all", "--format=%F"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.campaign
def test_an_array_encodes_the_segments(tmp_path, monkeypatch, slurm, resources):
    """The bytes are those of one process, and nothing of the array is left."""
    monkeypatch.setattr(segment_tasks, "LEAST_BYTES", 0)
    found, before = {}, arrays_so_far()
    for backend, options in {"slurm": {"cluster": slurm, "resources": resources}, "sequential": {}}.items():
        (tmp_path / backend).mkdir()
        monkeypatch.chdir(tmp_path / backend)
        Path("versions.json").write_text(json.dumps({f"k{n}": n for n in range(12)}))
        sink = SINKS["small meshes"]("d.zarr", items_per_segment=3)
        pipeline = Contents("small meshes").write(sink).with_settings(db_file="run.db", resume=True)
        run_pipeline(pipeline, n_jobs=2, backend=backend, gather=True, progress=False, **options)
        found[backend] = tree("d.zarr")
        assert not list(Path().glob("*segments*"))
    assert found["slurm"] == found["sequential"]
    assert len(arrays_so_far() - before) == 2
