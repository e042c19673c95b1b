"""Results of single rows: files that any worker writes and one process merges, killed or not."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from curator_core.errors import ConfigError
from curator_core.workflow import ExperimentData, JobStatus, collect_results, open_rows, read_results, write_result


def table(folder, n):
    ExperimentData(input_data=[{"x": i / 7} for i in range(n)], project_dir=folder).store()
    return folder


def failed():
    try:
        math.sqrt(-1)
    except ValueError as exc:
        return exc


def write_some(folder):
    for row in range(4):
        write_result(folder, row, {"y": row / 3, "n": row, "name": f'{row}, "q"\n', "bad": math.nan, "none": None})
    write_result(folder, 4, error=failed(), started=datetime(2026, 1, 1, tzinfo=UTC))
    write_result(folder, 5, {"y": np.float32(0.1), "field": np.arange(3.0)})


def check(folder):
    data = ExperimentData.from_file(folder)
    assert list(data.jobs) == ["finished"] * 4 + ["error", "finished", "open"]
    outputs = [sample.output_data for _, sample in data]
    assert [row.get("y") for row in outputs] == [0.0, 1 / 3, 2 / 3, 1.0, None, float(np.float32(0.1)), None]
    assert outputs[3]["name"] == '3, "q"\n'
    assert type(outputs[3]["n"]) is int
    assert math.isnan(outputs[3]["bad"])
    assert np.asarray(outputs[5]["field"]).tolist() == [0.0, 1.0, 2.0]
    [(row, failure)] = data.failures.items()
    assert row == 4
    assert failure.error.startswith("ValueError: ")
    assert "math.sqrt(-1)" in failure.traceback
    assert failure.started == "2026-01-01T00:00:00+00:00"
    assert failure.host


def test_results_are_merged_then_removed(tmp_path):
    """Values, errors with traceback, and files of arrays are in the table; the result files are gone."""
    write_some(table(tmp_path, 7))
    assert read_results(tmp_path).found[4].status is JobStatus.ERROR
    assert open_rows(tmp_path) == [6]
    assert collect_results(tmp_path, cleanup=False).rows == (0, 1, 2, 3, 4, 5)
    check(tmp_path)
    assert collect_results(tmp_path).rows == (0, 1, 2, 3, 4, 5)
    check(tmp_path)
    assert collect_results(tmp_path).rows == ()
    check(tmp_path)
    assert list((tmp_path / "experiment_results").iterdir()) == []


def test_a_killed_collector_can_be_called_again(tmp_path, killed_at_every_step):
    """Killed before any of its steps and called again, collecting ends in the same table."""

    def prepare(step):
        folder = table(tmp_path / str(step), 7)
        write_some(folder)
        return folder

    for folder in killed_at_every_step(prepare, collect_results):
        collect_results(folder)
        check(folder)
        assert list((folder / "experiment_results").glob("*.json")) == []


def test_a_retry_replaces_the_outcome(tmp_path):
    """A row that failed and then finished has outputs and no failure; one that fails later has no old outputs."""
    table(tmp_path, 2)
    write_result(tmp_path, 0, error="Timeout: too slow")
    write_result(tmp_path, 1, {"y": 1.0})
    collect_results(tmp_path)
    write_result(tmp_path, 0, {"y": 2.0})
    write_result(tmp_path, 1, error=failed())
    collect_results(tmp_path)
    data = ExperimentData.from_file(tmp_path)
    assert list(data.jobs) == ["finished", "error"]
    assert [sample.output_data for _, sample in data] == [{"y": 2.0}, {}]
    assert list(data.failures) == [1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("0.json", '{"format": "curator-re', "is no JSON, so no result"),
        ("0.json", '{"a": 1}', "is no result of an experiment"),
        ("0.json", "[]", "is no result of an experiment"),
        ("notes.json", "remember", "is no JSON"),
        ("7.json", None, "the result of row 7, which the table does not have"),
        ("0.json", '{"format": "curator-result-1", "index": 3}', "is the result of row 3"),
        ("0.json", '{"format": "curator-result-1", "index": 0}', "has no outputs"),
        (
            "0.json",
            '{"format": "curator-result-1", "index": 0, "outputs": {}, "files": {}, "status": "x"}',
            "status 'x'",
        ),
        (
            "0.json",
            '{"format": "curator-result-1", "index": 0, "outputs": {"y": [1]}, "files": {}, "status": "finished"}',
            "which a table cannot keep",
        ),
        (
            "0.json",
            '{"format": "curator-result-1", "index": 0, "outputs": {}, "files": {}, "status": "error"}',
            "no record of a failure",
        ),
    ],
)
def test_a_bad_file_is_a_problem_of_its_own(tmp_path, caplog, name, text, message):
    """A torn or foreign file is reported and set aside, its row is open again, and all others are collected."""
    table(tmp_path, 3)
    for row in (1, 2):
        write_result(tmp_path, row, {"y": row})
    path = tmp_path / "experiment_results" / name
    if text is None:
        write_result(tmp_path, 7, {"y": 1})
    else:
        path.write_text(text)
    collected = collect_results(tmp_path)
    assert collected.rows == (1, 2)
    assert collected.problems.keys() == {str(path)}
    assert message in collected.problems[str(path)]
    assert collected.problems[str(path)] in caplog.text
    assert list(ExperimentData.from_file(tmp_path).jobs) == ["open", "finished", "finished"]
    assert open_rows(tmp_path) == [0]
    assert path.exists() is (text is None)
    assert path.with_name(f"{name}.invalid").exists() is (text is not None)


def test_what_cannot_be_a_result(tmp_path):
    """A value that no table holds, a wrong row number and a folder without a table are refused, nothing is written."""
    table(tmp_path, 1)
    for row, outputs, message in (
        (0, {"y": {"a": 1}}, r"The result of row 0, 'y', holds"),
        (-1, {}, r"integer from 0, not -1"),
        (True, {}, r"integer from 0, not True"),
        ("../x", {}, r"integer from 0"),
        (0, {"../up": np.arange(2)}, r"cannot be the name of a folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            write_result(tmp_path, row, outputs)
    with pytest.raises(FileNotFoundError):
        write_result(tmp_path / "no", 0, {})
    assert read_results(tmp_path).found == {}
