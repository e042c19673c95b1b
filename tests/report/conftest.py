"""Recorded runs, made up row by row."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from curator_core import IndexResult
from curator_core.records import StageMetrics
from curator_core.store import StoreWriter

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONFIG = {
    "source": {"component": "a:Numbers", "params": {}},
    "filters": [],
    "sink": {"component": "b:Files", "params": {}},
}


def result(index, at_s, wall_s=1.0, *, worker=0, **fields):
    """One processed item that ended `at_s` seconds after the start."""
    given = {
        "key": f"n{index:04d}",
        "status": "error" if fields.get("error") else "completed",
        "stages": (StageMetrics("Numbers", int(wall_s * 0.75e9)), StageMetrics("Files", int(wall_s * 0.25e9))),
        "wall_time_ns": int(wall_s * 1e9),
        "peak_memory_bytes": 2**20 * (100 + index % 10),
        "worker_id": uuid.UUID(int=worker + 1).hex,
        "worker_pid": 100 + worker,
        "worker_host": "node1",
        "completed_at": (START + timedelta(seconds=at_s)).isoformat(),
    }
    return IndexResult(index=index, **(given | fields))


@pytest.fixture
def record(tmp_path):
    """Write a database with one more run; returns its path."""

    def write(results, *, total=None, config=CONFIG, config_hash="ab" * 32):
        path = tmp_path / "run.db"
        rows = list(results)
        total = len(rows) if total is None else total
        text = json.dumps(config)
        with StoreWriter(path, config_hash=config_hash, config_json=text, resume=False, total_indices=total) as writer:
            for row in rows:
                writer.write(row)
        return path

    return write
