"""What f3dasm's array tasks left uncollected, and other files of its that stand beside a table."""

from __future__ import annotations

import json
import logging
import pickle

import numpy as np
import pytest

from curator_core.errors import ConfigError
from curator_core.workflow import (
    CollectArrayResults,
    DataGenerator,
    Domain,
    ExperimentData,
    ExperimentSample,
    Reference,
    Step,
    Workflow,
    collect_results,
    open_rows,
    write_result,
)


class Ten(DataGenerator):
    def execute(self, experiment_sample):
        experiment_sample.store("y", 10.0)
        return experiment_sample


@pytest.fixture
def folder(tmp_path):
    domain = Domain()
    domain.add_float("x", 0.0, 1.0)
    folder = tmp_path / "job"
    ExperimentData(domain, [{"x": i / 4} for i in range(4)]).store(folder)
    return folder


def leave(folder, row, outputs, status="FINISHED", **inputs):
    content = {
        "input_data": inputs or {"x": row / 4},
        "output_data": outputs,
        "job_status": status,
        "project_dir": str(folder),
    }
    (folder / "experiment_sample").mkdir(exist_ok=True)
    (folder / "experiment_sample" / f"{row}.json").write_text(json.dumps(content, indent=2))


def reference(path):
    return {"__type__": "ReferenceValue", "reference": path, "load_function": pickle.dumps(print).hex()}


def statuses(folder):
    return [str(job) for job in ExperimentData.from_file(folder).jobs]


def test_results_are_taken_over(folder):
    """Numbers, texts, arrays and files arrive; f3dasm's texts of NumPy's integers are numbers; the files are gone."""
    array = folder / "experiment_data" / "field" / "0.npy"
    array.parent.mkdir()
    np.save(array, np.arange(3.0))
    leave(folder, 0, {"y": 2.5, "n": "3", "note": "flat", "field": reference("field/0.npy"), "list": [1, 2]})
    leave(folder, 1, {"n": "4", "note": "7 mm", "nothing": None})
    leave(folder, 2, {}, "ERROR")
    assert open_rows(folder) == [3]
    collect_results(folder)
    data = ExperimentData.from_file(folder)
    assert list(data.jobs) == ["finished", "finished", "error", "open"]
    assert "see its log" in data.failures[2].error
    first = data.get_experiment_sample(0)
    assert [first.get(name) for name in ("y", "n", "note")] == [2.5, 3, "flat"]
    assert [np.asarray(first.get(name)).tolist() for name in ("field", "list")] == [[0.0, 1.0, 2.0], [1, 2]]
    assert data.get_experiment_sample(1).output_data == {"n": 4, "note": "7 mm"}
    assert not (folder / "experiment_sample").exists()


def test_a_step_takes_them_before_it_evaluates(folder):
    """A parallel step evaluates what f3dasm did not."""
    leave(folder, 1, {"y": 1.0})
    Workflow(name="w", steps=[Step(Ten(), parallel=True)]).run(rootdir=folder.parent, project_job="job")
    assert ExperimentData.from_file(folder).to_pandas()[1]["y"].tolist() == [10.0, 1.0, 10.0, 10.0]


def test_tasks_at_work(folder):
    """A row that was at work is in progress, unless the table knows better."""
    data = ExperimentData.from_file(folder)
    data.mark(1, "finished", in_place=True).store()
    for row in (0, 1):
        leave(folder, row, {}, "IN_PROGRESS")
    collect_results(folder)
    assert statuses(folder) == ["in_progress", "finished", "open", "open"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[" * 100_000, "is no JSON"),
        ("{}", "no input_data"),
        ('{"input_data": {"x": 0.5}, "output_data": {}, "job_status": "FINISHED"}', "of another experiment: its 'x'"),
        ('{"input_data": {}, "output_data": {}, "job_status": "DONE"}', "Unknown .*job status"),
    ],
)
def test_records_that_are_none(folder, content, message, caplog):
    """A damaged record, or one of another table, is reported and left; the others are collected."""
    leave(folder, 0, {"y": 1.0})
    path = folder / "experiment_sample" / "3.json"
    path.write_text(content)
    with caplog.at_level(logging.WARNING):
        collected = collect_results(folder)
    assert collected.rows == (0,)
    assert list(collected.problems) == [str(path)]
    assert path.exists()
    assert message.split()[0] in collected.problems[str(path)]


@pytest.mark.parametrize(
    "outputs", [{"": 1}, {"y": "\ud800"}, {"\ud800": 1}, {"y": reference("../../../secret.npy")}, {"../y": [1.5]}]
)
def test_outputs_that_no_table_can_keep(folder, outputs):
    """They are the problem of their own record, here and among our results; the other row is collected."""
    leave(folder, 0, {"y": 1.0})
    leave(folder, 1, outputs)
    collected = collect_results(folder)
    assert collected.rows == (0,)
    assert [path.rpartition("/")[2] for path in collected.problems] == ["1.json"]
    path = write_result(folder, 2, {"y": 1.0})
    files = {name: one["reference"] for name, one in outputs.items() if isinstance(one, dict)}
    values = {name: one for name, one in outputs.items() if name not in files}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"outputs": values, "files": files}))
    assert str(path) in collect_results(folder).problems


def test_a_row_that_the_table_does_not_have(folder):
    """Its record is reported and left where it is."""
    leave(folder, 9, {"y": 1.0})
    assert "row 9, which the table does not have" in next(iter(collect_results(folder).problems.values()))
    assert (folder / "experiment_sample" / "9.json").exists()


def test_changes_in_memory_are_not_lost(folder):
    """Collecting into a table that was changed since it was read keeps the change, and the results."""
    data = ExperimentData.from_file(folder)
    data.get_experiment_sample(3).store("z", 1.5)
    write_result(folder, 0, {"y": 2.0})
    leave(folder, 1, {"y": 3.0})
    seen = data.update_from_experimentssample_json()
    assert list(seen.jobs)[:2] == ["finished", "finished"]
    assert (folder / "experiment_sample" / "1.json").exists()
    done = CollectArrayResults().call(data)
    assert done.get_experiment_sample(3).get("z") == 1.5
    assert [done.get_experiment_sample(row).get("y") for row in (0, 1)] == [2.0, 3.0]
    assert statuses(folder)[:2] == ["finished", "finished"]
    done.store()
    assert ExperimentData.from_file(folder) == done


def test_files_that_are_not_read_here(folder):
    """A column of pickles is there as references; the other columns are what they are."""
    files = folder / "experiment_data" / "model"
    files.mkdir()
    for row in range(4):
        (files / f"{row}.pkl").write_bytes(pickle.dumps([row]))
        leave(folder, row, {"y": 4.0 - row, "model": reference(f"model/{row}.pkl")})
    data = CollectArrayResults().call(ExperimentData.from_file(folder))
    assert data.get_n_best_output(1).index.tolist() == [3]
    assert data.to_pandas()[1]["y"].tolist() == [4.0, 3.0, 2.0, 1.0]
    assert data.to_pandas()[1]["model"][1] == Reference("model/1.pkl")
    assert data.to_numpy()[1].shape == (4, 2)
    sample = data.get_experiment_sample(1)
    assert sample.output_data == {"y": 3.0, "model": Reference("model/1.pkl")}
    assert sample.to_dict()["y"] == 3.0
    assert pickle.loads(Reference("model/1.pkl").file(folder).read_bytes()) == [1]
    with pytest.raises(ConfigError, match="reading a pickle runs what is in it"):
        sample.get("model")
    data.select([1]).store(folder.parent / "other")
    assert len(list((folder.parent / "other" / "experiment_data" / "model").iterdir())) == 1


def test_a_record_written_as_f3dasm_does(tmp_path):
    """It is read again, with the types of its values, and collected as a result of its row."""
    data = ExperimentData(input_data=[{"x": 1.5, "n": 2}], project_dir=tmp_path)
    data.store(tmp_path)
    sample = data.get_experiment_sample(0)
    sample.store("y", np.float64(2.5))
    sample.store("ok", np.bool_(True))
    sample.store("name", "a")
    sample.mark("finished")
    sample.store_as_json(0)
    path = tmp_path / "experiment_sample" / "0.json"
    assert ExperimentSample.from_json(path) == ExperimentSample.from_json(str(path)) == sample
    assert json.loads(path.read_text())["job_status"] == "FINISHED"
    collect_results(tmp_path)
    assert ExperimentData.from_file(tmp_path).get_experiment_sample(0).output_data["y"] == 2.5
    sample.store("y", np.arange(3))
    with pytest.raises(ConfigError, match=r"'y' cannot be written as JSON"):
        sample.store_as_json(0)
    for text in ("{", "[1]", '{"input_data": 1}', '{"input_data": {}, "output_data": {}, "job_status": "odd"}'):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        with pytest.raises(ConfigError, match=r"0\.json"):
            ExperimentSample.from_json(path)
