"""Two writers of one output: the second is refused in words, before its first item."""

from __future__ import annotations

import json

import pytest

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.errors import ConfigError, StoreBusyError
from curator_core.session.session import Session
from curator_core.storage.atomic import temporary_sibling
from curator_core.testing import JsonSink, NumbersSource
from curator_core.testing.dummies import AddFilter, DatasetSink, StatisticsFilter


@pytest.fixture
def pipeline(tmp_path):
    """Makes pipelines with one output, of any configuration and database."""

    def make(amount, database, output="data.json"):
        sink = DatasetSink(str(tmp_path / output))
        return Pipeline(NumbersSource(3), [AddFilter(amount)], sink, db_file=tmp_path / database, resume=True)

    return make


def test_another_pipeline_over_loose_shards(pipeline, tmp_path):
    """Refused before an item is processed; after the first one is gathered, or its shards are gone, it may."""
    first, second = pipeline(0, "first.db"), pipeline(5, "second.db")
    run_pipeline(first, progress=False)
    for refused in (run_pipeline, gather_pipeline):
        with pytest.raises(ConfigError, match=r"another pipeline wrote .*first\.db"):
            refused(second) if refused is gather_pipeline and second.db_path.touch() is None else run_pipeline(second)
        second.db_path.unlink(missing_ok=True)
    gather_pipeline(first)
    assert [entry["values"] for entry in json.loads((tmp_path / "data.json").read_text())] == [[0], [1], [2]]
    assert {path.name for path in tmp_path.glob("*data*")} == {"data.json", "data.json.manifest.json"}
    run_pipeline(second, progress=False)
    for shard in tmp_path.glob("data_shard_*"):
        shard.unlink()
    run_pipeline(first, progress=False)


def test_a_claim_that_was_killed_half_way(pipeline, tmp_path):
    """What a writer that was killed left of its claim is gone once another writer holds the output."""
    left = temporary_sibling(tmp_path / "data_shards.claim")
    left.write_text('["data.json", ')
    run_pipeline(pipeline(0, "a.db"), progress=False)
    assert not left.exists()
    gather_pipeline(pipeline(0, "a.db"))
    assert {path.name for path in tmp_path.glob("*data*")} == {"data.json", "data.json.manifest.json"}


def test_an_output_that_was_put_aside(pipeline, tmp_path):
    """Killed where folders cannot be exchanged at once: the next run finds the output again, and has nothing to do."""
    run_pipeline(pipeline(0, "a.db"), progress=False, gather=True)
    (tmp_path / "data.json").rename(tmp_path / ".data.json.curator-old")
    assert run_pipeline(pipeline(0, "a.db"), progress=False) == [[str(tmp_path / "data.json")]] * 3
    assert {path.name for path in tmp_path.glob("*data*")} == {"data.json", "data.json.manifest.json"}


@pytest.mark.parametrize("content", ["[" * 100_000, "[1, 2, 3, 4]", "{}", "", "5"])
def test_a_claim_that_is_damaged(pipeline, tmp_path, content):
    """A claim that cannot be understood is none, however deep it is nested."""
    (tmp_path / "data_shards.claim").write_text(content)
    run_pipeline(pipeline(0, "a.db"), progress=False, gather=True)
    assert (tmp_path / "data.json").exists()


def test_who_may_go_on(pipeline):
    """The same configuration with a new database, another one in the same, and any whose former database is gone."""
    run_pipeline(pipeline(0, "a.db"), progress=False)
    run_pipeline(pipeline(0, "b.db"), progress=False)
    run_pipeline(pipeline(1, "b.db"), progress=False)
    pipeline(1, "b.db").db_path.unlink()
    run_pipeline(pipeline(2, "c.db"), progress=False)


def test_outputs_that_differ_in_their_suffix_alone(pipeline, tmp_path):
    """Their shards, or what is kept of their items, would have the same names: the second is refused."""
    run_pipeline(pipeline(0, "a.db"), progress=False)
    with pytest.raises(ConfigError, match="another pipeline wrote"):
        run_pipeline(pipeline(0, "a.db", "data.other"), progress=False)
    steps = [StatisticsFilter(str(tmp_path / "table.json"))]
    table = Pipeline(NumbersSource(3), steps, JsonSink(str(tmp_path / "o")), db_file=tmp_path / "t.db", resume=True)
    run_pipeline(table, progress=False)
    gather_pipeline(table)
    with pytest.raises(ConfigError, match=r"keeps the items of 'table\.json'"):
        run_pipeline(pipeline(0, "d.db", "table.set"), progress=False)
    assert set(table.plan().counts()) == {"up to date"}


def test_a_run_that_is_going_on(pipeline, monkeypatch):
    """Neither another run nor a gathering begins, and the message says who holds the output."""
    monkeypatch.setattr("curator_core.session.claims._WAIT_S", 0)
    first = pipeline(0, "a.db")
    run_pipeline(first, progress=False)
    with Session.open(first):
        for refused in (lambda: run_pipeline(pipeline(0, "b.db"), progress=False), lambda: gather_pipeline(first)):
            with pytest.raises(StoreBusyError, match=r"(data_shards\.lock|a\.db\.turn) is locked by curator"):
                refused()


def test_gathering_says_what_is_missing(pipeline, caplog):
    """An output that is put together without some items is told, with what it held before."""
    run_pipeline(pipeline(0, "a.db"), progress=False)
    gather_pipeline(pipeline(0, "a.db"))
    assert "items" not in caplog.text
    again = pipeline(0, "a.db").with_settings(resume=False)
    run_pipeline(again, progress=False, indices=[1])
    gather_pipeline(again)
    assert "from 1 of 3 items (it held 3 before); not processed, or failed: 000000, 000002" in caplog.text


def test_gathering_nothing_is_told(pipeline, tmp_path, caplog):
    """Where inputs are gone altogether, or nothing is complete, what was published stays, and that is said."""
    first = pipeline(0, "a.db")
    run_pipeline(first, progress=False, gather=True)
    before = (tmp_path / "data.json").read_bytes()
    assert "stays as it was" not in caplog.text
    first.source.n = 0
    run_pipeline(first, progress=False, gather=True)
    assert "data.json stays as it was, with the items of the last publication: the source lists no item" in caplog.text
    assert (tmp_path / "data.json").read_bytes() == before
