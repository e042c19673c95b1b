"""``run_pipeline(backend="dagster")`` keeps the contract of backends, on Dagster's executors."""

from typing import Any, ClassVar

import pytest
from dagster import DagsterRunStatus, in_process_executor

from curator_core import run_pipeline
from curator_core.errors import ConfigError, PipelineStateError, WorkerDiedError
from curator_core.testing import BackendContract, FaultySource, JsonSink, NumbersSource
from curator_core.testing.faults import invocations
from curator_dagster.executors.choice import reference_to
from curator_dagster.steps.spool import Spool


@pytest.mark.campaign
class TestDagster(BackendContract):
    backend = "dagster"
    options: ClassVar = {"executor": "in_process"}
    survives_its_workers = True


def test_steps_in_processes_of_their_own_show_on_the_instance(project, tmp_path, monkeypatch):
    """The run stands on the instance of $DAGSTER_HOME, one step a batch; a failed item does not fail it."""
    monkeypatch.setenv("DAGSTER_HOME", str(project.home))
    source = FaultySource(NumbersSource(6), str(tmp_path / "log"), {"000002": ["fail"]})
    pipeline = source.write(JsonSink(str(tmp_path / "out"))).with_settings(db_file=tmp_path / "run.db")
    found = run_pipeline(pipeline, backend="dagster", n_jobs=2, on_error="skip", progress=False)
    assert [bool(paths) for paths in found] == [i != 2 for i in range(6)]
    assert "planned failure" in pipeline.failed_indices[2]
    assert pipeline.summary()["workers"] > 1
    with project.instance() as instance:
        (run,) = instance.get_runs()
        steps = {stats.step_key for stats in instance.get_run_step_stats(run.run_id)}
    assert run.status is DagsterRunStatus.SUCCESS
    assert steps == {"plan", "collect", *(f"process[{number}]" for number in range(4))}


def test_a_wrong_executor_is_refused_before_anything_is_processed(tmp_path):
    """One that does not exist, is misconfigured, or that other processes cannot find."""
    source = FaultySource(NumbersSource(2), str(tmp_path / "log"), {})
    pipeline = source.write(JsonSink(str(tmp_path / "out"))).with_settings(track_metrics=False)
    for executor, message in {
        "threads": "Unknown executor 'threads'. Known: dask, in_process",
        "json:loads": "'json:loads' is no executor",
        "json:nothing": "executor: cannot load 'json:nothing'",
    }.items():
        with pytest.raises(ConfigError, match=message):
            run_pipeline(pipeline, backend="dagster", executor=executor)
    with pytest.raises(ConfigError, match=r"'maximum'\. Known: max_concurrent"):
        run_pipeline(pipeline, backend="dagster", executor={"multiprocess": {"maximum": 1}})
    with pytest.raises(ConfigError, match="'in_process' cannot be sent to other processes: assign it to a name"):
        run_pipeline(pipeline, backend="dagster", executor=in_process_executor.configured({}, name="in_process"))
    assert invocations(tmp_path / "log") == {}


def test_a_run_that_does_nothing_says_why(tmp_path, monkeypatch):
    """An instance that cannot be opened is an error of the run, not of the items."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    pipeline = NumbersSource(2).write(JsonSink(str(tmp_path / "out"))).with_settings(track_metrics=False)
    with pytest.raises(PipelineStateError, match=r"did nothing(.|\n)*nowhere"):
        run_pipeline(pipeline, backend="dagster")


def test_an_executor_is_found_by_the_name_it_was_given():
    """In the module where it is public, also when others import it."""
    assert reference_to(in_process_executor) == "dagster:in_process_executor"


def test_what_lies_between_a_run_and_its_steps_is_sealed(tmp_path, monkeypatch):
    """It shows nothing, and neither side opens what another user put there; the key is in no file on this machine."""
    spool = Spool.new(tmp_path, {"token": "abracadabra"}, ("in_process", {}), [["abracadabra"]])
    (tmp_path / "0-1.results").write_bytes(spool.frame([]) + spool.frame(["abracadabra"]) + spool.frame([])[:-1])
    assert [path.name for path in tmp_path.iterdir() if b"abracadabra" in path.read_bytes()] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-1.results", "0.batch", "job", "setup"]
    for name, value in spool.environment.items():
        monkeypatch.setenv(name, value)
    step = Spool.found(tmp_path)
    found: Any = (step.setup(), step.batch(0), step.n_batches)
    assert found == ({"token": "abracadabra"}, ["abracadabra"], 1)
    found = [handed for handed, _ in spool.handed_over(tmp_path / "0-1.results", 0)]
    assert found == [[], ["abracadabra"]]  # the last one is being written
    other = Spool(tmp_path, bytes(32))
    (tmp_path / "0.batch").write_bytes(other.frame([])[8:])
    (tmp_path / "0-1.results").write_bytes(other.frame([]))
    with pytest.raises(WorkerDiedError, match="somebody else"):
        step.batch(0)
    with pytest.raises(WorkerDiedError, match="somebody else"):
        next(spool.handed_over(tmp_path / "0-1.results", 0))


def test_steps_on_other_machines_find_the_key_in_the_folder(tmp_path, monkeypatch):
    """Workers of a cluster that was there before do not have the environment of the run."""
    monkeypatch.delenv("CURATOR_DAGSTER_KEY", raising=False)
    cluster = ("dask", {"cluster": {"existing": {"address": "tcp://10.0.0.1:8786"}}})
    spool = Spool.new(tmp_path, None, cluster, [])
    assert Spool.found(tmp_path) == spool
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
