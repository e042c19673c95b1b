"""`curator export`."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from curator_core import IndexResult, Pipeline
from curator_core.store import JournalWriter, journal_directory

EXECUTABLE = Path(sys.executable).with_name("curator")


@pytest.fixture
def ran(curator, write_pipeline):
    """A pipeline file that was run: five items, number 3 failed."""
    path = write_pipeline(fail=[3])
    curator("run", path)
    return path


def test_csv_on_standard_output(curator, ran):
    """--csv prints a header and one line per item."""
    result = curator("export", ran, "--csv")
    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert (result.code, result.err) == (0, "")
    assert [(row["index"], row["key"], row["status"]) for row in rows] == [
        (str(index), f"n000{index}", "error" if index == 3 else "completed") for index in range(5)
    ]
    assert int(rows[0]["0_numbers_ns"]) > 0
    assert rows[0]["started_at"] <= rows[0]["completed_at"]


def test_json_on_standard_output(curator, ran):
    """--json prints an array with one object per item; paths are a list."""
    data = json.loads(curator("export", ran, "--json").out)
    assert [row["output_paths"] for row in data] == [[f"out/{i}.txt"] if i != 3 else [] for i in range(5)]
    assert data[3]["error"] == "ValueError: number 3\nis bad"


@pytest.mark.parametrize("words", [["--parquet", "-o", "items.dat"], ["-o", "items.parquet"], ["-o", "items.PARQUET"]])
def test_parquet_file(curator, ran, words):
    """-o writes a file and prints nothing; its extension may stand for the format."""
    pq = pytest.importorskip("pyarrow.parquet")
    result = curator("export", ran, *words)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert pq.read_table(words[-1])["key"].to_pylist() == [f"n000{index}" for index in range(5)]


def test_dash_is_standard_output(curator, ran, folder):
    """``-o -`` prints."""
    assert curator("export", ran, "--csv", "-o", "-").out.startswith("index,key,")
    assert not (folder / "-").exists()


def test_a_run_can_be_chosen(curator, write_pipeline):
    """--run takes an earlier run of a database; an unknown one lists those there are."""
    path = write_pipeline()
    curator("run", path, "--db", "mine.db", "--indices", "0-1")
    curator("run", path, "--db", "mine.db", "--indices", "2")
    assert len(json.loads(curator("export", "mine.db", "--json").out)) == 1
    assert len(json.loads(curator("export", "mine.db", "--json", "--run", "1").out)) == 2
    result = curator("export", "mine.db", "--json", "--run", "7")
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: mine.db holds no run 7. It has: 1, 2.\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "error: Choose one of --csv, --json and --parquet."),
        (["-o", "items.dat"], "error: Choose one of --csv, --json and --parquet."),
        (["--csv", "--json"], "error: Choose one of --csv, --json and --parquet."),
        (["--parquet"], "error: --parquet needs a file: -o FILE."),
        (["--csv", "-o", "no/x.csv"], "error: Cannot write no/x.csv: there is no folder no. Make it first."),
        (["--csv", "-o", "p.yaml"], "error: p.yaml is what is to be exported: choose another file for -o."),
    ],
)
def test_what_cannot_be_done_is_told(curator, ran, words, says):
    """A wrong command line exits 2 with one line, and writes nothing."""
    before = Path("p.yaml").read_bytes()
    result = curator("export", ran, *words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(says)
    assert len(result.err.splitlines()) == 1
    assert Path("p.yaml").read_bytes() == before


def test_the_database_is_never_overwritten(curator, write_pipeline):
    """-o must not be the database itself."""
    curator("run", write_pipeline(), "--db", "mine.db")
    before = Path("mine.db").read_bytes()
    assert curator("export", "mine.db", "--csv", "-o", "./mine.db").code == 2
    assert Path("mine.db").read_bytes() == before


def test_results_in_journals_are_mentioned(curator, write_pipeline):
    """Results that no run has taken over yet are not exported, and standard error says so."""
    path = write_pipeline(settings={"resume": True})
    curator("run", path, "--indices", "0-1")
    pipeline = Pipeline.load(path)
    with JournalWriter(journal_directory(pipeline.db_path), pipeline.config_hash) as journal:
        journal.append(IndexResult(2, "n0002", "completed"))
    result = curator("export", path, "--json")
    assert len(json.loads(result.out)) == 2
    assert result.err.startswith("Not exported: 1 result of a run in progress, or stopped")


def test_a_reader_that_stops_early_is_no_error(write_pipeline, curator):
    """``curator export … | head`` prints no complaint."""
    path = write_pipeline(n=3000)
    curator("run", path, "-q")
    shell = f"{EXECUTABLE} export {path} --json | head -n 2"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""
