"""A generator called with a table: each row has its own outcome, in every mode, and the table given stays as it is."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

from curator_core.errors import ConfigError, ExperimentsNotFoundError
from curator_core.workflow import (
    CollectArrayResults,
    DataGenerator,
    Domain,
    ExperimentData,
    JobStatus,
    Step,
    Workflow,
    claim_open,
)


class Root(DataGenerator):
    """The root of x; fails below 0, and marks 0 as an error itself."""

    def execute(self, experiment_sample, scale=1.0, id=None):  # noqa: A002 - f3dasm's name
        x = experiment_sample.input_data["x"]
        experiment_sample.store("seen", os.getpid())
        if x == 0:
            experiment_sample.mark("error")
        elif x < 0:
            raise ValueError(f"{x} has no root")
        else:
            experiment_sample.store("y", scale * x**0.5)
        if id is not None:
            experiment_sample.store("row", id)
        return experiment_sample


class Gives(DataGenerator):
    """Stores what it was made with."""

    def __init__(self, value, **options):
        self.value = value
        self.options = options

    def execute(self, experiment_sample):
        experiment_sample.store("given", self.value, **self.options)
        return experiment_sample


class Forgets(DataGenerator):
    def execute(self, experiment_sample):
        return None


class Dies(DataGenerator):
    def execute(self, experiment_sample):
        if experiment_sample.get("x") == 1:
            os._exit(3)
        experiment_sample.store("y", 1.0)
        return experiment_sample


def table(*xs):
    domain = Domain()
    domain.add_float("x", -1.0, 100.0)
    return ExperimentData(domain, [{"x": x} for x in xs])


def outcomes(data):
    return list(data.jobs), [sample.output_data.get("y") for _, sample in data]


@pytest.mark.parametrize("mode", ["sequential", "parallel", "cluster", "Cluster"])
def test_a_failing_row_is_an_error_and_the_others_go_on(mode, tmp_path):
    """The row that fails has its reason, none of its outputs, and no other row or table suffers."""
    data = table(4.0, -1.0, 0.0, 9.0)
    data.mark(3, "finished", in_place=True).store(tmp_path)
    before = data.copy()
    options = {"nodes": 2} if mode == "parallel" else {}
    done = Root().call(data, mode=mode, pass_id=True, scale=2.0, **options)
    assert outcomes(done) == (["finished", "error", "error", "finished"], [4.0, None, None, None])
    assert done.failures[1].error == "ValueError: -1.0 has no root"
    assert "in execute" in done.failures[1].traceback
    assert done.get_experiment_sample(1).output_data == {}
    assert done.get_experiment_sample(0).get("row") == 0
    assert data == before
    assert (done.get_experiment_sample(0).get("seen") == os.getpid()) is (mode != "parallel")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"mode": "sequentail"}, r"Unknown mode 'sequentail'. Known: sequential"),
        ({"mode": "mpi"}, r"mode='cluster'"),
        ({"mode": "cluster_array"}, "job_number="),
        ({"nodes": 2}, r"nodes= goes with mode='parallel'"),
        ({"mode": "parallel", "max_tries": 2}, r"max_tries= goes with mode='cluster'"),
        ({"scael": 2.0}, "Root.execute.* would be called wrongly.*scael"),
        ({"mode": "parallel", "nodes": 0}, "positive number of workers"),
    ],
)
def test_what_a_call_cannot_do_is_refused_before_the_first_row(kwargs, message):
    """A misspelt mode, an option of another mode, an argument that `execute` does not take: no row is evaluated."""
    data = table(1.0)
    with pytest.raises(ConfigError, match=message):
        Root().call(data, **kwargs)
    assert list(data.jobs) == ["open"]


def test_an_argument_that_execute_names_is_its_own():
    """`nodes` of an `execute` that has such an argument reaches it."""

    class Nodes(DataGenerator):
        def execute(self, experiment_sample, nodes):
            experiment_sample.store("y", nodes)
            return experiment_sample

    assert outcomes(Nodes().call(table(1.0), nodes=3)) == (["finished"], [3])


def test_a_worker_that_dies_fails_its_row_alone():
    """A row that ends its process is an error; the others are finished."""
    done = Dies().call(table(0.0, 1.0, 2.0), mode="parallel", nodes=2)
    assert outcomes(done) == (["finished", "error", "finished"], [1.0, None, 1.0])


def test_a_generator_that_returns_nothing():
    """A forgotten return is the error of each row, and says so."""
    done = Forgets().call(table(1.0))
    assert "execute() gave None, no ExperimentSample" in done.failures[0].error


def test_many_processes_at_one_table(tmp_path):
    """Whoever calls it in mode cluster works on open rows of the table on disk that nobody holds."""
    table(1.0, 4.0, 9.0).store(tmp_path)
    with claim_open(tmp_path, 1) as (held,):
        done = Root().call(ExperimentData.from_file(tmp_path), mode="cluster")
        assert [job for job in done.jobs if job == "open"] == [done.jobs[held]]
    assert Root().call(done, mode="cluster").is_all_finished()
    with pytest.raises(ExperimentsNotFoundError):
        Root().call(ExperimentData(project_dir=tmp_path / "none"), mode="cluster")


def test_one_row_of_an_array(tmp_path):
    """A task evaluates its row; the table has it once results are collected, and nobody has to be told where."""
    table(1.0, 4.0).store(tmp_path)
    data = ExperimentData.from_file(tmp_path)
    Root().call(data, mode="cluster_array", job_number=1)
    assert outcomes(CollectArrayResults().call(data)) == (["open", "finished"], [None, 2.0])


def test_a_table_that_is_still_to_come(tmp_path):
    """A reader may wait for a table that another process is about to store, and for no longer than it says."""
    timer = threading.Timer(0.3, lambda: table(1.0).store(tmp_path))
    timer.start()
    assert len(ExperimentData.from_file(tmp_path, True)) == 1
    timer.join()
    with pytest.raises(ExperimentsNotFoundError):
        ExperimentData.from_file(tmp_path / "never", wait_for_creation=True, max_tries=0)


VALUES = {
    "one": np.array([9.0]),
    "one integer": np.array([[3]], dtype=np.int32),
    "many": np.array([1.0, 2.0]),
    "none": np.zeros((0, 2)),
    "texts": np.array(["a", "bc"]),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("mode", ["sequential", "cluster"])
@pytest.mark.parametrize("options", [{}, {"to_disk": True}])
def test_arrays_stay_arrays(name, mode, options, tmp_path):
    """An output that is an array comes back from disk with its shape and type, whether or not it was said to be one."""
    table(1.0, 2.0).store(tmp_path)
    done = Gives(VALUES[name], **options).call(ExperimentData.from_file(tmp_path), mode=mode)
    done.store(tmp_path)
    for data in (done, ExperimentData.from_file(tmp_path)):
        for _, sample in data:
            found: Any = sample.get("given")
            assert (found.shape, found.dtype) == (VALUES[name].shape, VALUES[name].dtype)
            assert np.array_equal(found, VALUES[name])
        assert data.to_pandas()[1]["given"][1].shape == VALUES[name].shape


@pytest.mark.parametrize("value", [np.array(9.5), np.float32(9.5), np.array([9.5], dtype=object)[0]])
def test_an_array_without_axes_is_a_number(value, tmp_path):
    """It is a cell of the table like any other number; with to_disk it comes back without axes."""
    Gives(value).call(table(1.0)).store(tmp_path)
    assert ExperimentData.from_file(tmp_path).get_experiment_sample(0).get("given") == 9.5
    Gives(value, to_disk=True).call(table(1.0)).store(tmp_path / "files")
    found = ExperimentData.from_file(tmp_path / "files").get_experiment_sample(0).get("given")
    assert (np.shape(found), float(found)) == ((), 9.5)


@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], (1,), {1}, b"x", np.array([{}, {}]), pd.Series([1.0])])
@pytest.mark.parametrize("options", [{}, {"to_disk": True}])
def test_what_no_table_can_keep_is_the_error_of_its_row(value, options, tmp_path):
    """It is no text of itself, and keeps no other row from being stored."""
    done = Gives(value, **options).call(table(1.0))
    assert done.failures[0].error.startswith("curator_core.errors.ConfigError: Output 'given'")
    done.store(tmp_path)
    assert list(ExperimentData.from_file(tmp_path).jobs) == ["error"]


def test_numbers_and_arrays_in_one_column(tmp_path):
    """Rows may differ in whether an output has axes; texts among arrays are refused, since they would be paths."""

    class Mixed(DataGenerator):
        def execute(self, experiment_sample):
            x = experiment_sample.get("x")
            experiment_sample.store("y", [2.5, np.array([1.0]), "flat"][int(x)])
            return experiment_sample

    done = Mixed().call(table(0.0, 1.0, 0.0))
    done.store(tmp_path)
    found = [sample.get("y") for _, sample in ExperimentData.from_file(tmp_path)]
    assert [(np.shape(one), float(np.sum(one))) for one in found] == [((), 2.5), ((1,), 1.0), ((), 2.5)]
    assert "both texts and arrays" in Mixed().call(table(2.0, 1.0)).failures[1].error


def test_arrays_of_a_new_table(tmp_path):
    """Arrays among the rows that a table is made of are files of their own, too."""
    rows = [{"x": 1.0, "field": np.array([[2.0]])}, {"x": 2.0, "field": np.zeros(3)}]
    ExperimentData(input_data=rows, output_data=[{"y": np.array(1.5)}, {"y": 2.5}]).store(tmp_path)
    data = ExperimentData.from_file(tmp_path)
    assert [np.shape(sample.get("field")) for _, sample in data] == [(1, 1), (3,)]
    assert data.to_pandas()[1]["y"].tolist() == [1.5, 2.5]


def test_a_parallel_step_tells_rows_their_numbers_and_keeps_reasons(tmp_path):
    """Arguments of a call hold for a step as well; a mode is refused, as the step spreads the rows."""
    table(4.0, -1.0, 0.0).store(tmp_path / "job")
    Workflow(name="w", steps=[Step(Root(), parallel=True, kwargs={"pass_id": True})]).run(
        rootdir=tmp_path, project_job="job"
    )
    data = ExperimentData.from_file(tmp_path / "job")
    assert outcomes(data) == (["finished", "error", "error"], [2.0, None, None])
    assert "has no root" in data.failures[1].error
    assert data.get_experiment_sample(0).get("row") == 0
    table(4.0).store(tmp_path / "other")
    step = Step(Root(), parallel=True, kwargs={"mode": "parallel"})
    with pytest.raises(ConfigError, match="spreads the rows itself"):
        Workflow(name="w", steps=[step]).run(rootdir=tmp_path, project_job="other")


def test_a_row_that_is_opened_again_keeps_its_file(tmp_path):
    """An array of an earlier attempt does not keep a second one from being written."""
    table(1.0).store(tmp_path)
    data = Gives(np.ones(2)).call(ExperimentData.from_file(tmp_path))
    data.mark_all(JobStatus.OPEN, in_place=True).store()
    again = Root().call(data, mode="cluster")
    assert np.asarray(again.get_experiment_sample(0).get("given")).tolist() == [1.0, 1.0]
    assert again.get_experiment_sample(0).get("y") == 1.0


@pytest.mark.parametrize("mode", ["sequential", "parallel", "cluster"])
def test_an_input_changed_by_the_experiment(mode, tmp_path):
    """The table has it, or the row says that it was lost; never neither."""

    class Moves(DataGenerator):
        def execute(self, experiment_sample):
            experiment_sample.store("x", 5.0, which="input")
            return experiment_sample

    table(1.0).store(tmp_path)
    done = Moves().call(ExperimentData.from_file(tmp_path), mode=mode)
    if mode == "cluster":
        assert "changed its input 'x'" in done.failures[0].error
    else:
        assert done.get_experiment_sample(0).get("x") == 5.0
