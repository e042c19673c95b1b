"""Tables in Dagster: what their checks found is an asset check, and so is whether files are what was published."""

from __future__ import annotations

from functools import partial

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance, in_process_executor

pytest.importorskip("pyarrow")

from curator_core import Pipeline
from curator_core.domains.table import CSVSource, ParquetSink, TableChecksFilter
from curator_core.filters.checks.filter import ValueChecksFilter
from curator_dagster import build_curation_defs

CHECKS = ["completeness", "failures", "finite_values", "intact", "as_sources", "values"]
DATASET = AssetKey(["flights", "dataset"])


def flights(folder):
    """Files of flights, of which one flies backwards, and two have one number."""
    values = ValueChecksFilter(
        str(folder / "values.json"), {"delay": {"range": [0, None], "severity": "warn"}, "zip": {"pattern": r"\d{5}"}}
    )
    rows = TableChecksFilter(str(folder / "rows.json"), unique=["flight"], severity="warn")
    source = CSVSource(str(folder / "in"), schema={"zip": "string"})
    return Pipeline(source, [values, rows], ParquetSink(str(folder / "flights.parquet")), db_file=folder / "runs.db")


def test_checks_of_tables_are_asset_checks(tmp_path):
    """Each names the items; what is published is as the source gives it, whatever types the others have."""
    (tmp_path / "in").mkdir()
    (tmp_path / "home").mkdir()
    for name, rows in {"a": "1,07001,2\n2,10001,\n", "b": "3,10001,2.5\n1,10001,-4\n"}.items():
        (tmp_path / "in" / f"{name}.csv").write_text(f"flight,zip,delay\n{rows}")
    (tmp_path / "in" / "c.csv").write_text("flight,zip,delay\n4,01000,1\n5,1000,1\n")
    defs = build_curation_defs(
        "flights", partial(flights, tmp_path), executor=in_process_executor, checks=CHECKS, max_missing=1
    )
    with DagsterInstance.local_temp(str(tmp_path / "home"), {"telemetry": {"enabled": False}}) as instance:
        job = defs.resolve_job_def("flights_refresh")
        job.execute_in_process(instance=instance, raise_on_error=False)
        storage = instance.event_log_storage
        found = {
            name: storage.get_asset_check_execution_history(AssetCheckKey(DATASET, name), limit=1)[0].evaluation
            for name in CHECKS
        }
    assert {name: check.passed for name, check in found.items()} == {
        "completeness": False,
        "failures": False,
        "finite_values": True,
        "intact": True,
        "as_sources": True,
        "values": False,
    }
    (failed,) = (record.data for record in found["failures"].metadata["failed"].value.records)
    assert failed["key"] == "c.csv"
    assert "field 'zip'" in failed["error"]
    assert "delay: 1 of 2 items, expected range [0, None]" in found["values"].description
    records = [record.data for record in found["values"].metadata["checks"].value.records]
    firsts = {record["field"]: record["first"] for record in records if record["n_bad_items"]}
    assert firsts["flight"] == "b.csv: row 1 has flight=1, as row 0 of 'a.csv'"
    assert firsts["delay"].startswith("b.csv: ")
    assert found["finite_values"].metadata["examined"].value == "delay"
