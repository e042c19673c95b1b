"""Values keep their type and their number through tables, files of their own and files that people edited."""

from __future__ import annotations

import enum
import json

import numpy as np
import pandas as pd
import pytest

from curator_core.errors import ConfigError
from curator_core.workflow import DataGenerator, Domain, ExperimentData, ExperimentSample


class Size(int, enum.Enum):
    """An enumeration whose members are numbers, and whose texts are not."""

    LARGE = 7


class Given(DataGenerator):
    """Stores what it is told to."""

    def execute(self, experiment_sample, value=None, to_disk=False):
        experiment_sample.store("y", value, to_disk=to_disk)
        return experiment_sample


def stored(folder, value, **options):
    data = ExperimentData(input_data=[{"x": 1.0}], project_dir=folder)
    data.get_experiment_sample(0).store("y", value, **options)
    data.store()
    return ExperimentData.from_file(folder)


def table(folder):
    domain = Domain()
    domain.add_float("x", 0.0, 1.0)
    domain.add_category("c", ["a", "b"])
    domain.add_output("y")
    inputs = [{"x": i / 8, "c": "ab"[i % 2]} for i in range(3)]
    ExperimentData(domain, inputs, [{"y": i + 0.5} for i in range(3)], project_dir=folder).store()
    return folder / "experiment_data"


def rewritten(path, change):
    path.write_bytes(change(path.read_bytes().decode()).encode())


def as_others_write(folder):
    """Without the quotes by which texts are told from numbers."""
    for name in ("input.csv", "output.csv", "jobs.csv"):
        rewritten(folder / name, lambda text: text.replace('"', ""))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(Size.LARGE, 7), (np.array(2.5), 2.5), (np.str_("t"), "t"), (np.bool_(True), True), (2**70, 2**70)],
)
def test_odd_scalars_are_plain_ones(tmp_path, value, expected):
    """A member of an enumeration is stored as its number, not as its name."""
    found = stored(tmp_path, value).get_experiment_sample(0).get("y")
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    "value",
    [np.datetime64(1, "ns"), np.timedelta64(5, "ns"), np.array(5, "m8[ns]"), pytest.param(10**5000, id="digits")],
)
def test_what_a_table_cannot_keep_is_the_rows_error(tmp_path, value):
    """A time in nanoseconds is no integer, and an integer may be too long: the row says so, and the table is stored."""
    data = ExperimentData(input_data=[{"x": 1.0}], project_dir=tmp_path)
    with pytest.raises(ConfigError, match=r"row 0, 'y' holds .*which a table cannot keep|more digits than a table"):
        stored(tmp_path, value)
    done = Given().call(data, value=value)
    assert list(done.jobs) == ["error"]
    done.store()


def test_a_text_that_is_no_unicode_fails_its_row_alone(tmp_path):
    """In cluster mode, too, where its result is a file."""
    ExperimentData(input_data=[{"x": 1.0}], project_dir=tmp_path).store()
    done = Given().call(ExperimentData.from_file(tmp_path), mode="cluster", value="\ud800", to_disk=True)
    assert "Unicode" in done.failures[0].error


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"code": ["007", "NA"], "n": [1, 2]}),
        pd.DataFrame({"f": [0.1, None], "t": ["a,b\n", 'q"']}, index=["r", "1"]),
        pd.DataFrame({1: [True], "1": [np.float32(0.1).item()]}),
        pd.DataFrame({"x": [1.0]}).rename_axis("step"),
        pd.DataFrame(),
    ],
)
def test_frames_keep_texts_and_labels(tmp_path, frame):
    """What looks like a number in a text of a frame stays a text, and labels keep their kind."""
    found = stored(tmp_path, frame).get_experiment_sample(0).get("y")
    pd.testing.assert_frame_equal(found, frame, check_index_type=False, check_column_type=False)
    assert found.columns.tolist() == frame.columns.tolist()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pd.DataFrame({"t": pd.to_datetime(["2020-01-01"])}), 'column "t", row 0, holds Timestamp'),
        (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(1, 2)])), "several levels"),
        (np.ma.array([1.0, 2.0], mask=[True, False]), "masked elements"),
    ],
)
def test_frames_that_would_change_are_refused(tmp_path, value, message):
    """Times, labels of several levels and masks are what no file of ours keeps."""
    with pytest.raises(ConfigError, match=message):
        stored(tmp_path, value)


def test_a_frame_cut_off_is_damage(tmp_path):
    """Half a number is another number."""
    stored(tmp_path, pd.DataFrame({"a": [1.25, 3.75]}))
    [file] = (tmp_path / "experiment_data" / "y").iterdir()
    rewritten(file, lambda text: text[:-2])
    with pytest.raises(ConfigError, match="cut off"):
        ExperimentData.from_file(tmp_path).get_experiment_sample(0).get("y")


def test_frames_and_arrays_with_nan_are_equal_to_themselves():
    """Tables and records with them can be compared."""
    frame, array = pd.DataFrame({"a": [float("nan")]}), np.array([1.0, np.nan])
    records = [ExperimentSample({"x": 1.0}, {"f": frame.copy(), "a": array.copy(), "n": np.nan}) for _ in range(2)]
    assert records[0] == records[1]
    assert records[0] != ExperimentSample({"x": 1.0}, {"f": frame, "a": array + 1, "n": np.nan})
    assert ExperimentData.from_data({0: records[0]}) == ExperimentData.from_data({0: records[1]})


def test_large_integers_are_not_rounded_by_pandas():
    """Beside a missing value or a real number, an integer beyond 2**53 stays what it is."""
    data = ExperimentData(input_data=[{"a": 2**53 + 1, "b": 2**53 + 1}, {"a": None, "b": 0.5}])
    frame = data.to_pandas()[0]
    assert frame["a"].tolist()[0] == frame["b"].tolist()[0] == 2**53 + 1


def test_not_a_number_in_a_frame_is_a_missing_value():
    """As f3dasm has it: such a row has not been evaluated."""
    data = ExperimentData(input_data=pd.DataFrame({"x": [1.0, 2.0]}), output_data=pd.DataFrame({"y": [1.0, np.nan]}))
    assert list(data.jobs) == ["finished", "open"]
    assert data.get_experiment_sample(1).output_data == {}
    assert list(ExperimentData(output_data=np.array([[1.0], [np.nan]])).jobs) == ["finished", "open"]


@pytest.mark.parametrize("rows", [pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame({1: [1], "1": [2]})])
def test_two_columns_of_one_name_are_refused(rows):
    """One of the two would be lost."""
    with pytest.raises(ConfigError, match="two values under the name"):
        ExperimentData(input_data=rows)


@pytest.mark.parametrize("number", [-1, 1.5, "0", True])
def test_rows_have_numbers_that_files_take(number):
    """A table under other numbers could not be read again."""
    with pytest.raises(ConfigError, match="integer from 0"):
        ExperimentData.from_data({number: ExperimentSample({"x": 1.0})})


def test_rows_chosen_twice_or_by_a_series():
    """A row is there once, and pandas' truth values are about the rows that they name."""
    data = ExperimentData(input_data=[{"x": float(i)} for i in range(4)])
    assert data.select([2, 2, 0]).index.tolist() == [2, 0]
    mask = (data.to_pandas()[0]["x"] > 1).iloc[::-1]
    assert data[mask].index.tolist() == [2, 3]
    for wrong in (None, 1.0, mask.iloc[:2]):
        with pytest.raises(ConfigError):
            data.select(wrong)


@pytest.mark.parametrize("name", ["input.csv", "output.csv"])
def test_a_table_cut_off_is_damage(tmp_path, name):
    """At every byte of its last line."""
    folder = table(tmp_path)
    whole = (folder / name).read_bytes()
    for n in range(1, 8):
        (folder / name).write_bytes(whole[:-n])
        with pytest.raises(ConfigError, match=name):
            ExperimentData.from_file(tmp_path)


@pytest.mark.parametrize("is_typed", [True, False])
@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (" 1.5 ", 1.5), ("NaN", float("nan")), ("NA", None), ("#N/A", None), ("null", None),
        ("Inf", float("inf")), ("-Infinity", float("-inf")), ("1E-1", 0.1),
    ],
)  # fmt: skip
def test_numbers_as_people_and_spreadsheets_write_them(tmp_path, cell, value, is_typed):
    """One such cell does not turn its column into texts."""
    folder = table(tmp_path)
    if not is_typed:
        as_others_write(folder)
    for name, old in (("output.csv", "1,1.5"), ("input.csv", "1,0.125")):
        rewritten(folder / name, lambda text, old=old: text.replace(f"\n{old}", f"\n1,{cell}"))
    data = ExperimentData.from_file(tmp_path)
    for found, others in ((data.column("y").tolist(), [0.5, 2.5]), (data.column("x").tolist(), [0.0, 0.25])):
        assert found[::2] == others
        assert found[1] == pytest.approx(float("nan") if value is None else value, nan_ok=True)
    assert list(data.column("c")) == ["a", "b", "a"]


def test_truth_values_of_a_spreadsheet(tmp_path):
    """They are written in capitals there."""
    rows = [{"x": True}, {"x": False}]
    ExperimentData(input_data=rows, output_data=[{"y": 1}, {"y": 2}], project_dir=tmp_path).store()
    as_others_write(tmp_path / "experiment_data")
    rewritten(tmp_path / "experiment_data" / "input.csv", str.upper)
    rewritten(tmp_path / "experiment_data" / "domain.json", lambda text: text.replace('"x"', '"X"'))
    assert ExperimentData.from_file(tmp_path).column("X").tolist() == [True, False]


@pytest.mark.parametrize(("name", "column"), [("input.csv", "c"), ("output.csv", "y")])
def test_a_column_that_was_lost_is_named(tmp_path, name, column):
    """It is not taken for one that never had a value."""
    folder = table(tmp_path)
    rewritten(folder / name, lambda text: "".join(f"{line.rpartition(',')[0]}\n" for line in text.splitlines()))
    if name == "output.csv":  # with its only column; another one is left
        rewritten(folder / name, lambda text: text.replace("\n", ",1\n").replace('"",1', '"","z"'))
    with pytest.raises(ConfigError, match=f"{name} lost its column '{column}'"):
        ExperimentData.from_file(tmp_path)


def test_columns_without_values_are_written(tmp_path):
    """So that a table of open rows is told from one that lost them."""
    domain = Domain()
    domain.add_float("x", 0.0, 1.0)
    domain.add_float("z", 0.0, 1.0)
    domain.add_output("y")
    data = ExperimentData(domain, [{"x": 0.5}], project_dir=tmp_path)
    data.store()
    assert (tmp_path / "experiment_data" / "output.csv").read_text() == '"","y"\n0,\n'
    found = ExperimentData.from_file(tmp_path)
    assert found == data
    assert found.get_experiment_sample(0).input_data == {"x": 0.5}


def test_a_domain_as_editors_leave_it(tmp_path):
    """A mark of the byte order is none of its text; a parameter that is there twice is an error."""
    folder = table(tmp_path)
    rewritten(folder / "domain.json", lambda text: "\ufeff" + text)
    assert len(ExperimentData.from_file(tmp_path)) == 3
    rewritten(folder / "domain.json", lambda text: text.replace('"c":', '"x":'))
    with pytest.raises(ConfigError, match="the entry 'x' is there twice"):
        ExperimentData.from_file(tmp_path)


def test_a_comma_too_many_names_the_file(tmp_path):
    """At the end of each line, as some spreadsheets leave it."""
    folder = table(tmp_path)
    rewritten(folder / "output.csv", lambda text: text.replace("\n", ",\n"))
    with pytest.raises(ConfigError, match=r"output\.csv has a column without a name"):
        ExperimentData.from_file(tmp_path)


def test_names_of_files_with_dots(tmp_path):
    """Two versions of a domain are two files."""
    for number in (1, 2):
        domain = Domain()
        domain.add_float("x", 0.0, float(number))
        domain.store(tmp_path / f"v1.{number}")
    assert [Domain.from_file(tmp_path / f"v1.{n}").get_bounds()[0, 1] for n in (1, 2)] == [1.0, 2.0]
    assert json.loads((tmp_path / "v1.1.json").read_text())["input_space"]["x"]["upper_bound"] == 1.0
    for number in (1, 2):
        (tmp_path / f"rows.{number}").write_text(f",x\n0,{number}\n")
    (tmp_path / "rows.csv").write_text(",x\n0,9\n")
    assert [ExperimentData(input_data=tmp_path / f"rows.{n}").column("x").tolist() for n in (1, 2)] == [[1], [2]]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda d: d.add_category("x", "abc"),
        lambda d: d.add_category("x", {"a", "b"}),
        lambda d: d.add_category("x", 5),
        lambda d: d.add_float("x", 0.1, 1, log="no"),
        lambda d: d.add_parameter("x", to_disk="no"),
        lambda d: d.add_output("x", to_disk=1),
        lambda d: d.add("x", ["float"]),
        lambda _: Domain.from_yaml({"input": {"x": 5}}),
        lambda _: Domain.from_yaml({"input": {}, "outputs": {"y": {}}}),
        lambda _: Domain.from_yaml({"input": {}, "output": ["y"]}),
        lambda _: Domain.from_yaml({"input": {}, "output": {"y": {"disk": True}}}),
        lambda _: Domain.from_yaml(None),
        lambda _: ExperimentData(input_data=[{"": 1}]),
        lambda _: ExperimentData(input_data=np.array(5.0)),
        lambda _: ExperimentSample({1: 2}),
        lambda _: ExperimentSample([1]),
        lambda _: ExperimentSample().store("", 1),
        lambda _: ExperimentData.from_data({0: {"x": 1}}),
        lambda _: numbers().get_n_best_output(-1),
        lambda _: ExperimentData(output_data=[{"y": "10"}, {"y": "9"}]).get_n_best_output(1),
        lambda _: numbers().remove_rows_bottom(True),
        lambda _: numbers().join(5),
        lambda _: ExperimentData.from_sampling("random", Domain(), 2.5),
        lambda _: ExperimentData.from_sampling("random", Domain(), 2, seed="a"),
        lambda _: ExperimentData.from_sampling("random", Domain(), 2, seed=-1),
        lambda _: ExperimentData.from_sampling("grid", Domain(), steps=2.5),
        lambda _: ExperimentData.from_sampling("grid", Domain(), steps={"z": 3}),
    ],
)
def test_what_makes_no_sense_is_told(wrong):
    """It is neither taken for something else nor left to an error of Python's."""
    with pytest.raises(ConfigError):
        wrong(Domain())


def numbers():
    return ExperimentData(input_data=[{"x": 1.0}], output_data=[{"y": 1.0}])


def test_a_constant_that_is_not_a_number(tmp_path):
    """It is equal to itself here."""
    domain = Domain()
    domain.add_constant("x", float("nan"))
    ExperimentData(domain, [{"x": float("nan")}]).store(tmp_path)
    assert np.isnan(ExperimentData.from_file(tmp_path).column("x")[0])
