"""What is wrong with sources, factories and names is said in one sentence, where the user looks."""

import pytest
from dagster import AssetKey, DagsterInstance, Definitions, in_process_executor

from curator_core import Pipeline
from curator_core.errors import PartitionConflictError
from curator_core.testing import JsonSink, NumbersSource
from curator_dagster import build_curation_defs

SAMPLES = AssetKey(["numbers", "samples"])


def source_class(watched):
    return watched.pipeline.__globals__["NumberFiles"]


def failure(watched):
    """What the only failed step of a refresh says."""
    job = watched.defs.resolve_job_def("numbers_refresh")
    result = job.execute_in_process(instance=watched.instance, raise_on_error=False)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    return failed.step_failure_data.user_failure_data.description


def test_a_source_that_raises_while_it_is_listed(watched, monkeypatch):
    """The error and the curation are named; nothing recorded is touched."""
    assert watched.refresh()
    before = watched.project.outputs()

    def denied(_):
        raise PermissionError("not yours")

    monkeypatch.setattr(source_class(watched), "_listed", denied)
    assert failure(watched) == "ComponentError: The source of 'numbers' cannot be listed: PermissionError: not yours"
    assert watched.project.outputs() == before
    assert len(watched.instance.get_dynamic_partitions("numbers")) == 4


def test_a_factory_that_fails(watched):
    """Importing the definitions works; the run says what the factory raised."""

    def broken():
        raise KeyError("DATA_FOLDER")

    watched.pipeline = broken
    said = "ComponentError: The pipeline of curation 'numbers' cannot be built: KeyError: 'DATA_FOLDER'"
    assert failure(watched) == said


def test_a_factory_that_returns_something_else(watched):
    """What it returned is said."""
    watched.pipeline = lambda: 3
    job = watched.defs.resolve_job_def("numbers_refresh")
    result = job.execute_in_process(instance=watched.instance, raise_on_error=False)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "returned 3, not a Pipeline" in failed.step_failure_data.error_display_string


def test_two_curations_with_one_name(watched):
    """Dagster refuses the code location and names what is there twice."""
    with pytest.raises(Exception, match="numbers"):
        Definitions.validate_loadable(Definitions.merge(watched.defs, watched.defs))


def test_a_key_that_is_deleted_and_added_again_is_processed_whatever_its_history(watched):
    """Dagster shows it as materialized at once; the metrics store knows better."""
    watched.settings = {"prune": True}
    assert watched.refresh()
    path = watched.project.input / "b.txt"
    path.unlink()
    assert watched.refresh()
    assert set(watched.instance.get_dynamic_partitions("numbers")) == {"a.txt", "c.txt", "d.txt"}
    watched.project.put(b="33")
    assert watched.refresh()
    assert watched.project.invocations() == {"a.txt": 1, "b.txt": 2, "c.txt": 1, "d.txt": 1}
    assert watched.project.dataset()["b.txt"] == [33]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_groups_of_the_source_stay_in_one_batch_and_in_order(watched, monkeypatch, size):
    """Also where partitions are blocks of items, as long as the two can be reconciled."""
    numbers, order = source_class(watched), []
    read = numbers.__getitem__

    def reading(self, index):
        order.append(index)
        return read(self, index)

    monkeypatch.setattr(numbers, "__getitem__", reading)
    monkeypatch.setattr(numbers, "partition_indices", lambda *_: [[1, 0], [2], [3]])
    watched.settings = {"partition_size": size}
    assert watched.refresh()
    assert order.index(0) == order.index(1) + 1
    assert sorted(order) == [0, 1, 2, 3]


def test_blocks_that_divide_a_group_are_refused(watched, monkeypatch):
    """Which indices, and why."""
    monkeypatch.setattr(source_class(watched), "partition_indices", lambda *_: [[1, 2], [0], [3]])
    watched.settings = {"partition_size": 2}
    assert failure(watched).startswith(PartitionConflictError.__name__)


class Halved(JsonSink):
    """Two neighbours write one file."""

    def __call__(self, items, index):
        return super().__call__(items, index // 2)


@pytest.mark.parametrize("batch_size", [1, 10])
def test_two_items_that_write_one_file_are_named(tmp_path, batch_size):
    """In one step or in two: the refresh fails, and says which file is whose."""

    def pipeline():
        return Pipeline(NumbersSource(2), sink=Halved(str(tmp_path / "out")), db_file=tmp_path / "m.db")

    defs = build_curation_defs("halves", pipeline, executor=in_process_executor, batch_size=batch_size)
    with DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("halves_refresh")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    said = failed.step_failure_data.user_failure_data.description
    assert "2 of 2 items are missing" in said
    assert ("was written for another item, too" if batch_size == 1 else "for '000001' and for '000000'") in said
