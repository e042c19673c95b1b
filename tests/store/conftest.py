"""Databases that tests of the store share."""

from __future__ import annotations

import pytest

from curator_core.records import Artifact, IndexResult, StageMetrics
from curator_core.store import MetricsStore, StoreWriter

CONFIG = "c" * 64


def at(second):
    """A moment of the run."""
    return f"2026-01-01T00:00:{second:02d}+00:00"


def item(index, key, *, status="completed", seconds=1, **more):
    """A result of a pipeline with one filter, which wrote a file and a part of `stats.json`."""
    stages = (StageMetrics("numbers", 10**8), StageMetrics("double", seconds * 10**9 - 10**8))
    is_done = status == "completed"
    return IndexResult(
        *(index, key, status),
        fingerprint=f"{key}-1",
        output_paths=(f"/out/{key}.json",) if is_done else (),
        written=(7,) if is_done else (),
        artifacts=(Artifact(f"/stats_shard_{index:06d}.json", "stats", 1, 8),) if is_done else (),
        stages=stages,
        wall_time_ns=seconds * 10**9,
        worker_id="w1",
        worker_pid=42,
        worker_host="host",
        started_at=at(index),
        completed_at=at(index + seconds),
        **more,
    )


RESULTS = [
    item(0, "a", seconds=2, peak_memory_bytes=100),
    item(1, "b", status="error", error="ValueError: bad", traceback="Traceback: b"),
    item(2, "c", seconds=3, peak_memory_bytes=300),
    item(3, "d", status="error", error="KeyError: 'x'"),
    item(4, "e", status="error", error="ValueError: worse"),
    item(5, "gone"),
]


@pytest.fixture
def recorded(tmp_path):
    """A database of a run of which one item vanished since, and c, now first, was written at position 2."""
    path = tmp_path / "recorded.db"
    with StoreWriter(path, config_hash=CONFIG, config_json="{}", resume=True, total_indices=5) as writer:
        for result in RESULTS:
            writer.write(result)
        writer.reindex(["c", "a", "b", "d", "e"])
    with MetricsStore(path) as store:
        yield store
