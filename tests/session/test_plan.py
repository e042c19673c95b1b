"""What would run, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator_core import gather_pipeline, run_pipeline
from curator_core.testing import DatasetSink, FaultySource, FileSource, JsonSink, StatisticsFilter, invocations


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in "abc":
        Path(f"in/{name}.txt").write_text(f"{ord(name)}")
    return tmp_path


def build(sink="dataset", *, faults=None, by_content=False, stats="out/stats.json"):
    end = DatasetSink("out/data.json") if sink == "dataset" else JsonSink("out")
    source = FaultySource(FileSource("in", by_content=by_content), "log", faults)
    return source.filter(StatisticsFilter(stats)).write(end).with_settings(db_file="run.db", resume=True)


def reasons(pipeline):
    return [item.reason for item in pipeline.plan().items]


def test_new(work):
    """Before the first run everything is new, and planning creates nothing."""
    assert reasons(build()) == ["new"] * 3
    assert not Path("run.db").exists()


def test_up_to_date(work):
    """After a run nothing is due."""
    run_pipeline(build(), progress=False)
    assert build().plan().due == []


def test_failed(work):
    """A failed item is due, with its error."""
    run_pipeline(build(faults={"b.txt": ["fail"]}), progress=False, on_error="skip")
    item = build(faults={"b.txt": ["fail"]}).plan().items[1]
    assert (item.reason, item.is_due) == ("failed", True)
    assert "planned failure of b.txt" in item.detail


def test_changed(work):
    """A changed item tells the old and the new fingerprint."""
    run_pipeline(build(by_content=True), progress=False)
    Path("in/b.txt").write_text("5")
    item = build(by_content=True).plan().items[1]
    assert item.reason == "changed"
    assert item.recorded_fingerprint != item.fingerprint
    assert item.detail == f"{item.recorded_fingerprint} → {item.fingerprint}"


def test_moved(work):
    """A renamed file is recognised by its fingerprint."""
    run_pipeline(build(), progress=False)
    Path("in/c.txt").rename("in/d.txt")
    plan = build().plan()
    assert [(item.reason, item.detail) for item in plan.items][2] == ("moved", "was c.txt")
    assert plan.vanished == ["c.txt"]


@pytest.mark.parametrize("sink", ["dataset", "files"])
def test_deleted_output(work, sink):
    """An item whose own output was deleted is due, with the path."""
    run_pipeline(build(sink), progress=False)
    path = build(sink).output_paths_for_index(1)[0]
    Path(path).unlink()
    item = build(sink).plan().items[1]
    assert (item.reason, item.detail) == ("outputs missing", path)
    assert reasons(build(sink)).count("up to date") == 2


def test_deleted_filter_shard(work):
    """An item whose shard of a filter was deleted before it was merged is due."""
    run_pipeline(build(), progress=False)
    Path("out/stats_shard_000002.json").unlink()
    assert reasons(build()) == ["up to date", "up to date", "outputs missing"]


@pytest.mark.parametrize("name", ["data.json", "stats.json", "stats_shards.db"])
def test_deleted_merged_output(work, name):
    """Without the merged output, or the archive that retains its items, all items are due again."""
    run_pipeline(build(), progress=False)
    gather_pipeline(build())
    before = {p.name: p.read_bytes() for p in Path("out").iterdir() if p.suffix == ".json"}
    Path("out", name).unlink()
    assert reasons(build()) == ["outputs missing"] * 3
    run_pipeline(build(), progress=False)
    gather_pipeline(build())
    assert {p.name: p.read_bytes() for p in Path("out").iterdir() if p.suffix == ".json"} == before


def test_config_changed(work):
    """The same database with another configuration: known items are due because of it, unknown ones are new."""
    run_pipeline(build(), progress=False)
    Path("in/d.txt").write_text("4")
    assert reasons(build(stats="out/other.json")) == ["config changed"] * 3 + ["new"]


@pytest.mark.parametrize("gathers", [True, False])
def test_file_added_in_the_middle_is_processed_alone(work, gathers):
    """A new file in the middle of a sorted listing is the only one that is read."""
    run_pipeline(build(), progress=False)
    if gathers:
        gather_pipeline(build())
    Path("in/a1.txt").write_text("1")
    assert reasons(build()) == ["up to date", "new", "up to date", "up to date"]
    found = run_pipeline(build(), progress=False)
    assert invocations("log") == {"a.txt": 1, "a1.txt": 1, "b.txt": 1, "c.txt": 1}
    assert all(found)


def test_completed_paths_are_returned(work):
    """A run with nothing to do returns the recorded paths."""
    first = run_pipeline(build("files"), progress=False)
    assert run_pipeline(build("files"), progress=False) == first
    assert set(invocations("log").values()) == {1}


def test_without_resume_everything_runs(work):
    """Without resume each run starts afresh, and the plan says so."""
    pipeline = build("files").with_settings(resume=False)
    run_pipeline(pipeline, progress=False)
    assert reasons(pipeline) == ["new"] * 3
    run_pipeline(pipeline, progress=False)
    assert set(invocations("log").values()) == {2}


def test_resume_of_the_call_beats_the_pipeline(work):
    """``resume=`` of run_pipeline decides."""
    pipeline = build("files")
    run_pipeline(pipeline, progress=False)
    run_pipeline(pipeline, progress=False, resume=False)
    assert set(invocations("log").values()) == {2}
