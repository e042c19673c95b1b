"""`curator report`: the page, for runs of every kind and size."""

import logging
import math
import re
import sqlite3
import sys
import xml.etree.ElementTree as ET
from contextlib import closing
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from curator_core.cli.database import read_status
from curator_core.errors import MissingDependencyError, StoreCorruptError, StoreError
from curator_core.records import LogLine
from curator_core.report import write_report
from curator_core.storage.locks import exclusive_lock
from curator_core.store import JournalWriter, StoreWriter, journal_directory
from curator_core.store.connection import open_for_writing, transaction
from curator_core.store.rows import insert_results

pytest.importorskip("matplotlib")

_SPEC = spec_from_file_location("report_conftest", Path(__file__).with_name("conftest.py"))
recorded = module_from_spec(_SPEC)
_SPEC.loader.exec_module(recorded)
result = recorded.result

VOID = {"meta"}


class Page(HTMLParser):
    """Elements and text of a page; fails on elements that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.attributes, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def report(tmp_path):
    """Write the report of a database; the page as text and parsed."""

    def made(path, **options):
        output = tmp_path / "report.html"
        write_report(path, output, **options)
        text = output.read_text(encoding="utf-8")
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            ET.fromstring(svg)
        return text, Page(text)

    return made


def headings(page_text):
    return re.findall(r"<h2>(.*?)</h2>", page_text)


ALL = [
    *("Throughput over time", "Workers over time", "Where the time goes"),
    *("Time per item", "Memory", "Slowest items", "Failed items", "Workers"),
]


def test_everything_about_a_small_run(record, report):
    """Counts, components, all sections, the slowest item first, the failure with its traceback."""
    rows = [result(i, i + 1.0, 0.5 + i / 10, worker=i % 2) for i in range(9)]
    rows.append(result(9, 12.0, 0.1, error="ValueError: number 9 is bad", traceback="Traceback …\nin line 7"))
    text, page = report(record(rows, total=12))
    assert headings(text) == ALL
    assert "Numbers → Files" in page.text
    assert "12 items 9 completed 1 failed 2 remaining" in page.text
    assert "not complete" in page.text
    assert re.search(r"Slowest items .*? peak memory 8 n0008 1.3 s Numbers \(75 %\)", page.text)
    assert "ValueError 1" in page.text
    assert "n0009 (index 9) ValueError: number 9 is bad Traceback … in line 7" in page.text
    assert "2 on node1" in page.text
    assert page.tags.count("svg") == 6


def test_warnings_are_those_of_the_items_as_they_are(record, report):
    """Each with its items; what one warned of before it was processed again, and mere information, is left out."""

    def lines(*messages, level=logging.WARNING):
        return tuple(LogLine("2026-03-01", level, logging.getLevelName(level), "curator", text) for text in messages)

    rows = [result(i, i + 1.0, logs=lines("3 cells are left out", "3 cells are left out")) for i in range(7)]
    rows.append(result(7, 8.0, logs=lines("5 cells <are> left out") + lines("nothing", level=logging.INFO)))
    path = record([*rows, result(8, 9.0, logs=lines("former"))])
    with StoreWriter(path, config_hash="ab" * 32, config_json="{}", resume=True, total_indices=9) as writer:
        writer.write(result(8, 20.0, worker=1))
    text, page = report(path)
    assert headings(text)[-2:] == ["Warnings", "Workers"]
    assert (
        "3 cells are left out 7 n0000, n0001, n0002, n0003, n0004 5 cells <are> left out 1 n0007 Workers" in page.text
    )
    assert "former" not in page.text


def test_page_needs_nothing_else(record, report):
    """No script, no link, nothing loaded from elsewhere; references stay within the page."""
    text, page = report(record([result(i, i + 1.0) for i in range(2000)]))
    assert {"script", "link", "iframe", "object", "img"}.isdisjoint(page.tags)
    targets = [value for name, value in page.attributes if name in ("href", "src", "xlink:href", "action")]
    assert targets
    assert all(target.startswith(("#", "data:image/png;base64,")) for target in targets)
    assert not re.search(r"@import|url\((?!#)", text)


HOSTILE = '<script>alert("x")</script>&amp;\'$\\frac{$\x1b[31m\u202e'


def test_data_is_only_ever_text(record, report):
    """Keys, errors, tracebacks, hosts, stages and settings from data cannot become markup."""
    from curator_core.records import StageMetrics

    config = {
        "source": {"component": f"a:{HOSTILE}", "params": {"x": "</pre><script>"}},
        "filters": [],
        "sink": None,
    }
    stages = (StageMetrics(HOSTILE, 10**9), StageMetrics("</svg><script>", 10**9))
    fields = {"key": HOSTILE, "stages": stages, "worker_host": HOSTILE}
    rows = [result(0, 1.0, **fields), result(1, 2.0, **fields | {"key": "<b>"}, worker=1)]
    rows.append(result(2, 3.0, **fields | {"key": "</title>"}, error=f"{HOSTILE}: y", traceback=f"</pre>{HOSTILE}"))
    text, page = report(record(rows, config=config))
    assert "<script" not in text.lower()
    assert "\x1b" not in text
    assert "script" not in page.tags
    assert page.tags.count("b") == 8  # the numbers at a glance
    assert '<script>alert("x")</script>&amp;' in page.text


def test_empty_run(record, report):
    """A run that has processed nothing has a page that says so."""
    text, page = report(record([], total=5))
    assert "Nothing has been processed yet." in page.text
    assert "5 items 0 completed 0 failed 5 remaining" in page.text
    assert headings(text) == []


def test_source_without_items(record, report):
    """A source that lists nothing is no division by zero."""
    assert "no items" in report(record([]))[1].text


@pytest.mark.parametrize("n", [1, 2, 10])
def test_only_failures(record, report, n):
    """A run in which everything failed, without stages, memory or workers, still has a page."""
    bare = {"stages": (), "peak_memory_bytes": None, "worker_id": None, "wall_time_ns": 0}
    _, page = report(record([result(i, i + 1.0, error="OSError: gone", **bare) for i in range(n)]))
    assert f"{n} items 0 completed {n} failed 0 remaining" in page.text
    assert "OSError: gone" in page.text


def test_results_without_a_time(record, report):
    """Results of simple backends, which know no times, are counted and left out of plots over time."""
    text, page = report(record([result(i, 0.0, completed_at=None) for i in range(5)]))
    assert "5 completed" in page.text
    assert "Throughput over time" not in headings(text)


def test_run_that_is_going_on(record, report):
    """While the workers are heard of and items remain, the page says that the run is running."""
    now = datetime.now(UTC)
    rows = [result(i, 0, completed_at=(now - timedelta(seconds=10 - i)).isoformat()) for i in range(5)]
    assert "Numbers → Files running" in report(record(rows, total=100))[1].text


def test_run_that_is_being_written(record, report):
    """However long ago its workers, or its host's clock, were heard of; and no longer when it has ended."""
    path = record([result(i, 0) for i in range(5)], total=100)
    with exclusive_lock(f"{path}.lock", timeout_s=0, holder="run"):
        assert "Files running" in report(path)[1].text
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE workers SET last_heartbeat = '2999-01-01T00:00:00+00:00'")
    assert "Files not complete" in report(path)[1].text


ODD_MEASURES = [
    *(("index_results", "wall_time_ns", value) for value in (-1, 2**63 - 1, "x")),
    *(("index_results", "peak_memory_bytes", value) for value in (-1, 2**63 - 1)),
    *(("stage_metrics", "wall_time_ns", value) for value in (-1, 2**63 - 1)),
    *(("workers", "elapsed_s", value) for value in (-1.0, math.inf)),
    *(("workers", "cpu_s", value) for value in (1e300, -math.inf)),
    *(("workers", "n_cpus", -1), ("workers", "completed_count", -1), ("pipeline_runs", "total_indices", 2**63 - 1)),
]


@pytest.mark.parametrize(("table", "column", "value"), ODD_MEASURES)
def test_measures_that_cannot_be_true(table, column, value, record, tmp_path):
    """Neither the report nor the command line computes with them: the file and the measure are named."""
    path = record([result(i, i + 1.0) for i in range(3)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"UPDATE {table} SET {column} = ?", (value,))
    for asked in (lambda: write_report(path, tmp_path / "page.html"), lambda: read_status(path)):
        with pytest.raises(StoreCorruptError, match=rf"damaged: .* stands where {column} of"):
            asked()
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+00:00", "-4712-01-01", "never"])
def test_times_and_measures_that_say_nothing(time, record, report):
    """No memory measured, and times that are none or before all dates: left out of the plots."""
    path = record([result(i, 1.0) for i in range(3)])
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE index_results SET completed_at = ?, peak_memory_bytes = 0", (time,))
    text, page = report(path)
    assert "3 completed" in page.text
    assert not {"Memory", "Throughput over time"} & set(headings(text))


def test_results_in_journals_are_mentioned(record, report):
    """What another process still holds is not counted, and the page says so."""
    path = record([result(0, 1.0)], total=5)
    with JournalWriter(journal_directory(path), "ab" * 32) as journal:
        journal.append(result(1, 2.0))
        journal.append(result(2, 3.0))
    _, page = report(path)
    assert "1 completed" in page.text
    assert "not counted 2 results in journals" in page.text


def test_pauses_are_left_out(record, report):
    """A run resumed the next day shows its hours of work, not the night."""
    rows = [result(i, i + 1.0 + (80_000 if i >= 50 else 0)) for i in range(100)]
    _, page = report(record(rows))
    assert "1 min 40 s running time" in page.text
    assert "22 h 13 min of pauses in all are left out" in page.text


def test_large_run(record, report, tmp_path):
    """The page of a large run is small, however long keys, errors and tracebacks are."""
    n = 20_000
    path = record([], total=n)
    long_key = "k" * 5000
    rows = [
        result(
            i,
            i / 100,
            0.05,
            worker=i % 100,
            **({"key": f"{long_key}{i}", "error": "E: " + "x" * 5000, "traceback": "t" * 100_000} if i < 60 else {}),
        )
        for i in range(n)
    ]
    database = open_for_writing(path)
    with transaction(database):
        insert_results(database, 1, [(row.index, row) for row in rows])
    database.close()
    text, page = report(path)
    assert len(text) < 3_000_000
    assert "60 more workers are not drawn" in page.text
    assert "The first 50 of 60 failed items are shown." in page.text


def test_a_run_can_be_chosen(record, report):
    """The newest run is shown, another by its number; an unknown number lists the known ones."""
    record([result(0, 1.0)])
    path = record([result(0, 1.0), result(1, 2.0)], config_hash="cd" * 32)
    assert "2 items" in report(path)[1].text
    assert "1 items" in report(path, run_id=1)[1].text
    assert "1 items" in report(path, config_hash="ab" * 32)[1].text
    with pytest.raises(StoreError, match=r"holds no run 7\. It has: 1, 2\."):
        report(path, run_id=7)
    with pytest.raises(StoreError, match="holds no run 2 of this configuration"):
        report(path, run_id=2, config_hash="ab" * 32)


def test_old_page_stays_when_the_new_one_fails(record, tmp_path):
    """A page is replaced in one step, or not at all, and nothing is left beside it."""
    output = tmp_path / "pages" / "report.html"
    output.parent.mkdir()
    output.write_text("old")
    broken = tmp_path / "broken.db"
    broken.write_text("no database, but long enough to look like one" * 100)
    with pytest.raises(StoreCorruptError):
        write_report(broken, output)
    assert output.read_text() == "old"
    write_report(record([result(0, 1.0)]), output)
    assert output.read_text().startswith("<!DOCTYPE html>")
    assert list(output.parent.iterdir()) == [output]
    with pytest.raises(StoreError, match=r"Cannot write the report .*nowhere"):
        write_report(record([result(0, 1.0)]), tmp_path / "nowhere" / "report.html")


def test_missing_matplotlib(record, tmp_path, monkeypatch):
    """Without matplotlib the error names the extra."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match=r"curator-dagster\[report\]"):
        write_report(record([result(0, 1.0)]), tmp_path / "report.html")


def test_the_users_own_style_does_not_matter(record, report):
    """Settings of matplotlib in the same process neither change the page nor are changed by it."""
    import matplotlib as mpl

    path = record([result(i, i + 1.0) for i in range(20)])
    made_at = re.compile("Made .* by")
    plain = made_at.sub("", report(path)[0])
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30, "text.usetex": False, "axes.grid": False}):
        assert made_at.sub("", report(path)[0]) == plain
        assert mpl.rcParams["font.size"] == 30
