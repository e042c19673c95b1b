"""Databases in the cache folder: whose they are, which was last written, and what reading leaves beside them."""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.cli.database import Moment, count_since
from curator_core.pipeline.config import CONFIG_FORMAT
from curator_core.store import MetricsStore
from curator_core.store.inventory import remove_database
from curator_core.store.location import latest_database
from curator_core.testing import JsonSink, NumbersSource
from curator_core.testing.dummies import StatisticsFilter


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The user's own cache folder, not made yet."""
    monkeypatch.delenv("CURATOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "curator"


@pytest.fixture
def pipeline(tmp_path):
    """A pipeline with a plain output and a merged one."""
    steps = [StatisticsFilter(str(tmp_path / "table.json"))]
    return Pipeline(NumbersSource(3), steps, JsonSink(str(tmp_path / "out")))


def latest(pipeline):
    return latest_database(pipeline.config_hash, db_file=None, db_dir=None)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_own_cache_is_for_its_user_alone(cache, pipeline):
    """Databases hold log lines and tracebacks; a folder that the user opened stays open, with private files."""
    run_pipeline(pipeline, progress=False)
    assert (mode(cache), mode(pipeline.db_path)) == (0o700, 0o600)
    cache.chmod(0o755)
    run_pipeline(pipeline, progress=False)
    assert (mode(cache), mode(pipeline.db_path)) == (0o755, 0o600)


def test_a_folder_that_was_named_is_as_open_as_others(pipeline, tmp_path):
    """So that colleagues can look at it."""
    before = os.umask(0o022)
    try:
        run_pipeline(pipeline, db_dir=tmp_path / "shared", progress=False)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "shared"), mode(pipeline.db_path)) == (0o755, 0o644)


def test_the_last_one_by_order(cache, pipeline):
    """Which database was written last does not depend on clocks: another process gathers the last run's."""
    run_pipeline(pipeline, progress=False)
    first = pipeline.db_path
    os.utime(first, (4e9, 4e9))  # the clock was ahead
    run_pipeline(pipeline, indices=[0, 1], progress=False)
    assert latest(pipeline) == pipeline.db_path != first
    gather_pipeline(pipeline.with_settings())
    assert latest(pipeline) == pipeline.db_path
    remove_database(pipeline.db_path)
    assert latest(pipeline) == first
    assert not list(cache.glob("*.latest"))


def test_reading_leaves_nothing_beside(cache, pipeline):
    """The owner's queries take away what SQLite makes for them."""
    run_pipeline(pipeline, progress=False)
    names = {path.name for path in cache.iterdir()}
    content = pipeline.db_path.read_bytes()
    assert pipeline.summary()["completed"] == 3
    with MetricsStore(pipeline.db_path) as store, MetricsStore(pipeline.db_path) as other:
        assert store.runs() == other.runs()
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            store._db.execute("DELETE FROM logs")
    assert {path.name for path in cache.iterdir()} == names
    assert pipeline.db_path.read_bytes() == content


def test_a_database_of_a_former_format(cache, pipeline, caplog):
    """It has another name, since the hash is another one; it is told, once, and left."""
    run_pipeline(pipeline, progress=False)
    former = pipeline.db_path.rename(cache / "0123456789abcdef.db")
    with closing(sqlite3.connect(former)) as db, db:
        old = re.sub(r'"format":\d+', f'"format":{CONFIG_FORMAT - 1}', pipeline_config(former))
        db.execute("UPDATE pipeline_runs SET config_json = ?, config_hash = 'f'", (old,))
    resumed = pipeline.with_settings(resume=True)
    with caplog.at_level(logging.WARNING):
        assert resumed.with_settings(filters=[]).plan().counts() == {"new": 3}
        assert "development version" not in caplog.text
        for _ in range(2):
            assert resumed.plan().counts() == {"new": 3}
        run_pipeline(resumed, progress=False)
    (said,) = (record.getMessage() for record in caplog.records if "development version" in record.getMessage())
    assert str(former) in said
    assert former.exists()


def pipeline_config(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT config_json FROM pipeline_runs").fetchone()[0]


def test_what_was_recorded_since(pipeline, tmp_path):
    """Counted by order: results of a clock that was ahead are not those of the present run."""
    pipeline = pipeline.with_settings(db_file=tmp_path / "run.db", resume=True)
    before = Moment.of(Path(pipeline.db_path))
    run_pipeline(pipeline, indices=[0, 1], progress=False)
    with closing(sqlite3.connect(pipeline.db_path)) as db, db:
        db.execute("UPDATE index_results SET completed_at = '2999-01-01T00:00:00+00:00'")
    between = Moment.of(pipeline.db_path)
    run_pipeline(pipeline, progress=False)
    with closing(sqlite3.connect(pipeline.db_path)) as db, db:
        db.execute("UPDATE index_results SET completed_at = '2001-01-01T00:00:00+00:00' WHERE idx = 2")
    counts = [count_since(pipeline.db_path, pipeline.config_hash, since) for since in (None, before, between)]
    assert counts == [3, 3, 1]


@pytest.mark.parametrize(
    ("variables", "settings", "expected"),
    [
        ({"CURATOR_CACHE_DIR": "c", "XDG_CACHE_HOME": "x"}, {"db_dir": "d"}, "d"),
        ({"CURATOR_CACHE_DIR": "c", "XDG_CACHE_HOME": "x"}, {}, "c"),
        ({"XDG_CACHE_HOME": "/x"}, {}, "/x/curator"),
        ({"HOME": "h"}, {}, "h/.cache/curator"),
    ],
)
def test_place_of_the_database(monkeypatch, variables, settings, expected):
    """db_dir, then CURATOR_CACHE_DIR, then XDG_CACHE_HOME, then the home folder."""
    for name in ("CURATOR_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    pipeline = NumbersSource(1).write(JsonSink("out")).with_settings(resume=True, **settings)
    assert pipeline.db_path == Path(expected) / f"{pipeline.config_hash[:16]}.db"


def test_fresh_database_per_run(tmp_path):
    """Without resume every run has a database of its own, named by hash and time."""
    pipeline = NumbersSource(1).write(JsonSink(str(tmp_path / "out"))).with_settings(db_dir=tmp_path / "db")
    for _ in range(2):
        run_pipeline(pipeline, progress=False)
    names = [path.name for path in (tmp_path / "db").glob("*.db")]
    assert len(names) == 2
    assert all(name.startswith(f"{pipeline.config_hash[:16]}_") for name in names)


def test_nothing_without_tracking(tmp_path, monkeypatch):
    """``track_metrics=False`` creates no database."""
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(tmp_path / "cache"))
    pipeline = NumbersSource(2).write(JsonSink(str(tmp_path / "out"))).with_settings(track_metrics=False)
    run_pipeline(pipeline, progress=False)
    assert not (tmp_path / "cache").exists()
    assert pipeline.db_path is None
