"""Publications that are killed, in folders and in buckets: an exact version each time, and nothing left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

pytest.importorskip("ase")
pytest.importorskip("zarr")

from benchmarks.object_server import BUCKET

SCRIPT = Path(__file__).with_name("publication_kills.py")
N_KILLS = int(os.environ.get("CURATOR_PUBLICATION_KILLS", "40"))
"""Of one campaign."""
KILLS = [
    pytest.param("atoms", 2, 1),
    pytest.param("mesh groups", 1, 1),
    *(pytest.param("atoms", N_KILLS // 2, seed, marks=pytest.mark.campaign) for seed in (2, 3)),
    pytest.param("mesh groups", N_KILLS // 2, 2, marks=pytest.mark.campaign),
    pytest.param("ragged meshes", N_KILLS // 2, 3, marks=pytest.mark.campaign),
]


def killed(place, n_kills, seed, kind, folder, **environment):
    """How often the former version was found, and the new one."""
    if "mesh" in kind:
        pytest.importorskip("pyvista")
    environment |= {"PYTHONPATH": str(SCRIPT.parents[2]), "CURATOR_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, str(SCRIPT), place, str(n_kills), str(seed), kind]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-5000:]
    found = json.loads(done.stdout)
    assert sum(found.values()) == n_kills


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("kind", "n_kills", "seed"), KILLS)
def test_publications_to_a_folder(tmp_path, kind, n_kills, seed):
    """The bytes are those of a build from scratch, too."""
    (tmp_path / "out").mkdir()
    killed("out/data.zarr", n_kills, seed, kind, tmp_path)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
@pytest.mark.xdist_group("objects")
@pytest.mark.parametrize("kind", ["atoms", "mesh groups", "tables"])
def test_publications_to_a_bucket(tmp_path, object_store_server, kind):
    """Objects of a publication that died are collected by the next one."""
    url = f"s3://{BUCKET}/{uuid.uuid4().hex}/data.{'delta' if kind == 'tables' else 'icechunk'}"
    environment = {**object_store_server.environment, "CURATOR_WORK_DIR": str(tmp_path / "work")}
    killed(url, N_KILLS // 4, 2, kind, tmp_path, **environment)  # each takes seconds
