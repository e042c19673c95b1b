"""The table on disk: values keep type and exactness, a kill leaves one version, bad files are named."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator_core.errors import ConfigError, CuratorError, ExperimentsNotFoundError, WorkflowError
from curator_core.experiments.stored.files import current_version, data_folder
from curator_core.workflow import Domain, ExperimentData

CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["", "nan", "NA", "1", "1.0", "True", '"', ",", "\n", "\r\n", "007", " 1", "None", "\0", "'"]),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
ROWS = st.lists(st.dictionaries(NAMES, CELLS, max_size=4), max_size=6)


def same(first, second):
    """Whether values and their types are the same, NaN and the sign of zero included."""
    return type(first) is type(second) and repr(first) == repr(second)


@given(inputs=ROWS, statuses=st.data())
def test_values_keep_type_and_exactness(tmp_path_factory, inputs, statuses):
    """Whatever a cell holds comes back as it was: floats to the last bit, integers, texts, NaN, nothing."""
    folder = tmp_path_factory.mktemp("table")
    jobs = [statuses.draw(st.sampled_from(["open", "in_progress", "finished", "error"])) for _ in inputs]
    ExperimentData(None, inputs, inputs, jobs, folder).store()
    found = ExperimentData.from_file(folder)
    assert list(found.jobs) == jobs
    for (_, sample), row in zip(found, inputs, strict=True):
        expected = {name: value for name, value in row.items() if value is not None}
        for which in (sample.input_data, sample.output_data):
            assert which.keys() == expected.keys()
            assert all(same(which[name], expected[name]) for name in expected)


def test_row_numbers_and_empty_columns_stay(tmp_path):
    """Rows keep their numbers, and an output that no row has yet stays a parameter."""
    domain = Domain()
    domain.add_float("x", 0, 1)
    domain.add_output("y")
    data = ExperimentData(domain, [{"x": i / 7} for i in range(9)], project_dir=tmp_path).select([7, 2, 5])
    data.store()
    found = ExperimentData.from_file(tmp_path)
    assert list(found.index) == [7, 2, 5]
    assert found == data
    assert found.domain.output_names == ["y"]


def versioned(n):
    rows = [{"x": n} for _ in range(n + 1)]
    return ExperimentData(None, rows, rows, ["finished"] * (n + 1))


def test_kill_between_files_leaves_one_version(tmp_path, killed_at_every_step):
    """Killed before any of its steps, storing leaves the old table or the new one; the next one cleans up."""
    old, new = versioned(1), versioned(2)
    seen = []

    def prepare(step):
        folder = tmp_path / str(step)
        old.store(folder)
        return folder

    for folder in killed_at_every_step(prepare, lambda folder: versioned(2).store(folder)):
        found = ExperimentData.from_file(folder)
        assert found in (old, new)
        seen.append(found == new)
        found.store()  # recovers first
        assert ExperimentData.from_file(folder) == found
        names = {path.name for path in data_folder(folder).iterdir()}
        assert names == {"domain.json", "input.csv", "output.csv", "jobs.csv", ".curator-lock"}
    assert seen == sorted(seen)
    assert {False, True} == set(seen)


def test_kill_of_the_first_store_leaves_no_half_table(tmp_path, killed_at_every_step):
    """Killed while a folder gets its first table, there is no table or a whole one."""
    for folder in killed_at_every_step(lambda step: tmp_path / str(step), lambda folder: versioned(2).store(folder)):
        try:
            assert ExperimentData.from_file(folder) == versioned(2)
        except ExperimentsNotFoundError:
            versioned(1).store(folder)
            assert ExperimentData.from_file(folder) == versioned(1)


def test_a_version_that_another_program_overtook_is_dropped(tmp_path, killed_at_every_step):
    """What f3dasm stored after a kill is newer than the version that the kill interrupted."""
    versioned(1).store(tmp_path)
    folder = data_folder(tmp_path)
    pending = folder / ".curator-next"
    pending.mkdir()
    for name in ("domain.json", "input.csv", "output.csv", "jobs.csv"):
        (pending / name).write_text("overtaken")
    for name in ("domain.json", "input.csv", "output.csv", "jobs.csv"):
        (folder / name).write_text((folder / name).read_text())
        assert (folder / name).stat().st_mtime_ns >= (pending / name).stat().st_mtime_ns
    assert ExperimentData.from_file(tmp_path) == versioned(1)


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from test_files import versioned
print("ready", flush=True)
for n in range(10**6):
    versioned(n % 17).store(sys.argv[1])
"""


def test_a_reader_never_sees_two_versions(tmp_path, request):
    """While another process stores one version after the other, every reading gives one of them whole."""
    versioned(3).store(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, tmp_path, request.path.parent], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout.readline() == "ready\n"
        seen = set()
        for _ in range(150):
            found = ExperimentData.from_file(tmp_path)
            seen.add(len(found))
            assert found == versioned(len(found) - 1)
        assert len(seen) > 2
    finally:
        writer.kill()
        writer.communicate()


def test_a_table_that_changed_meanwhile_is_not_overwritten(tmp_path):
    """Storing what was read before another process stored its own is refused, and the other's table stays."""
    versioned(1).store(tmp_path)
    first, second = ExperimentData.from_file(tmp_path), ExperimentData.from_file(tmp_path)
    first.mark_all("error", in_place=True).store()
    first.mark_all("open", in_place=True).store()
    with pytest.raises(WorkflowError, match="was changed by another process"):
        second.mark_all("finished").store()
    assert set(ExperimentData.from_file(tmp_path).jobs) == {"open"}


def edited(name, old, new):
    def edit(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return edit


def without_kind(folder):
    content = json.loads((folder / "domain.json").read_text())
    content["input_space"]["x"]["type"] = "real"
    (folder / "domain.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edited("jobs.csv", "1,OPEN\n", ""), r"input\.csv has the row 1, which jobs\.csv does not \(1 such\)"),
        (edited("input.csv", '1,0.25,1,"a"\n', ""), r"output\.csv has the row 1, which input\.csv does not"),
        (edited("jobs.csv", "1,OPEN", "1,DONE"), r"jobs\.csv, row 1: job status 'DONE'.*Known: .*finished"),
        (edited("jobs.csv", "1,OPEN", "0,OPEN"), r"jobs\.csv has the row 0 twice"),
        (edited("input.csv", "1,0.25", "one,0.25"), r"input\.csv: 'one' is no row number"),
        (edited("input.csv", "1,0.25", "-1,0.25"), r"input\.csv: '-1' is no row number"),
        (edited("input.csv", '"x"', '"z"'), r"input\.csv has the column 'z', which the domain does not: x, k, c"),
        (edited("input.csv", '"x"', '"k"'), r"input\.csv has the column 'k' twice"),
        (edited("input.csv", "0.25", "wide"), r"input\.csv, row 1, 'x': 'wide' is no number"),
        (edited("input.csv", "0.25,1,", "0.25,1.5,"), r"input\.csv, row 1, 'k': 1\.5 is no integer"),
        (edited("input.csv", '1,"a"', '1,"b"'), r"input\.csv, row 1, 'c': 'b' is none of the categories \['a'\]"),
        (edited("input.csv", "0.25,1,", "0.25,"), r"input\.csv, row '1': 3 cells under 4"),
        (edited("input.csv", '"a"', '"a'), r"input\.csv, line \d: a quote is not where"),
        (without_kind, r"domain\.json, parameter 'x':.*'real'.*Known: .*float"),
        (
            edited("domain.json", '"lower_bound": 0.0', '"lower_bound": 2.0'),
            r"domain\.json, parameter 'x': upper_bound",
        ),
        (edited("domain.json", "{", ""), r"domain\.json is no JSON"),
        (edited("domain.json", "input_space", "inputs"), r"domain\.json is no domain"),
        (lambda folder: (folder / "jobs.csv").unlink(), r"jobs\.csv is missing"),
        (lambda folder: (folder / "jobs.csv").write_text(""), r"jobs\.csv is empty"),
        (lambda folder: (folder / "input.csv").write_bytes(b"\xff\xfe"), r"input\.csv is no text in UTF-8"),
        (lambda folder: (folder / "failures.json").write_text("[1]"), r"failures\.json is no record of failures"),
    ],
)
def test_inconsistent_files_are_named(tmp_path, edit, message):
    """A table edited by hand into nonsense is refused with the file and the row."""
    domain = Domain()
    domain.add_float("x", 0.0, 1.0)
    domain.add_int("k", 0, 5)
    domain.add_category("c", ["a"])
    ExperimentData(domain, [{"x": i / 4, "k": i, "c": "a"} for i in range(2)], project_dir=tmp_path).store()
    edit(data_folder(tmp_path))
    with pytest.raises(ConfigError, match=message):
        ExperimentData.from_file(tmp_path)


def test_a_folder_of_something_else(tmp_path):
    """No folder, and a folder without a table, are errors that FileNotFoundError catches, too."""
    for folder, message in ((tmp_path / "no", "does not exist"), (tmp_path, "has no folder 'experiment_data'")):
        with pytest.raises(FileNotFoundError, match=message) as caught:
            ExperimentData.from_file(folder)
        assert isinstance(caught.value, CuratorError)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [{"a": 1}, [1, 2], object(), b"x", "\ud800", 1j])
def test_what_a_table_cannot_hold(tmp_path, value):
    """A value that CSV would mangle is refused by name, and the table on disk stays."""
    versioned(1).store(tmp_path)
    before = current_version(data_folder(tmp_path))
    data = ExperimentData.from_file(tmp_path)
    data.get_experiment_sample(1).store("odd", value)
    with pytest.raises(ConfigError, match=r"output\.csv, row 1, 'odd' holds"):
        data.store()
    assert current_version(data_folder(tmp_path)) == before


def test_spreadsheets_may_drop_quotes(tmp_path):
    """Without our quotes, a column is of the type that all its cells can be."""
    versioned(1).store(tmp_path)
    (data_folder(tmp_path) / "output.csv").write_text("\ufeff,a,b,c,d\r\n0,1,1,x,True\r\n1,2,2.5,1,\r\n")
    rows = [sample.output_data for _, sample in ExperimentData.from_file(tmp_path)]
    assert rows == [{"a": 1, "b": 1.0, "c": "x", "d": True}, {"a": 2, "b": 2.5, "c": "1"}]
    assert isinstance(rows[0]["b"], float)


def test_paths_do_not_leave_the_folder(tmp_path):
    """A path in a table that leads elsewhere, and a pickle, are not opened."""
    (tmp_path / "secret.npy").write_bytes(b"")
    data = versioned(0)
    data.get_experiment_sample(0).store("field", np.arange(2), to_disk=True)
    data.store(tmp_path / "study")
    stored = str(data.to_pandas(keep_references=True)[1]["field"][0])
    for path, message in (("../../secret.npy", "leads out of"), ("field/0.pkl", "runs what is in it")):
        edited("output.csv", stored, path)(data_folder(tmp_path / "study"))
        with pytest.raises(ConfigError, match=message):
            ExperimentData.from_file(tmp_path / "study").get_experiment_sample(0).get("field")
        edited("output.csv", path, stored)(data_folder(tmp_path / "study"))
