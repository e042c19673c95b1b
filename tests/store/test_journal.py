"""Journals: damaged lines cost their own item alone; order counts, not the clock."""

from __future__ import annotations

import json
import logging
import os
import re

import pytest

from curator_core.errors import StoreError
from curator_core.records import Artifact, IndexResult, LogLine, StageMetrics
from curator_core.store import JournalWriter, MetricsStore, StoreWriter, journal_directory, read_journals

DIGEST = "0123456789abcdef" * 4


def result(index=0, **changes):
    given = {
        "stages": (StageMetrics("s", 5),),
        "artifacts": (Artifact("/a", "f", 1),),
        "logs": (LogLine("now", 30, "WARNING", "x", "m"),),
        "output_paths": ("/o",),
        "worker_id": "w",
        "completed_at": "2026-01-01T00:00:00+00:00",
    }
    return IndexResult(index, f"{index:06d}", "completed", **(given | changes))


def changed(**changes):
    return json.dumps(json.loads(result(1).to_json()) | changes).encode()


DAMAGED = {
    "status": changed(status="done"),
    "status of another kind": changed(status=["completed"]),
    "time is null": changed(wall_time_ns=None),
    "time is a text": changed(wall_time_ns="5"),
    "time is a float": changed(wall_time_ns=1.5),
    "time is true": changed(wall_time_ns=True),
    "time does not fit": changed(wall_time_ns=2**63),
    "key": changed(key=None),
    "index": changed(index=None),
    "fingerprint": changed(fingerprint=7),
    "paths": changed(output_paths=[1]),
    "paths are a text's letters": changed(output_paths={"a": 1}, stages=[{"name": 1, "wall_time_ns": 1}]),
    "marks": changed(written=["x"]),
    "stage": changed(stages=[{"name": "s", "wall_time_ns": None}]),
    "log line": changed(logs=[{"timestamp": 1, "level": 1, "level_name": "", "logger_name": "", "message": ""}]),
    "artifact": changed(artifacts=[["/a", "f", 1]]),
    "a field of a newer version": changed(colour="red"),
    "a field is missing": b'{"index": 1, "key": "000001", "status": "completed"}',
    "foreign": b'[{"index": 1}]',
    "a number": b"5",
    "nested too deep": b"[" * 100_000 + b"]" * 100_000,
    "no UTF-8": b"\xff\xfe",
    "zeros": bytes(200),
    "empty": b"",
    "torn, then another": result(1).to_json().encode()[:50],
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_costs_its_own_item_alone(line, tmp_path, caplog):
    """A line that is no sound result is told by file and number, and passed over; those around it are taken."""
    path = tmp_path / f"{DIGEST[:16]}-000001-x.jsonl"
    path.write_bytes(b"\n".join([result(0).to_json().encode(), line, result(2).to_json().encode(), b""]))
    ((_, found),) = read_journals(tmp_path, DIGEST)
    assert [r.index for r in found] == [0, 2]
    assert re.search(r"-x\.jsonl, line 2 is no index result", caplog.text)


def test_a_hole_before_a_line_does_not_spoil_it(tmp_path):
    """Zeros of a lost write before a whole line leave the line as it is."""
    (tmp_path / f"{DIGEST[:16]}-x.jsonl").write_bytes(bytes(64) + result(0).to_json().encode() + b"\n")
    ((_, found),) = read_journals(tmp_path, DIGEST)
    assert found == [result(0)]


def test_what_is_no_file_is_passed_over(tmp_path, caplog):
    """A FIFO or a folder among the journals holds up nobody."""
    os.mkfifo(tmp_path / f"{DIGEST[:16]}-1-a.jsonl")
    (tmp_path / f"{DIGEST[:16]}-2-b.jsonl").mkdir()
    assert read_journals(tmp_path, DIGEST) == []
    assert caplog.text.count("is no file") == 2


def test_a_journal_that_cannot_be_read(tmp_path, monkeypatch):
    """It holds results, so it is not passed over: the error names it."""

    def refuse(_self):
        raise PermissionError(13, "Permission denied")

    with JournalWriter(tmp_path, DIGEST) as journal:
        journal.append(result())
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(StoreError, match=rf"{journal.path.name} cannot be read: Permission denied"):
        read_journals(tmp_path, DIGEST)


def journal_of(path, *results):
    with JournalWriter(journal_directory(path), DIGEST) as journal:
        for one in results:
            journal.append(one)
    return journal.path


def open_writer(path):
    return StoreWriter(path, config_hash=DIGEST, config_json="{}", resume=True, total_indices=3)


def recorded(path):
    with MetricsStore(path) as store:
        return {r.key: (r.status, r.error, r.completed_at) for r in store.results(1)}


def test_later_journals_win_though_the_clock_was_put_back(tmp_path):
    """Of two attempts the one begun later counts, whatever their times say, and those of their files."""
    path = tmp_path / "m.db"
    first = journal_of(path, result(completed_at="2099-01-02T00:00:00+00:00"))
    later = IndexResult(0, "000000", "error", error="late", worker_id="w2", completed_at="2026-01-01T00:00:00+00:00")
    second = journal_of(path, later)
    os.utime(first, (2_000_000_000, 2_000_000_000))
    os.utime(second, (1, 1))
    with open_writer(path) as writer:
        assert writer.fold() == 2
        writer.reindex(["000000"])
    assert recorded(path) == {"000000": ("error", "late", "2026-01-01T00:00:00+00:00")}


def test_a_journal_wins_over_a_record_that_claims_to_be_of_tomorrow(tmp_path):
    """What a former run recorded by a clock that was ahead does not keep out what is processed now."""
    path = tmp_path / "m.db"
    with open_writer(path) as writer:
        writer.write(result(completed_at="2099-01-01T00:00:00+00:00"))
    journal_of(path, result(worker_id="w2", completed_at="2026-01-01T00:00:00+00:00"))
    with open_writer(path) as writer:
        assert writer.fold() == 1
    assert recorded(path)["000000"][2] == "2026-01-01T00:00:00+00:00"


def test_what_a_run_records_itself_wins_over_journals(tmp_path):
    """A journal was begun before the run recorded the item; the record stays."""
    path = tmp_path / "m.db"
    journal_of(path, result(error="old", completed_at="2099-01-01T00:00:00+00:00"))
    with open_writer(path) as writer:
        writer.write(result(worker_id="w2"))
        assert writer.fold() == 0
    assert recorded(path)["000000"] == ("completed", None, "2026-01-01T00:00:00+00:00")
    assert list(journal_directory(path).iterdir()) == []


def test_journals_of_older_versions_come_first(tmp_path):
    """A name without a number is older than every name with one."""
    with JournalWriter(tmp_path, DIGEST) as new:
        new.append(result(1))
    old = tmp_path / f"{DIGEST[:16]}-{'f' * 32}.jsonl"
    old.write_text(result(0).to_json() + "\n")
    assert [path for path, _ in read_journals(tmp_path, DIGEST)] == [old, new.path]


def test_the_next_run_goes_on(tmp_path, caplog):
    """A damaged line neither ends the run that meets it nor those after it: the journal is gone."""
    path = tmp_path / "m.db"
    journal = journal_of(path, result(0))
    with journal.open("ab") as file:
        file.write(DAMAGED["time is null"] + b"\n")
    with caplog.at_level(logging.WARNING), open_writer(path) as writer:
        assert writer.fold() == 1
    assert not journal.exists()
    assert list(recorded(path)) == ["000000"] or recorded(path) == {}


def test_journal_survives_a_round_trip():
    """An index result is the same after to_json and from_json."""
    made = result(
        3,
        output_paths=("a", "b"),
        artifacts=(Artifact("p", "f", 1),),
        stages=(StageMetrics("s", 5),),
        logs=(LogLine("t", 20, "INFO", "n", "line\u2028two"),),
    )
    assert IndexResult.from_json(made.to_json()) == made
