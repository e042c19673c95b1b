"""`Session`: one listing, one reader and one writer, whatever is asked; and what a simple backend gets."""

from __future__ import annotations

import copy
import json
import pickle
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from curator_core import Filter, MetricsStore, Pipeline, RunBackend, gather_pipeline, process_index, run_pipeline
from curator_core.errors import PipelineStateError, StoreBusyError
from curator_core.session import Listing, Session
from curator_core.session.returning import RecordingPipeline, ReturnPath
from curator_core.store import StoreWriter, read_journals
from curator_core.testing import DatasetSink, JsonSink, NumbersSource, StatisticsFilter


@pytest.fixture
def counted(monkeypatch):
    """Counts listings and openings from now on."""
    found: Counter[str] = Counter()
    listed, written, read = Listing.of, StoreWriter.__init__, MetricsStore.__init__

    def counting(name, method):
        def call(*args, **kwargs):
            found[name] += 1
            return method(*args, **kwargs)

        return call

    monkeypatch.setattr(Listing, "of", staticmethod(counting("listings", listed)))
    monkeypatch.setattr(StoreWriter, "__init__", counting("writers", written))
    monkeypatch.setattr(MetricsStore, "__init__", counting("readers", read))
    return found


def build(folder, n=4, **settings):
    filters = [StatisticsFilter(str(folder / "stats.json"))]
    sink = DatasetSink(str(folder / "data.json"))
    return Pipeline(NumbersSource(n), filters, sink, db_file=folder / "run.db", **{"resume": True, **settings})


def test_everything_at_once(tmp_path, counted):
    """Taken over, planned, made due, recorded and gathered with one listing, one reader and one writer."""
    pipeline = build(tmp_path)
    with Session.open(pipeline) as session:
        session.take_over()
        assert session.plan is session.plan
        assert len(session.plan.due) == 4
        for planned in session.plan.due:
            session.writer.write(process_index(pipeline, planned.item))
        session.invalidate()
        assert session.plan.due == []
        session.forget([1])
        assert [planned.index for planned in session.plan.due] == [1]
        session.writer.write(process_index(pipeline, session.listing.item(1)))
        assert len(session.gather().paths) == 2
        assert session.outputs_to_gather() == []
    assert counted == {"listings": 1, "writers": 1, "readers": 1}


def test_others_write_while_a_session_rests(tmp_path):
    """The records are locked from the first use of `writer` until `rest`; items and outputs until the end."""
    pipeline = build(tmp_path)
    with Session.open(pipeline) as session, pytest.MonkeyPatch.context() as patch:
        patch.setattr("curator_core.store.writer.LOCK_TIMEOUT_S", 0)
        patch.setattr("curator_core.session.claims._WAIT_S", 0)
        session.take_over()
        with Session(build(tmp_path)) as other:
            with pytest.raises(StoreBusyError):
                other.take_over()
            session.rest()
            other.take_over()
            other.rest()
        with pytest.raises(StoreBusyError):
            Session.open(build(tmp_path))
        assert len(session.plan.due) == 4
    Session.open(build(tmp_path)).close()


def test_another_listing_makes_another_plan(tmp_path):
    """A session judges what it is given, whatever the source lists."""
    pipeline = build(tmp_path)
    run_pipeline(pipeline, progress=False)
    with Session(pipeline) as session:
        assert session.plan.due == []
        session.listing = Listing(["new", *session.listing.keys], [None, *session.listing.fingerprints])
        assert [planned.key for planned in session.plan.due] == ["new"]


def test_nothing_is_recorded(tmp_path):
    """Without tracking there is a plan, and nothing to write."""
    with Session.open(build(tmp_path, track_metrics=False)) as session:
        assert len(session.plan.due) == 4
        assert session.recorded is None
        for ask in (lambda: session.writer, lambda: session.store, lambda: session.journals):
            with pytest.raises(PipelineStateError, match="track_metrics=False"):
                ask()


@pytest.mark.parametrize("sharded", [False, True])
def test_an_index_by_hand_costs_the_same_however_many_there_are(tmp_path, counted, sharded):
    """Up to date or new: the source is not listed, and the records are opened as often."""
    costs = []
    for n in (200, 8_000):
        folder = tmp_path / str(n)
        pipeline = (
            build(folder, n)
            if sharded
            else Pipeline(NumbersSource(n), [], JsonSink(str(folder / "out")), db_file=folder / "run.db", resume=True)
        )
        run_pipeline(pipeline, progress=False, indices=range(150))
        found = []
        for index in (0, 149, n - 1):
            counted.clear()
            pipeline[index]
            found.append(dict(counted))
        costs.append(found)
    assert costs[0] == costs[1]
    assert all("listings" not in found for found in costs[0])


def test_a_merged_dataset_is_read_again_only_when_it_changed(tmp_path, counted):
    """One look at the items inside it serves all indices by hand, until it is published anew."""
    pipeline = build(tmp_path, 6)
    run_pipeline(pipeline, progress=False, gather=True)
    reads = []
    pipeline.sink.retained_items = lambda path: reads.append(path) or DatasetSink.retained_items(pipeline.sink, path)
    assert [pipeline[index] for index in range(6)] == [[pipeline.sink.output_path]] * 6
    assert len(reads) == 1
    gather_pipeline(build(tmp_path, 6))
    Path(pipeline.sink.output_path).write_text("[]")
    assert pipeline[3] != [pipeline.sink.output_path], "the dataset was emptied, and the item still counts"
    assert len(reads) == 2


class Subclass(Pipeline):
    """One of the user's own."""

    def note(self):
        return f"{len(self)} items"


def test_a_simple_backend_gets_the_pipeline_and_more(tmp_path):
    """Its indices are taken, its copies in other processes leave journals, and all else is the pipeline's."""
    pipeline = Subclass(NumbersSource(3), [], JsonSink(str(tmp_path / "out")), track_metrics=False)
    taken = []
    recording = RecordingPipeline(pipeline, taken.append, ReturnPath(tmp_path / "journals", "c" * 64))
    assert recording[-1] == pipeline[2]
    assert recording.with_settings(track_memory=False)[0] == pipeline[0]
    assert [result.index for result in taken] == [2, 0]
    assert isinstance(recording, Pipeline)
    assert recording.note() == "3 items"
    assert repr(recording) == repr(pipeline)
    assert recording.config_hash == pipeline.config_hash
    copied = pickle.loads(pickle.dumps(recording))
    assert copied[1] == pipeline[1]
    assert len(taken) == 2
    ((_, results),) = read_journals(tmp_path / "journals", "c" * 64)
    assert [result.index for result in results] == [1]


class Keeping(Filter):
    """Keeps what it sees of an item until the end of it, as components may."""

    seen = None

    def __call__(self, items):
        self.seen = list(items)
        time.sleep(0.01)
        yield from self.seen


def test_threads_of_a_simple_backend_take_turns(tmp_path):
    """Otherwise what a filter keeps of one item would become that of another, without a word."""
    pipeline = NumbersSource(6).filter(Keeping()).write(JsonSink(str(tmp_path / "out")))
    recording = RecordingPipeline(pipeline, lambda _: None, ReturnPath(tmp_path / "journals", "c" * 64))
    changed = recording.with_settings(track_memory=False)
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda i: (recording if i % 2 else changed)[i], range(6)))
        copies = list(pool.map(lambda i: copy.deepcopy(recording)[i], range(6)))
    assert [json.loads(Path(path).read_text()) for (path,) in paths] == [[i] for i in range(6)]
    assert copies == paths


def test_a_pipeline_pickles_with_its_database_and_without_its_run(tmp_path):
    """A copy answers the same questions, also when every run has a database of its own."""
    pipeline = Pipeline(NumbersSource(2), [], JsonSink(str(tmp_path / "out")), db_dir=tmp_path)
    run_pipeline(pipeline, progress=False)
    copied = pickle.loads(pickle.dumps(pipeline))
    assert copied.db_path == pipeline.db_path
    assert copied.completed_indices == {0, 1}
    assert copied.records.run_id is None


def test_the_writer_as_it_was_opened_before(tmp_path):
    """Code that opens the records of a pipeline itself works, and is shown the new place."""
    pipeline = build(tmp_path)
    with pytest.warns(DeprecationWarning, match=r"curator_core\.session\.Session"):
        writer = pipeline.open_writer(4)
    with writer:
        writer.write(process_index(pipeline, Listing.of(pipeline.source).item(2)))
    assert pipeline.completed_indices == {2}


def test_backends_that_ask_for_more(tmp_path):
    """An index that was not asked for, and one that is asked for twice, are recorded as if they were not."""

    class Eager(RunBackend):
        name = "eager"

        def run(self, pipeline, config):
            return [pipeline[i] for i in range(len(pipeline)) for _ in range(2)][::2][: len(config.indices)]

    from curator_core.testing import registered

    with registered(Eager):
        pipeline = Pipeline(NumbersSource(4), [], JsonSink(str(tmp_path / "out")), db_file=tmp_path / "run.db")
        run_pipeline(pipeline, backend="eager", n_jobs=2, indices=[0, 1], progress=False)
        assert pipeline.completed_indices == {0, 1}
