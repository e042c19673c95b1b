"""The seven tables, read by other programs with nothing but SQLite and the reference's columns."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sqlite3
import threading
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from curator_core import Filter, run_pipeline
from curator_core.testing import FileSource, JsonSink

UUID4_HEX = re.compile(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")


class Noting(Filter):
    """Notes every item in a file and in the log; the last one waits for a signal."""

    name = "noting"

    def __init__(self, folder: str):
        self._folder = Path(folder)
        self._written = []
        self.reached, self.released = threading.Event(), threading.Event()

    def __call__(self, items):
        for item in items:
            logging.getLogger("lab").warning("saw %d", item)
            path = self._folder / f"note_{item}.txt"
            path.write_text("noted")
            self._written.append(str(path))
            if item == 13:
                self.reached.set()
                self.released.wait(60)
            yield item

    def artifacts(self):
        written, self._written = self._written, []
        return written


@pytest.fixture
def running(tmp_path):
    """A run whose items a.txt and c.txt are complete, b.txt failed, and d.txt is being processed."""
    for name, text in [("a", "10"), ("b", "eleven"), ("c", "12"), ("d", "13")]:
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "notes").mkdir()
    noting = Noting(str(tmp_path / "notes"))
    pipeline = FileSource(str(tmp_path)).filter(noting).write(JsonSink(str(tmp_path / "out")))
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db")
    run = threading.Thread(target=run_pipeline, args=(pipeline,), kwargs={"progress": False, "on_error": "skip"})
    run.start()
    assert noting.reached.wait(30)
    with closing(sqlite3.connect(f"file:{pipeline.db_file}?mode=ro", uri=True)) as db:
        while db.execute("SELECT count(*) FROM index_results").fetchone() != (3,):
            time.sleep(0.005)
        yield pipeline, db
        noting.released.set()
        run.join()
        assert db.execute("SELECT count(*) FROM index_results").fetchone() == (4,)


def test_every_table_while_a_run_writes(running, tmp_path):
    """Each table gives right values by exactly the columns of the reference, read-only, in the middle of a run."""
    pipeline, db = running

    def rows(columns, table, order):
        return db.execute(f"SELECT {columns} FROM {table} ORDER BY {order}").fetchall()

    ((run_id, digest, config, started, run_dir, total),) = rows(
        "run_id, config_hash, config_json, started_at, run_dir, total_indices", "pipeline_runs", "run_id"
    )
    assert (run_id, digest, json.loads(config), run_dir, total) == (
        *(1, pipeline.config_hash, pipeline.config, str(Path.cwd()), 4),
    )
    assert datetime.fromisoformat(started).tzinfo is not None

    results = rows(
        "idx, run_id, status, output_paths, completed_at, wall_time_ns, peak_memory_bytes, gpu_memory_bytes, error,"
        " worker_id, item_key, fingerprint",
        *("index_results", "idx"),
    )
    outputs = [str(tmp_path / "out" / f"item_00000{index}.json") for index in range(3)]
    assert [(r[0], r[1], r[2], json.loads(r[3])) for r in results] == [
        *((0, 1, "completed", [outputs[0]]), (1, 1, "error", []), (2, 1, "completed", [outputs[2]])),
    ]
    assert all(started <= r[4] for r in results)
    assert all(r[5] > 0 and r[6] > 2**20 and r[7] is None for r in results)
    assert [r[8] and r[8].partition(":")[0] for r in results] == [None, "ValueError", None]
    (worker,) = {r[9] for r in results}
    assert UUID4_HEX.fullmatch(worker)
    assert [(r[10], r[11]) for r in results] == [
        (key, pipeline.source.fingerprint(index)) for index, key in enumerate(["a.txt", "b.txt", "c.txt"])
    ]

    stages = rows("idx, run_id, stage_order, stage_name, wall_time_ns", "stage_metrics", "idx, stage_order")
    assert [s[1:4] for s in stages if s[0] == 2] == [
        *((1, 0, "FileSource"), (1, 1, "noting"), (1, 2, "JsonSink")),
    ]
    assert [sum(s[4] for s in stages if s[0] == index) for index in (0, 2)] == [results[0][5], results[2][5]]

    ((*who, begun, heard, index, n_done, invocation),) = rows(
        "worker_id, run_id, pid, hostname, started_at, last_heartbeat, current_index, completed_count, invocation_id",
        *("workers", "worker_id"),
    )
    assert who == [worker, 1, os.getpid(), socket.gethostname()]
    assert started <= begun <= heard
    assert index in (None, 3)
    assert n_done == 3
    assert UUID4_HEX.fullmatch(invocation)

    assert rows("path, idx, run_id, seq", "output_files", "idx") == [(outputs[0], 0, 1, 0), (outputs[2], 2, 1, 0)]
    assert rows("path, idx, run_id, filter_name, filter_order", "filter_artifacts", "idx") == [
        (str(tmp_path / "notes" / "note_10.txt"), 0, 1, "noting", 1),
        (str(tmp_path / "notes" / "note_12.txt"), 2, 1, "noting", 1),
    ]
    logs = rows("id, run_id, timestamp, level, level_name, logger_name, message, worker_id, idx", *("logs", "id"))
    assert [(line[1], *line[3:]) for line in logs] == [
        (1, 30, "WARNING", "lab", "saw 10", worker, 0),
        (1, 30, "WARNING", "lab", "saw 12", worker, 2),
    ]
    assert all(started <= line[2] for line in logs)
