"""Run by the interpreter that has f3dasm: reads, writes and edits a project folder, and says what is in it."""

import json
import sys
from pathlib import Path

import numpy as np
from f3dasm import DataGenerator, ExperimentData, ExperimentSample
from f3dasm.design import Domain


def write(folder):
    domain = Domain()
    domain.add_float("x", 0.5, 10.0, log=True)
    domain.add_int("k", 0, 10, 2)
    domain.add_category("material", ["steel", "7", 7, 2.5])
    domain.add_constant("rate", 3)
    domain.add_parameter("note")
    domain.add_output("y")
    rows = [
        {"x": 0.1 + 0.2 + 1, "k": 4, "material": "steel", "rate": 3, "note": 'a "quoted", note\nof two lines'},
        {"x": 2.0, "k": 6, "material": "7", "rate": 3, "note": "ünïcode"},
        {"x": 7.25, "k": 8, "material": 2.5, "rate": 3, "note": "NA"},
    ]
    outputs = [{"y": 1.5}, {}, {"y": float("inf")}]
    data = ExperimentData.from_data(
        {i: ExperimentSample(_input_data=rows[i], _output_data=outputs[i]) for i in range(3)},
        domain=domain,
    )
    data.mark(2, "error", in_place=True)
    data.store(folder)


def edit(folder):
    data = ExperimentData.from_file(folder)
    for index, sample in data:
        sample.store("z", index + 0.5)
        sample.mark("finished")
        data.store_experimentsample(sample, index)
    data.add_experiments(ExperimentSample(_input_data={"x": 1.25, "k": 2}), in_place=True)
    data.store()


def leave(folder):
    """Array tasks whose results nobody has collected: numbers, a text, an array and a pickle in files, an error."""
    domain = Domain()
    domain.add_float("x", 0.0, 1.0)
    data = ExperimentData(domain=domain, input_data=[{"x": 0.1}, {"x": 0.2}, {"x": 0.3}], project_dir=folder)
    data.store()
    LeavesResults().call(data, mode="cluster_array", job_number=0)
    LeavesResults().call(data, mode="cluster_array", job_number=1)


class LeavesResults(DataGenerator):
    def execute(self, experiment_sample):
        if experiment_sample.input_data["x"] == 0.2:
            raise ValueError("diverged")
        experiment_sample.store("y", 0.5)
        experiment_sample.store("n", np.int64(3))
        experiment_sample.store("note", "flat")
        experiment_sample.store("field", np.array([1.5]), to_disk=True)
        experiment_sample.store("model", {"layers": 2}, to_disk=True)
        return experiment_sample


def show(folder):
    data = ExperimentData.from_file(folder)
    spaces = (data.domain.input_space, data.domain.output_space)
    return {
        "domain": [{name: type(one).__name__ for name, one in space.items()} for space in spaces],
        "parameters": [[repr(one) for one in space.values()] for space in spaces],
        "inputs": [sample._input_data for _, sample in data],
        "outputs": [{n: v.tolist() if hasattr(v, "tolist") else v for n, v in s.output_data.items()} for _, s in data],
        "jobs": list(data.jobs),
    }


if __name__ == "__main__":
    action, folder = sys.argv[1:]
    if action != "show":
        {"write": write, "edit": edit, "leave": leave}[action](Path(folder))
    json.dump(show(folder), sys.stdout, default=lambda value: value.item())
