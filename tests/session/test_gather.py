"""However a dataset came about, gathering gives the bytes of a run from scratch."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator_core import gather_pipeline, run_pipeline
from curator_core.errors import ConfigError, MergeError
from curator_core.session import compaction
from curator_core.store import MetricsStore
from curator_core.testing import DatasetSink, FileSource, JsonSink, StatisticsFilter

NAMES = st.sampled_from("abcde")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, st.integers(0, 3)),
        st.tuples(st.just("break"), NAMES),
        st.tuples(st.just("remove"), NAMES),
        st.tuples(st.just("run"), st.lists(st.integers(0, 4), unique=True), st.just(1)),
        st.tuples(st.just("item"), st.integers(0, 4)),
        st.tuples(st.just("gather"), st.booleans()),
    ),
    max_size=14,
)


def build(sink):
    end = DatasetSink("out/data.json") if sink == "dataset" else JsonSink("out")
    steps = FileSource("in", by_content=True).filter(StatisticsFilter("out/stats.json")).write(end)
    return steps.with_settings(db_file="run.db", resume=True, track_memory=False)


def apply(step, sink):
    match step:
        case "write", name, value:
            Path(f"in/{name}.txt").write_text(f"{value} {ord(name)}")
        case "break", name:
            Path(f"in/{name}.txt").write_text("no number")
        case "remove", name:
            Path(f"in/{name}.txt").unlink(missing_ok=True)
        case "run", indices, n_jobs:
            pipeline = build(sink)
            chosen = [i for i in indices if i < len(pipeline)]
            run_pipeline(pipeline, indices=chosen, n_jobs=n_jobs, on_error="skip", progress=False)
        case "item", index:
            pipeline = build(sink)
            if index < len(pipeline):
                with contextlib.suppress(ValueError):
                    pipeline[index]
        case "gather", keep:
            with contextlib.suppress(MergeError):  # files were removed from under it
                gather_pipeline(build(sink), keep_shards=keep)


def finish(sink):
    pipeline = build(sink)
    run_pipeline(pipeline, on_error="skip", progress=False)
    gather_pipeline(pipeline)
    return pipeline


@contextlib.contextmanager
def fresh_folder():
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("in").mkdir()
        yield Path(folder)


def merged():
    return {name: Path("out", name).read_bytes() for name in ("stats.json", "data.json") if Path("out", name).exists()}


@pytest.fixture
def few_loose(monkeypatch):
    """Function that limits how many shards may stay loose."""
    return lambda limit: monkeypatch.setattr(compaction, "MAX_LOOSE", limit)


@given(steps=STEPS, sink=st.sampled_from(["dataset", "files"]), max_loose=st.sampled_from([0, 1, 2, 3, 500]))
@settings(max_examples=20)
def test_any_history_gives_the_bytes_of_a_run_from_scratch(few_loose, steps, sink, max_loose):
    """Adding, changing, breaking, removing, partial runs and gathers in any order end in the same outputs."""
    few_loose(max_loose)
    check_history(steps, sink)


@st.composite
def two_runs(draw):
    """Some files, two runs that share the indices in any order, a change between them."""
    values = draw(st.lists(st.integers(0, 3), min_size=4, max_size=8))
    order, cut = draw(st.permutations(range(len(values) + 1))), draw(st.integers(0, len(values)))
    change = draw(STEPS.map(lambda steps: [step for step in steps if step[0] != "run"][:2]))
    first, second = (("run", part, draw(st.sampled_from([1, 2]))) for part in (order[:cut], order[cut:]))
    return [*(("write", name, value) for name, value in zip("abcdeghi", values, strict=False)), first, *change, second]


@given(steps=two_runs(), max_loose=st.sampled_from([1, 2]))
@settings(max_examples=6)
def test_any_split_into_runs_on_any_backend(few_loose, steps, max_loose):
    """Two runs of any indices in any order, in one process or several, and changes between them: the same outputs."""
    few_loose(max_loose)
    check_history(steps, "dataset")


def check_history(steps, sink):
    """Do the steps, finish, and compare with the same inputs done from scratch."""
    with fresh_folder() as folder:
        Path("in/f.txt").write_text("1 2")  # one item is always fine
        for step in steps:
            apply(step, sink)
        pipeline = finish(sink)
        found = merged()
        values = {i: json.loads(Path(paths[0]).read_text()) for i, paths in pipeline.output_paths_by_index().items()}
        if sink == "files":
            readable = {i: list(pipeline.source[i]) for i in pipeline.completed_indices}
            assert values == readable
        assert not list(Path("out").glob("*_shard_*"))
        assert not list(Path("out").glob(".*"))
        with fresh_folder():
            shutil.copytree(folder / "in", "in", dirs_exist_ok=True)
            finish(sink)
            assert found == merged()


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in "abc":
        Path(f"in/{name}.txt").write_text(f"{ord(name)} 1")
    return tmp_path


def test_backends_give_the_same_bytes(work):
    """Merged files are the same bytes from one process and from several."""
    finish("dataset")
    expected = merged()
    shutil.rmtree("out")
    Path("run.db").unlink()
    pipeline = build("dataset")
    run_pipeline(pipeline, n_jobs=3, indices=[2, 0, 1], progress=False)
    gather_pipeline(pipeline)
    assert merged() == expected


def test_gathering_twice_changes_nothing(work):
    """The second gather does not touch the outputs."""
    pipeline = finish("dataset")
    before = {path: path.stat().st_mtime_ns for path in Path("out").iterdir()}
    assert gather_pipeline(pipeline) == ["out/stats.json", "out/data.json"]
    assert {path: path.stat().st_mtime_ns for path in Path("out").iterdir()} == before


def test_keep_shards(work):
    """With `keep_shards` the loose shards stay, and gathering without it later gives the same bytes."""
    run_pipeline(build("dataset"), progress=False)
    gather_pipeline(build("dataset"), keep_shards=True)
    kept = merged()
    assert len(list(Path("out").glob("*_shard_*"))) == 6
    gather_pipeline(build("dataset"))
    assert not list(Path("out").glob("*_shard_*"))
    assert merged() == kept


def test_kept_shards_survive_moving_items(work):
    """Shards kept by a gather that saw a new listing are not overwritten by the next run."""
    run_pipeline(build("dataset"), progress=False)
    Path("in/a1.txt").write_text("7")
    gather_pipeline(build("dataset"), keep_shards=True)
    finish("dataset")
    assert [entry["values"] for entry in json.loads(Path("out/data.json").read_text())] == [
        [97, 1],
        [7],
        [98, 1],
        [99, 1],
    ]


def test_lost_shard_is_named(work):
    """A shard deleted by hand is a MergeError naming the item; the published output stays."""
    finish("dataset")
    before = merged()
    Path("in/b.txt").write_text("5")
    run_pipeline(build("dataset"), progress=False)
    Path("out/data_shard_000001.json").unlink()
    with pytest.raises(MergeError, match=r"data\.json cannot be merged: there is no shard of b\.txt"):
        gather_pipeline(build("dataset"))
    assert merged()["data.json"] == before["data.json"]


def test_item_failing_later_leaves_the_output(work):
    """An item that fails after it was complete is no longer in the merged output."""
    finish("dataset")
    Path("in/b.txt").write_text("no number")
    finish("dataset")
    assert [entry["key"] for entry in json.loads(Path("out/data.json").read_text())] == ["a.txt", "c.txt"]
    assert json.loads(Path("out/stats.json").read_text())["items"] == [[2, 98], [2, 100]]


def test_merged_paths_replace_the_shards(work):
    """After a gather, queries tell the merged file instead of the shards."""
    pipeline = finish("dataset")
    assert pipeline.all_filter_artifacts() == ["out/stats.json"]
    assert pipeline.output_paths_for_index(1) == ["out/data.json"]
    assert pipeline.index_for_path("out/data.json") is None


def test_failing_merge_keeps_the_old_output(work, monkeypatch):
    """A merge that cannot write (disk full) is a MergeError; the old output stays and nothing is left over."""
    finish("dataset")
    before = merged()
    Path("in/b.txt").write_text("5")
    run_pipeline(build("dataset"), progress=False)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(StatisticsFilter, "merge", full)
        with pytest.raises(MergeError, match="No space left"):
            gather_pipeline(build("dataset"))
    assert merged() == before
    assert not list(Path("out").glob(".*"))
    gather_pipeline(build("dataset"))
    assert json.loads(Path("out/stats.json").read_text())["items"][1] == [1, 5]


def test_moved_items_of_a_plain_sink_are_written_again(work):
    """A file that another item overwrote after a shift belongs to that item; its former owner is redone."""
    run_pipeline(build("files"), progress=False)
    Path("in/a1.txt").write_text("7")
    paths = run_pipeline(build("files"), progress=False)
    assert [json.loads(Path(p[0]).read_text()) for p in paths] == [[97, 1], [7], [98, 1], [99, 1]]
    assert build("files").plan().counts() == {"up to date": 4}


def test_overwritten_items_are_open_when_only_some_are_asked_for(work):
    """Processing the new item alone opens those whose files it may have overwritten."""
    run_pipeline(build("files"), progress=False)
    Path("in/a1.txt").write_text("7")
    run_pipeline(build("files"), indices=[1], progress=False)
    pipeline = build("files")
    assert pipeline.completed_indices == {0, 1}
    assert [item.reason for item in pipeline.plan().items] == ["up to date", "up to date", "new", "new"]


def test_absorbed_items_are_complete_after_a_gather(work):
    """Items whose shards were absorbed because they moved are recorded as merged, not as missing."""
    run_pipeline(build("dataset"), progress=False)
    Path("in/a1.txt").write_text("no number")
    pipeline = build("dataset")
    run_pipeline(pipeline, on_error="skip", progress=False)
    gather_pipeline(pipeline)
    assert build("dataset").plan().counts() == {"up to date": 3, "failed": 1}


def test_unaffected_items_are_not_redone(work):
    """Adding a file after all others moves nothing: it is processed alone."""
    run_pipeline(build("files"), progress=False)
    Path("in/d.txt").write_text("7")
    pipeline = build("files")
    run_pipeline(pipeline, progress=False)
    with MetricsStore(pipeline.db_path) as store:
        counts = [worker["completed_count"] for worker in store.workers(1)]
    assert counts == [3, 1]


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """Three items, one of which fails."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name, text in (("a", "1"), ("b", "no number"), ("c", "3")):
        Path(f"in/{name}.txt").write_text(text)
    run_pipeline(build("dataset"), on_error="skip", progress=False)
    return Path("in")


def manifest():
    return json.loads(Path("out/data.json.manifest.json").read_text())


def test_a_manifest_says_what_is_in_the_dataset(inputs, caplog):
    """The items with their versions, the missing ones with the reason; nothing trips over the file."""
    assert gather_pipeline(build("dataset")) == ["out/stats.json", "out/data.json"]
    assert "put together from 2 of 3 items" in caplog.text
    first = manifest()
    assert [item["key"] for item in first["items"]] == ["a.txt", "c.txt"]
    assert list(first["missing"]) == ["b.txt"]
    assert first["missing"]["b.txt"].startswith("failed: ValueError")
    assert {item["key"]: item["version"] for item in first["items"]} == DatasetSink("").retained_items("out/data.json")
    assert build("dataset").plan().counts() == {"up to date": 2, "failed": 1}
    Path("in/b.txt").write_text("2")
    run_pipeline(build("dataset"), gather=True, progress=False)
    assert (len(manifest()["items"]), manifest()["missing"]) == (3, {})
    assert manifest()["data_version"] != first["data_version"]
    before = Path("out/data.json.manifest.json").stat().st_mtime_ns
    gather_pipeline(build("dataset"))
    assert Path("out/data.json.manifest.json").stat().st_mtime_ns == before


def test_a_manifest_says_what_is_in_the_dataset_after_changes(inputs):
    """Items that changed, or whose output was gone, are in it as they were processed, and so the manifest has them."""
    sink = DatasetSink("out/data.json")

    def listed():
        return {item["key"]: item["version"] for item in manifest()["items"]}

    gather_pipeline(build("dataset"))
    before = manifest()["data_version"]
    Path("in/a.txt").write_text("7")
    gather_pipeline(build("dataset"))
    assert listed() == sink.retained_items("out/data.json")
    assert manifest()["data_version"] == before
    assert manifest()["missing"]["a.txt"].startswith("changed: ")
    Path("out/stats.json").unlink()
    Path("in/0.txt").write_text("3")
    gather_pipeline(build("dataset"))
    assert list(listed()) == ["a.txt", "c.txt"]
    assert sorted(manifest()["missing"]) == ["0.txt", "a.txt", "b.txt"]
    run_pipeline(build("dataset"), gather=True, on_error="skip", progress=False)
    assert list(listed()) == ["0.txt", "a.txt", "c.txt"]
    assert listed() == sink.retained_items("out/data.json")


def test_too_much_is_missing(inputs):
    """Above `max_missing` nothing is published and the shards stay; what is missing, and why, is in the error."""
    missing = r"1 of 3 items are missing, more than max_missing=0 allows: b.txt: failed: ValueError"
    with pytest.raises(MergeError, match=missing):
        gather_pipeline(build("dataset"), max_missing=0)
    assert not Path("out/data.json").exists()
    assert not Path("out/data.json.manifest.json").exists()
    assert gather_pipeline(build("dataset"), max_missing=1) == ["out/stats.json", "out/data.json"]
    good = merged() | {"manifest": Path("out/data.json.manifest.json").read_bytes()}
    Path("in/a.txt").write_text("7 changed")
    run_pipeline(build("dataset"), on_error="skip", progress=False)
    with pytest.raises(MergeError, match=r"2 of 3 items are missing, more than max_missing=0\.5 allows"):
        gather_pipeline(build("dataset"), max_missing=0.5)
    assert merged() | {"manifest": Path("out/data.json.manifest.json").read_bytes()} == good
    Path("in/a.txt").write_text("7")
    run_pipeline(build("dataset"), on_error="skip", progress=False)
    gather_pipeline(build("dataset"), max_missing=0.5)
    assert manifest()["data_version"] != json.loads(good["manifest"])["data_version"]


def test_a_wrong_tolerance_is_refused(inputs):
    """Before anything is merged."""
    with pytest.raises(ConfigError, match="max_missing must be"):
        gather_pipeline(build("dataset"), max_missing=1.5)
    assert not Path("out/data.json").exists()


def test_outputs_of_filters_alone_have_no_manifest(inputs):
    """It stands beside a dataset."""
    run_pipeline(build("files"), on_error="skip", progress=False)
    assert gather_pipeline(build("files"), max_missing=1) == ["out/stats.json"]
    assert not list(Path("out").glob("*manifest*"))
