"""Questions about runs and items."""

from __future__ import annotations

import pytest

from curator_core.store import MetricsStore
from curator_core.store.reader import FailedItem

B = FailedItem(2, "b", "ValueError: bad", "Traceback: b")
D = FailedItem(3, "d", "KeyError: 'x'", None)
E = FailedItem(4, "e", "ValueError: worse", None)


def test_vanished_items_are_counted(recorded):
    """What the source no longer lists is counted, and is in no other answer."""
    assert recorded.n_vanished(1) == 1
    assert recorded.counts(1) == {"completed": 2, "error": 3}


def test_failures_in_the_order_of_the_listing(recorded):
    """Failed items come with error and traceback; some left out, or the first ones alone."""
    assert recorded.failures(1) == [B, D, E]
    assert recorded.failures(1, without=["d"]) == [B, E]
    assert recorded.failures(1, limit=1) == [B]
    assert recorded.failures(2) == []


def test_errors_by_key(recorded):
    """Errors of failed items alone, without their tracebacks."""
    assert list(recorded.errors(1).items()) == [("b", B.error), ("d", D.error), ("e", E.error)]


def test_kinds_of_errors(recorded):
    """Types of errors are counted, the most frequent one first."""
    assert recorded.error_kinds(1, 5) == [("ValueError", 2), ("KeyError", 1)]
    assert recorded.error_kinds(1, 1) == [("ValueError", 2)]


def test_keys_of_positions(recorded):
    """Keys of the positions that are asked for, as far as something is recorded there."""
    assert recorded.keys_at(1, [0, 2, 9]) == {0: "c", 2: "b"}
    assert recorded.keys_at(1, []) == {}


def test_versions_of_completed_items(recorded):
    """Key and fingerprint of the completed items, in the order of the listing."""
    assert list(recorded.completed_versions(1)) == [("c", "c-1"), ("a", "a-1")]


def test_rows_of_workers_and_logs(recorded):
    """A worker's row has every column but the run."""
    (worker,) = recorded.workers(1)
    assert {"run_id"}.isdisjoint(worker)
    assert (worker["worker_id"], worker["pid"], worker["hostname"], worker["completed_count"]) == ("w1", 42, "host", 6)
    assert recorded.logs(1) == []


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ({}, 2),
        ({"run_id": 1, "worker_row": 1, "time": "9"}, 0),
        ({"run_id": 0, "worker_row": 1, "time": "9"}, 2),
        ({"run_id": 1, "worker_row": 0, "time": "9"}, 2),
    ],
)
def test_completed_since(recorded, since, expected):
    """Items count that belong to a later run or a later worker."""
    assert recorded.last_rows() == (1, 1)
    assert recorded.n_completed_since("c" * 64, **since) == expected
    assert recorded.n_completed_since("d" * 64, **since) == 0


def test_nothing_is_there_before_the_first_run(tmp_path):
    """Of a database that was made and never written, the last rows are none."""
    (tmp_path / "empty.db").touch()
    with MetricsStore(tmp_path / "empty.db") as store:
        assert store.last_rows() == (0, 0)
        assert store.n_completed_since("c" * 64) == 0
