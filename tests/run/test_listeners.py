"""Listeners: told everything, in the coordinator, and no danger to the run or to each other."""

from __future__ import annotations

import os
import threading

import pytest

from curator_core import Listener, MetricsStore, run_pipeline
from curator_core.errors import ConfigError, PipelineStateError
from curator_core.run.base import backends
from curator_core.run.listeners import RunSummary
from curator_core.testing import FaultySource, JsonSink, NumbersSource, StatisticsFilter, registered
from curator_core.testing.dummies import AddFilter


class Notes(Listener):
    """Writes down what it is told."""

    def __init__(self, *, fails_in=(), error=None):
        self.told = []
        self.places = set()
        self.fails_in = fails_in
        self.error = error or ValueError("no room for notes")

    def begin(self, items):
        self._note("begin", [item.key for item in items])

    def take(self, result):
        self._note("take", result.index)

    def end(self, summary):
        self._note("end", summary)

    def _note(self, what, argument):
        self.places.add((os.getpid(), threading.current_thread()))
        self.told.append((what, argument))
        if what in self.fails_in:
            raise self.error

    def of(self, what):
        return [argument for told, argument in self.told if told == what]


@pytest.fixture
def pipeline(tmp_path):
    """Five items, of which the fourth fails once."""
    source = FaultySource(NumbersSource(5), str(tmp_path / "log"), {"000003": ["fail"]})
    return source.write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "run.db", resume=True)


def run(pipeline, *listeners, backend="sequential", **settings):
    settings = {"on_error": "skip", "progress": False, "n_jobs": 2} | settings
    return run_pipeline(pipeline, backend=backend, listeners=listeners, **settings)


@pytest.mark.parametrize("backend", ["sequential", "thread_pool", "process_pool"])
def test_a_listener_is_told_everything_once(pipeline, backend):
    """The due items at first, every result in this process and thread, how it ended at last."""
    notes = Notes()
    run(pipeline, notes, backend=backend)
    assert [what for what, _ in notes.told] == ["begin", *["take"] * 5, "end"]
    assert notes.of("begin") == [[f"{index:06d}" for index in range(5)]]
    assert sorted(notes.of("take")) == list(range(5))
    (summary,) = notes.of("end")
    assert (summary.n_items, summary.n_completed, summary.n_up_to_date, summary.error) == (5, 4, 0, None)
    assert list(summary.failures) == [3]
    assert "planned failure" in summary.failures[3]
    assert notes.places == {(os.getpid(), threading.current_thread())}


def test_what_is_complete_is_not_told(pipeline):
    """A run that goes on tells what is due, and how many are not; one with nothing to do tells that."""
    run(pipeline, Notes())
    notes = Notes()
    run(pipeline, notes)
    assert notes.of("begin") == [["000003"]]
    assert notes.of("end")[0].n_up_to_date == 4
    notes = Notes()
    run(pipeline, notes)
    assert [what for what, _ in notes.told] == ["begin", "end"]
    assert notes.of("begin") == [[]]
    assert notes.of("end")[0].n_up_to_date == notes.of("end")[0].n_items == 5


def test_a_run_without_items_begins_and_ends(pipeline):
    """Whoever waits for the end gets it, also where a source lists nothing."""
    notes = Notes()
    assert run(pipeline, notes, indices=[]) == []
    assert [what for what, _ in notes.told] == ["begin", "end"]
    assert (notes.of("end")[0].n_items, notes.of("end")[0].n_up_to_date) == (0, 0)


def test_at_the_end_everything_is_recorded(pipeline, tmp_path):
    """A listener that looks into the database finds what it was told."""
    found = []

    class Looks(Listener):
        def end(self, summary):
            with MetricsStore(tmp_path / "run.db") as store:
                found.extend(record.status for record in store.items(1).values())

    run(pipeline, Looks())
    assert sorted(found) == ["completed"] * 4 + ["error"]


@pytest.mark.parametrize("method", ["begin", "take", "end"])
def test_a_listener_that_fails_harms_nobody(pipeline, caplog, method):
    """It is named with its method and its error; the run and the others go on, and so does it."""
    broken, notes = Notes(fails_in=[method]), Notes()
    found = run(pipeline, broken, notes)
    assert [bool(paths) for paths in found] == [True, True, True, False, True]
    assert pipeline.completed_indices == {0, 1, 2, 4}
    assert len(notes.told) == len(broken.told) == 7
    told = [
        record
        for record in caplog.records
        if "of listener Notes raised ValueError: no room for notes" in record.msg % record.args
    ]
    assert len(told) == 1
    assert f"{method}()" in told[0].getMessage()
    assert told[0].exc_info[1] is broken.error
    assert ("item '000000'" in told[0].getMessage()) is (method == "take")
    assert ("listener Notes raised an exception 5 times" in caplog.text) is (method == "take")


@pytest.mark.parametrize("in_main_thread", [True, False])
def test_an_interrupt_of_a_listener_ends_the_run(pipeline, in_main_thread):
    """As Ctrl-C: the others are told of that item and of the end, what is complete is recorded and not done again."""
    stops, notes = Notes(fails_in=["take"], error=KeyboardInterrupt()), Notes()
    raised = []

    def interrupted():
        with pytest.raises(KeyboardInterrupt):
            run(pipeline, stops, notes)
        raised.append(True)

    if in_main_thread:
        interrupted()
    else:
        thread = threading.Thread(target=interrupted)
        thread.start()
        thread.join()
    assert raised == [True]
    assert notes.of("take") == [0]
    assert isinstance(notes.of("end")[0].error, KeyboardInterrupt)
    assert pipeline.completed_indices == {0}
    notes = Notes()
    run(pipeline, notes)
    assert notes.of("begin") == [["000001", "000002", "000003", "000004"]]


def test_an_exit_of_a_listener_is_heard_by_all(pipeline):
    """`sys.exit` ends the run, once the others have that result; what is complete is recorded."""
    leaves, notes = Notes(fails_in=["take"], error=SystemExit(3)), Notes()
    with pytest.raises(SystemExit):
        run(pipeline, leaves, notes)
    assert notes.of("take") == [0]
    assert isinstance(notes.of("end")[0].error, SystemExit)
    assert pipeline.completed_indices == {0}


def test_an_interrupt_of_a_listener_loses_nothing_that_is_complete(pipeline):
    """What workers give after it is taken and told, though the listener interrupts each time."""
    stops, notes = Notes(fails_in=["take"], error=KeyboardInterrupt()), Notes()
    with pytest.raises(KeyboardInterrupt):
        run(pipeline, stops, notes, backend="thread_pool")
    assert notes.of("take") == stops.of("take")
    assert {index for index in notes.of("take") if index != 3} == pipeline.completed_indices


def test_a_run_that_breaks_tells_why(pipeline):
    """The summary has what the run raises, and what was done by then."""

    class Breaks(backends.get("sequential")):  # type: ignore[misc]
        name = "breaks"

        def stream(self, pipeline, config):
            yield next(super().stream(pipeline, config))
            raise RuntimeError("out of order")

    notes = Notes()
    with registered(Breaks), pytest.raises(PipelineStateError, match="out of order") as raised:
        run(pipeline, notes, backend="breaks")
    assert notes.of("end")[0].error is raised.value
    assert (notes.of("end")[0].n_completed, notes.of("end")[0].n_up_to_date) == (1, 0)


def test_runs_that_are_not_recorded_are_told_too(tmp_path):
    """Also where a database is made for the time of the run, to gather what nobody records."""
    notes = Notes()
    steps = NumbersSource(3).filter(AddFilter(1)).filter(StatisticsFilter(str(tmp_path / "stats.json")))
    pipeline = steps.write(JsonSink(str(tmp_path / "out"))).with_settings(track_metrics=False)
    run(pipeline, notes, gather=True)
    run(pipeline, notes)
    assert [what for what, _ in notes.told] == ["begin", *["take"] * 3, "end"] * 2


@pytest.mark.parametrize(
    ("listeners", "text"),
    [
        (Notes(), "must be a list of Listener objects, not Notes"),
        ([Notes], "is a class, not an object"),
        ([print], "has no begin.. and no take.. and no end"),
        (None, "must be a list"),
    ],
)
def test_what_is_no_listener_is_refused(pipeline, tmp_path, listeners, text):
    """It is named before anything is processed."""
    with pytest.raises(ConfigError, match=text):
        run_pipeline(pipeline, listeners=listeners, progress=False)
    assert not (tmp_path / "out").exists()


def test_any_object_with_the_methods_listens(pipeline):
    """It need not be derived from Listener."""

    class Counts:
        n = 0

        def begin(self, items):
            self.n -= len(items)

        def take(self, result):
            self.n += 1

        def end(self, summary: RunSummary):
            self.summary = summary

    counts = Counts()
    assert isinstance(counts, Listener)
    run(pipeline, counts)
    assert (counts.n, counts.summary.n_items) == (0, 5)
