"""`pipeline[i]` with resume: one item is looked up, by the rules of the plan, and nothing else is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.errors import DuplicateKeyError
from curator_core.pipeline.components import Sink, Source
from curator_core.session.listing import listed_item
from curator_core.session.lookup import look_up
from curator_core.store import MetricsStore
from curator_core.testing import DatasetSink, JsonSink, StatisticsFilter


class Listed(Source[int]):
    """Items of the keys that are listed at the moment; `calls` tells what it was asked for."""

    def __init__(self, version: str = "1") -> None:
        self.version = version  # type: ignore[misc]

    @property
    def keys(self):
        return listed

    def __len__(self):
        return len(self.keys)

    def __getitem__(self, index):
        calls["read", self.keys[index]] += 1
        if self.keys[index] in broken:
            raise ValueError("broken")
        yield len(self.keys[index])

    def key(self, index):
        calls["key"] += 1
        return self.keys[index]

    def fingerprint(self, index):
        calls["fingerprint"] += 1
        return contents.get(self.keys[index], f"content of {self.keys[index]}")


class Appending(Sink[int]):
    """Appends every item to one file."""

    appends = True

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, items, index):
        with Path(self.path).open("a") as file:
            file.write(f"{list(items)}\n")
        return [self.path]


calls: Counter = Counter()
contents: dict[str, str] = {}
broken: set[str] = set()
listed: list[str] = []
KEYS = [f"k{i}" for i in range(8)]


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """An empty folder to work in, and nothing counted."""
    monkeypatch.chdir(tmp_path)
    for kept in (calls, contents, broken):
        kept.clear()


def build(keys=KEYS, *, sink=None, filters=(), version="1"):
    listed[:] = keys
    return Pipeline(Listed(version), filters, sink or JsonSink("out"), db_file="run.db", resume=True)


def looked_up(pipeline, index):
    """The look-up's plan of one item."""
    store = MetricsStore("run.db") if Path("run.db").exists() else None
    try:
        return look_up(pipeline, listed_item(pipeline.source, index), store, pipeline.config_hash)
    finally:
        if store is not None:
            store.close()


def assert_as_planned(pipeline, *, reasons):
    """Every item is judged by a look-up as the plan of all judges it, apart from why a new item is new."""
    plan = pipeline.plan()
    assert {item.reason for item in plan.items} == set(reasons)
    for item in plan.items:
        found = looked_up(pipeline, item.index)
        assert found is not None
        one = found.items[0]
        expected = "new" if item.reason in ("moved", "config changed") else item.reason
        assert (one.key, one.reason, one.fingerprint) == (item.key, expected, item.fingerprint)
        if expected != "new":
            assert (one.detail, one.recorded_fingerprint) == (item.detail, item.recorded_fingerprint)
        assert found.recorded_paths[0] == plan.recorded_paths[item.index]


def end(kind):
    return {"plain": JsonSink("out"), "sharded": DatasetSink("data.json")}[kind]


@pytest.mark.parametrize("is_gathered", [False, True])
@pytest.mark.parametrize("kind", ["plain", "sharded"])
def test_by_the_rules_of_the_plan(kind, is_gathered):
    """New, failed, changed, moved, shifted, missing, written over: a look-up tells what the plan tells."""
    filters = [StatisticsFilter("stats.json")]
    pipeline = build(sink=end(kind), filters=filters)
    assert_as_planned(pipeline, reasons=["new"])
    broken.add("k3")
    run_pipeline(pipeline, progress=False, on_error="skip")
    if is_gathered:
        gather_pipeline(pipeline)
    assert_as_planned(pipeline, reasons=["up to date", "failed"])
    contents["k4"] = "other"
    if kind == "plain":
        Path(pipeline.output_paths_for_index(5)[0]).unlink()
        Path(pipeline.output_paths_for_index(6)[0]).write_text("written over")
        assert_as_planned(pipeline, reasons=["up to date", "failed", "changed", "outputs missing"])
    contents["renamed"] = "content of k0"
    shifted = build(["new", *KEYS[1:], "renamed"], sink=end(kind), filters=filters)
    reasons = ["up to date", "failed", "changed", "new", "moved"]
    assert_as_planned(shifted, reasons=[*reasons, "outputs missing"] if kind == "plain" else reasons)
    broken.clear()
    assert_as_planned(build(sink=end(kind), version="2"), reasons=["config changed", "new"])


def test_a_merged_output_that_is_gone():
    """Items that only a merged output held are due when it is gone, by a look-up as by the plan."""
    pipeline = build(sink=DatasetSink("data.json"))
    run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline)
    Path("data.json").unlink()
    assert_as_planned(pipeline, reasons=["outputs missing"])


def test_a_file_that_grows():
    """Of a file that all items change, only the plan of all can tell; the answer is the same."""
    pipeline = build(sink=Appending("all.txt"))
    run_pipeline(pipeline, progress=False)
    assert looked_up(pipeline, 0) is None
    calls.clear()
    assert pipeline[0] == ["all.txt"]
    assert not calls["read", "k0"]


@pytest.mark.parametrize("kind", ["plain", "sharded"])
def test_nothing_else_is_asked_for(kind):
    """Whether up to date, new, failed or changed: the source is asked about that item alone."""
    keys = [f"k{i}" for i in range(200)]
    pipeline = build(keys, sink=end(kind))
    run_pipeline(pipeline, progress=False, indices=range(100))

    def n_calls(index):
        calls.clear()
        pipeline[index]
        return calls["key"] + calls["fingerprint"], calls["read", keys[index]]

    assert n_calls(17) == (2, 0)
    n_asked, n_read = n_calls(150)
    assert n_asked <= 6
    assert n_read == 1
    contents["k30"] = "other"
    n_asked, n_read = n_calls(30)
    assert n_asked <= 6
    assert n_read == 1
    assert n_calls(30) == (2, 0)


def test_shifted_items_have_their_own_paths():
    """Where the listing shifted, an item's paths are its own, not those of the item that was there."""
    run_pipeline(build(), progress=False)
    before = build().output_paths_by_index()
    shifted = build(["first", *KEYS])
    assert shifted[3] == before[2]
    assert not calls["read", "first"]
    paths = [shifted[i] for i in range(9)]  # the first writes over what was there, so that all are open again
    assert paths == list(shifted.output_paths_by_index().values())
    assert_as_planned(shifted, reasons=["up to date"])


def test_two_items_of_one_key():
    """Two items with one key are refused, not taken for each other."""
    pipeline = build(["a", "b", "a"])
    pipeline[0]
    with pytest.raises(DuplicateKeyError, match="items 0 and 2"):
        pipeline[2]


def test_an_item_without_a_key():
    """An item whose key cannot be had fails by it, and is recorded; others are not concerned."""

    class Odd(Listed):
        def key(self, index):
            if index == 1:
                raise LookupError("no such name")
            return super().key(index)

    listed[:] = ["a", "b", "c"]
    pipeline = Pipeline(Odd(), [], JsonSink("out"), db_file="run.db", resume=True)
    with pytest.raises(LookupError, match="no such name"):
        pipeline[1]
    assert list(pipeline.failed_indices) == [1]
    assert pipeline[2] == pipeline.output_paths_for_index(2)
