"""The datasheet of a report: what is said of the dataset, and what is known of it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from curator_core import Pipeline, SplitByKey, run_pipeline
from curator_core.datasets import list_versions, tag_version
from curator_core.domains.table import CSVSource, ParquetSink
from curator_core.filters.checks import ValueChecksFilter
from curator_core.filters.statistics import StatisticsFilter
from curator_core.report import write_report

pytest.importorskip("matplotlib")


def words(page):
    """Text of a page, its cells divided by bars."""
    text = re.sub(r"<(style|svg).*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s*\|[\s|]*", " | ", unescape(re.sub(r"<[^>]*>", "|", text)))


def test_a_dataset_is_described(tmp_path, monkeypatch):
    """Words, fields with statistics, checks, versions and sources, of the dataset as it is."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.csv").write_text("id,t\n1,271.5\n2,272.5\n")
    Path("in/b.csv").write_text("id,t\n3,2000\n")
    steps = [
        ValueChecksFilter("out/checks.json", {"t": {"range": [0, 400], "severity": "warn"}}),
        StatisticsFilter("out/statistics.parquet"),
    ]
    said = {"license": "CC-BY-4.0", "creators": "Ada <Lovelace>", "rai": {"dataBiases": ["Days alone."]}}
    pipeline = Pipeline(CSVSource("in"), steps, ParquetSink("out/t.parquet"), db_file="run.db", dataset=said)
    run_pipeline(pipeline.with_settings(split=SplitByKey({"train": 1.0})), gather=True, progress=False)
    tag_version("out/t.parquet", list_versions("out/t.parquet")[0].id, "paper-1")
    Path("in/c.csv").write_text("id,t\n4,broken,1\n")
    write_report("run.db", "page.html")
    shown = words(Path("page.html"))
    sheet = shown[shown.index("| Datasheet |") :]
    for expected in (
        "| licence | CC-BY-4.0 |",
        "| made by | Ada <Lovelace> |",
        "| dataBiases | Days alone. |",
        "| t | rows | Float64 | 848 | ",
        "| paper-1 |",
        f"| {pipeline.source.key(1)} | {pipeline.source.fingerprint(1)} | train |",
    ):
        assert expected in sheet
    assert re.search(r"\| t \| range \| [^|]* \| 1 of 2 items not \|", sheet)
    Path("out/checks.json").write_text('{"checks": [{"field": "t"}]}')  # of another program by now
    write_report("run.db", "page.html")
    assert "1 of 2 items not" not in words(Path("page.html"))


def test_a_dataset_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    """The page is made; a run without a dataset has no datasheet."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Path("in/a.csv").write_text("id\n1\n")
    run_pipeline(Pipeline(CSVSource("in"), sink=ParquetSink("out/t.parquet"), db_file="run.db"), progress=False)
    write_report("run.db", "page.html")
    assert "Datasheet" not in words(Path("page.html"))
    Path("out/t.parquet").mkdir()
    write_report("run.db", "page.html")
    assert "| Datasheet | The dataset " in words(Path("page.html"))
