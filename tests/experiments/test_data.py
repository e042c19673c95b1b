"""The table in memory: made from any data, selected, marked, added to, and changed through its records."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.workflow import Domain, ExperimentData, ExperimentSample


@pytest.fixture
def data():
    rows = [{"x": i / 2, "name": "abc"[i]} for i in range(3)]
    return ExperimentData(input_data=rows, output_data=[{"y": 3.0}, {"y": 1.0}, {}])


def test_data_frames_arrays_and_rows_are_the_same_table():
    """Inputs may come as a data frame, as an array in the domain's order, or as rows."""
    domain = Domain()
    domain.add_float("a", 0, 9)
    domain.add_float("b", 0, 9)
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    frame = pd.DataFrame(array, columns=["a", "b"], index=[7, 7])
    rows = [{"a": np.float64(1), "b": 2}, {"a": 3, "b": 4.0}]
    tables = [ExperimentData(domain, given) for given in (array, frame, rows)]
    assert tables[0] == tables[1] == tables[2]
    assert tables[0].to_pandas()[0].dtypes.tolist() == [np.float64] * 2
    assert tables[0].to_numpy()[0].tolist() == array.tolist()
    with pytest.raises(ConfigError, match=r"shape \(2, 1\); the domain names 2: a, b"):
        ExperimentData(domain, array[:, :1])


def test_status_follows_outputs(data):
    """Without statuses, a row with outputs is finished, another open."""
    assert list(data.jobs) == ["finished", "finished", "open"]
    assert not data.is_all_finished()
    assert data.mark_all("finished").is_all_finished()


def test_selections_keep_row_numbers(data):
    """A selection holds the same rows under the same numbers; the best come first."""
    assert list(data.select_with_status("open").index) == [2]
    assert list(data.select([2, 0]).index) == [2, 0]
    assert data[1].get_experiment_sample(1).get("name") == "b"
    assert list(data.get_n_best_output(1).index) == [1]
    with pytest.raises(IndexError, match="no experiment 9; the table has 3"):
        data.select([0, 9])
    with pytest.raises(ConfigError, match="no output 'z', only y"):
        data.get_n_best_output(1, "z")


def test_marking_makes_a_new_table(data):
    """The table marked stays as it was, unless it is to be changed in place."""
    marked = data.mark([0, 2], "ERROR")
    assert list(marked.jobs) == ["error", "finished", "error"]
    assert list(data.jobs) == ["finished", "finished", "open"]
    assert data.mark(0, "open", in_place=True) is data
    assert list(data.jobs) == ["open", "finished", "open"]
    with pytest.raises(UnknownNameError, match=r"job status 'done'\. Known: .*finished"):
        data.mark(0, "done")


def test_records_change_their_table(data):
    """What is stored in a record or marked on it is in the table, but not from a copy in another process."""
    for index, sample in data:
        sample.store("z", index * 2)
        sample.mark("in_progress")
    assert data.to_pandas()[1]["z"].tolist() == [0, 2, 4]
    assert set(data.jobs) == {"in_progress"}
    assert data.domain.output_names == ["y", "z"]
    sample = data.get_experiment_sample(0)
    copy = pickle.loads(pickle.dumps(sample))
    copy.store("z", 100)
    assert sample.get("z") == data.get_experiment_sample(0).get("z") == 0
    data.store_experimentsample(copy, 2)
    assert data.get_experiment_sample(2).to_dict() == {"x": 0.0, "name": "a", "y": 3.0, "z": 100}
    with pytest.raises(KeyError, match="no value 'q', only x, name, y, z"):
        copy.get("q")


def test_a_copy_of_a_table_is_its_own(data):
    """Changes of a copy, a selection or a sum do not reach the table they were made from."""
    for other in (data.mark([], "open"), data.select([0, 1, 2]), data + data, data.reset_index()):
        other.get_experiment_sample(0).store("y", -1.0)
        other.get_experiment_sample(0).store("new", 1)
    assert data.get_experiment_sample(0).output_data == {"y": 3.0}
    assert data.domain.output_names == ["y"]


def test_sums_number_rows_anew(data):
    """A sum has the rows of both from 0 on; added experiments follow the highest number."""
    both = data.select([2]) + ExperimentData(input_data=[{"w": True}])
    assert list(both.index) == [0, 1]
    assert [sample.input_data for _, sample in both] == [{"x": 1.0, "name": "c"}, {"w": True}]
    more = data.select([2]).add_experiments(ExperimentSample({"x": 5.0}))
    assert list(more.index) == [2, 3]
    assert more.add_experiments(data).get_experiment_sample(4).input_data == {"x": 0.0, "name": "a"}


def test_records_by_number(data):
    """A table of records is the table they came from."""
    assert ExperimentData.from_data(dict(data)) == data
    assert ExperimentData.from_data({5: ExperimentSample({"x": 1})}).index.tolist() == [5]


def test_values_in_files_survive_new_numbers_and_folders(tmp_path):
    """An array in a file of its own stays that of its row, whatever other rows and tables become."""

    def stored(folder, start):
        table = ExperimentData(input_data=[{"x": start + i} for i in range(3)], project_dir=tmp_path / folder)
        for _, sample in table:
            sample.store("field", np.full(2, sample.get("x")), to_disk=True)
        table.store()
        return ExperimentData.from_file(tmp_path / folder)

    first, second = stored("first", 0), stored("second", 10)
    both = second.select([2]) + first.select([1, 2]) + second.select([0])
    both.get_experiment_sample(0).store("field", np.full(2, 99), to_disk=True)
    both.store(tmp_path / "both")
    for folder, expected in (("both", [99, 1, 2, 10]), ("first", [0, 1, 2]), ("second", [10, 11, 12])):
        found = ExperimentData.from_file(tmp_path / folder)
        assert [np.asarray(sample.get("field")).tolist() for _, sample in found] == [[x] * 2 for x in expected]
        assert found.to_pandas(keep_references=True)[1]["field"].str.startswith("field/").all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": "wide"}, r"input data, row 0, 'x': 'wide' is no number"),
        ({"k": 1.5}, r"row 0, 'k': 1\.5 is no integer"),
        ({"c": "q"}, r"row 0, 'c': 'q' is none of"),
        ({"one": 2}, r"row 0, 'one': 2 is not the constant 1"),
        ({"v": [1.0]}, r"row 0, 'v': \[1\.0\] has the shape \(1,\), not \(2,\)"),
        ({"other": 1}, r"column 'other', which the domain does not"),
    ],
)
def test_values_are_checked_against_the_domain(row, message):
    """A value that its parameter does not take is refused with its row, when the table is made and when it changes."""
    domain = Domain()
    domain.add("x", "float", low=0, high=1)
    domain.add("k", "int", low=0, high=9)
    domain.add("c", "category", categories=["p"])
    domain.add("one", "constant", value=1)
    domain.add("v", "array", shape=2)
    with pytest.raises(ConfigError, match=message):
        ExperimentData(domain, [row])
    data = ExperimentData(domain, [{}])
    [(name, value)] = row.items()
    with pytest.raises(ConfigError, match=message):
        data.get_experiment_sample(0).store(name, value, which="input")
    assert data.get_experiment_sample(0).input_data == {}


def test_numbers_of_rows_must_agree():
    """Inputs, outputs and statuses of different length are refused."""
    with pytest.raises(ConfigError, match="2 rows of inputs, 1 of outputs, 1 job statuses"):
        ExperimentData(input_data=[{}, {}], output_data=[{}])


@pytest.mark.parametrize("sampler", ["random", "latin", "sobol"])
def test_designs_fill_the_domain(sampler):
    """A design has the wanted number of points, within bounds, evenly spread, and the same for the same seed."""
    domain = Domain()
    domain.add_float("x", -1.0, 1.0)
    domain.add_float("scale", 1e-3, 1e3, log=True)
    domain.add_int("k", 0, 6, 3)
    domain.add_category("c", ["p", "q"])
    domain.add_constant("one", 1)
    domain.add_array("v", (2, 2), 0.0, 5.0)
    data = ExperimentData.from_sampling(sampler, domain, 64, seed=3)
    assert data == ExperimentData.from_sampling(sampler, domain, 64, seed=3)
    assert data != ExperimentData.from_sampling(sampler, domain, 64, seed=4)
    inputs = data.to_pandas()[0]
    assert len(inputs) == 64
    assert inputs["x"].between(-1, 1).all()
    assert (inputs["scale"] < 1).sum() in range(16, 49)
    assert set(inputs["k"]) == {0, 3, 6}
    assert set(inputs["c"]) == {"p", "q"}
    assert set(inputs["one"]) == {1}
    assert np.stack(inputs["v"]).shape == (64, 2, 2)
    if sampler != "random":
        assert np.histogram(inputs["x"], bins=8, range=(-1, 1))[0].tolist() == [8] * 8


def test_a_grid_has_every_combination():
    """A grid takes every category and integer, and as many points of a real input as wanted."""
    domain = Domain()
    domain.add_float("x", 0.0, 1.0)
    domain.add_int("k", 1, 2)
    domain.add_category("c", ["p", "q"])
    inputs = ExperimentData.from_sampling("grid", domain, steps={"x": 3}).to_pandas()[0]
    assert sorted(inputs.itertuples(index=False, name=None)) == [
        (x, k, c) for x in (0.0, 0.5, 1.0) for k in (1, 2) for c in ("p", "q")
    ]


def test_bad_designs():
    """An unknown sampler, no number of samples, and an input without bounds are refused."""
    domain = Domain()
    domain.add_float("x")
    for arguments, message in (
        (("latin", domain, 3), "Input 'x' has no finite bounds"),
        (("latin", domain), "n_samples must be 1 or more, not None"),
        (("latine", domain, 3), "Unknown sampler 'latine'. Known: latin,"),
        (("grid", domain, 3), "give steps="),
    ):
        with pytest.raises(ConfigError, match=message):
            ExperimentData.from_sampling(*arguments)


def test_without_pandas_the_extra_is_named():
    """Where pandas is missing, the error says what to install."""
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from curator_core.workflow import ExperimentData\n"
        "try: ExperimentData()\n"
        "except ImportError as exc: print(exc)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs pandas. Install it with: pip install 'curator-dagster[workflow]'" in done.stdout
