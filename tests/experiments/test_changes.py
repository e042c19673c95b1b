"""Tables made of tables, records of their own, and the other forms of both."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pandas as pd
import pytest

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.workflow import Domain, ExperimentData, ExperimentSample


@pytest.fixture
def data():
    domain = Domain()
    domain.add_float("x", 0.0, 10.0)
    domain.add_category("c", ["p", 2.25])
    rows = [{"x": 1.26, "c": "p"}, {"x": 3.14, "c": 2.25}, {"x": 2.0, "c": "p"}]
    return ExperimentData(domain, rows, [{"y": 3.0}, {"y": 1.04}, {}])


def test_rows_in_order(data):
    """Sorted rows keep their numbers; the last ones can be removed."""
    assert data.sort(lambda sample: sample.get("x"), reverse=True).index.tolist() == [1, 2, 0]
    assert data.remove_rows_bottom(2).index.tolist() == [0]
    with pytest.raises(ConfigError, match="4 rows cannot be removed from a table of 3"):
        data.remove_rows_bottom(4)
    assert data.remove_rows_bottom(1, True) is data
    assert len(data) == 2


def test_numbers_changed(data):
    """Real numbers are rounded, categories are not; only what is not a number is replaced, not what is missing."""
    rounded = data.round(1)
    assert rounded.to_pandas()[0].to_numpy().tolist() == [[1.3, "p"], [3.1, 2.25], [2.0, "p"]]
    assert rounded.get_experiment_sample(1).get("y") == 1.0
    data.get_experiment_sample(0).store("y", math.nan)
    assert data.replace_nan(0.0).to_pandas()[1]["y"].tolist()[:2] == [0.0, 1.04]
    assert data.replace_nan(0.0).get_experiment_sample(2).output_data == {}


def test_parameters_chosen_and_moved(data):
    """A parameter can stand alone, or change sides, with its values and its domain."""
    alone = data.select_parameter("y")
    assert (alone.domain.input_names, alone.domain.output_names) == ([], ["y"])
    assert list(alone.jobs) == list(data.jobs)
    assert data.select_parameter("c").domain.input_space == {"c": data.domain.input_space["c"]}
    moved = data.move_to_output("x")
    assert moved.get_experiment_sample(1).output_data == {"y": 1.04, "x": 3.14}
    assert moved.move_to_input("x").to_pandas()[0]["x"].tolist() == [1.26, 3.14, 2.0]
    assert data.move_to_input("y", in_place=True).domain.output_names == []
    for call in (data.move_to_output, data.move_to_input, data.select_parameter):
        with pytest.raises(ConfigError, match="'nothing'"):
            call("nothing")


def test_tables_side_by_side(data):
    """Joined tables have the parameters of both; rows that disagree are refused."""
    other = ExperimentData(input_data=[{"x": 1.26}, {"x": 3.14}, {"x": 2.0}], output_data=[{"z": i} for i in range(3)])
    joined = data.join(other)
    assert joined.domain.input_space == data.domain.input_space
    assert joined.to_pandas()[1].columns.tolist() == ["y", "z"]
    assert joined.is_all_finished()
    assert ExperimentData().join(data) == data
    with pytest.raises(ConfigError, match=r"Row 0 has two values of 'x': 1\.26 and 5\.0"):
        data.join(ExperimentData(input_data=[{"x": 5.0}] * 3))
    with pytest.raises(ConfigError, match="3 and 1 rows"):
        data.join(data.select([0]))


def test_a_row_at_a_time(data, tmp_path):
    """The first open row is handed out and in progress then; a table may be told its folder."""
    index, sample, domain = data.get_open_job()
    assert (index, sample.get("x"), domain) == (2, 2.0, data.domain)
    assert data.jobs[2] == "in_progress"
    assert data.get_open_job()[0] is None
    assert data.set_project_dir(tmp_path).project_dir == tmp_path != data.project_dir


def test_more_experiments_belong_to_the_parameters_of_the_table(data):
    """Values without types become what the table knows, in either order; a value of another kind is refused."""
    more = data.add_experiments(ExperimentSample({"x": 5, "c": 2.25}))
    assert more.domain == data.domain
    assert more.to_pandas()[0]["x"].tolist() == [1.26, 3.14, 2.0, 5.0]
    assert list(more.jobs) == ["finished", "finished", "open", "open"]
    plain = ExperimentData.from_data({0: ExperimentSample({"x": 5, "c": "p"}, {"new": 1})})
    assert (plain + data).domain == (data + plain).domain
    assert data.add_experiments(ExperimentSample({"x": 5}), True) is data
    for wrong, message in ((ExperimentSample({"c": "q"}), "'q' is none of"), ({"x": 1}, "ExperimentSample or Exp")):
        with pytest.raises(ConfigError, match=message):
            data.add_experiments(wrong)


def test_files_stay_files_in_a_sum(tmp_path):
    """A column that is in files in one table and empty in the other is in files in both sums."""
    files = ExperimentData(input_data=[{"x": 1.0}], output_data=[{"f": np.ones(1)}], project_dir=tmp_path / "a")
    files.store()
    files = ExperimentData.from_file(tmp_path / "a")
    empty = ExperimentData(files.domain, [{"x": 2.0}])
    empty.domain.output_space.pop("f")
    empty.domain.add_output("f")
    for i, both in enumerate((files + empty, empty + files)):
        both.store(tmp_path / str(i))
        found = ExperimentData.from_file(tmp_path / str(i)).get_experiment_sample(i)
        assert np.asarray(found.get("f")).tolist() == [1.0]


def test_rows_by_slice_and_by_truth(data):
    """A slice takes rows in order, a truth value for each row those that are true; anything else is refused."""
    assert data[0:2].index.tolist() == [0, 1]
    assert data.select([2, 0])[1:].index.tolist() == [0]
    for mask in (data.jobs == "finished", [True, True, False], np.array([True, True, False])):
        assert data[mask].index.tolist() == [0, 1]
    for wrong in ([True], [1.5], ["1"], [True, 1, 2], "01"):
        with pytest.raises(ConfigError):
            data.select(wrong)
    assert data.mark(slice(0, 2), "open", True) is data
    assert list(data.mark_all("error", True).jobs) == ["error"] * 3


def test_a_record_put_with_another_domain(data):
    """Storing a record may change the domain, as f3dasm has it."""
    domain = data.domain.copy()
    domain.add_output("z")
    data.store_experimentsample(data.get_experiment_sample(0), 0, domain=domain)
    assert data.domain.output_names == ["y", "z"]


def test_other_forms(data):
    """One frame with statuses, its HTML, the records by number, which cannot be changed behind the table's back."""
    shown = data.to_multiindex()
    assert shown.columns.tolist() == [("jobs", ""), ("input", "x"), ("input", "c"), ("output", "y")]
    assert shown["input", "x"].tolist() == [1.26, 3.14, 2.0]
    assert "<table" in data._repr_html_()
    assert data.data[1] == data.get_experiment_sample(1)
    with pytest.raises(TypeError):
        data.data[1] = ExperimentSample()


def test_xarray_is_named_where_it_is_missing(data):
    """The labelled arrays have a row per experiment; without xarray the error says what to install."""
    if importlib.util.find_spec("xarray") is None:
        with pytest.raises(MissingDependencyError, match=r"to_xarray\(\) needs xarray\. .*curator-dagster\[xarray\]"):
            data.to_xarray()
    else:
        assert data.to_xarray()["output"].sizes == {"iterations": 3, "output_dim": 1}


def test_tables_from_files(data, tmp_path):
    """Inputs, outputs, statuses and domain may be the paths of files, with or without their endings."""
    data.mark(2, "error").store(tmp_path)
    folder = tmp_path / "experiment_data"
    paths = {"domain": folder / "domain", "input_data": str(folder / "input"), "output_data": folder / "output.csv"}
    made = ExperimentData(**paths, jobs=folder / "jobs.csv")
    assert made == ExperimentData.from_yaml({"from_file": str(tmp_path)})
    assert ExperimentData.from_yaml({"input_data": [{"x": 1}]}).to_pandas()[0]["x"].tolist() == [1]
    data.to_pandas()[0].to_csv(tmp_path / "pandas.csv")
    assert ExperimentData(data.domain, tmp_path / "pandas.csv").to_pandas()[0].equals(data.to_pandas()[0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("x,y\n1,2\n", "begins with the column 'x', where row numbers"),
        (",x\n0,1\n0,2\n", "row 0 twice"),
        (",x\n1_0,1\n", "'1_0' is no row number"),
        (b",x\n0,\xff\n", "no text in UTF-8"),
        (None, "There is no file"),
    ],
)
def test_files_that_are_no_tables(content, message, tmp_path):
    """A file that is damaged, missing or of another layout is named."""
    if content is not None:
        (tmp_path / "rows.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message) as caught:
        ExperimentData(input_data=tmp_path / "rows.csv")
    assert "rows.csv" in str(caught.value)


def test_what_is_no_data():
    """Data of another kind are refused with what is expected."""
    for wrong in (5, ["x"], {"x": [1]}):
        with pytest.raises(ConfigError, match="input_data is a data frame, an array"):
            ExperimentData(input_data=wrong)
    with pytest.raises(ConfigError, match="cannot be made of"):
        ExperimentData.from_yaml({"inputs": []})


def test_the_best_rows_need_their_column_alone(data):
    """An output that is no number is refused by name; others do not matter."""
    data.get_experiment_sample(0).store("note", "flat")
    assert data.get_n_best_output(1).index.tolist() == [1]
    assert data.column("note").tolist()[0] == "flat"
    with pytest.raises(ConfigError, match="Output 'note' has values that are no numbers"):
        data.get_n_best_output(1, "note")
    with pytest.raises(ConfigError, match="Unknown parameter 'q'"):
        data.column("q")


def test_frames_keep_types(data):
    """A frame of one's own can be changed without changing the table."""
    inputs, _ = data.to_pandas()
    inputs.loc[0, "x"] = 9.0
    assert data.get_experiment_sample(0).get("x") == 1.26
    assert isinstance(inputs, pd.DataFrame)
