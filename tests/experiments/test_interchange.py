"""Tables that the published f3dasm and curator write, read and edit in turn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curator_core.workflow import (
    CategoricalParameter,
    ConstantParameter,
    ContinuousParameter,
    DiscreteParameter,
    Domain,
    ExperimentData,
    Parameter,
    collect_results,
)

NOTE = 'a "quoted", note\nof two lines'


def test_reads_what_f3dasm_wrote(f3dasm, tmp_path):
    """Domain, values with their types, and statuses are those that f3dasm stored."""
    f3dasm("write", tmp_path)
    data = ExperimentData.from_file(tmp_path)
    assert data.domain.input_space == {
        "x": ContinuousParameter(0.5, 10.0, log=True),
        "k": DiscreteParameter(0, 10, 2),
        "material": CategoricalParameter(["steel", "7", 7, 2.5]),
        "rate": ConstantParameter(3),
        "note": Parameter(),
    }
    assert data.domain.output_space == {"y": Parameter()}
    assert list(data.jobs) == ["finished", "open", "error"]
    rows = [sample.input_data for _, sample in data]
    assert rows[0] == {"x": 0.1 + 0.2 + 1, "k": 4, "material": "steel", "rate": 3, "note": NOTE}
    assert rows[1]["note"] == "ünïcode"
    assert rows[2]["note"] == "NA"
    assert [type(row["k"]) for row in rows] == [int] * 3
    assert [row["material"] for row in rows] == ["steel", "7", 2.5]
    assert [sample.output_data for _, sample in data] == [{"y": 1.5}, {}, {"y": math.inf}]


def test_f3dasm_reads_what_curator_wrote(f3dasm, tmp_path):
    """f3dasm sees the same parameters, values and statuses, an array in a file of its own included."""
    domain = Domain()
    domain.add_float("x", 0.5, 10.0, log=True)
    domain.add_int("k", 0, 10, 2)
    domain.add_category("material", ["steel", 2.5])
    domain.add_array("v", (2,), 0.0, 1.0)
    rows = [
        {"x": 1.5, "k": 2, "material": "steel", "v": np.array([0.25, 0.5])},
        {"x": 2.5, "k": 4, "material": 2.5, "v": np.array([0.75, 0.5])},
    ]
    data = ExperimentData(domain, rows, project_dir=tmp_path)
    sample = data.get_experiment_sample(1)
    sample.store("y", 0.125)
    sample.store("note", NOTE)
    sample.store("field", np.arange(3.0), to_disk=True)
    sample.mark("finished")
    data.store()
    seen = f3dasm("show", tmp_path)
    assert seen["domain"] == [
        {
            "x": "ContinuousParameter",
            "k": "DiscreteParameter",
            "material": "CategoricalParameter",
            "v": "ArrayParameter",
        },
        {"y": "Parameter", "note": "Parameter", "field": "Parameter"},
    ]
    assert "lower_bound=0.5, upper_bound=10.0, log=True" in seen["parameters"][0][0]
    assert [(row["x"], row["k"], row["material"]) for row in seen["inputs"]] == [(1.5, 2, "steel"), (2.5, 4, "2.5")]
    assert seen["outputs"] == [{}, {"y": 0.125, "note": NOTE, "field": [0.0, 1.0, 2.0]}]
    assert seen["jobs"] == ["OPEN", "FINISHED"]
    assert ExperimentData.from_file(tmp_path) == data


@pytest.mark.campaign
def test_edits_in_turn(f3dasm, tmp_path):
    """After an edit by each, the other reads the whole table again, and nothing of it has changed on the way."""
    f3dasm("write", tmp_path)
    data = ExperimentData.from_file(tmp_path)
    first = [sample.input_data for _, sample in data]
    data.mark([0, 1], "in_progress", in_place=True).store()
    assert f3dasm("show", tmp_path)["jobs"] == ["IN_PROGRESS", "IN_PROGRESS", "ERROR"]

    f3dasm("edit", tmp_path)
    edited = ExperimentData.from_file(tmp_path)
    assert list(edited.jobs) == ["finished"] * 3 + ["open"]
    assert [sample.output_data.get("z") for _, sample in edited] == [0.5, 1.5, 2.5, None]
    assert edited.get_experiment_sample(3).input_data == {"x": 1.25, "k": 2}
    kept = [sample.input_data for _, sample in edited][:2]
    assert kept == first[:2]

    edited.mark(3, "error", in_place=True).store()
    assert f3dasm("show", tmp_path)["jobs"] == ["FINISHED"] * 3 + ["ERROR"]
    assert ExperimentData.from_file(tmp_path) == edited


def test_results_that_f3dasm_left(f3dasm, tmp_path):
    """What its array tasks wrote is collected; f3dasm reads that table, and arrays that it was not told of."""
    f3dasm("leave", tmp_path)
    collect_results(tmp_path)
    data = ExperimentData.from_file(tmp_path)
    assert list(data.jobs) == ["finished", "error", "open"]
    assert np.asarray(data.get_experiment_sample(0).get("field")).tolist() == [1.5]
    assert [data.get_experiment_sample(0).get(name) for name in ("y", "n", "note")] == [0.5, 3, "flat"]
    assert data.get_n_best_output(1).index.tolist() == [0]
    data.get_experiment_sample(2).store("undeclared", np.array([[2.0]]))
    data.store()
    seen = f3dasm("show", tmp_path)
    assert seen["jobs"] == ["FINISHED", "ERROR", "OPEN"]
    assert seen["outputs"][0]["model"] == {"layers": 2}
    assert seen["outputs"][2]["undeclared"] == [[2.0]]


@pytest.mark.parametrize("n", [0, 1])
def test_small_tables(f3dasm, tmp_path, n):
    """A table without rows, and one with a single row and no output, are tables for both."""
    ExperimentData(input_data=[{"x": 0.5}] * n, project_dir=tmp_path).store()
    assert f3dasm("show", tmp_path)["jobs"] == ["OPEN"] * n


def test_pickles_of_f3dasm_are_kept_but_never_opened(tmp_path):
    """A stored function in domain.json is written back as it is; what it would run is not run."""
    text = '{"input_space": {}, "output_space": {"y": {"type": "object", "to_disk": true, "load_function": "80049"}}}'
    domain = Domain.from_json(text, "domain.json")
    assert domain.to_dict()["output_space"]["y"]["load_function"] == "80049"
