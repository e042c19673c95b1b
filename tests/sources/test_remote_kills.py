"""Runs that read objects and are killed at any moment: the next one ends in the exact results, and leaves no litter."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from benchmarks.object_server import BUCKET

TARGET = Path(__file__).with_name("reading_target.py")
N_OBJECTS, SIZE = 12, 300_000

pytestmark = pytest.mark.xdist_group("objects")


@pytest.fixture
def run(tmp_path, object_store_server):
    """Function that starts a run over the objects, as a process group of its own; and the checksums of the objects."""
    prefix, contents = f"kills-{uuid.uuid4().hex}", random.Random(1)
    digests = []
    for number in range(N_OBJECTS):
        content = contents.randbytes(SIZE)
        digests.append(hashlib.sha256(content).hexdigest())
        object_store_server.put(f"{prefix}/{number:02}.bin", content)
    variables = {"CURATOR_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(Path(__file__).parents[2])}

    def start(cache_size):
        command = [sys.executable, str(TARGET), f"s3://{BUCKET}/{prefix}", str(cache_size)]
        environment = os.environ | object_store_server.environment | variables
        return subprocess.Popen(command, env=environment, cwd=tmp_path, start_new_session=True, stderr=subprocess.PIPE)

    return start, digests


def _killed(process, after_s):
    time.sleep(after_s)  # the moment is random on purpose
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("n_kills", [1, pytest.param(12, marks=[pytest.mark.campaign, pytest.mark.timeout(600)])])
def test_killed_runs_end_in_the_exact_results(run, tmp_path, n_kills):
    """With a cache that holds a third of the objects: it keeps its limit, and no part of a file is left."""
    start, digests = run
    moments = random.Random(5)
    limit = N_OBJECTS * SIZE // 3
    for _ in range(n_kills):
        _killed(start(limit), moments.uniform(0.5, 2.0))
    process = start(limit)
    assert process.wait() == 0, process.stderr.read().decode()
    process.stderr.close()
    found = [json.loads(path.read_text()) for path in sorted((tmp_path / "out").glob("*.json"))]
    assert found == [[digest] for digest in digests]
    kept = list((tmp_path / "cache" / "downloads").rglob("*.bin*"))
    assert sum(path.stat().st_size for path in kept) <= limit
    assert {path.stat().st_size for path in kept if not path.name.startswith(".")} <= {SIZE}
