"""f3dasm's workers and ours at one table: they wait for each other's moments, and rows go to one of the two."""

from __future__ import annotations

import fcntl
import threading

import pytest

from curator_core.errors import StoreBusyError, WorkflowError
from curator_core.experiments.stored.files import locked
from curator_core.experiments.stored.foreign_lock import foreign_lock_held
from curator_core.workflow import DataGenerator, ExperimentData, claim_open, collect_results, open_rows, write_result


@pytest.fixture
def lock(tmp_path):
    """The open file of f3dasm's lock, which a worker of its is about to hold."""
    ExperimentData(input_data=[{"x": 1.0}, {"x": 2.0}]).store(tmp_path)
    with (tmp_path / "experiment_data" / "lock.lock").open("w") as file:
        yield file


@pytest.mark.parametrize(
    "work", [ExperimentData.from_file, collect_results, lambda folder: ExperimentData.from_file(folder).store()]
)
def test_reading_and_writing_wait(lock, tmp_path, work):
    """A table that f3dasm is writing is read once it is whole, and written then."""
    write_result(tmp_path, 0, {"y": 1.0})
    jobs = tmp_path / "experiment_data" / "jobs.csv"
    content = jobs.read_text()
    fcntl.flock(lock, fcntl.LOCK_EX)
    jobs.write_text("")  # as f3dasm writes: empty first

    ended = []

    def end():
        jobs.write_text(content)
        ended.append(True)
        fcntl.flock(lock, fcntl.LOCK_UN)

    timer = threading.Timer(0.2, end)
    timer.start()
    work(tmp_path)
    assert ended
    timer.join()
    assert len(ExperimentData.from_file(tmp_path)) == 2


def test_rows_are_given_to_one_of_the_two(lock, tmp_path):
    """While f3dasm works on a table no row of it is claimed, and the error says what to do."""

    class Nothing(DataGenerator):
        def execute(self, experiment_sample):
            return experiment_sample

    data = ExperimentData.from_file(tmp_path)
    for work in (
        lambda: open_rows(tmp_path),
        lambda: claim_open(tmp_path).__enter__(),
        lambda: Nothing().call(data, mode="cluster"),
    ):
        with pytest.raises(WorkflowError, match=r"evaluated twice.*delete .*lock\.lock"):
            work()
    (tmp_path / "experiment_data" / "lock.lock").unlink()
    assert open_rows(tmp_path) == [0, 1]


def test_a_lock_that_is_never_let_go(lock, tmp_path):
    """Nobody waits without end; what holds the table is named. Our own lock is not waited for within itself."""
    fcntl.flock(lock, fcntl.LOCK_EX)
    with (
        pytest.raises(StoreBusyError, match=r"f3dasm holds .*lock\.lock"),
        foreign_lock_held(tmp_path / "experiment_data", is_shared=True, timeout_s=0.05),
    ):
        pass
    fcntl.flock(lock, fcntl.LOCK_UN)
    with locked(tmp_path):
        assert len(ExperimentData.from_file(tmp_path)) == 2
