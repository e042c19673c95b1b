"""`curator retry`."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from curator_core import IndexResult, Pipeline
from curator_core.store import JournalWriter, journal_directory

EXECUTABLE = Path(sys.executable).with_name("curator")


def statuses(curator, path):
    return {row["key"]: row["status"] for row in json.loads(curator("export", path, "--json").out)}


def test_only_what_failed_is_processed_again(curator, write_pipeline, folder):
    """Failed items are processed, all others keep their files; what succeeds is complete."""
    path = write_pipeline(fail=[1, 3])
    curator("run", path)
    written = {file.name: file.stat().st_mtime_ns for file in (folder / "out").iterdir()}
    Path("mended").touch()
    result = curator("retry", path)
    assert (result.code, result.out.splitlines()[0].partition(" Took")[0]) == (0, "2 items: 2 done, 0 failed.")
    after = {file.name: file.stat().st_mtime_ns for file in (folder / "out").iterdir()}
    assert after.keys() - written.keys() == {"1.txt", "3.txt"}
    assert after | written == after
    assert set(statuses(curator, path).values()) == {"completed"}


def test_what_fails_again_is_told(curator, write_pipeline):
    """The exit status is 1, and the command offered is the same once more."""
    path = write_pipeline(fail=[3])
    curator("run", path)
    result = curator("retry", path, "-j", "2")
    assert result.code == 1
    assert "  n0003: ValueError: number 3 is bad\n" in result.err
    (line,) = [line for line in result.err.splitlines() if line.startswith("try again:")]
    assert shlex.split(line.removeprefix("try again:")) == ["curator", "retry", path, "-j", "2"]


def test_nothing_failed_is_said(curator, write_pipeline):
    """Without failures there is nothing to do; items that are still open are mentioned with their command."""
    path = write_pipeline()
    curator("run", path, "--indices", "0-1", "--db", "mine.db")
    result = curator("retry", path, "--db", "mine.db")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "Nothing to do: no item is recorded as failed.\n"
        "3 items not processed yet: curator run p.yaml --resume --db mine.db\n"
    )
    assert curator("retry", path, "--db", "mine.db", "-q").out == ""


def test_open_items_stay_open(curator, write_pipeline, folder):
    """Items that were not processed yet are not processed by a retry."""
    path = write_pipeline(fail=[1])
    curator("run", path, "--indices", "0-2")
    Path("mended").touch()
    assert curator("retry", path).out.startswith("1 item: 1 done")
    assert not (folder / "out" / "3.txt").exists()


def test_a_replaced_input_is_tried_again(curator, folder):
    """A bad input file that was replaced by a good one is processed, although it is another file now."""
    Path("in").mkdir()
    for name, text in [("a", "1"), ("b", "two"), ("c", "3")]:
        Path(f"in/{name}.txt").write_text(text)
    parts = {
        "source": {"component": "curator_core.testing:FileSource", "params": {"folder": "in"}},
        "sink": {"component": "curator_core.testing:JsonSink", "params": {"folder": "out"}},
    }
    Path("files.yaml").write_text(yaml.safe_dump(parts))
    assert curator("run", "files.yaml").code == 1
    Path("in/b.txt").write_text("22222")
    result = curator("retry", "files.yaml")
    assert (result.code, result.out[:7]) == (0, "1 item:")
    assert json.loads(Path("out/item_000001.json").read_text()) == [22222]


def test_a_failed_item_that_moved_is_found_by_its_key(curator, folder):
    """When files were added before the failed one, it is the failed one that is processed; a vanished one is told."""
    Path("in").mkdir()
    for name, text in [("b", "two"), ("c", "3"), ("d", "four")]:
        Path(f"in/{name}.txt").write_text(text)
    parts = {
        "source": {"component": "curator_core.testing:FileSource", "params": {"folder": "in"}},
        "sink": {"component": "curator_core.testing:JsonSink", "params": {"folder": "out"}},
    }
    Path("files.yaml").write_text(yaml.safe_dump(parts))
    curator("run", "files.yaml")
    Path("in/a.txt").write_text("1")
    Path("in/b.txt").write_text("2")
    Path("in/d.txt").unlink()
    result = curator("retry", "files.yaml")
    assert result.code == 0
    assert "1 failed item no longer in the source.\n" in result.err
    assert json.loads(Path("out/item_000001.json").read_text()) == [2]
    assert not Path("out/item_000000.json").exists() or json.loads(Path("out/item_000000.json").read_text()) != [1]


def test_failures_in_journals_count(curator, write_pipeline):
    """A failure that an interrupted run left in a journal is tried again; a success there is not."""
    path = write_pipeline(fail=[1], settings={"resume": True})
    curator("run", path, "--indices", "0-1")
    pipeline = Pipeline.load(path)
    with JournalWriter(journal_directory(pipeline.db_path), pipeline.config_hash) as journal:
        for index, status in [(1, "completed"), (2, "error")]:
            at = "2030-01-01T00:00:00+00:00"
            journal.append(IndexResult(index, f"n{index:04d}", status, error="OSError: disk", completed_at=at))
    assert curator("retry", path).out.startswith("1 item: 1 done")
    assert statuses(curator, path) == dict.fromkeys(["n0000", "n0001", "n0002"], "completed")


@pytest.mark.parametrize("given", [[], ["--db", "other.db"]])
def test_a_pipeline_that_was_never_run(curator, write_pipeline, folder, given):
    """Without a database, or with one of another configuration, the error says so; nothing is created."""
    curator("run", write_pipeline(n=2, name="other.yaml"), "--db", "other.db")
    before = Path("other.db").read_bytes()
    result = curator("retry", write_pipeline(), *given)
    assert (result.code, result.out) == (2, "")
    expected = "other.db holds no run of this configuration" if given else "p.yaml has not been run yet"
    assert result.err.startswith(f"error: {expected}")
    assert Path("other.db").read_bytes() == before


def test_interrupt_says_how_to_go_on(write_pipeline, curator, folder):
    """An interrupted retry exits 130 and offers a retry, which then does only what is left."""
    path = write_pipeline(n=8, source="Held", held=5, fail=list(range(8)))
    curator("run", path, "-q")
    Path("mended").touch()
    os.mkfifo("gate")
    process = subprocess.Popen([EXECUTABLE, "retry", path, "-q"], stderr=subprocess.PIPE, text=True)
    with Path("gate").open("w"):  # once the sixth item waits for it
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.endswith("continue with: curator retry p.yaml\n")
    Path("gate").unlink()
    assert curator("retry", path).out.startswith("3 items: 3 done, 0 failed.")
