"""An item whose own code raises what would end the program fails by name; Ctrl-C still ends the run."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from curator_core import Filter, Pipeline, RunConfig, get_backend, run_pipeline
from curator_core.errors import ConfigError, RunFailed
from curator_core.interruption import is_interruption
from curator_core.run.workers.settings import LogLevels
from curator_core.run.workers.start_method import check_main_guard
from curator_core.testing import JsonSink, NumbersSource


class Raising(Filter[int]):
    """Does something at number 1."""

    def __init__(self, act) -> None:
        self.act = act

    def __call__(self, items):
        for item in items:
            if item == 1:
                self.act()
            yield item


class UnnamedError(Exception):
    """Whose text cannot be had."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


def raising(error):
    def act():
        raise error

    return act


@pytest.fixture
def pipeline(tmp_path):
    """Makes pipelines of three numbers."""

    def make(act):
        return Pipeline(NumbersSource(3), [Raising(act)], JsonSink(str(tmp_path / "out")), track_metrics=False)

    return make


@pytest.mark.parametrize("error", [KeyboardInterrupt(), KeyboardInterrupt("mine"), SystemExit(3), UnnamedError()])
@pytest.mark.parametrize("backend", ["sequential", "thread_pool"])
def test_an_item_that_ends_the_program(pipeline, error, backend):
    """It fails, by name, and those after it are processed."""
    with pytest.raises(RunFailed, match=rf"1 of 3 items failed:\n  000001: {type(error).__name__}") as raised:
        run_pipeline(pipeline(raising(error)), backend=backend, n_jobs=2, progress=False)
    assert list(raised.value.failures) == [1]


def test_in_another_thread(pipeline):
    """Where signals never arrive, it is the item's own as well."""
    failed = []

    def run():
        try:
            run_pipeline(pipeline(raising(KeyboardInterrupt())), progress=False)
        except RunFailed as exc:
            failed.append(exc.failures)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failed == [{1: "KeyboardInterrupt"}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_an_item_is_processed(pipeline, tmp_path, number):
    """The run ends there; also where somebody else handles Ctrl-C, which may be what raised."""
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(pipeline(lambda: signal.raise_signal(number)), progress=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["item_000000.json"]


def test_somebody_elses_handler(pipeline):
    """Whether it raised cannot be told: the run ends."""

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handler)
    try:
        assert is_interruption(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(pipeline(lambda: signal.raise_signal(signal.SIGINT)), progress=False)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_configuration_made_by_hand(pipeline):
    """Without indices it means all of the source, and with them those, whatever is known of the items."""
    made = pipeline(lambda: None)
    backend = get_backend("sequential")
    assert RunConfig().indices is None
    assert len(backend.run(made, RunConfig())) == 3
    assert [len(paths) for paths in backend.run(made, RunConfig(indices=[2, 0]))] == [1, 1]
    assert backend.run(made, RunConfig(indices=[])) == []
    with pytest.raises(IndexError, match="7"):
        backend.run(made, RunConfig(indices=[7]))


def test_a_program_read_from_standard_input(monkeypatch):
    """Workers could not load it: told before they start."""
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None)
    monkeypatch.setattr(main, "__file__", "<stdin>", raising=False)
    with pytest.raises(ConfigError, match=r"no file '<stdin>'.*Run it from a file"):
        check_main_guard("spawn")


def test_an_interactive_session(tmp_path):
    """What is defined in a shell or notebook reaches workers that are not forked."""
    code = (
        "import builtins, sys; from curator_core import *; from curator_core.testing import JsonSink, NumbersSource\n"
        "class Own:\n    value = 5\n"
        "def begin(own): builtins.OWN = own.value\n"
        "class Add(Filter):\n    def __call__(self, items):\n        for item in items: yield item + OWN\n"
        "p = Pipeline(NumbersSource(2), [Add()], JsonSink(sys.argv[1]), track_metrics=False)\n"
        "options = {'mp_context': 'spawn', 'initializer': begin, 'initargs': (Own(),)}\n"
        "run_pipeline(p, n_jobs=2, backend='process_pool', progress=False, **options)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert [path.read_text() for path in sorted(tmp_path.iterdir())] == ["[5]", "[6]"]


def test_log_levels_of_foreign_workers(caplog):
    """They are set for the time of a run, and put back."""
    caplog.set_level("DEBUG", logger="levels.own")
    given = LogLevels({"levels.own": 30, "levels.other": 10}, disabled_below=0)
    before = given.apply()
    assert before.levels == {"levels.own": 10, "levels.other": 0}
    assert LogLevels.of_this_process().levels["levels.own"] == 30
    assert not any(name.startswith("distributed") for name in LogLevels.of_this_process().levels)
    before.apply()
    assert LogLevels.of_this_process().levels["levels.own"] == 10
