"""A run's items as tables for other programs."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from curator_core.errors import MissingDependencyError, StoreCorruptError
from curator_core.records import IndexResult, StageMetrics
from curator_core.storage.atomic import published
from curator_core.store import (
    IndexMetrics,
    MetricsStore,
    PipelineMetrics,
    StoreWriter,
    export,
    export_file,
    export_rows,
    held,
    item_table,
    to_pandas,
)
from curator_core.store.columns import INDEX_RESULTS
from curator_core.store.connection import open_for_writing

LATER = [name for _, name, column in INDEX_RESULTS.exported if column.since > 5]
"""Nothing in the results here is measured for them."""
COLUMNS = [
    *("index", "key", "status", "error", "wall_time_ns", "0_src_ns", "1_f,x_ns", "2_sink_ns", "peak_memory_bytes"),
    *("gpu_memory_bytes", "output_paths", "fingerprint", "worker_id", "started_at", "completed_at"),
    *LATER,
]
FIRST = dict.fromkeys(LATER) | {
    "index": 0,
    "key": 'a,"b"\n.txt',
    "status": "completed",
    "error": None,
    "wall_time_ns": 6,
    "0_src_ns": 1,
    "1_f,x_ns": 2,
    "2_sink_ns": 3,
    "peak_memory_bytes": 2**40,
    "gpu_memory_bytes": None,
    "output_paths": ["out/ä, 1", "out/2"],
    "fingerprint": "5-7",
    "worker_id": "w",
    "started_at": "2026-01-01T00:00:00.000001+00:00",
    "completed_at": "2026-01-01T02:00:00+02:00",
}
FAILED = dict.fromkeys(COLUMNS) | {
    "index": 1,
    "key": "c.txt",
    "status": "error",
    "error": "ValueError: é",
    "wall_time_ns": 1,
    "0_src_ns": 1,
    "output_paths": [],
}


def stages(*times):
    return tuple(StageMetrics(name, t) for name, t in zip(("src", "f,x", "sink"), times, strict=False))


def open_writer(path):
    return StoreWriter(path, config_hash="c" * 64, config_json="{}", resume=True, total_indices=3)


@pytest.fixture
def path(tmp_path):
    """A database with a complete item, a failed one, and one that vanished."""
    path = tmp_path / "run.db"
    known = {name: FIRST[name] for name in ("peak_memory_bytes", "fingerprint", "worker_id", "started_at")}
    with open_writer(path) as results:
        results.write(IndexResult(2, "gone", "completed", stages=(StageMetrics("old", 1),)))
        results.reindex(["x"])
        results.write(
            IndexResult(
                *(0, FIRST["key"], "completed"),
                output_paths=tuple(FIRST["output_paths"]),
                stages=stages(1, 2, 3),
                wall_time_ns=6,
                completed_at=FIRST["completed_at"],
                **known,
            )
        )
        results.write(IndexResult(1, "c.txt", "error", error="ValueError: é", wall_time_ns=1, stages=stages(1)))
    return path


@pytest.fixture
def store(path):
    """That database."""
    with MetricsStore(path) as store:
        yield store


def test_rows_say_everything(store):
    """One row per item of the present listing, in order, with a column per stage."""
    assert [list(row) for row in export_rows(store, 1)] == [COLUMNS, COLUMNS]
    assert list(export_rows(store, 1)) == [FIRST, FAILED]


@pytest.mark.parametrize("value", ["'no list'", "'{}'", "'5'", "x'00'"])
def test_a_damaged_row_is_told(path, tmp_path, value):
    """Values of other kinds are damage, by file and column, in place of an error of some library."""
    with closing(open_for_writing(path)) as db, db:
        db.execute(f"UPDATE index_results SET output_paths = {value}")
    with MetricsStore(path) as store, pytest.raises(StoreCorruptError, match="stands where output_paths belong"):
        export_file(store, 1, tmp_path / "out.json", "json")


def test_json(store, tmp_path):
    """The JSON file is the rows, one a line."""
    export_file(store, 1, tmp_path / "x", "json")
    text = (tmp_path / "x").read_text()
    assert json.loads(text) == [FIRST, FAILED]
    assert len(text.splitlines()) == 4


def test_csv(store, tmp_path):
    """The CSV file survives commas, quotes and line ends in keys; lists are JSON, nothing is an empty cell."""
    export_file(store, 1, tmp_path / "x", "csv")
    with (tmp_path / "x").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [row["key"] for row in rows] == [FIRST["key"], "c.txt"]
    assert json.loads(rows[0]["output_paths"]) == FIRST["output_paths"]
    assert rows[1]["2_sink_ns"] == ""


def test_parquet(store, tmp_path):
    """The Parquet file has typed columns, times as instants."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    export_file(store, 1, tmp_path / "x", "parquet")
    table = pq.read_table(tmp_path / "x")
    times = {
        "started_at": datetime(2026, 1, 1, microsecond=1, tzinfo=UTC),
        "completed_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    assert table.to_pylist() == [FIRST | times, FAILED]
    assert table.schema.field("peak_memory_bytes").type == pa.int64()
    assert table.schema.field("gpu_memory_bytes").type == pa.int64()
    assert table.schema.field("error").type == pa.string()


def test_pandas(store):
    """The data frame has the same rows."""
    pytest.importorskip("pandas")
    frame = to_pandas(store, 1)
    assert list(frame.columns) == COLUMNS
    assert frame["key"].tolist() == [FIRST["key"], "c.txt"]
    assert frame["output_paths"][0] == FIRST["output_paths"]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_run_without_results(path, tmp_path, form):
    """A run in which nothing is done yet gives a valid file without rows."""
    if form == "parquet":
        pytest.importorskip("pyarrow")
    with StoreWriter(path, config_hash="c" * 64, config_json="{}", resume=False):
        pass
    with MetricsStore(path) as store:
        export_file(store, 2, tmp_path / f"x.{form}", form)
    if form == "parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(tmp_path / "x.parquet").num_rows == 0
    elif form == "json":
        assert json.loads((tmp_path / "x.json").read_text()) == []
    else:
        assert (tmp_path / "x.csv").read_text().startswith("index,key,")


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_every_row_once_in_any_chunks(path, monkeypatch, chunk):
    """However the rows are cut into chunks, each comes once, with its own stages."""
    monkeypatch.setattr(export, "_CHUNK", chunk)
    with open_writer(path) as results:
        for index in range(3, 12):
            results.write(IndexResult(index, f"k{index}", "completed", stages=stages(index, 0, 0)))
    with MetricsStore(path) as store:
        rows = list(export_rows(store, 1))
    assert [row["index"] for row in rows] == [0, 1, *range(3, 12)]
    assert [row["0_src_ns"] for row in rows] == [1, 1, *range(3, 12)]


def test_a_run_that_goes_on_does_not_show(path, store, monkeypatch):
    """Results and moves that a run commits meanwhile are not mixed into the table."""
    monkeypatch.setattr(export, "_CHUNK", 1)
    with open_writer(path) as results, item_table(store, 1) as table:
        rows = iter(table.rows)
        assert next(rows) == FIRST
        results.write(IndexResult(1, "new", "completed", stages=(StageMetrics("other", 1),)))
        results.reindex(["new", FIRST["key"]])
        results.flush()
        assert list(rows) == [FAILED]
    assert [row["key"] for row in export_rows(store, 1)] == ["new", FIRST["key"]]


def test_an_export_does_not_hold_up_a_run_on_a_network_file_system(path, tmp_path, monkeypatch):
    """With a rollback journal, where readers lock writers out, the run can commit between two chunks."""
    mounts = tmp_path / "mounts"
    mounts.write_text("24 1 0:1 / / rw - nfs server:/ rw\n")
    monkeypatch.setattr(held, "open_for_writing", partial(open_for_writing, mount_table=mounts))
    monkeypatch.setattr("curator_core.store.connection.BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setattr(export, "_CHUNK", 1)
    with open_writer(path) as results, MetricsStore(path) as store, item_table(store, 1) as table:
        rows = iter(table.rows)
        assert next(rows) == FIRST
        results.write(IndexResult(2, "late", "completed", stages=(StageMetrics("other", 1),)))
        results.flush()
        assert [row["key"] for row in rows] == ["c.txt", "late"]


@pytest.mark.campaign
def test_memory_does_not_grow_with_the_number_of_items(tmp_path):
    """Ten times the items need no more memory, in every format."""
    pytest.importorskip("pyarrow")
    code = """
import resource, sys
import pyarrow.parquet
from curator_core.store import MetricsStore, export, export_file, tabular
tabular._BATCH, tabular._ROW_GROUP, export._CHUNK = 100, 200, 100
with MetricsStore(sys.argv[1]) as store:
    for form in ("parquet", "csv", "json"):
        export_file(store, 1, sys.argv[1] + ".first", form)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        export_file(store, 2, sys.argv[1] + ".second", form)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    for n in (2_000, 20_000):
        with StoreWriter(tmp_path / "big.db", config_hash="c" * 64, config_json="{}", resume=False) as results:
            for index in range(n):
                results.write(IndexResult(index, f"{index}" * 20, "completed", stages=stages(1, 2, 3)))
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "big.db"], capture_output=True, text=True, check=True)
    assert all(int(grown) < 8 * 1024 for grown in done.stdout.split()), done.stdout  # KiB; as dicts it is 60 MiB


def test_a_failed_export_leaves_the_old_file(store, tmp_path):
    """A file that cannot be finished leaves what was there, and nothing else."""
    target = tmp_path / "out" / "x.csv"
    target.parent.mkdir()
    target.write_text("old")

    def fail():
        with published(target) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [(path.name, path.read_text()) for path in target.parent.iterdir()] == [("x.csv", "old")]


def test_missing_pyarrow_is_named(store, tmp_path, monkeypatch):
    """Without pyarrow the error names the extra to install, and no file appears."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"curator-dagster\[parquet\]"):
        export_file(store, 1, tmp_path / "new" / "x.parquet", "parquet")
    with pytest.raises(MissingDependencyError, match=r"curator-dagster\[parquet\]"):
        PipelineMetrics([]).to_parquet(tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


def test_missing_pandas_is_named(store, monkeypatch):
    """Without pandas the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"curator-dagster\[pandas\]"):
        to_pandas(store, 1)


def test_pipeline_metrics_in_every_format(tmp_path):
    """A pipeline's metrics are the same rows as Parquet, CSV, JSON and data frame."""
    pq = pytest.importorskip("pyarrow.parquet")
    metrics = PipelineMetrics(
        [
            IndexMetrics(0, list(stages(1, 2)), 3, 2**40, None),
            IndexMetrics(4, list(stages(5)), 5, None, 7),
        ]
    )
    expected = [
        {"index": 0, "wall_time_ns": 3, "peak_memory_bytes": 2**40, "gpu_memory_bytes": None}
        | {"0_src_ns": 1, "1_f,x_ns": 2},
        {"index": 4, "wall_time_ns": 5, "peak_memory_bytes": None, "gpu_memory_bytes": 7}
        | {"0_src_ns": 5, "1_f,x_ns": None},
    ]
    metrics.to_parquet(tmp_path / "m.parquet")
    metrics.to_csv(tmp_path / "m.csv")
    metrics.to_json(tmp_path / "m.json")
    assert pq.read_table(tmp_path / "m.parquet").to_pylist() == expected
    found = list(csv.DictReader(io.StringIO((tmp_path / "m.csv").read_text())))
    assert found == [{k: "" if v is None else str(v) for k, v in row.items()} for row in expected]
    assert json.loads((tmp_path / "m.json").read_text())["indices"][1]["wall_time_ns"] == 5
    assert metrics.to_pandas()["index"].tolist() == [0, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.csv", "m.json", "m.parquet"]


def test_two_exports_of_one_store_at_once(store):
    """Two tables of the same opened database may be read in turns."""
    one: Any = export_rows(store, 1)
    two: Any = export_rows(store, 1)
    with closing(one), closing(two):
        assert next(one) == next(two) == FIRST
        assert next(two) == next(one) == FAILED
