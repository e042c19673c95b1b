"""What a run shows of its progress in a log and in a notebook, and what that costs."""

import logging
import re
import threading
import time
import warnings

import pytest

from curator_core import WorkerProgressDisplay
from curator_core.run.progress.loglines import LogLines


class Clock:
    """Time that passes when it is told to."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def log(caplog, monkeypatch):
    """Messages of the progress logger; lines are looked for at once instead of twice a second."""
    caplog.set_level(logging.INFO, "curator.progress")
    monkeypatch.setattr(LogLines, "interval_s", 0.001)
    return caplog


def wait_for(condition):
    """Let the display's thread look at the clock."""
    while not condition():
        threading.Event().wait(0.002)


def new_threads(before):
    """Names of the threads that are there now and were not before; those of earlier tests may end meanwhile."""
    return [thread.name for thread in threading.enumerate() if thread not in before]


def test_log_lines_without_a_terminal(log):
    """First sign of life after 10 s, the next after 20 s, and a last line with everything."""
    clock = Clock()
    with WorkerProgressDisplay(100, 1, clock=clock) as display:
        for tick in range(1, 21):
            for _ in range(2):
                display.complete_item(failed=tick == 20)
            clock.now_s = float(tick)
            if tick in (10, 20):
                wait_for(lambda tick=tick: len(log.messages) == tick // 10)
        assert log.messages[0].startswith("20 of 100 items, 2")
        assert log.messages[0].endswith("left")
        assert ", 2 failed, " in log.messages[1]
        clock.now_s = 200.0
    assert log.messages[-1] == "40 of 100 items in 3 min 20 s, 12/min, 2 failed"


def test_a_stalled_run_logs(log):
    """Lines come by time, not by items: a run in which nothing ends still speaks, and says so."""
    clock = Clock()
    with WorkerProgressDisplay(100, 2, clock=clock) as display:
        display.worker_start("w", 3)
        clock.now_s = 180.0
        wait_for(lambda: log.messages)
        assert log.messages == ["0 of 100 items, 0/s, no item finished for 3 min"]


def test_long_runs_do_not_flood_the_log():
    """A day is at most some hundred lines."""
    from curator_core.run.progress.eta import Forecast
    from curator_core.run.progress.snapshot import Snapshot

    lines, logged = LogLines(), []
    lines_logger = logging.getLogger("curator.progress")
    handler = logging.Handler()
    handler.emit = logged.append  # type: ignore[method-assign, assignment]
    lines_logger.addHandler(handler)
    lines_logger.setLevel(logging.INFO)
    try:
        for second in range(86_400):
            lines.draw(Snapshot(10**9, second, 0, float(second), Forecast(1.0, None, None, None), ()))
    finally:
        lines_logger.removeHandler(handler)
        lines_logger.setLevel(logging.NOTSET)
    assert 288 <= len(logged) <= 350


@pytest.mark.parametrize(("total", "enabled"), [(5, False), (0, True)])
def test_nothing_is_shown_when_disabled_or_empty(log, capsys, total, enabled):
    """No line, no character, no thread; the counts are kept."""
    before = threading.enumerate()
    with WorkerProgressDisplay(total, 1, enabled) as display:
        display.worker_start("w", 0)
        display.complete_item(failed=True)
        assert new_threads(before) == []
    assert (display.completed, display.failed) == (1, 1)
    assert log.messages == []
    assert capsys.readouterr() == ("", "")


def test_no_thread_before_the_first_event(log):
    """Worker processes can be forked after the display is there: its thread begins with the first event."""
    before = threading.enumerate()
    with WorkerProgressDisplay(5, 1) as display:
        assert new_threads(before) == []
        display.complete_item()
        assert new_threads(before) == ["curator-progress"]
    assert new_threads(before) == []


def test_calls_after_the_end_do_nothing(log):
    """A closed display can be closed again, and late events start nothing."""
    display = WorkerProgressDisplay(5, 1)
    display.close()
    display.complete_item()
    display.worker_start("w", 1)
    display.close()
    assert len(log.messages) == 1


def test_events_from_many_threads_are_all_counted(log):
    """Eight threads at once lose no item, while the display draws."""
    with WorkerProgressDisplay(80_000, 8) as display:

        def work(name):
            for index in range(10_000):
                display.worker_start(name, index)
                display.complete_item(failed=index % 10 == 0)
                display.worker_done(name)

        threads = [threading.Thread(target=work, args=(f"w{k}",)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (display.completed, display.failed) == (80_000, 8_000)
    assert log.messages[-1].startswith("80000 of 80000 items in")


def test_replaced_workers_leave_no_lines(log):
    """A pool that replaces its workers does not fill the display with idle ones."""
    with WorkerProgressDisplay(100, 2) as display:
        for k in range(50):
            display.worker_start(f"w{k}", k)
            display.worker_done(f"w{k}")
        assert len(display._snapshot().workers) == 2


@pytest.mark.parametrize("enabled", [True, False])
def test_an_event_costs_little(log, enabled):
    """Counting an item takes about a microsecond at most, shown or not."""
    with WorkerProgressDisplay(10**9, 1, enabled) as display:
        best = min(_seconds_per_call(display.complete_item) for _ in range(5))
    assert best < 1e-6


CELLS = """
from curator_core import WorkerProgressDisplay
with WorkerProgressDisplay(40, 2) as display:
    for index in range(40):
        display.worker_start("w", index)
        display.complete_item(failed=index == 3)
"""


def executed(*cells):
    """Outputs of notebook cells, run by a real kernel."""
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's client
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", store_widget_state=True).execute()
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    return [output for cell in notebook.cells for output in cell.outputs], [w["state"] for w in widgets.values()]


def test_notebook_shows_a_bar():
    """In a notebook there is a widget with the counts, which ends red when something failed; no text, no log."""
    pytest.importorskip("ipywidgets")
    outputs, widgets = executed(CELLS)
    assert [output.output_type for output in outputs] == ["display_data"]
    assert "application/vnd.jupyter.widget-view+json" in outputs[0].data
    (bar,) = [state for state in widgets if state.get("_model_name") == "FloatProgressModel"]
    assert (bar["value"], bar["max"], bar["bar_style"]) == (40, 40, "danger")
    texts = [state["value"].replace("\u2007", " ") for state in widgets if state.get("_model_name") == "HTMLModel"]
    assert any(re.search("40 of 40, .*/s, .* s, 1 failed", text) for text in texts), texts


def test_notebook_without_widgets_hints_once():
    """Without ipywidgets a notebook's run works, logs, and says once what to install."""
    pytest.importorskip("ipywidgets")
    without = "import sys; sys.modules['ipywidgets'] = None\nimport logging; logging.basicConfig(level='INFO')"
    outputs, _ = executed(without, CELLS, CELLS)
    text = "".join(output.get("text", "") for output in outputs)
    assert text.count("pip install 'curator-dagster[notebook]'") == 1
    assert text.count("40 of 40 items in") == 2


def _seconds_per_call(call, n=100_000):
    begun = time.thread_time()
    for _ in range(n):
        call()
    return (time.thread_time() - begun) / n
