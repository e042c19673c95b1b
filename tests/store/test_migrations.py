"""Databases of older schema versions."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from curator_core import run_pipeline
from curator_core.storage.locks import exclusive_lock
from curator_core.store import MetricsStore
from curator_core.store.columns import SCHEMA_VERSION, TABLES
from curator_core.store.connection import open_for_reading, open_for_writing, transaction
from curator_core.store.migrations import MIGRATIONS
from curator_core.testing import JsonSink, NumbersSource, StatisticsFilter

VERSION_1 = """
CREATE TABLE pipeline_runs (
    run_id        INTEGER PRIMARY KEY,
    config_hash   TEXT NOT NULL,
    config_json   TEXT NOT NULL,
    started_at    TEXT NOT NULL,
    run_dir       TEXT,
    total_indices INTEGER NOT NULL
);
CREATE TABLE index_results (
    idx               INTEGER NOT NULL,
    run_id            INTEGER NOT NULL REFERENCES pipeline_runs (run_id),
    status            TEXT NOT NULL CHECK (status IN ('completed', 'error')),
    output_paths      TEXT NOT NULL,
    completed_at      TEXT,
    wall_time_ns      INTEGER NOT NULL,
    peak_memory_bytes INTEGER,
    gpu_memory_bytes  INTEGER,
    error             TEXT,
    worker_id         TEXT,
    item_key          TEXT NOT NULL,
    fingerprint       TEXT,
    traceback         TEXT,
    written_idx       INTEGER NOT NULL,
    PRIMARY KEY (run_id, idx)
) WITHOUT ROWID;
CREATE TABLE stage_metrics (
    idx          INTEGER NOT NULL,
    run_id       INTEGER NOT NULL,
    stage_order  INTEGER NOT NULL,
    stage_name   TEXT NOT NULL,
    wall_time_ns INTEGER NOT NULL,
    PRIMARY KEY (run_id, idx, stage_order)
) WITHOUT ROWID;
CREATE TABLE workers (
    worker_id       TEXT PRIMARY KEY,
    run_id          INTEGER NOT NULL,
    pid             INTEGER NOT NULL,
    hostname        TEXT NOT NULL,
    started_at      TEXT NOT NULL,
    last_heartbeat  TEXT NOT NULL,
    current_index   INTEGER,
    completed_count INTEGER NOT NULL DEFAULT 0,
    invocation_id   TEXT
);
CREATE TABLE output_files (
    path   TEXT NOT NULL,
    idx    INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (run_id, idx, seq)
) WITHOUT ROWID;
CREATE TABLE filter_artifacts (
    path         TEXT NOT NULL,
    idx          INTEGER NOT NULL,
    run_id       INTEGER NOT NULL,
    filter_name  TEXT NOT NULL,
    filter_order INTEGER NOT NULL,
    PRIMARY KEY (run_id, idx, filter_order, path)
) WITHOUT ROWID;
CREATE TABLE logs (
    id          INTEGER PRIMARY KEY,
    run_id      INTEGER NOT NULL,
    timestamp   TEXT NOT NULL,
    level       INTEGER NOT NULL,
    level_name  TEXT NOT NULL,
    logger_name TEXT NOT NULL,
    message     TEXT NOT NULL,
    worker_id   TEXT,
    idx         INTEGER
);
PRAGMA application_id=1129665089;
PRAGMA user_version=1;
"""
KEYS_FIRST = 5
NAMES = [table.name for table in TABLES]
AT = "2026-01-01T00:00:00+00:00"


@pytest.fixture
def pipeline(tmp_path):
    """Three numbers, recorded in a database that is not there yet."""
    sink = JsonSink(str(tmp_path / "out"))
    return NumbersSource(3).write(sink).with_settings(db_file=tmp_path / "old.db", resume=True)


@pytest.fixture
def old(pipeline, tmp_path):
    """A version-1 database of that pipeline: index 0 complete, index 1 failed, each table with rows."""
    run_pipeline(pipeline, indices=[0], progress=False)
    with MetricsStore(pipeline.db_file) as store:
        (run,) = store.runs()
    (output,) = (tmp_path / "out").iterdir()
    Path(pipeline.db_file).unlink()
    with closing(sqlite3.connect(pipeline.db_file)) as db, db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(VERSION_1)
        db.execute("INSERT INTO pipeline_runs VALUES (1, ?, ?, ?, '/here', 3)", (run.config_hash, run.config_json, AT))
        done = (f'["{output}"]', AT, 7, 8, None, None, "w1", "000000", None, None, 0)
        db.execute("INSERT INTO index_results VALUES (0, 1, 'completed', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", done)
        bad = ("[]", AT, 9, 8, None, "ValueError: bad", "w1", "000001", None, "Traceback", 1)
        db.execute("INSERT INTO index_results VALUES (1, 1, 'error', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", bad)
        db.execute("INSERT INTO stage_metrics VALUES (0, 1, 0, 'numbers', 7)")
        db.execute("INSERT INTO workers VALUES ('w1', 1, 42, 'host', ?, ?, NULL, 2, 'i1')", (AT, AT))
        db.execute("INSERT INTO output_files VALUES (?, 0, 1, 0)", (str(output),))
        db.execute("INSERT INTO filter_artifacts VALUES ('/gone.txt', 1, 1, 'f', 1)")
        db.execute("INSERT INTO logs VALUES (1, 1, ?, 30, 'WARNING', 'x', 'hello', 'w1', 1)", (AT,))
    return Path(pipeline.db_file)


def content(path):
    """Rows of every table by the columns that version 1 has."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(VERSION_1)
        columns = {t: ", ".join(row[1] for row in db.execute(f"PRAGMA table_info({t})")) for t in NAMES}
    with closing(sqlite3.connect(path)) as db:
        return {t: db.execute(f"SELECT {columns[t]} FROM {t}").fetchall() for t in NAMES}


def shape(path):
    """Version, and columns with their types, of every table."""
    with closing(sqlite3.connect(path)) as db:
        columns = {t: [row[1:] for row in db.execute(f"PRAGMA table_info({t})")] for t in NAMES}
        return db.execute("PRAGMA user_version").fetchone()[0], columns


def test_migrated_is_as_new(old, tmp_path):
    """An old database opened for writing ends with the very columns of a new one, all its rows kept."""
    before = content(old)
    open_for_writing(old).close()
    open_for_writing(tmp_path / "new.db").close()
    assert shape(old) == shape(tmp_path / "new.db")
    assert content(old) == before


def with_all_rows(path):
    """Give every table of a database a row of each kind: complete, failed, vanished, of another run."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("INSERT INTO pipeline_runs VALUES (2, 'h', '{}', 'now', '/', 1)")
        for run_id, idx in ((1, 2), (1, -1), (2, 0)):
            result = (idx, run_id, "completed", '["/o"]', 5, f"key{idx}", idx)
            columns = "(idx, run_id, status, output_paths, wall_time_ns, item_key, written_idx)"
            db.execute(f"INSERT INTO index_results {columns} VALUES (?, ?, ?, ?, ?, ?, ?)", result)
            for order in range(2):
                values = (idx, run_id, order)
                db.execute("INSERT INTO output_files (path, idx, run_id, seq) VALUES ('/o', ?, ?, ?)", values)
                db.execute("INSERT INTO stage_metrics VALUES (?, ?, ?, 'stage', 5)", values)
                db.execute(
                    "INSERT INTO filter_artifacts (path, idx, run_id, filter_order, filter_name)"
                    " VALUES ('/a', ?, ?, ?, 'f')",
                    values,
                )


def ordered(rows_by_table):
    return {table: sorted(rows, key=repr) for table, rows in rows_by_table.items()}


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION))
def test_from_every_older_version(version, old, tmp_path):
    """From whichever version, every row is kept, SQLite finds nothing wrong, and the columns are those of a new one."""
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        for step in MIGRATIONS:
            if step.version <= version:
                with transaction(db):
                    step.apply(db)
    with_all_rows(old)
    before = content(old)
    with closing(open_for_writing(old)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    assert ordered(content(old)) == ordered(before)
    open_for_writing(tmp_path / "new.db").close()
    assert shape(old) == shape(tmp_path / "new.db")


def test_key_columns_come_first(tmp_path):
    """In every table without rowids the columns of the key come first, in its order, and so no SQLite complains."""
    with closing(open_for_writing(tmp_path / "new.db")) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%WITHOUT ROWID%'")
        names = [name for (name,) in tables.fetchall()]
        assert len(names) == 4
        for name in names:
            positions = [row[5] for row in db.execute(f"PRAGMA table_info({name})")]
            n_keys = max(positions)
            assert positions == [*range(1, n_keys + 1), *[0] * (len(positions) - n_keys)], name


def test_a_run_leaves_a_database_that_sqlite_finds_sound(tmp_path):
    """After a run with outputs, stages and artifacts `PRAGMA integrity_check` has nothing to say."""
    pipeline = (
        NumbersSource(3).filter(StatisticsFilter(str(tmp_path / "s.json"))).write(JsonSink(str(tmp_path / "out")))
    )
    run_pipeline(pipeline.with_settings(db_file=tmp_path / "run.db"), progress=False)
    with closing(sqlite3.connect(tmp_path / "run.db")) as db:
        assert db.execute("SELECT count(*) FROM output_files, filter_artifacts").fetchone() == (9,)
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_steps_lead_to_the_present_version():
    """The steps are numbered without a gap, up to the present version."""
    assert [step.version for step in MIGRATIONS] == list(range(2, SCHEMA_VERSION + 1))


def test_resume_goes_on_from_an_old_database(old, pipeline):
    """What an old database says is complete is skipped, what it says failed is done; the old rows stay."""
    before = content(old)
    output = Path(before["output_files"][0][0])
    written = output.stat().st_mtime_ns
    assert [item.reason for item in pipeline.plan().items] == ["up to date", "failed", "new"]
    run_pipeline(pipeline, progress=False)
    assert output.stat().st_mtime_ns == written
    after = content(old)
    assert after["index_results"][0] == before["index_results"][0]
    assert [row[2] for row in after["index_results"]] == ["completed"] * 3
    assert after["pipeline_runs"] == before["pipeline_runs"]
    assert before["workers"][0] in after["workers"]
    assert before["logs"][0] in after["logs"]


def test_time_of_beginning_is_recorded(old, pipeline):
    """A migrated database takes the new column of new results, and NULL stands for the old."""
    run_pipeline(pipeline, progress=False)
    with closing(sqlite3.connect(old)) as db:
        rows = db.execute("SELECT started_at, completed_at FROM index_results ORDER BY idx").fetchall()
    assert rows[0] == (None, AT)
    assert all(AT < begun <= ended for begun, ended in rows[1:])


def test_reading_an_old_database_leaves_it_as_it_is(old):
    """A reader is answered, finds NULL in the columns that are not there, and migrates nothing."""
    before = old.read_bytes()
    with MetricsStore(old) as store:
        assert {key: r.status for key, r in store.items(1).items()} == {"000000": "completed", "000001": "error"}
        assert store.workers(1)[0]["completed_count"] == 2
        assert store.workers(1)[0]["current_since"] is None
        assert [result.started_at for result in store.results(1)] == [None, None]
    with closing(open_for_reading(old)) as db:
        assert db.execute("SELECT idx, started_at FROM index_results").fetchall() == [(0, None), (1, None)]
        assert db.execute("SELECT pid, current_since FROM workers").fetchall() == [(42, None)]
    assert old.read_bytes() == before
    assert shape(old)[0] == 1


def test_reading_while_an_old_curator_writes(old):
    """A reader of this version disturbs no coordinator of the version before: its statements go on working."""
    insert = "INSERT INTO workers VALUES (?, 1, 42, 'host', 'now', 'now', NULL, 0, 'i1')"
    with closing(sqlite3.connect(old)) as coordinator, exclusive_lock(f"{old}.lock", timeout_s=0, holder="old"):
        with MetricsStore(old) as store, coordinator:
            coordinator.execute(insert, ("w2",))
            assert len(store.workers(1)) == 1
        with MetricsStore(old) as store, coordinator:
            assert len(store.workers(1)) == 2
            coordinator.execute(insert, ("w3",))


KILLED_AT = """
import os, signal, sqlite3, sys
from curator_core.store import connection

class Counted(sqlite3.Connection):
    left = int(sys.argv[2])
    def execute(self, *words):
        done = super().execute(*words)
        Counted.left -= 1
        if Counted.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

real = sqlite3.connect
opening = connection.sqlite3
class Module:
    def __getattr__(self, name):
        return getattr(opening, name)
    @staticmethod
    def connect(*words, **options):
        return real(*words, **options, factory=Counted)
connection.sqlite3 = Module()
connection.open_for_writing(sys.argv[1]).close()
"""


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.campaign)])
def test_killed_while_migrating(old, tmp_path, step):
    """Killed after any statement of the migration, the database is of the old version or the new, and whole."""
    before, seen, statement = content(old), [], 1 - step
    while True:
        statement += step
        copy = tmp_path / f"killed{statement}.db"
        shutil.copy(old, copy)
        done = subprocess.run([sys.executable, "-c", KILLED_AT, copy, str(statement)], check=False)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        version, columns = shape(copy)
        seen.append(version)
        for table in TABLES:
            assert {column[0] for column in columns[table.name]} == {
                c.name for c in table.columns if c.since <= version
            }
        assert columns["output_files"][0][0] == ("run_id" if version >= KEYS_FIRST else "path")
        assert content(copy) == before
        open_for_writing(copy).close()
        assert shape(copy)[0] == SCHEMA_VERSION
    assert seen == sorted(seen)
    assert seen.count(1) > 8 // step
    assert step > 1 or set(seen) == set(range(1, SCHEMA_VERSION + 1))


OPENED = """
import sys
from curator_core.store.connection import open_for_writing

print("ready", flush=True)
sys.stdin.readline()
open_for_writing(sys.argv[1]).close()
"""


def test_two_processes_migrate_at_once(old):
    """Processes that open an old database at the same moment all succeed, and the steps are taken once."""
    before = content(old)
    command = [sys.executable, "-c", OPENED, str(old)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(4)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert shape(old)[0] == SCHEMA_VERSION
    assert content(old) == before


NOBODY = 65534


AS_NOBODY = f"""
import os, sys
from pathlib import Path
from curator_core.errors import StoreError
from curator_core.store import MetricsStore
from curator_core.store.connection import open_for_reading, open_for_writing

Path("/").as_uri()  # loads what another user may have no right to load
if os.geteuid() == 0:
    os.setuid({NOBODY})
try:
    if sys.argv[1] == "read":
        with MetricsStore(sys.argv[2]) as store:
            print(*store.items(1))
    else:
        open_for_writing(sys.argv[2])
except StoreError as exc:
    print(exc)
"""


@pytest.fixture
def not_ours(old):
    """The old database in a folder that everybody may read and nobody write; a function that has another open it."""
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which is the owner's alone
    path = Path(shutil.copy(old, folder))
    path.chmod(0o444)
    folder.chmod(0o555)

    def said(how):
        command = [sys.executable, "-c", AS_NOBODY, how, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    yield path, said
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_reading_in_a_folder_of_somebody_else(not_ours):
    """Who may read the file but write neither it nor its folder is answered all the same."""
    _, said = not_ours
    assert said("read") == "000000 000001"


def test_migration_that_is_not_allowed_says_what_to_do(not_ours):
    """Opened for writing without the right to, the error names the file and what to do; nothing is changed."""
    path, said = not_ours
    before = path.read_bytes()
    told = said("write")
    assert told.startswith(f"{path} cannot be opened")
    assert "name another place with db_file or db_dir" in told
    assert path.read_bytes() == before
