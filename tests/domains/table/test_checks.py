"""Checks of tables: of values by themselves, and of the rows of all items."""

from __future__ import annotations

import json
import pathlib

import pyarrow as pa
import pytest

from curator_core import run_pipeline
from curator_core.domains.table import CSVSource, ParquetSink, TableChecksFilter
from curator_core.errors import ComponentError, ConfigError, MergeError, RunFailed
from curator_core.filters.checks.filter import ValueChecksFilter


def write(tmp_path, **contents):
    (tmp_path / "in").mkdir(exist_ok=True)
    for name, content in contents.items():
        (tmp_path / "in" / f"{name}.csv").write_text(content)


def curate(tmp_path, backend="sequential", **checks):
    """What the checks found of the files in the folder ``in``."""
    step = TableChecksFilter(str(tmp_path / "checks.json"), **checks)
    pipeline = CSVSource(str(tmp_path / "in")).filter(step).write(ParquetSink(str(tmp_path / "out.parquet")))
    pipeline = pipeline.with_settings(resume=True, db_file=str(tmp_path / "runs.db"))
    run_pipeline(pipeline, backend=backend, gather=True, progress=False)
    return step.check_results(str(tmp_path / "checks.json"))


@pytest.mark.parametrize("backend", ["sequential", "process_pool"])
def test_a_key_is_unique_over_all_items(tmp_path, backend):
    """Both rows are named, also where the types of the columns differ, and one was processed before."""
    write(tmp_path, a="id,t\n1,x\n2,x\n", b="id,t\n3,x\n")
    assert [result.is_passed for result in curate(tmp_path, backend, unique=["id", "t"])] == [True]
    write(tmp_path, c="id,t\n0.5,x\n2,x\n2,y\n,z\n,z\n")
    rows = r"c.csv: row 1 has id=2.0, t='x', as row 1 of 'a.csv'; c.csv: row 4 has id=None, t='z', as row 3 of 'c.csv'"
    with pytest.raises(MergeError, match=rf"table_checks: unique id, t: {rows}\. Nothing is published"):
        curate(tmp_path, backend, unique=["id", "t"])
    (result,) = curate(tmp_path, backend, unique=[["id", "t"]], severity="warn")
    assert (result.n_items, result.n_bad_items, result.n_bad_values, result.severity) == (3, 1, 2, "warn")


def test_the_number_of_rows_is_that_of_the_last_version(tmp_path):
    """Within a share of it; what is refused stays as it was."""
    write(tmp_path, a="x\n1\n2\n3\n", b="x\n4\n")
    assert curate(tmp_path, max_fewer_rows=0.2)[0].is_passed
    pathlib.Path(tmp_path / "in" / "a.csv").unlink()
    with pytest.raises(MergeError, match=r"row_count rows: all: 1 rows, 75.0% fewer than the 4 rows"):
        curate(tmp_path, max_fewer_rows=0.2)
    assert json.loads((tmp_path / "checks.json").read_text())["n_rows"] == 4
    write(tmp_path, a="x\n1\n2\n3\n5\n6\n")
    assert [result.is_passed for result in curate(tmp_path, max_fewer_rows=0.2, max_more_rows=0.6)] == [True, True]


def test_texts_and_missing_values_of_columns(tmp_path):
    """Missing ones are looked at by one check alone."""
    table = pa.table({"s": ["10001", None, "1000"], "n": [1, None, 3]})

    def checked(expected):
        step = ValueChecksFilter(str(tmp_path / "values.json"), expected)
        return list(step(iter([table])))

    assert checked({"s": {"pattern": r"\d+", "allowed": ["10001", "1000"]}, "n": {"range": [0, 3], "max_null": 0.5}})
    for expected, message in (
        ({"s": {"pattern": r"\d{5}"}}, r"1 of 3 texts do not match \\d\{5\}, the first 1000 at rows=2"),
        ({"s": {"max_null": 0}}, r"1 of 3 values are missing, 33.333%, the first at rows=1"),
        ({"s": {"allowed": ["10001"]}}, "values are none of 10001, the first 1000"),
        ({"n": {"pattern": "x"}}, "is no text"),
    ):
        with pytest.raises(ComponentError, match=message):
            checked(expected)


def test_bad_configuration_and_columns_that_are_not_there(tmp_path):
    for options in ({}, {"unique": [[]]}, {"max_fewer_rows": -1.0}, {"max_more_rows": float("nan")}):
        with pytest.raises(ConfigError, match="table_checks"):
            TableChecksFilter("checks.json", **options)
    write(tmp_path, a="x\n1\n")
    with pytest.raises(RunFailed, match="the item has no column 'id'; it has x"):
        curate(tmp_path, unique=["id"])
